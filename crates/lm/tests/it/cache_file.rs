//! The cache's file: several handles at once, files that are no cache, damage. Processes are in `cache_kill.rs`.

use std::sync::atomic::{AtomicU64, Ordering};

use futures::StreamExt;
use futures::future::BoxFuture;
use teleprompt_core::lm::{Lm, LmError, LmErrorKind, LmRequest, LmResponse, Message, ModelId};
use teleprompt_lm::{Cache, CacheError};

/// Answers with its own mark, so that it can be told who answered; counts its calls.
pub(crate) struct Marked {
    id: ModelId,
    mark: String,
    calls: AtomicU64,
}

impl Marked {
    pub(crate) fn new(mark: impl Into<String>) -> Self {
        Self { id: ModelId::new("m"), mark: mark.into(), calls: AtomicU64::new(0) }
    }
}

impl Lm for Marked {
    fn model(&self) -> &ModelId {
        &self.id
    }

    fn generate<'a>(&'a self, request: &'a LmRequest) -> BoxFuture<'a, Result<LmResponse, LmError>> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        // Long enough that an answer spans pages now and then.
        let text =
            format!("{} by {} {}", request.rollout, self.mark, "x".repeat(request.rollout as usize % 3_000));
        Box::pin(async move { Ok(LmResponse::new(text)) })
    }
}

/// A model that must not be asked.
pub(crate) struct Silent(ModelId);

impl Lm for Silent {
    fn model(&self) -> &ModelId {
        &self.0
    }

    fn generate<'a>(&'a self, _: &'a LmRequest) -> BoxFuture<'a, Result<LmResponse, LmError>> {
        Box::pin(async { Err(LmError::new(self.0.clone(), LmErrorKind::Internal, "was asked")) })
    }
}

pub(crate) fn request(rollout: u64) -> LmRequest {
    LmRequest::new(vec![Message::user("q")]).with_rollout(rollout)
}

pub(crate) fn silent() -> Silent {
    Silent(ModelId::new("m"))
}

#[tokio::test]
async fn two_handles_on_one_file_share_their_answers() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("new/folder/answers.db");
    let (one, two) = (Cache::open(&path).unwrap(), Cache::open(&path).unwrap());
    let first = one.wrap(Marked::new("one"));
    let second = two.wrap(Marked::new("two"));
    let answer = first.generate(&request(1)).await.unwrap();
    let again = second.generate(&request(1)).await.unwrap();
    assert!(!answer.cached && again.cached && answer.text == again.text);
    // At the same time, for the same requests: whichever was written first is the answer of both.
    let both = futures::stream::iter(100..400).map(|n| {
        let (first, second) = (&first, &second);
        async move {
            let request = request(n);
            let (a, b) = futures::join!(first.generate(&request), second.generate(&request));
            assert_eq!(a.unwrap().text, b.unwrap().text, "{n}");
        }
    });
    both.buffer_unordered(32).collect::<Vec<_>>().await;
}

#[tokio::test]
async fn an_answer_outlives_the_handle() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("answers.db");
    let text = Cache::open(&path).unwrap().wrap(Marked::new("a")).generate(&request(5)).await.unwrap().text;
    assert!(!folder.path().join("answers.db-wal").exists(), "closed means folded into one file");
    let found = Cache::open(&path).unwrap().wrap(silent()).generate(&request(5)).await.unwrap();
    assert_eq!((found.text, found.cached), (text, true));
}

#[test]
fn many_can_create_one_file_at_once() {
    for _ in 0..20 {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("answers.db");
        std::thread::scope(|scope| {
            let opened: Vec<_> = (0..8).map(|_| scope.spawn(|| Cache::open(&path).map(drop))).collect();
            for outcome in opened {
                outcome.join().unwrap().unwrap();
            }
        });
    }
}

#[test]
fn a_file_that_is_no_cache_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notes.txt");
    for content in ["x".repeat(10), "my notes\n".repeat(2_000)] {
        std::fs::write(&path, &content).unwrap();
        let error = Cache::open(&path).unwrap_err();
        assert_eq!(error, CacheError::NotACache { path: path.clone() });
        assert!(error.to_string().contains("notes.txt") && error.to_string().contains("another file"));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), content);
    }
    let other = folder.path().join("other.db");
    let database = rusqlite::Connection::open(&other).unwrap();
    database.execute_batch("CREATE TABLE mine (x); INSERT INTO mine VALUES (1);").unwrap();
    assert_eq!(Cache::open(&other).unwrap_err(), CacheError::NotACache { path: other });
    assert!(matches!(Cache::open(folder.path()).unwrap_err(), CacheError::Open { .. }));
    assert!(matches!(Cache::open(path.join("below/a/file.db")).unwrap_err(), CacheError::Open { .. }));
}

