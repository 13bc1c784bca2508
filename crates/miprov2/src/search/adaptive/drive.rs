//! The adaptive search on a real program: plans become program runs, their results are told, the decision becomes a result.
//!
//! The runs of a plan are all begun at once and told in the plan's order. Each stretch of rows of one combination is a trial of
//! the report. At the end baseline and winner are compared on all validation rows, where the budget still has room for those that
//! are not known, else on the rows that both have run.
//!
//! Under a cap on calls, tokens or money a plan is cut to the runs that there is foreseen to be room for, and where the cap cuts
//! it all the same nothing of it counts: a result depends on what the plans before used and on no timing.

use std::collections::BTreeMap;

use futures::future::join_all;
use teleprompt_core::evaluate::RowResult;
use teleprompt_core::{EvaluateError, Example, Stage};

use super::{AdaptiveConfig, AdaptivePlanner, PlannedRun, SearchEnd, Space, common_order};
use crate::caps::Spent;
use crate::config::AdaptiveSearch;
use crate::error::OptimizeError;
use crate::rows::Rows;
use crate::run::{Run, part};
use crate::search::forecast::{Forecast, RowCost};
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

/// How many rounds of program runs follow one another in a search of `runs` over so many rows, if it spends them and nothing
/// fails: the start, the plans, and the rest of baseline and winner. An early end takes fewer, plans that are not full more.
pub(crate) fn chain(settings: &AdaptiveSearch, runs: usize, rows: usize) -> usize {
    let config = AdaptiveConfig::new(runs);
    let left = runs.saturating_sub(config.ingredients.start_default.min(runs.div_ceil(8)));
    2 + left.div_ceil(settings.chunks.saturating_mul(config.chunk_rows.min(rows)).max(1))
}

