//! Samplers: what decides on the values of the next trial.
//!
//! The trait is small and object-safe, so that a study can hold a sampler of a user's own. A sampler keeps
//! whatever state makes it fast, but only state that the history rebuilds: feeding the same finished trials
//! to a fresh sampler, in any order, must lead to the same suggestions. The module `testing` (feature
//! `testing`) checks that.

mod auto;
mod gp;
mod grid;
mod quasi_random;
mod random;
mod tpe;

use rand_chacha::ChaCha8Rng;

pub use self::auto::{AutoSampler, Pick, Reason};
pub use self::gp::GpSampler;
pub use self::grid::GridSampler;
pub use self::quasi_random::QuasiRandomSampler;
pub use self::random::RandomSampler;
pub use self::tpe::{Densities, Dependence, Gamma, Startup, TpeConfig, TpeSampler};
use crate::error::Error;
use crate::space::Values;
use crate::trial::{FinishedTrial, Problem, Trial};

/// What a sampler may look at when it suggests the values of a trial, besides what it has observed.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct AskContext<'a> {
    /// The search space, the direction and the seed.
    pub problem: &'a Problem,
    /// The number of the trial that is asked for.
    pub number: u64,
    /// The trials that are asked and not told, ascending by number.
    pub pending: &'a [Trial],
}

impl<'a> AskContext<'a> {
    /// The context of asking for trial `number`; `pending` must ascend by number.
    pub fn new(problem: &'a Problem, number: u64, pending: &'a [Trial]) -> Self {
        Self { problem, number, pending }
    }

    /// The random stream of purpose `name` for this trial.
    pub fn rng(&self, name: &str) -> ChaCha8Rng {
        self.problem.rng(name, self.number)
    }
}

/// Decides on the values of trials.
///
/// ```
/// use teleprompt_tpe::{AskContext, Direction, Distribution, Error, FinishedTrial, Problem, Sampler};
/// use teleprompt_tpe::{RandomSampler, SearchSpace, Study, Values};
///
/// /// Repeats the best values with probability one half, else draws at random.
/// #[derive(Default)]
/// struct Stubborn {
///     best: Option<(f64, u64, Values)>,
/// }
///
/// impl Sampler for Stubborn {
///     fn observe(&mut self, problem: &Problem, trial: &FinishedTrial) {
///         let Some(value) = trial.value() else { return };
///         let loss = problem.direction.loss(value);
///         // The number decides between equal losses, never the order of observation.
///         if self.best.as_ref().is_none_or(|best| (loss, trial.number) < (best.0, best.1)) {
///             self.best = Some((loss, trial.number, trial.values.clone()));
///         }
///     }
///
///     fn suggest(&mut self, cx: &AskContext<'_>) -> Result<Values, Error> {
///         use rand::RngExt;
///         match &self.best {
///             Some((.., values)) if cx.rng("stubborn").random() => Ok(values.clone()),
///             _ => RandomSampler.suggest(cx),
///         }
///     }
/// }
///
/// let space = SearchSpace::builder().param("x", Distribution::float(-1.0, 1.0)).build()?;
/// let mut study = Study::new(space, Stubborn::default(), Direction::Minimize, 7);
/// let trial = study.ask()?;
/// study.tell(trial.number, 0.5)?;
/// # Ok::<(), Error>(())
/// ```
pub trait Sampler: Send {
    /// Takes note of a finished trial. Each trial comes once, in any order of numbers.
    ///
    /// One sampler serves one problem: `problem` is the same in every call.
    fn observe(&mut self, problem: &Problem, trial: &FinishedTrial);

    /// The values of trial `cx.number`.
    ///
    /// # Errors
    ///
    /// What [`SearchSpace::from_slots`](crate::SearchSpace::from_slots) reports of values that do not fit the
    /// space.
    ///
    /// # Determinism
    ///
    /// Must be a function of `cx` and of the set of observed trials, not of their order, of earlier calls or
    /// of time.
    fn suggest(&mut self, cx: &AskContext<'_>) -> Result<Values, Error>;
}

impl<S: Sampler + ?Sized> Sampler for Box<S> {
    fn observe(&mut self, problem: &Problem, trial: &FinishedTrial) {
        (**self).observe(problem, trial);
    }

    fn suggest(&mut self, cx: &AskContext<'_>) -> Result<Values, Error> {
        (**self).suggest(cx)
    }
}
