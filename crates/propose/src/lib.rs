//! Instruction proposers: new instructions for the predictors of a program, grounded in what is known of its data, its code
//! and its demos.
//!
//! ```text
//!   Proposer ◀── GroundedProposer   asks the prompt LM        prompts, dataset_summary, program_description, tips
//!      ▲                            checks what it answers    strip, checks, leak
//!      │                            fills what stays empty    pool, edits
//!      └──────── FixedProposer      a list of the user's own
//! ```
//!
//! The prompts stand in one file and are plain signatures, asked through the context's adapter like every other call. A pool
//! of instructions always begins with the current one, and no answer of a model can make it smaller than that.
//!
//! **Absent on purpose:** scores and search (`teleprompt-miprov2`), providers and limits on calls in flight
//! (`teleprompt-lm`), files.

mod call;
mod checks;
mod config;
mod dataset_summary;
mod edits;
mod error;
mod fixed;
mod grounded;
mod leak;
mod pool;
mod program_description;
mod prompts;
mod proposer;
mod render;
mod statistics;
mod strip;
mod tips;

pub use config::GroundedProposerBuilder;
pub use error::{ConfigError, ConfigProblem, ProposeError};
pub use fixed::FixedProposer;
pub use grounded::GroundedProposer;
pub use proposer::{
    CallRange, Grounding, InstructionOrigin, Prepared, ProposalRequest, Proposals, ProposedInstruction,
    Proposer, RejectReason, Rejection,
};
pub use strip::strip;
pub use tips::{Tip, TipCondition, TipDraw, TipLibrary};
