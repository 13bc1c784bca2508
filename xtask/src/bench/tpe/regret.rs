//! How near to the optimum a search comes: 0 at the optimum, 1 at what 50 random points give.
//!
//! Every contender suggests, and this program evaluates, so all see the very same function and the very same noise
//! (drawn by seed and trial). What counts is the true value of the trial whose measured value was best. A peer is run
//! once for each problem and seed, and compared with each of our samplers.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use serde_json::json;
use teleprompt_tpe::{AutoSampler, Direction, RandomSampler, Sampler, Study, TpeConfig, TpeSampler};

use super::problems::{Half, Problem};
use super::space::{Point, described, parse, point_of, space_of};
use super::{RANDOM, failed};
use crate::bench::family::{Better, Case, Contender, Figure};
use crate::bench::peers::Peer;
use crate::bench::record::{Comparison, OURS};
use crate::bench::stats::SplitMix64;
use crate::error::Error;

/// Regrets below this are equal.
const REGRET_FLOOR: f64 = 1e-9;
/// How figures of this kind begin.
pub(super) const FIGURE: &str = "regret of";
/// And how those that sum up others go on.
pub(super) const SUMMARY: &str = ", geometric mean, worst and best of";

/// A sampler of ours that is compared with all peers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Entrant {
    /// TPE as it comes.
    Default,
    /// TPE with Optuna's settings.
    Optuna,
    /// A sampler chosen by space and noise.
    Auto,
}

impl Entrant {
    const ALL: [Self; 3] = [Self::Default, Self::Auto, Self::Optuna];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Default => "TPE",
            Self::Optuna => "TPE as Optuna's",
            Self::Auto => "Auto",
        }
    }

    pub(super) fn sampler(self) -> Result<Box<dyn Sampler>, Error> {
        let tpe =
            |config| TpeSampler::new(config).map(|tpe| Box::new(tpe) as Box<dyn Sampler>).map_err(failed);
        match self {
            Self::Default => tpe(TpeConfig::default()),
            Self::Optuna => tpe(TpeConfig::optuna()),
            Self::Auto => Ok(Box::new(AutoSampler::new())),
        }
    }
}

/// The cases of these problems, one for each of our samplers.
pub(super) fn cases(problems: Vec<Problem>) -> Vec<Box<dyn Case>> {
    let shared: Vec<_> = problems.into_iter().map(|problem| Rc::new(Shared::new(problem))).collect();
    let each = |entrant| {
        shared
            .iter()
            .map(move |shared| Box::new(Regret { shared: Rc::clone(shared), entrant }) as Box<dyn Case>)
    };
    Entrant::ALL.into_iter().flat_map(each).collect()
}

/// For every sampler of ours and contender, the geometric mean of the ratios on each half of the problems; the
/// interval has the worst and the best ratio.
pub(super) fn summary(comparisons: &[Comparison]) -> Vec<Comparison> {
    let mut groups: BTreeMap<(String, &str, String), Vec<&Comparison>> = BTreeMap::new();
    for comparison in comparisons.iter().filter(|comparison| comparison.ratio.is_some()) {
        let Some(rest) = comparison.name.strip_prefix(FIGURE) else { continue };
        let Some((entrant, problem)) = rest.split_once(',') else { continue };
        for half in [Half::Develop, Half::Kept] {
            if problem.contains(half.name()) {
                let key = (entrant.trim().to_owned(), half.name(), comparison.peer_name.clone());
                groups.entry(key).or_default().push(comparison);
            }
        }
    }
    let row = |((entrant, half, peer_name), group): ((String, &str, String), Vec<&Comparison>)| {
        let ratios = || group.iter().filter_map(|comparison| comparison.ratio);
        let mean = (ratios().map(f64::ln).sum::<f64>() / group.len() as f64).exp();
        Comparison {
            name: format!("{FIGURE} {entrant}{SUMMARY} {} {half} problems", group.len()),
            unit: "of chance".to_owned(),
            better: Better::Lower,
            ours: None,
            peer_name,
            peer: None,
            // The mean is taken in logarithms, and rounded.
            ratio: Some(mean),
            low: ratios().reduce(f64::min).map(|low| low.min(mean)),
            high: ratios().reduce(f64::max).map(|high| high.max(mean)),
            seeds: group.iter().map(|comparison| comparison.seeds).min().unwrap_or_default(),
            versions: BTreeMap::from([(OURS.to_owned(), env!("CARGO_PKG_VERSION").to_owned())]),
        }
    };
    groups.into_iter().map(row).collect()
}

/// A problem, and what is known of contenders that are compared more than once.
pub(super) struct Shared {
    pub(super) problem: Problem,
    /// The mean of the least of 50 random values.
    chance: f64,
    /// Regrets by contender and seed.
    known: RefCell<BTreeMap<(String, u64), f64>>,
}

/// How near to the optimum a number of trials comes.
struct Regret {
    shared: Rc<Shared>,
    entrant: Entrant,
}

