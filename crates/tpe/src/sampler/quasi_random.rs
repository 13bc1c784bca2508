//! Points that fill the space more evenly than random ones: a scrambled Halton sequence.
//!
//! Coordinate `d` of point `n` is `n` written in the `d`-th prime base and mirrored at the radix point
//! (Halton 1960), with every digit mapped by a seeded affine permutation of its own (the linear scrambling of
//! Matoušek 1998). It needs no table of directions and has no limit on dimensions, but beyond about 20 the
//! large bases need many points before they fill anything; it never looks at outcomes.

use rand::RngExt;

use super::{AskContext, Sampler};
use crate::axis::Dimension;
use crate::error::Error;
use crate::space::Values;
use crate::trial::{FinishedTrial, Problem};

/// Suggests the points of a scrambled Halton sequence, one dimension per parameter, indexed by the trial's
/// number.
///
/// # Cost
///
/// O(parameters) digit expansions per ask, nothing kept.
///
/// # Determinism
///
/// A function of the seed (stream `halton` of each dimension) and the trial's number alone. Numbers that are
/// enqueued or added leave gaps in the sequence, and gaps do not spoil it.
#[derive(Debug, Clone, Copy, Default)]
pub struct QuasiRandomSampler;

impl Sampler for QuasiRandomSampler {
    fn observe(&mut self, _: &Problem, _: &FinishedTrial) {}

    fn suggest(&mut self, cx: &AskContext<'_>) -> Result<Values, Error> {
        let space = &cx.problem.space;
        let mut slots = Vec::with_capacity(space.len());
        for ((index, parameter), base) in space.parameters().iter().enumerate().zip(primes()) {
            let active = space.is_active(index, &slots);
            let value = || {
                Dimension::new(&parameter.distribution).at(halton(cx.problem, index as u64, base, cx.number))
            };
            slots.push(active.then(value));
        }
        space.from_slots(slots)
    }
}

/// The point of this trial, or, where it is `taken`, the first of some later points that is not; the first
/// one where all are.
pub(super) fn fresh(cx: &AskContext<'_>, taken: impl Fn(&Values) -> bool) -> Result<Values, Error> {
    let at = |attempt: u64| {
        // Far from the points of other trials, which come anyway.
        let number = cx.number.wrapping_add(attempt << 32);
        QuasiRandomSampler.suggest(&AskContext::new(cx.problem, number, cx.pending))
    };
    for attempt in 0..100 {
        let values = at(attempt)?;
        if !taken(&values) {
            return Ok(values);
        }
    }
    at(0)
}

/// Coordinate `dimension`, in `[0, 1)`, of point `number`.
fn halton(problem: &Problem, dimension: u64, base: u64, mut number: u64) -> f64 {
    let mut rng = problem.rng("halton", dimension);
    let (mut coordinate, mut place) = (0.0, 1.0);
    // Digits go on after the number's own, which are zeros, until they pass the precision of a float.
    while place > f64::EPSILON {
        let (factor, shift) = (rng.random_range(1..base), rng.random_range(0..base));
        place /= base as f64;
        coordinate += place * ((number % base * factor + shift) % base) as f64;
        number /= base;
    }
    coordinate.min(1.0 - f64::EPSILON)
}

/// 2, 3, 5, ..
fn primes() -> impl Iterator<Item = u64> {
    (2..).filter(|n| (2..).take_while(|d| d * d <= *n).all(|d| n % d != 0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Direction, Distribution, SearchSpace};

    #[test]
    fn every_interval_of_a_base_is_hit_equally_often() {
        let space = SearchSpace::builder().param("x", Distribution::float(0.0, 1.0)).build().unwrap();
        for seed in 0..20 {
            let problem = Problem { space: space.clone(), direction: Direction::Minimize, seed };
            for (dimension, base) in (0..8).zip(primes()) {
                let cells = base * base;
                let mut hits = vec![0; cells as usize];
                for number in 3 * cells..5 * cells {
                    let x = halton(&problem, dimension, base, number);
                    hits[(x * cells as f64) as usize] += 1;
                }
                assert!(hits.iter().all(|&h| h == 2), "base {base}: {hits:?}");
            }
        }
    }

    #[test]
    fn choices_are_covered_before_they_repeat() {
        let space = SearchSpace::builder().param("c", Distribution::indices(8)).build().unwrap();
        let problem = Problem { space, direction: Direction::Minimize, seed: 4 };
        let mut seen: Vec<_> = (0..8)
            .map(|number| {
                QuasiRandomSampler.suggest(&AskContext::new(&problem, number, &[])).unwrap().choice("c")
            })
            .collect();
        seen.sort_unstable();
        assert_eq!(seen, (0..8).map(Some).collect::<Vec<_>>());
    }

    #[test]
    fn primes_start_as_they_should() {
        assert_eq!(primes().take(8).collect::<Vec<_>>(), [2, 3, 5, 7, 11, 13, 17, 19]);
    }
}
