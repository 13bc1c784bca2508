//! Every combination of values, once each.
//!
//! Combinations are numbered through the tree of conditions, so none occurs twice because of a parameter that
//! is inactive in it. They come in an order that spreads over the grid, so that stopping early leaves no
//! corner out.

use std::collections::BTreeMap;

use rand::RngExt;

use super::{AskContext, Sampler};
use crate::axis::Dimension;
use crate::distribution::{Distribution, ParamValue};
use crate::error::Error;
use crate::space::{SearchSpace, Values};
use crate::trial::{FinishedTrial, Problem};

/// Suggests the points of a grid: all choices, integers and steps, and of every float without a step so many
/// points.
///
/// A point that was tried already, asked or added, is passed over; when all have been tried, the grid starts
/// over. [`points`](Self::points) says how many there are.
///
/// # Cost
///
/// Amortized O(parameters) per ask; memory of the points tried.
///
/// # Determinism
///
/// Reads the stream `grid` of the problem; beyond that, a function of the sets of finished and pending
/// trials.
#[derive(Debug, Clone)]
pub struct GridSampler {
    resolution: u64,
    /// How often each point was tried.
    tried: BTreeMap<Vec<u64>, u64>,
    /// Where to look for a free point; all before it are taken.
    cursor: Option<Cursor>,
}

/// A place in the endless sequence of passes over the grid.
#[derive(Debug, Clone, Copy)]
struct Cursor {
    /// The number of points of the grid.
    points: u128,
    /// The position of a point.
    position: u128,
    /// The distance to the next point's position, modulo `points`, with which it has no divisor in common.
    stride: u128,
    /// How many points of this pass are behind.
    behind: u128,
    /// How many passes are behind.
    passes: u64,
}

impl GridSampler {
    /// A sampler with `resolution` evenly spaced points, both bounds among them, for each float without a
    /// step; on a logarithmic one they are evenly spaced in the logarithm.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] for a resolution below 2.
    pub fn new(resolution: u64) -> Result<Self, Error> {
        if resolution < 2 {
            return Err(Error::Config { setting: "resolution", requirement: "it must be at least 2" });
        }
        Ok(Self { resolution, tried: BTreeMap::new(), cursor: None })
    }

    /// The number of points of the grid, `None` from 2^127 on.
    pub fn points(&self, space: &SearchSpace) -> Option<u128> {
        space.combinations(None, &self.size()).filter(|&points| points < 1 << 127)
    }

    fn size(&self) -> impl Fn(&Distribution) -> Option<u64> {
        let resolution = self.resolution;
        move |distribution| distribution.cardinality().or(Some(resolution))
    }

    /// Fills the slots of the parameters under a choice, or of those without a parent, from a number below
    /// their number of combinations.
    fn decode(
        &self,
        space: &SearchSpace,
        under: Option<(usize, usize)>,
        mut position: u128,
        slots: &mut [Option<ParamValue>],
    ) -> Option<()> {
        for index in space.children(under) {
            let subtree = space.subtree(index, &self.size())?;
            let mut place = position % subtree;
            position /= subtree;
            let distribution = &space.parameters()[index].distribution;
            if !space.is_parent(index) {
                slots[index] = Some(self.value(distribution, place as u64));
                continue;
            }
            let mut choice = 0;
            loop {
                let combinations = space.combinations(Some((index, choice)), &self.size())?;
                if place < combinations {
                    break;
                }
                (place, choice) = (place - combinations, choice + 1);
            }
            slots[index] = Some(ParamValue::Choice(choice));
            self.decode(space, Some((index, choice)), place, slots)?;
        }
        Some(())
    }

    fn value(&self, distribution: &Distribution, place: u64) -> ParamValue {
        match *distribution {
            Distribution::Categorical { .. } => ParamValue::Choice(place as usize),
            Distribution::Int { low, step, .. } => ParamValue::Int(low + place as i64 * step),
            Distribution::Float { low, high, step: Some(step), .. } => {
                ParamValue::Float((low + place as f64 * step).min(high))
            }
            Distribution::Float { low, high, .. } if low == high => ParamValue::Float(low),
            Distribution::Float { .. } => {
                Dimension::new(distribution).at(place as f64 / (self.resolution - 1) as f64)
            }
        }
    }

    /// The values at a position of the grid.
    fn at(&self, space: &SearchSpace, position: u128) -> Result<Values, Error> {
        let mut slots = vec![None; space.len()];
        self.decode(space, None, position, &mut slots).ok_or(TOO_LARGE)?;
        space.from_slots(slots)
    }

