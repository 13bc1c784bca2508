//! The hostile matrix: every way in which a server can misbehave, on every network provider. Each cell ends in the
//! right error or the right answer, within its deadline, in bounded memory, and without the key in what it says.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use teleprompt_core::lm::{Lm, LmError, LmErrorKind, LmResponse};
use teleprompt_lm::{CompatibleLm, Retry, RetryPolicy};
use tokio::net::TcpListener;

use crate::hostile_server::{ANSWER, Act, Hostile, response};
use crate::{KEY, everyone, request};

/// Of a call that is to end by itself.
const LONG: Duration = Duration::from_secs(60);
/// Of a call that only its limit ends.
const SHORT: Duration = Duration::from_millis(200);

/// Of a call that only its limit ends, after the server has said something.
const MIDDLE: Duration = Duration::from_secs(3);

/// How a cell ends.
#[derive(Clone, Debug)]
enum End {
    Right,
    Fails(LmErrorKind),
}
use End::{Fails, Right};

const CONNECTION: End = Fails(LmErrorKind::Connection);
const MALFORMED: End = Fails(LmErrorKind::Malformed);
const TIMEOUT: End = Fails(LmErrorKind::Timeout);

fn limited(wait: Option<u64>) -> End {
    Fails(LmErrorKind::RateLimited { retry_after: wait.map(Duration::from_secs) })
}

fn failed(status: u16, wait: Option<u64>) -> End {
    Fails(LmErrorKind::Server { status, retry_after: wait.map(Duration::from_secs) })
}

