//! The configuration of a run: budgets, settings of the search, the teacher, and what follows from them.
//!
//! What belongs to one search strategy only is in [`ReferenceSearch`]; [`Settings`] is what a result depends on.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use teleprompt_core::{Adapter, Candidate, Lm, Observer, Program};
use teleprompt_propose::Proposer;

use crate::caps::{Caps, TokenPrice};
use crate::checkpoint::Place;
use crate::gate::{Sleep, StopSignal};
use crate::search::adaptive::GUARD;

/// The reference's presets: how many candidates, how many validation rows.
///
/// | | instructions and demo sets (n) | validation rows |
/// |---|---|---|
/// | light | 6 | 100 |
/// | medium | 12 | 300 |
/// | heavy | 18 | 1000 |
///
/// With demos, half of `n` instructions are proposed. Source: DSPy 3.4.1, `mipro_optimizer_v2.py`, `AUTO_RUN_SETTINGS`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Auto {
    /// n = 6 on at most 100 rows.
    Light,
    /// n = 12 on at most 300 rows.
    Medium,
    /// n = 18 on at most 1000 rows.
    Heavy,
}

impl Auto {
    /// The number `n` of demo sets, from which the number of instructions follows.
    pub fn n(self) -> usize {
        match self {
            Self::Light => 6,
            Self::Medium => 12,
            Self::Heavy => 18,
        }
    }

    /// The most validation rows used.
    pub fn max_val_rows(self) -> usize {
        match self {
            Self::Light => 100,
            Self::Medium => 300,
            Self::Heavy => 1000,
        }
    }
}

/// How much is searched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Budget {
    /// A preset.
    Auto(Auto),
    /// Chosen by hand.
    Manual {
        /// Demo sets per predictor, and instructions per predictor (the original among them); at least 1.
        num_candidates: usize,
        /// Trials; at least 1.
        num_trials: usize,
    },
}

/// Settings of the reference's search.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct ReferenceSearch {
    /// Whether trials run on minibatches; with a preset only if there are more than 50 validation rows.
    pub minibatch: bool,
    /// Rows of a minibatch; with as many validation rows or fewer, every trial is a full evaluation.
    pub minibatch_size: usize,
    /// After how many minibatch trials the best candidate so far is evaluated in full.
    pub minibatch_full_eval_steps: usize,
    /// How many evaluations of the schedule are at work at once: a trial is asked for when all but the last
    /// `trials_ahead - 1` before it are told. 1 is one after the other, as the reference does; one more than
    /// `minibatch_full_eval_steps` (the default) lets a full evaluation and the trials after it run side by side.
    pub trials_ahead: usize,
}

impl Default for ReferenceSearch {
    fn default() -> Self {
        Self { minibatch: true, minibatch_size: 35, minibatch_full_eval_steps: 5, trials_ahead: 6 }
    }
}

/// How the combinations are searched. The default is the adaptive search: for the same number of program runs it finds better programs
/// than the reference's on nearly all landscapes that were measured, held-out ones among them (`docs/BENCHMARKS.md`, search). No strategy proposes
/// again in mid-search: later rounds of [`teleprompt_propose::Proposer::refine`] are not shown to pay; the proposer's
/// documentation has the figures.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Strategy {
    /// The reference's: TPE over minibatch scores, the best evaluated in full from time to time.
    Reference(ReferenceSearch),
    /// Our own: single program runs where they can change the answer. See [`crate::adaptive`].
    Adaptive(AdaptiveSearch),
}

impl Default for Strategy {
    fn default() -> Self {
        Self::Adaptive(AdaptiveSearch::default())
    }
}

/// How many program runs the adaptive search may spend, at most.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ProgramRuns {
    /// As many as the reference's schedule asks for under the same budget.
    #[default]
    Nominal,
    /// Half of that, rounded up.
    Half,
    /// So many; at least 1.
    AtMost(usize),
}

impl ProgramRuns {
    /// The number, where the reference's schedule asks for `nominal`.
    pub fn of(self, nominal: usize) -> usize {
        match self {
            Self::Nominal => nominal,
            Self::Half => nominal.div_ceil(2),
            Self::AtMost(runs) => runs,
        }
    }
}

