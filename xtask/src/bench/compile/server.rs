//! The stub: a chat-completions server on this machine that answers as a model would, after a fixed time.
//!
//! HTTP/1.1 by hand, on a thread and a runtime of its own: what is asked of it is small, and it must not be what is measured.
//! Answers are a function of the request. A question `A + B` is answered rightly with a probability that depends on the system
//! message and on the number of demos, so that there is something to find; an instruction is another one for each request.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Larger requests end their connection.
const MAX_REQUEST: usize = 1 << 20;

/// A server that runs until the program ends.
#[derive(Debug)]
pub(super) struct Server {
    address: SocketAddr,
    counts: Arc<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    calls: AtomicU64,
    /// How long answers were held back, in microseconds: the latency as it was, not as it was meant.
    held: AtomicU64,
}

/// What a server did since it was asked before.
#[derive(Debug, Clone, Copy)]
pub(super) struct Served {
    pub(super) calls: u64,
    /// Mean, in seconds.
    pub(super) latency: f64,
}

impl Server {
    /// Starts the server.
    pub(super) fn start(latency: Duration) -> Result<Self, String> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| error.to_string())?;
        let listener =
            runtime.block_on(TcpListener::bind("127.0.0.1:0")).map_err(|error| error.to_string())?;
        let address = listener.local_addr().map_err(|error| error.to_string())?;
        let counts = Arc::new(Counts::default());
        let shared = counts.clone();
        std::thread::spawn(move || {
            runtime.block_on(async move {
                while let Ok((stream, _)) = listener.accept().await {
                    tokio::spawn(serve(stream, latency, shared.clone()));
                }
            });
        });
        Ok(Self { address, counts })
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    /// What was served since this was called before.
    pub(super) fn take(&self) -> Served {
        let calls = self.counts.calls.swap(0, Ordering::SeqCst);
        let held = self.counts.held.swap(0, Ordering::SeqCst);
        Served { calls, latency: held as f64 / 1e6 / calls.max(1) as f64 }
    }
}

/// Answers the requests of one connection, one after the other; any error ends it.
async fn serve(mut stream: TcpStream, latency: Duration, counts: Arc<Counts>) {
    let _ = stream.set_nodelay(true);
    let mut buffer: Vec<u8> = Vec::new();
    while let Some((begun, body)) = read_request(&mut stream, &mut buffer).await {
        let answer =
            serde_json::from_slice(&body).ok().map(|request| completion(&request, &body)).unwrap_or_default();
        tokio::time::sleep_until((begun + latency).into()).await;
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            answer.len()
        );
        let held = u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX);
        counts.calls.fetch_add(1, Ordering::SeqCst);
        counts.held.fetch_add(held, Ordering::SeqCst);
        if stream.write_all(&[head.as_bytes(), answer.as_bytes()].concat()).await.is_err() {
            return;
        }
    }
}

/// The next request: when it was there, and its body.
async fn read_request(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<(Instant, Vec<u8>)> {
    loop {
        if let Some(head) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
            let text = String::from_utf8_lossy(buffer.get(..head)?).to_lowercase();
            let length = text.split("content-length:").nth(1).and_then(|rest| rest.lines().next());
            let length: usize = length.unwrap_or("0").trim().parse().ok()?;
            let end = head + 4 + length;
            if length > MAX_REQUEST {
                return None;
            }
            if buffer.len() >= end {
                let body = buffer.get(head + 4..end)?.to_vec();
                buffer.drain(..end);
                return Some((Instant::now(), body));
            }
        }
        if buffer.len() > 2 * MAX_REQUEST || stream.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    }
}

fn completion(request: &Value, body: &[u8]) -> String {
    let text = answer(request, body);
    let tokens = |bytes: usize| bytes / 4 + 1;
    json!({
        "id": "stub", "object": "chat.completion", "created": 0, "model": "stub",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": tokens(body.len()), "completion_tokens": tokens(text.len()),
                  "total_tokens": tokens(body.len()) + tokens(text.len())},
    })
    .to_string()
}

/// A value for every field that the last message asks for.
fn answer(request: &Value, body: &[u8]) -> String {
    let messages = request.get("messages").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let text =
        |message: &Value| message.get("content").and_then(Value::as_str).unwrap_or_default().to_owned();
    let is = |message: &Value, role: &str| message.get("role").and_then(Value::as_str) == Some(role);
    let system: String = messages.iter().filter(|message| is(message, "system")).map(text).collect();
    let demos = messages.iter().filter(|message| is(message, "assistant")).count() as u64;
    let last = messages.last().map(text).unwrap_or_default();
    let (shown, asked) = last.rsplit_once("Respond with").unwrap_or((&last, ""));
    let sum = numbers(shown);
    let mut out = String::new();
    for field in asked.split("[[ ## ").skip(1).filter_map(|rest| rest.split(' ').next()) {
        let value = match (field, sum) {
            ("completed", _) => continue,
            ("answer", Some((a, b))) => {
                let chance = 30 + hash(system.as_bytes()) % 41 + 5 * demos.min(4);
                let luck = hash(format!("{system}|{a} + {b}").as_bytes()) % 100;
                (a + b + u64::from(luck >= chance)).to_string()
            }
            ("query", Some((a, b))) => format!("Compute {a} + {b}."),
            (name, _) if name.contains("instruction") => {
                format!(
                    "Work out with care what the question asks, then state it. Follow variant {:08x} of the rules.",
                    hash(body)
                )
            }
            (name, _) => format!("Short questions of arithmetic, each with one number as its {name}."),
        };
        out.push_str(&format!("[[ ## {field} ## ]]\n{value}\n\n"));
    }
    out + "[[ ## completed ## ]]"
}

/// The last `A + B` of a text.
fn numbers(text: &str) -> Option<(u64, u64)> {
    let (before, after) = text.rsplit_once(" + ")?;
    let digits = |text: &str| text.parse().ok();
    let a = before.rsplit(|c: char| !c.is_ascii_digit()).next().and_then(digits)?;
    let b = after.split(|c: char| !c.is_ascii_digit()).next().and_then(digits)?;
    Some((a, b))
}

/// FNV-1a, folded.
fn hash(bytes: &[u8]) -> u64 {
    let hash = bytes.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    (hash ^ (hash >> 32)) & 0xffff_ffff
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fields_that_are_asked_for_are_answered() {
        let request = json!({"messages": [
            {"role": "system", "content": "Add."},
            {"role": "user", "content": "[[ ## question ## ]]\nWhat is 12 + 30?\n\nRespond with the output fields, beginning with \
                `[[ ## query ## ]]`, and end with `[[ ## completed ## ]]`."},
        ]});
        assert_eq!(answer(&request, b""), "[[ ## query ## ]]\nCompute 12 + 30.\n\n[[ ## completed ## ]]");
        assert_eq!(numbers("x"), None);
    }
}
