//! One limit on what is in flight at once, with an order among those who wait: the lower number goes first, equals in the
//! order in which they came.
//!
//! A run has work that others wait for (demos, proposals, the next trial) and work that can as well be done later. The order
//! keeps the former from standing behind the latter.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

/// The limit; clones share it.
#[derive(Clone)]
pub(crate) struct Limit(Arc<Mutex<State>>);

struct State {
    free: usize,
    next: u64,
    waiting: BTreeMap<(u64, u64), oneshot::Sender<Permit>>,
}

/// A place within the limit, given back when it is dropped.
pub(crate) struct Permit(Option<Limit>);

impl Limit {
    /// A limit of `places`; at least 1.
    pub(crate) fn new(places: usize) -> Self {
        let state = State { free: places.max(1), next: 0, waiting: BTreeMap::new() };
        Self(Arc::new(Mutex::new(state)))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a place.
    pub(crate) async fn acquire(&self, order: u64) -> Permit {
        loop {
            let given = {
                let mut state = self.state();
                if state.free > 0 {
                    state.free -= 1;
                    return Permit(Some(self.clone()));
                }
                let (sender, receiver) = oneshot::channel();
                state.next += 1;
                let place = (order, state.next);
                state.waiting.insert(place, sender);
                receiver
            };
            // The sender lives as long as the limit, of which this is a clone: there is always a permit.
            if let Ok(permit) = given.await {
                return permit;
            }
        }
    }

    fn release(&self) {
        loop {
            let first = {
                let mut state = self.state();
                match state.waiting.pop_first() {
                    Some((_, first)) => first,
                    None => {
                        state.free += 1;
                        return;
                    }
                }
            };
            match first.send(Permit(Some(self.clone()))) {
                Ok(()) => return,
                // That one has gone away: the next.
                Err(mut permit) => permit.0 = None,
            }
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some(limit) = self.0.take() {
            limit.release();
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[test]
    fn the_lower_number_goes_first_and_nobody_is_forgotten() {
        let limit = Limit::new(1);
        let held = limit.acquire(0).now_or_never().unwrap();
        let mut late = Box::pin(limit.acquire(5));
        let mut gone = Box::pin(limit.acquire(1));
        let mut soon = Box::pin(limit.acquire(1));
        for waiting in [&mut late, &mut gone, &mut soon] {
            assert!(waiting.now_or_never().is_none());
        }
        drop(gone);
        drop(held);
        assert!((&mut late).now_or_never().is_none());
        let held = soon.now_or_never().unwrap();
        drop(held);
        let held = late.now_or_never().unwrap();
        drop(held);
        assert!(limit.acquire(9).now_or_never().is_some());
    }

    #[test]
    fn a_place_that_was_given_to_one_who_left_comes_back() {
        let limit = Limit::new(1);
        let held = limit.acquire(0).now_or_never().unwrap();
        let mut waiting = Box::pin(limit.acquire(0));
        assert!((&mut waiting).now_or_never().is_none());
        drop(held);
        drop(waiting);
        assert!(limit.acquire(0).now_or_never().is_some());
    }

    #[test]
    fn thousands_who_left_are_passed_over() {
        let limit = Limit::new(1);
        let held = limit.acquire(0).now_or_never().unwrap();
        let mut gone: Vec<_> = (0..20_000).map(|_| Box::pin(limit.acquire(1))).collect();
        gone.iter_mut().for_each(|waiting| assert!(waiting.now_or_never().is_none()));
        drop(gone);
        drop(held);
        assert!(limit.acquire(0).now_or_never().is_some());
    }
}
