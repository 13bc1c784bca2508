//! The result of a run, as data: the winner, the baseline, every trial, what was asked and what it took.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use teleprompt_core::evaluate::RowResult;
use teleprompt_core::lm::ModelId;
use teleprompt_core::{CallCounts, CallRole, Candidate, Program, SavedError, SavedProgram, Stage};
use teleprompt_propose::{Proposals, ProposedInstruction, Rejection};

use crate::bootstrap::FailedRow;
use crate::caps::Spent;
use crate::config::Settings;
use crate::demo_sets::{DemoSets, DemoSource};
use crate::gate::Tally;
use crate::plan::Plan;
use crate::run::Run;
use crate::search::{Choices, Ended, Found, SearchSpace, TrialKind, TrialRecord, reference};
use crate::stats::PairedDifference;

/// An optimized program, as data.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Optimized {
    /// The winner: instructions and demos. Give it to [`teleprompt_core::Ctx::bound`] to run the program with it.
    pub candidate: Candidate,
    /// How it was found.
    pub report: Report,
}

impl Optimized {
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
    /// The baseline's results on the validation rows, kept also without `track_stats`.
    pub baseline_rows: Vec<RowResult>,
    /// The winner's results on the validation rows, likewise.
    pub winner_rows: Vec<RowResult>,
    /// Requests by role, those answered from what was known among them.
    pub calls: BTreeMap<CallRole, CallCounts>,
    /// The same by stage and role.
    pub stages: BTreeMap<Stage, BTreeMap<CallRole, CallCounts>>,
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
    /// The mean score on the whole valset, in `[0, 1]`; `None` when the run was stopped before that was known.
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

    /// The winner's instruction for each predictor.
    pub fn winning_instructions(&self) -> impl Iterator<Item = (&str, &Arc<str>)> {
        self.winner.choices.iter().filter_map(|choice| {
            let instructions = self.instructions.get(choice.predictor.as_str())?;
            Some((choice.predictor.as_str(), &instructions.get(choice.instruction)?.instruction))
        })
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let percent = |score: f64| format!("{:.1} %", 100.0 * score);
        let interval = |d: &PairedDifference| {
            format!(
                "{:+.1} points (95 % interval {:+.1} to {:+.1}, {} rows)",
                100.0 * d.mean,
                100.0 * d.low,
                100.0 * d.high,
                d.n
            )
        };
        match &self.ended {
            Ended::Complete => {}
            Ended::Early { reason } => writeln!(f, "ended before its budget: {reason}")?,
            Ended::Stopped { reason } => {
                let colon = if reason.is_empty() { "" } else { ": " };
                writeln!(f, "stopped early{colon}{reason}; the best program so far follows")?;
            }
            Ended::Failed { message } => {
                writeln!(f, "ended early ({message}): the best program so far follows")?;
            }
        }
        match (self.baseline.score, self.winner.score) {
            (Some(before), Some(after)) => {
                write!(f, "validation   {} -> {}", percent(before), percent(after))?;
            }
            _ => write!(f, "validation   not evaluated yet: the result is the program as it was")?,
        }
        if let Some(difference) = &self.validation_difference {
            write!(f, ", {}; chosen on these rows", interval(difference))?;
        }
        if let Some(test) = &self.test {
            write!(f, "\ntest         {} -> {}", percent(test.baseline), percent(test.winner))?;
            if let Some(difference) = &test.difference {
                write!(f, ", {}", interval(difference))?;
            }
        }
        let full = self.trials.iter().filter(|trial| trial.kind != TrialKind::Minibatch).count();
        write!(
            f,
            "\nsearch       {} evaluations, {full} of them full; {} program runs asked for, {} of them known already",
            self.trials.len(),
            self.requested_runs(),
            self.known_runs()
        )?;
        for (role, counts) in &self.calls {
            write!(
                f,
                "\ncalls        {role}: {} asked, {} answered from the cache",
                counts.requests, counts.cached
            )?;
            if counts.failed > 0 {
                write!(f, ", {} failed", counts.failed)?;
            }
        }
        let failed = self.failed_rows().count();
        if failed > 0 {
            write!(f, "\nfailed rows  {failed}; the first:")?;
            for (place, failed) in self.failed_rows().take(3) {
                write!(f, "\n  {place}, row {}: {}", failed.row, failed.error)?;
                if let Some(answer) = &failed.error.raw_answer {
                    let answer: String = answer.chars().take(200).collect();
                    write!(f, "\n    the answer was: {answer:?}")?;
                }
            }
        }
        for warning in &self.warnings {
            write!(f, "\nwarning      {warning}")?;
        }
        Ok(())
    }
}

