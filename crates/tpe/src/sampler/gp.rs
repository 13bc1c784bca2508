//! Bayesian optimization with a Gaussian process: few trials, each of which should count.
//!
//! A process is fitted to all finished trials (up to a limit), on a scale of values that its own likelihood
//! chooses, and the point with the largest expected improvement is suggested. Pending and failed trials are
//! believed to turn out as predicted, which keeps suggestions away from them.
//!
//! ```text
//!   values ─► warp ─► fit lengths, signal, noise ─► expected improvement ◄── draws, moves, local search
//! ```
//!
//! Sources: Jones, Schonlau and Welch, *Efficient global optimization* (1998); Ament et al., *Unexpected
//! improvements* (arXiv:2310.20708) for the logarithm; Snelson et al., *Warped Gaussian processes* (2003).

mod cholesky;
mod model;
mod warp;

use std::collections::{BTreeMap, BTreeSet};

use rand::{Rng, RngExt};

use self::model::{Column, Hyper, Posterior, Seen};
use self::warp::Warp;
use super::{AskContext, Sampler, quasi_random};
use crate::axis::Dimension;
use crate::distribution::ParamValue;
use crate::error::Error;
use crate::space::{SearchSpace, Values};
use crate::trial::{FinishedTrial, Observation, Outcome, Problem, Rank};
use crate::truncnorm::LN_SQRT_2PI;

/// Observations that the process holds at most: its cost is their square, for each point that is looked at.
const MOST: usize = 200;
/// Observations that lengths and noise are fitted to at most: the cost of a step is their cube.
const MOST_FITTED: usize = 60;
/// Draws over the whole space, and around the best trials.
const DRAWS: usize = 200;
const MOVES: usize = 300;
/// How many of the best trials are moved from.
const CENTERS: usize = 5;
/// How many local searches there are, and how many points each looks at.
const CLIMBS: usize = 3;
const CLIMB: usize = 120;

/// Suggests by a Gaussian process with expected improvement.
///
/// Numbers, choices and conditions are all coordinates of one process. It reads the variance and the count of
/// an [`Observation`], and estimates the noise that it is not told of.
///
/// # Cost
///
/// Per ask about 1,000 times O(n²) for the search, where n is the number of trials, at most 200 of them: the best and
/// the newest. Some milliseconds with 100 trials. Each fit takes O(m³) with m at most 60; it begins from scratch when
/// there are a fifth more trials than the last time. Little per tell.
///
/// ```
/// use teleprompt_tpe::{Direction, Distribution, GpSampler, Observation, SearchSpace, Study};
///
/// let space = SearchSpace::builder().param("x", Distribution::float(-1.0, 2.0)).build()?;
/// let mut study = Study::new(space, GpSampler::new(), Direction::Minimize, 1);
/// for _ in 0..20 {
///     let trial = study.ask()?;
///     let mean_of_four = trial.values.float("x").unwrap_or(1.0).powi(2);
///     study.tell_with(trial.number, Observation::new(mean_of_four).with_count(4))?;
/// }
/// assert!(study.best().and_then(|best| best.value()) < Some(1e-3));
/// # Ok::<(), teleprompt_tpe::Error>(())
/// ```
///
/// # Limits
///
/// For up to about 20 parameters and some hundred trials; constraints are not modelled (infeasible trials
/// count as failed).
///
/// # Determinism
///
/// Reads the streams `halton` (start-up) and `gp` of the trial.
#[derive(Debug, Clone, Default)]
pub struct GpSampler {
    state: Option<State>,
}

#[derive(Debug, Clone)]
struct State {
    space: SearchSpace,
    /// The feasible trials with a value.
    told: BTreeMap<Rank, (Values, Observation)>,
    /// The values of trials without a usable value, by number.
    failed: BTreeMap<u64, Values>,
    /// Whether the points of the space can be counted.
    countable: bool,
    /// Every finished trial's values, where they can be counted.
    tried: BTreeSet<Vec<u64>>,
    dimensions: Vec<(usize, Dimension)>,
    /// What a point of the process holds.
    columns: Vec<Column>,
    fit: Option<Fit>,
}

/// What was fitted to the first trials with a value.
#[derive(Debug, Clone)]
struct Fit {
    /// How many trials it was fitted to, and the number of the last of them.
    rows: usize,
    last: u64,
    warp: Warp,
    hyper: Hyper,
}

impl GpSampler {
    /// A fresh sampler.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// How many trials of a problem are space-filling before the process is asked.
    pub(super) fn startup(space: &SearchSpace) -> usize {
        (space.len() + 3).min(10)
    }
}

