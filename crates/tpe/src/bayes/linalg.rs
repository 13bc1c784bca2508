//! Small dense linear algebra for the fit: Cholesky factors and triangular solves, in plain loops.
//!
//! Matrices have a few hundred rows at most, so there is no blocking, no BLAS and no `unsafe`. Sums are always taken in
//! the same order: results agree on every machine.

/// A square matrix, row by row.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Square {
    n: usize,
    data: Vec<f64>,
}

impl Square {
    /// All zeros.
    pub(super) fn zeros(n: usize) -> Self {
        Self { n, data: vec![0.0; n * n] }
    }

    /// A symmetric matrix from its entries with `column <= row`.
    pub(super) fn symmetric(n: usize, entry: impl Fn(usize, usize) -> f64) -> Self {
        let mut matrix = Self::zeros(n);
        for i in 0..n {
            for j in 0..=i {
                matrix.set_both(i, j, entry(i, j));
            }
        }
        matrix
    }

    pub(super) fn get(&self, i: usize, j: usize) -> f64 {
        self.data[i * self.n + j]
    }

    pub(super) fn row(&self, i: usize) -> &[f64] {
        &self.data[i * self.n..(i + 1) * self.n]
    }

    pub(super) fn add(&mut self, i: usize, j: usize, value: f64) {
        self.data[i * self.n + j] += value;
    }

    fn set_both(&mut self, i: usize, j: usize, value: f64) {
        self.data[i * self.n + j] = value;
        self.data[j * self.n + i] = value;
    }

    /// Subtracts `scale * v v^T`.
    pub(super) fn downdate(&mut self, v: &[f64], scale: f64) {
        for (row, &vi) in self.data.chunks_exact_mut(self.n.max(1)).zip(v) {
            let factor = scale * vi;
            for (entry, &vj) in row.iter_mut().zip(v) {
                *entry -= factor * vj;
            }
        }
    }

    pub(super) fn transposed(&self) -> Self {
        let mut matrix = Self::zeros(self.n);
        for i in 0..self.n {
            for j in 0..self.n {
                matrix.data[j * self.n + i] = self.get(i, j);
            }
        }
        matrix
    }

    /// The lower factor `L` with `L L^T` equal to this symmetric matrix, which must be positive semidefinite; only its
    /// lower half is read. A pivot that is nought but for rounding gives a column of zeros.
    pub(super) fn cholesky(self) -> Self {
        let largest = (0..self.n).map(|i| self.get(i, i)).fold(0.0, f64::max);
        let nought = largest * 1e-12;
        self.factor(|pivot| if pivot > nought { pivot.sqrt() } else { 0.0 })
    }

    /// The same of the identity and this matrix together, however large it is: no pivot is below 1 but for rounding.
    pub(super) fn cholesky_plus_identity(mut self) -> Self {
        for i in 0..self.n {
            self.add(i, i, 1.0);
        }
        self.factor(|pivot| pivot.max(1.0).sqrt())
    }

    /// The lower factor, with what a diagonal entry is by its pivot.
    fn factor(mut self, diagonal: impl Fn(f64) -> f64) -> Self {
        let n = self.n;
        for i in 0..n {
            let (above, rest) = self.data.split_at_mut(i * n);
            let row = &mut rest[..n];
            for j in 0..i {
                let other = &above[j * n..j * n + j + 1];
                let pivot = other[j];
                row[j] = if pivot == 0.0 { 0.0 } else { (row[j] - dot(&row[..j], &other[..j])) / pivot };
            }
            let pivot = row[i] - dot(&row[..i], &row[..i]);
            row[i] = diagonal(pivot);
            row[i + 1..].fill(0.0);
        }
        self
    }

    /// Solves `L x = b` in place, `L` being lower triangular. A nought on the diagonal gives a nought.
    ///
    /// A shorter `b` is solved for by as much of the matrix.
    pub(super) fn solve_lower(&self, b: &mut [f64]) {
        for i in 0..b.len() {
            let row = self.row(i);
            let pivot = row[i];
            b[i] = if pivot == 0.0 { 0.0 } else { (b[i] - dot(&row[..i], &b[..i])) / pivot };
        }
    }

    /// Solves `U x = b` in place, `U` being upper triangular; a shorter `b` by as much of the matrix.
    pub(super) fn solve_upper(&self, b: &mut [f64]) {
        for i in (0..b.len()).rev() {
            let row = self.row(i);
            let pivot = row[i];
            b[i] = if pivot == 0.0 { 0.0 } else { (b[i] - dot(&row[i + 1..], &b[i + 1..])) / pivot };
        }
    }

    /// The transposed inverse of this lower triangular matrix: an upper one.
    fn inverse_lower(&self) -> Self {
        let mut inverse = Self::zeros(self.n);
        for column in 0..self.n {
            // Row `column` of the transposed inverse, from the diagonal on.
            for i in column..self.n {
                let pivot = self.get(i, i);
                let known = dot(&self.row(i)[column..i], &inverse.row(column)[column..i]);
                let unit = if i == column { 1.0 } else { 0.0 };
                let value = if pivot == 0.0 { 0.0 } else { (unit - known) / pivot };
                inverse.data[column * self.n + i] = value;
            }
        }
        inverse
    }

