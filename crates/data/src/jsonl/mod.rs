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

mod lines;
mod row;
mod write;

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use teleprompt_core::{Example, Fields, FromFields, SignatureSpec};

pub use write::{save, write};

pub use crate::limits::Limits;

use crate::check;
use crate::error::{DataError, Problem, ProblemKind};
use crate::read::{self, Rows};
use crate::row::Row;
use lines::{Line, Lines};

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
        self.all(read::fields())
    }

    /// As [`load_examples`].
    ///
    /// # Errors
    /// As [`load_examples`].
    pub fn examples(self, inputs: &[&str], labels: &[&str]) -> Result<Vec<Example>, DataError> {
        self.all(read::named(inputs, labels))
    }

    /// As [`examples_for`].
    ///
    /// # Errors
    /// As [`examples_for`].
    pub fn examples_for(self, spec: &SignatureSpec) -> Result<Vec<Example>, DataError> {
        self.all(read::fitting(spec))
    }

    /// As [`load_as`].
    ///
    /// # Errors
    /// As [`load_as`].
    pub fn typed<X: FromFields>(self) -> Result<Vec<X>, DataError> {
        self.all(check::typed)
    }

    /// The rows one by one, as examples of a signature: for [`teleprompt_core::Evaluate::stream`]. No more than a line is in
    /// memory. The first row that does not fit is an error and the end.
    ///
    /// ```
    /// use teleprompt_core::SignatureSpec;
    /// use teleprompt_data::jsonl::Reader;
    /// let text = "{\"q\": \"2 + 2?\", \"a\": 4}\n{\"q\": \"2 + 3?\", \"a\": \"five\"}\n";
    /// let spec = SignatureSpec::parse("q -> a: int").unwrap();
    /// let mut rows = Reader::new(text.as_bytes(), "sums.jsonl").stream(&spec);
    /// assert_eq!(rows.next().unwrap().unwrap().labels.text("a"), "4");
    /// let error = rows.next().unwrap().unwrap_err().to_string();
    /// assert_eq!(error.lines().next(), Some("sums.jsonl:2:22: field `a`: expected integer, found \"five\""));
    /// assert!(rows.next().is_none());
    /// ```
    pub fn stream(self, spec: &SignatureSpec) -> impl Iterator<Item = Result<Example, DataError>> {
        let (rows, path, limits) = self.into_rows();
        read::each(rows, path, limits, read::fitting(spec))
    }

    fn all<T>(self, convert: impl read::Convert<T>) -> Result<Vec<T>, DataError> {
        let (rows, path, limits) = self.into_rows();
        read::all(rows, path, limits, convert)
    }

    fn into_rows(self) -> (Objects<R>, PathBuf, Limits) {
        let Self { reader, path, limits } = self;
        let lines = Lines::new(reader, limits.line_bytes);
        (Objects { lines, path: path.clone(), limit: limits.line_bytes }, path, limits)
    }
}

/// The objects of a file, one a line.
struct Objects<R> {
    lines: Lines<R>,
    path: PathBuf,
    limit: usize,
}

impl<R: BufRead> Rows for Objects<R> {
    fn next(&mut self) -> Result<Option<Result<Row<'_>, Problem>>, DataError> {
        let (number, line) = loop {
            match self.lines.next() {
                Ok(None) => return Ok(None),
                Ok(Some((_, Line::Blank))) => {}
                Ok(Some((number, Line::Bytes(line)))) => break (number, line),
                Ok(Some((number, Line::TooLong))) => {
                    let kind = ProblemKind::TooLong { limit: self.limit };
                    return Ok(Some(Err(Problem { line: number, column: self.limit as u64 + 1, kind })));
                }
                Err(source) => {
                    return Err(DataError::Read {
                        path: self.path.clone(),
                        line: self.lines.number(),
                        source,
                    });
                }
            }
        };
        let bytes = self.lines.bytes(line);
        Ok(Some(match std::str::from_utf8(bytes) {
            Ok(text) => row::read(number, text),
            Err(error) => Err(not_utf8(number, bytes, error.valid_up_to())),
        }))
    }

    fn line(&self) -> u64 {
        self.lines.number()
    }
}

/// The problem with a line that is no text.
fn not_utf8(line: u64, bytes: &[u8], at: usize) -> Problem {
    let kind = ProblemKind::NotUtf8 { byte: bytes.get(at).copied().unwrap_or_default() };
    Problem { line, column: at as u64 + 1, kind }
}
