//! Bootstrapping: the teacher runs training rows, and the runs that the metric accepts become demos.
//!
//! Rows run concurrently in waves. The first holds, for every set, as many rows as it wants demos; a later one as many as it
//! still lacks, divided by the share that was accepted so far, and a few more, so that few waves follow one another. Successes are taken in the
//! set's order, so the demos are those of running one by one, and do not depend on timing. A row is run once for all sets.
//! Where known rows are not shared, a wave holds as many rows as demos are lacking: no run more than one by one.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use rand::{Rng, RngExt};
use serde::{Deserialize, Serialize};
use teleprompt_core::evaluate::{RowError, RowResult, run_row_traced};
use teleprompt_core::{
    Bindings, CallRole, Candidate, Ctx, Demo, Event, Example, Fields, PredictorName, Program, Stage, Trace,
    rng,
};

use crate::error::OptimizeError;
use crate::rows::{caught, unbound};
use crate::run::{Run, part};

/// A wave after the first is to be enough but for this many standard deviations of bad luck: half a deviation takes a few runs
/// more than the mean, and most often spares a wave that everything after it would wait for.
const SURENESS: f64 = 0.5;

/// The demos that one training row gives: one for each predictor that its run called.
pub(crate) type RowDemos = BTreeMap<PredictorName, Fields>;

/// A training row that the teacher failed on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FailedRow {
    /// The row's index in its set.
    pub row: usize,
    /// What went wrong.
    pub error: RowError,
}

impl FailedRow {
    /// The failure of a row's result, if it is one.
    pub(crate) fn of(result: &RowResult) -> Option<Self> {
        Some(Self { row: result.row, error: result.outcome.as_ref().err()?.clone() })
    }
}

/// What the teacher made of the training rows that were run.
#[derive(Debug, Default)]
pub(crate) struct TracePool {
    /// By row: its demos, or `None` when the run failed or was not accepted.
    rows: BTreeMap<usize, Option<RowDemos>>,
    pub(crate) failed: Vec<FailedRow>,
    pub(crate) gave_up: bool,
    /// Rounds of rows that had to follow one another.
    pub(crate) waves: usize,
    /// Whether sets lack demos because no more rows may be run.
    pub(crate) limited: bool,
}

/// What one set asks for: so many successes of the rows in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) order: Vec<usize>,
    pub(crate) demos: usize,
}

impl TracePool {
    /// Runs rows until every set has what it asks for, or has no rows left, or `most` have been run.
    ///
    /// # Errors
    /// When no further call can succeed, or too many failed by the model's doing.
    ///
    /// # Cost
    /// For each set at most one teacher run a row, each row counted once over all sets.
    pub(crate) async fn fill(run: &Run<'_>, wanted: &[Wanted], most: usize) -> Result<Self, OptimizeError> {
        let teacher = Teacher::new(run)?;
        let mut pool = Self::default();
        loop {
            let share = if run.config.share_known { pool.accepted_share() } else { 1.0 };
            let mut wave: BTreeSet<usize> =
                wanted.iter().flat_map(|set| pool.next_rows(set, share)).collect();
            if wave.is_empty() || pool.gave_up {
                return Ok(pool);
            }
            let room = most.saturating_sub(pool.rows.len());
            if room == 0 {
                pool.limited = true;
                return Ok(pool);
            }
            wave = wave.into_iter().take(room).collect();
            pool.waves += 1;
            pool.run_wave(run, &teacher, wave).await?;
        }
    }

    /// Whether any row was accepted.
    pub(crate) fn any(&self) -> bool {
        self.rows.values().any(Option::is_some)
    }

    /// How many rows were run.
    pub(crate) fn runs(&self) -> usize {
        self.rows.len()
    }

    /// How many rows would be run for a set alone: those in its order up to the last success that it takes.
    pub(crate) fn runs_of(&self, set: &Wanted) -> usize {
        let mut lacking = set.demos;
        let needed = |&&row: &&usize| {
            let goes_on = lacking > 0;
            lacking -= usize::from(goes_on && matches!(self.rows.get(&row), Some(Some(_))));
            goes_on && self.rows.contains_key(&row)
        };
        set.order.iter().take_while(needed).count()
    }

