//! Records landscapes: how many candidates of a program score on many rows, by a real model, once and for all.
//!
//! ```text
//!   tasks ──▶ candidates (instructions x demo sets) ──▶ one program run for each (candidate, row) ──▶ xtask/landscapes/NAME.json
//!    data ──▶ rows                                        └─ a journal: killed and started again, it goes on
//! ```
//!
//! Searches are then tried on the files, without a model: `cargo xtask bench search`. Recording needs the feature `record`
//! and an optimized build: [`run`] builds and starts this program again for that, as `bench` does. `--table` reads what is
//! there and needs neither.

mod table;

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use crate::error::Error;
use crate::landscape::Landscape;
use crate::workspace::Workspace;

/// Where the files are.
pub(crate) const FOLDER: &str = "xtask/landscapes";

/// Options of `cargo xtask record`.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct Options {
    /// Print the table of the landscapes that are there, and record nothing.
    #[arg(long)]
    pub(crate) table: bool,
}

/// Records a task, or shows what is recorded.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<ExitCode, Error> {
    if options.table {
        print!("{}", table::markdown(&all(workspace)?));
    }
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
