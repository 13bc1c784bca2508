//! Evaluation: a program on many rows, concurrently.
//!
//! ```text
//!   rows ─▶ run_row × concurrency ─▶ in row order ─┬─▶ Evaluation   every row kept: Evaluate::run
//!                                                  └─▶ RowSink      a file, a closure; Summary: Evaluate::stream
//! ```
//!
//! A failed row is data, not an error: [`RowError`] says what kind of failure it was and keeps the raw answer. What fails by
//! the program's doing (an answer that cannot be read, the program's own error) scores 0; what fails by the model's or the
//! metric's doing is left out of the mean. Results are in row order, whatever the order in which rows finish.

mod drive;
mod evaluation;
mod row;
mod sink;
mod summary;

use std::convert::Infallible;
use std::sync::Arc;

use crate::context::Ctx;
use crate::error::BindError;
use crate::example::Example;
use crate::lm::LmError;
use crate::metric::Metric;
use crate::module::Program;

pub use evaluation::Evaluation;
pub use row::{RowError, RowErrorKind, RowResult, RowScore, run_row, run_row_traced};
pub use sink::{CsvRows, JsonLines, RowSink};
pub use summary::Summary;

use drive::drive;

/// An evaluation to be run: rows, metric, concurrency.
#[derive(Clone, Copy)]
#[must_use = "call `run` or `stream`"]
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

    /// The same, without rows of its own: for [`Evaluate::stream`], which is given them one by one.
    pub fn streaming(metric: &'a dyn Metric) -> Self {
        Self::new(&[], metric)
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
    pub async fn run(self, program: &dyn Program, cx: &Ctx) -> Result<Evaluation, EvaluateError> {
        let all: Vec<usize>;
        let rows = match self.rows {
            Some(rows) => rows,
            None => {
                all = (0..self.examples.len()).collect();
                &all
            }
        };
        let known = rows.iter().filter_map(|&row| Some(Ok::<_, Infallible>((row, self.examples.get(row)?))));
        let mut done = Vec::with_capacity(rows.len());
        let keep = &mut |_: &Example, result: RowResult| {
            done.push(result);
            Ok(())
        };
        // The rows are in memory anyhow: nothing is gained by waiting for the slowest one before another begins.
        let ended = drive(&self, program, cx, known, usize::MAX, keep).await;
        match ended {
            Ok(()) => {}
            Err(StreamError::Evaluate(error)) => return Err(error),
            // Neither a source that cannot fail nor a sink that cannot fail has failed.
            Err(StreamError::Source { .. } | StreamError::Sink { .. }) => {}
        }
        done.sort_by_key(|result| result.row);
        Ok(Evaluation { rows: done })
    }

    /// Runs the program on rows that are given one by one, and hands every result to `sink` in row order. Only totals are
    /// kept: memory does not grow with the number of rows.
    ///
    /// Rows are taken from `examples` as they are needed. At most 16 times [`Evaluate::concurrency`] results wait for a slower
    /// row before them; then no further row begins until that one ends. [`Evaluate::rows`] has no effect here.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use futures::future::{BoxFuture, FutureExt};
    /// # use teleprompt_core::{Lm, LmError, LmRequest, LmResponse, lm::ModelId};
    /// # struct Four(ModelId);
    /// # impl Lm for Four {
    /// #     fn model(&self) -> &ModelId { &self.0 }
    /// #     fn generate<'a>(&'a self, _: &'a LmRequest) -> BoxFuture<'a, Result<LmResponse, LmError>> {
    /// #         async { Ok(LmResponse::new("[[ ## answer ## ]]\n4")) }.boxed()
    /// #     }
    /// # }
    /// # let lm = Arc::new(Four(ModelId::new("four")));
    /// use teleprompt_core::evaluate::{Evaluate, JsonLines};
    /// use teleprompt_core::{Ctx, Example, Fields, Predictor, SignatureSpec, metric};
    ///
    /// let program = Predictor::new(SignatureSpec::parse("question -> answer: int").unwrap());
    /// let rows = (0..100).map(|i| {
    ///     let row = Fields::new().with("question", format!("{i} + 1?")).with("answer", i + 1);
    ///     Example::new(row).with_inputs(&["question"])
    /// });
    /// let (cx, metric, mut file) = (Ctx::new(lm), metric::exact_match("answer"), Vec::new());
    /// let mut sink = JsonLines::new(&mut file);
    /// let run = Evaluate::streaming(&metric).concurrency(4).stream(&program, &cx, rows, &mut sink);
    /// let summary = futures::executor::block_on(run).unwrap();
    /// assert_eq!((summary.rows(), summary.score()), (100, Some(0.01)));
    /// assert_eq!(file.iter().filter(|byte| **byte == b'\n').count(), 100);
    /// ```
    ///
    /// # Errors
    /// [`StreamError`]: as [`Evaluate::run`], or a row that could not be read, or a sink that failed. The sink has then got
    /// every row that was run, as far as it took them.
    ///
    /// # Cost
    /// One program run for each row, and what the metric itself asks.
    ///
    /// # Determinism
    /// What the sink is given does not depend on the concurrency.
    pub async fn stream<E: Into<Box<dyn std::error::Error + Send + Sync>>>(
        self,
        program: &dyn Program,
        cx: &Ctx,
        examples: impl IntoIterator<Item = Result<Example, E>>,
        sink: &mut (dyn RowSink + Send),
    ) -> Result<Summary, StreamError> {
        let mut summary = Summary::default();
        let numbered = examples.into_iter().enumerate().map(|(row, example)| Ok::<_, E>((row, example?)));
        let window = self.concurrency.saturating_mul(16);
        let keep = &mut |example: &Example, result: RowResult| {
            summary.add(&result);
            sink.row(example, &result)
        };
        let ended = drive(&self, program, cx, numbered, window, keep).await;
        let finished = sink.finish();
        ended?;
        finished.map_err(|source| StreamError::Sink { row: summary.rows(), source: Arc::new(source) })?;
        Ok(summary)
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

/// Why a streamed evaluation ended before its last row.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum StreamError {
    /// As in an evaluation of rows in memory.
    #[error(transparent)]
    Evaluate(#[from] EvaluateError),
    /// A row could not be had.
    #[error("row {row} could not be read: {source}")]
    Source {
        /// Its index, from 0.
        row: u64,
        /// What its source said.
        source: Arc<dyn std::error::Error + Send + Sync>,
    },
    /// A result could not be written.
    #[error("the result of row {row} could not be written: {source}")]
    Sink {
        /// The row's index, from 0.
        row: u64,
        /// What the sink said.
        source: Arc<std::io::Error>,
    },
}

#[cfg(test)]
mod tests;
