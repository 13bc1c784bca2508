//! Trials: what was asked, what came of it, and the problem that they belong to.
//!
//! ```text
//!   ask ──► Trial (pending) ──tell──► FinishedTrial { Complete(Observation) | Failed | Pruned }
//! ```

use std::cmp::Ordering;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::space::{SearchSpace, Values};

/// Which values are better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// Lower is better.
    Minimize,
    /// Higher is better.
    Maximize,
}

impl Direction {
    /// The value as a loss: lower is better, whatever the direction.
    pub fn loss(self, value: f64) -> f64 {
        // Adding zero maps -0.0 to 0.0, so that equal values are equal in a total order too.
        match self {
            Self::Minimize => value + 0.0,
            Self::Maximize => 0.0 - value,
        }
    }
}

/// What is searched: the space, the direction and the root of all randomness.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Problem {
    /// The search space.
    pub space: SearchSpace,
    /// Which values are better.
    pub direction: Direction,
    /// The root seed.
    pub seed: u64,
}

impl Problem {
    /// The random stream of purpose `name` at `index` (often a trial's number).
    ///
    /// # Determinism
    ///
    /// ChaCha8 keyed by (seed, index, FNV-1a of the name): the same on every machine, and independent of
    /// which other streams are opened, when and how far they are read.
    pub fn rng(&self, name: &str, index: u64) -> ChaCha8Rng {
        // FNV-1a, 64 bits: offset basis and prime.
        let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
        let mut key = [0; 32];
        let words = [self.seed, index, hash, name.len() as u64];
        for (bytes, word) in key.chunks_exact_mut(8).zip(words) {
            bytes.copy_from_slice(&word.to_le_bytes());
        }
        ChaCha8Rng::from_seed(key)
    }
}

/// A trial that has been asked for and not been told yet.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Trial {
    /// Its number: 0, 1, .. in the order of asking, shared with added trials.
    pub number: u64,
    /// The values of all active parameters.
    pub values: Values,
}

/// What was seen of a trial: a value, and what is known of its precision.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Observation {
    /// The value of the objective, finite.
    pub value: f64,
    /// The variance of the noise in `value`, finite and not negative; `None` means unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variance: Option<f64>,
    /// How many measurements `value` is the mean of, at least 1.
    #[serde(default = "one")]
    pub count: u64,
    /// By how much constraints are violated, summed over those that are, finite and not negative; 0 means
    /// feasible.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub violation: f64,
}

fn is_zero(value: &f64) -> bool {
    *value == 0.0
}

fn one() -> u64 {
    1
}

impl Observation {
    /// One measurement of unknown precision, feasible.
    #[must_use]
    pub fn new(value: f64) -> Self {
        Self { value, variance: None, count: 1, violation: 0.0 }
    }

    /// The same with the variance of the noise in its value.
    ///
    /// TPE does not read it; samplers that model noise do.
    #[must_use]
    pub fn with_variance(self, variance: f64) -> Self {
        Self { variance: Some(variance), ..self }
    }

    /// The same as the mean of `count` measurements.
    ///
    /// TPE does not read it; samplers that model noise do.
    #[must_use]
    pub fn with_count(self, count: u64) -> Self {
        Self { count, ..self }
    }

    /// The same with constraints violated by `violation` in total: the sum of what exceeds each constraint's
    /// limit.
    ///
    /// Any feasible trial is better than any infeasible one, and of those the less violating. A study's best
    /// trial is always feasible.
    #[must_use]
    pub fn with_violation(self, violation: f64) -> Self {
        Self { violation, ..self }
    }

    pub(crate) fn check(&self) -> Result<(), Error> {
        let error = |field, value, requirement| Err(Error::Observation { field, value, requirement });
        match *self {
            Self { value, .. } if !value.is_finite() => error("value", value, "it must be finite"),
            Self { variance: Some(v), .. } if !(v.is_finite() && v >= 0.0) => {
                error("variance", v, "it must be finite and not negative")
            }
            Self { violation: v, .. } if !(v.is_finite() && v >= 0.0) => {
                error("violation", v, "it must be finite and not negative")
            }
            Self { count: 0, .. } => error("count", 0.0, "it must be at least 1"),
            _ => Ok(()),
        }
    }
}

