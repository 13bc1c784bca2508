//! Parzen estimators: mixtures of products of kernels, one per observed trial and one prior.
//!
//! A [`Mixture`] grows and shrinks one trial at a time and is a function of the *set* of its trials: however
//! it came to hold them, the same numbers come out, bit for bit. It does not know which trials are good; the
//! TPE sampler keeps one mixture of good trials and one of the others.
//!
//! Densities are those of Optuna 5.0 (`samplers/_tpe/parzen_estimator.py`, `probability_distributions.py`),
//! with `n` trials and `m = n + 1` kernels:
//!
//! - numeric: a normal distribution cut to the range, centred on the observed value; its width is a
//!   [`Bandwidth`], in Optuna the larger gap to the neighbours left and right (of the outermost two: the inner
//!   gap), at least `1 / min(100, 1 + m)` of the range and at most the range. On a grid: the mass of the
//!   value's cell. The prior sits in the middle with the range as its width. Equal observations are neighbours
//!   in the order of their trials (Optuna leaves that to an unstable sort).
//! - categorical: `w / m` on every choice and 1 more on the observed one, normalised, where `w` is the
//!   prior's weight. The prior is uniform.

mod density;

use std::cmp::Ordering;
use std::f64::consts::FRAC_1_SQRT_2;
use std::ops::Range;

use rand::{Rng, RngExt};

pub(crate) use self::density::Scratch;
use crate::axis::Dimension;
use crate::bandwidth::Bandwidth;
use crate::truncnorm::{self, LN_SQRT_2PI};
use crate::weights::Weights;

/// After more changes than this in a row, kernels are computed anew at once and not one by one.
const MANY: usize = 64;

/// What shapes the kernels of a mixture.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape {
    pub(crate) weights: Weights,
    pub(crate) prior_weight: f64,
    pub(crate) bandwidth: Bandwidth,
    /// On a grid, the least width of a kernel in cells.
    pub(crate) least_cells: f64,
}

impl Shape {
    /// The kernels of Optuna.
    pub(crate) const OPTUNA: Self =
        Self { weights: Weights::Recent, prior_weight: 1.0, bandwidth: Bandwidth::OPTUNA, least_cells: 0.0 };
}

/// A mixture over the trials that it holds.
#[derive(Debug, Clone)]
pub(crate) struct Mixture {
    shape: Shape,
    /// The trials, ascending; a place in this list is a row.
    numbers: Vec<u64>,
    /// Per row a weight; empty where weights follow from places.
    given: Vec<f64>,
    choices: Vec<Choices>,
    numeric: Vec<Numeric>,
    /// Per row, the sum of `log_norm` over the numeric columns.
    log_norms: Vec<f64>,
    /// Whether all kernels must be computed anew: their least width has changed, or so much that keeping up
    /// is dearer.
    stale: bool,
    /// How many trials came or went since the last refresh.
    changes: usize,
    constants: Constants,
}

/// What is common to all points: logs that depend on the number of trials only.
#[derive(Debug, Clone, Copy, Default)]
struct Constants {
    /// The prior's weight and density on the unit intervals, short of its kernels, and of its choices.
    prior: f64,
    /// A trial's probability of choices that all differ from its own.
    no_match: f64,
    /// What each matching choice multiplies that by.
    match_ratio: f64,
    /// The density of the unit intervals over the sum of all weights.
    scale: f64,
}

/// The observations of a categorical dimension.
#[derive(Debug, Clone)]
struct Choices {
    /// The place of the dimension in a point.
    dimension: usize,
    n_choices: usize,
    /// Per row, the position of the observed choice.
    positions: Vec<u16>,
}

/// The kernels of a numeric dimension, on the unit interval.
#[derive(Debug, Clone)]
struct Numeric {
    /// The place of the dimension in a point.
    dimension: usize,
    stepped: bool,
    /// The least width that the grid asks for.
    least: f64,
    /// The log density of the unit interval on the parameter's own scale; 0 on a grid, where masses are
    /// meant.
    log_scale: f64,
    /// Per row, the center `mu`, `1 / (√2 sigma)` and minus the log of what normalises `exp(-(u - mu)²/2
    /// sigma²)`.
    mu: Vec<f64>,
    precision: Vec<f64>,
    log_norm: Vec<f64>,
    /// Centers and trial numbers, ascending; not kept while the mixture is stale.
    sorted: Vec<(f64, u64)>,
}

