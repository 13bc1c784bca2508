//! Spans of a run for `tracing`, named as OpenTelemetry's conventions for generative AI have it (feature `tracing`).
//!
//! ```text
//!   optimize mipro_v2
//!     ├ bootstrap ─ propose ─ search ─ test        one for each stage; they overlap
//!     │               └ evaluation                 a candidate on some rows
//!     │                   └ chat {model}           a call, with its usage, retries and error
//! ```
//!
//! Without the feature everything here is empty and costs nothing. Absent on purpose: an exporter; `tracing-opentelemetry` or any
//! other subscriber turns the fields into attributes. Source: OpenTelemetry semantic conventions for generative AI,
//! `gen-ai-spans.md` (status: development), read at commit 002c8a6ea1c8.

#[cfg(feature = "tracing")]
mod events;
#[cfg(not(feature = "tracing"))]
mod off;
#[cfg(feature = "tracing")]
mod on;
#[cfg(feature = "tracing")]
mod traced;

#[cfg(feature = "tracing")]
pub use events::TraceEvents;
#[cfg(not(feature = "tracing"))]
pub(crate) use off::{CallSpan, Spans};
#[cfg(feature = "tracing")]
pub(crate) use on::{CallSpan, Spans};
#[cfg(feature = "tracing")]
pub use traced::Traced;
