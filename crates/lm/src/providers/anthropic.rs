//! [`AnthropicLm`]: Anthropic's Messages.
//!
//! The shape differs from chat completions in three ways that show here: system messages stand apart and only
//! at the beginning, `max_tokens` is required, and tokens from the prompt cache are not among `input_tokens`.
//! Output constraints are not passed (no capability); it has no seed. Deliberately absent: tools, thinking.

use futures::future::BoxFuture;
use reqwest::header::HeaderName;
use serde::Deserialize;
use serde_json::{Value, json};
use teleprompt_core::lm::{
    Capabilities, FinishReason, Lm, LmError, LmErrorKind, LmRequest, LmResponse, Message, ModelId, Role,
    Usage,
};

use super::chat;
use super::compatible::BaseUrl;
use super::http::{Auth, Failure, Http, Timeouts, disguised, timeout_setters, unbuilt, unreadable};
use crate::{ApiKey, SpecError};

const KEY_HEADER: &str = "x-api-key";
const BASE: &str = "https://api.anthropic.com";
/// The version of the interface that this file speaks.
const VERSION: &str = "2023-06-01";
/// What is sent for a request without `max_tokens`, which the provider requires.
const MAX_TOKENS: u32 = 4_096;

/// A model of Anthropic, with the identity `anthropic/NAME`. Build one with [`AnthropicLm::builder`].
///
/// # Cost
/// Every call of [`Lm::generate`] is exactly one HTTP exchange.
///
/// # Determinism
/// That of the provider, which has no seed.
#[derive(Clone, Debug)]
pub struct AnthropicLm {
    id: ModelId,
    model: String,
    base: BaseUrl,
    http: Http,
}

impl AnthropicLm {
    /// A builder for `model`, such as `claude-sonnet-4-20250514`.
    pub fn builder(model: impl Into<String>) -> AnthropicBuilder {
        AnthropicBuilder { model: model.into(), key: None, base_url: None, timeouts: Timeouts::default() }
    }

    async fn call(&self, request: &LmRequest) -> Result<LmResponse, Failure> {
        let body = body(&self.model, request)?;
        let post = self.http.client().post(self.base.join(&["v1", "messages"]));
        let built = post.header("anthropic-version", VERSION).json(&body).build().map_err(unbuilt)?;
        read(&self.http.send(built).await?)
    }
}

impl Lm for AnthropicLm {
    fn model(&self) -> &ModelId {
        &self.id
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::text().with_remote(true)
    }

    fn generate<'a>(&'a self, request: &'a LmRequest) -> BoxFuture<'a, Result<LmResponse, LmError>> {
        Box::pin(async move { self.call(request).await.map_err(|failure| failure.of(&self.id)) })
    }
}

/// Collects what an [`AnthropicLm`] needs.
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until `build`"]
pub struct AnthropicBuilder {
    model: String,
    key: Option<ApiKey>,
    base_url: Option<String>,
    timeouts: Timeouts,
}

impl AnthropicBuilder {
    /// The key; without it, `ANTHROPIC_API_KEY` is read.
    pub fn key(mut self, key: ApiKey) -> Self {
        self.key = Some(key);
        self
    }

    /// Another address of the same service, without `/v1`; without it, `ANTHROPIC_BASE_URL` is read, else it
    /// is Anthropic's own.
    pub fn base_url(mut self, url: impl Into<String>) -> Self {
        self.base_url = Some(url.into());
        self
    }

    timeout_setters!();

    /// The model.
    ///
    /// # Errors
    /// [`SpecError`] for a missing or unusable key, an unusable base URL or an empty model name. Nothing has
    /// been sent then.
    pub fn build(self) -> Result<AnthropicLm, SpecError> {
        self.build_from(&|name| std::env::var(name).ok())
    }

    fn build_from(self, env: &dyn Fn(&str) -> Option<String>) -> Result<AnthropicLm, SpecError> {
        if self.model.trim().is_empty() {
            return Err(SpecError::Unknown { spec: "anthropic/".to_owned() });
        }
        let key = match self.key {
            Some(key) => key,
            None => ApiKey::from_lookup("ANTHROPIC_API_KEY", env)?,
        };
        let set = env("ANTHROPIC_BASE_URL").filter(|url| !url.trim().is_empty());
        let base = self.base_url.or(set).unwrap_or_else(|| BASE.to_owned());
        let base = BaseUrl::parse(&base)?;
        Ok(AnthropicLm {
            id: ModelId::new(format!("anthropic/{}", self.model)),
            model: self.model,
            http: Http::new(&base, Auth::Header(HeaderName::from_static(KEY_HEADER), key), self.timeouts)?,
            base,
        })
    }
}

