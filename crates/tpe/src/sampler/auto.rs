//! A sampler that chooses among others, by the space and by what was told, and says why.
//!
//! It holds no method of its own. Few trials in few dimensions are worth a Gaussian process, which also knows
//! noise; many trials or dimensions are TPE's, whose cost per trial stays small, and so are constraints. A process that
//! is mistaken about a function stays so, for it looks where it believes: every third trial is TPE's all the same.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{AskContext, GpSampler, Sampler, TpeSampler};
use crate::error::Error;
use crate::space::{SearchSpace, Values};
use crate::trial::{FinishedTrial, Problem};

/// With more parameters than this that have a choice, distances say little and a process costs much.
const MOST_PARAMETERS: usize = 24;
/// With more trials than this a process costs more than most objectives.
const MOST_TRIALS: usize = 300;
/// One of so many trials is TPE's where the others are the process's.
const HEDGE: u64 = 3;

/// What an [`AutoSampler`] picked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Pick {
    /// [`GpSampler`].
    GaussianProcess,
    /// [`TpeSampler`] with its default settings.
    Tpe,
}

/// Why an [`AutoSampler`] picked what it picked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Reason {
    /// Few trials in few dimensions: a model of all of them is affordable, and every trial should count.
    FewTrials,
    /// One of three trials does not rely on the process.
    Hedge,
    /// So many parameters have more than one value.
    ManyParameters(usize),
    /// So many trials have a value.
    ManyTrials(usize),
    /// A trial violated constraints.
    Constraints,
}

impl fmt::Display for Pick {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::GaussianProcess => "Gaussian process",
            Self::Tpe => "TPE",
        })
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FewTrials => write!(
                f,
                "at most {MOST_PARAMETERS} parameters and {MOST_TRIALS} trials: a model of all of them is affordable"
            ),
            Self::Hedge => write!(f, "one of {HEDGE} trials does not rely on the Gaussian process"),
            Self::ManyParameters(n) => write!(f, "{n} parameters, more than {MOST_PARAMETERS}"),
            Self::ManyTrials(n) => write!(f, "{n} trials, more than {MOST_TRIALS}"),
            Self::Constraints => {
                f.write_str("a trial violated constraints, which a Gaussian process does not model")
            }
        }
    }
}

/// Picks a sampler for each trial.
///
/// ```
/// use teleprompt_tpe::{AutoSampler, Direction, Distribution, Pick, SearchSpace, Study};
///
/// let space = SearchSpace::builder().param("x", Distribution::float(-1.0, 2.0)).build()?;
/// let mut study = Study::new(space, AutoSampler::new(), Direction::Minimize, 7);
/// for _ in 0..25 {
///     let trial = study.ask()?;
///     study.tell(trial.number, trial.values.float("x").unwrap_or(1.0).powi(2))?;
/// }
/// let (pick, reason) = study.sampler().pick(&study.problem().space, 25);
/// assert_eq!(pick, Pick::GaussianProcess);
/// println!("{pick}: {reason}");
/// assert!(study.best().and_then(|best| best.value()) < Some(1e-4));
/// # Ok::<(), teleprompt_tpe::Error>(())
/// ```
///
/// # Cost
///
/// That of the sampler it picks; both see every trial.
///
/// # Determinism
///
/// The pick is a function of the space, the trial's number and the set of finished trials.
#[derive(Debug, Clone, Default)]
pub struct AutoSampler {
    process: GpSampler,
    tpe: TpeSampler,
    /// How many trials have a value.
    valued: usize,
    infeasible: bool,
}

impl AutoSampler {
    /// A fresh sampler.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// What trial `number` would come from if it were asked for now, and why.
    #[must_use]
    pub fn pick(&self, space: &SearchSpace, number: u64) -> (Pick, Reason) {
        let free = space.parameters().iter().filter(|p| p.distribution.only_value().is_none()).count();
        if self.infeasible {
            (Pick::Tpe, Reason::Constraints)
        } else if free > MOST_PARAMETERS {
            (Pick::Tpe, Reason::ManyParameters(free))
        } else if self.valued > MOST_TRIALS {
            (Pick::Tpe, Reason::ManyTrials(self.valued))
        } else if number % HEDGE == HEDGE - 1 {
            (Pick::Tpe, Reason::Hedge)
        } else {
            (Pick::GaussianProcess, Reason::FewTrials)
        }
    }
}

impl Sampler for AutoSampler {
    fn observe(&mut self, problem: &Problem, trial: &FinishedTrial) {
        if let Some(rank) = trial.rank(problem.direction) {
            self.valued += 1;
            self.infeasible |= !rank.is_feasible();
        }
        self.process.observe(problem, trial);
        self.tpe.observe(problem, trial);
    }

    fn suggest(&mut self, cx: &AskContext<'_>) -> Result<Values, Error> {
        match self.pick(&cx.problem.space, cx.number).0 {
            Pick::GaussianProcess => self.process.suggest(cx),
            Pick::Tpe => self.tpe.suggest(cx),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Direction, Distribution, Observation, RandomSampler, Study};

    #[test]
    fn it_says_what_it_picks_and_why() {
        let space = |n| {
            let add = |builder: crate::SearchSpaceBuilder, index: usize| {
                builder.param(format!("p{index}"), Distribution::indices(1 + index.min(1)))
            };
            (0..n).fold(SearchSpace::builder(), add).build().unwrap()
        };
        // The first parameter has one value only.
        assert_eq!(AutoSampler::new().pick(&space(25), 0).0, Pick::GaussianProcess);
        assert_eq!(AutoSampler::new().pick(&space(25), 5), (Pick::Tpe, Reason::Hedge));
        assert_eq!(AutoSampler::new().pick(&space(26), 0), (Pick::Tpe, Reason::ManyParameters(25)));

        let mut told = Study::new(space(3), RandomSampler, Direction::Minimize, 0);
        let mut auto = AutoSampler::new();
        let mut see = |outcome: crate::Outcome, auto: &mut AutoSampler| {
            let number = told.ask().unwrap().number;
            told.tell(number, outcome).unwrap();
            auto.observe(told.problem(), told.trials().last().unwrap());
        };
        for _ in 0..MOST_TRIALS {
            see(1.0.into(), &mut auto);
        }
        see(crate::Outcome::Failed, &mut auto);
        assert_eq!(auto.pick(&space(3), 0).1, Reason::FewTrials);
        see(1.0.into(), &mut auto);
        assert_eq!(auto.pick(&space(3), 0), (Pick::Tpe, Reason::ManyTrials(MOST_TRIALS + 1)));
        see(Observation::new(0.0).with_violation(1.0).into(), &mut auto);
        assert_eq!(auto.pick(&space(3), 0).1, Reason::Constraints);
    }
}
