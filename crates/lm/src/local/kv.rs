//! Keys and values of the tokens that a worker has seen.
//!
//! [`KvStore`] is a worker's own: it grows at its end, and is rewound when the next request begins differently.
//! Keys and values stand in panels (see [`super::matmul`]), so that attention reads them without rearranging:
//! keys with one panel per 32 tokens, values with one per 32 features. [`KvChunk`] is a run of tokens cut out of
//! it, for the prefix cache.

use std::ops::Range;

use super::gguf::Dimensions;
use super::matmul::WIDTH;

/// First capacity in tokens.
const FIRST_CAPACITY: usize = 512;

/// Keys and values of all layers. Cheap to rewind, grown as needed.
pub(crate) struct KvStore {
    /// Per layer: `(kv_heads, capacity / 32, head, 32)`.
    keys: Vec<Vec<f32>>,
    /// Per layer: `(kv_heads, head / 32, capacity, 32)`.
    values: Vec<Vec<f32>>,
    kv_heads: usize,
    head: usize,
    /// In tokens; a multiple of 32.
    capacity: usize,
    length: usize,
}

/// Keys and values of a run of tokens; per layer `(n, kv_heads, head)` keys, then as many values.
pub(crate) struct KvChunk {
    layers: Vec<Vec<f32>>,
}

impl KvStore {
    pub(crate) fn new(d: &Dimensions) -> Self {
        let none = || vec![Vec::new(); d.layers];
        Self { keys: none(), values: none(), kv_heads: d.kv_heads, head: d.head, capacity: 0, length: 0 }
    }

    /// Tokens in the store.
    pub(crate) fn len(&self) -> usize {
        self.length
    }

    /// Forgets all tokens after the first `length`.
    pub(crate) fn truncate(&mut self, length: usize) {
        self.length = self.length.min(length);
    }

    /// Declares `n` more tokens complete in all layers.
    pub(crate) fn extend(&mut self, n: usize) {
        self.length = (self.length + n).min(self.capacity);
    }

    /// Writes one token's key and value, `(kv_heads, head)` each, at a position for which there is room.
    pub(crate) fn write(&mut self, layer: usize, position: usize, key: &[f32], value: &[f32]) {
        let (head, capacity) = (self.head, self.capacity);
        for (g, key) in key.chunks_exact(head).enumerate() {
            let panel = (g * capacity / WIDTH + position / WIDTH) * head * WIDTH;
            let cells = self.keys[layer][panel..][..head * WIDTH][position % WIDTH..].iter_mut();
            for (cell, x) in cells.step_by(WIDTH).zip(key) {
                *cell = *x;
            }
        }
        for (i, value) in value.chunks_exact(WIDTH).enumerate() {
            self.values[layer][(i * capacity + position) * WIDTH..][..WIDTH].copy_from_slice(value);
        }
    }

    /// The panel of the keys of 32 tokens from `32 * j` on, for one head: `(head, 32)`.
    pub(crate) fn key_panel(&self, layer: usize, head: usize, j: usize) -> &[f32] {
        let size = self.head * WIDTH;
        &self.keys[layer][(head * self.capacity / WIDTH + j) * size..][..size]
    }

    /// The panel of 32 features of the values, from `32 * j` on, for one head: `(capacity, 32)`.
    pub(crate) fn value_panel(&self, layer: usize, head: usize, j: usize) -> &[f32] {
        let size = self.capacity * WIDTH;
        &self.values[layer][(head * self.head / WIDTH + j) * size..][..size]
    }

    /// Makes room for `more` tokens; doubles, so that growing costs little in all.
    pub(crate) fn reserve(&mut self, more: usize) {
        let needed = self.length + more;
        if needed <= self.capacity {
            return;
        }
        let capacity = needed.max(2 * self.capacity).max(FIRST_CAPACITY).next_multiple_of(WIDTH);
        let (head, kv_heads) = (self.head, self.kv_heads);
        // A head's keys are whole panels, of which the first ones stay; a value panel is longer than before.
        let grow = |old: &mut Vec<f32>, parts: usize| {
            let mut new = vec![0f32; capacity * kv_heads * head];
            if !old.is_empty() {
                let (from, to) = (old.len() / parts, new.len() / parts);
                for (to, from) in new.chunks_exact_mut(to).zip(old.chunks_exact(from)) {
                    to[..from.len()].copy_from_slice(from);
                }
            }
            *old = new;
        };
        self.keys.iter_mut().for_each(|keys| grow(keys, kv_heads));
        self.values.iter_mut().for_each(|values| grow(values, kv_heads * head / WIDTH));
        self.capacity = capacity;
    }

