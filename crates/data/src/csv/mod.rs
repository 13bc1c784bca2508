//! Comma-separated values: a header with the fields' names, then one record a row.
//!
//! Files are UTF-8, with or without a byte order mark, with either line end; blank lines are skipped. Cells may stand in
//! quotes, and then hold commas and line ends. A problem's line is the line of the file, also where cells hold line ends.
//!
//! A cell is a text. Only where a signature says of what type a field is ([`examples_for`]), it is read as that type: numbers,
//! `true` and `yes`, lists as JSON, an empty cell as nothing where the field is optional. Other delimiters:
//! [`Reader::with_delimiter`].

mod records;
mod write;

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use teleprompt_core::{Example, FieldType, Fields, SignatureSpec, Value, value};

pub use write::{save, write};

use crate::check;
use crate::error::{DataError, Problem, ProblemKind};
use crate::limits::Limits;
use crate::read::{self, Rows};
use crate::row::{Places, Row, shorten};
use records::{Cell, Records};

/// The rows of a file, in order; all values are texts.
///
/// # Errors
/// [`DataError`]: the file, or every record that is none or has not as many cells as the header.
pub fn load(path: impl AsRef<Path>) -> Result<Vec<Fields>, DataError> {
    Reader::open(path)?.fields()
}

/// The rows of a file with the fields in `inputs` as inputs and all others as labels; as [`crate::jsonl::load_examples`], all
/// values texts.
///
/// # Errors
/// [`DataError`]: the file, or a field that the header lacks.
pub fn load_examples(
    path: impl AsRef<Path>,
    inputs: &[&str],
    labels: &[&str],
) -> Result<Vec<Example>, DataError> {
    Reader::open(path)?.examples(inputs, labels)
}

/// The rows of a file as examples of a signature; as [`crate::jsonl::examples_for`], cells read as the fields' types.
///
/// # Errors
/// [`DataError`]: the file, or every row that does not fit.
///
/// ```
/// use teleprompt_core::SignatureSpec;
/// use teleprompt_data::csv;
/// # let dir = tempfile::tempdir().unwrap();
/// # let path = dir.path().join("train.csv");
/// std::fs::write(&path, "message,parcels,urgent\n\"where, please?\",2,no\nhurry!,two,yes\n").unwrap();
/// let spec = SignatureSpec::parse("message -> parcels: int, urgent: bool").unwrap();
/// let error = csv::examples_for(&path, &spec).unwrap_err().to_string();
/// assert!(error.ends_with("train.csv:3:8: field `parcels`: expected integer, found \"two\""));
/// ```
pub fn examples_for(path: impl AsRef<Path>, spec: &SignatureSpec) -> Result<Vec<Example>, DataError> {
    Reader::open(path)?.examples_for(spec)
}

/// A source of records: a file or anything else that is read, with a name for messages.
///
/// ```
/// let text = "question\tanswer\n2 + 2?\t4\n";
/// let rows = teleprompt_data::csv::Reader::new(text.as_bytes(), "inline").with_delimiter(b'\t').fields().unwrap();
/// assert_eq!(rows[0].text("answer"), "4");
/// ```
#[derive(Debug)]
#[must_use = "call `fields`, `examples`, `examples_for` or `stream`"]
pub struct Reader<R> {
    reader: R,
    path: PathBuf,
    delimiter: u8,
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
        Self { reader, path: path.into(), delimiter: b',', limits: Limits::default() }
    }

    /// The same reader with other limits.
    pub fn with_limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// The same reader with this byte between cells instead of a comma: `b'\t'`, `b';'`. A quote or a line end is no delimiter
    /// and changes nothing.
    pub fn with_delimiter(mut self, delimiter: u8) -> Self {
        if !matches!(delimiter, b'"' | b'\n' | b'\r') {
            self.delimiter = delimiter;
        }
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
        self.all(fitting(spec))
    }

    /// The rows one by one, as examples of a signature: for [`teleprompt_core::Evaluate::stream`]. No more than a record is in
    /// memory. The first row that does not fit is an error and the end.
    pub fn stream(self, spec: &SignatureSpec) -> impl Iterator<Item = Result<Example, DataError>> {
        let (rows, path, limits) = self.into_rows();
        read::each(rows, path, limits, fitting(spec))
    }

    fn all<T>(self, convert: impl read::Convert<T>) -> Result<Vec<T>, DataError> {
        let (rows, path, limits) = self.into_rows();
        read::all(rows, path, limits, convert)
    }

    fn into_rows(self) -> (Cells<R>, PathBuf, Limits) {
        let Self { reader, path, delimiter, limits } = self;
        let records = Records::new(reader, delimiter, limits.line_bytes);
        (Cells { records, header: None, path: path.clone() }, path, limits)
    }
}

