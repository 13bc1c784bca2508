//! Faults on demand: a model around another that fails, garbles, cuts or waits where a test says so.
//!
//! ```text
//!   Faulty::new(inner).with(When::.., Fault::..).with(..)       the first rule that holds decides a call
//! ```
//!
//! What goes wrong depends on the count of calls or on the request, never on time. Waiting is done at a [`Gate`] that the
//! test opens, so that time-outs, cancellation and limits on calls in flight can be tested without sleeping.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};

use futures::FutureExt;
use futures::future::BoxFuture;
use teleprompt_core::lm::{Capabilities, FinishReason, LmErrorKind, ModelId};
use teleprompt_core::{Lm, LmError, LmRequest, LmResponse};

use crate::hash::Hash;

/// A model around another that has faults where rules say so: [`When`] says which calls, [`Fault`] what goes wrong.
///
/// The first rule that holds for a call decides it. Nothing depends on time; waiting is done at a [`Gate`].
///
/// ```
/// use futures::executor::block_on;
/// use teleprompt_core::lm::{LmErrorKind, Message};
/// use teleprompt_core::{Lm, LmRequest};
/// use teleprompt_testkit::{Fault, Faulty, ScriptedLm, When};
///
/// let lm = Faulty::new(ScriptedLm::new(|_: &LmRequest| "fine"))
///     .with(When::FirstAttempts(1), Fault::Error(LmErrorKind::Timeout));
/// let request = LmRequest::new(vec![Message::user("hello")]);
/// assert!(block_on(lm.generate(&request)).unwrap_err().is_retryable());
/// assert_eq!(block_on(lm.generate(&request)).unwrap().text, "fine");
/// ```
#[derive(Debug)]
pub struct Faulty<L> {
    inner: L,
    rules: Vec<(When, Fault)>,
    counts: Mutex<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    calls: u64,
    faults: u64,
    attempts: HashMap<u64, u64>,
}

/// Which calls a fault befalls.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum When {
    /// Every call.
    Always,
    /// The first so many calls.
    FirstCalls(u64),
    /// The calls number `n`, `2 n`, `3 n`, .. in the order in which they begin; 0 is never.
    EveryCall(u64),
    /// The first so many calls of each distinct request: what retries have to overcome.
    FirstAttempts(u64),
    /// About one distinct request in `n`, by a hash of the request, at each of its calls; 0 is never. Independent of the
    /// order of calls.
    OneRequestIn {
        /// One in how many.
        n: u64,
        /// Another seed, other requests.
        seed: u64,
    },
    /// Requests with this text in one of their messages.
    Prompt(String),
}

/// What goes wrong.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Fault {
    /// The call ends in this error; the model inside is not asked.
    Error(LmErrorKind),
    /// The answer is noise in no form at all.
    Garble,
    /// The answer is empty.
    Empty,
    /// The answer is cut in the middle and says so ([`FinishReason::Length`]).
    Cut,
    /// The call waits until the gate is open, then goes on as usual.
    Wait(Gate),
}

impl<L: Lm> Faulty<L> {
    /// `inner`, without faults so far.
    pub fn new(inner: L) -> Self {
        Self { inner, rules: Vec::new(), counts: Mutex::default() }
    }

    /// The same model with one more rule; the first rule that holds for a call decides it.
    #[must_use]
    pub fn with(mut self, when: When, fault: Fault) -> Self {
        self.rules.push((when, fault));
        self
    }

    /// The model inside.
    pub fn inner(&self) -> &L {
        &self.inner
    }

    /// Calls begun.
    pub fn calls(&self) -> u64 {
        self.counts().calls
    }

    /// Of the calls, those that a fault befell.
    pub fn faults(&self) -> u64 {
        self.counts().faults
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a call and finds its fault.
    fn fault(&self, request: &LmRequest) -> Option<&Fault> {
        let mut counts = self.counts();
        counts.calls += 1;
        let call = counts.calls;
        let attempts = counts.attempts.entry(Hash::new(0, "attempt").request(request).bits()).or_default();
        *attempts += 1;
        let attempt = *attempts;
        let holds = |when: &When| match when {
            When::Always => true,
            When::FirstCalls(n) => call <= *n,
            When::EveryCall(n) => *n > 0 && call.is_multiple_of(*n),
            When::FirstAttempts(n) => attempt <= *n,
            When::OneRequestIn { n, seed } => {
                *n > 0 && Hash::new(*seed, "fault").request(request).bits().is_multiple_of(*n)
            }
            When::Prompt(text) => request.messages.iter().any(|message| message.text().contains(text)),
        };
        let fault = self.rules.iter().find(|(when, _)| holds(when)).map(|(_, fault)| fault);
        counts.faults += u64::from(fault.is_some());
        fault
    }
}

impl<L: Lm> Lm for Faulty<L> {
    fn model(&self) -> &ModelId {
        self.inner.model()
    }

    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    fn generate<'a>(&'a self, request: &'a LmRequest) -> BoxFuture<'a, Result<LmResponse, LmError>> {
        async move {
            match self.fault(request) {
                None => self.inner.generate(request).await,
                Some(Fault::Error(kind)) => {
                    Err(LmError::new(self.model().clone(), kind.clone(), "a fault of the test"))
                }
                Some(Fault::Wait(gate)) => {
                    gate.pass().await;
                    self.inner.generate(request).await
                }
                Some(spoilt) => {
                    self.inner.generate(request).await.map(|answer| spoil(spoilt, answer, request))
                }
            }
        }
        .boxed()
    }
}

fn spoil(fault: &Fault, mut answer: LmResponse, request: &LmRequest) -> LmResponse {
    match fault {
        Fault::Garble => {
            answer.text = format!("~~ {:016x} ~~", Hash::new(0, "noise").request(request).bits());
        }
        Fault::Empty => answer.text.clear(),
        Fault::Cut => {
            let half = answer.text.chars().count() / 2;
            answer.text = answer.text.chars().take(half).collect();
            answer.finish = FinishReason::Length;
        }
        Fault::Error(_) | Fault::Wait(_) => {}
    }
    answer
}

/// Where calls wait until a test lets them go; clones are the same gate.
///
/// ```
/// use futures::FutureExt;
/// use teleprompt_testkit::Gate;
/// let gate = Gate::closed();
/// let mut call = Box::pin(gate.pass());
/// assert!((&mut call).now_or_never().is_none());
/// gate.open();
/// assert!(call.now_or_never().is_some());
/// ```
#[derive(Clone, Debug, Default)]
pub struct Gate(Arc<Mutex<GateState>>);

#[derive(Debug, Default)]
struct GateState {
    open: bool,
    next: u64,
    waiting: Vec<(u64, Waker)>,
}

impl Gate {
    /// A gate that is closed.
    pub fn closed() -> Self {
        Self::default()
    }

