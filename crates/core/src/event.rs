//! Events: what a run tells those who watch it. Observers cannot change the run.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::lm::ModelId;

/// Something that watches a run: a progress display, a log, a tracker. Must return soon: the run waits for it.
pub trait Observer: Send + Sync {
    /// Takes note of an event.
    fn on_event(&self, event: &Event);
}

impl<F: Fn(&Event) + Send + Sync> Observer for F {
    fn on_event(&self, event: &Event) {
        self(event);
    }
}

/// The stages of an optimization, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Demos are made by running the teacher.
    Bootstrap,
    /// Instructions are proposed.
    Propose,
    /// Combinations are searched.
    Search,
    /// The baseline and the winner are run on the test rows.
    Test,
}

/// One event of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Event {
    /// The run begins; lines that say what will be done, with what, and what leaves this machine.
    Started {
        /// The lines.
        lines: Vec<String>,
    },
    /// A stage begins.
    Stage {
        /// Which.
        stage: Stage,
        /// How many steps of work it has at most (program runs, prompt-LM calls).
        steps: u64,
    },
    /// A stage ended, with a result.
    StageEnded {
        /// Which.
        stage: Stage,
    },
    /// Rows begin together: a wave of bootstrapping, or a candidate's evaluation on some rows.
    Batch {
        /// In which stage.
        stage: Stage,
        /// Its number: of waves from 0, of evaluations by their place in the schedule.
        batch: u64,
        /// How many.
        rows: usize,
    },
    /// The rows that began together have ended.
    BatchEnded {
        /// In which stage.
        stage: Stage,
        /// Its number.
        batch: u64,
        /// Rows that ended; fewer than began where the run was ended.
        rows: usize,
        /// Of these, those with a score; of bootstrapping, those that gave demos.
        scored: usize,
    },
    /// The baseline was evaluated, and how long a call takes was measured: the plan's time with that.
    Estimated {
        /// The mean time of a call so far, in seconds.
        latency: f64,
        /// How long the run takes in all, at least and at most, in seconds.
        seconds: (f64, f64),
    },
    /// A step of work of the stage is done.
    Step {
        /// Which stage.
        stage: Stage,
    },
    /// A run goes on from its checkpoint.
    Resumed {
        /// Answers that need not be asked for again.
        answers: u64,
    },
    /// A call failed for a reason that may pass, and is made again.
    Retried {
        /// The model.
        model: ModelId,
        /// Which attempt failed, from 1.
        attempt: u32,
        /// How long is waited before the next one, in seconds.
        seconds: f64,
        /// The failure.
        message: String,
    },
    /// The provider of a model is away: no call begins for a while, then those that failed are made again.
    Paused {
        /// For how long.
        seconds: f64,
        /// The failure.
        message: String,
    },
    /// A cap stands in the way of the next call: the run ends with the best program so far.
    CapReached {
        /// Which cap.
        reason: String,
    },
    /// A program run failed.
    RowFailed {
        /// In which stage.
        stage: Stage,
        /// The row's index in its set.
        row: usize,
        /// What went wrong.
        message: String,
        /// Whether it counts as a score of 0; else it is no score, and may be asked again.
        scored: bool,
    },
    /// An instruction was proposed.
    Proposed {
        /// For which predictor.
        predictor: String,
        /// Its index among that predictor's instructions.
        index: usize,
        /// The instruction.
        instruction: Arc<str>,
    },
    /// A trial of the search ended.
    Trial {
        /// Its number, from 0.
        number: usize,
        /// Whether on the whole valset (else on a minibatch).
        full: bool,
        /// The mean score, in `[0, 1]`; `None` when the trial failed.
        score: Option<f64>,
        /// The best mean score on the whole valset so far, in `[0, 1]`.
        best: f64,
    },
    /// Something that the user should know and that does not end the run.
    Warning {
        /// What.
        message: String,
    },
    /// The run ended.
    Ended {
        /// How, in a line.
        line: String,
    },
}
