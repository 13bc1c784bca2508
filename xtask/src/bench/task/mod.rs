//! The family `task`: what a user gets from each optimizer, on real tasks with a real model.
//!
//! ```text
//!   task x seed x optimizer = cell ──known?──► its file                                   (cell)
//!        │                                        ▲
//!        └──► a process of its own ── within ─────┘                          (run, worker, work)
//!                    │              the limit
//!                    └──► meter ──► one llama.cpp server, one model               (meter, model)
//! ```
//!
//! The same program (one predictor), rows, metric, model, form of answers (JSON that the server holds to a schema) and number of
//! program runs on validation rows for all. What an optimizer finds is tested on rows that it has not seen; calls, tokens, time
//! and memory are those of the optimization. One that ends in an exception or at the time limit is a result and is shown as one.
//!
//! Cells are kept in `target/bench/task`: a run that was ended goes on where it was. `--cases` names cells to run; those that
//! are kept are shown in any case.

mod cell;
mod meter;
mod model;
mod run;
mod show;
mod work;
pub(crate) mod worker;

use std::path::PathBuf;
use std::time::Duration;

use self::cell::{Cell, Journal, Kept, Versions, terms};
use self::model::Model;
use self::work::{Optimizer, Row, Rows, Scale, Work, rows};
use super::Options;
use super::family::{Family, Keep, Measured};
use super::peers::Peer;
use super::propose::task::Task;
use crate::error::Error;
use crate::workspace::Workspace;

/// The task that is always measured.
const SAMPLE: &str = "examples/data/questions";
/// Where cells are kept, below the target folder.
const FOLDER: &str = "bench/task";
/// How long a cell may take, and a quick one.
const LIMIT: Duration = Duration::from_secs(60 * 60);
const QUICK_LIMIT: Duration = Duration::from_secs(5 * 60);

/// The family.
#[derive(Debug)]
pub(crate) struct Tasks;

impl Family for Tasks {
    fn seeds(&self) -> u32 {
        3
    }

    fn quick_seeds(&self) -> u32 {
        1
    }

    fn measure(
        &self,
        workspace: &Workspace,
        options: &Options,
        peers: &mut [Peer],
        keep: &mut Keep<'_>,
    ) -> Result<Option<Measured>, Error> {
        let seeds = self.seeds_of(options);
        let limit = if options.quick { QUICK_LIMIT } else { LIMIT };
        let mut bench = Bench {
            workspace,
            options,
            dspy: peers.first(),
            journal: Journal::open(workspace.target().join(FOLDER))?,
            limit: options.limit.map_or(limit, |minutes| Duration::from_secs(60 * u64::from(minutes))),
            model: None,
        };
        let name = model::name(options.lm.as_deref())?;
        let folders = [workspace.path(SAMPLE)].into_iter().chain(options.data.clone());
        let (mut shown, mut comparisons) = (Vec::new(), Vec::new());
        for folder in folders {
            let task = Measurable::load(folder, options.quick)?;
            let kept = bench.task(&task, &name, seeds)?;
            let table = show::Table { task: task.described(), seeds, kept };
            comparisons.extend(show::comparisons(&table));
            keep(&comparisons)?;
            shown.push(table);
        }
        let head = format!("Model `{name}`, limit {} minutes a cell.\n", bench.limit.as_secs() / 60);
        Ok(Some(Measured {
            comparisons,
            tables: head + &shown.iter().map(show::markdown).collect::<String>(),
        }))
    }
}

/// A task with what all its cells share.
struct Measurable {
    task: Task,
    scale: Scale,
    test: Vec<Row>,
}

impl Measurable {
    fn load(folder: PathBuf, quick: bool) -> Result<Self, Error> {
        let mut task = Task::load(&folder)?;
        if quick { Rows::QUICK } else { Rows::FULL }.cut(&mut task);
        let validation = task.validation.len();
        let scale = if quick { Scale::quick(validation) } else { Scale::full(validation) };
        let test = rows(&task.test);
        Ok(Self { task, scale, test })
    }

    fn described(&self) -> show::Described {
        show::Described {
            name: self.task.name.clone(),
            labels: self.task.labels,
            train: self.task.train.len(),
            validation: self.task.validation.len(),
            test: self.test.len(),
            scale: self.scale,
        }
    }
}

/// What runs cells.
struct Bench<'a> {
    workspace: &'a Workspace,
    options: &'a Options,
    /// DSPy's driver, where it is wanted; each cell starts it anew.
    dspy: Option<&'a Peer>,
    journal: Journal,
    limit: Duration,
    /// Once a cell needs it.
    model: Option<Model>,
}

impl Bench<'_> {
    /// All cells of a task, seed by seed, those that cannot be had left out.
    fn task(&mut self, measurable: &Measurable, model: &str, seeds: u32) -> Result<Vec<Kept>, Error> {
        let mut all = Vec::new();
        for seed in 1..=seeds {
            for optimizer in Optimizer::ALL.into_iter().filter(|optimizer| seed <= optimizer.seeds(seeds)) {
                let (task, seed) = (measurable.task.name.clone(), u64::from(seed));
                let cell = Cell { task, optimizer, seed };
                let mut work = Work::new(&measurable.task, measurable.scale, optimizer, seed);
                model.clone_into(&mut work.model);
                all.extend(self.cell(&cell, work, &measurable.test)?);
            }
        }
        Ok(all)
    }

    /// A cell from its file, else by running it; `None` where it is not wanted.
    fn cell(&mut self, cell: &Cell, work: Work, test: &[Row]) -> Result<Option<Kept>, Error> {
        let (name, terms) = (cell.name(), terms(&work, test));
        if let Some(kept) = self.journal.get(cell, &terms, self.limit) {
            eprintln!("task: {name}: kept: {}", show::line(&kept.outcome));
            return Ok(Some(kept));
        }
        if !self.options.wants(&name) {
            return Ok(None);
        }
        let mut contender = match self.dspy {
            _ if !work.optimizer.is_dspy() => run::ours()?,
            Some(dspy) => dspy.again(),
            None => return Ok(None),
        };
        if let Some(reason) = contender.missing() {
            eprintln!("task: {name}: left out: {reason}");
            return Ok(None);
        }
        let log = self.journal.folder().join("server.log");
        let model = match &mut self.model {
            Some(model) => model,
            unopened => {
                let lm = self.options.lm.as_deref();
                unopened.insert(Model::open(self.workspace, lm, work.scale.in_flight, &log)?)
            }
        };
        eprintln!("task: {name}");
        let work = Work { url: model.url(), ..work };
        let outcome = run::cell(&mut contender, &work, test, model.meter(), self.limit)?;
        eprintln!("task: {name}: {}", show::line(&outcome));
        let server = model.server().map(|(name, version)| (name.to_owned(), version));
        let versions = [(contender.name().to_owned(), contender.version())].into_iter().chain(server);
        self.journal.keep(cell, &terms, versions.collect::<Versions>(), outcome).map(Some)
    }
}

/// Whether an answer is the one of the row: the metric, for all.
fn exact(gold: &str, said: &str) -> bool {
    gold.trim() == said.trim()
}

fn failed(problem: impl ToString) -> Error {
    Error::Measurement { subject: "task".into(), problem: problem.to_string() }
}
