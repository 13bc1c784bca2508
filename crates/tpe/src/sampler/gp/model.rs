//! A Gaussian process over mixed points: Matérn 5/2 with a length for each parameter, fitted by its marginal
//! likelihood.
//!
//! The squared distance of two points is the sum over columns of `d²/ℓ²`: of numbers the difference on the unit
//! interval, of labels 0 or 1; an inactive parameter lies apart from all its values. Lengths have the
//! log-normal prior of Hvarfner, Hellsten and Nardi (arXiv:2402.02229), which grows with the dimension and
//! keeps the process simple while there is little to learn from. Noise is part of the fit, next to what was
//! told of it.

use super::cholesky::{Cholesky, dot};

/// What a place in a point holds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Column {
    /// The parameter whose length it is measured by; one parameter may have several columns.
    pub(super) parameter: usize,
    /// Whether it holds a label, of which only equality counts, and not a number.
    pub(super) label: bool,
}

impl Column {
    /// The squared distance of two values: Euclidean in an embedding, so that the kernel is positive definite.
    fn squared(self, a: f64, b: f64) -> f64 {
        if self.label { f64::from(u8::from(a != b)) } else { (a - b) * (a - b) }
    }
}

/// A place where something was seen, on the scale of the process.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    /// A value per column.
    pub(super) point: Vec<f64>,
    pub(super) value: f64,
    /// The variance of the noise that was told, 0 where none was.
    pub(super) variance: f64,
    /// The number of measurements that share the noise that is fitted.
    pub(super) count: f64,
}

/// The logarithms of what is fitted.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Hyper {
    /// Per parameter, a length.
    lengths: Vec<f64>,
    /// The variance of the process, and that of the noise.
    signal: f64,
    noise: f64,
}

/// The least variance of fitted noise, of values with variance 1.
const LEAST_NOISE: f64 = 1e-8;
/// Steps of the fit: gradients change little after so many.
const STEPS: usize = 40;
/// Steps of a fit that begins near its end.
const MORE_STEPS: usize = 8;
const SQRT_5: f64 = 2.236_067_977_499_79;

impl Hyper {
    /// Little noise: where there is more the climb finds it, while from much noise it rarely finds what varies fast.
    fn start(dimensions: usize) -> Self {
        let length = prior_length(dimensions);
        Self { lengths: vec![length - 1.0; dimensions], signal: 0.0, noise: libm::log(1e-3) }
    }

    /// The most probable values for these observations, and the log of how probable they are.
    pub(super) fn fit(columns: &[Column], seen: &[Seen]) -> (Self, f64) {
        let dimensions = columns.iter().map(|column| column.parameter + 1).max().unwrap_or(0);
        let pairs = Pairs::new(columns, seen, dimensions);
        Self::start(dimensions).climb(seen, &pairs, STEPS, 0.3)
    }

    /// These values, brought nearer to the most probable ones for observations that are a little more than those that
    /// they were fitted to.
    pub(super) fn refined(&self, columns: &[Column], seen: &[Seen]) -> Self {
        let pairs = Pairs::new(columns, seen, self.lengths.len());
        self.clone().climb(seen, &pairs, MORE_STEPS, 0.1).0
    }

    /// Gradient ascent with a step of its own for each value (Rprop, Riedmiller and Braun 1993), at first `first`:
    /// the best values on the way, and their log posterior.
    fn climb(self, seen: &[Seen], pairs: &Pairs, n_steps: usize, first: f64) -> (Self, f64) {
        let dimensions = self.lengths.len();
        let mut best = (self.clone(), f64::NEG_INFINITY);
        let mut hyper = self;
        let mut steps = vec![first; dimensions + 2];
        let mut last = vec![0.0; dimensions + 2];
        for _ in 0..n_steps {
            let Some((value, gradient)) = hyper.log_posterior(seen, pairs) else { break };
            if value > best.1 {
                best = (hyper.clone(), value);
            }
            for (index, slope) in gradient.iter().enumerate() {
                let turn = slope * last[index];
                steps[index] = if turn > 0.0 {
                    (steps[index] * 1.3_f64).min(1.0)
                } else if turn < 0.0 {
                    steps[index] * 0.5
                } else {
                    steps[index]
                };
                last[index] = if turn < 0.0 { 0.0 } else { *slope };
                let step = if last[index] == 0.0 { 0.0 } else { steps[index] * last[index].signum() };
                let (target, low, high) = match index.checked_sub(dimensions) {
                    None => (&mut hyper.lengths[index], -5.0, 6.0),
                    Some(0) => (&mut hyper.signal, -6.0, 8.0),
                    Some(_) => (&mut hyper.noise, libm::log(LEAST_NOISE), 2.0),
                };
                *target = (*target + step).clamp(low, high);
            }
        }
        best
    }

