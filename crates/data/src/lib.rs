//! Data sets for teleprompt: rows from files, with every mistake named by file, line and column.
//!
//! ```text
//!   hub (feature) ─▶ file ─┬─▶ jsonl    one JSON object a line
//!                          ├─▶ csv      a header, one record a row        ─▶ Vec<Example> ─▶ split(rows, 0.2, seed)
//!                          └─▶ parquet  (feature)                            or a stream of them
//! ```
//!
//! Every format has the same ways of loading and the same [`DataError`]: `load` (nothing is known of the rows), `load_examples`
//! (which fields are inputs), `examples_for` (a signature); and `Reader::stream`, which reads row by row for
//! [`teleprompt_core::Evaluate::stream`]. [`examples_for`] chooses the format by the file's name.
//!
//! **Absent on purpose:** the network outside of the feature `hub`, and any guess at what a faulty row may have meant: a row that does not fit is an error.
//!
//! ```
//! use teleprompt_core::SignatureSpec;
//! use teleprompt_data::jsonl::Reader;
//!
//! let spec = SignatureSpec::parse("message -> team: label[billing, delivery]").unwrap();
//! let file = "{\"message\": \"paid twice\", \"team\": \"biling\"}\n{\"massage\": \"where is it?\", \"team\": \"delivery\"}\n";
//! let error = Reader::new(file.as_bytes(), "train.jsonl").examples_for(&spec).unwrap_err();
//! assert_eq!(
//!     error.to_string(),
//!     "train.jsonl:1:35: field `team`: expected one of billing, delivery, found \"biling\"; did you mean `billing`?\n\
//!      train.jsonl:2:2: field `massage` is not in the signature; did you mean `message`?"
//! );
//! ```

mod check;
pub mod csv;
mod error;
mod file;
#[cfg(feature = "hub")]
pub mod hub;
pub mod jsonl;
mod limits;
#[cfg(feature = "parquet")]
pub mod parquet;
mod read;
mod row;

pub use error::{DataError, Problem, ProblemKind};
pub use limits::Limits;
/// Divides rows into two parts by a seeded, stratified shuffle.
pub use teleprompt_core::split;

use std::path::Path;

use teleprompt_core::{Example, SignatureSpec};

/// The file names that [`examples_for`] knows.
#[cfg(feature = "parquet")]
const KNOWN: &str = "`.jsonl`, `.ndjson`, `.csv`, `.tsv` or `.parquet`";
#[cfg(not(feature = "parquet"))]
const KNOWN: &str = "`.jsonl`, `.ndjson`, `.csv` or `.tsv` (`.parquet` with the feature `parquet`)";

/// The rows of a file as examples of a signature, in the format that the file's name ends in.
///
/// # Errors
/// [`DataError`]: a name of no known format, the file, or every row that does not fit.
///
/// ```
/// use teleprompt_core::SignatureSpec;
/// let spec = SignatureSpec::parse("question -> answer").unwrap();
/// let error = teleprompt_data::examples_for("rows.xlsx", &spec).unwrap_err().to_string();
/// assert!(error.starts_with("rows.xlsx: no known format; the name must end in `.jsonl`"));
/// ```
pub fn examples_for(path: impl AsRef<Path>, spec: &SignatureSpec) -> Result<Vec<Example>, DataError> {
    let path = path.as_ref();
    let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    match extension.to_ascii_lowercase().as_str() {
        "jsonl" | "ndjson" => jsonl::examples_for(path, spec),
        "csv" => csv::examples_for(path, spec),
        "tsv" => csv::Reader::open(path)?.with_delimiter(b'\t').examples_for(spec),
        #[cfg(feature = "parquet")]
        "parquet" => parquet::examples_for(path, spec),
        _ => Err(DataError::Format { path: path.to_owned(), known: KNOWN }),
    }
}
