//! Caps: what a run may use of calls, tokens, money and time, and the purse that holds it to them.
//!
//! Before a call begins, the most that it can use is reserved: a token for every byte of its prompt, and its `max_tokens`. A
//! call that does not fit beside what was spent is refused and the run ends with the best program so far; one that fits once
//! calls in flight have turned out smaller waits for them. So a cap holds however many calls run at once.
//!
//! What a run gives under a cap depends on no timing: parts of it that could meet the cap do not overlap, and a part counts only
//! if its calls fit in any order ([`Purse::met`]). A cap on time does depend on it.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use teleprompt_core::lm::{Message, ModelId, Usage};
use teleprompt_core::{LmRequest, Media, MediaSource};
use tokio::sync::Notify;

use crate::digest::Digest;

/// Tokens that a chat format may add to each message.
const MESSAGE_OVERHEAD: u64 = 16;
/// The completion that is reserved for a request without `max_tokens`, unless [`Caps::open_completion`] says otherwise.
const OPEN_COMPLETION: u64 = 4096;
/// What is reserved at least for an image, a sound or a document: a small file can be a large picture, and the most that
/// providers count for one picture is a few thousand.
const LEAST_MEDIA: u64 = 8192;

/// What a run may use; `None` means no cap. All of a run counts, what an earlier process of it put into its checkpoint too.
///
/// Under a cap on calls, tokens or money the baseline is evaluated first, then demos and instructions are made, so that what a run
/// gives does not depend on which call came first: without one they are made at once. For the same reason evaluations overlap
/// only where all that their calls reserve has room; where a cap on tokens or money is near, and answers have no `max_tokens`, they
/// follow one another, each with as many calls in flight as there may be.
///
/// ```
/// use teleprompt_miprov2::Caps;
/// let caps = Caps::default().calls(2_000).usd(1.50);
/// assert_eq!(caps.calls, Some(2_000));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Caps {
    /// The most calls of models, failed ones included; answers from the user's own cache are none.
    pub calls: Option<u64>,
    /// The most tokens, prompts and completions together.
    pub tokens: Option<u64>,
    /// The most money, in USD; needs the price of every model of the run.
    pub usd: Option<f64>,
    /// The time after the start by which calls have ended, as far as the slowest call so far tells: none begins that would
    /// end later.
    pub time: Option<Duration>,
    /// Tokens reserved for the completion of a request that sets no `max_tokens` (default 4096). A model that writes more
    /// than this can pass a cap on tokens or money; set `max_tokens` where that matters.
    pub open_completion: Option<u64>,
    /// Tokens reserved for each image, sound or document of a prompt. Without it, one for every Base64 character of what is
    /// given as bytes, at least 8192, which is more than providers count; and a prompt with media at an address, the size of
    /// which is not known, ends a run under a cap on tokens or money.
    pub media: Option<u64>,
}

impl Caps {
    /// These caps with at most `n` calls.
    #[must_use]
    pub fn calls(mut self, n: u64) -> Self {
        self.calls = Some(n);
        self
    }

    /// These caps with at most `n` tokens.
    #[must_use]
    pub fn tokens(mut self, n: u64) -> Self {
        self.tokens = Some(n);
        self
    }

    /// These caps with at most `usd` US dollars.
    #[must_use]
    pub fn usd(mut self, usd: f64) -> Self {
        self.usd = Some(usd);
        self
    }

    /// These caps with no call going on after `limit`.
    #[must_use]
    pub fn time(mut self, limit: Duration) -> Self {
        self.time = Some(limit);
        self
    }

    /// These caps with `tokens` reserved for each image, sound or document of a prompt.
    #[must_use]
    pub fn media(mut self, tokens: u64) -> Self {
        self.media = Some(tokens);
        self
    }

    /// Whether any cap needs counting.
    pub(crate) fn counts(&self) -> bool {
        self.calls.is_some() || self.tokens.is_some() || self.usd.is_some()
    }
}

/// What one million tokens of a model cost, in USD.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TokenPrice {
    /// Tokens of prompts.
    pub input: f64,
    /// Tokens of completions.
    pub output: f64,
    /// Tokens of prompts that the provider took from its prompt cache; as `input` without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cached_input: Option<f64>,
}

impl TokenPrice {
    /// A price for prompts and completions, in USD a million tokens.
    pub fn new(input: f64, output: f64) -> Self {
        Self { input, output, cached_input: None }
    }

