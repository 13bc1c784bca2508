//! Language-model providers and layers for teleprompt: OpenAI, compatible servers, an embedded model, cache, retry
//!
//! Everything here implements [`Lm`](teleprompt_core::lm::Lm). [`providers`] answer requests, one attempt a
//! call; [`layers`] wrap any model, the user's own too; [`from_spec`] opens a model from one line of text and
//! [`LmStack`] puts the usual layers around it:
//!
//! ```
//! use std::sync::Arc;
//! use teleprompt_core::lm::{Lm, LmRequest, Message};
//! use teleprompt_lm::{Cache, CompatibleLm, LmStack, RetryPolicy};
//!
//! # fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let server = CompatibleLm::builder("http://localhost:8000/v1").model("qwen3-8b").build()?;
//! let cache = Cache::in_memory(); // or `Cache::open("answers.db")?`
//! let lm: Arc<dyn Lm> = LmStack::new(server).retry(RetryPolicy::default()).cache(&cache).build();
//! assert_eq!(lm.model().as_str(), "http://localhost:8000/v1#qwen3-8b");
//! # Ok(()) }
//! # run().unwrap();
//! ```
//!
//! Features: `openai` (on by default) is OpenAI through `async-openai`; `local` is the embedded model.

pub mod bill;
pub mod layers;
#[cfg(feature = "local")]
pub mod local;
pub mod pricing;
pub mod providers;
pub mod secret;
pub mod spec;

pub use crate::bill::{Bill, BillLine};
pub use crate::layers::LmStack;
pub use crate::layers::budget::{Budget, Caps, Spent};
pub use crate::layers::cache::{Cache, CacheError, CacheStats};
pub use crate::layers::cassette::{Cassette, Recorder};
pub use crate::layers::limit::{Limiter, Limits};
pub use crate::layers::retry::{Retry, RetryEvent, RetryPolicy};
pub use crate::pricing::{Price, PriceTable};
pub use crate::providers::anthropic::AnthropicLm;
pub use crate::providers::compatible::CompatibleLm;
pub use crate::providers::gemini::GeminiLm;
#[cfg(feature = "openai")]
pub use crate::providers::openai::OpenAiLm;
pub use crate::secret::ApiKey;
pub use crate::spec::{ModelSpec, SpecError, SpecOptions, from_spec};
