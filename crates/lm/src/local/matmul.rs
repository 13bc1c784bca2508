//! Matrix products in `f32`, the work of the forward pass.
//!
//! The right-hand matrix stands in *panels* of [`WIDTH`] columns, written once when the model is loaded:
//!
//! ```text
//!   panel j:  row 0: columns 32j .. 32j+31 | row 1: ... | ... | row k-1
//! ```
//!
//! A tile of up to 12 rows of the left-hand matrix meets one panel at a time, with all sums in registers. The
//! instruction set is chosen when the program runs ([`pulp::Arch`]). Measured on one core (AVX-512, 45 rows,
//! 576 x 1536): 121 billion multiply-adds a second; candle's general product 45 to 53, its 8-bit one 22 on two.
//!
//! # Determinism
//! Each element is one sum in the order of `k`, whatever the number of rows, their tile, or the number of
//! threads. So what is computed for a row never depends on its neighbours.

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

/// Columns of a panel.
pub(crate) const WIDTH: usize = 32;
/// Panels that one thread takes at a time when a single row is multiplied.
const PANELS_PER_TASK: usize = 16;

/// A matrix of `inputs` rows and `outputs` columns in panels; columns that fill up the last panel are 0.
pub(crate) struct Packed {
    panels: Vec<f32>,
    inputs: usize,
    outputs: usize,
}

impl Packed {
    /// Packs matrices of shape `(outputs, inputs)`, row by row, one below the other.
    pub(crate) fn new(matrices: &[&[f32]], inputs: usize) -> Self {
        let outputs = matrices.iter().map(|m| m.len() / inputs).sum::<usize>();
        let mut panels = vec![0f32; outputs.div_ceil(WIDTH) * WIDTH * inputs];
        let rows = matrices.iter().flat_map(|m| m.chunks_exact(inputs));
        for (j, row) in rows.enumerate() {
            let panel = &mut panels[j / WIDTH * WIDTH * inputs..];
            for (cell, x) in panel[j % WIDTH..].iter_mut().step_by(WIDTH).zip(row) {
                *cell = *x;
            }
        }
        Self { panels, inputs, outputs }
    }

    /// Columns, without those that fill up the last panel.
    pub(crate) fn outputs(&self) -> usize {
        self.outputs
    }

    /// Panel `j`.
    fn panel(&self, j: usize) -> &[f32] {
        &self.panels[j * WIDTH * self.inputs..][..WIDTH * self.inputs]
    }

    /// Copies column `j`, which is below [`Packed::outputs`], to `column`, of length `inputs`.
    pub(crate) fn column(&self, j: usize, column: &mut [f32]) {
        let cells = self.panel(j / WIDTH)[j % WIDTH..].iter().step_by(WIDTH);
        for (x, cell) in column.iter_mut().zip(cells) {
            *x = *cell;
        }
    }

    /// `a` times this matrix, into `out`: `a` has shape `(rows, inputs)`, `out` becomes `(rows, outputs)` with
    /// `outputs` rounded up to whole panels.
    pub(crate) fn multiply(&self, a: &[f32], out: &mut Vec<f32>) {
        let rows = a.len() / self.inputs;
        let count = self.outputs.div_ceil(WIDTH);
        let stride = count * WIDTH;
        out.clear();
        out.resize(rows * stride, 0.0);
        let threads = rayon::current_num_threads();
        if threads == 1 {
            product(a, self.inputs, self.inputs, count, |j| self.panel(j), out);
        } else if rows == 1 {
            out.par_chunks_mut(PANELS_PER_TASK * WIDTH).enumerate().for_each(|(i, part)| {
                let first = i * PANELS_PER_TASK;
                product(a, self.inputs, self.inputs, part.len() / WIDTH, |j| self.panel(first + j), part);
            });
        } else {
            let share = rows.div_ceil(threads);
            let parts = out.par_chunks_mut(share * stride).zip(a.par_chunks(share * self.inputs));
            parts.for_each(|(out, a)| product(a, self.inputs, self.inputs, count, |j| self.panel(j), out));
        }
    }

