//! The lines of a checkpoint.

use serde::{Deserialize, Serialize};
use teleprompt_core::lm::{
    Completion, FinishReason, LmError, LmErrorKind, LmResponse, ModelId, TokenLogprob, Usage,
};
use teleprompt_core::{CallRole, Stage};

use super::fingerprint::Fingerprint;
use crate::caps::Spent;
use crate::digest::Digest;
use crate::search::TrialKind;

/// The first line.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Header {
    #[serde(rename = "teleprompt_checkpoint")]
    pub(super) version: u32,
    pub(super) fingerprint: Fingerprint,
}

/// A line after the first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Record {
    /// A call begins that may use this much: under a cap, so that it counts if this process ends before it is answered.
    Begun { key: Digest, most: Spent },
    /// A model answered.
    Answer {
        key: Digest,
        role: CallRole,
        text: String,
        #[serde(default)]
        usage: Usage,
        #[serde(default)]
        finish: FinishReason,
        /// Since version 2.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        logprobs: Vec<TokenLogprob>,
        /// Since version 2.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        others: Vec<Completion>,
        /// From the user's own cache: nothing was paid for.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        cached: bool,
        /// Billionths of a USD.
        #[serde(default, skip_serializing_if = "is_zero")]
        nano_usd: u64,
    },
    /// A model gave no answer.
    Failed { key: Digest, role: CallRole, kind: FailureKind, detail: String },
    /// A stage ended with this result.
    Stage { stage: Stage, digest: Digest },
    /// A trial ended with this score.
    Trial { number: usize, kind: TrialKind, score: Option<f64>, digest: Digest },
    /// The run ended: `complete`, `stopped` or `failed`.
    Ended { how: String },
}

fn is_zero(n: &u64) -> bool {
    *n == 0
}

/// What a call came to, as it is given again.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Outcome {
    Answer(LmResponse),
    Failed(FailureKind, String),
}

/// The kinds of failures that are kept: those that say something of one request. What no call can escape is not kept, for it
/// will be different when someone has acted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum FailureKind {
    RateLimited,
    Server(u16),
    Timeout,
    Connection,
    InvalidRequest,
    ContextOverflow(u64, u64),
    Malformed,
    Internal,
}

impl FailureKind {
    /// The kind, if it is one that is kept.
    pub(crate) fn of(kind: &LmErrorKind) -> Option<Self> {
        Some(match kind {
            LmErrorKind::RateLimited { .. } => Self::RateLimited,
            LmErrorKind::Server { status, .. } => Self::Server(*status),
            LmErrorKind::Timeout => Self::Timeout,
            LmErrorKind::Connection => Self::Connection,
            LmErrorKind::InvalidRequest => Self::InvalidRequest,
            LmErrorKind::ContextOverflow { tokens, limit } => Self::ContextOverflow(*tokens, *limit),
            LmErrorKind::Malformed => Self::Malformed,
            LmErrorKind::Internal => Self::Internal,
            _ => return None,
        })
    }

    /// Whether asking again gives the same.
    pub(crate) fn is_of_the_request(&self) -> bool {
        matches!(self, Self::ContextOverflow(..) | Self::InvalidRequest)
    }

    pub(crate) fn error(&self, model: ModelId, detail: String) -> LmError {
        let kind = match *self {
            Self::RateLimited => LmErrorKind::RateLimited { retry_after: None },
            Self::Server(status) => LmErrorKind::Server { status, retry_after: None },
            Self::Timeout => LmErrorKind::Timeout,
            Self::Connection => LmErrorKind::Connection,
            Self::InvalidRequest => LmErrorKind::InvalidRequest,
            Self::ContextOverflow(tokens, limit) => LmErrorKind::ContextOverflow { tokens, limit },
            Self::Malformed => LmErrorKind::Malformed,
            Self::Internal => LmErrorKind::Internal,
        };
        LmError::new(model, kind, detail)
    }
}

impl Record {
    pub(crate) fn answer(key: Digest, role: CallRole, answer: &LmResponse, nano_usd: u64) -> Self {
        Self::Answer {
            key,
            role,
            text: answer.text.clone(),
            usage: answer.usage,
            finish: answer.finish,
            logprobs: answer.logprobs.clone(),
            others: answer.others.clone(),
            cached: answer.cached,
            nano_usd,
        }
    }
}
