//! [`Retry`]: repeats attempts that failed for a reason that passes.
//!
//! Only errors that say so ([`LmError::is_retryable`]: 429, 5xx, time-outs, connections) are tried again; a
//! refused key or an invalid request never is. Waits grow exponentially with jitter, and a wait that the
//! provider asks for is honoured. Deliberately absent: a budget shared between calls, and any knowledge of
//! HTTP.

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures::future::BoxFuture;
use teleprompt_core::lm::{Capabilities, Lm, LmError, LmErrorKind, LmRequest, LmResponse, ModelId};
use tokio::time::{Instant, sleep, timeout_at};

type Observer = Arc<dyn Fn(&RetryEvent<'_>) + Send + Sync>;

/// When and how often a failed attempt is repeated.
///
/// Before attempt `n + 1` (`n` counts from 1) the layer waits `initial * factor^(n - 1)`, at most `max_wait`,
/// shortened at random by up to the share `jitter`. A wait that the provider asks for replaces this one when
/// it is longer.
#[derive(Clone)]
#[non_exhaustive]
pub struct RetryPolicy {
    /// The most attempts of one call, the first included (6); 0 counts as 1.
    pub attempts: u32,
    /// The wait after the first failure (500 ms).
    pub initial: Duration,
    /// By how much each wait is longer than the one before (2).
    pub factor: f64,
    /// The longest wait that the layer chooses by itself (30 s).
    pub max_wait: Duration,
    /// The share of a wait that is random, in `[0, 1]` (0.5): calls that failed together do not return together.
    pub jitter: f64,
    /// The most time of one call, attempts and waits together (10 min).
    pub deadline: Duration,
    observer: Option<Observer>,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            attempts: 6,
            initial: Duration::from_millis(500),
            factor: 2.0,
            max_wait: Duration::from_secs(30),
            jitter: 0.5,
            deadline: Duration::from_secs(600),
            observer: None,
        }
    }
}

impl RetryPolicy {
    /// This policy with at most `n` attempts a call.
    #[must_use]
    pub fn attempts(mut self, n: u32) -> Self {
        self.attempts = n;
        self
    }

    /// This policy with these waits: the first, and the longest.
    #[must_use]
    pub fn waits(mut self, initial: Duration, max_wait: Duration) -> Self {
        (self.initial, self.max_wait) = (initial, max_wait);
        self
    }

    /// This policy with another share of randomness; 0 makes every wait exact.
    #[must_use]
    pub fn jitter(mut self, share: f64) -> Self {
        self.jitter = share;
        self
    }

    /// This policy with a total time for each call.
    #[must_use]
    pub fn deadline(mut self, limit: Duration) -> Self {
        self.deadline = limit;
        self
    }

    /// This policy, telling `observer` of every repeat before its wait begins. It must not block.
    #[must_use]
    pub fn on_retry(mut self, observer: impl Fn(&RetryEvent<'_>) + Send + Sync + 'static) -> Self {
        self.observer = Some(Arc::new(observer));
        self
    }

    /// The wait after failure number `n` (from 1), with `random` in `[0, 1)`.
    fn wait(&self, n: u32, random: f64, asked: Option<Duration>) -> Duration {
        let exponent = i32::try_from(n.saturating_sub(1)).unwrap_or(i32::MAX);
        let full = self.initial.as_secs_f64() * self.factor.max(1.0).powi(exponent);
        let full = full.min(self.max_wait.as_secs_f64());
        let own = Duration::try_from_secs_f64(full * (1.0 - self.jitter.clamp(0.0, 1.0) * random));
        let own = own.unwrap_or(self.max_wait);
        match asked {
            // Spread here too, but never earlier than asked.
            Some(asked) if asked >= own => {
                asked.saturating_add(self.initial.mul_f64(self.jitter.clamp(0.0, 1.0) * random))
            }
            _ => own,
        }
    }
}

impl fmt::Debug for RetryPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RetryPolicy")
            .field("attempts", &self.attempts)
            .field("initial", &self.initial)
            .field("factor", &self.factor)
            .field("max_wait", &self.max_wait)
            .field("jitter", &self.jitter)
            .field("deadline", &self.deadline)
            .field("observed", &self.observer.is_some())
            .finish()
    }
}

/// A repeat that is about to happen.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RetryEvent<'a> {
    /// Why the attempt failed; it names the model.
    pub error: &'a LmError,
    /// Which attempt failed, from 1.
    pub attempt: u32,
    /// The most attempts of this call.
    pub attempts: u32,
    /// How long the layer waits now.
    pub wait: Duration,
}

