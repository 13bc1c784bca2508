//! The settings of TPE, as plain data: what Optuna calls the arguments of `TPESampler`.

use serde::{Deserialize, Serialize};

use crate::bandwidth::Bandwidth;
use crate::error::Error;
use crate::weights::Weights;

/// How many of `n` finished trials are good.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Gamma {
    /// `min(ceil(fraction · n), cap)`.
    Linear {
        /// In `(0, 1]`.
        fraction: f64,
        /// At least 1.
        cap: usize,
    },
    /// `min(ceil(factor · √n), cap)`.
    Sqrt {
        /// Above 0, finite.
        factor: f64,
        /// At least 1.
        cap: usize,
    },
}

impl Gamma {
    pub(super) fn count(self, n: usize) -> usize {
        let (x, cap) = match self {
            Self::Linear { fraction, cap } => (fraction * n as f64, cap),
            Self::Sqrt { factor, cap } => (factor * (n as f64).sqrt(), cap),
        };
        (x.ceil() as usize).min(cap).min(n)
    }
}

/// Which parameters share a density.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Dependence {
    /// Each parameter on its own.
    Univariate,
    /// All parameters that are active under the same condition: a mixture of products of kernels.
    Multivariate,
}

/// How the first trials are chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Startup {
    /// Independent draws, as [`RandomSampler`](crate::RandomSampler).
    Random,
    /// Points that fill the space evenly, as [`QuasiRandomSampler`](crate::QuasiRandomSampler).
    SpaceFilling,
}

/// The settings of a [`TpeSampler`](super::TpeSampler).
///
/// More may come: start from one of the presets.
///
/// ```
/// use teleprompt_tpe::{Dependence, TpeConfig, TpeSampler};
///
/// let config = TpeConfig { dependence: Dependence::Univariate, max_others: Some(2_000), ..TpeConfig::default() };
/// let sampler = TpeSampler::new(config)?;
/// assert!(TpeSampler::new(TpeConfig { n_ei_candidates: 0, ..TpeConfig::optuna() }).is_err());
/// # Ok::<(), teleprompt_tpe::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct TpeConfig {
    /// Densities are asked once this many trials have a value.
    pub n_startup_trials: usize,
    /// How trials are chosen until then.
    pub startup: Startup,
    /// Draws from l(x) per suggestion, at least 1.
    pub n_ei_candidates: usize,
    /// How many trials are good.
    pub gamma: Gamma,
    /// How trials count within a density.
    pub weights: Weights,
    /// The weight of the prior, against 1 for a new trial; above 0, finite.
    pub prior_weight: f64,
    /// Which parameters share a density.
    pub dependence: Dependence,
    /// At most so many of the other and pending trials form g(x), the newest; `None` means all. At least 1.
    /// It bounds the cost of a suggestion; good trials always count.
    pub max_others: Option<usize>,
    /// The widths of the numeric kernels of l(x).
    pub good_bandwidth: Bandwidth,
    /// The widths of the numeric kernels of g(x).
    pub other_bandwidth: Bandwidth,
    /// On a grid, no kernel is narrower than so many cells; not negative, finite. Below a half, a kernel knows
    /// its own cell only, and a grid of few values is a list of choices.
    pub least_cells: f64,
    /// Whether, in spaces whose points can be counted, a point that is pending or finished is suggested again
    /// while others come to mind. With noise a repetition has a use, without it has none.
    pub repeat: bool,
}

impl TpeConfig {
    /// The densities of Optuna 5.0's `TPESampler` with its defaults (multivariate, constant liar).
    #[must_use]
    pub fn optuna() -> Self {
        Self {
            n_startup_trials: 10,
            n_ei_candidates: 24,
            gamma: Gamma::Linear { fraction: 0.1, cap: 25 },
            weights: Weights::Recent,
            prior_weight: 1.0,
            dependence: Dependence::Multivariate,
            max_others: None,
            startup: Startup::Random,
            good_bandwidth: Bandwidth::OPTUNA,
            other_bandwidth: Bandwidth::OPTUNA,
            least_cells: 0.0,
            repeat: true,
        }
    }

    /// The numeric settings that Watanabe's tutorial recommends (arXiv:2304.11127): 15 % of the trials are
    /// good and count by their improvement, kernels are narrow, down to 3 % of the range.
    ///
    /// Gaps are measured and choices smoothed as in Optuna, while the author's program (`tpe_tutorial` on OptunaHub)
    /// takes the ends of the range and the middle for neighbours and gives a choice 80 % of its kernel. No more than 25
    /// trials are good, as there.
    #[must_use]
    pub fn tutorial() -> Self {
        let bandwidth = Bandwidth::Neighbours { most: 1.0 / 0.03, exponent: 2.0 };
        Self {
            gamma: Gamma::Linear { fraction: 0.15, cap: 25 },
            weights: Weights::Improvement,
            good_bandwidth: bandwidth,
            other_bandwidth: bandwidth,
            ..Self::optuna()
        }
    }

