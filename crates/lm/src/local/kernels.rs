//! The element-wise steps of the forward pass: norm, rotary embedding, causal softmax, gated activation.
//!
//! Each loop runs under [`pulp::Arch::dispatch`]: the compiler vectorizes it for the processor's own
//! instruction set, chosen when the program runs. Sums have a fixed number of partial sums, so that they do not
//! depend on the width of a register, and a row's result never depends on other rows.

/// Independent partial sums of a reduction.
const LANES: usize = 16;

/// `x / sqrt(mean(x^2) + epsilon) * weight`, row by row; rows are as long as `weight`.
pub(crate) fn rms_norm(input: &[f32], weight: &[f32], epsilon: f32, output: &mut Vec<f32>) {
    output.clear();
    output.resize(input.len(), 0.0);
    vectorized(|| {
        for (x, y) in input.chunks_exact(weight.len()).zip(output.chunks_exact_mut(weight.len())) {
            let mean = sum_of_squares(x) / weight.len() as f32;
            let scale = 1.0 / (mean + epsilon).sqrt();
            for ((y, x), w) in y.iter_mut().zip(x).zip(weight) {
                *y = x * scale * w;
            }
        }
    });
}

/// The angles of the rotary embedding for all positions: `cos` and `sin` of shape `(context, head / 2)`.
pub(crate) struct Rotary {
    cos: Vec<f32>,
    sin: Vec<f32>,
    half: usize,
}

impl Rotary {
    /// Of `factors`, of length `head / 2` or empty, the `i`-th slows the rotation of the `i`-th pair; `scale` slows all.
    pub(crate) fn new(context: usize, head: usize, base: f32, scale: f32, factors: &[f32]) -> Self {
        let half = head / 2;
        let factor = |i: usize| f64::from(factors.get(i).copied().unwrap_or(1.0)) * f64::from(scale);
        let frequencies: Vec<f64> =
            (0..half).map(|i| f64::from(base).powf(-2.0 * i as f64 / head as f64) / factor(i)).collect();
        let angles = (0..context).flat_map(|position| frequencies.iter().map(move |f| position as f64 * f));
        let (cos, sin) = angles.map(|a| (a.cos() as f32, a.sin() as f32)).unzip();
        Self { cos, sin, half }
    }

    /// Rotates the pairs `(2i, 2i + 1)` of each head in `row`, in place, as for a token at `position`.
    pub(crate) fn rotate(&self, position: usize, row: &mut [f32]) {
        let angles = position * self.half..(position + 1) * self.half;
        let (cos, sin) = (&self.cos[angles.clone()], &self.sin[angles]);
        for head in row.chunks_exact_mut(2 * self.half) {
            for ((x, c), s) in head.chunks_exact_mut(2).zip(cos).zip(sin) {
                (x[0], x[1]) = (x[0] * c - x[1] * s, x[0] * s + x[1] * c);
            }
        }
    }
}

/// Softmax of scaled scores over the keys that a row may see, in place; the others get weight 0.
///
/// Rows have `keys` elements. Row `i` belongs to the query `i % queries`, which sees the first
/// `position + i % queries + 1` keys.
pub(crate) fn causal_softmax(scores: &mut [f32], keys: usize, queries: usize, position: usize, scale: f32) {
    vectorized(|| {
        for (i, row) in scores.chunks_exact_mut(keys).enumerate() {
            let (visible, hidden) = row.split_at_mut((position + i % queries + 1).min(keys));
            softmax(visible, scale);
            hidden.fill(0.0);
        }
    });
}

/// `silu(gate) * up` for rows of `inner` gates and `inner` ups.
pub(crate) fn gated_silu(input: &[f32], inner: usize, output: &mut Vec<f32>) {
    output.clear();
    output.resize(input.len() / 2, 0.0);
    vectorized(|| {
        for (x, y) in input.chunks_exact(2 * inner).zip(output.chunks_exact_mut(inner)) {
            let (gate, up) = x.split_at(inner);
            for ((y, g), u) in y.iter_mut().zip(gate).zip(up) {
                *y = g / (1.0 + exp(-g)) * u;
            }
        }
    });
}

/// `x += y`, element by element.
pub(crate) fn add(x: &mut [f32], y: &[f32]) {
    vectorized(|| {
        for (x, y) in x.iter_mut().zip(y) {
            *x += y;
        }
    });
}

