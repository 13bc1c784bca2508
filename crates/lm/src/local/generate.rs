//! One request on one worker: prompt, prefix, constraint, sampling.
//!
//! **Invariant:** an answer depends on the request alone. The prompt's tokens are a function of the request: each
//! message part is tokenized by itself, always, so that parts which requests share are the same tokens in each.
//! And what the model computes for a token depends on the tokens before it alone, whether keys and values come
//! from the cache, from what the worker still holds, or are computed. So cache size, eviction, number of workers
//! and threads, and the order of requests cannot change a completion. (Only [`Usage::cached_tokens`] tells of
//! them.) On another processor the last bits of a sum may differ, and a completion with them.
//!
//! The last chunk is fed together with the tokens that the constraint forces; tokens after which nothing is open
//! are not fed at all. So a label costs one pass over the last chunk, plus one per token that is truly chosen.

use std::sync::Arc;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use sha2::{Digest, Sha256};
use teleprompt_core::lm::{FinishReason, LmErrorKind, LmRequest, LmResponse, Role, Usage};

use super::constrain::{Grammars, Guide};
use super::error::ModelError;
use super::forward::{Model, Scratch};
use super::kv::KvStore;
use super::prefix::{ChunkKey, PrefixCache, chain};
use super::tokenizer::Tokenizer;
use crate::providers::takes::Takes;

/// What the embedded model takes: one completion a call.
const TAKES: Takes = Takes { seed: true, regex: true, json_schema: true, ..Takes::PLAIN };
/// Most tokens of a completion where the request sets none.
const DEFAULT_MAX_TOKENS: u32 = 512;
/// Most tokens between two looks at whether someone still waits: some 0.2 s of the default model.
const STEP: usize = 128;
/// With a temperature: tokens less likely than this share of the likeliest one's probability are left out. A
/// small model's long tail is noise (the value is llama.cpp's default `min_p`).
const MIN_SHARE: f64 = 0.05;

/// How messages become text. Where none is chosen, the file's special tokens say: the first of these whose markers it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PromptFormat {
    /// `<|im_start|>role`, the text, `<|im_end|>`, and an open assistant message: what the default model was tuned on.
    /// No system message is added where the request has none.
    ChatMl,
    /// `<|start_header_id|>role<|end_header_id|>`, the text, `<|eot_id|>`, and an open assistant message: Llama 3.
    Llama3,
    /// The texts alone, an empty line between messages; the completion goes on where the last one ends.
    Plain,
}

/// What all workers share.
pub(crate) struct Engine {
    pub(crate) model: Model,
    pub(crate) tokenizer: Tokenizer,
    pub(crate) grammars: Grammars,
    pub(crate) cache: PrefixCache,
    pub(crate) format: PromptFormat,
}

/// A worker's own state.
pub(crate) struct Session {
    engine: Arc<Engine>,
    store: KvStore,
    scratch: Scratch,
    /// The tokens that the store holds.
    held: Vec<u32>,
}

/// Why a request got no answer.
pub(crate) type Failure = (LmErrorKind, String);

impl Session {
    pub(crate) fn new(engine: Arc<Engine>) -> Self {
        let store = KvStore::new(&engine.model.dimensions);
        Self { engine, store, scratch: Scratch::default(), held: Vec::new() }
    }

    /// Answers one request. `withdrawn` is asked before every step of at most [`STEP`] tokens, and ends it.
    pub(crate) fn generate(
        &mut self,
        request: &LmRequest,
        withdrawn: &dyn Fn() -> bool,
    ) -> Result<LmResponse, Failure> {
        let result = self.answer(request, withdrawn);
        match result {
            // What the store holds beyond the shared chunks belongs to this request alone.
            Ok(_) | Err((LmErrorKind::Stopped, _)) => self.store.truncate(self.held.len()),
            // After a failure nothing is trusted.
            Err(_) => self.reset(),
        }
        result
    }

    /// Forward passes so far.
    #[cfg(test)]
    pub(crate) fn passes(&self) -> u64 {
        self.scratch.passes
    }

    /// Forgets everything.
    pub(crate) fn reset(&mut self) {
        self.rewind(0);
    }