    /// What this usage costs, in USD.
    pub fn usd(&self, usage: &Usage) -> f64 {
        let cached = usage.cached_tokens.min(usage.input_tokens);
        let micros = (usage.input_tokens - cached) as f64 * self.input
            + cached as f64 * self.cached_input.unwrap_or(self.input)
            + usage.output_tokens as f64 * self.output;
        micros / 1e6
    }

    /// The same in billionths of a USD, rounded up: a cap is not to be passed by rounding.
    fn nanos(&self, usage: &Usage) -> u64 {
        (self.usd(usage) * 1e9).ceil() as u64
    }

    pub(crate) fn is_valid(&self) -> bool {
        let parts = [self.input, self.output, self.cached_input.unwrap_or(0.0)];
        parts.iter().all(|part| part.is_finite() && *part >= 0.0)
    }
}

/// What calls used, or the most that they can use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Spent {
    /// Calls of models.
    pub calls: u64,
    /// Tokens, prompts and completions together.
    pub tokens: u64,
    /// Billionths of a USD: whole numbers, so that no sum depends on the order of calls. 0 where no price is known.
    pub nano_usd: u64,
}

impl Spent {
    pub(crate) fn of(calls: u64, tokens: u64, nano_usd: u64) -> Self {
        Self { calls, tokens, nano_usd }
    }

    /// In USD.
    pub fn usd(&self) -> f64 {
        self.nano_usd as f64 / 1e9
    }

    pub(crate) fn plus(self, other: Self) -> Self {
        Self {
            calls: self.calls.saturating_add(other.calls),
            tokens: self.tokens.saturating_add(other.tokens),
            nano_usd: self.nano_usd.saturating_add(other.nano_usd),
        }
    }

    fn minus(self, other: Self) -> Self {
        Self {
            calls: self.calls.saturating_sub(other.calls),
            tokens: self.tokens.saturating_sub(other.tokens),
            nano_usd: self.nano_usd.saturating_sub(other.nano_usd),
        }
    }

    /// A share of this for each of `parts`, at least 1, rounded up.
    pub(crate) fn each_of(self, parts: usize) -> Self {
        let share = |n: u64| n.div_ceil(parts.max(1) as u64);
        Self { calls: share(self.calls), tokens: share(self.tokens), nano_usd: share(self.nano_usd) }
    }

    /// This much, `factor` times, rounded up.
    pub(crate) fn scaled(self, factor: f64) -> Self {
        let scale = |n: u64| (n as f64 * factor).ceil() as u64;
        Self { calls: scale(self.calls), tokens: scale(self.tokens), nano_usd: scale(self.nano_usd) }
    }

    /// With so many times the tokens and the money: prompts of different candidates differ in length.
    pub(crate) fn with_margin(self, margin: f64) -> Self {
        Self { calls: self.calls, ..self.scaled(margin) }
    }

    pub(crate) fn max(self, other: Self) -> Self {
        Self {
            calls: self.calls.max(other.calls),
            tokens: self.tokens.max(other.tokens),
            nano_usd: self.nano_usd.max(other.nano_usd),
        }
    }
}

/// Holds a run to its caps.
pub(crate) struct Purse {
    caps: Caps,
    prices: BTreeMap<String, TokenPrice>,
    ledger: Mutex<Ledger>,
    settled: Notify,
    clock: Arc<dyn Fn() -> Duration + Send + Sync>,
    began: Duration,
}

#[derive(Default)]
struct Ledger {
    spent: Spent,
    reserved: Spent,
    slowest: Duration,
    /// What each answer took and what was reserved for it, and which answers each part of the schedule used, for sums that do
    /// not depend on timing.
    costs: BTreeMap<Digest, (Spent, Spent)>,
    used: BTreeMap<u64, BTreeSet<Digest>>,
    /// What the calls of each part may have used that gave no answer.
    failed: BTreeMap<u64, Spent>,
    /// The first cap that refused a call.
    refused: Option<String>,
}

impl Ledger {
    /// What the answers that these parts used took and reserved, each answer once.
    fn costs_of(&self, parts: RangeInclusive<u64>) -> impl Iterator<Item = &(Spent, Spent)> {
        let keys: BTreeSet<&Digest> = self.used.range(parts).flat_map(|(_, keys)| keys).collect();
        keys.into_iter().filter_map(|key| self.costs.get(key))
    }

    fn failed_of(&self, parts: RangeInclusive<u64>) -> Spent {
        self.failed.range(parts).fold(Spent::default(), |sum, (_, most)| sum.plus(*most))
    }
}

/// What is reserved for a call in flight; given back when it is dropped.
pub(crate) struct Reserved<'a> {
    purse: &'a Purse,
    most: Spent,
    began: Duration,
    settled: bool,
}

