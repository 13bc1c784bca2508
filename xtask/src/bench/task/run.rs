//! Runs one cell: a fresh process of the optimizer's, within the time limit, watched from outside.

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::{Value, json};

use super::cell::{Figures, Outcome};
use super::meter::Meter;
use super::work::{Row, Work};
use super::{exact, failed};
use crate::bench::overhead::usage::peak_mib_of;
use crate::bench::peers::Peer;
use crate::bench::record::OURS;
use crate::error::Error;

/// Ticks of the processor times in `/proc`, per second: the same on every Linux that Rust runs on.
const TICKS: f64 = 100.0;

/// Our own side as a process.
pub(crate) fn ours() -> Result<Peer, Error> {
    let program: PathBuf = std::env::current_exe().map_err(failed)?;
    Ok(Peer::program(OURS, Command::new(program).arg("optimizer-worker")))
}

/// What a tested program said.
#[derive(Debug, Deserialize)]
struct Said {
    answers: Vec<Option<String>>,
}

/// Optimizes and tests within `limit`. What the optimizer does wrong is an outcome.
///
/// # Errors
///
/// When the server is gone: then the cell says nothing of the optimizer.
pub(crate) fn cell(
    contender: &mut Peer,
    work: &Work,
    test: &[Row],
    meter: &Meter,
    limit: Duration,
) -> Result<Outcome, Error> {
    let begin = Instant::now();
    let outcome = measured(contender, work, test, meter, limit);
    if meter.is_broken() {
        return Err(failed("the server cannot be reached any more"));
    }
    Ok(match outcome {
        Ok(figures) => Outcome::Finished(figures),
        Err(_) if begin.elapsed() >= limit => Outcome::LateBeyond(limit.as_secs()),
        Err(problem) => Outcome::Failed(shortened(&problem)),
    })
}

fn measured(
    contender: &mut Peer,
    work: &Work,
    test: &[Row],
    meter: &Meter,
    limit: Duration,
) -> Result<Figures, String> {
    let request = serde_json::to_value(work).map_err(|error| error.to_string())?;
    let before = cpu_seconds(contender);
    meter.take();
    let begin = Instant::now();
    let ask = |contender: &mut Peer, request: &Value| {
        let left = limit.saturating_sub(begin.elapsed());
        contender.request_within(request, left).map_err(|error| match error {
            Error::Measurement { problem, .. } => problem,
            other => other.to_string(),
        })
    };
    ask(contender, &request)?;
    let seconds = begin.elapsed().as_secs_f64();
    let passed = meter.take();
    let cpu_seconds = cpu_seconds(contender).zip(before).map(|(after, before)| after - before);
    let peak_mib = peak_mib(contender);

    let answer = ask(contender, &json!({"op": "test", "rows": test}))?;
    let said: Said = serde_json::from_value(answer).map_err(|error| error.to_string())?;
    if said.answers.len() != test.len() {
        return Err(format!("{} answers to {} test rows", said.answers.len(), test.len()));
    }
    let right = |(said, row): (&Option<String>, &Row)| {
        let gold = row.get(&work.answer).map(String::as_str).unwrap_or_default();
        f64::from(u8::from(said.as_deref().is_some_and(|said| exact(gold, said))))
    };
    Ok(Figures {
        scores: said.answers.iter().zip(test).map(right).collect(),
        unread: said.answers.iter().filter(|answer| answer.is_none()).count(),
        calls: passed.calls,
        tokens_in: passed.tokens_in,
        tokens_out: passed.tokens_out,
        refused: passed.refused,
        seconds,
        cpu_seconds,
        peak_mib,
    })
}

/// The first line of a reason, not all of it where it is long.
fn shortened(problem: &str) -> String {
    const MOST: usize = 200;
    let line = problem.trim().lines().next().unwrap_or_default();
    match line.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}...", line.get(..end).unwrap_or_default()),
        None => line.to_owned(),
    }
}

/// Processor time of a process since its start, in seconds; `None` where the system does not tell.
fn cpu_seconds(peer: &Peer) -> Option<f64> {
    let text = std::fs::read_to_string(format!("/proc/{}/stat", peer.process_id()?)).ok()?;
    // The name stands in brackets and may hold anything; user and system time are the 12th and 13th fields after it.
    let mut fields = text.rsplit_once(')')?.1.split_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<f64>().ok();
    Some((ticks()? + ticks()?) / TICKS)
}

/// The most resident memory of a process since its start.
fn peak_mib(peer: &Peer) -> Option<f64> {
    peak_mib_of(&peer.process_id()?.to_string()).ok()
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use super::super::work::{Optimizer, Scale, rows, tests::sample};
    use super::*;

    /// A contender that answers each request with the next of these lines and then does `last`.
    fn scripted(lines: &[&str], last: &str) -> Peer {
        let script = lines.iter().map(|line| format!("read request; echo '{line}'; ")).collect::<String>();
        Peer::program("scripted", Command::new("sh").args(["-c", &(script + last)]))
    }

    fn run(lines: &[&str], last: &str, limit: Duration) -> Outcome {
        let mut contender = scripted(&[&["{\"version\": \"1\"}"], lines].concat(), last);
        let task = sample();
        let work = Work::new(&task, Scale::quick(16), Optimizer::DspyMiprov2, 1);
        let meter = Meter::start("127.0.0.1:1".into()).unwrap();
        cell(&mut contender, &work, &rows(&task.test[..3]), &meter, limit).unwrap()
    }

    const LONG: Duration = Duration::from_secs(60);
    /// It ends once it is asked more.
    const ENDS: &str = "read request";

    #[test]
    fn answers_are_scored_row_by_row() {
        // The first three test rows want a place, a person and a thing.
        let Outcome::Finished(figures) =
            run(&["{}", "{\"answers\": [\" place\", null, \"date\"]}"], ENDS, LONG)
        else {
            panic!("not finished")
        };
        assert_eq!((figures.scores.as_slice(), figures.unread), ([1.0, 0.0, 0.0].as_slice(), 1));
        assert_eq!((figures.calls, figures.tokens_in), (0, 0));
        assert_eq!(figures.peak_mib.is_some(), cfg!(target_os = "linux"));
        assert_eq!(figures.cpu_seconds.is_some(), cfg!(target_os = "linux"));
    }

    #[test]
    fn what_a_contender_does_wrong_is_an_outcome() {
        let check = |lines: &[&str], expect: &str| {
            assert_eq!(run(lines, ENDS, LONG), Outcome::Failed(expect.to_owned()));
        };
        check(&["{\"error\": \"ValueError: no answer\"}"], "ValueError: no answer");
        check(&[], "it ended without an answer");
        check(&["{}", "{\"answers\": [\"place\"]}"], "1 answers to 3 test rows");
        check(&["{}", "{\"answers\": 7}"], "invalid type: integer `7`, expected a sequence");
        check(&["oh"], "`oh` is no JSON: expected value at line 1 column 1");
    }

    #[test]
    fn a_cell_has_so_much_time() {
        // It listens and has nothing more to say.
        let limit = Duration::from_millis(50);
        assert_eq!(run(&["{}"], "cat > /dev/null", limit), Outcome::LateBeyond(0));
    }

    #[test]
    fn reasons_are_cut() {
        assert_eq!(shortened("a\nb"), "a");
        assert_eq!(shortened(&"ä".repeat(300)).chars().count(), 203);
    }
}