/// How a trial ended.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Outcome {
    /// With a value.
    Complete(Observation),
    /// Without a value, because its evaluation failed; it teaches a sampler nothing.
    Failed,
    /// Without a final value, because it was stopped early; it teaches a sampler nothing.
    Pruned,
}

impl From<f64> for Outcome {
    fn from(value: f64) -> Self {
        Self::Complete(Observation::new(value))
    }
}

impl From<Observation> for Outcome {
    fn from(observation: Observation) -> Self {
        Self::Complete(observation)
    }
}

/// A trial that has been told.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FinishedTrial {
    /// Its number.
    pub number: u64,
    /// The values of all active parameters.
    pub values: Values,
    /// How it ended.
    pub outcome: Outcome,
}

impl FinishedTrial {
    /// The value of the objective, finite; `None` for a trial without one.
    pub fn value(&self) -> Option<f64> {
        match self.outcome {
            Outcome::Complete(observation) => Some(observation.value),
            _ => None,
        }
    }

    /// Where the trial stands among others; `None` for a trial without a value.
    pub(crate) fn rank(&self, direction: Direction) -> Option<Rank> {
        let Outcome::Complete(Observation { value, violation, .. }) = self.outcome else { return None };
        // As in Optuna, the values of infeasible trials do not matter.
        let loss = if violation > 0.0 { 0.0 } else { direction.loss(value) };
        Some(Rank { violation: violation + 0.0, loss, number: self.number })
    }
}

/// The place of a trial: the lower, the better; equals are told apart by number.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rank {
    violation: f64,
    pub(crate) loss: f64,
    pub(crate) number: u64,
}

impl Rank {
    pub(crate) fn is_feasible(&self) -> bool {
        self.violation == 0.0
    }
}

impl Ord for Rank {
    fn cmp(&self, other: &Self) -> Ordering {
        let by_violation = self.violation.total_cmp(&other.violation);
        by_violation.then(self.loss.total_cmp(&other.loss)).then(self.number.cmp(&other.number))
    }
}

impl PartialOrd for Rank {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Rank {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Rank {}

#[cfg(test)]
mod tests {
    use rand::Rng;

    use super::*;
    use crate::distribution::Distribution;

    #[test]
    fn streams_differ_by_seed_name_and_index() {
        let space = SearchSpace::builder().param("x", Distribution::indices(2)).build().unwrap();
        let problem = |seed| Problem { space: space.clone(), direction: Direction::Minimize, seed };
        let first = |seed, name, index| problem(seed).rng(name, index).next_u64();
        let draws = [
            first(1, "sampler", 0),
            first(2, "sampler", 0),
            first(1, "sampler", 1),
            first(1, "grid", 0),
            first(0, "sampler", 1),
        ];
        for (i, a) in draws.iter().enumerate() {
            assert!(!draws[..i].contains(a));
        }
        assert_eq!(first(1, "sampler", 0), draws[0]);
    }

    #[test]
    fn observations_are_checked() {
        assert!(Observation::new(1.0).with_variance(0.0).with_count(3).check().is_ok());
        for bad in [
            Observation::new(f64::NAN),
            Observation::new(f64::INFINITY),
            Observation::new(0.0).with_variance(-1.0),
            Observation::new(0.0).with_variance(f64::NAN),
            Observation::new(0.0).with_count(0),
            Observation::new(0.0).with_violation(-1.0),
            Observation::new(0.0).with_violation(f64::INFINITY),
        ] {
            assert!(bad.check().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn losses_order_both_directions() {
        assert!(Direction::Maximize.loss(2.0) < Direction::Maximize.loss(1.0));
        for direction in [Direction::Minimize, Direction::Maximize] {
            assert!(direction.loss(0.0).total_cmp(&direction.loss(-0.0)).is_eq());
        }
    }
}
