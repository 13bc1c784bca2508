//! Data sets for teleprompt: rows from files, with every mistake named by file, line and column.
//!
//! ```text
//!   file ─▶ jsonl::examples_for(path, &spec) ─▶ Vec<Example> ─▶ split(rows, 0.2, seed)
//! ```
//!
//! [`jsonl`] reads and writes one JSON object a line. Each further format (CSV, Parquet, data sets of the Hugging Face hub)
//! will be a module beside it behind a feature of its own, with the same four ways of loading and the same [`DataError`].
//!
//! **Absent on purpose:** the network, and any guess at what a faulty row may have meant: a row that does not fit is an error.
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

mod error;
pub mod jsonl;

pub use error::{DataError, Problem, ProblemKind};
/// Divides rows into two parts by a seeded, stratified shuffle.
pub use teleprompt_core::split;
