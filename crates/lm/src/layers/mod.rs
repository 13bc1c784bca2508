//! Layers: models that wrap a model.
//!
//! Each is usable alone, around any [`Lm`](teleprompt_core::lm::Lm). Together they stand in this order,
//! outermost first:
//!
//! ```text
//!   request ─▶ recorder ─▶ cache ─▶ retry ─▶ budget ─▶ limit ─▶ provider
//! ```
//!
//! - **The recorder is outermost**: a cassette has every answer of the run, those from the cache too.
//! - **The cache is outside retry**: a known answer waits for nothing, identical calls in flight share one
//!   series of attempts, and only what came out of that series is kept. Errors are never kept.
//! - **Budget and limit are inside retry**: each attempt counts against them, a call that waits between two
//!   attempts holds neither place nor money, and a known answer is never refused or delayed. What follows: time
//!   in a limit's queue counts against a call's deadline.
//! - **The budget is outside the limit**: a call that is refused does not queue first.
//! - The bound on calls in flight of a whole run is none of these: it stands outside, in the run's context.
//!
//! [`LmStack`] keeps this order whatever the order of its calls.
//!
//! | layer | what is shared | what it needs |
//! |---|---|---|
//! | [`cassette`] | a [`Recorder`](cassette::Recorder) by any number of models | a file |
//! | [`cache`] | a [`Cache`](cache::Cache) by models, handles and processes; calls in flight within a wrapped model | nothing, or a file |
//! | [`retry`] | nothing | a `tokio` runtime with time |
//! | [`budget`] | a [`Budget`](budget::Budget) by any number of models | a `tokio` runtime with time, for a cap on time |
//! | [`limit`] | a [`Limiter`](limit::Limiter) by the models of one account | a `tokio` runtime with time |

pub mod budget;
pub mod cache;
pub mod cassette;
pub mod limit;
pub mod retry;
mod stack;

pub use stack::LmStack;
