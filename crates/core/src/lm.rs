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

mod error;
mod settings;

use std::fmt;
use std::sync::Arc;

use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use error::{LmError, LmErrorKind};
pub use settings::{Effort, LmSettings, Reasoning};

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
#[serde(default)]
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
    /// What the whole completion must match; a model without the capability refuses it.
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
    /// The tokens of `text` with their log-probabilities; empty unless [`LmSettings::logprobs`] asked for them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub logprobs: Vec<TokenLogprob>,
    /// The completions after the first; empty unless [`LmSettings::n`] asked for them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub others: Vec<Completion>,
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

    /// The same answer with the log-probabilities of its tokens.
    #[must_use]
    pub fn with_logprobs(mut self, logprobs: Vec<TokenLogprob>) -> Self {
        self.logprobs = logprobs;
        self
    }

    /// The same answer with further completions.
    #[must_use]
    pub fn with_others(mut self, others: Vec<Completion>) -> Self {
        self.others = others;
        self
    }

    /// The same answer, marked as known before.
    #[must_use]
    pub fn into_cached(mut self) -> Self {
        self.cached = true;
        self
    }
}

/// A completion beside the first, where a call asked for several.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Completion {
    /// The completion.
    pub text: String,
    /// Why it ended.
    pub finish: FinishReason,
    /// Its tokens with their log-probabilities, as in [`LmResponse::logprobs`].
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub logprobs: Vec<TokenLogprob>,
}

/// A token of a completion, and how likely the model took it to be.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct TokenLogprob {
    /// The token's text; one that is no whole character is shown as the provider shows it.
    pub token: String,
    /// The natural logarithm of its probability: at most 0.
    pub logprob: f64,
    /// The likeliest tokens at this place with theirs, likeliest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub top: Vec<(String, f64)>,
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
    /// Tokens of the completions, those of reasoning included.
    pub output_tokens: u64,
    /// Of `input_tokens`, those that the provider took from its prompt cache.
    pub cached_tokens: u64,
    /// Of `output_tokens`, those of reasoning that the completions do not show.
    #[serde(skip_serializing_if = "is_zero")]
    pub reasoning_tokens: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
fn is_zero(n: &u64) -> bool {
    *n == 0
}

impl std::ops::AddAssign for Usage {
    fn add_assign(&mut self, other: Self) {
        self.input_tokens += other.input_tokens;
        self.output_tokens += other.output_tokens;
        self.cached_tokens += other.cached_tokens;
        self.reasoning_tokens += other.reasoning_tokens;
    }
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
    fn capabilities_written_before_a_field_was_there_are_read() {
        let old: Capabilities = serde_json::from_str(r#"{"regex":true}"#).unwrap();
        assert_eq!(old, Capabilities::text().with_regex(true));
    }

    #[test]
    fn a_plain_answer_is_written_as_before_and_a_full_one_survives_its_own_json() {
        let plain = serde_json::to_value(LmResponse::new("hi")).unwrap();
        let usage = serde_json::json!({"input_tokens": 0, "output_tokens": 0, "cached_tokens": 0});
        assert_eq!(plain, serde_json::json!({"text": "hi", "usage": usage, "finish": "stop"}));
        let token = TokenLogprob { token: "h".into(), logprob: -0.5, top: vec![("g".into(), -1.5)] };
        let other = Completion { text: "ho".into(), ..Completion::default() };
        let full = LmResponse::new("hi")
            .with_usage(Usage { output_tokens: 9, reasoning_tokens: 7, ..Usage::default() })
            .with_logprobs(vec![token])
            .with_others(vec![other]);
        let text = serde_json::to_string(&full).unwrap();
        assert_eq!(serde_json::from_str::<LmResponse>(&text).unwrap(), full);
    }
}
