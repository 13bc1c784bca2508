//! Which steps there are, in which order, and what each runs.

use std::fmt;

use super::{Options, quickstart};
use crate::error::Error;
use crate::workspace::shown;

/// One check.
#[derive(Debug, Clone)]
pub(super) struct Step {
    /// For `--only` and `--skip`.
    pub(super) name: &'static str,
    /// What it shows, in a few words.
    pub(super) checks: &'static str,
    pub(super) action: Action,
}

/// How a check is carried out.
#[derive(Debug, Clone)]
pub(super) enum Action {
    /// Run a command; it must succeed.
    Run(Invocation),
    /// Check the rules of the house.
    Tidy,
    /// Run the commands that the README names for its tests.
    Readme,
    /// Run the quickstart and look at its figures.
    Quickstart(Invocation),
}

/// A command with its environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Invocation {
    pub(super) environment: Vec<(&'static str, String)>,
    pub(super) program: String,
    pub(super) arguments: Vec<String>,
}

impl Invocation {
    /// A command of words separated by spaces.
    pub(super) fn new(line: &str) -> Self {
        let mut words = line.split_whitespace().map(str::to_owned);
        let program = words.next().unwrap_or_default();
        Self { environment: Vec::new(), program, arguments: words.collect() }
    }

    /// The same command with one more variable in its environment.
    pub(super) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.environment.push((name, value.into()));
        self
    }
}

impl fmt::Display for Invocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&shown(&self.environment, &self.program, &self.arguments))
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Run(invocation) | Self::Quickstart(invocation) => invocation.fmt(f),
            Self::Tidy => f.write_str("cargo xtask tidy"),
            Self::Readme => f.write_str("(as in README.md)"),
        }
    }
}

/// All steps: first what needs no build, then what needs only checking, then what runs, last what needs a network.
pub(super) fn all() -> Vec<Step> {
    let run = |name, checks, line: &str| Step { name, checks, action: Action::Run(Invocation::new(line)) };
    vec![
        run("format", "the code is formatted", "cargo fmt --all --check"),
        Step { name: "tidy", checks: "the rules of the house", action: Action::Tidy },
        run(
            "clippy",
            "no warning, in any target, with all features",
            "cargo clippy --workspace --all-targets --all-features -- -D warnings",
        ),
        run(
            "minimal",
            "the facade compiles without features",
            "cargo check --package teleprompt --no-default-features",
        ),
        Step {
            name: "docs",
            checks: "the documentation has no broken link",
            action: Action::Run(
                Invocation::new("cargo doc --workspace --no-deps --all-features")
                    .with("RUSTDOCFLAGS", "-D warnings"),
            ),
        },
        run(
            "tests",
            "unit, integration and documentation tests",
            "cargo test --workspace --all-features --no-fail-fast",
        ),
        run("examples", "the examples build", "cargo build --workspace --examples --all-features"),
        Step {
            name: "readme",
            checks: "the README's tests, without weights and network",
            action: Action::Readme,
        },
        run(
            "bench",
            "the benchmarks run",
            "cargo xtask bench --quick --peers none --json target/bench-quick.json --plots target/bench-quick",
        ),
        Step {
            name: "quickstart",
            checks: "weights are fetched; a prompt is optimized on the real model",
            action: Action::Quickstart(Invocation::new(&format!(
                "cargo run --release --example quickstart -- --smoke --json {} --cache {} --save {}",
                quickstart::JSON,
                quickstart::CACHE,
                quickstart::PROGRAM
            ))),
        },
    ]
}

/// The steps that the options leave, in order.
///
/// # Errors
///
/// When an option names no step.
pub(super) fn select(steps: Vec<Step>, options: &Options) -> Result<Vec<Step>, Error> {
    let names: Vec<&str> = steps.iter().map(|step| step.name).collect();
    if let Some(unknown) =
        options.only.iter().chain(&options.skip).find(|name| !names.contains(&name.as_str()))
    {
        return Err(Error::Usage(format!("no step `{unknown}`; the steps are {}", names.join(", "))));
    }
    let listed = |list: &[String], step: &Step| list.iter().any(|name| name == step.name);
    let kept = |step: &Step| {
        if options.only.is_empty() { !listed(&options.skip, step) } else { listed(&options.only, step) }
    };
    Ok(steps.into_iter().filter(kept).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(options: &Options) -> Vec<&'static str> {
        select(all(), options).unwrap().iter().map(|step| step.name).collect()
    }

    #[test]
    fn steps_are_selected_in_their_order() {
        let every = names(&Options::default());
        assert_eq!(every.first(), Some(&"format"));
        assert_eq!(every.last(), Some(&"quickstart"));
        let only = Options { only: vec!["tests".into(), "tidy".into()], ..Options::default() };
        assert_eq!(names(&only), ["tidy", "tests"]);
        let skip = Options { skip: vec!["quickstart".into()], ..Options::default() };
        assert_eq!(names(&skip), every[..every.len() - 1]);
    }

    #[test]
    fn an_unknown_step_is_an_error_that_names_the_known_ones() {
        let options = Options { skip: vec!["test".into()], ..Options::default() };
        let message = select(all(), &options).unwrap_err().to_string();
        assert!(message.contains("`test`") && message.contains("clippy, minimal"), "{message}");
    }

    #[test]
    fn what_is_shown_can_be_typed() {
        let docs = all().into_iter().find(|step| step.name == "docs").unwrap();
        let expect = "RUSTDOCFLAGS=\"-D warnings\" cargo doc --workspace --no-deps --all-features";
        assert_eq!(docs.action.to_string(), expect);
    }
}
