//! Where to look next: the combination whose next rows are expected to raise the winner's score most for a run.

use teleprompt_tpe::bayes::{BayesLinear, Beside, Look, NestedRows, Posterior};

/// A combination that cannot become the best within so many standard deviations is not looked at.
const REACH: f64 = 3.5;

/// What a decision knows besides the belief: how far each point of the pool has come in the common order of rows, and so which
/// other points have been run on the rows that are next for it.
///
/// Where points with the same demo set have been run on a row, another of them says little new of that demo set there, and much of
/// how it compares with the others.
pub(super) struct Ahead<'a> {
    pool: &'a [Vec<usize>],
    /// How far each point of the pool has come.
    progress: &'a [usize],
    /// Points that have come anywhere, the farthest first.
    order: Vec<usize>,
    nested: NestedRows<'a>,
    /// How many rows there are.
    rows: usize,
}

impl<'a> Ahead<'a> {
    pub(super) fn new(
        model: &'a BayesLinear,
        pool: &'a [Vec<usize>],
        progress: &'a [usize],
        rows: usize,
    ) -> Self {
        let mut order: Vec<usize> = (0..pool.len()).filter(|&point| progress[point] > 0).collect();
        order.sort_by(|&a, &b| progress[b].cmp(&progress[a]).then(a.cmp(&b)));
        let nested = model.nested_rows(order.iter().map(|&point| pool[point].as_slice()).collect());
        Self { pool, progress, order, nested, rows }
    }

    /// What the next so many rows of a point say, for each of these numbers, which are ascending and at least 1.
    fn looks(&self, point: usize, runs: &[usize]) -> Vec<Look> {
        let come = self.progress[point];
        // How many points of the order have seen a row, and up to which row: those that have come farther end one after the other.
        let farther = self.order.partition_point(|&other| self.progress[other] > come);
        let mut ends: Vec<(usize, usize)> = Vec::new();
        for first in (0..=farther).rev() {
            let end = if first == 0 { self.rows } else { self.progress[self.order[first - 1]] };
            if ends.last().map_or(come, |(_, last)| *last) < end {
                ends.push((first, end));
            }
        }
        let question = |&m: &usize| -> Vec<(usize, usize)> {
            let mut from = come;
            let mut stretch = |&(first, end): &(usize, usize)| {
                let rows = end.min(come + m) - from;
                from += rows;
                (first, rows)
            };
            ends.iter().map(&mut stretch).take_while(|(_, rows)| *rows > 0).collect()
        };
        let questions: Vec<_> = runs.iter().map(question).collect();
        let look = |says: Beside| {
            let others = self.order.iter().zip(says.others).map(|(&other, weight)| (other, -weight));
            Look {
                weights: std::iter::once((point, 1.0)).chain(others).collect(),
                information: says.information,
            }
        };
        self.nested.beside(&self.pool[point], &questions).into_iter().map(look).collect()
    }
}

/// A look that pays.
pub(super) struct Best {
    /// The point.
    pub(super) point: usize,
    /// How many rows it gets.
    pub(super) rows: usize,
    /// What they say.
    pub(super) says: Look,
}

/// What looking at a point is worth.
#[derive(Clone, Copy)]
struct Worth {
    /// The highest gain for a run, over all numbers of rows to come.
    rate: f64,
    /// The highest gain.
    gain: f64,
    /// The chunk of the plan before which this was computed.
    chunk: usize,
}

/// The chunks of one plan, each chosen as if those before it had been seen.
pub(super) struct Looks<'a> {
    /// Numbers of rows ahead to weigh. The whole horizon counts, and not only the next chunk: between two good candidates a single
    /// chunk seldom changes the mind, so that its gain is next to nothing though twenty chunks would pay.
    horizon: &'a [usize],
    /// Rows of a chunk.
    chunk_rows: usize,
    /// The search ends when no look is worth this.
    worthwhile: f64,
    /// By point of the pool; `None` where nobody looks, or no row is left.
    worth: Vec<Option<Worth>>,
    /// Chunks chosen so far.
    chunks: usize,
}

impl<'a> Looks<'a> {
    pub(super) fn new(horizon: &'a [usize], chunk_rows: usize, worthwhile: f64) -> Self {
        Self { horizon, chunk_rows, worthwhile, worth: Vec::new(), chunks: 0 }
    }

    /// The point with the highest knowledge gradient for a run, with its next chunk of rows as far as `left` goes; `None` when no look
    /// is worthwhile, or no row is left.
    ///
    /// What a look is worth falls as others are made. So what was computed for an earlier chunk is taken for a bound, and computed
    /// again only where it could be the highest.
    pub(super) fn next(&mut self, posterior: &Posterior, ahead: &Ahead<'_>, left: usize) -> Option<Best> {
        let best = posterior.best()?;
        let top = posterior.mean()[best];
        let in_reach =
            |&point: &usize| posterior.mean()[point] + REACH * posterior.sd_of_difference(point, best) >= top;
        let rivals: Vec<usize> = (0..posterior.len()).filter(in_reach).collect();
        if self.chunks == 0 {
            self.worth = vec![None; posterior.len()];
            for &point in &rivals {
                self.worth[point] = self.worth_of(point, &rivals, posterior, ahead, left);
            }
        }
        let point = loop {
            let known = rivals.iter().filter_map(|&point| Some((point, self.worth[point]?)));
            let highest = known.fold(None::<(usize, Worth)>, |highest, next| match highest {
                Some(other) if other.1.rate >= next.1.rate => highest,
                _ => Some(next),
            });
            let (point, worth) = highest?;
            if worth.chunk == self.chunks {
                break point;
            }
            self.worth[point] = self.worth_of(point, &rivals, posterior, ahead, left);
        };
        let most = rivals
            .iter()
            .filter_map(|&point| self.worth[point])
            .fold(0.0, |most, worth| worth.gain.max(most));
        if most < self.worthwhile {
            return None;
        }
        self.chunks += 1;
        let rows = (ahead.rows - ahead.progress[point]).min(self.chunk_rows).min(left);
        let says = ahead.looks(point, &[rows]).pop()?;
        Some(Best { point, rows, says })
    }

    /// `None` where no row is left.
    fn worth_of(
        &self,
        point: usize,
        rivals: &[usize],
        posterior: &Posterior,
        ahead: &Ahead<'_>,
        left: usize,
    ) -> Option<Worth> {
        let most_rows = (ahead.rows - ahead.progress[point]).min(left);
        let mut runs: Vec<usize> = self.horizon.iter().map(|&m| m.min(most_rows)).collect();
        runs.dedup();
        runs.retain(|&m| m > 0);
        let gains = posterior.knowledge_gradient(rivals, &ahead.looks(point, &runs));
        Some(Worth {
            rate: gains.iter().zip(&runs).map(|(gain, &m)| gain / m as f64).reduce(f64::max)?,
            gain: gains.iter().copied().reduce(f64::max)?,
            chunk: self.chunks,
        })
    }
}
