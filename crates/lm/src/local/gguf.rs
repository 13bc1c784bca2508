//! Reading a GGUF file: the model's dimensions and its tensors, checked before anything is computed.
//!
//! A file is untrusted. Every number that sizes an allocation or an index is checked against the others here,
//! and a panic of the reader below is caught and becomes an error. Tensors of any GGML type are accepted;
//! [`unpack`] gives them as `f32`.

use std::fs::File;
use std::io::BufReader;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use candle_core::Device;
use candle_core::quantized::QTensor;
use candle_core::quantized::gguf_file::{Content, Value};

use super::error::{LocalError, ModelError};
use super::matmul::WIDTH;

/// Bounds on the dimensions of a model: far above any that a processor serves, far below an overflow.
const MOST: usize = 1 << 20;

/// The dimensions of a `llama` model. All are at least 1.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Dimensions {
    pub(crate) layers: usize,
    /// Width of the residual stream.
    pub(crate) hidden: usize,
    /// Width of the gated feed-forward layer.
    pub(crate) inner: usize,
    pub(crate) heads: usize,
    /// Heads that have keys and values; divides `heads`.
    pub(crate) kv_heads: usize,
    /// Width of one head; a multiple of 32, as is `inner`.
    pub(crate) head: usize,
    pub(crate) vocabulary: usize,
    /// Most tokens that the model was trained to see.
    pub(crate) context: usize,
    pub(crate) rope_base: f32,
    /// By how much positions are stretched; 1 where they are not.
    pub(crate) rope_scale: f32,
    pub(crate) norm_epsilon: f32,
}

/// An open GGUF file.
pub(crate) struct Gguf {
    content: Content,
    reader: BufReader<File>,
}

impl Gguf {
    /// Opens a file and reads its header and metadata.
    pub(crate) fn open(path: &Path) -> Result<Self, LocalError> {
        let read = |source| LocalError::Read { path: path.to_owned(), source };
        let file = File::open(path).map_err(read)?;
        if !file.metadata().map_err(read)?.is_file() {
            return Err(read(std::io::Error::new(std::io::ErrorKind::InvalidInput, "not a file")));
        }
        let mut reader = BufReader::with_capacity(1 << 20, file);
        let content = guarded(|| Ok(Content::read(&mut reader)?)).map_err(|e| LocalError::Model {
            path: path.to_owned(),
            source: ModelError::Gguf(e.to_string()),
        })?;
        Ok(Self { content, reader })
    }

    /// A metadata text.
    pub(crate) fn text(&self, key: &str) -> Option<&str> {
        match self.content.metadata.get(key) {
            Some(Value::String(text)) => Some(text),
            _ => None,
        }
    }

    /// A metadata number.
    pub(crate) fn number(&self, key: &str) -> Option<usize> {
        let value = self.content.metadata.get(key)?;
        match value {
            Value::I32(n) => usize::try_from(*n).ok(),
            Value::I64(n) => usize::try_from(*n).ok(),
            value => usize::try_from(value.to_u64().ok()?).ok(),
        }
    }

    /// A metadata list of texts.
    pub(crate) fn texts(&self, key: &str) -> Result<Vec<&str>, ModelError> {
        let missing = || ModelError::Metadata(key.into());
        let Some(Value::Array(items)) = self.content.metadata.get(key) else { return Err(missing()) };
        let mut texts = Vec::with_capacity(items.len());
        for item in items {
            let Value::String(text) = item else { return Err(missing()) };
            texts.push(text.as_str());
        }
        Ok(texts)
    }

    /// A metadata list of numbers.
    pub(crate) fn numbers(&self, key: &str) -> Result<Vec<i64>, ModelError> {
        let missing = || ModelError::Metadata(key.into());
        let Some(Value::Array(items)) = self.content.metadata.get(key) else { return Err(missing()) };
        let number = |item: &Value| match item {
            Value::I32(n) => Some(i64::from(*n)),
            Value::I64(n) => Some(*n),
            value => i64::try_from(value.to_u64().ok()?).ok(),
        };
        items.iter().map(number).collect::<Option<_>>().ok_or_else(missing)
    }

    /// A metadata list of real numbers.
    pub(crate) fn reals(&self, key: &str) -> Result<Vec<f32>, ModelError> {
        let missing = || ModelError::Metadata(key.into());
        let Some(Value::Array(items)) = self.content.metadata.get(key) else { return Err(missing()) };
        let real = |item: &Value| match item {
            Value::F32(x) => Some(*x),
            _ => None,
        };
        items.iter().map(real).collect::<Option<_>>().ok_or_else(missing)
    }

    /// A metadata yes or no.
    pub(crate) fn flag(&self, key: &str) -> Option<bool> {
        match self.content.metadata.get(key) {
            Some(Value::Bool(yes)) => Some(*yes),
            _ => None,
        }
    }

