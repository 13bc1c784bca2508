//! Which tips won: what came of the instructions of each origin, computed from the data of a report.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::proposals::{InstructionOrigin, ProposedInstruction};

/// One score of one instruction, such as a trial's.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tried<'a> {
    /// The predictor.
    pub predictor: &'a str,
    /// The instruction's index among the predictor's.
    pub index: usize,
    /// The mean score, in `[0, 1]`.
    pub score: f64,
    /// On how many rows.
    pub rows: usize,
}

/// What came of the instructions of each origin, the best first.
///
/// ```
/// use std::collections::BTreeMap;
/// use teleprompt_propose::{InstructionOrigin, ProposedInstruction, TipTable, Tried};
///
/// let under = |tip: &str| InstructionOrigin::Proposed { tip: Some(tip.into()), groundings: vec![] };
/// let pool = vec![
///     ProposedInstruction::new("Sort it.", InstructionOrigin::Original),
///     ProposedInstruction::new("Name the team.", under("simple")),
///     ProposedInstruction::new("You are a clerk. Name the team.", under("persona")),
/// ];
/// let tried = |index, score, rows| Tried { predictor: "self", index, score, rows };
/// let trials = [tried(0, 0.5, 40), tried(1, 0.6, 20), tried(1, 0.9, 40), tried(2, 0.5, 20)];
/// let table = TipTable::of([("self", &pool[..])], trials, [("self", 1)]);
/// assert_eq!(
///     table.to_string(),
///     "origin       instructions  tried  mean score  best    rows  won\n\
///      tip simple   1             1      80.0        90.0    60    1\n\
///      original     1             1      50.0        50.0    40    0\n\
///      tip persona  1             1      50.0        50.0    20    0"
/// );
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct TipTable {
    /// One for each origin: by mean score, then by name; those without a score last.
    pub origins: Vec<OriginResult>,
}

/// What came of the instructions of one origin.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct OriginResult {
    /// [`InstructionOrigin::label`].
    pub origin: String,
    /// Instructions of this origin, over all predictors.
    pub instructions: usize,
    /// Of these, those with at least one score.
    pub tried: usize,
    /// Rows that the scores are of.
    pub rows: usize,
    /// Mean score, each score weighing as its rows; `None` without rows. Scores of different combinations and rows mix here:
    /// a hint, not a comparison.
    pub mean: Option<f64>,
    /// The best score of one of them.
    pub best: Option<f64>,
    /// Predictors whose winning instruction is of this origin.
    pub wins: usize,
}

impl InstructionOrigin {
    /// The origin in a few words, as reports group instructions: `tip simple`, `no tip`, `edit label_list`, `original`.
    pub fn label(&self) -> String {
        match self {
            Self::Original => "original".to_owned(),
            Self::Proposed { tip: Some(tip), .. } => format!("tip {tip}"),
            Self::Proposed { tip: None, .. } => "no tip".to_owned(),
            Self::Edited { edit } => format!("edit {edit}"),
            Self::Given => "given".to_owned(),
        }
    }
}

impl TipTable {
    /// The table of these pools of instructions (by predictor), scores and winners (predictor and index). Scores and winners
    /// of unknown instructions are left out.
    pub fn of<'a>(
        pools: impl IntoIterator<Item = (&'a str, &'a [ProposedInstruction])>,
        tried: impl IntoIterator<Item = Tried<'a>>,
        winners: impl IntoIterator<Item = (&'a str, usize)>,
    ) -> Self {
        #[derive(Default)]
        struct Sum {
            result: OriginResult,
            total: f64,
        }
        let mut sums: BTreeMap<String, Sum> = BTreeMap::new();
        let mut labels: BTreeMap<(&str, usize), (String, bool)> = BTreeMap::new();
        for (predictor, pool) in pools {
            for (index, proposed) in pool.iter().enumerate() {
                let label = proposed.origin.label();
                sums.entry(label.clone()).or_default().result.instructions += 1;
                labels.insert((predictor, index), (label, false));
            }
        }
        for Tried { predictor, index, score, rows } in tried {
            let Some((label, seen)) = labels.get_mut(&(predictor, index)) else { continue };
            let Some(sum) = sums.get_mut(label) else { continue };
            sum.result.tried += usize::from(!std::mem::replace(seen, true));
            sum.result.rows += rows;
            sum.total += score * rows as f64;
            sum.result.best = Some(sum.result.best.map_or(score, |best| best.max(score)));
        }
        for winner in winners {
            let sum = labels.get(&winner).and_then(|(label, _)| sums.get_mut(label));
            if let Some(sum) = sum {
                sum.result.wins += 1;
            }
        }
        let mut origins: Vec<OriginResult> = sums
            .into_iter()
            .map(|(origin, Sum { result, total })| OriginResult {
                mean: (result.rows > 0).then(|| total / result.rows as f64),
                origin,
                ..result
            })
            .collect();
        // Stable: of equals, the first by name comes first.
        let mean = |result: &OriginResult| result.mean.unwrap_or(-1.0);
        origins.sort_by(|a, b| mean(b).total_cmp(&mean(a)));
        Self { origins }
    }
}

impl fmt::Display for TipTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.origins.iter().map(|result| result.origin.chars().count()).max().unwrap_or(0).max(6);
        let points =
            |score: Option<f64>| score.map_or("-".to_owned(), |score| format!("{:.1}", 100.0 * score));
        write!(f, "{:width$}  instructions  tried  mean score  best    rows  won", "origin")?;
        for result in &self.origins {
            let OriginResult { origin, instructions, tried, rows, wins, .. } = result;
            let (mean, best) = (points(result.mean), points(result.best));
            write!(
                f,
                "\n{origin:width$}  {instructions:<12}  {tried:<5}  {mean:<10}  {best:<6}  {rows:<4}  {wins}"
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_instructions_are_left_out_and_untried_ones_come_last() {
        let pool = [
            ProposedInstruction::new("a", InstructionOrigin::Original),
            ProposedInstruction::new("b", InstructionOrigin::Edited { edit: "label_list".into() }),
            ProposedInstruction::new("c", InstructionOrigin::Proposed { tip: None, groundings: vec![] }),
        ];
        let tried = |predictor, index| Tried { predictor, index, score: 0.0, rows: 5 };
        let trials = [tried("x", 0), tried("x", 9), tried("y", 0)];
        let table = TipTable::of([("x", &pool[..])], trials, [("x", 7), ("y", 0), ("x", 0)]);
        let origins: Vec<_> = table.origins.iter().map(|it| (it.origin.as_str(), it.mean, it.wins)).collect();
        assert_eq!(origins, [("original", Some(0.0), 1), ("edit label_list", None, 0), ("no tip", None, 0)]);
        let text = serde_json::to_string(&table).unwrap();
        assert_eq!(serde_json::from_str::<TipTable>(&text).unwrap(), table);
        assert!(TipTable::of([], [], []).to_string().starts_with("origin  instructions"));
    }
}
