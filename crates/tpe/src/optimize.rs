//! The loop for an objective that one thread evaluates: ask, evaluate, tell, until a rule holds.
//!
//! Whoever evaluates elsewhere, in parallel or asynchronously writes this loop with [`Study::ask`] and
//! [`Study::tell`]; nothing here does what those do not.

use std::ops::ControlFlow;

use crate::error::Error;
use crate::sampler::Sampler;
use crate::stop::Stop;
use crate::study::Study;
use crate::trial::{FinishedTrial, Outcome, Trial};

impl<S: Sampler> Study<S> {
    /// Evaluates trials one after the other until one of `rules` holds, which is returned, or until `after`,
    /// called with the study and each finished trial, breaks: then `None`.
    ///
    /// An objective that cannot be evaluated returns [`Outcome::Failed`] and the search goes on. Without a rule
    /// and a break it never ends.
    ///
    /// # Errors
    ///
    /// As [`ask`](Self::ask) and [`tell`](Self::tell), such as for a value that is NaN: that trial stays
    /// pending.
    ///
    /// ```
    /// use std::ops::ControlFlow;
    /// use teleprompt_tpe::{AutoSampler, Direction, Distribution, SearchSpace, Stop, Study};
    ///
    /// let space = SearchSpace::builder().param("x", Distribution::float(-1.0, 1.0)).build()?;
    /// let mut study = Study::new(space, AutoSampler::new(), Direction::Minimize, 3);
    /// let objective = |trial: &teleprompt_tpe::Trial| trial.values.float("x").unwrap_or(1.0).abs();
    /// let reason = study.optimize(&[Stop::Trials(30)], objective, |study, trial| {
    ///     println!("{}: {:?}, best {:?}", trial.number, trial.value(), study.best().map(|best| best.number));
    ///     ControlFlow::Continue(())
    /// })?;
    /// assert_eq!(reason, Some(Stop::Trials(30)));
    /// # Ok::<(), teleprompt_tpe::Error>(())
    /// ```
    pub fn optimize<O: Into<Outcome>>(
        &mut self,
        rules: &[Stop],
        mut objective: impl FnMut(&Trial) -> O,
        mut after: impl FnMut(&Self, &FinishedTrial) -> ControlFlow<()>,
    ) -> Result<Option<Stop>, Error> {
        loop {
            if let Some(rule) = self.stop(rules) {
                return Ok(Some(rule));
            }
            let trial = self.ask()?;
            self.tell(trial.number, objective(&trial))?;
            let finished = self.trial(trial.number).ok_or(Error::UnknownTrial { number: trial.number })?;
            if after(self, finished).is_break() {
                return Ok(None);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Direction, Distribution, RandomSampler, SearchSpace};

    #[test]
    fn every_trial_is_called_back_until_a_break() {
        let space = SearchSpace::builder().param("x", Distribution::float(0.0, 1.0)).build().unwrap();
        let mut study = Study::new(space, RandomSampler, Direction::Minimize, 0);
        let mut seen = Vec::new();
        let reason = study.optimize(
            &[Stop::Trials(9)],
            |trial| if trial.number == 1 { Outcome::Failed } else { 0.5.into() },
            |study, trial| {
                assert_eq!(study.trials().len() as u64, trial.number + 1);
                seen.push((trial.number, trial.value()));
                if trial.number == 2 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            },
        );
        assert_eq!(reason, Ok(None));
        assert_eq!(seen, [(0, Some(0.5)), (1, None), (2, Some(0.5))]);
        let mut go_on = |objective: f64| {
            study.optimize(&[Stop::Trials(9)], |_| objective, |_, _| ControlFlow::Continue(()))
        };
        assert!(matches!(go_on(f64::NAN), Err(Error::Observation { .. })));
        assert_eq!(go_on(1.0), Ok(Some(Stop::Trials(9))));
    }
}
