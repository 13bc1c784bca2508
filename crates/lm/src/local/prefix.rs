//! The prefix cache: keys and values of prompt beginnings that many requests share.
//!
//! A prompt is a sequence of chunks. What a chunk's keys and values are depends on the chunks before it, so they
//! are kept under a chain of hashes over the exact token ids, chunk by chunk; prompts that begin alike share
//! those entries. A lookup takes the longest run from the first chunk on.
//!
//! The cache never changes an answer: what it returns is what the forward pass computed for the same chunks.
//! It is bounded in bytes; the least recently used entry goes first, and of a chain its end.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sha2::{Digest, Sha256};

use super::kv::KvChunk;

/// Identifies a chunk together with all chunks before it.
pub(crate) type ChunkKey = [u8; 32];

/// The keys of a sequence of chunks, one per chunk.
pub(crate) fn chain(chunks: &[Vec<u32>]) -> Vec<ChunkKey> {
    let mut last = ChunkKey::default();
    let key = |chunk: &Vec<u32>| {
        let mut hasher = Sha256::new_with_prefix(last);
        for token in chunk {
            hasher.update(token.to_le_bytes());
        }
        last = hasher.finalize().into();
        last
    };
    chunks.iter().map(key).collect()
}

/// Shared by all workers.
pub(crate) struct PrefixCache {
    limit: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    entries: HashMap<ChunkKey, Entry>,
    bytes: usize,
    clock: u64,
}

struct Entry {
    chunk: Arc<KvChunk>,
    depth: usize,
    used: u64,
}

impl PrefixCache {
    /// A cache of at most `limit` bytes; 0 switches it off.
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit, state: Mutex::default() }
    }

    /// The chunks known for the longest beginning of `keys`.
    pub(crate) fn lookup(&self, keys: &[ChunkKey]) -> Vec<Arc<KvChunk>> {
        let mut state = self.lock();
        state.clock += 1;
        let clock = state.clock;
        let mut found = Vec::new();
        for key in keys {
            let Some(entry) = state.entries.get_mut(key) else { break };
            entry.used = clock;
            found.push(Arc::clone(&entry.chunk));
        }
        found
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether anything can be kept at all.
    pub(crate) fn is_on(&self) -> bool {
        self.limit > 0
    }

    /// Keeps the chunk at `depth` (0 is the first) of a prompt.
    pub(crate) fn insert(&self, key: ChunkKey, depth: usize, chunk: KvChunk) {
        let size = chunk.bytes();
        if size > self.limit {
            return;
        }
        let mut state = self.lock();
        let used = state.clock;
        let entry = Entry { chunk: Arc::new(chunk), depth, used };
        if let Some(old) = state.entries.insert(key, entry) {
            state.bytes -= old.chunk.bytes();
        }
        state.bytes += size;
        while state.bytes > self.limit {
            let oldest = state.entries.iter().min_by_key(|(key, e)| (e.used, Reverse(e.depth), **key));
            let Some(key) = oldest.map(|(key, _)| *key) else { break };
            if let Some(old) = state.entries.remove(&key) {
                state.bytes -= old.chunk.bytes();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_depend_on_all_chunks_before() {
        let (a, b) = (chain(&[vec![1], vec![2, 3]]), chain(&[vec![1, 2], vec![3]]));
        assert_ne!(a[0], b[0]);
        assert_ne!(a[1], b[1]);
        assert_eq!(a, chain(&[vec![1], vec![2, 3], vec![4]])[..2]);
    }

    #[test]
    fn the_cache_is_bounded_and_gives_up_the_oldest_first_from_its_end() {
        let chunk = KvChunk::of_size;
        let cache = PrefixCache::new(1000);
        let old = chain(&[vec![1], vec![2], vec![3]]);
        let new = chain(&[vec![9], vec![8]]);
        for (depth, key) in old.iter().enumerate() {
            cache.insert(*key, depth, chunk(300));
        }
        assert_eq!(cache.lookup(&old).len(), 3);
        assert!(cache.lookup(&new).is_empty());
        cache.insert(new[0], 0, chunk(300));
        assert_eq!(cache.lookup(&old).len(), 2);
        assert_eq!(cache.lookup(&new).len(), 1);
        cache.insert(new[1], 1, chunk(600));
        assert_eq!((cache.lookup(&old).len(), cache.lookup(&new).len()), (0, 2));
        // What does not fit at all is not kept, and the same entry takes no room twice.
        cache.insert(old[0], 0, chunk(2000));
        cache.insert(new[1], 1, chunk(600));
        assert_eq!((cache.lookup(&old).len(), cache.lookup(&new).len()), (0, 2));
        assert_eq!(cache.lock().bytes, 900);
    }
}
