//! Parquet files, by the `parquet` crate's reader of records; nothing of Arrow is needed.
//!
//! Rows are read one after another, a page at a time. In messages a problem's line is the number of its row and its column that
//! of the table, both from 1. Texts, numbers, bools, lists and structs become JSON; dates, times and decimals become texts.
//! Bytes that are no text (images, audio) have no place in a field: leave their columns out with [`Reader::with_columns`].
//!
//! A file comes from anywhere, and a damaged one must not end the program: sizes are checked before anything is unpacked, and
//! a panic of the reader is an error of the file.

use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::reader::RowIter;
use parquet::record::{Field, List, Row as Record};
use teleprompt_core::{Example, Fields, FromFields, SignatureSpec, Value};

use crate::check;
use crate::error::{DataError, Problem, ProblemKind};
use crate::limits::Limits;
use crate::read::{self, Rows};
use crate::row::{Places, Row, shorten};

/// The rows of a file, in order.
///
/// # Errors
/// [`DataError`]: the file, or every row that cannot be read.
pub fn load(path: impl AsRef<Path>) -> Result<Vec<Fields>, DataError> {
    Reader::open(path)?.fields()
}

/// The rows of a file as examples of a signature; as [`crate::jsonl::examples_for`].
///
/// # Errors
/// [`DataError`]: the file, or every row that does not fit.
pub fn examples_for(path: impl AsRef<Path>, spec: &SignatureSpec) -> Result<Vec<Example>, DataError> {
    Reader::open(path)?.examples_for(spec)
}

/// A Parquet file that is open.
#[must_use = "call `fields`, `examples`, `examples_for`, `typed` or `stream`"]
pub struct Reader {
    reader: SerializedFileReader<File>,
    path: PathBuf,
    limits: Limits,
    columns: Option<Vec<String>>,
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reader")
            .field("path", &self.path)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

impl Reader {
    /// Opens a file and reads its description.
    ///
    /// # Errors
    /// [`DataError::Open`], [`DataError::Damaged`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self, DataError> {
        let path = path.as_ref().to_owned();
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(source) => return Err(DataError::Open { path, source }),
        };
        let reader = unwound(&path, || SerializedFileReader::new(file))?;
        let reader =
            reader.map_err(|error| DataError::Damaged { path: path.clone(), source: error.into() })?;
        Ok(Self { reader, path, limits: Limits::default(), columns: None })
    }

    /// The same reader with other limits.
    pub fn with_limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Only these columns; those that the file lacks are missing from its rows.
    pub fn with_columns(mut self, columns: &[&str]) -> Self {
        self.columns = Some(columns.iter().map(|name| (*name).to_owned()).collect());
        self
    }

    /// As [`load`].
    ///
    /// # Errors
    /// As [`load`].
    pub fn fields(self) -> Result<Vec<Fields>, DataError> {
        self.all(read::fields())
    }

    /// As [`crate::jsonl::load_examples`].
    ///
    /// # Errors
    /// [`DataError`]: the file, or every row that lacks a field.
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

    /// As [`crate::jsonl::load_as`].
    ///
    /// # Errors
    /// [`DataError`]: the file, or every row that does not fit.
    pub fn typed<X: FromFields>(self) -> Result<Vec<X>, DataError> {
        self.all(check::typed)
    }

    /// The rows one by one, as examples of a signature: for [`teleprompt_core::Evaluate::stream`]. The first row that does not
    /// fit is an error and the end.
    ///
    /// # Errors
    /// [`DataError::Damaged`], for the file as a whole.
    pub fn stream(
        self,
        spec: &SignatureSpec,
    ) -> Result<impl Iterator<Item = Result<Example, DataError>>, DataError> {
        let (rows, path, limits) = self.into_rows()?;
        Ok(read::each(rows, path, limits, read::fitting(spec)))
    }

    fn all<T>(self, convert: impl read::Convert<T>) -> Result<Vec<T>, DataError> {
        let (rows, path, limits) = self.into_rows()?;
        read::all(rows, path, limits, convert)
    }

    fn into_rows(self) -> Result<(Records, PathBuf, Limits), DataError> {
        let Self { reader, path, limits, columns } = self;
        for group in reader.metadata().row_groups() {
            let size = u64::try_from(group.total_byte_size()).unwrap_or(u64::MAX);
            if size > limits.group_bytes {
                let most = limits.group_bytes;
                let cause = format!("a row group of {size} bytes, more than {most} (`Limits::group_bytes`)");
                return Err(DataError::Damaged { path, source: cause.into() });
            }
        }
        let records = unwound(&path, || RowIter::from_file_into(Box::new(reader)))?;
        Ok((Records { records, columns, row: 0, path: path.clone() }, path, limits))
    }
}

