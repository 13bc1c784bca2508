//! Measures this workspace and its peers on the same work, interleaved, in one run.
//!
//! ```text
//!   family ──► cases ──► ours ─┐  per seed, in turn,      ┌─► table on the terminal
//!                    ├─► rival ├─ the first one rotating ─┼─► JSON, docs/BENCHMARKS.md, plots   (kept)
//!                    └─► peer ─┘        (compare)
//! ```
//!
//! A *rival* is a baseline from this workspace, such as a random sampler; a *peer* is another project's program, run
//! in a process of its own ([`peers`]). Figures are only ever compared within one run on one machine.
//!
//! Measuring needs the feature `bench`, for some families `models`, and an optimized build: [`run`] builds and starts this
//! program again for that.

mod compare;
#[cfg(feature = "bench")]
mod compile;
pub(crate) mod docs;
pub(crate) mod family;
mod kept;
mod machine;
#[cfg(feature = "bench")]
pub(crate) mod overhead;
pub(crate) mod peers;
mod plot;
#[cfg(feature = "models")]
mod propose;
#[cfg(feature = "bench")]
mod quickstart;
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
use std::path::PathBuf;
use std::process::ExitCode;

use crate::error::Error;
use crate::workspace::{Workspace, shown};

use family::{Entry, Family};
use kept::Kept;
use peers::{Peer, Peers};
use record::Comparison;

/// What `--help` says after the options.
const HELP: &str = "\
Families:
  quickstart  accuracy before and after, on the sample task with the embedded model
  tpe         the optimizer alone: time of ask and tell, search efficiency    (optuna, rustuna; data: tables)
  search      MIPROv2's search on simulated and recorded landscapes           (optuna)
  compile     a whole run of MIPROv2 on a server that answers after a while   (dspy)
  overhead    calls per second, CPU time and memory around the model's time   (dspy)
  propose     what proposed instructions are worth, by grounding
  task        what each optimizer makes of real tasks with a real model       (dspy; model: xllamacpp)
  all         all of them; with --quick those that ask no model

Peers, in brackets, are Python packages with the versions of xtask/peers/peers.toml, installed into target/bench-peers at their
first run. One that cannot be installed, or fails, has its reason in the table instead of figures.

A ratio above 1 means that ours is better. Figures of different machines or runs do not compare.

Examples:
  cargo xtask bench --quick --peers none             does everything run? minutes, nothing is installed
  cargo xtask bench search --json search.json        one family beside its peers, figures in a file
  cargo xtask bench all --json all.json --resume     everything; begun again, it goes on where it was ended
  cargo xtask bench all --write-docs                 every table and plot of docs/BENCHMARKS.md\n";

/// Options of `cargo xtask bench`.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(after_help = HELP)]
pub(crate) struct Options {
    /// The family to measure; all of them otherwise.
    pub(crate) family: Option<String>,
    /// Less work: ends within five minutes on two cores.
    #[arg(long)]
    pub(crate) quick: bool,
    /// Only the figures whose name, and the plots whose title has this text; may be given several times.
    #[arg(long, value_name = "TEXT")]
    pub(crate) cases: Vec<String>,
    /// How many seeds; each family has its own number otherwise.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) seeds: Option<u32>,
    /// Write the figures to this file, each as soon as it is there.
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// Keep the figures that the file of --json has of an earlier run of the same build, and measure the others; search is
    /// measured whole.
    #[arg(long, requires = "json")]
    pub(crate) resume: bool,
    /// Which other projects to measure: none, all, or their names with commas between.
    #[arg(long, value_name = "NAMES", value_delimiter = ',', default_value = "all")]
    pub(crate) peers: Vec<String>,
    /// Write plots (SVG) into this folder.
    #[arg(long, value_name = "FOLDER")]
    pub(crate) plots: Option<PathBuf>,
    /// Family search: also measure our strategy without each of its ingredients, on the smaller spaces.
    #[arg(long)]
    pub(crate) ablate: bool,
    /// Write the tables into docs/BENCHMARKS.md and the plots into docs/plots.
    #[arg(long)]
    pub(crate) write_docs: bool,
    /// For propose and task: a further task, a folder with train.jsonl, validation.jsonl, test.jsonl (the last field is the
    /// answer) and, if there is one, instruction.txt; may be given several times.
    #[arg(long, value_name = "FOLDER")]
    pub(crate) data: Vec<PathBuf>,
    /// For task: how many minutes a cell may take; the family has its own limit otherwise.
    #[arg(long, value_name = "MINUTES", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) limit: Option<u32>,
    /// For search: a folder of further recorded landscapes (`cargo xtask record` makes them, docs/LANDSCAPES.md has the form);
    /// may be given several times.
    #[arg(long, value_name = "FOLDER")]
    pub(crate) landscapes: Vec<PathBuf>,
    /// For propose and task: the model, such as `http://localhost:8080/v1#NAME`; the embedded one otherwise.
    #[arg(long, value_name = "SPEC")]
    pub(crate) lm: Option<String>,
}

