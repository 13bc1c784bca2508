//! Program runs: every row of every candidate, run once, under the limit of the whole run.
//!
//! A search strategy asks for rows of a candidate, as many and in such portions as it likes, several at once:
//!
//! ```text
//!   Rows::run(part, candidate, rows) ─▶ results, in the order asked
//!             │ known: given; in flight: waited for; else run
//! ```
//!
//! `part` is the number of the portion in the strategy's schedule (see [`part`](crate::run::part)). Where rows wait for a place
//! in the limit, the lower part goes first. It is also what failures are counted by: a portion is ended by too many failures up
//! to and in it, never by those of a later one, so that what has a result does not depend on timing.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::{Mutex, PoisonError};

use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt};
use teleprompt_core::evaluate::{RowError, RowErrorKind, RowResult, RowScore, run_row};
use teleprompt_core::{CallRole, Candidate, Ctx, EvaluateError, Event, Example, Stage};
use tokio::sync::Notify;

use crate::digest::Digest;
use crate::once::{Once, Turn};
use crate::run::{Run, first_part};
use crate::search::standing::Progress;

/// The rows of one stage.
pub(crate) struct Rows<'a> {
    run: &'a Run<'a>,
    stage: Stage,
    examples: &'a [Example],
    /// By scope (0 where known rows are shared), candidate and row.
    known: Once<(u64, Digest, usize), RowResult>,
    /// What the model or the metric failed.
    failed: Mutex<BTreeMap<(u64, usize), RowError>>,
    /// By part: how much of it has come back.
    progress: Mutex<BTreeMap<u64, Progress>>,
    moved: Notify,
}

/// One portion of rows while it runs.
struct Portion<'r> {
    part: u64,
    scope: u64,
    candidate: Digest,
    cx: &'r Ctx,
    /// The error that no further row can escape.
    fatal: &'r Mutex<Option<EvaluateError>>,
}

impl<'a> Rows<'a> {
    pub(crate) fn new(run: &'a Run<'a>, stage: Stage, examples: &'a [Example]) -> Self {
        let (known, failed, progress, moved) = Default::default();
        Self { run, stage, examples, known, failed, progress, moved }
    }

    /// How many rows there are.
    pub(crate) fn len(&self) -> usize {
        self.examples.len()
    }

    /// Runs a candidate on rows, by index.
    ///
    /// # Errors
    /// [`EvaluateError`]: more failed rows up to this part than are allowed, or an error that no further row can escape. Rows
    /// in flight are waited for, and what was scored is known from then on.
    ///
    /// # Cost
    /// One program run for each row that this candidate has not been scored on.
    ///
    /// # Determinism
    /// A function of the parts up to this one and of the models' answers, not of the order in which rows end.
    pub(crate) async fn run(
        &self,
        part: u64,
        candidate: &Candidate,
        rows: &[usize],
    ) -> Result<Vec<RowResult>, EvaluateError> {
        let cx = self.run.cx(CallRole::Task, self.stage, part).bound(self.run.program, candidate)?;
        let fatal = Mutex::new(None);
        let scope = if self.run.config.share_known { 0 } else { part };
        let portion = Portion { part, scope, candidate: Digest::of(candidate), cx: &cx, fatal: &fatal };
        let (stage, batch) = (self.stage, part.saturating_sub(first_part(self.stage)));
        let span = self.run.spans.stage(stage).evaluation(batch, rows.len());
        self.run.emit(&Event::Batch { stage, batch, rows: rows.len() });
        let mut results = span.around(self.portion(&portion, rows)).await;
        let scored = results.values().filter(|result| result.score().is_some()).count();
        self.run.emit(&Event::BatchEnded { stage, batch, rows: results.len(), scored });
        if let Some(error) = fatal.into_inner().unwrap_or_else(PoisonError::into_inner) {
            return Err(error);
        }
        let limit = self.run.config.max_errors;
        if self.failures_up_to(part) > limit {
            return Err(EvaluateError::TooManyErrors { limit, errors: self.first_failures(limit + 1) });
        }
        Ok(rows.iter().filter_map(|row| results.remove(row)).collect())
    }

