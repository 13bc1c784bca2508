//! The totals of an evaluation, in memory that does not grow with its rows.

use std::collections::BTreeMap;
use std::fmt;

use super::row::{RowErrorKind, RowResult};
use crate::stats::{MeanInterval, Tally};

/// The totals of an evaluation. Shown in two or three lines.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Summary {
    rows: u64,
    scores: Tally,
    failed: BTreeMap<RowErrorKind, u64>,
}

impl Summary {
    /// Counts one more row.
    pub fn add(&mut self, result: &RowResult) {
        self.rows += 1;
        if let Err(error) = &result.outcome {
            *self.failed.entry(error.kind).or_default() += 1;
        }
        self.scores.extend(result.score());
    }

    /// How many rows were run.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// The mean score in `[0, 1]`: failed rows of the program count as 0, failed rows of the model or the metric not at all.
    /// `None` when no row counts.
    pub fn score(&self) -> Option<f64> {
        self.scores.mean()
    }

    /// The mean score with its 95 % interval: Wilson's where all scores are 0 or 1, the bootstrap's otherwise. `None` when
    /// there are too few rows for one.
    ///
    /// # Determinism
    /// A function of the scores, their order and `seed`; Wilson's needs no seed.
    pub fn interval(&self, seed: u64) -> Option<MeanInterval> {
        self.scores.interval(seed)
    }

    /// How many rows failed in each way; ways in which none did are left out.
    pub fn failed(&self) -> &BTreeMap<RowErrorKind, u64> {
        &self.failed
    }
}

/// With seed 0 for the interval.
impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.interval(0), self.score()) {
            (Some(interval), _) => writeln!(f, "score  {interval}")?,
            (None, Some(score)) => writeln!(f, "score  {score:.3} (n = 1)")?,
            (None, None) => writeln!(f, "score  none: no row has one")?,
        }
        let failed: u64 = self.failed.values().sum();
        write!(f, "rows   {}: {} answered, {failed} failed", self.rows, self.rows - failed)?;
        for (i, (kind, n)) in self.failed.iter().enumerate() {
            let counted = if kind.counts_as_zero() { "scored 0" } else { "left out" };
            write!(f, "{} {n} {kind} ({counted})", if i == 0 { ":" } else { "," })?;
        }
        Ok(())
    }
}
