//! [`from_spec`]: a model from one line of text, as a command line or a configuration file has it.
//!
//! | form | model |
//! |---|---|
//! | `openai/NAME` | OpenAI; the key is in `OPENAI_API_KEY` |
//! | `anthropic/NAME` | Anthropic; the key is in `ANTHROPIC_API_KEY` |
//! | `gemini/NAME` | Gemini; the key is in `GEMINI_API_KEY` or `GOOGLE_API_KEY` |
//! | `http://HOST:PORT/v1#NAME` | that model on an OpenAI-compatible server (`https` too) |
//! | `http://HOST:PORT/v1` | the only model that this server offers |
//! | `local/smollm2-135m` | the embedded model (feature `local`) |
//! | `local/PATH.gguf` | other weights in the embedded model |
//!
//! Deliberately absent: settings. A spec says which model; how it is asked is in each request.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use teleprompt_core::lm::Lm;

use crate::ApiKey;
use crate::providers::anthropic::AnthropicLm;
use crate::providers::compatible::{BaseUrl, CompatibleLm, shown};
use crate::providers::gemini::GeminiLm;

/// What can stand in front of the first call: an unusable spec, key or address.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SpecError {
    /// The text has none of the forms.
    #[error(
        "`{spec}` names no model: write `openai/NAME`, `anthropic/NAME`, `gemini/NAME`, `http://HOST:PORT/v1#NAME` (any OpenAI-compatible \
         server), `http://HOST:PORT/v1` (its only model) or `local/smollm2-135m`"
    )]
    Unknown {
        /// The text.
        spec: String,
    },
    /// No key where one is needed.
    #[error(
        "`{variable}` is not set: export it, or pass a key, or use a base URL (`http://HOST:PORT/v1#NAME`) or \
         `local/smollm2-135m`"
    )]
    MissingKey {
        /// The environment variable that was read.
        variable: String,
    },
    /// A key, or another secret setting, that cannot be sent.
    #[error(
        "{origin} cannot be sent in an HTTP header: it is empty, or holds white space or special characters"
    )]
    InvalidKey {
        /// Where it came from; never the key itself.
        origin: String,
    },
    /// An address that is none.
    #[error("the base URL cannot be used: {reason} (expected `http://HOST:PORT/v1`)")]
    BaseUrl {
        /// What is wrong; never the address itself, which may hold a secret.
        reason: String,
    },
    /// No model was named, and the server did not say which one it has.
    #[error("no model for `{url}`: {reason}; name one, as in `{url}#NAME`")]
    NoModel {
        /// The base URL.
        url: String,
        /// Why the server did not help.
        reason: String,
    },
    /// No model was named, and the server has several.
    #[error("`{url}` offers {} models: name one, as in `{url}#{}` ({})", .names.len(), first(.names), list(.names))]
    SeveralModels {
        /// The base URL.
        url: String,
        /// The models, in the server's order.
        names: Vec<String>,
    },
    /// The form belongs to a feature that this build lacks.
    #[error("`{spec}` needs the feature `{feature}`: build with `--features {feature}`")]
    Feature {
        /// The text.
        spec: String,
        /// The Cargo feature.
        feature: &'static str,
    },
    /// The embedded model could not be set up.
    #[error("`{spec}`: {reason}")]
    Local {
        /// The text.
        spec: String,
        /// What the embedded model said.
        reason: String,
    },
    /// The HTTP client could not be set up, for instance because the system has no root certificates.
    #[error("the HTTP client cannot be set up: {reason}")]
    Client {
        /// What the client said.
        reason: String,
    },
}

fn first(names: &[String]) -> &str {
    names.first().map_or("NAME", String::as_str)
}

fn list(names: &[String]) -> String {
    const SHOWN: usize = 8;
    let shown: Vec<&str> = names.iter().take(SHOWN).map(String::as_str).collect();
    let dots = if names.len() > SHOWN { ", ..." } else { "" };
    format!("{}{dots}", shown.join(", "))
}

/// A parsed spec: which model, before anything is opened or asked.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ModelSpec {
    /// `openai/NAME`.
    OpenAi {
        /// OpenAI's name of the model.
        model: String,
    },
    /// `anthropic/NAME`.
    Anthropic {
        /// Anthropic's name of the model.
        model: String,
    },
    /// `gemini/NAME`.
    Gemini {
        /// Google's name of the model.
        model: String,
    },
    /// `http://HOST:PORT/v1#NAME` or without `#NAME`.
    Compatible {
        /// The base URL, as written.
        base_url: String,
        /// The server's name of the model.
        model: Option<String>,
    },
    /// `local/NAME` or `local/PATH.gguf`.
    Local {
        /// The name or the path of the weights.
        model: String,
    },
}

