//! JSON Lines: one JSON object a line, each a row.
//!
//! ```text
//!   bytes ─▶ lines (bounded) ─▶ row (fields with their columns) ─▶ check against a signature ─▶ Example
//! ```
//!
//! Files are UTF-8, with or without a byte order mark, with either line end; blank lines are skipped. The file is read line by
//! line, so no more than one line stands in memory beside the rows. All problems up to the tenth are reported at once.
//!
//! Four ways to load, by how much is known of the rows: [`load`] (nothing), [`load_examples`] (which fields are inputs),
//! [`examples_for`] (a signature), [`load_as`] (a Rust type). Limits other than the default: [`Reader::with_limits`].

mod check;
mod lines;
mod row;
mod write;

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use teleprompt_core::{Example, Fields, FromFields, SignatureSpec};

pub use write::{save, write};

use crate::error::{DataError, Problem, ProblemKind};
use lines::{Line, Lines};
use row::Row;

/// The rows of a file, in order.
///
/// # Errors
/// [`DataError`]: the file, or every line that is no JSON object.
pub fn load(path: impl AsRef<Path>) -> Result<Vec<Fields>, DataError> {
    Reader::open(path)?.fields()
}

/// The rows of a file with the fields in `inputs` as inputs and all others as labels.
///
/// Every field of `inputs` and `labels` must be in every row; values may be of any type. Inputs come in the order of
/// `inputs`, then labels in the order of `labels`, then further fields in the order of the row.
///
/// # Errors
/// [`DataError`]: the file, or every row that lacks a field.
///
/// ```
/// # let dir = tempfile::tempdir().unwrap();
/// # let path = dir.path().join("train.jsonl");
/// std::fs::write(&path, "{\"question\": \"2 + 2?\", \"answer\": 4, \"source\": \"page 7\"}\n").unwrap();
/// let rows = teleprompt_data::jsonl::load_examples(&path, &["question"], &["answer"]).unwrap();
/// assert_eq!(rows[0].inputs.text("question"), "2 + 2?");
/// assert_eq!(rows[0].labels.names().collect::<Vec<_>>(), ["answer", "source"]);
/// ```
pub fn load_examples(
    path: impl AsRef<Path>,
    inputs: &[&str],
    labels: &[&str],
) -> Result<Vec<Example>, DataError> {
    Reader::open(path)?.examples(inputs, labels)
}

/// The rows of a file as examples of a signature: its inputs as inputs, its outputs and further fields as labels.
///
/// Every field must be there and of its type, a label one of the closed set; an optional field that is not there is `null`.
/// Numbers are kept as the signature has them: `4` in a field of floats becomes `4.0`, as it is read from a model's answer.
///
/// A field that the signature lacks is kept as a further label, unless a field of the signature with a similar name is
/// missing: then it is taken for a misspelling, and is an error.
///
/// # Errors
/// [`DataError`]: the file, or every row that does not fit.
///
/// ```
/// use teleprompt_core::SignatureSpec;
/// use teleprompt_data::jsonl;
/// # let dir = tempfile::tempdir().unwrap();
/// # let path = dir.path().join("train.jsonl");
/// std::fs::write(&path, "{\"message\": \"paid twice\", \"team\": \"billing\"}\n").unwrap();
/// let spec = SignatureSpec::parse("message -> team: label[billing, delivery]").unwrap();
/// let rows = jsonl::examples_for(&path, &spec).unwrap();
/// assert_eq!(rows[0].labels.text("team"), "billing");
/// ```
pub fn examples_for(path: impl AsRef<Path>, spec: &SignatureSpec) -> Result<Vec<Example>, DataError> {
    Reader::open(path)?.examples_for(spec)
}

/// The rows of a file as values of a Rust type: the input, output or whole struct of a derived signature, or any type that is
/// read from fields. Fields that the type does not have are ignored.
///
/// # Errors
/// [`DataError`]: the file, or every row that does not fit; for each row the first misfit.
///
/// ```
/// use teleprompt_core::{Fields, FieldsError, FromFields};
/// use teleprompt_data::jsonl;
///
/// struct Sum { a: i64, b: i64 }
/// impl FromFields for Sum {
///     fn from_fields(fields: &Fields) -> Result<Self, FieldsError> {
///         Ok(Self { a: fields.typed("a")?, b: fields.typed("b")? })
///     }
/// }
/// # let dir = tempfile::tempdir().unwrap();
/// # let path = dir.path().join("sums.jsonl");
/// std::fs::write(&path, "{\"a\": 1, \"b\": 2}\n").unwrap();
/// let rows: Vec<Sum> = jsonl::load_as(&path).unwrap();
/// assert_eq!(rows[0].a + rows[0].b, 3);
/// ```
pub fn load_as<X: FromFields>(path: impl AsRef<Path>) -> Result<Vec<X>, DataError> {
    Reader::open(path)?.typed()
}

/// How much of a file is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Bytes in a line without its end; 1 MiB by default.
    pub line_bytes: usize,
    /// Rows; one million by default.
    pub rows: usize,
    /// Problems after which reading stops; 10 by default, at least 1.
    pub problems: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { line_bytes: 1 << 20, rows: 1_000_000, problems: 10 }
    }
}

