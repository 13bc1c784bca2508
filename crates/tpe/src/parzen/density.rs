//! The log density of a mixture at a point, without looking closely at kernels that cannot count.
//!
//! The log of a kernel's term is bounded by what its numeric factors were at the nearest border of the
//! point's cell, had the density there reigned in the whole cell, and all its choices matched. Rows whose
//! bound falls [`NEGLIGIBLE`] below the prior's term are dropped, and in the end terms that far below the
//! largest: with a million of them the sum is off by less than 1e-13. What is left is computed exactly and
//! summed in the order of rows.
//!
//! Where all dimensions are categorical, a term depends on the number of matching choices alone, and no row
//! needs an exponential.

use super::{Constants, Mixture, Numeric};
use crate::axis::Cell;
use crate::truncnorm::{self, LN_SQRT_2PI};
use crate::weights::Ramp;

/// A term this far (in logs) below another does not count beside it.
const NEGLIGIBLE: f64 = 45.0;
/// So many columns are bounded for all rows, in loops that vectorise, before rows are dropped.
const DENSE: usize = 12;

/// In a cell as narrow as this the density is constant, while its borders, being rounded, say little of its
/// width.
const NARROW: f64 = 1e-11;

/// Buffers that evaluations share; what they hold between evaluations means nothing.
#[derive(Debug, Clone, Default)]
pub(crate) struct Scratch {
    /// The rows that may count, ascending.
    rows: Vec<u32>,
    /// Per such row, the log of its term, without weight.
    logs: Vec<f64>,
    /// Per row that was looked at, how many choices match.
    matches: Vec<u16>,
    /// Per number of matches, a term.
    terms: Vec<f64>,
    memo: Memo,
}

impl Mixture {
    /// The log density at `point`, in units of each parameter's own (perhaps logarithmic) scale; on grids and
    /// choices a log probability.
    pub(crate) fn log_density(&self, point: &[Cell], scratch: &mut Scratch) -> f64 {
        self.log_density_from(0, point, scratch)
    }

    /// A lower bound of the log density at `point`: without the terms of the rows before `first`.
    pub(crate) fn log_density_from(&self, first: usize, point: &[Cell], scratch: &mut Scratch) -> f64 {
        let Constants { prior, no_match, match_ratio, scale } = self.constants;
        let kernels = self.numeric.iter().map(|column| column.prior_log_kernel(&point[column.dimension]));
        let prior = prior + kernels.sum::<f64>();
        let weights = self.shape.weights.of(self.numbers.len());
        self.count_matches(first, point, scratch);
        let log_sum = if self.numeric.is_empty() {
            self.sum_by_matches(first, prior, &weights.from(first), scratch)
        } else {
            let best_match = no_match + match_ratio * self.choices.len() as f64;
            self.select(first, point, prior - NEGLIGIBLE - best_match, scratch);
            self.refine(point, scratch);
            self.sum_by_rows(first, prior, &weights, scratch)
        };
        log_sum + scale
    }

    /// Counts per row from `first` on the choices that are those of `point`.
    fn count_matches(&self, first: usize, point: &[Cell], scratch: &mut Scratch) {
        let matches = &mut scratch.matches;
        matches.clear();
        matches.resize(self.numbers.len() - first, 0);
        for column in &self.choices {
            let position = point[column.dimension].center as u16;
            for (count, &other) in matches.iter_mut().zip(&column.positions[first..]) {
                *count += u16::from(other == position);
            }
        }
    }

    /// The log of the weighted sum of all terms, where they depend on the number of matches alone.
    fn sum_by_matches(&self, first: usize, prior: f64, weights: &Ramp, scratch: &mut Scratch) -> f64 {
        let Scratch { matches, terms, .. } = scratch;
        let Constants { no_match, match_ratio, .. } = self.constants;
        let most = matches.iter().copied().max().unwrap_or(0);
        let top = prior.max(no_match + match_ratio * f64::from(most));
        terms.clear();
        terms.extend((0..=most).map(|m| libm::exp(no_match + match_ratio * f64::from(m) - top)));
        let sum = if self.given.is_empty() {
            weights.sum(matches, |&m| terms[usize::from(m)])
        } else {
            matches.iter().zip(&self.given[first..]).map(|(&m, weight)| weight * terms[usize::from(m)]).sum()
        };
        top + libm::log(sum + libm::exp(prior - top))
    }

    /// Collects the rows from `first` on whose numeric factors may reach `floor`, with the bounds of their
    /// logs.
    fn select(&self, first: usize, point: &[Cell], floor: f64, scratch: &mut Scratch) {
        let Scratch { rows, logs, .. } = scratch;
        let cell = |column: &Numeric| point[column.dimension];
        let extents =
            self.numeric.iter().filter(|c| c.stepped).map(|c| libm::log(cell(c).extent)).sum::<f64>();
        logs.clear();
        logs.extend(self.log_norms[first..].iter().map(|log| log + extents));
        let (dense, sparse) = self.numeric.split_at(self.numeric.len().min(DENSE));
        for column in dense {
            column.add_bounds(first, &cell(column), logs);
        }
        rows.resize(logs.len(), 0);
        let (all_rows, all_logs) = (rows.as_mut_slice(), logs.as_mut_slice());
        let mut kept = 0;
        for row in 0..all_logs.len() {
            // Written always and counted at times: no branch to mispredict.
            let log = all_logs[row];
            (all_rows[kept], all_logs[kept]) = ((first + row) as u32, log);
            kept += usize::from(log > floor);
        }
        for column in sparse {
            let (cell, end) = (cell(column), kept);
            kept = 0;
            for index in 0..end {
                let row = all_rows[index];
                let log = all_logs[index] + column.bound(&cell, row as usize);
                (all_rows[kept], all_logs[kept]) = (row, log);
                kept += usize::from(log > floor);
            }
        }
        rows.truncate(kept);
        logs.truncate(kept);
    }