    /// A tensor that is not among `known`: a part of the model that this crate would leave out.
    pub(crate) fn surplus(&self, known: impl Fn(&str) -> bool) -> Option<&str> {
        let mut names: Vec<&str> = self.content.tensor_infos.keys().map(String::as_str).collect();
        names.sort_unstable();
        names.into_iter().find(|name| !known(name))
    }

    /// The model's dimensions, consistent with each other.
    pub(crate) fn dimensions(&self) -> Result<Dimensions, ModelError> {
        match self.text("general.architecture") {
            Some("llama") => {}
            other => {
                let value = other.unwrap_or_default().into();
                return Err(ModelError::Unsupported { key: "general.architecture", value });
            }
        }
        let size = |key: &'static str| {
            let n = self.number(key).ok_or_else(|| ModelError::Metadata(key.into()))?;
            if (1..=MOST).contains(&n) { Ok(n) } else { Err(unsupported(key, n)) }
        };
        let real = |key: &str| match self.content.metadata.get(key) {
            Some(Value::F32(x)) if x.is_finite() && *x > 0.0 => Some(*x),
            _ => None,
        };
        if self.number("llama.expert_count").unwrap_or(0) > 1 {
            return Err(unsupported("llama.expert_count", 2));
        }
        let heads = size("llama.attention.head_count")?;
        let hidden = size("llama.embedding_length")?;
        let kv_heads = self.number("llama.attention.head_count_kv").unwrap_or(heads);
        if kv_heads == 0 || !heads.is_multiple_of(kv_heads) {
            return Err(unsupported("llama.attention.head_count_kv", kv_heads));
        }
        let head = hidden / heads;
        if head == 0 || !hidden.is_multiple_of(heads) {
            return Err(unsupported("llama.embedding_length", hidden));
        }
        for key in
            ["llama.rope.dimension_count", "llama.attention.key_length", "llama.attention.value_length"]
        {
            if let Some(other) = self.number(key).filter(|n| *n != head) {
                return Err(unsupported(key, other));
            }
        }
        let rope_scale = match self.text("llama.rope.scaling.type") {
            None if !self.content.metadata.contains_key("llama.rope.scaling.type") => 1.0,
            Some("none") => 1.0,
            Some("linear") => real("llama.rope.scaling.factor").unwrap_or(1.0),
            other => {
                let value = other.unwrap_or_default().into();
                return Err(ModelError::Unsupported { key: "llama.rope.scaling.type", value });
            }
        };
        let inner = size("llama.feed_forward_length")?;
        // Whole panels: true of every quantized model, whose rows are whole blocks of 32.
        if !head.is_multiple_of(WIDTH) || !inner.is_multiple_of(WIDTH) {
            return Err(unsupported("llama.feed_forward_length", inner));
        }
        let epsilon_key = "llama.attention.layer_norm_rms_epsilon";
        Ok(Dimensions {
            layers: size("llama.block_count")?,
            hidden,
            inner,
            heads,
            kv_heads,
            head,
            vocabulary: self.texts("tokenizer.ggml.tokens")?.len(),
            context: size("llama.context_length")?,
            rope_base: real("llama.rope.freq_base").unwrap_or(10_000.0),
            rope_scale,
            norm_epsilon: real(epsilon_key).ok_or_else(|| ModelError::Metadata(epsilon_key.into()))?,
        })
    }

    /// Whether the file has this tensor.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.content.tensor_infos.contains_key(name)
    }

    /// A tensor as it is stored, of the expected shape.
    pub(crate) fn tensor(&mut self, name: &str, expected: &[usize]) -> Result<QTensor, ModelError> {
        let Some(info) = self.content.tensor_infos.get(name) else {
            return Err(ModelError::Gguf(format!("there is no tensor `{name}`")));
        };
        if info.shape.dims() != expected {
            let (found, expected) = (info.shape.dims().to_vec(), expected.to_vec());
            return Err(ModelError::Shape { name: name.into(), found, expected });
        }
        guarded(|| Ok(self.content.tensor(&mut self.reader, name, &Device::Cpu)?))
    }

    /// A vector of `f32`.
    pub(crate) fn vector(&mut self, name: &str, length: usize) -> Result<Vec<f32>, ModelError> {
        let stored = self.tensor(name, &[length])?;
        unpack(&stored)
    }
}

/// The values of a stored tensor, row by row.
pub(crate) fn unpack(stored: &QTensor) -> Result<Vec<f32>, ModelError> {
    guarded(|| Ok(stored.dequantize(&Device::Cpu)?.flatten_all()?.to_vec1()?))
}

fn unsupported(key: &'static str, value: usize) -> ModelError {
    ModelError::Unsupported { key, value: value.to_string() }
}

/// Runs a reader of untrusted bytes; a panic in it is an error of the file.
fn guarded<T>(read: impl FnOnce() -> Result<T, ModelError>) -> Result<T, ModelError> {
    catch_unwind(AssertUnwindSafe(read))
        .unwrap_or_else(|_| Err(ModelError::Gguf("its numbers contradict each other".into())))
}
