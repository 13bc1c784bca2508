//! One cache file and several processes: two that write it at once, and two hundred that are killed while they do.
//!
//! The child of these tests says on its standard output what it asks its model and what it returns to its caller,
//! line by line; the parent believes nothing else.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use futures::StreamExt;
use futures::future::BoxFuture;
use teleprompt_core::lm::{Lm, LmError, LmRequest, LmResponse, ModelId};
use teleprompt_lm::Cache;

use crate::cache_file::{Marked, request, silent};

const PATH: &str = "TELEPROMPT_TEST_CACHE";
const FROM: &str = "TELEPROMPT_TEST_FROM";
const COUNT: &str = "TELEPROMPT_TEST_COUNT";
/// Calls at a time in the child.
const IN_FLIGHT: usize = 16;

/// A line in one write, so that a kill leaves none in halves but the last.
fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    out.write_all(format!("{line}\n").as_bytes()).unwrap();
    out.flush().unwrap();
}

/// Says that it is asked, and takes its time.
struct Telling(Marked);

impl Lm for Telling {
    fn model(&self) -> &ModelId {
        self.0.model()
    }

    fn generate<'a>(&'a self, request: &'a LmRequest) -> BoxFuture<'a, Result<LmResponse, LmError>> {
        Box::pin(async move {
            say(&format!("asked {}", request.rollout));
            for _ in 0..request.rollout % 5 {
                tokio::task::yield_now().await;
            }
            self.0.generate(request).await
        })
    }
}

/// Not a test by itself: what the child processes of the tests below do.
#[tokio::test]
async fn child() {
    let Ok(path) = std::env::var(PATH) else { return };
    let number = |name: &str| std::env::var(name).unwrap().parse::<u64>().unwrap();
    let (from, count) = (number(FROM), number(COUNT));
    let lm = Cache::open(path).unwrap().wrap(Telling(Marked::new(std::process::id().to_string())));
    let lm = &lm;
    let calls = futures::stream::iter(from..from.saturating_add(count)).map(|n| async move {
        let answer = lm.generate(&request(n)).await.unwrap();
        say(&format!("returned {n} {}", answer.text));
    });
    calls.buffer_unordered(IN_FLIGHT).collect::<Vec<_>>().await;
}

fn spawn(path: &Path, from: u64, count: u64) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "cache_kill::child", "--nocapture"])
        .env(PATH, path)
        .env(FROM, from.to_string())
        .env(COUNT, count.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

#[derive(Debug)]
enum Said {
    Asked(u64),
    Returned(u64, String),
}

/// What a child says, in order; only whole lines.
fn said(child: &mut Child) -> impl Iterator<Item = Said> + use<> {
    let mut out = BufReader::new(child.stdout.take().unwrap());
    std::iter::from_fn(move || {
        loop {
            let mut line = String::new();
            if out.read_line(&mut line).unwrap() == 0 || !line.ends_with('\n') {
                return None;
            }
            // The test harness writes its own words to the same line as the first of ours.
            if let Some((_, n)) = line.trim_end().split_once("asked ") {
                return Some(Said::Asked(n.parse().unwrap()));
            }
            if let Some((_, rest)) = line.trim_end_matches('\n').split_once("returned ") {
                let (n, text) = rest.split_once(' ').unwrap();
                return Some(Said::Returned(n.parse().unwrap(), text.to_owned()));
            }
        }
    })
}

/// A number below `n`: `SplitMix64`, so that a failure can be had again.
fn below(state: &mut u64, n: u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (z ^ (z >> 31)) % n
}

#[tokio::test]
async fn two_hundred_kills_lose_no_answer_and_repeat_at_most_what_was_in_flight() {
    const KILLS: usize = 200;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("answers.db");
    let mut dice = 7;
    let mut returned: BTreeMap<u64, String> = BTreeMap::new();
    let mut asked_before: BTreeSet<u64> = BTreeSet::new();
    let (mut from, mut repeated) = (0, 0);
    for kill in 0..KILLS {
        let mut child = spawn(&path, from, u64::MAX);
        // After so many lines, and then at no particular moment.
        let (lines, spin) = (below(&mut dice, 300) as usize, Duration::from_micros(below(&mut dice, 3_000)));
        let mut heard = said(&mut child);
        let mut seen: Vec<Said> = heard.by_ref().take(lines).collect();
        let start = Instant::now();
        while start.elapsed() < spin {
            std::hint::spin_loop();
        }
        child.kill().unwrap();
        seen.extend(heard);
        child.wait().unwrap();

        let (mut asked, mut answered) = (BTreeSet::new(), BTreeMap::new());
        for said in seen {
            match said {
                Said::Asked(n) => assert!(asked.insert(n), "kill {kill}: {n} was asked twice in one run"),
                Said::Returned(n, text) => {
                    answered.insert(n, text);
                }
            }
        }
        for n in &asked {
            assert!(!returned.contains_key(n), "kill {kill}: the answer to {n} was returned, and lost");
        }
        for (n, text) in &answered {
            let before = returned.get(n);
            assert!(before.is_none_or(|before| before == text), "kill {kill}: the answer to {n} is another");
        }
        repeated += asked.intersection(&asked_before).count();
        let in_flight = asked.iter().filter(|n| !answered.contains_key(n)).count();
        assert!(in_flight <= IN_FLIGHT, "kill {kill}: {in_flight} calls without an answer");
        asked_before.extend(asked);
        returned.extend(answered);
        // The next process begins with what this one left open.
        from = (0..).find(|n| !returned.contains_key(n)).unwrap();
    }
    assert!(repeated <= KILLS * IN_FLIGHT && repeated > 0, "{repeated} calls were made again");
    assert!(returned.len() > KILLS * 20, "{} answers", returned.len());
    let lm = Cache::open(&path).unwrap().wrap(silent());
    for (n, text) in &returned {
        let found = lm.generate(&request(*n)).await.unwrap();
        assert_eq!((&found.text, found.cached), (text, true), "{n}");
    }
    let database = rusqlite::Connection::open(&path).unwrap();
    let sound: String = database.pragma_query_value(None, "integrity_check", |row| row.get(0)).unwrap();
    assert_eq!(sound, "ok");
}

#[tokio::test]
async fn processes_that_write_one_file_agree() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("answers.db");
    let mut children = [spawn(&path, 0, 600), spawn(&path, 200, 600), spawn(&path, 0, 800)];
    let mut answers: BTreeMap<u64, String> = BTreeMap::new();
    for child in &mut children {
        for said in said(child) {
            if let Said::Returned(n, text) = said {
                let known = answers.entry(n).or_insert_with(|| text.clone());
                assert_eq!(*known, text, "two answers to {n}");
            }
        }
    }
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    assert_eq!(answers.len(), 800);
}
