//! The tree-structured Parzen estimator: asks where good trials are dense and the others are not.
//!
//! Finished trials are ranked by value, infeasible ones after all others by their violation; the best γ(n)
//! form the density l(x), the others and all pending trials (the "constant liar") form g(x). Of 24 draws from
//! l(x) the one with the largest l(x) / g(x) is suggested. Nothing is fitted and noise is not modelled: one
//! lucky value makes a trial good for long.
//!
//! ```text
//!   observe ─► ranking ─► best γ(n) ─► l ──draw──► candidates ──► argmax log l − log g
//!                     └─► others ────► g ◄── pending
//! ```
//!
//! Sources: Bergstra et al., *Algorithms for hyper-parameter optimization* (2011); Watanabe, *Tree-structured
//! Parzen estimator* (arXiv:2304.11127); behaviour of `optuna 5.0 samplers/_tpe/sampler.py`.

mod config;
mod group;

use std::collections::{BTreeMap, BTreeSet};

pub use self::config::{Dependence, Gamma, Startup, TpeConfig};
use self::group::Group;
use super::{AskContext, RandomSampler, Sampler, quasi_random};
use crate::distribution::ParamValue;
use crate::error::Error;
use crate::parzen::Shape;
use crate::space::{SearchSpace, Values};
use crate::trial::{FinishedTrial, Problem, Rank};
use crate::weights::Weights;

/// The two log densities of TPE at a point.
///
/// In units of each parameter's own scale (for a logarithmic one: of its logarithm); on grids and choices log
/// probabilities. Inactive parameters and those with one value contribute nothing.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Densities {
    /// `ln l(x)`, of the good trials.
    pub log_l: f64,
    /// `ln g(x)`, of the other and the pending trials.
    pub log_g: f64,
}

/// Suggests values by tree-structured Parzen estimators.
///
/// ```
/// use teleprompt_tpe::{AskContext, Direction, Distribution, ParamValue, SearchSpace, Study, TpeSampler};
///
/// let space = SearchSpace::builder().param("x", Distribution::float(0.0, 1.0)).build()?;
/// let mut study = Study::new(space.clone(), TpeSampler::default(), Direction::Minimize, 1);
/// for _ in 0..40 {
///     let trial = study.ask()?;
///     study.tell(trial.number, (trial.values.float("x").unwrap_or(0.0) - 0.3).abs())?;
/// }
/// // Why it likes 0.3 and not 0.9: the good trials are dense there, and the others are not.
/// let mut sampler = study.sampler().clone();
/// let mut liking = |x: f64| -> Result<f64, teleprompt_tpe::Error> {
///     let values = space.values([("x", ParamValue::Float(x))])?;
///     let densities = sampler.densities(&AskContext::new(study.problem(), 40, &[]), &values)?;
///     Ok(densities.log_l - densities.log_g)
/// };
/// assert!(liking(0.3)? > liking(0.9)?);
/// # Ok::<(), teleprompt_tpe::Error>(())
/// ```
///
/// # Cost
///
/// Per ask, up to `n_ei_candidates` passes over history times parameters: linear in both, in tight loops that
/// drop trials too far away to count, and candidates that the newest eighth of the trials shows to be beaten.
/// Per tell, O(log trials) and two neighbours per parameter. [`TpeConfig::max_others`] bounds the history
/// that is looked at.
///
/// # Determinism
///
/// Reads the streams `random` (start-up) or `tpe` of the trial; trials of equal rank are told apart by
/// number.
#[derive(Debug, Clone, Default)]
pub struct TpeSampler {
    config: TpeConfig,
    state: Option<State>,
}

impl TpeSampler {
    /// A sampler with these settings.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] for a setting out of its range.
    pub fn new(config: TpeConfig) -> Result<Self, Error> {
        config.check()?;
        Ok(Self { config, state: None })
    }

    /// The settings.
    pub fn config(&self) -> &TpeConfig {
        &self.config
    }