impl Sampler for GpSampler {
    fn observe(&mut self, problem: &Problem, trial: &FinishedTrial) {
        self.state = self.state.take().filter(|state| state.space == problem.space);
        let state = self.state.get_or_insert_with(|| State::new(&problem.space));
        if state.countable {
            state.tried.insert(trial.values.key());
        }
        match (trial.rank(problem.direction), trial.outcome) {
            (Some(rank), Outcome::Complete(observation)) if rank.is_feasible() => {
                // A late trial is among those that were fitted.
                state.fit = state.fit.take().filter(|fit| trial.number > fit.last);
                let loss = problem.direction.loss(observation.value);
                let observation = Observation { value: loss, ..observation };
                state.told.insert(rank, (trial.values.clone(), observation));
            }
            _ => {
                state.failed.insert(trial.number, trial.values.clone());
            }
        }
    }

    fn suggest(&mut self, cx: &AskContext<'_>) -> Result<Values, Error> {
        let startup = Self::startup(&cx.problem.space);
        match &mut self.state {
            Some(state) if state.told.len() >= startup => state.suggest(cx),
            Some(state) => quasi_random::fresh(cx, |values| state.is_taken(values, cx)),
            None => quasi_random::fresh(cx, |_| false),
        }
    }
}

impl State {
    fn new(space: &SearchSpace) -> Self {
        let free = space.parameters().iter().enumerate().filter_map(|(index, parameter)| {
            let distribution = &parameter.distribution;
            distribution.only_value().is_none().then(|| (index, Dimension::new(distribution)))
        });
        let dimensions: Vec<(usize, Dimension)> = free.collect();
        let mut columns = Vec::new();
        for (parameter, (index, dimension)) in dimensions.iter().enumerate() {
            let label = matches!(dimension, Dimension::Categorical(_));
            columns.push(Column { parameter, label });
            if !label && space.parameters()[*index].condition.is_some() {
                columns.push(Column { parameter, label: true });
            }
        }
        let (told, failed, tried) = Default::default();
        let countable = space.cardinality().is_some();
        Self { space: space.clone(), told, failed, countable, tried, dimensions, columns, fit: None }
    }

    fn suggest(&mut self, cx: &AskContext<'_>) -> Result<Values, Error> {
        let mut rng = cx.rng("gp");
        self.refit();
        let Some((posterior, least)) = self.posterior(cx) else {
            return quasi_random::fresh(cx, |values| self.is_taken(values, cx));
        };
        let taken = |values: &Values| self.is_taken(values, cx);
        let mut buffer = Vec::new();
        let mut score = |values: &Values| {
            let (mean, deviation) = posterior.at(&self.point(values), &mut buffer);
            log_improvement((least - mean) / deviation) + libm::log(deviation)
        };
        let mut candidates: Vec<(f64, Values)> = Vec::new();
        let best: Vec<&Values> = self.told.values().take(CENTERS).map(|(values, _)| values).collect();
        for index in 0..DRAWS + MOVES {
            let values = match best.get(index % best.len().max(1)) {
                Some(center) if index >= DRAWS => {
                    let scale = libm::pow(10.0, -3.5 * rng.random::<f64>() - 0.3);
                    self.moved(center, scale, &mut rng)?
                }
                _ => self.drawn(&mut rng)?,
            };
            candidates.push((score(&values), values));
        }
        // Stable, so of equal scores the first comes first.
        candidates.sort_by(|a, b| b.0.total_cmp(&a.0));
        let mut top: Option<(f64, Values)> = None;
        for (start, values) in candidates.iter().take(CLIMBS) {
            let (mut current, mut height, mut scale) = (values.clone(), *start, 0.05);
            let mut found = (!taken(values)).then(|| (*start, values.clone()));
            for _ in 0..CLIMB {
                let values = self.moved(&current, scale, &mut rng)?;
                let value = score(&values);
                if found.as_ref().is_none_or(|(best, _)| value > *best) && !taken(&values) {
                    found = Some((value, values.clone()));
                }
                // The rule of one fifth, roughly.
                if value > height {
                    (current, height, scale) = (values, value, (scale * 1.8_f64).min(0.3));
                } else {
                    scale = (scale * 0.87).max(1e-5);
                }
            }
            if let Some(found) = found
                && top.as_ref().is_none_or(|(best, _)| found.0 > *best)
            {
                top = Some(found);
            }
        }
        let unknown = candidates.into_iter().find(|(_, values)| !taken(values));
        let top = match (top, unknown) {
            (Some(top), Some(unknown)) if unknown.0 > top.0 => Some(unknown),
            (top, unknown) => top.or(unknown),
        };
        match top {
            Some((_, values)) => Ok(values),
            // Every combination that comes to mind has been tried.
            None => quasi_random::fresh(cx, taken),
        }
    }