fn body(model: &str, request: &LmRequest) -> Result<Value, Failure> {
    chat::check(request, None)?;
    let invalid = |detail: String| Err(Failure::new(LmErrorKind::InvalidRequest, detail));
    let settings = &request.settings;
    if let Some(t) = settings.temperature.filter(|t| *t > 1.0) {
        return invalid(format!("`temperature` is {t}: this provider takes 0 to 1"));
    }
    let (system, turns) = split_system(&request.messages);
    if turns.is_empty() || turns.iter().any(|message| message.role == Role::System) {
        return invalid(
            "this provider takes system messages at the beginning, and then at least one other".into(),
        );
    }
    let messages: Vec<Value> = turns
        .iter()
        .map(|message| {
            let role = if message.role == Role::Assistant { "assistant" } else { "user" };
            json!({ "role": role, "content": message.text() })
        })
        .collect();
    let mut body = json!({
        "model": model,
        "max_tokens": settings.max_tokens.unwrap_or(MAX_TOKENS),
        "messages": messages,
    });
    let optional = [
        ("system", (!system.is_empty()).then(|| Value::from(system))),
        ("temperature", settings.temperature.map(Value::from)),
        ("stop_sequences", (!settings.stop.is_empty()).then(|| Value::from(settings.stop.clone()))),
    ];
    if let Value::Object(fields) = &mut body {
        fields.extend(optional.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))));
    }
    Ok(body)
}

/// The text of the system messages at the beginning, and the messages after them.
pub(super) fn split_system(messages: &[Message]) -> (String, &[Message]) {
    let first = messages.iter().position(|message| message.role != Role::System).unwrap_or(messages.len());
    let (system, turns) = messages.split_at(first);
    (system.iter().map(Message::text).collect::<Vec<_>>().join("\n\n"), turns)
}

#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    content: Option<Vec<Block>>,
    #[serde(default)]
    stop_reason: Option<String>,
    #[serde(default)]
    usage: Counts,
    #[serde(default)]
    error: Option<Value>,
}

#[derive(Deserialize)]
struct Block {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    text: String,
}

#[derive(Default, Deserialize)]
struct Counts {
    #[serde(default)]
    input_tokens: Option<u64>,
    #[serde(default)]
    output_tokens: Option<u64>,
    #[serde(default)]
    cache_read_input_tokens: Option<u64>,
    #[serde(default)]
    cache_creation_input_tokens: Option<u64>,
}

fn read(bytes: &[u8]) -> Result<LmResponse, Failure> {
    let answer: Answer = serde_json::from_slice(bytes).map_err(|error| unreadable(&error, bytes))?;
    if let Some(error) = answer.error.filter(|error| !error.is_null()) {
        return Err(disguised(&error));
    }
    let Some(blocks) = answer.content else {
        return Err(Failure::malformed("the answer has no content"));
    };
    let text: String =
        blocks.into_iter().filter(|block| block.kind == "text").map(|block| block.text).collect();
    let finish = match answer.stop_reason.as_deref() {
        Some("max_tokens" | "model_context_window_exceeded") => FinishReason::Length,
        Some("refusal") => FinishReason::Filtered,
        _ => FinishReason::Stop,
    };
    let cached = answer.usage.cache_read_input_tokens.unwrap_or_default();
    let written = answer.usage.cache_creation_input_tokens.unwrap_or_default();
    let usage = Usage {
        input_tokens: answer.usage.input_tokens.unwrap_or_default() + cached + written,
        output_tokens: answer.usage.output_tokens.unwrap_or_default(),
        cached_tokens: cached,
    };
    Ok(LmResponse::new(text).with_finish(finish).with_usage(usage))
}

#[cfg(test)]
mod tests {
    use teleprompt_core::lm::LmSettings;

    use super::*;

    #[test]
    fn system_messages_stand_apart() {
        let settings = LmSettings { stop: vec!["x".into()], seed: Some(3), ..LmSettings::default() };
        let messages =
            vec![Message::system("a"), Message::system("b"), Message::user("q"), Message::assistant("p")];
        let sent = body("m", &LmRequest::new(messages).with_settings(settings)).unwrap();
        let expect = json!({
            "model": "m", "max_tokens": 4096, "system": "a\n\nb", "stop_sequences": ["x"],
            "messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "p"}],
        });
        assert_eq!(sent, expect);
    }

    #[test]
    fn what_the_provider_cannot_take_is_refused_before_the_call() {
        let check = |messages, temperature| {
            let settings = LmSettings { temperature, ..LmSettings::default() };
            let failure = body("m", &LmRequest::new(messages).with_settings(settings)).unwrap_err();
            assert_eq!(failure.kind, LmErrorKind::InvalidRequest);
        };
        check(vec![Message::system("a")], None);
        check(vec![Message::user("a"), Message::system("b")], None);
        check(vec![Message::user("a")], Some(1.5));
    }

    #[test]
    fn answers_are_read() {
        let answer = r#"{"type": "message", "stop_reason": "max_tokens",
            "content": [{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "hi"}],
            "usage": {"input_tokens": 3, "output_tokens": 2, "cache_read_input_tokens": 7}}"#;
        let usage = Usage { input_tokens: 10, output_tokens: 2, cached_tokens: 7 };
        let expect = LmResponse::new("hi").with_finish(FinishReason::Length).with_usage(usage);
        assert_eq!(read(answer.as_bytes()), Ok(expect));
        for text in ["{}", "", r#"{"type": "error", "error": {"type": "overloaded_error", "message": "m"}}"#]
        {
            assert_eq!(read(text.as_bytes()).unwrap_err().kind, LmErrorKind::Malformed, "{text}");
        }
    }

    #[test]
    fn a_missing_key_is_an_error_before_any_call() {
        let error = AnthropicLm::builder("m").build_from(&|_| None).unwrap_err().to_string();
        assert!(error.starts_with("`ANTHROPIC_API_KEY` is not set"), "{error}");
    }
}