/// The rows of the matrix: what the server does, the limit of the call, how it ends.
fn matrix() -> Vec<(&'static str, Act, Duration, End)> {
    let send = |status: &str, headers: &str, body: &str| Act::Send(response(status, headers, body));
    let ok = |body: &str| send("200 OK", "", body);
    let head = || b"HTTP/1.1 200 OK\r\ncontent-length: 1073741824\r\n\r\n".to_vec();
    let chunked = || b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
    let block = vec![b' '; 1 << 16];
    let chunk = [b"10000\r\n".as_slice(), &block, b"\r\n"].concat();
    let mut binary = response("200 OK", "", ANSWER);
    // In the text that each provider reads.
    binary.iter_mut().filter(|byte| **byte == "é".as_bytes()[1]).for_each(|byte| *byte = 0xff);
    let retry = |value: &str| send("429 Too Many Requests", &format!("retry-after: {value}\r\n"), "{}");
    vec![
        ("answers", ok(ANSWER), LONG, Right),
        (
            "answers without a length",
            Act::Send(format!("HTTP/1.1 200 OK\r\n\r\n{ANSWER}").into()),
            LONG,
            Right,
        ),
        ("trickles the answer", Act::TrickleAnswer, LONG, Right),
        ("trickles for ever", Act::TrickleForEver, SHORT, TIMEOUT),
        ("says nothing", Act::SendAndStall(Vec::new()), SHORT, TIMEOUT),
        ("stalls in the head", Act::SendAndStall(b"HTTP/1.1 200 OK\r\ncont".to_vec()), SHORT, TIMEOUT),
        ("stalls in the body", Act::SendAndStall([&head()[..], b"{\"ch"].concat()), SHORT, TIMEOUT),
        ("closes", Act::Send(Vec::new()), LONG, CONNECTION),
        ("closes in the head", Act::Send(b"HTTP/1.1 200 OK\r\ncont".to_vec()), LONG, CONNECTION),
        ("closes in the body", Act::Send([&head()[..], b"{\"choices\""].concat()), LONG, CONNECTION),
        ("closes in a chunk", Act::Send([&chunked()[..], b"ff\r\n{\"choices\""].concat()), LONG, CONNECTION),
        ("resets", Act::SendAndReset(Vec::new()), LONG, CONNECTION),
        ("resets in the body", Act::SendAndReset(head()), LONG, CONNECTION),
        ("speaks another protocol", Act::Send(b"SSH-2.0-OpenSSH_9.9\r\n".to_vec()), LONG, CONNECTION),
        ("floods with a length", Act::Flood(head(), block.clone()), LONG, MALFORMED),
        ("floods in chunks", Act::Flood(chunked(), chunk), LONG, MALFORMED),
        (
            "floods without a length",
            Act::Flood(b"HTTP/1.1 200 OK\r\n\r\n".to_vec(), block.clone()),
            LONG,
            MALFORMED,
        ),
        (
            "floods the head",
            Act::Flood(b"HTTP/1.1 200 OK\r\n".to_vec(), b"x-more: and more and more\r\n".repeat(99)),
            LONG,
            CONNECTION,
        ),
        (
            "floods an error",
            Act::Flood(b"HTTP/1.1 500 Oops\r\ncontent-length: 1073741824\r\n\r\n".to_vec(), block),
            LONG,
            failed(500, None),
        ),
        (
            "stalls in an error",
            Act::SendAndStall(b"HTTP/1.1 401 No\r\ncontent-length: 99\r\n\r\n{\"err".to_vec()),
            MIDDLE,
            Fails(LmErrorKind::Auth),
        ),
        ("sends bytes that are no text", Act::Send(binary), LONG, MALFORMED),
        ("sends no JSON", ok("<html></html>"), LONG, MALFORMED),
        ("sends nothing", ok(""), LONG, MALFORMED),
        ("sends null", ok("null"), LONG, MALFORMED),
        ("sends a list", ok("[]"), LONG, MALFORMED),
        ("sends another shape", ok(r#"{"choices": 7, "content": 7, "candidates": 7}"#), LONG, MALFORMED),
        ("nests without end", ok(&format!("{{\"x\":{}", "[".repeat(100_000))), LONG, MALFORMED),
        ("answers 200 with an error", ok(r#"{"error": {"message": "went wrong"}}"#), LONG, MALFORMED),
        (
            "answers 200 with a limit",
            ok(r#"{"error": {"code": 429, "message": "many"}}"#),
            LONG,
            limited(None),
        ),
        ("limits", send("429 Too Many Requests", "", ""), LONG, limited(None)),
        ("limits for seconds", retry("7"), LONG, limited(Some(7))),
        ("limits for an age", retry("100000000000"), LONG, limited(Some(100_000_000_000))),
        ("limits for less than nothing", retry("-7"), LONG, limited(None)),
        ("limits for no number", retry("soon"), LONG, limited(None)),
        ("limits to a date gone by", retry("Sun, 06 Nov 1994 08:49:37 GMT"), LONG, limited(Some(0))),
        ("is down", send("503 Down", "", "<html>"), LONG, failed(503, None)),
        ("is overloaded", send("529 Overloaded", "retry-after: 3\r\n", "{}"), LONG, failed(529, Some(3))),
        ("knows no such model", send("404 Not Found", "", "{}"), LONG, Fails(LmErrorKind::NotFound)),
        ("forbids", send("403 Forbidden", "", "{}"), LONG, Fails(LmErrorKind::Auth)),
        (
            "echoes the key",
            send("400 Bad", "", &format!("{{\"error\": \"bad key {KEY}\"}}")),
            LONG,
            Fails(LmErrorKind::InvalidRequest),
        ),
        ("has no content", send("204 No Content", "", ""), LONG, MALFORMED),
    ]
}

fn check(name: &str, lm: &dyn Lm, outcome: &Result<LmResponse, LmError>, end: &End) {
    let cell = format!("{name}, {}", lm.model());
    let fits = matches!((outcome, end), (Ok(_), Right) | (Err(_), Fails(_)));
    assert!(fits, "{cell}: {outcome:?} instead of {end:?}");
    match (outcome, end) {
        (Ok(answer), _) => assert_eq!(answer.text, "right é", "{cell}"),
        (Err(error), Fails(kind)) => {
            assert_eq!(&error.kind, kind, "{cell}: {error}");
            assert!(!error.detail.is_empty() && error.detail.len() < 3_000, "{cell}: {error}");
            assert!(!format!("{error} {error:?}").contains(KEY), "{cell}");
        }
        (Err(_), Right) => {}
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_cell_ends_right_in_time_and_in_bounded_memory() {
    for (name, act, limit, end) in matrix() {
        let server = Hostile::new(act).await;
        let lms = everyone(&server.base, limit);
        let cells = lms.iter().map(|lm| async {
            let start = Instant::now();
            let outcome = lm.generate(&request()).await;
            // What only a limit ends is ended by it; the slack is for a machine under load.
            let most = if limit == LONG { LONG / 2 } else { limit + Duration::from_secs(10) };
            assert!(start.elapsed() < most, "{name}, {}: {:?}", lm.model(), start.elapsed());
            check(name, &**lm, &outcome, &end);
        });
        futures::future::join_all(cells).await;
        // 16 MiB are read at most, and what lies in the buffers of both sides was sent too.
        let flooded = server.flooded.load(Ordering::Relaxed);
        assert!(flooded < lms.len() as u64 * (32 << 20), "{name}: {flooded} bytes");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attempts_end_at_the_deadline_of_the_call() {
    for (name, act) in [
        ("stalls", Act::SendAndStall(Vec::new())),
        ("trickles", Act::TrickleForEver),
        ("limits for an age", Act::Send(response("429 No", "retry-after: 99999\r\n", "{}"))),
        ("is down", Act::Send(response("500 Oops", "", ""))),
    ] {
        let server = Hostile::new(act).await;
        for lm in everyone(&server.base, SHORT) {
            let waits = (Duration::from_millis(20), Duration::from_millis(100));
            let policy = RetryPolicy::default().attempts(99).waits(waits.0, waits.1).deadline(3 * SHORT);
            let lm = Retry::new(Arc::<dyn Lm>::from(lm), policy);
            let start = Instant::now();
            let error = lm.generate(&request()).await.unwrap_err();
            assert!(start.elapsed() < Duration::from_secs(10), "{name}: {:?}", start.elapsed());
            assert!(error.is_retryable() && error.detail.contains("deadline"), "{name}: {error}");
        }
    }
}

#[tokio::test]
async fn an_answer_cut_at_any_byte_is_no_answer() {
    let providers = everyone("http://127.0.0.1:1/v1", LONG).len();
    let cuts: Vec<usize> = (0..ANSWER.len()).collect();
    let acts = cuts.iter().map(|cut| Act::Send(response("200 OK", "", &ANSWER.as_bytes()[..*cut])));
    let server = Hostile::in_turn(acts.collect()).await;
    for i in 0..providers {
        let lm = everyone(&server.base, LONG).swap_remove(i);
        for cut in &cuts {
            let outcome = lm.generate(&request()).await;
            check(&format!("cut at {cut}"), &*lm, &outcome, &MALFORMED);
        }
    }
    assert_eq!(server.visits.load(Ordering::Relaxed) as usize, providers * cuts.len());
}

#[tokio::test]
async fn a_changed_byte_never_makes_more_than_an_answer_or_an_error() {
    // Every 3rd byte, changed in three ways: still JSON now and then, and then an answer or another error.
    let mut acts = Vec::new();
    for at in (0..ANSWER.len()).step_by(3) {
        for byte in [0x00, 0xff, b'9'] {
            let mut body = ANSWER.as_bytes().to_vec();
            body[at] = byte;
            acts.push(Act::Send(response("200 OK", "", body)));
        }
    }
    let count = acts.len();
    let server = Hostile::in_turn(acts).await;
    for lm in everyone(&server.base, LONG) {
        for _ in 0..count {
            if let Err(error) = lm.generate(&request()).await {
                assert_eq!(error.kind, LmErrorKind::Malformed, "{error}");
                assert!(error.detail.len() < 3_000);
            }
        }
    }
}

#[tokio::test]
async fn nobody_there() {
    // A port that was just free.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}/v1", listener.local_addr().unwrap());
    drop(listener);
    for lm in everyone(&base, LONG) {
        check("nobody", &*lm, &lm.generate(&request()).await, &CONNECTION);
    }
}

#[tokio::test]
async fn no_redirect_is_followed_and_no_key_goes_elsewhere() {
    let elsewhere = Hostile::new(Act::Send(response("200 OK", "", ANSWER))).await;
    for status in [
        "301 Moved Permanently",
        "302 Found",
        "303 See Other",
        "307 Temporary Redirect",
        "308 Permanent Redirect",
    ] {
        let location = format!("location: {}/chat/completions\r\n", elsewhere.base);
        let server = Hostile::new(Act::Send(response(status, &location, ""))).await;
        for lm in everyone(&server.base, LONG) {
            let error = lm.generate(&request()).await.unwrap_err();
            assert_eq!(error.kind, LmErrorKind::InvalidRequest);
            assert!(error.detail.contains(&elsewhere.base), "{error}");
        }
        // The list of models is asked for with the key too.
        let key = teleprompt_lm::ApiKey::new(KEY).unwrap();
        let listed = CompatibleLm::builder(&server.base).key(key).connect().await.unwrap_err();
        assert!(listed.to_string().contains("redirects"), "{listed}");
    }
    assert_eq!(elsewhere.visits.load(Ordering::Relaxed), 0);
}

/// Not a test by itself: what the child process of the test below does.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn child() {
    if std::env::var("TELEPROMPT_TEST_FLOOD").is_err() {
        return;
    }
    let floods = matrix().into_iter().filter(|(name, ..)| name.starts_with("floods"));
    for (_, act, limit, _) in floods {
        let server = Hostile::new(act).await;
        for lm in everyone(&server.base, limit) {
            assert!(lm.generate(&request()).await.is_err());
        }
    }
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    println!("peak {}", peak.trim().trim_end_matches(" kB"));
}

#[cfg(target_os = "linux")]
#[test]
fn a_gigabyte_is_never_in_memory() {
    let output = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "hostile::child", "--nocapture"])
        .env("TELEPROMPT_TEST_FLOOD", "1")
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let (_, peak) = text.split_once("peak ").unwrap();
    let kilobytes: u64 = peak.split_whitespace().next().unwrap().parse().unwrap();
    assert!(kilobytes < 256 << 10, "{kilobytes} kB at the most, over five floods of 1 GB for each provider");
}