    /// Copies out a run of tokens that are in the store.
    pub(crate) fn copy(&self, tokens: Range<usize>) -> KvChunk {
        let width = self.kv_heads * self.head;
        let layer = |layer: usize| {
            let mut data = Vec::with_capacity(2 * tokens.len() * width);
            for position in tokens.clone() {
                for g in 0..self.kv_heads {
                    let panel = self.key_panel(layer, g, position / WIDTH);
                    data.extend(panel[position % WIDTH..].iter().step_by(WIDTH));
                }
            }
            for position in tokens.clone() {
                for i in 0..width / WIDTH {
                    data.extend_from_slice(
                        &self.values[layer][(i * self.capacity + position) * WIDTH..][..WIDTH],
                    );
                }
            }
            data
        };
        KvChunk { layers: (0..self.keys.len()).map(layer).collect() }
    }

    /// Appends what was copied out of a store of the same model, at the position where it stood.
    pub(crate) fn append(&mut self, chunk: &KvChunk) {
        let width = self.kv_heads * self.head;
        let added = chunk.layers.first().map_or(0, Vec::len) / (2 * width);
        self.reserve(added);
        let start = self.length;
        for (layer, data) in chunk.layers.iter().enumerate() {
            let (keys, values) = data.split_at(added * width);
            for (i, (key, value)) in keys.chunks_exact(width).zip(values.chunks_exact(width)).enumerate() {
                self.write(layer, start + i, key, value);
            }
        }
        self.length += added;
    }
}

impl KvChunk {
    /// Memory that the chunk takes, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.layers.iter().map(|layer| layer.capacity() * size_of::<f32>()).sum()
    }

    /// A chunk of a given size, for tests of what keeps chunks.
    #[cfg(test)]
    pub(crate) fn of_size(bytes: usize) -> Self {
        Self { layers: vec![vec![0.0; bytes / size_of::<f32>()]] }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_comes_back_after_growing_and_copying() {
        let d = Dimensions {
            layers: 2,
            hidden: 128,
            inner: 32,
            heads: 2,
            kv_heads: 2,
            head: 64,
            vocabulary: 1,
            context: 4096,
            rope_base: 1e4,
            rope_scale: 1.0,
            norm_epsilon: 1e-5,
        };
        let token = |layer: usize, position: usize| {
            let x = |i: usize| (layer * 1_000_000 + position * 1_000 + i) as f32;
            ((0..128).map(x).collect::<Vec<_>>(), (0..128).map(|i| -x(i)).collect::<Vec<_>>())
        };
        let mut store = KvStore::new(&d);
        for position in 0..700 {
            store.reserve(1);
            for layer in 0..2 {
                let (key, value) = token(layer, position);
                store.write(layer, position, &key, &value);
            }
            store.extend(1);
        }
        assert_eq!(store.len(), 700);
        let mut other = KvStore::new(&d);
        other.append(&store.copy(0..37));
        other.append(&store.copy(37..700));
        for store in [&store, &other] {
            for (layer, position) in [(0, 0), (1, 36), (0, 511), (1, 512), (1, 699)] {
                let (key, value) = token(layer, position);
                for g in 0..2 {
                    let panel = store.key_panel(layer, g, position / WIDTH);
                    let found: Vec<f32> = panel[position % WIDTH..].iter().step_by(WIDTH).copied().collect();
                    assert_eq!(found, key[g * 64..][..64]);
                    for j in 0..2 {
                        let panel = store.value_panel(layer, g, j);
                        assert_eq!(panel[position * WIDTH..][..WIDTH], value[g * 64 + j * WIDTH..][..WIDTH]);
                    }
                }
            }
        }
    }
}
