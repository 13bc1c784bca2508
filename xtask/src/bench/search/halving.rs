//! Guarded halving on common rows: the baseline that a model has to beat.

use teleprompt_miprov2::adaptive::common_order;

use super::terrain::{Ledger, Terrain};
use crate::bench::stats::SplitMix64;

/// Rows that each candidate gets in the first round, at least.
const FIRST: usize = 4;
/// The probability of being better that replaces the default.
const GUARD: f64 = 0.7;

/// All candidates, or as many as the budget gives [`FIRST`] rows, and the default; each round runs the rest on more rows of
/// one order and drops the worse half, never the default. At the end the default is kept unless the leader is better with
/// probability [`GUARD`], by the paired difference on the rows that both have seen.
pub(crate) fn search(ledger: &Ledger<'_>, terrain: &dyn Terrain, budget: usize, seed: u64) -> Vec<usize> {
    let order = common_order(terrain.strata(), seed);
    let default = terrain.default();
    let mut field = field(terrain, &default, budget, seed);
    let mut rows = ((budget as f64 / cost(field.len(), 1)) as usize).clamp(1, order.len());
    loop {
        let mut rated: Vec<(f64, usize)> = Vec::with_capacity(field.len());
        for (place, candidate) in field.iter().enumerate() {
            rated.push((ledger.mean(candidate, &order[..rows]).unwrap_or(0.0), place));
        }
        // On a tie the earlier, so the default.
        rated.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        let mut keep: Vec<usize> =
            rated.iter().take(field.len().div_ceil(2)).map(|(_, place)| *place).collect();
        if !keep.contains(&0) {
            keep.push(0);
        }
        keep.sort_unstable();
        let leader = &field[rated[0].1];
        ledger.incumbent(|| guarded(ledger, leader, &default, &order[..rows]));
        let left = budget.saturating_sub(ledger.spent());
        let more = rows.min(left / keep.len()).min(order.len() - rows);
        if more == 0 {
            return guarded(ledger, leader, &default, &order[..rows]);
        }
        field = keep.into_iter().map(|place| field[place].clone()).collect();
        rows += more;
    }
}

/// Runs of a field of `n` on `rows` rows in the first round: half as many again in each of the `log2 n` others.
fn cost(n: usize, rows: usize) -> f64 {
    n as f64 * rows as f64 * (1.0 + (n as f64).log2() / 2.0)
}

/// The default, then all others, or as many as the budget allows with every choice equally often.
fn field(terrain: &dyn Terrain, default: &[usize], budget: usize, seed: u64) -> Vec<Vec<usize>> {
    let (options, only) = (terrain.options(), terrain.only());
    let size = match only.len() {
        0 => options.iter().try_fold(1_usize, |size, &n| size.checked_mul(n)).unwrap_or(usize::MAX),
        size => size,
    };
    let mut wanted = 2;
    while wanted < size && cost(wanted + 1, FIRST) <= budget as f64 {
        wanted += 1;
    }
    let mut field = vec![default.to_vec()];
    let mut random = SplitMix64::new(seed ^ 0x4a1f);
    if !only.is_empty() {
        let others = random.permutation(size).into_iter().map(|index| only[index].clone());
        field.extend(others.filter(|point| point != default).take(wanted - 1));
        return field;
    }
    if wanted >= size {
        for mut number in 0..size {
            let mut point = Vec::with_capacity(options.len());
            for &n in options {
                point.push(number % n);
                number /= n;
            }
            if point != default {
                field.push(point);
            }
        }
        return field;
    }
    let most = options.iter().copied().max().unwrap_or(1);
    while field.len() < wanted {
        let orders: Vec<Vec<usize>> = options.iter().map(|&n| random.permutation(n)).collect();
        for turn in 0..most {
            let point: Vec<usize> = orders.iter().map(|order| order[turn % order.len()]).collect();
            if field.len() < wanted && !field.contains(&point) {
                field.push(point);
            }
        }
    }
    field
}

/// The leader, unless it is the default or not better than it with probability [`GUARD`].
fn guarded(ledger: &Ledger<'_>, leader: &[usize], default: &[usize], rows: &[usize]) -> Vec<usize> {
    let difference = |&row: &usize| Some(ledger.run(leader, row)? - ledger.run(default, row)?);
    let differences: Vec<f64> = rows.iter().filter_map(difference).collect();
    let n = differences.len() as f64;
    let mean = differences.iter().sum::<f64>() / n;
    let variance = differences.iter().map(|d| (d - mean) * (d - mean)).sum::<f64>() / n;
    let z = mean / (variance.max(1e-9) / n).sqrt();
    let p = 0.5 * libm::erfc(-z / std::f64::consts::SQRT_2);
    if p >= GUARD { leader.to_vec() } else { default.to_vec() }
}
