//! The behavior of the proposers through their public interface, with scripted models.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail by panicking too")]

mod calls;
mod failures;
mod pool;
mod prompts;
mod support;
