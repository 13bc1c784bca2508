//! The optimizer: what is made of what, and what runs at once.
//!
//! ```text
//!   bootstrap ─▶ DemoSets ──┐
//!   prepare ─▶ Prepared ────┴▶ propose ─▶ Proposals ─▶ search ─▶ winner ─▶ test rows ─▶ Optimized
//!   the baseline, in full ─────────────────────────────▶┘
//! ```
//!
//! All of it passes one gate with one limit ([`crate::gate`]); what others wait for goes first. What comes before the search is
//! in [`crate::opening`].

use std::collections::BTreeMap;

use futures::future::join;
use teleprompt_core::evaluate::{RowError, RowErrorKind, RowResult};
use teleprompt_core::lm::{LmError, LmErrorKind, ModelId};
use teleprompt_core::{Candidate, EvaluateError, Evaluation, Event, Metric, Program, Stage};

use crate::bootstrap::FailedRow;
use crate::builder::MiproV2Builder;
use crate::checkpoint::{Fingerprint, Journal};
use crate::config::{Budget, Config};
use crate::dataset::Dataset;
use crate::demo_sets::DemoSets;
use crate::error::OptimizeError;
use crate::opening::{self, originals, request};
use crate::plan::Plan;
use crate::report::{self, Optimized, TestResult};
use crate::rows::Rows;
use crate::run::{Run, part};
use crate::search::adaptive::drive;
use crate::search::{Ended, Found, SearchSpace, reference};
use crate::spans::Spans;

/// The MIPROv2 optimizer: finds instructions and demos for every predictor of a program that together score best.
///
/// Source: MIPRO, arXiv:2406.11695; DSPy 3.4.1, `dspy/teleprompt/mipro_optimizer_v2.py`. `docs/PARITY.md` lists every
/// difference with its reason.
#[derive(Clone)]
pub struct MiproV2 {
    pub(crate) config: Config,
}

impl MiproV2 {
    /// A builder with the reference's defaults.
    pub fn builder() -> MiproV2Builder {
        MiproV2Builder::default()
    }

    pub(crate) fn new(config: Config) -> Self {
        Self { config }
    }

    /// What [`MiproV2::compile`] will ask for. Spends nothing.
    ///
    /// # Errors
    /// [`OptimizeError`] when the data set or the program cannot be used.
    pub fn plan(&self, program: &dyn Program, data: &Dataset) -> Result<Plan, OptimizeError> {
        // A metric is not asked for a plan: none is called.
        let metric = |_: &teleprompt_core::Example, _: &teleprompt_core::Prediction| false;
        Ok(plan(&self.run(program, data, &metric)?, data.test_rows().len()))
    }

    /// Optimizes a program.
    ///
    /// # Errors
    /// [`OptimizeError`]: there is no result, for the reason given. Once the baseline is evaluated there always is one, unless
    /// not one answer could be read, and what ended the run is in [`Report::ended`](crate::Report::ended).
    ///
    /// # Cost
    /// [`MiproV2::plan`] gives it.
    ///
    /// # Determinism
    /// Same seed, data and answers: same result, at any concurrency.
    pub async fn compile(
        &self,
        program: &dyn Program,
        data: &Dataset,
        metric: &dyn Metric,
    ) -> Result<Optimized, OptimizeError> {
        let mut run = self.run(program, data, metric)?;
        run.spans = Spans::begin();
        let plan = plan(&run, data.test_rows().len());
        run.emit(&Event::Started { lines: opening_lines(&run, &plan) });
        let mut finished = false;
        if let Some(place) = &self.config.checkpoint {
            let (journal, known) = Journal::open(place, Fingerprint::of(&run, data.test_rows()))?;
            finished = known.ended.as_deref() == Some(COMPLETE);
            run = run.with_journal(journal, known);
        }
        let overlaps = data.overlaps(&run.train, &run.val);
        let noticed = plan.below(&self.config.caps).into_iter().chain(overlaps);
        let noticed: Vec<String> = noticed.map(|warning| run.warn(warning)).collect();
        let mut outcome = run.spans.run().around(optimize(&run, plan, data)).await;
        if let Ok(best) = &mut outcome {
            best.report.warnings.splice(0..0, noticed);
        }
        let how = match outcome.as_ref().map(|best| &best.report.ended) {
            Ok(Ended::Complete | Ended::Early { .. }) => COMPLETE,
            Ok(Ended::Stopped { .. }) => "stopped",
            _ => "failed",
        };
        if !(finished && how == COMPLETE) {
            run.note_end(how);
        }
        outcome
    }

