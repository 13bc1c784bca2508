//! The contracts of teleprompt: typed language-model programs, and everything an optimizer needs to work on them.
//!
//! ```text
//!   Signature ─▶ Predict ─▶ Module ═▶ Program      a task, a call, a program, its object-safe view
//!                  │
//!   Ctx ───────────┘   model (Lm) + form (Adapter) + Candidate (instructions, demos) + Trace + Meter
//!
//!   Example + Metric ─▶ Evaluate ─▶ Evaluation     rows, scores, every row kept
//! ```
//!
//! A program is shared and never changed. What differs between two runs of it is data in its [`Ctx`].
//!
//! ```
//! use std::sync::Arc;
//! use teleprompt_core::{Ctx, Evaluate, Example, Fields, Predictor, SignatureSpec, metric};
//! # use teleprompt_testkit::ScriptedLm;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let lm = ScriptedLm::new(|_| "[[ ## answer ## ]]\n2");
//! let program = Predictor::new(SignatureSpec::parse("question -> answer: int")?);
//! let rows = [("1 + 1?", 2), ("2 + 2?", 4)]
//!     .map(|(question, answer)| Fields::new().with("question", question).with("answer", answer));
//! let rows = Example::all_with_inputs(rows, &["question"])?;
//!
//! // `lm`: any model. This one says 2, whatever it is asked.
//! let cx = Ctx::new(Arc::new(lm));
//! let metric = metric::exact_match("answer");
//! let run = Evaluate::new(&rows, &metric).concurrency(16).run(&program, &cx);
//! let evaluation = futures::executor::block_on(run)?;
//! assert_eq!(evaluation.score(), Some(0.5));
//! println!("{evaluation}");
//! # Ok(())
//! # }
//! ```
//!
//! **Absent on purpose:** an executor, files, the network, any provider. Implementations of [`Lm`] live in
//! `teleprompt-lm`, optimizers in `teleprompt-miprov2`.

// The derive macros name this crate by its public path, here as well.
extern crate self as teleprompt_core;

pub mod adapter;
mod candidate;
mod combine;
mod context;
mod error;
pub mod evaluate;
pub mod event;
mod example;
mod field_type;
mod fields;
mod history;
pub mod lm;
mod media;
mod meter;
pub mod metric;
mod module;
mod predict;
pub mod rng;
mod saved;
mod signature;
pub mod stats;
mod trace;
pub mod value;

pub use adapter::{Adapter, AdapterCall, AdapterError, ChatAdapter, JsonAdapter, PlainAdapter};
pub use candidate::{Candidate, Demo, DemoOrigin, PredictorName, PredictorParams};
pub use combine::{BestOfN, Parallel};
pub use context::{Bindings, Ctx};
pub use error::{BindError, Error};
pub use evaluate::{Evaluate, EvaluateError, Evaluation, StreamError};
pub use event::{Event, Observer, Stage};
pub use example::{Example, RowFieldsError, split};
#[cfg(feature = "schemars")]
pub use field_type::Json;
pub use field_type::{FieldType, FieldValue, ValueError};
pub use fields::{Fields, FieldsError, FromFields, IntoFields, Nearest};
pub use history::{Exchange, History};
pub use lm::{Lm, LmError, LmRequest, LmResponse};
pub use media::{Media, MediaSource};
pub use meter::{CallCounts, CallRole, Meter, ModelCalls};
pub use metric::{Metric, MetricError, Score};
pub use module::{Module, NamedPredictor, Prediction, Program, Visit, Visitor};
pub use predict::{ChainOfThought, Predict, Predictor, PredictorId, REASONING, Reasoned};
pub use saved::{LoadedProgram, MAX_FILE_BYTES, METADATA, SavedError, SavedProgram};
/// The JSON value that fields hold.
pub use serde_json::Value;
pub use signature::{FieldSpec, Signature, SignatureError, SignatureSpec};
pub use trace::{Trace, TraceStep};