impl Limits {
    /// The same limits with this many bytes in a line.
    #[must_use]
    pub fn with_line_bytes(mut self, bytes: usize) -> Self {
        self.line_bytes = bytes;
        self
    }

    /// The same limits with this many rows.
    #[must_use]
    pub fn with_rows(mut self, rows: usize) -> Self {
        self.rows = rows;
        self
    }

    /// The same limits, with reading stopped after this many problems; 0 counts as 1.
    #[must_use]
    pub fn with_problems(mut self, problems: usize) -> Self {
        self.problems = problems.max(1);
        self
    }
}

/// A source of rows: a file or anything else that is read, with a name for messages.
///
/// ```
/// use teleprompt_data::jsonl::{Limits, Reader};
/// let text = "{\"a\": 1}\n\n{\"a\": 2}\n";
/// let rows = Reader::new(text.as_bytes(), "inline").with_limits(Limits::default().with_rows(2)).fields().unwrap();
/// assert_eq!(rows[1].text("a"), "2");
/// ```
#[derive(Debug)]
#[must_use = "call `fields`, `examples`, `examples_for` or `typed`"]
pub struct Reader<R> {
    reader: R,
    path: PathBuf,
    limits: Limits,
}

impl Reader<BufReader<File>> {
    /// A reader of a file.
    ///
    /// # Errors
    /// [`DataError::Open`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self, DataError> {
        let path = path.as_ref().to_owned();
        match File::open(&path) {
            Ok(file) => Ok(Self::new(BufReader::new(file), path)),
            Err(source) => Err(DataError::Open { path, source }),
        }
    }
}

impl<R: BufRead> Reader<R> {
    /// A reader of anything; `path` stands in messages.
    pub fn new(reader: R, path: impl Into<PathBuf>) -> Self {
        Self { reader, path: path.into(), limits: Limits::default() }
    }

    /// The same reader with other limits.
    pub fn with_limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// As [`load`].
    ///
    /// # Errors
    /// As [`load`].
    pub fn fields(self) -> Result<Vec<Fields>, DataError> {
        self.collect(|row, _| Some(row.fields))
    }

    /// As [`load_examples`].
    ///
    /// # Errors
    /// As [`load_examples`].
    pub fn examples(self, inputs: &[&str], labels: &[&str]) -> Result<Vec<Example>, DataError> {
        self.collect(|row, problems| check::named(row, inputs, labels, problems))
    }

    /// As [`examples_for`].
    ///
    /// # Errors
    /// As [`examples_for`].
    pub fn examples_for(self, spec: &SignatureSpec) -> Result<Vec<Example>, DataError> {
        self.collect(|row, problems| check::signature(row, spec, problems))
    }

    /// As [`load_as`].
    ///
    /// # Errors
    /// As [`load_as`].
    pub fn typed<X: FromFields>(self) -> Result<Vec<X>, DataError> {
        self.collect(check::typed)
    }

    /// Reads to the end, or to the last problem allowed. `convert` turns a row into a value, or adds at least one problem.
    fn collect<T>(
        self,
        mut convert: impl FnMut(Row<'_>, &mut Vec<Problem>) -> Option<T>,
    ) -> Result<Vec<T>, DataError> {
        let Self { reader, path, limits } = self;
        let mut lines = Lines::new(reader, limits.line_bytes);
        let mut problems: Vec<Problem> = Vec::new();
        let mut values = Vec::new();
        let mut rows = 0;
        while problems.len() < limits.problems.max(1) {
            let (number, line) = match lines.next() {
                Ok(None) => break,
                Ok(Some(next)) => next,
                Err(source) => return Err(DataError::Read { path, line: lines.number(), source }),
            };
            let bytes = match line {
                Line::TooLong => {
                    let kind = ProblemKind::TooLong { limit: limits.line_bytes };
                    let column = limits.line_bytes as u64 + 1;
                    problems.push(Problem { line: number, column, kind });
                    continue;
                }
                Line::Blank => continue,
                Line::Bytes(bytes) => bytes,
            };
            rows += 1;
            if rows > limits.rows {
                return Err(DataError::TooManyRows { path, line: number, limit: limits.rows });
            }
            let text = match std::str::from_utf8(bytes) {
                Ok(text) => text,
                Err(error) => {
                    let at = error.valid_up_to();
                    let kind = ProblemKind::NotUtf8 { byte: bytes.get(at).copied().unwrap_or_default() };
                    problems.push(Problem { line: number, column: at as u64 + 1, kind });
                    continue;
                }
            };
            match row::read(number, text) {
                Ok(row) => values.extend(convert(row, &mut problems)),
                Err(problem) => problems.push(problem),
            }
        }
        let stopped = problems.len() >= limits.problems.max(1);
        problems.truncate(limits.problems.max(1));
        if !problems.is_empty() {
            return Err(DataError::Rows { path, problems, stopped });
        }
        if values.is_empty() {
            return Err(DataError::Empty { path });
        }
        Ok(values)
    }
}
