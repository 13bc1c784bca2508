//! How much each parameter decides whether a trial is among the best: PED-ANOVA.
//!
//! Per parameter, two densities of the values seen are compared: of the best tenth of the trials, and of all.
//! A parameter that does not matter looks alike in both. The measure is the Pearson divergence of the two, as
//! in Watanabe, Bansal and Hutter, *PED-ANOVA* (arXiv:2304.10255). It sees each parameter on its own: one
//! that matters only together with others can look unimportant.

use crate::axis::Dimension;
use crate::parzen::{Mixture, Scratch, Shape};
use crate::sampler::Sampler;
use crate::study::Study;
use crate::trial::FinishedTrial;
use crate::weights::Weights;

/// The share of the trials that counts as good.
const GOOD: f64 = 0.1;
/// At so many points a numeric density is compared.
const POINTS: u32 = 64;

impl<S: Sampler> Study<S> {
    /// Per parameter, in the order of the space, its name and its importance: not negative, summing to 1, or
    /// all 0 where no difference is to be seen.
    ///
    /// A conditional parameter is judged among the trials that have it. With less than about 50 trials the
    /// result is mostly chance.
    ///
    /// # Cost
    ///
    /// O(parameters · trials · log trials), at most 64 densities per numeric parameter.
    ///
    /// ```
    /// use teleprompt_tpe::{Direction, Distribution, RandomSampler, SearchSpace, Study};
    ///
    /// let space = SearchSpace::builder()
    ///     .param("matters", Distribution::float(-1.0, 1.0))
    ///     .param("does not", Distribution::float(-1.0, 1.0))
    ///     .build()?;
    /// let mut study = Study::new(space, RandomSampler, Direction::Minimize, 1);
    /// for _ in 0..200 {
    ///     let trial = study.ask()?;
    ///     study.tell(trial.number, trial.values.float("matters").unwrap_or(1.0).abs())?;
    /// }
    /// let importance = study.importance();
    /// assert_eq!(importance[0].0, "matters");
    /// assert!(importance[0].1 > 0.9);
    /// # Ok::<(), teleprompt_tpe::Error>(())
    /// ```
    pub fn importance(&self) -> Vec<(&str, f64)> {
        let mut ranked: Vec<_> =
            self.trials().filter_map(|trial| Some((trial.rank(self.problem().direction)?, trial))).collect();
        ranked.sort_unstable_by_key(|(rank, _)| *rank);
        let trials: Vec<_> = ranked.into_iter().map(|(_, trial)| trial).collect();
        let parameters = self.problem().space.parameters();
        let divergences: Vec<f64> = (parameters.iter().enumerate())
            .map(|(index, parameter)| match parameter.distribution.only_value() {
                Some(_) => 0.0,
                None => divergence(&Dimension::new(&parameter.distribution), index, &trials),
            })
            .collect();
        let total: f64 = divergences.iter().sum();
        let share = |divergence: f64| if total > 0.0 { divergence / total } else { 0.0 };
        parameters.iter().zip(divergences).map(|(p, divergence)| (&*p.name, share(divergence))).collect()
    }
}

/// The Pearson divergence of the good trials' density of one parameter from all trials', 0 where there is no
/// trial.
fn divergence(dimension: &Dimension, index: usize, ranked: &[&FinishedTrial]) -> f64 {
    let shape = Shape { weights: Weights::Uniform, ..Shape::OPTUNA };
    let mut all = Mixture::new(std::iter::once(dimension), shape);
    let mut good = all.clone();
    let n_good = (GOOD * ranked.len() as f64).ceil() as usize;
    for (place, trial) in ranked.iter().enumerate() {
        let Some(value) = trial.values.slots()[index] else { continue };
        let center = [dimension.cell(value).center];
        all.insert(trial.number, &center);
        if place < n_good {
            good.insert(trial.number, &center);
        }
    }
    all.refresh();
    good.refresh();
    let n_points = match dimension {
        Dimension::Categorical(n) => *n as u32,
        Dimension::Numeric(_) => POINTS,
    };
    let mut scratch = Scratch::default();
    let (mut sum, mut weights) = (0.0, 0.0);
    for point in 0..n_points {
        let cell = dimension.cell(dimension.at((f64::from(point) + 0.5) / f64::from(n_points)));
        // On a grid several points may share a cell, in proportion to its width.
        let log_all = all.log_density(&[cell], &mut scratch);
        let ratio = libm::exp(good.log_density(&[cell], &mut scratch) - log_all);
        let weight = libm::exp(log_all - all.log_scale()) / cell.extent;
        sum += weight * (ratio - 1.0) * (ratio - 1.0);
        weights += weight;
    }
    sum / weights
}

#[cfg(test)]
mod tests {
    use crate::{Direction, Distribution, Observation, RandomSampler, SearchSpace, Study, TpeSampler};

    #[test]
    fn importance_follows_the_effects() {
        for scale in [1e-200, 1.0, 1e200] {
            let space = SearchSpace::builder()
                .param("none", Distribution::float(0.0, scale))
                .param("strong", Distribution::int(0, 9))
                .param("weak", Distribution::indices(4))
                .param("one", Distribution::indices(1))
                .param_when("under", Distribution::float(0.0, 1.0), "weak", [0, 1])
                .build()
                .unwrap();
            let mut study = Study::new(space, RandomSampler, Direction::Maximize, 2);
            assert!(study.importance().iter().all(|(_, importance)| *importance == 0.0));
            for _ in 0..400 {
                let trial = study.ask().unwrap();
                let (strong, weak) =
                    (trial.values.int("strong").unwrap(), trial.values.choice("weak").unwrap());
                study.tell(trial.number, strong as f64 + 3.0 * f64::from(u8::from(weak == 2))).unwrap();
            }
            let importance = study.importance();
            let names: Vec<_> = importance.iter().map(|(name, _)| *name).collect();
            assert_eq!(names, ["none", "strong", "weak", "one", "under"]);
            let [none, strong, weak, one, under] = [0, 1, 2, 3, 4].map(|index: usize| importance[index].1);
            assert!((none + strong + weak + one + under - 1.0).abs() < 1e-12);
            let found = strong > 0.15 && weak > 0.3 && none < 0.1 && under < 0.1 && one == 0.0;
            assert!(found, "{importance:?}");
        }
    }

    #[test]
    fn constant_and_infeasible_objectives_have_an_answer() {
        let space = SearchSpace::builder().param("x", Distribution::float(0.0, 1.0)).build().unwrap();
        let mut study = Study::new(space, TpeSampler::default(), Direction::Maximize, 2);
        for _ in 0..30 {
            let trial = study.ask().unwrap();
            study.tell(trial.number, Observation::new(0.0).with_violation(1.0)).unwrap();
        }
        assert!((study.importance()[0].1 - 1.0).abs() < 1e-12);
    }
}
