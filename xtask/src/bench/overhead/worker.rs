//! The side that is measured, in a process of its own: it speaks the protocol of the peers' drivers.
//!
//! | request | answer |
//! |---|---|
//! | `{"op": "version"}` | `{"version": ".."}` |
//! | `{"op": "run", "how": HOW, "url": URL, "rows": N, "in_flight": K, "seconds": S}` | `{"calls", "seconds", "cpu", "peak_mib"}` |
//!
//! A worker makes one run and ends, so that each has a process of its own. A run passes over its rows until `S` seconds have gone by, once at least, after a pass of `2 K` rows (at most `N`) that
//! opens connections. `HOW` is `evaluate` (rows in memory), `stream` (rows made one by one, results written to nowhere), or
//! `bare`, which only sends bytes and waits for an answer: what server and machine allow at most.

use std::convert::Infallible;
use std::io::{self, BufRead, Write};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use teleprompt_core::evaluate::JsonLines;
use teleprompt_core::{Ctx, Evaluate, Example, Fields, Predictor, SignatureSpec, metric};
use teleprompt_lm::CompatibleLm;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::server::ANSWER;
use super::usage;
use crate::error::Error;

/// A run, as it is asked for.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Work {
    pub(super) how: How,
    pub(super) url: String,
    pub(super) rows: usize,
    pub(super) in_flight: usize,
    pub(super) seconds: f64,
}

/// What is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum How {
    Evaluate,
    Stream,
    Bare,
}

/// What a run took.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(super) struct Took {
    /// Calls measured.
    pub(super) calls: u64,
    /// On the wall.
    pub(super) seconds: f64,
    /// Processor time, in seconds.
    pub(super) cpu: f64,
    /// The most resident memory.
    pub(super) peak_mib: f64,
}

/// Answers requests until the input ends.
pub(crate) fn serve() -> Result<(), Error> {
    let failed = |source| Error::Start { command: "xtask overhead-worker".into(), source };
    let mut output = io::stdout().lock();
    for line in io::stdin().lock().lines() {
        let line = line.map_err(failed)?;
        let answer = answer(&line).unwrap_or_else(|problem| json!({ "error": problem }));
        writeln!(output, "{answer}").and_then(|()| output.flush()).map_err(failed)?;
    }
    Ok(())
}

fn answer(line: &str) -> Result<Value, String> {
    let request: Value = serde_json::from_str(line).map_err(|error| error.to_string())?;
    match request.get("op").and_then(Value::as_str) {
        Some("version") => Ok(json!({ "version": env!("CARGO_PKG_VERSION") })),
        Some("run") => {
            let work: Work = serde_json::from_value(request).map_err(|error| error.to_string())?;
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
            let took = runtime.map_err(|error| error.to_string())?.block_on(run(&work))?;
            serde_json::to_value(took).map_err(|error| error.to_string())
        }
        other => Err(format!("unknown operation {other:?}")),
    }
}

async fn run(work: &Work) -> Result<Took, String> {
    let pass = Pass::new(work)?;
    pass.over(work.rows.min(2 * work.in_flight)).await?;
    usage::reset_peak();
    let (start, cpu) = (Instant::now(), usage::cpu_seconds()?);
    let mut calls = 0;
    while calls == 0 || start.elapsed().as_secs_f64() < work.seconds {
        pass.over(work.rows).await?;
        calls += work.rows as u64;
    }
    let (seconds, cpu) = (start.elapsed().as_secs_f64(), usage::cpu_seconds()? - cpu);
    Ok(Took { calls, seconds, cpu, peak_mib: usage::peak_mib()? })
}

/// What a pass over rows needs.
struct Pass {
    how: How,
    in_flight: usize,
    program: Predictor,
    cx: Ctx,
    /// The rows of an evaluation; a stream makes its own.
    rows: Vec<Example>,
    bare: Bare,
}

impl Pass {
    fn new(work: &Work) -> Result<Self, String> {
        let spec = SignatureSpec::parse("question -> answer").map_err(|error| error.to_string())?;
        let lm = CompatibleLm::builder(&work.url).model("stub").build().map_err(|error| error.to_string())?;
        Ok(Self {
            how: work.how,
            in_flight: work.in_flight,
            program: Predictor::new(spec),
            cx: Ctx::new(Arc::new(lm)),
            rows: (0..if work.how == How::Evaluate { work.rows } else { 0 }).map(row).collect(),
            bare: Bare::new(&work.url)?,
        })
    }

    /// Runs `n` rows; an answer that is not the server's is an error.
    async fn over(&self, n: usize) -> Result<(), String> {
        let metric = metric::exact_match("answer");
        let score = match self.how {
            How::Evaluate => {
                let rows = self.rows.get(..n).ok_or("too few rows")?;
                let evaluate = Evaluate::new(rows, &metric).concurrency(self.in_flight);
                let evaluation = evaluate.run(&self.program, &self.cx).await;
                evaluation.map_err(|error| error.to_string())?.score()
            }
            How::Stream => {
                let rows = (0..n).map(|i| Ok::<_, Infallible>(row(i)));
                let evaluate = Evaluate::streaming(&metric).concurrency(self.in_flight);
                let mut sink = JsonLines::new(io::sink());
                let summary = evaluate.stream(&self.program, &self.cx, rows, &mut sink).await;
                summary.map_err(|error| error.to_string())?.score()
            }
            How::Bare => {
                self.bare.over(n, self.in_flight).await.map_err(|error| error.to_string())?;
                Some(1.0)
            }
        };
        if score == Some(1.0) { Ok(()) } else { Err(format!("a score of {score:?}, not 1")) }
    }
}

/// The row of an index, as the peers' drivers make it too.
fn row(i: usize) -> Example {
    let inputs = Fields::new().with("question", format!("Question {i}: what is the capital of France?"));
    Example { inputs, labels: Fields::new().with("answer", ANSWER) }
}

/// Bytes sent and answers awaited, with nothing around.
struct Bare {
    address: SocketAddr,
    request: Vec<u8>,
    /// Open connections that no exchange uses.
    idle: Mutex<Vec<TcpStream>>,
}

impl Bare {
    fn new(url: &str) -> Result<Self, String> {
        let rest = url.strip_prefix("http://").ok_or("not http")?;
        let (address, path) = rest.split_once('/').ok_or("no path")?;
        // As long as the request of the program.
        let body =
            json!({"model": "stub", "messages": [{"role": "user", "content": "x".repeat(600)}]}).to_string();
        let request = format!(
            "POST /{path}/chat/completions HTTP/1.1\r\nhost: stub\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        let address = address.parse().map_err(|error| format!("{address}: {error}"))?;
        Ok(Self { address, request: request.into_bytes(), idle: Mutex::default() })
    }

    async fn over(&self, n: usize, in_flight: usize) -> io::Result<()> {
        let connections = (0..in_flight).map(|i| self.exchange((n + i) / in_flight));
        futures::future::try_join_all(connections).await.map(drop)
    }

    /// One connection with so many exchanges.
    async fn exchange(&self, n: usize) -> io::Result<()> {
        let idle = || self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let known = idle().pop();
        let mut stream = match known {
            Some(stream) => stream,
            None => TcpStream::connect(self.address).await?,
        };
        stream.set_nodelay(true)?;
        let mut buffer = Vec::new();
        for _ in 0..n {
            stream.write_all(&self.request).await?;
            buffer.clear();
            // The body is the only JSON object, and the only one that ends with two braces.
            while !buffer.ends_with(b"}}") {
                if stream.read_buf(&mut buffer).await? == 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
            }
        }
        idle().push(stream);
        Ok(())
    }
}