#[test]
fn another_layout_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("answers.db");
    drop(Cache::open(&path).unwrap());
    rusqlite::Connection::open(&path).unwrap().pragma_update(None, "user_version", 99).unwrap();
    let error = Cache::open(&path).unwrap_err();
    assert!(matches!(error, CacheError::Version { found: 99, .. }), "{error}");
}

#[tokio::test]
async fn damage_is_an_error_or_a_miss_and_never_a_wrong_answer() {
    let folder = tempfile::tempdir().unwrap();
    let whole = folder.path().join("whole.db");
    let cache = Cache::open(&whole).unwrap();
    let lm = cache.wrap(Marked::new("a"));
    let mut texts = Vec::new();
    for n in 0..200 {
        texts.push(lm.generate(&request(n)).await.unwrap().text);
    }
    drop((lm, cache));
    let bytes = std::fs::read(&whole).unwrap();
    let path = folder.path().join("damaged.db");
    for round in 0..60 {
        let mut damaged = bytes.clone();
        match round % 3 {
            // A block overwritten, one byte flipped, the end cut off.
            0 => {
                let at = round * bytes.len() / 60;
                let end = (at + 3_000).min(bytes.len());
                damaged[at..end].fill(0xa5);
            }
            1 => {
                let at = round * bytes.len() / 60 + 1_234;
                damaged[at % bytes.len()] ^= 0x10;
            }
            _ => damaged.truncate(round * bytes.len() / 60 + 17),
        }
        for end in ["", "-wal", "-shm"] {
            let _ = std::fs::remove_file(folder.path().join(format!("damaged.db{end}")));
        }
        std::fs::write(&path, &damaged).unwrap();
        let cache = match Cache::open(&path) {
            Ok(cache) => cache,
            Err(error) => {
                assert!(error.to_string().contains("damaged.db"), "{error}");
                continue;
            }
        };
        let lm = cache.wrap(Marked::new("b"));
        for (n, text) in texts.iter().enumerate() {
            match lm.generate(&request(n as u64)).await {
                Ok(answer) if answer.cached => assert_eq!(&answer.text, text, "round {round}"),
                Ok(answer) => assert!(answer.text.contains(" by b "), "round {round}: {}", answer.text),
                Err(error) => assert_eq!(error.kind, LmErrorKind::Storage, "round {round}: {error}"),
            }
        }
    }
}

#[tokio::test]
async fn a_log_cut_or_changed_at_any_place_gives_the_answers_before_it_or_none() {
    let folder = tempfile::tempdir().unwrap();
    let live = folder.path().join("live.db");
    let cache = Cache::open(&live).unwrap();
    let lm = cache.wrap(Marked::new("a"));
    let mut texts = Vec::new();
    for n in 0..40 {
        texts.push(lm.generate(&request(n)).await.unwrap().text);
    }
    // As a kill leaves it: the answers are in the log, not yet in the file.
    let (file, log) =
        (std::fs::read(&live).unwrap(), std::fs::read(folder.path().join("live.db-wal")).unwrap());
    let path = folder.path().join("left.db");
    let mut found_in = Vec::new();
    for round in 0..120 {
        let (at, cut) = (round / 2 * log.len() / 60 + round % 7, round % 2 == 0);
        let mut left = log.clone();
        if cut {
            left.truncate(at);
        } else {
            left[at] ^= 0x40;
        }
        std::fs::write(&path, &file).unwrap();
        std::fs::write(folder.path().join("left.db-wal"), left).unwrap();
        let _ = std::fs::remove_file(folder.path().join("left.db-shm"));
        let cache = match Cache::open(&path) {
            Ok(cache) => cache,
            // The log's first pages make the file a cache.
            Err(error) => panic!("byte {at}: {error}"),
        };
        let lm = cache.wrap(silent());
        let mut found = 0;
        for (n, text) in texts.iter().enumerate() {
            match lm.generate(&request(n as u64)).await {
                Ok(answer) => {
                    assert_eq!(
                        (&answer.text, found),
                        (text, n),
                        "byte {at}: an answer is missing before {n}"
                    );
                    found += 1;
                }
                Err(error) => assert!(error.detail.contains("was asked"), "byte {at}: {error}"),
            }
        }
        found_in.push(found);
    }
    assert!(found_in[0] == 0 && *found_in.last().unwrap() > 30, "{found_in:?}");
}
