//! Bayesian models of choices: exact linear fits, and what to look at next.
mod evidence;
mod fit;
mod kernel;
mod linalg;
mod posterior;

pub use self::evidence::{Evidence, Scored};
pub use self::fit::{BayesLinear, Draw, Fit, mean_by_evidence};
pub use self::kernel::ChoiceKernel;
pub use self::posterior::Posterior;
