//! Where to look next: the combination whose next rows are expected to raise the winner's score most for a run.

use teleprompt_tpe::bayes::{Evidence, Fit, Posterior};

/// A combination that cannot become the best within so many standard deviations is not looked at.
const REACH: f64 = 3.5;

/// Scores, half of them right, that every row is taken to have had before any.
const UNKNOWN: f64 = 2.0;

/// What a decision knows besides the belief: for each point of the pool, the rows that it would be run on next.
pub(super) struct Ahead<'a> {
    /// How much the first `n` rows of the common order say about a combination, by `n` from 0 to all.
    pub(super) information: &'a [f64],
    /// How far each point of the pool has come in it.
    pub(super) progress: &'a [usize],
    /// Numbers of rows to weigh.
    pub(super) horizon: &'a [usize],
    /// Runs that are left.
    pub(super) left: usize,
}

impl Ahead<'_> {
    /// How much the first `n` rows of an order say, by `n`.
    ///
    /// A row that nearly all combinations get wrong, or right, tells little of the next one: each row counts by the variance of its
    /// own scores, as if [`UNKNOWN`] more of them had been half right.
    pub(super) fn information(fit: &Fit<'_>, evidence: &Evidence, order: &[usize]) -> Vec<f64> {
        let mut rows = vec![(UNKNOWN, UNKNOWN / 2.0); evidence.n_rows()];
        for score in evidence.scores() {
            rows[score.row].0 += 1.0;
            rows[score.row].1 += score.value.clamp(0.0, 1.0);
        }
        let mut sums = vec![0.0; order.len() + 1];
        for (n, &row) in order.iter().enumerate() {
            let level = rows[row].1 / rows[row].0;
            sums[n + 1] = sums[n] + 4.0 * level * (1.0 - level) * fit.information(row);
        }
        sums
    }

    /// How much the rows from one place of the order to another say.
    pub(super) fn between(&self, from: usize, to: usize) -> f64 {
        self.information[to] - self.information[from]
    }
}

/// The point with the highest knowledge gradient for a run, over all numbers of rows to come; `None` when no look is worth
/// `worthwhile`, or no row is left.
///
/// The whole horizon counts, and not only the next chunk: between two good candidates a single chunk seldom changes the
/// mind, so that its gain is next to nothing though twenty chunks would pay.
pub(super) fn next(posterior: &Posterior, ahead: &Ahead<'_>, worthwhile: f64) -> Option<usize> {
    let best = posterior.best()?;
    let top = posterior.mean()[best];
    let in_reach =
        |&point: &usize| posterior.mean()[point] + REACH * posterior.sd_of_difference(point, best) >= top;
    let rivals: Vec<usize> = (0..posterior.len()).filter(in_reach).collect();
    let mut found: Option<(f64, usize)> = None;
    let mut most = 0.0_f64;
    for &point in &rivals {
        let come = ahead.progress[point];
        let most_rows = (ahead.information.len() - 1 - come).min(ahead.left);
        let mut runs: Vec<usize> = ahead.horizon.iter().map(|&m| m.min(most_rows)).collect();
        runs.dedup();
        runs.retain(|&m| m > 0);
        let information: Vec<f64> = runs.iter().map(|&m| ahead.between(come, come + m)).collect();
        let gains = posterior.knowledge_gradient(point, &rivals, &information);
        for (&gain, &m) in gains.iter().zip(&runs) {
            most = most.max(gain);
            let rate = gain / m as f64;
            if found.is_none_or(|(known, _)| rate > known) {
                found = Some((rate, point));
            }
        }
    }
    found.filter(|_| most >= worthwhile).map(|(_, point)| point)
}
