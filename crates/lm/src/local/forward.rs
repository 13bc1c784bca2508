//! The forward pass of a `llama` model on the processor.
//!
//! candle reads the file and unpacks its tensors; the pass itself is written here, over [`super::matmul`] and
//! [`super::kernels`]. Measured reasons: at this model's width (576, no multiple of 256) candle's 8-bit products
//! reach 22 billion multiply-adds a second on two cores, its `f32` products 106, these 121 on one; candle's
//! products ask the operating system for the number of cores each time; and its 8-bit ones share one spinning
//! thread pool among all callers. So the weights are unpacked to `f32` once, which keeps exactly the file's
//! values, and the projections of a layer that share their input are joined into one.
//!
//! # Determinism
//! A token's keys, values and state depend on the tokens before it and on nothing else: not on how the tokens
//! were cut into calls or blocks, nor on threads. Tests hold it to the bit.

use rayon::prelude::*;

use super::error::ModelError;
use super::gguf::{Dimensions, Gguf, unpack};
use super::kernels::{Rotary, add, causal_softmax, gated_silu, rms_norm};
use super::kv::KvStore;
use super::matmul::{Packed, WIDTH, product};

/// Tokens per step of a long prefill: bounds the memory of the attention scores.
const BLOCK: usize = 256;
/// Factors of the rotary embedding, in files of Llama 3.1 and later.
const ROPE_FACTORS: &str = "rope_freqs.weight";
/// The tensors of a layer.
const PARTS: [&str; 9] = [
    "attn_norm.weight",
    "attn_q.weight",
    "attn_k.weight",
    "attn_v.weight",
    "attn_output.weight",
    "ffn_norm.weight",
    "ffn_gate.weight",
    "ffn_up.weight",
    "ffn_down.weight",
];

/// A model's weights, shared by all workers. 4 bytes per parameter.
pub(crate) struct Model {
    pub(crate) dimensions: Dimensions,
    /// Column `t` is the embedding of token `t`.
    embedding: Packed,
    /// The output matrix, where it is not the embedding.
    output: Option<Packed>,
    output_norm: Vec<f32>,
    layers: Vec<Layer>,
    rotary: Rotary,
}

struct Layer {
    attention_norm: Vec<f32>,
    /// Queries, keys and values, side by side.
    qkv: Packed,
    attention_output: Packed,
    feed_forward_norm: Vec<f32>,
    /// Gate and up, side by side.
    gate_up: Packed,
    down: Packed,
}

/// Memory that a worker uses again for each step.
#[derive(Default)]
pub(crate) struct Scratch {
    normed: Vec<f32>,
    joint: Vec<f32>,
    queries: Vec<f32>,
    mixed: Vec<f32>,
    merged: Vec<f32>,
    product: Vec<f32>,
    /// Calls of [`Model::forward`] so far.
    pub(crate) passes: u64,
}

