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
//! A run that keeps a [checkpoint](MiproV2Builder::checkpoint) goes on after it was killed; one with [`Caps`] never uses more
//! than they allow.
//!
//! **Absent on purpose:** providers and caches (any [`Lm`](teleprompt_core::Lm) will do), files other than the saved program and
//! the checkpoint, and an executor.

mod bootstrap;
mod builder;
mod caps;
mod checkpoint;
mod config;
mod dataset;
mod demo_sets;
mod digest;
mod error;
mod gate;
mod limit;
mod observe;
mod once;
mod optimizer;
mod plan;
mod report;
mod rows;
mod run;
mod search;
mod stats;

pub use bootstrap::FailedRow;
pub use builder::MiproV2Builder;
pub use caps::{Caps, Spent, TokenPrice};
pub use checkpoint::CheckpointError;
pub use config::{AdaptiveSearch, Auto, Budget, ProgramRuns, ReferenceSearch, Settings, Strategy, Teacher};
pub use dataset::Dataset;
pub use demo_sets::{DemoSets, DemoSource};
pub use error::{ConfigError, ConfigProblem, OptimizeError};
pub use gate::{StopSignal, Tally};
pub use observe::{EventLog, Progress};
pub use optimizer::MiproV2;
pub use plan::{Plan, Span};
pub use report::{
    Ensemble, Models, Optimized, Process, REPORT_VERSION, Ranked, Report, Saved, Scored, TestResult,
};
pub use search::adaptive;
pub use search::{Choice, Choices, Ended, Options, Posterior, SearchSpace, TrialKind, TrialRecord};
pub use stats::PairedDifference;
