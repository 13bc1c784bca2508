//! What tests of language-model programs need: models without a network, tasks with a known answer, faults on demand, and
//! the laws that every model and adapter has to keep.
//!
//! ```text
//!   ScriptedLm   answers by a function of the request; counts, records, watches what is in flight
//!   SimTask      a task with a known landscape: which instruction and which demos are how good
//!   Faulty<L>    any model, failing, garbling or waiting where a test says so
//!   conformance  `lm(..)` and `adapter(..)`: panic with a clear message where a law of the trait is broken
//! ```
//!
//! Everything here is a function of its inputs and seeds: no clock, no sleeping, no network, no executor of its own. Run the
//! futures on whatever executor your tests use.
//!
//! ```
//! use std::sync::Arc;
//! use futures::executor::block_on;
//! use teleprompt_core::{Ctx, Fields, Predictor, SignatureSpec};
//! use teleprompt_testkit::ScriptedLm;
//!
//! let lm = Arc::new(ScriptedLm::default().when("capital of France", "[[ ## answer ## ]]\nParis"));
//! let cx = Ctx::new(lm.clone());
//! let predictor = Predictor::new(SignatureSpec::parse("question -> answer").unwrap());
//! let inputs = Fields::new().with("question", "What is the capital of France?");
//! let outputs = block_on(predictor.call(&cx, inputs)).unwrap();
//! assert_eq!(outputs.text("answer"), "Paris");
//! assert_eq!(lm.log().calls(), 1);
//! ```

pub mod conformance;
mod faulty;
mod hash;
mod log;
mod scripted;
pub mod sim;

pub use faulty::{Fault, Faulty, Gate, When};
pub use log::CallLog;
pub use scripted::{IntoAnswer, ScriptedLm};
pub use sim::{Landscape, SimProgram, SimTask};
