//! A server in which everything can be wrong: it reads each request, then does one of [`Act`].

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// One answer in the shapes of all providers: each reads its own fields.
pub(crate) const ANSWER: &str = r#"{"choices":[{"message":{"role":"assistant","content":"right é"},"finish_reason":"stop"}],"content":[{"type":"text","text":"right é"}],"candidates":[{"content":{"parts":[{"text":"right é"}]}}],"usage":{"prompt_tokens":9,"completion_tokens":3,"input_tokens":9,"output_tokens":3},"usageMetadata":{"promptTokenCount":9,"candidatesTokenCount":3}}"#;

/// What the server does with a connection after it has read a request.
#[derive(Clone, Debug)]
pub(crate) enum Act {
    /// Sends these bytes, then closes.
    Send(Vec<u8>),
    /// Sends these bytes, then says nothing more and stays.
    SendAndStall(Vec<u8>),
    /// Sends these bytes, then resets the connection.
    SendAndReset(Vec<u8>),
    /// Sends the right answer a byte at a time, as slowly as a busy scheduler.
    TrickleAnswer,
    /// Sends a head, then white space a byte at a time, for ever.
    TrickleForEver,
    /// Sends these bytes, then this block again and again, up to 1 GB.
    Flood(Vec<u8>, Vec<u8>),
}

/// A server that does the same with each connection.
pub(crate) struct Hostile {
    pub(crate) base: String,
    pub(crate) visits: Arc<AtomicU64>,
    /// Bytes that the other side took in floods.
    pub(crate) flooded: Arc<AtomicU64>,
}

impl Hostile {
    /// Does `act` with each connection.
    pub(crate) async fn new(act: Act) -> Self {
        Self::in_turn(vec![act]).await
    }

    /// Does these in turn, and then begins again.
    pub(crate) async fn in_turn(acts: Vec<Act>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}/v1", listener.local_addr().unwrap());
        let (visits, flooded) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let (count, bytes) = (Arc::clone(&visits), Arc::clone(&flooded));
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let visit = count.fetch_add(1, Ordering::Relaxed) as usize;
                let (act, bytes) = (acts[visit % acts.len()].clone(), Arc::clone(&bytes));
                tokio::spawn(async move {
                    read_request(&mut stream).await;
                    perform(act, stream, &bytes).await;
                });
            }
        });
        Self { base, visits, flooded }
    }
}

/// A response of known length.
pub(crate) fn response(status: &str, headers: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    let head = format!(
        "HTTP/1.1 {status}\r\n{headers}content-type: application/json\r\ncontent-length: {}\r\n\
         connection: close\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

async fn perform(act: Act, mut stream: TcpStream, flooded: &AtomicU64) {
    // The client may close at any time: then there is nobody to be hostile to.
    match act {
        Act::Send(bytes) => {
            let _ = stream.write_all(&bytes).await;
            let _ = stream.shutdown().await;
        }
        Act::SendAndStall(bytes) => {
            let _ = stream.write_all(&bytes).await;
            std::future::pending::<()>().await;
        }
        Act::SendAndReset(bytes) => {
            let _ = stream.write_all(&bytes).await;
            let _ = stream.set_zero_linger();
        }
        Act::TrickleAnswer => {
            stream.set_nodelay(true).unwrap();
            for byte in response("200 OK", "", ANSWER) {
                if stream.write_all(&[byte]).await.is_err() {
                    return;
                }
                tokio::task::yield_now().await;
            }
            let _ = stream.shutdown().await;
        }
        Act::TrickleForEver => {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000000\r\n\r\n").await;
            let mut tick = tokio::time::interval(std::time::Duration::from_millis(5));
            while stream.write_all(b" ").await.is_ok() {
                tick.tick().await;
            }
        }
        Act::Flood(head, block) => {
            let _ = stream.write_all(&head).await;
            let mut left = 1_u64 << 30;
            while left > 0 && stream.write_all(&block).await.is_ok() {
                flooded.fetch_add(block.len() as u64, Ordering::Relaxed);
                left = left.saturating_sub(block.len() as u64);
            }
        }
    }
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
