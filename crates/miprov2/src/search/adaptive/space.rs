//! What can be chosen, and what can be wrong with that.

use super::config::AdaptiveConfig;

/// The choices of every predictor, and the rows.
///
/// A *combination* is a list of choices: the instruction of the first predictor, then its demo set where it has any, then
/// those of the second, and so on. Each choice is an index below the number of options.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Space {
    /// By predictor: how many instructions and how many demo sets there are. 0 demo sets: there is no such choice.
    pub predictors: Vec<(usize, usize)>,
    /// The combination that changes nothing.
    pub default: Vec<usize>,
    /// The stratum of each row, such as its gold label's number; all 0 where nothing is known.
    pub strata: Vec<usize>,
    /// The only combinations there are, the default among them; empty for all.
    pub only: Vec<Vec<usize>>,
}

/// Why the adaptive search cannot go on.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum AdaptiveError {
    /// A setting has no meaning.
    #[error("invalid setting `{setting}`: {requirement}")]
    Setting {
        /// The field.
        setting: &'static str,
        /// What its value must be.
        requirement: &'static str,
    },
    /// There is nothing to search.
    #[error("invalid space: {problem}")]
    Space {
        /// What is wrong.
        problem: &'static str,
    },
    /// A plan was told with another number of results than it has runs.
    #[error("{told} results for a plan of {planned} runs: tell one for each run, in the plan's order")]
    Results {
        /// Runs of the plan.
        planned: usize,
        /// Results that were told.
        told: usize,
    },
    /// The model takes a setting or a score for impossible.
    #[error("the model of scores: {0}")]
    Model(#[from] teleprompt_tpe::Error),
    /// A score is not in `[0, 1]`.
    #[error("result {index} of the plan is {value}: a score must be in 0 to 1")]
    Score {
        /// Its place in the plan.
        index: usize,
        /// What was told.
        value: f64,
    },
}

/// What a dimension of the space chooses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dimension {
    /// An instruction beside demo sets.
    Instruction,
    Demos,
    /// An instruction where there are no demo sets.
    Alone,
}

impl Dimension {
    /// Whether it decides how the model takes a row: instructions beside demo sets hardly do.
    pub(super) fn leads(self) -> bool {
        self != Self::Instruction
    }
}

impl Space {
    /// The dimensions, each with its number of options.
    pub(super) fn dimensions(&self) -> Vec<(Dimension, usize)> {
        let of = |&(instructions, demos): &(usize, usize)| {
            let first = if demos > 0 { Dimension::Instruction } else { Dimension::Alone };
            std::iter::once((first, instructions)).chain((demos > 0).then_some((Dimension::Demos, demos)))
        };
        self.predictors.iter().flat_map(of).collect()
    }

    /// How many options each dimension has.
    pub(super) fn options(&self) -> Vec<usize> {
        self.dimensions().into_iter().map(|(_, n)| n).collect()
    }

    pub(super) fn check(&self, config: &AdaptiveConfig) -> Result<(), AdaptiveError> {
        if let Some((setting, requirement)) = config.problem() {
            return Err(AdaptiveError::Setting { setting, requirement });
        }
        let dimensions = self.dimensions();
        let fits = |point: &Vec<usize>| {
            point.len() == dimensions.len() && point.iter().zip(&dimensions).all(|(x, (_, n))| x < n)
        };
        let problem = if dimensions.is_empty() {
            "there is no predictor"
        } else if dimensions.iter().any(|(_, n)| *n == 0) {
            "a predictor has no instruction"
        } else if self.strata.is_empty() {
            "there are no rows"
        } else if self.strata.iter().any(|&stratum| stratum >= self.strata.len()) {
            "strata must be numbered from 0, below the number of rows"
        } else if !fits(&self.default) || !self.only.iter().all(fits) {
            "a combination does not have one choice a dimension, below its number of options"
        } else if !self.only.is_empty() && !self.only.contains(&self.default) {
            "the default is not among the only combinations"
        } else {
            return Ok(());
        };
        Err(AdaptiveError::Space { problem })
    }
}
