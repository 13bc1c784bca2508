//! The reference's search: TPE over minibatch scores, with the best combination evaluated in full from time to time.
//!
//! ```text
//!   baseline, full ─▶ trial 1..T: ask ─▶ fresh minibatch ─▶ tell
//!                        └ after every 5, and after the last: the best mean of those without a full score ─▶ full ─▶ tell
//!   winner: the best full score; on a tie the earlier, so the baseline is the floor
//! ```
//!
//! Evaluations overlap: the one at position `p` of the schedule is asked for when those up to `p - trials_ahead` are told, and
//! no other, whatever has ended by then. A full evaluation waits for all before it, or until none of their rows that are still
//! out can change of which combination it will be ([`standing`](super::standing)). So a result depends on `trials_ahead` and on
//! no timing.
//!
//! Program runs asked for: `|val| + size * T + ceil(T / steps) * |val|`; with full evaluations only, `|val| * (T + 1)`.
//! Source: DSPy 3.4.1, `mipro_optimizer_v2.py`, `_optimize_prompt_parameters`; Optuna 5.0.0, `TPESampler`.
//!
//! # Differences from DSPy
//! The baseline counts as evaluated in full and is never promoted again; rows that a candidate has run are not run again; when
//! every combination seen has a full score one that was not tried is evaluated, so that small spaces are not searched in vain and a
//! run asks for what its plan says; a failed trial is told as failed, not as 0; with `trials_ahead` above 1 the sampler sees the
//! last trials as pending.

use std::collections::BTreeMap;
use std::pin::pin;

use futures::StreamExt;
use futures::future::{BoxFuture, Either, FutureExt, pending, select};
use futures::stream::FuturesUnordered;
use teleprompt_core::evaluate::RowResult;
use teleprompt_core::{EvaluateError, Stage, rng};
use teleprompt_tpe::{Direction, Distribution, Sampler, Study, TpeConfig, TpeSampler, Values};

use super::forecast::{Forecast, RowCost};
use super::schedule::{self, Slot, schedule};
use super::standing::{best_open, certain};
use super::{Choices, Ended, Found, Scoreboard, SearchSpace, TrialKind};
use crate::error::OptimizeError;
use crate::rows::Rows;
use crate::run::{RoleCounts, Run, part};

/// Runs the search after the baseline, of which `baseline` are the results; what is found is at least the baseline.
pub(crate) async fn search(
    run: &Run<'_>,
    space: &SearchSpace,
    rows: &Rows<'_>,
    baseline: Vec<RowResult>,
) -> Result<Found, OptimizeError> {
    let mut search = Search::new(run, space)?;
    search.begin(0, None, TrialKind::Baseline, space.default_choices(), (0..run.val.len()).collect());
    search.results.insert(0, Ok(baseline));
    search.advance();
    let ended = search.all(rows).await;
    let choices = search.winner();
    let row_cost = search.forecast.row_of(&choices).expected;
    let warnings = std::mem::take(&mut search.board.warnings);
    let (posterior, beliefs) = Default::default();
    Ok(Found { choices, ended, trials: search.board.into_trials(), warnings, row_cost, posterior, beliefs })
}

/// What is found when the search cannot begin: the baseline.
pub(crate) fn only_baseline(run: &Run<'_>, space: &SearchSpace, rows: Vec<RowResult>, ended: Ended) -> Found {
    let mut board = Scoreboard::new(run, space);
    let choices = space.default_choices();
    // Without demos the choices are others than they will be when the run goes on.
    board.record(TrialKind::Baseline, &choices, rows, false);
    let warnings = std::mem::take(&mut board.warnings);
    let (row_cost, posterior, beliefs) = Default::default();
    Found { choices, ended, trials: board.into_trials(), warnings, row_cost, posterior, beliefs }
}

/// Full evaluations that the schedule asks for, the baseline's aside.
pub(crate) fn promotions(trials: usize, steps: usize) -> usize {
    trials.div_ceil(steps)
}

/// The rounds of program runs that follow one another in the search, however many calls are in flight.
pub(crate) fn chain(run: &Run<'_>) -> usize {
    schedule::chain(&schedule(run.config, run.names.len(), run.val.len()), run.config.search.trials_ahead)
}

/// An evaluation that has begun.
struct Unit {
    /// Its number in the study, if the study asked for it.
    trial: Option<u64>,
    kind: TrialKind,
    choices: Choices,
    rows: Vec<usize>,
    score: Option<f64>,
}

type Running<'r> = FuturesUnordered<BoxFuture<'r, (usize, Result<Vec<RowResult>, EvaluateError>)>>;

