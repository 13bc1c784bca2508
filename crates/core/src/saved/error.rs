//! What can be wrong with a program file.

use std::path::{Path, PathBuf};

use crate::signature::SignatureError;

/// Why a program file could not be written, read or used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SavedError {
    /// Something is wrong with this file.
    #[error("program file `{}`: {source}", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: Box<SavedError>,
    },
    /// The system refused.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// It is not JSON of an object.
    #[error("not a saved program: {0}")]
    Form(#[source] serde_json::Error),
    /// There is nothing of a program in it.
    #[error("not a saved program: neither a predictor nor `metadata` is in it")]
    NoPredictor,
    /// What stands under `metadata` is none.
    #[error("not a saved program: `metadata` is not an object")]
    Metadata,
    /// It has more bytes than a saved program has.
    #[error("more than {most} bytes, which no saved program has")]
    TooLarge {
        /// The most that are read.
        most: u64,
    },
    /// Lists and objects stand in each other too deep.
    #[error("lists and objects are nested deeper than {most}: shorten the values of its demos")]
    TooDeep {
        /// The deepest that is read.
        most: usize,
    },
    /// It holds more values than a saved program has.
    #[error("more than {most} values: leave out demos")]
    TooMany {
        /// The most that are read.
        most: usize,
    },
    /// It has more predictors than a program has.
    #[error("more than {most} predictors, which no program has")]
    TooManyPredictors {
        /// The most that are read.
        most: usize,
    },
    /// A predictor's name stands for something else in the file.
    #[error("a predictor named `metadata` cannot be saved: rename the field that holds it")]
    Reserved,
    /// It is of another program.
    #[error("the file has no predictor `{wanted}`; it has: {found}")]
    Predictors {
        /// What the program has.
        wanted: String,
        /// What the file has.
        found: String,
    },
    /// A predictor has another number of fields.
    #[error(
        "predictor `{predictor}` has {in_file} fields in the file ({file}), but {in_program} in the program ({program}): \
         fields match by position, inputs before outputs"
    )]
    Fields {
        /// The predictor's key.
        predictor: String,
        /// How many there are in the file.
        in_file: usize,
        /// Their prefixes.
        file: String,
        /// How many the program's signature has.
        in_program: usize,
        /// Their names.
        program: String,
    },
    /// A part of a predictor is of another form.
    #[error("predictor `{predictor}`: `{at}` is not {wanted}")]
    Malformed {
        /// The predictor's key.
        predictor: String,
        /// Which part.
        at: &'static str,
        /// What it has to be.
        wanted: &'static str,
    },
    /// The file alone does not say which fields a predictor has.
    #[error(
        "the file does not name the fields of predictor `{predictor}` ({fields}): give its signature, such as \
         `question -> answer: int`"
    )]
    NoSignature {
        /// The predictor's key.
        predictor: String,
        /// The prefixes of its fields.
        fields: String,
    },
    /// A signature that was given, or that the file has, cannot be.
    #[error("predictor `{predictor}`: {source}")]
    Signature {
        /// The predictor's key.
        predictor: String,
        /// What is wrong with it.
        source: SignatureError,
    },
}

impl SavedError {
    /// The same error, with the file that it is about.
    pub(super) fn of(self, path: &Path) -> Self {
        Self::File { path: path.to_owned(), source: Box::new(self) }
    }
}

/// Names for an error message, at most 20.
pub(super) fn listed<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let mut names = names.map(|name| crate::fields::shorten(name, 60));
    let mut shown: Vec<String> = names.by_ref().take(20).collect();
    if names.next().is_some() {
        shown.push("…".to_owned());
    }
    if shown.is_empty() { "none".to_owned() } else { shown.join(", ") }
}