    fn answer(&mut self, request: &LmRequest, withdrawn: &dyn Fn() -> bool) -> Result<LmResponse, Failure> {
        TAKES.check(request).map_err(|failure| (failure.kind, failure.detail))?;
        let engine = Arc::clone(&self.engine);
        let chunks = engine.chunks(request)?;
        let context = engine.model.dimensions.context;
        let input: usize = chunks.iter().map(Vec::len).sum();
        if input >= context {
            let kind = LmErrorKind::ContextOverflow { tokens: input as u64, limit: context as u64 - 1 };
            return Err((kind, "shorten the prompt or use fewer demos".into()));
        }
        let mut guide = match &request.constraint {
            Some(constraint) => Some(engine.grammars.start(constraint).map_err(invalid)?),
            None => None,
        };
        let Some((last, shared)) = chunks.split_last() else {
            return Err(invalid("the request has no text".into()));
        };
        let keys = chain(&chunks);
        let cached = self.prefill(shared, &keys, withdrawn)?;

        let settings = &request.settings;
        let most = settings.max_tokens.unwrap_or(DEFAULT_MAX_TOKENS) as usize;
        let mut sampler = Sampler::new(request, keys.last().unwrap_or(&ChunkKey::default()));
        let mut completion = Completion::new(&engine.tokenizer, &settings.stop);
        let mut pending = last.clone();
        let finish = loop {
            if let Some(guide) = &mut guide {
                for token in guide.forced() {
                    completion.push(token);
                    pending.push(token);
                }
                if let Some(error) = guide.error() {
                    return Err((LmErrorKind::Internal, error));
                }
            }
            if completion.is_stopped() {
                break FinishReason::Stop;
            }
            if completion.tokens.len() > most {
                completion.truncate(most);
                break FinishReason::Length;
            }
            if guide.as_ref().is_some_and(Guide::is_done) {
                break FinishReason::Stop;
            }
            if completion.tokens.len() == most || self.store.len() + pending.len() > context {
                break FinishReason::Length;
            }
            let state = self.feed(&pending, withdrawn)?;
            pending.clear();
            let token = match &mut guide {
                Some(guide) => {
                    let allowed = guide.allowed().map_err(|e| (LmErrorKind::Internal, e))?;
                    let logits = engine.model.logits_of(&state, &allowed);
                    sampler.pick(&logits).and_then(|i| allowed.get(i).copied())
                }
                None => sampler.pick(&engine.model.logits(&state)).map(|i| i as u32),
            };
            let Some(token) = token else { break FinishReason::Stop };
            if engine.tokenizer.is_special(token) {
                break FinishReason::Stop;
            }
            if let Some(guide) = &mut guide {
                guide.push(token).map_err(|e| (LmErrorKind::Internal, e))?;
            }
            completion.push(token);
            pending.push(token);
        };
        let usage = Usage {
            input_tokens: input as u64,
            output_tokens: completion.tokens.len() as u64,
            cached_tokens: cached as u64,
            ..Usage::default()
        };
        Ok(LmResponse::new(completion.into_text()).with_usage(usage).with_finish(finish))
    }

    /// Brings the shared chunks into the store, and returns how many of their tokens were not computed.
    fn prefill(
        &mut self,
        shared: &[Vec<u32>],
        keys: &[ChunkKey],
        withdrawn: &dyn Fn() -> bool,
    ) -> Result<usize, Failure> {
        let engine = Arc::clone(&self.engine);
        let wanted = shared.concat();
        let held = self.held.iter().zip(&wanted).take_while(|(a, b)| a == b).count();
        self.rewind(held);
        let known = engine.cache.lookup(keys.get(..shared.len()).unwrap_or_default());
        let mut reused = held;
        let mut end = 0;
        for (i, tokens) in shared.iter().enumerate() {
            let start = end;
            end += tokens.len();
            match known.get(i) {
                // The worker holds it itself.
                Some(_) if end <= self.held.len() => {}
                Some(chunk) => {
                    self.rewind(start);
                    self.store.append(chunk);
                    reused = end;
                }
                None => {
                    let missing = wanted.get(self.held.len()..end).unwrap_or_default();
                    if !missing.is_empty() {
                        self.feed(missing, withdrawn)?;
                    }
                    if let (Some(key), true) = (keys.get(i), engine.cache.is_on()) {
                        engine.cache.insert(*key, i, self.store.copy(start..end));
                    }
                }
            }
            self.held.extend_from_slice(wanted.get(self.held.len()..end).unwrap_or_default());
        }
        Ok(reused)
    }

