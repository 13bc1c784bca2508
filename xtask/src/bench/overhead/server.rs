//! The stub: a chat-completions server on this machine that answers every request alike, after a latency.
//!
//! Keep-alive HTTP/1.1 by hand on one thread: a few microseconds a request, so that the server is not what is measured. The
//! latency stands in the path: `http://127.0.0.1:PORT/20/v1` answers after 20 ms. It runs in this process; whoever is measured
//! runs in another, so the server's own time counts for nobody.
//!
//! Latencies are kept by a thread of their own ([`Delays`]): tokio's timers fire on whole milliseconds, which would make
//! answers come in bursts that no real server sends.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::oneshot;

/// What every answer says.
pub(super) const ANSWER: &str = "Paris";

/// Connections that may wait to be accepted: all that a contender opens at once.
const BACKLOG: u32 = 1024;

/// Requests longer than this are a mistake.
const MAX_REQUEST: usize = 1 << 20;

/// A running server; it ends with the process.
#[derive(Debug)]
pub(super) struct Server {
    address: SocketAddr,
    answered: Arc<AtomicU64>,
}

impl Server {
    /// Starts a server on a free port.
    pub(super) fn start() -> Result<Self, String> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| error.to_string())?;
        let answered = Arc::new(AtomicU64::new(0));
        let (sender, address) = mpsc::channel();
        let counter = answered.clone();
        let delays = Delays::start();
        thread::spawn(move || {
            runtime.block_on(async move {
                let listener = TcpSocket::new_v4().and_then(|socket| {
                    socket.bind(SocketAddr::from(([127, 0, 0, 1], 0)))?;
                    socket.listen(BACKLOG)
                });
                let listener = match listener {
                    Ok(listener) => listener,
                    Err(error) => return drop(sender.send(Err(error.to_string()))),
                };
                drop(sender.send(listener.local_addr().map_err(|error| error.to_string())));
                loop {
                    let Ok((stream, _)) = listener.accept().await else { break };
                    tokio::spawn(serve(stream, counter.clone(), delays.clone()));
                }
            });
        });
        let address = address.recv().map_err(|error| error.to_string())??;
        Ok(Self { address, answered })
    }

    /// The base URL of a model that answers after `latency_ms` milliseconds.
    pub(super) fn url(&self, latency_ms: u64) -> String {
        format!("http://{}/{latency_ms}/v1", self.address)
    }

    /// How many requests were answered so far.
    pub(super) fn answered(&self) -> u64 {
        self.answered.load(Ordering::Relaxed)
    }
}

/// Answers the requests of one connection until it is closed; a request that is none closes it.
async fn serve(mut stream: TcpStream, answered: Arc<AtomicU64>, delays: Delays) -> Option<()> {
    stream.set_nodelay(true).ok()?;
    let answer = answer();
    let mut buffer = Vec::with_capacity(8 << 10);
    loop {
        let request = loop {
            if let Some(request) = Request::read(&buffer) {
                break request;
            }
            if buffer.len() > MAX_REQUEST || stream.read_buf(&mut buffer).await.ok()? == 0 {
                return None;
            }
        };
        while buffer.len() < request.bytes {
            if request.bytes > MAX_REQUEST || stream.read_buf(&mut buffer).await.ok()? == 0 {
                return None;
            }
        }
        buffer.drain(..request.bytes);
        if request.latency_ms > 0 {
            delays.wait(Duration::from_millis(request.latency_ms)).await?;
        }
        // Counted first: whoever has the answer can see that it was counted.
        answered.fetch_add(1, Ordering::Relaxed);
        stream.write_all(&answer).await.ok()?;
    }
}

/// Wakes tasks at their time, to a tenth of a millisecond.
#[derive(Debug, Clone)]
struct Delays(mpsc::Sender<(Instant, oneshot::Sender<()>)>);

impl Delays {
    fn start() -> Self {
        let (sender, due) = mpsc::channel::<(Instant, oneshot::Sender<()>)>();
        // All latencies of a run are alike, so what comes first is due first.
        thread::spawn(move || {
            for (time, waker) in due {
                thread::sleep(time.saturating_duration_since(Instant::now()));
                // Whoever waited may be gone with its connection.
                waker.send(()).ok();
            }
        });
        Self(sender)
    }

    async fn wait(&self, duration: Duration) -> Option<()> {
        let (waker, woken) = oneshot::channel();
        self.0.send((Instant::now() + duration, waker)).ok()?;
        woken.await.ok()
    }
}

/// What the head of a request says.
#[derive(Debug, PartialEq, Eq)]
struct Request {
    /// Of head and body together.
    bytes: usize,
    latency_ms: u64,
}

impl Request {
    /// The head at the start of `buffer`, once it is complete.
    fn read(buffer: &[u8]) -> Option<Self> {
        let end = buffer.windows(4).position(|window| window == b"\r\n\r\n")?;
        let head = std::str::from_utf8(buffer.get(..end)?).ok()?;
        let mut lines = head.split("\r\n");
        let latency_ms = lines.next()?.split('/').nth(1)?.parse().ok()?;
        let length = lines.find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
        });
        Some(Self { bytes: end + 4 + length.unwrap_or(0), latency_ms })
    }
}

/// A whole response.
fn answer() -> Vec<u8> {
    let content = format!("[[ ## answer ## ]]\n{ANSWER}\n\n[[ ## completed ## ]]");
    let body = serde_json::json!({
        "id": "stub",
        "object": "chat.completion",
        "created": 0,
        "model": "stub",
        "choices": [{
            "index": 0,
            "message": {"role": "assistant", "content": content},
            "finish_reason": "stop",
        }],
        "usage": {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120},
    })
    .to_string();
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    [head.into_bytes(), body.into_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_read_once_it_is_whole() {
        let text = b"POST /20/v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello";
        for cut in 0..text.len() - 5 {
            assert_eq!(Request::read(&text[..cut]), None, "{cut}");
        }
        assert_eq!(Request::read(text), Some(Request { bytes: text.len(), latency_ms: 20 }));
        assert_eq!(Request::read(b"GET /x/v1 HTTP/1.1\r\n\r\n"), None);
    }
}
