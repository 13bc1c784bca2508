//! Golden journals: what a pinned Optuna writes, and a journal of ours that it goes on with.
//!
//! ```text
//!   Optuna ─▶ optuna.journal, define_by_run.journal ─▶ the Rust tests open them
//!   the Rust test ─▶ a journal of ours ─▶ Optuna goes on ─▶ continued.journal ─▶ the Rust tests open it and go on
//! ```

use std::fs;
use std::path::Path;

use super::execute;
use crate::bench::peers::Peers;
use crate::error::Error;
use crate::workspace::Workspace;

/// The script and the folder of the files, relative to the root.
const SCRIPT: &str = "xtask/golden/journals.py";
const FILES: &str = "crates/tpe/tests/golden";
/// The peer in whose environment it runs.
const OPTUNA: &str = "optuna";

/// Makes the files, or compares them with what Optuna and Rust write now.
pub(super) fn run(workspace: &Workspace, check: bool) -> Result<(), Error> {
    let python = Peers::load(workspace)?.install(workspace, OPTUNA)?;
    let folder = workspace.target().join("golden-journals");
    fs::create_dir_all(&folder).map_err(Error::file("create", &folder))?;
    let ours = folder.join("ours.journal");
    let ours = ours.to_string_lossy();
    let test = ["test", "--quiet", "--package", "teleprompt-tpe", "--test", "journal_golden"];
    let write = [&test[..], &["ours_is_written"]].concat();
    execute(workspace, Path::new("cargo"), &write, Some(("TELEPROMPT_JOURNAL", &ours)))?;
    execute(workspace, &python, &[SCRIPT, if check { "compare" } else { "make" }, FILES, &ours], None)?;
    execute(workspace, Path::new("cargo"), &test, None)
}