impl Options {
    /// Whether a figure with this name, or a plot with this title, is to be made.
    pub(crate) fn wants(&self, name: &str) -> bool {
        self.cases.is_empty() || self.cases.iter().any(|text| name.contains(text))
    }
}

/// Measures the chosen families.
///
/// # Errors
///
/// When an option makes no sense, a file cannot be written, or a figure of ours could not be measured: then the other
/// families are measured all the same.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<ExitCode, Error> {
    let chosen = family::choose(options.family.as_deref(), options.quick)?;
    let peers = Peers::load(workspace)?.select(&options.peers)?;
    check_peers(&peers, &chosen, options)?;
    let models = chosen.iter().any(|entry| entry.feature == family::MODELS);
    if !cfg!(feature = "bench") || (models && !cfg!(feature = "models")) {
        return again_in_release(workspace, if models { family::MODELS } else { family::BENCH });
    }

    let mut kept = Kept::open(workspace, options)?;
    let mut measured = 0;
    let mut failed = Vec::new();
    for entry in chosen {
        match measure(workspace, entry, options, &peers, &mut kept) {
            Ok(figures) => measured += figures,
            Err(error) => {
                eprintln!("error: {}: {error}", entry.name);
                failed.push(entry.name);
            }
        }
    }
    for problem in kept.problems() {
        eprintln!("error: a figure breaks the form of the file: {problem}");
        failed.push("form");
    }
    if measured == 0 && failed.is_empty() && !options.cases.is_empty() {
        return Err(Error::Usage(format!("no figure has `{}` in its name", options.cases.join("`, `"))));
    }
    Ok(if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Peers that were named take part in something that is measured.
fn check_peers(peers: &Peers, chosen: &[&Entry], options: &Options) -> Result<(), Error> {
    if options.peers == ["all"] || options.peers == ["none"] {
        return Ok(());
    }
    let taking_part: Vec<&str> = chosen.iter().flat_map(|entry| peers.of(entry.name)).collect();
    match options.peers.iter().find(|name| !taking_part.contains(&name.as_str())) {
        None => Ok(()),
        Some(name) => {
            let families: Vec<&str> = family::FAMILIES.iter().map(|entry| entry.name).collect();
            let theirs: Vec<&str> =
                families.into_iter().filter(|family| peers.of(family).contains(&name.as_str())).collect();
            let message = format!("the peer `{name}` takes part in {} only", theirs.join(", "));
            Err(Error::Usage(message))
        }
    }
}

/// Measures a family, shows it and writes what is wanted of it; gives the number of figures and plots.
fn measure(
    workspace: &Workspace,
    entry: &Entry,
    options: &Options,
    peers: &Peers,
    kept: &mut Kept,
) -> Result<usize, Error> {
    let Some(family) = family::make(entry.name) else {
        return Err(Error::Usage("this build has no such family".into()));
    };
    let mut started = peers.start(workspace, entry.name);
    let measured = family.measure(workspace, options, &mut started, &mut |figures| kept.keep(figures))?;
    let (comparisons, tables) = match measured {
        Some(measured) => (measured.comparisons, Some(measured.tables)),
        None => {
            let mut data = family.data().map(|data| peers.start(workspace, data)).unwrap_or_default();
            let cases = family.cases(options.quick, data.first_mut())?;
            let comparisons =
                measure_cases(entry.name, family.as_ref(), &cases, options, &mut started, kept)?;
            let tables = family.tables(&comparisons);
            (comparisons, tables)
        }
    };
    let shown = tables.clone().unwrap_or_else(|| table::text(&comparisons));
    if !comparisons.is_empty() {
        println!("\n{}: {}\n{shown}", entry.name, entry.measures);
    }

    let command = command(entry, options);
    let block = match tables {
        Some(tables) => table::head(&command, &kept.machine, &comparisons) + "\n" + &tables,
        None => table::markdown(&command, &kept.machine, &comparisons),
    };
    // A table without figures takes no other one's place.
    let block = (!comparisons.is_empty()).then_some(block);
    let mut made = comparisons.len();
    let name = if options.ablate { format!("{}-ablation", entry.name) } else { entry.name.to_owned() };
    kept.finish(&name, comparisons, block.as_deref())?;
    if kept.wants_plots() {
        made += family.plots(workspace, options, &mut started, &mut |plot| kept.plot(&plot))?;
    }
    Ok(made)
}

/// The figures of all cases that are wanted, and those that sum them up.
fn measure_cases(
    name: &str,
    family: &dyn Family,
    cases: &[Box<dyn family::Case>],
    options: &Options,
    peers: &mut [Peer],
    kept: &mut Kept,
) -> Result<Vec<Comparison>, Error> {
    let cases: Vec<_> = cases.iter().filter(|case| options.wants(&case.figure().name)).collect();
    let mut comparisons = Vec::new();
    for (index, case) in cases.iter().enumerate() {
        let figure = case.figure().name;
        let seeds = family.seeds_of(options).min(case.most_seeds());
        let rivals = case.rivals().iter().map(|rival| (*rival).to_owned());
        let contenders: Vec<String> = rivals.chain(peers.iter().map(|peer| peer.name().to_owned())).collect();
        if let Some(known) = kept.known(&figure, &contenders, seeds) {
            eprintln!("{name} {}/{}: {figure}: measured before", index + 1, cases.len());
            comparisons.extend(known);
            continue;
        }
        eprintln!("{name} {}/{}: {figure}, {seeds} seeds", index + 1, cases.len());
        comparisons.extend(compare::run(case.as_ref(), peers, seeds)?);
        kept.keep(&comparisons)?;
    }
    comparisons.extend(family.summary(&comparisons));
    Ok(comparisons)
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
    if let Some(minutes) = options.limit {
        words.extend(["--limit".to_owned(), minutes.to_string()]);
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
        let entry = family::choose(Some("tpe"), true).unwrap()[0];
        let options =
            Options { quick: true, seeds: Some(3), peers: vec!["none".into()], ..Options::default() };
        assert_eq!(
            command(entry, &options),
            "cargo xtask bench tpe --quick --seeds 3 --peers none --write-docs"
        );
        let options = Options { peers: vec!["all".into()], ..Options::default() };
        assert_eq!(command(entry, &options), "cargo xtask bench tpe --write-docs");
    }

    #[test]
    fn every_family_has_a_block_in_the_document() {
        let text = Workspace::find().unwrap().read(docs::FILE).unwrap();
        let blocks = docs::blocks(&text).unwrap();
        for entry in &family::FAMILIES {
            assert!(blocks.iter().any(|block| block.name == entry.name), "{}", entry.name);
        }
    }

    #[test]
    fn the_help_names_every_family_and_peer() {
        let peers = Peers::load(&Workspace::find().unwrap()).unwrap();
        for entry in &family::FAMILIES {
            let line = HELP.lines().find(|line| line.trim_start().starts_with(entry.name)).unwrap();
            for peer in peers.of(entry.name) {
                assert!(line.contains(peer), "{line}: {peer}");
            }
        }
    }

    #[test]
    fn a_peer_that_takes_no_part_is_an_error() {
        let check = |family: &str, wanted: &str| {
            let options = Options { peers: vec![wanted.to_owned()], ..Options::default() };
            let peers = Peers::load(&Workspace::find().unwrap()).unwrap().select(&options.peers).unwrap();
            check_peers(&peers, &family::choose(Some(family), false).unwrap(), &options)
        };
        assert!(check("tpe", "optuna").is_ok() && check("all", "dspy").is_ok());
        let message = check("tpe", "dspy").unwrap_err().to_string();
        assert_eq!(message, "the peer `dspy` takes part in compile, overhead, task only");
    }
}