    /// The log posterior and its gradient by lengths, signal and noise; `None` where the matrix cannot be
    /// factored.
    fn log_posterior(&self, seen: &[Seen], pairs: &Pairs) -> Option<(f64, Vec<f64>)> {
        let (n, d) = (seen.len(), self.lengths.len());
        let weights: Vec<f64> = self.lengths.iter().map(|length| libm::exp(-2.0 * length)).collect();
        let (signal, noise) = (libm::exp(self.signal), libm::exp(self.noise));
        let mut matrix = vec![0.0; n * n];
        // Per pair, the kernel's derivative by half its squared distance, negated.
        let mut slopes = Vec::with_capacity(n * n / 2);
        for i in 0..n {
            for j in 0..i {
                let r = dot(pairs.of(i, j), &weights).sqrt() * SQRT_5;
                let decay = signal * libm::exp(-r);
                matrix[i * n + j] = (1.0 + r + r * r / 3.0) * decay;
                slopes.push(5.0 / 3.0 * (1.0 + r) * decay);
            }
            matrix[i * n + i] = signal + noise / seen[i].count + seen[i].variance + 1e-10;
        }
        let factor = Cholesky::new(n, matrix)?;
        let mut alpha: Vec<f64> = seen.iter().map(|seen| seen.value).collect();
        factor.forward(&mut alpha);
        let quadratic = dot(&alpha, &alpha);
        factor.backward(&mut alpha);
        let inverse = factor.inverse();
        let mut gradient = vec![0.0; d + 2];
        // By the signal, the kernel changes as the whole matrix does, but for the noise on its diagonal.
        gradient[d] = 0.5 * (quadratic - n as f64);
        let mut slope = slopes.iter();
        for i in 0..n {
            for j in 0..i {
                // Twice a half, for both triangles.
                let pull = alpha[i] * alpha[j] - inverse[i * n + j];
                let factor = pull * slope.next().copied().unwrap_or(0.0);
                for (gradient, squared) in gradient.iter_mut().zip(pairs.of(i, j)) {
                    *gradient += factor * squared;
                }
            }
            let pull = 0.5 * (alpha[i] * alpha[i] - inverse[i * n + i]);
            let own = noise / seen[i].count;
            gradient[d] -= pull * (own + seen[i].variance + 1e-10);
            gradient[d + 1] += pull * own;
        }
        for (gradient, weight) in gradient.iter_mut().zip(&weights) {
            *gradient *= weight;
        }
        let mut value = -0.5 * (quadratic + factor.log_det());
        let mut prior = |index: usize, x: f64, mean: f64, variance: f64| {
            value -= 0.5 * (x - mean) * (x - mean) / variance;
            gradient[index] -= (x - mean) / variance;
        };
        for (index, &length) in self.lengths.iter().enumerate() {
            prior(index, length, prior_length(d), 3.0);
        }
        prior(d, self.signal, 0.0, 1.0);
        // Noise is unlikely to be large, and may be tiny.
        prior(d + 1, self.noise, libm::log(1e-3), 9.0);
        value.is_finite().then_some((value, gradient))
    }
}

/// The mean of the logarithm of a length: `ln √D + √2` with its mode a variance lower.
fn prior_length(dimensions: usize) -> f64 {
    0.5 * libm::log(dimensions.max(1) as f64) + std::f64::consts::SQRT_2 - 1.5
}

