//! Models behind a network: each turns an [`LmRequest`](teleprompt_core::lm::LmRequest) into one HTTP exchange.
//!
//! ```text
//!   openai ─ async-openai ─┐
//!   compatible ─ chat ─────┤
//!   anthropic ─────────────┼─ http (one exchange, one vocabulary of errors) ─ server
//!   gemini ────────────────┘
//! ```
//!
//! A provider makes exactly one attempt and keeps no answer: retries, caches and limits are
//! [layers](crate::layers).

pub mod anthropic;
pub(crate) mod chat;
pub mod compatible;
pub mod gemini;
mod grammar;
pub(crate) mod http;
pub(crate) mod media;
#[cfg(feature = "openai")]
pub mod openai;
pub(crate) mod overflow;
pub(crate) mod takes;
mod wait;
