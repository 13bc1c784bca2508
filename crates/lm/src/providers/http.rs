//! One HTTP exchange with a provider: send, read a bounded body, and say in one vocabulary what went wrong.
//!
//! All providers share this, so that a status code means the same everywhere:
//!
//! | what happened | [`LmErrorKind`] |
//! |---|---|
//! | 429, or 503 with `Retry-After` | `RateLimited`, with the wait the server asks for |
//! | 429 because the account has no credit left | `Auth`: waiting does not help |
//! | 401, 403, a refused key under 400 | `Auth` |
//! | 404 | `NotFound` |
//! | 400, 422 and other 4xx; 3xx | `InvalidRequest`, or `ContextOverflow` where the message says so |
//! | 408, no answer in time | `Timeout` |
//! | 5xx | `Server`, with the wait the server asks for |
//! | refused, reset, cut short | `Connection` |
//! | no JSON, not an answer, larger than [`MAX_BODY`] | `Malformed` |
//!
//! Deliberately absent: retries (a layer's task; those of the HTTP client are off) and redirects (an API does
//! not redirect, and a key must not follow one).

use std::fmt;
use std::time::Duration;

use reqwest::header::{
    ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST, HeaderMap, HeaderName, HeaderValue, USER_AGENT,
};
use reqwest::{Method, Request, Url};
use serde::Serialize;
use serde_json::Value;
use teleprompt_core::lm::{LmError, LmErrorKind, ModelId};

use super::compatible::BaseUrl;
use super::overflow;
use super::wait::{retry_after, span};
use crate::{ApiKey, SpecError};

/// The largest answer that is read, in bytes (16 MiB): a completion is smaller by orders of magnitude.
pub(crate) const MAX_BODY: usize = 16 << 20;

/// Room for a request's body, in bytes, that many need not outgrow.
const USUAL_BODY: usize = 1 << 10;

/// The most of an error's body that is read, in bytes.
const MAX_ERROR_BODY: usize = 64 << 10;

/// The most characters of a server's own message that an error carries.
const MAX_DETAIL: usize = 600;

/// What the client calls itself.
const AGENT: &str = concat!("teleprompt/", env!("CARGO_PKG_VERSION"));

/// How long one exchange may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Timeouts {
    /// From the start of the call to the last byte of the answer.
    pub(crate) call: Duration,
    /// To open a connection.
    pub(crate) connect: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self { call: Duration::from_secs(120), connect: Duration::from_secs(10) }
    }
}

/// The two time limits among the settings of a builder that has a field `timeouts`.
macro_rules! timeout_setters {
    () => {
        /// The most time of one call, from its start to the last byte of the answer (120 s).
        pub fn timeout(mut self, limit: std::time::Duration) -> Self {
            self.timeouts.call = limit;
            self
        }

        /// The most time to open a connection (10 s).
        pub fn connect_timeout(mut self, limit: std::time::Duration) -> Self {
            self.timeouts.connect = limit;
            self
        }
    };
}
pub(super) use timeout_setters;

/// Why an exchange gave no answer: an [`LmError`] that does not know its model yet.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Failure {
    pub(crate) kind: LmErrorKind,
    pub(crate) detail: String,
}

impl Failure {
    pub(crate) fn new(kind: LmErrorKind, detail: impl Into<String>) -> Self {
        Self { kind, detail: detail.into() }
    }

    pub(crate) fn malformed(detail: impl fmt::Display) -> Self {
        Self::new(LmErrorKind::Malformed, detail.to_string())
    }

    pub(crate) fn of(self, model: &ModelId) -> LmError {
        LmError::new(model.clone(), self.kind, self.detail)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind, self.detail)
    }
}

impl std::error::Error for Failure {}

/// How a key is sent.
#[derive(Clone, Debug)]
pub(crate) enum Auth {
    /// `Authorization: Bearer KEY`, where there is a key.
    Bearer(Option<ApiKey>),
    /// The bare key in a header of this name.
    Header(HeaderName, ApiKey),
}

impl Auth {
    fn key(&self) -> Option<&ApiKey> {
        match self {
            Self::Bearer(key) => key.as_ref(),
            Self::Header(_, key) => Some(key),
        }
    }

