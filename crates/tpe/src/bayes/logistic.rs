//! Laplace's fit: right-or-wrong scores, and values on the scale of log odds.

use std::cmp::Ordering;
use std::rc::Rc;

use super::evidence::Evidence;
use super::fit::{Fit, check};
use super::kernel::ChoiceKernel;
use super::linalg::{Square, dot, log_of_diagonal};
use super::posterior::Posterior;
use super::reduced::{Information, Solved, by_cells, gram, seen};
use crate::error::Error;

/// Newton's method stops when no log odds has moved by more than this; the step after it is exact but for rounding.
const SETTLED: f64 = 1e-6;
/// Steps at most; some five are usual.
const STEPS: usize = 100;
/// Expected scores are averaged in so many times the usual steps, at most: for beliefs of up to 12,000 log odds.
const FINEST: f64 = 1000.0;
/// A step that does not raise the posterior is halved, this often at most.
const HALVINGS: usize = 40;

/// A linear model of log odds with normal priors: a score is right with probability `1 / (1 + exp(-(value(point) + turn(row, point))))`.
///
/// As in [`BayesLinear`](super::BayesLinear), values have mean `mean` and the covariance of `kernel`, and every row has a turn of its
/// own with the covariance of `rows`; here both are log odds. A score between 0 and 1 counts as that part of a right answer and the rest
/// of a wrong one. There is no noise to set: chance is what the probability leaves open.
///
/// Near 0 and 1 scores have less noise and differ less than in the middle, which the linear model does not know. What it costs:
/// the posterior is not normal, and is taken for the normal one with the same mode and curvature there (Laplace's method; Rasmussen and
/// Williams, *Gaussian Processes for Machine Learning*, 2006, section 3.4). Where turns are wide the mode lies nearer to the middle than
/// the mean does: a point that is right on 75 % of many rows, one score each, is believed right on 72, 69, 63 and 59 % when turns have
/// a standard deviation of 1, 2, 5 and 10 log odds. Differences keep their order; where rows decide nearly everything, the linear
/// model is the better one.
///
/// ```
/// use teleprompt_tpe::bayes::{BayesLogistic, ChoiceKernel, Evidence};
///
/// let kernel = ChoiceKernel::additive(4.0, vec![1.0]);
/// let model = BayesLogistic::new(kernel, 0.0, ChoiceKernel::additive(2.0, vec![]))?;
/// let mut evidence = Evidence::new(20);
/// let (seldom, never) = (evidence.point(&[0]), evidence.point(&[1]));
/// for row in 0..20 {
///     evidence.push(seldom, row, if row < 4 { 1.0 } else { 0.0 })?;
///     evidence.push(never, row, 0.0)?;
/// }
/// let fit = model.fit(&evidence)?;
/// let scores = model.scores(&fit, evidence.points());
/// assert!(scores.probability_above(seldom, never) > 0.9);
/// assert!(scores.mean()[never] > 0.0 && scores.mean()[seldom] < 0.3);
/// # Ok::<(), teleprompt_tpe::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct BayesLogistic {
    /// The prior covariance of the values, in log odds.
    pub kernel: ChoiceKernel,
    /// The prior mean of every value: 0 is a half.
    pub mean: f64,
    /// The prior covariance of what a row adds to the points' log odds.
    pub rows: ChoiceKernel,
}

/// Rows that have the same scores of the same points.
struct Pattern {
    /// The places of the points, ascending.
    places: Vec<usize>,
    /// How many scores each has on such a row, and their mean.
    counts: Vec<f64>,
    means: Vec<f64>,
    rows: f64,
    /// `T[E_j, E_j]`, one for all patterns of the same points.
    turns: Rc<Square>,
}

/// A fit that is being found.
struct Problem {
    mean: f64,
    seen: Vec<usize>,
    patterns: Vec<Pattern>,
    /// `K`.
    k: Square,
}

