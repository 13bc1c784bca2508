//! The builder of an optimizer: the reference's names, checked once, as a whole.
//!
//! [`MiproV2Builder::build`] reports every problem at once.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::future::BoxFuture;
use teleprompt_core::{Adapter, Candidate, ChatAdapter, Lm, Observer};
use teleprompt_propose::{GroundedProposer, Proposer};

use crate::caps::{Caps, TokenPrice};
use crate::checkpoint::Place;
use crate::config::{Auto, Budget, Clock, Config, ProgramRuns, ReferenceSearch, Strategy, Teacher};
use crate::error::{ConfigError, ConfigProblem};
use crate::gate::{Sleep, StopSignal, sleep_on_a_thread};
use crate::optimizer::MiproV2;

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
    start: Candidate,
    adapter: Arc<dyn Adapter>,
    prompt_adapter: Option<Arc<dyn Adapter>>,
    proposer: Option<Arc<dyn Proposer>>,
    auto: Option<Auto>,
    num_candidates: Option<usize>,
    num_trials: Option<usize>,
    strategy: Option<Strategy>,
    search: ReferenceSearch,
    /// Settings that were made of the reference's search, by the names of their methods.
    of_reference: BTreeSet<&'static str>,
    max_bootstrapped_demos: usize,
    max_labeled_demos: usize,
    max_teacher_runs: Option<usize>,
    metric_threshold: Option<f64>,
    init_temperature: f64,
    concurrency: usize,
    max_errors: usize,
    track_stats: bool,
    share_known: bool,
    seed: u64,
    patience: Option<usize>,
    prefer_shorter: Option<f64>,
    metric_name: String,
    caps: Caps,
    prices: BTreeMap<String, TokenPrice>,
    checkpoint: Option<PathBuf>,
    checkpoint_overwrite: bool,
    observers: Vec<Arc<dyn Observer>>,
    trace_content: bool,
    stop: StopSignal,
    clock: Option<Clock>,
    outage_waits: Vec<Duration>,
    sleep: Sleep,
}