struct Search<'a> {
    run: &'a Run<'a>,
    space: &'a SearchSpace,
    board: Scoreboard<'a>,
    forecast: Forecast<'a>,
    /// What was asked before the evaluation began that a cap may cut.
    counted: RoleCounts,
    study: Study<Box<dyn Sampler>>,
    slots: Vec<Slot>,
    /// By position. A promotion for which there was no candidate has none.
    units: BTreeMap<usize, Unit>,
    /// By position: what ended and is not recorded yet; for a promotion without a candidate no rows.
    results: BTreeMap<usize, Result<Vec<RowResult>, EvaluateError>>,
    /// The next trial and the next promotion to begin.
    next: [usize; 2],
    /// All positions below have ended and are recorded; all below are told to the study.
    recorded: usize,
    told: usize,
    /// From here on nothing is begun.
    end: usize,
    ended: Option<Ended>,
    misses: usize,
    /// Minibatch scores of each combination, in the order of the schedule.
    minibatch: Vec<(Choices, Vec<f64>)>,
    /// Full scores, in the order of the schedule.
    full: Vec<(Choices, f64)>,
}

impl<'a> Search<'a> {
    fn new(run: &'a Run<'a>, space: &'a SearchSpace) -> Result<Self, OptimizeError> {
        let mut builder = teleprompt_tpe::SearchSpace::builder();
        for (i, options) in space.predictors.iter().enumerate() {
            builder = builder.param(instruction_param(i), Distribution::indices(options.instructions.len()));
            if !options.demos.is_empty() {
                builder = builder.param(demos_param(i), Distribution::indices(options.demos.len()));
            }
        }
        let sampler: Box<dyn Sampler> = Box::new(TpeSampler::new(TpeConfig::optuna())?);
        let study = Study::new(builder.build()?, sampler, Direction::Maximize, run.config.seed);
        let slots = schedule(run.config, run.names.len(), run.val.len());
        let (units, results, minibatch, full) = Default::default();
        Ok(Self {
            run,
            space,
            board: Scoreboard::new(run, space),
            forecast: Forecast::new(run, space),
            counted: RoleCounts::new(),
            study,
            end: slots.len(),
            slots,
            units,
            results,
            next: [1, 1],
            recorded: 0,
            told: 0,
            ended: None,
            misses: 0,
            minibatch,
            full,
        })
    }

    /// The best full score, the earliest among equals; with `prefer_shorter` the shortest of those that are near enough to it
    /// and not below the baseline.
    fn winner(&self) -> Choices {
        let baseline = self.full.first().map_or(0.0, |(_, score)| *score);
        let floor = (self.space.default_choices(), baseline);
        let (choices, best) =
            self.full.iter().fold(
                floor,
                |best, (choices, score)| {
                    if *score > best.1 { (choices.clone(), *score) } else { best }
                },
            );
        let Some(margin) = self.run.config.prefer_shorter else { return choices };
        let near = self.full.iter().filter(|(_, score)| *score >= (best - margin).max(baseline));
        let shortest = near.min_by_key(|(choices, _)| self.space.prompt_tokens(choices));
        shortest.map_or(choices, |(choices, _)| choices.clone())
    }

    /// Everything after the baseline.
    async fn all(&mut self, rows: &Rows<'_>) -> Ended {
        let mut running: Running<'_> = FuturesUnordered::new();
        let capped = self.run.shared.purse.counts();
        loop {
            while let Some(position) = self.startable(rows) {
                let Some(unit) = self.units.get(&position) else { break };
                let candidate = self.space.candidate(&unit.choices);
                let wanted = unit.rows.clone();
                let part = part::SEARCH + position as u64;
                running.push(async move { (position, rows.run(part, &candidate, &wanted).await) }.boxed());
            }
            // A row that has ended may make the next full evaluation certain, but under a cap none is foreseen.
            let moved = if capped { pending().left_future() } else { rows.moved().right_future() };
            match select(running.next(), pin!(moved)).await {
                Either::Left((None, _)) => break,
                Either::Left((Some((position, result)), _)) => {
                    self.results.insert(position, result);
                    self.advance();
                }
                Either::Right(_) => {}
            }
        }
        // What has ended out of turn before the run was stopped is paid for, and tells something.
        // Under a cap it depends on timing what that is.
        let rest = std::mem::take(&mut self.results).into_iter().filter(|_| !capped);
        for (position, result) in rest {
            if let Ok(rows) = result {
                self.record(position, rows, false);
            }
        }
        self.ended.take().unwrap_or(Ended::Complete)
    }

