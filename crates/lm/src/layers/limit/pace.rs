//! The arithmetic of a pace: who may begin when. No waiting, no locks: time comes in as an argument.

use std::time::Duration;

use tokio::time::Instant;

use super::Limits;

/// The pause after a 429 that asks for none.
const PAUSE: Duration = Duration::from_secs(1);
/// The longest pause: a server must not be able to halt a run.
const MAX_PAUSE: Duration = Duration::from_secs(300);
/// The slowest pace, as a share of the full one.
const MIN_PACE: f64 = 1.0 / 32.0;
/// What each success adds to the pace.
const RECOVERY: f64 = 1.0 / 64.0;
/// How far requests may run ahead of an even spread: timers are not exact.
const AHEAD: Duration = Duration::from_millis(100);
/// The share of a minute's tokens that may be spent at once.
const TOKEN_BURST: f64 = 1.0 / 6.0;

/// The pace, and what was used of it.
pub(super) struct State {
    pub(super) in_flight: u32,
    /// When the next request is due in an even spread.
    due: Option<Instant>,
    /// Tokens that may be spent; below 0 after an answer that was longer than expected.
    pub(super) tokens: f64,
    /// When `tokens` was right.
    tokens_at: Option<Instant>,
    paused_until: Option<Instant>,
    /// The share of the full pace, in `[1/32, 1]`.
    pub(super) pace: f64,
    slowed_at: Option<Instant>,
}

/// What keeps the next call from beginning.
pub(super) enum Wait {
    Until(Instant),
    ForPlace,
}

impl State {
    pub(super) fn new() -> Self {
        Self {
            in_flight: 0,
            due: None,
            tokens: 0.0,
            tokens_at: None,
            paused_until: None,
            pace: 1.0,
            slowed_at: None,
        }
    }

    /// Takes a place for a call of about `tokens` tokens, or says what to wait for.
    pub(super) fn enter(&mut self, limits: &Limits, tokens: f64, now: Instant) -> Result<(), Wait> {
        if let Some(until) = self.paused_until.filter(|until| *until > now) {
            return Err(Wait::Until(until));
        }
        if limits
            .in_flight
            .is_some_and(|most| f64::from(self.in_flight) >= (f64::from(most) * self.pace).max(1.0))
        {
            return Err(Wait::ForPlace);
        }
        let gap =
            limits.requests_per_minute.map(|n| Duration::from_secs_f64(60.0 / f64::from(n) / self.pace));
        if let Some(due) = self.due.filter(|due| gap.is_some() && *due > now + AHEAD) {
            return Err(Wait::Until(due - AHEAD));
        }
        if let Some(per_minute) = limits.tokens_per_minute.map(f64::from) {
            let (burst, per_second) = (per_minute * TOKEN_BURST, per_minute * self.pace / 60.0);
            let gained = self.tokens_at.map_or(burst, |at| (now - at).as_secs_f64() * per_second);
            self.tokens = (self.tokens + gained).min(burst);
            self.tokens_at = Some(now);
            // A call that is larger than the burst waits for a full one, and leaves a debt.
            let lacking = tokens.min(burst) - self.tokens;
            if lacking > 1e-6 {
                return Err(Wait::Until(now + Duration::from_secs_f64((lacking / per_second).max(1e-3))));
            }
            self.tokens -= tokens;
        }
        if let Some(gap) = gap {
            self.due = Some(self.due.map_or(now, |due| due.max(now)) + gap);
        }
        self.in_flight += 1;
        Ok(())
    }

    /// A call that began at `began` was told to slow down.
    pub(super) fn slow_down(&mut self, began: Instant, now: Instant, asked: Option<Duration>) {
        let until = now + asked.unwrap_or(PAUSE).min(MAX_PAUSE);
        self.paused_until = Some(self.paused_until.map_or(until, |before| before.max(until)));
        // Calls that began before the last slow-down say nothing about the pace since.
        if self.slowed_at.is_none_or(|slowed| began > slowed) {
            self.pace = (self.pace / 2.0).max(MIN_PACE);
            self.slowed_at = Some(now);
        }
    }

    /// A call succeeded.
    pub(super) fn speed_up(&mut self) {
        self.pace = (self.pace + RECOVERY).min(1.0);
    }
}
