//! Spans without the feature `tracing`: nothing.

use teleprompt_core::lm::{LmError, LmRequest, LmResponse, ModelId};
use teleprompt_core::{CallRole, Stage};

/// The spans of a run.
pub(crate) struct Spans;

/// A span that other work runs in.
#[derive(Clone)]
pub(crate) struct Scope;

/// The span of a call.
pub(crate) struct CallSpan;

impl Spans {
    pub(crate) fn none() -> Self {
        Self
    }

    pub(crate) fn begin() -> Self {
        Self
    }

    pub(crate) fn run(&self) -> Scope {
        Scope
    }

    pub(crate) fn stage(&self, _: Stage) -> Scope {
        Scope
    }

    pub(crate) fn end(&self, _: Stage) {}
}

impl Scope {
    pub(crate) fn evaluation(&self, _: u64, _: usize) -> Self {
        Self
    }

    pub(crate) fn around<F: Future>(self, work: F) -> F {
        work
    }
}

impl CallSpan {
    pub(crate) fn begin(_: &ModelId, _: &LmRequest, _: Option<CallRole>, _: bool) -> Self {
        Self
    }

    pub(crate) fn around<F: Future>(&self, call: F) -> F {
        call
    }

    pub(crate) fn retried(&self, _: usize) {}

    pub(crate) fn end(&self, _: Result<&LmResponse, &LmError>) {}
}
