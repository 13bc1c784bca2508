//! The result of a run, as data: the winner, the baseline, every trial, what was asked and what it took.

mod display;
mod make;
mod ranking;
mod warnings;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use teleprompt_core::evaluate::RowResult;
use teleprompt_core::lm::ModelId;
use teleprompt_core::{CallCounts, CallRole, Candidate, Program, SavedError, SavedProgram, Stage};
use teleprompt_propose::{ProposedInstruction, Rejection, TipTable, Tried};

pub(crate) use make::{difference, make};
pub use ranking::{Ensemble, Ranked};

use crate::bootstrap::FailedRow;
use crate::caps::Spent;
use crate::config::Settings;
use crate::demo_sets::DemoSource;
use crate::gate::Tally;
use crate::plan::Plan;
use crate::search::{Choices, Ended, Posterior, TrialRecord};
use crate::stats::PairedDifference;

/// An optimized program, as data: the winner, how it was found, and the candidates beside it.
///
/// ```
/// use std::sync::Arc;
/// use teleprompt_core::{Ctx, Evaluate, Program, SavedProgram};
/// use teleprompt_miprov2::{Dataset, MiproV2};
/// use teleprompt_testkit::SimTask;
/// # futures::executor::block_on(async {
/// # let task = SimTask::new(1);
/// # let (program, metric, lm) = (task.program(), task.metric(), Arc::new(task.lm()));
/// let optimizer = || MiproV2::builder().task_lm(lm.clone()).num_candidates(4).num_trials(8);
/// let data = Dataset::new(task.examples(0..40)).val(task.examples(1000..1060)).test(task.examples(5000..5040));
/// let best = optimizer().build()?.compile(&program, &data, &metric).await?;
///
/// // Run the program with the winner, save it, load it.
/// let cx = Ctx::new(lm.clone()).bound(&program, &best.candidate)?;
/// let answer = program.forward(&cx, task.examples(7000..7001)[0].inputs.clone()).await?;
/// assert!(!answer.outputs.text("answer").is_empty());
/// # let folder = tempfile::tempdir()?;
/// # let file = folder.path().join("optimized.json");
/// best.save(&program, &file)?;
/// let loaded = SavedProgram::load(&file)?.candidate(&program)?;
///
/// // Go on from there: the loaded candidate is the baseline of the next run.
/// let next = optimizer().start(loaded).seed(1).build()?.compile(&program, &data, &metric).await?;
/// assert_eq!(next.report.baseline.score, best.report.winner.score);
///
/// // What a prompt costs on every run, against what it scores; and the shorter of equals as the winner.
/// for ranked in best.report.pareto() {
///     println!("{:.2} with {} tokens", ranked.score().unwrap_or_default(), ranked.prompt_tokens);
/// }
/// let shorter = optimizer().prefer_shorter(0.02).build()?.compile(&program, &data, &metric).await?;
/// assert!(shorter.report.winner.score >= shorter.report.baseline.score);
///
/// // The best three together, by majority.
/// let ensemble = best.ensemble(&program, 3).on("answer");
/// let rows = task.examples(7000..7040);
/// let score = Evaluate::new(&rows, &metric).run(&ensemble, &Ctx::new(lm.clone())).await?.score();
/// assert!(score.is_some());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Optimized {
    /// The winner: instructions and demos. Give it to [`teleprompt_core::Ctx::bound`] to run the program with it.
    pub candidate: Candidate,
    /// How it was found.
    pub report: Report,
    /// The candidates with a [score](Ranked::score), in the order of [`Report::ranking`]: its first ones, by number.
    pub candidates: Vec<Candidate>,
}

impl Optimized {
    /// The `k` best candidates, with what is known of each; fewer where fewer were evaluated: in full by the reference's search, on
    /// some rows by the adaptive one.
    pub fn top(&self, k: usize) -> impl Iterator<Item = (&Ranked, &Candidate)> {
        self.report.ranking.iter().zip(&self.candidates).take(k)
    }

