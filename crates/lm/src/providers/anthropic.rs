//! [`AnthropicLm`]: Anthropic's Messages.
//!
//! The shape differs from chat completions in three ways that show here: system messages stand apart and only
//! at the beginning, `max_tokens` is required, and tokens from the prompt cache are not among `input_tokens`.
//! There is no seed, one completion a call, and no log-probabilities. Reasoning is called thinking, and takes a
//! number of tokens, at least 1,024, or an effort of `low`, `medium` or `high` (newer models). JSON schemas are an
//! option, since older models refuse them. Deliberately absent: tools.

use futures::future::BoxFuture;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serde::Deserialize;
use serde_json::{Value, json};
use teleprompt_core::lm::{
    Capabilities, Effort, FinishReason, Lm, LmError, LmErrorKind, LmRequest, LmResponse, Message, ModelId,
    Reasoning, Role, Usage,
};

use super::chat;
use super::compatible::BaseUrl;
use super::http::{Auth, Endpoint, Failure, Http, Timeouts, disguised, timeout_setters, unreadable};
use super::media;
use super::takes::Takes;
use crate::{ApiKey, SpecError};

const KEY_HEADER: &str = "x-api-key";
const BASE: &str = "https://api.anthropic.com";
/// The version of the interface that this file speaks.
const VERSION: &str = "2023-06-01";
/// What is sent for a request without `max_tokens`, which the provider requires.
const MAX_TOKENS: u32 = 4_096;
/// The fewest tokens of thinking that the provider takes.
const LEAST_THINKING: u32 = 1_024;

/// What the provider takes; JSON schemas only where the builder says so.
const TAKES: Takes =
    Takes { highest_temperature: 1.0, effort: true, reasoning_tokens: true, media: true, ..Takes::PLAIN };

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
    http: Http,
    messages: Endpoint,
    takes: Takes,
}

impl AnthropicLm {
    /// A builder for `model`, such as `claude-sonnet-4-20250514`.
    pub fn builder(model: impl Into<String>) -> AnthropicBuilder {
        AnthropicBuilder {
            model: model.into(),
            key: None,
            base_url: None,
            timeouts: Timeouts::default(),
            json_schema: false,
        }
    }

    async fn call(&self, request: &LmRequest) -> Result<LmResponse, Failure> {
        self.takes.check(request)?;
        let post = self.messages.post(&body(&self.model, request)?)?;
        read(&self.http.send(post).await?)
    }
}

impl Lm for AnthropicLm {
    fn model(&self) -> &ModelId {
        &self.id
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::text().with_json_schema(self.takes.json_schema).with_media(true).with_remote(true)
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
    json_schema: bool,
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

    /// Whether the model honours a JSON schema in `output_config` (no: models before Claude 4.5 refuse it).
    pub fn json_schema(mut self, yes: bool) -> Self {
        self.json_schema = yes;
        self
    }

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
        let auth = Auth::Header(HeaderName::from_static(KEY_HEADER), key);
        let http = Http::new(BaseUrl::parse(&base)?, auth, self.timeouts)?;
        let mut headers = HeaderMap::new();
        headers.insert("anthropic-version", HeaderValue::from_static(VERSION));
        Ok(AnthropicLm {
            id: ModelId::new(format!("anthropic/{}", self.model)),
            model: self.model,
            messages: http.endpoint(&["v1", "messages"], headers),
            http,
            takes: Takes { json_schema: self.json_schema, ..TAKES },
        })
    }
}

fn body(model: &str, request: &LmRequest) -> Result<Value, Failure> {
    let invalid = |detail: String| Err(Failure::new(LmErrorKind::InvalidRequest, detail));
    let settings = &request.settings;
    // The provider's bound holds thinking and text together.
    let (thinking, effort, most) = match settings.reasoning {
        Some(Reasoning::Tokens(0)) => (Some(json!({ "type": "disabled" })), None, MAX_TOKENS),
        Some(Reasoning::Tokens(tokens)) => {
            let most = settings.max_tokens.unwrap_or(MAX_TOKENS.saturating_add(tokens));
            if tokens < LEAST_THINKING || tokens >= most {
                return invalid(format!(
                    "`reasoning` is {tokens} tokens: this provider takes at least {LEAST_THINKING}, and fewer than \
                     `max_tokens`, which is {most}"
                ));
            }
            if settings.temperature.is_some_and(|t| t < 1.0) {
                return invalid(
                    "`temperature` is set beside `reasoning`: this provider takes 1 or none".into(),
                );
            }
            (Some(json!({ "type": "enabled", "budget_tokens": tokens })), None, most)
        }
        Some(Reasoning::Effort(effort)) if effort < Effort::Low => {
            return invalid(format!(
                "`reasoning` is the effort `{}`: this provider takes `low`, `medium` and `high`, or 0 tokens",
                effort.as_str()
            ));
        }
        Some(Reasoning::Effort(effort)) => (None, Some(effort.as_str()), MAX_TOKENS),
        _ => (None, None, MAX_TOKENS),
    };
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
            Ok(json!({ "role": role, "content": media::anthropic_content(message)? }))
        })
        .collect::<Result<_, Failure>>()?;
    let mut body = json!({
        "model": model,
        "max_tokens": settings.max_tokens.unwrap_or(most),
        "messages": messages,
    });
    let mut output = serde_json::Map::new();
    output.extend(effort.map(|effort| ("effort".to_owned(), Value::from(effort))));
    let format = chat::schema(request).map(|schema| json!({ "type": "json_schema", "schema": schema }));
    output.extend(format.map(|format| ("format".to_owned(), format)));
    let optional = [
        ("thinking", thinking),
        ("output_config", (!output.is_empty()).then_some(Value::Object(output))),
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
        // Counted among `output_tokens`; how many they were, the provider does not say.
        reasoning_tokens: 0,
    };
    Ok(LmResponse::new(text).with_finish(finish).with_usage(usage))
}

