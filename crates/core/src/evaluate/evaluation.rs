//! The results of an evaluation that keeps every row.

use std::collections::BTreeMap;
use std::fmt;
use std::io;

use serde::{Deserialize, Serialize};

use super::row::{RowError, RowResult};
use super::{RowSink, Summary};
use crate::example::Example;
use crate::stats::Comparison;

/// Rows that the table shows.
const SHOWN: usize = 20;

/// Characters of an answer or an error that the table shows.
const WIDTH: usize = 72;

/// The results of an evaluation, in row order. Shown as a table: the totals, then the first 20 rows.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// One result for each row asked for.
    pub rows: Vec<RowResult>,
}

impl Evaluation {
    /// The mean score in `[0, 1]`: failed rows of the program count as 0, failed rows of the model or the metric not at all.
    /// `None` when no row counts.
    pub fn score(&self) -> Option<f64> {
        let scores: Vec<f64> = self.rows.iter().filter_map(|row| row.score()).collect();
        (!scores.is_empty()).then(|| scores.iter().sum::<f64>() / scores.len() as f64)
    }

    /// The totals: mean, interval, failures by kind.
    pub fn summary(&self) -> Summary {
        let mut summary = Summary::default();
        self.rows.iter().for_each(|row| summary.add(row));
        summary
    }

    /// The rows that failed, with their errors.
    pub fn failed(&self) -> impl Iterator<Item = (usize, &RowError)> {
        self.rows.iter().filter_map(|row| Some((row.row, row.outcome.as_ref().err()?)))
    }

    /// This evaluation against a later one of the same examples, on the rows that both have scored: McNemar's exact test where
    /// all scores are 0 or 1, the paired bootstrap otherwise. `None` for fewer than 2 such rows.
    ///
    /// # Determinism
    /// A function of the scores and `seed`.
    pub fn compare(&self, after: &Self, seed: u64) -> Option<Comparison> {
        let scores: BTreeMap<usize, f64> =
            after.rows.iter().filter_map(|row| Some((row.row, row.score()?))).collect();
        Comparison::of(self.rows.iter().filter_map(|row| Some((row.score()?, *scores.get(&row.row)?))), seed)
    }

    /// Hands every row to a sink, such as [`super::CsvRows`]. `examples`: those that were evaluated.
    ///
    /// # Errors
    /// What the sink says, and a row that is not among the examples.
    pub fn write(&self, examples: &[Example], sink: &mut dyn RowSink) -> io::Result<()> {
        for result in &self.rows {
            let example = examples.get(result.row).ok_or_else(|| {
                let (row, n) = (result.row, examples.len());
                io::Error::other(format!("row {row} is not among the {n} examples: give those evaluated"))
            })?;
            sink.row(example, result)?;
        }
        sink.finish()
    }
}

impl fmt::Display for Evaluation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.summary())?;
        let width =
            self.rows.iter().take(SHOWN).map(|row| row.row.to_string().len()).max().unwrap_or(0).max(3);
        write!(f, "\n{:>width$}  score  answer", "row")?;
        for result in self.rows.iter().take(SHOWN) {
            let score = result.score().map_or_else(|| "    -".to_owned(), |score| format!("{score:.3}"));
            let text = match &result.outcome {
                Ok(scored) => {
                    let fields = scored.prediction.outputs.iter();
                    let shown = fields.map(|(name, value)| {
                        format!("{name}: {}", value.as_str().map_or_else(|| value.to_string(), str::to_owned))
                    });
                    shown.collect::<Vec<_>>().join("; ")
                }
                Err(error) => format!("{} failed: {error}", error.kind),
            };
            write!(f, "\n{:>width$}  {score}  {}", result.row, one_line(&text))?;
        }
        match self.rows.len().saturating_sub(SHOWN) {
            0 => Ok(()),
            more => write!(f, "\n... and {more} more"),
        }
    }
}

/// A text on one line of at most [`WIDTH`] characters.
fn one_line(text: &str) -> String {
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    crate::fields::shorten(&words, WIDTH)
}