    /// Records what has ended, in the order of the schedule.
    fn advance(&mut self) {
        while let Some(result) = self.results.remove(&self.recorded) {
            let part = part::SEARCH + self.recorded as u64;
            if let Some(cap) = self.run.shared.purse.met(0..=part) {
                let reason = format!("{cap} is reached before the next evaluation was complete");
                self.run.cap(&reason);
                self.run.count_only(Stage::Search, std::mem::take(&mut self.counted));
                self.stop(self.recorded, Ended::Stopped { reason });
                return;
            }
            match result {
                Ok(rows) => {
                    if let Some(unit) = self.units.get(&self.recorded) {
                        let run = self.board.missing(&unit.choices, &unit.rows);
                        self.forecast.note(part, &unit.choices, run);
                    }
                    self.record(self.recorded, rows, true);
                }
                Err(error) => {
                    self.stop(self.recorded, Ended::by(&error));
                    return;
                }
            }
            self.recorded += 1;
        }
    }

    /// Nothing is begun from `position` on.
    fn stop(&mut self, position: usize, ended: Ended) {
        self.end = self.end.min(position);
        self.ended.get_or_insert(ended);
    }

    fn record(&mut self, position: usize, rows: Vec<RowResult>, in_turn: bool) {
        let Some(unit) = self.units.get_mut(&position) else { return };
        unit.score = self.board.record(unit.kind, &unit.choices, rows, in_turn);
        let Some(score) = unit.score else { return };
        let (kind, choices) = (unit.kind, unit.choices.clone());
        if kind == TrialKind::Minibatch {
            match self.minibatch.iter_mut().find(|(known, _)| *known == choices) {
                Some((_, scores)) => scores.push(score),
                None => self.minibatch.push((choices, vec![score])),
            }
            return;
        }
        let better = self.full.iter().all(|(_, best)| score > *best);
        self.full.push((choices, score));
        self.misses = if better { 0 } else { self.misses + 1 };
        if let Some(patience) = self.run.config.patience.filter(|patience| self.misses >= *patience) {
            let reason = format!("{patience} full evaluations were not better than the best (patience)");
            // What may have begun by now, depending on timing, is begun in any case.
            self.stop(position + self.run.config.search.trials_ahead, Ended::Early { reason });
        }
    }

    /// Begins the next evaluation that may begin, and gives its position.
    fn startable(&mut self, rows: &Rows<'_>) -> Option<usize> {
        loop {
            let ahead = self.run.config.search.trials_ahead;
            let find = |from: usize, promotion: bool, slots: &[Slot]| {
                let mut at = from..slots.len();
                at.find(|&at| matches!(slots.get(at), Some(Slot::Promotion)) == promotion)
            };
            let trial = find(self.next[0], false, &self.slots).filter(|&at| at < self.end);
            let promotion = find(self.next[1], true, &self.slots).filter(|&at| at < self.end);
            if let Some((at, choices)) =
                promotion.and_then(|at| self.certain(at, rows).map(|choices| (at, choices)))
            {
                self.next[1] = at + 1;
                self.promote(at, choices);
                return Some(at);
            }
            if let Some(at) = promotion.filter(|&at| at <= self.recorded) {
                if !self.affordable(at) {
                    return None;
                }
                self.next[1] = at + 1;
                let best = best_open(&self.minibatch, |choices| self.is_done(choices)).cloned();
                if let Some(choices) = best.or_else(|| self.untried(at)) {
                    self.promote(at, choices);
                    return Some(at);
                }
                // Nothing to promote: the position is done.
                self.results.insert(at, Ok(Vec::new()));
                self.advance();
                continue;
            }
            let at = trial.filter(|&at| at < self.recorded + ahead)?;
            if !self.affordable(at) {
                return None;
            }
            self.next[0] = at + 1;
            if let Err(error) = self.ask(at) {
                self.stop(at, Ended::Failed { message: error.to_string() });
                return None;
            }
            return Some(at);
        }
    }

    /// Whether caps leave room for everything up to a position. Where they do not even when all before it has ended, the
    /// search ends: decided by what the recorded parts used, so by no timing.
    fn affordable(&mut self, position: usize) -> bool {
        if !self.run.shared.purse.counts() {
            return true;
        }
        let all = self.run.val.len();
        let ahead = (self.recorded..=position).map(|at| match (self.units.get(&at), self.slots.get(at)) {
            (Some(unit), _) => {
                let rows = self.board.missing(&unit.choices, &unit.rows);
                self.forecast.row_of(&unit.choices).times(rows)
            }
            (None, Some(Slot::Trial(_))) => {
                let rows = self.run.config.minibatch(all).unwrap_or(all);
                self.forecast.row(self.space.most_prompt_tokens()).times(rows)
            }
            (None, _) => self.forecast.row(self.space.most_prompt_tokens()).times(all),
        });
        let needed = ahead.fold(RowCost::default(), RowCost::plus);
        let alone = self.recorded == position;
        let needed = if alone { needed.expected } else { needed.most };
        let refusal = self.forecast.refusal(part::SEARCH + self.recorded as u64, needed);
        let Some(cap) = refusal else {
            if alone {
                self.counted = self.run.counts_of(Stage::Search);
            }
            return true;
        };
        if alone {
            let reason = format!("{cap} leaves no room for the next evaluation");
            self.run.cap(&reason);
            self.stop(position, Ended::Stopped { reason });
        }
        false
    }

