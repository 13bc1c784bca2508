//! What a model of this crate was asked: how often, what, and how many calls at once.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use teleprompt_core::LmRequest;

/// How many requests are kept unless a test says otherwise.
pub(crate) const DEFAULT_KEEP: usize = 1024;

/// The calls that a model has had. Every number counts from the model's making.
#[derive(Debug)]
pub struct CallLog {
    keep: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    calls: u64,
    finished: u64,
    in_flight: usize,
    max_in_flight: usize,
    requests: VecDeque<LmRequest>,
}

impl CallLog {
    /// An empty log that keeps the last `keep` requests.
    pub(crate) fn keeping(keep: usize) -> Self {
        Self { keep, state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Calls begun: futures that were polled at least once.
    pub fn calls(&self) -> u64 {
        self.state().calls
    }

    /// Calls that came to an answer or an error; the rest are in flight or were dropped.
    pub fn finished(&self) -> u64 {
        self.state().finished
    }

    /// Calls begun and neither finished nor dropped.
    pub fn in_flight(&self) -> usize {
        self.state().in_flight
    }

    /// The most calls that were in flight at one time.
    pub fn max_in_flight(&self) -> usize {
        self.state().max_in_flight
    }

    /// The last requests, in the order in which their calls began; 1024 of them unless the model was told otherwise.
    pub fn requests(&self) -> Vec<LmRequest> {
        self.state().requests.iter().cloned().collect()
    }

    /// Notes that a call begins; it ends when what is returned is dropped.
    pub(crate) fn begin(&self, request: &LmRequest) -> InFlight<'_> {
        let mut state = self.state();
        state.calls += 1;
        state.in_flight += 1;
        state.max_in_flight = state.max_in_flight.max(state.in_flight);
        if self.keep > 0 {
            if state.requests.len() == self.keep {
                state.requests.pop_front();
            }
            state.requests.push_back(request.clone());
        }
        drop(state);
        InFlight { log: self }
    }
}

/// A call in flight.
#[derive(Debug)]
pub(crate) struct InFlight<'a> {
    log: &'a CallLog,
}

impl InFlight<'_> {
    /// Notes that the call came to its end, rather than being dropped on the way.
    pub(crate) fn finish(self) {
        self.log.state().finished += 1;
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.log.state().in_flight -= 1;
    }
}
