//! How the variance of scores over the rows is made up, estimated from the scores by the method of moments.
//!
//! A row is easy or hard for all combinations alike (*ease*). What a demo set makes of it is much the same under every
//! instruction: on the recorded landscapes that is a third to a half of all variance. What is left (*rest*), a fourteenth to a
//! fourth, is each combination's own. So ten instructions with one demo set, run on the same five rows, say of that demo set
//! little more than five scores do, and a search that takes them for fifty is sure far too early.
//!
//! Half the mean squared difference of two combinations on a row is the variance that they do not have in common.

use teleprompt_tpe::bayes::Evidence;

use super::config::Ingredients;
use super::space::{Dimension, Space};

/// The least and the most that the rest may be estimated at, and the least for the ease.
const REST: (f64, f64) = (0.02, 0.5);
const EASE: f64 = 0.2;
/// At least so much of what was assumed is left to the demo sets, or to rows, whatever was seen.
const DEMOS: f64 = 0.1;
/// Of the assumed variance of scores, the least that is believed: few scores, all 0, do not mean that all will be.
const LEAST_VARIANCE: f64 = 0.3;

/// The variance of a combination's scores over the rows, and shares of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Shares {
    pub(super) variance: f64,
    /// Common to all combinations.
    pub(super) ease: f64,
    /// Not common to combinations with the same demo sets: half of it goes with the instructions of a predictor, half is each
    /// combination's own.
    pub(super) rest: f64,
}

/// A mean that something counts for which was assumed.
struct Mean {
    weight: f64,
    sum: f64,
}

impl Mean {
    fn assumed(weight: f64, value: f64) -> Self {
        Self { weight, sum: weight * value }
    }

    fn add(&mut self, weight: f64, sum: f64) {
        self.weight += weight;
        self.sum += sum;
    }

    fn value(&self) -> f64 {
        self.sum / self.weight
    }
}

/// What two combinations have in common.
#[derive(Clone, Copy, PartialEq)]
enum Kin {
    /// All but one instruction beside demo sets.
    Siblings,
    /// Nothing that leads.
    Strangers,
    Other,
}

fn kin(dimensions: &[(Dimension, usize)], a: &[usize], b: &[usize]) -> Kin {
    let (mut shared, mut led, mut instructions) = (0, 0, 0);
    for ((dimension, _), (x, y)) in dimensions.iter().zip(a.iter().zip(b)) {
        match (dimension.leads(), x == y) {
            (true, true) => shared += 1,
            (true, false) => led += 1,
            (false, same) => instructions += usize::from(!same),
        }
    }
    match (shared, led, instructions) {
        (_, 0, 1) => Kin::Siblings,
        (0, ..) => Kin::Strangers,
        _ => Kin::Other,
    }
}

