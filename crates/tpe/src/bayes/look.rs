//! What further scores would say, before they are seen.

use super::fit::BayesLinear;
use super::kernel::ChoiceKernel;
use super::linalg::{Square, dot};

/// A look at points: the sum of their values, each taken times its weight, observed with noise.
#[derive(Clone, Debug, PartialEq)]
pub struct Look {
    /// Points and their weights.
    pub weights: Vec<(usize, f64)>,
    /// The inverse of the noise's variance; at least 0. With 0 nothing is observed.
    pub information: f64,
}

impl Look {
    /// A look at one point alone.
    pub fn at(point: usize, information: f64) -> Self {
        Self { weights: vec![(point, 1.0)], information }
    }
}

/// What scores of a point say where other points have been scored on the same rows: how far its value is above this mixture of
/// theirs.
#[derive(Clone, Debug, PartialEq)]
pub struct Beside {
    /// What the other points' values are taken times.
    pub others: Vec<f64>,
    /// The inverse of the variance that the rows' turns and the noise leave.
    pub information: f64,
}

/// Points scored on rows in such an order that a row with one of them has all before it: then one factorization serves all rows.
#[derive(Clone, Debug)]
pub struct NestedRows<'a> {
    rows: &'a ChoiceKernel,
    noise_variance: f64,
    points: Vec<&'a [usize]>,
    lower: Square,
    upper: Square,
}

impl BayesLinear {
    /// What there is to say of rows that have scores of these points, each with all before it.
    ///
    /// Time: the cube of the number of points.
    pub fn nested_rows<'a>(&'a self, points: Vec<&'a [usize]>) -> NestedRows<'a> {
        let noise = |i, j| if i == j { self.noise_variance } else { 0.0 };
        let covariance = |i: usize, j: usize| self.rows.covariance(points[i], points[j]) + noise(i, j);
        let lower = Square::symmetric(points.len(), covariance).cholesky();
        NestedRows {
            rows: &self.rows,
            noise_variance: self.noise_variance,
            points,
            upper: lower.transposed(),
            lower,
        }
    }
}

impl NestedRows<'_> {
    /// What scores of a point that has none yet on these rows would say: for each question, rows as pairs, how many there are that
    /// have scores of the first so many points, in the order `(points, rows)`.
    ///
    /// Time: the square of the number of points for each question.
    pub fn beside(&self, point: &[usize], questions: &[Vec<(usize, usize)>]) -> Vec<Beside> {
        let most = questions.iter().flatten().map(|(first, _)| *first).max().unwrap_or(0);
        let points = &self.points[..most.min(self.points.len())];
        let mut solved: Vec<f64> = points.iter().map(|other| self.rows.covariance(point, other)).collect();
        self.lower.solve_lower(&mut solved);
        let alone = self.rows.covariance(point, point) + self.noise_variance;
        let answer = |question: &Vec<(usize, usize)>| {
            let mut others = vec![0.0; solved.len()];
            let mut information = 0.0;
            for &(first, rows) in question {
                let known = &solved[..first.min(solved.len())];
                let says = rows as f64 / (alone - dot(known, known));
                information += says;
                for (other, known) in others.iter_mut().zip(known) {
                    *other += says * known;
                }
            }
            // The first so many rows and columns of a triangular inverse are the inverse of as many: one solve serves all.
            self.upper.solve_upper(&mut others);
            for other in &mut others {
                *other /= information;
            }
            Beside { others, information }
        };
        questions.iter().map(answer).collect()
    }
}
