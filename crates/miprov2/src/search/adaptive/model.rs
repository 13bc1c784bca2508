//! The model of scores: what the kernel is made of, and how sure it is that one combination beats another.

use teleprompt_tpe::bayes::{BayesLinear, ChoiceKernel, Evidence, mean_by_evidence};

use super::config::Ingredients;
use super::space::{Dimension, Space};

/// The variance of what all combinations have in common: nothing is assumed of the level.
const LEVEL: f64 = 1.5;
/// The prior mean: the middle of the scale.
const MIDDLE: f64 = 0.5;

/// The models of one search.
#[derive(Clone, Debug)]
pub(super) struct Models {
    /// The one that plans and chooses.
    pub(super) main: BayesLinear,
    /// The same at each of the scales.
    scaled: Vec<BayesLinear>,
}

impl Models {
    pub(super) fn new(space: &Space, parts: &Ingredients) -> Result<Self, teleprompt_tpe::Error> {
        let scaled =
            parts.scales.iter().map(|&scale| model(space, parts, scale)).collect::<Result<_, _>>()?;
        Ok(Self { main: model(space, parts, 1.0)?, scaled })
    }

    /// The probability that point `a` of the evidence is better than point `b`: the mean over the scales, each weighed by how
    /// well it explains the scores. One scale alone would take a landscape without differences for one with the usual ones,
    /// and the luckiest of many candidates for a good one.
    pub(super) fn probability_above(&self, evidence: &Evidence, a: usize, b: usize) -> f64 {
        let pair = [evidence.points()[a].clone(), evidence.points()[b].clone()];
        let of = |model: &BayesLinear| {
            let fit = model.fit(evidence);
            (fit.log_evidence(), fit.posterior(&pair).probability_above(0, 1))
        };
        mean_by_evidence(&self.scaled.iter().map(of).collect::<Vec<_>>())
    }
}

/// The model, its standard deviations between combinations multiplied by `scale`.
fn model(space: &Space, parts: &Ingredients, scale: f64) -> Result<BayesLinear, teleprompt_tpe::Error> {
    let dimensions = space.dimensions();
    let variance = |sd: f64| sd * sd * scale * scale;
    let per_predictor = |sd: f64| variance(sd) / space.predictors.len() as f64;
    let main = dimensions.iter().map(|(dimension, _)| match dimension {
        Dimension::Instruction => per_predictor(parts.instruction_sd),
        Dimension::Demos => per_predictor(parts.demos_sd),
    });
    let mut kernel = ChoiceKernel::additive(LEVEL, main.collect())
        .with_own(variance(parts.own_sd))
        .with_bump(space.default.clone(), parts.bump_sd * parts.bump_sd);
    for (d, (dimension, _)) in dimensions.iter().enumerate() {
        // Its instruction stands right before it.
        if *dimension == Dimension::Demos {
            kernel = kernel.with_pair(d - 1, d, per_predictor(parts.pair_sd));
        }
    }
    BayesLinear::new(kernel, MIDDLE, parts.row_sd * parts.row_sd, parts.noise_sd * parts.noise_sd)
}
