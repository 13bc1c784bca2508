//! Named random streams: every purpose draws from its own, so that an added draw never shifts another.
//!
//! A stream is ChaCha8 keyed by SHA-256 of (seed, name, indices): the same on every machine, independent of
//! the order in which streams are opened.

use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use sha2::{Digest, Sha256};

/// The random stream of purpose `name` at `indices`, under a root `seed`.
///
/// ```
/// use rand::Rng;
/// use teleprompt_core::rng;
/// let a = rng::stream(9, "minibatch", &[3]).next_u64();
/// assert_eq!(a, rng::stream(9, "minibatch", &[3]).next_u64());
/// assert_ne!(a, rng::stream(9, "minibatch", &[4]).next_u64());
/// ```
pub fn stream(seed: u64, name: &str, indices: &[u64]) -> ChaCha8Rng {
    let mut hash = Sha256::new();
    hash.update(seed.to_le_bytes());
    hash.update((name.len() as u64).to_le_bytes());
    hash.update(name.as_bytes());
    for index in indices {
        hash.update(index.to_le_bytes());
    }
    ChaCha8Rng::from_seed(hash.finalize().into())
}

/// The numbers `0..n` in an order drawn from `stream(seed, name, indices)`.
pub fn permutation(seed: u64, name: &str, indices: &[u64], n: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..n).collect();
    order.shuffle(&mut stream(seed, name, indices));
    order
}
