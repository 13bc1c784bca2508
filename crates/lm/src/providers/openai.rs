//! [`OpenAiLm`]: OpenAI's chat completions through `async-openai`.
//!
//! `async-openai` knows the shapes and addresses; the exchange itself is this crate's own (`http.rs`). Its
//! client retries 429 and 5xx by itself in the service it sends through (`executor.rs`, `OpenAIRetryLayer`);
//! the service given to it here replaces that one, so a call is one attempt and the retry layer sees every
//! error. The key never enters `async-openai`: that service adds it to the request.

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use async_openai::Client;
use async_openai::config::{OPENAI_API_BASE, OpenAIConfig};
use async_openai::error::OpenAIError;
use async_openai::middleware::HttpRequestFactory;
use async_openai::types::chat::{
    ChatCompletionRequestAssistantMessage, ChatCompletionRequestMessage, ChatCompletionRequestSystemMessage,
    ChatCompletionRequestUserMessage, CreateChatCompletionRequest, ReasoningEffort, ResponseFormat,
    ResponseFormatJsonSchema, StopConfiguration,
};
use futures::future::BoxFuture;
use teleprompt_core::lm::{
    Capabilities, Effort, Lm, LmError, LmErrorKind, LmRequest, LmResponse, Message, ModelId, Reasoning, Role,
};

use super::chat::{self, ChatCompletion};
use super::compatible::BaseUrl;
use super::http::{Auth, Failure, Http, Timeouts, timeout_setters, unreadable};
use super::media;
use super::takes::Takes;
use crate::{ApiKey, SpecError};

/// What OpenAI takes. Reasoning models take an effort, and neither a temperature nor stop strings: they say so.
const TAKES: Takes = Takes { stops: Some(4), json_schema: true, ..chat::TAKES };

/// A model of OpenAI, with the identity `openai/NAME`. Build one with [`OpenAiLm::builder`].
///
/// JSON schemas are passed as structured output (strict where the schema is in the strict subset); regular
/// expressions are not honoured.
///
/// # Cost
/// Every call of [`Lm::generate`] is exactly one HTTP exchange.
///
/// # Determinism
/// That of the provider: a `seed`, moved on by the rollout, is sent and honoured as best it can.
#[derive(Clone)]
pub struct OpenAiLm {
    id: ModelId,
    model: String,
    client: Client<OpenAIConfig>,
}

impl OpenAiLm {
    /// A builder for `model`, such as `gpt-4o-mini`.
    pub fn builder(model: impl Into<String>) -> OpenAiBuilder {
        OpenAiBuilder { model: model.into(), key: None, base_url: None, timeouts: Timeouts::default() }
    }

    async fn call(&self, request: &LmRequest) -> Result<LmResponse, Failure> {
        TAKES.check(request)?;
        let body = self.body(request)?;
        let completion: ChatCompletion = self.client.chat().create_byot(body).await.map_err(failure)?;
        completion.into_response(&request.settings)
    }

    #[expect(deprecated, reason = "`seed` is the only way to ask for reproducible sampling")]
    fn body(&self, request: &LmRequest) -> Result<CreateChatCompletionRequest, Failure> {
        let settings = &request.settings;
        Ok(CreateChatCompletionRequest {
            model: self.model.clone(),
            messages: request.messages.iter().map(message).collect::<Result<_, _>>()?,
            temperature: settings.temperature.map(|t| t as f32),
            max_completion_tokens: settings.max_tokens,
            stop: (!settings.stop.is_empty()).then(|| StopConfiguration::StringArray(settings.stop.clone())),
            seed: chat::seed(request),
            n: settings.n.and_then(|n| u8::try_from(n).ok()),
            logprobs: settings.logprobs.map(|_| true),
            top_logprobs: settings.logprobs.filter(|k| *k > 0).and_then(|k| u8::try_from(k).ok()),
            reasoning_effort: settings.reasoning.and_then(effort),
            response_format: chat::schema(request).map(|schema| ResponseFormat::JsonSchema {
                json_schema: ResponseFormatJsonSchema {
                    description: None,
                    name: chat::SCHEMA_NAME.to_owned(),
                    schema: schema.clone(),
                    strict: Some(chat::is_strict(schema)),
                },
            }),
            ..CreateChatCompletionRequest::default()
        })
    }
}

impl Lm for OpenAiLm {
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

impl fmt::Debug for OpenAiLm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenAiLm").field("id", &self.id).finish_non_exhaustive()
    }
}

/// Collects what an [`OpenAiLm`] needs.
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until `build`"]
pub struct OpenAiBuilder {
    model: String,
    key: Option<ApiKey>,
    base_url: Option<String>,
    timeouts: Timeouts,
}

impl OpenAiBuilder {
    /// The key; without it, `OPENAI_API_KEY` is read.
    pub fn key(mut self, key: ApiKey) -> Self {
        self.key = Some(key);
        self
    }

    /// Another address of the same service, such as a gateway; without it, `OPENAI_BASE_URL` is read, else it
    /// is OpenAI's own.
    pub fn base_url(mut self, url: impl Into<String>) -> Self {
        self.base_url = Some(url.into());
        self
    }

    timeout_setters!();

    /// The model. What is not set is read from the environment: `OPENAI_API_KEY`, `OPENAI_BASE_URL`,
    /// `OPENAI_ORG_ID`, `OPENAI_PROJECT_ID`.
    ///
    /// # Errors
    /// [`SpecError`] for a missing or unusable key, an unusable base URL or an empty model name. Nothing has
    /// been sent then.
    pub fn build(self) -> Result<OpenAiLm, SpecError> {
        self.build_from(&|name| std::env::var(name).ok())
    }

