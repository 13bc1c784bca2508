//! Servers that break, stall, lie or flood: every case ends in the right error, in time and in bounded memory.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use teleprompt_core::lm::{LmError, LmErrorKind, LmResponse};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::{KEY, everyone, request};

const LONG: Duration = Duration::from_secs(60);
const SHORT: Duration = Duration::from_millis(200);

/// A server that reads each request, then behaves as `act` says. Returns its base URL.
async fn serve<F, Fut>(act: F) -> String
where
    F: Fn(TcpStream) -> Fut + Clone + Send + 'static,
    Fut: Future<Output = ()> + Send,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}/v1", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let act = act.clone();
            tokio::spawn(async move {
                read_request(&mut stream).await;
                act(stream).await;
            });
        }
    });
    base
}

/// Reads up to the end of the request's body.
async fn read_request(stream: &mut TcpStream) {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes).to_lowercase();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            if body.len() >= length.map_or(0, |n| n.trim().parse().unwrap()) {
                return;
            }
        }
        if stream.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
            return;
        }
    }
}

/// A server that sends these bytes and closes the connection.
async fn sends(bytes: impl Into<Vec<u8>>) -> String {
    let bytes = Arc::new(bytes.into());
    serve(move |mut stream| {
        let bytes = Arc::clone(&bytes);
        async move {
            // The client may close first.
            let _ = stream.write_all(&bytes).await;
            let _ = stream.shutdown().await;
        }
    })
    .await
}

fn with_length(status: &str, headers: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\n{headers}content-length: {}\r\nconnection: close\r\n\r\n{body}", body.len())
}

/// What every provider makes of the server at `base`.
async fn outcomes(base: &str, timeout: Duration) -> Vec<Result<LmResponse, LmError>> {
    let mut outcomes = Vec::new();
    for lm in everyone(base, timeout) {
        let start = Instant::now();
        let outcome = lm.generate(&request()).await;
        assert!(start.elapsed() < LONG / 2, "{} took {:?}", lm.model(), start.elapsed());
        if let Err(error) = &outcome {
            assert!(!format!("{error} {error:?}").contains(KEY), "{error}");
            assert!(error.detail.len() < 3_000 && !error.detail.is_empty(), "{error}");
        }
        outcomes.push(outcome);
    }
    outcomes
}

async fn fails(base: &str, timeout: Duration, kind: LmErrorKind) {
    for outcome in outcomes(base, timeout).await {
        assert_eq!(outcome.unwrap_err().kind, kind);
    }
}

#[tokio::test]
async fn bodies_that_are_no_answer() {
    for body in ["not json", "", "null", "[]", "{\"choices\": [", "{\"choices\": 7}", "<html></html>"] {
        fails(&sends(with_length("200 OK", "", body)).await, LONG, LmErrorKind::Malformed).await;
    }
    let mut binary = with_length("200 OK", "", "xx").into_bytes();
    let end = binary.len();
    binary[end - 2..].copy_from_slice(&[0xff, 0xfe]);
    fails(&sends(binary).await, LONG, LmErrorKind::Malformed).await;
}

#[tokio::test]
async fn an_error_under_status_200() {
    let limited = r#"{"error": {"code": 429, "message": "too many"}}"#;
    let kind = LmErrorKind::RateLimited { retry_after: None };
    fails(&sends(with_length("200 OK", "", limited)).await, LONG, kind).await;
    let vague = r#"{"error": {"message": "went wrong"}}"#;
    fails(&sends(with_length("200 OK", "", vague)).await, LONG, LmErrorKind::Malformed).await;
}

#[tokio::test]
async fn a_rate_limit_without_a_wait() {
    let kind = LmErrorKind::RateLimited { retry_after: None };
    fails(&sends(with_length("429 Too Many Requests", "", "")).await, LONG, kind).await;
}

#[tokio::test]
async fn a_server_that_never_answers() {
    let stall = |stream: TcpStream| async move {
        std::future::pending::<()>().await;
        drop(stream);
    };
    fails(&serve(stall).await, SHORT, LmErrorKind::Timeout).await;
}

#[tokio::test]
async fn a_server_that_stops_in_the_middle() {
    let trickle = |mut stream: TcpStream| async move {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"ch").await;
        std::future::pending::<()>().await;
    };
    fails(&serve(trickle).await, SHORT, LmErrorKind::Timeout).await;
}

#[tokio::test]
async fn connections_that_break() {
    // Closed before an answer, in the head, in a body of known length.
    for bytes in ["", "HTTP/1.1 200 OK\r\ncont", "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"choices\""]
    {
        fails(&sends(bytes).await, LONG, LmErrorKind::Connection).await;
    }
    // Closed in a body of unknown length: what came is no JSON.
    fails(&sends("HTTP/1.1 200 OK\r\n\r\n{\"choices\"").await, LONG, LmErrorKind::Malformed).await;
    // No HTTP at all.
    fails(&sends("SSH-2.0-OpenSSH_9.9\r\n").await, LONG, LmErrorKind::Connection).await;
    // Reset.
    let reset = |stream: TcpStream| async move { drop(stream.set_zero_linger()) };
    fails(&serve(reset).await, LONG, LmErrorKind::Connection).await;
    // Nobody there: a port that was just free.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}/v1", listener.local_addr().unwrap());
    drop(listener);
    fails(&base, LONG, LmErrorKind::Connection).await;
}

#[tokio::test]
async fn a_flood_is_cut_off() {
    let sent = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&sent);
    let flood = move |mut stream: TcpStream| {
        let count = Arc::clone(&count);
        async move {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1073741824\r\n\r\n").await;
            let block = vec![b' '; 1 << 16];
            while stream.write_all(&block).await.is_ok() {
                count.fetch_add(block.len() as u64, Ordering::Relaxed);
            }
        }
    };
    let base = serve(flood).await;
    for outcome in outcomes(&base, LONG).await {
        let error = outcome.unwrap_err();
        assert_eq!(error.kind, LmErrorKind::Malformed);
        assert!(error.detail.contains("larger than 16 MiB"), "{error}");
    }
    assert!(sent.load(Ordering::Relaxed) < 128 << 20, "{sent:?}");
}

#[tokio::test]
async fn a_head_without_end_is_cut_off() {
    let flood = |mut stream: TcpStream| async move {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n").await;
        while stream.write_all(b"x-more: and more and more and more\r\n").await.is_ok() {}
    };
    fails(&serve(flood).await, LONG, LmErrorKind::Connection).await;
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let visits = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&visits);
    let elsewhere = serve(move |_| {
        let count = Arc::clone(&count);
        async move {
            count.fetch_add(1, Ordering::Relaxed);
        }
    })
    .await;
    for status in ["301 Moved Permanently", "307 Temporary Redirect", "308 Permanent Redirect"] {
        let base =
            sends(with_length(status, &format!("location: {elsewhere}/chat/completions\r\n"), "")).await;
        for outcome in outcomes(&base, LONG).await {
            let error = outcome.unwrap_err();
            assert_eq!(error.kind, LmErrorKind::InvalidRequest);
            assert!(error.detail.contains(&elsewhere), "{error}");
        }
    }
    assert_eq!(visits.load(Ordering::Relaxed), 0);
}