    fn header(&self) -> Option<(HeaderName, HeaderValue)> {
        match self {
            Self::Bearer(key) => key.as_ref()?.header(AUTHORIZATION, "Bearer "),
            Self::Header(name, key) => key.header(name.clone(), ""),
        }
    }
}

/// A client of one server: its connections, its key and its time-outs.
#[derive(Clone, Debug)]
pub(crate) struct Http {
    client: reqwest::Client,
    base: BaseUrl,
    auth: Auth,
    /// What `auth` sends; `Debug` shows that there is a value, not which.
    key: Option<(HeaderName, HeaderValue)>,
    timeouts: Timeouts,
}

/// An address of a server, with the headers of every request to it: made once, copied for each call.
#[derive(Clone)]
pub(crate) struct Endpoint {
    url: Url,
    headers: HeaderMap,
}

impl Http {
    /// A client for the server at `base`. One on this machine is not asked through a proxy; others are, where
    /// the environment names one.
    pub(crate) fn new(base: BaseUrl, auth: Auth, timeouts: Timeouts) -> Result<Self, SpecError> {
        let mut builder = reqwest::Client::builder();
        if base.is_loopback() {
            builder = builder.no_proxy();
            if !base.is_tls() {
                // Without TLS no root certificate is needed: a machine that has none can use such a server too.
                builder = builder.tls_certs_only(std::iter::empty());
            }
        }
        let client = builder
            .connect_timeout(timeouts.connect)
            .timeout(timeouts.call)
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .user_agent(AGENT)
            .build()
            .map_err(|error| SpecError::Client { reason: chain(&error) })?;
        Ok(Self { client, base, key: auth.header(), auth, timeouts })
    }

    pub(crate) fn base(&self) -> &BaseUrl {
        &self.base
    }

    /// The address of `parts` below the base, asked with these headers.
    pub(crate) fn endpoint(&self, parts: &[&str], mut headers: HeaderMap) -> Endpoint {
        let url = self.base.join(parts);
        // The same for every call; what is missing here, the layers below would put together for each.
        for (name, value) in [(ACCEPT, "*/*"), (USER_AGENT, AGENT), (CONTENT_TYPE, "application/json")] {
            headers.entry(name).or_insert(HeaderValue::from_static(value));
        }
        let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
        let host = format!("{}{port}", url.host_str().unwrap_or_default());
        if let Ok(host) = HeaderValue::from_str(&host) {
            headers.entry(HOST).or_insert(host);
        }
        Endpoint { url, headers }
    }

    #[cfg(feature = "openai")]
    pub(crate) fn client(&self) -> &reqwest::Client {
        &self.client
    }

    /// The header that carries the key.
    #[cfg(test)]
    pub(crate) fn key_header(&self) -> Option<(HeaderName, HeaderValue)> {
        self.key.clone()
    }

    /// Sends `request`, with the key; gives the body of a 2xx answer.
    ///
    /// The request is handed over before anything is awaited, so that a call in flight does not hold it.
    pub(crate) fn send(
        &self,
        mut request: Request,
    ) -> impl Future<Output = Result<Vec<u8>, Failure>> + Send + use<'_> {
        if let Some((name, value)) = &self.key {
            request.headers_mut().insert(name, value.clone());
        }
        let response = self.client.execute(request);
        async move {
            match self.exchange(response).await {
                // A server that repeats the key in an answer must not bring it into a cache or a cassette.
                Ok(body) => Ok(match self.auth.key() {
                    Some(key) => key.redact_bytes(body),
                    None => body,
                }),
                Err(failure) => Err(self.cleaned(failure)),
            }
        }
    }

    async fn exchange(
        &self,
        response: impl Future<Output = reqwest::Result<reqwest::Response>>,
    ) -> Result<Vec<u8>, Failure> {
        let failed = |error| self.broken(error);
        let mut response = response.await.map_err(failed)?;
        let status = response.status();
        let mut body = Vec::new();
        if !status.is_success() {
            let headers = response.headers().clone();
            // The status says what went wrong. A message that breaks off or has no end cannot change that.
            while let Ok(Some(chunk)) = response.chunk().await {
                body.extend_from_slice(&chunk);
                if body.len() > MAX_ERROR_BODY {
                    break;
                }
            }
            return Err(refused(status.as_u16(), &headers, &body));
        }
        while let Some(chunk) = response.chunk().await.map_err(failed)? {
            if body.len() + chunk.len() > MAX_BODY {
                return Err(Failure::malformed(format!(
                    "the answer of {} is larger than {} MiB",
                    self.base.server(),
                    MAX_BODY >> 20
                )));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }

    /// What a failure of the transport means.
    fn broken(&self, error: reqwest::Error) -> Failure {
        let server = self.base.server();
        if error.is_timeout() {
            let (kind, limit) = if error.is_connect() {
                (LmErrorKind::Connection, self.timeouts.connect)
            } else {
                (LmErrorKind::Timeout, self.timeouts.call)
            };
            return Failure::new(kind, format!("no answer from {server} within {limit:?}"));
        }
        let kind = if error.is_builder() { LmErrorKind::InvalidRequest } else { LmErrorKind::Connection };
        Failure::new(kind, format!("{server}: {}", chain(&error.without_url())))
    }

    /// The failure, short, on one line and without the key.
    fn cleaned(&self, mut failure: Failure) -> Failure {
        if let Some(key) = self.auth.key() {
            failure.detail = key.redact(&failure.detail);
        }
        failure.detail = short(&failure.detail);
        failure
    }
}

/// The path alone: a query may hold a secret.
impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Endpoint({})", self.url.path())
    }
}