impl Purse {
    pub(crate) fn new(
        caps: Caps,
        prices: BTreeMap<String, TokenPrice>,
        clock: Arc<dyn Fn() -> Duration + Send + Sync>,
    ) -> Self {
        let began = clock();
        Self { caps, prices, ledger: Mutex::default(), settled: Notify::new(), clock, began }
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Time since the run began in this process.
    pub(crate) fn elapsed(&self) -> Duration {
        (self.clock)().saturating_sub(self.began)
    }

    /// What was spent so far.
    pub(crate) fn spent(&self) -> Spent {
        self.ledger().spent
    }

    /// What `usage` of one call costs.
    pub(crate) fn cost(&self, model: &ModelId, usage: &Usage) -> Spent {
        Spent {
            calls: 1,
            tokens: usage.input_tokens.saturating_add(usage.output_tokens),
            nano_usd: self.prices.get(model.as_str()).map_or(0, |price| price.nanos(usage)),
        }
    }

    /// What so many tokens of a prompt cost.
    pub(crate) fn prompt_cost(&self, model: &ModelId, tokens: u64) -> Spent {
        Spent { calls: 0, ..self.cost(model, &Usage { input_tokens: tokens, ..Usage::default() }) }
    }

    /// Adds what a process before this one has spent on an answer.
    pub(crate) fn add_known(&self, key: Digest, cost: Spent, most: Spent) {
        let mut ledger = self.ledger();
        ledger.spent = ledger.spent.plus(cost);
        ledger.costs.insert(key, (cost, most));
    }

    /// Adds what a call of a process before this one may have used, which gave no answer.
    pub(crate) fn add_lost(&self, most: Spent) {
        let mut ledger = self.ledger();
        ledger.spent = ledger.spent.plus(most);
    }

    /// Notes that a part of the schedule used an answer.
    pub(crate) fn note_use(&self, part: u64, key: Digest) {
        if self.caps.counts() {
            self.ledger().used.entry(part).or_default().insert(key);
        }
    }

    /// What the calls of these parts of the schedule took: each answer that they used once, and what failed.
    pub(crate) fn used_by(&self, parts: RangeInclusive<u64>) -> Spent {
        let ledger = self.ledger();
        let failed = ledger.failed_of(parts.clone());
        ledger.costs_of(parts).fold(failed, |sum, (took, _)| sum.plus(*took))
    }

    /// What these calls reserved.
    pub(crate) fn reserved_by(&self, parts: RangeInclusive<u64>) -> Spent {
        let ledger = self.ledger();
        let failed = ledger.failed_of(parts.clone());
        ledger.costs_of(parts).fold(failed, |sum, (_, most)| sum.plus(*most))
    }

    /// The cap that the calls of these parts met, or may have met had they been made in another order: so that what comes of it
    /// depends on no order. A call needs room for all that it reserves, though it takes less.
    pub(crate) fn met(&self, parts: RangeInclusive<u64>) -> Option<String> {
        if !self.counts() {
            return None;
        }
        let refused = self.ledger().refused.clone();
        refused.or_else(|| self.refusal(self.used_by(parts.clone()).plus(self.room(parts))))
    }

    /// The most that a call of these parts reserved beyond what it took: so much has to be left for the last call to begin.
    pub(crate) fn room(&self, parts: RangeInclusive<u64>) -> Spent {
        let beyond = |room: Spent, (took, most): &(Spent, Spent)| room.max(most.minus(*took));
        self.ledger().costs_of(parts).fold(Spent::default(), beyond)
    }

    /// The cap that stands in the way of spending this much, if one does.
    pub(crate) fn refusal(&self, spent: Spent) -> Option<String> {
        let caps = &self.caps;
        let nano_cap = caps.usd.map(|usd| (usd * 1e9) as u64);
        if let Some(cap) = caps.calls.filter(|cap| spent.calls > *cap) {
            Some(format!("the cap of {cap} LM calls"))
        } else if let Some(cap) = caps.tokens.filter(|cap| spent.tokens > *cap) {
            Some(format!("the cap of {cap} tokens"))
        } else if nano_cap.is_some_and(|cap| spent.nano_usd > cap) {
            Some(format!("the cap of {} USD", caps.usd.unwrap_or_default()))
        } else {
            None
        }
    }

    /// Whether calls, tokens or money are capped.
    pub(crate) fn counts(&self) -> bool {
        self.caps.counts()
    }

    /// Reserves the most that a request can use, waiting for calls in flight where that may help.
    ///
    /// # Errors
    /// Why the call may not begin: the cap that does not allow it.
    pub(crate) async fn reserve(&self, model: &ModelId, request: &LmRequest) -> Result<Reserved<'_>, String> {
        let most = self.most(model, request)?;
        loop {
            let settled = self.settled.notified();
            tokio::pin!(settled);
            // Registered before looking, so that what settles in between is not missed.
            settled.as_mut().enable();
            {
                let mut ledger = self.ledger();
                let now = self.elapsed();
                if let Some(limit) = self.caps.time.filter(|limit| now + ledger.slowest >= *limit) {
                    return Err(format!("the cap of {:.1} s is reached", limit.as_secs_f64()));
                }
                if let Some(refusal) = self.refusal(ledger.spent.plus(most)) {
                    ledger.refused.get_or_insert_with(|| refusal.clone());
                    return Err(format!("{refusal} is reached"));
                }
                if self.refusal(ledger.spent.plus(ledger.reserved).plus(most)).is_none() {
                    ledger.reserved = ledger.reserved.plus(most);
                    return Ok(Reserved { purse: self, most, began: now, settled: false });
                }
            }
            settled.await;
        }
    }