    pub(super) fn check(&self) -> Result<(), Error> {
        let error = |setting, requirement| Err(Error::Config { setting, requirement });
        match self.gamma {
            Gamma::Linear { fraction, .. } if !(fraction > 0.0 && fraction <= 1.0) => {
                return error("gamma.fraction", "it must lie in (0, 1]");
            }
            Gamma::Sqrt { factor, .. } if !(factor > 0.0 && factor.is_finite()) => {
                return error("gamma.factor", "it must be above 0 and finite");
            }
            Gamma::Linear { cap: 0, .. } | Gamma::Sqrt { cap: 0, .. } => {
                return error("gamma.cap", "it must be at least 1");
            }
            _ => {}
        }
        for (setting, bandwidth) in
            [("good_bandwidth", self.good_bandwidth), ("other_bandwidth", self.other_bandwidth)]
        {
            if let Some(requirement) = bandwidth.problem() {
                return error(setting, requirement);
            }
        }
        if !(self.least_cells >= 0.0 && self.least_cells.is_finite()) {
            return error("least_cells", "it must not be negative, and finite");
        }
        if self.n_ei_candidates == 0 {
            return error("n_ei_candidates", "it must be at least 1");
        }
        if self.max_others == Some(0) {
            return error("max_others", "it must be at least 1");
        }
        if !(self.prior_weight > 0.0 && self.prior_weight.is_finite()) {
            return error("prior_weight", "it must be above 0 and finite");
        }
        Ok(())
    }
}

impl Default for TpeConfig {
    /// What measures best (`docs/BENCHMARKS.md`); what differs from [`optuna`](Self::optuna), and why:
    ///
    /// - the first trials fill the space, where random ones leave gaps;
    /// - good trials count by rank, so that the best ones draw and where the border lies matters little;
    /// - the kernels of good trials are as wide as these lie apart, all together, and so narrow as the search does; those on
    ///   the two sides of a gap reach across;
    /// - no kernel is narrower than a grid: neighbours on it stay neighbours;
    /// - no point is asked twice while there are others.
    fn default() -> Self {
        Self {
            startup: Startup::SpaceFilling,
            weights: Weights::Rank,
            good_bandwidth: Bandwidth::Spread { prior: 0.2, least: 0.01 },
            least_cells: 0.6,
            repeat: false,
            ..Self::optuna()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gamma_counts_as_optuna_does() {
        let gamma = TpeConfig::optuna().gamma;
        let counts = [0, 1, 10, 11, 20, 21, 250, 251, 1000].map(|n| gamma.count(n));
        assert_eq!(counts, [0, 1, 1, 2, 2, 3, 25, 25, 25]);
        assert_eq!(Gamma::Sqrt { factor: 0.25, cap: 25 }.count(100), 3);
        assert_eq!(Gamma::Linear { fraction: 1.0, cap: 9 }.count(4), 4);
    }

    #[test]
    fn meaningless_settings_are_refused() {
        let optuna = TpeConfig::optuna();
        for preset in [optuna.clone(), TpeConfig::tutorial(), TpeConfig::default()] {
            assert_eq!(preset.check(), Ok(()));
        }
        for config in [
            TpeConfig { gamma: Gamma::Linear { fraction: 0.0, cap: 1 }, ..optuna.clone() },
            TpeConfig { gamma: Gamma::Linear { fraction: f64::NAN, cap: 1 }, ..optuna.clone() },
            TpeConfig { gamma: Gamma::Sqrt { factor: 1.0, cap: 0 }, ..optuna.clone() },
            TpeConfig { n_ei_candidates: 0, ..optuna.clone() },
            TpeConfig { max_others: Some(0), ..optuna.clone() },
            TpeConfig { prior_weight: 0.0, ..optuna.clone() },
            TpeConfig { prior_weight: f64::INFINITY, ..optuna.clone() },
            TpeConfig { least_cells: f64::NAN, ..optuna.clone() },
            TpeConfig { good_bandwidth: Bandwidth::Spread { prior: -1.0, least: 0.1 }, ..optuna.clone() },
        ] {
            assert!(config.check().is_err(), "{config:?}");
        }
    }
}
