//! [`CompatibleLm`]: any server that speaks OpenAI's chat completions (vLLM, llama.cpp, Ollama, LM Studio,
//! OpenRouter ...), found by its base URL.
//!
//! Where no model is named, the server is asked for its list (`GET BASE/models`) once, before the first call:
//! the model belongs to the identity under which answers are cached, so it cannot stay open. Deliberately
//! absent: what one server alone understands (samplers of its own), but for llama.cpp's grammars.
//!
//! Two services need a little more than an address, and get it by their host names:
//!
//! | service | base URL | key |
//! |---|---|---|
//! | OpenRouter | `https://openrouter.ai/api/v1` | `OPENROUTER_API_KEY`, as a bearer token |
//! | Azure OpenAI | `https://NAME.openai.azure.com/openai/v1` | `AZURE_OPENAI_API_KEY`, in the header `api-key` |
//! | Azure, by deployment | `https://NAME.openai.azure.com/openai/deployments/DEPLOYMENT?api-version=..` | the same |
//!
//! OpenRouter takes [`Reasoning`](teleprompt_core::lm::Reasoning) as an effort and as a number of tokens, other
//! servers as an effort alone. Attribution headers are set with [`CompatibleBuilder::header`]. A deployment of a
//! reasoning model on Azure wants [`CompatibleBuilder::max_completion_tokens`].

use std::fmt;

use futures::future::BoxFuture;
use reqwest::Url;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serde::Deserialize;
use teleprompt_core::lm::{Capabilities, Lm, LmError, LmRequest, LmResponse, ModelId};

use super::chat::{self, Dialect};
use super::http::{Auth, Endpoint, Failure, Http, Timeouts, timeout_setters};
use super::takes::Takes;
use crate::{ApiKey, SpecError};

/// A model on an OpenAI-compatible server. Build one with [`CompatibleLm::builder`].
///
/// # Cost
/// Every call of [`Lm::generate`] is exactly one HTTP exchange.
///
/// # Determinism
/// That of the server. The `seed` of a request is sent, moved on by its rollout.
#[derive(Clone, Debug)]
pub struct CompatibleLm {
    id: ModelId,
    model: String,
    http: Http,
    chat: Endpoint,
    takes: Takes,
    dialect: Dialect,
}

impl CompatibleLm {
    /// A builder for the server at `base_url`, such as `http://localhost:8000/v1`.
    pub fn builder(base_url: impl Into<String>) -> CompatibleBuilder {
        CompatibleBuilder {
            base_url: base_url.into(),
            model: None,
            key: None,
            key_header: None,
            headers: Vec::new(),
            timeouts: Timeouts::default(),
            json_schema: true,
            completion_tokens: false,
            grammar: false,
        }
    }

    /// The model's name on its server.
    pub fn model_name(&self) -> &str {
        &self.model
    }

    async fn call(&self, request: &LmRequest) -> Result<LmResponse, Failure> {
        self.takes.check(request)?;
        let post = self.chat.post(&chat::Body::of(&self.model, request, self.dialect)?)?;
        chat::ChatCompletion::read(&self.http.send(post).await?, &request.settings)
    }
}

impl Lm for CompatibleLm {
    fn model(&self) -> &ModelId {
        &self.id
    }

    fn capabilities(&self) -> Capabilities {
        // Whether the model behind it sees, the server knows.
        let able = Capabilities::text().with_json_schema(self.takes.json_schema).with_media(self.takes.media);
        let able = able.with_regex(self.takes.regex);
        able.with_remote(!self.http.base().is_loopback())
    }

    fn generate<'a>(&'a self, request: &'a LmRequest) -> BoxFuture<'a, Result<LmResponse, LmError>> {
        Box::pin(async move { self.call(request).await.map_err(|failure| failure.of(&self.id)) })
    }
}

/// Collects what a [`CompatibleLm`] needs.
#[derive(Clone)]
#[must_use = "a builder does nothing until `build` or `connect`"]
pub struct CompatibleBuilder {
    base_url: String,
    model: Option<String>,
    key: Option<ApiKey>,
    key_header: Option<String>,
    headers: Vec<(String, String)>,
    timeouts: Timeouts,
    json_schema: bool,
    completion_tokens: bool,
    grammar: bool,
}

/// The address without its query, which may hold a secret.
impl fmt::Debug for CompatibleBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CompatibleBuilder")
            .field("base_url", &shown(&self.base_url))
            .field("model", &self.model)
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}

