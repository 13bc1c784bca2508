//! Bayesian optimization with tree-structured Parzen estimators: studies, ask and tell
mod axis;
mod distribution;
mod error;
mod parzen;
mod sampler;
mod space;
mod study;
#[cfg(feature = "testing")]
pub mod testing;
mod trial;
mod truncnorm;
mod weights;

pub use crate::distribution::{Choice, Distribution, ParamValue};
pub use crate::error::{Error, SpaceError};
pub use crate::sampler::{
    AskContext, Densities, Dependence, Gamma, RandomSampler, Sampler, TpeConfig, TpeSampler,
};
pub use crate::space::{Condition, Parameter, SearchSpace, SearchSpaceBuilder, Values};
pub use crate::study::{Study, StudyState};
pub use crate::trial::{Direction, FinishedTrial, Observation, Outcome, Problem, Trial};
pub use crate::weights::Weights;
