//! Writing rows: the inverse of [`super::load`].

use std::borrow::Borrow;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use teleprompt_core::Fields;

use crate::error::DataError;

/// Writes rows to a file, one a line; a file of this name is replaced.
///
/// [`super::load`] gives the same rows, in the same order, with the same order of fields and the same numbers.
///
/// # Errors
/// [`DataError::Write`].
///
/// ```
/// use teleprompt_core::Fields;
/// use teleprompt_data::jsonl;
/// # let dir = tempfile::tempdir().unwrap();
/// # let path = dir.path().join("rows.jsonl");
/// let rows = [Fields::new().with("question", "2 + 2?").with("answer", 4)];
/// jsonl::save(&path, &rows).unwrap();
/// assert_eq!(jsonl::load(&path).unwrap(), rows);
/// ```
pub fn save<F: Borrow<Fields>>(
    path: impl AsRef<Path>,
    rows: impl IntoIterator<Item = F>,
) -> Result<(), DataError> {
    let path = path.as_ref();
    let write_all = || {
        let mut file = BufWriter::new(File::create(path)?);
        write(&mut file, rows)?;
        file.flush()
    };
    write_all().map_err(|source| DataError::Write { path: path.to_owned(), source })
}

/// Writes rows, one a line, each ended by `\n`.
///
/// # Errors
/// What the writer says.
pub fn write<F: Borrow<Fields>>(mut writer: impl Write, rows: impl IntoIterator<Item = F>) -> io::Result<()> {
    for row in rows {
        serde_json::to_writer(&mut writer, row.borrow())?;
        writer.write_all(b"\n")?;
    }
    Ok(())
}
