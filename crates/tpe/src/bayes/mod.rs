//! Bayesian models of choices: which of many combinations is best, when each look at one is noisy and costs something.
//!
//! TPE knows no noise: a value is a value. Where every candidate is scored on rows of data, one run at a time, the question
//! is another: how sure is it that this one is better than that one, and which run would say most? This module answers it
//! for spaces in which every dimension is a choice.
//!
//! ```text
//!   ChoiceKernel ─┐
//!                 ├─▶ BayesLinear ── fit ──▶ Fit ── posterior(points) ──▶ Posterior
//!   Evidence ─────┘                           └─ draws, at(point)           ├─ best, probability_above     what to choose
//!   (point, row, score)                                                     └─ knowledge_gradient, sample  where to look
//! ```
//!
//! ```
//! use teleprompt_tpe::bayes::{BayesLinear, ChoiceKernel, Evidence};
//!
//! let kernel = ChoiceKernel::additive(1.5, vec![0.01, 0.01]).with_own(0.005);
//! let model = BayesLinear::new(kernel, 0.5, 0.12, 0.14)?;
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
//! A score of point `i` on row `j` is `y = f_i + u_j + e`: the point's value, the row's ease and noise, all normal. `f` has the
//! covariance `K` of the kernel, `u_j` the variance `r`, `e` the variance `1/w`. With `c_ij` the number of scores of `i` on `j`
//! and `H_j = 1/r + w sum_i c_ij`, integrating the eases out leaves for `f` alone
//!
//! ```text
//!   information   Lambda = D - W H^-1 W^T    Lambda_ik = w [i = k] sum_j c_ij - sum_j w^2 c_ij c_kj / H_j
//!   right side    r_i    = w sum_j (y_ij - c_ij (w / H_j) sum_k y_kj)          (y_ij summed over scores, prior mean taken off)
//!   posterior     cov = (K^-1 + Lambda)^-1,   mean = cov r
//! ```
//!
//! so the size of every matrix is the number of *points* with scores, whatever the number of rows. `K` may be singular (points
//! without an effect of their own), so it is never inverted: with `Lambda = L L^T` and `B = I + L^T K L`, which is at least the
//! identity,
//!
//! ```text
//!   cov(x, x') = k(x, x') - k(x, E) L B^-1 L^T k(E, x'),    mean(x) = m + k(x, E) (r - L B^-1 L^T K r)
//!   log evidence = r^T K (r - L B^-1 L^T K r) / 2 - log det B / 2      (but for what no kernel changes)
//! ```
//!
//! for points `x` with or without scores. `H_j` with `r = 0` is infinite, and rows then drop out.
//!
//! # Cost
//!
//! For `n` points with scores and `p` asked for: a fit takes `n^3` and the pairs of scores on the same row, a joint posterior
//! `p n^2 + p^2 n`, a knowledge gradient `p log p` a point. A few milliseconds for a hundred points.
//!
//! # Limits
//!
//! - The link is linear: a score near 0 or 1 has as much noise as one in the middle. For means well inside the scale the
//!   difference is small, and the fit is exact and done in one step.
//! - Variances are given. [`Fit::log_evidence`] compares settings, and [`mean_by_evidence`] averages over them.
//! - What sets two points apart on one kind of row only (such as one gold label) is noise to the model: give all points the
//!   same rows, in an order in which every prefix has its share of each kind.
//! - All dimensions are choices without an order.

mod evidence;
mod fit;
mod kernel;
mod linalg;
mod posterior;

pub use self::evidence::{Evidence, Scored};
pub use self::fit::{BayesLinear, Draw, Fit, mean_by_evidence};
pub use self::kernel::ChoiceKernel;
pub use self::posterior::Posterior;
