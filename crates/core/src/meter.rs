//! What a run has asked of its models, by the role in which they were asked and by model.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use crate::lm::{LmResponse, ModelId, Usage};

/// In which role a model is asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum CallRole {
    /// Runs the program.
    #[default]
    Task,
    /// Runs the teacher while demos are bootstrapped.
    Teacher,
    /// Writes instructions.
    Prompt,
    /// Scores answers inside a metric.
    Judge,
}

impl fmt::Display for CallRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Task => "task",
            Self::Teacher => "teacher",
            Self::Prompt => "prompt",
            Self::Judge => "judge",
        })
    }
}

/// What was asked in one role.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct CallCounts {
    /// Requests made.
    pub requests: u64,
    /// Of these, answered from a cache or joined to an identical call in flight: nothing was paid for.
    pub cached: u64,
    /// Of these, ended in an error of the model.
    pub failed: u64,
    /// Of these, asked again in the fall-back form because the first answer could not be read.
    #[serde(skip_serializing_if = "is_zero")]
    pub fallbacks: u64,
    /// Of those answered and paid for, answers that did not say their tokens: `usage` and any cost lack them.
    #[serde(skip_serializing_if = "is_zero")]
    pub unmetered: u64,
    /// Tokens of the answers that were paid for.
    pub usage: Usage,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
fn is_zero(n: &u64) -> bool {
    *n == 0
}

impl CallCounts {
    /// LM calls that were answered and paid for.
    pub fn paid(&self) -> u64 {
        self.requests - self.cached - self.failed
    }
}

impl std::ops::AddAssign for CallCounts {
    fn add_assign(&mut self, other: Self) {
        self.requests += other.requests;
        self.cached += other.cached;
        self.failed += other.failed;
        self.fallbacks += other.fallbacks;
        self.unmetered += other.unmetered;
        self.usage += other.usage;
    }
}

/// What was asked of one model in one role.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelCalls {
    /// The role.
    pub role: CallRole,
    /// The model.
    pub model: ModelId,
    /// What was asked.
    #[serde(flatten)]
    pub counts: CallCounts,
}

/// Counts by role and model; shared by the clones of a [`crate::Ctx`].
#[derive(Debug, Default)]
pub struct Meter {
    counts: Mutex<BTreeMap<(CallRole, ModelId), CallCounts>>,
}

impl Meter {
    /// A meter at zero.
    pub fn new() -> Self {
        Self::default()
    }

    pub(crate) fn count(&self, role: CallRole, model: &ModelId, answer: Option<&LmResponse>) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = counts.entry((role, model.clone())).or_default();
        entry.requests += 1;
        match answer {
            None => entry.failed += 1,
            Some(answer) if answer.cached => entry.cached += 1,
            Some(answer) => {
                entry.unmetered += u64::from(answer.usage == Usage::default());
                entry.usage += answer.usage;
            }
        }
    }

    pub(crate) fn count_fallback(&self, role: CallRole, model: &ModelId) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts.entry((role, model.clone())).or_default().fallbacks += 1;
    }

    /// The counts so far, by role.
    pub fn counts(&self) -> BTreeMap<CallRole, CallCounts> {
        let mut by_role: BTreeMap<CallRole, CallCounts> = BTreeMap::new();
        for calls in self.by_model() {
            *by_role.entry(calls.role).or_default() += calls.counts;
        }
        by_role
    }

    /// The counts so far, by role and then by the name of the model.
    pub fn by_model(&self) -> Vec<ModelCalls> {
        let counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let calls = |((role, model), counts): (&(CallRole, ModelId), &CallCounts)| ModelCalls {
            role: *role,
            model: model.clone(),
            counts: *counts,
        };
        counts.iter().map(calls).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_counted_by_role_and_model() {
        let meter = Meter::new();
        let (small, large) = (ModelId::new("small"), ModelId::new("large"));
        let usage = Usage { input_tokens: 5, output_tokens: 9, reasoning_tokens: 7, ..Usage::default() };
        let paid = LmResponse::new("x").with_usage(usage);
        meter.count(CallRole::Task, &small, Some(&paid));
        meter.count(CallRole::Task, &small, Some(&paid.clone().into_cached()));
        meter.count(CallRole::Task, &large, Some(&LmResponse::new("says nothing of tokens")));
        meter.count(CallRole::Judge, &small, None);
        let found: Vec<_> =
            meter.by_model().into_iter().map(|c| (c.role, c.model, c.counts.paid())).collect();
        let expected =
            [(CallRole::Task, large, 1), (CallRole::Task, small.clone(), 1), (CallRole::Judge, small, 0)];
        assert_eq!(found, expected);
        let task = meter.counts()[&CallRole::Task];
        assert_eq!(task, CallCounts { requests: 3, cached: 1, unmetered: 1, usage, ..CallCounts::default() });
    }

    #[test]
    fn counts_written_before_a_field_was_there_are_read() {
        let text =
            r#"{"role":"task","model":"m","requests":3,"cached":1,"failed":0,"usage":{"input_tokens":4}}"#;
        let calls: ModelCalls = serde_json::from_str(text).unwrap();
        assert_eq!(
            (calls.counts.requests, calls.counts.unmetered, calls.counts.usage.input_tokens),
            (3, 0, 4)
        );
        assert!(!serde_json::to_string(&calls).unwrap().contains("unmetered"));
    }
}
