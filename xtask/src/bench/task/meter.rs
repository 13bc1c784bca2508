//! Counts what a model is asked and answers, for every optimizer in the same place: between it and the server.
//!
//! ```text
//!   optimizer ──► meter, another port of this machine ──► server
//!             ◄── the same bytes, usage and failures counted ◄──
//! ```
//!
//! Bytes pass unchanged. An answer is known by the usage that it reports, `"completion_tokens": N`: inside of a JSON text the
//! quotes of those words would be escaped, so nothing that a model writes is taken for one. A failure is a status line of 400
//! or more. Streamed answers are not asked for here.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::failed;
use crate::error::Error;

const TOKENS_IN: &[u8] = b"\"prompt_tokens\":";
const TOKENS_OUT: &[u8] = b"\"completion_tokens\":";
const STATUS: &[u8] = b"HTTP/1.1 ";
/// As long as a word that is counted with its number, and more: so much of what was read is looked at again.
const TAIL: usize = 64;

/// What passed since [`Meter::take`] was called before.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Passed {
    /// Answers.
    pub(crate) calls: u64,
    pub(crate) tokens_in: u64,
    pub(crate) tokens_out: u64,
    /// Requests that the server refused.
    pub(crate) refused: u64,
}

/// A port that leads to a server.
#[derive(Debug)]
pub(crate) struct Meter {
    address: String,
    passed: Arc<Mutex<Passed>>,
    broken: Arc<AtomicU64>,
}

