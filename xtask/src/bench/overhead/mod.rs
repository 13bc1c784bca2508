//! The family `overhead`: what stands around a model's own time when a program is evaluated.
//!
//! 1,000 rows of a program with one input and one output run against a stub server on this machine, the cache off, so that a
//! call is all work. Each run of ours and of a peer has a process of its own; the server runs in this one.
//!
//! - *calls per second*, at 0 ms and 20 ms latency of the server;
//! - *share of ideal*, at 20 ms: calls per second over what K in flight could give at most, K over the seconds that one call
//!   takes with one in flight, measured by each contender for itself;
//! - *CPU per call*, of the contender's process alone;
//! - *peak memory*, of the contender's process;
//! - *peak memory of a stream*: rows made one by one, results written; beside it an evaluation that keeps every row.
//!
//! Only on Linux, where `/proc` says what a process has used. The rival `bare` sends bytes and awaits answers with nothing around: what server and machine allow at most.

mod server;
pub(crate) mod usage;
pub(crate) mod worker;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;
use std::rc::Rc;

use serde_json::Value;

use self::server::Server;
use self::worker::{How, Took, Work};
use super::family::{Better, Case, Contender, Family, Figure};
use super::peers::Peer;
use crate::error::Error;

/// The rival without anything around its calls.
const BARE: &str = "bare";
/// The rival that keeps every row.
const KEPT: &str = "kept rows";
/// Rows of an evaluation.
const ROWS: usize = 1_000;
/// Rows with one in flight, from which the latency is found.
const LATENCY_ROWS: usize = 50;
/// A measurement goes on, pass by pass, until so many seconds have gone by.
const SECONDS: f64 = 0.5;

/// The family.
#[derive(Debug)]
pub(crate) struct Overhead;

impl Family for Overhead {
    fn seeds(&self) -> u32 {
        5
    }

    fn cases(&self, quick: bool, _: Option<&mut Peer>) -> Result<Vec<Box<dyn Case>>, Error> {
        if usage::peak_mib().is_err() {
            eprintln!(
                "overhead: left out: processor time and memory are read from `/proc`, which this system lacks"
            );
            return Ok(Vec::new());
        }
        let bench = Rc::new(Bench::start()?);
        let mut cases: Vec<Box<dyn Case>> = Vec::new();
        for latency_ms in [0, 20] {
            let in_flight: &[usize] = if quick { &[64] } else { &[16, 64, 256] };
            for &in_flight in in_flight {
                let whats = [What::Calls, What::Share, What::Cpu, What::Memory];
                for what in whats.into_iter().filter(|what| latency_ms > 0 || *what != What::Share) {
                    cases.push(Box::new(Row { bench: bench.clone(), latency_ms, in_flight, what }));
                }
            }
        }
        let streams: &[usize] = if quick { &[2_000, 10_000] } else { &[10_000, 100_000] };
        for &rows in streams {
            cases.push(Box::new(Stream { bench: bench.clone(), rows }));
        }
        Ok(cases)
    }
}

/// What all cases share: the server, and what was measured, for several figures come of one run.
struct Bench {
    server: Server,
    /// This program, which is its own worker.
    program: PathBuf,
    known: RefCell<BTreeMap<Key, Took>>,
}

/// A run: who, the latency, in flight, how many rows, the seed.
type Key = (String, u64, usize, usize, u64);

impl Bench {
    fn start() -> Result<Self, Error> {
        let program = std::env::current_exe()
            .map_err(|source| Error::Start { command: "xtask overhead-worker".into(), source })?;
        Ok(Self { server: Server::start().map_err(failed)?, program, known: RefCell::default() })
    }

