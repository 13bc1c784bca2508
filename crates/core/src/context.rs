//! The context of a run: which model, which adapter, which candidate, where the trace goes.
//!
//! A program is shared and never changed; everything that differs between two runs of it is in its [`Ctx`], which is
//! cheap to clone. Teacher and student, baseline and candidate, task and prompt model are only different contexts.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use crate::adapter::{Adapter, AdapterCall, AdapterError, ChatAdapter};
use crate::candidate::{Candidate, PredictorName, PredictorParams};
use crate::error::{BindError, Error};
use crate::fields::{Fields, FieldsError, Nearest};
use crate::history::{Exchange, History};
use crate::lm::{Lm, LmError, LmErrorKind, LmSettings};
use crate::meter::{CallRole, Meter};
use crate::module::Program;
use crate::predict::{Predictor, PredictorId};
use crate::trace::{Recorder, Trace, TraceStep};

/// The context of a run. Clones share the model, the meter and the trace.
#[derive(Clone)]
pub struct Ctx {
    lm: Arc<dyn Lm>,
    judge_lm: Option<Arc<dyn Lm>>,
    adapter: Arc<dyn Adapter>,
    fallback: Option<Arc<dyn Adapter>>,
    bindings: Arc<Bindings>,
    settings: LmSettings,
    role: CallRole,
    rollout: u64,
    meter: Arc<Meter>,
    recorder: Option<Arc<Recorder>>,
    history: Option<History>,
}

impl Ctx {
    /// A context that runs programs as they are on `lm`, with the chat adapter.
    pub fn new(lm: Arc<dyn Lm>) -> Self {
        Self {
            lm,
            judge_lm: None,
            adapter: Arc::new(ChatAdapter),
            fallback: None,
            bindings: Arc::default(),
            settings: LmSettings::default(),
            role: CallRole::default(),
            rollout: 0,
            meter: Arc::default(),
            recorder: None,
            history: None,
        }
    }

    /// The same context on another model.
    #[must_use]
    pub fn with_lm(mut self, lm: Arc<dyn Lm>) -> Self {
        self.lm = lm;
        self
    }

    /// The same context, giving metrics another model to judge with; without one they get this context's.
    #[must_use]
    pub fn with_judge_lm(mut self, lm: Arc<dyn Lm>) -> Self {
        self.judge_lm = Some(lm);
        self
    }

    /// The context that a metric gets: without a candidate or a trace, counting under [`CallRole::Judge`].
    pub(crate) fn judge(&self) -> Self {
        Self {
            fallback: self.fallback.clone(),
            history: self.history.clone(),
            ..Self::new(self.judge_lm.clone().unwrap_or_else(|| self.lm.clone()))
                .with_adapter(self.adapter.clone())
                .with_meter(self.meter.clone())
                .with_role(CallRole::Judge)
        }
    }

    /// The same context with another adapter.
    #[must_use]
    pub fn with_adapter(mut self, adapter: Arc<dyn Adapter>) -> Self {
        self.adapter = adapter;
        self
    }

    /// The same context, asking once more through another adapter when an answer cannot be read, such as
    /// [`crate::JsonAdapter`] behind the chat adapter. Without one, such an answer is an error.
    ///
    /// # Cost
    /// One more LM call for each answer that cannot be read; [`crate::CallCounts::fallbacks`] counts them.
    #[must_use]
    pub fn with_fallback(mut self, adapter: Arc<dyn Adapter>) -> Self {
        self.fallback = Some(adapter);
        self
    }

    /// The same context, keeping its exchanges with models in `history`.
    #[must_use]
    pub fn with_history(mut self, history: History) -> Self {
        self.history = Some(history);
        self
    }

    /// The same context with a candidate's instructions and demos. From here on, a call by a predictor that the program
    /// does not list is an error.
    #[must_use]
    pub fn with_bindings(mut self, bindings: Arc<Bindings>) -> Self {
        self.bindings = bindings;
        self
    }

