//! Golden files of saved programs and of journals, made with a pinned DSPy and a pinned Optuna and checked by them.
//!
//! ```text
//!   cases.json ─▶ DSPy ─▶ dspy/*.json ─▶ the Rust test reads them, writes them again
//!             └─▶ the Rust test ─▶ ours/*.json ─▶ DSPy loads them: the same instructions and demos?
//! ```
//!
//! The files stand in `crates/core/tests/golden`, so that the tests need no Python. DSPy comes from the Python package
//! index at the first run, in the version of the catalogue of peers, and is kept below the target folder. Journals are [`journals`]'.

mod journals;

use std::path::Path;
use std::process::ExitCode;

use crate::bench::peers::Peers;
use crate::error::Error;
use crate::workspace::{Workspace, shown};

/// The script, relative to the root.
const SCRIPT: &str = "xtask/golden/programs.py";

/// The golden files, relative to the root.
const FILES: &str = "crates/core/tests/golden";

/// Options of `cargo xtask golden`.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct Options {
    /// Write nothing: compare what DSPy and Rust write now with the files, and load ours into DSPy.
    #[arg(long)]
    pub(crate) check: bool,
    /// Only these: programs or journals.
    #[arg(long, value_enum)]
    pub(crate) only: Option<Part>,
}

/// What there are golden files of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Part {
    /// Saved programs, with DSPy.
    Programs,
    /// Studies in files, with Optuna.
    Journals,
}

/// Makes or checks the files.
///
/// # Errors
///
/// When there is no Python, a package cannot be installed, or a file is not as it should be.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<ExitCode, Error> {
    let wanted = |part: Part| options.only.is_none_or(|only| only == part);
    if wanted(Part::Programs) {
        programs(workspace, options)?;
    }
    if wanted(Part::Journals) {
        journals::run(workspace, options.check)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn programs(workspace: &Workspace, options: &Options) -> Result<(), Error> {
    let python = Peers::load(workspace)?.install(workspace, "dspy")?;
    let script = |tasks: &[&str]| execute(workspace, &python, &[&[SCRIPT, FILES], tasks].concat(), None);
    let test = ["test", "--quiet", "--package", "teleprompt-core", "--test", "golden"];
    if options.check {
        execute(workspace, Path::new("cargo"), &test, None)?;
        script(&["compare", "load"])?;
    } else {
        script(&["make"])?;
        execute(workspace, Path::new("cargo"), &test, Some(("TELEPROMPT_GOLDEN", "write")))?;
        script(&["load"])?;
    }
    Ok(())
}

fn execute(
    workspace: &Workspace,
    program: &Path,
    arguments: &[&str],
    variable: Option<(&str, &str)>,
) -> Result<(), Error> {
    let program = program.to_string_lossy();
    let environment: Vec<_> = variable.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
    let command = shown(&environment, &program, arguments);
    let status = workspace.command(&program).args(arguments).envs(variable).status();
    match status.map_err(|source| Error::Start { command: command.clone(), source })? {
        status if status.success() => Ok(()),
        status => Err(Error::Command { command, status }),
    }
}