impl Mixture {
    /// An empty mixture over points with these dimensions.
    pub(crate) fn new<'a>(dimensions: impl Iterator<Item = &'a Dimension>, shape: Shape) -> Self {
        let (mut choices, mut numeric) = (Vec::new(), Vec::new());
        for (dimension, kind) in dimensions.enumerate() {
            match kind {
                &Dimension::Categorical(n_choices) => {
                    choices.push(Choices { dimension, n_choices, positions: Vec::new() });
                }
                Dimension::Numeric(axis) => {
                    let stepped = axis.is_stepped();
                    let log_scale = if stepped { 0.0 } else { -axis.log_width() };
                    let least = (shape.least_cells * axis.mean_cell()).min(1.0);
                    let (mu, precision, log_norm, sorted) = Default::default();
                    numeric.push(Numeric {
                        dimension,
                        stepped,
                        least,
                        log_scale,
                        mu,
                        precision,
                        log_norm,
                        sorted,
                    });
                }
            }
        }
        let (numbers, given, log_norms, constants) = Default::default();
        Self { shape, numbers, given, choices, numeric, log_norms, stale: false, changes: 0, constants }
    }

    /// Adds trial `number` at `centers`, one per dimension; a trial that is there already stays as it is.
    pub(crate) fn insert(&mut self, number: u64, centers: &[f64]) {
        let Err(row) = self.numbers.binary_search(&number) else { return };
        self.changed(self.numbers.len() + 1);
        self.numbers.insert(row, number);
        self.log_norms.insert(row, 0.0);
        for Choices { dimension, positions, .. } in &mut self.choices {
            positions.insert(row, centers[*dimension] as u16);
        }
        for numeric in &mut self.numeric {
            let center = centers[numeric.dimension];
            numeric.mu.insert(row, center);
            numeric.precision.insert(row, 1.0);
            numeric.log_norm.insert(row, 0.0);
            if !self.stale {
                numeric.sorted.insert(numeric.place(center, number), (center, number));
            }
        }
        self.update_around(number, centers);
    }

    /// The trials that it holds, ascending.
    pub(crate) fn numbers(&self) -> &[u64] {
        &self.numbers
    }

    /// Removes trial `number`; its centers, or `None` where it is not held.
    pub(crate) fn remove(&mut self, number: u64) -> Option<Vec<f64>> {
        let row = self.numbers.binary_search(&number).ok()?;
        self.changed(self.numbers.len());
        self.numbers.remove(row);
        self.log_norms.remove(row);
        let mut centers = vec![0.0; self.choices.len() + self.numeric.len()];
        for Choices { dimension, positions, .. } in &mut self.choices {
            centers[*dimension] = f64::from(positions.remove(row));
        }
        for numeric in &mut self.numeric {
            let center = numeric.mu.remove(row);
            numeric.precision.remove(row);
            numeric.log_norm.remove(row);
            if !self.stale {
                numeric.sorted.remove(numeric.place(center, number));
            }
            centers[numeric.dimension] = center;
        }
        self.update_around(number, &centers);
        Some(centers)
    }

    /// Takes note of a change, at the larger of the numbers of trials before and after.
    fn changed(&mut self, n: usize) {
        self.changes += 1;
        self.given.clear();
        self.stale |= !self.shape.bandwidth.is_settled(n) || self.changes > MANY;
    }

    /// Sets the weights of the trials, until one comes or goes; must precede [`refresh`](Self::refresh).
    pub(crate) fn weigh(&mut self, weight: impl Fn(u64) -> f64) {
        self.given.clear();
        self.given.extend(self.numbers.iter().map(|&number| weight(number)));
    }

    /// The sum of the weights of the trials.
    fn total(&self) -> f64 {
        if self.given.is_empty() {
            self.shape.weights.of(self.numbers.len()).total()
        } else {
            self.given.iter().sum()
        }
    }

    /// Brings all kernels up to date; must follow changes and precede densities and draws.
    pub(crate) fn refresh(&mut self) {
        self.changes = 0;
        if std::mem::take(&mut self.stale) {
            for column in 0..self.numeric.len() {
                let Numeric { sorted, mu, .. } = &mut self.numeric[column];
                sorted.clear();
                sorted.extend(mu.iter().copied().zip(self.numbers.iter().copied()));
                sorted.sort_unstable_by(order);
                self.update(column, 0..self.numbers.len());
            }
            for row in 0..self.numbers.len() {
                self.add_up(row);
            }
        }
        let share = self.prior_share();
        let n_choices = self.choices.iter().map(|column| column.n_choices as f64);
        let total = self.total() + self.shape.prior_weight;
        self.constants = Constants {
            prior: libm::log(self.shape.prior_weight) + self.numeric.len() as f64 * log_normalizer(0.5, 1.0)
                - n_choices.clone().map(libm::log).sum::<f64>(),
            // A matching choice has `(share + 1) / (1 + n share)`, another one `share / (1 + n share)`.
            no_match: n_choices.map(|n| libm::log(share / (1.0 + share * n))).sum(),
            match_ratio: libm::log((1.0 + share) / share),
            scale: self.log_scale() - libm::log(total),
        };
    }

    /// Computes the kernel of trial `number` at `centers`, where it is held, and those of its neighbours.
    fn update_around(&mut self, number: u64, centers: &[f64]) {
        if self.stale {
            return;
        }
        for column in 0..self.numeric.len() {
            let place = self.numeric[column].place(centers[self.numeric[column].dimension], number);
            for row in self.update(column, place.saturating_sub(1)..place + 2) {
                self.add_up(row);
            }
        }
    }

    /// Computes the kernels of a column at `places` of its sorted observations, as far as there are such
    /// places; which rows they are. What these add up to must follow.
    fn update(&mut self, column: usize, places: Range<usize>) -> Vec<usize> {
        let n = self.numbers.len();
        let Shape { bandwidth, .. } = self.shape;
        let least = bandwidth.least(n).max(self.numeric[column].least);
        let common = bandwidth.common(&self.numeric[column].mu, self.numeric.len());
        let mut rows = Vec::with_capacity(places.len().min(n));
        let Numeric { sorted, precision, log_norm, .. } = &mut self.numeric[column];
        for place in places.start..places.end.min(n) {
            let (mu, number) = sorted[place];
            let Ok(row) = self.numbers.binary_search(&number) else { continue };
            let gap = width(sorted, place);
            let sigma = common.map_or(gap, |common| common.max(gap)).clamp(least, 1.0);
            precision[row] = FRAC_1_SQRT_2 / sigma;
            log_norm[row] = log_normalizer(mu, sigma);
            rows.push(row);
        }
        rows
    }

    /// Sums what normalises the kernels of a row: anew, not corrected by a difference, for no trace of earlier kernels
    /// may remain.
    fn add_up(&mut self, row: usize) {
        self.log_norms[row] = self.numeric.iter().map(|numeric| numeric.log_norm[row]).sum();
    }

    /// The log density of the unit intervals on the parameters' own scales.
    pub(crate) fn log_scale(&self) -> f64 {
        self.numeric.iter().map(|column| column.log_scale).sum()
    }

    /// A draw: one center per dimension.
    pub(crate) fn sample(&self, rng: &mut impl Rng) -> Vec<f64> {
        let n = self.numbers.len();
        let weights = self.shape.weights.of(n);
        let mut rest = rng.random::<f64>() * (self.total() + self.shape.prior_weight);
        // Past the last trial lies the prior.
        let row = (0..n).find(|&row| {
            rest -= self.given.get(row).copied().unwrap_or_else(|| weights.at(row));
            rest < 0.0
        });
        let mut centers = vec![0.0; self.choices.len() + self.numeric.len()];
        for &Choices { dimension, n_choices, ref positions } in &self.choices {
            let spread = self.prior_share() * n_choices as f64;
            centers[dimension] = match row {
                Some(row) if rng.random::<f64>() * (1.0 + spread) < 1.0 => f64::from(positions[row]),
                _ => rng.random_range(0..n_choices) as f64,
            };
        }
        for Numeric { dimension, mu, precision, .. } in &self.numeric {
            let (mu, sigma) = row.map_or((0.5, 1.0), |row| (mu[row], FRAC_1_SQRT_2 / precision[row]));
            centers[*dimension] = mu + sigma * truncnorm::sample(-mu / sigma, (1.0 - mu) / sigma, rng);
        }
        centers
    }

    /// What a categorical kernel gives to each choice before it is normalised.
    fn prior_share(&self) -> f64 {
        self.shape.prior_weight / (self.numbers.len() + 1) as f64
    }
}

