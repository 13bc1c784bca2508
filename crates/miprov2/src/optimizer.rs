//! The optimizer: three stages, each a function of data, and what joins them.
//!
//! ```text
//!   bootstrap ─▶ DemoSets ─▶ propose ─▶ Proposals ─▶ search ─▶ winner ─▶ test rows ─▶ Optimized
//!   (teacher LM)             (prompt LM)             (task LM)           (task LM)
//! ```

use std::collections::BTreeMap;
use std::sync::Arc;

use teleprompt_core::evaluate::RowResult;
use teleprompt_core::lm::ModelId;
use teleprompt_core::{Candidate, Evaluate, EvaluateError, Evaluation, Event, Metric, Program, Stage};
use teleprompt_propose::{ProposalRequest, Proposals};

use crate::bootstrap::FailedRow;
use crate::config::{Budget, Config, MiproV2Builder};
use crate::dataset::Dataset;
use crate::demo_sets::{self, DemoSets};
use crate::error::OptimizeError;
use crate::plan::Plan;
use crate::report::{Optimized, Report, Scored, TestResult};
use crate::run::Run;
use crate::search::{Choices, Ended, Found, SearchSpace, TrialRecord, reference};
use crate::stats::PairedDifference;

/// The MIPROv2 optimizer: finds instructions and demos for every predictor of a program that together score best.
///
/// Source: MIPRO, arXiv:2406.11695; DSPy 3.4.1, `dspy/teleprompt/mipro_optimizer_v2.py`. `docs/PARITY.md` lists every
/// difference with its reason.
#[derive(Clone)]
pub struct MiproV2 {
    config: Config,
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
    /// not one answer could be read, and what ended the run is in [`Report::ended`].
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
        let run = self.run(program, data, metric)?;
        let plan = plan(&run, data.test_rows().len());
        run.emit(&Event::Started { lines: opening_lines(&run, &plan) });
        let demos = match bootstrap(&run, &plan).await {
            Err(OptimizeError::Stopped { reason }) => {
                return Ok(stopped_early(&run, plan, reason, DemoSets::default(), Proposals::default()));
            }
            made => made?,
        };
        let proposals = propose(&run, &plan, &demos).await?;
        let candidate_demos = demos.for_candidates.then_some(&demos.sets);
        let space = SearchSpace::new(&run.names, proposals.instructions.clone(), candidate_demos);
        run.emit(&Event::Stage { stage: Stage::Search, steps: plan.evaluation_runs as u64 });
        let mut found = match reference::search(&run, &space, |baseline| readable(&demos, baseline)).await {
            Err(OptimizeError::Stopped { reason }) => {
                return Ok(stopped_early(&run, plan, reason, demos, proposals));
            }
            found => found?,
        };
        let candidate = space.candidate(&found.choices);
        let mut warnings: Vec<String> = demos.warnings.iter().chain(&proposals.warnings).cloned().collect();
        let test = match found.ended {
            Ended::Stopped { .. } => None,
            _ => test(&run, &candidate, data).await.unwrap_or_else(|error| {
                if let EvaluateError::Fatal(error) = &error
                    && error.is_stopped()
                {
                    found.ended = Ended::Stopped { reason: error.detail.clone() };
                }
                warnings.push(run.warn(format!("the test rows could not be evaluated: {error}")));
                None
            }),
        };
        let report = report(&run, plan, &space, found, demos, proposals, test, warnings);
        run.emit(&Event::Ended { line: report.to_string() });
        Ok(Optimized { candidate, report })
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

fn plan(run: &Run<'_>, test_rows: usize) -> Plan {
    let config = run.config;
    let (predictors, val_rows) = (run.names.len(), run.val.len());
    let trials = config.num_trials(predictors);
    let minibatch = config.minibatch(val_rows);
    let evaluation_runs = match minibatch {
        None => val_rows * (trials + 1),
        Some(size) => {
            let promotions = reference::promotions(trials, config.search.minibatch_full_eval_steps);
            val_rows + size * trials + promotions * val_rows
        }
    };
    let no_demos = BTreeMap::new();
    Plan {
        train_rows: run.train.len(),
        val_rows,
        predictors,
        demo_sets: if config.zero_shot() { 0 } else { config.num_demo_sets() },
        instructions: config.num_instructions(),
        trials,
        minibatch,
        bootstrap_runs: (demo_sets::least_runs(run), demo_sets::most_runs(run)),
        proposal_calls: config.proposer.plan(&request(run, &no_demos)),
        evaluation_runs,
        test_runs: 2 * test_rows,
        sent_to: sent_to(run),
    }
}

/// The models of the run that are not on this machine, each once.
fn sent_to(run: &Run<'_>) -> Vec<ModelId> {
    let mut remote = Vec::new();
    for cx in [&run.prompt, &run.task, &run.teacher] {
        if cx.lm().capabilities().remote && !remote.contains(cx.lm().model()) {
            remote.push(cx.lm().model().clone());
        }
    }
    remote
}

fn opening_lines(run: &Run<'_>, plan: &Plan) -> Vec<String> {
    // What leaves this machine is said before anything else.
    let mut lines: Vec<String> = plan.to_string().lines().map(str::to_owned).collect();
    let strategy = format!(
        "MIPROv2, reference strategy; task LM {}, prompt LM {}; seed {}",
        run.task.lm().model(),
        run.prompt.lm().model(),
        run.config.seed
    );
    lines.insert(usize::from(!plan.sent_to.is_empty()), strategy);
    lines
}

/// Step 1: demo sets for every predictor.
async fn bootstrap(run: &Run<'_>, plan: &Plan) -> Result<DemoSets, OptimizeError> {
    run.emit(&Event::Stage { stage: Stage::Bootstrap, steps: plan.bootstrap_runs.1 as u64 });
    demo_sets::make(run).await
}

/// Step 2: instructions for every predictor.
async fn propose(run: &Run<'_>, plan: &Plan, demos: &DemoSets) -> Result<Proposals, OptimizeError> {
    run.emit(&Event::Stage { stage: Stage::Propose, steps: plan.proposal_calls.nominal });
    let on_call = || run.step(Stage::Propose);
    let request = request(run, &demos.sets).with_on_call(&on_call);
    let originals = Proposals::originals(&request)?;
    // Demos are paid for by now: a proposer that fails leaves the instructions that there are, the original at least.
    let mut proposals = run.config.proposer.propose(&run.prompt, &request).await.unwrap_or_else(|error| {
        let message = format!("no further instructions could be proposed: {error}");
        let mut proposals = error.into_partial().unwrap_or_default();
        proposals.warnings.push(message);
        proposals
    });
    for (name, original) in originals.instructions {
        let proposed = proposals.instructions.entry(name).or_default();
        if proposed.is_empty() {
            *proposed = original;
        }
    }
    for warning in &proposals.warnings {
        run.warn(warning.clone());
    }
    for (predictor, instructions) in &proposals.instructions {
        for (index, proposed) in instructions.iter().enumerate() {
            run.emit(&Event::Proposed {
                predictor: predictor.to_string(),
                index,
                instruction: proposed.instruction.clone(),
            });
        }
    }
    Ok(proposals)
}

fn request<'a>(
    run: &'a Run<'_>,
    demo_sets: &'a BTreeMap<teleprompt_core::PredictorName, Vec<Arc<[teleprompt_core::Demo]>>>,
) -> ProposalRequest<'a> {
    ProposalRequest::new(run.program, &run.train, demo_sets)
        .with_predictors(run.names.clone())
        .with_num_candidates(run.config.num_instructions())
        .with_seed(run.config.seed)
        .with_temperature(run.config.init_temperature)
}