impl Meter {
    /// A meter before the server at `HOST:PORT`, on a thread of its own until the program ends.
    pub(crate) fn start(server: String) -> Result<Self, Error> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?.to_string();
        let (passed, broken) = (Arc::new(Mutex::new(Passed::default())), Arc::new(AtomicU64::new(0)));
        let (counts, lost) = (passed.clone(), broken.clone());
        std::thread::spawn(move || {
            runtime.block_on(async move {
                while let Ok((stream, _)) = listener.accept().await {
                    let (server, counts, lost) = (server.clone(), counts.clone(), lost.clone());
                    tokio::spawn(async move {
                        match TcpStream::connect(&server).await {
                            Ok(upstream) => pass(stream, upstream, &counts).await,
                            Err(_) => {
                                lost.fetch_add(1, Ordering::SeqCst);
                            }
                        }
                    });
                }
            });
        });
        Ok(Self { address, passed, broken })
    }

    /// Where optimizers are to ask: `HOST:PORT`.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// What passed since this was called before.
    pub(crate) fn take(&self) -> Passed {
        std::mem::take(&mut *self.passed.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether the server could not be reached, ever.
    pub(crate) fn is_broken(&self) -> bool {
        self.broken.load(Ordering::SeqCst) > 0
    }
}

/// Passes the bytes of one connection in both directions until one side ends it.
async fn pass(mut client: TcpStream, mut server: TcpStream, counts: &Mutex<Passed>) {
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let (mut asks, mut hears) = client.split();
    let (mut answers, mut is_asked) = server.split();
    let there = async {
        let _ = tokio::io::copy(&mut asks, &mut is_asked).await;
        let _ = is_asked.shutdown().await;
    };
    let back = async {
        let mut counter = Counter::default();
        let mut buffer = vec![0; 1 << 16];
        while let Ok(n @ 1..) = answers.read(&mut buffer).await {
            let bytes = buffer.get(..n).unwrap_or_default();
            // Counted before the optimizer can know the answer, and so before anyone asks what was counted.
            counter.read(bytes, &mut counts.lock().unwrap_or_else(PoisonError::into_inner));
            if hears.write_all(bytes).await.is_err() {
                break;
            }
        }
        let _ = hears.shutdown().await;
    };
    tokio::join!(there, back);
}

/// Finds the counted words in a connection's bytes, wherever they are cut.
#[derive(Debug, Default)]
struct Counter {
    /// Bytes that were read, the last of them not looked at in full.
    seen: Vec<u8>,
    /// How many of these are done with.
    done: usize,
}

impl Counter {
    fn read(&mut self, bytes: &[u8], passed: &mut Passed) {
        self.seen.extend_from_slice(bytes);
        while self.done < self.seen.len() {
            let Some(rest) = self.seen.get(self.done..) else { break };
            // A word at the end may go on in what comes next.
            let words = [TOKENS_IN, TOKENS_OUT, STATUS];
            if words.iter().any(|word| rest.len() < word.len() && word.starts_with(rest)) {
                break;
            }
            let Some(index) = words.iter().position(|word| rest.starts_with(word)) else {
                self.done += 1;
                continue;
            };
            let after = rest.get(words.get(index).map_or(0, |word| word.len())..).unwrap_or_default();
            let Some(number) = number(after) else { break };
            match index {
                0 => passed.tokens_in += number,
                1 => {
                    passed.tokens_out += number;
                    passed.calls += 1;
                }
                _ => passed.refused += u64::from(number >= 400),
            }
            self.done += words.get(index).map_or(1, |word| word.len());
        }
        let old = self.done.min(self.seen.len());
        self.seen.drain(..old);
        self.done = 0;
    }
}

/// The number that a text begins with, once its end is there; 0 for none.
fn number(text: &[u8]) -> Option<u64> {
    let spaces = text.iter().take_while(|byte| **byte == b' ').count();
    let digits = text.get(spaces..)?;
    let end = digits.iter().position(|byte| !byte.is_ascii_digit());
    match end {
        Some(end) => Some(std::str::from_utf8(digits.get(..end)?).ok()?.parse().unwrap_or(0)),
        None if text.len() > TAIL => Some(0),
        None => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANSWER: &str = "HTTP/1.1 200 OK\r\n\r\n{\"choices\": [{\"text\": \"say \\\"completion_tokens\\\": 9\"}], \
        \"usage\": {\"completion_tokens\":12,\"prompt_tokens\": 345, \"total_tokens\":357}}";
    const REFUSED: &str = "HTTP/1.1 503 Service Unavailable\r\n\r\n{\"error\": 1}";

    #[test]
    fn answers_are_counted_wherever_they_are_cut() {
        let text = [ANSWER, REFUSED, ANSWER].concat();
        for size in [1, 2, 7, 19, 64, 1000] {
            let (mut counter, mut passed) = (Counter::default(), Passed::default());
            for piece in text.as_bytes().chunks(size) {
                counter.read(piece, &mut passed);
            }
            let expect = Passed { calls: 2, tokens_in: 690, tokens_out: 24, refused: 1 };
            assert_eq!(passed, expect, "pieces of {size}");
        }
    }

    #[test]
    fn no_bytes_make_it_hold_more_than_a_tail() {
        let (mut counter, mut passed) = (Counter::default(), Passed::default());
        for _ in 0..1000 {
            counter.read(b"\"completion_tokens\":99999999999999999999999999999999999", &mut passed);
            counter.read(&[b' '; 100], &mut passed);
            assert!(counter.seen.len() <= 2 * TAIL, "{}", counter.seen.len());
        }
    }

    #[test]
    fn bytes_pass_unchanged() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let server = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let meter = Meter::start(server.local_addr().unwrap().to_string()).unwrap();
        runtime.block_on(async {
            let asked = async {
                let mut stream = TcpStream::connect(meter.address()).await.unwrap();
                stream.write_all(b"ask").await.unwrap();
                stream.shutdown().await.unwrap();
                let mut answer = String::new();
                stream.read_to_string(&mut answer).await.unwrap();
                answer
            };
            let served = async {
                let (mut stream, _) = server.accept().await.unwrap();
                let mut request = String::new();
                stream.read_to_string(&mut request).await.unwrap();
                stream.write_all(ANSWER.as_bytes()).await.unwrap();
                request
            };
            let (answer, request) = tokio::join!(asked, served);
            assert_eq!((request.as_str(), answer.as_str()), ("ask", ANSWER));
        });
        assert_eq!(meter.take().calls, 1);
        assert_eq!(meter.take(), Passed::default());
        assert!(!meter.is_broken());
    }
}
