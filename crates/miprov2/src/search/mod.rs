//! The search: which instruction and which demo set of every predictor score best together.
//!
//! Strategies differ in what they evaluate next; what they share is here. [`SearchSpace`] turns choices into candidates,
//! [`Scoreboard`] runs candidates on rows and never asks a row of a candidate twice.

pub mod adaptive;
pub(crate) mod reference;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use teleprompt_core::evaluate::RowResult;
use teleprompt_core::{
    Candidate, Demo, Evaluate, EvaluateError, Evaluation, PredictorName, PredictorParams, Stage,
};
use teleprompt_propose::ProposedInstruction;

use crate::bootstrap::FailedRow;
use crate::error::OptimizeError;
use crate::run::Run;

/// What one predictor gets in a combination, by index into its options.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Choice {
    /// Whose.
    pub predictor: PredictorName,
    /// Which instruction; 0 is the program's own.
    pub instruction: usize,
    /// Which demo set; 0 is the program's own. `None` when candidates carry no demos.
    pub demos: Option<usize>,
}

/// One combination: a choice for every optimized predictor, in the program's order.
pub type Choices = Vec<Choice>;

/// The options of every predictor.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct SearchSpace {
    /// In the program's order.
    pub predictors: Vec<Options>,
}

/// The options of one predictor.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Options {
    /// Whose.
    pub predictor: PredictorName,
    /// Its instructions, the program's own first; at least one.
    pub instructions: Vec<ProposedInstruction>,
    /// Its demo sets, the program's own first; empty when candidates carry no demos.
    pub demos: Vec<Arc<[Demo]>>,
}

impl SearchSpace {
    /// The options of every predictor of `names`, from what was proposed and bootstrapped.
    pub(crate) fn new(
        names: &[PredictorName],
        mut instructions: BTreeMap<PredictorName, Vec<ProposedInstruction>>,
        demos: Option<&BTreeMap<PredictorName, Vec<Arc<[Demo]>>>>,
    ) -> Self {
        let options = names.iter().map(|name| Options {
            predictor: name.clone(),
            instructions: instructions.remove(name).unwrap_or_default(),
            demos: demos.and_then(|sets| sets.get(name)).cloned().unwrap_or_default(),
        });
        Self { predictors: options.collect() }
    }

    /// The combination that leaves the program as it is.
    pub fn default_choices(&self) -> Choices {
        let own = |options: &Options| Choice {
            predictor: options.predictor.clone(),
            instruction: 0,
            demos: (!options.demos.is_empty()).then_some(0),
        };
        self.predictors.iter().map(own).collect()
    }

    /// The candidate of a combination. A choice of 0 leaves the program's own.
    pub fn candidate(&self, choices: &Choices) -> Candidate {
        let mut candidate = Candidate::default();
        for (options, choice) in self.predictors.iter().zip(choices) {
            let instruction = (choice.instruction > 0).then(|| options.instructions.get(choice.instruction));
            let demos = choice.demos.filter(|&set| set > 0).map(|set| options.demos.get(set));
            let params = PredictorParams {
                instruction: instruction.flatten().map(|proposed| proposed.instruction.clone()),
                demos: demos.flatten().cloned(),
            };
            if params != PredictorParams::default() {
                candidate.set(options.predictor.clone(), params);
            }
        }
        candidate
    }
}

/// What kind of evaluation a trial was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TrialKind {
    /// The program as it is, on the whole valset.
    Baseline,
    /// On a minibatch.
    Minibatch,
    /// On the whole valset.
    Full,
}

/// One trial: a combination and what came of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrialRecord {
    /// Its number, from 0 (the baseline), in the order of the search.
    pub number: usize,
    /// What kind of evaluation.
    pub kind: TrialKind,
    /// Which combination.
    pub choices: Choices,
    /// The mean score in `[0, 1]`; `None` when no row counts.
    pub score: Option<f64>,
    /// Program runs asked for: the rows of the evaluation.
    pub requested: usize,
    /// Of these, answered from what an earlier trial had run.
    pub known: usize,
    /// The rows' results, without traces; empty unless `track_stats`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rows: Vec<RowResult>,
    /// The rows run by this trial that failed, those among them that the model or the metric failed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failed: Vec<FailedRow>,
}

/// Runs candidates on validation rows, and remembers every row of every candidate.
pub(crate) struct Scoreboard<'a> {
    run: &'a Run<'a>,
    space: &'a SearchSpace,
    /// By candidate, then by row. Equal candidates are one, whatever their choices.
    known: BTreeMap<String, BTreeMap<usize, RowResult>>,
    trials: Vec<TrialRecord>,
    best: f64,
    /// Rows that the model or the metric failed, over the whole search.
    errors: usize,
}

impl<'a> Scoreboard<'a> {
    pub(crate) fn new(run: &'a Run<'a>, space: &'a SearchSpace) -> Self {
        Self { run, space, known: BTreeMap::new(), trials: Vec::new(), best: 0.0, errors: 0 }
    }

    pub(crate) fn trials(&self) -> &[TrialRecord] {
        &self.trials
    }

