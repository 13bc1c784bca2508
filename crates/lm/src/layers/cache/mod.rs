//! [`Cache`]: answers that are kept, so that no request is paid for twice.
//!
//! ```text
//!   request ─▶ in flight already? ── yes ─▶ join that call
//!                     │ no
//!                     ▼
//!                  known? ── yes ─▶ answer (cached)
//!                     │ no
//!                     ▼
//!                ask the model ─▶ write the answer ─▶ return it
//! ```
//!
//! **What is guaranteed.** An answer is handed to its caller only after it was committed to the file: a
//! process that is killed at any moment loses no answer that it has returned, and asks again at most what was
//! in flight. Syncs to the disk are grouped, so after a loss of power or a crash of the operating system the
//! last answers before it may be missing; the file is whole all the same. An answer that could not be written
//! becomes an [`LmErrorKind::Storage`] error; this process keeps it in memory (up to 4,096 of them) and hands it
//! out without another call as soon as it can be written. Errors are never kept.
//!
//! **What is the key.** SHA-256 of the model's id and the whole request as JSON, [`LmRequest::rollout`]
//! included. The order of a schema's properties counts, as it does for models that follow it.
//!
//! Deliberately absent: expiry, and any notion of "similar" requests.

mod cached_lm;
mod file;
#[cfg(test)]
mod gated;
mod store;

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sha2::{Digest, Sha256};
use teleprompt_core::lm::{Lm, LmError, LmErrorKind, LmRequest, LmResponse, ModelId};

pub use cached_lm::CachedLm;
use file::File;
pub(super) use store::Key;
use store::{Fault, Store};

/// The most answers that wait in memory for a file that cannot be written.
const MAX_UNSAVED: usize = 4096;

/// Why a cache could not be opened.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum CacheError {
    /// The file cannot be opened, created or written.
    #[error(
        "cannot open the cache `{}`: {reason}; check the folder's rights and free space, or name another file",
        .path.display()
    )]
    Open {
        /// The file.
        path: PathBuf,
        /// What the system said.
        reason: String,
    },
    /// The file is something else.
    #[error("`{}` is no cache of answers: name another file (this one is left as it is)", .path.display())]
    NotACache {
        /// The file.
        path: PathBuf,
    },
    /// The file was a cache, and its content is broken.
    #[error("the cache `{}` is damaged: delete it, and its answers are asked for again", .path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
    },
    /// The file was written by another version of this crate.
    #[error(
        "the cache `{}` has layout {found}, this version reads layout {expected}: name another file, or delete it",
        .path.display()
    )]
    Version {
        /// The file.
        path: PathBuf,
        /// The layout of the file.
        found: i32,
        /// The layout that this version reads.
        expected: i32,
    },
}

/// How often a cache answered, since it was opened by this process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CacheStats {
    /// Calls answered from what was kept.
    pub hits: u64,
    /// Calls that asked the model.
    pub misses: u64,
    /// Calls that shared the answer of an identical call in flight.
    pub joined: u64,
    /// Answers in memory that could not be written so far.
    pub unsaved: u64,
}

/// A store of answers for any number of models; clones share it.
///
/// Several processes, and several handles in one, may use one file at once. It must be on a disk of this
/// machine: over a network, file locks and the write-ahead log are not dependable.
///
/// ```
/// use futures::future::BoxFuture;
/// use teleprompt_core::lm::{Lm, LmError, LmRequest, LmResponse, Message, ModelId};
/// use teleprompt_lm::Cache;
///
/// struct Echo(ModelId);
/// impl Lm for Echo {
///     fn model(&self) -> &ModelId { &self.0 }
///     fn generate<'a>(&'a self, r: &'a LmRequest) -> BoxFuture<'a, Result<LmResponse, LmError>> {
///         Box::pin(async move { Ok(LmResponse::new(r.last_user_text())) })
///     }
/// }
///
/// let cache = Cache::in_memory();
/// let lm = cache.wrap(Echo(ModelId::new("echo")));
/// let request = LmRequest::new(vec![Message::user("hi")]);
/// futures::executor::block_on(async {
///     assert!(!lm.generate(&request).await.unwrap().cached);
///     assert!(lm.generate(&request).await.unwrap().cached);
/// });
/// assert_eq!((cache.stats().misses, cache.stats().hits), (1, 1));
/// ```
#[derive(Clone)]
pub struct Cache(Arc<Shelf>);

