//! The behavior of the proposers through their public interface, with scripted models.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking too")]

mod calls;
mod failures;
mod laws;
mod pool;
mod prompts;
mod refine;
mod support;
