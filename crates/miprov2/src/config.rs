//! The configuration of a run: a builder with the reference's names, checked once, as a whole.
//!
//! [`MiproV2Builder::build`] reports every problem at once. What belongs to one search strategy only is in
//! [`ReferenceSearch`].

use std::sync::Arc;

use teleprompt_core::{Adapter, Candidate, ChatAdapter, Lm, Observer, Program};
use teleprompt_propose::{GroundedProposer, Proposer};

use crate::error::{ConfigError, ConfigProblem};
use crate::gate::StopSignal;
use crate::optimizer::MiproV2;

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
}

impl Default for ReferenceSearch {
    fn default() -> Self {
        Self { minibatch: true, minibatch_size: 35, minibatch_full_eval_steps: 5 }
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
    pub(crate) adapter: Arc<dyn Adapter>,
    pub(crate) prompt_adapter: Arc<dyn Adapter>,
    pub(crate) proposer: Arc<dyn Proposer>,
    pub(crate) budget: Budget,
    pub(crate) search: ReferenceSearch,
    pub(crate) max_bootstrapped_demos: usize,
    pub(crate) max_labeled_demos: usize,
    pub(crate) metric_threshold: Option<f64>,
    pub(crate) init_temperature: f64,
    pub(crate) concurrency: usize,
    pub(crate) max_errors: usize,
    pub(crate) track_stats: bool,
    pub(crate) seed: u64,
    pub(crate) observers: Vec<Arc<dyn Observer>>,
    pub(crate) stop: StopSignal,
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

/// Builds a [`MiproV2`]. The names are the reference's; what is not set has the reference's default.
///
/// ```
/// use std::sync::Arc;
/// use teleprompt_miprov2::{Auto, MiproV2};
/// use teleprompt_testkit::ScriptedLm;
///
/// let lm = Arc::new(ScriptedLm::new(|_| "Answer: 4".to_owned()));
/// let optimizer = MiproV2::builder().task_lm(lm).auto(Auto::Light).seed(9).build().unwrap();
/// # let _ = optimizer;
/// let problems = MiproV2::builder().minibatch_size(0).build().err().unwrap();
/// assert_eq!(problems.problems().len(), 2);
/// ```
#[derive(Clone)]
#[must_use = "call `build`"]
pub struct MiproV2Builder {
    task_lm: Option<Arc<dyn Lm>>,
    prompt_lm: Option<Arc<dyn Lm>>,
    teacher: Teacher,
    adapter: Arc<dyn Adapter>,
    prompt_adapter: Option<Arc<dyn Adapter>>,
    proposer: Option<Arc<dyn Proposer>>,
    auto: Option<Auto>,
    num_candidates: Option<usize>,
    num_trials: Option<usize>,
    search: ReferenceSearch,
    max_bootstrapped_demos: usize,
    max_labeled_demos: usize,
    metric_threshold: Option<f64>,
    init_temperature: f64,
    concurrency: usize,
    max_errors: usize,
    track_stats: bool,
    seed: u64,
    observers: Vec<Arc<dyn Observer>>,
    stop: StopSignal,
}

impl Default for MiproV2Builder {
    fn default() -> Self {
        Self {
            task_lm: None,
            prompt_lm: None,
            teacher: Teacher::default(),
            adapter: Arc::new(ChatAdapter),
            prompt_adapter: None,
            proposer: None,
            auto: None,
            num_candidates: None,
            num_trials: None,
            search: ReferenceSearch::default(),
            max_bootstrapped_demos: 4,
            max_labeled_demos: 4,
            metric_threshold: None,
            init_temperature: 1.0,
            concurrency: 8,
            max_errors: 10,
            track_stats: true,
            seed: 9,
            observers: Vec::new(),
            stop: StopSignal::new(),
        }
    }
}

impl MiproV2Builder {
    /// The model that runs the program. Required.
    pub fn task_lm(mut self, lm: Arc<dyn Lm>) -> Self {
        self.task_lm = Some(lm);
        self
    }

    /// The model that writes instructions; the task LM without one. Rows of the training data and the program's source are
    /// sent to it.
    pub fn prompt_lm(mut self, lm: Arc<dyn Lm>) -> Self {
        self.prompt_lm = Some(lm);
        self
    }

    /// Who makes the demos; the student on the task LM without one.
    pub fn teacher(mut self, teacher: Teacher) -> Self {
        self.teacher = teacher;
        self
    }

    /// The form of the program's prompts; the chat adapter without one.
    pub fn adapter(mut self, adapter: Arc<dyn Adapter>) -> Self {
        self.adapter = adapter;
        self
    }

    /// The form of the proposer's prompts; that of the program's without one.
    pub fn prompt_adapter(mut self, adapter: Arc<dyn Adapter>) -> Self {
        self.prompt_adapter = Some(adapter);
        self
    }

    /// Who writes instructions; [`GroundedProposer`] with all groundings without one.
    pub fn proposer(mut self, proposer: Arc<dyn Proposer>) -> Self {
        self.proposer = Some(proposer);
        self
    }

    /// A preset budget; light without one. Excludes `num_candidates` and `num_trials`.
    pub fn auto(mut self, auto: Auto) -> Self {
        self.auto = Some(auto);
        self
    }

    /// The manual budget: demo sets and instructions per predictor. Goes with `num_trials`.
    pub fn num_candidates(mut self, candidates: usize) -> Self {
        self.num_candidates = Some(candidates);
        self
    }

    /// The manual budget: trials. Goes with `num_candidates`.
    pub fn num_trials(mut self, trials: usize) -> Self {
        self.num_trials = Some(trials);
        self
    }

    /// Whether trials run on minibatches (default true).
    pub fn minibatch(mut self, yes: bool) -> Self {
        self.search.minibatch = yes;
        self
    }

    /// Rows of a minibatch (default 35).
    pub fn minibatch_size(mut self, rows: usize) -> Self {
        self.search.minibatch_size = rows;
        self
    }

    /// After how many minibatch trials the best candidate is evaluated in full (default 5).
    pub fn minibatch_full_eval_steps(mut self, trials: usize) -> Self {
        self.search.minibatch_full_eval_steps = trials;
        self
    }

    /// Most bootstrapped demos in a set (default 4); 0 for labeled demos only.
    pub fn max_bootstrapped_demos(mut self, demos: usize) -> Self {
        self.max_bootstrapped_demos = demos;
        self
    }

    /// Labeled demos fill a set up to this total (default 4); 0 and 0 bootstrapped is zero-shot.
    pub fn max_labeled_demos(mut self, demos: usize) -> Self {
        self.max_labeled_demos = demos;
        self
    }

    /// A demo is bootstrapped from a run of this score or more, in `[0, 1]`; without one, of any score above 0.
    pub fn metric_threshold(mut self, score: f64) -> Self {
        self.metric_threshold = Some(score);
        self
    }

    /// Temperature of the proposer's calls, in `[0, 2]` (default 1).
    pub fn init_temperature(mut self, temperature: f64) -> Self {
        self.init_temperature = temperature;
        self
    }

    /// LM calls in flight at once, over the whole run (default 8). Results do not depend on it.
    pub fn concurrency(mut self, calls: usize) -> Self {
        self.concurrency = calls;
        self
    }

    /// How many rows of one stage the model or the metric may fail before the run stops (default 10).
    pub fn max_errors(mut self, rows: usize) -> Self {
        self.max_errors = rows;
        self
    }

    /// Whether the report keeps every trial's row results (default true).
    pub fn track_stats(mut self, yes: bool) -> Self {
        self.track_stats = yes;
        self
    }

    /// The seed of everything random (default 9). 0 is a seed like any other.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Something that watches the run; several may.
    pub fn observer(mut self, observer: Arc<dyn Observer>) -> Self {
        self.observers.push(observer);
        self
    }

    /// What ends the run early, with the best program so far.
    pub fn stop(mut self, stop: StopSignal) -> Self {
        self.stop = stop;
        self
    }

    /// The optimizer.
    ///
    /// # Errors
    /// [`ConfigError`] with every problem of the configuration.
    pub fn build(self) -> Result<MiproV2, ConfigError> {
        let mut problems = Vec::new();
        let budget = match (self.auto, self.num_candidates, self.num_trials) {
            (None, None, None) => Budget::Auto(Auto::Light),
            (Some(auto), None, None) => Budget::Auto(auto),
            (None, Some(num_candidates), Some(num_trials)) => Budget::Manual { num_candidates, num_trials },
            (Some(_), ..) => {
                problems.push(ConfigProblem::TwoBudgets);
                Budget::Auto(Auto::Light)
            }
            (None, ..) => {
                problems.push(ConfigProblem::HalfABudget);
                Budget::Auto(Auto::Light)
            }
        };
        let search = self.search;
        let counts = [
            ("num_candidates", self.num_candidates.unwrap_or(1)),
            ("num_trials", self.num_trials.unwrap_or(1)),
            ("minibatch_size", search.minibatch_size),
            ("minibatch_full_eval_steps", search.minibatch_full_eval_steps),
            ("concurrency", self.concurrency),
        ];
        let zero = counts.iter().filter(|(_, count)| *count == 0);
        problems.extend(zero.map(|&(name, _)| ConfigProblem::Zero { name }));
        let ranges = [
            ("init_temperature", self.init_temperature, 2.0),
            ("metric_threshold", self.metric_threshold.unwrap_or(0.0), 1.0),
        ];
        let outside = ranges.iter().filter(|(_, value, most)| !(0.0..=*most).contains(value));
        problems.extend(outside.map(|&(name, value, most)| ConfigProblem::OutOfRange { name, value, most }));
        let Some(task_lm) = self.task_lm else {
            problems.push(ConfigProblem::NoTaskLm);
            return Err(ConfigError::new(problems));
        };
        if !problems.is_empty() {
            return Err(ConfigError::new(problems));
        }
        Ok(MiproV2::new(Config {
            prompt_lm: self.prompt_lm.unwrap_or_else(|| task_lm.clone()),
            task_lm,
            teacher: self.teacher,
            prompt_adapter: self.prompt_adapter.unwrap_or_else(|| self.adapter.clone()),
            adapter: self.adapter,
            proposer: self.proposer.unwrap_or_else(|| Arc::new(GroundedProposer::default())),
            budget,
            search,
            max_bootstrapped_demos: self.max_bootstrapped_demos,
            max_labeled_demos: self.max_labeled_demos,
            metric_threshold: self.metric_threshold,
            init_temperature: self.init_temperature,
            concurrency: self.concurrency,
            max_errors: self.max_errors,
            track_stats: self.track_stats,
            seed: self.seed,
            observers: self.observers,
            stop: self.stop,
        }))
    }
}
