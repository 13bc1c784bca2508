//! The laws of the contracts in `teleprompt-core`, as functions that panic where an implementation breaks one.
//!
//! Call them in the tests of a model or an adapter of your own:
//!
//! ```
//! use futures::executor::block_on;
//! use teleprompt_core::{LmRequest, PlainAdapter};
//! use teleprompt_testkit::{ScriptedLm, conformance};
//!
//! conformance::adapter(&PlainAdapter);
//! block_on(conformance::lm(&ScriptedLm::new(|_: &LmRequest| "yes")));
//! ```

mod adapter;
mod generate;
mod lm;

pub use adapter::adapter;
pub use lm::lm;

/// Ends a suite: the law that is broken, and how.
#[expect(clippy::panic, reason = "a conformance suite tells a test of a broken law by panicking")]
#[track_caller]
fn broken(law: &str, how: &str) -> ! {
    panic!("broken law: {law}\n{how}")
}
