//! Why a task could not be carried out. A check that fails is no error but a result.

use std::io;
use std::path::PathBuf;

/// An error of a task, with a message for the one who ran it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum Error {
    /// A file could not be read or written.
    #[error("cannot {action} `{}`: {source}", .path.display())]
    File {
        /// `read`, `write`, ...
        action: &'static str,
        /// The file.
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// A program could not be started, or not be talked to.
    #[error("cannot run `{command}`: {source}")]
    Start {
        /// The whole command line.
        command: String,
        #[source]
        source: io::Error,
    },
    /// A program ended with a failure.
    #[error("`{command}` failed ({status})")]
    Command {
        /// The whole command line.
        command: String,
        /// How it ended.
        status: std::process::ExitStatus,
    },
    /// A file does not hold what it should.
    #[error("`{file}`: {problem}")]
    Content {
        /// The file, relative to the root.
        file: String,
        /// What is wrong, with a remedy.
        problem: String,
    },
    /// An argument has no meaning.
    #[error("{0}")]
    Usage(String),
    /// A figure could not be measured.
    #[error("{subject}: {problem}")]
    Measurement {
        /// What was measured, or with what.
        subject: String,
        /// What went wrong.
        problem: String,
    },
}

impl Error {
    /// Wraps an IO error of a file; for `map_err`.
    pub(crate) fn file(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { action, path, source }
    }
}
