//! Generated landscapes of choices, grids, mixtures and conditions, some of them noisy.
//!
//! Coefficients are drawn from a seeded stream, so a landscape is the same everywhere. Optima of countable spaces are
//! found by looking at every point.

use super::{Half, Problem};
use crate::bench::stats::SplitMix64;
use crate::bench::tpe::space::{Parameter, Point, all as points, choice, number};

/// All problems of choices, grids and conditions.
pub(super) fn all() -> Vec<Problem> {
    use Half::{Develop, Kept};
    // Two halves of the same kinds: other sizes, other coefficients.
    vec![
        interactions(Develop, 6, 5, 60, 6),
        interactions(Kept, 5, 8, 60, 65),
        epistasis(Develop, 14, 2, 80, 14),
        epistasis(Kept, 12, 3, 80, 73),
        prompts(Develop, &[10, 10, 10, 10], 30, 101),
        prompts(Develop, &[12, 6, 12, 6, 12, 6], 60, 102),
        prompts(Kept, &[8, 8, 8, 8, 8, 8], 40, 103),
        prompts(Kept, &[18, 18], 24, 104),
        grid(Develop, 4, 20, 80, 21),
        grid(Kept, 3, 50, 60, 22),
        mixed(Develop, 60, 31),
        mixed(Kept, 80, 32),
        arms(Develop, 8, 60, 8),
        arms(Kept, 5, 60, 81),
        models(Develop, 80, 41),
        models(Kept, 60, 42),
    ]
}

fn problem(
    half: Half,
    name: String,
    space: Vec<Parameter>,
    trials: u32,
    optimum: Option<f64>,
    function: impl Fn(&Point) -> f64 + 'static,
) -> Problem {
    let least = || points(&space).map(|point| function(&point)).fold(f64::INFINITY, f64::min);
    let optimum = optimum.unwrap_or_else(least);
    Problem { name, half, space, function: Box::new(function), optimum, noise: 0.0, trials }
}

/// Categorical dimensions, each with an effect of its own and with its neighbour.
fn interactions(half: Half, dimensions: usize, n: usize, trials: u32, seed: u64) -> Problem {
    let mut random = SplitMix64::new(seed);
    let main: Vec<f64> = (0..dimensions * n).map(|_| random.unit()).collect();
    let pair: Vec<f64> = (0..(dimensions - 1) * n * n).map(|_| random.unit()).collect();
    let function = move |point: &Point| {
        let at = |i: usize| choice(point, i);
        let alone = (0..dimensions).filter_map(|i| main.get(i * n + at(i)));
        let together = (0..dimensions - 1).filter_map(|i| pair.get((i * n + at(i)) * n + at(i + 1)));
        alone.chain(together).sum()
    };
    let space = vec![Parameter::choice(n); dimensions];
    problem(half, format!("interactions {dimensions} x {n}"), space, trials, None, function)
}

/// An NK landscape: bits, each with a contribution that depends on it and on its `k` neighbours.
fn epistasis(half: Half, bits: usize, k: usize, trials: u32, seed: u64) -> Problem {
    let mut random = SplitMix64::new(seed);
    let table: Vec<f64> = (0..bits << (k + 1)).map(|_| random.unit()).collect();
    let function = move |point: &Point| {
        let code = |i: usize| (0..=k).fold(0, |code, j| code << 1 | choice(point, (i + j) % bits) & 1);
        (0..bits).filter_map(|i| table.get(i << (k + 1) | code(i))).sum::<f64>() / bits as f64
    };
    problem(half, format!("nk {bits} bits, {k}"), vec![Parameter::choice(2); bits], trials, None, function)
}

/// Instructions and demos of a program: every choice has an effect of its own and with its neighbour's, and the score
/// of a minibatch of 35 rows has a deviation of 0.085, twice that of a single effect.
fn prompts(half: Half, sizes: &[usize], trials: u32, seed: u64) -> Problem {
    let mut random = SplitMix64::new(seed);
    let effects: Vec<Vec<f64>> =
        sizes.iter().map(|&n| (0..n).map(|_| 0.04 * random.normal()).collect()).collect();
    let pairs: Vec<Vec<f64>> = (1..sizes.len())
        .map(|i| (0..sizes[i] * sizes[i - 1]).map(|_| 0.03 * random.normal()).collect())
        .collect();
    let own = sizes.to_vec();
    let function = move |point: &Point| {
        let at = |i: usize| choice(point, i);
        let alone = effects.iter().enumerate().filter_map(|(i, effects)| effects.get(at(i)));
        let together =
            pairs.iter().enumerate().filter_map(|(i, pairs)| pairs.get(at(i) * own[i + 1] + at(i + 1)));
        -(0.5 + alone.chain(together).sum::<f64>())
    };
    let space: Vec<_> = sizes.iter().map(|&n| Parameter::choice(n)).collect();
    let name = format!("prompts {sizes:?} noisy").replace(", ", "-");
    Problem { noise: 0.085, ..problem(half, name, space, trials, None, function) }
}