    fn run<'a>(
        &'a self,
        program: &'a dyn Program,
        data: &Dataset,
        metric: &'a dyn Metric,
    ) -> Result<Run<'a>, OptimizeError> {
        let max_val_rows = match self.config.budget {
            Budget::Auto(auto) => Some(auto.max_val_rows()),
            Budget::Manual { .. } => None,
        };
        Run::new(&self.config, program, metric, data.resolve(self.config.seed, max_val_rows)?)
    }
}

/// How a checkpoint says that there is nothing left to do.
const COMPLETE: &str = "complete";

/// A whole run. Demos, proposals and the baseline are made at once; then the search, and at last the test rows.
async fn optimize(run: &Run<'_>, plan: Plan, data: &Dataset) -> Result<Optimized, OptimizeError> {
    let rows = Rows::new(run, Stage::Search, &run.val);
    let (learned, baseline) = opening::run(run, &rows, &plan).await;
    let broken = || run.shared.journal.as_ref().and_then(Journal::broken);
    let (mut demos, mut proposals, mut stopped) = (DemoSets::default(), originals(run)?, None);
    let mut unlearned = None;
    match learned {
        Ok(learned) => (demos, proposals) = learned,
        Err(OptimizeError::Stopped { reason }) => stopped = Some(reason),
        Err(error) => unlearned = Some(error),
    }
    let baseline = match baseline {
        // Halted by the other: that one's error is the reason.
        Err(error) if unlearned.is_none() && !is_stop(&error) => return Err(OptimizeError::Baseline(error)),
        Err(EvaluateError::Fatal(error)) if unlearned.is_none() => {
            stopped.get_or_insert(error.detail);
            None
        }
        Err(_) => None,
        Ok(rows) => Some(rows),
    };
    if let (None, Some(broken)) = (&baseline, broken()) {
        return Err(broken.into());
    }
    if let Some(error) = unlearned {
        return Err(error);
    }
    if let Some(results) = &baseline {
        readable(&demos, results)?;
    }
    let candidate_demos = demos.for_candidates.then_some(&demos.sets);
    let space =
        SearchSpace::new(&run.names, proposals.instructions.clone(), candidate_demos, &run.config.start);
    let mut found = match (baseline, stopped) {
        (Some(results), None) => match &run.config.adaptive {
            None => reference::search(run, &space, &rows, results).await?,
            Some(settings) => {
                drive::search(run, &space, &rows, results, settings, plan.evaluation_runs).await?
            }
        },
        (Some(results), Some(reason)) => {
            reference::only_baseline(run, &space, results, Ended::Stopped { reason })
        }
        (None, reason) => Found::nothing(&space, reason.unwrap_or_default()),
    };
    if matches!(found.ended, Ended::Complete | Ended::Early { .. }) {
        found.warnings.extend(run.end(Stage::Search, &found.trials));
    }
    let candidate = space.candidate(&found.choices);
    if let (Ended::Complete | Ended::Early { .. }, Some(cap)) =
        (&found.ended, test_refusal(run, &found, &candidate, data))
    {
        let reason = format!("{cap} leaves no room for the test rows");
        run.cap(&reason);
        found.ended = Ended::Stopped { reason };
    }
    let mut tested = match found.ended {
        Ended::Stopped { .. } => Ok(None),
        _ => test(run, &candidate, data).await,
    };
    if let (false, Some(cap)) =
        (matches!(found.ended, Ended::Stopped { .. }), run.shared.purse.met(0..=part::TEST + 1))
    {
        // As if it had not begun: how far it came depends on timing.
        let reason = format!("{cap} is reached before the test rows were evaluated");
        run.cap(&reason);
        run.leave_out(Stage::Test);
        let model = run.config.task_lm.model().clone();
        tested = Err(EvaluateError::Fatal(LmError::new(model, LmErrorKind::Stopped, reason)));
    }
    let test = tested.unwrap_or_else(|error| {
        if let EvaluateError::Fatal(error) = &error
            && error.is_stopped()
        {
            found.ended = Ended::Stopped { reason: error.detail.clone() };
        }
        found.warnings.push(run.warn(format!("the test rows could not be evaluated: {error}")));
        None
    });
    if let Some(broken) = broken() {
        found.ended = Ended::Failed { message: broken.to_string() };
    }
    let report = report::make(run, plan, &space, found, demos, proposals, test);
    run.emit(&Event::Ended { line: report.to_string() });
    let scored = report.ranking.iter().filter(|ranked| ranked.score().is_some());
    let candidates = scored.map(|ranked| space.candidate(&ranked.choices)).collect();
    Ok(Optimized { candidate, report, candidates })
}

