//! Optimize the prompts of language-model programs.
//!
//! A program is a struct of predictors, each with a typed signature. Given a few dozen examples and a metric,
//! [`MiproV2`] finds the instruction and the few-shot demos of every predictor that together score best, and hands them back
//! as data.
//!
//! ```
//! use std::sync::Arc;
//! use teleprompt::prelude::*;
//!
//! /// Decide which team answers the customer's message.
//! #[derive(Signature)]
//! struct Triage {
//!     #[input]
//!     message: String,
//!     #[output]
//!     team: Team,
//! }
//!
//! #[derive(Label, Clone, Copy, Debug, PartialEq)]
//! enum Team {
//!     Billing,
//!     Delivery,
//! }
//!
//! #[derive(Module)]
//! struct Desk {
//!     triage: Predict<Triage>,
//! }
//!
//! #[program_source]
//! impl Module for Desk {
//!     type Input = TriageInput;
//!     type Output = TriageOutput;
//!
//!     async fn forward(&self, cx: &Ctx, input: TriageInput) -> Result<TriageOutput, Error> {
//!         self.triage.call(cx, input).await
//!     }
//! }
//!
//! # use teleprompt_testkit::ScriptedLm;
//! // Any model will do; this one is a script.
//! let lm: Arc<dyn Lm> = Arc::new(ScriptedLm::new(|request| {
//!     let paid = request.last_user_text().contains("paid");
//!     format!("[[ ## team ## ]]\n{}", if paid { "billing" } else { "delivery" })
//! }));
//! let rows = ["I paid twice", "where is it", "paid, no invoice", "not here yet", "still nothing", "who paid this"];
//! let train: Vec<Example> = rows
//!     .iter()
//!     .map(|&message| Triage {
//!         message: message.to_owned(),
//!         team: if message.contains("paid") { Team::Billing } else { Team::Delivery },
//!     })
//!     .map(Example::from)
//!     .collect();
//!
//! let desk = Desk { triage: Predict::new() };
//! let optimizer = MiproV2::builder().task_lm(lm).num_candidates(2).num_trials(3).build().unwrap();
//! let metric = metric::exact_match("team");
//! let best = futures::executor::block_on(optimizer.compile(&desk, &Dataset::new(train), &metric)).unwrap();
//! assert_eq!(best.report.winner.score, Some(1.0));
//! ```
//!
//! # Crates
//! | module | crate | what |
//! |---|---|---|
//! | the root | `teleprompt-core` | signatures, modules, contexts, adapters, metrics, evaluation |
//! | the root | `teleprompt-miprov2` | the optimizer |
//! | [`lm`] | `teleprompt-lm` | models: OpenAI, Anthropic, Gemini, compatible servers, the embedded one; cache, retry, limits |
//! | [`propose`] | `teleprompt-propose` | instruction proposers and tips |
//! | [`data`] | `teleprompt-data` | data files |
//! | [`tpe`] | `teleprompt-tpe` | the Bayesian optimizer, usable alone |
//!
//! # Features
//! `openai` (default): OpenAI's API through `async-openai`. `local`: the embedded model. `schemars`: fields of your own `serde`
//! types, [`Json`](teleprompt_core::FieldType::Json). `parquet`, `hub`: rows from Parquet files, and from data sets of the Hugging
//! Face hub. `tracing`: spans of a run and of its calls, with OpenTelemetry's names for generative AI.

#[doc(inline)]
pub use teleprompt_core::*;
#[doc(inline)]
pub use teleprompt_macros::{Label, Module, Signature, program_source};
#[doc(inline)]
pub use teleprompt_miprov2::*;

#[doc(inline)]
pub use teleprompt_data as data;
#[doc(inline)]
pub use teleprompt_propose as propose;
#[doc(inline)]
pub use teleprompt_tpe as tpe;

/// Language models: the contract, the providers and the layers around them.
pub mod lm {
    #[doc(inline)]
    pub use teleprompt_core::lm::*;
    #[doc(inline)]
    pub use teleprompt_lm::*;
}

/// What most programs need, for `use teleprompt::prelude::*`.
pub mod prelude {
    pub use teleprompt_core::{
        Candidate, ChainOfThought, ChatAdapter, Ctx, Demo, Error, Evaluate, Example, Fields, JsonAdapter, Lm,
        Metric, Module, PlainAdapter, Predict, Prediction, SavedProgram, Signature, metric,
    };
    pub use teleprompt_macros::{Label, Module, Signature, program_source};
    pub use teleprompt_miprov2::{Auto, Dataset, MiproV2, Optimized, StopSignal, Teacher};
}

/// The program in the README compiles.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;
