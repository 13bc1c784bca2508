//! Every check that a change must pass, cheap ones first, each with its time, its outcome and how to run it again.
//!
//! ```text
//!   steps() ──► selected by --only / --skip ──► run one after the other ──► summary
//! ```
//!
//! A step is a command that one can also type, or a check of this program. Steps share their builds: everything in
//! the debug profile has all features on, so that the heavy ones (the embedded model) are compiled once to check
//! and once to run; only the quickstart and the benchmark are built in release.

mod quickstart;
pub(crate) mod readme;
mod steps;
mod tally;

use std::env;
use std::process::{ExitCode, Stdio};
use std::time::{Duration, Instant};

use crate::error::Error;
use crate::tidy;
use crate::workspace::{Workspace, shown};

use steps::{Action, Invocation, Step};
use tally::Tally;

/// Options of `cargo xtask ci`.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct Options {
    /// Run the steps after a failed one too.
    #[arg(long)]
    pub(crate) keep_going: bool,
    /// Leave out a step; may be given several times.
    #[arg(long, value_name = "STEP", conflicts_with = "only")]
    pub(crate) skip: Vec<String>,
    /// Run this step alone; may be given several times.
    #[arg(long, value_name = "STEP")]
    pub(crate) only: Vec<String>,
    /// Name the steps and what they run, and run nothing.
    #[arg(long)]
    pub(crate) list: bool,
}

/// What became of a step.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Outcome {
    /// With the sum of its tests, if it ran any.
    Passed(Duration, Option<String>),
    /// With the reason, which names the command.
    Failed(Duration, String),
    /// After a failure, without `--keep-going`.
    NotRun,
}

