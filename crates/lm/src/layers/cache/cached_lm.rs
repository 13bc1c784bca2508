//! [`CachedLm`]: a model behind a cache, and the joining of identical calls in flight.
//!
//! Callers of one request share one future. Whoever is left drives it, so it does not matter which of them
//! goes away; when all have gone, the call ends. Nothing is spawned, and no executor is assumed.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use futures::FutureExt;
use futures::future::{BoxFuture, Shared, WeakShared};
use teleprompt_core::lm::{Capabilities, Lm, LmError, LmRequest, LmResponse, ModelId};

use super::{Key, Shelf, key, locked};

/// A model with a [`Cache`](super::Cache) in front of it.
///
/// # Errors
/// Those of the model, and [`LmErrorKind::Storage`](teleprompt_core::lm::LmErrorKind::Storage) as described in
/// the [module](super). Callers that joined a call receive its error.
///
/// # Cost
/// A known answer costs a lookup (tens of microseconds), no LM call.
///
/// # Determinism
/// Within one file every request has one answer, whoever asks: the first that was written, until it is evicted.
/// [`LmResponse::cached`] is false for exactly one caller of each call to the model.
#[derive(Clone)]
pub struct CachedLm {
    inner: Arc<dyn Lm>,
    shelf: Arc<Shelf>,
    flights: Arc<Flights>,
}

/// What a call came to, and whether the model was asked for it.
type Outcome = Result<(LmResponse, bool), LmError>;

type Call = Shared<BoxFuture<'static, Outcome>>;

/// The calls that are being answered.
type Flights = Mutex<HashMap<Key, Flight>>;

struct Flight {
    call: WeakShared<BoxFuture<'static, Outcome>>,
    /// Set by the first caller that receives an answer the model was asked for: that one pays.
    paid: Arc<AtomicBool>,
}

impl CachedLm {
    pub(super) fn new(inner: Arc<dyn Lm>, shelf: Arc<Shelf>) -> Self {
        Self { inner, shelf, flights: Arc::default() }
    }

    /// Joins the call in flight for `key`, or begins it.
    ///
    /// Callers share one future: whoever is left drives it, and it ends early only when all have gone.
    fn board(&self, key: Key, request: &LmRequest) -> (Ticket, Call) {
        let ticket = |paid| Ticket { flights: Arc::clone(&self.flights), key, paid };
        let mut flights = locked(&self.flights);
        if let Some(flight) = flights.get(&key)
            && let Some(call) = flight.call.upgrade().filter(|call| call.peek().is_none())
        {
            self.shelf.joined.fetch_add(1, Ordering::Relaxed);
            return (ticket(Arc::clone(&flight.paid)), call);
        }
        let answer = Arc::clone(&self.shelf).answer(Arc::clone(&self.inner), key, request.clone());
        let call = answer.boxed().shared();
        let paid = Arc::new(AtomicBool::new(false));
        if let Some(weak) = call.downgrade() {
            flights.insert(key, Flight { call: weak, paid: Arc::clone(&paid) });
        }
        (ticket(paid), call)
    }
}

impl Lm for CachedLm {
    fn model(&self) -> &ModelId {
        self.inner.model()
    }

    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    fn generate<'a>(&'a self, request: &'a LmRequest) -> BoxFuture<'a, Result<LmResponse, LmError>> {
        Box::pin(async move {
            let key = key(self.inner.model(), request)?;
            // In this order: when this caller goes away, its share of the call ends before its ticket.
            let (ticket, call) = self.board(key, request);
            let (answer, asked) = call.clone().await?;
            let pays = asked && !ticket.paid.swap(true, Ordering::AcqRel);
            Ok(if pays { answer } else { answer.into_cached() })
        })
    }
}

