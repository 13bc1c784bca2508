//! Medians and bootstrap intervals. Everything random is seeded, so a table is a function of its measurements.

/// How many resamples an interval is made from.
const RESAMPLES: usize = 4000;
/// The seed of all resampling.
const SEED: u64 = 0x7e1e_9403_b7a9;

/// The middle value, or the mean of the two middle ones. `None` for no values.
pub(crate) fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let upper = *sorted.get(sorted.len() / 2)?;
    let lower = *sorted.get((sorted.len() - 1) / 2)?;
    Some(f64::midpoint(lower, upper))
}

/// A ratio and the interval that resampling gives it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Ratio {
    pub(crate) ratio: f64,
    /// The 2.5th percentile of the resamples.
    pub(crate) low: f64,
    /// The 97.5th percentile.
    pub(crate) high: f64,
}

/// `median(over) / median(under)` with its 95 % percentile-bootstrap interval.
///
/// `over[i]` and `under[i]` belong to the same seed and are resampled together. Medians below `floor` count as
/// `floor`. `None` without pairs, or when a median is 0 and so is `floor`.
pub(crate) fn ratio_of_medians(over: &[f64], under: &[f64], floor: f64) -> Option<Ratio> {
    ratio(over, under, |values| Some(median(values)?.max(floor)))
}

/// `mean(over) / mean(under)` with its interval: `over[i]` and `under[i]` belong to the same row.
#[cfg(feature = "bench")]
pub(crate) fn ratio_of_means(over: &[f64], under: &[f64]) -> Option<Ratio> {
    let mean =
        |values: &[f64]| (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64);
    ratio(over, under, mean)
}

/// The ratio of a figure of pairs, which are resampled together.
fn ratio(over: &[f64], under: &[f64], figure: impl Fn(&[f64]) -> Option<f64>) -> Option<Ratio> {
    let pairs: Vec<(f64, f64)> = over.iter().copied().zip(under.iter().copied()).collect();
    let of = |pairs: &[(f64, f64)]| {
        let (over, under): (Vec<f64>, Vec<f64>) = pairs.iter().copied().unzip();
        let ratio = figure(&over)? / figure(&under)?;
        (ratio.is_finite() && ratio > 0.0).then_some(ratio)
    };
    let ratio = of(&pairs)?;

    let mut random = SplitMix64::new(SEED);
    let mut resampled = Vec::with_capacity(RESAMPLES);
    let mut sample = Vec::with_capacity(pairs.len());
    for _ in 0..RESAMPLES {
        sample.clear();
        sample.extend((0..pairs.len()).filter_map(|_| pairs.get(random.below(pairs.len()))));
        resampled.extend(of(&sample));
    }
    resampled.sort_by(f64::total_cmp);
    // With few pairs the middle of the resamples can lie beside the ratio; an interval holds it all the same.
    let (low, high) = (quantile(&resampled, 0.025)?, quantile(&resampled, 0.975)?);
    Some(Ratio { ratio, low: low.min(ratio), high: high.max(ratio) })
}

/// The value at `share` of the way through sorted values, between neighbours in proportion.
pub(crate) fn quantile(sorted: &[f64], share: f64) -> Option<f64> {
    let last = sorted.len().checked_sub(1)?;
    let place = share * last as f64;
    let (lower, upper) = (*sorted.get(place.floor() as usize)?, *sorted.get(place.ceil() as usize)?);
    Some(lower + (upper - lower) * place.fract())
}

/// A small generator of random numbers (Steele, Lea and Flood, *Fast splittable pseudorandom number generators*,
/// 2014): good enough to resample and to lay out problems, and the same everywhere.
#[derive(Debug, Clone)]
pub(crate) struct SplitMix64(u64);

impl SplitMix64 {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Uniform in `[0, 1)`.
    pub(crate) fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// A draw from the standard normal distribution (Box and Muller).
    #[cfg(feature = "bench")]
    pub(crate) fn normal(&mut self) -> f64 {
        let radius = (-2.0 * libm::log(1.0 - self.unit())).sqrt();
        radius * libm::cos(2.0 * std::f64::consts::PI * self.unit())
    }

    /// Uniform in `0..n`; 0 for `n` 0.
    pub(crate) fn below(&mut self, n: usize) -> usize {
        ((self.unit() * n as f64) as usize).min(n.saturating_sub(1))
    }

    /// The numbers `0..n` in random order.
    #[cfg_attr(not(feature = "bench"), expect(dead_code, reason = "only families permute"))]
    pub(crate) fn permutation(&mut self, n: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..n).collect();
        for i in (1..n).rev() {
            order.swap(i, self.below(i + 1));
        }
        order
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians() {
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[3.0]), Some(3.0));
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), Some(2.5));
    }

    #[test]
    fn quantiles_lie_between_neighbours() {
        let sorted = [0.0, 1.0, 2.0, 3.0, 4.0];
        assert_eq!(quantile(&sorted, 0.0), Some(0.0));
        assert_eq!(quantile(&sorted, 1.0), Some(4.0));
        assert_eq!(quantile(&sorted, 0.625), Some(2.5));
        assert_eq!(quantile(&[], 0.5), None);
    }

    #[test]
    fn equal_measurements_have_an_exact_ratio() {
        let ratio = ratio_of_medians(&[6.0; 9], &[2.0; 9], 0.0).unwrap();
        assert_eq!(ratio, Ratio { ratio: 3.0, low: 3.0, high: 3.0 });
    }

    #[test]
    fn intervals_hold_the_ratio_and_narrow_with_more_seeds() {
        let mut random = SplitMix64::new(1);
        let mut width = |n: usize| {
            let over: Vec<f64> = (0..n).map(|_| 10.0 + random.unit()).collect();
            let under: Vec<f64> = (0..n).map(|_| 5.0 + random.unit()).collect();
            let Ratio { ratio, low, high } = ratio_of_medians(&over, &under, 0.0).unwrap();
            assert!(low <= ratio && ratio <= high, "{low} {ratio} {high}");
            assert!((ratio - 10.5 / 5.5).abs() < 0.15, "{ratio}");
            high - low
        };
        assert!(width(200) < width(20));
    }

    #[test]
    fn intervals_are_reproducible() {
        let (over, under) = ([1.0, 2.0, 5.0, 3.0], [2.0, 2.5, 1.0, 4.0]);
        assert_eq!(ratio_of_medians(&over, &under, 0.0), ratio_of_medians(&over, &under, 0.0));
    }

    #[test]
    fn zeros_need_a_floor() {
        assert_eq!(ratio_of_medians(&[1.0], &[0.0], 0.0), None);
        assert_eq!(ratio_of_medians(&[0.0], &[0.0], 0.0), None);
        assert_eq!(ratio_of_medians(&[0.0], &[0.0], 0.001).map(|ratio| ratio.ratio), Some(1.0));
        assert_eq!(ratio_of_medians(&[], &[], 0.001), None);
    }

    #[test]
    fn random_numbers_are_those_of_the_paper() {
        let mut random = SplitMix64::new(1_234_567);
        assert_eq!(random.next(), 6_457_827_717_110_365_317);
        assert_eq!(random.next(), 3_203_168_211_198_807_973);
        assert!((0..1000).all(|_| random.below(3) < 3));
    }
}