/// The cap that leaves no room for the test rows, if one does.
fn test_refusal(run: &Run<'_>, found: &Found, winner: &Candidate, data: &Dataset) -> Option<String> {
    let purse = &run.shared.purse;
    let evaluations = if *winner == run.config.start { 1 } else { 2 };
    let rows = evaluations * data.test_rows().len();
    let before = 0..=part::TEST - 1;
    let needed =
        purse.used_by(before.clone()).plus(purse.room(before)).plus(found.row_cost.scaled(rows as f64));
    if purse.counts() && rows > 0 { purse.refusal(needed) } else { None }
}

/// Whether an evaluation ended because the run did.
fn is_stop(error: &EvaluateError) -> bool {
    matches!(error, EvaluateError::Fatal(error) if error.is_stopped())
}

fn plan(run: &Run<'_>, test_rows: usize) -> Plan {
    let proposal_calls = run.config.proposer.plan(&request(run, &BTreeMap::new()));
    Plan::of(run, test_rows, proposal_calls, sent_to(run))
}

/// The models of the run that are not on this machine, each once.
fn sent_to(run: &Run<'_>) -> Vec<ModelId> {
    let mut remote = Vec::new();
    let teacher = run.config.teacher.lm.as_ref().unwrap_or(&run.config.task_lm);
    for lm in [&run.config.prompt_lm, &run.config.task_lm, teacher] {
        if lm.capabilities().remote && !remote.contains(lm.model()) {
            remote.push(lm.model().clone());
        }
    }
    remote
}

fn opening_lines(run: &Run<'_>, plan: &Plan) -> Vec<String> {
    // What leaves this machine is said before anything else.
    let mut lines: Vec<String> = plan.to_string().lines().map(str::to_owned).collect();
    let strategy = if run.config.adaptive.is_some() { "adaptive" } else { "reference" };
    let why = &run.config.strategy_because;
    let strategy = format!(
        "MIPROv2, {strategy} strategy ({why}); task LM {}, prompt LM {}; seed {}",
        run.config.task_lm.model(),
        run.config.prompt_lm.model(),
        run.config.seed
    );
    lines.insert(usize::from(!plan.sent_to.is_empty()), strategy);
    lines
}

/// Refuses to search where nothing worked: neither the teacher's runs nor the program's.
fn readable(demos: &DemoSets, baseline: &[RowResult]) -> Result<(), OptimizeError> {
    let failed: Vec<&RowError> = baseline.iter().filter_map(|row| row.outcome.as_ref().err()).collect();
    let (Some(first), true) = (failed.first(), failed.len() == baseline.len()) else { return Ok(()) };
    let (rows, first) = (baseline.len(), first.to_string());
    let by_program = |error: &RowError| error.kind == RowErrorKind::Program;
    // No prompt helps where a program fails before or after it is asked; an answer that cannot be read it may well help.
    let program_fails =
        failed.into_iter().chain(demos.failed.iter().map(|failed| &failed.error)).all(by_program);
    if program_fails && demos.runs > 0 && demos.failed.len() >= demos.runs {
        return Err(OptimizeError::NothingRan { rows, first });
    }
    if demos.gave_up { Err(OptimizeError::NothingReadable { rows, first }) } else { Ok(()) }
}

/// Step 4: the baseline and the winner on the test rows. A failure is no end of the run, for the winner stands.
async fn test(
    run: &Run<'_>,
    winner: &Candidate,
    data: &Dataset,
) -> Result<Option<TestResult>, EvaluateError> {
    let rows = data.test_rows();
    if rows.is_empty() {
        return Ok(None);
    }
    run.begin(Stage::Test, 2 * rows.len() as u64);
    let store = Rows::new(run, Stage::Test, rows);
    let all: Vec<usize> = (0..rows.len()).collect();
    let baseline = run.config.start.clone();
    // Joined to the end, also when one fails: calls in flight are paid for.
    let (before, after) = if *winner == baseline {
        let before = store.run(part::TEST, &baseline, &all).await;
        (before.clone(), before)
    } else {
        join(store.run(part::TEST, &baseline, &all), store.run(part::TEST + 1, winner, &all)).await
    };
    let (before, after) = (Evaluation { rows: before? }, Evaluation { rows: after? });
    let warning = run.end(Stage::Test, &(before.score(), after.score()));
    let scores = before.score().zip(after.score());
    Ok(scores.map(|(baseline, winner)| TestResult {
        baseline,
        winner,
        difference: report::difference(&before.rows, &after.rows),
        failed: before.rows.iter().chain(&after.rows).filter_map(FailedRow::of).collect(),
        rows: after.rows,
        warning,
    }))
}