impl CompatibleBuilder {
    /// The model's name on the server. Without it, [`CompatibleBuilder::connect`] asks the server.
    pub fn model(mut self, name: impl Into<String>) -> Self {
        self.model = Some(name.into());
        self
    }

    /// The key, sent as a bearer token; many servers need none.
    pub fn key(mut self, key: ApiKey) -> Self {
        self.key = Some(key);
        self
    }

    /// The header that carries the bare key, instead of `Authorization: Bearer KEY`; for Azure, `api-key`.
    pub fn key_header(mut self, name: impl Into<String>) -> Self {
        self.key_header = Some(name.into());
        self
    }

    /// One more header of every call, such as `HTTP-Referer` and `X-Title` for OpenRouter. Not for keys: what is
    /// given here is not kept secret.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    timeout_setters!();

    /// Sends the bound on tokens as `max_completion_tokens`, as OpenAI's reasoning models want it, instead of
    /// `max_tokens`.
    pub fn max_completion_tokens(mut self) -> Self {
        self.completion_tokens = true;
        self
    }

    /// Whether the server honours a JSON schema in `response_format` (yes).
    pub fn json_schema(mut self, yes: bool) -> Self {
        self.json_schema = yes;
        self
    }

    /// Whether the server is llama.cpp's, which honours a grammar: regular expressions are sent as one, so that every
    /// adapter can hold answers to its form (no). [`CompatibleBuilder::connect`] sees it by itself where no model is named.
    pub fn llama_cpp(mut self, yes: bool) -> Self {
        self.grammar = yes;
        self
    }

    /// The model, without asking the server anything. Without a key, that of a [known service](self) is read from
    /// its variable.
    ///
    /// # Errors
    /// [`SpecError`] for a base URL that is none, a header that cannot be sent, or when no model is named.
    pub fn build(self) -> Result<CompatibleLm, SpecError> {
        self.build_from(&|name| std::env::var(name).ok())
    }

    fn build_from(self, env: &dyn Fn(&str) -> Option<String>) -> Result<CompatibleLm, SpecError> {
        let mut lm = self.server(env)?;
        match self.model {
            Some(model) if !model.trim().is_empty() => {
                lm.name(model);
                Ok(lm)
            }
            _ => Err(SpecError::NoModel { url: lm.id.to_string(), reason: "none was named".to_owned() }),
        }
    }

    /// The model; where none is named, the only one that the server offers.
    ///
    /// # Errors
    /// [`SpecError`] as for [`CompatibleBuilder::build`], for a list of models that cannot be read, or for one that
    /// holds none or several.
    ///
    /// # Cost
    /// One HTTP exchange when no model is named, else none.
    pub async fn connect(self) -> Result<CompatibleLm, SpecError> {
        if self.model.is_some() {
            return self.build();
        }
        let mut lm = self.server(&|name| std::env::var(name).ok())?;
        let url = lm.id.to_string();
        let listed = models(&lm.http, self.headers()?).await?;
        if listed.iter().any(Listed::is_llama_cpp) {
            lm.takes.regex = true;
            lm.dialect.grammar = true;
        }
        let mut names: Vec<String> = listed.into_iter().map(|model| model.id).collect();
        match (names.pop(), names.is_empty()) {
            (Some(model), true) => {
                lm.name(model);
                Ok(lm)
            }
            (Some(last), false) => {
                names.push(last);
                Err(SpecError::SeveralModels { url, names })
            }
            (None, _) => Err(SpecError::NoModel { url, reason: "the server offers none".to_owned() }),
        }
    }

    /// All but the model's name.
    fn server(&self, env: &dyn Fn(&str) -> Option<String>) -> Result<CompatibleLm, SpecError> {
        let base = BaseUrl::parse(&self.base_url)?;
        let service = Service::of(&base);
        let key = match (&self.key, service.key_variable) {
            (None, Some(variable)) if env(variable).is_some_and(|value| !value.trim().is_empty()) => {
                Some(ApiKey::from_lookup(variable, env)?)
            }
            (key, _) => key.clone(),
        };
        let auth = match (self.key_header.as_deref().or(service.key_header), key) {
            (Some(name), Some(key)) => {
                let header = HeaderName::from_bytes(name.as_bytes());
                let unusable = |_| SpecError::InvalidKey { origin: format!("a key in the header `{name}`") };
                Auth::Header(header.map_err(unusable)?, key)
            }
            (_, key) => Auth::Bearer(key),
        };
        let (id, http) = (ModelId::new(base.to_string()), Http::new(base, auth, self.timeouts)?);
        Ok(CompatibleLm {
            id,
            model: String::new(),
            chat: http.endpoint(&["chat", "completions"], self.headers()?),
            http,
            takes: Takes {
                json_schema: self.json_schema,
                regex: self.grammar,
                reasoning_tokens: service.reasoning_object,
                ..chat::TAKES
            },
            dialect: Dialect {
                completion_tokens: self.completion_tokens,
                reasoning_object: service.reasoning_object,
                grammar: self.grammar,
            },
        })
    }

