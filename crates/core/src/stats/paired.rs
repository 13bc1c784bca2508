//! Two scores of each row, compared.

use std::fmt;

use serde::{Deserialize, Serialize};
use statrs::distribution::{Binomial, ContinuousCDF, DiscreteCDF, StudentsT};

use super::{MeanInterval, Tally, Z, resampled_means};

/// Which test gave a p-value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum PairedTest {
    /// McNemar's, exact, for scores that are all 0 or 1.
    McNemar,
    /// The paired bootstrap; its p-value is at least 0.001, for it counts resamples.
    Bootstrap,
    /// The normal approximation, for more than 5,000 pairs.
    Normal,
}

/// Two scores of each row, compared. Shown in two lines.
///
/// ```
/// use teleprompt_core::stats::{Comparison, PairedTest};
/// // Ten rows that only the second gets right, one that only the first does, nine on which both agree.
/// let pairs = (0..20).map(|i| match i { 0..=9 => (0.0, 1.0), 10 => (1.0, 0.0), _ => (1.0, 1.0) });
/// let comparison = Comparison::of(pairs, 7).unwrap();
/// assert_eq!((comparison.better, comparison.worse, comparison.test), (10, 1, PairedTest::McNemar));
/// assert!((comparison.p_value - 24.0 / 2048.0).abs() < 1e-12);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// The first's mean.
    pub before: f64,
    /// The second's mean.
    pub after: f64,
    /// The mean of `after - before`, with its 95 % interval.
    pub difference: MeanInterval,
    /// Rows on which the second is better.
    pub better: u64,
    /// Rows on which the second is worse.
    pub worse: u64,
    /// The test.
    pub test: PairedTest,
    /// How probable a difference at least as large is where there is none; two-sided, in `[0, 1]`.
    pub p_value: f64,
}

impl Comparison {
    /// Compares pairs `(before, after)`; `None` for fewer than 2.
    ///
    /// # Determinism
    /// A function of the pairs, their order and `seed`.
    pub fn of(pairs: impl IntoIterator<Item = (f64, f64)>, seed: u64) -> Option<Self> {
        let (mut before, mut after, mut differences) = (Tally::default(), Tally::default(), Tally::default());
        let (mut better, mut worse) = (0, 0);
        for (first, second) in pairs {
            before.push(first);
            after.push(second);
            differences.push(second - first);
            better += u64::from(second > first);
            worse += u64::from(second < first);
        }
        if differences.n < 2 {
            return None;
        }
        let binary = before.binary && after.binary;
        // A difference is no proportion, also where all of them are 0 or 1.
        differences.binary = false;
        let difference = differences.interval(seed)?;
        let (test, p_value) = if binary {
            (PairedTest::McNemar, mcnemar(better, worse))
        } else if differences.kept.is_empty() {
            (PairedTest::Normal, normal_p_value(&difference))
        } else {
            (PairedTest::Bootstrap, bootstrap_p_value(&resampled_means(&differences.kept, seed)))
        };
        let (before, after) = (before.mean()?, after.mean()?);
        Some(Self { before, after, difference, better, worse, test, p_value })
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { before, after, difference, better, worse, test, p_value } = self;
        let MeanInterval { mean, low, high, n, .. } = difference;
        let test = match test {
            PairedTest::McNemar => "McNemar's exact test",
            PairedTest::Bootstrap => "paired bootstrap",
            PairedTest::Normal => "paired normal test",
        };
        writeln!(f, "{before:.3} -> {after:.3}: {mean:+.3} (95 % {low:+.3} to {high:+.3})")?;
        write!(f, "{n} rows: {better} better, {worse} worse; p = {p_value:.3} ({test})")
    }
}

/// McNemar's exact p-value: the two-sided binomial test of `better` against `worse`.
fn mcnemar(better: u64, worse: u64) -> f64 {
    match Binomial::new(0.5, better + worse) {
        Ok(binomial) => (2.0 * binomial.cdf(better.min(worse))).min(1.0),
        // One half is a probability.
        Err(_) => 1.0,
    }
}

/// Twice the share of resampled means beyond 0, the sample itself counted.
fn bootstrap_p_value(means: &[f64]) -> f64 {
    let share = |beyond: fn(f64) -> bool| {
        (1 + means.iter().filter(|mean| beyond(**mean)).count()) as f64 / (1 + means.len()) as f64
    };
    (2.0 * share(|mean| mean <= 0.0).min(share(|mean| mean >= 0.0))).min(1.0)
}