/// Where Newton's method is. Values and turns follow from it: `f = K weights`, `u_j = T c_j`.
struct State {
    weights: Vec<f64>,
    /// By pattern, `c`: at the mode, by how much its scores are above their probabilities.
    surplus: Vec<Vec<f64>>,
    /// By pattern, the log odds less the prior mean.
    odds: Vec<Vec<f64>>,
    /// The logarithm of the density of scores and log odds together, but for the prior's constant.
    height: f64,
}

/// A pattern's scores, taken for normal ones of the same slope and curvature at a state.
struct Normal {
    /// `(T + W^-1)^-1`.
    inverse: Square,
    /// `(I + W T)^-1 (W z + g)`, for log odds `z` less the prior mean and the slope `g` of the log likelihood.
    right: Vec<f64>,
    /// Half the logarithm of the determinant of `I + W T`.
    log_determinant: f64,
}

impl BayesLogistic {
    /// A model with this kernel: see the fields.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] for variances below 0 or not finite, and a mean that is not finite.
    pub fn new(kernel: ChoiceKernel, mean: f64, rows: ChoiceKernel) -> Result<Self, Error> {
        check(&kernel, mean, &rows)?;
        Ok(Self { kernel, mean, rows })
    }

    /// Fits what has been seen: the values of the fit are log odds; for probabilities see [`scores`](Self::scores).
    ///
    /// [`Fit::log_evidence`] is Laplace's approximation of the logarithm of the scores' probability.
    ///
    /// Time: `n^3 + sum of m^3` for each of some five steps (fifteen where next to nothing is known before and all scores are equal), for `n`
    /// points with scores and each set of rows that have the same scores of the same `m` points; memory: `n^2 + sum of m^2`.
    ///
    /// # Errors
    ///
    /// [`Error::Observation`] for a score outside of `[0, 1]`.
    pub fn fit<'a>(&self, evidence: &'a Evidence) -> Result<Fit<'a>, Error> {
        if let Some(score) = evidence.scores().iter().find(|score| !(0.0..=1.0).contains(&score.value)) {
            let requirement = "must be in 0 to 1 for right-or-wrong scores";
            return Err(Error::Observation { field: "value", value: score.value, requirement });
        }
        let problem = Problem::new(self, evidence);
        let mut state = problem.start();
        let mut settled = false;
        for _ in 0..STEPS {
            let (_, solved, normals) = problem.newton(&state);
            let next = problem.state(solved.weights, |at, values| normals[at].surplus(values));
            settled = state.moved(&next) <= SETTLED;
            state = if settled || next.height >= state.height {
                next
            } else if let Some(higher) = problem.halved(&state, &next) {
                higher
            } else {
                break;
            };
            if settled {
                break;
            }
        }
        let (information, mut solved, normals) = problem.newton(&state);
        if !settled {
            // As far as rounding lets one climb: a whole step from here may lead anywhere.
            solved.weights = state.weights;
        }
        let rows = problem.patterns.iter().zip(&normals);
        let log_determinant: f64 = rows.map(|(pattern, normal)| pattern.rows * normal.log_determinant).sum();
        let log_evidence = state.height - log_determinant - log_of_diagonal(&solved.inner);
        Ok(Fit::new(self.kernel.clone(), self.mean, evidence, &information, solved, log_evidence))
    }

    /// What a fit of this model says of the points' expected scores: the probabilities, each averaged over the turns that rows may
    /// have and over what is not known of the value; their covariances are those of the log odds, taken times how steeply each
    /// probability rises.
    ///
    /// Time: that of [`Fit::posterior`].
    pub fn scores(&self, fit: &Fit<'_>, at: &[Vec<usize>]) -> Posterior {
        let odds = fit.posterior(at);
        let expected = |point: usize| {
            let turns = self.rows.covariance(&at[point], &at[point]);
            expected(odds.mean()[point], odds.covariance(point, point).max(0.0) + turns)
        };
        let expected: Vec<(f64, f64)> = (0..at.len()).map(expected).collect();
        let covariance = |i: usize, j: usize| expected[i].1 * expected[j].1 * odds.covariance(i, j);
        Posterior::new(
            expected.iter().map(|(score, _)| *score).collect(),
            Square::symmetric(at.len(), covariance),
        )
    }
}

