//! [`GeminiLm`]: Google's Gemini (`generateContent`).
//!
//! The shape differs from chat completions: the assistant is called `model`, the system message stands apart,
//! and a prompt can be blocked without any candidate. JSON schemas are passed as structured output
//! (`responseJsonSchema`). Reasoning is called thinking, and takes a number of tokens (2.5) or an effort (3 and
//! later). Deliberately absent: tools, media.

use futures::future::BoxFuture;
use reqwest::header::{HeaderMap, HeaderName};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use teleprompt_core::lm::{
    Capabilities, Completion, FinishReason, Lm, LmError, LmErrorKind, LmRequest, LmResponse, LmSettings,
    ModelId, Reasoning, Role, TokenLogprob, Usage,
};

use super::anthropic::split_system;
use super::chat;
use super::compatible::BaseUrl;
use super::http::{Auth, Endpoint, Failure, Http, Timeouts, disguised, timeout_setters, unreadable};
use super::media;
use super::takes::Takes;
use crate::{ApiKey, SpecError};

const KEY_HEADER: &str = "x-goog-api-key";
const BASE: &str = "https://generativelanguage.googleapis.com";
/// What the provider takes.
const TAKES: Takes = Takes {
    stops: Some(5),
    seed: true,
    completions: 8,
    logprobs: true,
    effort: true,
    reasoning_tokens: true,
    json_schema: true,
    media: true,
    ..Takes::PLAIN
};

/// A Gemini model, with the identity `gemini/NAME`. Build one with [`GeminiLm::builder`].
///
/// # Cost
/// Every call of [`Lm::generate`] is exactly one HTTP exchange.
///
/// # Determinism
/// That of the provider. The `seed` of a request is sent in 31 bits, moved on by its rollout.
#[derive(Clone, Debug)]
pub struct GeminiLm {
    id: ModelId,
    http: Http,
    generate: Endpoint,
}

impl GeminiLm {
    /// A builder for `model`, such as `gemini-2.5-flash`.
    pub fn builder(model: impl Into<String>) -> GeminiBuilder {
        GeminiBuilder { model: model.into(), key: None, base_url: None, timeouts: Timeouts::default() }
    }

    async fn call(&self, request: &LmRequest) -> Result<LmResponse, Failure> {
        let post = self.generate.post(&body(request)?)?;
        read(&self.http.send(post).await?, &request.settings)
    }
}

impl Lm for GeminiLm {
    fn model(&self) -> &ModelId {
        &self.id
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::text().with_json_schema(true).with_media(true).with_remote(true)
    }

    fn generate<'a>(&'a self, request: &'a LmRequest) -> BoxFuture<'a, Result<LmResponse, LmError>> {
        Box::pin(async move { self.call(request).await.map_err(|failure| failure.of(&self.id)) })
    }
}

/// Collects what a [`GeminiLm`] needs.
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until `build`"]
pub struct GeminiBuilder {
    model: String,
    key: Option<ApiKey>,
    base_url: Option<String>,
    timeouts: Timeouts,
}

impl GeminiBuilder {
    /// The key; without it, `GEMINI_API_KEY` is read, then `GOOGLE_API_KEY`.
    pub fn key(mut self, key: ApiKey) -> Self {
        self.key = Some(key);
        self
    }

    /// Another address of the same service, without `/v1beta`; without it, it is Google's own.
    pub fn base_url(mut self, url: impl Into<String>) -> Self {
        self.base_url = Some(url.into());
        self
    }

    timeout_setters!();

    /// The model.
    ///
    /// # Errors
    /// [`SpecError`] for a missing or unusable key, an unusable base URL or a model name that cannot stand in
    /// an address. Nothing has been sent then.
    pub fn build(self) -> Result<GeminiLm, SpecError> {
        self.build_from(&|name| std::env::var(name).ok())
    }

