//! The study: hands out trials, takes their outcomes, knows the best.
//!
//! It calls no objective but in [`Study::optimize`]: whoever asks evaluates, when and where it likes, and tells.
//! There is no clock, no thread and no file in here.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::sampler::{AskContext, Sampler};
use crate::space::{SearchSpace, Values};
use crate::trial::{Direction, FinishedTrial, Observation, Outcome, Problem, Rank, Trial};

/// A search in progress.
///
/// # Determinism
///
/// The values of a trial depend on the problem (with its seed), the trial's number and the *sets* of finished
/// and pending trials, never on the order in which trials were told. With one worker a study is thus
/// reproducible; with several it is where the sets at each ask are the same.
#[derive(Debug, Clone)]
pub struct Study<S = Box<dyn Sampler>> {
    problem: Problem,
    sampler: S,
    /// The number of the next trial.
    next: u64,
    finished: BTreeMap<u64, FinishedTrial>,
    /// Ascending by number.
    pending: Vec<Trial>,
    queue: VecDeque<Values>,
    /// The best feasible trial.
    best: Option<Rank>,
}

/// Everything a study knows, as data: [`Study::restore`] goes on from it.
///
/// To go on with the very same values the format must keep every bit of a float: with `serde_json`, switch on
/// its feature `float_roundtrip`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct StudyState {
    /// What is searched.
    pub problem: Problem,
    /// The finished trials, each number once.
    pub finished: Vec<FinishedTrial>,
    /// The trials asked and not told.
    pub pending: Vec<Trial>,
    /// The values of the next trials.
    pub queue: Vec<Values>,
}

impl<S: Sampler> Study<S> {
    /// A study without trials.
    #[must_use]
    pub fn new(space: SearchSpace, sampler: S, direction: Direction, seed: u64) -> Self {
        let problem = Problem { space, direction, seed };
        let (finished, pending, queue) = Default::default();
        Self { problem, sampler, next: 0, finished, pending, queue, best: None }
    }

    /// A study that goes on from `state` with a fresh `sampler`: it suggests what the saved study would have.
    ///
    /// # Errors
    ///
    /// [`Error::Corrupt`] where trial numbers are not exactly `0..` the number of trials; what
    /// [`SearchSpace::values`] and [`tell`](Self::tell) report of values and outcomes.
    pub fn restore(state: StudyState, sampler: S) -> Result<Self, Error> {
        let StudyState { problem, finished, mut pending, queue } = state;
        let mut study = Self::new(problem.space, sampler, problem.direction, problem.seed);
        let total = (finished.len() + pending.len()) as u64;
        let mut numbers: Vec<u64> =
            finished.iter().map(|t| t.number).chain(pending.iter().map(|t| t.number)).collect();
        numbers.sort_unstable();
        if let Some((_, &number)) = (0..total).zip(&numbers).find(|(expected, number)| expected != *number) {
            return Err(Error::Corrupt { number, problem: "is repeated, or one before it is missing" });
        }
        study.next = total;
        for FinishedTrial { number, values, outcome } in finished {
            let values = study.problem.space.adopt(&values)?;
            study.finish(number, values, outcome)?;
        }
        pending.sort_unstable_by_key(|trial| trial.number);
        for Trial { number, values } in pending {
            study.pending.push(Trial { number, values: study.problem.space.adopt(&values)? });
        }
        for values in &queue {
            study.enqueue(values)?;
        }
        Ok(study)
    }

    /// A copy of everything the study knows.
    #[must_use]
    pub fn state(&self) -> StudyState {
        StudyState {
            problem: self.problem.clone(),
            finished: self.finished.values().cloned().collect(),
            pending: self.pending.clone(),
            queue: self.queue.iter().cloned().collect(),
        }
    }

    /// The next trial, with values for all active parameters: enqueued ones first, else the sampler's.
    ///
    /// Asking several times before telling gives a batch; each trial sees the earlier ones as pending.
    ///
    /// # Errors
    ///
    /// What the sampler reports, or [`Error::OutOfRange`] and its kin where its values are not of the space.
    /// The study is then unchanged.
    pub fn ask(&mut self) -> Result<Trial, Error> {
        let values = match self.queue.pop_front() {
            Some(values) => values,
            None => self.suggest()?,
        };
        let trial = Trial { number: self.next, values };
        self.next += 1;
        self.pending.push(trial.clone());
        Ok(trial)
    }

    /// `n` trials to be evaluated at once; each sees the ones before it as pending, which keeps them apart.
    ///
    /// # Errors
    ///
    /// As [`ask`](Self::ask). The study is then unchanged.
    pub fn ask_batch(&mut self, n: usize) -> Result<Vec<Trial>, Error> {
        let before = (self.next, self.pending.len(), self.queue.clone());
        let trials: Result<Vec<Trial>, Error> = (0..n).map(|_| self.ask()).collect();
        if trials.is_err() {
            self.next = before.0;
            self.pending.truncate(before.1);
            self.queue = before.2;
        }
        trials
    }

    /// The sampler's values for the next trial.
    pub(crate) fn suggest(&mut self) -> Result<Values, Error> {
        let cx = AskContext::new(&self.problem, self.next, &self.pending);
        let values = self.sampler.suggest(&cx)?;
        self.problem.space.adopt(&values)
    }

