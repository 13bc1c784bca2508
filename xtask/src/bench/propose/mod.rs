//! The family `propose`: what proposed instructions are worth, on rows that chose nothing, with a real model.
//!
//! ```text
//!   task ─▶ per seed and variant: N - 1 proposals ─▶ validation rows choose the best ─▶ test rows: best against original
//! ```
//!
//! A *variant* is a proposer: all groundings, one of them off, none, the deterministic edits, a later round. Every figure is a
//! paired difference of the same test rows with a 95 % interval (Student's t over rows, each row's scores averaged over the
//! seeds), so the intervals are of the rows' sampling; between seeds the proposals differ.
//!
//! Answers of the model are kept in `target/bench/propose`: a run that was ended goes on where it was.

mod measure;
mod show;
pub(crate) mod task;
mod variant;

use std::path::PathBuf;

use teleprompt::lm::{Cache, LmStack, RetryPolicy, from_spec};

use self::measure::Scale;
use self::task::Task;
use self::variant::Variant;
use super::record::Comparison;
use crate::error::Error;
use crate::workspace::Workspace;

/// The sample task, which is always measured.
const SAMPLE: &str = "examples/data/questions";
/// The model that is measured unless the command names another.
const MODEL: &str = "local/smollm2-135m";

/// What is measured, with which model.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    pub(crate) quick: bool,
    pub(crate) seeds: Option<u32>,
    /// Further tasks; their format is in [`task`].
    pub(crate) data: Vec<PathBuf>,
    /// The model, as [`from_spec`] reads it.
    pub(crate) lm: Option<String>,
}

/// The family's figures: for the terminal and the document, and as data.
#[derive(Debug)]
pub(crate) struct Measured {
    /// Markdown without the command that made it.
    pub(crate) text: String,
    pub(crate) comparisons: Vec<Comparison>,
}

/// Measures every variant on the sample task and on the task given.
///
/// # Errors
/// The data cannot be read, or the model cannot be asked.
pub(crate) fn run(workspace: &Workspace, wanted: &Wanted) -> Result<Measured, Error> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(failed)?;
    runtime.block_on(async {
        let spec = wanted.lm.as_deref().unwrap_or(MODEL);
        let folder = workspace.target().join("bench").join("propose");
        std::fs::create_dir_all(&folder).map_err(Error::file("make the folder", &folder))?;
        let cache = Cache::open(folder.join("answers.db")).map_err(failed)?;
        let provider = from_spec(spec).await.map_err(failed)?;
        let lm = LmStack::new(provider).retry(RetryPolicy::default()).cache(&cache).build();

        let scale = if wanted.quick { Scale::quick() } else { Scale::full() };
        let scale = Scale { seeds: wanted.seeds.unwrap_or(scale.seeds), ..scale };
        let variants = if wanted.quick { Variant::quick() } else { Variant::all() };
        let folders = [workspace.path(SAMPLE)].into_iter().chain(wanted.data.clone());
        let mut outcomes = Vec::new();
        for folder in folders {
            let task = Task::load(&folder)?;
            outcomes.push(measure::task(&lm, task, &scale, &variants).await?);
        }
        Ok(Measured {
            text: show::markdown(spec, &scale, &outcomes),
            comparisons: outcomes.iter().flat_map(|outcome| show::comparisons(spec, outcome)).collect(),
        })
    })
}

fn failed(problem: impl ToString) -> Error {
    Error::Measurement { subject: "propose".into(), problem: problem.to_string() }
}