    /// The most that a request can use.
    ///
    /// # Errors
    /// Why it cannot be said.
    fn most(&self, model: &ModelId, request: &LmRequest) -> Result<Spent, String> {
        let bytes: usize = request.messages.iter().map(|message| message.text().len()).sum();
        let constraint = request.constraint.as_ref().map_or(0, |held| format!("{held:?}").len());
        let mut input_tokens =
            (bytes + constraint) as u64 + MESSAGE_OVERHEAD * (1 + request.messages.len() as u64);
        if self.caps.tokens.is_some() || self.caps.usd.is_some() {
            for media in request.messages.iter().flat_map(Message::media) {
                let tokens = self.media_tokens(media)?;
                input_tokens = input_tokens.saturating_add(tokens);
            }
        }
        let open = self.caps.open_completion.unwrap_or(OPEN_COMPLETION);
        let completions = u64::from(request.settings.n.unwrap_or(1).max(1));
        let output_tokens = completions.saturating_mul(request.settings.max_tokens.map_or(open, u64::from));
        Ok(self.cost(model, &Usage { input_tokens, output_tokens, ..Usage::default() }))
    }

    /// The most tokens of an image, a sound or a document.
    fn media_tokens(&self, media: &Media) -> Result<u64, String> {
        match (self.caps.media, &media.source) {
            (Some(tokens), _) => Ok(tokens),
            (None, MediaSource::Base64(data)) => Ok(LEAST_MEDIA.max(data.len() as u64)),
            (None, _) => Err(format!(
                "a cap on tokens or USD cannot be held: nobody knows how many tokens {media} takes; set `Caps::media`, or cap calls \
                 instead"
            )),
        }
    }
}

impl Reserved<'_> {
    /// What is reserved.
    pub(crate) fn most(&self) -> Spent {
        self.most
    }

    /// What the call took, with the answer that it gave.
    pub(crate) fn settle(mut self, key: Digest, took: Spent) {
        self.finish(took, Some(key));
    }

    fn finish(&mut self, took: Spent, key: Option<Digest>) {
        self.settled = true;
        let mut ledger = self.purse.ledger();
        ledger.reserved = ledger.reserved.minus(self.most);
        ledger.spent = ledger.spent.plus(took);
        ledger.slowest = ledger.slowest.max(self.purse.elapsed().saturating_sub(self.began));
        if let Some(key) = key {
            ledger.costs.insert(key, (took, self.most));
        }
        drop(ledger);
        self.purse.settled.notify_waiters();
    }

    /// The call failed, made for this part, and what it took is not known: it may have used all that was reserved.
    pub(crate) fn fail(mut self, part: u64) {
        let most = self.most;
        self.finish(most, None);
        if self.purse.counts() {
            let mut ledger = self.purse.ledger();
            let failed = ledger.failed.entry(part).or_default();
            *failed = failed.plus(most);
        }
    }
}

impl Drop for Reserved<'_> {
    fn drop(&mut self) {
        if !self.settled {
            let most = self.most;
            self.finish(most, None);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_parts_are_exact_where_they_can_be() {
        for rows in 1..2000 {
            let of = |calls| Spent { calls, ..Spent::default() }.each_of(rows).calls;
            assert_eq!(of(3 * rows as u64), 3, "{rows}");
            assert_eq!(of(3 * rows as u64 + 1), 4, "{rows}");
        }
    }
}
