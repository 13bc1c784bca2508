//! Means, intervals and ratios of verdicts, by landscape and over all.

use super::judge::Verdict;
use crate::bench::stats::SplitMix64;

/// How many resamples an interval is made from.
const RESAMPLES: usize = 2000;

/// A value with its 95 % interval.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Estimate {
    pub(crate) value: f64,
    pub(crate) low: f64,
    pub(crate) high: f64,
}

/// The mean of one figure of the verdicts.
pub(crate) fn mean(verdicts: &[Verdict], of: fn(&Verdict) -> f64) -> f64 {
    verdicts.iter().map(of).sum::<f64>() / verdicts.len().max(1) as f64
}

/// Half the width of the mean's 95 % interval.
pub(crate) fn half_width(verdicts: &[Verdict], of: fn(&Verdict) -> f64) -> f64 {
    let (n, centre) = (verdicts.len().max(2) as f64, mean(verdicts, of));
    let square = |v: &Verdict| (of(v) - centre) * (of(v) - centre);
    1.96 * (verdicts.iter().map(square).sum::<f64>() / (n - 1.0) / n).sqrt()
}

/// The share of verdicts with harm.
pub(crate) fn harm_rate(verdict: &Verdict) -> f64 {
    f64::from(u8::from(verdict.harm > 1e-9))
}

/// The geometric mean, over landscapes, of the ratio of mean regrets, with the interval that resampling each landscape's
/// seeds gives. `pairs[i]` holds the verdicts of both on landscape `i`, seed by seed.
pub(crate) fn ratio(pairs: &[(&[Verdict], &[Verdict])], of: fn(&Verdict) -> f64, floor: f64) -> Estimate {
    let geometric = |pick: &mut dyn FnMut(usize) -> usize, resample: bool| {
        let mut sum = 0.0;
        for (over, under) in pairs {
            let n = over.len().min(under.len());
            let (mut a, mut b) = (0.0, 0.0);
            for i in 0..n {
                let i = if resample { pick(n) } else { i };
                a += of(&over[i]);
                b += of(&under[i]);
            }
            let n = n.max(1) as f64;
            sum += ((a / n).max(floor) / (b / n).max(floor)).ln();
        }
        (sum / pairs.len().max(1) as f64).exp()
    };
    let value = geometric(&mut |_| 0, false);
    let mut random = SplitMix64::new(0x5ea2c4);
    let mut resampled: Vec<f64> = (0..RESAMPLES).map(|_| geometric(&mut |n| random.below(n), true)).collect();
    resampled.sort_by(f64::total_cmp);
    let at = |share: f64| resampled[((RESAMPLES - 1) as f64 * share).round() as usize];
    // An interval holds its value.
    Estimate { value, low: at(0.025).min(value), high: at(0.975).max(value) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdicts(regrets: &[f64]) -> Vec<Verdict> {
        regrets
            .iter()
            .map(|&regret| Verdict { regret, harm: 0.0, gain: 0.0, cost: 1.0, rounds: 0.0 })
            .collect()
    }

    #[test]
    fn a_ratio_of_means_is_geometric_over_landscapes() {
        let (a, b, c) = (verdicts(&[0.1, 0.3]), verdicts(&[0.4, 0.4]), verdicts(&[0.05, 0.15]));
        let found = ratio(&[(&a, &b), (&c, &b)], |v| v.regret, 1e-9);
        assert!((found.value - (0.5 * 0.25_f64).sqrt()).abs() < 1e-12);
        assert!(found.low <= found.value && found.value <= found.high);
    }

    #[test]
    fn intervals_of_equal_values_have_no_width() {
        let a = verdicts(&[0.2; 5]);
        assert_eq!(half_width(&a, |v| v.regret), 0.0);
        assert!((mean(&a, |v| v.regret) - 0.2).abs() < 1e-15);
    }
}
