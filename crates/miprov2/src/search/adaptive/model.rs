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
/// Combinations with the same demo sets that answer as unlike as this, taken times what is assumed, are believed as far apart.
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
    // Combinations that are seen to answer alike under the same demo sets do not differ much in value either.
    let unlike = (shares.rest / parts.rest_share).min(MOST_UNLIKE);
    let per_predictor = |sd: f64| sd * sd / predictors;
    let sd = |dimension: Dimension| match dimension {
        Dimension::Instruction => unlike * parts.instruction_sd,
        Dimension::Demos => parts.demos_sd,
        Dimension::Alone => ALONE * parts.demos_sd,
    };
    let values = dimensions.iter().map(|(dimension, _)| per_predictor(sd(*dimension))).collect();
    let own = unlike * parts.own_sd;
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
            values = values.with_pair(d - 1, d, per_predictor(unlike * parts.pair_sd));
            rows = rows.with_pair(d - 1, d, rest / 2.0 / pairs);
        }
    }
    if !parts.rows_by_demos {
        let ease = shares.variance * shares.ease;
        return (values, ChoiceKernel::additive(ease, Vec::new()), shares.variance - ease);
    }
    (values, rows, noise)
}
