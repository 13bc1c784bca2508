//! Measures this workspace and its peers on the same work, interleaved, in one run.
//!
//! ```text
//!   family ──► cases ──► ours ─┐  per seed, in turn,      ┌─► table on the terminal
//!                    ├─► rival ├─ the first one rotating ─┼─► JSON                       (record)
//!                    └─► peer ─┘        (compare)         └─► docs/BENCHMARKS.md         (docs)
//! ```
//!
//! A *rival* is a baseline from this workspace, such as a random sampler; a *peer* is another project's program, run
//! in a process of its own ([`peers`]). Figures are only ever compared within one run on one machine.
//!
//! Measuring needs the feature `bench` and an optimized build: [`run`] builds and starts this program again for
//! that. A family that does not exist yet says what it comes with, and has no figures.

mod compare;
pub(crate) mod docs;
mod family;
mod machine;
mod peers;
mod record;
mod stats;
mod table;
#[cfg(feature = "bench")]
mod tpe;

use std::env;
use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use crate::error::Error;
use crate::workspace::{Workspace, shown};

use family::Entry;
use machine::Machine;
use peers::Peers;
use record::{Comparison, Report};

/// Options of `cargo xtask bench`.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct Options {
    /// The family to measure: tpe, search, overhead, propose, task, or all of them.
    pub(crate) family: Option<String>,
    /// Less work: ends within five minutes on two cores.
    #[arg(long)]
    pub(crate) quick: bool,
    /// Only the figures whose name has this text; may be given several times.
    #[arg(long, value_name = "TEXT")]
    pub(crate) cases: Vec<String>,
    /// How many seeds; each family has its own number otherwise.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) seeds: Option<u32>,
    /// Write the figures to this file.
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// Which other projects to measure: none, all, or their names with commas between.
    #[arg(long, value_name = "NAMES", value_delimiter = ',', default_value = "all")]
    pub(crate) peers: Vec<String>,
    /// Write the tables into docs/BENCHMARKS.md.
    #[arg(long)]
    pub(crate) write_docs: bool,
}

/// The exit code for a family that does not exist yet.
const NOT_YET: u8 = 2;

/// Measures the chosen families.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<ExitCode, Error> {
    let chosen = family::choose(options.family.as_deref())?;
    if let [Entry { name, waits_for: Some(cause), .. }] = chosen.as_slice() {
        eprintln!("family {name}: comes with {cause}");
        return Ok(ExitCode::from(NOT_YET));
    }
    let peers = Peers::load(workspace)?.select(&options.peers)?;
    if !cfg!(feature = "bench") {
        return again_in_release(workspace);
    }

    let machine = Machine::this(workspace);
    let mut results = Vec::new();
    let mut document = if options.write_docs { Some(workspace.read(docs::FILE)?) } else { None };
    for entry in chosen {
        if let Some(cause) = entry.waits_for {
            println!("left out: family {}: comes with {cause}", entry.name);
            continue;
        }
        let comparisons = measure(workspace, entry, options, &peers)?;
        println!("\n{}: {}\n{}", entry.name, entry.measures, table::text(&comparisons));
        if let Some(text) = document.as_mut() {
            let block = table::markdown(&command(entry, options), &machine, &comparisons);
            *text = docs::replace(text, entry.name, &block)
                .map_err(|problem| Error::Content { file: docs::FILE.into(), problem: problem.message })?;
        }
        results.extend(comparisons);
    }

    if let Some(text) = document {
        let path = workspace.path(docs::FILE);
        fs::write(&path, text).map_err(Error::file("write", path))?;
    }
    if let Some(path) = &options.json {
        let text = Report::new(machine, results).to_json();
        fs::write(path, text).map_err(Error::file("write", path))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn measure(
    workspace: &Workspace,
    entry: &Entry,
    options: &Options,
    peers: &Peers,
) -> Result<Vec<Comparison>, Error> {
    let Some(family) = family::make(entry.name) else { return Ok(Vec::new()) };
    let seeds = options.seeds.unwrap_or_else(|| family.seeds());
    let mut started = peers.start(workspace, entry.name);
    let mut comparisons = Vec::new();
    let mut data = family.data().map(|data| peers.start(workspace, data)).unwrap_or_default();
    for case in family.cases(options.quick, data.first_mut())? {
        let name = case.figure().name;
        if !options.cases.is_empty() && !options.cases.iter().any(|text| name.contains(text)) {
            continue;
        }
        let seeds = seeds.min(case.most_seeds());
        eprintln!("{}: {name}, {seeds} seeds", entry.name);
        comparisons.extend(compare::run(case.as_ref(), &mut started, seeds)?);
    }
    comparisons.extend(family.summary(&comparisons));
    Ok(comparisons)
}

/// Builds this program with its families, optimized, and runs it with the same arguments.
fn again_in_release(workspace: &Workspace) -> Result<ExitCode, Error> {
    let build = ["run", "--quiet", "--release", "--package", "xtask", "--features", "bench", "--"];
    let arguments: Vec<String> = env::args().skip(1).collect();
    let mut command = workspace.command("cargo");
    // The caller's folder stays, for the path of `--json`; the program finds the workspace around it.
    command.current_dir(".").args(build).args(&arguments);
    let status =
        command.status().map_err(|source| Error::Start { command: shown(&[], "cargo", &build), source })?;
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    Ok(ExitCode::from(code.unwrap_or(1)))
}

/// The command that makes a family's table.
fn command(entry: &Entry, options: &Options) -> String {
    let mut words = vec!["xtask".to_owned(), "bench".to_owned(), entry.name.to_owned()];
    if options.quick {
        words.push("--quick".to_owned());
    }
    for cases in &options.cases {
        words.extend(["--cases".to_owned(), cases.clone()]);
    }
    if let Some(seeds) = options.seeds {
        words.extend(["--seeds".to_owned(), seeds.to_string()]);
    }
    if options.peers != ["all"] {
        words.extend(["--peers".to_owned(), options.peers.join(",")]);
    }
    words.push("--write-docs".to_owned());
    shown(&[], "cargo", &words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_of_a_table_is_complete() {
        let entry = family::choose(Some("tpe")).unwrap()[0];
        let options =
            Options { quick: true, seeds: Some(3), peers: vec!["none".into()], ..Options::default() };
        assert_eq!(
            command(entry, &options),
            "cargo xtask bench tpe --quick --seeds 3 --peers none --write-docs"
        );
        let options = Options { peers: vec!["all".into()], ..Options::default() };
        assert_eq!(command(entry, &options), "cargo xtask bench tpe --write-docs");
    }
}
