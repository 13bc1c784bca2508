//! The result of a run, as data: the winner, the baseline, every trial, what was asked and what it took.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use teleprompt_core::evaluate::RowResult;
use teleprompt_core::{CallCounts, CallRole, Candidate, Program, SavedError, SavedProgram};
use teleprompt_propose::{ProposedInstruction, Rejection};

use crate::bootstrap::FailedRow;
use crate::plan::Plan;
use crate::search::{Choices, Ended, TrialKind, TrialRecord};
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

/// What a run did and found. Two runs with equal seed, data, answers and configuration have equal reports, but for what
/// [`Report::calls`] says of caches and tokens.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Report {
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
    /// Proposals that were not taken.
    pub rejected: Vec<Rejection>,
    /// What the prompt LM said of the data.
    pub dataset_summary: Option<String>,
    /// What the prompt LM said of the program.
    pub program_description: Option<String>,
    /// Every trial, in order.
    pub trials: Vec<TrialRecord>,
    /// Requests by role, those answered from a cache among them.
    pub calls: BTreeMap<CallRole, CallCounts>,
    /// Training rows that the teacher failed on.
    pub bootstrap_failures: Vec<FailedRow>,
    /// What the user should know.
    pub warnings: Vec<String>,
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