    /// One row times some columns: `x` has length `inputs`; a column outside the matrix gives negative infinity.
    /// Computes the panels that hold the columns, each once if they are ascending.
    pub(crate) fn columns_of(&self, x: &[f32], columns: &[u32]) -> Vec<f32> {
        let (mut at, mut sums) = (usize::MAX, [0f32; WIDTH]);
        let value = |column: &u32| {
            let column = *column as usize;
            if column >= self.outputs {
                return f32::NEG_INFINITY;
            }
            if at != column / WIDTH {
                at = column / WIDTH;
                product(x, self.inputs, self.inputs, 1, |_| self.panel(at), &mut sums);
            }
            sums[column % WIDTH]
        };
        columns.iter().map(value).collect()
    }
}

/// The product of a matrix `a` with `count` panels, on this thread.
///
/// Rows of `a` begin every `stride` elements and have `k` of them; `panel` gives at least `k * WIDTH` elements;
/// `out` has shape `(rows, count * WIDTH)` and is overwritten.
pub(crate) fn product<'p>(
    a: &[f32],
    stride: usize,
    k: usize,
    count: usize,
    panel: impl Fn(usize) -> &'p [f32],
    out: &mut [f32],
) {
    if count > 0 && k > 0 {
        pulp::Arch::new().dispatch(Product { a, stride, k, count, panel, out });
    }
}

struct Product<'a, F> {
    a: &'a [f32],
    stride: usize,
    k: usize,
    count: usize,
    panel: F,
    out: &'a mut [f32],
}

impl<'p, F: Fn(usize) -> &'p [f32]> WithSimd for Product<'_, F> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        // As many rows as the registers hold sums for: two vectors per row.
        if S::F32_LANES == 16 || cfg!(target_arch = "aarch64") {
            self.run::<S, 12>(simd);
        } else {
            self.run::<S, 6>(simd);
        }
    }
}

impl<'p, F: Fn(usize) -> &'p [f32]> Product<'_, F> {
    #[inline(always)]
    fn run<S: Simd, const MOST: usize>(self, simd: S) {
        let Self { a, stride, k, count, panel, out } = self;
        let width = count * WIDTH;
        let rows = out.len() / width;
        if rows == 0 {
            return;
        }
        // Tiles of nearly equal height, each rewritten so that the inner loop reads it in order.
        let tiles = rows.div_ceil(MOST);
        let height = |tile: usize| rows / tiles + usize::from(tile < rows % tiles);
        let mut packed = Vec::with_capacity(rows * k);
        let mut first = 0;
        for tile in 0..tiles {
            for p in 0..k {
                packed.extend((first..first + height(tile)).map(|row| a[row * stride + p]));
            }
            first += height(tile);
        }
        for j in 0..count {
            let panel = &panel(j)[..k * WIDTH];
            let mut first = 0;
            for tile in 0..tiles {
                let height = height(tile);
                let a = &packed[first * k..(first + height) * k];
                let out = &mut out[first * width + j * WIDTH..];
                match height {
                    1 => multiply_tile::<S, 1>(simd, a, panel, width, out),
                    2 => multiply_tile::<S, 2>(simd, a, panel, width, out),
                    3 => multiply_tile::<S, 3>(simd, a, panel, width, out),
                    4 => multiply_tile::<S, 4>(simd, a, panel, width, out),
                    5 => multiply_tile::<S, 5>(simd, a, panel, width, out),
                    6 => multiply_tile::<S, 6>(simd, a, panel, width, out),
                    7 => multiply_tile::<S, 7>(simd, a, panel, width, out),
                    8 => multiply_tile::<S, 8>(simd, a, panel, width, out),
                    9 => multiply_tile::<S, 9>(simd, a, panel, width, out),
                    10 => multiply_tile::<S, 10>(simd, a, panel, width, out),
                    11 => multiply_tile::<S, 11>(simd, a, panel, width, out),
                    _ => multiply_tile::<S, 12>(simd, a, panel, width, out),
                }
                first += height;
            }
        }
    }
}