    /// Computes tokens behind those in the store, step by step, and gives the last one's state.
    fn feed(&mut self, tokens: &[u32], withdrawn: &dyn Fn() -> bool) -> Result<Vec<f32>, Failure> {
        let engine = Arc::clone(&self.engine);
        let mut state = Vec::new();
        for step in tokens.chunks(STEP) {
            if withdrawn() {
                return Err((LmErrorKind::Stopped, "nobody waits for the answer any more".into()));
            }
            state = engine.model.forward(step, &mut self.store, &mut self.scratch).map_err(internal)?;
        }
        Ok(state)
    }

    fn rewind(&mut self, tokens: usize) {
        self.held.truncate(tokens);
        self.store.truncate(tokens);
    }
}

impl Engine {
    /// The prompt's tokens: one chunk per message part that has any, markers with the part they adjoin.
    pub(crate) fn chunks(&self, request: &LmRequest) -> Result<Vec<Vec<u32>>, Failure> {
        let mut chunks: Vec<Vec<u32>> = Vec::new();
        for message in &request.messages {
            let mut texts = message.texts();
            let first = texts.next().unwrap_or_default();
            if self.format == PromptFormat::Plain && !chunks.is_empty() {
                append(&mut chunks, &self.tokenizer.encode("\n\n"));
            }
            let first = match self.format {
                PromptFormat::Plain if chunks.is_empty() => self.tokenizer.encode_first(first),
                _ => self.opened(message.role, first)?,
            };
            chunks.push(first);
            chunks.extend(texts.map(|text| self.tokenizer.encode(text)));
            append(&mut chunks, &self.closing()?);
        }
        if !chunks.is_empty() {
            append(&mut chunks, &self.opened(Role::Assistant, "")?);
        }
        chunks.retain(|chunk| !chunk.is_empty());
        if let (Some(begin), Some(chunk)) = (self.tokenizer.begin(), chunks.first_mut())
            && chunk.first() != Some(&begin)
        {
            chunk.insert(0, begin);
        }
        Ok(chunks)
    }

    /// What stands before a message's text, and the text.
    fn opened(&self, role: Role, text: &str) -> Result<Vec<u32>, Failure> {
        let encode = |text: &str| self.tokenizer.encode(text);
        Ok(match self.format {
            // One piece of text, as the model was tuned on.
            PromptFormat::ChatMl => {
                [vec![self.marker("<|im_start|>")?], encode(&format!("{}\n{text}", word(role)))].concat()
            }
            PromptFormat::Llama3 => {
                let (start, end) = (self.marker("<|start_header_id|>")?, self.marker("<|end_header_id|>")?);
                [vec![start], encode(word(role)), vec![end], encode("\n\n"), encode(text)].concat()
            }
            PromptFormat::Plain => encode(text),
        })
    }

    /// What stands after a message's text.
    fn closing(&self) -> Result<Vec<u32>, Failure> {
        Ok(match self.format {
            PromptFormat::ChatMl => [vec![self.marker("<|im_end|>")?], self.tokenizer.encode("\n")].concat(),
            PromptFormat::Llama3 => vec![self.marker("<|eot_id|>")?],
            PromptFormat::Plain => Vec::new(),
        })
    }

    fn marker(&self, name: &str) -> Result<u32, Failure> {
        self.tokenizer.special(name).ok_or_else(|| invalid(format!("the model has no `{name}` token")))
    }
}

/// Appends tokens to the last chunk.
fn append(chunks: &mut [Vec<u32>], tokens: &[u32]) {
    if let Some(chunk) = chunks.last_mut() {
        chunk.extend_from_slice(tokens);
    }
}

fn word(role: Role) -> &'static str {
    match role {
        Role::System => "system",
        Role::User => "user",
        Role::Assistant => "assistant",
    }
}

