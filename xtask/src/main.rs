//! Development tasks: `cargo xtask ci | tidy | bench`.
//!
//! - [`ci`] runs every check that a change must pass, cheap ones first;
//! - [`tidy`] holds the rules that neither the compiler nor clippy knows;
//! - [`mod@bench`] measures this workspace and its peers, interleaved, and writes the tables of `docs/BENCHMARKS.md`.
//!
//! Nothing here is published, and no crate depends on it.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "the tasks report to a terminal")]

mod bench;
mod ci;
mod error;
#[cfg(any(feature = "bench", test))]
#[cfg_attr(all(feature = "record", not(test)), expect(dead_code, reason = "only the recorder writes"))]
mod landscape;
mod tidy;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::error::Error;
use crate::workspace::Workspace;

/// The command line of `cargo xtask`.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", about = "Development tasks of the workspace")]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Run every check that a change must pass.
    Ci(ci::Options),
    /// Check the rules of the house: dependency direction, manifests, files, documents.
    Tidy,
    /// Measure this workspace and its peers.
    Bench(bench::Options),
}

fn main() -> ExitCode {
    match run(Cli::parse()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> Result<ExitCode, Error> {
    let workspace = Workspace::find()?;
    match cli.task {
        Task::Ci(options) => ci::run(&workspace, &options),
        Task::Tidy => tidy::run(&workspace),
        Task::Bench(options) => bench::run(&workspace, &options),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn options_are_parsed() {
        let cli = Cli::try_parse_from(["xtask", "ci", "--keep-going", "--skip", "docs", "--skip", "bench"])
            .unwrap();
        let Task::Ci(options) = cli.task else { panic!("not ci") };
        assert!(options.keep_going);
        assert_eq!(options.skip, ["docs", "bench"]);

        let cli =
            Cli::try_parse_from(["xtask", "bench", "tpe", "--quick", "--seeds", "3", "--peers", "optuna,x"])
                .unwrap();
        let Task::Bench(options) = cli.task else { panic!("not bench") };
        assert_eq!(options.family.as_deref(), Some("tpe"));
        assert_eq!(options.seeds, Some(3));
        assert_eq!(options.peers.join("+"), "optuna+x");

        assert!(Cli::try_parse_from(["xtask", "bench", "--seeds", "0"]).is_err());
        assert!(Cli::try_parse_from(["xtask", "ci", "--only", "tidy", "--skip", "docs"]).is_err());
    }
}
