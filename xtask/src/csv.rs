//! Files of comma-separated values (RFC 4180), as the data sets come that the project does not contain.

use std::fs;
use std::path::PathBuf;

use crate::error::Error;

/// Most bytes of a file.
const MAX_BYTES: u64 = 64 << 20;

/// A file of comma-separated values.
#[derive(Debug)]
pub(crate) struct Table {
    path: PathBuf,
    pub(crate) header: Vec<String>,
    /// Each as long as the header.
    pub(crate) rows: Vec<Vec<String>>,
}

impl Table {
    /// Reads a file, of which the first record is the header.
    pub(crate) fn read(path: PathBuf) -> Result<Self, Error> {
        let length = fs::metadata(&path).map_err(Error::file("read", &path))?.len();
        let content = |problem: String| Error::Content { file: path.display().to_string(), problem };
        if length > MAX_BYTES {
            return Err(content(format!("a data file has at most {MAX_BYTES} bytes")));
        }
        let text = fs::read_to_string(&path).map_err(Error::file("read", &path))?;
        let mut records = records(&text).into_iter();
        let header = records.next().unwrap_or_default();
        let rows: Vec<Vec<String>> = records.collect();
        if let Some(line) = rows.iter().position(|row| row.len() != header.len()) {
            let problem =
                format!("record {} has {} fields, not {}", line + 2, rows[line].len(), header.len());
            return Err(content(problem));
        }
        Ok(Self { path, header, rows })
    }

    /// The index of the column of this name.
    pub(crate) fn column(&self, name: &str) -> Result<usize, Error> {
        self.header.iter().position(|column| column == name).ok_or_else(|| self.bad(name))
    }

    /// Something in the file that is not as expected.
    pub(crate) fn bad(&self, what: &str) -> Error {
        Error::Content {
            file: self.path.display().to_string(),
            problem: format!("`{what}` is not as expected"),
        }
    }
}

/// The records of a text of comma-separated values; fields may stand in double quotes (RFC 4180).
fn records(text: &str) -> Vec<Vec<String>> {
    let mut records = vec![vec![String::new()]];
    let mut quoted = false;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let Some(field) = records.last_mut().and_then(|record| record.last_mut()) else { break };
        match c {
            '"' if quoted && chars.peek() == Some(&'"') => {
                field.push('"');
                chars.next();
            }
            '"' => quoted = !quoted,
            ',' if !quoted => records.last_mut().into_iter().for_each(|record| record.push(String::new())),
            '\r' if !quoted => {}
            '\n' if !quoted => records.push(vec![String::new()]),
            c => field.push(c),
        }
    }
    records.retain(|record| record.iter().any(|field| !field.is_empty()));
    records
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_read_with_quotes_and_line_breaks() {
        assert_eq!(records("a,b\r\n\"x, \"\"y\"\"\nz\",1\n\n"), [vec!["a", "b"], vec!["x, \"y\"\nz", "1"]]);
    }
}
