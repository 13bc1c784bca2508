//! Checkpoints: one append-only file from which a killed run goes on as if nothing had happened.
//!
//! ```text
//!   {"teleprompt_checkpoint":2,"fingerprint":{..}}       what the run is of
//!   {"answer":{"key":"5f..","text":"..",..}}             every answer of a model, before it is used
//!   {"failed":{"key":"91..","kind":"timeout",..}}        every call that gave none
//!   {"stage":{..}}  {"trial":{..}}                       what came of it, to be compared with when the run is resumed
//!   {"ended":{"how":"complete"}}
//! ```
//!
//! A run is a function of its data, its configuration and its models' answers. So to go on is to begin again with the answers
//! that the file holds: they cost nothing, and what follows from them follows again. Answers are kept under a digest of the
//! role and the whole request; prompts, data and keys are not in the file.

mod fingerprint;
mod read;
mod record;
#[cfg(test)]
mod tests;

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

pub(crate) use fingerprint::Fingerprint;
pub(crate) use read::Known;
pub(crate) use record::{FailureKind, Outcome, Record};

use record::Header;

/// The version of the file's form; files of this version and of all before it are read.
const VERSION: u32 = 2;

/// Where a run keeps its checkpoint.
#[derive(Clone)]
pub(crate) struct Place {
    pub(crate) path: PathBuf,
    /// Whether what stands there may be replaced.
    pub(crate) overwrite: bool,
    /// What takes the lines, made from the opened file.
    pub(crate) sink: fn(File) -> Box<dyn Sink>,
}

impl Place {
    pub(crate) fn new(path: PathBuf, overwrite: bool) -> Self {
        Self { path, overwrite, sink: |file| Box::new(file) }
    }
}

/// Why a checkpoint cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// The system refused.
    #[error("checkpoint `{}`: {source}", .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// Another run writes to it.
    #[error("checkpoint `{}` is in use by another run: wait for its end, or give this run a file of its own", .path.display())]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// It is some other file.
    #[error(
        "`{}` is not a checkpoint of a run, and is left as it is: choose another path, or allow it to be replaced with \
         `checkpoint_overwrite(true)`", .path.display()
    )]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// It is of a later version of this crate.
    #[error("checkpoint `{}` has version {version} of the form, and this program reads up to {VERSION}: use a newer one", .path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        version: u32,
    },
    /// It is of another run.
    #[error(
        "checkpoint `{}` is of another run; changed: {}. Give this run a file of its own, or replace the old one with \
         `checkpoint_overwrite(true)`", .path.display(), .changed.join(", ")
    )]
    Changed {
        /// The file.
        path: PathBuf,
        /// What differs; at least one thing.
        changed: Vec<String>,
    },
    /// A line in its middle cannot be read.
    #[error(
        "checkpoint `{}`, line {line}, cannot be read: {problem}. Remove that line to ask for what it held again, or replace \
         the file with `checkpoint_overwrite(true)`", .path.display()
    )]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong with it.
        problem: String,
    },
    /// An answer could not be written.
    #[error(
        "checkpoint `{}` cannot be written: {problem}. What it holds is good: make room and run again to go on from there",
        .path.display()
    )]
    Write {
        /// The file.
        path: PathBuf,
        /// The system's error.
        problem: String,
    },
}

/// What takes the lines of a checkpoint.
pub(crate) trait Sink: Write + Send {
    /// Makes sure that what was written survives the machine.
    fn sync(&mut self) -> io::Result<()>;
}

impl Sink for File {
    fn sync(&mut self) -> io::Result<()> {
        self.sync_data()
    }
}

/// A checkpoint that is being written.
pub(crate) struct Journal {
    path: PathBuf,
    state: Mutex<State>,
}

struct State {
    sink: Box<dyn Sink>,
    /// The first error: after it the last line may be torn, so nothing is written any more.
    broken: Option<String>,
}

impl Journal {
    /// Opens the file, new or of an earlier process of the same run, and gives what it holds.
    ///
    /// # Errors
    /// [`CheckpointError`]; the file is then as it was.
    pub(crate) fn open(place: &Place, fingerprint: Fingerprint) -> Result<(Self, Known), CheckpointError> {
        let path = place.path.as_path();
        let io = |source| CheckpointError::Io { path: path.to_owned(), source };
        let mut file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path).map_err(io)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(CheckpointError::InUse { path: path.to_owned() }),
            // A file system without locks: nothing speaks against going on.
            Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => {}
            Err(TryLockError::Error(source)) => return Err(io(source)),
        }
        let known = if place.overwrite { None } else { read::read(path, &mut file, &fingerprint)? };
        // The end of the last good line: a torn one after it is dropped.
        let end = known.as_ref().map_or(0, |known| known.bytes);
        file.set_len(end).map_err(io)?;
        file.seek(SeekFrom::Start(end)).map_err(io)?;
        let journal = Self::new(path, (place.sink)(file));
        if known.is_none() {
            let header = Header { version: VERSION, fingerprint };
            journal.write(&header).and_then(|()| journal.sync())?;
        }
        Ok((journal, known.unwrap_or_default()))
    }

    fn new(path: &Path, sink: Box<dyn Sink>) -> Self {
        Self { path: path.to_owned(), state: Mutex::new(State { sink, broken: None }) }
    }

    /// Appends a record; it is with the system when this returns, and survives the end of this process.
    ///
    /// # Errors
    /// [`CheckpointError::Write`], then for every record after it too.
    pub(crate) fn append(&self, record: &Record) -> Result<(), CheckpointError> {
        self.write(record)
    }

    fn write(&self, line: &impl serde::Serialize) -> Result<(), CheckpointError> {
        self.with(|sink| {
            let mut text = serde_json::to_vec(line)?;
            text.push(b'\n');
            sink.write_all(&text).and_then(|()| sink.flush())
        })
    }

    /// Makes sure that what was appended survives the machine.
    ///
    /// # Errors
    /// As [`Journal::append`].
    pub(crate) fn sync(&self) -> Result<(), CheckpointError> {
        self.with(|sink| sink.sync())
    }

    fn with(&self, work: impl FnOnce(&mut dyn Sink) -> io::Result<()>) -> Result<(), CheckpointError> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.broken.is_none() {
            state.broken = work(state.sink.as_mut()).err().map(|error| error.to_string());
        }
        match state.broken.clone() {
            None => Ok(()),
            Some(problem) => Err(CheckpointError::Write { path: self.path.clone(), problem }),
        }
    }

    /// The error after which nothing is written any more.
    pub(crate) fn broken(&self) -> Option<CheckpointError> {
        let problem = self.state.lock().unwrap_or_else(PoisonError::into_inner).broken.clone()?;
        Some(CheckpointError::Write { path: self.path.clone(), problem })
    }
}