impl Model {
    /// Reads all tensors. `context` bounds the positions; the file's own bound holds too.
    pub(crate) fn load(gguf: &mut Gguf, context: Option<usize>) -> Result<Self, ModelError> {
        let mut d = gguf.dimensions()?;
        if let Some(name) = gguf.surplus(|name| is_known(name, d.layers)) {
            return Err(ModelError::Gguf(format!(
                "it has a tensor `{name}`, which a plain `llama` model has not"
            )));
        }
        d.context = context.unwrap_or(d.context).min(d.context);
        let kv = d.kv_heads * d.head;
        let mut stored = Vec::with_capacity(d.layers);
        for i in 0..d.layers {
            let name = |part: &str| format!("blk.{i}.{part}.weight");
            let norms =
                [gguf.vector(&name("attn_norm"), d.hidden)?, gguf.vector(&name("ffn_norm"), d.hidden)?];
            let matrices = [
                gguf.tensor(&name("attn_q"), &[d.hidden, d.hidden])?,
                gguf.tensor(&name("attn_k"), &[kv, d.hidden])?,
                gguf.tensor(&name("attn_v"), &[kv, d.hidden])?,
                gguf.tensor(&name("attn_output"), &[d.hidden, d.hidden])?,
                gguf.tensor(&name("ffn_gate"), &[d.inner, d.hidden])?,
                gguf.tensor(&name("ffn_up"), &[d.inner, d.hidden])?,
                gguf.tensor(&name("ffn_down"), &[d.hidden, d.inner])?,
            ];
            stored.push((norms, matrices));
        }
        let layers = stored.into_par_iter().map(|([attention_norm, feed_forward_norm], matrices)| {
            let [q, k, v, o, gate, up, down] = matrices.map(|m| unpack(&m));
            Ok(Layer {
                attention_norm,
                qkv: Packed::new(&[&q?, &k?, &v?], d.hidden),
                attention_output: Packed::new(&[&o?], d.hidden),
                feed_forward_norm,
                gate_up: Packed::new(&[&gate?, &up?], d.hidden),
                down: Packed::new(&[&down?], d.inner),
            })
        });
        let layers = layers.collect::<Result<Vec<_>, ModelError>>()?;
        let untied = gguf.has("output.weight");
        let mut vocabulary = |name| {
            let stored = gguf.tensor(name, &[d.vocabulary, d.hidden])?;
            Ok::<_, ModelError>(Packed::new(&[&unpack(&stored)?], d.hidden))
        };
        let embedding = vocabulary("token_embd.weight")?;
        let output = if untied { Some(vocabulary("output.weight")?) } else { None };
        let output_norm = gguf.vector("output_norm.weight", d.hidden)?;
        let factors =
            if gguf.has(ROPE_FACTORS) { gguf.vector(ROPE_FACTORS, d.head / 2)? } else { Vec::new() };
        if factors.iter().any(|factor| !factor.is_finite() || *factor <= 0.0) {
            return Err(ModelError::Gguf(format!("`{ROPE_FACTORS}` holds what is no factor")));
        }
        let rotary = Rotary::new(d.context, d.head, d.rope_base, d.rope_scale, &factors);
        Ok(Self { dimensions: d, embedding, output, output_norm, layers, rotary })
    }

    /// Feeds tokens behind those in `store` and gives the last one's final state: the input of
    /// [`Model::logits`], of length `hidden`.
    ///
    /// # Errors
    /// No token, a token outside the vocabulary, or more positions than the context has.
    ///
    /// # Cost
    /// About `2 * parameters` operations per token, and attention over the tokens before it.
    pub(crate) fn forward(
        &self,
        tokens: &[u32],
        store: &mut KvStore,
        scratch: &mut Scratch,
    ) -> Result<Vec<f32>, ModelError> {
        let d = &self.dimensions;
        if tokens.is_empty() || store.len() + tokens.len() > d.context {
            return Err(ModelError::Positions {
                from: store.len(),
                tokens: tokens.len(),
                context: d.context,
            });
        }
        if let Some(token) = tokens.iter().find(|t| **t as usize >= d.vocabulary) {
            return Err(ModelError::Token(*token));
        }
        scratch.passes += 1;
        store.reserve(tokens.len());
        let mut x = Vec::new();
        for block in tokens.chunks(BLOCK) {
            x.clear();
            x.resize(block.len() * d.hidden, 0.0);
            for (token, row) in block.iter().zip(x.chunks_exact_mut(d.hidden)) {
                self.embedding.column(*token as usize, row);
            }
            for layer in 0..self.layers.len() {
                self.layer(layer, &mut x, store, scratch);
            }
            store.extend(block.len());
        }
        let mut state = Vec::new();
        rms_norm(&x, &self.output_norm, d.norm_epsilon, &mut state);
        Ok(state)
    }

    /// One layer over the rows of `x`. Of the last layer only the last row goes on.
    fn layer(&self, index: usize, x: &mut Vec<f32>, store: &mut KvStore, scratch: &mut Scratch) {
        let (d, layer) = (&self.dimensions, &self.layers[index]);
        let Scratch { normed, joint, queries, mixed, merged, product: projected, .. } = scratch;
        let position = store.len();
        let rows = x.len() / d.hidden;

        rms_norm(x, &layer.attention_norm, d.norm_epsilon, normed);
        layer.qkv.multiply(normed, joint);
        for (r, row) in joint.chunks_exact_mut(layer.qkv.outputs()).enumerate() {
            let (heads, value) = row.split_at_mut(d.hidden + d.kv_heads * d.head);
            self.rotary.rotate(position + r, heads);
            store.write(index, position + r, &heads[d.hidden..], value);
        }
        let kept = if index + 1 == self.layers.len() { 1 } else { rows };
        x.drain(..(rows - kept) * d.hidden);
        let joint = &joint[(rows - kept) * layer.qkv.outputs()..];

        self.attend(index, position + rows - kept, joint, store, queries, mixed);
        merge_heads(mixed, kept, d.head, merged);
        layer.attention_output.multiply(merged, projected);
        add(x, projected);

        rms_norm(x, &layer.feed_forward_norm, d.norm_epsilon, normed);
        layer.gate_up.multiply(normed, projected);
        gated_silu(projected, d.inner, merged);
        layer.down.multiply(merged, projected);
        add(x, projected);
    }