    /// Whether a point of a countable space is finished or pending.
    fn is_taken(&self, values: &Values, cx: &AskContext<'_>) -> bool {
        self.countable
            && (self.tried.contains(&values.key()) || cx.pending.iter().any(|trial| trial.values == *values))
    }

    /// Fits the process from scratch once the trials with a value are a fifth more than at the last fit: to the first of
    /// them by number, so that the fit is a function of their set. In between it is refined only.
    fn refit(&mut self) {
        let rows = rows_fitted(self.told.len());
        if self.fit.as_ref().is_some_and(|fit| fit.rows == rows) {
            return;
        }
        let mut numbers: Vec<u64> = self.told.keys().map(|rank| rank.number).collect();
        numbers.sort_unstable();
        let Some(&last) = rows.checked_sub(1).and_then(|place| numbers.get(place)) else { return };
        let first: Vec<&(Values, Observation)> =
            self.told.iter().filter(|(rank, _)| rank.number <= last).map(|(_, told)| told).collect();
        // On the scale of all.
        let part = part(rows);
        let observations: Vec<Observation> = first.iter().map(|(_, observation)| *observation).collect();
        let mut top: Option<(f64, Fit)> = None;
        for warp in Warp::all(&observations) {
            let Some(warped) = warp.apply(&observations) else { continue };
            let seen = part
                .iter()
                .map(|&index| self.seen(&first[index].0, &observations[index], warped.observations[index]));
            let (hyper, value) = Hyper::fit(&self.columns, &seen.collect::<Vec<_>>());
            let stretch: f64 = part.iter().map(|&index| warped.log_slopes[index]).sum();
            let evidence = value + stretch;
            if evidence.is_finite() && top.as_ref().is_none_or(|(best, _)| evidence > *best) {
                top = Some((evidence, Fit { rows, last, warp, hyper }));
            }
        }
        self.fit = top.map(|(_, fit)| fit);
    }

    /// The process on its own scale, and the least mean at a trial, which is to be improved.
    fn posterior(&self, cx: &AskContext<'_>) -> Option<(Posterior, f64)> {
        let Fit { warp, hyper, .. } = self.fit.as_ref()?;
        // The best half, and of the others the newest.
        let mut others: Vec<Rank> = self.told.keys().copied().skip(MOST / 2).collect();
        others.sort_unstable_by_key(|rank| std::cmp::Reverse(rank.number));
        others.truncate(MOST - MOST / 2);
        others.sort_unstable();
        let chosen: Vec<&(Values, Observation)> = (self.told.values().take(MOST / 2))
            .chain(others.iter().filter_map(|rank| self.told.get(rank)))
            .collect();
        let observations: Vec<Observation> = chosen.iter().map(|(_, observation)| *observation).collect();
        let warped = warp.apply(&observations).or_else(|| Warp::Identity.apply(&observations))?;
        let seen: Vec<Seen> = (chosen.iter().zip(&warped.observations))
            .map(|((values, observation), warped)| self.seen(values, observation, *warped))
            .collect();
        let some: Vec<Seen> = part(seen.len()).into_iter().map(|index| seen[index].clone()).collect();
        let hyper = hyper.refined(&self.columns, &some);
        let pending = cx.pending.iter().map(|trial| &trial.values);
        let newest_failed = self.failed.values().rev().take(MOST / 4);
        let believed: Vec<_> =
            pending.chain(newest_failed).take(MOST).map(|values| self.point(values)).collect();
        let posterior = Posterior::new(&self.columns, &hyper, &seen, &believed)?;
        let mut buffer = Vec::new();
        // Of noisy values the least is luck: what the process believes of it counts.
        let least = (seen.iter().take(MOST / 4))
            .map(|seen| posterior.at(&seen.point, &mut buffer).0)
            .fold(f64::INFINITY, f64::min);
        Some((posterior, least))
    }

    fn seen(&self, values: &Values, observation: &Observation, (value, variance): (f64, f64)) -> Seen {
        Seen { point: self.point(values), value, variance, count: observation.count as f64 }
    }

    fn point(&self, values: &Values) -> Vec<f64> {
        let mut point = Vec::with_capacity(self.columns.len());
        let mut columns = self.columns.iter().peekable();
        for (parameter, (index, dimension)) in self.dimensions.iter().enumerate() {
            let value = values.slots()[*index];
            while let Some(column) = columns.next_if(|column| column.parameter == parameter) {
                point.push(match (value, column.label) {
                    (Some(ParamValue::Choice(position)), _) => position as f64,
                    (Some(value), false) => dimension.cell(value).center,
                    (Some(_), true) => 0.0,
                    // In the middle of the numbers, under a label of its own.
                    (None, false) => 0.5,
                    (None, true) => -1.0,
                });
            }
        }
        point
    }

