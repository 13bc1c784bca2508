//! The settings of the adaptive search.

/// The default is kept unless the leader is better with this probability: a little above one half, so that a tie keeps it.
pub(crate) const GUARD: f64 = 0.55;

/// How the adaptive search spends its program runs.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct AdaptiveConfig {
    /// Program runs, at most; at least 1. A run that gave no score counts too.
    pub budget: usize,
    /// How many chunks are planned at once, and so can run together; at least 1. Results depend on it, so it is part of a
    /// run's identity and has nothing to do with a concurrency limit.
    pub chunks: usize,
    /// Rows of one chunk, all of one combination; at least 1.
    pub chunk_rows: usize,
    /// The default is kept unless the leader is better with at least this probability, in `[0, 1]`.
    pub guard: f64,
    /// The search ends when no further look is expected to raise the winner's score by as much as this; at least 0. With
    /// 0 the whole budget is spent, as long as combinations that could be the best have rows to run.
    pub worthwhile: f64,
    /// What the model is made of. The values were measured; there is rarely a reason to change them.
    pub ingredients: Ingredients,
}

/// The parts of the model and of the schedule, on the scale of scores in `[0, 1]`. A standard deviation of 0 takes a part out.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Ingredients {
    /// Whether every prefix of the common order of rows has the whole's share of each stratum.
    pub stratify: bool,
    /// How far instructions are apart, standard deviation; divided by the root of the number of predictors.
    pub instruction_sd: f64,
    /// How far demo sets are apart, likewise.
    pub demos_sd: f64,
    /// How much an instruction's effect depends on the demo set of the same predictor, likewise.
    pub pair_sd: f64,
    /// What a combination has of its own.
    pub own_sd: f64,
    /// By how much the default is set apart from the rest.
    pub bump_sd: f64,
    /// The variance of a combination's scores over the rows. This and the two shares are what is assumed before scores are seen.
    pub score_variance: f64,
    /// The share of that variance that all combinations have in common, for rows are easy or hard.
    pub ease_share: f64,
    /// The share that combinations with the same demo sets do not have in common. What is left of 1 is what they do: a demo set
    /// makes the model answer a row in its own way, whatever the instruction.
    pub rest_share: f64,
    /// How many scores the assumed variance and shares count for; above 0.
    pub assumed_scores: f64,
    /// Whether combinations that are seen to answer more alike, or less, than was assumed are believed as much nearer in value, or farther
    /// apart (1.8 times at most): the standard deviation of what leads, demo sets or else instructions, by how all combinations answer; the
    /// others but the default's by how those do that have the same demo sets.
    pub values_by_answers: bool,
    /// Whether the model knows what combinations with the same demo sets have in common on a row; else it takes that for noise.
    pub rows_by_demos: bool,
    /// The rows ahead that a look weighs, ascending.
    pub horizon: Vec<usize>,
    /// The default's first rows, at most; it never gets more than an eighth of the budget at the start.
    pub start_default: usize,
    /// The first rows of each combination that the search begins with; at least 1.
    pub start_rows: usize,
    /// When no look pays any more, or only the reserve is left, leader and default are run on further rows until the leader is better
    /// with this probability; 0 takes that out.
    pub sure: f64,
    /// At most this share of the budget is kept for that, in `[0, 1]`.
    pub reserve: f64,
    /// Factors of all standard deviations between combinations, each as likely as the others before anything is seen. The
    /// probability of being better is the mean over them, weighed by how well each explains the scores.
    pub scales: Vec<f64>,
}

impl Default for Ingredients {
    fn default() -> Self {
        Self {
            stratify: true,
            instruction_sd: 0.02,
            demos_sd: 0.15,
            pair_sd: 0.035,
            own_sd: 0.015,
            bump_sd: 0.15,
            score_variance: 0.23,
            ease_share: 0.42,
            rest_share: 0.2,
            assumed_scores: 20.0,
            values_by_answers: true,
            rows_by_demos: true,
            horizon: vec![5, 15, 40, 100],
            start_default: 100,
            start_rows: 4,
            sure: 0.95,
            reserve: 0.3,
            scales: vec![0.15, 0.3, 0.6, 1.0, 1.5],
        }
    }
}

impl AdaptiveConfig {
    /// The usual settings with this many program runs. A plan takes about a fifteenth of a few hundred, and a seventy-fifth of three
    /// thousand and more: larger ones run much whose use is not known yet.
    pub fn new(budget: usize) -> Self {
        Self {
            budget,
            chunks: 8,
            chunk_rows: (budget / 100).clamp(2, 5).max(budget / 600).min(25),
            guard: GUARD,
            worthwhile: 1e-4,
            ingredients: Ingredients::default(),
        }
    }

    /// What has no meaning here, and why; `None` when all is well.
    pub(super) fn problem(&self) -> Option<(&'static str, &'static str)> {
        let parts = &self.ingredients;
        let sds = [parts.instruction_sd, parts.demos_sd, parts.pair_sd, parts.own_sd, parts.bump_sd];
        let positive = |value: f64| value.is_finite() && value > 0.0;
        let variance = |sd: &f64| sd.is_finite() && *sd >= 0.0;
        [
            (self.budget > 0, ("budget", "must be at least 1")),
            (self.chunks > 0, ("chunks", "must be at least 1")),
            (self.chunk_rows > 0, ("chunk_rows", "must be at least 1")),
            ((0.0..=1.0).contains(&self.guard), ("guard", "must be in 0 to 1")),
            (variance(&self.worthwhile), ("worthwhile", "must be finite and at least 0")),
            (sds.iter().all(variance), ("ingredients", "a standard deviation must be finite and at least 0")),
            (parts.start_rows > 0, ("start_rows", "must be at least 1")),
            ((0.0..=1.0).contains(&parts.sure), ("sure", "must be in 0 to 1")),
            ((0.0..=1.0).contains(&parts.reserve), ("reserve", "must be in 0 to 1")),
            (positive(parts.score_variance), ("score_variance", "must be finite and above 0")),
            (positive(parts.assumed_scores), ("assumed_scores", "must be finite and above 0")),
            (
                parts.ease_share >= 0.0
                    && parts.rest_share > 0.0
                    && parts.ease_share + parts.rest_share <= 1.0,
                ("rest_share", "must be above 0, `ease_share` at least 0, and both together at most 1"),
            ),
            (
                !parts.horizon.is_empty() && parts.horizon.iter().all(|&rows| rows > 0),
                ("horizon", "must hold numbers of rows of at least 1"),
            ),
            (
                !parts.scales.is_empty()
                    && parts.scales.iter().all(|scale| scale.is_finite() && *scale > 0.0),
                ("scales", "must hold finite factors above 0"),
            ),
        ]
        .into_iter()
        .find_map(|(fine, problem)| (!fine).then_some(problem))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plans_grow_with_the_budget() {
        for (budget, rows) in [(1, 2), (235, 2), (400, 4), (500, 5), (3000, 5), (6000, 10), (90_000, 25)] {
            assert_eq!(AdaptiveConfig::new(budget).chunk_rows, rows, "{budget}");
        }
    }
}
