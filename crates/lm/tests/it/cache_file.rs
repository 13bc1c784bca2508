//! The cache's file: several users at once, a process killed while it writes, files that are no cache.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};

use futures::StreamExt;
use futures::future::BoxFuture;
use teleprompt_core::lm::{Lm, LmError, LmErrorKind, LmRequest, LmResponse, Message, ModelId};
use teleprompt_lm::{Cache, CacheError};

/// Answers with its own mark, so that it can be told who answered; counts its calls.
struct Marked {
    id: ModelId,
    mark: String,
    calls: AtomicU64,
}

impl Marked {
    fn new(mark: impl Into<String>) -> Self {
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
struct Silent(ModelId);

impl Lm for Silent {
    fn model(&self) -> &ModelId {
        &self.0
    }

    fn generate<'a>(&'a self, _: &'a LmRequest) -> BoxFuture<'a, Result<LmResponse, LmError>> {
        Box::pin(async { Err(LmError::new(self.0.clone(), LmErrorKind::Internal, "was asked")) })
    }
}

fn request(rollout: u64) -> LmRequest {
    LmRequest::new(vec![Message::user("q")]).with_rollout(rollout)
}

fn silent() -> Silent {
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

const PATH: &str = "TELEPROMPT_TEST_CACHE";
const FROM: &str = "TELEPROMPT_TEST_FROM";
const COUNT: &str = "TELEPROMPT_TEST_COUNT";

/// Not a test by itself: what the child processes of the tests below do.
#[tokio::test]
async fn child() {
    let Ok(path) = std::env::var(PATH) else { return };
    let number = |name: &str| std::env::var(name).unwrap().parse::<u64>().unwrap();
    let (from, count) = (number(FROM), number(COUNT));
    let lm = Cache::open(path).unwrap().wrap(Marked::new(std::process::id().to_string()));
    let lm = &lm;
    let calls = futures::stream::iter(from..from + count).map(|n| async move {
        let answer = lm.generate(&request(n)).await.unwrap();
        let mut out = std::io::stdout().lock();
        writeln!(out, "returned {n} {}", answer.text).unwrap();
        out.flush().unwrap();
    });
    calls.buffer_unordered(32).collect::<Vec<_>>().await;
}

fn spawn(path: &Path, from: u64, count: u64) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "cache_file::child", "--nocapture"])
        .env(PATH, path)
        .env(FROM, from.to_string())
        .env(COUNT, count.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// What a child says that it returned, in order; only whole lines.
fn returned(child: &mut Child) -> impl Iterator<Item = (u64, String)> + use<> {
    let mut out = BufReader::new(child.stdout.take().unwrap());
    std::iter::from_fn(move || {
        loop {
            let mut line = String::new();
            if out.read_line(&mut line).unwrap() == 0 || !line.ends_with('\n') {
                return None;
            }
            // The test harness writes its own words to the same line as the first answer.
            if let Some((_, rest)) = line.split_once("returned ") {
                let (n, text) = rest.trim_end_matches('\n').split_once(' ').unwrap();
                return Some((n.parse().unwrap(), text.to_owned()));
            }
        }
    })
}

#[tokio::test]
async fn a_killed_process_loses_no_answer_that_it_returned() {
    let rounds = std::env::var("TELEPROMPT_TEST_KILLS").ok().and_then(|n| n.parse().ok()).unwrap_or(12);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("answers.db");
    let mut expected = BTreeMap::new();
    let mut from = 0;
    for round in 0..rounds {
        let mut child = spawn(&path, from, 1_000_000);
        // Kills before the first answer, among the first, and after hundreds.
        let kill_after = [0, 1, 2, 3, 31, 32, 33, 100, 257, 512, 700, 1_500][round % 12] + round / 12;
        let mut lines = returned(&mut child);
        let mut seen: Vec<_> = lines.by_ref().take(kill_after).collect();
        child.kill().unwrap();
        seen.extend(lines);
        child.wait().unwrap();
        from += 1_000_000;
        expected.extend(seen);
        let cache = Cache::open(&path).unwrap();
        let lm = cache.wrap(silent());
        for (n, text) in &expected {
            let found = lm.generate(&request(*n)).await.unwrap();
            assert_eq!(&found.text, text, "round {round}: the answer to {n} is another");
        }
    }
    assert!(expected.len() > rounds * 50, "{} answers in {rounds} rounds", expected.len());
}

#[tokio::test]
async fn two_processes_write_one_file_and_agree() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("answers.db");
    let mut children = [spawn(&path, 0, 600), spawn(&path, 200, 600), spawn(&path, 0, 800)];
    let mut answers: BTreeMap<u64, String> = BTreeMap::new();
    for child in &mut children {
        for (n, text) in returned(child) {
            let known = answers.entry(n).or_insert_with(|| text.clone());
            assert_eq!(*known, text, "two answers to {n}");
        }
    }
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    assert_eq!(answers.len(), 800);
}