    /// The program under the `k` best candidates, by majority.
    pub fn ensemble<'a>(&self, program: &'a dyn Program, k: usize) -> Ensemble<'a> {
        Ensemble::new(program, self.top(k).map(|(_, candidate)| candidate.clone()).collect())
    }

    /// The program under the winner, as a file's content.
    pub fn to_saved(&self, program: &dyn Program) -> SavedProgram {
        let mut saved = SavedProgram::new(program, &self.candidate);
        saved.note("baseline_score", self.report.baseline.score);
        saved.note("score", self.report.winner.score);
        saved.note("seed", self.report.seed);
        saved
    }

    /// Writes the program under the winner to a file, which [`SavedProgram::load`] and DSPy read.
    ///
    /// # Errors
    /// [`SavedError`] names the file.
    pub fn save(&self, program: &dyn Program, path: impl AsRef<Path>) -> Result<(), SavedError> {
        self.to_saved(program).save(path)
    }
}

/// The version of the report's form.
pub const REPORT_VERSION: u32 = 1;

/// What a run did and found. Two runs with equal seed, data, answers and configuration have equal reports, but for
/// [`Report::process`]; also when one of them was killed and resumed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Report {
    /// The version of this form: [`REPORT_VERSION`].
    pub version: u32,
    /// The configuration, resolved.
    pub settings: Settings,
    /// The metric's name; empty where none was given.
    pub metric: String,
    /// The models.
    pub models: Models,
    /// What was planned.
    pub plan: Plan,
    /// The seed.
    pub seed: u64,
    /// How the search ended.
    pub ended: Ended,
    /// The program as it was.
    pub baseline: Scored,
    /// The winner. Its validation score is the best of many and so tends to be too high; the test score is not.
    pub winner: Scored,
    /// Winner against baseline on the validation rows that both have run.
    pub validation_difference: Option<PairedDifference>,
    /// What the adaptive search believes of the leader against the baseline.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub posterior: Option<Posterior>,
    /// Winner against baseline on the test rows, if there are any.
    pub test: Option<TestResult>,
    /// The instructions of each predictor, its own first, with where each comes from.
    pub instructions: BTreeMap<String, Vec<ProposedInstruction>>,
    /// The demo sets of each predictor: where each demo comes from.
    pub demo_sets: BTreeMap<String, Vec<Vec<DemoSource>>>,
    /// Proposals that were not taken.
    pub rejected: Vec<Rejection>,
    /// What the prompt LM said of the data.
    pub dataset_summary: Option<String>,
    /// What the prompt LM said of the program.
    pub program_description: Option<String>,
    /// Every trial, in order.
    pub trials: Vec<TrialRecord>,
    /// Every combination that was evaluated: those with a [score](Ranked::score) first, each group from the best on.
    pub ranking: Vec<Ranked>,
    /// The baseline's results on the validation rows, kept also without `track_stats`.
    pub baseline_rows: Vec<RowResult>,
    /// The winner's results on the validation rows, likewise.
    pub winner_rows: Vec<RowResult>,
    /// Requests by role, those answered from what was known among them.
    pub calls: BTreeMap<CallRole, CallCounts>,
    /// The same by stage and role; without a stage that a cap ended before it had a result, which is in
    /// [`Report::process`] alone.
    pub stages: BTreeMap<Stage, BTreeMap<CallRole, CallCounts>>,
    /// What each stage cost, in USD, where the price of every model is known: of the answers that were paid for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usd: Option<BTreeMap<Stage, f64>>,
    /// What did not have to be asked.
    pub saved: Saved,
    /// Training rows that the teacher failed on.
    pub bootstrap_failures: Vec<FailedRow>,
    /// What the user should know.
    pub warnings: Vec<String>,
    /// What depends on the process that ran, on its timing and on what was known before.
    #[serde(default)]
    pub process: Process,
}

/// The models of a run, by their names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Models {
    /// Runs the program.
    pub task: ModelId,
    /// Writes instructions.
    pub prompt: ModelId,
    /// Makes demos.
    pub teacher: ModelId,
}

