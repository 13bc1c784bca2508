//! What a strategy searches: scores of combinations on rows, with the truth beside them for the judge.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

use super::track::Track;

/// Scores of combinations on validation rows. A combination is a choice a dimension; dimensions are the instruction and
/// the demo set of the first predictor, then of the second, and so on.
pub(crate) trait Terrain: Sync {
    /// How many choices each dimension has.
    fn options(&self) -> &[usize];

    /// The only combinations there are; empty for all.
    fn only(&self) -> &[Vec<usize>];

    /// The combination that changes nothing.
    fn default(&self) -> Vec<usize>;

    /// The class of each validation row; all 0 where there are none.
    fn strata(&self) -> &[usize];

    /// The score of a combination on a row, always the same; `None` where there is none.
    fn score(&self, choices: &[usize], row: usize) -> Option<f64>;

    /// How good a combination really is.
    fn truth(&self, choices: &[usize]) -> f64;

    /// How good it is on rows that no search sees, where those are others than the truth is about.
    fn unseen(&self, choices: &[usize]) -> f64;

    /// The best truth there is.
    fn best(&self) -> f64;

    /// The mean truth of combinations drawn at random.
    fn chance(&self) -> f64;

    /// The reference's trials for this space.
    fn trials(&self) -> usize;
}

/// Runs combinations on rows and counts what is run for the first time.
pub(crate) struct Ledger<'a> {
    terrain: &'a dyn Terrain,
    seen: RefCell<BTreeMap<Vec<usize>, Vec<bool>>>,
    spent: Cell<usize>,
    rounds: Cell<usize>,
    track: Option<RefCell<Track>>,
}

impl<'a> Ledger<'a> {
    pub(crate) fn new(terrain: &'a dyn Terrain) -> Self {
        Self { terrain, seen: RefCell::default(), spent: Cell::new(0), rounds: Cell::new(0), track: None }
    }

    /// One that keeps what the search would have returned, had it been ended earlier.
    pub(crate) fn tracking(terrain: &'a dyn Terrain) -> Self {
        let track = Track::of_default(terrain);
        Self { track: Some(RefCell::new(track)), ..Self::new(terrain) }
    }

    /// Notes that all runs which were planned together have been made.
    pub(crate) fn next_round(&self) {
        self.rounds.set(self.rounds.get() + 1);
    }

    /// How often that was.
    pub(crate) fn rounds(&self) -> usize {
        self.rounds.get()
    }

    /// Notes what the search would return if it ended now; nothing is asked unless that is kept.
    pub(crate) fn incumbent(&self, found: impl FnOnce() -> Vec<usize>) {
        if let Some(track) = &self.track {
            let truth = self.terrain.truth(&found());
            track.borrow_mut().push(self.spent(), truth);
        }
    }

    /// What was kept; nothing unless it was asked for.
    pub(crate) fn into_track(self) -> Track {
        self.track.map(RefCell::into_inner).unwrap_or_default()
    }

    pub(crate) fn n_rows(&self) -> usize {
        self.terrain.strata().len()
    }

    /// The score, paid for once.
    pub(crate) fn run(&self, choices: &[usize], row: usize) -> Option<f64> {
        let mut seen = self.seen.borrow_mut();
        if !seen.contains_key(choices) {
            seen.insert(choices.to_vec(), vec![false; self.n_rows()]);
        }
        if let Some(cell) = seen.get_mut(choices).and_then(|rows| rows.get_mut(row))
            && !*cell
        {
            *cell = true;
            self.spent.set(self.spent.get() + 1);
        }
        self.terrain.score(choices, row)
    }

    /// The mean score on rows; `None` when there is none.
    pub(crate) fn mean(&self, choices: &[usize], rows: &[usize]) -> Option<f64> {
        let scores: Vec<f64> = rows.iter().filter_map(|&row| self.run(choices, row)).collect();
        (!scores.is_empty()).then(|| scores.iter().sum::<f64>() / scores.len() as f64)
    }

    /// How many (combination, row) pairs have been run.
    pub(crate) fn spent(&self) -> usize {
        self.spent.get()
    }
}
