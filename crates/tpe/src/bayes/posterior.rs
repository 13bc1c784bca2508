//! What is believed of the values of some points, and the questions one asks of such a belief: which is best, how sure
//! is that, and where would looking pay.

use rand::{Rng, RngExt};

use super::linalg::{Square, dot};
use super::look::Look;

/// A joint normal belief about the values of points, by their index.
#[derive(Clone, Debug, PartialEq)]
pub struct Posterior {
    mean: Vec<f64>,
    covariance: Square,
}

impl Posterior {
    pub(super) fn new(mean: Vec<f64>, covariance: Square) -> Self {
        Self { mean, covariance }
    }

    /// How many points it is about.
    pub fn len(&self) -> usize {
        self.mean.len()
    }

    /// Whether it is about nothing.
    pub fn is_empty(&self) -> bool {
        self.mean.is_empty()
    }

    /// The expected values.
    pub fn mean(&self) -> &[f64] {
        &self.mean
    }

    /// The covariance of two points' values.
    pub fn covariance(&self, a: usize, b: usize) -> f64 {
        self.covariance.get(a, b)
    }

    /// The standard deviation of a point's value.
    pub fn sd(&self, point: usize) -> f64 {
        self.covariance(point, point).max(0.0).sqrt()
    }

    /// The standard deviation of the difference of two points' values.
    pub fn sd_of_difference(&self, a: usize, b: usize) -> f64 {
        let variance = self.covariance(a, a) + self.covariance(b, b) - 2.0 * self.covariance(a, b);
        variance.max(0.0).sqrt()
    }

    /// The probability that the value of `a` is above that of `b`; one half for a point and itself.
    pub fn probability_above(&self, a: usize, b: usize) -> f64 {
        let (gap, sd) = (self.mean[a] - self.mean[b], self.sd_of_difference(a, b));
        if sd > 0.0 {
            normal_cdf(gap / sd)
        } else if gap == 0.0 {
            0.5
        } else {
            f64::from(u8::from(gap > 0.0))
        }
    }

    /// The point with the best expected value, the first among equals; `None` when there is no point.
    pub fn best(&self) -> Option<usize> {
        let points = self.mean.iter().enumerate();
        points
            .fold(None::<(usize, f64)>, |best, (point, &mean)| match best {
                Some((_, known)) if known >= mean => best,
                _ => Some((point, mean)),
            })
            .map(|(point, _)| point)
    }

    /// The knowledge gradient: by how much the best expected value is expected to rise when `point` is observed with
    /// each of these amounts of information (the inverse of the observation's variance). At least 0.
    ///
    /// `rivals` are the points that may become the best; `point` need not be among them. The one-step gain is exact:
    /// the upper envelope of the lines `mean + slope z` under a normal `z` (Frazier, Powell and Dayanik, *The
    /// knowledge-gradient policy for correlated normal beliefs*, INFORMS J. on Computing 21(4), 2009).
    ///
    /// Time: `r log r` for `r` rivals, once for all amounts.
    pub fn knowledge_gradient(&self, rivals: &[usize], looks: &[Look]) -> Vec<f64> {
        let gain = |look: &Look| {
            if look.information <= 0.0 {
                return 0.0;
            }
            let (slopes, den) = self.slopes(look);
            let lines = rivals.iter().map(|&rival| (slopes[rival], self.mean[rival]));
            Envelope::new(lines.collect()).gain(den)
        };
        looks.iter().map(gain).collect()
    }

    /// The covariances of all points' values with what a look observes, and its standard deviation.
    fn slopes(&self, look: &Look) -> (Vec<f64>, f64) {
        let mut slopes = vec![0.0; self.len()];
        for &(point, weight) in &look.weights {
            for (slope, covariance) in slopes.iter_mut().zip(self.covariance.row(point)) {
                *slope += weight * covariance;
            }
        }
        let variance: f64 = look.weights.iter().map(|&(point, weight)| weight * slopes[point]).sum();
        (slopes, (variance.max(0.0) + 1.0 / look.information).sqrt())
    }

    /// Narrows the belief as this look will, whatever is seen. Expected values stay.
    pub fn anticipate(&mut self, look: &Look) {
        if look.information > 0.0 {
            let (slopes, den) = self.slopes(look);
            self.covariance.downdate(&slopes, 1.0 / (den * den));
        }
    }

    /// One draw of all values from the belief (Thompson sampling takes the best of a draw).
    ///
    /// Time: the cube of the number of points.
    pub fn sample(&self, random: &mut impl Rng) -> Vec<f64> {
        self.draw(&self.factor(), random)
    }

    /// The lower Cholesky factor of the covariance.
    pub(super) fn factor(&self) -> Square {
        self.covariance.clone().cholesky()
    }

    /// One draw, by the factor of the covariance.
    pub(super) fn draw(&self, lower: &Square, random: &mut impl Rng) -> Vec<f64> {
        let z: Vec<f64> = (0..self.len()).map(|_| standard_normal(random)).collect();
        (0..self.len()).map(|i| self.mean[i] + dot(&lower.row(i)[..=i], &z[..=i])).collect()
    }
}

/// The upper envelope of lines `intercept + slope z`, from `z` = minus infinity to infinity.
struct Envelope {
    /// Steps from one line to the next: the rise in slope, and the `z` at which they cross.
    steps: Vec<(f64, f64)>,
}

impl Envelope {
    /// The envelope of lines, given as (slope, intercept).
    fn new(mut lines: Vec<(f64, f64)>) -> Self {
        lines.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)));
        // Each line with the z from which it is the highest.
        let mut hull: Vec<(f64, f64, f64)> = Vec::with_capacity(lines.len());
        for (slope, intercept) in lines {
            let mut from = f64::NEG_INFINITY;
            while let Some(&(last_slope, last_intercept, last_from)) = hull.last() {
                if last_slope == slope {
                    // Sorted: this one is at least as high everywhere.
                    hull.pop();
                    continue;
                }
                from = (last_intercept - intercept) / (slope - last_slope);
                if from > last_from {
                    break;
                }
                hull.pop();
                from = f64::NEG_INFINITY;
            }
            hull.push((slope, intercept, from));
        }
        let steps = hull.windows(2).map(|pair| (pair[1].0 - pair[0].0, pair[1].2)).collect();
        Self { steps }
    }

    /// The expected rise of the maximum, `z` being normal and the slopes divided by `den`.
    fn gain(&self, den: f64) -> f64 {
        let gain = |(rise, at): &(f64, f64)| {
            let at = at.abs() * den;
            if at > 8.0 { 0.0 } else { rise * (normal_density(at) - at * normal_cdf(-at)) }
        };
        self.steps.iter().map(gain).sum::<f64>() / den
    }
}

/// The density of the standard normal distribution.
fn normal_density(z: f64) -> f64 {
    libm::exp(-0.5 * z * z) / (2.0 * std::f64::consts::PI).sqrt()
}

/// The standard normal distribution function.
pub(super) fn normal_cdf(z: f64) -> f64 {
    0.5 * libm::erfc(-z / std::f64::consts::SQRT_2)
}

/// A standard normal number, by Box and Muller's method.
fn standard_normal(random: &mut impl Rng) -> f64 {
    let (u, v): (f64, f64) = (1.0 - random.random::<f64>(), random.random());
    (-2.0 * libm::log(u)).sqrt() * libm::cos(2.0 * std::f64::consts::PI * v)
}
