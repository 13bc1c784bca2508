//! Opening a model from the command line: the embedded one unless another is named, behind retries and a durable cache.

#![expect(clippy::print_stderr, reason = "a command-line program speaks on standard error")]

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use teleprompt::Lm;
use teleprompt::lm::local::{FetchProgress, LocalError, LocalLm};
use teleprompt::lm::{Cache, CacheError, LmStack, RetryEvent, RetryPolicy, SpecError, from_spec};

/// Which model, and where its answers are kept.
#[derive(Clone, Debug, clap::Args)]
pub struct ModelArgs {
    /// The model: `openai/NAME` (key in OPENAI_API_KEY), or `local/smollm2-135m`, embedded in this program.
    #[arg(long, value_name = "SPEC", default_value = "local/smollm2-135m")]
    lm: String,
    /// An OpenAI-compatible server, such as http://localhost:8080/v1; `--lm` then names its model, if it has several.
    #[arg(long, value_name = "URL")]
    base_url: Option<String>,
    /// The file in which every answer of the model is kept, so that nothing is paid for twice.
    #[arg(long, value_name = "FILE", default_value = "target/quickstart/answers.db")]
    cache: PathBuf,
}

/// Why a model could not be opened.
#[derive(Debug)]
pub enum OpenError {
    /// The spec, the key or the server.
    Spec(SpecError),
    /// The embedded model.
    Local(LocalError),
    /// The cache.
    Cache(CacheError),
    /// The folder of the cache.
    Folder(PathBuf, std::io::Error),
}

impl std::fmt::Display for OpenError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Spec(error) => error.fmt(f),
            Self::Local(error) => {
                write!(
                    f,
                    "{error}\nAny other model will do: --lm openai/gpt-4o-mini, or --base-url http://HOST:PORT/v1"
                )
            }
            Self::Cache(error) => error.fmt(f),
            Self::Folder(path, error) => write!(f, "cannot make the folder `{}`: {error}", path.display()),
        }
    }
}

impl std::error::Error for OpenError {}

impl ModelArgs {
    /// The spec, in one of the forms of [`from_spec`].
    fn spec(&self) -> String {
        match &self.base_url {
            None => self.lm.clone(),
            Some(url) if self.lm.starts_with("local/") => url.clone(),
            Some(url) => format!("{url}#{}", self.lm.strip_prefix("openai/").unwrap_or(&self.lm)),
        }
    }

    /// The model behind retries and the cache.
    ///
    /// # Errors
    /// [`OpenError`] says what is wrong and what to do.
    pub async fn open(&self) -> Result<Arc<dyn Lm>, OpenError> {
        if let Some(folder) = self.cache.parent() {
            std::fs::create_dir_all(folder).map_err(|error| OpenError::Folder(folder.to_owned(), error))?;
        }
        let cache = Cache::open(&self.cache).map_err(OpenError::Cache)?;
        let spec = self.spec();
        let provider: Arc<dyn Lm> = match spec.as_str() {
            "local/smollm2-135m" => {
                let bar = Mutex::new(None);
                let local = LocalLm::builder().progress(move |event| show(&bar, event));
                Arc::new(local.load().await.map_err(OpenError::Local)?)
            }
            other => from_spec(other).await.map_err(OpenError::Spec)?,
        };
        let retry = RetryPolicy::default().on_retry(say_now_and_then());
        Ok(LmStack::new(provider).retry(retry).cache(&cache).build())
    }
}

/// Says that a call is repeated, at most once in two seconds: many calls fail together.
fn say_now_and_then() -> impl Fn(&RetryEvent<'_>) + Send + Sync {
    let last = Mutex::new(None::<Instant>);
    move |event| {
        let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
        if last.is_none_or(|last| last.elapsed() > Duration::from_secs(2)) {
            *last = Some(Instant::now());
            eprintln!("  {}; trying again ({} of {})", event.error, event.attempt + 1, event.attempts);
        }
    }
}

/// Shows how the fetching of weights goes: a bar while bytes come, a line for everything else.
fn show(bar: &Mutex<Option<ProgressBar>>, event: &FetchProgress) {
    let mut bar = bar.lock().unwrap_or_else(PoisonError::into_inner);
    match event {
        FetchProgress::Received { bytes, total } => {
            let bar = bar.get_or_insert_with(|| {
                let style =
                    ProgressStyle::with_template("  {bar:40} {bytes} of {total_bytes}, {bytes_per_sec}");
                ProgressBar::new(*total).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
            });
            bar.set_position(*bytes);
        }
        other => {
            if let Some(bar) = bar.take() {
                bar.finish_and_clear();
            }
            eprintln!("{other}");
        }
    }
}