/// `ROWS` rows, interleaved, times one panel.
#[inline(always)]
fn multiply_tile<S: Simd, const ROWS: usize>(
    simd: S,
    a: &[f32],
    panel: &[f32],
    stride: usize,
    out: &mut [f32],
) {
    let pair = 2 * S::F32_LANES;
    for offset in (0..WIDTH).step_by(pair) {
        let mut sums = [[simd.splat_f32s(0.0); 2]; ROWS];
        for (x, row) in a.chunks_exact(ROWS).zip(panel.chunks_exact(WIDTH)) {
            let (b, _) = S::as_simd_f32s(&row[offset..offset + pair]);
            let (b0, b1) = (b[0], b[1]);
            for r in 0..ROWS {
                let x = simd.splat_f32s(x[r]);
                sums[r][0] = simd.mul_add_e_f32s(x, b0, sums[r][0]);
                sums[r][1] = simd.mul_add_e_f32s(x, b1, sums[r][1]);
            }
        }
        for (r, sum) in sums.iter().enumerate() {
            let (cells, _) = S::as_mut_simd_f32s(&mut out[r * stride + offset..r * stride + offset + pair]);
            cells[0] = sum[0];
            cells[1] = sum[1];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(n: usize, modulus: usize) -> Vec<f32> {
        (0..n).map(|i| ((i * 7919) % modulus) as f32 / 4.0 - 3.0).collect()
    }

    #[test]
    fn products_agree_with_the_definition() {
        for (rows, k, n) in [(1, 5, 3), (7, 32, 33), (13, 64, 96), (25, 48, 70)] {
            let (a, w) = (numbers(rows * k, 23), numbers(n * k, 29));
            let packed = Packed::new(&[&w[..k], &w[k..]], k);
            let mut out = Vec::new();
            packed.multiply(&a, &mut out);
            let stride = n.div_ceil(WIDTH) * WIDTH;
            for r in 0..rows {
                for j in 0..n {
                    // Quarters of small numbers: every sum is exact, in any order.
                    let expected: f32 = (0..k).map(|p| a[r * k + p] * w[j * k + p]).sum();
                    assert_eq!(out[r * stride + j], expected, "row {r}, column {j} of {rows} x {k} x {n}");
                }
            }
        }
    }

    #[test]
    fn a_row_does_not_depend_on_its_neighbours_or_on_threads() {
        let (rows, k, n) = (29, 96, 1100);
        let a: Vec<f32> = (0..rows * k).map(|i| (i as f32).sin()).collect();
        let w: Vec<f32> = (0..n * k).map(|i| (i as f32 * 0.7).cos()).collect();
        let packed = Packed::new(&[&w], k);
        let multiply = |a: &[f32], threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let mut out = Vec::new();
            pool.install(|| packed.multiply(a, &mut out));
            out
        };
        let all = multiply(&a, 1);
        assert_eq!(all, multiply(&a, 3));
        let stride = all.len() / rows;
        for r in [0, 11, 28] {
            let row = &a[r * k..][..k];
            assert_eq!(all[r * stride..][..stride], multiply(row, 1));
            assert_eq!(all[r * stride..][..stride], multiply(row, 3));
            let columns = [0u32, 31, 700, 1099, 1100];
            let expected: Vec<f32> = columns
                .iter()
                .map(|c| if *c < 1100 { all[r * stride + *c as usize] } else { f32::NEG_INFINITY })
                .collect();
            assert_eq!(packed.columns_of(row, &columns), expected);
        }
    }

    #[test]
    fn columns_come_back() {
        let w = numbers(40 * 6, 31);
        let packed = Packed::new(&[&w], 6);
        let mut column = vec![0.0; 6];
        packed.column(37, &mut column);
        assert_eq!(column, w[37 * 6..38 * 6]);
    }
}