struct Shelf {
    store: Store,
    unsaved: Mutex<HashMap<Key, LmResponse>>,
    hits: AtomicU64,
    misses: AtomicU64,
    joined: AtomicU64,
}

/// How a cache is opened.
#[derive(Clone, Debug, Default)]
#[must_use = "options do nothing until `open` or `in_memory`"]
pub struct CacheOptions {
    max_bytes: Option<u64>,
    max_pages: Option<u32>,
}

impl CacheOptions {
    /// Keeps at most about `limit` bytes of answers; the oldest go first. Without it there is no bound.
    ///
    /// Counted are the answers as JSON and 80 bytes for each; the file itself is somewhat larger.
    pub fn max_bytes(mut self, limit: u64) -> Self {
        self.max_bytes = Some(limit);
        self
    }

    /// Lets the file grow to `pages` pages only: a full disk.
    #[cfg(test)]
    fn max_pages(mut self, pages: u32) -> Self {
        self.max_pages = Some(pages);
        self
    }

    /// The cache in the file `path`: see [`Cache::open`].
    ///
    /// # Errors
    /// A [`CacheError`] that names the file and the remedy.
    pub fn open(self, path: impl AsRef<Path>) -> Result<Cache, CacheError> {
        let file = File::open(path.as_ref(), self.max_bytes, self.max_pages)?;
        Ok(Cache::new(Store::File(file)))
    }

    /// A cache that ends with its last handle.
    pub fn in_memory(self) -> Cache {
        Cache::new(Store::memory(self.max_bytes))
    }
}

impl Cache {
    fn new(store: Store) -> Self {
        Self(Arc::new(Shelf {
            store,
            unsaved: Mutex::default(),
            hits: AtomicU64::new(0),
            misses: AtomicU64::new(0),
            joined: AtomicU64::new(0),
        }))
    }

    /// Opens the cache in the file `path`, or creates it with the folders above it. Beside it SQLite keeps
    /// `path-wal` and `path-shm` while it is open.
    ///
    /// # Errors
    /// A [`CacheError`] that names the file and the remedy; a file that is no cache is left as it is.
    ///
    /// # Cost
    /// Two threads. Blocks for the time of opening a file.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, CacheError> {
        Self::options().open(path)
    }

    /// A cache that ends with its last handle.
    pub fn in_memory() -> Self {
        Self::options().in_memory()
    }

    /// Options, then [`CacheOptions::open`] or [`CacheOptions::in_memory`].
    pub fn options() -> CacheOptions {
        CacheOptions::default()
    }

    /// `lm` with this cache in front of it. Calls in flight are joined between clones of what is returned.
    pub fn wrap(&self, lm: impl Lm + 'static) -> CachedLm {
        CachedLm::new(Arc::new(lm), Arc::clone(&self.0))
    }

    /// What this cache did so far; each number is exact once no call is in flight.
    pub fn stats(&self) -> CacheStats {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        CacheStats {
            hits: read(&self.0.hits),
            misses: read(&self.0.misses),
            joined: read(&self.0.joined),
            unsaved: locked(&self.0.unsaved).len() as u64,
        }
    }
}

impl fmt::Debug for Cache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = match &self.0.store {
            Store::Memory(_) => "memory".to_owned(),
            Store::File(file) => file.path().display().to_string(),
        };
        f.debug_struct("Cache").field("place", &place).field("stats", &self.stats()).finish()
    }
}

impl Shelf {
    /// Answers one request: from what is known, else from the model. Returns whether the model was asked.
    async fn answer(
        self: Arc<Self>,
        lm: Arc<dyn Lm>,
        key: Key,
        request: LmRequest,
    ) -> Result<(LmResponse, bool), LmError> {
        let kept = locked(&self.unsaved).get(&key).cloned();
        if let Some(kept) = kept {
            let stored = self.keep(lm.model(), key, kept).await?;
            self.hits.fetch_add(1, Ordering::Relaxed);
            return Ok((stored, false));
        }
        let known = self.store.find(key).await.map_err(|fault| self.fault(lm.model(), "read", &fault))?;
        if let Some(known) = known {
            self.hits.fetch_add(1, Ordering::Relaxed);
            return Ok((known, false));
        }
        self.misses.fetch_add(1, Ordering::Relaxed);
        let answer = lm.generate(&request).await?;
        Ok((self.keep(lm.model(), key, answer).await?, true))
    }