    /// The accepted rows of a set, in its order: as many as it asks for, or as there are.
    pub(crate) fn successes<'a>(&'a self, set: &'a Wanted) -> impl Iterator<Item = (usize, &'a RowDemos)> {
        let accepted = |&row: &usize| Some((row, self.rows.get(&row)?.as_ref()?));
        set.order.iter().filter_map(accepted).take(set.demos)
    }

    /// The share of runs that were accepted, at least a quarter; 1 before the first.
    fn accepted_share(&self) -> f64 {
        let accepted = self.rows.values().filter(|demos| demos.is_some()).count();
        if self.rows.is_empty() { 1.0 } else { (accepted as f64 / self.rows.len() as f64).max(0.25) }
    }

    /// The next rows to be run for a set, in its order: so many that together with the successes known they make up what it
    /// wants, where each succeeds with the probability `share`.
    ///
    /// Rows known from other sets count in their turn only: a set takes successes in its own order.
    fn next_rows(&self, set: &Wanted, share: f64) -> Vec<usize> {
        let (mut expected, mut variance) = (0.0, 0.0_f64);
        let mut rows = Vec::new();
        for &row in &set.order {
            // Sums of shares are not exact.
            if expected - SURENESS * variance.sqrt() > set.demos as f64 - 1e-9 {
                break;
            }
            match self.rows.get(&row) {
                Some(Some(_)) => expected += 1.0,
                Some(None) => {}
                None => {
                    rows.push(row);
                    expected += share;
                    variance += share * (1.0 - share);
                }
            }
        }
        rows
    }

    /// The rows that failed by the model's or the metric's doing.
    fn outside(&self) -> impl Iterator<Item = &FailedRow> {
        self.failed.iter().filter(|failed| !failed.error.kind.counts_as_zero())
    }

    async fn run_wave(
        &mut self,
        run: &Run<'_>,
        teacher: &Teacher<'_>,
        wave: BTreeSet<usize>,
    ) -> Result<(), OptimizeError> {
        let limit = run.config.max_errors;
        // Once the run is bound to end, no further row is begun; those in flight are waited for.
        let batch = self.waves.saturating_sub(1) as u64;
        run.emit(&Event::Batch { stage: Stage::Bootstrap, batch, rows: wave.len() });
        let outside = AtomicUsize::new(self.outside().count());
        let outside = &outside;
        let running = wave.into_iter().map(|row| async move {
            let _permit = run.rows.acquire(part::BOOTSTRAP).await;
            if outside.load(Ordering::SeqCst) > limit {
                return None;
            }
            let result = teacher.run(run, row).await;
            if let Err(error) = &result
                && error.fatal.is_none()
            {
                let (message, scored) = (error.message.clone(), error.kind.counts_as_zero());
                run.emit(&Event::RowFailed { stage: Stage::Bootstrap, row, message, scored });
            }
            match &result {
                Err(error) if error.fatal.is_some() => outside.store(usize::MAX, Ordering::SeqCst),
                Err(error) if !error.kind.counts_as_zero() => {
                    let _ = outside.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_add(1));
                }
                _ => {}
            }
            run.step(Stage::Bootstrap);
            Some((row, result))
        });
        let running: FuturesUnordered<_> = running.collect();
        let mut results: Vec<_> = running.filter_map(std::future::ready).collect().await;
        results.sort_by_key(|(row, _)| *row);
        let scored = results.iter().filter(|(_, result)| matches!(result, Ok(Some(_)))).count();
        run.emit(&Event::BatchEnded { stage: Stage::Bootstrap, batch, rows: results.len(), scored });
        for (row, result) in results {
            let demos = match result {
                Ok(demos) => demos,
                Err(error) => {
                    if let Some(fatal) = error.fatal {
                        return Err(if fatal.is_stopped() {
                            OptimizeError::Stopped { reason: fatal.detail }
                        } else {
                            OptimizeError::Bootstrap(fatal)
                        });
                    }
                    self.failed.push(FailedRow { row, error });
                    None
                }
            };
            self.rows.insert(row, demos);
        }
        if let (Some(first), true) = (self.outside().next(), self.outside().count() > limit) {
            return Err(OptimizeError::BootstrapRows {
                limit,
                first: format!("row {}: {}", first.row, first.error),
            });
        }
        self.gave_up = !self.any() && self.failed.len() > limit;
        Ok(())
    }
}

/// The teacher: a program with a candidate, or with labeled demos of its own.
struct Teacher<'a> {
    program: &'a dyn Program,
    cx: Ctx,
    candidate: Option<Candidate>,
    /// Rows whose labels serve as its demos, one more than are shown: a row never sees itself.
    labeled: Vec<usize>,
}

