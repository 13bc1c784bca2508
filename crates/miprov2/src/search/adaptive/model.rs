//! The model of scores: what the kernel is made of, and how sure it is that one combination beats another.

use teleprompt_tpe::bayes::{BayesLinear, ChoiceKernel, Evidence, Fit, mean_by_evidence};

use super::config::Ingredients;
use super::shares::Shares;
use super::space::{Dimension, Space};

/// The variance of what all combinations have in common: nothing is assumed of the level.
const LEVEL: f64 = 1.5;
/// The prior mean: the middle of the scale.
const MIDDLE: f64 = 0.5;

/// How far instructions are apart where there are no demo sets, as a part of how far demo sets are.
const ALONE: f64 = 0.5;
/// Combinations that answer as unlike as this, taken times what is assumed, are believed as far apart, and no farther.
const MOST_UNLIKE: f64 = 1.8;

/// The models of one search.
#[derive(Clone, Debug)]
pub(super) struct Models {
    space: Space,
    parts: Ingredients,
    /// The model before any score.
    assumed: BayesLinear,
}

impl Models {
    pub(super) fn new(space: &Space, parts: &Ingredients) -> Result<Self, teleprompt_tpe::Error> {
        let shares = Shares::of(&Evidence::new(space.strata.len()), space, parts);
        let (kernel, rows, noise) = parts_of(space, parts, shares);
        let assumed = BayesLinear::new(kernel, MIDDLE, rows, noise)?;
        Ok(Self { space: space.clone(), parts: parts.clone(), assumed })
    }

    /// The model that plans and chooses, with the noise that the scores have.
    pub(super) fn of(&self, evidence: &Evidence) -> BayesLinear {
        let mut model = self.assumed.clone();
        let (kernel, rows, noise) =
            parts_of(&self.space, &self.parts, Shares::of(evidence, &self.space, &self.parts));
        (model.kernel, model.rows, model.noise_variance) = (kernel, rows, noise);
        model
    }

    /// The probability that point `a` of the evidence is better than point `b`, by its model: the mean over the scales, each weighed by how
    /// well it explains the scores. One scale alone would take a landscape without differences for one with the usual ones,
    /// and the luckiest of many candidates for a good one.
    pub(super) fn probability_above(
        &self,
        model: &BayesLinear,
        evidence: &Evidence,
        a: usize,
        b: usize,
    ) -> f64 {
        let pair = [evidence.points()[a].clone(), evidence.points()[b].clone()];
        let fits = model.fit_at_scales(evidence, &self.parts.scales);
        let of = |fit: &Fit<'_>| (fit.log_evidence(), fit.posterior(&pair).probability_above(0, 1));
        mean_by_evidence(&fits.iter().map(of).collect::<Vec<_>>())
    }
}

/// The kernel of the values, that of the rows, and the variance of the noise.
fn parts_of(space: &Space, parts: &Ingredients, shares: Shares) -> (ChoiceKernel, ChoiceKernel, f64) {
    let (dimensions, predictors) = (space.dimensions(), space.predictors.len() as f64);
    // On the recorded landscapes the standard deviation of what combinations differ in value is about half the mean square of what they
    // differ in on a row, both for those with the same demo sets and for others.
    let unlike = |seen: f64, assumed: f64| {
        let ratio = shares.variance * seen / (parts.score_variance * assumed);
        if parts.values_by_answers { ratio.min(MOST_UNLIKE) } else { 1.0 }
    };
    let siblings = unlike(shares.rest, parts.rest_share);
    let strangers = unlike(1.0 - shares.ease, 1.0 - parts.ease_share);
    let per_predictor = |sd: f64| sd * sd / predictors;
    let sd = |dimension: Dimension| match dimension {
        Dimension::Instruction => siblings * parts.instruction_sd,
        Dimension::Demos => strangers * parts.demos_sd,
        Dimension::Alone => strangers * ALONE * parts.demos_sd,
    };
    let values = dimensions.iter().map(|(dimension, _)| per_predictor(sd(*dimension))).collect();
    let own = siblings * parts.own_sd;
    let mut values = ChoiceKernel::additive(LEVEL, values)
        .with_own(own * own)
        .with_bump(space.default.clone(), parts.bump_sd * parts.bump_sd);

    let led = shares.variance * (1.0 - shares.ease - shares.rest) / predictors;
    // What siblings do not have in common goes with their instructions by half, where there are siblings.
    let rest = shares.variance * shares.rest;
    let pairs = dimensions.iter().filter(|(dimension, _)| *dimension == Dimension::Demos).count() as f64;
    let noise = if pairs > 0.0 { rest / 2.0 } else { rest };
    let rows = dimensions.iter().map(|(dimension, _)| if dimension.leads() { led } else { 0.0 });
    let mut rows = ChoiceKernel::additive(shares.variance * shares.ease, rows.collect());
    for (d, (dimension, _)) in dimensions.iter().enumerate() {
        // Its instruction stands right before it.
        if *dimension == Dimension::Demos {
            values = values.with_pair(d - 1, d, per_predictor(siblings * parts.pair_sd));
            rows = rows.with_pair(d - 1, d, rest / 2.0 / pairs);
        }
    }
    if !parts.rows_by_demos {
        let ease = shares.variance * shares.ease;
        return (values, ChoiceKernel::additive(ease, Vec::new()), shares.variance - ease);
    }
    (values, rows, noise)
}

#[cfg(test)]
mod tests {
    use super::super::shares::tests::scored;
    use super::*;

    /// The prior of values once all these scores are seen.
    fn kernel(parts: &Ingredients, score: impl Fn(usize, usize, usize) -> f64) -> ChoiceKernel {
        let (space, evidence) = scored(score);
        let Ok(models) = Models::new(&space, parts) else { panic!("no model") };
        models.of(&evidence).kernel
    }

    #[test]
    fn values_are_as_far_apart_as_answers() {
        let parts = Ingredients::default();
        let half = |n: usize| (n % 2) as f64;
        let alike = kernel(&parts, |row, _, _| half(row));
        // Each demo set is right on other rows, whatever the instruction.
        let by_demos = kernel(&parts, |row, _, demos| half(row / (1 << demos)));
        let by_all = kernel(&parts, |row, instruction, demos| half(row / (1 << (2 * demos + instruction))));
        assert!(alike.main[1] < 0.3 * by_demos.main[1], "{alike:?} {by_demos:?}");
        assert!(alike.main[0] < 0.1 * by_all.main[0] && by_demos.main[0] < 0.1 * by_all.main[0]);
        assert!(by_demos.own < 0.1 * by_all.own && by_demos.pairs[0].2 < 0.1 * by_all.pairs[0].2);
        // The default stays as far from the rest as it was.
        assert_eq!(alike.bump, by_all.bump);

        let assumed = Ingredients { values_by_answers: false, ..parts };
        assert_eq!(
            kernel(&assumed, |row, _, _| half(row)),
            kernel(&assumed, |row, _, demos| half(row + demos))
        );
    }
}
