//! MIPROv2 for typed language-model programs: instructions and demos for every predictor, found together.
//!
//! ```text
//!   Dataset ─▶ bootstrap ─▶ propose ─▶ search ─▶ Optimized { candidate, report }
//! ```
//!
//! [`MiproV2::builder`] takes the models and the budget, [`MiproV2::plan`] says what a run will ask for, and
//! [`MiproV2::compile`] runs it. The program is never changed: the result is a [`Candidate`](teleprompt_core::Candidate),
//! as data.
//!
//! **Absent on purpose:** providers and caches (any [`Lm`](teleprompt_core::Lm) will do; a cache around it makes a second run
//! free), files other than the saved program, and an executor.

mod bootstrap;
mod config;
mod dataset;
mod demo_sets;
mod error;
mod gate;
mod optimizer;
mod plan;
mod report;
mod run;
mod search;
mod stats;

pub use bootstrap::FailedRow;
pub use config::{Auto, Budget, MiproV2Builder, ReferenceSearch, Teacher};
pub use dataset::Dataset;
pub use demo_sets::DemoSets;
pub use error::{ConfigError, ConfigProblem, OptimizeError};
pub use gate::StopSignal;
pub use optimizer::MiproV2;
pub use plan::Plan;
pub use report::{Optimized, Report, Scored, TestResult};
pub use search::adaptive;
pub use search::{Choice, Choices, Ended, Options, SearchSpace, TrialKind, TrialRecord};
pub use stats::PairedDifference;
