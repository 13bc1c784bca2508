//! Records landscapes: how many candidates of a program score on many rows, by a real model, once and for all.
//!
//! ```text
//!   tasks ─▶ candidates (instructions x demo sets) ─▶ one program run for each (candidate, row) ─▶ xtask/landscapes/NAME.json
//!   rows ──────────────────────────────────────────▶    └─ answers are kept: killed and started again, it goes on
//! ```
//!
//! Searches are then tried on the files, without a model: `cargo xtask bench search`. Recording needs the feature `record`
//! and an optimized build: [`run`] builds and starts this program again for that, as `bench` does. `--table` reads what is
//! there and needs neither.

#[cfg(feature = "record")]
mod demos;
#[cfg(feature = "record")]
mod matrix;
#[cfg(feature = "record")]
mod problems;
#[cfg(feature = "record")]
mod rows;
#[cfg(feature = "record")]
mod steps;
mod table;
#[cfg(feature = "record")]
mod tasks;

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use crate::bench;
use crate::error::Error;
use crate::landscape::Landscape;
use crate::workspace::Workspace;

/// Where the files are.
pub(crate) const FOLDER: &str = "xtask/landscapes";

/// The document with the table, and the table's name in its markers.
const DOCUMENT: &str = "docs/LANDSCAPES.md";
const BLOCK: &str = "landscapes";

/// Options of `cargo xtask record`.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct Options {
    /// The task to record; without one, all tasks are listed.
    #[arg(long, value_name = "NAME")]
    pub(crate) task: Option<String>,
    /// How many candidates; each task has its own number otherwise.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) candidates: Option<u16>,
    /// How many rows, a third of them for the test; each task has its own number otherwise.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(3..))]
    pub(crate) rows: Option<u16>,
    /// The folder with data sets that are not part of the project.
    #[arg(long, value_name = "FOLDER")]
    pub(crate) data: Option<PathBuf>,
    /// The file to write; `xtask/landscapes/NAME.json` otherwise.
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    /// Answers that are computed at the same time, each on one thread.
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..))]
    pub(crate) threads: u8,
    /// Print the table of the landscapes that are there, and record nothing.
    #[arg(long)]
    pub(crate) table: bool,
    /// Write that table into docs/LANDSCAPES.md, and record nothing.
    #[arg(long)]
    pub(crate) write_docs: bool,
}

/// Records a task, or shows what is recorded.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<ExitCode, Error> {
    if options.table || options.write_docs {
        let table = table::markdown(&all(workspace)?);
        print!("{table}");
        if options.write_docs {
            let text = documented(&workspace.read(DOCUMENT)?, &table)?;
            let path = workspace.path(DOCUMENT);
            fs::write(&path, text).map_err(Error::file("write", path))?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    if !cfg!(feature = "record") {
        return bench::again_in_release(workspace, "record");
    }
    #[cfg(feature = "record")]
    with_model::run(workspace, options)?;
    Ok(ExitCode::SUCCESS)
}

/// The landscapes that are there, by name.
pub(crate) fn all(workspace: &Workspace) -> Result<Vec<Landscape>, Error> {
    let folder = workspace.path(FOLDER);
    let entries = fs::read_dir(&folder).map_err(Error::file("list", &folder))?;
    let mut paths: Vec<PathBuf> = entries
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()
        .map_err(Error::file("list", &folder))?;
    paths.retain(|path| path.extension().is_some_and(|ending| ending == "json"));
    paths.sort();
    paths.iter().map(|path| Landscape::read(path)).collect()
}

/// The document with this table in it.
fn documented(text: &str, table: &str) -> Result<String, Error> {
    bench::docs::replace(text, BLOCK, table)
        .map_err(|problem| Error::Content { file: DOCUMENT.into(), problem: problem.message })
}

/// What needs the embedded model.
#[cfg(feature = "record")]
mod with_model {
    use std::fs;
    use std::sync::Arc;

    use teleprompt_lm::local::LocalLm;
    use teleprompt_lm::{Cache, LmStack};

    use super::{FOLDER, Options, matrix, rows, table, tasks};
    use crate::error::Error;
    use crate::workspace::Workspace;

    /// Records one task on the embedded model.
    pub(super) fn run(workspace: &Workspace, options: &Options) -> Result<(), Error> {
        let Some(name) = &options.task else {
            for task in tasks::all() {
                println!("{:22} {} candidates x {} rows", task.name, task.candidates, task.rows);
            }
            return Ok(());
        };
        let task = tasks::named(name).ok_or_else(|| {
            let known: Vec<&str> = tasks::all().map(|task| task.name).collect();
            Error::Usage(format!("there is no task `{name}`; there are {}", known.join(", ")))
        })?;
        let n_rows = options.rows.map_or(task.rows, usize::from);
        let n_candidates = options.candidates.map_or(task.candidates, usize::from);
        let rows = rows::load(workspace, options.data.as_deref(), task, n_rows)?;
        let file = match &options.out {
            Some(file) => file.clone(),
            None => workspace.path(&format!("{FOLDER}/{name}.json")),
        };
        let failed = |error: &dyn std::fmt::Display| Error::Measurement {
            subject: "the embedded model".into(),
            problem: error.to_string(),
        };
        let threads = usize::from(options.threads);
        let lm = LocalLm::builder()
            .workers(threads)
            .progress(|event| eprintln!("{event}"))
            .load_blocking()
            .map_err(|error| failed(&error))?;
        // The answers of a first predictor serve all candidates that differ in the second alone, and a recording that was
        // stopped goes on with those that it has.
        let folder = workspace.target().join("record");
        fs::create_dir_all(&folder).map_err(Error::file("make", &folder))?;
        let cache = Cache::open(folder.join(format!("{name}.db"))).map_err(|error| failed(&error))?;
        let lm = LmStack::new(Arc::new(lm)).cache(&cache).build();
        let recording = matrix::record(task, &rows, n_candidates, lm, 2 * threads, &file);
        let landscape = futures::executor::block_on(recording)?;
        println!("{}", file.display());
        print!("{}", table::markdown(&[landscape]));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::landscape::Role;

    #[test]
    fn the_landscapes_that_ship_are_sound_and_a_data_set_has_one_role() {
        let workspace = Workspace::find().unwrap();
        let landscapes = all(&workspace).unwrap();
        let document = workspace.read(DOCUMENT).unwrap();
        let mut roles = BTreeMap::new();
        assert!(!landscapes.is_empty());
        for of in &landscapes {
            assert_eq!(*roles.entry(&of.task).or_insert(of.role), of.role, "{}", of.name);
            let words = match of.role {
                Role::Public => "- **public**",
                Role::HeldOut => "- **held out**",
            };
            let line = document.lines().find(|line| line.starts_with(words)).unwrap();
            assert!(line.contains(&format!("`{}`", of.task)), "`{}` is not in: {line}", of.task);
            assert!(of.candidates[of.default].iter().all(|&choice| choice == 0), "{}", of.name);
        }
    }

    #[test]
    fn the_table_of_the_document_is_that_of_the_files() {
        let workspace = Workspace::find().unwrap();
        let document = workspace.read(DOCUMENT).unwrap();
        let table = table::markdown(&all(&workspace).unwrap());
        let right = documented(&document, &table).unwrap() == document;
        assert!(right, "run: cargo xtask record --write-docs");
    }
}