/// Runs the search within `budget` program runs, after its first rows, of which `baseline` are the results; what is found is at
/// least the baseline.
///
/// # Errors
/// [`OptimizeError::Adaptive`]: the settings have no meaning.
pub(crate) async fn search(
    run: &Run<'_>,
    space: &SearchSpace,
    rows: &Rows<'_>,
    baseline: Vec<RowResult>,
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
    let mut driver = Driver::new(run, space, rows, baseline);
    let ended = loop {
        let mut plan = planner.plan();
        let planned = plan.len();
        let cut = driver.cut(&mut plan);
        if plan.is_empty() && cut.is_none() {
            break end_of(&planner);
        }
        let (mut scores, ended) = driver.run_plan(&plan, cut.is_none()).await;
        scores.resize(planned, None);
        planner.tell(&scores)?;
        if let Some(reason) = &cut {
            run.cap(reason);
        }
        if let Some(ended) = ended.or_else(|| Some(Ended::Stopped { reason: cut? })) {
            break ended;
        }
    };
    let decision = planner.conclude();
    let winner = unflat(space, &decision.winner);
    let runs = driver.asked;
    let ended = driver.compare(&default, &winner, budget.saturating_sub(runs), ended).await;
    let posterior = Posterior {
        leader: unflat(space, &decision.leader),
        p_better: decision.p_better,
        gain: decision.gain.mean,
        gain_sd: decision.gain.sd,
        runs,
    };
    Ok(Found {
        row_cost: driver.forecast.row_of(&winner).expected,
        warnings: std::mem::take(&mut driver.board.warnings),
        trials: driver.board.into_trials(),
        choices: winner,
        ended,
        posterior: Some(posterior),
        beliefs: planner
            .beliefs()
            .into_iter()
            .map(|(point, belief)| (unflat(space, &point), belief))
            .collect(),
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

/// Makes the program runs of plans.
struct Driver<'a> {
    run: &'a Run<'a>,
    space: &'a SearchSpace,
    rows: &'a Rows<'a>,
    board: Scoreboard<'a>,
    forecast: Forecast<'a>,
    /// What is known of the default before the first plan, which begins with it.
    baseline: Vec<RowResult>,
    next_part: u64,
    /// Program runs asked for.
    asked: usize,
}

impl<'a> Driver<'a> {
    fn new(run: &'a Run<'a>, space: &'a SearchSpace, rows: &'a Rows<'a>, baseline: Vec<RowResult>) -> Self {
        let mut forecast = Forecast::new(run, space);
        forecast.note(part::SEARCH, &space.default_choices(), baseline.len());
        let board = Scoreboard::new(run, space);
        Self { run, space, rows, board, forecast, baseline, next_part: part::SEARCH + 1, asked: 0 }
    }

    /// Cuts a plan to the runs that a cap leaves room for, and says which cap, if it cuts any: decided by what the plans before
    /// used, so by no timing.
    fn cut(&self, plan: &mut Vec<PlannedRun>) -> Option<String> {
        let mut needed = Spent::default();
        for (at, next) in plan.iter().enumerate() {
            if self.is_known(next) {
                continue;
            }
            needed = needed.plus(self.forecast.row_of(&unflat(self.space, &next.choices)).expected);
            if let Some(cap) = self.forecast.refusal(self.next_part, needed) {
                plan.truncate(at);
                return Some(format!("{cap} leaves no room for the next program runs"));
            }
        }
        None
    }

    /// Whether a run of a plan was made before the first plan.
    fn is_known(&self, planned: &PlannedRun) -> bool {
        self.baseline.iter().any(|result| result.row == planned.row)
            && unflat(self.space, &planned.choices) == self.space.default_choices()
    }

    /// Runs a plan, `whole` or cut. Gives the scores in its order, of the runs up to which it was completed, and how the search
    /// ends where that is not all of them.
    async fn run_plan(&mut self, plan: &[PlannedRun], whole: bool) -> (Vec<Option<f64>>, Option<Ended>) {
        self.asked += plan.len();
        let default = self.space.default_choices();
        let (mut known, mut asked) = (Vec::new(), Vec::new());
        for stretch in plan.chunk_by(|a, b| a.choices == b.choices) {
            let choices = unflat(self.space, &stretch[0].choices);
            let mut rows: Vec<usize> = stretch.iter().map(|run| run.row).collect();
            let planned = |result: &mut RowResult| choices == default && rows.contains(&result.row);
            let of_baseline: Vec<RowResult> = self.baseline.extract_if(.., planned).collect();
            rows.retain(|row| of_baseline.iter().all(|result| result.row != *row));
            known.push(of_baseline);
            asked.push((choices, rows));
        }
        let (results, ended) = self.run_all(&asked).await;
        let mut by_run: BTreeMap<(&Choices, usize), Option<f64>> = BTreeMap::new();
        for (at, (((choices, _), mut of_baseline), results)) in
            asked.iter().zip(known).zip(results).enumerate()
        {
            of_baseline.extend(results);
            by_run.extend(of_baseline.iter().map(|result| ((choices, result.row), result.score())));
            // Of a plan that is cut the last stretch may be longer when the run goes on.
            let in_turn = whole || at + 1 < asked.len();
            self.board.record(TrialKind::Minibatch, choices, of_baseline, in_turn);
        }
        let score = |run: &PlannedRun| by_run.get(&(&unflat(self.space, &run.choices), run.row)).copied();
        (plan.iter().map_while(score).collect(), ended)
    }

    /// Runs stretches of rows at once. Gives the results of the first ones, in the same order, and how the search ends where these
    /// are not all: of those that a cap or an error cuts, it depends on timing which were completed.
    async fn run_all(&mut self, stretches: &[(Choices, Vec<usize>)]) -> (Vec<Vec<RowResult>>, Option<Ended>) {
        let before = self.run.counts_of(Stage::Search);
        let first_part = self.next_part;
        self.next_part += stretches.len() as u64;
        let (store, space) = (self.rows, self.space);
        let running = stretches.iter().zip(first_part..).map(|((choices, rows), part)| async move {
            if rows.is_empty() {
                return Ok(Vec::new());
            }
            store.run(part, &space.candidate(choices), rows).await
        });
        let ended: Vec<Result<Vec<RowResult>, EvaluateError>> = join_all(running).await;
        let met = self.run.shared.purse.met(0..=self.next_part - 1);
        let cut = met.map(|cap| format!("{cap} is reached before the next program runs were complete"));
        if let Some(reason) = cut {
            self.run.cap(&reason);
            self.run.count_only(Stage::Search, before);
            let without = stretches.iter().take_while(|(_, rows)| rows.is_empty());
            return (without.map(|_| Vec::new()).collect(), Some(Ended::Stopped { reason }));
        }
        let mut results = Vec::with_capacity(stretches.len());
        for (((choices, rows), part), result) in stretches.iter().zip(first_part..).zip(ended) {
            match result {
                Ok(result) => results.push(result),
                Err(error) => return (results, Some(Ended::by(&error))),
            }
            self.forecast.note(part, choices, rows.len());
        }
        (results, None)
    }

    /// Records baseline and winner on the same rows: on all where there is room for those that are not known, else on those that
    /// are known of both. Gives how the search ended.
    async fn compare(&mut self, default: &Choices, winner: &Choices, left: usize, ended: Ended) -> Ended {
        let both = if winner == default { vec![default] } else { vec![default, winner] };
        let all: Vec<usize> = (0..self.rows.len()).collect();
        let unknown = |choices: &&Choices| ((*choices).clone(), self.board.unknown(choices, &all));
        let missing: Vec<(Choices, Vec<usize>)> = both.iter().map(unknown).collect();
        let rows: usize = missing.iter().map(|(_, rows)| rows.len()).sum();
        let needed = missing.iter().map(|(choices, rows)| self.forecast.row_of(choices).times(rows.len()));
        let needed = needed.fold(RowCost::default(), RowCost::plus).expected;
        let goes_on = matches!(ended, Ended::Complete | Ended::Early { .. });
        let room = rows <= left && self.forecast.refusal(self.next_part, needed).is_none();
        let (asked, error) = if goes_on && room { self.run_all(&missing).await } else { (Vec::new(), None) };
        let wanted = if asked.len() == both.len() { all } else { self.board.common(default, winner) };
        let mut asked = asked.into_iter();
        for (kind, choices) in [TrialKind::Baseline, TrialKind::Full].into_iter().zip(both) {
            let in_turn = goes_on && error.is_none();
            self.board.complete(kind, choices, &wanted, (asked.next().unwrap_or_default(), in_turn));
        }
        if wanted.len() < self.rows.len() && winner != default {
            let warning = format!(
                "baseline and winner are compared on the {} of {} validation rows that both have run",
                wanted.len(),
                self.rows.len()
            );
            self.board.warnings.push(self.run.warn(warning));
        }
        error.unwrap_or(ended)
    }
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
