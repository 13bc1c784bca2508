//! The adaptive search on a real program: plans become program runs, their results are told, the decision becomes a result.
//!
//! The runs of a plan are all begun at once and told in the plan's order. Each stretch of rows of one combination is a trial of
//! the report. At the end baseline and winner are compared on all validation rows, where the budget still has room for that, else
//! on the rows that both have run.

use std::collections::BTreeMap;

use futures::future::join_all;
use teleprompt_core::evaluate::RowResult;
use teleprompt_core::{EvaluateError, Example};

use super::{AdaptiveConfig, AdaptivePlanner, Decision, PlannedRun, SearchEnd, Space, common_order};
use crate::caps::Spent;
use crate::config::AdaptiveSearch;
use crate::error::OptimizeError;
use crate::rows::Rows;
use crate::run::{Run, part};
use crate::search::{Choices, Ended, Found, Posterior, Scoreboard, SearchSpace, TrialKind};

/// Labels of which a row can have one, at most, to be a stratum of its own; more are no classes.
const MOST_STRATA: usize = 32;

/// The stratum of each row: which of a few labels it has.
fn strata(rows: &[Example]) -> Vec<usize> {
    let labels: Vec<String> =
        rows.iter().map(|row| row.labels.names().map(|name| row.labels.text(name)).collect()).collect();
    let mut numbers: BTreeMap<&str, usize> = BTreeMap::new();
    for label in &labels {
        let next = numbers.len();
        numbers.entry(label).or_insert(next);
    }
    let few = numbers.len() <= MOST_STRATA;
    labels.iter().map(|label| if few { numbers[label.as_str()] } else { 0 }).collect()
}

/// The rows on which the search begins with the program as it is: known before there is anything to compare it with, so they
/// are run while demos and instructions are made.
pub(crate) fn first_rows(run: &Run<'_>, budget: usize) -> Vec<usize> {
    let most = AdaptiveConfig::new(budget).ingredients.start_default.min(budget.div_ceil(8));
    let mut rows = common_order(&strata(&run.val), run.config.seed);
    rows.truncate(most);
    rows
}

/// The most rounds of program runs that follow one another in a search of `runs`, what fails aside: the start, the plans, and the
/// rest of baseline and winner.
pub(crate) fn chain(settings: &AdaptiveSearch, runs: usize) -> usize {
    let config = AdaptiveConfig::new(runs);
    let left = runs.saturating_sub(config.ingredients.start_default.min(runs.div_ceil(8)));
    2 + left.div_ceil(settings.chunks.saturating_mul(config.chunk_rows).max(1))
}

/// Runs the search within `budget` program runs; what is found is at least the baseline.
///
/// # Errors
/// [`OptimizeError::Adaptive`]: the settings have no meaning.
pub(crate) async fn search(
    run: &Run<'_>,
    space: &SearchSpace,
    rows: &Rows<'_>,
    settings: &AdaptiveSearch,
    budget: usize,
) -> Result<Found, OptimizeError> {
    let options = space.predictors.iter().map(|options| (options.instructions.len(), options.demos.len()));
    let default = space.default_choices();
    let choices_space = Space {
        predictors: options.collect(),
        default: flat(&default),
        strata: strata(&run.val),
        only: Vec::new(),
    };
    let mut config = AdaptiveConfig::new(budget);
    config.chunks = settings.chunks;
    config.guard = settings.require_improvement;
    let mut planner = AdaptivePlanner::new(choices_space, config, run.config.seed)?;
    let mut board = Scoreboard::new(run, space);
    let mut next_part = part::SEARCH + 1;
    let ended = loop {
        let plan = planner.plan();
        if plan.is_empty() {
            break end_of(&planner);
        }
        match run_plan(space, rows, &plan, &mut next_part, &mut board).await {
            Ok(scores) => planner.tell(&scores)?,
            Err(error) => break Ended::by(&error),
        }
    };
    let decision = planner.conclude();
    let winner = unflat(space, &decision.winner);
    let stopped = !matches!(ended, Ended::Complete | Ended::Early { .. });
    let left = budget.saturating_sub(decision.spent);
    let compared = compare(space, rows, (&default, &winner), left, stopped, next_part, &mut board).await;
    let ended = match compared {
        Err(error) if !stopped => Ended::by(&error),
        _ => ended,
    };
    let (warnings, posterior) = (std::mem::take(&mut board.warnings), posterior(space, &decision));
    Ok(Found {
        choices: winner,
        ended,
        trials: board.into_trials(),
        warnings,
        row_cost: Spent::default(),
        posterior: Some(posterior),
    })
}

