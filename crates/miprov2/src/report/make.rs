//! The report of what every stage gave.

use std::collections::BTreeMap;

use teleprompt_core::evaluate::RowResult;
use teleprompt_core::{CallCounts, CallRole, Stage};
use teleprompt_propose::Proposals;

use super::{Models, Process, REPORT_VERSION, Report, Saved, Scored, TestResult, ranking, warnings};
use crate::demo_sets::DemoSets;
use crate::plan::Plan;
use crate::run::Run;
use crate::search::{Choices, Found, SearchSpace, TrialKind, TrialRecord};
use crate::stats::PairedDifference;

/// The difference of two evaluations on the rows that both have scored.
pub(crate) fn difference(before: &[RowResult], after: &[RowResult]) -> Option<PairedDifference> {
    let after: BTreeMap<usize, f64> = after.iter().filter_map(|row| Some((row.row, row.score()?))).collect();
    PairedDifference::of(before.iter().filter_map(|row| Some((row.score()?, *after.get(&row.row)?))))
}

/// The report of what every stage gave.
pub(crate) fn make(
    run: &Run<'_>,
    plan: Plan,
    space: &SearchSpace,
    found: Found,
    demos: DemoSets,
    proposals: Proposals,
    test: Option<TestResult>,
) -> Report {
    let config = run.config;
    let default = space.default_choices();
    let full = |choices: &Choices| {
        let mut trials = found.trials.iter().rev();
        trials.find(|trial| trial.choices == *choices && trial.kind != TrialKind::Minibatch)
    };
    let (before, after) = (full(&default), full(&found.choices));
    let scored = |choices: &Choices, trial: Option<&TrialRecord>| Scored {
        choices: choices.clone(),
        score: trial.and_then(|trial| trial.score),
    };
    let rows = |trial: Option<&TrialRecord>| trial.map(|trial| trial.rows.clone()).unwrap_or_default();
    let (baseline_rows, winner_rows) = (rows(before), rows(after));
    let (baseline, winner) = (scored(&default, before), scored(&found.choices, after));
    let stages = run.counts();
    let mut calls: BTreeMap<CallRole, CallCounts> = BTreeMap::new();
    for (role, counts) in stages.values().flatten() {
        *calls.entry(*role).or_default() += *counts;
    }
    let ranking = ranking::rank(space, &found);
    let mut warnings: Vec<String> = demos.warnings.into_iter().chain(proposals.warnings).collect();
    warnings.extend(warnings::of(&found, run.val.len()).into_iter().map(|warning| run.warn(warning)));
    warnings.extend(found.warnings);
    warnings.extend(test.as_ref().and_then(|test| test.warning.clone()));
    let usd = usd(run, &stages);
    let saved = Saved {
        program_runs: found.trials.iter().map(|trial| trial.known).sum(),
        teacher_runs: demos.spared_runs,
        equal_requests: calls.values().map(|counts| counts.cached).sum(),
    };
    let mut trials = found.trials;
    if !config.track_stats {
        trials.iter_mut().for_each(|trial| trial.rows = Vec::new());
    }
    let named = |name: teleprompt_core::PredictorName| name.to_string();
    let a_run = run.program.predictors().len();
    // A summary is made and merged, a program described and then its predictors: two calls. A rejected proposal is one more.
    let tries = proposals.rejected.iter().map(|rejected| rejected.attempt as usize + 1).max().unwrap_or(1);
    let learning = (demos.waves * a_run).max(2) + tries.min(3);
    let search = plan.chain.saturating_sub(a_run);
    let chain = learning.max(a_run) + search + usize::from(test.is_some()) * a_run;
    Report {
        version: REPORT_VERSION,
        settings: config.settings(),
        metric: config.metric_name.clone(),
        models: Models {
            task: config.task_lm.model().clone(),
            prompt: config.prompt_lm.model().clone(),
            teacher: config.teacher.lm.as_ref().unwrap_or(&config.task_lm).model().clone(),
        },
        plan,
        seed: config.seed,
        ended: found.ended,
        baseline,
        winner,
        validation_difference: difference(&baseline_rows, &winner_rows),
        posterior: found.posterior,
        test,
        instructions: proposals.instructions.into_iter().map(|(name, all)| (named(name), all)).collect(),
        demo_sets: demos.sources.into_iter().map(|(name, sets)| (named(name), sets)).collect(),
        rejected: proposals.rejected,
        dataset_summary: proposals.summary,
        program_description: proposals.program_description,
        trials,
        ranking,
        baseline_rows,
        winner_rows,
        calls,
        stages,
        usd,
        saved,
        bootstrap_failures: demos.failed,
        warnings,
        process: Process {
            seconds: run.shared.purse.elapsed().as_secs_f64(),
            stage_seconds: run.times(),
            calls: run.shared.tally(),
            spent: run.shared.purse.spent(),
            chain,
        },
    }
}

/// What each stage cost, if the price of every model is known.
fn usd(
    run: &Run<'_>,
    stages: &BTreeMap<Stage, BTreeMap<CallRole, CallCounts>>,
) -> Option<BTreeMap<Stage, f64>> {
    let config = run.config;
    if stages.is_empty() {
        return None;
    }
    let model = |role: CallRole| match role {
        CallRole::Prompt => config.prompt_lm.model(),
        CallRole::Teacher => config.teacher.lm.as_ref().unwrap_or(&config.task_lm).model(),
        _ => config.task_lm.model(),
    };
    let cost = |roles: &BTreeMap<CallRole, CallCounts>| {
        let costs = roles
            .iter()
            .map(|(role, counts)| Some(config.prices.get(model(*role).as_str())?.usd(&counts.usage)));
        costs.sum::<Option<f64>>()
    };
    stages.iter().map(|(stage, roles)| Some((*stage, cost(roles)?))).collect()
}