/// Runs the selected steps. The exit code is a failure if any of them failed.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<ExitCode, Error> {
    let steps = steps::select(steps::all(), options)?;
    if options.list {
        for step in &steps {
            println!("{:<12} {:<58} {}", step.name, step.checks, step.action);
        }
        return Ok(ExitCode::SUCCESS);
    }
    print_compiler(workspace)?;

    let mut outcomes: Vec<(&Step, Outcome)> = Vec::new();
    for (index, step) in steps.iter().enumerate() {
        let stopped = outcomes.iter().any(|(_, outcome)| matches!(outcome, Outcome::Failed(..)));
        if stopped && !options.keep_going {
            outcomes.push((step, Outcome::NotRun));
            continue;
        }
        println!("\n==> [{}/{}] {}: {}\n    {}", index + 1, steps.len(), step.name, step.checks, step.action);
        let start = Instant::now();
        let mut tally = Tally::default();
        let result = perform(workspace, step, &mut tally);
        let outcome = match result {
            Ok(()) => Outcome::Passed(start.elapsed(), tally.summary()),
            Err(reason) => Outcome::Failed(start.elapsed(), reason.to_string()),
        };
        println!("<== {}", line(step, &outcome));
        outcomes.push((step, outcome));
    }

    println!("\n{}", summary(&outcomes));
    let passed = outcomes.iter().all(|(_, outcome)| matches!(outcome, Outcome::Passed(..)));
    Ok(if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn perform(workspace: &Workspace, step: &Step, tally: &mut Tally) -> Result<(), Error> {
    match &step.action {
        Action::Run(invocation) => execute(workspace, invocation, tally),
        Action::Tidy => match tidy::run(workspace)? {
            code if code == ExitCode::SUCCESS => Ok(()),
            _ => Err(Error::Usage("the rules above are broken".into())),
        },
        Action::Readme => {
            for invocation in readme::invocations(&workspace.read("README.md")?)? {
                println!("    {invocation}");
                execute(workspace, &readme::isolated(invocation, &workspace.target()), tally)?;
            }
            Ok(())
        }
        Action::Quickstart(invocation) => {
            quickstart::forget(workspace)?;
            execute(workspace, invocation, tally)?;
            quickstart::verify(workspace)
        }
    }
}

/// Runs a command. What it prints goes to the terminal; the closing lines of its tests are counted on the way.
fn execute(workspace: &Workspace, invocation: &Invocation, tally: &mut Tally) -> Result<(), Error> {
    let command = invocation.to_string();
    let mut process = workspace.command(&invocation.program);
    process
        .args(&invocation.arguments)
        .envs(invocation.environment.iter().map(|(name, value)| (name, value)));
    process.stdin(Stdio::null()).stdout(Stdio::piped());
    let start = |source| Error::Start { command: command.clone(), source };
    let mut child = process.spawn().map_err(start)?;
    if let Some(stdout) = child.stdout.take() {
        tally.forward(stdout, std::io::stdout()).map_err(start)?;
    }
    let status = child.wait().map_err(start)?;
    if status.success() { Ok(()) } else { Err(Error::Command { command, status }) }
}

/// Which compiler is used, and a warning where it is not the one that the packages promise.
fn print_compiler(workspace: &Workspace) -> Result<(), Error> {
    let rustc = env::var("RUSTC").unwrap_or_else(|_| "rustc".into());
    let command = shown(&[], &rustc, &["--version"]);
    let output = workspace.command(&rustc).arg("--version").output();
    let output = output.map_err(|source| Error::Start { command, source })?;
    let version = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    println!("{version}");
    let promised = env!("CARGO_PKG_RUST_VERSION");
    if !version.split_whitespace().any(|word| word.starts_with(promised)) {
        println!("note: the packages promise Rust {promised}, which this run does not test");
    }
    Ok(())
}

/// One step's line in the log and in the summary.
fn line(step: &Step, outcome: &Outcome) -> String {
    match outcome {
        Outcome::Passed(time, tests) => {
            let tests = tests.as_ref().map(|tests| format!("  {tests}")).unwrap_or_default();
            format!("{:<12} ok       {:>8.1} s{tests}", step.name, time.as_secs_f64())
        }
        Outcome::Failed(time, reason) => {
            let again = format!("cargo xtask ci --only {}", step.name);
            format!("{:<12} FAILED   {:>8.1} s  {reason}\n    again: {again}", step.name, time.as_secs_f64())
        }
        Outcome::NotRun => format!("{:<12} not run", step.name),
    }
}

fn summary(outcomes: &[(&Step, Outcome)]) -> String {
    let mut lines = vec!["summary".to_owned()];
    lines.extend(outcomes.iter().map(|(step, outcome)| line(step, outcome)));
    let count = |wanted: fn(&Outcome) -> bool| outcomes.iter().filter(|(_, outcome)| wanted(outcome)).count();
    let failed = count(|outcome| matches!(outcome, Outcome::Failed(..)));
    let not_run = count(|outcome| matches!(outcome, Outcome::NotRun));
    lines.push(match (failed, not_run) {
        (0, 0) => "ci: all steps passed".to_owned(),
        _ => format!("ci: FAILED ({failed} failed, {not_run} not run)"),
    });
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_names_what_failed_and_how_to_repeat_it() {
        let steps = steps::all();
        let outcomes = [
            (&steps[0], Outcome::Passed(Duration::from_millis(1500), Some("test result: 3 passed".into()))),
            (
                &steps[1],
                Outcome::Failed(Duration::from_secs(2), "`cargo x` failed (exit status: 101)".into()),
            ),
            (&steps[2], Outcome::NotRun),
        ];
        let text = summary(&outcomes);
        assert!(text.contains("format       ok            1.5 s  test result: 3 passed\n"), "{text}");
        assert!(
            text.contains("`cargo x` failed (exit status: 101)\n    again: cargo xtask ci --only tidy"),
            "{text}"
        );
        assert!(text.ends_with("ci: FAILED (1 failed, 1 not run)"), "{text}");
        assert!(summary(&outcomes[..1]).ends_with("ci: all steps passed"));
    }
}