/// Chooses tokens: the likeliest one, or by seeded chance where the request has a temperature.
struct Sampler {
    temperature: f64,
    rng: ChaCha8Rng,
}

impl Sampler {
    /// The random stream is a function of the request's seed, its rollout and its prompt.
    fn new(request: &LmRequest, prompt: &ChunkKey) -> Self {
        let mut hasher = Sha256::new_with_prefix(b"teleprompt/local/sampler");
        hasher.update(request.settings.seed.unwrap_or(0).to_le_bytes());
        hasher.update(request.rollout.to_le_bytes());
        hasher.update(prompt);
        let temperature = request.settings.temperature.filter(|t| t.is_finite()).unwrap_or(0.0);
        Self { temperature, rng: ChaCha8Rng::from_seed(hasher.finalize().into()) }
    }

    /// The index of the chosen logit; `None` if there is none.
    fn pick(&mut self, logits: &[f32]) -> Option<usize> {
        let mut best = None;
        for (i, logit) in logits.iter().enumerate() {
            // Of equals the first wins; what is not a number never does.
            if best.is_none_or(|(_, top)| *logit > top) && !logit.is_nan() {
                best = Some((i, *logit));
            }
        }
        let (likeliest, top) = best?;
        if self.temperature <= 0.0 {
            return Some(likeliest);
        }
        let weight = |logit: f32| ((f64::from(logit) - f64::from(top)) / self.temperature).exp();
        let kept: Vec<(usize, f64)> =
            logits.iter().map(|l| weight(*l)).enumerate().filter(|(_, w)| *w >= MIN_SHARE).collect();
        let total: f64 = kept.iter().map(|(_, w)| w).sum();
        let mut left = self.rng.random::<f64>() * total;
        for (i, w) in &kept {
            left -= w;
            if left < 0.0 {
                return Some(*i);
            }
        }
        Some(kept.last().map_or(likeliest, |(i, _)| *i))
    }
}

/// A completion as it grows, and the stop string that ends it.
struct Completion<'a> {
    tokenizer: &'a Tokenizer,
    stop: &'a [String],
    tokens: Vec<u32>,
    bytes: Vec<u8>,
    cut: Option<usize>,
}

impl<'a> Completion<'a> {
    fn new(tokenizer: &'a Tokenizer, stop: &'a [String]) -> Self {
        Self { tokenizer, stop, tokens: Vec::new(), bytes: Vec::new(), cut: None }
    }

    fn push(&mut self, token: u32) {
        let before = self.bytes.len();
        self.tokens.push(token);
        self.bytes.extend_from_slice(self.tokenizer.bytes(token));
        if self.cut.is_none() {
            let find = |stop: &String| find_from(&self.bytes, stop.as_bytes(), before);
            self.cut = self.stop.iter().filter_map(find).min();
        }
    }

    fn is_stopped(&self) -> bool {
        self.cut.is_some()
    }

    fn truncate(&mut self, tokens: usize) {
        self.tokens.truncate(tokens);
        self.bytes = self.tokens.iter().flat_map(|t| self.tokenizer.bytes(*t)).copied().collect();
    }

    /// The text before the first stop string. Bytes that are no whole character (a cut one, at the end) become
    /// the replacement character.
    fn into_text(mut self) -> String {
        self.bytes.truncate(self.cut.unwrap_or(usize::MAX));
        String::from_utf8_lossy(&self.bytes).into_owned()
    }
}

/// Where `needle` first ends behind the first `known` bytes of `haystack`; an empty needle is nowhere.
fn find_from(haystack: &[u8], needle: &[u8], known: usize) -> Option<usize> {
    if needle.is_empty() {
        return None;
    }
    let start = (known + 1).saturating_sub(needle.len());
    haystack.get(start..)?.windows(needle.len()).position(|window| window == needle).map(|i| start + i)
}

fn invalid(detail: String) -> Failure {
    (LmErrorKind::InvalidRequest, detail)
}

#[expect(clippy::needless_pass_by_value, reason = "used as a function in `map_err`")]
fn internal(error: ModelError) -> Failure {
    (LmErrorKind::Internal, error.to_string())
}
