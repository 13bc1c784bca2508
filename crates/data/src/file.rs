//! Writing files of any format.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use crate::error::DataError;

/// Fills a file, in place of one of this name.
///
/// # Errors
/// [`DataError::Write`] names the file.
pub(crate) fn write(
    path: &Path,
    fill: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
) -> Result<(), DataError> {
    let write_all = || {
        let mut file = BufWriter::new(File::create(path)?);
        fill(&mut file)?;
        file.flush()
    };
    write_all().map_err(|source| DataError::Write { path: path.to_owned(), source })
}