    pub(crate) fn build_from(self, env: &dyn Fn(&str) -> Option<String>) -> Result<OpenAiLm, SpecError> {
        let set = |name: &str| env(name).map(|v| v.trim().to_owned()).filter(|v| !v.is_empty());
        if self.model.trim().is_empty() {
            return Err(SpecError::Unknown { spec: "openai/".to_owned() });
        }
        let key = match self.key {
            Some(key) => key,
            None => ApiKey::from_lookup("OPENAI_API_KEY", env)?,
        };
        let base = self.base_url.or_else(|| set("OPENAI_BASE_URL")).unwrap_or_else(|| OPENAI_API_BASE.into());
        let base = BaseUrl::parse(&base)?;
        // `OpenAIConfig` would read these by itself, and panic on what no header can carry.
        let mut config = OpenAIConfig::default()
            .with_api_base(base.to_string())
            .with_api_key("unused")
            .with_org_id("")
            .with_project_id("");
        for (variable, header) in
            [("OPENAI_ORG_ID", "OpenAI-Organization"), ("OPENAI_PROJECT_ID", "OpenAI-Project")]
        {
            if let Some(value) = set(variable) {
                config = config
                    .with_header(header, value)
                    .map_err(|_| SpecError::InvalidKey { origin: format!("`{variable}`") })?;
            }
        }
        let http = Http::new(base, Auth::Bearer(Some(key)), self.timeouts)?;
        let client =
            Client::build(http.client().clone(), config).with_http_service(OneAttempt(Arc::new(http)));
        Ok(OpenAiLm { id: ModelId::new(format!("openai/{}", self.model)), model: self.model, client })
    }
}

fn effort(reasoning: Reasoning) -> Option<ReasoningEffort> {
    match reasoning {
        Reasoning::Effort(Effort::None) => Some(ReasoningEffort::None),
        Reasoning::Effort(Effort::Minimal) => Some(ReasoningEffort::Minimal),
        Reasoning::Effort(Effort::Low) => Some(ReasoningEffort::Low),
        Reasoning::Effort(Effort::Medium) => Some(ReasoningEffort::Medium),
        Reasoning::Effort(Effort::High) => Some(ReasoningEffort::High),
        // Refused by `TAKES` before it comes here.
        _ => None,
    }
}

fn message(message: &Message) -> Result<ChatCompletionRequestMessage, Failure> {
    let content = media::chat_content(message)?;
    let text = || message.text();
    Ok(match message.role {
        Role::User if content.is_array() => {
            let content = serde_json::from_value(content)
                .map_err(|error| Failure::new(LmErrorKind::InvalidRequest, error.to_string()))?;
            ChatCompletionRequestUserMessage { content, name: None }.into()
        }
        Role::User => ChatCompletionRequestUserMessage::from(text()).into(),
        _ if content.is_array() => {
            return Err(Failure::new(
                LmErrorKind::InvalidRequest,
                "this provider takes media in user messages only",
            ));
        }
        Role::System => ChatCompletionRequestSystemMessage::from(text()).into(),
        Role::Assistant => ChatCompletionRequestAssistantMessage::from(text()).into(),
    })
}

/// Sends each request once, through [`Http`].
#[derive(Clone)]
struct OneAttempt(Arc<Http>);

impl tower_service::Service<HttpRequestFactory> for OneAttempt {
    type Response = reqwest::Response;
    type Error = OpenAIError;
    type Future = BoxFuture<'static, Result<reqwest::Response, OpenAIError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), OpenAIError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, factory: HttpRequestFactory) -> Self::Future {
        let http = Arc::clone(&self.0);
        Box::pin(async move {
            let request = factory.build().await?;
            let body = http.send(request).await.map_err(|failure| OpenAIError::Boxed(Box::new(failure)))?;
            Ok(::http::Response::new(body).into())
        })
    }
}

/// The failure that [`OneAttempt`] reported, or what `async-openai` could not do.
fn failure(error: OpenAIError) -> Failure {
    match error {
        OpenAIError::Boxed(inner) => match inner.downcast::<Failure>() {
            Ok(failure) => *failure,
            Err(other) => Failure::new(LmErrorKind::Internal, other.to_string()),
        },
        OpenAIError::JSONDeserialize(error, body) => unreadable(&error, body.as_bytes()),
        other => Failure::new(LmErrorKind::InvalidRequest, other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_key_is_an_error_before_any_call() {
        let error = OpenAiLm::builder("gpt-4o-mini").build_from(&|_| None).unwrap_err();
        assert!(matches!(error, SpecError::MissingKey { .. }), "{error}");
    }

    #[test]
    fn variables_that_no_header_can_carry_are_errors() {
        let env = |name: &str| match name {
            "OPENAI_API_KEY" => Some("sk-marked".to_owned()),
            "OPENAI_ORG_ID" => Some("a\u{1}b".to_owned()),
            _ => None,
        };
        let error = OpenAiLm::builder("m").build_from(&env).unwrap_err().to_string();
        assert!(error.contains("`OPENAI_ORG_ID`") && !error.contains("sk-marked"), "{error}");
    }

    #[test]
    fn the_identity_is_the_spec() {
        let lm = OpenAiLm::builder("gpt-4o-mini").key(ApiKey::new("sk-marked").unwrap());
        let lm = lm.build_from(&|_| None).unwrap();
        assert_eq!(lm.model().as_str(), "openai/gpt-4o-mini");
        assert!(!format!("{lm:?} {:?}", lm.client).contains("sk-marked"));
    }
}
