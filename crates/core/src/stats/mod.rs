//! The statistics of scores: means with 95 % intervals, and paired comparisons.
//!
//! ```text
//!   scores ─▶ Tally (bounded memory) ─▶ MeanInterval    Wilson for 0/1, bootstrap otherwise
//!   pairs  ─▶ Comparison             ─▶ p-value         McNemar for 0/1, paired bootstrap otherwise
//! ```
//!
//! Sources: Wilson 1927 (the score interval, doi:10.1080/01621459.1927.10502953); Efron and Tibshirani 1993, §13.3 (the
//! percentile interval) and §16.4 (the bootstrap test); McNemar 1947 in its exact form (doi:10.1007/BF02295996).
//!
//! **Absent on purpose:** a correction for many comparisons. Who compares ten candidates and shows the best one's p-value
//! shows nothing.

mod paired;

use std::fmt;

use rand::RngExt;
use serde::{Deserialize, Serialize};

use crate::rng;

pub use paired::{Comparison, PairedDifference, PairedTest};

/// The 0.975 quantile of the standard normal distribution.
const Z: f64 = 1.959_963_984_540_054;

/// Resamples of a bootstrap: with 1,999, the 2.5 % points are the 50th value from either end.
const RESAMPLES: usize = 1_999;

/// Up to this many values are kept and resampled. Beyond, the mean's distribution is normal to far below the interval's own
/// width, and nothing is kept.
const KEPT: usize = 5_000;

/// How an interval was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum IntervalMethod {
    /// Wilson's score interval, for values that are all 0 or 1.
    Wilson,
    /// The percentile bootstrap, of 1,999 resamples.
    Bootstrap,
    /// The normal approximation, for more than 5,000 values.
    Normal,
}

impl fmt::Display for IntervalMethod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Wilson => "Wilson",
            Self::Bootstrap => "bootstrap",
            Self::Normal => "normal",
        })
    }
}

/// A mean with its 95 % confidence interval. Shown as `0.750 (95 % 0.409 to 0.929, Wilson, n = 8)`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct MeanInterval {
    /// The mean.
    pub mean: f64,
    /// Lower end of the interval.
    pub low: f64,
    /// Upper end of the interval.
    pub high: f64,
    /// How many values.
    pub n: u64,
    /// How the interval was found.
    pub method: IntervalMethod,
}

impl fmt::Display for MeanInterval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { mean, low, high, n, method } = self;
        write!(f, "{mean:.3} (95 % {low:.3} to {high:.3}, {method}, n = {n})")
    }
}

/// What is known of values that were seen one by one: their number, mean and spread, in bounded memory.
///
/// ```
/// use teleprompt_core::stats::{IntervalMethod, Tally};
/// let tally: Tally = [1.0, 1.0, 0.0, 1.0].into_iter().collect();
/// let interval = tally.interval(7).unwrap();
/// assert_eq!((interval.mean, interval.method), (0.75, IntervalMethod::Wilson));
/// assert!((interval.low - 0.3006).abs() < 1e-4 && (interval.high - 0.9544).abs() < 1e-4);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Tally {
    n: u64,
    sum: f64,
    /// Mean and sum of squared deviations, kept up to date (Welford 1962).
    mean: f64,
    deviations: f64,
    binary: bool,
    /// The values, while there are at most [`KEPT`] of them.
    kept: Vec<f64>,
}

impl Default for Tally {
    fn default() -> Self {
        Self { n: 0, sum: 0.0, mean: 0.0, deviations: 0.0, binary: true, kept: Vec::new() }
    }
}

impl Tally {
    /// Takes one more finite value.
    pub fn push(&mut self, value: f64) {
        self.n += 1;
        self.sum += value;
        let from_old = value - self.mean;
        self.mean += from_old / self.n as f64;
        self.deviations += from_old * (value - self.mean);
        self.binary &= value == 0.0 || value == 1.0;
        if self.kept.len() < KEPT {
            self.kept.push(value);
        } else {
            self.kept = Vec::new();
        }
    }

    /// How many values.
    pub fn n(&self) -> u64 {
        self.n
    }

    /// The mean; `None` of no values.
    pub fn mean(&self) -> Option<f64> {
        (self.n > 0).then(|| self.sum / self.n as f64)
    }

    /// The mean with its 95 % interval: Wilson's for values that are all 0 or 1, the bootstrap's otherwise (beyond 5,000
    /// values the normal approximation). `None` of no values, and of a single one that is neither 0 nor 1.
    ///
    /// # Determinism
    /// A function of the values, their order and `seed` (stream `interval`). Wilson's needs no seed.
    pub fn interval(&self, seed: u64) -> Option<MeanInterval> {
        let (mean, n) = (self.mean()?, self.n);
        let interval = |(low, high), method| MeanInterval { mean, low, high, n, method };
        if self.binary {
            return Some(interval(wilson(self.sum, n as f64), IntervalMethod::Wilson));
        }
        if n < 2 {
            return None;
        }
        if self.kept.is_empty() {
            let half = Z * (self.deviations / (n - 1) as f64 / n as f64).sqrt();
            return Some(interval((mean - half, mean + half), IntervalMethod::Normal));
        }
        Some(interval(percentiles(&resampled_means(&self.kept, seed)), IntervalMethod::Bootstrap))
    }
}