impl Default for MiproV2Builder {
    fn default() -> Self {
        Self {
            task_lm: None,
            prompt_lm: None,
            teacher: Teacher::default(),
            start: Candidate::default(),
            adapter: Arc::new(ChatAdapter),
            prompt_adapter: None,
            proposer: None,
            auto: None,
            num_candidates: None,
            num_trials: None,
            strategy: None,
            search: ReferenceSearch::default(),
            of_reference: BTreeSet::new(),
            max_bootstrapped_demos: 4,
            max_labeled_demos: 4,
            max_teacher_runs: None,
            metric_threshold: None,
            init_temperature: 1.0,
            concurrency: 8,
            max_errors: 10,
            track_stats: true,
            share_known: true,
            seed: 9,
            patience: None,
            prefer_shorter: None,
            metric_name: String::new(),
            caps: Caps::default(),
            prices: BTreeMap::new(),
            checkpoint: None,
            checkpoint_overwrite: false,
            observers: Vec::new(),
            trace_content: false,
            stop: StopSignal::new(),
            clock: None,
            outage_waits: [2, 10, 60].map(Duration::from_secs).to_vec(),
            sleep: Arc::new(sleep_on_a_thread),
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

    /// Starts from a candidate, such as the winner of an earlier run or a loaded program's, as if it were the program's own: it is
    /// the baseline, the first option of every choice, and what proposals are made from.
    pub fn start(mut self, candidate: Candidate) -> Self {
        self.start = candidate;
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
        self.of_reference.insert("num_trials");
        self.num_trials = Some(trials);
        self
    }

    /// How the combinations are searched; without it by [`Strategy::default`]. `num_trials`, `minibatch`, `minibatch_size`,
    /// `minibatch_full_eval_steps`, `trials_ahead`, `patience` and `prefer_shorter` are settings of the reference's search: they choose it
    /// where no strategy is named, and all but `num_trials` do not go with [`Strategy::Adaptive`]. The run's first line says which strategy runs, and why.
    pub fn strategy(mut self, strategy: Strategy) -> Self {
        if let Strategy::Reference(search) = strategy {
            self.search = search;
        }
        self.strategy = Some(strategy);
        self
    }

    /// Whether trials run on minibatches (default true).
    pub fn minibatch(mut self, yes: bool) -> Self {
        self.of_reference.insert("minibatch");
        self.search.minibatch = yes;
        self
    }

    /// Rows of a minibatch (default 35).
    pub fn minibatch_size(mut self, rows: usize) -> Self {
        self.of_reference.insert("minibatch_size");
        self.search.minibatch_size = rows;
        self
    }

    /// After how many minibatch trials the best candidate is evaluated in full (default 5).
    pub fn minibatch_full_eval_steps(mut self, trials: usize) -> Self {
        self.of_reference.insert("minibatch_full_eval_steps");
        self.search.minibatch_full_eval_steps = trials;
        self
    }

    /// How many evaluations of the schedule are at work at once (default 6). A trial is asked for when all but the last
    /// `trials_ahead - 1` before it are told; 1 is one after the other, as the reference does. Part of what a result depends
    /// on, whatever the concurrency.
    pub fn trials_ahead(mut self, trials: usize) -> Self {
        self.of_reference.insert("trials_ahead");
        self.search.trials_ahead = trials;
        self
    }

    /// Ends the search after this many full evaluations in a row that were not better than the best (default: never).
    pub fn patience(mut self, full_evaluations: usize) -> Self {
        self.of_reference.insert("patience");
        self.patience = Some(full_evaluations);
        self
    }

    /// Lets the candidate with the shortest prompt win among those whose full score is at most `margin` below the best and not
    /// below the baseline's; in `[0, 1]`, 0 for exact equals. Without it the best wins, the earliest among equals.
    pub fn prefer_shorter(mut self, margin: f64) -> Self {
        self.of_reference.insert("prefer_shorter");
        self.prefer_shorter = Some(margin);
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

    /// Most training rows that the teacher is run on. Without it as many as can be needed at the least and two fifths of the
    /// search's program runs: a teacher that hardly ever succeeds must not cost more than the search that its demos are for.
    pub fn max_teacher_runs(mut self, rows: usize) -> Self {
        self.max_teacher_runs = Some(rows);
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

    /// Whether what is known is never asked again (default true): rows of a candidate, runs of the teacher for several demo
    /// sets, and equal requests. `false` asks again, as the reference does: for comparisons with it.
    pub fn share_known(mut self, yes: bool) -> Self {
        self.share_known = yes;
        self
    }

    /// The metric's name, for the report and for the checkpoint, which refuses to go on under another one.
    pub fn metric_name(mut self, name: impl Into<String>) -> Self {
        self.metric_name = name.into();
        self
    }

    /// What the run may use of calls, tokens, money and time. When a cap is reached, the best program so far is the result.
    pub fn caps(mut self, caps: Caps) -> Self {
        self.caps = caps;
        self
    }

    /// What a model costs; by the name that [`Lm::model`] gives. A cap in USD needs the price of every model.
    pub fn price(mut self, model: impl Into<String>, price: TokenPrice) -> Self {
        self.prices.insert(model.into(), price);
        self
    }

    /// Keeps a checkpoint in this file: a run that was killed, stopped or broken off goes on from it when `compile` is called
    /// again with the same program, data, metric name, configuration and models. Answers that are in it are not asked for
    /// again. A finished checkpoint gives its result again, at no call. Prompts and keys are not in the file; models' answers
    /// are, and can repeat what they were shown.
    ///
    /// Every answer is handed to the system before it is used, so the end of the process loses none; the file is brought to
    /// the disk at the end of each trial and stage.
    pub fn checkpoint(mut self, path: impl Into<PathBuf>) -> Self {
        self.checkpoint = Some(path.into());
        self
    }

    /// Whether what stands at the checkpoint's path may be replaced (default false): the run then begins anew.
    pub fn checkpoint_overwrite(mut self, yes: bool) -> Self {
        self.checkpoint_overwrite = yes;
        self
    }

    /// How long is waited when a call fails as those to a provider that is away do (no connection, a time-out, a server's error,
    /// a rate limit). The first of these times the call waits by itself and is made again. Where it fails again and no other
    /// call was answered meanwhile, all calls pause for the next of these times, and so on; after the last, its row fails. Before
    /// anything was answered, a server that cannot be reached is waited for once: its address may be wrong. A server that says how
    /// long to wait is waited for as long, within the longest of these times.
    /// Default: 2, 10 and 60 seconds; none for no waiting.
    pub fn outage_waits(mut self, waits: impl IntoIterator<Item = Duration>) -> Self {
        self.outage_waits = waits.into_iter().collect();
        self
    }

    /// How a pause is spent; a thread that sleeps without one, so that any executor will do. Another is for simulated time.
    pub fn sleep(
        mut self,
        sleep: impl Fn(Duration) -> BoxFuture<'static, ()> + Send + Sync + 'static,
    ) -> Self {
        self.sleep = Arc::new(sleep);
        self
    }

    /// The clock by which times are measured and [`Caps::time`] is held: it says how long ago some fixed moment was. The
    /// system's monotonic clock without one; another is for simulated time. No result depends on it but a stop by time.
    pub fn clock(mut self, clock: impl Fn() -> Duration + Send + Sync + 'static) -> Self {
        self.clock = Some(Arc::new(clock));
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

    /// Whether the spans of calls hold prompts and answers (default false): `gen_ai.input.messages` and
    /// `gen_ai.output.messages`.
    #[cfg(feature = "tracing")]
    pub fn trace_content(mut self, yes: bool) -> Self {
        self.trace_content = yes;
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
        let (adaptive, strategy_because) = match self.strategy {
            Some(Strategy::Adaptive(search)) => (Some(search), "asked for".to_owned()),
            Some(Strategy::Reference(_)) => (None, "asked for".to_owned()),
            None if self.of_reference.is_empty() => {
                let adaptive = match Strategy::default() {
                    Strategy::Adaptive(search) => Some(search),
                    Strategy::Reference(_) => None,
                };
                (adaptive, "the default".to_owned())
            }
            None => {
                let names: Vec<String> = self.of_reference.iter().map(|name| format!("`{name}`")).collect();
                (None, format!("set by {}", names.join(", ")))
            }
        };
        if matches!(self.strategy, Some(Strategy::Adaptive(_))) {
            // Trials are a budget for both.
            let unused = self.of_reference.iter().filter(|name| **name != "num_trials");
            problems.extend(unused.map(|&name| ConfigProblem::OfReference { name }));
        }
        let program_runs = match adaptive.map(|search| search.program_runs) {
            Some(ProgramRuns::AtMost(runs)) => runs,
            _ => 1,
        };
        let counts = [
            ("num_candidates", self.num_candidates.unwrap_or(1)),
            ("num_trials", self.num_trials.unwrap_or(1)),
            ("minibatch_size", search.minibatch_size),
            ("minibatch_full_eval_steps", search.minibatch_full_eval_steps),
            ("trials_ahead", search.trials_ahead),
            ("patience", self.patience.unwrap_or(1)),
            ("program_runs", program_runs),
            ("chunks", adaptive.map_or(1, |search| search.chunks)),
            ("concurrency", self.concurrency),
        ];
        let zero = counts.iter().filter(|(_, count)| *count == 0);
        problems.extend(zero.map(|&(name, _)| ConfigProblem::Zero { name }));
        let ranges = [
            ("init_temperature", self.init_temperature, 2.0),
            ("metric_threshold", self.metric_threshold.unwrap_or(0.0), 1.0),
            ("require_improvement", adaptive.map_or(0.0, |search| search.require_improvement), 1.0),
            ("prefer_shorter", self.prefer_shorter.unwrap_or(0.0), 1.0),
        ];
        let outside = ranges.iter().filter(|(_, value, most)| !(0.0..=*most).contains(value));
        problems.extend(outside.map(|&(name, value, most)| ConfigProblem::OutOfRange { name, value, most }));
        if self.caps.usd.is_some_and(|usd| !usd.is_finite() || usd < 0.0) {
            let value = self.caps.usd.unwrap_or_default();
            problems.push(ConfigProblem::OutOfRange { name: "caps.usd", value, most: f64::MAX });
        }
        let bad = self.prices.iter().filter(|(_, price)| !price.is_valid());
        problems.extend(bad.map(|(model, _)| ConfigProblem::BadPrice { model: model.clone() }));
        let models = [&self.task_lm, &self.prompt_lm, &self.teacher.lm];
        let names: BTreeSet<&str> = models.into_iter().flatten().map(|lm| lm.model().as_str()).collect();
        if self.caps.usd.is_some() {
            let unknown = names.iter().filter(|name| !self.prices.contains_key(**name));
            problems.extend(unknown.map(|&name| ConfigProblem::UnknownPrice { model: name.to_owned() }));
        }
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
            start: self.start,
            prompt_adapter: self.prompt_adapter.unwrap_or_else(|| self.adapter.clone()),
            adapter: self.adapter,
            proposer: self.proposer.unwrap_or_else(|| Arc::new(GroundedProposer::default())),
            budget,
            search,
            adaptive,
            strategy_because,
            max_bootstrapped_demos: self.max_bootstrapped_demos,
            max_labeled_demos: self.max_labeled_demos,
            max_teacher_runs: self.max_teacher_runs,
            metric_threshold: self.metric_threshold,
            init_temperature: self.init_temperature,
            concurrency: self.concurrency,
            max_errors: self.max_errors,
            track_stats: self.track_stats,
            share_known: self.share_known,
            seed: self.seed,
            patience: self.patience,
            prefer_shorter: self.prefer_shorter,
            metric_name: self.metric_name,
            caps: self.caps,
            prices: self.prices,
            checkpoint: self.checkpoint.map(|path| Place::new(path, self.checkpoint_overwrite)),
            observers: self.observers,
            trace_content: self.trace_content,
            stop: self.stop,
            outage_waits: self.outage_waits,
            sleep: self.sleep,
            clock: self.clock.unwrap_or_else(|| {
                let origin = Instant::now();
                Arc::new(move || origin.elapsed())
            }),
        }))
    }
}
