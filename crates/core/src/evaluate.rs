//! Evaluation: a program on many rows, concurrently, with every row's result kept.
//!
//! A failed row is data, not an error: [`RowError`] says what kind of failure it was and keeps the raw answer. What fails by
//! the program's doing (an answer that cannot be read, the program's own error) scores 0; what fails by the model's or the
//! metric's doing is left out of the mean. Results are in row order, whatever the order in which rows finish.

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use serde::{Deserialize, Serialize};

use crate::context::Ctx;
use crate::error::{BindError, Error};
use crate::example::Example;
use crate::lm::{LmError, LmErrorKind};
use crate::metric::{Metric, Score};
use crate::module::{Prediction, Program};
use crate::trace::Trace;

/// An evaluation to be run: rows, metric, concurrency.
#[derive(Clone, Copy)]
#[must_use = "call `run`"]
pub struct Evaluate<'a> {
    examples: &'a [Example],
    metric: &'a dyn Metric,
    rows: Option<&'a [usize]>,
    concurrency: usize,
    max_errors: usize,
    on_row: Option<&'a (dyn Fn(&RowResult) + Sync)>,
}

impl<'a> Evaluate<'a> {
    /// An evaluation on all of `examples`, 8 rows at a time, ended by the 11th row that the model or the metric failed.
    pub fn new(examples: &'a [Example], metric: &'a dyn Metric) -> Self {
        Self { examples, metric, rows: None, concurrency: 8, max_errors: 10, on_row: None }
    }

    /// Only these rows, by index; an index beyond the examples is left out.
    pub fn rows(mut self, rows: &'a [usize]) -> Self {
        self.rows = Some(rows);
        self
    }

    /// How many rows are in flight at once; at least 1.
    pub fn concurrency(mut self, rows: usize) -> Self {
        self.concurrency = rows.max(1);
        self
    }

    /// How many rows may fail by the model's or the metric's doing. Rows whose answer cannot be read, or that the program
    /// itself failed, are results of score 0 and never end an evaluation.
    pub fn max_errors(mut self, rows: usize) -> Self {
        self.max_errors = rows;
        self
    }

    /// Calls `on_row` as each row ends, in the order in which they end.
    pub fn on_row(mut self, on_row: &'a (dyn Fn(&RowResult) + Sync)) -> Self {
        self.on_row = Some(on_row);
        self
    }

    /// Runs the program on every row.
    ///
    /// # Errors
    /// [`EvaluateError`]: more failed rows than allowed, or an error that no further row can escape (a refused key, an
    /// unknown model, a run told to stop). No further row is then begun; rows in flight are waited for.
    ///
    /// # Cost
    /// One program run for each row, and what the metric itself asks.
    ///
    /// # Determinism
    /// The result does not depend on the concurrency.
    pub async fn run(&self, program: &dyn Program, cx: &Ctx) -> Result<Evaluation, EvaluateError> {
        let all: Vec<usize>;
        let rows = match self.rows {
            Some(rows) => rows,
            None => {
                all = (0..self.examples.len()).collect();
                &all
            }
        };
        let known = rows.iter().filter_map(|&row| Some((row, self.examples.get(row)?)));
        let mut waiting = known.map(|(row, example)| async move {
            RowResult { row, outcome: run_row(program, cx, example, self.metric).await }
        });
        let mut running: FuturesUnordered<_> = waiting.by_ref().take(self.concurrency).collect();
        let mut done = Vec::with_capacity(rows.len());
        let mut failed: Vec<(usize, RowError)> = Vec::new();
        let mut ended: Option<EvaluateError> = None;
        while let Some(result) = running.next().await {
            if let Some(on_row) = self.on_row {
                on_row(&result);
            }
            if let Err(error) = &result.outcome {
                if let Some(fatal) = error.fatal.clone() {
                    ended.get_or_insert(EvaluateError::Fatal(fatal));
                } else if !error.kind.counts_as_zero() {
                    failed.push((result.row, error.clone()));
                }
            }
            done.push(result);
            // Rows in flight are paid for: they are waited for, so that their answers are kept. No new one is begun.
            if ended.is_none() && failed.len() <= self.max_errors {
                running.extend(waiting.next());
            }
        }
        if let Some(ended) = ended {
            return Err(ended);
        }
        if failed.len() > self.max_errors {
            // In row order and cut to the limit: which ones these are does not depend on the concurrency.
            failed.sort_by_key(|(row, _)| *row);
            let errors = failed.into_iter().take(self.max_errors + 1).map(|(_, error)| error).collect();
            return Err(EvaluateError::TooManyErrors { limit: self.max_errors, errors });
        }
        done.sort_by_key(|result| result.row);
        Ok(Evaluation { rows: done })
    }
}

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
    run_row_with(program, cx, example, metric, false).await
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
    run_row_with(program, cx, example, metric, true).await
}

async fn run_row_with(
    program: &dyn Program,
    cx: &Ctx,
    example: &Example,
    metric: &dyn Metric,
    show_trace: bool,
) -> Result<RowScore, RowError> {
    let run = cx.clone().recording();
    let prediction =
        program.forward(&run, example.inputs.clone()).await.map_err(|error| RowError::of(&error))?;
    let trace = run.trace();
    let score = metric.score(&cx.judge(), example, &prediction, show_trace.then_some(&trace)).await;
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
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

/// The results of an evaluation, in row order.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// One result for each row asked for.
    pub rows: Vec<RowResult>,
}

impl Evaluation {
    /// The mean score in `[0, 1]`: failed rows of the program count as 0, failed rows of the model or the metric not at all.
    /// `None` when no row counts.
    pub fn score(&self) -> Option<f64> {
        let scores: Vec<f64> = self.rows.iter().filter_map(|row| row.score()).collect();
        (!scores.is_empty()).then(|| scores.iter().sum::<f64>() / scores.len() as f64)
    }

    /// The rows that failed, with their errors.
    pub fn failed(&self) -> impl Iterator<Item = (usize, &RowError)> {
        self.rows.iter().filter_map(|row| Some((row.row, row.outcome.as_ref().err()?)))
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

/// Why an evaluation ended before its last row.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum EvaluateError {
    /// Too many rows failed.
    #[error(
        "more than {limit} rows failed, as many as are allowed (max_errors); the first: {}",
        .errors.first().map_or("", |error| error.message.as_str())
    )]
    TooManyErrors {
        /// How many are allowed.
        limit: usize,
        /// The failures, in row order; one more than are allowed.
        errors: Vec<RowError>,
    },
    /// An error that no further row can escape.
    #[error(transparent)]
    Fatal(LmError),
    /// The candidate does not fit the program.
    #[error(transparent)]
    Bind(#[from] BindError),
}
