//! Which combinations a decision looks at: all of them where they are few, else the promising ones.

use std::collections::BTreeSet;

use rand::{Rng, RngExt};
use teleprompt_core::rng;
use teleprompt_tpe::bayes::Fit;

use super::space::Space;

/// Spaces of at most this many combinations are looked at whole.
const WHOLE: usize = 350;
/// Candidates with runs that stay in the pool of a larger space.
const KEPT: usize = 60;
/// Functions drawn from the posterior, each giving its best combination to the pool.
const DRAWS: usize = 8;
/// Combinations at random.
const RANDOM: usize = 10;
/// How many of the pool a decision weighs.
const WEIGHED: usize = 80;
/// Beyond so many candidates with runs, no others are added: the budget is better spent on those.
const MOST_SEEN: usize = 160;

/// All combinations of a small space; `None` for a large one.
fn whole(space: &Space) -> Option<Vec<Vec<usize>>> {
    if !space.only.is_empty() {
        return Some(space.only.clone());
    }
    let options = space.options();
    let size = options.iter().try_fold(1_usize, |size, &n| size.checked_mul(n))?;
    let point = |mut number: usize| {
        let mut point = Vec::with_capacity(options.len());
        for &n in &options {
            point.push(number % n);
            number /= n;
        }
        point
    };
    (size <= WHOLE).then(|| (0..size).map(point).collect())
}

/// As many combinations as the largest dimension has options, each option of a dimension about equally often.
pub(super) fn spread(space: &Space, seed: u64) -> Vec<Vec<usize>> {
    let options = space.options();
    let most = options.iter().copied().max().unwrap_or(0);
    if space.only.is_empty() {
        let order = |(d, &n): (usize, &usize)| rng::permutation(seed, "adaptive-start", &[d as u64], n);
        let orders: Vec<Vec<usize>> = options.iter().enumerate().map(order).collect();
        let point = |turn: usize| orders.iter().map(|order| order[turn % order.len()]).collect();
        return (0..most).map(point).collect();
    }
    // One after the other, that whose choices have been made least often so far.
    let mut rest: Vec<&Vec<usize>> = rng::permutation(seed, "adaptive-start", &[], space.only.len())
        .into_iter()
        .map(|index| &space.only[index])
        .collect();
    let mut made: Vec<Vec<usize>> = options.iter().map(|&n| vec![0; n]).collect();
    let mut chosen = Vec::new();
    while chosen.len() < most && !rest.is_empty() {
        let often = |point: &[usize]| point.iter().zip(&made).map(|(&x, made)| made[x]).sum::<usize>();
        let least = (0..rest.len()).min_by_key(|&index| often(rest[index])).unwrap_or(0);
        let point = rest.remove(least);
        for (&choice, made) in point.iter().zip(&mut made) {
            made[choice] += 1;
        }
        chosen.push(point.clone());
    }
    chosen
}

/// The points that a decision weighs: the [`WEIGHED`] most promising, by the expected value plus twice its standard deviation, and
/// in any case the default and the leader, of the index `leader` among those seen: the best that there is has to be beaten, and
/// what it was run on is known.
pub(super) fn pool(
    space: &Space,
    seen: &[Vec<usize>],
    leader: usize,
    fit: &Fit<'_>,
    random: &mut impl Rng,
) -> Vec<Vec<usize>> {
    let points = whole(space).unwrap_or_else(|| promising(space, seen, fit, random));
    let upper = |point: &[usize]| {
        let (mean, sd) = fit.at(point);
        mean + 2.0 * sd
    };
    let mut rated: Vec<(f64, Vec<usize>)> = points.into_iter().map(|point| (upper(&point), point)).collect();
    rated.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
    let mut pool: Vec<Vec<usize>> = rated.into_iter().map(|(_, point)| point).collect();
    let others = pool.split_off(pool.len().min(WEIGHED));
    pool.extend(others.into_iter().filter(|point| *point == space.default || *point == seen[leader]));
    pool
}

/// Of a space too large to list: what has been seen to be good, what lies one change from it, what drawn functions have for
/// their best, and some by chance.
fn promising(space: &Space, seen: &[Vec<usize>], fit: &Fit<'_>, random: &mut impl Rng) -> Vec<Vec<usize>> {
    let options = &space.options();
    let mut rated: Vec<(f64, &Vec<usize>)> = seen.iter().map(|point| (fit.mean_at(point), point)).collect();
    rated.sort_by(|a, b| b.0.total_cmp(&a.0));
    let mut points: BTreeSet<Vec<usize>> =
        rated.iter().take(KEPT).map(|(_, point)| (*point).clone()).collect();
    points.insert(space.default.clone());
    if seen.len() >= MOST_SEEN {
        return points.into_iter().collect();
    }
    for (_, best) in rated.iter().take(2) {
        for (dimension, &n) in options.iter().enumerate() {
            for choice in 0..n {
                let mut neighbour = (*best).clone();
                neighbour[dimension] = choice;
                points.insert(neighbour);
            }
        }
    }
    let draws = fit.draws(DRAWS, random);
    for draw in &draws {
        let start = options.iter().map(|&n| random.random_range(0..n)).collect();
        points.insert(ascend(options, start, |point| draw.at(point)));
    }
    for _ in 0..RANDOM {
        points.insert(options.iter().map(|&n| random.random_range(0..n)).collect());
    }
    points.into_iter().collect()
}

/// The best point that changing one choice at a time leads to.
fn ascend(options: &[usize], mut point: Vec<usize>, value: impl Fn(&[usize]) -> f64) -> Vec<usize> {
    let mut best = value(&point);
    loop {
        let before = best;
        for (dimension, &n) in options.iter().enumerate() {
            let mut choice = point[dimension];
            for other in 0..n {
                point[dimension] = other;
                let value = value(&point);
                if value > best {
                    best = value;
                    choice = other;
                }
            }
            point[dimension] = choice;
        }
        if best <= before {
            return point;
        }
    }
}

#[cfg(test)]
mod tests {
    use teleprompt_tpe::bayes::Evidence;

    use super::super::config::Ingredients;
    use super::super::model::Models;
    use super::*;

    #[test]
    fn default_and_leader_are_always_weighed() {
        // In a space that is looked at whole, and in one that is too large for it.
        for predictors in [vec![(9, 18)], vec![(9, 18), (9, 18)]] {
            let default = vec![0; 2 * predictors.len()];
            let space = Space { predictors, default, strata: vec![0; 200], only: Vec::new() };
            let leader = vec![1; space.default.len()];
            let mut evidence = Evidence::new(200);
            // Both are known so well, and to be so bad, that anything else is more promising.
            for point in [space.default.clone(), leader.clone()] {
                let point = evidence.point(&point);
                for row in 0..200 {
                    assert!(evidence.push(point, row, 0.0).is_ok());
                }
            }
            let Ok(models) = Models::new(&space, &Ingredients::default()) else { panic!("no model") };
            let model = models.of(&evidence);
            let fit = model.fit(&evidence);
            let pool = pool(&space, evidence.points(), 1, &fit, &mut rng::stream(1, "pool", &[]));
            assert!(pool.len() > WEIGHED, "{}", pool.len());
            assert!(pool.contains(&space.default) && pool.contains(&leader));
        }
    }
}