/// The records of a file.
struct Records {
    records: RowIter<'static>,
    columns: Option<Vec<String>>,
    row: u64,
    path: PathBuf,
}

impl Rows for Records {
    fn next(&mut self) -> Result<Option<Result<Row<'_>, Problem>>, DataError> {
        let records = &mut self.records;
        let record = match unwound(&self.path, || records.next())? {
            None => return Ok(None),
            Some(Ok(record)) => record,
            Some(Err(error)) => {
                return Err(DataError::Damaged { path: self.path.clone(), source: error.into() });
            }
        };
        self.row += 1;
        Ok(Some(self.row_of(&record)))
    }

    fn line(&self) -> u64 {
        self.row
    }
}

impl Records {
    fn row_of(&self, record: &Record) -> Result<Row<'static>, Problem> {
        let mut fields = Fields::new();
        let wanted = |name: &String| self.columns.as_ref().is_none_or(|columns| columns.contains(name));
        for (index, (name, field)) in
            record.get_column_iter().enumerate().filter(|(_, (name, _))| wanted(name))
        {
            let problem = |kind| Problem { line: self.row, column: index as u64 + 1, kind };
            if fields.contains(name) {
                return Err(problem(ProblemKind::Twice { field: shorten(name) }));
            }
            let value = value(field).ok_or_else(|| {
                let name = shorten(name);
                let expected = format!(
                    "column `{name}` holds what no field can (bytes that are no text, or a number that is none); leave it out with \
                     `Reader::with_columns`"
                );
                problem(ProblemKind::Syntax { expected })
            })?;
            fields.insert(name.clone(), value);
        }
        Ok(Row { fields, places: Places::Table { row: self.row } })
    }
}

/// A value as JSON; nothing for what JSON does not have.
fn value(field: &Field) -> Option<Value> {
    let list = |list: &List| list.elements().iter().map(value).collect::<Option<Vec<_>>>().map(Value::Array);
    Some(match field {
        Field::Null => Value::Null,
        Field::Bool(yes) => Value::from(*yes),
        Field::Byte(n) => Value::from(*n),
        Field::Short(n) => Value::from(*n),
        Field::Int(n) => Value::from(*n),
        Field::Long(n) => Value::from(*n),
        Field::UByte(n) => Value::from(*n),
        Field::UShort(n) => Value::from(*n),
        Field::UInt(n) => Value::from(*n),
        Field::ULong(n) => Value::from(*n),
        // The shortest number that reads back as the same `f32`, not its digits as an `f64`.
        Field::Float(x) => number(x.to_string().parse().ok()?)?,
        Field::Double(x) => number(*x)?,
        Field::Str(text) => Value::from(text.as_str()),
        Field::Bytes(bytes) => Value::from(std::str::from_utf8(bytes.data()).ok()?),
        Field::Group(record) => {
            let entries = record.get_column_iter().map(|(name, field)| Some((name.clone(), value(field)?)));
            Value::Object(entries.collect::<Option<_>>()?)
        }
        Field::ListInternal(items) => list(items)?,
        Field::MapInternal(map) => {
            let entries = map.entries().iter().map(|(key, field)| {
                let key = match value(key)? {
                    Value::String(text) => text,
                    other => other.to_string(),
                };
                Some((key, value(field)?))
            });
            Value::Object(entries.collect::<Option<_>>()?)
        }
        // Dates, times, decimals, half floats: as the crate writes them.
        other => Value::from(other.to_string()),
    })
}

fn number(x: f64) -> Option<Value> {
    serde_json::Number::from_f64(x).map(Value::Number)
}

/// Runs a part of the reader; its panic is the file's error.
fn unwound<T>(path: &Path, read: impl FnOnce() -> T) -> Result<T, DataError> {
    catch_unwind(AssertUnwindSafe(read)).map_err(|_| DataError::Damaged {
        path: path.to_owned(),
        source: "its parts do not fit together".into(),
    })
}