impl Problem {
    fn new(model: &BayesLogistic, evidence: &Evidence) -> Self {
        let seen = seen(evidence);
        let mut patterns = Vec::new();
        for (cells, alike) in by_cells(0.0, evidence, &seen) {
            let points: Vec<usize> = cells.iter().map(|(place, _)| seen[*place]).collect();
            let turns = Rc::new(gram(&model.rows, evidence, &points));
            let mut means = alike.means;
            means.sort_by(|a, b| {
                a.iter().zip(b).map(|(a, b)| a.total_cmp(b)).find(|o| o.is_ne()).unwrap_or(Ordering::Equal)
            });
            for same in means.chunk_by(|a, b| a == b) {
                patterns.push(Pattern {
                    places: cells.iter().map(|(place, _)| *place).collect(),
                    counts: cells.iter().map(|(_, count)| f64::from(*count)).collect(),
                    means: same[0].clone(),
                    rows: same.len() as f64,
                    turns: Rc::clone(&turns),
                });
            }
        }
        Self { mean: model.mean, k: gram(&model.kernel, evidence, &seen), seen, patterns }
    }

    /// All log odds at the prior mean.
    fn start(&self) -> State {
        self.state(vec![0.0; self.seen.len()], |at, _| vec![0.0; self.patterns[at].places.len()])
    }

    /// The state of these weights, and of the surplus of each pattern, by its number and the values of its points.
    fn state(&self, weights: Vec<f64>, surplus: impl Fn(usize, &[f64]) -> Vec<f64>) -> State {
        let values = self.k.times(&weights);
        let mut height = -0.5 * dot(&values, &weights);
        let (mut surpluses, mut odds) = (Vec::new(), Vec::new());
        for (at, pattern) in self.patterns.iter().enumerate() {
            let values: Vec<f64> = pattern.places.iter().map(|&place| values[place]).collect();
            let surplus = surplus(at, &values);
            let turns = pattern.turns.times(&surplus);
            let z: Vec<f64> = values.iter().zip(&turns).map(|(value, turn)| value + turn).collect();
            height += pattern.rows * (pattern.log_likelihood(self.mean, &z) - 0.5 * dot(&turns, &surplus));
            surpluses.push(surplus);
            odds.push(z);
        }
        State { weights, surplus: surpluses, odds, height }
    }

    /// The scores taken for normal ones at a state, and what follows for the values.
    fn newton(&self, state: &State) -> (Information, Solved, Vec<Normal>) {
        let n = self.seen.len();
        let (mut matrix, mut right) = (Square::zeros(n), vec![0.0; n]);
        let normals: Vec<Normal> =
            self.patterns.iter().zip(&state.odds).map(|(pattern, z)| pattern.normal(self.mean, z)).collect();
        for (pattern, normal) in self.patterns.iter().zip(&normals) {
            matrix.add_block(&pattern.places, &normal.inverse, pattern.rows);
            for (&place, value) in pattern.places.iter().zip(&normal.right) {
                right[place] += pattern.rows * value;
            }
        }
        let information = Information::new(self.seen.clone(), matrix, right);
        let solved = information.solve(&self.k, information.sandwich(&self.k));
        (information, solved, normals)
    }

