//! The search: which instruction and which demo set of every predictor score best together.
//!
//! Strategies differ in what they evaluate next; what they share is here. [`SearchSpace`] turns choices into candidates,
//! [`Rows`](crate::rows::Rows) runs candidates on rows and never asks a row of a candidate twice, [`Scoreboard`] records the
//! trials in the order of the schedule, whatever the order in which they end.

pub mod adaptive;
mod forecast;
pub(crate) mod reference;
mod schedule;
mod scoreboard;
pub(crate) mod standing;

use std::collections::BTreeMap;
use std::sync::Arc;

use rand::{Rng, RngExt};
use serde::{Deserialize, Serialize};
use teleprompt_core::evaluate::RowResult;
use teleprompt_core::{Candidate, Demo, EvaluateError, PredictorName, PredictorParams};
use teleprompt_propose::ProposedInstruction;

pub(crate) use scoreboard::Scoreboard;

use self::adaptive::Belief;
use crate::bootstrap::FailedRow;
use crate::caps::Spent;

/// What one predictor gets in a combination, by index into its options.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Choice {
    /// Whose.
    pub predictor: PredictorName,
    /// Which instruction; 0 is the program's own.
    pub instruction: usize,
    /// Which demo set; 0 is the program's own. `None` when candidates carry no demos.
    pub demos: Option<usize>,
}

/// One combination: a choice for every optimized predictor, in the program's order.
pub type Choices = Vec<Choice>;

/// The options of every predictor.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct SearchSpace {
    /// In the program's order.
    pub predictors: Vec<Options>,
    /// What a choice of 0 gives; the default leaves the program's own.
    pub start: Candidate,
}

/// The options of one predictor.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Options {
    /// Whose.
    pub predictor: PredictorName,
    /// Its instructions, the program's own first; at least one.
    pub instructions: Vec<ProposedInstruction>,
    /// Its demo sets, the program's own first; empty when candidates carry no demos.
    pub demos: Vec<Arc<[Demo]>>,
}

impl SearchSpace {
    /// The options of every predictor of `names`, from what was proposed and bootstrapped.
    pub(crate) fn new(
        names: &[PredictorName],
        mut instructions: BTreeMap<PredictorName, Vec<ProposedInstruction>>,
        demos: Option<&BTreeMap<PredictorName, Vec<Arc<[Demo]>>>>,
        start: &Candidate,
    ) -> Self {
        let options = names.iter().map(|name| Options {
            predictor: name.clone(),
            instructions: instructions.remove(name).unwrap_or_default(),
            demos: demos.and_then(|sets| sets.get(name)).cloned().unwrap_or_default(),
        });
        Self { predictors: options.collect(), start: start.clone() }
    }

    /// The combination that leaves the program as it is.
    pub fn default_choices(&self) -> Choices {
        let own = |options: &Options| Choice {
            predictor: options.predictor.clone(),
            instruction: 0,
            demos: (!options.demos.is_empty()).then_some(0),
        };
        self.predictors.iter().map(own).collect()
    }

    /// A combination that is not among `tried`, drawn at random; `None` where there is no other.
    pub(crate) fn untried(&self, tried: &[&Choices], random: &mut impl Rng) -> Option<Choices> {
        let mut choices = self.default_choices();
        for (options, choice) in self.predictors.iter().zip(&mut choices) {
            choice.instruction = random.random_range(0..options.instructions.len().max(1));
            choice.demos = choice.demos.map(|_| random.random_range(0..options.demos.len().max(1)));
        }
        // From there on one after the other: of so many at least one is another, if there is another.
        for _ in 0..=tried.len() {
            if !tried.contains(&&choices) {
                return Some(choices);
            }
            self.step(&mut choices);
        }
        None
    }

    /// The next combination in their order, after the last the first.
    fn step(&self, choices: &mut Choices) {
        for (options, choice) in self.predictors.iter().zip(choices) {
            choice.instruction += 1;
            if choice.instruction < options.instructions.len() {
                return;
            }
            choice.instruction = 0;
            if let Some(demos) = &mut choice.demos {
                *demos += 1;
                if *demos < options.demos.len() {
                    return;
                }
                *demos = 0;
            }
        }
    }

    /// Tokens of the instructions and demos of a combination over all predictors, estimated at 4 characters each.
    pub(crate) fn prompt_tokens(&self, choices: &Choices) -> usize {
        let chars = self.predictors.iter().zip(choices).map(|(options, choice)| {
            let instruction = options.instructions.get(choice.instruction).map_or(0, instruction_chars);
            let demos = choice.demos.and_then(|set| options.demos.get(set));
            instruction + demos.map_or(0, |demos| demo_chars(demos))
        });
        chars.sum::<usize>() / 4
    }