/// What a run with the same schedule would have asked for, had it asked for everything anew as the reference does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Saved {
    /// Program runs of the search on rows that the candidate had run before.
    pub program_runs: usize,
    /// Runs of the teacher on rows that had been run for another demo set.
    pub teacher_runs: usize,
    /// LM calls of program runs that were not spared, answered by an equal request before.
    pub equal_requests: u64,
}

/// What one process did for its run; of a resumed run, the last one. Differs from run to run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Process {
    /// From begin to end, in seconds.
    pub seconds: f64,
    /// The stages, each from its begin to its end, in seconds. They overlap.
    pub stage_seconds: BTreeMap<Stage, f64>,
    /// Calls of models, and answers that were known.
    pub calls: Tally,
    /// What was spent, by the processes before this one too.
    pub spent: Spent,
    /// LM calls that had to follow one another, however many may be in flight, where a program run is one call for each
    /// predictor after the other: rounds of bootstrapping, or what is prepared beside it, then proposals, the schedule of the
    /// search, and the test rows.
    pub chain: usize,
}

/// A combination with its scores.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Scored {
    /// Which combination.
    pub choices: Choices,
    /// The mean score on the whole valset, in `[0, 1]`; `None` when the run was stopped before that was known. Where the adaptive
    /// search had no room left to compare baseline and winner on the whole of it, on the rows that both have run, and a warning
    /// says so.
    pub score: Option<f64>,
}

/// The baseline and the winner on the test rows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TestResult {
    /// Mean score of the baseline, in `[0, 1]`.
    pub baseline: f64,
    /// Mean score of the winner, in `[0, 1]`.
    pub winner: f64,
    /// Winner against baseline, paired by row.
    pub difference: Option<PairedDifference>,
    /// The winner's results, row by row.
    pub rows: Vec<RowResult>,
    /// The rows that failed, the baseline's and the winner's.
    pub failed: Vec<FailedRow>,
    #[serde(skip)]
    pub(crate) warning: Option<String>,
}

impl Report {
    /// Program runs that the search asked for.
    pub fn requested_runs(&self) -> usize {
        self.trials.iter().map(|trial| trial.requested).sum()
    }

    /// Of these, those answered from what an earlier trial had run.
    pub fn known_runs(&self) -> usize {
        self.trials.iter().map(|trial| trial.known).sum()
    }

    /// Every row that failed: where (`bootstrap`, `trial 3`, `test`) and how.
    pub fn failed_rows(&self) -> impl Iterator<Item = (String, &FailedRow)> {
        let bootstrap = self.bootstrap_failures.iter().map(|failed| ("bootstrap".to_owned(), failed));
        let trials = self
            .trials
            .iter()
            .flat_map(|trial| trial.failed.iter().map(|failed| (format!("trial {}", trial.number), failed)));
        let test = self.test.iter().flat_map(|test| &test.failed).map(|failed| ("test".to_owned(), failed));
        bootstrap.chain(trials).chain(test)
    }

    /// Which tips won: what came of the instructions of each origin, over all trials.
    pub fn tips(&self) -> TipTable {
        let pools = self.instructions.iter().map(|(predictor, pool)| (predictor.as_str(), pool.as_slice()));
        let tried = self.trials.iter().flat_map(|trial| {
            let scored = trial.score.map(|score| (score, trial.requested));
            trial.choices.iter().filter_map(move |choice| {
                let (score, rows) = scored?;
                Some(Tried { predictor: choice.predictor.as_str(), index: choice.instruction, score, rows })
            })
        });
        let winners =
            self.winner.choices.iter().map(|choice| (choice.predictor.as_str(), choice.instruction));
        TipTable::of(pools, tried, winners)
    }

    /// The winner's instruction for each predictor.
    pub fn winning_instructions(&self) -> impl Iterator<Item = (&str, &Arc<str>)> {
        self.winner.choices.iter().filter_map(|choice| {
            let instructions = self.instructions.get(choice.predictor.as_str())?;
            Some((choice.predictor.as_str(), &instructions.get(choice.instruction)?.instruction))
        })
    }
}