/// Runs a loop with the widest vector instructions of this processor.
#[inline(always)]
fn vectorized(f: impl FnOnce()) {
    pulp::Arch::new().dispatch(f);
}

#[inline(always)]
fn sum_of_squares(row: &[f32]) -> f32 {
    let mut lanes = [0f32; LANES];
    let chunks = row.chunks_exact(LANES);
    let tail: f32 = chunks.remainder().iter().map(|x| x * x).sum();
    for x in chunks {
        for i in 0..LANES {
            lanes[i] += x[i] * x[i];
        }
    }
    lanes.iter().sum::<f32>() + tail
}

#[inline(always)]
fn softmax(row: &mut [f32], scale: f32) {
    let mut lanes = [f32::NEG_INFINITY; LANES];
    let chunks = row.chunks_exact(LANES);
    let tail = chunks.remainder().iter().fold(f32::NEG_INFINITY, |a, b| a.max(*b));
    for x in chunks {
        for i in 0..LANES {
            lanes[i] = if x[i] > lanes[i] { x[i] } else { lanes[i] };
        }
    }
    let top = lanes.iter().fold(tail, |a, b| a.max(*b));
    for x in row.iter_mut() {
        *x = exp((*x - top) * scale);
    }
    let mut sums = [0f32; LANES];
    let chunks = row.chunks_exact(LANES);
    let tail: f32 = chunks.remainder().iter().sum();
    for x in chunks {
        for i in 0..LANES {
            sums[i] += x[i];
        }
    }
    let inverse = 1.0 / (sums.iter().sum::<f32>() + tail);
    for x in row.iter_mut() {
        *x *= inverse;
    }
}

/// `e^x` to about 2 units in the last place, without a branch or a call, so that loops over it vectorize.
///
/// `x = n ln 2 + r` with `|r| <= ln 2 / 2`; `e^r` by its Taylor polynomial of degree 7 (remainder below
/// `2^-27` there); `2^n` by its exponent bits. Arguments are clamped to `[-87, 88]`.
#[inline(always)]
fn exp(x: f32) -> f32 {
    /// Adding it rounds to the nearest integer, which then stands in the low bits of the mantissa.
    const ROUND: f32 = 12_582_912.0;
    const LN2_HIGH: f32 = 0.693_359_4;
    const LN2_LOW: f32 = -2.121_944_4e-4;
    let x = if x < -87.0 { -87.0 } else { x };
    let x = if x > 88.0 { 88.0 } else { x };
    let shifted = x * std::f32::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    let r = x - n * LN2_HIGH - n * LN2_LOW;
    let mut p = 1.0 / 5040.0;
    p = p * r + 1.0 / 720.0;
    p = p * r + 1.0 / 120.0;
    p = p * r + 1.0 / 24.0;
    p = p * r + 1.0 / 6.0;
    p = p * r + 0.5;
    p = p * r + 1.0;
    p = p * r + 1.0;
    let exponent = shifted.to_bits().wrapping_sub(ROUND.to_bits()).wrapping_add(127) << 23;
    p * f32::from_bits(exponent)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_agrees_with_the_library() {
        for i in -8_700..=8_800 {
            let x = i as f32 / 100.0;
            let expected = f64::from(x).exp();
            let error = (f64::from(exp(x)) - expected).abs() / expected;
            assert!(error < 4e-7, "exp({x}) is off by {error}");
        }
        assert_eq!(exp(f32::NEG_INFINITY), exp(-87.0));
    }

    #[test]
    fn softmax_gives_nothing_to_what_a_row_may_not_see() {
        let scores: Vec<f32> = (0..2 * 3 * 20).map(|i| ((i * 37) % 11) as f32).collect();
        let mut weights = scores.clone();
        causal_softmax(&mut weights, 20, 3, 17, 0.5);
        for (i, row) in weights.chunks(20).enumerate() {
            let seen = 18 + i % 3;
            let expected: Vec<f64> =
                scores[i * 20..][..seen].iter().map(|s| (f64::from(*s) * 0.5).exp()).collect();
            let sum: f64 = expected.iter().sum();
            for (k, x) in row.iter().enumerate() {
                let expected = expected.get(k).map_or(0.0, |w| w / sum);
                assert!((f64::from(*x) - expected).abs() < 1e-6, "row {i}, key {k}");
            }
        }
    }
}
