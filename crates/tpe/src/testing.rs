//! A conformance suite for samplers, for those of this crate and a user's own (feature `testing`).
//!
//! It checks the contract of [`Sampler`]: values fit their space on spaces of every kind, suggestions depend
//! on the seed, the number and the sets of finished and pending trials alone, and history rebuilds the state.
//! It does not measure how well a sampler searches.
//!
//! ```
//! use teleprompt_tpe::{RandomSampler, testing};
//!
//! testing::check_sampler(|| RandomSampler)?;
//! # Ok::<(), testing::Violation>(())
//! ```

use rand::RngExt;
use rand::seq::SliceRandom;

use crate::{
    AskContext, Direction, Distribution, Error, FinishedTrial, Outcome, Problem, Sampler, SearchSpace, Study,
    Trial, Values,
};

/// A breach of the contract of [`Sampler`].
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("on space `{space}`: {breach}")]
pub struct Violation {
    /// The name of the space in [`spaces`].
    pub space: &'static str,
    /// What went wrong.
    #[source]
    pub breach: Breach,
}

/// What a [`Violation`] is about.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Breach {
    /// The sampler, or the study that checks its values, reported an error.
    #[error("trial {number} could not be asked or told")]
    Failed {
        /// The trial.
        number: u64,
        /// The error.
        #[source]
        error: Error,
    },
    /// A second run, equal in everything, went another way.
    #[error("trial {number} differs between two equal runs")]
    NotReproducible {
        /// The first trial that differs.
        number: u64,
    },
    /// A sampler that saw the same trials in another order suggests other values.
    #[error("trial {number} depends on the order in which trials were told")]
    OrderMatters {
        /// The trial that was asked.
        number: u64,
    },
    /// Asking once more, with nothing told in between, gives other values.
    #[error("trial {number} depends on earlier questions")]
    AskMatters {
        /// The trial that was asked.
        number: u64,
    },
}

/// How many trials each study of the suite has.
const N_TRIALS: u64 = 60;

/// Checks the samplers that `make` creates on all [`spaces`]; each must be fresh and configured alike.
///
/// # Errors
///
/// The first breach of the contract that is found.
pub fn check_sampler<S: Sampler>(mut make: impl FnMut() -> S) -> Result<(), Violation> {
    for (name, space) in spaces() {
        check_on(&space, &mut make).map_err(|breach| Violation { space: name, breach })?;
    }
    Ok(())
}

fn check_on<S: Sampler>(space: &SearchSpace, make: &mut impl FnMut() -> S) -> Result<(), Breach> {
    for objective in [rough, constant] {
        let first = run(space, make(), objective)?;
        let second = run(space, make(), objective)?;
        if let Some((trial, _)) = first.0.iter().zip(&second.0).find(|(a, b)| a != b) {
            return Err(Breach::NotReproducible { number: trial.number });
        }
        let (mut finished, pending) = first;
        let problem = Problem { space: space.clone(), direction: Direction::Minimize, seed: 11 };
        let number = (finished.len() + pending.len()) as u64;
        let cx = AskContext::new(&problem, number, &pending);
        let suggest =
            |sampler: &mut S| sampler.suggest(&cx).map_err(|error| Breach::Failed { number, error });
        let mut in_order = make();
        finished.iter().for_each(|trial| in_order.observe(&problem, trial));
        let values = suggest(&mut in_order)?;
        if suggest(&mut in_order)? != values {
            return Err(Breach::AskMatters { number });
        }
        finished.shuffle(&mut problem.rng("shuffle", 0));
        let mut shuffled = make();
        for (index, trial) in finished.iter().enumerate() {
            shuffled.observe(&problem, trial);
            // Questions in between must leave no trace either.
            if index % 7 == 3 {
                let cx = AskContext::new(&problem, number, &pending[..index % (pending.len() + 1)]);
                shuffled.suggest(&cx).map_err(|error| Breach::Failed { number, error })?;
            }
        }
        if suggest(&mut shuffled)? != values {
            return Err(Breach::OrderMatters { number });
        }
    }
    Ok(())
}