/// Per pair of observations, the squared distance in each parameter.
struct Pairs {
    dimensions: usize,
    squared: Vec<f64>,
}

impl Pairs {
    fn new(columns: &[Column], seen: &[Seen], dimensions: usize) -> Self {
        let mut squared = Vec::with_capacity(seen.len() * seen.len() / 2 * dimensions);
        for (i, one) in seen.iter().enumerate() {
            for other in &seen[..i] {
                let start = squared.len();
                squared.resize(start + dimensions, 0.0);
                for ((column, a), b) in columns.iter().zip(&one.point).zip(&other.point) {
                    squared[start + column.parameter] += column.squared(*a, *b);
                }
            }
        }
        Self { dimensions, squared }
    }

    fn of(&self, i: usize, j: usize) -> &[f64] {
        let start = (i * (i - 1) / 2 + j) * self.dimensions;
        &self.squared[start..start + self.dimensions]
    }
}

/// What the process says of any point.
#[derive(Debug, Clone)]
pub(super) struct Posterior {
    /// Per column, `1/ℓ²`, and the values there of all points that it rests on.
    columns: Vec<(Column, f64, Vec<f64>)>,
    signal: f64,
    factor: Cholesky,
    alpha: Vec<f64>,
}

impl Posterior {
    /// The posterior of these observations, with `believed` points at which the process is taken at its word:
    /// nobody knows a value yet, and the variance shrinks all the same.
    pub(super) fn new(
        columns: &[Column],
        hyper: &Hyper,
        seen: &[Seen],
        believed: &[Vec<f64>],
    ) -> Option<Self> {
        let noise = libm::exp(hyper.noise);
        let points: Vec<&Vec<f64>> = seen.iter().map(|seen| &seen.point).chain(believed).collect();
        let column = |(place, column): (usize, &Column)| {
            let weight = libm::exp(-2.0 * hyper.lengths[column.parameter]);
            (*column, weight, points.iter().map(|point| point[place]).collect())
        };
        let columns = columns.iter().enumerate().map(column).collect();
        let (signal, n) = (libm::exp(hyper.signal), points.len());
        let mut posterior = Self { columns, signal, factor: Cholesky::default(), alpha: Vec::new() };
        let (mut matrix, mut row) = (vec![0.0; n * n], Vec::new());
        for (i, point) in points.iter().enumerate() {
            posterior.kernels(point, i, &mut row);
            matrix[i * n..i * n + i].copy_from_slice(&row);
            let own = seen.get(i).map_or(noise, |seen| noise / seen.count + seen.variance);
            matrix[i * n + i] = signal + own + 1e-10;
        }
        posterior.factor = Cholesky::new(n, matrix)?;
        // The believed values are those of the mean without them: the rows of the factor that belong to the
        // observations are the factor of the observations alone, and its forward solution continues with zeros.
        let mut alpha: Vec<f64> = seen.iter().map(|seen| seen.value).collect();
        alpha.resize(n, 0.0);
        for i in 0..seen.len() {
            let row = posterior.factor.row(i);
            alpha[i] = (alpha[i] - dot(&row[..i], &alpha[..i])) / row[i];
        }
        posterior.alpha = alpha;
        Some(posterior)
    }

    /// The kernel of a point with each of the first `n`.
    fn kernels(&self, point: &[f64], n: usize, buffer: &mut Vec<f64>) {
        buffer.clear();
        buffer.resize(n, 0.0);
        for ((column, weight, values), x) in self.columns.iter().zip(point) {
            // One loop for each kind: the compiler makes vectors of them.
            if column.label {
                buffer.iter_mut().zip(values).for_each(|(sum, y)| *sum += if x == y { 0.0 } else { *weight });
            } else {
                buffer.iter_mut().zip(values).for_each(|(sum, y)| *sum += weight * (x - y) * (x - y));
            }
        }
        for value in buffer {
            let r = value.sqrt() * SQRT_5;
            *value = self.signal * (1.0 + r + r * r / 3.0) * libm::exp(-r);
        }
    }