    /// Reports the outcome of a pending trial: a value (`f64`), an [`Observation`](crate::Observation) or any
    /// [`Outcome`].
    ///
    /// # Errors
    ///
    /// [`Error::UnknownTrial`], [`Error::AlreadyFinished`], [`Error::Observation`] for NaN, an infinity, a
    /// negative variance or violation, or a count of 0. The study is then unchanged.
    pub fn tell(&mut self, number: u64, outcome: impl Into<Outcome>) -> Result<(), Error> {
        let outcome = outcome.into();
        let Ok(at) = self.pending.binary_search_by_key(&number, |trial| trial.number) else {
            let told = self.finished.contains_key(&number);
            return Err(if told {
                Error::AlreadyFinished { number }
            } else {
                Error::UnknownTrial { number }
            });
        };
        let values = self.pending[at].values.clone();
        self.finish(number, values, outcome)?;
        self.pending.remove(at);
        Ok(())
    }

    /// Reports a value with what is known of its noise: its variance, or how many measurements it is the mean of.
    ///
    /// ```
    /// # use teleprompt_tpe::{AutoSampler, Direction, Distribution, Observation, SearchSpace, Study};
    /// # let space = SearchSpace::builder().param("arm", Distribution::indices(4)).build()?;
    /// let mut study = Study::new(space, AutoSampler::new(), Direction::Maximize, 1);
    /// let batch = study.ask_batch(2)?;
    /// study.tell_with(batch[0].number, Observation::new(0.71).with_variance(0.004))?;
    /// study.tell_with(batch[1].number, Observation::new(0.69).with_count(35))?;
    /// # Ok::<(), teleprompt_tpe::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`tell`](Self::tell).
    pub fn tell_with(&mut self, number: u64, observation: Observation) -> Result<(), Error> {
        self.tell(number, observation)
    }

    /// Reports that the evaluation of a pending trial failed; the trial teaches the sampler nothing.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownTrial`], [`Error::AlreadyFinished`].
    pub fn tell_failed(&mut self, number: u64) -> Result<(), Error> {
        self.tell(number, Outcome::Failed)
    }

    /// Adds a trial that was evaluated elsewhere and returns its number.
    ///
    /// # Errors
    ///
    /// As [`SearchSpace::values`] for values that do not fit the space, and as [`tell`](Self::tell) for the
    /// outcome.
    pub fn add_trial(&mut self, values: &Values, outcome: impl Into<Outcome>) -> Result<u64, Error> {
        let number = self.next;
        self.finish(number, self.problem.space.adopt(values)?, outcome.into())?;
        self.next += 1;
        Ok(number)
    }

    /// Sets the values of a coming trial; several are asked in the order of the calls.
    ///
    /// # Errors
    ///
    /// As [`SearchSpace::values`] for values that do not fit the space.
    pub fn enqueue(&mut self, values: &Values) -> Result<(), Error> {
        self.queue.push_back(self.problem.space.adopt(values)?);
        Ok(())
    }

    /// Takes over a trial that another study asked, as pending or, with an outcome, as finished.
    #[cfg(feature = "journal")]
    pub(crate) fn import(&mut self, trial: Trial, outcome: Option<Outcome>) -> Result<(), Error> {
        let at = self.pending.binary_search_by_key(&trial.number, |pending| pending.number);
        match (outcome, at) {
            (Some(outcome), at) => {
                self.finish(trial.number, trial.values, outcome)?;
                if let Ok(at) = at {
                    self.pending.remove(at);
                }
            }
            (None, Err(at)) => self.pending.insert(at, trial),
            (None, Ok(_)) => {}
        }
        Ok(())
    }

    /// Sets the number of the next trial, where other studies take part in numbering.
    #[cfg(feature = "journal")]
    pub(crate) fn set_next(&mut self, number: u64) {
        self.next = number;
    }

    fn finish(&mut self, number: u64, values: Values, outcome: Outcome) -> Result<(), Error> {
        let trial = FinishedTrial { number, values, outcome };
        if let Outcome::Complete(observation) = outcome {
            observation.check()?;
        }
        if let Some(rank) = trial.rank(self.problem.direction).filter(Rank::is_feasible) {
            self.best = Some(self.best.map_or(rank, |best| best.min(rank)));
        }
        self.sampler.observe(&self.problem, &trial);
        self.finished.insert(number, trial);
        Ok(())
    }

    /// The feasible trial with the best observed value, the lowest number among equals; `None` before there
    /// is one.
    pub fn best(&self) -> Option<&FinishedTrial> {
        self.finished.get(&self.best?.number)
    }

    /// The finished trials, ascending by number.
    pub fn trials(&self) -> impl DoubleEndedIterator<Item = &FinishedTrial> + ExactSizeIterator {
        self.finished.values()
    }

    /// The finished trial with this number.
    pub fn trial(&self, number: u64) -> Option<&FinishedTrial> {
        self.finished.get(&number)
    }

    /// The trials asked and not told, ascending by number.
    pub fn pending(&self) -> &[Trial] {
        &self.pending
    }

    /// What is searched.
    pub fn problem(&self) -> &Problem {
        &self.problem
    }

    /// The sampler.
    pub fn sampler(&self) -> &S {
        &self.sampler
    }
}