/// A study with failed, pruned, added and duplicated trials, told out of order; what is finished and what is
/// pending.
fn run<S: Sampler>(
    space: &SearchSpace,
    sampler: S,
    objective: fn(&Values) -> f64,
) -> Result<(Vec<FinishedTrial>, Vec<Trial>), Breach> {
    let mut study = Study::new(space.clone(), sampler, Direction::Minimize, 11);
    let mut rng = study.problem().rng("conformance", 0);
    for number in 0..N_TRIALS {
        let fail = |error| Breach::Failed { number, error };
        if number % 10 == 9 {
            let values = study.trials().next().map(|trial| trial.values.clone());
            if let Some(values) = values {
                study.add_trial(&values, objective(&values)).map_err(fail)?;
                continue;
            }
        }
        study.ask().map_err(fail)?;
        while study.pending().len() > 3 {
            let trial = study.pending()[rng.random_range(0..study.pending().len())].clone();
            let outcome = match trial.number % 8 {
                3 => Outcome::Failed,
                6 => Outcome::Pruned,
                _ => objective(&trial.values).into(),
            };
            study.tell(trial.number, outcome).map_err(fail)?;
        }
    }
    let state = study.state();
    Ok((state.finished, state.pending))
}

/// A deterministic objective with ties and both signs.
fn rough(values: &Values) -> f64 {
    let part = |value: crate::ParamValue| match value {
        crate::ParamValue::Choice(position) => position as f64,
        crate::ParamValue::Int(value) => (value % 7) as f64,
        crate::ParamValue::Float(value) => libm::log(value.abs() + 1e-300) / 100.0,
    };
    let sum: f64 = values.iter().map(|(_, value)| part(value)).sum();
    (sum * 4.0).round() / 4.0 - 2.0
}

fn constant(_: &Values) -> f64 {
    1.0
}

