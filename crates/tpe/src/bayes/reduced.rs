//! What scores hold about the values of points, what rows add taken out.

use std::collections::BTreeMap;

use super::evidence::Evidence;
use super::fit::BayesLinear;
use super::kernel::ChoiceKernel;
use super::linalg::{Square, dot, log_of_diagonal};

/// What scores hold about the values of the points that have any: see the derivation in [the module](super).
pub(super) struct Information {
    /// `E`: of the points, those with scores.
    pub(super) seen: Vec<usize>,
    /// `L`, where `L L^T` is `Lambda`.
    pub(super) lower: Square,
    /// `L^T`.
    pub(super) factor: Square,
    /// `r`.
    pub(super) right: Vec<f64>,
}

/// The information given a kernel of the values.
pub(super) struct Solved {
    /// The lower Cholesky factor of `B = I + L^T K L`.
    pub(super) inner: Square,
    /// `K r`.
    pub(super) k_right: Vec<f64>,
    /// `(I + Lambda K)^-1 r = r - L B^-1 L^T K r`.
    pub(super) weights: Vec<f64>,
}

impl Information {
    /// From `Lambda`, of which the lower half is read, and `r`.
    pub(super) fn new(seen: Vec<usize>, matrix: Square, right: Vec<f64>) -> Self {
        let lower = matrix.cholesky();
        Self { seen, factor: lower.transposed(), lower, right }
    }

    /// `L^T K L`.
    pub(super) fn sandwich(&self, k: &Square) -> Square {
        let n = self.seen.len();
        // K is symmetric: its row i is column i, so this is row i of K L, then the lower half of L^T K L.
        let mut columns = Square::zeros(n);
        for i in 0..n {
            for (j, value) in self.factor.upper_times(k.row(i)).into_iter().enumerate() {
                columns.add(j, i, value);
            }
        }
        Square::symmetric(n, |i, j| dot(&self.factor.row(i)[i..], &columns.row(j)[i..]))
    }

    /// What `K` makes of it; `sandwich` is `L^T K L`.
    pub(super) fn solve(&self, k: &Square, sandwich: Square) -> Solved {
        let inner = sandwich.cholesky_plus_identity();
        let k_right = k.times(&self.right);
        let mut solved = self.factor.upper_times(&k_right);
        inner.solve_lower(&mut solved);
        inner.transposed().solve_upper(&mut solved);
        let correction = self.lower.lower_times(&solved);
        let weights = self.right.iter().zip(&correction).map(|(r, c)| r - c).collect();
        Solved { inner, k_right, weights }
    }
}

/// The prior covariances of the values of some points of the evidence.
pub(super) fn gram(kernel: &ChoiceKernel, evidence: &Evidence, points: &[usize]) -> Square {
    let at = |i: usize| &evidence.points()[points[i]];
    Square::symmetric(points.len(), |i, j| kernel.covariance(at(i), at(j)))
}

/// The points of the evidence that have scores, ascending.
pub(super) fn seen(evidence: &Evidence) -> Vec<usize> {
    let mut seen: Vec<usize> = evidence.scores().iter().map(|score| score.point).collect();
    seen.sort_unstable();
    seen.dedup();
    seen
}

/// All of an exact fit that does not depend on the kernel of the values.
pub(super) struct Reduced {
    pub(super) information: Information,
    /// The logarithm of the density of the scores if all values were the prior mean, but for the constant.
    pub(super) log_evidence: f64,
}

/// The scores on one row: the places of the points that have any, ascending, with how many each.
type Cells = Vec<(usize, u32)>;

/// The scores on all rows that have the same cells.
#[derive(Default)]
pub(super) struct Alike {
    /// By row, the mean score of each cell, the prior mean taken off.
    pub(super) means: Vec<Vec<f64>>,
    /// The squares of the scores' differences from those means.
    squares: f64,
}

impl Reduced {
    pub(super) fn new(model: &BayesLinear, evidence: &Evidence) -> Self {
        let seen = seen(evidence);
        let n = seen.len();
        let mut information = Square::zeros(n);
        let mut right = vec![0.0; n];
        let mut log_evidence = 0.0;
        for (cells, alike) in by_cells(model.mean, evidence, &seen) {
            let n_rows = alike.means.len() as f64;
            let at = |cell: usize| &evidence.points()[seen[cells[cell].0]];
            // What stands between the mean scores of these points on such a row and their values.
            let covariance = Square::symmetric(cells.len(), |i, j| {
                let noise = if i == j { model.noise_variance / f64::from(cells[i].1) } else { 0.0 };
                model.rows.covariance(at(i), at(j)) + noise
            });
            let lower = covariance.cholesky();
            let upper = lower.transposed();
            let places: Vec<usize> = cells.iter().map(|(place, _)| *place).collect();
            information.add_block(&places, &lower.inverse_of_square(), n_rows);
            let log_determinant = log_of_diagonal(&lower);
            log_evidence -= n_rows * repeated(&cells, model.noise_variance)
                + alike.squares / (2.0 * model.noise_variance);
            for mut means in alike.means {
                lower.solve_lower(&mut means);
                log_evidence -= 0.5 * dot(&means, &means) + log_determinant;
                upper.solve_upper(&mut means);
                for (&(place, _), value) in cells.iter().zip(means) {
                    right[place] += value;
                }
            }
        }
        Self { information: Information::new(seen, information, right), log_evidence }
    }
}

/// What scores of the same cell add to minus the logarithm of the density of their mean, but for their squares.
fn repeated(cells: &Cells, noise_variance: f64) -> f64 {
    let of = |&(_, count): &(usize, u32)| {
        let count = f64::from(count);
        0.5 * ((count - 1.0) * libm::log(noise_variance) + libm::log(count))
    };
    cells.iter().filter(|(_, count)| *count > 1).map(of).sum()
}

/// The scores, rows with the same cells together, the prior mean taken off. Sums are taken in one order, so that the order of the scores changes nothing.
pub(super) fn by_cells(prior: f64, evidence: &Evidence, seen: &[usize]) -> BTreeMap<Cells, Alike> {
    let mut place = vec![0; evidence.points().len()];
    for (at, &point) in seen.iter().enumerate() {
        place[point] = at;
    }
    let mut sorted: Vec<_> = evidence.scores().iter().collect();
    sorted.sort_by(|a, b| (a.row, a.point).cmp(&(b.row, b.point)).then(a.value.total_cmp(&b.value)));
    let mut all: BTreeMap<Cells, Alike> = BTreeMap::new();
    for scores in sorted.chunk_by(|a, b| a.row == b.row) {
        let (mut cells, mut means, mut squares) = (Cells::new(), Vec::new(), 0.0);
        for scores in scores.chunk_by(|a, b| a.point == b.point) {
            let values = || scores.iter().map(|score| score.value - prior);
            let mean = values().sum::<f64>() / scores.len() as f64;
            squares += values().map(|value| (value - mean) * (value - mean)).sum::<f64>();
            cells.push((place[scores[0].point], scores.len() as u32));
            means.push(mean);
        }
        let alike = all.entry(cells).or_default();
        alike.means.push(means);
        alike.squares += squares;
    }
    all
}
