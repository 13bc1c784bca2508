//! The exact fit: scores of points on shared rows, rows eliminated.

use rand::Rng;

use super::evidence::Evidence;
use super::kernel::ChoiceKernel;
use super::linalg::{Square, dot, log_of_diagonal};
use super::posterior::Posterior;
use super::reduced::{Information, Reduced, Solved, gram};
use crate::error::Error;

/// A linear model of scores with normal priors: `score = value(point) + turn(row, point) + noise`.
///
/// The value of a point has mean `mean` and the covariance of `kernel`. Every row has a turn of its own at every point, of mean 0
/// and the covariance of `rows`; rows are independent of each other, and so is the noise.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct BayesLinear {
    /// The prior covariance of the values.
    pub kernel: ChoiceKernel,
    /// The prior mean of every value.
    pub mean: f64,
    /// The prior covariance of what a row adds to the points' scores: its constant is how far rows differ in ease, its other parts
    /// how far what a row adds depends on the choices. Points that agree in a choice with a large part here get much the same
    /// scores on a row, so that the same rows tell little more of them than one of them did.
    pub rows: ChoiceKernel,
    /// The variance of a score given point and row; above 0.
    pub noise_variance: f64,
}

/// What scores say about points: the model's posterior, at any point that is asked for.
#[derive(Clone, Debug)]
pub struct Fit<'a> {
    kernel: ChoiceKernel,
    mean: f64,
    points: &'a [Vec<usize>],
    /// `E` in the derivation: of the points, those with scores.
    seen: Vec<usize>,
    /// `L^T`, where `L L^T` is the information that the scores hold about the seen points.
    factor: Square,
    /// The lower Cholesky factor of `I + L^T K L`.
    inner: Square,
    /// `(I + Lambda K)^-1 r`: the expected value of `x` is `mean + k(x, E) weights`.
    weights: Vec<f64>,
    log_evidence: f64,
}

/// A function drawn from a [`Fit`]: see [`Fit::draws`].
#[derive(Clone, Debug)]
pub struct Draw<'a> {
    fit: &'a Fit<'a>,
    weights: Vec<f64>,
}

impl Draw<'_> {
    /// The drawn function's value at a point.
    pub fn at(&self, point: &[usize]) -> f64 {
        self.fit.mean + dot(&self.fit.covariances(point), &self.weights)
    }
}

impl BayesLinear {
    /// A model with this kernel: see the fields.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] for variances below 0 or not finite, and a noise variance of 0.
    pub fn new(
        kernel: ChoiceKernel,
        mean: f64,
        rows: ChoiceKernel,
        noise_variance: f64,
    ) -> Result<Self, Error> {
        check(&kernel, mean, &rows)?;
        if !(noise_variance.is_finite() && noise_variance > 0.0) {
            let requirement = "must be finite and above 0";
            return Err(Error::Config { setting: "noise_variance", requirement });
        }
        Ok(Self { kernel, mean, rows, noise_variance })
    }

    /// Fits what has been seen.
    ///
    /// Time: `n^3 + s` for `n` points with scores and `s` pairs of scores on the same row.
    pub fn fit<'a>(&self, evidence: &'a Evidence) -> Fit<'a> {
        let reduced = Reduced::new(self, evidence);
        let k = gram(&self.kernel, evidence, &reduced.information.seen);
        let sandwich = reduced.information.sandwich(&k);
        self.at_kernel(self.kernel.clone(), evidence, &reduced, &k, sandwich)
    }

    /// Fits what has been seen with every difference between points, but for the bump, that many times as large: one fit for each
    /// factor of standard deviations, in their order.
    ///
    /// Time: what takes longest in a fit is done once for all; the rest is a third of it or less.
    pub fn fit_at_scales<'a>(&self, evidence: &'a Evidence, scales: &[f64]) -> Vec<Fit<'a>> {
        let reduced = Reduced::new(self, evidence);
        // K = fixed + scale^2 differences, and so is L^T K L.
        let sandwich =
            |kernel| reduced.information.sandwich(&gram(kernel, evidence, &reduced.information.seen));
        let (fixed, differences) =
            (sandwich(&self.kernel.scaled(0.0)), sandwich(&self.kernel.without_fixed()));
        let at = |&scale: &f64| {
            let kernel = self.kernel.scaled(scale);
            let k = gram(&kernel, evidence, &reduced.information.seen);
            let entry = |i, j| fixed.get(i, j) + scale * scale * differences.get(i, j);
            let sandwich = Square::symmetric(reduced.information.seen.len(), entry);
            self.at_kernel(kernel, evidence, &reduced, &k, sandwich)
        };
        scales.iter().map(at).collect()
    }

    /// The fit of a kernel, of which `k` is the matrix `K` and `sandwich` is `L^T K L`.
    fn at_kernel<'a>(
        &self,
        kernel: ChoiceKernel,
        evidence: &'a Evidence,
        reduced: &Reduced,
        k: &Square,
        sandwich: Square,
    ) -> Fit<'a> {
        let solved = reduced.information.solve(k, sandwich);
        let log_evidence = reduced.log_evidence + 0.5 * dot(&solved.k_right, &solved.weights)
            - log_of_diagonal(&solved.inner);
        Fit::new(kernel, self.mean, evidence, &reduced.information, solved, log_evidence)
    }
}