    /// The same context for this program under this candidate: [`Ctx::with_bindings`] of [`Bindings::bind`].
    ///
    /// # Errors
    /// [`BindError`] names a predictor that the program lacks.
    pub fn bound(self, program: &dyn Program, candidate: &Candidate) -> Result<Self, BindError> {
        Ok(self.with_bindings(Arc::new(Bindings::bind(program, candidate)?)))
    }

    /// The same context with settings for calls whose predictor leaves them open.
    #[must_use]
    pub fn with_settings(mut self, settings: LmSettings) -> Self {
        self.settings = settings;
        self
    }

    /// The same context, counting its calls under another role.
    #[must_use]
    pub fn with_role(mut self, role: CallRole) -> Self {
        self.role = role;
        self
    }

    /// The same context, asking for another sample of every answer (0 is the first).
    #[must_use]
    pub fn with_rollout(mut self, rollout: u64) -> Self {
        self.rollout = rollout;
        self
    }

    /// The same context, counting on another meter.
    #[must_use]
    pub fn with_meter(mut self, meter: Arc<Meter>) -> Self {
        self.meter = meter;
        self
    }

    /// The same context with a new, empty trace: [`Ctx::trace`] gives what is called from here on.
    #[must_use]
    pub fn recording(mut self) -> Self {
        self.recorder = Some(Arc::default());
        self
    }

    /// The trace so far; empty unless [`Ctx::recording`].
    pub fn trace(&self) -> Trace {
        self.recorder.as_ref().map(|recorder| recorder.trace()).unwrap_or_default()
    }

    /// The trace of a run that has ended.
    pub(crate) fn into_trace(self) -> Trace {
        self.recorder.map(|recorder| recorder.take()).unwrap_or_default()
    }

    /// Adds the calls of a run that had a trace of its own.
    pub(crate) fn absorb(&self, trace: Trace) {
        if let Some(recorder) = &self.recorder {
            recorder.absorb(trace);
        }
    }

    /// Which sample of every answer is asked for.
    pub(crate) fn rollout(&self) -> u64 {
        self.rollout
    }

    /// The settings of calls whose predictor leaves them open.
    pub(crate) fn settings(&self) -> &LmSettings {
        &self.settings
    }

    /// The model.
    pub fn lm(&self) -> &Arc<dyn Lm> {
        &self.lm
    }

    /// The adapter.
    pub fn adapter(&self) -> &Arc<dyn Adapter> {
        &self.adapter
    }

    /// The calls counted so far.
    pub fn meter(&self) -> &Arc<Meter> {
        &self.meter
    }

    /// Runs one predictor: render, ask, count, read, record.
    ///
    /// # Errors
    /// [`Error`]: a missing input, the model's error, or an answer that cannot be read.
    ///
    /// # Cost
    /// One LM call; one more with a fall-back where the first answer cannot be read.
    ///
    /// Gives the outputs and the answer in which they stood.
    pub(crate) async fn call(
        &self,
        predictor: &Predictor,
        inputs: Fields,
    ) -> Result<(Fields, Answer), Error> {
        predictor.spec().check_inputs(&inputs)?;
        let (name, params) = self.bindings.resolve(predictor)?;
        let place = self.recorder.as_ref().map(|recorder| recorder.begin());
        let ask = |adapter| self.ask(adapter, predictor, name, params, &inputs);
        let (mut read, mut text) = ask(&*self.adapter).await?;
        if let (Err(_), Some(fallback)) = (&read, &self.fallback) {
            self.meter.count_fallback(self.role, self.lm.model());
            (read, text) = ask(&**fallback).await?;
        }
        let outputs = read.map_err(|source| Error::Adapter { predictor: name.clone(), source })?;
        if let (Some(recorder), Some(place)) = (&self.recorder, place) {
            let step = TraceStep { predictor: name.clone(), inputs, outputs: outputs.clone() };
            recorder.record(place, step);
        }
        Ok((outputs, Answer { predictor: name.clone(), text }))
    }

