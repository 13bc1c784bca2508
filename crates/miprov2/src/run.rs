//! What the parts of one run share: the program, its rows, the limits, and a context for each part and role.
//!
//! A run is a schedule of parts, numbered in the order in which they would run one after the other:
//!
//! ```text
//!   0 bootstrap    1 propose    2 the baseline    3.. trials and full evaluations    TEST the test rows
//! ```
//!
//! Parts overlap under one limit. The lower number goes first where calls wait, for the later parts wait for it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use teleprompt_core::lm::{LmError, LmErrorKind};
use teleprompt_core::{
    Bindings, CallCounts, CallRole, Ctx, Event, Example, METADATA, Meter, Metric, NamedPredictor,
    PredictorName, Program, Stage,
};

use crate::caps::Purse;
use crate::checkpoint::{Journal, Known, Record};
use crate::config::Config;
use crate::digest::Digest;
use crate::error::OptimizeError;
use crate::gate::{Gate, Outage, Shared};
use crate::limit::Limit;
use crate::spans::Spans;

/// The numbers of the parts.
pub(crate) mod part {
    pub(crate) const BOOTSTRAP: u64 = 0;
    pub(crate) const PROPOSE: u64 = 1;
    /// The baseline; the trials and full evaluations follow.
    pub(crate) const SEARCH: u64 = 2;
    pub(crate) const TEST: u64 = u64::MAX / 2;
}

/// The number of a stage's first part.
pub(crate) fn first_part(stage: Stage) -> u64 {
    match stage {
        Stage::Bootstrap => part::BOOTSTRAP,
        Stage::Propose => part::PROPOSE,
        Stage::Search => part::SEARCH,
        Stage::Test => part::TEST,
    }
}

/// One run of the optimizer.
pub(crate) struct Run<'a> {
    pub(crate) config: &'a Config,
    pub(crate) program: &'a dyn Program,
    pub(crate) metric: &'a dyn Metric,
    /// The predictors that are optimized, in the program's order.
    pub(crate) names: Vec<PredictorName>,
    pub(crate) train: Vec<Example>,
    pub(crate) val: Vec<Example>,
    /// Program runs in flight: as many as LM calls may be, so that programs that do other work are held too.
    pub(crate) rows: Limit,
    pub(crate) shared: Arc<Shared>,
    meters: BTreeMap<Stage, Arc<Meter>>,
    /// What counts of stages that a cap cut.
    cut: Mutex<BTreeMap<Stage, RoleCounts>>,
    pub(crate) spans: Spans,
    /// When stages began and ended, since the start.
    times: Mutex<BTreeMap<Stage, (Duration, Duration)>>,
    /// What an earlier process of the run found, to be compared with.
    found: Found,
}

/// What all calls of a run share.
fn shared(config: &Config, journal: Option<Journal>, known: Known) -> Arc<Shared> {
    let purse = Purse::new(config.caps, config.prices.clone(), config.clock.clone());
    let outage = Outage::new(config.outage_waits.clone(), config.sleep.clone());
    let (stop, watched) = (config.stop.clone(), (config.observers.clone(), config.trace_content));
    let kept = (journal, known);
    Arc::new(Shared::new(config.concurrency, stop, purse, kept, config.share_known, outage, watched))
}

/// What was asked, by role.
pub(crate) type RoleCounts = BTreeMap<CallRole, CallCounts>;

/// What an earlier process found.
#[derive(Debug, Default)]
struct Found {
    stages: BTreeMap<Stage, Digest>,
    trials: BTreeMap<usize, Digest>,
}

pub(crate) const STAGES: [Stage; 4] = [Stage::Bootstrap, Stage::Propose, Stage::Search, Stage::Test];

impl<'a> Run<'a> {
    pub(crate) fn new(
        config: &'a Config,
        program: &'a dyn Program,
        metric: &'a dyn Metric,
        (train, val): (Vec<Example>, Vec<Example>),
    ) -> Result<Self, OptimizeError> {
        let names: Vec<PredictorName> =
            program.predictors().into_iter().filter(|named| !named.frozen).map(|named| named.name).collect();
        if names.is_empty() {
            return Err(OptimizeError::NoPredictors);
        }
        if names.iter().any(|name| name.as_str() == METADATA) {
            return Err(OptimizeError::Reserved { name: METADATA });
        }
        Bindings::bind(program, &config.start)?;
        Ok(Self {
            shared: shared(config, None, Known::default()),
            rows: Limit::new(config.concurrency),
            meters: STAGES.into_iter().map(|stage| (stage, Arc::new(Meter::new()))).collect(),
            times: Mutex::default(),
            cut: Mutex::default(),
            spans: Spans::none(),
            found: Found::default(),
            config,
            program,
            metric,
            names,
            train,
            val,
        })
    }

    /// The same run, keeping a checkpoint and going on from what it holds.
    pub(crate) fn with_journal(mut self, journal: Journal, mut known: Known) -> Self {
        let answers = known.answers();
        self.found =
            Found { stages: std::mem::take(&mut known.stages), trials: std::mem::take(&mut known.trials) };
        self.shared = shared(self.config, Some(journal), known);
        if answers > 0 {
            self.emit(&Event::Resumed { answers: answers as u64 });
        }
        self
    }