    fn start(&self, problem: &Problem) -> Result<Cursor, Error> {
        let points = self.points(&problem.space).ok_or(TOO_LARGE)?;
        let mut rng = problem.rng("grid", 0);
        let position = rng.random_range(0..points);
        // Near the golden section of the grid, where multiples spread most evenly.
        let near = (points as f64 * 0.618_033_988_749_895) as u128;
        let stride = (near.max(1)..).find(|&stride| gcd(stride, points) == 1).unwrap_or(1) % points;
        Ok(Cursor { points, position, stride, behind: 0, passes: 0 })
    }
}

const TOO_LARGE: Error =
    Error::Config { setting: "grid", requirement: "it must have less than 2^127 points" };

impl Cursor {
    fn advance(&mut self) {
        self.position = (self.position + self.stride) % self.points;
        self.behind += 1;
        if self.behind == self.points {
            (self.behind, self.passes) = (0, self.passes + 1);
        }
    }
}

impl Sampler for GridSampler {
    fn observe(&mut self, _: &Problem, trial: &FinishedTrial) {
        *self.tried.entry(trial.values.key()).or_default() += 1;
    }

    fn suggest(&mut self, cx: &AskContext<'_>) -> Result<Values, Error> {
        let space = &cx.problem.space;
        let mut cursor = match self.cursor {
            Some(cursor) => cursor,
            None => self.start(cx.problem)?,
        };
        let tried = |values: &Values| self.tried.get(&values.key()).copied().unwrap_or(0);
        while tried(&self.at(space, cursor.position)?) > cursor.passes {
            cursor.advance();
        }
        self.cursor = Some(cursor);
        // Pending trials may yet fail to finish: they move a copy of the cursor only.
        loop {
            let values = self.at(space, cursor.position)?;
            let pending = cx.pending.iter().filter(|trial| trial.values == values).count() as u64;
            if tried(&values) + pending <= cursor.passes {
                return Ok(values);
            }
            cursor.advance();
        }
    }
}

fn gcd(a: u128, b: u128) -> u128 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Direction, Study};

    fn tree() -> SearchSpace {
        SearchSpace::builder()
            .param("kind", Distribution::indices(3))
            .param_when("depth", Distribution::stepped_int(2, 11, 3), "kind", [0])
            .param_when("shape", Distribution::indices(2), "kind", [1, 2])
            .param_when("width", Distribution::stepped_float(0.0, 1.0, 0.1), "shape", [1])
            .param("rate", Distribution::log_float(0.01, 1.0))
            .build()
            .unwrap()
    }

    #[test]
    fn every_point_comes_once_before_any_comes_twice() {
        let space = tree();
        let sampler = GridSampler::new(3).unwrap();
        let points = sampler.points(&space).unwrap();
        assert_eq!(points, (4 + 2 * (1 + 11)) * 3);
        let mut study = Study::new(space, sampler, Direction::Minimize, 3);
        for pass in 1..=2 {
            for index in 0..points {
                let trial = study.ask().unwrap();
                // Some stay pending for a while.
                if index % 5 != 0 {
                    study.tell(trial.number, 0.0).unwrap();
                }
            }
            while let Some(number) = study.pending().first().map(|trial| trial.number) {
                study.tell_failed(number).unwrap();
            }
            let mut counts = BTreeMap::new();
            for trial in study.trials() {
                *counts.entry(trial.values.key()).or_insert(0) += 1;
            }
            assert_eq!(counts.len() as u128, points);
            assert!(counts.values().all(|&count| count == pass));
        }
    }

    #[test]
    fn points_include_the_bounds_and_known_ones_are_passed_over() {
        let space = SearchSpace::builder().param("x", Distribution::float(-1.0, 3.0)).build().unwrap();
        let mut study = Study::new(space.clone(), GridSampler::new(5).unwrap(), Direction::Minimize, 0);
        study.add_trial(&space.values([("x", 1.0.into())]).unwrap(), 0.5).unwrap();
        let mut seen: Vec<f64> = (0..4).map(|_| study.ask().unwrap().values.float("x").unwrap()).collect();
        seen.sort_by(f64::total_cmp);
        assert_eq!(seen, [-1.0, 0.0, 2.0, 3.0]);
    }

    #[test]
    fn a_grid_too_large_is_an_error() {
        let all = Distribution::int(0, 1 << 52);
        let space = SearchSpace::builder().param("a", all.clone()).param("b", all.clone()).param("c", all);
        let mut study =
            Study::new(space.build().unwrap(), GridSampler::new(2).unwrap(), Direction::Minimize, 0);
        assert_eq!(study.ask(), Err(TOO_LARGE));
        assert!(GridSampler::new(1).is_err());
    }
}
