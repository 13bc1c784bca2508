//! What scores hold about the values of points, what rows add taken out.

use std::collections::BTreeMap;

use super::evidence::Evidence;
use super::fit::BayesLinear;
use super::linalg::{Square, dot};

/// All of a fit that does not depend on the kernel of the values.
pub(super) struct Reduced {
    /// `E` in the derivation: of the points, those with scores.
    pub(super) seen: Vec<usize>,
    /// `L`, where `L L^T` is `Lambda`.
    pub(super) lower: Square,
    /// `L^T`.
    pub(super) factor: Square,
    /// `r` in the derivation.
    pub(super) right: Vec<f64>,
    /// The logarithm of the density of the scores if all values were the prior mean, but for the constant.
    pub(super) log_evidence: f64,
}

/// The scores on one row: the places of the points that have any, ascending, with how many each.
type Cells = Vec<(usize, u32)>;

/// The scores on all rows that have the same cells.
#[derive(Default)]
struct Alike {
    /// By row, the mean score of each cell, the prior mean taken off.
    means: Vec<Vec<f64>>,
    /// The squares of the scores' differences from those means.
    squares: f64,
}

impl Reduced {
    pub(super) fn new(model: &BayesLinear, evidence: &Evidence) -> Self {
        let mut seen: Vec<usize> = evidence.scores().iter().map(|score| score.point).collect();
        seen.sort_unstable();
        seen.dedup();
        let n = seen.len();
        let mut information = Square::zeros(n);
        let mut right = vec![0.0; n];
        let mut log_evidence = 0.0;
        for (cells, alike) in by_cells(model, evidence, &seen) {
            let n_rows = alike.means.len() as f64;
            let at = |cell: usize| &evidence.points()[seen[cells[cell].0]];
            // What stands between the mean scores of these points on such a row and their values.
            let covariance = Square::symmetric(cells.len(), |i, j| {
                let noise = if i == j { model.noise_variance / f64::from(cells[i].1) } else { 0.0 };
                model.rows.covariance(at(i), at(j)) + noise
            });
            let lower = covariance.cholesky();
            let upper = lower.transposed();
            let inverse = lower.inverse_lower();
            for i in 0..cells.len() {
                for j in 0..=i {
                    let entry = dot(&inverse.row(i)[i..], &inverse.row(j)[i..]);
                    information.add(cells[i].0, cells[j].0, n_rows * entry);
                }
            }
            let log_determinant: f64 = (0..cells.len()).map(|i| libm::log(lower.get(i, i))).sum();
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
        let lower = information.cholesky();
        Self { seen, factor: lower.transposed(), lower, right, log_evidence }
    }

    /// `L^T K L`, for `K` given by the covariance of two points.
    pub(super) fn sandwich(
        &self,
        covariance: impl Fn(&[usize], &[usize]) -> f64,
        evidence: &Evidence,
    ) -> Square {
        let (n, points) = (self.seen.len(), evidence.points());
        let kernel = Square::symmetric(n, |i, j| covariance(&points[self.seen[i]], &points[self.seen[j]]));
        // K is symmetric: its row i is column i, so this is row i of K L, then the lower half of L^T K L.
        let mut columns = Square::zeros(n);
        for i in 0..n {
            for (j, value) in self.factor.upper_times(kernel.row(i)).into_iter().enumerate() {
                columns.add(j, i, value);
            }
        }
        Square::symmetric(n, |i, j| dot(&self.factor.row(i)[i..], &columns.row(j)[i..]))
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

/// The scores, rows with the same cells together. Sums are taken in one order, so that the order of the scores changes nothing.
fn by_cells(model: &BayesLinear, evidence: &Evidence, seen: &[usize]) -> BTreeMap<Cells, Alike> {
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
            let values = || scores.iter().map(|score| score.value - model.mean);
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