    pub(crate) fn into_trials(self) -> Vec<TrialRecord> {
        self.trials
    }

    /// Evaluates a combination on validation rows and records the trial; gives its mean score.
    ///
    /// # Errors
    /// [`EvaluateError`]; the rows that were run by then are remembered.
    ///
    /// # Cost
    /// One program run for every row that this candidate has not run before.
    pub(crate) async fn trial(
        &mut self,
        kind: TrialKind,
        choices: &Choices,
        rows: &[usize],
    ) -> Result<Option<f64>, EvaluateError> {
        let candidate = self.space.candidate(choices);
        // Serializing what is already data cannot fail; were it to, the candidate would merely not be recognized.
        let key = serde_json::to_string(&candidate).unwrap_or_else(|_| format!("{choices:?}"));
        let seen = self.known.entry(key).or_default();
        let missing: Vec<usize> = rows.iter().copied().filter(|row| !seen.contains_key(row)).collect();
        for _ in missing.len()..rows.len() {
            self.run.step(Stage::Search);
        }
        let allowed = self.run.config.max_errors.saturating_sub(self.errors);
        let mut failed = run_rows(self.run, &candidate, &missing, seen, allowed).await?;
        self.errors += failed.len();
        let results: Vec<RowResult> = rows.iter().filter_map(|row| seen.get(row).cloned()).collect();
        // A failure that an earlier trial has listed is not listed again.
        let fresh = results.iter().filter(|result| missing.contains(&result.row));
        failed.extend(fresh.filter_map(FailedRow::of));
        failed.sort_by_key(|failed| failed.row);
        let evaluation = Evaluation { rows: results };
        let score = evaluation.score();
        if kind != TrialKind::Minibatch {
            self.best = self.best.max(score.unwrap_or(0.0));
        }
        self.run.emit(&teleprompt_core::Event::Trial {
            number: self.trials.len(),
            full: kind != TrialKind::Minibatch,
            score,
            best: self.best,
        });
        self.trials.push(TrialRecord {
            number: self.trials.len(),
            kind,
            choices: choices.clone(),
            score,
            requested: rows.len(),
            known: rows.len() - missing.len(),
            rows: evaluation.rows,
            failed,
        });
        Ok(score)
    }
}

/// Runs a candidate on rows, adding each result to `seen` as it comes: also those before an error. Gives the rows that the
/// model or the metric failed.
async fn run_rows(
    run: &Run<'_>,
    candidate: &Candidate,
    rows: &[usize],
    seen: &mut BTreeMap<usize, RowResult>,
    allowed: usize,
) -> Result<Vec<FailedRow>, EvaluateError> {
    let cx = run.task.clone().bound(run.program, candidate)?;
    let came: Mutex<Vec<RowResult>> = Mutex::new(Vec::with_capacity(rows.len()));
    let on_row = |result: &RowResult| {
        run.step(Stage::Search);
        came.lock().unwrap_or_else(PoisonError::into_inner).push(result.without_trace());
    };
    let outcome = Evaluate::new(&run.val, run.metric)
        .rows(rows)
        .concurrency(run.config.concurrency)
        .max_errors(allowed)
        .on_row(&on_row)
        .run(run.program, &cx)
        .await;
    let came = came.into_inner().unwrap_or_else(PoisonError::into_inner);
    // What the model or the metric failed is not known of the row: it may be asked again.
    let (known, failed): (Vec<_>, Vec<_>) = came.into_iter().partition(|result| result.score().is_some());
    seen.extend(known.into_iter().map(|result| (result.row, result)));
    // What is left of the allowance is an inner figure: the message names the setting.
    let limit = run.config.max_errors;
    let named = |error| match error {
        EvaluateError::TooManyErrors { errors, .. } => EvaluateError::TooManyErrors { limit, errors },
        other => other,
    };
    outcome.map_err(named)?;
    Ok(failed.iter().filter_map(FailedRow::of).collect())
}

/// How a search ended, with what it found.
pub(crate) struct Found {
    pub(crate) choices: Choices,
    pub(crate) trials: Vec<TrialRecord>,
    pub(crate) ended: Ended,
}

/// Why a search ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "how", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Ended {
    /// Every trial of the budget was run.
    Complete,
    /// The stop signal was given, or a cap reached; the best program so far is the result.
    Stopped {
        /// Which cap; empty for the signal.
        reason: String,
    },
    /// An error ended it; the best program so far is the result.
    Failed {
        /// What went wrong.
        message: String,
    },
}

impl Ended {
    pub(crate) fn by(error: &EvaluateError) -> Self {
        match error {
            EvaluateError::Fatal(error) if error.is_stopped() => {
                Self::Stopped { reason: error.detail.clone() }
            }
            other => Self::Failed { message: other.to_string() },
        }
    }
}

/// The error of a run whose baseline could not be evaluated.
pub(crate) fn baseline_error(error: EvaluateError) -> OptimizeError {
    match Ended::by(&error) {
        Ended::Stopped { reason } => OptimizeError::Stopped { reason },
        _ => OptimizeError::Baseline(error),
    }
}