impl Numeric {
    /// The place of an observation among the sorted ones.
    fn place(&self, center: f64, number: u64) -> usize {
        self.sorted.partition_point(|entry| order(entry, &(center, number)).is_lt())
    }
}

/// The order of observations: by center, then by number.
fn order(a: &(f64, u64), b: &(f64, u64)) -> Ordering {
    a.0.total_cmp(&b.0).then(a.1.cmp(&b.1))
}

/// Minus the log of what normalises `exp(-(u - mu)²/2 sigma²)` on the unit interval.
fn log_normalizer(mu: f64, sigma: f64) -> f64 {
    -truncnorm::log_mass(-mu / sigma, (1.0 - mu) / sigma) - libm::log(sigma) - LN_SQRT_2PI
}

/// The width of the kernel at `place` of the sorted observations, before it is clipped.
fn width(sorted: &[(f64, u64)], place: usize) -> f64 {
    let mu = sorted[place].0;
    let left = place.checked_sub(1).map(|i| mu - sorted[i].0);
    let right = sorted.get(place + 1).map(|next| next.0 - mu);
    match (left, right) {
        (None, None) => mu.max(1.0 - mu),
        (Some(gap), None) | (None, Some(gap)) => gap,
        (Some(left), Some(right)) => left.max(right),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::axis::Cell;
    use crate::distribution::Distribution;

    fn mixture() -> Mixture {
        let dimensions = [
            Distribution::indices(3),
            Distribution::float(0.0, 1.0),
            Distribution::int(0, 9),
            Distribution::indices(300),
        ]
        .map(|distribution| Dimension::new(&distribution));
        Mixture::new(dimensions.iter(), Shape::OPTUNA)
    }

    /// The centers of trial `number`, with repetitions.
    fn centers(number: u64) -> [f64; 4] {
        let draw = |salt: u64| (number % 50).wrapping_mul(salt).wrapping_mul(2_654_435_761) >> 7 & 1023;
        let unit = |salt| draw(salt) as f64 / 1023.0;
        [(draw(3) % 3) as f64, unit(5), 0.05 + 0.1 * (draw(7) % 10) as f64, (draw(11) % 300) as f64]
    }

    #[test]
    fn under_spread_kernels_reach_across_gaps_and_none_is_narrower_than_scotts() {
        let bandwidth = Bandwidth::Spread { prior: 0.2, least: 0.01 };
        let dimension = Dimension::new(&Distribution::float(0.0, 1.0));
        let mut mixture = Mixture::new([&dimension].into_iter(), Shape { bandwidth, ..Shape::OPTUNA });
        let centers = [0.1, 0.11, 0.12, 0.9];
        for (number, center) in centers.into_iter().enumerate() {
            mixture.insert(number as u64, &[center]);
        }
        mixture.refresh();
        let common = bandwidth.common(&centers, 1).unwrap();
        let widths: Vec<f64> =
            mixture.numeric[0].precision.iter().map(|precision| FRAC_1_SQRT_2 / precision).collect();
        for (width, expect) in widths.iter().zip([common, common, 0.78, 0.78]) {
            assert!((width - expect).abs() < 1e-12, "{widths:?} {common}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 20, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn a_mixture_does_not_know_its_past(n in 0_u64..130, detours in prop::collection::vec(0_u64..260, 0..60)) {
            let mut straight = mixture();
            for number in 0..n {
                straight.insert(number, &centers(number));
            }
            let mut winding = mixture();
            for number in (0..n).rev() {
                winding.insert(number, &centers(number));
            }
            for &number in &detours {
                if winding.remove(number).is_none() {
                    winding.insert(number, &centers(number));
                }
                if number % 4 == 0 {
                    winding.refresh();
                }
            }
            for number in 0..260 {
                match (number < n, winding.numbers.binary_search(&number).is_ok()) {
                    (true, false) => winding.insert(number, &centers(number)),
                    (false, true) => prop_assert_eq!(winding.remove(number), Some(centers(number).to_vec())),
                    _ => {}
                }
            }
            straight.refresh();
            winding.refresh();
            let mut scratch = Scratch::default();
            for number in 0..20 {
                let cell = |center| Cell { center, left: center - 0.05, right: center + 0.05, extent: 0.1 };
                let point = centers(number * 13).map(cell);
                let (a, b) = (straight.log_density(&point, &mut scratch), winding.log_density(&point, &mut scratch));
                prop_assert_eq!(a.to_bits(), b.to_bits());
            }
        }
    }
}