/// A caller's place in a call; the last one to go clears the entry.
struct Ticket {
    flights: Arc<Flights>,
    key: Key,
    paid: Arc<AtomicBool>,
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut flights = locked(&self.flights);
        let over = flights.get(&self.key).is_some_and(|flight| {
            // Another call may have begun under the same key since.
            Arc::ptr_eq(&flight.paid, &self.paid)
                && flight.call.upgrade().is_none_or(|call| call.peek().is_some())
        });
        if over {
            flights.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::channel::oneshot;
    use teleprompt_core::lm::LmErrorKind;

    use super::super::gated::{Gated, request};
    use super::super::{Cache, CacheStats};
    use super::*;

    #[tokio::test]
    async fn an_answer_is_given_again_and_a_rollout_is_another_request() {
        let (cache, model) = (Cache::in_memory(), Gated::open());
        let lm = cache.wrap(Arc::clone(&model));
        let first = lm.generate(&request(0)).await.unwrap();
        let again = lm.generate(&request(0)).await.unwrap();
        assert!(!first.cached && again.cached && first.text == again.text);
        assert!(!lm.generate(&request(1)).await.unwrap().cached);
        assert_eq!(model.calls(), 2);
        assert_eq!(cache.stats(), CacheStats { hits: 1, misses: 2, joined: 0, unsaved: 0 });
    }

    #[tokio::test]
    async fn identical_calls_in_flight_are_one_call() {
        let (open, gate) = oneshot::channel();
        let (cache, model) = (Cache::in_memory(), Gated::behind(vec![gate]));
        let lm = cache.wrap(Arc::clone(&model));
        let request = request(0);
        let mut calls: Vec<_> = (0..64).map(|_| lm.generate(&request)).collect();
        for call in &mut calls {
            assert!(futures::poll!(call).is_pending());
        }
        open.send(()).unwrap();
        let answers = futures::future::try_join_all(calls).await.unwrap();
        assert_eq!(model.calls(), 1);
        assert_eq!(answers.iter().filter(|answer| !answer.cached).count(), 1);
        assert_eq!(cache.stats(), CacheStats { hits: 0, misses: 1, joined: 63, unsaved: 0 });
        assert!(locked(&lm.flights).is_empty());
    }

    #[tokio::test]
    async fn the_others_go_on_when_the_first_caller_leaves() {
        let (open, gate) = oneshot::channel();
        let (cache, model) = (Cache::in_memory(), Gated::behind(vec![gate]));
        let lm = cache.wrap(Arc::clone(&model));
        let request = request(0);
        let mut first = lm.generate(&request);
        let mut second = lm.generate(&request);
        assert!(futures::poll!(&mut first).is_pending());
        assert!(futures::poll!(&mut second).is_pending());
        drop(first);
        open.send(()).unwrap();
        let answer = second.await.unwrap();
        assert_eq!((answer.text.as_str(), answer.cached, model.calls()), ("answer 0", false, 1));
    }

    #[tokio::test]
    async fn a_call_that_all_have_left_ends_and_is_made_anew() {
        let (_open, gate) = oneshot::channel();
        let (cache, model) = (Cache::in_memory(), Gated::behind(vec![gate]));
        let lm = cache.wrap(Arc::clone(&model));
        let request = request(0);
        let mut lost = lm.generate(&request);
        assert!(futures::poll!(&mut lost).is_pending());
        drop(lost);
        assert!(locked(&lm.flights).is_empty());
        assert_eq!(lm.generate(&request).await.unwrap().text, "answer 1");
    }

    #[tokio::test]
    async fn errors_reach_all_who_joined_and_are_not_kept() {
        let (open, gate) = oneshot::channel::<()>();
        let (cache, model) = (Cache::in_memory(), Gated::behind(vec![gate]));
        let lm = cache.wrap(Arc::clone(&model));
        let request = request(0);
        let mut calls = [lm.generate(&request), lm.generate(&request)];
        for call in &mut calls {
            assert!(futures::poll!(call).is_pending());
        }
        drop(open);
        for call in calls {
            assert_eq!(call.await.unwrap_err().kind, LmErrorKind::Connection);
        }
        assert_eq!(lm.generate(&request).await.unwrap().text, "answer 1");
    }

    #[tokio::test]
    async fn a_cache_around_its_own_cache_still_answers() {
        let (cache, model) = (Cache::in_memory(), Gated::open());
        let lm = cache.wrap(cache.wrap(Arc::clone(&model)));
        lm.generate(&request(0)).await.unwrap();
        assert_eq!(model.calls(), 1);
    }
}
