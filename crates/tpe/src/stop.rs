//! When to stop: rules that look at a study, for loops that a user writes.
//!
//! There is no rule for time, since nothing here reads a clock: stop by your own.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::sampler::Sampler;
use crate::study::Study;
use crate::trial::Outcome;

/// A reason to ask for no more trials.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Stop {
    /// So many trials have been asked or added.
    Trials(u64),
    /// The best value is this good.
    Target(f64),
    /// So many trials with a value came after the best one.
    Patience(u64),
    /// Every combination of values has been asked or added; never on spaces that are not countable.
    Exhausted,
}

impl<S: Sampler> Study<S> {
    /// The first of `rules` that holds, or `None` to go on.
    ///
    /// ```
    /// use teleprompt_tpe::{Direction, Distribution, RandomSampler, SearchSpace, Stop, Study};
    ///
    /// let space = SearchSpace::builder().param("x", Distribution::float(-1.0, 1.0)).build()?;
    /// let mut study = Study::new(space, RandomSampler, Direction::Minimize, 3);
    /// let rules = [Stop::Target(0.01), Stop::Trials(500)];
    /// let reason = loop {
    ///     if let Some(reason) = study.stop(&rules) {
    ///         break reason;
    ///     }
    ///     let trial = study.ask()?;
    ///     study.tell(trial.number, trial.values.float("x").unwrap_or(1.0).abs())?;
    /// };
    /// assert_eq!(reason, Stop::Target(0.01));
    /// # Ok::<(), teleprompt_tpe::Error>(())
    /// ```
    ///
    /// # Cost
    ///
    /// O(1), but for [`Stop::Patience`] the trials after the best one, and for [`Stop::Exhausted`] all trials
    /// once there are as many as combinations.
    pub fn stop(&self, rules: &[Stop]) -> Option<Stop> {
        rules.iter().copied().find(|rule| self.holds(*rule))
    }

    fn holds(&self, rule: Stop) -> bool {
        let asked = (self.trials().len() + self.pending().len()) as u64;
        let loss = |value| self.problem().direction.loss(value);
        match rule {
            Stop::Trials(n) => asked >= n,
            Stop::Target(target) => {
                self.best().and_then(|best| best.value()).is_some_and(|best| loss(best) <= loss(target))
            }
            Stop::Patience(n) => self.best().is_some_and(|best| {
                let later = self.trials().rev().take_while(|trial| trial.number > best.number);
                later.filter(|trial| matches!(trial.outcome, Outcome::Complete(_))).count() as u64 >= n
            }),
            Stop::Exhausted => self.problem().space.cardinality().is_some_and(|cardinality| {
                if u128::from(asked) < cardinality {
                    return false;
                }
                let pending = self.pending().iter().map(|trial| trial.values.key());
                let tried: BTreeSet<_> =
                    self.trials().map(|trial| trial.values.key()).chain(pending).collect();
                tried.len() as u128 >= cardinality
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Direction, Distribution, GridSampler, SearchSpace};

    #[test]
    fn rules_hold_when_they_should() {
        let space = SearchSpace::builder().param("c", Distribution::indices(5)).build().unwrap();
        let mut study = Study::new(space, GridSampler::new(2).unwrap(), Direction::Maximize, 0);
        let rules = [Stop::Target(2.0), Stop::Patience(2), Stop::Exhausted, Stop::Trials(9)];
        assert_eq!(study.stop(&rules), None);
        let trials: Vec<_> = (0..4).map(|_| study.ask().unwrap()).collect();
        study.tell(trials[0].number, 1.5).unwrap();
        study.tell(trials[3].number, 1.0).unwrap();
        study.tell_failed(trials[2].number).unwrap();
        assert_eq!(study.stop(&rules), None, "a failed trial tries no patience");
        study.tell(trials[1].number, 0.5).unwrap();
        assert_eq!(study.stop(&rules), Some(Stop::Patience(2)));
        study.add_trial(&trials[1].values, 2.5).unwrap();
        assert_eq!(study.stop(&rules), Some(Stop::Target(2.0)));
        assert_eq!(study.stop(&rules[1..]), None, "five trials, one combination twice");
        study.ask().unwrap();
        assert_eq!(study.stop(&rules[1..]), Some(Stop::Exhausted));
        assert_eq!(study.stop(&[Stop::Trials(6)]), Some(Stop::Trials(6)));
    }
}