    /// The results of a portion's rows, by row; those of all unless it is bound to end.
    async fn portion(&self, portion: &Portion<'_>, rows: &[usize]) -> BTreeMap<usize, RowResult> {
        let mut running: FuturesUnordered<_> = rows.iter().map(|&row| self.row(portion, row)).collect();
        let mut results = BTreeMap::new();
        while let Some(ended) = running.next().await {
            if let Some(result) = ended {
                self.note_progress(portion.part, result.score());
                results.insert(result.row, result);
            }
        }
        results
    }

    fn note_progress(&self, part: u64, score: Option<f64>) {
        let mut progress = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
        let part = progress.entry(part).or_default();
        part.ended += 1;
        part.scored += usize::from(score.is_some());
        part.sum += score.unwrap_or(0.0);
        self.moved.notify_one();
    }

    /// How much of a part of so many rows has come back.
    pub(crate) fn progress(&self, part: u64, rows: usize) -> Progress {
        let progress = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
        Progress { rows, ..progress.get(&part).copied().unwrap_or_default() }
    }

    /// Waits until a row has ended since it was last waited for.
    pub(crate) async fn moved(&self) {
        self.moved.notified().await;
    }

    /// The result of one row; `None` when the portion is bound to end.
    async fn row(&self, portion: &Portion<'_>, row: usize) -> Option<RowResult> {
        let example = self.examples.get(row)?;
        let lead = match self.known.turn(&(portion.scope, portion.candidate, row)).await {
            Turn::Known(result) => {
                self.run.step(self.stage);
                return Some(result);
            }
            Turn::Mine(lead) => lead,
        };
        let _permit = self.run.rows.acquire(portion.part).await;
        if self.ends(portion) {
            return None;
        }
        let outcome = caught(run_row(self.run.program, portion.cx, example, self.run.metric)).await;
        let result = RowResult { row, outcome }.without_trace();
        if let Err(error) = &result.outcome {
            self.note(portion, row, error);
        }
        self.run.step(self.stage);
        // What the model or the metric failed is not known of the row: it may be asked again.
        if result.score().is_some() {
            lead.done(result.clone());
        }
        Some(result)
    }

    fn note(&self, portion: &Portion<'_>, row: usize, error: &RowError) {
        if let Some(fatal) = error.fatal.clone() {
            let mut first = portion.fatal.lock().unwrap_or_else(PoisonError::into_inner);
            first.get_or_insert(EvaluateError::Fatal(fatal));
            return;
        }
        self.run.emit(&Event::RowFailed {
            stage: self.stage,
            row,
            message: error.message.clone(),
            scored: error.kind.counts_as_zero(),
        });
        if !error.kind.counts_as_zero() {
            let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
            failed.insert((portion.part, row), error.clone());
        }
    }

    /// Whether no further row of a portion should begin.
    fn ends(&self, portion: &Portion<'_>) -> bool {
        let fatal = portion.fatal.lock().unwrap_or_else(PoisonError::into_inner).is_some();
        fatal || self.failures_up_to(portion.part) > self.run.config.max_errors
    }

    fn failures_up_to(&self, part: u64) -> usize {
        let failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        failed.range(..=(part, usize::MAX)).count()
    }

    /// The first failures, each naming its row.
    fn first_failures(&self, most: usize) -> Vec<RowError> {
        let failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        let named = |((_, row), error): (&(u64, usize), &RowError)| RowError {
            message: format!("row {row}: {}", error.message),
            ..error.clone()
        };
        failed.iter().take(most).map(named).collect()
    }
}

/// What a program run gives; a panic of the program or of the metric is the failure of its row.
pub(crate) async fn caught(
    run: impl Future<Output = Result<RowScore, RowError>>,
) -> Result<RowScore, RowError> {
    // Nothing of ours is shared with the run but what locks and atomics keep whole.
    AssertUnwindSafe(run).catch_unwind().await.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
        let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
        let message =
            format!("the program or the metric panicked: {}", text.as_deref().unwrap_or("no message"));
        Err(RowError { kind: RowErrorKind::Metric, message, raw_answer: None, fatal: None })
    })
}

/// A row that could not be begun: the candidate does not fit the program.
pub(crate) fn unbound(error: &teleprompt_core::BindError) -> RowError {
    RowError { kind: RowErrorKind::Program, message: error.to_string(), raw_answer: None, fatal: None }
}