impl<'a> Fit<'a> {
    pub(super) fn new(
        kernel: ChoiceKernel,
        mean: f64,
        evidence: &'a Evidence,
        information: &Information,
        solved: Solved,
        log_evidence: f64,
    ) -> Self {
        Self {
            kernel,
            mean,
            points: evidence.points(),
            seen: information.seen.clone(),
            factor: information.factor.clone(),
            inner: solved.inner,
            weights: solved.weights,
            log_evidence,
        }
    }
}

/// What a model needs to make sense.
pub(super) fn check(kernel: &ChoiceKernel, mean: f64, rows: &ChoiceKernel) -> Result<(), Error> {
    let config = |setting, requirement| Err(Error::Config { setting, requirement });
    if !kernel.is_valid() {
        return config("kernel", "every part must be a finite variance of at least 0");
    }
    if !mean.is_finite() {
        return config("mean", "must be finite");
    }
    if !rows.is_valid() {
        return config("rows", "every part must be a finite variance of at least 0");
    }
    Ok(())
}

impl Fit<'_> {
    /// The logarithm of the probability density of the scores under the model, but for a constant that does not depend on
    /// the kernel: kernels can be compared by it.
    pub fn log_evidence(&self) -> f64 {
        self.log_evidence
    }

    /// The expected value at a point, scored or not.
    pub fn mean_at(&self, point: &[usize]) -> f64 {
        self.mean + dot(&self.covariances(point), &self.weights)
    }

    /// The expected value at a point, and its standard deviation.
    pub fn at(&self, point: &[usize]) -> (f64, f64) {
        let covariances = self.covariances(point);
        let mean = self.mean + dot(&covariances, &self.weights);
        let known = self.known(&covariances);
        let variance = self.kernel.covariance(point, point) - dot(&known, &known);
        (mean, variance.max(0.0).sqrt())
    }

    /// The joint posterior of the values at `at`.
    ///
    /// Time: `p n^2 + p^2 n` for `p` points asked for and `n` with scores.
    pub fn posterior(&self, at: &[Vec<usize>]) -> Posterior {
        let covariances: Vec<Vec<f64>> = at.iter().map(|point| self.covariances(point)).collect();
        let mean = covariances.iter().map(|k| self.mean + dot(k, &self.weights)).collect();
        let known: Vec<Vec<f64>> = covariances.iter().map(|k| self.known(k)).collect();
        let covariance = Square::symmetric(at.len(), |i, j| {
            self.kernel.covariance(&at[i], &at[j]) - dot(&known[i], &known[j])
        });
        Posterior::new(mean, covariance)
    }

    /// `n` functions drawn from the posterior, at the points with scores and by interpolation between them (what is not
    /// known of an unscored point given the scored ones is left out): Thompson sampling for spaces too large to list.
    ///
    /// Time: `m^3 + n m^2` for `m` points with scores.
    pub fn draws(&self, n: usize, random: &mut impl Rng) -> Vec<Draw<'_>> {
        let points: Vec<Vec<usize>> = self.seen.iter().map(|&seen| self.points[seen].clone()).collect();
        let posterior = self.posterior(&points);
        let lower = posterior.factor();
        let kernel = &self.kernel;
        let prior =
            Square::symmetric(points.len(), |i, j| kernel.covariance(&points[i], &points[j])).cholesky();
        let upper = prior.transposed();
        let draw = |_| {
            let mut weights = posterior.draw(&lower, random);
            for weight in &mut weights {
                *weight -= self.mean;
            }
            prior.solve_lower(&mut weights);
            upper.solve_upper(&mut weights);
            Draw { fit: self, weights }
        };
        (0..n).map(draw).collect()
    }

    /// The prior covariances of a point with those that have scores.
    fn covariances(&self, point: &[usize]) -> Vec<f64> {
        let kernel = &self.kernel;
        self.seen.iter().map(|&seen| kernel.covariance(point, &self.points[seen])).collect()
    }

    /// `chol(I + L^T K L)^-1 L^T k`: its square is the variance that the scores have taken away.
    fn known(&self, covariances: &[f64]) -> Vec<f64> {
        let mut known = self.factor.upper_times(covariances);
        self.inner.solve_lower(&mut known);
        known
    }
}

/// The mean of values under several models that were as likely before anything was seen: `(log evidence, value)` each. NaN
/// when there is none.
pub fn mean_by_evidence(models: &[(f64, f64)]) -> f64 {
    let most = models.iter().map(|(evidence, _)| *evidence).fold(f64::NEG_INFINITY, f64::max);
    let weight = |evidence: f64| libm::exp(evidence - most);
    let total: f64 = models.iter().map(|(evidence, _)| weight(*evidence)).sum();
    models.iter().map(|(evidence, value)| weight(*evidence) * value).sum::<f64>() / total
}