fn end_of(planner: &AdaptivePlanner) -> Ended {
    match planner.decision().map(|decision| decision.end) {
        Some(SearchEnd::NotWorthwhile) => Ended::Early {
            reason: "no further program run is expected to raise the winner's score".to_owned(),
        },
        _ => Ended::Complete,
    }
}

fn posterior(space: &SearchSpace, decision: &Decision) -> Posterior {
    Posterior {
        leader: unflat(space, &decision.leader),
        p_better: decision.p_better,
        gain: decision.gain.mean,
        gain_sd: decision.gain.sd,
        runs: decision.spent,
    }
}

/// Runs a plan; the scores in its order.
async fn run_plan(
    space: &SearchSpace,
    rows: &Rows<'_>,
    plan: &[PlannedRun],
    next_part: &mut u64,
    board: &mut Scoreboard<'_>,
) -> Result<Vec<Option<f64>>, EvaluateError> {
    let stretches: Vec<&[PlannedRun]> = plan.chunk_by(|a, b| a.choices == b.choices).collect();
    let running = stretches.iter().map(|stretch| {
        let part = *next_part;
        *next_part += 1;
        let choices = unflat(space, &stretch[0].choices);
        let wanted: Vec<usize> = stretch.iter().map(|run| run.row).collect();
        async move {
            let results = rows.run(part, &space.candidate(&choices), &wanted).await;
            (choices, wanted, results)
        }
    });
    let mut scores = Vec::with_capacity(plan.len());
    let mut first_error = None;
    for (choices, wanted, results) in join_all(running).await {
        match results {
            Ok(results) => {
                let by_row: BTreeMap<usize, Option<f64>> =
                    results.iter().map(|result| (result.row, result.score())).collect();
                scores.extend(wanted.iter().map(|row| by_row.get(row).copied().flatten()));
                board.record(TrialKind::Minibatch, &choices, results, first_error.is_none());
            }
            Err(error) => _ = first_error.get_or_insert(error),
        }
    }
    first_error.map_or(Ok(scores), Err)
}

/// Records baseline and winner on the same rows.
async fn compare(
    space: &SearchSpace,
    rows: &Rows<'_>,
    (default, winner): (&Choices, &Choices),
    left: usize,
    stopped: bool,
    part: u64,
    board: &mut Scoreboard<'_>,
) -> Result<(), EvaluateError> {
    let all: Vec<usize> = (0..rows.len()).collect();
    let missing = board.missing(default, &all) + board.missing(winner, &all);
    let wanted = if !stopped && missing <= left { all } else { board.common(default, winner) };
    let mut results: Vec<Vec<RowResult>> = Vec::new();
    for (i, choices) in [default, winner].into_iter().enumerate() {
        results.push(rows.run(part + i as u64, &space.candidate(choices), &wanted).await?);
    }
    let mut results = results.into_iter();
    board.record(TrialKind::Baseline, default, results.next().unwrap_or_default(), true);
    if winner != default {
        board.record(TrialKind::Full, winner, results.next().unwrap_or_default(), true);
    }
    Ok(())
}

/// Choices as the planner has them: for each predictor its instruction, then its demo set where it has any.
fn flat(choices: &Choices) -> Vec<usize> {
    choices.iter().flat_map(|choice| std::iter::once(choice.instruction).chain(choice.demos)).collect()
}

/// The reverse of [`flat`].
fn unflat(space: &SearchSpace, flat: &[usize]) -> Choices {
    let mut numbers = flat.iter().copied();
    let mut choices = space.default_choices();
    for choice in &mut choices {
        choice.instruction = numbers.next().unwrap_or_default();
        if choice.demos.is_some() {
            choice.demos = numbers.next();
        }
    }
    choices
}