    fn build_from(self, env: &dyn Fn(&str) -> Option<String>) -> Result<GeminiLm, SpecError> {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if self.model.is_empty() || self.model.starts_with('.') || !self.model.chars().all(plain) {
            return Err(SpecError::Unknown { spec: format!("gemini/{}", self.model) });
        }
        let key = match self.key {
            Some(key) => key,
            None => ApiKey::from_lookup("GEMINI_API_KEY", env)
                .or_else(|error| ApiKey::from_lookup("GOOGLE_API_KEY", env).map_err(|_| error))?,
        };
        let base = BaseUrl::parse(self.base_url.as_deref().unwrap_or(BASE))?;
        let http = Http::new(base, Auth::Header(HeaderName::from_static(KEY_HEADER), key), self.timeouts)?;
        let method = format!("{}:generateContent", self.model);
        Ok(GeminiLm {
            id: ModelId::new(format!("gemini/{}", self.model)),
            generate: http.endpoint(&["v1beta", "models", &method], HeaderMap::new()),
            http,
        })
    }
}

fn body(request: &LmRequest) -> Result<Value, Failure> {
    TAKES.check(request)?;
    let (system, turns) = split_system(&request.messages);
    if turns.is_empty() || turns.iter().any(|message| message.role == Role::System) {
        return Err(Failure::new(
            LmErrorKind::InvalidRequest,
            "this provider takes system messages at the beginning, and then at least one other",
        ));
    }
    let contents: Vec<Value> = turns
        .iter()
        .map(|message| {
            let role = if message.role == Role::Assistant { "model" } else { "user" };
            Ok(json!({ "role": role, "parts": media::gemini_parts(message)? }))
        })
        .collect::<Result<_, Failure>>()?;
    let settings = &request.settings;
    let seed = chat::seed(request).map(|seed| Value::from(seed & i64::from(i32::MAX)));
    let schema = chat::schema(request);
    let thinking = settings.reasoning.map(|reasoning| match reasoning {
        Reasoning::Tokens(tokens) => json!({ "thinkingBudget": tokens }),
        Reasoning::Effort(effort) => json!({ "thinkingLevel": effort.as_str() }),
        // Refused by `TAKES` before it comes here.
        _ => Value::Null,
    });
    let config: Map<String, Value> = [
        ("temperature", settings.temperature.map(Value::from)),
        ("maxOutputTokens", settings.max_tokens.map(Value::from)),
        ("stopSequences", (!settings.stop.is_empty()).then(|| Value::from(settings.stop.clone()))),
        ("seed", seed),
        ("candidateCount", settings.n.map(Value::from)),
        ("responseLogprobs", settings.logprobs.map(|_| Value::from(true))),
        ("logprobs", settings.logprobs.filter(|k| *k > 0).map(Value::from)),
        ("thinkingConfig", thinking),
        ("responseMimeType", schema.map(|_| Value::from("application/json"))),
        ("responseJsonSchema", schema.cloned()),
    ]
    .into_iter()
    .filter_map(|(name, value)| Some((name.to_owned(), value?)))
    .collect();
    let mut body = json!({ "contents": contents });
    if let Value::Object(fields) = &mut body {
        if !system.is_empty() {
            fields.insert("systemInstruction".into(), json!({ "parts": [{ "text": system }] }));
        }
        if !config.is_empty() {
            fields.insert("generationConfig".into(), Value::Object(config));
        }
    }
    Ok(body)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    #[serde(default)]
    candidates: Vec<Candidate>,
    #[serde(default)]
    prompt_feedback: Option<Feedback>,
    #[serde(default)]
    usage_metadata: Counts,
    #[serde(default)]
    error: Option<Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Candidate {
    #[serde(default)]
    content: Content,
    #[serde(default)]
    finish_reason: Option<String>,
    #[serde(default)]
    logprobs_result: Logprobs,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Logprobs {
    chosen_candidates: Vec<Token>,
    top_candidates: Vec<Likely>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Likely {
    candidates: Vec<Token>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Token {
    token: String,
    log_probability: f64,
}

impl From<Logprobs> for Vec<TokenLogprob> {
    fn from(found: Logprobs) -> Self {
        let mut top = found.top_candidates.into_iter();
        let pair = |likely: Token| (likely.token, likely.log_probability);
        let token = |chosen: Token| TokenLogprob {
            token: chosen.token,
            logprob: chosen.log_probability,
            top: top.next().into_iter().flat_map(|likely| likely.candidates).map(pair).collect(),
        };
        found.chosen_candidates.into_iter().map(token).collect()
    }
}

#[derive(Default, Deserialize)]
struct Content {
    #[serde(default)]
    parts: Vec<TextPart>,
}

#[derive(Deserialize)]
struct TextPart {
    #[serde(default)]
    text: String,
    /// A summary of the model's thoughts, not its answer.
    #[serde(default)]
    thought: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Feedback {
    #[serde(default)]
    block_reason: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Counts {
    prompt_token_count: u64,
    candidates_token_count: u64,
    thoughts_token_count: u64,
    cached_content_token_count: u64,
}

fn read(bytes: &[u8], asked: &LmSettings) -> Result<LmResponse, Failure> {
    let answer: Answer = serde_json::from_slice(bytes).map_err(|error| unreadable(&error, bytes))?;
    if let Some(error) = answer.error.filter(|error| !error.is_null()) {
        return Err(disguised(&error));
    }
    let counts = answer.usage_metadata;
    let usage = Usage {
        input_tokens: counts.prompt_token_count,
        output_tokens: counts.candidates_token_count + counts.thoughts_token_count,
        cached_tokens: counts.cached_content_token_count,
        reasoning_tokens: counts.thoughts_token_count,
    };
    let blocked = answer.prompt_feedback.and_then(|feedback| feedback.block_reason);
    if answer.candidates.is_empty() && blocked.is_some() {
        return Ok(LmResponse::new("").with_finish(FinishReason::Filtered).with_usage(usage));
    }
    let completions = answer.candidates.into_iter().map(Candidate::into_completion).collect();
    chat::answer(completions, usage, asked, "the answer has no candidate")
}

impl Candidate {
    fn into_completion(self) -> Completion {
        let text =
            self.content.parts.into_iter().filter(|part| !part.thought).map(|part| part.text).collect();
        let finish = match self.finish_reason.as_deref() {
            Some("MAX_TOKENS") => FinishReason::Length,
            Some("SAFETY" | "RECITATION" | "BLOCKLIST" | "PROHIBITED_CONTENT" | "SPII") => {
                FinishReason::Filtered
            }
            _ => FinishReason::Stop,
        };
        Completion { text, finish, logprobs: self.logprobs_result.into() }
    }
}

#[cfg(test)]
mod tests {
    use teleprompt_core::lm::{Effort, Message, OutputConstraint};

    use super::*;

    #[test]
    fn a_body_has_the_provider_s_shape() {
        let settings = LmSettings { max_tokens: Some(9), seed: Some(u64::MAX), ..LmSettings::default() };
        let schema = json!({"type": "object"});
        let request = LmRequest::new(vec![
            Message::system("s"),
            Message::user("q"),
            Message::assistant("p"),
            Message::user("r"),
        ])
        .with_settings(settings)
        .with_constraint(Some(OutputConstraint::JsonSchema(schema.clone())));
        let expect = json!({
            "contents": [
                {"role": "user", "parts": [{"text": "q"}]},
                {"role": "model", "parts": [{"text": "p"}]},
                {"role": "user", "parts": [{"text": "r"}]}],
            "systemInstruction": {"parts": [{"text": "s"}]},
            "generationConfig": {"maxOutputTokens": 9, "seed": i32::MAX,
                "responseMimeType": "application/json", "responseJsonSchema": schema},
        });
        assert_eq!(body(&request).unwrap(), expect);
        let plain = body(&LmRequest::new(vec![Message::user("q")])).unwrap();
        assert_eq!(plain, json!({"contents": [{"role": "user", "parts": [{"text": "q"}]}]}));
        let config = |settings| {
            let request = LmRequest::new(vec![Message::user("q")]).with_settings(settings);
            body(&request).unwrap()["generationConfig"].clone()
        };
        let reasoning = Some(Reasoning::Tokens(0));
        let all = LmSettings { n: Some(2), logprobs: Some(3), reasoning, ..LmSettings::default() };
        let thinking = json!({"thinkingBudget": 0});
        let expect =
            json!({"candidateCount": 2, "responseLogprobs": true, "logprobs": 3, "thinkingConfig": thinking});
        assert_eq!(config(all), expect);
        let effort = LmSettings { reasoning: Some(Reasoning::Effort(Effort::Low)), ..LmSettings::default() };
        assert_eq!(config(effort), json!({"thinkingConfig": {"thinkingLevel": "low"}}));
    }

    #[test]
    fn answers_are_read() {
        let answer = r#"{"candidates": [{"content": {"role": "model", "parts": [
                {"text": "hm", "thought": true}, {"text": "hi"}]}, "finishReason": "STOP"}],
            "usageMetadata": {"promptTokenCount": 5, "candidatesTokenCount": 1, "thoughtsTokenCount": 4}}"#;
        let read = |text: &[u8]| read(text, &LmSettings::default());
        let usage = Usage { input_tokens: 5, output_tokens: 5, reasoning_tokens: 4, ..Usage::default() };
        assert_eq!(read(answer.as_bytes()), Ok(LmResponse::new("hi").with_usage(usage)));
        let blocked = read(br#"{"promptFeedback": {"blockReason": "SAFETY"}}"#).unwrap();
        assert_eq!(blocked.finish, FinishReason::Filtered);
        let cut = read(br#"{"candidates": [{"finishReason": "MAX_TOKENS"}]}"#).unwrap();
        assert_eq!((cut.text.as_str(), cut.finish), ("", FinishReason::Length));
        assert_eq!(read(b"{}").unwrap_err().kind, LmErrorKind::Malformed);
    }

    #[test]
    fn names_and_keys_are_checked_before_any_call() {
        let build = |model: &str| GeminiLm::builder(model).build_from(&|_| None).unwrap_err();
        for name in ["", "../x", "a/b", "a?b", "..", "a b"] {
            assert!(matches!(build(name), SpecError::Unknown { .. }), "{name}");
        }
        assert_eq!(build("m"), SpecError::MissingKey { variable: "GEMINI_API_KEY".to_owned() });
        let other = |name: &str| (name == "GOOGLE_API_KEY").then(|| "k".to_owned());
        assert!(GeminiLm::builder("m").build_from(&other).is_ok());
    }

    #[test]
    fn candidates_and_log_probabilities_are_read() {
        let answer = r#"{"candidates": [
            {"content": {"parts": [{"text": "a"}]}, "logprobsResult": {
                "chosenCandidates": [{"token": "a", "logProbability": -0.5}],
                "topCandidates": [{"candidates": [{"token": "a", "logProbability": -0.5},
                    {"token": "b", "logProbability": -1.5}]}]}},
            {"content": {"parts": [{"text": "b"}]}, "logprobsResult": {
                "chosenCandidates": [{"token": "b", "logProbability": -1.5}]}}]}"#;
        let asked = LmSettings { n: Some(2), logprobs: Some(2), ..LmSettings::default() };
        let answer = read(answer.as_bytes(), &asked).unwrap();
        assert_eq!((answer.text.as_str(), answer.others[0].text.as_str()), ("a", "b"));
        assert_eq!(answer.logprobs[0].top[1], ("b".to_owned(), -1.5));
        assert_eq!(answer.others[0].logprobs[0].logprob, -1.5);
        let fewer = read(br#"{"candidates": [{"content": {"parts": [{"text": "a"}]}}]}"#, &asked);
        assert_eq!(fewer.unwrap_err().kind, LmErrorKind::Malformed);
    }
}