    /// Writes an answer; one that cannot be written stays in memory.
    async fn keep(&self, model: &ModelId, key: Key, answer: LmResponse) -> Result<LmResponse, LmError> {
        match self.store.keep(key, &answer).await {
            Ok(stored) => {
                locked(&self.unsaved).remove(&key);
                Ok(stored)
            }
            Err(fault) => {
                let mut unsaved = locked(&self.unsaved);
                if unsaved.len() < MAX_UNSAVED {
                    unsaved.insert(key, answer);
                }
                drop(unsaved);
                Err(self.fault(model, "write", &fault))
            }
        }
    }

    fn fault(&self, model: &ModelId, what: &str, fault: &Fault) -> LmError {
        let place = match &self.store {
            Store::Memory(_) => "memory".to_owned(),
            Store::File(file) => format!("`{}`", file.path().display()),
        };
        let remedy = match what {
            "write" => {
                "make room or check the file's rights, then ask again: this process still has the answer and \
                 will not pay for it twice"
            }
            _ => "check the file's rights; if it is damaged, delete it, and its answers are asked for again",
        };
        let detail = format!("cannot {what} the cache {place}: {fault}; {remedy}");
        LmError::new(model.clone(), LmErrorKind::Storage, detail)
    }
}

/// The key of a request to a model.
pub(super) fn key(model: &ModelId, request: &LmRequest) -> Result<Key, LmError> {
    let json = serde_json::to_vec(request)
        .map_err(|error| LmError::new(model.clone(), LmErrorKind::InvalidRequest, error.to_string()))?;
    let id = model.as_str().as_bytes();
    let hash =
        Sha256::new().chain_update((id.len() as u64).to_le_bytes()).chain_update(id).chain_update(json);
    Ok(hash.finalize().into())
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What these locks guard is whole after every statement, so a panic elsewhere does not spoil it.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::gated::{Gated, request};
    use super::*;

    #[tokio::test]
    async fn a_full_disk_is_an_error_and_the_answer_is_not_lost() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("answers.db");
        let cache = Cache::options().max_pages(8).open(&path).unwrap();
        let model = Gated::open();
        let lm = cache.wrap(Arc::clone(&model));
        let mut full = None;
        for n in 0..2_000 {
            if let Err(error) = lm.generate(&request(n)).await {
                full = Some((n, error));
                break;
            }
        }
        let (n, error) = full.unwrap();
        assert_eq!(error.kind, LmErrorKind::Storage);
        assert!(error.detail.contains("answers.db") && error.detail.contains("make room"), "{error}");
        assert_eq!(cache.stats().unsaved, 1);
        let calls = model.calls();
        assert_eq!(lm.generate(&request(n)).await.unwrap_err().kind, LmErrorKind::Storage);
        assert_eq!(model.calls(), calls, "the answer is in memory: it is not asked for again");
        // What was returned is still there.
        assert!(lm.generate(&request(0)).await.unwrap().cached);
    }

    #[tokio::test]
    async fn entries_are_bounded_and_the_oldest_go_first() {
        let folder = tempfile::tempdir().unwrap();
        let options = Cache::options().max_bytes(20_000);
        for cache in [options.clone().in_memory(), options.open(folder.path().join("c.db")).unwrap()] {
            let model = Gated::open();
            let lm = cache.wrap(Arc::clone(&model));
            for n in 0..1_000 {
                lm.generate(&request(n)).await.unwrap();
            }
            assert!(lm.generate(&request(999)).await.unwrap().cached, "the newest stays");
            assert!(!lm.generate(&request(0)).await.unwrap().cached, "the oldest has gone");
        }
    }

    #[test]
    fn the_key_is_of_model_and_whole_request() {
        let (m, n) = (ModelId::new("m"), ModelId::new("n"));
        let base = key(&m, &request(0)).unwrap();
        assert_eq!(base, key(&m, &request(0)).unwrap());
        assert_ne!(base, key(&n, &request(0)).unwrap());
        assert_ne!(base, key(&m, &request(1)).unwrap());
    }
}
