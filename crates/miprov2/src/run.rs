//! What the stages of one run share: the program, its rows, and a context for each role.

use std::sync::Arc;

use teleprompt_core::{
    CallRole, Ctx, Event, Example, METADATA, Meter, Metric, NamedPredictor, PredictorName, Program, Stage,
};
use tokio::sync::Semaphore;

use crate::config::Config;
use crate::error::OptimizeError;
use crate::gate::Gate;

/// One run of the optimizer. Nothing in it changes but the meter.
pub(crate) struct Run<'a> {
    pub(crate) config: &'a Config,
    pub(crate) program: &'a dyn Program,
    pub(crate) metric: &'a dyn Metric,
    /// The predictors that are optimized, in the program's order.
    pub(crate) names: Vec<PredictorName>,
    pub(crate) train: Vec<Example>,
    pub(crate) val: Vec<Example>,
    /// For the student, unbound.
    pub(crate) task: Ctx,
    /// For the teacher, unbound.
    pub(crate) teacher: Ctx,
    /// For the proposer.
    pub(crate) prompt: Ctx,
    pub(crate) meter: Arc<Meter>,
}

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
        let meter = Arc::new(Meter::new());
        let permits = Arc::new(Semaphore::new(config.concurrency.min(Semaphore::MAX_PERMITS)));
        let context = |lm: &Arc<dyn teleprompt_core::Lm>, role| {
            Ctx::new(Gate::wrap(lm.clone(), &permits, &config.stop))
                .with_adapter(config.adapter.clone())
                .with_meter(meter.clone())
                .with_role(role)
        };
        let task = context(&config.task_lm, CallRole::Task);
        let teacher_lm = config.teacher.lm.as_ref().unwrap_or(&config.task_lm);
        Ok(Self {
            teacher: context(teacher_lm, CallRole::Teacher).with_judge_lm(task.lm().clone()),
            task,
            prompt: context(&config.prompt_lm, CallRole::Prompt).with_adapter(config.prompt_adapter.clone()),
            config,
            program,
            metric,
            names,
            train,
            val,
            meter,
        })
    }

    /// The optimized predictors.
    pub(crate) fn predictors(&self) -> impl Iterator<Item = NamedPredictor<'_>> {
        self.program.predictors().into_iter().filter(|named| !named.frozen)
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
}
