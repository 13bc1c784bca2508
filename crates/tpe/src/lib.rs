//! Bayesian optimization with tree-structured Parzen estimators: studies, ask and tell.
//!
//! A [`Study`] searches a [`SearchSpace`] for the values with the best outcome. It hands out a [`Trial`],
//! whoever asked evaluates it, and tells what came of it; the study never calls an objective, starts no
//! thread and reads no clock.
//!
//! ```
//! use teleprompt_tpe::{Direction, Distribution, SearchSpace, Study, TpeSampler};
//!
//! let space = SearchSpace::builder()
//!     .param("rate", Distribution::log_float(1e-5, 1.0))
//!     .param("layers", Distribution::int(1, 6))
//!     .param("activation", Distribution::categorical(["relu", "gelu", "tanh"]))
//!     .build()?;
//! let mut study = Study::new(space, TpeSampler::default(), Direction::Minimize, 7);
//! for _ in 0..60 {
//!     let trial = study.ask()?;
//!     let rate = trial.values.float("rate").unwrap_or(1.0);
//!     let layers = trial.values.int("layers").unwrap_or(1);
//!     let penalty = if trial.values.choice("activation") == Some(1) { 0.0 } else { 0.5 };
//!     let loss = (rate.log10() + 2.0).abs() + (layers - 4).abs() as f64 + penalty;
//!     study.tell(trial.number, loss)?;
//! }
//! let best = study.best().ok_or("no trial was told")?;
//! assert!(best.value() < Some(1.0));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # A tour
//!
//! - **Space.** A [`Distribution`] per parameter: choices, floats and integers, logarithmic or stepped.
//!   Parameters may depend on a choice ([`SearchSpaceBuilder::param_when`]). A space is checked when it is
//!   built, and every problem is reported.
//! - **Ask and tell.** [`Study::ask`] returns the values of all active parameters at once. [`Study::tell`]
//!   takes a value, an [`Observation`] (a value with what is known of its noise), or an [`Outcome`] without a
//!   value: failed and pruned trials never enter a density. NaN and infinities are errors.
//! - **Constraints.** Tell by how much they were violated ([`Observation::with_violation`]): feasible trials
//!   rank before all others, and [`Study::best`] is one of them.
//! - **Batches and workers.** Ask as often as you like before telling, and tell in any order. TPE counts
//!   pending trials among the bad ones (the "constant liar"), which keeps a batch apart.
//! - **What is known already.** [`Study::enqueue`] sets the values of a coming trial, [`Study::add_trial`]
//!   adds one that was evaluated elsewhere, for example the current configuration.
//! - **Resuming.** [`Study::state`] is plain data for `serde`; [`Study::restore`] goes on from it, suggesting
//!   what the first study would have.
//! - **Files and processes.** The module `journal` (feature `journal`) keeps a study in a file of Optuna's
//!   journal format, which several processes and Optuna itself can share.
//! - **Stopping.** [`Study::stop`] checks rules: trials, a target, patience, an exhausted space.
//! - **Understanding.** [`Study::importance`] says which parameters matter, [`TpeSampler::densities`] why TPE
//!   likes a point.
//! - **Noise.** The module [`bayes`] models scores of points on shared rows: how sure it is that one is better, and
//!   where another look would pay.
//! - **Own samplers.** Implement [`Sampler`]; the feature `testing` brings a suite that checks its contract.
//!
//! ```
//! use teleprompt_tpe::{Direction, Distribution, ParamValue, RandomSampler, SearchSpace, Study};
//!
//! let space = SearchSpace::builder().param("arm", Distribution::indices(5)).build()?;
//! let mut study = Study::new(space.clone(), RandomSampler, Direction::Maximize, 1);
//! study.add_trial(&space.values([("arm", ParamValue::Choice(0))])?, 0.25)?;
//! let batch = [study.ask()?, study.ask()?, study.ask()?];
//! study.tell(batch[2].number, 0.75)?;
//! study.tell_failed(batch[0].number)?;
//!
//! let state = study.state(); // to a file, and back
//! let mut resumed = Study::restore(state, RandomSampler)?;
//! assert_eq!(resumed.pending(), &batch[1..2]);
//! assert_eq!(resumed.ask()?, study.ask()?);
//! # Ok::<(), teleprompt_tpe::Error>(())
//! ```
//!
//! # Samplers
//!
//! | sampler | cost per ask | source |
//! |---|---|---|
//! | [`RandomSampler`] | parameters | |
//! | [`QuasiRandomSampler`] | parameters | Halton 1960, scrambled as in Matoušek 1998 |
//! | [`GridSampler`] | parameters | |
//! | [`TpeSampler`] | 24 x history x parameters, one tight loop | Bergstra et al. 2011; Watanabe, arXiv:2304.11127; the densities of Optuna 5.0 |
//!
//! [`TpeConfig::optuna`] has Optuna's densities, checked against numbers that Optuna 5.0.0 made; the random
//! draws are others. TPE knows no noise, and repeats values on small spaces.
//!
//! # Coming from Optuna
//!
//! | Optuna | here |
//! |---|---|
//! | `trial.suggest_float(..)` inside the objective | the space is declared first, conditions as a tree |
//! | `study.optimize(f, n)` | a loop over [`Study::ask`] and [`Study::tell`], with [`Study::stop`] |
//! | `TPESampler()`, `TPESampler(group=True)` | [`TpeSampler::default`]; parameters under one condition always share a density |
//! | `multivariate=False` | [`Dependence::Univariate`] |
//! | `constant_liar=True` | always |
//! | `GridSampler`, `QMCSampler`, `RandomSampler` | [`GridSampler`], [`QuasiRandomSampler`], [`RandomSampler`] |
//! | `set_constraint` | [`Observation::with_violation`] |
//! | `PedAnovaImportanceEvaluator` | [`Study::importance`] |
//! | `JournalStorage` | the module `journal` |
//! | pruned trials enter the densities | they do not |
//! | several objectives, pruners, CMA-ES, Gaussian processes | not here |
//!
//! # Determinism
//!
//! The values of a trial depend on the seed, the trial's number and the *sets* of finished and pending
//! trials, never on the order of tells. Each trial reads its own ChaCha8 streams ([`Problem::rng`]);
//! logarithms and exponentials come from `libm`, so a search is the same on every machine.

mod axis;
pub mod bayes;
mod distribution;
mod error;
mod importance;
#[cfg(feature = "journal")]
pub mod journal;
mod parzen;
mod sampler;
mod space;
mod stop;
mod study;
#[cfg(feature = "testing")]
pub mod testing;
mod trial;
mod truncnorm;
mod weights;

pub use crate::distribution::{Choice, Distribution, ParamValue};
pub use crate::error::{Error, SpaceError};
pub use crate::sampler::{
    AskContext, Densities, Dependence, Gamma, GridSampler, QuasiRandomSampler, RandomSampler, Sampler,
    TpeConfig, TpeSampler,
};
pub use crate::space::{Condition, Parameter, SearchSpace, SearchSpaceBuilder, Values};
pub use crate::stop::Stop;
pub use crate::study::{Study, StudyState};
pub use crate::trial::{Direction, FinishedTrial, Observation, Outcome, Problem, Trial};
pub use crate::weights::Weights;