#[cfg(test)]
mod tests {
    use teleprompt_core::lm::{LmSettings, OutputConstraint};

    use super::*;

    #[test]
    fn system_messages_stand_apart() {
        let settings = LmSettings { stop: vec!["x".into()], ..LmSettings::default() };
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
    fn reasoning_and_schemas_have_the_provider_s_shape() {
        let sent = |settings, constraint: Option<OutputConstraint>| {
            let request = LmRequest::new(vec![Message::user("q")]).with_settings(settings);
            body("m", &request.with_constraint(constraint))
        };
        let with = |reasoning, max_tokens| LmSettings {
            reasoning: Some(reasoning),
            max_tokens,
            ..LmSettings::default()
        };
        let thinking = sent(with(Reasoning::Tokens(2_000), None), None).unwrap();
        assert_eq!(thinking["thinking"], json!({"type": "enabled", "budget_tokens": 2000}));
        assert_eq!(thinking["max_tokens"], json!(6_096), "room for the text beside the thinking");
        let none = sent(with(Reasoning::Tokens(0), Some(50)), None).unwrap();
        assert_eq!((&none["thinking"], &none["max_tokens"]), (&json!({"type": "disabled"}), &json!(50)));
        let schema = json!({"type": "object"});
        let both = sent(
            with(Reasoning::Effort(Effort::High), None),
            Some(OutputConstraint::JsonSchema(schema.clone())),
        );
        let format = json!({"type": "json_schema", "schema": schema});
        assert_eq!(both.unwrap()["output_config"], json!({"effort": "high", "format": format}));
        for (reasoning, max_tokens) in [
            (Reasoning::Tokens(1_000), None),
            (Reasoning::Tokens(2_000), Some(2_000)),
            (Reasoning::Effort(Effort::Minimal), None),
        ] {
            let failure = sent(with(reasoning, max_tokens), None).unwrap_err();
            assert!(failure.detail.starts_with("`reasoning` is"), "{}", failure.detail);
        }
        let cold = LmSettings { temperature: Some(0.0), ..with(Reasoning::Tokens(2_000), None) };
        assert!(sent(cold, None).unwrap_err().detail.contains("`temperature`"));
    }

    #[test]
    fn what_the_provider_cannot_take_is_refused_before_the_call() {
        for messages in [vec![Message::system("a")], vec![Message::user("a"), Message::system("b")]] {
            let failure = body("m", &LmRequest::new(messages)).unwrap_err();
            assert_eq!(failure.kind, LmErrorKind::InvalidRequest);
        }
        let check = |settings| {
            let request = LmRequest::new(vec![Message::user("a")]).with_settings(settings);
            assert_eq!(TAKES.check(&request).unwrap_err().kind, LmErrorKind::InvalidRequest);
        };
        check(LmSettings { temperature: Some(1.5), ..LmSettings::default() });
        check(LmSettings { seed: Some(3), ..LmSettings::default() });
        check(LmSettings { n: Some(2), ..LmSettings::default() });
        let schema = Some(OutputConstraint::JsonSchema(json!({})));
        let held = LmRequest::new(vec![Message::user("a")]).with_constraint(schema);
        assert!(TAKES.check(&held).is_err());
        let lm = AnthropicLm::builder("m").key(ApiKey::new("k").unwrap()).json_schema(true);
        let lm = lm.build_from(&|_| None).unwrap();
        assert!(lm.takes.check(&held).is_ok() && lm.capabilities().json_schema);
    }

    #[test]
    fn answers_are_read() {
        let answer = r#"{"type": "message", "stop_reason": "max_tokens",
            "content": [{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "hi"}],
            "usage": {"input_tokens": 3, "output_tokens": 2, "cache_read_input_tokens": 7}}"#;
        let usage = Usage { input_tokens: 10, output_tokens: 2, cached_tokens: 7, reasoning_tokens: 0 };
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
