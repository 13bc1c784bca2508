//! Bayesian models of choices: which of many combinations is best, when each look at one is noisy and costs something.
//!
//! TPE knows no noise: a value is a value. Where every candidate is scored on rows of data, one run at a time, the question
//! is another: how sure is it that this one is better than that one, and which run would say most? This module answers it
//! for spaces in which every dimension is a choice.
//!
//! ```text
//!   ChoiceKernel ─┐  BayesLinear   (exact)
//!                 ├─▶              ── fit ──▶ Fit ── posterior(points) ──▶ Posterior
//!   Evidence ─────┘  BayesLogistic (Laplace)    └─ draws, at(point)           ├─ best, probability_above     what to choose
//!   (point, row, score)      NestedRows ── beside ──▶ Look ──────────────────▶└─ knowledge_gradient, sample  where to look
//! ```
//!
//! ```
//! use teleprompt_tpe::bayes::{BayesLinear, ChoiceKernel, Evidence};
//!
//! let kernel = ChoiceKernel::additive(1.5, vec![0.01, 0.01]).with_own(0.005);
//! // Rows differ in ease, and in what they do to points with the same second choice.
//! let rows = ChoiceKernel::additive(0.1, vec![0.0, 0.08]);
//! let model = BayesLinear::new(kernel, 0.5, rows, 0.05)?;
//! let mut evidence = Evidence::new(10);
//! let (a, b) = (evidence.point(&[0, 0]), evidence.point(&[1, 0]));
//! for row in 0..10 {
//!     evidence.push(a, row, 1.0)?;
//!     evidence.push(b, row, if row < 5 { 1.0 } else { 0.0 })?;
//! }
//! let fit = model.fit(&evidence);
//! let posterior = fit.posterior(evidence.points());
//! assert_eq!(posterior.best(), Some(a));
//! assert!(posterior.probability_above(a, b) > 0.9);
//! // A point that nobody has scored shares a choice with the better one.
//! assert!(fit.mean_at(&[0, 1]) > fit.mean_at(&[1, 1]));
//! # Ok::<(), teleprompt_tpe::Error>(())
//! ```
//!
//! # The model, and how it is solved
//!
//! A score of point `i` on row `j` is `y = f_i + u_j(i) + e`: the point's value, the row's turn at this point and noise, all normal.
//! `f` has the covariance `K` of the kernel, every row's turn `u_j` the covariance `T` of a second one, `e` the variance `s`. Turns are
//! what makes the model more than a mean: where points agree in a choice that `T` has a part for, they get much the same score on
//! a row, and that row says of what they have in common little more with ten scores than with one. With `E_j` the points with scores on
//! row `j` and `R_j = T[E_j, E_j] + s I`, integrating the turns out leaves for `f` alone
//!
//! ```text
//!   information   Lambda = sum_j P_j R_j^-1 P_j^T    (P_j puts the entries of E_j in their places)
//!   right side    r      = sum_j P_j R_j^-1 (y_j - m)
//!   posterior     cov = (K^-1 + Lambda)^-1,   mean = m + cov r
//! ```
//!
//! Rows with the same `E_j` share the work; several scores of a point on a row count as their mean with less noise.
//! So the size of every matrix is the number of *points* with scores, whatever the number of rows. `K` may be singular (points
//! without an effect of their own), so it is never inverted: with `Lambda = L L^T` and `B = I + L^T K L`, which is at least the
//! identity,
//!
//! ```text
//!   cov(x, x') = k(x, x') - k(x, E) L B^-1 L^T k(E, x'),    mean(x) = m + k(x, E) (r - L B^-1 L^T K r)
//!   log evidence = log density of y at f = m  +  r^T K (r - L B^-1 L^T K r) / 2  -  log det B / 2
//! ```
//!
//! for points `x` with or without scores.
//!
//! One more score of `i` on row `j` says `f_i - w^T f_E` with variance `T_ii + s - w^T T_Ei`, where `w = R_j^-1 T_Ei`
//! ([`NestedRows::beside`]): next to a score of a near-twin it says nearly nothing of what both have in common, and much of how they
//! differ.
//!
//! # Right or wrong
//!
//! [`BayesLogistic`] puts values and turns on the scale of log odds: with `z_j = f_E + u_j` the odds of row `j`, its scores have the
//! log likelihood `sum y z - log(1 + exp z)`, of slope `g = y - p` and curvature `W = p (1 - p)`, both times the number of
//! scores. Newton's step to the most likely `f` and `u` is the exact fit above of normal scores `z + g / W` with the noise `1 / W`, so
//! rows are eliminated as before: only `R_j = T + W^-1` is each row's own (rows with the same scores of the same points still share
//! one). Written without inverses, for `W` may be nought:
//!
//! ```text
//!   R_j^-1 = V (I + V T V)^-1 V with V = W^1/2,      R_j^-1 (z - m + g / W) = (I - R_j^-1 T) (W (z - m) + g)
//!   a = (I + Lambda K)^-1 r,   f = m + K a,          c_j = R_j^-1 (z - m + g / W - (f - m)),   u_j = T c_j
//!   log evidence = log p(y | z) - a^T K a / 2 - sum_j c_j^T T c_j / 2 - sum_j log det(I + V T V) / 2 - log det B / 2
//! ```
//!
//! At the mode `c_j = g_j`. A step that does not climb is halved; the posterior is concave, so there is one mode, and halved steps lead to it
//! as far as rounding lets them: variances of up to some 1e10 over the number of scores do no harm.
//!
//! # Cost
//!
//! For `n` points with scores and `p` asked for: a fit takes `n^3`, and `m^3` for each set of `m` points that rows have scores of; a joint
//! posterior `p n^2 + p^2 n`, a knowledge gradient `p log p` a point. A few milliseconds for a hundred points. Laplace's fit takes
//! that some five times, and shares less between rows.
//!
//! # Limits
//!
//! - The link of [`BayesLinear`] is linear: a score near 0 or 1 has as much noise as one in the middle. For means well inside the scale
//!   the difference is small, and the fit is exact and done in one step.
//! - [`BayesLogistic`] takes the mode for the mean: it says so itself where that is far off.
//! - Variances are given. [`Fit::log_evidence`] compares settings, and [`mean_by_evidence`] averages over them.
//! - What sets two points apart on one kind of row only (such as one gold label) is noise to the model: give all points the
//!   same rows, in an order in which every prefix has its share of each kind.
//! - All dimensions are choices without an order.

mod evidence;
mod fit;
mod kernel;
mod linalg;
mod logistic;
mod look;
mod posterior;
mod reduced;

pub use self::evidence::{Evidence, Scored};
pub use self::fit::{BayesLinear, Draw, Fit, mean_by_evidence};
pub use self::kernel::ChoiceKernel;
pub use self::logistic::BayesLogistic;
pub use self::look::{Beside, Look, NestedRows};
pub use self::posterior::Posterior;