/// Cells read as the types of a signature's fields, then checked against it.
fn fitting(spec: &SignatureSpec) -> impl read::Convert<Example> + '_ {
    move |mut row: Row<'_>, problems: &mut Vec<Problem>| {
        for field in spec.fields() {
            if let Some(Value::String(text)) = row.fields.get(&field.name) {
                let typed = typed(&field.ty, text);
                row.fields.insert(field.name.clone(), typed);
            }
        }
        check::signature(row, spec, problems)
    }
}

/// A cell as a type; where it is none, the text, of which the check then says so.
fn typed(ty: &FieldType, text: &str) -> Value {
    match ty {
        FieldType::Text | FieldType::Label(_) => Value::from(text),
        FieldType::Optional(_) if text.is_empty() => Value::Null,
        FieldType::Optional(inner) => typed(inner, text),
        other => value::parse_value(other, text).unwrap_or_else(|_| Value::from(text)),
    }
}

/// The records of a file as rows under its header.
struct Cells<R> {
    records: Records<R>,
    header: Option<Vec<String>>,
    path: PathBuf,
}

impl<R: BufRead> Cells<R> {
    fn record(&mut self) -> Result<Option<Result<Vec<Cell>, Problem>>, DataError> {
        let line = self.records.line();
        self.records.next().map_err(|source| DataError::Read { path: self.path.clone(), line, source })
    }

    /// The header: names that are there and differ. A file without a usable one has no rows that could be named.
    fn header(&mut self) -> Result<Option<Vec<String>>, DataError> {
        if let Some(header) = &self.header {
            return Ok(Some(header.clone()));
        }
        let path = self.path.clone();
        let fatal = |problem| DataError::Rows { path, problems: vec![problem], stopped: true };
        let cells = match self.record()? {
            None => return Ok(None),
            Some(Err(problem)) => return Err(fatal(problem)),
            Some(Ok(cells)) => cells,
        };
        for (i, cell) in cells.iter().enumerate() {
            let kind = if cell.text.trim().is_empty() {
                ProblemKind::Syntax {
                    expected: "expected the name of a field in the header, found nothing".into(),
                }
            } else if cells.iter().take(i).any(|other| other.text == cell.text) {
                ProblemKind::Twice { field: shorten(&cell.text) }
            } else {
                continue;
            };
            return Err(fatal(Problem { line: cell.place.0, column: cell.place.1, kind }));
        }
        let header: Vec<String> = cells.into_iter().map(|cell| cell.text).collect();
        self.header = Some(header.clone());
        Ok(Some(header))
    }
}

impl<R: BufRead> Rows for Cells<R> {
    fn next(&mut self) -> Result<Option<Result<Row<'_>, Problem>>, DataError> {
        let Some(header) = self.header()? else { return Ok(None) };
        let cells = match self.record()? {
            None => return Ok(None),
            Some(Err(problem)) => return Ok(Some(Err(problem))),
            Some(Ok(cells)) => cells,
        };
        let first = cells.first().map_or((self.records.line(), 1), |cell| cell.place);
        if cells.len() != header.len() {
            let (expected, found) = (header.len(), cells.len());
            // The first cell too many, or the last that is there.
            let (line, column) = cells.get(expected).or(cells.last()).map_or(first, |cell| cell.place);
            let expected = format!("expected {expected} cells, as many as the header has, found {found}");
            let kind = ProblemKind::Syntax { expected };
            return Ok(Some(Err(Problem { line, column, kind })));
        }
        let places = cells.iter().map(|cell| cell.place).collect();
        let fields = header.into_iter().zip(cells).map(|(name, cell)| (name, cell.text)).collect();
        Ok(Some(Ok(Row { fields, places: Places::Cells { row: first, fields: places } })))
    }

    fn line(&self) -> u64 {
        self.records.line()
    }
}
