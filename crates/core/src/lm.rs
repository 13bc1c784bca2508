//! The contract of a language model: one request, one answer.
//!
//! What stands here is data ([`LmRequest`], [`LmResponse`], [`LmError`]) and one object-safe trait, [`Lm`].
//! Providers, caches, retries and limits are implementations of the same trait in other crates, so they stack:
//!
//! ```text
//!   Ctx ─ request ─▶ limit ─▶ cache ─▶ retry ─▶ provider
//! ```
//!
//! Deliberately absent: streaming, tools, and anything of a single provider.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::media::Media;

/// A language model that answers requests; implemented by providers and by the layers around them.
///
/// # Cost
/// One call of [`Lm::generate`] is one LM call, unless a layer answers it from what is known
/// ([`LmResponse::cached`]).
///
/// # Determinism
/// Callers treat an answer as a function of the request. A model that samples makes that true for one run by
/// a cache in front of it; [`LmRequest::rollout`] asks for another sample of the same request.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a language model",
    note = "implement `Lm`: `model`, and `generate` returning a `BoxFuture`"
)]
pub trait Lm: Send + Sync {
    /// The identity of the model: part of every cache key and of every report.
    fn model(&self) -> &ModelId;

    /// What the model can do beyond text. The default is "text only".
    fn capabilities(&self) -> Capabilities {
        Capabilities::default()
    }

    /// Answers one request.
    ///
    /// # Errors
    /// An [`LmError`] that says what went wrong and whether another attempt can help.
    fn generate<'a>(&'a self, request: &'a LmRequest) -> BoxFuture<'a, Result<LmResponse, LmError>>;
}

/// A shared model is a model.
impl<L: Lm + ?Sized> Lm for Arc<L> {
    fn model(&self) -> &ModelId {
        (**self).model()
    }

    fn capabilities(&self) -> Capabilities {
        (**self).capabilities()
    }

    fn generate<'a>(&'a self, request: &'a LmRequest) -> BoxFuture<'a, Result<LmResponse, LmError>> {
        (**self).generate(request)
    }
}

/// The name of a model, such as `openai/gpt-4o-mini`; never empty in practice, compared byte by byte.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ModelId(Arc<str>);

impl ModelId {
    /// A model's identity from its name.
    pub fn new(name: impl Into<Arc<str>>) -> Self {
        Self(name.into())
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ModelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a model can do beyond answering text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Capabilities {
    /// Honours [`OutputConstraint::Regex`].
    pub regex: bool,
    /// Honours [`OutputConstraint::JsonSchema`].
    pub json_schema: bool,
    /// Takes [`Part::Media`]; which types of media is the model's matter.
    #[serde(default)]
    pub media: bool,
    /// Runs outside this machine: what is sent to it leaves the machine. An `Lm` of your own that asks a server sets it, or
    /// nobody is warned.
    pub remote: bool,
}

impl Capabilities {
    /// A model on this machine that honours no constraint.
    pub fn text() -> Self {
        Self::default()
    }

    /// The same, honouring regular expressions (`regex`).
    #[must_use]
    pub fn with_regex(mut self, yes: bool) -> Self {
        self.regex = yes;
        self
    }

    /// The same, honouring JSON schemas.
    #[must_use]
    pub fn with_json_schema(mut self, yes: bool) -> Self {
        self.json_schema = yes;
        self
    }

    /// The same, taking media.
    #[must_use]
    pub fn with_media(mut self, yes: bool) -> Self {
        self.media = yes;
        self
    }

    /// The same, outside this machine.
    #[must_use]
    pub fn with_remote(mut self, yes: bool) -> Self {
        self.remote = yes;
        self
    }
}

/// One request to a model: everything its answer depends on, and nothing else.
///
/// Serialized, it is the key of caches and cassettes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct LmRequest {
    /// The conversation so far, in order.
    pub messages: Vec<Message>,
    /// Sampling and length settings.
    #[serde(default)]
    pub settings: LmSettings,
    /// What the whole completion must match; models without the capability ignore it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub constraint: Option<OutputConstraint>,
    /// Which sample of this request is meant: 0 is the first. Another number is another answer.
    #[serde(default)]
    pub rollout: u64,
}

impl LmRequest {
    /// A request with the given messages and default settings.
    pub fn new(messages: Vec<Message>) -> Self {
        Self { messages, ..Self::default() }
    }

    /// The same request with these settings.
    #[must_use]
    pub fn with_settings(mut self, settings: LmSettings) -> Self {
        self.settings = settings;
        self
    }

    /// The same request with an output constraint.
    #[must_use]
    pub fn with_constraint(mut self, constraint: Option<OutputConstraint>) -> Self {
        self.constraint = constraint;
        self
    }

    /// The same request, asking for sample `rollout`.
    #[must_use]
    pub fn with_rollout(mut self, rollout: u64) -> Self {
        self.rollout = rollout;
        self
    }

    /// The text of the last user message, or `""` when there is none.
    pub fn last_user_text(&self) -> String {
        self.messages.iter().rev().find(|m| m.role == Role::User).map(Message::text).unwrap_or_default()
    }
}

/// Sampling and length settings; `None` leaves a setting to the model.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct LmSettings {
    /// Sampling temperature in `[0, 2]`; 0 is greedy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f64>,
    /// Most tokens in the completion.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_tokens: Option<u32>,
    /// The completion ends before the first of these strings.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub stop: Vec<String>,
    /// Seed of the model's sampler, where it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
}

