//! The gate that every LM call of a run passes, whatever the model behind it.
//!
//! ```text
//!   request ─▶ answered before? ─▶ in the checkpoint? ─▶ limit ─▶ stopped? ─▶ caps ─▶ model ─▶ checkpoint ─▶ answer
//!                    └ in flight: wait for it
//! ```
//!
//! The same request in the same role is asked once a run. A call that has begun is never cut: its answer is paid for, and is
//! kept before it is used.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};
use teleprompt_core::lm::{Capabilities, LmError, LmErrorKind, LmRequest, LmResponse, ModelId, Usage};
use teleprompt_core::{CallRole, Event, Lm, Observer};

use crate::caps::{Purse, Spent};
use crate::checkpoint::{FailureKind, Journal, Known, Outcome, Record};
use crate::digest::Digest;
use crate::limit::Limit;
use crate::once::{Once, Turn};
use crate::spans::CallSpan;

/// Tells a run to end: no new LM call begins, those in flight are waited for, the best program so far is the result.
///
/// Clones are the same signal: give one to the builder and keep one for the Ctrl-C handler.
#[derive(Clone, Debug, Default)]
pub struct StopSignal(Arc<AtomicBool>);

impl StopSignal {
    /// A signal that has not been given.
    pub fn new() -> Self {
        Self::default()
    }

    /// Gives the signal.
    pub fn stop(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    /// Whether it was given.
    pub fn is_stopped(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

/// What all calls of a run share.
pub(crate) struct Shared {
    limit: Limit,
    stop: StopSignal,
    /// The error that ended the run: every further call gets it.
    halted: Mutex<Option<LmError>>,
    pub(crate) purse: Purse,
    answers: Once<Digest, LmResponse>,
    /// What earlier processes of the run were answered.
    kept: Mutex<BTreeMap<Digest, VecDeque<Outcome>>>,
    pub(crate) journal: Option<Journal>,
    /// Whether answers are shared between the parts of the schedule.
    share: bool,
    tally: Mutex<Tally>,
    outage: Outage,
    observers: Vec<Arc<dyn Observer>>,
    /// Whether prompts and answers are recorded in spans.
    trace_content: bool,
}

/// Waits for so long.
pub(crate) type Sleep = Arc<dyn Fn(Duration) -> BoxFuture<'static, ()> + Send + Sync>;

/// What the gate does when the models' provider is away: nothing begins for a while, then the calls that failed are made again.
pub(crate) struct Outage {
    /// How long, for each time that a call fails.
    waits: Vec<Duration>,
    sleep: Sleep,
    /// Held during a pause; the number of pauses so far.
    pauses: tokio::sync::Mutex<u64>,
    answered: AtomicU64,
}

impl Outage {
    pub(crate) fn new(waits: Vec<Duration>, sleep: Sleep) -> Self {
        let (pauses, answered) = Default::default();
        Self { waits, sleep, pauses, answered }
    }
}

/// Sleeping on a thread: on any executor, and rare enough for it.
pub(crate) fn sleep_on_a_thread(time: Duration) -> BoxFuture<'static, ()> {
    let (sender, receiver) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        std::thread::sleep(time);
        // Who has gone away needs no waking.
        let _ = sender.send(());
    });
    receiver.map(|_| ()).boxed()
}

/// What this process did for its run. Unlike everything else in a report it depends on timing and on what was known before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Tally {
    /// Calls of models.
    pub calls: u64,
    /// Calls that ended in an error.
    pub failed: u64,
    /// Answers taken from the checkpoint.
    pub resumed: u64,
    /// The most calls in flight at once.
    pub max_in_flight: u64,
    /// Mean time of a call, in milliseconds.
    pub mean_latency_ms: f64,
    #[serde(skip)]
    in_flight: u64,
}

impl Shared {
    pub(crate) fn new(
        concurrency: usize,
        stop: StopSignal,
        purse: Purse,
        (journal, known): (Option<Journal>, Known),
        share: bool,
        outage: Outage,
        (observers, trace_content): (Vec<Arc<dyn Observer>>, bool),
    ) -> Self {
        for (key, (paid, most)) in &known.paid {
            purse.add_known(*key, *paid, *most);
        }
        known.lost.values().flatten().for_each(|most| purse.add_lost(*most));
        Self {
            limit: Limit::new(concurrency),
            stop,
            halted: Mutex::new(None),
            purse,
            answers: Once::default(),
            kept: Mutex::new(known.outcomes),
            journal,
            share,
            tally: Mutex::default(),
            outage,
            observers,
            trace_content,
        }
    }

