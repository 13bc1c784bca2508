//! The family `compile`: a whole run of MIPROv2, against a stub server on this machine that takes 20 ms for an answer, and
//! then one that takes a second.
//!
//! Light, a program of two predictors, 200 training and 100 validation rows, no cache, as many calls in flight as the case
//! says. Every contender makes its own calls: ours are fewer, for nothing known is asked again.
//!
//! The rival `ideal` is what no run with our calls can beat: the number of calls times the server's own latency, divided by
//! how many may be in flight, and the chain of calls that each wait for the one before. A ratio below 1 says how far we are
//! from it. With one seed more than the machine can hold still, look at the interval.

mod server;

use std::cell::RefCell;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use teleprompt_core::{
    Ctx, Error as RunError, Example, Fields, Module, Predictor, SignatureSpec, Visit, Visitor, metric,
};
use teleprompt_lm::CompatibleLm;
use teleprompt_miprov2::{Auto, Dataset, MiproV2, Optimized, ReferenceSearch, Strategy};

use self::server::Server;
use super::family::{Better, Case, Contender, Family, Figure};
use super::peers::Peer;
use crate::error::Error;

/// What no run can beat.
const IDEAL: &str = "ideal";
/// Latencies of the server, in milliseconds, and how many calls are in flight.
const CASES: [(u64, usize); 5] = [(20, 16), (20, 64), (20, 256), (1000, 64), (1000, 256)];

/// The family.
#[derive(Debug)]
pub(crate) struct Compile;

impl Family for Compile {
    fn seeds(&self) -> u32 {
        3
    }

    fn cases(&self, quick: bool, _: Option<&mut Peer>) -> Result<Vec<Box<dyn Case>>, Error> {
        let case = |&(latency, in_flight): &(u64, usize)| -> Result<Box<dyn Case>, Error> {
            let server = Server::start(Duration::from_millis(latency));
            let server = server.map_err(|problem| failed("the stub server", problem))?;
            Ok(Box::new(Run { server, latency, in_flight, ideal: RefCell::default() }))
        };
        CASES.iter().filter(|case| !quick || **case == (20, 64)).map(case).collect()
    }
}

fn failed(subject: &str, problem: impl ToString) -> Error {
    Error::Measurement { subject: subject.to_owned(), problem: problem.to_string() }
}

/// A whole run with so many calls in flight.
struct Run {
    server: Server,
    /// In milliseconds.
    latency: u64,
    in_flight: usize,
    /// By seed: what our run could have taken at best.
    ideal: RefCell<std::collections::BTreeMap<u64, f64>>,
}

impl Case for Run {
    fn figure(&self) -> Figure {
        let name = format!("compile, light, 2 predictors, {} ms, {} in flight", self.latency, self.in_flight);
        Figure { name, unit: "s", better: Better::Lower, floor: 0.0 }
    }

    fn rivals(&self) -> &'static [&'static str] {
        &[IDEAL]
    }

    fn measure(&self, contender: &mut Contender<'_>, seed: u64) -> Result<f64, Error> {
        self.server.take();
        match contender {
            Contender::Ours => self.ours(seed),
            Contender::Rival(_) => {
                if !self.ideal.borrow().contains_key(&seed) {
                    self.ours(seed)?;
                }
                self.ideal.borrow().get(&seed).copied().ok_or_else(|| failed(IDEAL, "there was no run"))
            }
            Contender::Peer(peer) => {
                let rows = |cases| examples(cases).iter().map(row_json).collect::<Vec<_>>();
                let request = json!({
                    "op": "compile", "url": self.server.url(), "threads": self.in_flight, "seed": seed,
                    "train": rows(0..200), "val": rows(1000..1100),
                });
                let answer = peer.request(&request)?;
                let seconds = answer.get("seconds").and_then(Value::as_f64);
                let seconds = seconds.ok_or_else(|| failed("the peer", "answer without a time"))?;
                let served = self.server.take();
                eprintln!(
                    "  {} in flight, seed {seed}: peer {seconds:.2} s, {} calls, server latency {:.1} ms",
                    self.in_flight,
                    served.calls,
                    1e3 * served.latency
                );
                Ok(seconds)
            }
        }
    }
}

impl Run {
    fn ours(&self, seed: u64) -> Result<f64, Error> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        let runtime = runtime.map_err(|error| failed("teleprompt", error))?;
        let (best, seconds) = runtime.block_on(run(&self.server.url(), self.in_flight, seed))?;
        let served = self.server.take();
        let calls = best.report.process.calls.calls;
        let spread = calls as f64 * served.latency / self.in_flight as f64;
        let chain = best.report.process.chain as f64 * served.latency;
        eprintln!(
            "  {} in flight, seed {seed}: ours {seconds:.3} s, {calls} calls, server latency {:.1} ms; calls x latency / in \
             flight {spread:.3} s, chain of {} calls {chain:.3} s; without the chain {:.2} times the former",
            self.in_flight,
            1e3 * served.latency,
            best.report.process.chain,
            (seconds - chain) / spread,
        );
        self.ideal.borrow_mut().insert(seed, spread + chain);
        Ok(seconds)
    }
}

async fn run(url: &str, in_flight: usize, seed: u64) -> Result<(Optimized, f64), Error> {
    let lm = CompatibleLm::builder(url).model("stub").build().map_err(|error| failed("teleprompt", error))?;
    // As the peer searches: the same strategy.
    let reference = Strategy::Reference(ReferenceSearch::default());
    let builder = MiproV2::builder().task_lm(Arc::new(lm)).auto(Auto::Light).strategy(reference);
    let optimizer = builder.concurrency(in_flight).seed(seed).build();
    let optimizer = optimizer.map_err(|error| failed("teleprompt", error))?;
    let data = Dataset::new(examples(0..200)).val(examples(1000..1100));
    let program = TwoStages::new()?;
    let begin = Instant::now();
    let best = optimizer.compile(&program, &data, &metric::exact_match("answer")).await;
    let seconds = begin.elapsed().as_secs_f64();
    let best = best.map_err(|error| failed("teleprompt", error))?;
    Ok((best, seconds))
}

/// Sums, each once.
fn examples(cases: std::ops::Range<u64>) -> Vec<Example> {
    let row = |case: u64| Example {
        inputs: Fields::new().with("question", format!("What is {} + {}?", 10 + case % 89, 3 * case + 7)),
        labels: Fields::new().with("answer", (10 + case % 89 + 3 * case + 7).to_string()),
    };
    cases.map(row).collect()
}

fn row_json(row: &Example) -> Value {
    json!({"question": row.inputs.text("question"), "answer": row.labels.text("answer")})
}

/// The program: a query, then an answer.
struct TwoStages {
    query: Predictor,
    answer: Predictor,
}

impl TwoStages {
    fn new() -> Result<Self, Error> {
        let predictor = |text: &str| {
            SignatureSpec::parse(text).map(Predictor::new).map_err(|error| failed("the program", error))
        };
        Ok(Self { query: predictor("question -> query")?, answer: predictor("question, query -> answer")? })
    }
}

impl Visit for TwoStages {
    fn visit<'a>(&'a self, visitor: &mut Visitor<'a>) {
        visitor.field("query", &self.query);
        visitor.field("answer", &self.answer);
    }
}

impl Module for TwoStages {
    type Input = Fields;
    type Output = Fields;

    async fn forward(&self, cx: &Ctx, input: Fields) -> Result<Fields, RunError> {
        let asked = self.query.call(cx, input.clone()).await?;
        self.answer.call(cx, input.with("query", asked.text("query"))).await
    }
}
