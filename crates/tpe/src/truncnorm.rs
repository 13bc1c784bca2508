//! The standard normal distribution cut to an interval: log mass and draws, safe in the far tails.
//!
//! Everything is in log space or relative to the nearer end, so an interval 100 standard deviations out is as
//! exact as one around the mean. `libm` keeps results the same on every machine. Only what the kernels need
//! is here: no quantiles, for draws are by rejection (C. P. Robert, *Simulation of truncated normal
//! variables*, 1995).

use rand::{Rng, RngExt};

/// ln √(2π).
pub(crate) const LN_SQRT_2PI: f64 = 0.918_938_533_204_672_8;

/// Below this, `ln Φ` is summed as an asymptotic series, above it comes from `erfc`.
const TAIL: f64 = -20.0;

/// `ln Φ(x)`, with a relative error of about 1e-15 for all finite `x`.
fn log_cdf(x: f64) -> f64 {
    let z = x * std::f64::consts::FRAC_1_SQRT_2;
    if x > 0.0 {
        libm::log1p(-0.5 * libm::erfc(z))
    } else if x > TAIL {
        libm::log(0.5 * libm::erfc(-z))
    } else {
        // Φ(x) = φ(x)/|x| · (1 − 1/x² + 3/x⁴ − 15/x⁶ ..); ten terms reach 1e-19 from |x| = 20 on.
        let inverse = 1.0 / (x * x);
        let (mut term, mut sum) = (1.0, 0.0);
        for k in 1..=10 {
            term *= -inverse * f64::from(2 * k - 1);
            sum += term;
        }
        -0.5 * x * x - libm::log(-x) - LN_SQRT_2PI + libm::log1p(sum)
    }
}

/// `ln (Φ(b) − Φ(a))`: the log mass between `a` and `b`, where `a < b`; minus infinity for an empty interval.
pub(crate) fn log_mass(a: f64, b: f64) -> f64 {
    if a >= 0.0 && b > 0.0 {
        return log_mass(-b, -a);
    }
    let (width, middle) = (b - a, 0.5 * (a + b));
    if width * middle.abs().max(1.0) < 0.1 {
        // The difference would cancel: integrate the Taylor series of φ around the middle, whose even terms
        // are Hermite polynomials; the first one left out is below 1e-16 of the sum.
        let (m2, w2) = (middle * middle, width * width);
        let he2 = m2 - 1.0;
        let he4 = (m2 - 6.0) * m2 + 3.0;
        let he6 = ((m2 - 15.0) * m2 + 45.0) * m2 - 15.0;
        let correction = w2 / 24.0 * (he2 + w2 / 80.0 * (he4 + w2 / 168.0 * he6));
        return libm::log(width) - 0.5 * m2 - LN_SQRT_2PI + libm::log1p(correction);
    }
    if b <= 0.0 {
        let upper = log_cdf(b);
        upper + libm::log1p(-libm::exp(log_cdf(a) - upper))
    } else {
        let outside = |x: f64| 0.5 * libm::erfc(x * std::f64::consts::FRAC_1_SQRT_2);
        libm::log1p(-outside(-a) - outside(b))
    }
}

/// A draw from the standard normal distribution cut to `[a, b]`, where `a <= b`.
///
/// Each way of rejecting accepts at least every fifth proposal on average, wherever the interval lies.
pub(crate) fn sample(a: f64, b: f64, rng: &mut impl Rng) -> f64 {
    if b < 0.0 {
        return -sample(-b, -a, rng);
    }
    let x = if a <= 0.0 && b - a > 2.0 {
        loop {
            let x = normal(rng);
            if a <= x && x <= b {
                break x;
            }
        }
    } else if a <= 0.0 || (b - a) * a.max(1.0) < 2.0 {
        // The density falls by less than e⁻⁴ over the interval: uniform proposals.
        let peak = a.max(0.0);
        loop {
            let x = a + (b - a) * rng.random::<f64>();
            if rng.random::<f64>() <= libm::exp(0.5 * (peak - x) * (peak + x)) {
                break x;
            }
        }
    } else {
        // The tail from `a` on: exponential proposals at Robert's best rate.
        let rate = 0.5 * (a + (a * a + 4.0).sqrt());
        loop {
            let x = a - libm::log(1.0 - rng.random::<f64>()) / rate;
            let off = x - rate;
            if x <= b && rng.random::<f64>() <= libm::exp(-0.5 * off * off) {
                break x;
            }
        }
    };
    // Rounding in `a + (b - a) u` can pass the end by one unit in the last place.
    x.clamp(a, b)
}

/// A draw from the standard normal distribution (the polar method of Marsaglia).
fn normal(rng: &mut impl Rng) -> f64 {
    loop {
        let u = 2.0 * rng.random::<f64>() - 1.0;
        let v = 2.0 * rng.random::<f64>() - 1.0;
        let s = u * u + v * v;
        if s > 0.0 && s < 1.0 {
            return u * (-2.0 * libm::log(s) / s).sqrt();
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand_chacha::ChaCha8Rng;
    use rand_chacha::rand_core::SeedableRng;

    use super::*;

    #[test]
    fn log_masses_match_high_precision() {
        let golden: Vec<[f64; 3]> =
            serde_json::from_str(include_str!("../tests/golden/log_mass.json")).unwrap();
        assert!(golden.len() > 40);
        for [a, b, expected] in golden {
            let found = log_mass(a, b);
            let tolerance = 2e-13 * expected.abs().max(1.0);
            assert!((found - expected).abs() < tolerance, "[{a}, {b}]: {found} is not {expected}");
            assert_eq!(found, log_mass(-b, -a));
        }
    }

    #[test]
    fn draws_follow_the_density_everywhere() {
        let mut rng = ChaCha8Rng::seed_from_u64(5);
        for (a, b) in [
            (-1.0, 1.5),
            (-4.0, 9.0),
            (0.0, 1.0),
            (0.5, 8.0),
            (3.0, 3.1),
            (30.0, 90.0),
            (-60.0, -50.0),
            (-9.0, 0.1),
        ] {
            // The median of the interval, by bisection on the mass, must split draws in halves.
            let (mut low, mut high) = (a, b);
            for _ in 0..200 {
                let middle = 0.5 * (low + high);
                if log_mass(a, middle) < log_mass(a, b) - std::f64::consts::LN_2 {
                    low = middle
                } else {
                    high = middle
                }
            }
            let draws: Vec<f64> = (0..4000).map(|_| sample(a, b, &mut rng)).collect();
            assert!(draws.iter().all(|&x| a <= x && x <= b));
            let below = draws.iter().filter(|&&x| x < low).count();
            assert!((1840..2160).contains(&below), "[{a}, {b}]: {below} of 4000 below the median {low}");
        }
    }

    proptest! {
        #[test]
        fn masses_add_up(a in -40.0..40.0_f64, u in 1e-6..1.0_f64, width in 1e-9..10.0_f64) {
            let (b, middle) = (a + width, a + u * width);
            prop_assume!(a < middle && middle < b);
            let whole = log_mass(a, b);
            let parts = libm::exp(log_mass(a, middle) - whole) + libm::exp(log_mass(middle, b) - whole);
            // At a distance of 40 a rounding of the middle by 4e-15 shifts the log by 3e-13; of tiny widths
            // more.
            prop_assert!((parts - 1.0).abs() < 1e-11 + 2e-14 / width, "{parts}");
        }
    }
}