impl Endpoint {
    /// A request with `body` as JSON.
    pub(crate) fn post(&self, body: &impl Serialize) -> Result<Request, Failure> {
        let unwritten = |error: serde_json::Error| {
            Failure::new(LmErrorKind::InvalidRequest, format!("the request is no JSON: {error}"))
        };
        let mut bytes = Vec::with_capacity(USUAL_BODY);
        serde_json::to_writer(&mut bytes, body).map_err(unwritten)?;
        let mut request = self.request(Method::POST);
        *request.body_mut() = Some(bytes.into());
        Ok(request)
    }

    /// A request without a body.
    pub(crate) fn get(&self) -> Request {
        let mut request = self.request(Method::GET);
        request.headers_mut().remove(CONTENT_TYPE);
        request
    }

    fn request(&self, method: Method) -> Request {
        let mut request = Request::new(method, self.url.clone());
        *request.headers_mut() = self.headers.clone();
        request
    }
}

/// An error inside an answer with status 200: its `code` counts as the status when it is one.
pub(crate) fn disguised(error: &Value) -> Failure {
    let told = ServerError::of(error);
    match told.code.parse::<u16>() {
        Ok(status @ 400..=599) => refused(status, &HeaderMap::new(), error.to_string().as_bytes()),
        _ => Failure::malformed(format!("the server answered 200 with an error: {}", told.message)),
    }
}

/// A body that is not the JSON of an answer.
pub(crate) fn unreadable(error: &serde_json::Error, body: &[u8]) -> Failure {
    let shown = match body {
        [] => "nothing".to_owned(),
        bytes => format!("`{}`", excerpt(bytes)),
    };
    Failure::malformed(format!("expected an answer in JSON, got {shown} ({error})"))
}

fn excerpt(bytes: &[u8]) -> String {
    let text = short(&String::from_utf8_lossy(bytes.get(..400).unwrap_or(bytes)));
    text.chars().take(200).collect()
}

/// What a status other than 2xx means.
pub(crate) fn refused(status: u16, headers: &HeaderMap, body: &[u8]) -> Failure {
    let told = ServerError::read(body);
    let wait = retry_after(headers).or(told.wait);
    let mut detail = match told.message.as_str() {
        "" => format!("HTTP {status} without a message"),
        message => message.to_owned(),
    };
    let kind = match status {
        429 if told.code == "insufficient_quota" => LmErrorKind::Auth,
        429 => LmErrorKind::RateLimited { retry_after: wait },
        503 if wait.is_some() => LmErrorKind::RateLimited { retry_after: wait },
        401 | 403 => LmErrorKind::Auth,
        400 if told.bad_key => LmErrorKind::Auth,
        404 => LmErrorKind::NotFound,
        408 => LmErrorKind::Timeout,
        500..=599 => LmErrorKind::Server { status, retry_after: wait },
        300..=399 => {
            let to = headers.get("location").and_then(|v| v.to_str().ok()).unwrap_or("another address");
            detail = format!("HTTP {status}: the server redirects to {to}: use that address as base URL");
            LmErrorKind::InvalidRequest
        }
        _ => told.overflow.map_or(LmErrorKind::InvalidRequest, |(tokens, limit)| {
            LmErrorKind::ContextOverflow { tokens, limit }
        }),
    };
    Failure::new(kind, detail)
}