/// A model whose failed attempts are repeated.
///
/// # Errors
/// The error of the last attempt, with the number of attempts in its detail; a time-out when the deadline
/// passes during an attempt. When a wait would pass the deadline, the call fails at once.
///
/// # Determinism
/// Waits are random, answers are not: a repeat is the same request. Needs a `tokio` runtime with time.
pub struct Retry<L> {
    inner: L,
    policy: RetryPolicy,
    dice: Dice,
}

impl<L: Lm> Retry<L> {
    /// `inner`, repeated as `policy` says.
    pub fn new(inner: L, policy: RetryPolicy) -> Self {
        Self { inner, policy, dice: Dice::new() }
    }

    async fn call(&self, request: &LmRequest) -> Result<LmResponse, LmError> {
        let started = Instant::now();
        let deadline = started.checked_add(self.policy.deadline);
        let attempts = self.policy.attempts.max(1);
        let mut attempt = 1;
        let mut last: Option<LmError> = None;
        loop {
            let call = self.inner.generate(request);
            let outcome = match deadline {
                Some(at) => match timeout_at(at, call).await {
                    Ok(outcome) => outcome,
                    Err(_) => return Err(self.overdue(attempt, last)),
                },
                None => call.await,
            };
            let error = match outcome {
                Ok(response) => return Ok(response),
                Err(error) if !error.is_retryable() => return Err(error),
                Err(error) if attempt >= attempts => return Err(counted(error, attempt, "")),
                Err(error) => error,
            };
            let wait = self.policy.wait(attempt, self.dice.roll(), error.retry_after());
            if wait > self.policy.deadline.saturating_sub(started.elapsed()) {
                let why =
                    format!(", the next would be later than the deadline of {:?}", self.policy.deadline);
                return Err(counted(error, attempt, &why));
            }
            if let Some(observer) = &self.policy.observer {
                observer(&RetryEvent { error: &error, attempt, attempts, wait });
            }
            sleep(wait).await;
            last = Some(error);
            attempt += 1;
        }
    }

    fn overdue(&self, attempt: u32, last: Option<LmError>) -> LmError {
        let before = last.map(|error| format!("; the attempt before: {error}")).unwrap_or_default();
        let detail =
            format!("attempt {attempt} passed the deadline of {:?} for a call{before}", self.policy.deadline);
        LmError::new(self.inner.model().clone(), LmErrorKind::Timeout, detail)
    }
}

/// The error, saying how many attempts there were.
fn counted(mut error: LmError, attempts: u32, why: &str) -> LmError {
    if attempts > 1 || !why.is_empty() {
        let gap = if error.detail.is_empty() { "" } else { " " };
        error.detail = format!("{}{gap}(after {attempts} attempts{why})", error.detail);
    }
    error
}

impl<L: Lm> Lm for Retry<L> {
    fn model(&self) -> &ModelId {
        self.inner.model()
    }

    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    fn generate<'a>(&'a self, request: &'a LmRequest) -> BoxFuture<'a, Result<LmResponse, LmError>> {
        Box::pin(self.call(request))
    }
}

/// A small random source (SplitMix64) for jitter, which no result depends on.
struct Dice(AtomicU64);

impl Dice {
    fn new() -> Self {
        Self(AtomicU64::new(RandomState::new().hash_one(0_u8)))
    }

