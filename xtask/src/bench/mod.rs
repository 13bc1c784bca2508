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
#[cfg(feature = "bench")]
mod compile;
pub(crate) mod docs;
mod family;
mod machine;
#[cfg(feature = "bench")]
pub(crate) mod overhead;
mod peers;
#[cfg(feature = "models")]
mod propose;
mod record;
#[cfg(feature = "bench")]
mod search;
mod stats;
mod table;
#[cfg(feature = "models")]
pub(crate) mod task;
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
    /// The family to measure: tpe, search, compile, overhead, propose, task, or all of them.
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
    /// Family search: also measure our strategy without each of its ingredients, on the smaller spaces.
    #[arg(long)]
    pub(crate) ablate: bool,
    /// Write the tables into docs/BENCHMARKS.md.
    #[arg(long)]
    pub(crate) write_docs: bool,
    /// For propose and task: a further task, a folder with train.jsonl, validation.jsonl, test.jsonl (the last field is the
    /// answer) and, if there is one, instruction.txt; may be given several times.
    #[arg(long, value_name = "FOLDER")]
    pub(crate) data: Vec<PathBuf>,
    /// For propose and task: the model, such as `http://localhost:8080/v1#NAME`; the embedded one otherwise.
    #[arg(long, value_name = "SPEC")]
    pub(crate) lm: Option<String>,
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
    let models = matches!(chosen.as_slice(), [Entry { name: family::PROPOSE | family::TASK, .. }]);
    if !cfg!(feature = "bench") || (models && !cfg!(feature = "models")) {
        return again_in_release(workspace, if models { "models" } else { "bench" });
    }

    let machine = Machine::this(workspace);
    let mut results = Vec::new();
    let mut document = if options.write_docs { Some(workspace.read(docs::FILE)?) } else { None };
    for entry in chosen {
        if let Some(cause) = entry.waits_for {
            println!("left out: family {}: comes with {cause}", entry.name);
            continue;
        }
        let proposals = entry.name == family::PROPOSE;
        if (proposals || entry.name == family::TASK) && !models {
            println!("left out: family {}: it needs a model; name it to measure it", entry.name);
            continue;
        }
        let (comparisons, tables) = if proposals {
            let (text, comparisons) = measure_proposals(workspace, options)?;
            (comparisons, Some(text))
        } else {
            measure(workspace, entry, options, &peers)?
        };
        let shown = tables.clone().unwrap_or_else(|| table::text(&comparisons));
        println!(
            "
{}: {}
{shown}",
            entry.name, entry.measures
        );
        if let Some(text) = document.as_mut() {
            let command = command(entry, options);
            let block = match &tables {
                Some(tables) => table::head(&command, &machine, &comparisons) + "\n" + tables,
                None => table::markdown(&command, &machine, &comparisons),
            };
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
) -> Result<(Vec<Comparison>, Option<String>), Error> {
    let Some(family) = family::make(entry.name) else { return Ok((Vec::new(), None)) };
    let seeds = options.seeds.unwrap_or_else(|| family.seeds());
    let mut started = peers.start(workspace, entry.name);
    if let Some(measured) = family.measure(workspace, options, &mut started)? {
        return Ok((measured.comparisons, Some(measured.tables)));
    }
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
    Ok((comparisons, None))
}

/// The family `propose`: its table and its figures.
#[cfg(feature = "models")]
fn measure_proposals(workspace: &Workspace, options: &Options) -> Result<(String, Vec<Comparison>), Error> {
    let (quick, seeds) = (options.quick, options.seeds);
    let wanted = propose::Wanted { quick, seeds, data: options.data.clone(), lm: options.lm.clone() };
    let measured = propose::run(workspace, &wanted)?;
    Ok((measured.text, measured.comparisons))
}

/// A build without models cannot measure it; [`run`] has built one with them before.
#[cfg(not(feature = "models"))]
fn measure_proposals(_: &Workspace, _: &Options) -> Result<(String, Vec<Comparison>), Error> {
    Err(Error::Usage("the family propose needs the feature `models`".into()))
}

/// Builds this program with these features, optimized, and runs it with the same arguments.
pub(crate) fn again_in_release(workspace: &Workspace, features: &str) -> Result<ExitCode, Error> {
    let build = ["run", "--quiet", "--release", "--package", "xtask", "--features", features, "--"];
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
    for data in &options.data {
        words.extend(["--data".to_owned(), data.display().to_string()]);
    }
    if let Some(lm) = &options.lm {
        words.extend(["--lm".to_owned(), lm.clone()]);
    }
    if options.peers != ["all"] {
        words.extend(["--peers".to_owned(), options.peers.join(",")]);
    }
    if options.ablate {
        words.push("--ablate".to_owned());
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