    /// No further call begins; each gets this error. The first reason stands; gives whether this is it.
    pub(crate) fn halt(&self, error: LmError) -> bool {
        let mut halted = self.halted.lock().unwrap_or_else(PoisonError::into_inner);
        let first = halted.is_none();
        halted.get_or_insert(error);
        first
    }

    fn emit(&self, event: &Event) {
        for observer in &self.observers {
            observer.on_event(event);
        }
    }

    /// Waits after a call has failed as those to a provider that is away do: by itself the first time; then, where no other call
    /// was answered while it was made again, with all calls. Gives whether the call should be made again.
    async fn pause(&self, error: &LmError, times: usize, answered: u64, pauses: u64) -> bool {
        let Some(wait) = self.outage.waits.get(times) else { return false };
        // A server that says how long it wants to be left alone is left alone, within the longest time that may be waited.
        let longest = self.outage.waits.iter().max().unwrap_or(wait);
        let wait = error.retry_after().unwrap_or_default().min(*longest).max(*wait);
        // What was never reached is rather a wrong address than a provider that is away for a while.
        let never = matches!(error.kind, LmErrorKind::Connection) && answered == 0;
        if never && times > 0 {
            return false;
        }
        let others = self.outage.answered.load(Ordering::SeqCst) != answered;
        if !error.is_retryable() || (times > 0 && others) {
            return false;
        }
        if self.stop.is_stopped() {
            // To be refused, not to be kept as a failure.
            return true;
        }
        self.emit(&Event::Retried {
            model: error.model.clone(),
            attempt: u32::try_from(times).unwrap_or(u32::MAX).saturating_add(1),
            seconds: wait.as_secs_f64(),
            message: error.to_string(),
        });
        if times == 0 {
            self.wait(wait).await;
            return true;
        }
        let mut paused = self.outage.pauses.lock().await;
        // Where the number has changed, another call has waited for both.
        if *paused == pauses {
            *paused += 1;
            self.emit(&Event::Paused { seconds: wait.as_secs_f64(), message: error.to_string() });
            self.wait(wait).await;
        }
        true
    }

    async fn wait(&self, time: Duration) {
        let mut left = time;
        while !left.is_zero() && !self.stop.is_stopped() {
            let slice = left.min(Duration::from_secs(1));
            (self.outage.sleep)(slice).await;
            left -= slice;
        }
    }

    /// What this process did so far.
    pub(crate) fn tally(&self) -> Tally {
        *self.locked_tally()
    }

    fn locked_tally(&self) -> MutexGuard<'_, Tally> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Why no call may begin, if so.
    fn refusal(&self, model: &ModelId) -> Option<LmError> {
        let stopped = |detail: String| LmError::new(model.clone(), LmErrorKind::Stopped, detail);
        if self.stop.is_stopped() {
            return Some(stopped(String::new()));
        }
        if let Some(broken) = self.journal.as_ref().and_then(Journal::broken) {
            return Some(stopped(broken.to_string()));
        }
        self.halted.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What an earlier process of the run was answered.
    fn kept(&self, key: &Digest) -> Option<Outcome> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let outcomes = kept.get_mut(key)?;
        let outcome = outcomes.pop_front();
        if outcomes.is_empty() {
            kept.remove(key);
        }
        outcome
    }
}

/// A model behind the gate, on behalf of one part of the schedule.
pub(crate) struct Gate {
    inner: Arc<dyn Lm>,
    role: CallRole,
    part: u64,
    shared: Arc<Shared>,
}

impl Gate {
    pub(crate) fn wrap(inner: Arc<dyn Lm>, role: CallRole, part: u64, shared: &Arc<Shared>) -> Arc<dyn Lm> {
        Arc::new(Self { inner, role, part, shared: shared.clone() })
    }

    async fn answer(&self, request: &LmRequest) -> Result<LmResponse, LmError> {
        let shared = &*self.shared;
        let scope = if shared.share { 0 } else { self.part + 1 };
        let key = Digest::of(&(scope, self.role, request));
        let lead = match shared.answers.turn(&key).await {
            Turn::Known(answer) => {
                shared.purse.note_use(self.part, key);
                return Ok(answer.into_cached());
            }
            Turn::Mine(lead) => lead,
        };
        let answer = match shared.kept(&key) {
            Some(Outcome::Failed(kind, detail)) => return Err(kind.error(self.model().clone(), detail)),
            Some(Outcome::Answer(answer)) => {
                shared.locked_tally().resumed += 1;
                answer
            }
            None => self.ask(request, key).await?,
        };
        shared.purse.note_use(self.part, key);
        lead.done(answer.clone());
        Ok(answer)
    }

