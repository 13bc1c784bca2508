//! Writing rows: the inverse of [`super::load`].

use std::borrow::Borrow;
use std::io::{self, Write};
use std::path::Path;

use teleprompt_core::Fields;

use crate::error::DataError;
use crate::file;

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
    file::write(path.as_ref(), |file| write(file, rows))
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