    /// Attention of the queries in `joint`, the first of which stands at `position`, to all tokens up to their
    /// own: `mixed` becomes `(heads, rows, head)`.
    fn attend(
        &self,
        layer: usize,
        position: usize,
        joint: &[f32],
        store: &KvStore,
        queries: &mut Vec<f32>,
        mixed: &mut Vec<f32>,
    ) {
        let d = &self.dimensions;
        let width = d.hidden + 2 * d.kv_heads * d.head;
        let rows = joint.len() / width;
        let heads_per_group = d.heads / d.kv_heads;
        queries.clear();
        for head in 0..d.heads {
            for row in joint.chunks_exact(width) {
                queries.extend_from_slice(&row[head * d.head..][..d.head]);
            }
        }
        mixed.clear();
        mixed.resize(queries.len(), 0.0);
        let seen = position + rows;
        let panels = seen.div_ceil(WIDTH);
        let scale = 1.0 / (d.head as f32).sqrt();
        let group = |(g, (queries, mixed)): (usize, (&[f32], &mut [f32]))| {
            let keys = panels * WIDTH;
            let mut scores = vec![0f32; heads_per_group * rows * keys];
            product(queries, d.head, d.head, panels, |j| store.key_panel(layer, g, j), &mut scores);
            causal_softmax(&mut scores, keys, rows, position, scale);
            product(&scores, keys, seen, d.head / WIDTH, |j| store.value_panel(layer, g, j), mixed);
        };
        let size = heads_per_group * rows * d.head;
        if rayon::current_num_threads() == 1 {
            queries.chunks_exact(size).zip(mixed.chunks_exact_mut(size)).enumerate().for_each(group);
        } else {
            queries.par_chunks_exact(size).zip(mixed.par_chunks_exact_mut(size)).enumerate().for_each(group);
        }
    }

    /// The logits of all tokens after a final state; a row of whole panels, cut to the vocabulary.
    pub(crate) fn logits(&self, state: &[f32]) -> Vec<f32> {
        let mut logits = Vec::new();
        self.output.as_ref().unwrap_or(&self.embedding).multiply(state, &mut logits);
        logits.truncate(self.dimensions.vocabulary);
        logits
    }

    /// The logits of the wanted tokens only, in their order: the same numbers, cheaper when they are few.
    pub(crate) fn logits_of(&self, state: &[f32], wanted: &[u32]) -> Vec<f32> {
        self.output.as_ref().unwrap_or(&self.embedding).columns_of(state, wanted)
    }
}

/// Whether the pass below uses the tensor of this name.
fn is_known(name: &str, layers: usize) -> bool {
    if ["token_embd.weight", "output.weight", "output_norm.weight", ROPE_FACTORS].contains(&name) {
        return true;
    }
    let part = name.strip_prefix("blk.").and_then(|rest| rest.split_once('.'));
    part.is_some_and(|(layer, part)| {
        layer.parse::<usize>().is_ok_and(|layer| layer < layers) && PARTS.contains(&part)
    })
}

/// From `(heads, rows, head)` to `(rows, heads * head)`.
fn merge_heads(mixed: &[f32], rows: usize, head: usize, merged: &mut Vec<f32>) {
    merged.clear();
    merged.resize(mixed.len(), 0.0);
    let width = mixed.len() / rows;
    for (h, plane) in mixed.chunks_exact(rows * head).enumerate() {
        for (r, x) in plane.chunks_exact(head).enumerate() {
            merged[r * width + h * head..][..head].copy_from_slice(x);
        }
    }
}
