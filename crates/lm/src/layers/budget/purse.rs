//! The ledger of a budget: what was spent, what is reserved for calls in flight, and whether one more fits.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio::time::Instant;

use super::Caps;
use crate::pricing::PriceTable;

/// The caps, and what is left within them.
pub(super) struct Purse {
    pub(super) caps: Caps,
    pub(super) prices: PriceTable,
    ends: Option<Instant>,
    ledger: Mutex<Ledger>,
    pub(super) settled: Notify,
}

#[derive(Default)]
pub(super) struct Ledger {
    pub(super) calls: u64,
    pub(super) tokens: u64,
    pub(super) nanos: u64,
    pub(super) unpriced: bool,
    pub(super) refused: u64,
    reserved_tokens: u64,
    reserved_nanos: u64,
}

/// The most that a call can use, or what it used.
#[derive(Clone, Copy)]
pub(super) struct Use {
    pub(super) tokens: u64,
    /// Billionths of a USD: whole numbers, so that no sum depends on the order of calls.
    pub(super) nanos: u64,
}

impl Purse {
    pub(super) fn new(caps: Caps, prices: PriceTable, ends: Option<Instant>) -> Self {
        Self { caps, prices, ends, ledger: Mutex::default(), settled: Notify::new() }
    }

    pub(super) fn locked(&self) -> MutexGuard<'_, Ledger> {
        // The ledger is whole after every statement, so a panic elsewhere does not spoil it.
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reserves, or says that a call in flight must end first, or names the cap that stands in the way.
    pub(super) fn try_reserve(&self, most: Use, priced: bool) -> Result<bool, String> {
        let mut ledger = self.locked();
        let usd = |nanos: u64| nanos as f64 / 1e9;
        let cap_nanos = self.caps.usd.map(|usd| (usd * 1e9) as u64);
        let refusal = if let Some(most) = self.caps.calls.filter(|cap| ledger.calls >= *cap) {
            Some(format!("the budget of {most} calls is spent"))
        } else if let Some(cap) =
            self.caps.tokens.filter(|cap| ledger.tokens.saturating_add(most.tokens) > *cap)
        {
            let (spent, needed) = (ledger.tokens, most.tokens);
            Some(format!("the budget of {cap} tokens has {spent} spent, and this call may need {needed}"))
        } else if let Some(cap) = cap_nanos.filter(|cap| ledger.nanos.saturating_add(most.nanos) > *cap) {
            let (spent, needed) = (usd(ledger.nanos), usd(most.nanos));
            Some(format!(
                "the budget of {} USD has {spent:.4} spent, and this call may cost {needed:.4}",
                usd(cap)
            ))
        } else {
            let over = self.ends.is_some_and(|ends| Instant::now() >= ends);
            self.caps.time.filter(|_| over).map(|limit| format!("the budget of {limit:?} is over"))
        };
        if let Some(refusal) = refusal {
            ledger.refused += 1;
            return Err(refusal);
        }
        let tokens = ledger.reserved_tokens.saturating_add(most.tokens);
        let nanos = ledger.reserved_nanos.saturating_add(most.nanos);
        let fits = self.caps.tokens.is_none_or(|cap| ledger.tokens.saturating_add(tokens) <= cap)
            && cap_nanos.is_none_or(|cap| ledger.nanos.saturating_add(nanos) <= cap);
        if fits {
            ledger.calls += 1;
            ledger.unpriced |= !priced;
            (ledger.reserved_tokens, ledger.reserved_nanos) = (tokens, nanos);
        }
        Ok(fits)
    }
}

/// What is set aside for a call in flight. Dropped without a word, all of it counts as used.
pub(super) struct Reservation {
    purse: Arc<Purse>,
    most: Use,
    pub(super) used: Option<Use>,
}

impl Reservation {
    pub(super) fn new(purse: &Arc<Purse>, most: Use) -> Self {
        Self { purse: Arc::clone(purse), most, used: None }
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        let used = self.used.unwrap_or(self.most);
        let mut ledger = self.purse.locked();
        ledger.reserved_tokens = ledger.reserved_tokens.saturating_sub(self.most.tokens);
        ledger.reserved_nanos = ledger.reserved_nanos.saturating_sub(self.most.nanos);
        ledger.tokens = ledger.tokens.saturating_add(used.tokens);
        ledger.nanos = ledger.nanos.saturating_add(used.nanos);
        drop(ledger);
        self.purse.settled.notify_waiters();
    }
}
