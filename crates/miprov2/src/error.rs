//! What can keep a run from beginning, or from having any result.
//!
//! A run that has evaluated its baseline, and could read an answer, always has a result: what ends it after that is in the
//! report.

use std::fmt;

use teleprompt_core::{BindError, EvaluateError, LmError, PredictorName};
use teleprompt_propose::ProposeError;
use teleprompt_tpe::Error as TpeError;

use crate::checkpoint::CheckpointError;

/// An error of an optimization that has no result.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OptimizeError {
    /// A data set is empty.
    #[error("the {which} set is empty: the optimizer needs rows to learn from and rows to judge by")]
    NoRows {
        /// `training` or `validation`.
        which: &'static str,
    },
    /// There is nothing to optimize.
    #[error("the program has no predictor to optimize: every one is frozen, or #[derive(Module)] skips it")]
    NoPredictors,
    /// A candidate does not fit the program.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The teacher has other predictors than the student.
    #[error("the teacher's program has no predictor `{name}`, which the student has")]
    Teacher {
        /// The student's predictor.
        name: PredictorName,
    },
    /// The baseline could not be evaluated.
    #[error("the program could not be evaluated as it is: {0}")]
    Baseline(#[source] EvaluateError),
    /// Not one answer could be read.
    #[error(
        "not one of {rows} answers of the program as it is could be read. The first: {first}. Try another adapter \
         (PlainAdapter, ChatAdapter) or another model"
    )]
    NothingReadable {
        /// How many rows were tried.
        rows: usize,
        /// The first row's error.
        first: String,
    },
    /// The program failed wherever it was run.
    #[error(
        "the program failed on each of {rows} validation rows, and on every training row that was tried. The first: {first}. Look \
         at the program, and at whether the rows have the fields that it reads"
    )]
    NothingRan {
        /// How many validation rows were tried.
        rows: usize,
        /// The first row's error.
        first: String,
    },
    /// A predictor's name stands for something else in a saved program.
    #[error("a predictor named `{name}` cannot be saved: rename the field that holds it")]
    Reserved {
        /// The name.
        name: &'static str,
    },
    /// The adaptive search cannot begin or go on.
    #[error("the adaptive search: {0}")]
    Adaptive(#[from] crate::search::adaptive::AdaptiveError),
    /// No demos could be made, and the run cannot go on.
    #[error("demos could not be bootstrapped: {0}")]
    Bootstrap(#[source] LmError),
    /// The model or the metric failed on too many rows while demos were bootstrapped.
    #[error(
        "demos could not be bootstrapped: more than {limit} rows failed, as many as are allowed (max_errors); \
         the first: {first}"
    )]
    BootstrapRows {
        /// How many are allowed.
        limit: usize,
        /// The first row's error.
        first: String,
    },
    /// The checkpoint cannot be used, or could not be written before there was a result.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The proposer failed.
    #[error(transparent)]
    Propose(#[from] ProposeError),
    /// The sampler failed.
    #[error("the search failed: {0}")]
    Search(#[from] TpeError),
    /// The run was told to stop. [`crate::MiproV2::compile`] turns it into a result: the best program so far.
    #[error("stopped{}{reason}", if .reason.is_empty() { "" } else { ": " })]
    Stopped {
        /// Which cap was reached; empty for the stop signal.
        reason: String,
    },
}

/// Everything that is wrong with a configuration.
#[derive(Clone, Debug, PartialEq)]
pub struct ConfigError {
    problems: Vec<ConfigProblem>,
}

impl ConfigError {
    pub(crate) fn new(problems: Vec<ConfigProblem>) -> Self {
        Self { problems }
    }

    /// The problems; at least one.
    pub fn problems(&self) -> &[ConfigProblem] {
        &self.problems
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<String> = self.problems.iter().map(ToString::to_string).collect();
        write!(f, "the configuration cannot be used: {}", lines.join("; "))
    }
}

impl std::error::Error for ConfigError {}

/// One thing that is wrong with a configuration.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigProblem {
    /// No task LM.
    #[error("`task_lm` is missing: give the model that runs the program")]
    NoTaskLm,
    /// `auto` and a manual budget.
    #[error("`auto` excludes `num_candidates` and `num_trials`: set either the one or the others")]
    TwoBudgets,
    /// Half of a manual budget.
    #[error("`num_candidates` and `num_trials` go together: set both, or `auto`")]
    HalfABudget,
    /// A count of 0.
    #[error("`{name}` must be at least 1")]
    Zero {
        /// Which setting.
        name: &'static str,
    },
    /// A cap in USD, and no price.
    #[error(
        "a cap in USD needs the price of `{model}`: give it with `price(\"{model}\", TokenPrice::new(..))`, or cap calls or tokens \
         instead"
    )]
    UnknownPrice {
        /// The model.
        model: String,
    },
    /// A price that is none.
    #[error("the price of `{model}` is negative or not a number")]
    BadPrice {
        /// The model.
        model: String,
    },
    /// A setting of the reference's search beside the adaptive one, which would pass it over.
    #[error(
        "`{name}` is a setting of the reference's search, and the adaptive one was asked for: leave one of them out"
    )]
    OfReference {
        /// Which setting.
        name: &'static str,
    },
    /// A number outside of its range.
    #[error("`{name}` is {value}: it must be between 0 and {most}")]
    OutOfRange {
        /// Which setting.
        name: &'static str,
        /// Its value.
        value: f64,
        /// The most it may be.
        most: f64,
    },
}