/// The difference of two evaluations on the rows that both have scored.
pub(crate) fn difference(before: &[RowResult], after: &[RowResult]) -> Option<PairedDifference> {
    let after: BTreeMap<usize, f64> = after.iter().filter_map(|row| Some((row.row, row.score()?))).collect();
    PairedDifference::of(before.iter().filter_map(|row| Some((row.score()?, *after.get(&row.row)?))))
}

/// The report of what every stage gave.
pub(crate) fn make(
    run: &Run<'_>,
    plan: Plan,
    space: &SearchSpace,
    found: Found,
    demos: DemoSets,
    proposals: Proposals,
    test: Option<TestResult>,
) -> Report {
    let config = run.config;
    let default = space.default_choices();
    let full = |choices: &Choices| {
        let mut trials = found.trials.iter().rev();
        trials.find(|trial| trial.choices == *choices && trial.kind != TrialKind::Minibatch)
    };
    let (before, after) = (full(&default), full(&found.choices));
    let scored = |choices: &Choices, trial: Option<&TrialRecord>| Scored {
        choices: choices.clone(),
        score: trial.and_then(|trial| trial.score),
    };
    let rows = |trial: Option<&TrialRecord>| trial.map(|trial| trial.rows.clone()).unwrap_or_default();
    let (baseline_rows, winner_rows) = (rows(before), rows(after));
    let (baseline, winner) = (scored(&default, before), scored(&found.choices, after));
    let stages = run.counts();
    let mut calls: BTreeMap<CallRole, CallCounts> = BTreeMap::new();
    for (role, counts) in stages.values().flatten() {
        let sum = calls.entry(*role).or_default();
        sum.requests += counts.requests;
        sum.cached += counts.cached;
        sum.failed += counts.failed;
        sum.usage += counts.usage;
    }
    let mut warnings: Vec<String> = demos.warnings.into_iter().chain(proposals.warnings).collect();
    warnings.extend(found.warnings);
    warnings.extend(test.as_ref().and_then(|test| test.warning.clone()));
    let saved = Saved {
        program_runs: found.trials.iter().map(|trial| trial.known).sum(),
        teacher_runs: demos.spared_runs,
        equal_requests: calls.values().map(|counts| counts.cached).sum(),
    };
    let mut trials = found.trials;
    if !config.track_stats {
        trials.iter_mut().for_each(|trial| trial.rows = Vec::new());
    }
    let named = |name: teleprompt_core::PredictorName| name.to_string();
    let a_run = run.program.predictors().len();
    // A summary is made and merged, a program described and then its predictors: two calls. A rejected proposal is one more.
    let tries = proposals.rejected.iter().map(|rejected| rejected.attempt as usize + 1).max().unwrap_or(1);
    let learning = (demos.waves * a_run).max(2) + tries.min(3);
    let search = reference::chain(run).saturating_sub(1) * a_run;
    let chain = learning.max(a_run) + search + usize::from(test.is_some()) * a_run;
    Report {
        version: REPORT_VERSION,
        settings: config.settings(),
        metric: config.metric_name.clone(),
        models: Models {
            task: config.task_lm.model().clone(),
            prompt: config.prompt_lm.model().clone(),
            teacher: config.teacher.lm.as_ref().unwrap_or(&config.task_lm).model().clone(),
        },
        plan,
        seed: config.seed,
        ended: found.ended,
        baseline,
        winner,
        validation_difference: difference(&baseline_rows, &winner_rows),
        test,
        instructions: proposals.instructions.into_iter().map(|(name, all)| (named(name), all)).collect(),
        demo_sets: demos.sources.into_iter().map(|(name, sets)| (named(name), sets)).collect(),
        rejected: proposals.rejected,
        dataset_summary: proposals.summary,
        program_description: proposals.program_description,
        trials,
        baseline_rows,
        winner_rows,
        calls,
        stages,
        saved,
        bootstrap_failures: demos.failed,
        warnings,
        process: Process {
            seconds: run.shared.purse.elapsed().as_secs_f64(),
            stage_seconds: run.times(),
            calls: run.shared.tally(),
            spent: run.shared.purse.spent(),
            chain,
        },
    }
}