    /// The densities at `values`, given what was observed and the pending trials of `cx`.
    ///
    /// # Errors
    ///
    /// As [`SearchSpace::values`], where `values` are not of the space of `cx`.
    pub fn densities(&mut self, cx: &AskContext<'_>, values: &Values) -> Result<Densities, Error> {
        let values = cx.problem.space.adopt(values)?;
        let state = self.state(cx.problem);
        state.synchronize(cx);
        let mut sum = Densities { log_l: 0.0, log_g: 0.0 };
        for group in &mut state.groups {
            if let Some(Densities { log_l, log_g }) = group.densities(values.slots()) {
                sum.log_l += log_l;
                sum.log_g += log_g;
            }
        }
        Ok(sum)
    }

    fn state(&mut self, problem: &Problem) -> &mut State {
        let config = &self.config;
        // A sampler serves one problem; one that is handed another starts anew.
        self.state = self.state.take().filter(|state| state.space == problem.space);
        self.state.get_or_insert_with(|| State::new(&problem.space, config))
    }
}

impl Sampler for TpeSampler {
    fn observe(&mut self, problem: &Problem, trial: &FinishedTrial) {
        let gamma = self.config.gamma;
        let state = self.state(problem);
        state.forget_pending(trial.number);
        if let Some(tried) = &mut state.tried {
            tried.insert(trial.values.key());
        }
        if let Some(rank) = trial.rank(problem.direction) {
            state.rank(rank, trial.values.slots(), gamma);
        }
    }

    fn suggest(&mut self, cx: &AskContext<'_>) -> Result<Values, Error> {
        let TpeConfig { n_startup_trials, n_ei_candidates, startup, .. } = self.config;
        let state = self.state(cx.problem);
        if state.good.len() + state.others.len() < n_startup_trials {
            return match startup {
                Startup::Random => RandomSampler.suggest(cx),
                Startup::SpaceFilling => quasi_random::fresh(cx, |values| state.is_tried(values, cx)),
            };
        }
        state.synchronize(cx);
        let (space, mut rng) = (&cx.problem.space, cx.rng("tpe"));
        for _ in 0..ATTEMPTS {
            let mut slots = vec![None; space.len()];
            for group in &mut state.groups {
                if space.is_active(group.first, &slots) {
                    group.suggest(n_ei_candidates, &mut rng, &mut slots);
                }
            }
            let values = space.from_slots(slots)?;
            if !state.is_tried(&values, cx) {
                return Ok(values);
            }
        }
        quasi_random::fresh(cx, |values| state.is_tried(values, cx))
    }
}

/// So often the densities are asked anew where a point was tried before; then good points are known, and others
/// are looked for.
const ATTEMPTS: u32 = 20;

/// What the observed and the pending trials amount to.
#[derive(Debug, Clone)]
struct State {
    space: SearchSpace,
    /// The trials in the densities of good ones; each ranks before all others.
    good: BTreeSet<Rank>,
    /// The other trials with a value.
    others: BTreeSet<Rank>,
    /// The pending trials that are in the other densities, ascending.
    joined: Vec<u64>,
    /// Sets of parameters with a density of their own; a parent's group stands before its children's.
    groups: Vec<Group>,
    /// The points of the finished trials, where none shall be repeated.
    tried: Option<BTreeSet<Vec<u64>>>,
    weights: Weights,
}

impl State {
    fn new(space: &SearchSpace, config: &TpeConfig) -> Self {
        let shape = |bandwidth| Shape {
            weights: config.weights,
            prior_weight: config.prior_weight,
            bandwidth,
            least_cells: config.least_cells,
        };
        let (below, above) = (shape(config.good_bandwidth), shape(config.other_bandwidth));
        let max_above = config.max_others.unwrap_or(usize::MAX);
        let parameters = space.parameters();
        let mut sets: Vec<Vec<usize>> = Vec::new();
        for (index, parameter) in parameters.iter().enumerate() {
            let same = |set: &&mut Vec<usize>| parameters[set[0]].condition == parameter.condition;
            match sets.iter_mut().find(same) {
                Some(set) if config.dependence == Dependence::Multivariate => set.push(index),
                _ => sets.push(vec![index]),
            }
        }
        let groups = sets.iter().map(|set| Group::new(space, set, below, above, max_above)).collect();
        let tried = (!config.repeat && space.cardinality().is_some()).then(BTreeSet::new);
        let (good, others, joined) = Default::default();
        Self { space: space.clone(), good, others, joined, groups, tried, weights: config.weights }
    }

