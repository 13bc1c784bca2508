//! Traces: what each predictor was given and answered during one run of a program.

use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use crate::candidate::PredictorName;
use crate::fields::Fields;

/// One call of a predictor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TraceStep {
    /// Which predictor.
    pub predictor: PredictorName,
    /// What it was given.
    pub inputs: Fields,
    /// What it answered.
    pub outputs: Fields,
}

/// The calls of one run, in the order in which they were begun.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Trace {
    /// The calls.
    pub steps: Vec<TraceStep>,
}

impl Trace {
    /// The calls of one predictor, ordered by their inputs, not by time: the same under any timing of concurrent calls.
    pub fn of(&self, predictor: &PredictorName) -> Vec<&TraceStep> {
        let mut steps: Vec<&TraceStep> =
            self.steps.iter().filter(|step| step.predictor == *predictor).collect();
        steps.sort_by_cached_key(|step| {
            serde_json::to_string(&(&step.inputs, &step.outputs)).unwrap_or_default()
        });
        steps
    }
}

/// Where a run writes its trace; shared by the clones of one [`crate::Ctx`].
#[derive(Debug, Default)]
pub(crate) struct Recorder {
    steps: Mutex<(u64, Vec<(u64, TraceStep)>)>,
}

impl Recorder {
    /// The place of a call that begins now.
    pub(crate) fn begin(&self) -> u64 {
        let mut steps = self.steps.lock().unwrap_or_else(PoisonError::into_inner);
        steps.0 += 1;
        steps.0
    }

    pub(crate) fn record(&self, place: u64, step: TraceStep) {
        self.steps.lock().unwrap_or_else(PoisonError::into_inner).1.push((place, step));
    }

    pub(crate) fn trace(&self) -> Trace {
        let mut steps = self.steps.lock().unwrap_or_else(PoisonError::into_inner).1.clone();
        steps.sort_by_key(|(place, _)| *place);
        Trace { steps: steps.into_iter().map(|(_, step)| step).collect() }
    }
}