    /// A random point of the space.
    fn drawn(&self, rng: &mut impl Rng) -> Result<Values, Error> {
        let mut slots: Vec<Option<ParamValue>> = Vec::with_capacity(self.space.len());
        for (index, parameter) in self.space.parameters().iter().enumerate() {
            let u = rng.random();
            let active = self.space.is_active(index, &slots);
            slots.push(active.then(|| Dimension::new(&parameter.distribution).at(u)));
        }
        self.space.from_slots(slots)
    }

    /// A point near `center`: some coordinates moved by about `scale` of their range, or another choice.
    fn moved(&self, center: &Values, scale: f64, rng: &mut impl Rng) -> Result<Values, Error> {
        let n = self.dimensions.len().max(1);
        let always = rng.random_range(0..n);
        // One coordinate, some or all of them.
        let share = [0.0, 2.0 / n as f64, 1.0][rng.random_range(0..3)];
        let mut slots = vec![None; self.space.len()];
        let mut free = self.dimensions.iter().enumerate().peekable();
        for (index, parameter) in self.space.parameters().iter().enumerate() {
            let own = free.next_if(|(_, (own, _))| *own == index);
            let moves = own.is_some_and(|(place, _)| place == always || rng.random::<f64>() < share);
            let (u, sign) = (rng.random::<f64>(), if rng.random::<bool>() { 1.0 } else { -1.0 });
            if !self.space.is_active(index, &slots) {
                continue;
            }
            let old = center.slots()[index];
            slots[index] = match (old, own) {
                (Some(old), None) => Some(old),
                (Some(old), Some(_)) if !moves => Some(old),
                (Some(ParamValue::Choice(_)) | None, _) => {
                    Some(Dimension::new(&parameter.distribution).at(u))
                }
                (Some(old), Some((_, (_, dimension)))) => {
                    // Heavy tails: most moves are small, some are not. On a grid at least to the neighbour.
                    let cell = dimension.cell(old);
                    let least = if cell.extent < 1.0 { cell.extent } else { 0.0 };
                    let step = sign * (scale * u / (1.05 - u)).max(least);
                    Some(dimension.at((cell.center + step).clamp(0.0, 1.0)))
                }
            };
        }
        self.space.from_slots(slots)
    }
}

/// Of `n` trials, the best first, the places of those that a fit looks at: the best third, and others evenly.
fn part(n: usize) -> Vec<usize> {
    if n <= MOST_FITTED {
        return (0..n).collect();
    }
    let best = MOST_FITTED / 3;
    let rest = MOST_FITTED - best;
    (0..best).chain((0..rest).map(|k| best + k * (n - best) / rest)).collect()
}

/// Of `n` trials, how many the process is fitted to from scratch: it goes up in steps of about a fifth.
fn rows_fitted(n: usize) -> usize {
    let mut rows = 1;
    while rows + 1 + rows / 5 <= n {
        rows += 1 + rows / 5;
    }
    rows.min(n)
}

/// The log of the expected improvement of a normal variable in units of its deviation, where `z` is how far
/// its mean lies below the target: `ln (φ(z) + z Φ(z))`, to six digits also in the far tail.
fn log_improvement(z: f64) -> f64 {
    if z > -6.0 {
        let density = libm::exp(-0.5 * z * z - LN_SQRT_2PI);
        let mass = 0.5 * libm::erfc(-z * std::f64::consts::FRAC_1_SQRT_2);
        return libm::log(density + z * mass);
    }
    // φ(z)/z² · (1 − 3/z² + 15/z⁴ − 105/z⁶ ..): terms fall until there are as many as z²/2, and the last is half.
    let inverse = 1.0 / (z * z);
    let (mut term, mut sum) = (1.0, 0.0);
    for k in 1..=16 {
        term *= -inverse * f64::from(2 * k + 1);
        sum += if k == 16 { 0.5 * term } else { term };
    }
    -0.5 * z * z - LN_SQRT_2PI - 2.0 * libm::log(-z) + libm::log1p(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn improvements_are_continuous_and_rise() {
        let mut last = f64::NEG_INFINITY;
        for step in -400..100 {
            let value = log_improvement(f64::from(step) / 10.0);
            assert!(value > last, "{step}");
            last = value;
        }
    }

    #[test]
    fn improvements_match_high_precision() {
        let golden: Vec<[f64; 2]> =
            serde_json::from_str(include_str!("../../tests/golden/log_improvement.json")).unwrap();
        assert!(golden.len() > 25);
        for [z, expect] in golden {
            let found = log_improvement(z);
            assert!((found - expect).abs() < 1e-6 * expect.abs().max(1.0), "{z}: {found} is not {expect}");
        }
    }
}
