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
//! Answers of the model are kept in `target/bench/propose`: a run that was ended goes on where it was. Every instruction with
//! its score, and every rejected one with the reason, is in `proposals.jsonl` beside them.

mod measure;
pub(crate) mod show;
pub(crate) mod task;
mod variant;

use teleprompt::lm::{Cache, LmStack, RetryPolicy, from_spec};

use self::measure::Scale;
use self::task::Task;
use self::variant::Variant;
use super::Options;
use super::family::{Family, Keep, Measured};
use super::peers::Peer;
use crate::error::Error;
use crate::workspace::Workspace;

/// The sample task, which is always measured.
const SAMPLE: &str = "examples/data/questions";
/// The model that is measured unless the command names another.
const MODEL: &str = "local/smollm2-135m";

/// The family.
#[derive(Debug)]
pub(crate) struct Propose;

impl Family for Propose {
    fn seeds(&self) -> u32 {
        Scale::full().seeds
    }

    fn quick_seeds(&self) -> u32 {
        Scale::quick().seeds
    }

    fn measure(
        &self,
        workspace: &Workspace,
        options: &Options,
        _: &mut [Peer],
        keep: &mut Keep<'_>,
    ) -> Result<Option<Measured>, Error> {
        run(workspace, options, keep).map(Some)
    }
}

/// Measures every variant on the sample task and on the task given.
fn run(workspace: &Workspace, wanted: &Options, keep: &mut Keep<'_>) -> Result<Measured, Error> {
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
        let is_wanted = |variant: &Variant| wanted.wants(&variant.name());
        let variants: Vec<Variant> = variants.into_iter().filter(is_wanted).collect();
        let folders = [workspace.path(SAMPLE)].into_iter().chain(wanted.data.clone());
        let log = folder.join("proposals.jsonl");
        let mut log = std::fs::File::create(&log).map_err(Error::file("make", log))?;
        let (mut outcomes, mut comparisons) = (Vec::new(), Vec::new());
        for folder in folders {
            let outcome = measure::task(&lm, Task::load(&folder)?, &scale, &variants, &mut log).await?;
            comparisons.extend(show::comparisons(spec, &outcome));
            keep(&comparisons)?;
            outcomes.push(outcome);
        }
        Ok(Measured { comparisons, tables: show::markdown(spec, &scale, &outcomes) })
    })
}

fn failed(problem: impl ToString) -> Error {
    Error::Measurement { subject: "propose".into(), problem: problem.to_string() }
}