    fn begin(&mut self, at: usize, trial: Option<u64>, kind: TrialKind, choices: Choices, rows: Vec<usize>) {
        self.units.insert(at, Unit { trial, kind, choices, rows, score: None });
    }

    /// Asks the study for the trial at a position, which then sees what is told by then and nothing else.
    fn ask(&mut self, at: usize) -> Result<(), teleprompt_tpe::Error> {
        let Some(Slot::Trial(number)) = self.slots.get(at).copied() else { return Ok(()) };
        self.tell_up_to((at + 1).saturating_sub(self.run.config.search.trials_ahead))?;
        let trial = self.study.ask()?;
        let choices = self.choices(&trial.values);
        let all = self.run.val.len();
        let (kind, rows) = match self.run.config.minibatch(all) {
            None => (TrialKind::Full, (0..all).collect()),
            Some(size) => (TrialKind::Minibatch, self.draw_rows(number, size, all)),
        };
        self.begin(at, Some(trial.number), kind, choices, rows);
        Ok(())
    }

    /// Tells the study what came of all positions below `end`.
    fn tell_up_to(&mut self, end: usize) -> Result<(), teleprompt_tpe::Error> {
        while self.told < end {
            if let Some(unit) = self.units.get(&self.told) {
                match (unit.trial, unit.score) {
                    (Some(trial), Some(score)) => self.study.tell(trial, score)?,
                    (Some(trial), None) => self.study.tell_failed(trial)?,
                    (None, Some(score)) => {
                        let values = self.values(&unit.choices)?;
                        self.study.add_trial(&values, score)?;
                    }
                    (None, None) => {}
                }
            }
            self.told += 1;
        }
        Ok(())
    }

    /// Which combination the full evaluation at a position will be of, if that is certain before all trials up to it have
    /// ended. Under a cap it is not foreseen, for what is begun must be known to be affordable.
    fn certain(&self, at: usize, rows: &Rows<'_>) -> Option<Choices> {
        if at <= self.recorded || self.run.shared.purse.counts() {
            return None;
        }
        let mut running = Vec::new();
        for position in self.recorded..at {
            let unit = self.units.get(&position).filter(|unit| unit.kind == TrialKind::Minibatch)?;
            running
                .push((unit.choices.clone(), rows.progress(part::SEARCH + position as u64, unit.rows.len())));
        }
        certain(&self.minibatch, &running, |choices| self.is_done(choices)).cloned()
    }

    /// A combination that nothing before a position has tried, drawn by the seed.
    fn untried(&self, at: usize) -> Option<Choices> {
        let tried: Vec<&Choices> = self.units.range(..at).map(|(_, unit)| &unit.choices).collect();
        let mut random = rng::stream(self.run.config.seed, "untried", &[at as u64]);
        self.space.untried(&tried, &mut random)
    }

    /// Whether a combination has a full score.
    fn is_done(&self, choices: &Choices) -> bool {
        self.full.iter().any(|(done, _)| done == choices)
    }

    fn promote(&mut self, at: usize, choices: Choices) {
        self.begin(at, None, TrialKind::Full, choices, (0..self.run.val.len()).collect());
    }

    /// The rows of a trial's minibatch, in the order of the valset.
    fn draw_rows(&self, number: usize, size: usize, rows: usize) -> Vec<usize> {
        let mut drawn = rng::permutation(self.run.config.seed, "minibatch", &[number as u64], rows);
        drawn.truncate(size);
        drawn.sort_unstable();
        drawn
    }

    fn choices(&self, values: &Values) -> Choices {
        let mut choices = self.space.default_choices();
        for (i, choice) in choices.iter_mut().enumerate() {
            choice.instruction = values.choice(&instruction_param(i)).unwrap_or(0);
            choice.demos = choice.demos.map(|_| values.choice(&demos_param(i)).unwrap_or(0));
        }
        choices
    }

    fn values(&self, choices: &Choices) -> Result<Values, teleprompt_tpe::Error> {
        let mut by_name = BTreeMap::new();
        for (i, choice) in choices.iter().enumerate() {
            by_name.insert(instruction_param(i), choice.instruction);
            if let Some(demos) = choice.demos {
                by_name.insert(demos_param(i), demos);
            }
        }
        self.study.problem().space.values(
            by_name.iter().map(|(name, &index)| (name.as_str(), teleprompt_tpe::ParamValue::Choice(index))),
        )
    }
}

/// The reference's names of the parameters.
fn instruction_param(predictor: usize) -> String {
    format!("{predictor}_predictor_instruction")
}

fn demos_param(predictor: usize) -> String {
    format!("{predictor}_predictor_demos")
}
