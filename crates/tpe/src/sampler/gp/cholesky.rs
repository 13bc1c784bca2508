//! The Cholesky factor of a small positive definite matrix, and what a Gaussian process asks of it.
//!
//! Plain loops over rows, in a fixed order: the same on every machine. Meant for a few hundred rows.

/// A lower triangular factor `L` with `L Lᵀ = A`.
#[derive(Debug, Clone, Default)]
pub(super) struct Cholesky {
    n: usize,
    /// Row by row, `n` each; what lies above the diagonal means nothing.
    rows: Vec<f64>,
}

impl Cholesky {
    /// Factors the matrix with these rows (`n` times `n`, symmetric; the upper triangle is not read); `None`
    /// where it is not positive definite in floating point.
    pub(super) fn new(n: usize, mut rows: Vec<f64>) -> Option<Self> {
        for i in 0..n {
            let (done, rest) = rows.split_at_mut(i * n);
            let row = &mut rest[..n];
            for j in 0..i {
                let other = &done[j * n..j * n + j + 1];
                row[j] = (row[j] - dot(&row[..j], &other[..j])) / other[j];
            }
            let pivot = row[i] - dot(&row[..i], &row[..i]);
            if !(pivot > 0.0 && pivot.is_finite()) {
                return None;
            }
            row[i] = pivot.sqrt();
        }
        Some(Self { n, rows })
    }

    /// Row `i` up to the diagonal.
    pub(super) fn row(&self, i: usize) -> &[f64] {
        &self.rows[i * self.n..i * self.n + i + 1]
    }

    /// Replaces `b` by `L⁻¹ b`.
    pub(super) fn forward(&self, b: &mut [f64]) {
        for i in 0..self.n {
            let row = self.row(i);
            b[i] = (b[i] - dot(&row[..i], &b[..i])) / row[i];
        }
    }

    /// Replaces `b` by `L⁻ᵀ b`.
    pub(super) fn backward(&self, b: &mut [f64]) {
        for i in (0..self.n).rev() {
            let row = self.row(i);
            b[i] /= row[i];
            let value = b[i];
            for (b, l) in b[..i].iter_mut().zip(row) {
                *b -= l * value;
            }
        }
    }

    /// `ln det A`.
    pub(super) fn log_det(&self) -> f64 {
        2.0 * (0..self.n).map(|i| libm::log(self.row(i)[i])).sum::<f64>()
    }

    /// `A⁻¹`, row by row.
    pub(super) fn inverse(&self) -> Vec<f64> {
        let n = self.n;
        // Row `j` holds column `j` of `L⁻¹`, zero before place `j`.
        let mut columns = vec![0.0; n * n];
        for j in 0..n {
            let column = &mut columns[j * n..(j + 1) * n];
            column[j] = 1.0 / self.row(j)[j];
            for i in j + 1..n {
                let row = self.row(i);
                column[i] = -dot(&row[j..i], &column[j..i]) / row[i];
            }
        }
        let mut inverse = vec![0.0; n * n];
        for i in 0..n {
            for j in 0..=i {
                let value = dot(&columns[i * n + i..(i + 1) * n], &columns[j * n + i..(j + 1) * n]);
                (inverse[i * n + j], inverse[j * n + i]) = (value, value);
            }
        }
        inverse
    }
}

/// The inner product, in four sums, so that additions need not wait for each other.
pub(super) fn dot(a: &[f64], b: &[f64]) -> f64 {
    let mut sums = [0.0; 4];
    let (a_chunks, a_rest) = a.as_chunks::<4>();
    let (b_chunks, b_rest) = b.as_chunks::<4>();
    for (a, b) in a_chunks.iter().zip(b_chunks) {
        for lane in 0..4 {
            sums[lane] += a[lane] * b[lane];
        }
    }
    let rest: f64 = a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum();
    (sums[0] + sums[1]) + (sums[2] + sums[3]) + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `B Bᵀ + I` for a full `B`.
    fn matrix(n: usize) -> Vec<f64> {
        let b = |i: usize, j: usize| ((i * 7 + j * 3) % 11) as f64 / 11.0 - 0.4;
        let entry = |i, j| (0..n).map(|k| b(i, k) * b(j, k)).sum::<f64>() + f64::from(u8::from(i == j));
        (0..n * n).map(|code| entry(code / n, code % n)).collect()
    }

    #[test]
    fn solving_and_inverting_undo_multiplying() {
        for n in [1, 2, 5, 13] {
            let a = matrix(n);
            let factor = Cholesky::new(n, a.clone()).unwrap();
            let x: Vec<f64> = (0..n).map(|i| i as f64 - 2.5).collect();
            let mut b: Vec<f64> = a.chunks(n).map(|row| dot(row, &x)).collect();
            let inverse = factor.inverse();
            for (row, x) in inverse.chunks(n).zip(&x) {
                assert!((dot(row, &b) - x).abs() < 1e-9);
            }
            factor.forward(&mut b);
            factor.backward(&mut b);
            assert!(b.iter().zip(&x).all(|(b, x)| (b - x).abs() < 1e-9));
        }
    }

    #[test]
    fn what_is_not_positive_definite_is_refused() {
        assert!(Cholesky::new(2, vec![1.0, 2.0, 2.0, 1.0]).is_none());
        assert!(Cholesky::new(1, vec![f64::NAN]).is_none());
        assert!(
            (Cholesky::new(2, vec![4.0, 0.0, 0.0, 9.0]).unwrap().log_det() - 36.0_f64.ln()).abs() < 1e-12
        );
    }
}