    /// The inverse of `L L^T`, for this lower triangular `L`.
    pub(super) fn inverse_of_square(&self) -> Self {
        let inverse = self.inverse_lower();
        Self::symmetric(self.n, |i, j| dot(&inverse.row(i)[i..], &inverse.row(j)[i..]))
    }

    /// Adds so many times a symmetric matrix to the lower half of this one, its rows and columns in these places, ascending.
    pub(super) fn add_block(&mut self, places: &[usize], block: &Self, times: f64) {
        for (i, &row) in places.iter().enumerate() {
            for (j, &column) in places[..=i].iter().enumerate() {
                self.add(row, column, times * block.get(i, j));
            }
        }
    }

    /// `A v`.
    pub(super) fn times(&self, v: &[f64]) -> Vec<f64> {
        (0..self.n).map(|i| dot(self.row(i), v)).collect()
    }

    /// `U v` for an upper triangular `U`.
    pub(super) fn upper_times(&self, v: &[f64]) -> Vec<f64> {
        (0..self.n).map(|i| dot(&self.row(i)[i..], &v[i..])).collect()
    }

    /// `L v` for a lower triangular `L`.
    pub(super) fn lower_times(&self, v: &[f64]) -> Vec<f64> {
        (0..self.n).map(|i| dot(&self.row(i)[..=i], &v[..=i])).collect()
    }
}

/// The sum of the logarithms of the diagonal: half the logarithm of the determinant of what this is the Cholesky factor of.
pub(super) fn log_of_diagonal(lower: &Square) -> f64 {
    (0..lower.n).map(|i| libm::log(lower.get(i, i))).sum()
}

/// The inner product, in eight sums that the compiler can keep side by side.
pub(super) fn dot(a: &[f64], b: &[f64]) -> f64 {
    let n = a.len().min(b.len());
    let (a8, b8) = (a[..n].chunks_exact(8), b[..n].chunks_exact(8));
    let tail: f64 = a8.remainder().iter().zip(b8.remainder()).map(|(x, y)| x * y).sum();
    let mut sums = [0.0; 8];
    for (x, y) in a8.zip(b8) {
        for k in 0..8 {
            sums[k] += x[k] * y[k];
        }
    }
    let [a, b, c, d, e, f, g, h] = sums;
    ((a + e) + (b + f)) + ((c + g) + (d + h)) + tail
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A positive definite matrix without structure.
    fn sample(n: usize) -> Square {
        let entry = |i: usize, k: usize| libm::sin((3 * i + 7 * k + i * k) as f64);
        let product = |i, j| (0..n).map(|k| entry(i, k) * entry(j, k)).sum::<f64>();
        Square::symmetric(n, |i, j| product(i, j) + if i == j { 0.5 } else { 0.0 })
    }

    #[test]
    fn a_factor_times_itself_is_the_matrix() {
        let matrix = sample(9);
        let lower = matrix.clone().cholesky();
        for i in 0..9 {
            for j in 0..9 {
                let product = dot(lower.row(i), lower.row(j));
                assert!((product - matrix.get(i, j)).abs() < 1e-12, "{i} {j}");
            }
        }
    }

    #[test]
    fn what_is_above_the_identity_keeps_all_of_its_determinant() {
        // A huge part of rank one beside the identity: half the logarithm of 1 + 3e14.
        let matrix = Square::symmetric(3, |_, _| 1e14);
        let log_determinant = log_of_diagonal(&matrix.cholesky_plus_identity());
        assert!((log_determinant - 0.5 * libm::log(3e14)).abs() < 0.5, "{log_determinant}");
        let usual = sample(6);
        let unit = Square::symmetric(6, |i, j| usual.get(i, j) + if i == j { 1.0 } else { 0.0 });
        assert_eq!(usual.cholesky_plus_identity(), unit.cholesky());
    }

    #[test]
    fn solves_undo_products() {
        let lower = sample(7).cholesky();
        let upper = lower.transposed();
        let x: Vec<f64> = (0..7).map(|i| f64::from(i) - 2.5).collect();
        for (mut b, solve) in [(lower.lower_times(&x), true), (upper.upper_times(&x), false)] {
            if solve {
                lower.solve_lower(&mut b)
            } else {
                upper.solve_upper(&mut b)
            }
            assert!(b.iter().zip(&x).all(|(b, x)| (b - x).abs() < 1e-12), "{b:?}");
        }
    }

    #[test]
    fn a_singular_matrix_has_a_factor_too() {
        // Two equal rows, and one of zeros.
        let matrix = Square::symmetric(3, |i, j| if i < 2 && j < 2 { 2.0 } else { 0.0 });
        let lower = matrix.clone().cholesky();
        assert_eq!((lower.get(1, 1), lower.get(2, 2)), (0.0, 0.0));
        assert!((dot(lower.row(1), lower.row(0)) - 2.0).abs() < 1e-15);
    }
}