/// A rotated bowl with ripples on a grid of integers.
fn grid(half: Half, dimensions: usize, n: i64, trials: u32, seed: u64) -> Problem {
    let mut random = SplitMix64::new(seed);
    let center: Vec<f64> = (0..dimensions).map(|_| (0.15 + 0.7 * random.unit()) * n as f64).collect();
    let coupling: Vec<f64> = (0..dimensions).map(|_| random.unit() - 0.5).collect();
    let function = move |point: &Point| {
        let offset: Vec<f64> =
            center.iter().enumerate().map(|(i, center)| (number(point, i) - center) / n as f64).collect();
        let skew: f64 = offset.iter().zip(&coupling).map(|(x, c)| x * c).sum();
        let ripple: f64 = offset.iter().map(|x| 0.02 * (1.0 - libm::cos(25.0 * x))).sum();
        offset.iter().map(|x| x * x).sum::<f64>() + 4.0 * skew * skew + ripple
    };
    problem(
        half,
        format!("grid {dimensions} x {n}"),
        vec![Parameter::int(0, n - 1); dimensions],
        trials,
        None,
        function,
    )
}

/// Two choices, a rate on a logarithmic scale, a width and a share, as for a small network; the best rate depends on
/// a choice and on the width.
fn mixed(half: Half, trials: u32, seed: u64) -> Problem {
    let mut random = SplitMix64::new(seed);
    let kinds: Vec<[f64; 2]> = (0..4).map(|_| [random.unit(), random.unit()]).collect();
    let modes: Vec<f64> = (0..3).map(|_| random.unit()).collect();
    let (best_width, best_share) = (4.0 + 3.0 * random.unit(), 0.2 + 0.6 * random.unit());
    // In the best mode and kind, at the best width and share, with the rate that belongs to them; widths are whole.
    let width_off = move |width: f64| (libm::log2(width) - best_width) / 4.0;
    let function = {
        let (kinds, modes) = (kinds.clone(), modes.clone());
        move |point: &Point| {
            let Some([kind_loss, kind_rate]) = kinds.get(choice(point, 0)) else { return f64::NAN };
            let Some(mode) = modes.get(choice(point, 1)) else { return f64::NAN };
            let (rate, width, share) = (libm::log10(number(point, 2)), number(point, 3), number(point, 4));
            let off = width_off(width);
            let rate_off = rate + 4.0 - 2.0 * kind_rate + off;
            0.4 * kind_loss
                + 0.2 * mode
                + 0.3 * rate_off * rate_off
                + off * off
                + (share - best_share).powi(2)
        }
    };
    let least = |items: &mut dyn Iterator<Item = f64>| items.fold(f64::INFINITY, f64::min);
    let width = least(&mut (8..=512).map(|width| width_off(f64::from(width)).powi(2)));
    let kind = least(&mut kinds.iter().map(|[loss, _]| *loss));
    let optimum = 0.4 * kind + 0.2 * least(&mut modes.iter().copied()) + width;
    let space = vec![
        Parameter::choice(4),
        Parameter::choice(3),
        Parameter::log_float(1e-6, 1.0),
        Parameter::log_int(8, 512),
        Parameter::float(0.0, 1.0),
    ];
    problem(half, format!("mixed5 {seed}"), space, trials, Some(optimum), function)
}

/// A choice of arms, each a bowl of two floats with its own centre and depth; one arm is best.
fn arms(half: Half, n: usize, trials: u32, seed: u64) -> Problem {
    let mut random = SplitMix64::new(seed);
    let arms: Vec<[f64; 3]> = (0..n).map(|_| [random.unit(), random.unit(), random.unit()]).collect();
    let optimum = arms.iter().map(|[_, _, depth]| *depth).fold(f64::INFINITY, f64::min);
    let function = move |point: &Point| {
        let [x, y, depth] = arms.get(choice(point, 0)).copied().unwrap_or([0.0, 0.0, f64::NAN]);
        let (dx, dy) = (number(point, 1) - x, number(point, 2) - y);
        depth + 2.0 * (dx * dx + dy * dy)
    };
    let unit = Parameter::float(0.0, 1.0);
    problem(
        half,
        format!("arms {n} with 2 float"),
        vec![Parameter::choice(n), unit, unit],
        trials,
        Some(optimum),
        function,
    )
}

/// A choice of three models with parameters of their own, one of them under a further choice.
fn models(half: Half, trials: u32, seed: u64) -> Problem {
    let mut random = SplitMix64::new(seed);
    let at: Vec<f64> = (0..8).map(|_| 0.1 + 0.8 * random.unit()).collect();
    let floor: Vec<f64> = (0..3).map(|_| 0.3 * random.unit()).collect();
    let optimum = floor[0].min(floor[1]).min(floor[2] - 0.05);
    let function = move |point: &Point| {
        // Logarithmic parameters on the unit interval.
        let rate = (libm::log10(number(point, 1)) + 4.0) / 4.0;
        let scale = (libm::log10(number(point, 5)) + 3.0) / 6.0;
        match choice(point, 0) {
            0 => floor[0] + (rate - at[0]).powi(2) + 0.5 * (number(point, 2) - at[1]).abs(),
            1 => {
                let depth = (number(point, 3) - 1.0) / 15.0;
                // The best depth is a whole one.
                let best = (at[2] * 15.0).round() / 15.0;
                floor[1] + (rate - at[3]).powi(2) + (depth - best).powi(2)
            }
            2 => {
                let kernel = if choice(point, 4) == 1 { (scale - at[4]).powi(2) - 0.05 } else { 0.05 };
                floor[2] + (rate - at[5]).powi(2) + kernel
            }
            _ => f64::NAN,
        }
    };
    let space = vec![
        Parameter::choice(3),
        Parameter::log_float(1e-4, 1.0),
        Parameter::float(0.0, 1.0).when(0, 0),
        Parameter::int(1, 16).when(0, 1),
        Parameter::choice(3).when(0, 2),
        Parameter::log_float(1e-3, 1e3).when(4, 1),
    ];
    problem(half, format!("models {seed}"), space, trials, Some(optimum), function)
}
