//! Traces: what each predictor was given and answered during one run of a program.

use std::fmt;
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use crate::candidate::PredictorName;
use crate::fields::Fields;
use crate::value::format_value;

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

/// A line for each call, and one for each of its fields.
impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, step) in self.steps.iter().enumerate() {
            writeln!(f, "{}. {}", i + 1, step.predictor)?;
            for (mark, fields) in [("<", &step.inputs), (">", &step.outputs)] {
                for (name, value) in fields.iter() {
                    writeln!(f, "   {mark} {name}: {}", format_value(value).replace('\n', "\n     "))?;
                }
            }
        }
        Ok(())
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
        let steps = &mut self.steps.lock().unwrap_or_else(PoisonError::into_inner).1;
        // Most programs make one call, and evaluations keep the traces of all rows.
        if steps.is_empty() {
            steps.reserve_exact(1);
        }
        steps.push((place, step));
    }

    /// Adds the calls of a run that was recorded elsewhere.
    pub(crate) fn absorb(&self, trace: Trace) {
        let place = self.begin();
        let steps = trace.steps.into_iter().map(|step| (place, step));
        self.steps.lock().unwrap_or_else(PoisonError::into_inner).1.extend(steps);
    }

    pub(crate) fn trace(&self) -> Trace {
        in_order(self.steps.lock().unwrap_or_else(PoisonError::into_inner).1.clone())
    }

    /// The trace, which is empty afterwards.
    pub(crate) fn take(&self) -> Trace {
        in_order(std::mem::take(&mut self.steps.lock().unwrap_or_else(PoisonError::into_inner).1))
    }
}

fn in_order(mut steps: Vec<(u64, TraceStep)>) -> Trace {
    steps.sort_by_key(|(place, _)| *place);
    Trace { steps: steps.into_iter().map(|(_, step)| step).collect() }
}
