//! One row: run, scored, and what came of it.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::context::Ctx;
use crate::error::Error;
use crate::example::Example;
use crate::lm::{LmError, LmErrorKind};
use crate::metric::{Metric, Score};
use crate::module::{Prediction, Program};
use crate::trace::Trace;

/// Runs a program on one row and scores it, keeping the trace.
///
/// # Errors
/// [`RowError`]: the row failed.
///
/// # Cost
/// One program run.
pub async fn run_row(
    program: &dyn Program,
    cx: &Ctx,
    example: &Example,
    metric: &dyn Metric,
) -> Result<RowScore, RowError> {
    run_row_with(program, cx, example, metric, &cx.judge(), false).await
}

/// As [`run_row`], showing the trace to the metric: how demos are bootstrapped.
///
/// # Errors
/// [`RowError`]: the row failed.
pub async fn run_row_traced(
    program: &dyn Program,
    cx: &Ctx,
    example: &Example,
    metric: &dyn Metric,
) -> Result<RowScore, RowError> {
    run_row_with(program, cx, example, metric, &cx.judge(), true).await
}

/// As [`run_row`], with the context that the metric gets.
pub(super) async fn run_row_with(
    program: &dyn Program,
    cx: &Ctx,
    example: &Example,
    metric: &dyn Metric,
    judge: &Ctx,
    show_trace: bool,
) -> Result<RowScore, RowError> {
    let run = cx.clone().recording();
    let prediction =
        program.forward(&run, example.inputs.clone()).await.map_err(|error| RowError::of(&error))?;
    let trace = run.into_trace();
    let score = metric.score(judge, example, &prediction, show_trace.then_some(&trace)).await;
    match score {
        Ok(score) => Ok(RowScore { score, prediction, trace }),
        Err(error) => Err(RowError {
            kind: RowErrorKind::Metric,
            message: error.to_string(),
            raw_answer: None,
            fatal: error.as_lm().filter(|error| error.is_fatal()).cloned(),
        }),
    }
}

/// The result of one row.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RowResult {
    /// The row's index among the examples.
    pub row: usize,
    /// What came of it.
    pub outcome: Result<RowScore, RowError>,
}

/// A row that was scored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RowScore {
    /// The score.
    pub score: Score,
    /// What the program gave.
    pub prediction: Prediction,
    /// The calls that led to it.
    #[serde(default)]
    pub trace: Trace,
}

/// A row that failed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct RowError {
    /// Whose failure it was.
    pub kind: RowErrorKind,
    /// What went wrong.
    pub message: String,
    /// The model's answer, where it could not be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub raw_answer: Option<String>,
    /// The model's error, when no further row can escape it.
    #[serde(skip)]
    pub fatal: Option<LmError>,
}

/// Whose failure a failed row is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RowErrorKind {
    /// The model gave no answer: the row says nothing about the program.
    Model,
    /// The answer could not be read: the row scores 0.
    Answer,
    /// The program failed: the row scores 0.
    Program,
    /// The metric failed: the row says nothing about the program.
    Metric,
}

impl RowErrorKind {
    /// Whether the row counts as scored 0.
    pub fn counts_as_zero(self) -> bool {
        matches!(self, Self::Answer | Self::Program)
    }
}

impl fmt::Display for RowErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Model => "model",
            Self::Answer => "answer",
            Self::Program => "program",
            Self::Metric => "metric",
        })
    }
}

impl RowError {
    fn of(error: &Error) -> Self {
        let kind = match error {
            // The candidate's instruction and demos made the prompt that long.
            Error::Lm(error) if matches!(error.kind, LmErrorKind::ContextOverflow { .. }) => {
                RowErrorKind::Program
            }
            Error::Lm(_) => RowErrorKind::Model,
            Error::Adapter { .. } => RowErrorKind::Answer,
            _ => RowErrorKind::Program,
        };
        Self {
            kind,
            message: error.to_string(),
            raw_answer: error.raw_answer().map(str::to_owned),
            fatal: error.as_lm().filter(|error| error.is_fatal()).cloned(),
        }
    }
}

impl RowResult {
    /// The same result without its trace.
    #[must_use]
    pub fn without_trace(&self) -> Self {
        let outcome = match &self.outcome {
            Ok(scored) => Ok(RowScore {
                score: scored.score,
                prediction: scored.prediction.clone(),
                trace: Trace::default(),
            }),
            Err(error) => Err(error.clone()),
        };
        Self { row: self.row, outcome }
    }

    /// The score as it counts in a mean: 0 for a failure of the program, `None` for one of the model or the metric.
    pub fn score(&self) -> Option<f64> {
        match &self.outcome {
            Ok(scored) => Some(scored.score.value()),
            Err(error) => error.kind.counts_as_zero().then_some(0.0),
        }
    }
}