/// Settings of the adaptive search.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct AdaptiveSearch {
    /// Program runs, at most. The search ends earlier when no further run is expected to raise the winner's score.
    pub program_runs: ProgramRuns,
    /// How many stretches of rows are planned at once, and so can run together; at least 1. Results depend on it.
    pub chunks: usize,
    /// The program stays as it was unless another is better with at least this probability, in `[0, 1]`. What is searched
    /// does not depend on it.
    pub require_improvement: f64,
}

impl Default for AdaptiveSearch {
    fn default() -> Self {
        Self { program_runs: ProgramRuns::Nominal, chunks: 8, require_improvement: GUARD }
    }
}

impl AdaptiveSearch {
    /// These settings with at most `runs` program runs.
    #[must_use]
    pub fn program_runs(mut self, runs: usize) -> Self {
        self.program_runs = ProgramRuns::AtMost(runs);
        self
    }

    /// These settings with half of the program runs that the reference's schedule asks for.
    #[must_use]
    pub fn fast(mut self) -> Self {
        self.program_runs = ProgramRuns::Half;
        self
    }

    /// These settings, planning `chunks` stretches of rows at once.
    #[must_use]
    pub fn chunks(mut self, chunks: usize) -> Self {
        self.chunks = chunks;
        self
    }

    /// These settings, keeping the program as it was unless another is better with at least this probability.
    #[must_use]
    pub fn require_improvement(mut self, probability: f64) -> Self {
        self.require_improvement = probability;
        self
    }
}

/// Who makes the demos, where it is not the student itself.
#[derive(Clone, Default)]
pub struct Teacher {
    /// The teacher's model; the task LM without one.
    pub lm: Option<Arc<dyn Lm>>,
    /// The teacher's program; the student without one. Its predictors have the student's names.
    pub program: Option<Arc<dyn Program>>,
    /// The teacher's instructions and demos; without one, labeled demos.
    pub candidate: Option<Candidate>,
}

/// The checked configuration of a run.
#[derive(Clone)]
pub(crate) struct Config {
    pub(crate) task_lm: Arc<dyn Lm>,
    pub(crate) prompt_lm: Arc<dyn Lm>,
    pub(crate) teacher: Teacher,
    pub(crate) start: Candidate,
    pub(crate) adapter: Arc<dyn Adapter>,
    pub(crate) prompt_adapter: Arc<dyn Adapter>,
    pub(crate) proposer: Arc<dyn Proposer>,
    pub(crate) budget: Budget,
    pub(crate) search: ReferenceSearch,
    /// The adaptive search in place of the reference's.
    pub(crate) adaptive: Option<AdaptiveSearch>,
    /// Why it is the one or the other.
    pub(crate) strategy_because: String,
    pub(crate) max_bootstrapped_demos: usize,
    pub(crate) max_labeled_demos: usize,
    pub(crate) max_teacher_runs: Option<usize>,
    pub(crate) metric_threshold: Option<f64>,
    pub(crate) init_temperature: f64,
    pub(crate) concurrency: usize,
    pub(crate) max_errors: usize,
    pub(crate) track_stats: bool,
    pub(crate) share_known: bool,
    pub(crate) seed: u64,
    pub(crate) patience: Option<usize>,
    pub(crate) prefer_shorter: Option<f64>,
    pub(crate) metric_name: String,
    pub(crate) caps: Caps,
    pub(crate) prices: BTreeMap<String, TokenPrice>,
    pub(crate) checkpoint: Option<Place>,
    pub(crate) observers: Vec<Arc<dyn Observer>>,
    /// Whether prompts and answers are recorded in spans.
    pub(crate) trace_content: bool,
    pub(crate) stop: StopSignal,
    pub(crate) clock: Clock,
    pub(crate) outage_waits: Vec<Duration>,
    pub(crate) sleep: Sleep,
}

/// Says how long ago some fixed moment was.
pub(crate) type Clock = Arc<dyn Fn() -> Duration + Send + Sync>;