    fn state(&self) -> MutexGuard<'_, GateState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens the gate for good: all that wait go on.
    pub fn open(&self) {
        let waiting = {
            let mut state = self.state();
            state.open = true;
            std::mem::take(&mut state.waiting)
        };
        for (_, waker) in waiting {
            waker.wake();
        }
    }

    /// How many wait now.
    pub fn waiting(&self) -> usize {
        self.state().waiting.len()
    }

    /// Waits until the gate is open.
    pub async fn pass(&self) {
        let place = Place { gate: self, number: self.next_number() };
        std::future::poll_fn(|cx| {
            let mut state = self.state();
            if state.open {
                return Poll::Ready(());
            }
            match state.waiting.iter_mut().find(|(number, _)| *number == place.number) {
                Some((_, waker)) => waker.clone_from(cx.waker()),
                None => state.waiting.push((place.number, cx.waker().clone())),
            }
            Poll::Pending
        })
        .await;
    }

    fn next_number(&self) -> u64 {
        let mut state = self.state();
        state.next += 1;
        state.next
    }
}

/// A place in the queue before a gate, given up when the waiting future is dropped.
struct Place<'a> {
    gate: &'a Gate,
    number: u64,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.gate.state().waiting.retain(|(number, _)| *number != self.number);
    }
}

#[cfg(test)]
mod tests {
    use futures::executor::block_on;
    use futures::future::join;
    use teleprompt_core::lm::Message;

    use super::*;
    use crate::ScriptedLm;

    fn request(text: &str) -> LmRequest {
        LmRequest::new(vec![Message::user(text)])
    }

    fn echo() -> ScriptedLm {
        ScriptedLm::new(|request: &LmRequest| request.last_user_text())
    }

    #[test]
    fn rules_say_which_calls_fail() {
        let failed = |when: When| -> Vec<usize> {
            let lm = Faulty::new(echo()).with(when, Fault::Error(LmErrorKind::Timeout));
            let texts = ["a", "b", "a", "b", "a", "c"];
            (0..6).filter(|&i| block_on(lm.generate(&request(texts[i]))).is_err()).collect()
        };
        assert_eq!(failed(When::Always), [0, 1, 2, 3, 4, 5]);
        assert_eq!(failed(When::FirstCalls(2)), [0, 1]);
        assert_eq!(failed(When::EveryCall(3)), [2, 5]);
        assert_eq!(failed(When::FirstAttempts(1)), [0, 1, 5]);
        assert_eq!(failed(When::Prompt("b".into())), [1, 3]);
        assert_eq!(failed(When::EveryCall(0)), [0usize; 0]);
    }

    #[test]
    fn one_request_in_n_is_about_that() {
        let lm = Faulty::new(echo())
            .with(When::OneRequestIn { n: 4, seed: 1 }, Fault::Error(LmErrorKind::Connection));
        let failures = |lm: &Faulty<ScriptedLm>| -> Vec<u32> {
            (0..400).filter(|i| block_on(lm.generate(&request(&i.to_string()))).is_err()).collect()
        };
        let first = failures(&lm);
        assert!((60..140).contains(&first.len()), "{}", first.len());
        assert_eq!(failures(&lm), first);
        assert_eq!((lm.calls(), lm.faults()), (800, 2 * first.len() as u64));
    }

    #[test]
    fn answers_are_spoilt() {
        let answer = |fault: Fault| {
            let lm = Faulty::new(echo()).with(When::Always, fault);
            block_on(lm.generate(&request("äöüß"))).unwrap()
        };
        assert_eq!(answer(Fault::Empty).text, "");
        assert_eq!(
            (answer(Fault::Cut).text.as_str(), answer(Fault::Cut).finish),
            ("äö", FinishReason::Length)
        );
        assert!(answer(Fault::Garble).text.starts_with("~~ "));
    }

    #[test]
    fn a_gate_holds_calls_until_it_opens() {
        let gate = Gate::closed();
        let lm = Faulty::new(echo()).with(When::Prompt("slow".into()), Fault::Wait(gate.clone()));
        let (slow, other) = (request("slow"), request("other"));
        let mut held = lm.generate(&slow);
        assert!((&mut held).now_or_never().is_none());
        assert!((&mut held).now_or_never().is_none());
        assert_eq!(gate.waiting(), 1);
        assert_eq!(block_on(lm.generate(&other)).unwrap().text, "other");
        drop(held);
        assert_eq!(gate.waiting(), 0);
        let opened = async {
            gate.open();
        };
        assert_eq!(block_on(join(lm.generate(&slow), opened)).0.unwrap().text, "slow");
    }
}
