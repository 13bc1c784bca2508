//! The statistics of a comparison: the mean difference of paired scores, with a confidence interval.

use serde::{Deserialize, Serialize};
use statrs::distribution::{ContinuousCDF, StudentsT};

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
    /// use teleprompt_miprov2::PairedDifference;
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
    use super::*;

    #[test]
    fn the_interval_is_students() {
        // t(0.975, 3) = 3.182446; differences 1, 2, 3, 4: mean 2.5, sd 1.290994.
        let interval = PairedDifference::of([(0.0, 1.0), (0.0, 2.0), (0.0, 3.0), (0.0, 4.0)]).unwrap();
        let half = 3.182_446_305 * 1.290_994_449 / 2.0;
        assert!((interval.high - (2.5 + half)).abs() < 1e-6 && (interval.low - (2.5 - half)).abs() < 1e-6);
        assert_eq!(PairedDifference::of([(0.0, 1.0)]), None);
    }
}