    /// Replaces the bounds of stepped columns by their values.
    fn refine(&self, point: &[Cell], scratch: &mut Scratch) {
        let Scratch { rows, logs, memo, .. } = scratch;
        for column in self.numeric.iter().filter(|column| column.stepped) {
            let cell = &point[column.dimension];
            for (&row, log) in rows.iter().zip(logs.iter_mut()) {
                let row = row as usize;
                *log += memo.shortfall(cell, column.mu[row], column.precision[row]);
            }
        }
    }

    /// The log of the weighted sum of the prior's term and those of the selected rows.
    fn sum_by_rows(&self, first: usize, prior: f64, weights: &Ramp, scratch: &mut Scratch) -> f64 {
        let Scratch { rows, logs, matches, .. } = scratch;
        let Constants { no_match, match_ratio, .. } = self.constants;
        if !self.choices.is_empty() {
            for (&row, log) in rows.iter().zip(logs.iter_mut()) {
                *log += no_match + match_ratio * f64::from(matches[row as usize - first]);
            }
        }
        let top = logs.iter().copied().fold(prior, |a, b| if a > b { a } else { b });
        let mut sum = libm::exp(prior - top);
        for (&row, log) in rows.iter().zip(logs.iter()) {
            if *log > top - NEGLIGIBLE {
                let row = row as usize;
                let weight = self.given.get(row).copied().unwrap_or_else(|| weights.at(row));
                sum += weight * libm::exp(log - top);
            }
        }
        top + libm::log(sum)
    }
}

impl Numeric {
    /// Adds to the logs of the rows from `first` on the [`bound`](Self::bound) of each one's kernel.
    fn add_bounds(&self, first: usize, cell: &Cell, logs: &mut [f64]) {
        let kernels = self.mu[first..].iter().zip(&self.precision[first..]);
        if self.stepped {
            for ((&mu, &precision), log) in kernels.zip(logs) {
                let z = cell.distance(mu) * precision;
                *log -= z * z;
            }
        } else {
            for ((&mu, &precision), log) in kernels.zip(logs) {
                let z = (cell.center - mu) * precision;
                *log -= z * z;
            }
        }
    }

    /// The log of a row's kernel, short of `log_norm`, at the point of the cell that is nearest to its
    /// center.
    fn bound(&self, cell: &Cell, row: usize) -> f64 {
        let z = cell.distance(self.mu[row]) * self.precision[row];
        -(z * z)
    }

    /// The log of the prior's kernel, short of what normalises it.
    fn prior_log_kernel(&self, cell: &Cell) -> f64 {
        let (mu, precision) = (0.5, std::f64::consts::FRAC_1_SQRT_2);
        let z = cell.distance(mu) * precision;
        if self.stepped { libm::log(cell.extent) + shortfall(cell, mu, precision) - z * z } else { -z * z }
    }
}

impl Cell {
    /// The distance of `u` to the cell.
    fn distance(&self, u: f64) -> f64 {
        let (below, above) = (self.left - u, u - self.right);
        let outside = if below > above { below } else { above };
        if outside > 0.0 { outside } else { 0.0 }
    }
}

/// How far the log mass of a cell lies below the log of its width times the largest density in it.
fn shortfall(cell: &Cell, mu: f64, precision: f64) -> f64 {
    if cell.extent < NARROW {
        return 0.0;
    }
    let inverse_sigma = std::f64::consts::SQRT_2 * precision;
    let (left, right) = ((cell.left - mu) * inverse_sigma, (cell.right - mu) * inverse_sigma);
    let nearest = cell.distance(mu) * precision;
    truncnorm::log_mass(left, right) - libm::log(right - left) + nearest * nearest + LN_SQRT_2PI
}

/// Remembers shortfalls by cell and kernel: on a grid few of both differ. A forgotten one is computed again,
/// so no result depends on what is remembered.
#[derive(Debug, Clone, Default)]
struct Memo {
    /// Left, right, center of the kernel, precision and shortfall; empty until it is used.
    entries: Vec<[f64; 5]>,
}

impl Memo {
    const BITS: u32 = 12;

    fn shortfall(&mut self, cell: &Cell, mu: f64, precision: f64) -> f64 {
        if self.entries.is_empty() {
            self.entries.resize(1 << Self::BITS, [f64::NAN; 5]);
        }
        let key = [cell.left, cell.right, mu, precision];
        // Fibonacci hashing: the top bits of products with 2^64 / φ.
        let hash = key.iter().fold(0_u64, |hash, part| {
            (hash.rotate_left(23) ^ part.to_bits()).wrapping_mul(0x9e37_79b9_7f4a_7c15)
        });
        let entry = &mut self.entries[(hash >> (64 - Self::BITS)) as usize];
        if entry[..4] != key {
            *entry = [cell.left, cell.right, mu, precision, shortfall(cell, mu, precision)];
        }
        entry[4]
    }
}