    /// The headers of every call.
    fn headers(&self) -> Result<HeaderMap, SpecError> {
        let mut headers = HeaderMap::new();
        for (name, value) in &self.headers {
            let unusable = || SpecError::InvalidKey { origin: format!("the header `{name}`") };
            let value = HeaderValue::from_str(value).map_err(|_| unusable())?;
            headers.insert(HeaderName::from_bytes(name.as_bytes()).map_err(|_| unusable())?, value);
        }
        Ok(headers)
    }
}

impl CompatibleLm {
    fn name(&mut self, model: String) {
        self.id = ModelId::new(format!("{}#{model}", self.http.base()));
        self.model = model;
    }
}

/// What a service needs beyond its address.
#[derive(Default)]
struct Service {
    key_variable: Option<&'static str>,
    key_header: Option<&'static str>,
    reasoning_object: bool,
}

impl Service {
    /// By the host, and over TLS alone: nobody else gets a key from the environment.
    fn of(base: &BaseUrl) -> Self {
        match base.0.host_str() {
            Some("openrouter.ai") if base.is_tls() => {
                Self { key_variable: Some("OPENROUTER_API_KEY"), reasoning_object: true, ..Self::default() }
            }
            Some(host) if base.is_tls() && host.ends_with(".openai.azure.com") => Self {
                key_variable: Some("AZURE_OPENAI_API_KEY"),
                key_header: Some("api-key"),
                ..Self::default()
            },
            _ => Self::default(),
        }
    }
}

/// A model in the server's list.
#[derive(Deserialize)]
struct Listed {
    id: String,
    #[serde(default)]
    owned_by: Option<String>,
}

impl Listed {
    fn is_llama_cpp(&self) -> bool {
        self.owned_by.as_deref() == Some("llamacpp")
    }
}

/// The server's list of models.
async fn models(http: &Http, headers: HeaderMap) -> Result<Vec<Listed>, SpecError> {
    #[derive(Deserialize)]
    struct List {
        data: Vec<Listed>,
    }
    let listed = async {
        let body = http.send(http.endpoint(&["models"], headers).get()).await?;
        serde_json::from_slice::<List>(&body)
            .map_err(|_| Failure::malformed("expected a list of models in JSON"))
    };
    let list = listed.await.map_err(|failure| SpecError::NoModel {
        url: http.base().to_string(),
        reason: format!("its list of models could not be read ({failure})"),
    })?;
    Ok(list.data)
}

/// A checked base URL: http or https, with a host, without user name and password.
#[derive(Clone)]
pub(crate) struct BaseUrl(Url);

impl BaseUrl {
    pub(crate) fn parse(text: &str) -> Result<Self, SpecError> {
        let refused = |reason: &str| SpecError::BaseUrl { reason: reason.to_owned() };
        let mut url = Url::parse(text.trim()).map_err(|error| refused(&error.to_string()))?;
        if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none_or(str::is_empty) {
            return Err(refused("it must start with `http://HOST` or `https://HOST`"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(refused("it holds a user name or password: pass a key instead"));
        }
        url.set_fragment(None);
        let trimmed = url.path().trim_end_matches('/').to_owned();
        url.set_path(&trimmed);
        Ok(Self(url))
    }

    /// The address of `parts` below the base; a query stays.
    pub(crate) fn join(&self, parts: &[&str]) -> Url {
        let mut url = self.0.clone();
        let path = format!("{}/{}", url.path().trim_end_matches('/'), parts.join("/"));
        url.set_path(&path);
        url
    }

    /// Scheme, host and port: what an error may say about the address.
    pub(crate) fn server(&self) -> String {
        self.0.origin().ascii_serialization()
    }

    pub(crate) fn is_tls(&self) -> bool {
        self.0.scheme() == "https"
    }

    /// Whether the server is on this machine.
    pub(crate) fn is_loopback(&self) -> bool {
        match self.0.host_str() {
            Some("localhost" | "[::1]") => true,
            Some(host) => host.parse::<std::net::Ipv4Addr>().is_ok_and(|ip| ip.is_loopback()),
            None => false,
        }
    }
}

/// What a message may show of a base URL that may be none: no query, no user name, no password.
pub(crate) fn shown(base_url: &str) -> String {
    BaseUrl::parse(base_url).map_or_else(|_| "(no base URL)".to_owned(), |base| base.to_string())
}

/// The URL without its query, which may hold a secret.
impl fmt::Display for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.server(), self.0.path().trim_end_matches('/'))
    }
}

