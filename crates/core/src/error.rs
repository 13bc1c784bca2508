//! What can end one run of a program.

use crate::adapter::AdapterError;
use crate::candidate::PredictorName;
use crate::fields::{FieldsError, Nearest};
use crate::lm::LmError;

/// An error of one run of a program: of its model, its answer's form, its fields, or the user's own code.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The model gave no answer.
    #[error(transparent)]
    Lm(#[from] LmError),
    /// A prompt could not be rendered, or an answer not be read.
    #[error("predictor `{predictor}`: {source}")]
    Adapter {
        /// Whose prompt or answer.
        predictor: PredictorName,
        /// What is wrong.
        source: AdapterError,
    },
    /// Fields do not fit.
    #[error(transparent)]
    Fields(#[from] FieldsError),
    /// A predictor was called that the program does not list.
    #[error(
        "predictor `{signature}` is not part of the program being optimized: hold it in a field that \
         #[derive(Module)] visits, or give it a context of its own"
    )]
    Unlisted {
        /// The predictor's signature.
        signature: String,
    },
    /// An error of the user's own code.
    #[error(transparent)]
    User(Box<dyn std::error::Error + Send + Sync>),
}

impl Error {
    /// Wraps an error of the user's own code.
    pub fn user(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::User(error.into())
    }

    /// The model's error, where it is one.
    pub fn as_lm(&self) -> Option<&LmError> {
        match self {
            Self::Lm(error) => Some(error),
            _ => None,
        }
    }

    /// The raw answer that could not be read, where that is the error.
    pub fn raw_answer(&self) -> Option<&str> {
        match self {
            Self::Adapter { source, .. } => source.raw_answer(),
            _ => None,
        }
    }
}

/// A candidate that does not fit a program.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BindError {
    /// The candidate names a predictor that the program lacks.
    #[error("the program has no predictor `{name}`{nearest}")]
    UnknownPredictor {
        /// The name.
        name: PredictorName,
        /// The nearest name that the program has.
        nearest: Nearest,
    },
    /// Two predictors have one name.
    #[error("two predictors of the program are named `{name}`")]
    SameName {
        /// The name.
        name: PredictorName,
    },
}
