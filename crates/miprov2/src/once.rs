//! Work that is done once: who asks first does it, who asks meanwhile waits, who asks later is told.
//!
//! ```text
//!   turn(key) ─▶ Known(value)                       done before
//!             ─▶ Mine(lead) ─ lead.done(value) ─▶   for all who wait, and for all who come
//!                          └ dropped ───────────▶   undone: one of those who wait is the next to lead
//! ```

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

/// Results by key, each worked for once.
pub(crate) struct Once<K, V>(Mutex<BTreeMap<K, Slot<V>>>);

enum Slot<V> {
    Done(V),
    /// Who waits for it.
    Running(Vec<oneshot::Sender<()>>),
}

/// What became of asking.
pub(crate) enum Turn<'a, K: Ord + Clone, V: Clone> {
    /// It was done before.
    Known(V),
    /// It is for the caller to do.
    Mine(Lead<'a, K, V>),
}

/// The right to do the work of a key.
pub(crate) struct Lead<'a, K: Ord + Clone, V: Clone> {
    once: &'a Once<K, V>,
    key: K,
    done: bool,
}

impl<K, V> Default for Once<K, V> {
    fn default() -> Self {
        Self(Mutex::new(BTreeMap::new()))
    }
}

impl<K: Ord + Clone, V: Clone> Once<K, V> {
    fn slots(&self) -> MutexGuard<'_, BTreeMap<K, Slot<V>>> {
        // The map is whole after every statement: a panic elsewhere does not spoil it.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The value, or the right to find it; waits while another has that right.
    pub(crate) async fn turn(&self, key: &K) -> Turn<'_, K, V> {
        loop {
            let waiting = match self.slots().get_mut(key) {
                Some(Slot::Done(value)) => return Turn::Known(value.clone()),
                Some(Slot::Running(waiting)) => {
                    let (sender, receiver) = oneshot::channel();
                    waiting.push(sender);
                    Some(receiver)
                }
                None => None,
            };
            let Some(waiting) = waiting else {
                self.slots().insert(key.clone(), Slot::Running(Vec::new()));
                return Turn::Mine(Lead { once: self, key: key.clone(), done: false });
            };
            // Told or dropped, the slot says what became of it.
            let _ = waiting.await;
        }
    }

    fn settle(&self, key: &K, value: Option<V>) {
        let mut slots = self.slots();
        let before = match value {
            Some(value) => slots.insert(key.clone(), Slot::Done(value)),
            None => slots.remove(key),
        };
        drop(slots);
        if let Some(Slot::Running(waiting)) = before {
            for sender in waiting {
                // Who has gone away needs no telling.
                let _ = sender.send(());
            }
        }
    }
}

impl<K: Ord + Clone, V: Clone> Lead<'_, K, V> {
    /// The work is done.
    pub(crate) fn done(mut self, value: V) {
        self.done = true;
        self.once.settle(&self.key, Some(value));
    }
}

impl<K: Ord + Clone, V: Clone> Drop for Lead<'_, K, V> {
    fn drop(&mut self) {
        if !self.done {
            self.once.settle(&self.key, None);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;
    use futures::executor::block_on;

    use super::*;

    fn lead<'a>(once: &'a Once<u8, u8>, key: u8) -> Lead<'a, u8, u8> {
        match block_on(once.turn(&key)) {
            Turn::Mine(lead) => lead,
            Turn::Known(value) => panic!("known: {value}"),
        }
    }

    #[test]
    fn who_waits_is_told() {
        let once = Once::default();
        let first = lead(&once, 1);
        let mut second = Box::pin(once.turn(&1));
        assert!((&mut second).now_or_never().is_none());
        first.done(7);
        assert!(matches!(second.now_or_never(), Some(Turn::Known(7))));
        assert!(matches!(block_on(once.turn(&1)), Turn::Known(7)));
    }

    #[test]
    fn work_that_was_given_up_is_done_by_the_next() {
        let once = Once::default();
        let first = lead(&once, 1);
        let mut second = Box::pin(once.turn(&1));
        assert!((&mut second).now_or_never().is_none());
        drop(first);
        let Some(Turn::Mine(second)) = second.now_or_never() else { panic!("nobody leads") };
        second.done(3);
        assert!(matches!(block_on(once.turn(&1)), Turn::Known(3)));
    }
}
