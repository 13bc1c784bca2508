//! What a run has asked of its models, by the role in which they were asked.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use crate::lm::{LmResponse, Usage};

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
    pub fallbacks: u64,
    /// Tokens of the answers that were paid for.
    pub usage: Usage,
}

impl CallCounts {
    /// LM calls that were answered and paid for.
    pub fn paid(&self) -> u64 {
        self.requests - self.cached - self.failed
    }
}

/// Counts by role; shared by the clones of a [`crate::Ctx`].
#[derive(Debug, Default)]
pub struct Meter {
    counts: Mutex<BTreeMap<CallRole, CallCounts>>,
}

impl Meter {
    /// A meter at zero.
    pub fn new() -> Self {
        Self::default()
    }

    pub(crate) fn count(&self, role: CallRole, answer: Option<&LmResponse>) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = counts.entry(role).or_default();
        entry.requests += 1;
        match answer {
            None => entry.failed += 1,
            Some(answer) if answer.cached => entry.cached += 1,
            Some(answer) => entry.usage += answer.usage,
        }
    }

    pub(crate) fn count_fallback(&self, role: CallRole) {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner).entry(role).or_default().fallbacks += 1;
    }

    /// The counts so far, by role.
    pub fn counts(&self) -> BTreeMap<CallRole, CallCounts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
