//! The model of scores: what the kernel is made of, and how sure it is that one combination beats another.

use std::collections::BTreeMap;

use teleprompt_tpe::bayes::{BayesLinear, ChoiceKernel, Evidence, Fit, mean_by_evidence};

use super::config::Ingredients;
use super::space::{Dimension, Space};

/// The variance of what all combinations have in common: nothing is assumed of the level.
const LEVEL: f64 = 1.5;
/// The prior mean: the middle of the scale.
const MIDDLE: f64 = 0.5;

/// How many rows the assumed noise weighs against those of a comparison.
const ASSUMED: f64 = 10.0;

/// The models of one search.
#[derive(Clone, Debug)]
pub(super) struct Models {
    /// The one that plans and chooses.
    pub(super) main: BayesLinear,
    /// Factors of the standard deviations between combinations, each as likely as the others.
    scales: Vec<f64>,
    /// Whether a comparison has the noise of its own pairs.
    paired: bool,
}

impl Models {
    pub(super) fn new(space: &Space, parts: &Ingredients) -> Result<Self, teleprompt_tpe::Error> {
        Ok(Self { main: model(space, parts)?, scales: parts.scales.clone(), paired: parts.paired_noise })
    }

    /// The probability that point `a` of the evidence is better than point `b`: the mean over the scales, each weighed by how
    /// well it explains the scores. One scale alone would take a landscape without differences for one with the usual ones,
    /// and the luckiest of many candidates for a good one.
    pub(super) fn probability_above(&self, evidence: &Evidence, a: usize, b: usize) -> f64 {
        let pair = [evidence.points()[a].clone(), evidence.points()[b].clone()];
        let mut model = self.main.clone();
        if self.paired {
            model.noise_variance = noise_of_pairs(evidence, a, b, model.noise_variance);
        }
        let fits = model.fit_at_scales(evidence, &self.scales);
        let of = |fit: &Fit<'_>| (fit.log_evidence(), fit.posterior(&pair).probability_above(0, 1));
        mean_by_evidence(&fits.iter().map(of).collect::<Vec<_>>())
    }
}

/// The noise in a comparison of two points: half the variance of their difference on the rows that both have seen, as if
/// [`ASSUMED`] more such rows had shown the noise assumed. Two combinations that answer nearly all rows alike differ by little
/// noise, and few rows on which they do not tell much.
fn noise_of_pairs(evidence: &Evidence, a: usize, b: usize, assumed: f64) -> f64 {
    let of = |point: usize| -> BTreeMap<usize, f64> {
        let scores = evidence.scores().iter().filter(|score| score.point == point);
        scores.map(|score| (score.row, score.value)).collect()
    };
    let (of_a, of_b) = (of(a), of(b));
    let differences: Vec<f64> = of_a.iter().filter_map(|(row, value)| Some(value - of_b.get(row)?)).collect();
    let n = differences.len() as f64;
    let mean = differences.iter().sum::<f64>() / n.max(1.0);
    let squares: f64 = differences.iter().map(|difference| (difference - mean) * (difference - mean)).sum();
    (squares / 2.0 + ASSUMED * assumed) / (n + ASSUMED)
}

fn model(space: &Space, parts: &Ingredients) -> Result<BayesLinear, teleprompt_tpe::Error> {
    let dimensions = space.dimensions();
    let per_predictor = |sd: f64| sd * sd / space.predictors.len() as f64;
    let main = dimensions.iter().map(|(dimension, _)| match dimension {
        Dimension::Instruction => per_predictor(parts.instruction_sd),
        Dimension::Demos => per_predictor(parts.demos_sd),
    });
    let mut kernel = ChoiceKernel::additive(LEVEL, main.collect())
        .with_own(parts.own_sd * parts.own_sd)
        .with_bump(space.default.clone(), parts.bump_sd * parts.bump_sd);
    for (d, (dimension, _)) in dimensions.iter().enumerate() {
        // Its instruction stands right before it.
        if *dimension == Dimension::Demos {
            kernel = kernel.with_pair(d - 1, d, per_predictor(parts.pair_sd));
        }
    }
    BayesLinear::new(kernel, MIDDLE, parts.row_sd * parts.row_sd, parts.noise_sd * parts.noise_sd)
}
