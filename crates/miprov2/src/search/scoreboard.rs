//! The record of a search: trials in the order of the schedule, each with the rows that it was the first to run.

use std::collections::{BTreeMap, BTreeSet};

use teleprompt_core::evaluate::RowResult;
use teleprompt_core::{Evaluation, Event};

use super::{Choices, SearchSpace, TrialKind, TrialRecord};
use crate::bootstrap::FailedRow;
use crate::digest::Digest;
use crate::run::Run;

/// Records trials.
pub(crate) struct Scoreboard<'a> {
    run: &'a Run<'a>,
    space: &'a SearchSpace,
    /// By candidate: the rows that a trial before has scored. Equal candidates are one, whatever their choices.
    scored: BTreeMap<Digest, BTreeSet<usize>>,
    trials: Vec<TrialRecord>,
    best: f64,
    /// What the user should know.
    pub(crate) warnings: Vec<String>,
}

/// Whether a trial of so many rows has a score when so many of them have one. Few rows out of many say little, and which ones are
/// left may say less: no score rather than a lucky one.
pub(crate) fn enough(scored: usize, requested: usize) -> bool {
    2 * scored >= requested
}

impl<'a> Scoreboard<'a> {
    pub(crate) fn new(run: &'a Run<'a>, space: &'a SearchSpace) -> Self {
        let (scored, trials, warnings) = Default::default();
        Self { run, space, scored, trials, best: 0.0, warnings }
    }

    pub(crate) fn into_trials(self) -> Vec<TrialRecord> {
        self.trials
    }

    /// How many of these rows an evaluation of this combination runs: those that no trial before has scored, where that is shared.
    pub(crate) fn missing(&self, choices: &Choices, rows: &[usize]) -> usize {
        if self.run.config.share_known { self.unknown(choices, rows).len() } else { rows.len() }
    }

    /// Those of these rows that no trial before has scored for this combination.
    pub(crate) fn unknown(&self, choices: &Choices, rows: &[usize]) -> Vec<usize> {
        let scored = self.scored.get(&self.key(choices));
        rows.iter().copied().filter(|row| scored.is_none_or(|scored| !scored.contains(row))).collect()
    }

    /// The rows that have been scored for both combinations, in ascending order.
    pub(crate) fn common(&self, one: &Choices, other: &Choices) -> Vec<usize> {
        match (self.scored.get(&self.key(one)), self.scored.get(&self.key(other))) {
            (Some(one), Some(other)) => one.intersection(other).copied().collect(),
            _ => Vec::new(),
        }
    }

    fn key(&self, choices: &Choices) -> Digest {
        Digest::of(&self.space.candidate(choices))
    }

    /// Records the next trial: `results` hold one for each row asked for. Gives the mean score. `in_turn` is whether it is the
    /// next of the schedule too, so that a run that is resumed has the same under the same number.
    pub(crate) fn record(
        &mut self,
        kind: TrialKind,
        choices: &Choices,
        results: Vec<RowResult>,
        in_turn: bool,
    ) -> Option<f64> {
        let known = |row: &RowResult, scored: &BTreeSet<usize>| {
            self.run.config.share_known && scored.contains(&row.row)
        };
        let none = BTreeSet::new();
        let scored = self.scored.get(&self.key(choices)).unwrap_or(&none);
        let (requested, known_rows) =
            (results.len(), results.iter().filter(|row| known(row, scored)).count());
        // A failure that an earlier trial has listed is not listed again; one without a score was asked for again.
        let fresh = results.iter().filter(|row| !known(row, scored));
        let failed: Vec<FailedRow> = fresh.filter_map(FailedRow::of).collect();
        // What the model or the metric failed is no result.
        let rows: Vec<RowResult> = results.into_iter().filter(|row| row.score().is_some()).collect();
        let counts = enough(rows.len(), requested);
        let known = known_rows;
        let (choices, number, score) = (choices.clone(), self.trials.len(), None);
        let trial = TrialRecord { number, kind, choices, score, requested, known, rows, failed };
        let full = kind != TrialKind::Minibatch && requested == self.run.val.len();
        self.push(trial, counts, (full, in_turn))
    }

    /// Records a comparison's part: what earlier trials know of these rows under a combination, and `asked`, what was asked for
    /// now because none knew it; in its turn where the search has come to its end, and will come to the same if it is resumed.
    pub(crate) fn complete(
        &mut self,
        kind: TrialKind,
        choices: &Choices,
        wanted: &[usize],
        (asked, in_turn): (Vec<RowResult>, bool),
    ) {
        let key = self.key(choices);
        let same = self.trials.iter().filter(|trial| self.key(&trial.choices) == key);
        let mut rows: BTreeMap<usize, RowResult> = BTreeMap::new();
        for row in same.flat_map(|trial| &trial.rows).filter(|row| wanted.contains(&row.row)) {
            rows.entry(row.row).or_insert_with(|| row.clone());
        }
        let (requested, failed) = (asked.len(), asked.iter().filter_map(FailedRow::of).collect());
        rows.extend(asked.into_iter().filter(|row| row.score().is_some()).map(|row| (row.row, row)));
        let counts = enough(rows.len(), wanted.len());
        let rows = rows.into_values().collect();
        let (choices, number, score, known) = (choices.clone(), self.trials.len(), None, 0);
        let trial = TrialRecord { number, kind, choices, score, requested, known, rows, failed };
        self.push(trial, counts, (wanted.len() == self.run.val.len(), in_turn));
    }

    /// Adds a trial, on all validation rows if it is `full`; it has a score where its rows are `enough`.
    fn push(&mut self, mut trial: TrialRecord, enough: bool, (full, in_turn): (bool, bool)) -> Option<f64> {
        let scored = self.scored.entry(Digest::of(&self.space.candidate(&trial.choices))).or_default();
        scored.extend(trial.rows.iter().map(|row| row.row));
        let evaluation = Evaluation { rows: std::mem::take(&mut trial.rows) };
        let score = evaluation.score().filter(|_| enough);
        (trial.score, trial.rows) = (score, evaluation.rows);
        if full {
            self.best = self.best.max(score.unwrap_or(0.0));
        }
        if in_turn {
            self.warnings.extend(self.run.end_trial(&trial));
        }
        self.run.emit(&Event::Trial { number: trial.number, full, score, best: self.best });
        self.trials.push(trial);
        score
    }
}