    /// A number in `[0, 1)`.
    fn roll(&self) -> f64 {
        const STEP: u64 = 0x9E37_79B9_7F4A_7C15;
        let mut z = self.0.fetch_add(STEP, Ordering::Relaxed).wrapping_add(STEP);
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::sync::Mutex;

    use super::*;

    /// Answers from a list, then hangs.
    struct Scripted(ModelId, Mutex<VecDeque<Result<LmResponse, LmErrorKind>>>, AtomicU64);

    impl Lm for Scripted {
        fn model(&self) -> &ModelId {
            &self.0
        }

        fn generate<'a>(&'a self, _: &'a LmRequest) -> BoxFuture<'a, Result<LmResponse, LmError>> {
            Box::pin(async move {
                self.2.fetch_add(1, Ordering::Relaxed);
                let next = self.1.lock().unwrap().pop_front();
                match next {
                    Some(outcome) => outcome.map_err(|kind| LmError::new(self.0.clone(), kind, "said so")),
                    None => futures::future::pending().await,
                }
            })
        }
    }

    const SERVER: LmErrorKind = LmErrorKind::Server { status: 500, retry_after: None };

    fn scripted(outcomes: Vec<Result<LmResponse, LmErrorKind>>, policy: RetryPolicy) -> Retry<Scripted> {
        Retry::new(Scripted(ModelId::new("m"), Mutex::new(outcomes.into()), AtomicU64::new(0)), policy)
    }

    async fn call(lm: &Retry<Scripted>) -> (Result<LmResponse, LmError>, Duration, u64) {
        let start = Instant::now();
        let outcome = lm.generate(&LmRequest::default()).await;
        (outcome, start.elapsed(), lm.inner.2.load(Ordering::Relaxed))
    }

    fn exact() -> RetryPolicy {
        RetryPolicy::default().jitter(0.0)
    }

    #[tokio::test(start_paused = true)]
    async fn waits_grow_and_are_reported() {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&seen);
        let policy = exact().on_retry(move |e| log.lock().unwrap().push((e.attempt, e.wait.as_millis())));
        let lm = scripted(vec![Err(SERVER), Err(LmErrorKind::Timeout), Ok(LmResponse::new("ok"))], policy);
        let (outcome, took, calls) = call(&lm).await;
        assert_eq!((outcome.unwrap().text.as_str(), took.as_millis(), calls), ("ok", 1_500, 3));
        assert_eq!(*seen.lock().unwrap(), [(1, 500), (2, 1_000)]);
    }

    #[tokio::test(start_paused = true)]
    async fn the_provider_s_wait_is_honoured() {
        let retry_after = Some(Duration::from_secs(7));
        for kind in
            [LmErrorKind::RateLimited { retry_after }, LmErrorKind::Server { status: 529, retry_after }]
        {
            let lm = scripted(vec![Err(kind), Ok(LmResponse::new("ok"))], exact());
            let (outcome, took, calls) = call(&lm).await;
            assert!(outcome.is_ok());
            assert_eq!((took.as_secs(), calls), (7, 2));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_cannot_pass_is_not_repeated() {
        for kind in [
            LmErrorKind::Auth,
            LmErrorKind::NotFound,
            LmErrorKind::InvalidRequest,
            LmErrorKind::Malformed,
            LmErrorKind::ContextOverflow { tokens: 2, limit: 1 },
            LmErrorKind::Stopped,
        ] {
            let lm = scripted(vec![Err(kind.clone()), Ok(LmResponse::new("no"))], exact());
            let (outcome, took, calls) = call(&lm).await;
            assert_eq!(outcome.unwrap_err().kind, kind);
            assert_eq!((took, calls), (Duration::ZERO, 1));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn attempts_are_limited_and_counted() {
        let lm = scripted(vec![Err(SERVER); 9], exact().attempts(3));
        let (outcome, _, calls) = call(&lm).await;
        assert_eq!(outcome.unwrap_err().to_string(), "m: server error 500: said so (after 3 attempts)");
        assert_eq!(calls, 3);
        assert_eq!(call(&scripted(vec![Err(SERVER); 9], exact().attempts(0))).await.2, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_ends_at_its_deadline() {
        // In an attempt: the second one hangs.
        let lm = scripted(vec![Err(SERVER)], exact().deadline(Duration::from_secs(20)));
        let (outcome, took, calls) = call(&lm).await;
        let error = outcome.unwrap_err();
        assert_eq!((&error.kind, took.as_secs(), calls), (&LmErrorKind::Timeout, 20, 2));
        assert!(error.detail.contains("server error 500"), "{error}");
        // In a wait: there is no point in waiting for it.
        let limited = LmErrorKind::RateLimited { retry_after: Some(Duration::from_secs(3_600)) };
        let lm = scripted(vec![Err(limited.clone())], exact());
        let (outcome, took, _) = call(&lm).await;
        assert_eq!((outcome.unwrap_err().kind, took), (limited, Duration::ZERO));
    }

    #[test]
    fn waits_stay_in_their_bounds() {
        let policy = RetryPolicy::default();
        for n in [1, 2, 5, 40, u32::MAX] {
            for random in [0.0, 0.5, 0.999] {
                let wait = policy.wait(n, random, None);
                assert!(wait >= policy.initial / 2 && wait <= policy.max_wait, "{n} {random} {wait:?}");
            }
        }
        let asked = Duration::from_secs(60);
        assert!(policy.wait(1, 0.9, Some(asked)) >= asked);
        let dice = Dice::new();
        assert!((0..1000).all(|_| (0.0..1.0).contains(&dice.roll())));
    }
}