impl fmt::Debug for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BaseUrl({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base_urls_are_joined_and_shown_without_secrets() {
        let check = |text: &str, joined: &str, shown: &str| {
            let base = BaseUrl::parse(text).unwrap();
            assert_eq!(base.join(&["chat", "completions"]).as_str(), joined);
            assert_eq!(base.to_string(), shown);
        };
        let (joined, shown) = ("http://h:8/v1/chat/completions", "http://h:8/v1");
        check("http://h:8/v1", joined, shown);
        check(" http://h:8/v1// ", joined, shown);
        check("http://h:8/v1?k=s#m", "http://h:8/v1/chat/completions?k=s", shown);
        check("https://h", "https://h/chat/completions", "https://h");
        for text in ["h:8/v1", "ftp://h", "http://", "http://u:p@h/v1", "", "file:///x"] {
            let error = BaseUrl::parse(text).unwrap_err();
            assert!(matches!(error, SpecError::BaseUrl { .. }), "{text}: {error}");
        }
    }

    #[test]
    fn a_server_on_this_machine_is_not_remote() {
        let check = |url: &str, remote| {
            let lm = CompatibleLm::builder(url).model("m").build().unwrap();
            assert_eq!(lm.capabilities().remote, remote, "{url}");
            assert!(lm.capabilities().json_schema && !lm.capabilities().regex);
        };
        check("http://localhost:1/v1", false);
        check("http://127.0.0.9:1/v1", false);
        check("http://[::1]:1/v1", false);
        check("https://openrouter.ai/api/v1", true);
        check("http://10.0.0.2/v1", true);
    }

    #[test]
    fn the_identity_holds_server_and_model() {
        let lm = CompatibleLm::builder("http://h:8/v1/").model("org/m").build().unwrap();
        assert_eq!(lm.model().as_str(), "http://h:8/v1#org/m");
        assert!(matches!(CompatibleLm::builder("http://h/v1").build(), Err(SpecError::NoModel { .. })));
    }

    #[test]
    fn known_services_read_their_own_key_and_nobody_else_gets_it() {
        let env = |name: &str| match name {
            "OPENROUTER_API_KEY" => Some("router".to_owned()),
            "AZURE_OPENAI_API_KEY" => Some("azure".to_owned()),
            _ => Some("other".to_owned()),
        };
        let auth = |url: &str| {
            let lm = CompatibleLm::builder(url).model("m").build_from(&env).unwrap();
            lm.http.key_header().map(|(name, value)| {
                assert!(value.is_sensitive());
                format!("{name}: {}", value.to_str().unwrap())
            })
        };
        assert_eq!(auth("https://openrouter.ai/api/v1").as_deref(), Some("authorization: Bearer router"));
        let azure = "https://mine.openai.azure.com/openai/deployments/d?api-version=2024-10-21";
        assert_eq!(auth(azure).as_deref(), Some("api-key: azure"));
        for url in [
            "http://openrouter.ai/api/v1",
            "https://openrouter.ai.example.com/v1",
            "https://openai.azure.com.example.com/v1",
            "https://xopenai.azure.com/v1",
            "http://localhost:1/v1",
        ] {
            assert_eq!(auth(url), None, "{url}");
        }
        let own = CompatibleLm::builder(azure).model("m").key(ApiKey::new("mine").unwrap());
        let (_, value) = own.build_from(&env).unwrap().http.key_header().unwrap();
        assert_eq!(value, "mine", "a key that is passed in comes first");
    }

    #[test]
    fn only_a_service_that_takes_tokens_of_reasoning_gets_them() {
        use teleprompt_core::lm::{LmErrorKind, LmSettings, Message, Reasoning};

        let settings = LmSettings { reasoning: Some(Reasoning::Tokens(64)), ..LmSettings::default() };
        let request = LmRequest::new(vec![Message::user("q")]).with_settings(settings);
        let takes = |url: &str| {
            let lm = CompatibleLm::builder(url).model("m").build_from(&|_| None).unwrap();
            lm.takes.check(&request)
        };
        assert!(takes("https://openrouter.ai/api/v1").is_ok());
        assert_eq!(takes("https://h/v1").unwrap_err().kind, LmErrorKind::InvalidRequest);
    }
}