    /// A context, without a candidate, for one part of the schedule.
    pub(crate) fn cx(&self, role: CallRole, stage: Stage, part: u64) -> Ctx {
        let config = self.config;
        let (lm, adapter) = match role {
            CallRole::Teacher => (config.teacher.lm.as_ref().unwrap_or(&config.task_lm), &config.adapter),
            CallRole::Prompt => (&config.prompt_lm, &config.prompt_adapter),
            _ => (&config.task_lm, &config.adapter),
        };
        let meter = self.meters.get(&stage).cloned().unwrap_or_default();
        Ctx::new(Gate::wrap(lm.clone(), role, part, &self.shared))
            .with_judge_lm(Gate::wrap(config.task_lm.clone(), CallRole::Judge, part, &self.shared))
            .with_adapter(adapter.clone())
            .with_meter(meter)
            .with_role(role)
    }

    /// What was asked, by stage and role.
    pub(crate) fn counts(&self) -> BTreeMap<Stage, RoleCounts> {
        let counts = STAGES.into_iter().map(|stage| (stage, self.counts_of(stage)));
        counts.filter(|(_, counts)| !counts.is_empty()).collect()
    }

    /// What was asked in a stage so far, by role.
    pub(crate) fn counts_of(&self, stage: Stage) -> RoleCounts {
        let cut = self.cut.lock().unwrap_or_else(PoisonError::into_inner);
        let metered = || self.meters.get(&stage).map(|meter| meter.counts());
        cut.get(&stage).cloned().or_else(metered).unwrap_or_default()
    }

    /// The optimized predictors.
    pub(crate) fn predictors(&self) -> impl Iterator<Item = NamedPredictor<'_>> {
        self.program.predictors().into_iter().filter(|named| !named.frozen)
    }

    /// No further call of the run begins; the first reason stands. Gives whether this is it.
    pub(crate) fn halt(&self, reason: &str) -> bool {
        let model = self.config.task_lm.model().clone();
        self.shared.halt(LmError::new(model, LmErrorKind::Stopped, reason))
    }

    /// A cap ends the run for this reason.
    pub(crate) fn cap(&self, reason: &str) {
        if self.halt(reason) {
            self.emit(&Event::CapReached { reason: reason.to_owned() });
        }
    }

    /// Leaves a stage that a cap cut out of the counts by stage: how far it came depends on timing.
    pub(crate) fn leave_out(&self, stage: Stage) {
        self.count_only(stage, RoleCounts::default());
    }

    /// A stage's counts are these: how far it came after them, until a cap cut it, depends on timing.
    pub(crate) fn count_only(&self, stage: Stage, counts: RoleCounts) {
        self.cut.lock().unwrap_or_else(PoisonError::into_inner).insert(stage, counts);
    }

    pub(crate) fn emit(&self, event: &Event) {
        for observer in &self.config.observers {
            observer.on_event(event);
        }
    }

    pub(crate) fn step(&self, stage: Stage) {
        self.emit(&Event::Step { stage });
    }

    pub(crate) fn warn(&self, message: impl Into<String>) -> String {
        let message = message.into();
        self.emit(&Event::Warning { message: message.clone() });
        message
    }

    /// A stage begins.
    pub(crate) fn begin(&self, stage: Stage, steps: u64) {
        let now = self.shared.purse.elapsed();
        self.times.lock().unwrap_or_else(PoisonError::into_inner).insert(stage, (now, now));
        self.emit(&Event::Stage { stage, steps });
    }

    /// A stage ended with this result, which is noted in the checkpoint. Gives a warning where an earlier process of the run
    /// had another result from the same answers.
    pub(crate) fn end(&self, stage: Stage, result: &impl serde::Serialize) -> Option<String> {
        let now = self.shared.purse.elapsed();
        if let Some((_, end)) = self.times.lock().unwrap_or_else(PoisonError::into_inner).get_mut(&stage) {
            *end = now;
        }
        self.emit(&Event::StageEnded { stage });
        self.spans.end(stage);
        let digest = Digest::of(result);
        let journal = self.shared.journal.as_ref()?;
        match self.found.stages.get(&stage) {
            Some(before) if *before == digest => None,
            Some(_) => Some(self.warn(format!(
                "the stage `{stage:?}` gave another result than before the run was resumed, from the same answers: the program or \
                 the metric depends on something else"
            ))),
            None => {
                self.note(journal, &Record::Stage { stage, digest });
                None
            }
        }
    }

    /// Notes a trial in the checkpoint; as [`Run::end`].
    pub(crate) fn end_trial(&self, trial: &crate::TrialRecord) -> Option<String> {
        let journal = self.shared.journal.as_ref()?;
        let digest = Digest::of(trial);
        match self.found.trials.get(&trial.number) {
            Some(before) if *before == digest => None,
            Some(_) => Some(self.warn(format!(
                "trial {} gave another result than before the run was resumed, from the same answers: the program or the metric \
                 depends on something else",
                trial.number
            ))),
            None => {
                let (number, kind, score) = (trial.number, trial.kind, trial.score);
                self.note(journal, &Record::Trial { number, kind, score, digest });
                None
            }
        }
    }

    /// Appends what is not an answer. An error here is kept by the journal, and ends the run at the next call.
    fn note(&self, journal: &Journal, record: &Record) {
        let _ = journal.append(record).and_then(|()| journal.sync());
    }

    /// The last line of the checkpoint.
    pub(crate) fn note_end(&self, how: &str) {
        if let Some(journal) = &self.shared.journal {
            self.note(journal, &Record::Ended { how: how.to_owned() });
        }
    }

    /// How long each stage took, from its begin to its end; they overlap.
    pub(crate) fn times(&self) -> BTreeMap<Stage, f64> {
        let times = self.times.lock().unwrap_or_else(PoisonError::into_inner);
        times.iter().map(|(stage, (begin, end))| (*stage, (*end - *begin).as_secs_f64())).collect()
    }
}
