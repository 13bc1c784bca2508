//! The journal of a recording: every cell as it is finished, so that a recording that is killed goes on where it was.
//!
//! The first line says what is recorded, each further line is one cell: `[candidate, row, score]`. A last line that was not
//! finished is dropped. The file stands beside the landscape and is removed once that is written.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::Error;

/// Most bytes of a journal.
const MAX_BYTES: u64 = 256 << 20;

/// What is recorded: cells of another recording are refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Header {
    /// The landscape's name.
    pub(crate) name: String,
    /// A hash of model, adapter, candidates and rows.
    pub(crate) fingerprint: String,
    /// How many there are.
    pub(crate) candidates: usize,
    /// How many there are.
    pub(crate) rows: usize,
}

/// The cells that are finished.
#[derive(Debug)]
pub(crate) struct Journal {
    path: PathBuf,
    file: File,
    cells: BTreeMap<(usize, usize), f64>,
}

impl Journal {
    /// Opens the journal of a landscape's file, or begins it.
    ///
    /// # Errors
    /// A file that cannot be read or written, or is the journal of something else.
    pub(crate) fn open(landscape: &Path, header: &Header) -> Result<Self, Error> {
        let path = landscape.with_extension("journal");
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(Error::file("make", folder))?;
        }
        let mut file = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .open(&path)
            .map_err(Error::file("open", &path))?;
        let mut text = String::new();
        (&mut file).take(MAX_BYTES).read_to_string(&mut text).map_err(Error::file("read", &path))?;
        // What stands behind the last line's end was not finished.
        let whole = text.rfind('\n').map_or(0, |end| end + 1);
        if whole < text.len() {
            file.set_len(whole as u64).map_err(Error::file("shorten", &path))?;
        }
        let mut lines = text[..whole].lines();
        let mut journal = Self { path, file, cells: BTreeMap::new() };
        match lines.next() {
            None => journal.write(header)?,
            Some(line) => {
                let known: Option<Header> = serde_json::from_str(line).ok();
                if known.as_ref() != Some(header) {
                    return Err(
                        journal.bad(1, "it is the journal of another recording; remove it to begin anew")
                    );
                }
            }
        }
        for (i, line) in lines.enumerate() {
            let cell: Option<(usize, usize, f64)> = serde_json::from_str(line).ok();
            let fits = cell.filter(|&(candidate, row, score)| {
                candidate < header.candidates && row < header.rows && (0.0..=1.0).contains(&score)
            });
            let Some((candidate, row, score)) = fits else {
                return Err(journal.bad(i + 2, "this is no cell; remove the line"));
            };
            journal.cells.insert((candidate, row), score);
        }
        Ok(journal)
    }

    /// The score of a cell, if it is finished.
    pub(crate) fn get(&self, candidate: usize, row: usize) -> Option<f64> {
        self.cells.get(&(candidate, row)).copied()
    }

    /// How many cells are finished.
    pub(crate) fn len(&self) -> usize {
        self.cells.len()
    }

    /// Adds a finished cell, on disk before this returns.
    pub(crate) fn push(&mut self, candidate: usize, row: usize, score: f64) -> Result<(), Error> {
        self.write(&(candidate, row, score))?;
        self.cells.insert((candidate, row), score);
        Ok(())
    }

    /// Removes the file: the landscape is written.
    pub(crate) fn finish(self) -> Result<(), Error> {
        fs::remove_file(&self.path).map_err(Error::file("remove", &self.path))
    }

    fn write(&mut self, line: &impl Serialize) -> Result<(), Error> {
        let mut text = serde_json::to_string(line).map_err(|error| self.bad(0, &error.to_string()))?;
        text.push('\n');
        self.file.write_all(text.as_bytes()).map_err(Error::file("write", &self.path))
    }

    fn bad(&self, line: usize, problem: &str) -> Error {
        Error::Content { file: self.path.display().to_string(), problem: format!("line {line}: {problem}") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(fingerprint: &str) -> Header {
        Header { name: "x".into(), fingerprint: fingerprint.into(), candidates: 2, rows: 3 }
    }

    #[test]
    fn a_recording_that_was_killed_goes_on() {
        let folder = std::env::temp_dir().join(format!("teleprompt-journal-{}", std::process::id()));
        let file = folder.join("x.json");
        let mut journal = Journal::open(&file, &header("a")).unwrap();
        journal.push(0, 2, 0.1).unwrap();
        journal.push(1, 0, 1.0).unwrap();
        drop(journal);
        // Killed in the middle of a line.
        let path = file.with_extension("journal");
        OpenOptions::new().append(true).open(&path).unwrap().write_all(b"[1,1,0.").unwrap();

        let mut journal = Journal::open(&file, &header("a")).unwrap();
        assert_eq!((journal.len(), journal.get(0, 2), journal.get(1, 1)), (2, Some(0.1), None));
        journal.push(1, 1, 0.0).unwrap();
        drop(journal);
        assert_eq!(Journal::open(&file, &header("a")).unwrap().len(), 3);

        let error = Journal::open(&file, &header("b")).unwrap_err().to_string();
        assert!(error.contains("line 1") && error.contains("another recording"), "{error}");
        OpenOptions::new().append(true).open(&path).unwrap().write_all(b"[2,0,0.5]\n").unwrap();
        let error = Journal::open(&file, &header("a")).unwrap_err().to_string();
        assert!(error.contains("line 5: this is no cell"), "{error}");
        fs::remove_dir_all(&folder).unwrap();
    }
}
