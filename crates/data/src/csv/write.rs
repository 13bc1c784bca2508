//! Writing rows: the inverse of [`super::load`], for rows of texts.

use std::borrow::Borrow;
use std::io::{self, Write};
use std::path::Path;

use teleprompt_core::{Fields, Value};

use crate::error::DataError;
use crate::file;

/// Writes rows to a file under a header of the first row's fields; a file of this name is replaced.
///
/// Texts stand as they are, nothing as an empty cell, other values as JSON.
///
/// # Errors
/// [`DataError::Write`]; also for a row that has a field that the first one lacks, so that nothing is lost unseen.
pub fn save<F: Borrow<Fields>>(
    path: impl AsRef<Path>,
    rows: impl IntoIterator<Item = F>,
) -> Result<(), DataError> {
    file::write(path.as_ref(), |file| write(file, rows))
}

/// As [`save`], to a writer.
///
/// # Errors
/// What the writer says, and a row with a field that the first one lacks.
pub fn write<F: Borrow<Fields>>(mut writer: impl Write, rows: impl IntoIterator<Item = F>) -> io::Result<()> {
    let mut header: Option<Vec<String>> = None;
    for (number, row) in rows.into_iter().enumerate() {
        let row = row.borrow();
        if header.is_none() {
            let names: Vec<String> = row.names().map(str::to_owned).collect();
            record(&mut writer, names.iter().cloned())?;
            header = Some(names);
        }
        let names = header.as_deref().unwrap_or_default();
        if let Some(lost) = row.names().find(|name| !names.iter().any(|known| known == name)) {
            let problem = format!("row {} has the field `{lost}`, which the first row lacks", number + 1);
            return Err(io::Error::new(io::ErrorKind::InvalidInput, problem));
        }
        let cells = names.iter().map(|name| match row.get(name) {
            None | Some(Value::Null) => String::new(),
            Some(Value::String(text)) => text.clone(),
            Some(other) => other.to_string(),
        });
        record(&mut writer, cells)?;
    }
    Ok(())
}

fn record(mut writer: impl Write, cells: impl Iterator<Item = String>) -> io::Result<()> {
    let cells: Vec<String> = cells.collect();
    for (i, cell) in cells.iter().enumerate() {
        if i > 0 {
            writer.write_all(b",")?;
        }
        // A record of one empty cell would be a blank line, and a mark at the start of a file would be taken for its own.
        let alone = cells.len() == 1 && cell.is_empty();
        if alone || cell.starts_with('\u{feff}') || cell.contains([',', '"', '\n', '\r']) {
            write!(writer, "\"{}\"", cell.replace('"', "\"\""))?;
        } else {
            writer.write_all(cell.as_bytes())?;
        }
    }
    writer.write_all(b"\r\n")
}