    /// Tokens of the longest combination, estimated likewise.
    pub(crate) fn most_prompt_tokens(&self) -> usize {
        let chars = self.predictors.iter().map(|options| {
            let instruction = options.instructions.iter().map(instruction_chars).max();
            instruction.unwrap_or(0) + options.demos.iter().map(|demos| demo_chars(demos)).max().unwrap_or(0)
        });
        chars.sum::<usize>() / 4
    }

    /// The candidate of a combination. A choice of 0 is that of the start.
    pub fn candidate(&self, choices: &Choices) -> Candidate {
        let mut candidate = self.start.clone();
        for (options, choice) in self.predictors.iter().zip(choices) {
            let instruction = (choice.instruction > 0).then(|| options.instructions.get(choice.instruction));
            let demos = choice.demos.filter(|&set| set > 0).map(|set| options.demos.get(set));
            let params = PredictorParams {
                instruction: instruction.flatten().map(|proposed| proposed.instruction.clone()),
                demos: demos.flatten().cloned(),
            };
            let start = self.start.get(options.predictor.as_str()).cloned().unwrap_or_default();
            let params = params.or(&start);
            if params != PredictorParams::default() {
                candidate.set(options.predictor.clone(), params);
            }
        }
        candidate
    }
}

fn instruction_chars(proposed: &ProposedInstruction) -> usize {
    proposed.instruction.chars().count()
}

fn demo_chars(demos: &[Demo]) -> usize {
    let values = demos.iter().flat_map(|demo| demo.fields.iter());
    values.map(|(name, value)| name.len() + value.to_string().chars().count()).sum()
}

/// What kind of evaluation a trial was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TrialKind {
    /// The program as it is, on the whole valset.
    Baseline,
    /// On a minibatch.
    Minibatch,
    /// On the whole valset.
    Full,
}

/// One trial: a combination and what came of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrialRecord {
    /// Its number, from 0 (the baseline), in the order of the search.
    pub number: usize,
    /// What kind of evaluation.
    pub kind: TrialKind,
    /// Which combination.
    pub choices: Choices,
    /// The mean score in `[0, 1]`; `None` when fewer than half of the rows count.
    pub score: Option<f64>,
    /// Program runs asked for: the rows of the evaluation. Of the comparison that ends the adaptive search, those of its rows that
    /// no earlier trial had run.
    pub requested: usize,
    /// Of these, answered from what an earlier trial had run.
    pub known: usize,
    /// The rows' results, without traces; empty unless `track_stats`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rows: Vec<RowResult>,
    /// The rows run by this trial that failed, those among them that the model or the metric failed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failed: Vec<FailedRow>,
}

/// How a search ended, with what it found.
pub(crate) struct Found {
    pub(crate) choices: Choices,
    pub(crate) trials: Vec<TrialRecord>,
    pub(crate) ended: Ended,
    pub(crate) warnings: Vec<String>,
    /// What a program run on a row may use, where that is counted.
    pub(crate) row_cost: Spent,
    /// What a search that models scores believes.
    pub(crate) posterior: Option<Posterior>,
    /// And what of each combination with scores.
    pub(crate) beliefs: BTreeMap<Choices, Belief>,
}

/// What the adaptive search believes at its end.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Posterior {
    /// The combination with the best expected score; the winner, unless the baseline was kept.
    pub leader: Choices,
    /// The probability that it is better than the baseline; one half when it is the baseline.
    pub p_better: f64,
    /// By how much, expected; scores are in `[0, 1]`.
    pub gain: f64,
    /// The standard deviation of that.
    pub gain_sd: f64,
    /// Program runs that the search asked for.
    pub runs: usize,
}

impl Found {
    /// Nothing was evaluated before the run was stopped.
    pub(crate) fn nothing(space: &SearchSpace, reason: String) -> Self {
        let (trials, warnings, row_cost) = Default::default();
        Self {
            choices: space.default_choices(),
            trials,
            ended: Ended::Stopped { reason },
            warnings,
            row_cost,
            posterior: None,
            beliefs: BTreeMap::new(),
        }
    }
}

/// Why a search ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "how", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Ended {
    /// Every trial of the budget was run.
    Complete,
    /// Nothing better came for as long as the configuration waits; the rest of the budget was saved.
    Early {
        /// Why.
        reason: String,
    },
    /// The stop signal was given, or a cap reached; the best program so far is the result.
    Stopped {
        /// Which cap; empty for the signal.
        reason: String,
    },
    /// An error ended it; the best program so far is the result.
    Failed {
        /// What went wrong.
        message: String,
    },
}

impl Ended {
    pub(crate) fn by(error: &EvaluateError) -> Self {
        match error {
            EvaluateError::Fatal(error) if error.is_stopped() => {
                Self::Stopped { reason: error.detail.clone() }
            }
            other => Self::Failed { message: other.to_string() },
        }
    }
}
