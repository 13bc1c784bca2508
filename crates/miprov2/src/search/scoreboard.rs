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

    /// How many of these rows no trial before has scored for this combination.
    pub(crate) fn missing(&self, choices: &Choices, rows: &[usize]) -> usize {
        match self.scored.get(&self.key(choices)) {
            Some(scored) if self.run.config.share_known => {
                rows.iter().filter(|row| !scored.contains(row)).count()
            }
            _ => rows.len(),
        }
    }

    /// The rows that have been scored for both combinations, in order.
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
        let scored = self.scored.entry(self.key(choices)).or_default();
        let known = |row: &RowResult, scored: &BTreeSet<usize>| {
            self.run.config.share_known && scored.contains(&row.row)
        };
        let requested = results.len();
        let known_rows = results.iter().filter(|row| known(row, scored)).count();
        // A failure that an earlier trial has listed is not listed again; one without a score was asked for again.
        let fresh = results.iter().filter(|row| !known(row, scored));
        let failed: Vec<FailedRow> = fresh.filter_map(FailedRow::of).collect();
        scored.extend(results.iter().filter(|row| row.score().is_some()).map(|row| row.row));
        // What the model or the metric failed is no result.
        let rows = results.into_iter().filter(|row| row.score().is_some()).collect();
        let evaluation = Evaluation { rows };
        let score = evaluation.score().filter(|_| enough(evaluation.rows.len(), requested));
        if kind != TrialKind::Minibatch {
            self.best = self.best.max(score.unwrap_or(0.0));
        }
        let trial = TrialRecord {
            number: self.trials.len(),
            kind,
            choices: choices.clone(),
            score,
            requested,
            known: known_rows,
            rows: evaluation.rows,
            failed,
        };
        if in_turn {
            self.warnings.extend(self.run.end_trial(&trial));
        }
        self.run.emit(&Event::Trial {
            number: trial.number,
            full: kind != TrialKind::Minibatch,
            score,
            best: self.best,
        });
        self.trials.push(trial);
        score
    }
}
