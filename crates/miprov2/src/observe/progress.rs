//! Progress of a run: one line that is kept up to date on a terminal, one line a stage elsewhere.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write};
use std::sync::{Mutex, PoisonError};

use teleprompt_core::{Event, Observer, Stage};

/// Shows how far a run is.
///
/// On a terminal one line is rewritten as the stages go on, side by side. Elsewhere each stage says once that it begins and
/// with how many steps. How long the run takes, once a call's time is measured, trials on all rows, calls that are made again, pauses, caps, warnings and the outcome have lines of their own
/// on both.
pub struct Progress {
    state: Mutex<State>,
}

struct State {
    out: Box<dyn Write + Send>,
    live: bool,
    /// Steps done, and steps at most.
    stages: BTreeMap<Stage, (u64, u64)>,
    best: Option<f64>,
    /// Calls made again.
    retried: u64,
    /// Characters of the line that stands on the terminal.
    shown: usize,
}

impl Progress {
    /// Progress on standard error.
    pub fn stderr() -> Self {
        Self::to(Box::new(io::stderr()), io::stderr().is_terminal())
    }

    /// Progress on `out`; `live` where it is a terminal.
    pub fn to(out: Box<dyn Write + Send>, live: bool) -> Self {
        let (stages, best, retried, shown) = Default::default();
        Self { state: Mutex::new(State { out, live, stages, best, retried, shown }) }
    }
}

impl Observer for Progress {
    fn on_event(&self, event: &Event) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        // A terminal that has gone away must not end a run.
        let _ = state.take(event);
    }
}

impl State {
    fn take(&mut self, event: &Event) -> io::Result<()> {
        match event {
            Event::Started { lines } => lines.iter().try_for_each(|line| self.line(line)),
            Event::Resumed { answers } => {
                self.line(&format!("going on with {answers} answers of the checkpoint"))
            }
            Event::Stage { stage, steps } => {
                self.stages.insert(*stage, (0, *steps));
                if self.live {
                    self.status()
                } else {
                    self.line(&format!("{}, at most {steps} {}", title(*stage), unit(*stage)))
                }
            }
            Event::Estimated { latency, seconds: (least, most) } => self.line(&format!(
                "a call takes {}: the run {} to {} in all",
                rounded(*latency),
                rounded(*least),
                rounded(*most)
            )),
            Event::Step { stage } => {
                let (done, most) = self.stages.entry(*stage).or_default();
                *done += 1;
                *most = (*most).max(*done);
                if self.live { self.status() } else { Ok(()) }
            }
            Event::Trial { number, full, score, best } => {
                self.best = Some(*best);
                match (full, score) {
                    (true, Some(score)) => self.line(&format!(
                        "trial {number}: {:.1} % on all rows; the best so far {:.1} %",
                        100.0 * score,
                        100.0 * best
                    )),
                    _ => Ok(()),
                }
            }
            Event::StageEnded { stage } => {
                if self.live {
                    self.stages.remove(stage);
                    self.status()
                } else {
                    Ok(())
                }
            }
            Event::Retried { seconds, message, .. } => {
                self.retried += 1;
                // Many calls fail together where a provider is away: the first, the tenth, the hundredth.
                let mut tens = std::iter::successors(Some(1_u64), |ten| ten.checked_mul(10));
                match tens.find(|ten| *ten >= self.retried) {
                    Some(ten) if ten == self.retried => self.line(&format!(
                        "a call is made again in {seconds:.0} s, the {} of the run: {message}",
                        if ten == 1 { "first".to_owned() } else { format!("{ten}th") }
                    )),
                    _ => Ok(()),
                }
            }
            Event::Paused { seconds, message } => {
                self.line(&format!("waiting {seconds:.0} s for the provider: {message}"))
            }
            Event::CapReached { reason } => self.line(reason),
            Event::Warning { message } => self.line(&format!("warning: {message}")),
            Event::Ended { line } => {
                self.stages.clear();
                // The rest of the report is for who asked for the run.
                let outcome = line.lines().position(|line| line.starts_with("validation")).unwrap_or(0);
                line.lines().take(outcome + 1).try_for_each(|line| self.line(line))
            }
            _ => Ok(()),
        }
    }

    /// A line that stays, above the one that is kept up to date.
    fn line(&mut self, text: &str) -> io::Result<()> {
        self.clear()?;
        writeln!(self.out, "{text}")?;
        if self.live && !self.stages.is_empty() { self.status() } else { self.out.flush() }
    }

    fn clear(&mut self) -> io::Result<()> {
        if self.shown > 0 {
            write!(self.out, "\r{}\r", " ".repeat(self.shown))?;
            self.shown = 0;
        }
        Ok(())
    }

    fn status(&mut self) -> io::Result<()> {
        let mut text = String::new();
        for (stage, (done, most)) in &self.stages {
            let _ = write!(text, "{}{} {done}/{most}", if text.is_empty() { "" } else { "  " }, word(*stage));
        }
        if let Some(best) = self.best {
            let _ = write!(text, "  best {:.1} %", 100.0 * best);
        }
        let pad = self.shown.saturating_sub(text.len());
        write!(self.out, "\r{text}{}", " ".repeat(pad))?;
        self.shown = text.len();
        self.out.flush()
    }
}

/// A time as people say it.
fn rounded(seconds: f64) -> String {
    match seconds {
        none if none < 1.0 => format!("{:.0} ms", 1e3 * none),
        few if few < 10.0 => format!("{few:.1} s"),
        some if some < 120.0 => format!("{some:.0} s"),
        many if many < 7200.0 => format!("{:.0} min", many / 60.0),
        long => format!("{:.1} h", long / 3600.0),
    }
}

/// What a stage makes, in a word.
pub(crate) fn word(stage: Stage) -> &'static str {
    match stage {
        Stage::Bootstrap => "demos",
        Stage::Propose => "proposals",
        Stage::Search => "search",
        Stage::Test => "test",
    }
}

fn title(stage: Stage) -> &'static str {
    match stage {
        Stage::Bootstrap => "making demos",
        Stage::Propose => "proposing instructions",
        Stage::Search => "searching",
        Stage::Test => "testing before and after",
    }
}

fn unit(stage: Stage) -> &'static str {
    if stage == Stage::Propose { "calls" } else { "program runs" }
}
