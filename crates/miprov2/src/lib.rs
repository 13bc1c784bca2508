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
//! # Watching a run
//! Everything that happens is an [`Event`](teleprompt_core::Event): stages, batches of rows, trials, failures, retries, caps.
//! [`Progress`] shows them on a terminal or in a log, [`EventLog`] writes them as lines of JSON, a closure does as you like. With
//! the feature `tracing` a run has spans: `optimize mipro_v2`, in it the stages, in them evaluations, in them one
//! `chat {model}` for each call with its usage, retries and error, under OpenTelemetry's names for generative AI (`gen_ai.*`,
//! status: development); `TraceEvents` adds the events. Keys are never recorded, prompts and answers only with
//! `MiproV2Builder::trace_content`. To export: a subscriber with `tracing-opentelemetry`, as for any program with spans.
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
mod opening;
mod optimizer;
mod plan;
mod report;
mod rows;
mod run;
mod search;
mod spans;
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
#[cfg(feature = "tracing")]
pub use spans::{TraceEvents, Traced};
pub use stats::PairedDifference;