/// The spaces of the suite with their names: every kind of parameter, single values, extreme ranges,
/// conditions.
pub fn spaces() -> Vec<(&'static str, SearchSpace)> {
    let named = [
        ("choices", vec![("a", Distribution::indices(12)), ("b", Distribution::indices(3))]),
        ("one choice", vec![("a", Distribution::indices(1))]),
        (
            "single values among others",
            vec![
                ("a", Distribution::indices(1)),
                ("b", Distribution::float(2.0, 2.0)),
                ("c", Distribution::int(3, 3)),
                ("d", Distribution::stepped_float(0.0, 1.0, 3.0)),
                ("e", Distribution::indices(4)),
                ("f", Distribution::log_float(7.0, 7.0)),
            ],
        ),
        ("many choices", vec![("a", Distribution::indices(3000))]),
        ("floats", vec![("a", Distribution::float(-1.0, 3.0)), ("b", Distribution::log_float(1e-6, 1e3))]),
        (
            "grids",
            vec![
                ("a", Distribution::stepped_float(-1.0, 1.0, 0.1)),
                ("b", Distribution::int(-5, 40)),
                ("c", Distribution::stepped_int(0, 100, 7)),
                ("d", Distribution::log_int(1, 1_000_000)),
            ],
        ),
        (
            "fine grids",
            vec![
                ("a", Distribution::stepped_float(-1.0, 1.0, 1e-13)),
                ("b", Distribution::stepped_float(1e6, 2e6, 1e-4)),
            ],
        ),
        (
            "extreme ranges",
            vec![
                ("a", Distribution::float(-8e307, 8e307)),
                ("b", Distribution::log_float(1e-300, 1e300)),
                ("c", Distribution::float(0.0, 1e-300)),
                ("d", Distribution::float(1e300, 1.000_000_000_1e300)),
                ("e", Distribution::float(1.0, 1.0 + f64::EPSILON)),
                ("f", Distribution::int(-(1 << 53), 1 << 53)),
                ("g", Distribution::log_int(1, 1 << 53)),
                ("h", Distribution::float(0.0, 5e-324)),
            ],
        ),
    ];
    let built = named.into_iter().map(|(name, parameters)| {
        let builder =
            parameters.into_iter().fold(SearchSpace::builder(), |builder, (key, d)| builder.param(key, d));
        (name, builder.build())
    });
    let tree = SearchSpace::builder()
        .param("kind", Distribution::categorical(["linear", "tree", "net"]))
        .param_when("depth", Distribution::int(1, 12), "kind", [1])
        .param_when("layers", Distribution::indices(3), "kind", [2])
        .param("rate", Distribution::log_float(1e-4, 1.0))
        .param_when("width", Distribution::log_int(8, 512), "layers", [1, 2])
        .param_when("dropout", Distribution::stepped_float(0.0, 0.5, 0.125), "layers", [1, 2])
        .param_when("fixed", Distribution::indices(1), "kind", [1, 2])
        .build();
    built.chain([("conditions", tree)]).filter_map(|(name, space)| Some((name, space.ok()?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        AutoSampler, Dependence, GridSampler, QuasiRandomSampler, RandomSampler, TpeConfig, TpeSampler,
    };

    #[test]
    fn no_space_of_the_suite_is_lost() {
        assert_eq!(spaces().len(), 9);
    }

    #[test]
    fn samplers_of_this_crate_conform() {
        check_sampler(|| RandomSampler).unwrap();
        check_sampler(|| QuasiRandomSampler).unwrap();
        check_sampler(|| GridSampler::new(2).unwrap()).unwrap();
        check_sampler(|| Box::new(TpeSampler::default()) as Box<dyn Sampler>).unwrap();
        check_sampler(|| TpeSampler::new(TpeConfig::optuna()).unwrap()).unwrap();
        let tutorial = TpeConfig::tutorial();
        check_sampler(|| TpeSampler::new(tutorial.clone()).unwrap()).unwrap();
        // On these spaces and with so few trials it is the Gaussian process.
        check_sampler(AutoSampler::new).unwrap();
        let univariate = TpeConfig { dependence: Dependence::Univariate, ..TpeConfig::optuna() };
        check_sampler(|| TpeSampler::new(univariate.clone()).unwrap()).unwrap();
        let forgetful = TpeConfig { max_others: Some(7), ..TpeConfig::optuna() };
        check_sampler(|| TpeSampler::new(forgetful.clone()).unwrap()).unwrap();
        let eager =
            TpeConfig { n_startup_trials: 0, n_ei_candidates: 1, prior_weight: 1e-6, ..TpeConfig::optuna() };
        check_sampler(|| TpeSampler::new(eager.clone()).unwrap()).unwrap();
    }

    /// Breaks the contract in the way that its mode says.
    struct Broken {
        mode: u8,
        calls: u64,
    }

    impl Sampler for Broken {
        fn observe(&mut self, _: &Problem, trial: &FinishedTrial) {
            if self.mode == 1 {
                self.calls = self.calls.wrapping_mul(31).wrapping_add(trial.number);
            }
        }

        fn suggest(&mut self, cx: &AskContext<'_>) -> Result<Values, Error> {
            if self.mode == 0 {
                self.calls += 1;
            }
            if self.mode == 2 {
                return cx.problem.space.from_slots(vec![]);
            }
            RandomSampler.suggest(&AskContext::new(cx.problem, self.calls, cx.pending))
        }
    }

    #[test]
    fn breaches_are_found() {
        let breach = |mode| check_sampler(|| Broken { mode, calls: 0 }).unwrap_err().breach;
        assert!(matches!(breach(0), Breach::AskMatters { .. }));
        assert!(matches!(breach(1), Breach::OrderMatters { .. }));
        assert!(matches!(breach(2), Breach::Failed { number: 0, .. }));
    }
}