impl Shared {
    pub(super) fn new(problem: Problem) -> Self {
        let chance = problem.best_of_random(50);
        Self { problem, chance, known: RefCell::default() }
    }

    /// Runs one search; `suggest` takes the last value and returns the next point. Gives the regret after each trial.
    fn search(
        &self,
        seed: u64,
        mut suggest: impl FnMut(Option<f64>) -> Result<Point, Error>,
    ) -> Result<Vec<f64>, Error> {
        let problem = &self.problem;
        let (mut best, mut last) = ((f64::INFINITY, f64::INFINITY), None);
        let mut regrets = Vec::new();
        for trial in 0..problem.trials {
            let value = problem.value(&suggest(last)?);
            // A number of its own for each trial, whoever asked before.
            let mut random = SplitMix64::new(seed << 32 | u64::from(trial));
            let measured = value + if problem.noise > 0.0 { problem.noise * random.normal() } else { 0.0 };
            if measured < best.0 {
                best = (measured, value);
            }
            last = Some(measured);
            regrets.push(((best.1 - problem.optimum) / (self.chance - problem.optimum)).max(0.0));
        }
        Ok(regrets)
    }

    pub(super) fn ours(&self, sampler: Box<dyn Sampler>, seed: u64) -> Result<Vec<f64>, Error> {
        let mut study = Study::new(space_of(&self.problem.space)?, sampler, Direction::Minimize, seed);
        let mut number = 0;
        self.search(seed, |last| {
            if let Some(value) = last {
                study.tell(number, value).map_err(failed)?;
            }
            let trial = study.ask().map_err(failed)?;
            number = trial.number;
            Ok(point_of(&trial.values))
        })
    }

    pub(super) fn theirs(&self, peer: &mut Peer, seed: u64) -> Result<Vec<f64>, Error> {
        let space = &self.problem.space;
        peer.request(&json!({"op": "start", "space": described(space), "seed": seed}))?;
        self.search(seed, |last| {
            if let Some(value) = last {
                peer.request(&json!({"op": "tell", "value": value}))?;
            }
            let answer = peer.request(&json!({"op": "ask"}))?;
            parse(space, &answer).ok_or_else(|| failed(format!("`{answer}` is no point of the space")))
        })
    }

    /// What a contender reached with this seed, run once.
    fn known(
        &self,
        name: &str,
        seed: u64,
        run: impl FnOnce() -> Result<Vec<f64>, Error>,
    ) -> Result<f64, Error> {
        let key = (name.to_owned(), seed);
        let known = self.known.borrow().get(&key).copied();
        match known {
            Some(regret) => Ok(regret),
            None => {
                let regret = last(&run()?);
                self.known.borrow_mut().insert(key, regret);
                Ok(regret)
            }
        }
    }
}

/// The regret at the end of a search.
fn last(regrets: &[f64]) -> f64 {
    regrets.last().copied().unwrap_or(f64::NAN)
}

impl Case for Regret {
    fn figure(&self) -> Figure {
        let Problem { name, trials, half, .. } = &self.shared.problem;
        let name = format!("{FIGURE} {}, {name}, {trials} trials ({})", self.entrant.name(), half.name());
        Figure { name, unit: "of chance", better: Better::Lower, floor: REGRET_FLOOR }
    }

    fn rivals(&self) -> &'static [&'static str] {
        &[RANDOM]
    }

    fn measure(&self, contender: &mut Contender<'_>, seed: u64) -> Result<f64, Error> {
        match contender {
            Contender::Ours => Ok(last(&self.shared.ours(self.entrant.sampler()?, seed)?)),
            Contender::Rival(RANDOM) => {
                self.shared.known(RANDOM, seed, || self.shared.ours(Box::new(RandomSampler), seed))
            }
            Contender::Rival(other) => Err(failed(format!("no rival `{other}`"))),
            Contender::Peer(peer) => {
                let name = peer.name().to_owned();
                self.shared.known(&name, seed, || self.shared.theirs(peer, seed))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::compare;
    use crate::bench::tpe::problems;

    fn some() -> Vec<Box<dyn Case>> {
        cases(problems::all().into_iter().filter(|problem| problem.name.starts_with("branin2")).collect())
    }

    #[test]
    fn a_search_is_a_function_of_its_seed() {
        for case in some() {
            let regret = |seed| case.measure(&mut Contender::Ours, seed).unwrap();
            assert_eq!(regret(1).to_bits(), regret(1).to_bits());
            assert!(regret(1) >= 0.0);
        }
    }

    #[test]
    fn a_summary_has_each_half_once() {
        let comparisons: Vec<_> =
            some().iter().flat_map(|case| compare::run(case.as_ref(), &mut [], 2).unwrap()).collect();
        let summary = summary(&comparisons);
        assert_eq!(summary.len(), 2 * Entrant::ALL.len(), "{summary:?}");
        for row in &summary {
            assert_eq!(row.problem(), None);
        }
    }
}
