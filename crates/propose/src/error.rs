//! What can end a proposal, and what a configuration cannot be.

use teleprompt_core::{LmError, Nearest, PredictorName};

use crate::proposals::Proposals;

/// Why a proposer gave no instructions.
///
/// A single failed call does not end a proposal: it is a warning in [`Proposals::warnings`]. What ends it is an error after
/// which no call can succeed, or a request that does not fit the program.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProposeError {
    /// The request names a predictor that the program lacks.
    #[error("cannot propose for predictor `{name}`: the program has no such predictor{nearest}")]
    UnknownPredictor {
        /// The name.
        name: PredictorName,
        /// The nearest name that the program has.
        nearest: Nearest,
    },
    /// The prompt model answers nothing until someone acts, or the run was told to stop.
    #[error("instructions cannot be proposed: {source}")]
    Lm {
        /// The model's error; [`LmError::is_fatal`] holds.
        source: LmError,
        /// What there was before it: for every predictor of the request at least the original instruction.
        partial: Box<Proposals>,
    },
    /// An error of a user's own proposer.
    #[error(transparent)]
    User(Box<dyn std::error::Error + Send + Sync>),
}

impl ProposeError {
    /// Wraps an error of a user's own proposer.
    pub fn user(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::User(error.into())
    }

    /// The model's error, where it is one.
    pub fn as_lm(&self) -> Option<&LmError> {
        match self {
            Self::Lm { source, .. } => Some(source),
            _ => None,
        }
    }

    /// Whether the run was told to stop: not a failure of the model.
    pub fn is_stopped(&self) -> bool {
        self.as_lm().is_some_and(LmError::is_stopped)
    }

    /// What there was before the error: work that is paid for and can still be used.
    pub fn into_partial(self) -> Option<Proposals> {
        match self {
            Self::Lm { partial, .. } => Some(*partial),
            _ => None,
        }
    }
}

/// A configuration that has no meaning; lists every problem at once.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the proposer cannot be built: {}", join(.problems))]
pub struct ConfigError {
    /// The problems, in the order of the settings; at least one.
    pub problems: Vec<ConfigProblem>,
}

fn join(problems: &[ConfigProblem]) -> String {
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

/// One problem of a configuration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigProblem {
    /// A setting that counts something is zero.
    #[error("`{setting}` is 0: set it to 1 or more{remedy}")]
    Zero {
        /// The setting.
        setting: &'static str,
        /// What to do instead, where 0 was meant to switch something off; may be empty.
        remedy: &'static str,
    },
    /// Two tips have one key.
    #[error("two tips have the key `{key}`: rename one, or remove the first with `TipLibrary::without`")]
    SameTip {
        /// The key.
        key: String,
    },
    /// A weight is no weight.
    #[error("tip `{key}` has the weight {weight}: give it a finite weight above 0, or remove the tip")]
    Weight {
        /// The tip's key.
        key: String,
        /// The weight, as text.
        weight: String,
    },
    /// A grounding's heading cannot be a field of the prompt.
    #[error("a grounding's heading cannot stand in the prompt: {problem}")]
    Heading {
        /// What is wrong with it.
        problem: String,
    },
}
