//! [`Limiter`]: the pace that a provider allows, shared by all users of a model.
//!
//! ```text
//!   call ─▶ queue (first come, first served) ─▶ place free? requests and tokens left? ─▶ model
//!                                                     ▲                                   │
//!                                                     └──── slower on 429, faster on success
//! ```
//!
//! Requests are spread evenly over the minute instead of sent in one burst; tokens are reserved by an estimate
//! and corrected by what the answer says. After a 429 nothing starts for the time that the provider asks for,
//! and the pace halves; each success brings a little of it back. Deliberately absent: the provider's own
//! counters, which differ from one to the next, and retries.

mod pace;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::future::BoxFuture;
use teleprompt_core::lm::{Capabilities, Lm, LmError, LmErrorKind, LmRequest, LmResponse, ModelId};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use pace::{State, Wait};

/// What a provider allows; `None` means no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// The most calls at the same time.
    pub in_flight: Option<u32>,
    /// The most calls that begin in a minute.
    pub requests_per_minute: Option<u32>,
    /// The most tokens in a minute, prompts and completions together.
    pub tokens_per_minute: Option<u32>,
}

impl Limits {
    /// These limits with at most `n` calls at the same time; 0 counts as 1.
    #[must_use]
    pub fn in_flight(mut self, n: u32) -> Self {
        self.in_flight = Some(n.max(1));
        self
    }

    /// These limits with at most `n` calls a minute; 0 counts as 1.
    #[must_use]
    pub fn requests_per_minute(mut self, n: u32) -> Self {
        self.requests_per_minute = Some(n.max(1));
        self
    }

    /// These limits with at most `n` tokens a minute; 0 counts as 1.
    #[must_use]
    pub fn tokens_per_minute(mut self, n: u32) -> Self {
        self.tokens_per_minute = Some(n.max(1));
        self
    }
}

/// The pace of one account or server; clones share it.
///
/// ```
/// use teleprompt_lm::layers::limit::{Limiter, Limits};
/// use teleprompt_lm::CompatibleLm;
/// let limiter = Limiter::new(Limits::default().in_flight(16).requests_per_minute(500));
/// let server = CompatibleLm::builder("http://localhost:8000/v1");
/// // Two models of one account keep one limit together.
/// let small = limiter.wrap(server.clone().model("small").build().unwrap());
/// let large = limiter.wrap(server.model("large").build().unwrap());
/// assert_eq!(limiter.pace(), 1.0);
/// ```
#[derive(Clone)]
pub struct Limiter(Arc<Shared>);

struct Shared {
    limits: Limits,
    state: Mutex<State>,
    /// The queue: whoever holds it is next, the others wait for it in order.
    turn: tokio::sync::Mutex<()>,
    /// Told whenever a place is given back.
    freed: Notify,
}

impl Limiter {
    /// A pace of its own with these limits.
    pub fn new(limits: Limits) -> Self {
        Self(Arc::new(Shared {
            limits,
            state: Mutex::new(State::new()),
            turn: tokio::sync::Mutex::new(()),
            freed: Notify::new(),
        }))
    }

    /// `lm` at this pace.
    pub fn wrap(&self, lm: impl Lm + 'static) -> LimitedLm {
        LimitedLm { inner: Arc::new(lm), limiter: self.clone() }
    }

    /// The present share of the full pace, in `[1/32, 1]`: below 1 after a 429.
    pub fn pace(&self) -> f64 {
        self.0.locked().pace
    }

    /// Waits for a place. Dropping the future leaves the queue.
    async fn enter(&self, tokens: f64) -> Place {
        let shared = &self.0;
        let _turn = shared.turn.lock().await;
        loop {
            let wait = match shared.locked().enter(&shared.limits, tokens, Instant::now()) {
                Ok(()) => return Place { shared: Arc::clone(shared), tokens, began: Instant::now() },
                Err(wait) => wait,
            };
            match wait {
                Wait::Until(at) => sleep_until(at).await,
                Wait::ForPlace => shared.freed.notified().await,
            }
        }
    }
}