    /// Ranks a trial and moves the border between good and other trials to where it belongs.
    fn rank(&mut self, rank: Rank, slots: &[Option<ParamValue>], gamma: Gamma) {
        let good = self.good.last().is_some_and(|last| rank < *last);
        if good { &mut self.good } else { &mut self.others }.insert(rank);
        for group in &mut self.groups {
            group.insert(rank.number, slots, good);
        }
        let target = gamma.count(self.good.len() + self.others.len());
        while self.good.len() < target
            && let Some(rank) = self.others.pop_first()
        {
            self.good.insert(rank);
            self.groups.iter_mut().for_each(|group| group.shift(rank.number, true));
        }
        while self.good.len() > target
            && let Some(rank) = self.good.pop_last()
        {
            self.others.insert(rank);
            self.groups.iter_mut().for_each(|group| group.shift(rank.number, false));
        }
    }

    /// Whether a point shall not be suggested, for it is finished or pending.
    fn is_tried(&self, values: &Values, cx: &AskContext<'_>) -> bool {
        self.tried.as_ref().is_some_and(|tried| {
            tried.contains(&values.key()) || cx.pending.iter().any(|trial| trial.values == *values)
        })
    }

    fn forget_pending(&mut self, number: u64) {
        if let Ok(at) = self.joined.binary_search(&number) {
            self.joined.remove(at);
            for group in &mut self.groups {
                group.remove_above(number);
            }
        }
    }

    /// Makes the pending trials in the densities those of `cx`, and the densities ready for use.
    fn synchronize(&mut self, cx: &AskContext<'_>) {
        let pending = |number: &u64| cx.pending.binary_search_by_key(number, |trial| trial.number).is_ok();
        let gone: Vec<u64> = self.joined.iter().copied().filter(|number| !pending(number)).collect();
        for number in gone {
            self.forget_pending(number);
        }
        for trial in cx.pending {
            if let Err(at) = self.joined.binary_search(&trial.number) {
                self.joined.insert(at, trial.number);
                for group in &mut self.groups {
                    group.insert(trial.number, trial.values.slots(), false);
                }
            }
        }
        let weights = match self.weights {
            Weights::Uniform | Weights::Recent => None,
            Weights::Rank => Some(self.by_rank()),
            Weights::Improvement => self.improvements(),
        };
        for group in &mut self.groups {
            group.refresh(weights.as_ref());
        }
    }

    /// What each good trial counts by its rank.
    fn by_rank(&self) -> BTreeMap<u64, f64> {
        let n = self.good.len();
        let mut weight = 0.0;
        // From the last to the best, so that each adds to the one after it.
        let weigh = |(after, rank): (usize, &Rank)| {
            weight += 1.0 / (n - after) as f64;
            (rank.number, weight)
        };
        self.good.iter().rev().enumerate().map(weigh).collect()
    }

    /// By how much each good trial is better than the best of the others, in units of the mean; `None` where that
    /// means nothing.
    fn improvements(&self) -> Option<BTreeMap<u64, f64>> {
        let threshold = self.others.first().filter(|rank| rank.is_feasible())?.loss;
        // Halves, so that the difference of any two losses is finite.
        let better = |rank: &Rank| 0.5 * threshold - 0.5 * rank.loss;
        let largest = self.good.first().map(better).filter(|largest| *largest > 0.0)?;
        // No weight is 0.
        let share = |rank: &Rank| (better(rank) / largest).max(1e-12);
        let mean = self.good.iter().map(share).sum::<f64>() / self.good.len() as f64;
        Some(self.good.iter().map(|rank| (rank.number, share(rank) / mean)).collect())
    }
}