/// As a spec; a base URL without its query, which may hold a secret.
impl fmt::Debug for ModelSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OpenAi { model } => write!(f, "ModelSpec(openai/{model})"),
            Self::Anthropic { model } => write!(f, "ModelSpec(anthropic/{model})"),
            Self::Gemini { model } => write!(f, "ModelSpec(gemini/{model})"),
            Self::Compatible { base_url, model } => {
                write!(f, "ModelSpec({}#{})", shown(base_url), model.as_deref().unwrap_or_default())
            }
            Self::Local { model } => write!(f, "ModelSpec(local/{model})"),
        }
    }
}

impl FromStr for ModelSpec {
    type Err = SpecError;

    /// Reads a spec.
    ///
    /// # Errors
    /// [`SpecError::Unknown`] with the list of forms, or [`SpecError::BaseUrl`].
    fn from_str(text: &str) -> Result<Self, SpecError> {
        let spec = text.trim();
        if spec.starts_with("http://") || spec.starts_with("https://") {
            let (base_url, model) = match spec.split_once('#') {
                Some((base, "")) => (base, None),
                Some((base, model)) => (base, Some(model.to_owned())),
                None => (spec, None),
            };
            BaseUrl::parse(base_url)?;
            return Ok(Self::Compatible { base_url: base_url.to_owned(), model });
        }
        let (provider, name) = spec.split_once('/').unwrap_or_default();
        let model = name.to_owned();
        match provider {
            _ if model.is_empty() => Err(SpecError::Unknown { spec: spec.to_owned() }),
            "openai" => Ok(Self::OpenAi { model }),
            "anthropic" => Ok(Self::Anthropic { model }),
            "gemini" => Ok(Self::Gemini { model }),
            "local" => Ok(Self::Local { model }),
            _ => Err(SpecError::Unknown { spec: spec.to_owned() }),
        }
    }
}

/// The name of the default weights.
#[cfg(feature = "local")]
const DEFAULT_WEIGHTS: &str = "smollm2-135m";

/// What a spec leaves open.
#[derive(Clone, Default)]
#[non_exhaustive]
pub struct SpecOptions {
    /// The key; without it, the provider's own variable is read, or none is sent (`http..`).
    pub key: Option<ApiKey>,
    /// The most time of one call (120 s for providers behind a network).
    pub timeout: Option<Duration>,
    /// Who hears of the fetching of weights; by default nobody.
    #[cfg(feature = "local")]
    pub fetch_progress: Option<crate::local::ProgressFn>,
}

impl SpecOptions {
    /// These options with a key.
    #[must_use]
    pub fn with_key(mut self, key: ApiKey) -> Self {
        self.key = Some(key);
        self
    }

    /// These options with the most time of one call.
    #[must_use]
    pub fn with_timeout(mut self, limit: Duration) -> Self {
        self.timeout = Some(limit);
        self
    }

    /// These options with someone who hears of the fetching of weights.
    #[cfg(feature = "local")]
    #[must_use]
    pub fn with_fetch_progress(
        mut self,
        listener: impl Fn(&crate::local::FetchProgress) + Send + Sync + 'static,
    ) -> Self {
        self.fetch_progress = Some(Arc::new(listener));
        self
    }
}

impl fmt::Debug for SpecOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SpecOptions")
            .field("key", &self.key)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

impl ModelSpec {
    /// Opens the model.
    ///
    /// # Errors
    /// [`SpecError`] for a missing key, an unusable address, a server that does not say which model it has, or
    /// weights that cannot be had.
    ///
    /// # Cost
    /// No LM call. One HTTP exchange for a server without a model's name; the embedded model loads its
    /// weights, and fetches them the first time.
    pub async fn connect(&self, options: SpecOptions) -> Result<Arc<dyn Lm>, SpecError> {
        /// Passes on what is set.
        macro_rules! with {
            ($builder:expr) => {{
                let mut builder = $builder;
                if let Some(key) = options.key {
                    builder = builder.key(key);
                }
                if let Some(limit) = options.timeout {
                    builder = builder.timeout(limit);
                }
                builder
            }};
        }
        Ok(match self {
            #[cfg(feature = "openai")]
            Self::OpenAi { model } => {
                Arc::new(with!(crate::providers::openai::OpenAiLm::builder(model)).build()?)
            }
            #[cfg(not(feature = "openai"))]
            Self::OpenAi { model } => {
                return Err(SpecError::Feature { spec: format!("openai/{model}"), feature: "openai" });
            }
            Self::Anthropic { model } => Arc::new(with!(AnthropicLm::builder(model)).build()?),
            Self::Gemini { model } => Arc::new(with!(GeminiLm::builder(model)).build()?),
            Self::Compatible { base_url, model } => {
                let mut builder = with!(CompatibleLm::builder(base_url));
                if let Some(model) = model {
                    builder = builder.model(model);
                }
                Arc::new(builder.connect().await?)
            }
            Self::Local { model } => local(model, options).await?,
        })
    }
}