impl<'a> Teacher<'a> {
    fn new(run: &'a Run<'_>) -> Result<Self, OptimizeError> {
        let program = run.config.teacher.program.as_deref().unwrap_or(run.program);
        let known: Vec<PredictorName> = program.predictors().into_iter().map(|named| named.name).collect();
        if let Some(name) = run.names.iter().find(|name| !known.contains(name)) {
            return Err(OptimizeError::Teacher { name: name.clone() });
        }
        if let Some(candidate) = &run.config.teacher.candidate {
            Bindings::bind(program, candidate)?;
        }
        let mut labeled = rng::permutation(run.config.seed, "teacher", &[], run.train.len());
        labeled.truncate(match run.config.max_labeled_demos {
            0 => 0,
            demos => demos.saturating_add(1),
        });
        let cx = run.cx(CallRole::Teacher, Stage::Bootstrap, part::BOOTSTRAP);
        Ok(Self { program, cx, candidate: run.config.teacher.candidate.clone(), labeled })
    }

    /// Runs one row: its demos when the metric accepts the run, `None` when not.
    async fn run(&self, run: &Run<'_>, row: usize) -> Result<Option<RowDemos>, RowError> {
        let example = &run.train[row];
        let candidate = match &self.candidate {
            Some(candidate) => without_row(candidate, example),
            None => self.labeled_candidate(run, row),
        };
        let cx = self.cx.clone().bound(self.program, &candidate).map_err(|error| unbound(&error))?;
        let scored = caught(run_row_traced(self.program, &cx, example, run.metric)).await?;
        let accepted = match run.config.metric_threshold {
            Some(threshold) => scored.score.value() >= threshold,
            None => scored.score.value() > 0.0,
        };
        Ok(accepted.then(|| one_of_each(run, row, &scored.trace)))
    }

    fn labeled_candidate(&self, run: &Run<'_>, row: usize) -> Candidate {
        let shown = self.labeled.iter().filter(|&&other| other != row).take(run.config.max_labeled_demos);
        let rows: Vec<&Example> = shown.map(|&other| &run.train[other]).collect();
        // The student from where it starts; a program of the teacher's own as it is.
        let own = run.config.teacher.program.is_some();
        let mut candidate = if own { Candidate::default() } else { run.config.start.clone() };
        for named in self.program.predictors().into_iter().filter(|named| !named.frozen) {
            let demos: Vec<Demo> = rows.iter().filter_map(|row| labeled_demo(&named, row)).collect();
            if !demos.is_empty() {
                candidate = candidate.with_demos(named.name, demos);
            }
        }
        candidate
    }
}

/// A row as a demo of one predictor: the fields of its signature, if there are inputs and outputs among them.
pub(crate) fn labeled_demo(named: &teleprompt_core::NamedPredictor<'_>, row: &Example) -> Option<Demo> {
    let spec = named.predictor.spec();
    let all: Fields = row.inputs.clone().into_iter().chain(row.labels.clone()).collect();
    let fields = all.only(spec.fields().map(|field| field.name.as_str()));
    let has =
        |fields_of: &[teleprompt_core::FieldSpec]| fields_of.iter().any(|field| fields.contains(&field.name));
    (has(spec.inputs()) && has(spec.outputs())).then(|| Demo::labeled(fields))
}

/// The candidate without the demos that are this row.
fn without_row(candidate: &Candidate, example: &Example) -> Candidate {
    let mut out = Candidate::default();
    for (name, params) in candidate.iter() {
        let mut params = params.clone();
        params.demos = params.demos.map(|demos| {
            let other = |demo: &&Demo| {
                let shared =
                    example.inputs.iter().filter_map(|(field, value)| Some((demo.fields.get(field)?, value)));
                let shared: Vec<_> = shared.collect();
                shared.is_empty() || shared.iter().any(|(shown, value)| shown != value)
            };
            demos.iter().filter(other).cloned().collect()
        });
        out.set(name.clone(), params);
    }
    out
}

/// One call of each predictor of a run: the only one, or one drawn by the seed, half the time the last.
fn one_of_each(run: &Run<'_>, row: usize, trace: &Trace) -> RowDemos {
    let mut demos = RowDemos::new();
    for (i, name) in run.names.iter().enumerate() {
        let steps = trace.of(name);
        let Some(last) = steps.len().checked_sub(1) else { continue };
        let mut draw = rng::stream(run.config.seed, "trace", &[row as u64, i as u64]);
        let chosen =
            if last == 0 || draw.next_u32().is_multiple_of(2) { last } else { draw.random_range(0..last) };
        let step = steps[chosen];
        demos.insert(name.clone(), step.inputs.clone().into_iter().chain(step.outputs.clone()).collect());
    }
    demos
}
