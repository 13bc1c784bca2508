//! Development tasks: `cargo xtask ci | tidy | bench | draw | record | golden | size`.
//!
//! - [`ci`] runs every check that a change must pass, cheap ones first;
//! - [`tidy`] holds the rules that neither the compiler nor clippy knows;
//! - [`mod@bench`] measures this workspace and its peers, interleaved, and writes the tables of `docs/BENCHMARKS.md`;
//! - [`draw`] draws tasks for two families of it from data sets that the project does not contain;
//! - [`record`] makes landscapes: the scores of many candidates on many rows by a real model, for searches to be tried on.
//! - [`golden`] makes the golden files of programs and journals with a pinned DSPy and Optuna, which load what Rust writes;
//! - [`size`] builds a program that runs a saved file as small as it gets, and holds it to a limit.
//!
//! Nothing here is published, and no crate depends on it.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "the tasks report to a terminal")]

mod bench;
mod ci;
mod csv;
mod draw;
mod error;
mod golden;
mod landscape;
mod python;
mod record;
mod size;
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
    /// Draw a task from a data set that the project does not contain, for `bench propose` and `bench task`.
    Draw(draw::Options),
    /// Make the golden files of saved programs with DSPy and of journals with Optuna, or check them.
    Golden(golden::Options),
    /// Run the measured side of the family `overhead`, driven on standard input.
    #[cfg(feature = "bench")]
    #[command(hide = true)]
    OverheadWorker,
    /// Run our side of the family `task`, driven on standard input.
    #[cfg(feature = "models")]
    #[command(hide = true)]
    OptimizerWorker,
    /// Build the program that runs a saved file as small as it gets, and hold it to its limit.
    Size,
    /// Record how candidates of a program score on rows by a real model.
    Record(record::Options),
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
        Task::Draw(options) => draw::run(&workspace, &options),
        Task::Golden(options) => golden::run(&workspace, &options),
        #[cfg(feature = "bench")]
        Task::OverheadWorker => bench::overhead::worker::serve().map(|()| ExitCode::SUCCESS),
        #[cfg(feature = "models")]
        Task::OptimizerWorker => bench::task::worker::serve().map(|()| ExitCode::SUCCESS),
        Task::Size => size::run(&workspace),
        Task::Record(options) => record::run(&workspace, &options),
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
    fn every_table_of_the_benchmarks_names_a_command_that_there_is() {
        let text = Workspace::find().unwrap().read(bench::docs::FILE).unwrap();
        let blocks = bench::docs::blocks(&text).unwrap();
        assert!(!blocks.is_empty());
        for block in blocks {
            let Some(command) = block.command.as_deref() else { continue };
            // Words between quotation marks are one.
            let quoted = command.split('"').enumerate();
            let words = quoted.flat_map(|(index, part)| match index % 2 {
                0 => part.split_whitespace().collect::<Vec<_>>(),
                _ => vec![part],
            });
            let cli = Cli::try_parse_from(words.skip(1)).unwrap_or_else(|error| panic!("{command}: {error}"));
            let Task::Bench(options) = cli.task else { panic!("{command}") };
            assert_eq!(options.family.as_deref(), Some(block.family()), "{command}");
        }
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

        let words = ["xtask", "record", "--task", "x", "--rows", "80", "--out", "x.json"];
        let Task::Record(options) = Cli::try_parse_from(words).unwrap().task else { panic!("not record") };
        assert_eq!((options.task.as_deref(), options.rows, options.threads), (Some("x"), Some(80), 2));

        assert!(Cli::try_parse_from(["xtask", "bench", "--seeds", "0"]).is_err());
        assert!(Cli::try_parse_from(["xtask", "bench", "--resume"]).is_err());
        assert!(Cli::try_parse_from(["xtask", "ci", "--only", "tidy", "--skip", "docs"]).is_err());
    }
}
