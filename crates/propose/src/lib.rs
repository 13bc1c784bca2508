//! Instruction proposers: new instructions for the predictors of a program, grounded in what is known of its data, its code
//! and its demos.
//!
//! ```text
//!   Proposer ◀── GroundedProposer   says what is known        dataset_summary, program_description, statistics
//!      ▲                            shows it to the prompt LM grounding, prompts, tips
//!      │                            checks what it answers    strip, checks, forms, relevance, leak, known
//!      │                            fills what stays empty    pool, edits
//!      │                            does it again, from scores and failures (refine)
//!      └──────── FixedProposer      a list of the user's own
//! ```
//!
//! The prompts stand in one file and are plain signatures, asked through the context's adapter like every other call. A pool
//! of instructions always begins with the current one, and no answer of a model can make it smaller than that.
//!
//! **Absent on purpose:** running programs and searching (`teleprompt-miprov2`; scores come in as data), providers and limits on calls in flight
//! (`teleprompt-lm`), files.

mod call;
mod checks;
mod config;
mod dataset_summary;
mod edits;
mod error;
mod fixed;
mod forms;
mod grounded;
mod grounding;
mod known;
mod label_words;
mod language;
mod leak;
mod pool;
mod program_description;
mod prompts;
mod proposals;
mod proposer;
mod refine;
mod rejection;
mod relevance;
mod render;
mod request;
mod script;
mod statistics;
mod strip;
mod tip_table;
mod tips;

pub use config::GroundedProposerBuilder;
pub use error::{ConfigError, ConfigProblem, ProposeError};
pub use fixed::FixedProposer;
pub use grounded::GroundedProposer;
pub use grounding::{Ground, Grounding, Heading, Place};
pub use proposals::{InstructionOrigin, Prepared, Proposals, ProposedInstruction};
pub use proposer::{CallRange, Proposer};
pub use refine::{FailedCase, RefineRequest, Refinement, ScoredInstruction};
pub use rejection::{RejectReason, Rejection};
pub use request::ProposalRequest;
pub use statistics::{DataStatistics, FieldStatistics, Format, Spread, Values};
pub use strip::strip;
pub use tip_table::{OriginResult, TipTable, Tried};
pub use tips::{Tip, TipCondition, TipDraw, TipLibrary};
