//! Bayesian optimization with tree-structured Parzen estimators: studies, ask and tell.
//!
//! A [`Study`] searches a [`SearchSpace`] for the values with the best outcome. It hands out a [`Trial`],
//! whoever asked evaluates it, and tells what came of it; the study starts no thread and reads no clock.
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
//!   built, and every problem is reported. A [`TypedStudy`] finds the space out from the function that builds
//!   your configuration.
//! - **Ask and tell.** [`Study::ask`] returns the values of all active parameters at once. [`Study::tell`]
//!   takes a value, an [`Observation`] (a value with what is known of its noise), or an [`Outcome`] without a
//!   value: failed and pruned trials never enter a density. NaN and infinities are errors.
//! - **Constraints.** Tell by how much they were violated ([`Observation::with_violation`]): feasible trials
//!   rank before all others, and [`Study::best`] is one of them.
//! - **What is known already.** [`Study::enqueue`] sets the values of a coming trial, [`Study::add_trial`]
//!   adds one that was evaluated elsewhere, for example the current configuration.
//! - **Files and processes.** The module `journal` (feature `journal`) keeps a study in a file of Optuna's
//!   journal format, which several processes and Optuna itself can share.
//! - **Stopping.** [`Study::stop`] checks rules: trials, a target, patience, an exhausted space.
//!   [`Study::optimize`] is the loop for one thread, with a callback for each trial.
//! - **Understanding.** [`Study::importance`] says which parameters matter, [`TpeSampler::densities`] why TPE
//!   likes a point, [`AutoSampler::pick`] what the next trial comes from.
//! - **Noise.** The module [`bayes`] models scores of points on shared rows: how sure it is that one is better, and
//!   where another look would pay.
//! - **Own samplers.** Implement [`Sampler`], as below; the feature `testing` brings a suite that checks its contract.
//!
//! # Ask and tell in a service
//!
//! A study is plain data between two calls, so a service asks in one request and tells in another; trials are
//! known by their number, and it does not matter in which order or whether they are told.
//!
//! ```
//! use teleprompt_tpe::{AutoSampler, Direction, Distribution, Error, SearchSpace, Study, Trial};
//!
//! struct Tuner(Study<AutoSampler>);
//!
//! impl Tuner {
//!     /// `POST /trials`
//!     fn next(&mut self) -> Result<Trial, Error> {
//!         self.0.ask()
//!     }
//!     /// `POST /trials/{number}`
//!     fn report(&mut self, number: u64, loss: Option<f64>) -> Result<(), Error> {
//!         match loss {
//!             Some(loss) => self.0.tell(number, loss),
//!             None => self.0.tell_failed(number),
//!         }
//!     }
//! }
//!
//! let space = SearchSpace::builder().param("timeout", Distribution::log_int(1, 600)).build()?;
//! let mut tuner = Tuner(Study::new(space, AutoSampler::new(), Direction::Minimize, 7));
//! let (first, second) = (tuner.next()?, tuner.next()?);
//! tuner.report(second.number, Some(3.5))?;
//! tuner.report(first.number, None)?;
//! assert!(matches!(tuner.report(9, Some(1.0)), Err(Error::UnknownTrial { number: 9 })));
//! # Ok::<(), Error>(())
//! ```
//!
//! # Batches and resuming
//!
//! [`Study::ask_batch`] gives trials to be evaluated at once. TPE counts pending trials among the bad ones (the
//! "constant liar"), a Gaussian process believes them to turn out as predicted; both keep a batch apart.
//! [`Study::state`] is plain data for `serde`; [`Study::restore`] goes on from it with a fresh sampler,
//! suggesting what the first study would have.
//!
//! ```
//! use teleprompt_tpe::{Direction, Distribution, ParamValue, RandomSampler, SearchSpace, Study};
//!
//! let space = SearchSpace::builder().param("arm", Distribution::indices(5)).build()?;
//! let mut study = Study::new(space.clone(), RandomSampler, Direction::Maximize, 1);
//! study.add_trial(&space.values([("arm", ParamValue::Choice(0))])?, 0.25)?;
//! let batch = study.ask_batch(3)?;
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
//! | sampler | cost per ask, n trials, D parameters | for | source |
//! |---|---|---|---|
//! | [`AutoSampler`] | of what it picks | not having to choose: two of three trials the process's where it can be afforded | |
//! | [`GpSampler`] | 1,000 O(n²), n up to 200; now and then a fit | up to some hundred trials, 24 parameters; noise | Jones et al. 1998; arXiv:2310.20708, arXiv:2402.02229 |
//! | [`TpeSampler`] | 24 n D, one tight loop | many trials or parameters, constraints | Bergstra et al. 2011; Watanabe, arXiv:2304.11127; the densities of Optuna 5.0 |
//! | [`QuasiRandomSampler`] | D | covering a space | Halton 1960, scrambled as in Matoušek 1998 |
//! | [`RandomSampler`] | D | a baseline | |
//! | [`GridSampler`] | D | small spaces, completely | |
//!
//! [`TpeConfig::default`] is what measures best over a catalogue of problems, [`TpeConfig::optuna`] has Optuna's
//! densities, checked against numbers that Optuna 5.0.0 made (the random draws are others),
//! [`TpeConfig::tutorial`] the settings of Watanabe's tutorial. TPE knows no noise: one lucky value makes a
//! trial good for long. With [`TpeConfig::max_others`] its cost stops growing with the history.
//!
//! **Own samplers.** Implement [`Sampler`], two methods; the feature `testing` brings a suite that checks its
//! contract. `observe` may keep any state that the history can rebuild.
//!
//! # Coming from Optuna
//!
//! | Optuna | here |
//! |---|---|
//! | `trial.suggest_float(..)` inside the objective | the space is declared first, conditions as a tree, or found out by [`TypedStudy`] |
//! | `TPESampler()`, `TPESampler(group=True)` | [`TpeSampler::default`]; parameters under one condition always share a density |
//! | `multivariate=False` | [`Dependence::Univariate`] |
//! | `constant_liar=True` | always |
//! | `GridSampler`, `QMCSampler`, `RandomSampler` | [`GridSampler`], [`QuasiRandomSampler`], [`RandomSampler`] |
//! | `set_constraint` | [`Observation::with_violation`] |
//! | `PedAnovaImportanceEvaluator` | [`Study::importance`] |
//! | `JournalStorage` | the module `journal` |
//! | pruned trials enter the densities | they do not |
//! | `GPSampler` | [`GpSampler`] |
//! | `study.optimize(f, n, callbacks=[..])` | [`Study::optimize`] |
//! | `enqueue_trial`, `add_trial` | [`Study::enqueue`], [`Study::add_trial`] |
//! | several objectives, pruners, CMA-ES | not here |
//!
//! # Determinism
//!
//! The values of a trial depend on the seed, the trial's number and the *sets* of finished and pending
//! trials, never on the order of tells. Each trial reads its own ChaCha8 streams ([`Problem::rng`]);
//! logarithms and exponentials come from `libm`, so a search is the same on every machine.

mod axis;
mod bandwidth;
pub mod bayes;
mod distribution;
mod error;
mod importance;
#[cfg(feature = "journal")]
pub mod journal;
mod optimize;
mod parzen;
mod sampler;
mod space;
mod stop;
mod study;
#[cfg(feature = "testing")]
pub mod testing;
mod trial;
mod truncnorm;
mod typed;
mod weights;

pub use crate::bandwidth::Bandwidth;
pub use crate::distribution::{Choice, Distribution, ParamValue};
pub use crate::error::{Error, SpaceError};
pub use crate::sampler::{
    AskContext, AutoSampler, Densities, Dependence, Gamma, GpSampler, GridSampler, Pick, QuasiRandomSampler,
    RandomSampler, Reason, Sampler, Startup, TpeConfig, TpeSampler,
};
pub use crate::space::{Condition, Parameter, SearchSpace, SearchSpaceBuilder, Values};
pub use crate::stop::Stop;
pub use crate::study::{Study, StudyState};
pub use crate::trial::{Direction, FinishedTrial, Observation, Outcome, Problem, Trial};
pub use crate::typed::{Suggest, TypedStudy};
pub use crate::weights::Weights;