/// The model that `spec` names, with keys from the environment and default time-outs: see the
/// [forms](self), and [`ModelSpec::connect`] for the errors and the cost.
///
/// ```
/// # async fn run() -> Result<(), teleprompt_lm::SpecError> {
/// let lm = teleprompt_lm::from_spec("http://localhost:8000/v1#qwen3-8b").await?;
/// assert_eq!(lm.model().as_str(), "http://localhost:8000/v1#qwen3-8b");
/// # Ok(()) }
/// # futures::executor::block_on(run()).unwrap();
/// ```
///
/// # Errors
/// See [`ModelSpec::connect`].
pub async fn from_spec(spec: &str) -> Result<Arc<dyn Lm>, SpecError> {
    spec.parse::<ModelSpec>()?.connect(SpecOptions::default()).await
}

#[cfg(feature = "local")]
async fn local(model: &str, options: SpecOptions) -> Result<Arc<dyn Lm>, SpecError> {
    use crate::local::{LocalLm, WeightsSource};

    let failed = |reason: String| SpecError::Local { spec: format!("local/{model}"), reason };
    let source = match model {
        DEFAULT_WEIGHTS => WeightsSource::Auto,
        path if path.ends_with(".gguf") => WeightsSource::Path(path.into()),
        _ => return Err(failed(format!("write `local/{DEFAULT_WEIGHTS}` or `local/PATH/TO/FILE.gguf`"))),
    };
    let mut builder = LocalLm::builder().weights(source);
    if let Some(listener) = options.fetch_progress {
        builder = builder.progress(move |event| listener(event));
    }
    match builder.load().await {
        Ok(lm) => Ok(Arc::new(lm)),
        Err(error) => Err(failed(error.to_string())),
    }
}

#[cfg(not(feature = "local"))]
async fn local(model: &str, _: SpecOptions) -> Result<Arc<dyn Lm>, SpecError> {
    Err(SpecError::Feature { spec: format!("local/{model}"), feature: "local" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_is_read() {
        let check = |text: &str, expect: ModelSpec| assert_eq!(text.parse(), Ok(expect), "{text}");
        let compatible = |base_url: &str, model: Option<&str>| ModelSpec::Compatible {
            base_url: base_url.into(),
            model: model.map(Into::into),
        };
        check(" openai/gpt-4o-mini ", ModelSpec::OpenAi { model: "gpt-4o-mini".into() });
        check("anthropic/claude-sonnet-4", ModelSpec::Anthropic { model: "claude-sonnet-4".into() });
        check("gemini/gemini-2.5-flash", ModelSpec::Gemini { model: "gemini-2.5-flash".into() });
        check("http://h:8/v1#org/m", compatible("http://h:8/v1", Some("org/m")));
        check("https://h/v1", compatible("https://h/v1", None));
        check("http://h:8/v1#", compatible("http://h:8/v1", None));
        check("local/smollm2-135m", ModelSpec::Local { model: "smollm2-135m".into() });
    }

    #[test]
    fn an_unknown_spec_lists_the_forms() {
        for text in ["", "gpt-4o-mini", "openai/", "local/", "mystery/m", "localhost:8000/v1"] {
            let error = text.parse::<ModelSpec>().unwrap_err().to_string();
            for form in ["openai/NAME", "http://HOST:PORT/v1#NAME", "local/smollm2-135m"] {
                assert!(error.contains(form), "{text}: {error}");
            }
        }
        assert!(matches!("http://u:secret@h/v1".parse::<ModelSpec>(), Err(SpecError::BaseUrl { .. })));
    }

    #[cfg(not(feature = "local"))]
    #[tokio::test]
    async fn a_missing_feature_is_named() {
        let error = from_spec("local/smollm2-135m").await.err().unwrap();
        assert_eq!(
            error.to_string(),
            "`local/smollm2-135m` needs the feature `local`: build with `--features local`"
        );
    }
}