fn normal_p_value(difference: &MeanInterval) -> f64 {
    let error = (difference.high - difference.low) / (2.0 * Z);
    if error == 0.0 {
        return if difference.mean == 0.0 { 1.0 } else { 0.0 };
    }
    statrs::function::erf::erfc(difference.mean.abs() / error / std::f64::consts::SQRT_2)
}

/// The mean of paired differences with a 95 % confidence interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct PairedDifference {
    /// Mean of `after - before`, in `[-1, 1]`.
    pub mean: f64,
    /// Lower end of the interval.
    pub low: f64,
    /// Upper end of the interval.
    pub high: f64,
    /// How many pairs.
    pub n: usize,
}

impl PairedDifference {
    /// Compares two scores of each row by Student's t on their differences; `None` for fewer than 2 rows.
    ///
    /// ```
    /// use teleprompt_core::stats::PairedDifference;
    /// let pairs = [(0.0, 1.0), (0.0, 1.0), (1.0, 1.0), (0.0, 0.0), (1.0, 0.0), (0.0, 1.0)];
    /// let difference = PairedDifference::of(pairs).unwrap();
    /// assert!((difference.mean - 1.0 / 3.0).abs() < 1e-12);
    /// assert!(difference.low < 0.0 && difference.high > 0.0);
    /// ```
    pub fn of(pairs: impl IntoIterator<Item = (f64, f64)>) -> Option<Self> {
        let differences: Vec<f64> = pairs.into_iter().map(|(before, after)| after - before).collect();
        let n = differences.len();
        if n < 2 {
            return None;
        }
        let mean = differences.iter().sum::<f64>() / n as f64;
        let variance = differences.iter().map(|d| (d - mean).powi(2)).sum::<f64>() / (n - 1) as f64;
        let quantile = StudentsT::new(0.0, 1.0, (n - 1) as f64).ok()?.inverse_cdf(0.975);
        let half = quantile * (variance / n as f64).sqrt();
        Some(Self { mean, low: mean - half, high: mean + half, n })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn mcnemar_is_the_binomial_test() {
        assert_eq!(mcnemar(0, 0), 1.0);
        assert_eq!(mcnemar(5, 5), 1.0);
        // 2 (1 + 8 + 28) / 256
        assert!((mcnemar(2, 6) - 74.0 / 256.0).abs() < 1e-12);
        assert!((mcnemar(6, 2) - 74.0 / 256.0).abs() < 1e-12);
        assert!(mcnemar(400_000, 401_000) > 0.2 && mcnemar(400_000, 410_000) < 1e-20);
    }

    #[test]
    fn a_comparison_is_read_in_two_lines() {
        let pairs =
            (0..40).map(|i| (f64::from(i % 4) / 4.0, f64::from(i % 4 + 1) / 4.0 - f64::from(i % 2) / 4.0));
        let comparison = Comparison::of(pairs, 3).unwrap();
        assert_eq!(comparison.test, PairedTest::Bootstrap);
        assert_eq!(
            comparison.to_string(),
            "0.375 -> 0.500: +0.125 (95 % +0.087 to +0.163)\n40 rows: 20 better, 0 worse; p = 0.001 (paired bootstrap)"
        );
    }

    #[test]
    fn the_interval_is_students() {
        // t(0.975, 3) = 3.182446; differences 1, 2, 3, 4: mean 2.5, sd 1.290994.
        let interval = PairedDifference::of([(0.0, 1.0), (0.0, 2.0), (0.0, 3.0), (0.0, 4.0)]).unwrap();
        let half = 3.182_446_305 * 1.290_994_449 / 2.0;
        assert!((interval.high - (2.5 + half)).abs() < 1e-6 && (interval.low - (2.5 - half)).abs() < 1e-6);
        assert_eq!(PairedDifference::of([(0.0, 1.0)]), None);
    }

    #[test]
    fn one_pair_says_nothing() {
        assert_eq!(Comparison::of([(0.0, 1.0)], 0), None);
    }

    proptest! {
        #[test]
        fn a_comparison_turned_round_is_the_same(pairs in prop::collection::vec((0u8..2, 0u8..2), 2..40)) {
            let pairs = pairs.into_iter().map(|(a, b)| (f64::from(a), f64::from(b)));
            let there = Comparison::of(pairs.clone(), 1).unwrap();
            let back = Comparison::of(pairs.map(|(a, b)| (b, a)), 1).unwrap();
            prop_assert_eq!((there.better, there.worse), (back.worse, back.better));
            prop_assert!((there.p_value - back.p_value).abs() < 1e-12);
            prop_assert!((there.difference.mean + back.difference.mean).abs() < 1e-12);
        }
    }
}