impl LmSettings {
    /// These settings, with what `self` leaves open taken from `fallback`.
    #[must_use]
    pub fn or(&self, fallback: &LmSettings) -> LmSettings {
        LmSettings {
            temperature: self.temperature.or(fallback.temperature),
            max_tokens: self.max_tokens.or(fallback.max_tokens),
            stop: if self.stop.is_empty() { fallback.stop.clone() } else { self.stop.clone() },
            seed: self.seed.or(fallback.seed),
        }
    }
}

/// Who says a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Instructions that hold for the whole conversation.
    System,
    /// What is asked.
    User,
    /// What the model answered.
    Assistant,
}

/// One message of a conversation.
///
/// Its text is the concatenation of its parts. Where parts begin and end never changes the meaning; a model
/// may use it to keep the state of parts that many requests share.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Message {
    /// Who says it.
    pub role: Role,
    /// What is said.
    pub parts: Vec<Part>,
}

impl Message {
    /// A message of one text part.
    pub fn new(role: Role, text: impl Into<String>) -> Self {
        Self { role, parts: vec![Part::Text(text.into())] }
    }

    /// A system message.
    pub fn system(text: impl Into<String>) -> Self {
        Self::new(Role::System, text)
    }

    /// A user message.
    pub fn user(text: impl Into<String>) -> Self {
        Self::new(Role::User, text)
    }

    /// An assistant message.
    pub fn assistant(text: impl Into<String>) -> Self {
        Self::new(Role::Assistant, text)
    }

    /// The text of all text parts, concatenated.
    pub fn text(&self) -> String {
        self.texts().collect()
    }

    /// The text parts, in order.
    pub fn texts(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| match part {
            Part::Text(text) => Some(text.as_str()),
            Part::Media(_) => None,
        })
    }

    /// The media parts, in order.
    pub fn media(&self) -> impl Iterator<Item = &Media> {
        self.parts.iter().filter_map(|part| match part {
            Part::Text(_) => None,
            Part::Media(media) => Some(media),
        })
    }

    /// The same message with media after its other parts.
    #[must_use]
    pub fn with_media(mut self, media: impl IntoIterator<Item = Media>) -> Self {
        self.parts.extend(media.into_iter().map(Part::Media));
        self
    }
}

/// A piece of a message.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// Plain text.
    Text(String),
    /// An image, a sound or a document, for models with [`Capabilities::media`].
    Media(Media),
}

/// What a completion must look like, from its first to its last character.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum OutputConstraint {
    /// A regular expression (Rust syntax, no look-around) that the whole completion matches.
    Regex(String),
    /// A JSON schema that the completion, a JSON document, satisfies.
    JsonSchema(Value),
}

/// A model's answer.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct LmResponse {
    /// The completion.
    pub text: String,
    /// Tokens used.
    #[serde(default)]
    pub usage: Usage,
    /// Why the completion ended.
    #[serde(default)]
    pub finish: FinishReason,
    /// Answered from what was known: nothing was paid for.
    #[serde(skip)]
    pub cached: bool,
}

impl LmResponse {
    /// A complete answer.
    pub fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), ..Self::default() }
    }

    /// The same answer with its token counts.
    #[must_use]
    pub fn with_usage(mut self, usage: Usage) -> Self {
        self.usage = usage;
        self
    }

    /// The same answer, ended for this reason.
    #[must_use]
    pub fn with_finish(mut self, finish: FinishReason) -> Self {
        self.finish = finish;
        self
    }

    /// The same answer, marked as known before.
    #[must_use]
    pub fn into_cached(mut self) -> Self {
        self.cached = true;
        self
    }
}

/// Why a completion ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum FinishReason {
    /// The model ended it, or a stop string did.
    #[default]
    Stop,
    /// It reached the most tokens allowed: the text is cut.
    Length,
    /// The provider withheld or cut the text.
    Filtered,
}

/// Tokens used by one or more calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Usage {
    /// Tokens of the prompts, those read from the provider's prompt cache included.
    pub input_tokens: u64,
    /// Tokens of the completions.
    pub output_tokens: u64,
    /// Of `input_tokens`, those that the provider took from its prompt cache.
    pub cached_tokens: u64,
}

impl std::ops::AddAssign for Usage {
    fn add_assign(&mut self, other: Self) {
        self.input_tokens += other.input_tokens;
        self.output_tokens += other.output_tokens;
        self.cached_tokens += other.cached_tokens;
    }
}

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

    fn _object_safe(_: &dyn Lm) {}

    #[test]
    fn a_request_survives_its_own_json() {
        let request = LmRequest::new(vec![Message::system("a"), Message::user("b")])
            .with_constraint(Some(OutputConstraint::Regex("x+".into())))
            .with_rollout(3);
        let text = serde_json::to_string(&request).unwrap();
        assert_eq!(serde_json::from_str::<LmRequest>(&text).unwrap(), request);
    }

    #[test]
    fn errors_name_the_model_and_the_cause() {
        let error = LmError::new(ModelId::new("m"), LmErrorKind::Server { status: 503 }, "loading");
        assert_eq!(error.to_string(), "m: server error 503: loading");
        assert!(error.is_retryable() && !error.is_fatal());
    }
}
