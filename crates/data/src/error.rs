//! What can be wrong with a data file.

use std::io;
use std::path::{Path, PathBuf};

use teleprompt_core::{Nearest, ValueError};

/// Why a data file could not be read or written. Messages begin with the file's path.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// The file could not be opened.
    #[error("{}: {}", .path.display(), open_cause(.source))]
    Open {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Reading stopped in the middle.
    #[error("{}:{line}: cannot be read: {source}", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The line that was being read, from 1.
        line: u64,
        /// What the system said.
        source: io::Error,
    },
    /// The file could not be written.
    #[error("{}: cannot be written: {source}", .path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file has no rows.
    #[error("{}: no rows; expected {}", .path.display(), expected(.path))]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// The file is not what its format says, or is damaged.
    #[error("{}: cannot be read: {source}", .path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What its reader said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// No reader knows files of this name.
    #[error("{}: no known format; the name must end in {known}", .path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// The endings that this build knows.
        known: &'static str,
    },
    /// The file has more rows than the limit allows.
    #[error("{}:{line}: more than {limit} rows, the most that are read (`Limits::rows`)", .path.display())]
    TooManyRows {
        /// The file.
        path: PathBuf,
        /// The line of the first row too many, from 1.
        line: u64,
        /// The limit.
        limit: usize,
    },
    /// Rows do not fit. The message has a line for each problem.
    #[error("{}", problem_list(.path, .problems, *.stopped))]
    Rows {
        /// The file.
        path: PathBuf,
        /// The problems, in the order of their lines; at least one.
        problems: Vec<Problem>,
        /// Whether reading stopped at the last of them because there were too many ([`crate::jsonl::Limits::problems`]).
        stopped: bool,
    },
}

impl DataError {
    /// The problems of single rows; empty for errors of the file as a whole.
    pub fn problems(&self) -> &[Problem] {
        match self {
            Self::Rows { problems, .. } => problems,
            _ => &[],
        }
    }
}

/// What stands in a file that has rows.
fn expected(path: &Path) -> &'static str {
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("csv" | "tsv") => "a header and one record on each line",
        Some("parquet") => "a table with rows",
        _ => "one JSON object on each line",
    }
}

fn open_cause(source: &io::Error) -> String {
    match source.kind() {
        io::ErrorKind::NotFound => "no such file".to_owned(),
        _ => format!("cannot be opened: {source}"),
    }
}

/// Something wrong at one place of a file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{line}:{column}: {kind}")]
pub struct Problem {
    /// The line, from 1.
    pub line: u64,
    /// The column, from 1: in characters, or in bytes where the line is not UTF-8.
    pub column: u64,
    /// What is wrong.
    pub kind: ProblemKind,
}

/// What is wrong with a row.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProblemKind {
    /// The line is not a JSON object.
    #[error("{expected}")]
    Syntax {
        /// What was expected and what was found.
        expected: String,
    },
    /// The line is not UTF-8.
    #[error("byte 0x{byte:02x} is not UTF-8; save the file as UTF-8")]
    NotUtf8 {
        /// The first byte that is not.
        byte: u8,
    },
    /// The line is longer than the limit.
    #[error("the line is longer than {limit} bytes (`Limits::line_bytes`)")]
    TooLong {
        /// The limit.
        limit: usize,
    },
    /// A field stands twice in a row.
    #[error("field `{field}` stands twice in this row")]
    Twice {
        /// The field.
        field: String,
    },
    /// A field that the signature lacks stands in the place of one that it has.
    #[error("field `{field}` is not in the signature{nearest}")]
    Unknown {
        /// The field.
        field: String,
        /// The field of the signature that is probably meant.
        nearest: Nearest,
    },
    /// A field is not there.
    #[error("field `{field}` is missing{nearest}")]
    Missing {
        /// The field.
        field: String,
        /// The nearest name in the row.
        nearest: Nearest,
    },
    /// A field's value is of another type.
    #[error("field `{field}`: {source}{nearest}")]
    Value {
        /// The field.
        field: String,
        /// What was expected and found.
        source: ValueError,
        /// The nearest label, where the field takes labels.
        nearest: Nearest,
    },
}

/// One line for each problem, each beginning with the path.
fn problem_list(path: &Path, problems: &[Problem], stopped: bool) -> String {
    let mut lines: Vec<String> =
        problems.iter().map(|problem| format!("{}:{problem}", path.display())).collect();
    if stopped {
        lines.push(format!("and perhaps more: reading stopped after {} problems", problems.len()));
    }
    lines.join("\n")
}