    /// The highest of the states half as far as the next one, a quarter as far and so on; `None` where none is higher than this one.
    fn halved(&self, state: &State, next: &State) -> Option<State> {
        let between = |a: &[f64], b: &[f64], part: f64| -> Vec<f64> {
            a.iter().zip(b).map(|(a, b)| a + part * (b - a)).collect()
        };
        let (mut part, mut best) = (1.0, None::<State>);
        for _ in 0..HALVINGS {
            part *= 0.5;
            let surplus = |at: usize, _: &[f64]| between(&state.surplus[at], &next.surplus[at], part);
            let tried = self.state(between(&state.weights, &next.weights, part), surplus);
            if best.as_ref().is_some_and(|best| best.height >= tried.height) {
                break;
            }
            if tried.height > state.height {
                best = Some(tried);
            }
        }
        best
    }
}

impl State {
    /// How far log odds are from those of another state, at most.
    fn moved(&self, to: &Self) -> f64 {
        let pairs = self.odds.iter().flatten().zip(to.odds.iter().flatten());
        pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
    }
}

impl Pattern {
    /// The logarithm of the scores' probability, for log odds `z` above the prior mean.
    fn log_likelihood(&self, mean: f64, z: &[f64]) -> f64 {
        let of = |((&count, &score), &z): ((&f64, &f64), &f64)| {
            let odds = mean + z;
            count * (score * odds - odds.max(0.0) - libm::log1p(libm::exp(-odds.abs())))
        };
        self.counts.iter().zip(&self.means).zip(z).map(of).sum()
    }

    fn normal(&self, mean: f64, z: &[f64]) -> Normal {
        let n = z.len();
        // Right and wrong alike, so that neither is lost in rounding near 0 and 1.
        let chances: Vec<(f64, f64)> = z.iter().map(|z| (sigmoid(mean + z), sigmoid(-mean - z))).collect();
        let curvature: Vec<f64> =
            self.counts.iter().zip(&chances).map(|(count, (right, wrong))| count * right * wrong).collect();
        let root: Vec<f64> = curvature.iter().map(|w| w.sqrt()).collect();
        // (T + W^-1)^-1 = V (I + V T V)^-1 V with V the root of W, which may be nought.
        let between = |i: usize, j: usize| root[i] * self.turns.get(i, j) * root[j];
        let lower = Square::symmetric(n, between).cholesky_plus_identity();
        let inverse = lower.inverse_of_square();
        let inverse = Square::symmetric(n, |i, j| root[i] * root[j] * inverse.get(i, j));
        let slope = |i: usize| {
            let (right, wrong) = chances[i];
            self.counts[i] * (self.means[i] * wrong - (1.0 - self.means[i]) * right)
        };
        let b: Vec<f64> = (0..n).map(|i| curvature[i] * z[i] + slope(i)).collect();
        let known = inverse.times(&self.turns.times(&b));
        let right = b.iter().zip(known).map(|(b, known)| b - known).collect();
        Normal { inverse, right, log_determinant: log_of_diagonal(&lower) }
    }
}

impl Normal {
    /// `c`, for values of the points less the prior mean.
    fn surplus(&self, values: &[f64]) -> Vec<f64> {
        self.right.iter().zip(self.inverse.times(values)).map(|(right, known)| right - known).collect()
    }
}

fn sigmoid(odds: f64) -> f64 {
    1.0 / (1.0 + libm::exp(-odds))
}

/// The mean probability where log odds are normal, and its derivative by their mean: the trapezoidal rule, good to 1e-7.
fn expected(mean: f64, variance: f64) -> (f64, f64) {
    let sd = variance.sqrt();
    // The wider, the more steps: a probability rises within a few log odds.
    let finer = (sd / 12.0).clamp(1.0, FINEST).ceil();
    let steps = 128 * finer as i32;
    let (mut weights, mut score, mut slope) = (0.0, 0.0, 0.0);
    for step in -steps..=steps {
        let z = f64::from(step) / (16.0 * finer);
        let weight = libm::exp(-0.5 * z * z);
        let (right, wrong) = (sigmoid(mean + sd * z), sigmoid(-mean - sd * z));
        weights += weight;
        score += weight * right;
        slope += weight * right * wrong;
    }
    (score / weights, slope / weights)
}
