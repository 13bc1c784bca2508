//! How alike two points of a space of choices are before anything is seen.

/// The prior covariance of the values of two points `x` and `y`, each a choice per dimension:
///
/// ```text
///   k(x, y) = constant
///           + sum over dimensions d of      main[d] [x_d = y_d]
///           + sum over pairs (d, e, v) of   v       [x_d = y_d and x_e = y_e]
///           + own [x = y]
///           + bump [x = y = anchor]
/// ```
///
/// All parts are variances, at least 0. `main` says how far apart the choices of one dimension are on average over all
/// others, a pair how far a choice's effect depends on another dimension's, `own` what no such part explains. The bump
/// sets one point apart that is known to be unlike the others, such as a configuration that somebody has tuned by hand:
/// it neither profits from others as much as they do from each other, nor the other way round.
///
/// The kernel knows only equality: names and order of choices change nothing.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct ChoiceKernel {
    /// The variance of what all points have in common.
    pub constant: f64,
    /// One variance a dimension.
    pub main: Vec<f64>,
    /// Two dimensions and the variance of what they do together.
    pub pairs: Vec<(usize, usize, f64)>,
    /// The variance of each point's own effect.
    pub own: f64,
    /// One more point-wise variance, and whose.
    pub bump: Option<(Vec<usize>, f64)>,
}

impl ChoiceKernel {
    /// Main effects of these variances, and nothing else.
    pub fn additive(constant: f64, main: Vec<f64>) -> Self {
        Self { constant, main, pairs: Vec::new(), own: 0.0, bump: None }
    }

    /// With an own effect for each point.
    #[must_use]
    pub fn with_own(mut self, variance: f64) -> Self {
        self.own = variance;
        self
    }

    /// With an effect of each pair of choices of the dimensions `d` and `e`.
    #[must_use]
    pub fn with_pair(mut self, d: usize, e: usize, variance: f64) -> Self {
        self.pairs.push((d, e, variance));
        self
    }

    /// With one point set apart.
    #[must_use]
    pub fn with_bump(mut self, anchor: Vec<usize>, variance: f64) -> Self {
        self.bump = Some((anchor, variance));
        self
    }

    /// With the standard deviations of all differences but the bump that many times as large.
    #[must_use]
    pub fn scaled(&self, factor: f64) -> Self {
        let square = factor * factor;
        Self {
            constant: self.constant,
            main: self.main.iter().map(|variance| square * variance).collect(),
            pairs: self.pairs.iter().map(|&(d, e, variance)| (d, e, square * variance)).collect(),
            own: square * self.own,
            bump: self.bump.clone(),
        }
    }

    /// Without what [`scaled`](Self::scaled) leaves as it is.
    pub(super) fn without_fixed(&self) -> Self {
        Self { constant: 0.0, bump: None, ..self.clone() }
    }

    /// The prior covariance of the values at `x` and `y`, of one choice a dimension.
    pub fn covariance(&self, x: &[usize], y: &[usize]) -> f64 {
        let mut covariance = self.constant;
        for ((x, y), variance) in x.iter().zip(y).zip(&self.main) {
            if x == y {
                covariance += variance;
            }
        }
        for &(d, e, variance) in &self.pairs {
            if x.get(d) == y.get(d) && x.get(e) == y.get(e) {
                covariance += variance;
            }
        }
        if x == y {
            covariance += self.own;
            if let Some((anchor, variance)) = &self.bump
                && anchor == x
            {
                covariance += variance;
            }
        }
        covariance
    }

    /// Whether all parts are variances.
    pub(super) fn is_valid(&self) -> bool {
        let parts = self.main.iter().chain(self.pairs.iter().map(|(.., variance)| variance));
        let bump = self.bump.iter().map(|(_, variance)| variance);
        parts.chain(bump).chain([&self.constant, &self.own]).all(|part| part.is_finite() && *part >= 0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scaling_leaves_the_level_and_the_bump() {
        let kernel = ChoiceKernel::additive(1.0, vec![0.5])
            .with_pair(0, 0, 0.25)
            .with_own(2.0)
            .with_bump(vec![0], 4.0);
        let scaled = kernel.scaled(2.0);
        assert_eq!(scaled.covariance(&[0], &[0]), 1.0 + 4.0 * 2.75 + 4.0);
        assert_eq!(scaled.covariance(&[1], &[1]), 1.0 + 4.0 * 2.75);
        let apart = |x: &[usize], y: &[usize]| {
            kernel.scaled(0.0).covariance(x, y) + 4.0 * kernel.without_fixed().covariance(x, y)
        };
        for (x, y) in [([0], [0]), ([0], [1]), ([2], [2])] {
            assert_eq!(scaled.covariance(&x, &y), apart(&x, &y), "{x:?} {y:?}");
        }
    }

    #[test]
    fn parts_add_up() {
        let kernel = ChoiceKernel::additive(1.0, vec![0.5, 0.25])
            .with_pair(0, 1, 0.125)
            .with_own(2.0)
            .with_bump(vec![0, 0], 4.0);
        for (x, y, expect) in [
            ([0, 0], [1, 1], 1.0),
            ([0, 0], [0, 1], 1.5),
            ([2, 1], [0, 1], 1.25),
            ([2, 1], [2, 1], 3.875),
            ([0, 0], [0, 0], 7.875),
        ] {
            assert_eq!(kernel.covariance(&x, &y), expect, "{x:?} {y:?}");
            assert_eq!(kernel.covariance(&y, &x), expect, "{y:?} {x:?}");
        }
    }
}
