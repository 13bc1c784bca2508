//! The plan: what a run will ask for, before anything is spent.

use std::fmt;

use serde::{Deserialize, Serialize};
use teleprompt_core::lm::ModelId;
use teleprompt_propose::CallRange;

/// What a run asks for. Program runs of several predictors are several LM calls each.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Plan {
    /// Training rows.
    pub train_rows: usize,
    /// Validation rows.
    pub val_rows: usize,
    /// Optimized predictors.
    pub predictors: usize,
    /// Demo sets of each predictor, its own among them.
    pub demo_sets: usize,
    /// Instructions of each predictor, its own among them.
    pub instructions: usize,
    /// Trials of the search, the baseline and full evaluations aside.
    pub trials: usize,
    /// Rows of a minibatch; `None` when every trial is a full evaluation.
    pub minibatch: Option<usize>,
    /// Teacher runs, fewest and most.
    pub bootstrap_runs: (usize, usize),
    /// Prompt-LM calls.
    pub proposal_calls: CallRange,
    /// Program runs asked for by the search. Rows that a candidate has run before are asked for and not run again.
    pub evaluation_runs: usize,
    /// Program runs on the test rows at the end: the baseline and the winner, or half of it when they are the same.
    pub test_runs: usize,
    /// The models that are not on this machine: rows, and to the prompt LM the program's source, are sent to them.
    pub sent_to: Vec<ModelId>,
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.sent_to.is_empty() {
            let models: Vec<&str> = self.sent_to.iter().map(ModelId::as_str).collect();
            writeln!(
                f,
                "rows and the program's source are sent out of this machine, to {}",
                models.join(", ")
            )?;
        }
        let plural = |n: usize, word: &str| if n == 1 { format!("1 {word}") } else { format!("{n} {word}s") };
        write!(
            f,
            "{} x {} x {}; {}",
            plural(self.predictors, "predictor"),
            plural(self.instructions, "instruction"),
            plural(self.demo_sets, "demo set"),
            plural(self.trials, "trial")
        )?;
        match self.minibatch {
            Some(rows) => write!(f, " on minibatches of {rows} of {} validation rows", self.val_rows)?,
            None => write!(f, " on all {} validation rows", self.val_rows)?,
        }
        let (least, most) = self.bootstrap_runs;
        write!(
            f,
            "\nprogram runs: {least} to {most} to bootstrap demos, {} asked for by the search, {} on test rows; \
             prompt-LM calls: {} to {}",
            self.evaluation_runs, self.test_runs, self.proposal_calls.least, self.proposal_calls.most
        )
    }
}