impl Shares {
    /// Estimates them. Time: the pairs of scores on the same row.
    pub(super) fn of(evidence: &Evidence, space: &Space, parts: &Ingredients) -> Self {
        let (points, dimensions) = (evidence.points(), space.dimensions());
        let mut rows: Vec<Vec<(usize, f64)>> = vec![Vec::new(); evidence.n_rows()];
        let mut sums = vec![(0.0, 0.0, 0.0); points.len()];
        for score in evidence.scores() {
            rows[score.row].push((score.point, score.value));
            let (count, sum, squares) = &mut sums[score.point];
            *count += 1.0;
            *sum += score.value;
            *squares += score.value * score.value;
        }
        let mut variance = Mean::assumed(parts.assumed_scores, parts.score_variance);
        for (count, sum, squares) in sums.into_iter().filter(|(count, ..)| *count > 1.0) {
            variance.add(count - 1.0, (squares - sum * sum / count).max(0.0));
        }
        let variance = variance.value().max(LEAST_VARIANCE * parts.score_variance);

        let kin: Vec<Vec<Kin>> = (0..points.len())
            .map(|a| points[..a].iter().map(|other| kin(&dimensions, &points[a], other)).collect())
            .collect();
        // Siblings have in common what goes with the instructions of the other predictors.
        let instructions = dimensions.iter().filter(|(dimension, _)| !dimension.leads()).count();
        let apart = 0.5 + 0.5 / instructions.max(1) as f64;
        let assumed = |share: f64| Mean::assumed(parts.assumed_scores, share * parts.score_variance);
        let (mut siblings, mut strangers) =
            (assumed(parts.rest_share * apart), assumed(1.0 - parts.ease_share));
        for scores in &rows {
            // Of `m` scores on a row only `m - 1` differences are independent.
            let weight = 2.0 / scores.len().max(2) as f64;
            for (i, &(a, ya)) in scores.iter().enumerate() {
                for &(b, yb) in &scores[..i] {
                    let half = weight * 0.5 * (ya - yb) * (ya - yb);
                    match kin[a.max(b)][a.min(b)] {
                        Kin::Siblings => siblings.add(weight, half),
                        Kin::Strangers => strangers.add(weight, half),
                        Kin::Other => {}
                    }
                }
            }
        }
        let rest = (siblings.value() / apart / variance).clamp(REST.0, REST.1);
        let ease = (1.0 - strangers.value() / variance).clamp(EASE, 1.0 - DEMOS - rest);
        Self { variance, ease, rest }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    fn space(predictors: usize) -> Space {
        Space {
            predictors: vec![(3, 3); predictors],
            default: vec![0; 2 * predictors],
            strata: vec![0; 400],
            only: Vec::new(),
        }
    }

    /// Scores of all combinations of one predictor on all rows, by what row, instruction and demo set they have.
    pub(in super::super) fn scored(score: impl Fn(usize, usize, usize) -> f64) -> (Space, Evidence) {
        let space = space(1);
        let mut evidence = Evidence::new(400);
        for instruction in 0..3 {
            for demos in 0..3 {
                let point = evidence.point(&[instruction, demos]);
                for row in 0..400 {
                    assert!(evidence.push(point, row, score(row, instruction, demos)).is_ok());
                }
            }
        }
        (space, evidence)
    }

    fn of(score: impl Fn(usize, usize, usize) -> f64) -> Shares {
        let (space, evidence) = scored(score);
        Shares::of(&evidence, &space, &Ingredients::default())
    }

    /// 0 or 1, each half of the time, without a pattern.
    fn coin(seed: usize) -> f64 {
        let mixed = (seed as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        ((mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 63) as f64
    }

    #[test]
    fn shares_are_what_the_scores_have() {
        let all_alike = of(|row, _, _| coin(row));
        assert!(all_alike.ease > 0.85 && all_alike.rest < 0.03, "{all_alike:?}");
        let by_demos = of(|row, _, demos| coin(3 * row + demos));
        assert!(by_demos.ease < 0.25 && by_demos.rest < 0.03, "{by_demos:?}");
        let by_all = of(|row, instruction, demos| coin(9 * row + 3 * demos + instruction));
        assert!(by_all.ease < 0.25 && by_all.rest > 0.45, "{by_all:?}");
        for shares in [all_alike, by_demos, by_all] {
            assert!((shares.variance - 0.25).abs() < 0.01, "{shares:?}");
        }
        let small = of(|row, _, _| 0.5 + 0.2 * coin(row));
        assert!((small.variance - 0.3 * 0.23).abs() < 1e-12, "{small:?}");
    }

    #[test]
    fn what_is_assumed_stands_without_scores() {
        let parts = Ingredients::default();
        for predictors in 1..=3 {
            let found = Shares::of(&Evidence::new(10), &space(predictors), &parts);
            assert!((found.variance - parts.score_variance).abs() < 1e-12);
            assert!(
                (found.ease - parts.ease_share).abs() < 1e-12
                    && (found.rest - parts.rest_share).abs() < 1e-12
            );
        }
    }
}
