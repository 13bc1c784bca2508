//! How wide the kernels of numeric parameters are.

use serde::{Deserialize, Serialize};

/// The width (standard deviation) of a numeric kernel, as a share of its parameter's range.
///
/// Widths never exceed the range. On a grid, see [`TpeConfig::least_cells`](crate::TpeConfig::least_cells).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Bandwidth {
    /// The larger gap to the neighbours left and right, at least `1 / min(most, (n + 2)^exponent)` of the range with
    /// `n` trials. Each kernel has a width of its own.
    Neighbours {
        /// The reciprocal of the least width there is, at least 1.
        most: f64,
        /// How fast the least width falls with the number of trials, not negative.
        exponent: f64,
    },
    /// `spread · n^(-1/(D+4))` with `n` trials and `D` numeric parameters (Scott's rule) for all kernels of a parameter: as
    /// good trials come together, kernels narrow with them, in each parameter as far as it matters. Where the larger gap to
    /// a neighbour is wider than that, it is the width: the trials on the two sides of a gap, in valleys of their own
    /// perhaps, reach across.
    ///
    /// `spread` is the standard deviation of the trials and of `prior` trials spread evenly over the range.
    Spread {
        /// The weight of the even spread, above 0.
        prior: f64,
        /// The least width there is, above 0.
        least: f64,
    },
}

impl Bandwidth {
    /// The widths of Optuna 5.0.
    pub const OPTUNA: Self = Self::Neighbours { most: 100.0, exponent: 1.0 };

    /// What its numbers must be, where they are not.
    pub(crate) fn problem(self) -> Option<&'static str> {
        match self {
            Self::Neighbours { most, exponent } => {
                let fine = most >= 1.0 && most.is_finite() && exponent >= 0.0 && exponent.is_finite();
                (!fine).then_some("`most` must be at least 1, `exponent` not negative, both finite")
            }
            Self::Spread { prior, least } => {
                let fine = prior > 0.0 && prior.is_finite() && least > 0.0 && least <= 1.0;
                (!fine).then_some("`prior` must be above 0 and finite, `least` in (0, 1]")
            }
        }
    }

    /// The least width with `n` trials.
    pub(crate) fn least(self, n: usize) -> f64 {
        match self {
            Self::Neighbours { most, exponent } => 1.0 / most.min(libm::pow(n as f64 + 2.0, exponent)),
            Self::Spread { least, .. } => least,
        }
    }

    /// Whether `least` is the same from `n` trials on, so that a new trial changes its neighbours only.
    pub(crate) fn is_settled(self, n: usize) -> bool {
        match self {
            Self::Neighbours { most, exponent } => {
                exponent == 0.0 || libm::pow(n as f64 + 1.0, exponent) >= most
            }
            Self::Spread { .. } => false,
        }
    }

    /// What the spread of the trials asks of all kernels of a parameter at least, given their centers on the unit interval.
    pub(crate) fn common(self, centers: &[f64], dimensions: usize) -> Option<f64> {
        let Self::Spread { prior, .. } = self else { return None };
        let n = centers.len() as f64;
        let mean = (centers.iter().sum::<f64>() + 0.5 * prior) / (n + prior);
        let squares: f64 = centers.iter().map(|u| (u - mean) * (u - mean)).sum();
        // An even spread over the unit interval has the variance 1/12.
        let even = prior * ((0.5 - mean) * (0.5 - mean) + 1.0 / 12.0);
        let spread = ((squares + even) / (n + prior)).sqrt();
        Some(spread * libm::pow(n.max(1.0), -1.0 / (dimensions as f64 + 4.0)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn optuna_settles_at_a_hundredth() {
        let least = |n| Bandwidth::OPTUNA.least(n);
        assert_eq!([least(0), least(1), least(8), least(98), least(5000)], [0.5, 1.0 / 3.0, 0.1, 0.01, 0.01]);
        assert!(!Bandwidth::OPTUNA.is_settled(98) && Bandwidth::OPTUNA.is_settled(99));
    }

    #[test]
    fn a_common_width_follows_the_spread() {
        let spread = Bandwidth::Spread { prior: 0.1, least: 0.01 };
        let width = |centers: &[f64]| spread.common(centers, 1).unwrap();
        assert!(width(&[0.5, 0.51, 0.49]) < 0.3 * width(&[0.1, 0.5, 0.9]));
        assert!(width(&[0.2; 3]) > 0.0 && width(&[]) > 0.28);
        assert_eq!(Bandwidth::OPTUNA.common(&[0.5], 1), None);
    }

    #[test]
    fn meaningless_numbers_are_refused() {
        assert_eq!(Bandwidth::OPTUNA.problem(), None);
        for bad in [
            Bandwidth::Neighbours { most: 0.0, exponent: 1.0 },
            Bandwidth::Neighbours { most: 10.0, exponent: f64::NAN },
            Bandwidth::Spread { prior: 0.0, least: 0.1 },
            Bandwidth::Spread { prior: 1.0, least: 0.0 },
        ] {
            assert!(bad.problem().is_some(), "{bad:?}");
        }
    }
}