/// What an error body says, in the shapes that servers use.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct ServerError {
    /// The server's message; the body itself when it is not JSON.
    pub(crate) message: String,
    /// Its `code`, as text.
    pub(crate) code: String,
    /// Tokens of the prompt and tokens that fit, when the message is about them.
    pub(crate) overflow: Option<(u64, u64)>,
    /// The wait in the details of a Google API's error.
    pub(crate) wait: Option<Duration>,
    /// A Google API's way to refuse a key, under status 400.
    pub(crate) bad_key: bool,
}

impl ServerError {
    fn read(body: &[u8]) -> Self {
        match serde_json::from_slice::<Value>(body) {
            Ok(json) => Self::of(json.get("error").unwrap_or(&json)),
            Err(_) => Self { message: short(&String::from_utf8_lossy(body)), ..Self::default() },
        }
    }

    /// The error object `{"message", "code", ..}`, or its text alone.
    pub(crate) fn of(error: &Value) -> Self {
        let text = |name: &str| match error.get(name) {
            Some(Value::String(text)) => text.clone(),
            Some(Value::Null) | None => String::new(),
            Some(other) => other.to_string(),
        };
        let message = match error {
            Value::String(text) => text.clone(),
            _ => ["message", "detail"].map(text).into_iter().find(|t| !t.is_empty()).unwrap_or_default(),
        };
        let message = if message.is_empty() && !error.is_null() { error.to_string() } else { message };
        let details = error.get("details").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        let detail = |name: &str| details.iter().find_map(|d| d.get(name).and_then(Value::as_str));
        Self {
            overflow: overflow::read(error, &message),
            code: text("code"),
            wait: detail("retryDelay").and_then(span),
            bad_key: detail("reason") == Some("API_KEY_INVALID"),
            message: short(&message),
        }
    }
}

/// The text on one line, at most [`MAX_DETAIL`] characters.
pub(crate) fn short(text: &str) -> String {
    let line: String = text
        .split(|c: char| c.is_whitespace() || c.is_control())
        .filter(|word| !word.is_empty())
        .collect::<Vec<_>>()
        .join(" ");
    match line.char_indices().nth(MAX_DETAIL) {
        Some((end, _)) => format!("{}...", line.get(..end).unwrap_or_default()),
        None => line,
    }
}

/// An error with its causes, outermost first.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        text = format!("{text}: {next}");
        cause = next.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    #[test]
    fn every_status_has_its_kind() {
        let check = |status, body: &str, kind: LmErrorKind| {
            let failure = refused(status, &headers(&[("retry-after", "2")]), body.as_bytes());
            assert_eq!(failure.kind, kind, "{status} {body}");
            assert!(!failure.detail.is_empty());
        };
        let wait = Some(Duration::from_secs(2));
        check(429, r#"{"error":{"message":"slow down"}}"#, LmErrorKind::RateLimited { retry_after: wait });
        check(429, r#"{"error":{"message":"pay","code":"insufficient_quota"}}"#, LmErrorKind::Auth);
        check(503, "", LmErrorKind::RateLimited { retry_after: wait });
        check(500, "<html>oops", LmErrorKind::Server { status: 500, retry_after: wait });
        check(529, "", LmErrorKind::Server { status: 529, retry_after: wait });
        check(401, r#"{"error":"no"}"#, LmErrorKind::Auth);
        check(403, "", LmErrorKind::Auth);
        check(404, r#"{"detail":"Not Found"}"#, LmErrorKind::NotFound);
        check(422, r#"{"detail":[{"msg":"field required"}]}"#, LmErrorKind::InvalidRequest);
        check(302, "", LmErrorKind::InvalidRequest);
    }

    #[test]
    fn a_message_is_bounded_and_on_one_line() {
        let failure = refused(400, &HeaderMap::new(), "é\r\n".repeat(5000).as_bytes());
        assert!(failure.detail.chars().count() <= MAX_DETAIL + 3 && !failure.detail.contains('\n'));
    }
}
