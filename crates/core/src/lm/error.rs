//! What can stand in the place of an answer.

use std::time::Duration;

use super::ModelId;

/// Why a model gave no answer. The message names the model and the cause; it never holds a key.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{model}: {kind}{}", detail_suffix(.detail))]
pub struct LmError {
    /// Which model was asked.
    pub model: ModelId,
    /// What kind of failure it was.
    pub kind: LmErrorKind,
    /// What the provider or the system said, and what to do about it; may be empty.
    pub detail: String,
}

fn detail_suffix(detail: &str) -> String {
    if detail.is_empty() { String::new() } else { format!(": {detail}") }
}

impl LmError {
    /// An error of this kind.
    pub fn new(model: ModelId, kind: LmErrorKind, detail: impl Into<String>) -> Self {
        Self { model, kind, detail: detail.into() }
    }

    /// Whether another attempt at the same request can succeed.
    pub fn is_retryable(&self) -> bool {
        matches!(
            self.kind,
            LmErrorKind::RateLimited { .. }
                | LmErrorKind::Server { .. }
                | LmErrorKind::Timeout
                | LmErrorKind::Connection
        )
    }

    /// How long the provider asks to wait before another attempt.
    pub fn retry_after(&self) -> Option<Duration> {
        match self.kind {
            LmErrorKind::RateLimited { retry_after } | LmErrorKind::Server { retry_after, .. } => retry_after,
            _ => None,
        }
    }

    /// Whether the run was told to stop: not a failure of the model.
    pub fn is_stopped(&self) -> bool {
        matches!(self.kind, LmErrorKind::Stopped)
    }

    /// Whether no request at all can succeed until someone acts: a wrong key, an unknown model.
    pub fn is_fatal(&self) -> bool {
        matches!(self.kind, LmErrorKind::Auth | LmErrorKind::NotFound | LmErrorKind::Stopped)
    }
}

/// The kinds of [`LmError`].
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum LmErrorKind {
    /// HTTP 429 or its like.
    #[error("rate limit reached")]
    RateLimited {
        /// How long the provider asks to wait.
        retry_after: Option<Duration>,
    },
    /// HTTP 5xx or its like.
    #[error("server error {status}")]
    Server {
        /// The HTTP status.
        status: u16,
        /// How long the provider asks to wait.
        retry_after: Option<Duration>,
    },
    /// No answer in time.
    #[error("timed out")]
    Timeout,
    /// The provider could not be reached, or the connection broke.
    #[error("cannot be reached")]
    Connection,
    /// HTTP 401 or 403: the key is missing or refused.
    #[error("the key was refused")]
    Auth,
    /// HTTP 404: no such model or address.
    #[error("no such model or address")]
    NotFound,
    /// HTTP 400 or 422, or a request that this model cannot take.
    #[error("invalid request")]
    InvalidRequest,
    /// The prompt does not fit into the model's context.
    #[error("the prompt of {tokens} tokens does not fit into the context of {limit}")]
    ContextOverflow {
        /// Tokens of the prompt.
        tokens: u64,
        /// Tokens that fit.
        limit: u64,
    },
    /// The provider answered something that is not an answer.
    #[error("the answer could not be read")]
    Malformed,
    /// The answer could not be written where a later run finds it.
    #[error("the answer could not be stored")]
    Storage,
    /// The run was told to stop before this call began.
    #[error("stopped before the call")]
    Stopped,
    /// A failure of the model's own, such as weights that do not load.
    #[error("failed")]
    Internal,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_name_the_model_and_the_cause() {
        let error = LmError::new(
            ModelId::new("m"),
            LmErrorKind::Server { status: 503, retry_after: Some(Duration::from_secs(2)) },
            "loading",
        );
        assert_eq!(error.to_string(), "m: server error 503: loading");
        assert!(error.is_retryable() && !error.is_fatal());
        assert_eq!(error.retry_after(), Some(Duration::from_secs(2)));
    }
}