    /// Mean and standard deviation of the process at a point, without noise; `buffer` is scratch.
    pub(super) fn at(&self, point: &[f64], buffer: &mut Vec<f64>) -> (f64, f64) {
        self.kernels(point, self.alpha.len(), buffer);
        self.factor.forward(buffer);
        let mean = dot(buffer, &self.alpha);
        let variance = self.signal - dot(buffer, buffer);
        (mean, variance.max(1e-14 * self.signal).sqrt())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A number, a choice, and a number that may be inactive.
    const COLUMNS: [Column; 4] = [
        Column { parameter: 0, label: false },
        Column { parameter: 1, label: true },
        Column { parameter: 2, label: false },
        Column { parameter: 2, label: true },
    ];

    fn seen(n: usize, noise: f64) -> Vec<Seen> {
        let value = |x: f64, c: usize| libm::sin(6.0 * x) + 0.5 * c as f64;
        (0..n)
            .map(|i| {
                let (x, c) = (i as f64 * 0.618_034 % 1.0, i % 3);
                // Pseudo-random, and the same everywhere.
                let hash = (i as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
                let bump = noise * (hash as f64 / f64::from(1 << 23) - 1.0);
                let point = vec![x, c as f64, 0.5, 1.0];
                Seen { point, value: value(x, c) + bump, variance: 0.0, count: 1.0 }
            })
            .collect()
    }

    #[test]
    fn gradients_are_those_of_the_posterior() {
        let mut seen = seen(12, 0.3);
        seen[3].variance = 0.2;
        seen[4].count = 5.0;
        seen[5].point[2..].copy_from_slice(&[0.3, 0.0]);
        let pairs = Pairs::new(&COLUMNS, &seen, 3);
        let hyper = Hyper { lengths: vec![-0.4, 0.3, 0.1], signal: 0.2, noise: -2.0 };
        let (_, gradient) = hyper.log_posterior(&seen, &pairs).unwrap();
        for index in 0..5 {
            let moved = |step: f64| {
                let mut hyper = hyper.clone();
                match index {
                    3 => hyper.signal += step,
                    4 => hyper.noise += step,
                    _ => hyper.lengths[index] += step,
                }
                hyper.log_posterior(&seen, &pairs).unwrap().0
            };
            let slope = (moved(1e-5) - moved(-1e-5)) / 2e-5;
            assert!(
                (slope - gradient[index]).abs() < 1e-5 * slope.abs().max(1.0),
                "{index}: {slope} {gradient:?}"
            );
        }
    }

    #[test]
    fn a_fit_tells_noise_from_signal_and_predicts() {
        let (quiet, loud) = (Hyper::fit(&COLUMNS, &seen(30, 0.0)).0, Hyper::fit(&COLUMNS, &seen(60, 1.0)).0);
        // An even spread of two has a variance of a third.
        assert!(quiet.noise < -7.0 && (-4.0..-0.3).contains(&loud.noise), "{quiet:?} {loud:?}");
        let posterior = Posterior::new(&COLUMNS, &quiet, &seen(30, 0.0), &[]).unwrap();
        let mut buffer = Vec::new();
        let point = [0.37, 2.0, 0.5, 1.0];
        let (mean, deviation) = posterior.at(&point, &mut buffer);
        let expect = libm::sin(6.0 * 0.37) + 1.0;
        assert!((mean - expect).abs() < 0.05 && deviation < 0.1, "{mean} {expect} {deviation}");
    }

    #[test]
    fn believing_leaves_the_mean_and_shrinks_the_variance() {
        let seen = seen(15, 0.1);
        let (hyper, _) = Hyper::fit(&COLUMNS, &seen);
        let point = vec![0.9, 1.0, 0.5, 0.0];
        let mut buffer = Vec::new();
        let plain = Posterior::new(&COLUMNS, &hyper, &seen, &[]).unwrap().at(&point, &mut buffer);
        let believed = Posterior::new(&COLUMNS, &hyper, &seen, std::slice::from_ref(&point))
            .unwrap()
            .at(&point, &mut buffer);
        assert!((plain.0 - believed.0).abs() < 1e-9 && believed.1 < 0.9 * plain.1, "{plain:?} {believed:?}");
    }
}
