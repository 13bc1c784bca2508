//! How much each observed trial counts in a density, by its place in the order of trial numbers.
//!
//! Weights by place are computed from it, never stored, so a growing history costs nothing to re-weight. Those by
//! rank and by improvement are the TPE sampler's to give, and to the few good trials only.

use serde::{Deserialize, Serialize};

/// How the trials of a density are weighted against each other and against its prior.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Weights {
    /// All trials count 1.
    Uniform,
    /// The 25 newest trials count 1, older ones linearly less, down to `1/n` for the oldest of `n`
    /// (`optuna 5.0 samplers/_tpe/sampler.py`, `default_weights`).
    Recent,
    /// The `i`-th best of `n` good trials counts `1/i + 1/(i+1) + … + 1/n`, 1 in the mean; all others count 1.
    ///
    /// l(x) is then the mean of the densities of the best one, the best two, up to the best `n`: no place of the border
    /// between good and other trials is relied on, and nothing but the order of values counts. Evolution strategies
    /// weight their parents nearly so, `ln(n + ½) − ln(i)` (Hansen, arXiv:1604.00772).
    Rank,
    /// Good trials count as they are better than the best of the others, 1 in the mean; all others count 1
    /// (Watanabe, arXiv:2304.11127, "EI" weights). Where a constraint is violated, good trials count 1 too.
    Improvement,
}

/// The number of newest trials that [`Weights::Recent`] weights fully.
const FLAT: usize = 25;

impl Weights {
    /// The weights of `n` trials.
    pub(crate) fn of(self, n: usize) -> Ramp {
        let rising = match self {
            Self::Uniform | Self::Rank | Self::Improvement => 0,
            Self::Recent => n.saturating_sub(FLAT),
        };
        let start = if rising > 0 { 1.0 / n as f64 } else { 1.0 };
        let slope = if rising > 1 { (1.0 - start) / (rising - 1) as f64 } else { 0.0 };
        Ramp { n, rising, start, slope }
    }
}

/// The weights of a number of trials: rising linearly up to 1, then flat.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ramp {
    n: usize,
    /// How many weights lie on the rise.
    rising: usize,
    start: f64,
    slope: f64,
}

impl Ramp {
    /// The weight, in `(0, 1]`, of the trial at `place` in the order of trial numbers.
    pub(crate) fn at(&self, place: usize) -> f64 {
        if place < self.rising { self.start + self.slope * place as f64 } else { 1.0 }
    }

    /// The same weights without those of the places before `first`.
    pub(crate) fn from(&self, first: usize) -> Self {
        let rising = self.rising.saturating_sub(first);
        Self { n: self.n - first, rising, start: self.at(first), slope: self.slope }
    }

    /// The sum of the terms of `items`, one per place, times their weights.
    pub(crate) fn sum<T>(&self, items: &[T], term: impl Fn(&T) -> f64) -> f64 {
        let (rising, flat) = items.split_at(self.rising.min(items.len()));
        // Four sums, so that additions need not wait for each other.
        let mut sums = [0.0; 4];
        let (chunks, rest) = rising.as_chunks::<4>();
        let mut place = 0.0;
        for chunk in chunks {
            for lane in 0..4 {
                sums[lane] += (self.start + self.slope * (place + lane as f64)) * term(&chunk[lane]);
            }
            place += 4.0;
        }
        for (offset, item) in rest.iter().enumerate() {
            sums[offset] += (self.start + self.slope * (place + offset as f64)) * term(item);
        }
        let (chunks, rest) = flat.as_chunks::<4>();
        for chunk in chunks {
            for lane in 0..4 {
                sums[lane] += term(&chunk[lane]);
            }
        }
        let rest: f64 = rest.iter().map(term).sum();
        (sums[0] + sums[1]) + (sums[2] + sums[3]) + rest
    }

    /// The sum of all weights.
    pub(crate) fn total(&self) -> f64 {
        let rise = match self.rising {
            0 => 0.0,
            rising => 0.5 * rising as f64 * (self.start + self.at(rising - 1)),
        };
        rise + (self.n - self.rising) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recent_weights_rise_from_one_nth_to_one() {
        let all = |n| (0..n).map(|place| Weights::Recent.of(n).at(place)).collect::<Vec<_>>();
        assert_eq!(all(25), vec![1.0; 25]);
        assert_eq!(all(26)[..2], [1.0 / 26.0, 1.0]);
        assert_eq!(all(28)[..4], [1.0 / 28.0, (1.0 / 28.0 + 1.0) / 2.0, 1.0, 1.0]);
        for n in [0, 1, 24, 25, 26, 27, 28, 1000] {
            let sum: f64 = all(n).iter().sum();
            assert!((Weights::Recent.of(n).total() - sum).abs() < 1e-9 * sum.max(1.0));
            let squares: f64 = all(n).iter().map(|w| w * w).sum();
            assert!((Weights::Recent.of(n).sum(&all(n), |w| *w) - squares).abs() < 1e-9 * sum.max(1.0));
        }
    }
}