/// Refuses to search where nothing that the model wrote could be read: neither the teacher's answers nor the program's.
fn readable(demos: &DemoSets, baseline: &TrialRecord) -> Result<(), OptimizeError> {
    let first = baseline.rows.iter().find_map(|row| row.outcome.as_ref().err());
    match first {
        Some(error) if demos.gave_up && baseline.rows.iter().all(|row| row.outcome.is_err()) => {
            Err(OptimizeError::NothingReadable { rows: baseline.rows.len(), first: error.to_string() })
        }
        _ => Ok(()),
    }
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
    let on_row = |_: &_| run.step(Stage::Test);
    let baseline = Candidate::default();
    let evaluate = async |candidate: &Candidate| -> Result<Evaluation, EvaluateError> {
        let cx = run.task.clone().bound(run.program, candidate)?;
        let evaluate = Evaluate::new(rows, run.metric).concurrency(run.config.concurrency);
        evaluate.max_errors(run.config.max_errors).on_row(&on_row).run(run.program, &cx).await
    };
    run.emit(&Event::Stage { stage: Stage::Test, steps: 2 * rows.len() as u64 });
    // Joined to the end, also when one fails: calls in flight are paid for.
    let (before, after) = if *winner == baseline {
        let before = evaluate(&baseline).await;
        (before.clone(), before)
    } else {
        futures::future::join(evaluate(&baseline), evaluate(winner)).await
    };
    let (before, after) = (before?, after?);
    let scores = before.score().zip(after.score());
    Ok(scores.map(|(baseline, winner)| TestResult {
        baseline,
        winner,
        difference: difference(&before.rows, &after.rows),
        failed: before.rows.iter().chain(&after.rows).filter_map(FailedRow::of).collect(),
        rows: after.rows,
    }))
}

