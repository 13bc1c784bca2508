//! Parameters that are active together, and their two densities.

use std::collections::BTreeMap;

use rand::Rng;

use super::Densities;
use crate::axis::{Cell, Dimension};
use crate::distribution::ParamValue;
use crate::parzen::{Mixture, Scratch, Shape};
use crate::space::SearchSpace;

/// Parameters that share a condition, and the densities of their values among the trials that have them.
#[derive(Debug, Clone)]
pub(super) struct Group {
    /// The index of the first parameter, whose condition is that of all.
    pub(super) first: usize,
    /// Parameters with a single value, which are no dimensions.
    fixed: Vec<(usize, ParamValue)>,
    /// The others, one dimension each.
    free: Vec<(usize, Dimension)>,
    /// l(x).
    below: Mixture,
    /// g(x).
    above: Mixture,
    /// The most trials of g(x).
    max_above: usize,
    /// The centers of trials that are too old for g(x): all numbers are lower than those in it.
    reserve: BTreeMap<u64, Vec<f64>>,
    scratch: Scratch,
}

impl Group {
    /// The group of the parameters `members`, ascending and not empty.
    pub(super) fn new(
        space: &SearchSpace,
        members: &[usize],
        below: Shape,
        above: Shape,
        max_above: usize,
    ) -> Self {
        let (mut fixed, mut free) = (Vec::new(), Vec::new());
        for &index in members {
            let distribution = &space.parameters()[index].distribution;
            match distribution.only_value() {
                Some(value) => fixed.push((index, value)),
                None => free.push((index, Dimension::new(distribution))),
            }
        }
        let [below, above] =
            [below, above].map(|shape| Mixture::new(free.iter().map(|(_, dimension)| dimension), shape));
        let (reserve, scratch) = Default::default();
        Self { first: members[0], fixed, free, below, above, max_above, reserve, scratch }
    }

    /// The cells of the values in `slots`, or `None` where the group is inactive.
    fn point(&self, slots: &[Option<ParamValue>]) -> Option<Vec<Cell>> {
        self.free.iter().map(|(index, dimension)| Some(dimension.cell(slots[*index]?))).collect()
    }

    /// Adds a trial to one of the densities, where the group is active in it.
    pub(super) fn insert(&mut self, number: u64, slots: &[Option<ParamValue>], good: bool) {
        if let Some(point) = self.point(slots) {
            let centers: Vec<f64> = point.iter().map(|cell| cell.center).collect();
            if good {
                self.below.insert(number, &centers);
            } else {
                self.insert_above(number, &centers);
            }
        }
    }

    /// Moves a trial to the good trials or away from them, where it has values here.
    pub(super) fn shift(&mut self, number: u64, good: bool) {
        if good {
            if let Some(centers) = self.remove_above(number) {
                self.below.insert(number, &centers);
            }
        } else if let Some(centers) = self.below.remove(number) {
            self.insert_above(number, &centers);
        }
    }

    fn insert_above(&mut self, number: u64, centers: &[f64]) {
        self.above.insert(number, centers);
        if self.above.numbers().len() > self.max_above
            && let Some(&oldest) = self.above.numbers().first()
            && let Some(centers) = self.above.remove(oldest)
        {
            self.reserve.insert(oldest, centers);
        }
    }

    /// Takes a trial out of g(x), or out of what is too old for it; its centers, where it was there.
    pub(super) fn remove_above(&mut self, number: u64) -> Option<Vec<f64>> {
        let Some(centers) = self.above.remove(number) else { return self.reserve.remove(&number) };
        if let Some((newest, centers)) = self.reserve.pop_last() {
            self.above.insert(newest, &centers);
        }
        Some(centers)
    }

    /// Makes both densities ready for use after changes; good trials get `weights` by number, where there are any.
    pub(super) fn refresh(&mut self, weights: Option<&BTreeMap<u64, f64>>) {
        if let Some(weights) = weights {
            self.below.weigh(|number| weights.get(&number).copied().unwrap_or(1.0));
        }
        self.below.refresh();
        self.above.refresh();
    }

    /// Both densities at the values in `slots`; nothing where the group is inactive.
    pub(super) fn densities(&mut self, slots: &[Option<ParamValue>]) -> Option<Densities> {
        let point = self.point(slots)?;
        let log_l = self.below.log_density(&point, &mut self.scratch);
        let log_g = self.above.log_density(&point, &mut self.scratch);
        Some(Densities { log_l, log_g })
    }

    /// Sets the group's slots to the best of `n_candidates` draws from l(x) by l(x) / g(x).
    ///
    /// The newest trials alone bound g(x) from below, and so every candidate's score from above: those that
    /// cannot be the best are not looked at more closely.
    pub(super) fn suggest(
        &mut self,
        n_candidates: usize,
        rng: &mut impl Rng,
        slots: &mut [Option<ParamValue>],
    ) {
        let Self { fixed, free, below, above, scratch, .. } = self;
        for &(index, value) in fixed.iter() {
            slots[index] = Some(value);
        }
        if free.is_empty() {
            return;
        }
        let n_above = above.numbers().len();
        let mut candidates: Vec<Candidate> = (0..n_candidates)
            .map(|_| {
                let centers = below.sample(rng);
                let values: Vec<_> =
                    free.iter().zip(&centers).map(|((_, d), &center)| d.value(center)).collect();
                let point: Vec<_> = free.iter().zip(&values).map(|((_, d), &value)| d.cell(value)).collect();
                let log_l = below.log_density(&point, scratch);
                let bound = match n_above {
                    FEW.. => log_l - above.log_density_from(n_above - n_above / NEWEST, &point, scratch),
                    _ => f64::INFINITY,
                };
                Candidate { values, point, log_l, bound }
            })
            .collect();
        // Stable, so of equal bounds the first draw comes first.
        candidates.sort_by(|a, b| b.bound.total_cmp(&a.bound));
        let mut top = f64::NEG_INFINITY;
        for Candidate { values, point, log_l, bound } in candidates {
            // Bound and score are rounded apart.
            if bound < top - 1e-9 {
                break;
            }
            let score = log_l - above.log_density(&point, scratch);
            if score > top || slots[free[0].0].is_none() {
                top = score;
                for ((index, _), value) in free.iter().zip(values) {
                    slots[*index] = Some(value);
                }
            }
        }
    }
}

/// From this many trials of g(x) on, candidates are bounded first.
const FEW: usize = 200;
/// The share of the trials that bounds g(x): one of so many.
const NEWEST: usize = 8;

/// A draw from l(x).
struct Candidate {
    values: Vec<ParamValue>,
    point: Vec<Cell>,
    log_l: f64,
    /// No less than the score `log l(x) - log g(x)`.
    bound: f64,
}
