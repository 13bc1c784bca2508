//! [`CompatibleLm`]: any server that speaks OpenAI's chat completions (vLLM, llama.cpp, Ollama, LM Studio,
//! OpenRouter ...), found by its base URL.
//!
//! Where no model is named, the server is asked for its list (`GET BASE/models`) once, before the first call:
//! the model belongs to the identity under which answers are cached, so it cannot stay open. Deliberately
//! absent: what one server alone understands (grammars, samplers of its own).

use std::fmt;

use futures::future::BoxFuture;
use reqwest::Url;
use reqwest::header::HeaderName;
use serde::Deserialize;
use teleprompt_core::lm::{Capabilities, Lm, LmError, LmRequest, LmResponse, ModelId};

use super::chat;
use super::http::{self, Auth, Failure, Http, Timeouts, timeout_setters, unbuilt};
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
    base: BaseUrl,
    http: Http,
    json_schema: bool,
}

impl CompatibleLm {
    /// A builder for the server at `base_url`, such as `http://localhost:8000/v1`.
    pub fn builder(base_url: impl Into<String>) -> CompatibleBuilder {
        CompatibleBuilder {
            base_url: base_url.into(),
            model: None,
            key: None,
            key_header: None,
            timeouts: Timeouts::default(),
            json_schema: true,
        }
    }

    /// The model's name on its server.
    pub fn model_name(&self) -> &str {
        &self.model
    }

    async fn call(&self, request: &LmRequest) -> Result<LmResponse, Failure> {
        chat::check(request, None)?;
        let body = chat::body(&self.model, request, self.json_schema);
        let built = self.http.client().post(self.base.join(&["chat", "completions"])).json(&body).build();
        let built = built.map_err(unbuilt)?;
        chat::ChatCompletion::read(&self.http.send(built).await?)
    }
}

impl Lm for CompatibleLm {
    fn model(&self) -> &ModelId {
        &self.id
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::text().with_json_schema(self.json_schema).with_remote(!self.base.is_loopback())
    }

    fn generate<'a>(&'a self, request: &'a LmRequest) -> BoxFuture<'a, Result<LmResponse, LmError>> {
        Box::pin(async move { self.call(request).await.map_err(|failure| failure.of(&self.id)) })
    }
}

/// Collects what a [`CompatibleLm`] needs.
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until `build` or `connect`"]
pub struct CompatibleBuilder {
    base_url: String,
    model: Option<String>,
    key: Option<ApiKey>,
    key_header: Option<String>,
    timeouts: Timeouts,
    json_schema: bool,
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

    timeout_setters!();

    /// Whether the server honours a JSON schema in `response_format` (yes).
    pub fn json_schema(mut self, yes: bool) -> Self {
        self.json_schema = yes;
        self
    }

    /// The model, without asking the server anything.
    ///
    /// # Errors
    /// [`SpecError`] for a base URL that is none, or when no model is named.
    pub fn build(self) -> Result<CompatibleLm, SpecError> {
        let (base, http) = self.server()?;
        match self.model {
            Some(model) if !model.trim().is_empty() => {
                Ok(Self::assemble(base, http, model, self.json_schema))
            }
            _ => Err(SpecError::NoModel { url: base.to_string(), reason: "none was named".to_owned() }),
        }
    }

    /// The model; where none is named, the only one that the server offers.
    ///
    /// # Errors
    /// [`SpecError`] for a base URL that is none, a list of models that cannot be read, or one that holds
    /// none or several.
    ///
    /// # Cost
    /// One HTTP exchange when no model is named, else none.
    pub async fn connect(self) -> Result<CompatibleLm, SpecError> {
        if self.model.is_some() {
            return self.build();
        }
        let (base, http) = self.server()?;
        let mut names = models(&http, &base).await?;
        match (names.pop(), names.is_empty()) {
            (Some(model), true) => Ok(Self::assemble(base, http, model, self.json_schema)),
            (Some(last), false) => {
                names.push(last);
                Err(SpecError::SeveralModels { url: base.to_string(), names })
            }
            (None, _) => {
                Err(SpecError::NoModel { url: base.to_string(), reason: "the server offers none".to_owned() })
            }
        }
    }

    fn server(&self) -> Result<(BaseUrl, Http), SpecError> {
        let base = BaseUrl::parse(&self.base_url)?;
        let auth = match (&self.key_header, self.key.clone()) {
            (Some(name), Some(key)) => {
                let header = HeaderName::from_bytes(name.as_bytes());
                let unusable = |_| SpecError::InvalidKey { origin: format!("a key in the header `{name}`") };
                Auth::Header(header.map_err(unusable)?, key)
            }
            (_, key) => Auth::Bearer(key),
        };
        let http = Http::new(&base, auth, self.timeouts)?;
        Ok((base, http))
    }

    fn assemble(base: BaseUrl, http: Http, model: String, json_schema: bool) -> CompatibleLm {
        CompatibleLm { id: ModelId::new(format!("{base}#{model}")), model, base, http, json_schema }
    }
}

/// The names in the server's list of models.
async fn models(http: &Http, base: &BaseUrl) -> Result<Vec<String>, SpecError> {
    #[derive(Deserialize)]
    struct List {
        data: Vec<Entry>,
    }
    #[derive(Deserialize)]
    struct Entry {
        id: String,
    }
    let listed = async {
        let request = http.client().get(base.join(&["models"])).build().map_err(unbuilt)?;
        let body = http.send(request).await?;
        serde_json::from_slice::<List>(&body)
            .map_err(|_| Failure::malformed("expected a list of models in JSON"))
    };
    let list = listed.await.map_err(|failure| SpecError::NoModel {
        url: base.to_string(),
        reason: format!("its list of models could not be read ({failure})"),
    })?;
    Ok(list.data.into_iter().map(|entry| entry.id).collect())
}

/// A checked base URL: http or https, with a host, without user name and password.
#[derive(Clone, Debug)]
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

/// The URL without its query, which may hold a secret.
impl fmt::Display for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", http::address(&self.0), self.0.path().trim_end_matches('/'))
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
}
