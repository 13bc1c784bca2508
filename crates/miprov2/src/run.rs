//! What the stages of one run share: the program, its rows, and a context for each role.

use std::sync::Arc;

use teleprompt_core::lm::LmErrorKind;
use teleprompt_core::{
    CallRole, Ctx, Event, Example, LmError, Meter, Metric, NamedPredictor, PredictorName, Program, Stage,
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
        let meter = Arc::new(Meter::new());
        let permits = Arc::new(Semaphore::new(config.concurrency));
        let context = |lm: &Arc<dyn teleprompt_core::Lm>, role| {
            Ctx::new(Gate::wrap(lm.clone(), &permits, &config.stop))
                .with_adapter(config.adapter.clone())
                .with_meter(meter.clone())
                .with_role(role)
        };
        Ok(Self {
            task: context(&config.task_lm, CallRole::Task),
            teacher: context(config.teacher.lm.as_ref().unwrap_or(&config.task_lm), CallRole::Teacher),
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

/// Whether an error of the model is the run's own stop signal.
pub(crate) fn is_stop(error: &LmError) -> bool {
    matches!(error.kind, LmErrorKind::Stopped)
}
