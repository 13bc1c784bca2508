//! Scales of values: values as they are, or logarithms of their distance from below the best.
//!
//! Losses often span orders of magnitude, and a process that must explain the worst of them sees nothing near
//! the best. The likelihood decides, with the derivative of the scale, which one explains the values best.

use crate::trial::Observation;

/// A monotone scale.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Warp {
    Identity,
    /// `ln (y - least + share · (median - least))`.
    Log {
        share: f64,
    },
}

/// Values with mean 0 and variance 1 on a scale.
pub(super) struct Warped {
    /// Values, and the variances of their noise.
    pub(super) observations: Vec<(f64, f64)>,
    /// The logarithms of the derivative of the scale.
    pub(super) log_slopes: Vec<f64>,
}

impl Warp {
    /// The scales that make sense for these values.
    pub(super) fn all(observations: &[Observation]) -> Vec<Self> {
        let (least, median, most) = spread(observations);
        if !(median > least && most > median) {
            return vec![Self::Identity];
        }
        vec![Self::Identity, Self::Log { share: 1.0 }, Self::Log { share: 0.03 }]
    }

    /// The values on this scale; `None` where they have none.
    pub(super) fn apply(self, observations: &[Observation]) -> Option<Warped> {
        // Values may be as large as floats can be: nothing is squared before it is scaled.
        let size = observations.iter().map(|o| o.value.abs()).fold(0.0, f64::max).max(f64::MIN_POSITIVE);
        let scaled: Vec<f64> = observations.iter().map(|o| o.value / size).collect();
        let (least, median, _) = spread(observations);
        let (values, slopes): (Vec<f64>, Vec<f64>) = match self {
            Self::Identity => scaled.iter().map(|&y| (y, 1.0)).unzip(),
            Self::Log { share } => {
                let offset = share * (median / size - least / size);
                let above = |y: f64| y - least / size + offset;
                scaled.iter().map(|&y| (libm::log(above(y)), 1.0 / above(y))).unzip()
            }
        };
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n;
        let variance = values.iter().map(|y| (y - mean) * (y - mean)).sum::<f64>() / n;
        let deviation = if variance > 0.0 { variance.sqrt() } else { 1.0 };
        let told = |(observation, slope): (&Observation, &f64)| {
            let noise = observation.variance.unwrap_or(0.0).sqrt() / size * slope / deviation;
            (noise * noise).min(1e6)
        };
        let variances = observations.iter().zip(&slopes).map(told);
        let warped: Vec<_> = values.iter().map(|y| (y - mean) / deviation).zip(variances).collect();
        let log_slopes: Vec<f64> = slopes.iter().map(|slope| libm::log(slope / deviation)).collect();
        let finite = warped.iter().all(|(y, noise)| y.is_finite() && noise.is_finite());
        (finite && log_slopes.iter().all(|slope| slope.is_finite()))
            .then_some(Warped { observations: warped, log_slopes })
    }
}

/// The least, the middle and the largest value.
fn spread(observations: &[Observation]) -> (f64, f64, f64) {
    let mut values: Vec<f64> = observations.iter().map(|o| o.value).collect();
    values.sort_unstable_by(f64::total_cmp);
    let at = |place: usize| values.get(place).copied().unwrap_or(0.0);
    (at(0), at(values.len() / 2), at(values.len().saturating_sub(1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scales_are_monotone_and_finite_for_any_values() {
        for values in [
            vec![1.0, 2.0, 3.0, 1000.0],
            vec![-1e300, 0.0, 1e-300, 1.7e308],
            vec![5.0; 4],
            vec![1e-320, 2e-320, 3e-320],
        ] {
            let observations: Vec<_> =
                values.iter().map(|&y| Observation::new(y).with_variance(1.0)).collect();
            for warp in Warp::all(&observations) {
                let Some(warped) = warp.apply(&observations) else { continue };
                assert!(warped.observations.iter().all(|(y, noise)| y.is_finite() && noise.is_finite()));
                assert!(
                    warped.observations.is_sorted_by(|a, b| a.0 <= b.0),
                    "{warp:?} {:?}",
                    warped.observations
                );
            }
            assert!(Warp::Identity.apply(&observations).is_some());
        }
    }
}