impl Extend<f64> for Tally {
    fn extend<I: IntoIterator<Item = f64>>(&mut self, values: I) {
        values.into_iter().for_each(|value| self.push(value));
    }
}

impl FromIterator<f64> for Tally {
    fn from_iter<I: IntoIterator<Item = f64>>(values: I) -> Self {
        let mut tally = Self::default();
        tally.extend(values);
        tally
    }
}

/// Wilson's 95 % interval for `ones` ones among `n > 0` values.
fn wilson(ones: f64, n: f64) -> (f64, f64) {
    let (p, z2) = (ones / n, Z * Z);
    let middle = p + z2 / (2.0 * n);
    let half = Z * (p * (1.0 - p) / n + z2 / (4.0 * n * n)).sqrt();
    let at = |end: f64| (end / (1.0 + z2 / n)).clamp(0.0, 1.0);
    // At the ends the bound is the end itself; the formula misses it by a rounding.
    let low = if ones == 0.0 { 0.0 } else { at(middle - half) };
    let high = if ones == n { 1.0 } else { at(middle + half) };
    (low, high)
}

/// The means of [`RESAMPLES`] resamples, in ascending order. `values` is not empty.
fn resampled_means(values: &[f64], seed: u64) -> Vec<f64> {
    let mut stream = rng::stream(seed, "interval", &[]);
    let mut draw = || values.get(stream.random_range(0..values.len())).copied().unwrap_or_default();
    let mut means: Vec<f64> = (0..RESAMPLES)
        .map(|_| (0..values.len()).map(|_| draw()).sum::<f64>() / values.len() as f64)
        .collect();
    means.sort_by(f64::total_cmp);
    means
}

/// The 2.5 % and 97.5 % points of sorted values.
fn percentiles(sorted: &[f64]) -> (f64, f64) {
    let cut = ((sorted.len() + 1) / 40).saturating_sub(1);
    let at = |index: usize| sorted.get(index).copied().unwrap_or_default();
    (at(cut), at(sorted.len().saturating_sub(cut + 1)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn wilsons_interval_is_that_of_the_paper() {
        // Newcombe 1998, table I, method 3: 81/263, 15/148, 0/20, 1/29.
        let check = |ones: u64, n: u64, low: f64, high: f64| {
            let tally: Tally = (0..n).map(|i| f64::from(u8::from(i < ones))).collect();
            let interval = tally.interval(0).unwrap();
            assert!((interval.low - low).abs() < 5e-5 && (interval.high - high).abs() < 5e-5, "{interval:?}");
        };
        check(81, 263, 0.2553, 0.3662);
        check(15, 148, 0.0624, 0.1605);
        check(0, 20, 0.0, 0.1611);
        check(1, 29, 0.0061, 0.1718);
    }

    #[test]
    fn the_bootstrap_interval_covers_as_the_normal_one_does() {
        let values: Vec<f64> = (0..400).map(|i| f64::from(i % 20) / 19.0).collect();
        let interval = values.iter().copied().collect::<Tally>().interval(1).unwrap();
        // Mean 0.5, standard deviation 0.3035 over the 20 values: half width 1.96 x 0.3035 / 20 = 0.0297.
        assert_eq!(interval.method, IntervalMethod::Bootstrap);
        assert!(
            (interval.low - 0.4703).abs() < 0.004 && (interval.high - 0.5297).abs() < 0.004,
            "{interval}"
        );
        assert_eq!(values.iter().copied().collect::<Tally>().interval(1), Some(interval));
    }

    #[test]
    fn memory_is_bounded() {
        let tally: Tally = (0..=KEPT).map(|i| (i % 3) as f64 / 2.0).collect();
        assert_eq!((tally.n(), tally.kept.capacity()), (KEPT as u64 + 1, 0));
        let interval = tally.interval(0).unwrap();
        assert_eq!(interval.method, IntervalMethod::Normal);
        let half = Z * (1.0f64 / 6.0 / KEPT as f64).sqrt();
        assert!((interval.high - interval.mean - half).abs() < 1e-5);
    }

    #[test]
    fn few_values_say_little() {
        assert_eq!(Tally::default().interval(0), None);
        assert_eq!([0.5].into_iter().collect::<Tally>().interval(0), None);
        let one: Tally = [1.0].into_iter().collect();
        assert!(one.interval(0).unwrap().low < 0.21);
    }

    proptest! {
        #[test]
        fn an_interval_holds_its_mean(values in prop::collection::vec(0.0f64..=1.0, 2..40), seed in any::<u64>()) {
            let interval = values.iter().copied().collect::<Tally>().interval(seed).unwrap();
            prop_assert!((0.0..=1.0).contains(&interval.low) && interval.high <= 1.0 + 1e-12);
            prop_assert!(interval.low <= interval.mean + 1e-12 && interval.mean <= interval.high + 1e-12);
        }
    }
}