/// The difference of two evaluations on the rows that both have scored.
fn difference(before: &[RowResult], after: &[RowResult]) -> Option<PairedDifference> {
    let after: BTreeMap<usize, f64> = after.iter().filter_map(|row| Some((row.row, row.score()?))).collect();
    PairedDifference::of(before.iter().filter_map(|row| Some((row.score()?, *after.get(&row.row)?))))
}

/// The result of a run that was stopped before its baseline was evaluated: the program as it is.
fn stopped_early(
    run: &Run<'_>,
    plan: Plan,
    reason: String,
    demos: DemoSets,
    proposals: Proposals,
) -> Optimized {
    let space = SearchSpace::new(&run.names, proposals.instructions.clone(), None);
    let found =
        Found { choices: space.default_choices(), trials: Vec::new(), ended: Ended::Stopped { reason } };
    let warnings = demos.warnings.iter().chain(&proposals.warnings).cloned().collect();
    let report = report(run, plan, &space, found, demos, proposals, None, warnings);
    run.emit(&Event::Ended { line: report.to_string() });
    Optimized { candidate: Candidate::default(), report }
}

#[expect(clippy::too_many_arguments, reason = "every stage's result goes into the report")]
fn report(
    run: &Run<'_>,
    plan: Plan,
    space: &SearchSpace,
    found: Found,
    demos: DemoSets,
    proposals: Proposals,
    test: Option<TestResult>,
    warnings: Vec<String>,
) -> Report {
    let default = space.default_choices();
    let full = |choices: &Choices| {
        let mut trials = found.trials.iter().rev();
        trials.find(|trial| trial.choices == *choices && trial.kind != crate::TrialKind::Minibatch)
    };
    let scored = |choices: &Choices| Scored {
        choices: choices.clone(),
        score: full(choices).and_then(|trial| trial.score),
    };
    let validation_difference = full(&default)
        .zip(full(&found.choices))
        .and_then(|(before, after)| difference(&before.rows, &after.rows));
    let (baseline, winner) = (scored(&default), scored(&found.choices));
    let mut trials = found.trials;
    if !run.config.track_stats {
        trials.iter_mut().for_each(|trial| trial.rows = Vec::new());
    }
    Report {
        plan,
        seed: run.config.seed,
        ended: found.ended,
        baseline,
        winner,
        validation_difference,
        test,
        instructions: proposals.instructions.into_iter().map(|(name, all)| (name.to_string(), all)).collect(),
        rejected: proposals.rejected,
        dataset_summary: proposals.summary,
        program_description: proposals.program_description,
        trials,
        calls: run.meter.counts(),
        bootstrap_failures: demos.failed,
        warnings,
    }
}