    /// One LM call through `adapter`: what was read, and the answer.
    async fn ask(
        &self,
        adapter: &dyn Adapter,
        predictor: &Predictor,
        name: &PredictorName,
        params: &PredictorParams,
        inputs: &Fields,
    ) -> Result<(Result<Fields, AdapterError>, String), Error> {
        let spec = predictor.spec();
        let instruction = params.instruction.clone().unwrap_or_else(|| spec.instruction());
        let call = AdapterCall {
            spec,
            instruction: &instruction,
            demos: params.demos.as_deref().unwrap_or_default(),
            inputs,
            capabilities: self.lm.capabilities(),
        };
        let request =
            adapter.render(&call).map_err(|source| Error::Adapter { predictor: name.clone(), source })?;
        let settings = predictor.settings().or(&self.settings).or(&request.settings);
        let request = request.with_settings(settings).with_rollout(self.rollout);
        if !call.capabilities.media && request.messages.iter().any(|message| message.media().next().is_some())
        {
            let detail = "this model takes text only, and the inputs hold media";
            return Err(LmError::new(self.lm.model().clone(), LmErrorKind::InvalidRequest, detail).into());
        }
        let begun = Instant::now();
        let answer = self.lm.generate(&request).await;
        // A call that the run refused because it ends was not made.
        if !answer.as_ref().is_err_and(LmError::is_stopped) {
            self.meter.count(self.role, self.lm.model(), answer.as_ref().ok());
        }
        let asked = answer.map(|answer| (adapter.parse(spec, &answer.text), answer));
        if let Some(history) = &self.history {
            history.push(Exchange {
                predictor: name.clone(),
                role: self.role,
                model: self.lm.model().clone(),
                adapter: adapter.name(),
                request: Arc::new(request),
                answer: asked.as_ref().map(|(_, answer)| answer.clone()).map_err(Clone::clone),
                outputs: asked.as_ref().ok().map(|(read, _)| read.clone()),
                latency: begun.elapsed(),
            });
        }
        let (read, answer) = asked?;
        Ok((read, answer.text))
    }
}

/// A model's answer to a predictor.
pub(crate) struct Answer {
    predictor: PredictorName,
    text: String,
}

impl Answer {
    /// The error that the answer's fields are not what the typed output takes.
    pub(crate) fn unfit(self, error: FieldsError) -> Error {
        match error {
            FieldsError::Type { field, source } => Error::Adapter {
                predictor: self.predictor,
                source: AdapterError::Value { field, source, answer: self.text },
            },
            other => Error::Fields(other),
        }
    }
}

/// A candidate resolved against a program: what each predictor of the program is called with.
///
/// The default binds nothing: predictors run with their own parameters.
#[derive(Clone, Debug, Default)]
pub struct Bindings {
    bound: Option<BTreeMap<PredictorId, (PredictorName, PredictorParams)>>,
}

impl Bindings {
    /// Resolves a candidate's names once.
    ///
    /// # Errors
    /// [`BindError`] names a predictor that the program lacks, with the nearest name.
    pub fn bind(program: &dyn Program, candidate: &Candidate) -> Result<Self, BindError> {
        let predictors = program.predictors();
        for (i, named) in predictors.iter().enumerate() {
            if predictors[..i].iter().any(|other| other.name == named.name) {
                return Err(BindError::SameName { name: named.name.clone() });
            }
        }
        for (name, _) in candidate.iter() {
            if !predictors.iter().any(|named| named.name == *name) {
                let nearest = Nearest::to(name.as_str(), predictors.iter().map(|named| named.name.as_str()));
                return Err(BindError::UnknownPredictor { name: name.clone(), nearest });
            }
        }
        let bound = predictors.into_iter().map(|named| {
            let given = candidate.get(named.name.as_str()).cloned().unwrap_or_default();
            let params = given.or(named.predictor.params());
            (named.predictor.id().clone(), (named.name, params))
        });
        Ok(Self { bound: Some(bound.collect()) })
    }

    fn resolve<'a>(
        &'a self,
        predictor: &'a Predictor,
    ) -> Result<(&'a PredictorName, &'a PredictorParams), Error> {
        match &self.bound {
            None => Ok((predictor.own_name(), predictor.params())),
            Some(bound) => bound
                .get(predictor.id())
                .map(|(name, params)| (name, params))
                .ok_or_else(|| Error::Unlisted { signature: predictor.spec().name().to_owned() }),
        }
    }
}
