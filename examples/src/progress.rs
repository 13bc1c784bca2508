//! A live display of a run: a bar for the stage at work, a line for every trial. On standard error.

#![expect(clippy::print_stderr, reason = "a command-line program speaks on standard error")]

use std::io::IsTerminal;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use teleprompt::{Event, Observer, Stage};

/// An observer that shows a run as it goes. Without a terminal it prints the lines and leaves out the bar.
#[derive(Debug, Default)]
pub struct Progress {
    bar: Mutex<Option<ProgressBar>>,
}

impl Observer for Progress {
    fn on_event(&self, event: &Event) {
        let mut bar = self.bar.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            Event::Started { lines } => lines.iter().for_each(|line| say(bar.as_ref(), line)),
            Event::Stage { stage, steps } => {
                close(&mut bar);
                say(None, &format!("{}, at most {steps} steps", title(*stage)));
                *bar = Some(stage_bar(*stage, *steps));
            }
            Event::Step { .. } => {
                if let Some(bar) = bar.as_ref() {
                    bar.inc(1);
                }
            }
            Event::Proposed { index, instruction, .. } => {
                say(bar.as_ref(), &format!("  {index}  {}", one_line(instruction, 96)));
            }
            Event::Trial { number, full, score, best } => {
                let score = score.map_or("failed".to_owned(), |score| format!("{:5.1} %", 100.0 * score));
                let rows = if *full { "all rows " } else { "minibatch" };
                let line =
                    format!("  trial {number:2}  {rows}  {score}   best on all rows {:5.1} %", 100.0 * best);
                say(bar.as_ref(), &line);
            }
            Event::Warning { message } => say(bar.as_ref(), &format!("  warning: {message}")),
            Event::Ended { .. } => close(&mut bar),
            _ => {}
        }
    }
}

fn title(stage: Stage) -> &'static str {
    match stage {
        Stage::Bootstrap => "1. making demos",
        Stage::Propose => "2. proposing instructions",
        Stage::Search => "3. searching",
        Stage::Test => "4. testing before and after",
    }
}

fn stage_bar(stage: Stage, steps: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("  {msg} {bar:40} {pos}/{len}  {elapsed}");
    let bar = ProgressBar::new(steps).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar.set_message(title(stage));
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

fn close(bar: &mut Option<ProgressBar>) {
    if let Some(bar) = bar.take() {
        bar.finish_and_clear();
    }
}

/// Prints a line above the bar.
fn say(bar: Option<&ProgressBar>, line: &str) {
    match bar {
        Some(bar) if std::io::stderr().is_terminal() => bar.println(line),
        _ => eprintln!("{line}"),
    }
}

/// The first `most` characters of a text, on one line.
fn one_line(text: &str, most: usize) -> String {
    let line: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(most) {
        None => line,
        Some((end, _)) => format!("{}…", &line[..end]),
    }
}