impl fmt::Debug for Limiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Limiter").field("limits", &self.0.limits).field("pace", &self.pace()).finish()
    }
}

impl Shared {
    fn locked(&self) -> MutexGuard<'_, State> {
        // The state is whole after every statement, so a panic elsewhere does not spoil it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A call's place, given back when it is dropped.
struct Place {
    shared: Arc<Shared>,
    tokens: f64,
    began: Instant,
}

impl Place {
    /// What the answer says about the pace and the tokens.
    fn settle(&self, outcome: &Result<LmResponse, LmError>) {
        let mut state = self.shared.locked();
        match outcome {
            Ok(answer) => {
                state.speed_up();
                let used = answer.usage.input_tokens + answer.usage.output_tokens;
                if used > 0 {
                    state.tokens += self.tokens - used as f64;
                }
            }
            Err(error) => {
                // An overloaded server that asks for a pause is told apart from a limit by its status alone.
                if matches!(error.kind, LmErrorKind::RateLimited { .. }) || error.retry_after().is_some() {
                    state.slow_down(self.began, Instant::now(), error.retry_after());
                }
            }
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = self.shared.locked();
        state.in_flight = state.in_flight.saturating_sub(1);
        drop(state);
        self.shared.freed.notify_one();
    }
}

/// A model at the pace of a [`Limiter`].
///
/// # Errors
/// Those of the model; the limiter makes calls wait and never refuses one.
///
/// # Determinism
/// When a call begins depends on time, its answer does not. Needs a `tokio` runtime with time.
#[derive(Clone)]
pub struct LimitedLm {
    inner: Arc<dyn Lm>,
    limiter: Limiter,
}

impl Lm for LimitedLm {
    fn model(&self) -> &ModelId {
        self.inner.model()
    }

    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    fn generate<'a>(&'a self, request: &'a LmRequest) -> BoxFuture<'a, Result<LmResponse, LmError>> {
        Box::pin(async move {
            let place = self.limiter.enter(expected_tokens(request)).await;
            let outcome = self.inner.generate(request).await;
            place.settle(&outcome);
            outcome
        })
    }
}

/// A guess at the tokens of a call: four bytes each for the prompt, and a quarter of what the completion may
/// have (256 where that is open).
fn expected_tokens(request: &LmRequest) -> f64 {
    let bytes: usize = request.messages.iter().map(|message| message.text().len()).sum();
    let completion = request.settings.max_tokens.map_or(256.0, |most| f64::from(most) / 4.0);
    bytes as f64 / 4.0 + completion * f64::from(request.settings.n.unwrap_or(1))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::time::Duration;

    use futures::future::join_all;
    use teleprompt_core::lm::{Message, Usage};
    use tokio::time::sleep;

    use super::*;

    /// Takes a second a call; refuses as many first calls as told; knows the most calls at a time.
    struct Busy {
        id: ModelId,
        now: AtomicU32,
        most: AtomicU32,
        refuse: AtomicU32,
        begun: Mutex<Vec<Instant>>,
    }

    impl Busy {
        fn new(refuse: u32) -> Arc<Self> {
            let (now, most) = (AtomicU32::new(0), AtomicU32::new(0));
            let refuse = AtomicU32::new(refuse);
            Arc::new(Self { id: ModelId::new("m"), now, most, refuse, begun: Mutex::default() })
        }
    }

    impl Lm for Busy {
        fn model(&self) -> &ModelId {
            &self.id
        }

        fn generate<'a>(&'a self, _: &'a LmRequest) -> BoxFuture<'a, Result<LmResponse, LmError>> {
            Box::pin(async move {
                self.begun.lock().unwrap().push(Instant::now());
                let now = self.now.fetch_add(1, Ordering::Relaxed) + 1;
                self.most.fetch_max(now, Ordering::Relaxed);
                sleep(Duration::from_secs(1)).await;
                self.now.fetch_sub(1, Ordering::Relaxed);
                let left = self.refuse.load(Ordering::Relaxed);
                if left > 0 {
                    self.refuse.store(left - 1, Ordering::Relaxed);
                    let kind = LmErrorKind::RateLimited { retry_after: Some(Duration::from_secs(5)) };
                    return Err(LmError::new(self.id.clone(), kind, ""));
                }
                let usage = Usage { input_tokens: 900, output_tokens: 100, ..Usage::default() };
                Ok(LmResponse::new("ok").with_usage(usage))
            })
        }
    }

    fn request() -> LmRequest {
        LmRequest::new(vec![Message::user("x".repeat(2_976))])
    }

    async fn run(lm: &LimitedLm, calls: usize) -> Duration {
        let (start, request) = (Instant::now(), request());
        join_all((0..calls).map(|_| lm.generate(&request))).await;
        start.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn calls_at_the_same_time_are_limited() {
        let model = Busy::new(0);
        let lm = Limiter::new(Limits::default().in_flight(4)).wrap(Arc::clone(&model));
        assert_eq!(run(&lm, 20).await.as_secs(), 5);
        assert_eq!(model.most.load(Ordering::Relaxed), 4);
    }

    #[tokio::test(start_paused = true)]
    async fn requests_are_spread_over_the_minute() {
        let model = Busy::new(0);
        let lm = Limiter::new(Limits::default().requests_per_minute(60)).wrap(Arc::clone(&model));
        let took = run(&lm, 31).await;
        assert!((30..=32).contains(&took.as_secs()), "{took:?}");
        let begun = model.begun.lock().unwrap();
        let gaps = begun.windows(2).map(|pair| pair[1] - pair[0]);
        assert!(gaps.into_iter().all(|gap| gap >= Duration::from_millis(899)));
    }

    #[tokio::test(start_paused = true)]
    async fn tokens_are_counted_as_they_turn_out() {
        let model = Busy::new(0);
        // 1,000 tokens a call, at 1,000 a second, with 10,000 at once.
        let lm = Limiter::new(Limits::default().tokens_per_minute(60_000)).wrap(Arc::clone(&model));
        let took = run(&lm, 40).await;
        assert!((30..=32).contains(&took.as_secs()), "{took:?}");
        // One that is larger than what may be spent at once still begins.
        let lm = Limiter::new(Limits::default().tokens_per_minute(600)).wrap(model);
        assert!(run(&lm, 1).await.as_secs() <= 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_429_pauses_all_and_the_pace_recovers() {
        let model = Busy::new(3);
        let limiter = Limiter::new(Limits::default().in_flight(8));
        let lm = limiter.wrap(Arc::clone(&model));
        run(&lm, 3).await;
        assert_eq!(limiter.pace(), 0.5, "three refusals of one moment count once");
        let start = Instant::now();
        run(&lm, 1).await;
        assert_eq!(start.elapsed().as_secs(), 6, "5 s as asked for, and the call");
        model.most.store(0, Ordering::Relaxed);
        run(&lm, 4).await;
        assert!(model.most.load(Ordering::Relaxed) <= 5);
        run(&lm, 64).await;
        assert_eq!(limiter.pace(), 1.0);
    }

    #[tokio::test(start_paused = true)]
    async fn who_leaves_the_queue_takes_no_place() {
        let model = Busy::new(0);
        let lm = Limiter::new(Limits::default().in_flight(1)).wrap(Arc::clone(&model));
        let request = request();
        let mut calls: Vec<_> = (0..4).map(|_| lm.generate(&request)).collect();
        for call in &mut calls {
            assert!(futures::poll!(call).is_pending());
        }
        // The one that runs, and the first of the queue.
        drop(calls.drain(..2));
        join_all(calls).await;
        assert_eq!(model.begun.lock().unwrap().len(), 3);
    }
}