    /// A run by a contender; the same run is made once.
    fn took(
        &self,
        contender: &mut Contender<'_>,
        (latency_ms, in_flight, rows): (u64, usize, usize),
        how: How,
        seed: u64,
    ) -> Result<Took, Error> {
        let key = (format!("{} {how:?}", contender.name()), latency_ms, in_flight, rows, seed);
        if let Some(took) = self.known.borrow().get(&key) {
            return Ok(*took);
        }
        let seconds = if rows == ROWS { SECONDS } else { 0.0 };
        let work = Work { how, url: self.server.url(latency_ms), rows, in_flight, seconds };
        let mut request = serde_json::to_value(&work).map_err(failed)?;
        if let Value::Object(fields) = &mut request {
            fields.insert("op".into(), "run".into());
            fields.insert("answer".into(), server::ANSWER.into());
        }
        let before = self.server.answered();
        let answer = match contender {
            Contender::Peer(peer) => peer.request(&request)?,
            Contender::Ours | Contender::Rival(_) => {
                Peer::program("teleprompt", Command::new(&self.program).arg("overhead-worker"))
                    .request(&request)?
            }
        };
        let took: Took = serde_json::from_value(answer).map_err(failed)?;
        let answered = self.server.answered() - before;
        // Every call came here: none was answered by a cache, none was asked twice.
        let warm_up = rows.min(2 * in_flight) as u64;
        if answered != took.calls + warm_up {
            let (calls, name) = (took.calls + warm_up, contender.name());
            return Err(failed(format!("{name} made {answered} requests for {calls} calls")));
        }
        self.known.borrow_mut().insert(key, took);
        Ok(took)
    }
}

/// What of a run is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    Calls,
    Share,
    Cpu,
    Memory,
}

/// One figure of an evaluation of 1,000 rows.
struct Row {
    bench: Rc<Bench>,
    latency_ms: u64,
    in_flight: usize,
    what: What,
}

impl Case for Row {
    fn figure(&self) -> Figure {
        let (what, unit, better) = match self.what {
            What::Calls => ("calls per second", "1/s", Better::Higher),
            What::Share => ("share of ideal", "", Better::Higher),
            What::Cpu => ("CPU per call", "us", Better::Lower),
            What::Memory => ("peak memory", "MiB", Better::Lower),
        };
        let name = format!("{what}, {} ms, {} in flight", self.latency_ms, self.in_flight);
        Figure { name, unit, better, floor: 0.0 }
    }

    fn rivals(&self) -> &'static [&'static str] {
        &[BARE]
    }

    fn measure(&self, contender: &mut Contender<'_>, seed: u64) -> Result<f64, Error> {
        let how = match contender {
            Contender::Rival(_) => How::Bare,
            _ => How::Evaluate,
        };
        let took = self.bench.took(contender, (self.latency_ms, self.in_flight, ROWS), how, seed)?;
        let per_second = took.calls as f64 / took.seconds;
        Ok(match self.what {
            What::Calls => per_second,
            What::Share => {
                let alone = self.bench.took(contender, (self.latency_ms, 1, LATENCY_ROWS), how, seed)?;
                let latency = alone.seconds / alone.calls as f64;
                per_second * latency / self.in_flight as f64
            }
            What::Cpu => 1e6 * took.cpu / took.calls as f64,
            What::Memory => took.peak_mib,
        })
    }
}

/// The peak memory of a stream of rows.
struct Stream {
    bench: Rc<Bench>,
    rows: usize,
}

impl Case for Stream {
    fn figure(&self) -> Figure {
        let name = format!("peak memory of a stream, {} rows", self.rows);
        Figure { name, unit: "MiB", better: Better::Lower, floor: 0.0 }
    }

    fn rivals(&self) -> &'static [&'static str] {
        &[KEPT]
    }

    fn measure(&self, contender: &mut Contender<'_>, seed: u64) -> Result<f64, Error> {
        let how = match contender {
            Contender::Ours => How::Stream,
            Contender::Rival(_) => How::Evaluate,
            Contender::Peer(_) => return Err(failed("keeps every row; so many would take minutes")),
        };
        Ok(self.bench.took(contender, (0, 64, self.rows), how, seed)?.peak_mib)
    }
}

fn failed(problem: impl ToString) -> Error {
    Error::Measurement { subject: "overhead".into(), problem: problem.to_string() }
}