/// The settings that a result depends on, resolved: part of every report and of the fingerprint of a checkpoint.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Settings {
    /// How much is searched.
    pub budget: Budget,
    /// Settings of the search.
    #[serde(flatten)]
    pub search: ReferenceSearch,
    /// Settings of the adaptive search, where it is the strategy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adaptive: Option<AdaptiveSearch>,
    /// Most bootstrapped demos in a set.
    pub max_bootstrapped_demos: usize,
    /// Labeled demos fill a set up to this total.
    pub max_labeled_demos: usize,
    /// Most runs of the teacher, where it was set.
    pub max_teacher_runs: Option<usize>,
    /// From which score on a run of the teacher gives a demo.
    pub metric_threshold: Option<f64>,
    /// Temperature of the proposer's calls.
    pub init_temperature: f64,
    /// Rows of one stage that the model or the metric may fail.
    pub max_errors: usize,
    /// Whether what is known is never asked again.
    pub share_known: bool,
    /// Full evaluations without a better one after which the search ends.
    pub patience: Option<usize>,
    /// How far below the best full score a shorter candidate may be to win.
    pub prefer_shorter: Option<f64>,
    /// The seed.
    pub seed: u64,
}

/// Demos that a zero-shot run bootstraps for the proposer alone.
///
/// Source: DSPy 3.4.1, `BOOTSTRAPPED_FEWSHOT_EXAMPLES_IN_CONTEXT`.
pub(crate) const ZERO_SHOT_DEMOS: usize = 3;

/// Presets use minibatches above this many validation rows.
///
/// Source: DSPy 3.4.1, `MIN_MINIBATCH_SIZE`.
const MIN_ROWS_FOR_MINIBATCH: usize = 50;

impl Config {
    pub(crate) fn settings(&self) -> Settings {
        Settings {
            budget: self.budget,
            search: self.search,
            adaptive: self.adaptive,
            max_bootstrapped_demos: self.max_bootstrapped_demos,
            max_labeled_demos: self.max_labeled_demos,
            max_teacher_runs: self.max_teacher_runs,
            metric_threshold: self.metric_threshold,
            init_temperature: self.init_temperature,
            max_errors: self.max_errors,
            share_known: self.share_known,
            patience: self.patience,
            prefer_shorter: self.prefer_shorter,
            seed: self.seed,
        }
    }

    /// Whether candidates carry no demos: both limits are 0.
    pub(crate) fn zero_shot(&self) -> bool {
        self.max_bootstrapped_demos == 0 && self.max_labeled_demos == 0
    }

    /// Demo sets per predictor.
    pub(crate) fn num_demo_sets(&self) -> usize {
        match self.budget {
            Budget::Auto(auto) => auto.n(),
            Budget::Manual { num_candidates, .. } => num_candidates,
        }
    }

    /// Instructions per predictor, the original among them.
    pub(crate) fn num_instructions(&self) -> usize {
        match self.budget {
            Budget::Auto(auto) if self.zero_shot() => auto.n(),
            Budget::Auto(auto) => auto.n() / 2,
            Budget::Manual { num_candidates, .. } => num_candidates,
        }
    }

    /// Trials of the search, for a program of `predictors` optimized predictors.
    ///
    /// With a preset `floor(max(2 V log2(n), 1.5 n))`, `V` the number of choices (two a predictor, one when zero-shot).
    pub(crate) fn num_trials(&self, predictors: usize) -> usize {
        match self.budget {
            Budget::Manual { num_trials, .. } => num_trials,
            Budget::Auto(auto) => {
                let choices = predictors * if self.zero_shot() { 1 } else { 2 };
                let n = auto.n() as f64;
                (2.0 * choices as f64 * n.log2()).max(1.5 * n).floor() as usize
            }
        }
    }

    /// Rows of a minibatch on `val_rows` validation rows; `None` when every trial is a full evaluation.
    pub(crate) fn minibatch(&self, val_rows: usize) -> Option<usize> {
        let enough = match self.budget {
            Budget::Auto(_) => val_rows > MIN_ROWS_FOR_MINIBATCH,
            Budget::Manual { .. } => true,
        };
        let size = self.search.minibatch_size;
        (self.search.minibatch && enough && size < val_rows).then_some(size)
    }
}