    /// One call of the model, or several where its provider is away; the answer is kept before it is given.
    async fn ask(&self, request: &LmRequest, key: Digest) -> Result<LmResponse, LmError> {
        let _permit = self.shared.limit.acquire(self.part).await;
        if let Some(refusal) = self.shared.refusal(self.model()) {
            return Err(refusal);
        }
        let span = CallSpan::begin(self.model(), request, Some(self.role), self.shared.trace_content);
        let answer = span.around(self.attempts(request, key, &span)).await;
        span.end(answer.as_ref());
        answer
    }

    async fn attempts(
        &self,
        request: &LmRequest,
        key: Digest,
        span: &CallSpan,
    ) -> Result<LmResponse, LmError> {
        let outage = &self.shared.outage;
        let mut times = 0;
        loop {
            let pauses = *outage.pauses.lock().await;
            let answered = outage.answered.load(Ordering::SeqCst);
            let error = match self.attempt(request, key).await {
                Ok(answer) => {
                    outage.answered.fetch_add(1, Ordering::SeqCst);
                    return Ok(answer);
                }
                Err(error) => error,
            };
            if self.shared.pause(&error, times, answered, pauses).await {
                times += 1;
                span.retried(times);
                continue;
            }
            if let Some(kind) = FailureKind::of(&error.kind) {
                let detail = error.detail.clone();
                self.keep(&Record::Failed { key, role: self.role, kind, detail })?;
            }
            if error.is_fatal() && !error.is_stopped() {
                self.shared.halt(error.clone());
            }
            return Err(error);
        }
    }

    async fn attempt(&self, request: &LmRequest, key: Digest) -> Result<LmResponse, LmError> {
        let shared = &*self.shared;
        let model = self.model();
        if let Some(refusal) = shared.refusal(model) {
            return Err(refusal);
        }
        let reserved = match shared.purse.reserve(model, request).await {
            Ok(reserved) => reserved,
            Err(reason) => {
                let refusal = LmError::new(model.clone(), LmErrorKind::Stopped, reason.clone());
                if shared.halt(refusal.clone()) {
                    shared.emit(&Event::CapReached { reason });
                }
                return Err(refusal);
            }
        };
        if shared.purse.counts() {
            self.keep(&Record::Begun { key, most: reserved.most() })?;
        }
        let flight = Flight::begin(shared);
        let answer = self.inner.generate(request).await;
        flight.end(answer.is_err());
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) => {
                reserved.fail(self.part);
                return Err(error);
            }
        };
        let took = match (answer.cached, answer.usage == Usage::default()) {
            (true, _) => Spent::default(),
            // Nobody says what it took: as much as it may have.
            (false, true) => reserved.most(),
            (false, false) => shared.purse.cost(model, &answer.usage),
        };
        reserved.settle(key, took);
        self.keep(&Record::answer(key, self.role, &answer, took.nano_usd))?;
        Ok(answer)
    }

    fn keep(&self, record: &Record) -> Result<(), LmError> {
        let Some(journal) = &self.shared.journal else { return Ok(()) };
        journal
            .append(record)
            .map_err(|error| LmError::new(self.model().clone(), LmErrorKind::Stopped, error.to_string()))
    }
}

/// A call in flight, counted until it ends or is dropped.
struct Flight<'a> {
    shared: &'a Shared,
    began: Duration,
    ended: bool,
}

impl<'a> Flight<'a> {
    fn begin(shared: &'a Shared) -> Self {
        let mut tally = shared.locked_tally();
        tally.in_flight += 1;
        tally.max_in_flight = tally.max_in_flight.max(tally.in_flight);
        Self { shared, began: shared.purse.elapsed(), ended: false }
    }

    fn end(mut self, failed: bool) {
        self.ended = true;
        let took = self.shared.purse.elapsed().saturating_sub(self.began).as_secs_f64() * 1e3;
        let mut tally = self.shared.locked_tally();
        tally.in_flight -= 1;
        tally.calls += 1;
        tally.failed += u64::from(failed);
        tally.mean_latency_ms += (took - tally.mean_latency_ms) / tally.calls as f64;
    }
}

impl Drop for Flight<'_> {
    fn drop(&mut self) {
        if !self.ended {
            self.shared.locked_tally().in_flight -= 1;
        }
    }
}

impl Lm for Gate {
    fn model(&self) -> &ModelId {
        self.inner.model()
    }

    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    fn generate<'a>(&'a self, request: &'a LmRequest) -> BoxFuture<'a, Result<LmResponse, LmError>> {
        self.answer(request).boxed()
    }
}
