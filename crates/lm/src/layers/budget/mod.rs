//! [`Budget`]: caps on calls, tokens, money and time that no call passes.
//!
//! Before a call begins, the most that it can use is reserved: a token for every byte of its prompt, and its
//! `max_tokens` for each of its `n` completions. Where tokens or money are capped, a request without `max_tokens` is
//! sent with 4,096 (and its tokens of reasoning): without a bound, no cap could be kept. A call that does not fit beside what was spent is refused with [`LmErrorKind::Stopped`] and the
//! name of the cap; one that fits once calls in flight have turned out smaller waits for them. So a cap holds
//! however many calls run at once, and a refusal does not depend on timing alone.
//!
//! Deliberately absent: any effect on calls that run already, and budgets by role.

mod purse;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use teleprompt_core::lm::{
    Capabilities, Lm, LmError, LmErrorKind, LmRequest, LmResponse, ModelId, OutputConstraint, Reasoning,
    Usage,
};
use tokio::time::Instant;

use purse::{Purse, Reservation, Use};

use crate::pricing::{Price, PriceTable};

/// The completion that is reserved for a request without `max_tokens`.
const OPEN_COMPLETION: u64 = 4_096;
/// Tokens that a chat format may add to each message.
const MESSAGE_OVERHEAD: u64 = 16;

/// The caps; `None` means no cap.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Caps {
    /// The most calls of the model, repeated attempts included.
    pub calls: Option<u64>,
    /// The most tokens, prompts and completions together.
    pub tokens: Option<u64>,
    /// The most money, in USD.
    pub usd: Option<f64>,
    /// The time after which no call begins, counted from [`Budget::new`].
    pub time: Option<Duration>,
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

    /// These caps with at most `usd` US dollars; a negative number counts as 0.
    #[must_use]
    pub fn usd(mut self, usd: f64) -> Self {
        self.usd = Some(usd.max(0.0));
        self
    }

    /// These caps with no call beginning after `limit`.
    #[must_use]
    pub fn time(mut self, limit: Duration) -> Self {
        self.time = Some(limit);
        self
    }
}

/// What was used so far.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Spent {
    /// Calls that began.
    pub calls: u64,
    /// Tokens, prompts and completions together. A call whose use is not known (it timed out, broke off, was
    /// dropped, or its answer does not say) counts with all that was reserved for it.
    pub tokens: u64,
    /// USD, as for `tokens`; `None` once a model without a known price was called.
    pub usd: Option<f64>,
    /// Calls that were refused.
    pub refused: u64,
}

/// A model cannot be held to a budget.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum BudgetError {
    /// A cap in USD, and no price.
    #[error(
        "a budget in USD needs the price of `{model}`, which the list of {date} lacks: add it to the `PriceTable`, \
         or cap calls or tokens instead"
    )]
    UnknownPrice {
        /// The model.
        model: ModelId,
        /// The date of the list.
        date: String,
    },
}

/// One budget for any number of models; clones share it.
///
/// ```
/// use teleprompt_lm::layers::budget::{Budget, Caps};
/// use teleprompt_lm::CompatibleLm;
/// let budget = Budget::new(Caps::default().calls(500).tokens(1_000_000));
/// let model = CompatibleLm::builder("http://localhost:8000/v1").model("m").build().unwrap();
/// let lm = budget.wrap(model).unwrap();
/// assert_eq!(budget.spent().calls, 0);
/// ```
#[derive(Clone)]
pub struct Budget(Arc<Purse>);

impl Budget {
    /// A budget that begins now, with the bundled prices.
    pub fn new(caps: Caps) -> Self {
        Self::with_prices(caps, PriceTable::bundled())
    }

    /// A budget that begins now, with other prices.
    pub fn with_prices(caps: Caps, prices: PriceTable) -> Self {
        let ends = caps.time.and_then(|limit| Instant::now().checked_add(limit));
        Self(Arc::new(Purse::new(caps, prices, ends)))
    }

    /// `lm` within this budget. A model on this machine costs nothing.
    ///
    /// # Errors
    /// [`BudgetError::UnknownPrice`] for a cap in USD and a remote model without a price.
    pub fn wrap(&self, lm: impl Lm + 'static) -> Result<BudgetedLm, BudgetError> {
        self.check(&lm)?;
        Ok(self.around(Arc::new(lm)))
    }

    /// Whether `lm` can be held to this budget.
    pub(super) fn check(&self, lm: &dyn Lm) -> Result<(), BudgetError> {
        if self.price(lm).is_none() && self.0.caps.usd.is_some() {
            let date = self.0.prices.date().to_owned();
            return Err(BudgetError::UnknownPrice { model: lm.model().clone(), date });
        }
        Ok(())
    }

    /// `lm` within this budget, after [`Budget::check`].
    pub(super) fn around(&self, lm: Arc<dyn Lm>) -> BudgetedLm {
        BudgetedLm { price: self.price(&*lm), inner: lm, budget: self.clone() }
    }

    fn price(&self, lm: &dyn Lm) -> Option<Price> {
        let free = Price { input: 0.0, cached_input: None, output: 0.0 };
        if lm.capabilities().remote { self.0.prices.price(lm.model()) } else { Some(free) }
    }

    /// What was used so far; exact once no call is in flight.
    pub fn spent(&self) -> Spent {
        let ledger = self.0.locked();
        let usd = (!ledger.unpriced).then_some(ledger.nanos as f64 / 1e9);
        Spent { calls: ledger.calls, tokens: ledger.tokens, usd, refused: ledger.refused }
    }

    /// Reserves what a call can use, waiting for others where that helps.
    async fn reserve(&self, most: Use, priced: bool) -> Result<Reservation, String> {
        loop {
            let settled = self.0.settled.notified();
            tokio::pin!(settled);
            // From here on no settlement is missed.
            settled.as_mut().enable();
            if self.0.try_reserve(most, priced)? {
                return Ok(Reservation::new(&self.0, most));
            }
            settled.await;
        }
    }
}

impl fmt::Debug for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Budget").field("caps", &self.0.caps).field("spent", &self.spent()).finish()
    }
}

/// A model within a [`Budget`].
///
/// # Errors
/// Those of the model, and [`LmErrorKind::Stopped`] with the cap's name for a call that could pass it.
#[derive(Clone)]
pub struct BudgetedLm {
    inner: Arc<dyn Lm>,
    price: Option<Price>,
    budget: Budget,
}

impl BudgetedLm {
    fn priced(&self, usage: &Usage) -> Use {
        let usd = self.price.map_or(0.0, |price| price.cost(usage));
        Use {
            tokens: usage.input_tokens.saturating_add(usage.output_tokens),
            nanos: (usd * 1e9).ceil() as u64,
        }
    }

    /// The request with a bound on its completion, where a cap needs one and it has none.
    fn bounded(&self, request: &LmRequest) -> Option<LmRequest> {
        let caps = &self.budget.0.caps;
        let needed = (caps.tokens.is_some() || caps.usd.is_some()) && request.settings.max_tokens.is_none();
        needed.then(|| {
            let mut request = request.clone();
            request.settings.max_tokens = u32::try_from(open_completion(&request)).ok();
            request
        })
    }

    async fn call(&self, request: &LmRequest) -> Result<LmResponse, LmError> {
        let bounded = self.bounded(request);
        let request = bounded.as_ref().unwrap_or(request);
        let most = self.priced(&most(request));
        let reserved = self.budget.reserve(most, self.price.is_some()).await;
        let mut reservation =
            reserved.map_err(|cap| LmError::new(self.inner.model().clone(), LmErrorKind::Stopped, cap))?;
        let outcome = self.inner.generate(request).await;
        reservation.used = match &outcome {
            Ok(answer) if answer.cached => Some(Use { tokens: 0, nanos: 0 }),
            Ok(answer) if answer.usage == Usage::default() => None,
            Ok(answer) => Some(self.priced(&answer.usage)),
            Err(error) => match error.kind {
                // The provider may have computed, and charged, an answer that did not arrive.
                LmErrorKind::Timeout | LmErrorKind::Connection | LmErrorKind::Malformed => None,
                _ => Some(Use { tokens: 0, nanos: 0 }),
            },
        };
        outcome
    }
}

impl Lm for BudgetedLm {
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

/// The most tokens that a call can use: no tokenizer makes more tokens than there are bytes.
fn most(request: &LmRequest) -> Usage {
    let prompt: u64 = request.messages.iter().map(|m| m.text().len() as u64 + MESSAGE_OVERHEAD).sum();
    // Providers count a schema with the prompt.
    let constraint = match &request.constraint {
        Some(OutputConstraint::JsonSchema(schema)) => schema.to_string().len() as u64,
        _ => 0,
    };
    let completion = request.settings.max_tokens.map_or_else(|| open_completion(request), u64::from);
    let completion = completion.saturating_mul(u64::from(request.settings.n.unwrap_or(1)));
    Usage { input_tokens: prompt + constraint, output_tokens: completion, ..Usage::default() }
}

/// The bound of a completion that has none, reasoning included.
fn open_completion(request: &LmRequest) -> u64 {
    match request.settings.reasoning {
        Some(Reasoning::Tokens(tokens)) => OPEN_COMPLETION + u64::from(tokens),
        _ => OPEN_COMPLETION,
    }
}

#[cfg(test)]
mod tests {
    use futures::future::join_all;
    use teleprompt_core::lm::{LmSettings, Message};
    use tokio::time::{advance, sleep};

    use super::*;

    /// Uses 100 tokens a call, after a second.
    struct Steady(ModelId, Option<LmErrorKind>);

    impl Lm for Steady {
        fn model(&self) -> &ModelId {
            &self.0
        }

        fn capabilities(&self) -> Capabilities {
            Capabilities::text().with_remote(true)
        }

        fn generate<'a>(&'a self, _: &'a LmRequest) -> BoxFuture<'a, Result<LmResponse, LmError>> {
            Box::pin(async move {
                sleep(Duration::from_secs(1)).await;
                if let Some(kind) = &self.1 {
                    return Err(LmError::new(self.0.clone(), kind.clone(), ""));
                }
                let usage = Usage { input_tokens: 60, output_tokens: 40, ..Usage::default() };
                Ok(LmResponse::new("ok").with_usage(usage))
            })
        }
    }

    fn steady() -> Steady {
        Steady(ModelId::new("openai/gpt-4o"), None)
    }

    /// May use 300 + 16 + 84 = 400 tokens.
    fn request() -> LmRequest {
        let settings = LmSettings { max_tokens: Some(84), ..LmSettings::default() };
        LmRequest::new(vec![Message::user("x".repeat(300))]).with_settings(settings)
    }

    async fn run(lm: &BudgetedLm, calls: usize) -> (usize, Vec<String>) {
        let request = request();
        let outcomes = join_all((0..calls).map(|_| lm.generate(&request))).await;
        let errors: Vec<_> = outcomes.iter().filter_map(|o| o.as_ref().err().cloned()).collect();
        assert!(errors.iter().all(LmError::is_stopped));
        (outcomes.len() - errors.len(), errors.into_iter().map(|e| e.detail).collect())
    }

    #[tokio::test(start_paused = true)]
    async fn calls_are_capped_and_the_cap_is_named() {
        let budget = Budget::new(Caps::default().calls(5));
        let (answered, refused) = run(&budget.wrap(steady()).unwrap(), 8).await;
        assert_eq!((answered, refused.len()), (5, 3));
        assert_eq!(refused[0], "the budget of 5 calls is spent");
        assert_eq!((budget.spent().calls, budget.spent().refused), (5, 3));
    }

    #[tokio::test(start_paused = true)]
    async fn no_call_can_pass_the_cap_on_tokens_and_reservations_are_given_back() {
        let budget = Budget::new(Caps::default().tokens(1_000));
        // Two fit at once (400 each), and 100 is used by each: calls go on until less than 400 is left.
        let (answered, refused) = run(&budget.wrap(steady()).unwrap(), 20).await;
        assert_eq!((answered, budget.spent().tokens), (7, 700));
        assert_eq!(refused[0], "the budget of 1000 tokens has 700 spent, and this call may need 400");
    }

    #[tokio::test(start_paused = true)]
    async fn money_is_capped_where_the_price_is_known() {
        // At 2.5 and 10 USD a million: 0.00055 a call, at most (316 * 2.5 + 84 * 10) / 1e6 = 0.00163.
        let budget = Budget::new(Caps::default().usd(0.01));
        let (answered, refused) = run(&budget.wrap(steady()).unwrap(), 40).await;
        assert_eq!(answered, 16);
        assert!(refused[0].starts_with("the budget of 0.01 USD has 0.0088 spent"), "{}", refused[0]);
        assert!((budget.spent().usd.unwrap() - 16.0 * 0.00055).abs() < 1e-9);

        let unknown = || Steady(ModelId::new("who"), None);
        let error = budget.wrap(unknown()).err().unwrap();
        assert!(error.to_string().contains("price of `who`"), "{error}");
        let budget = Budget::new(Caps::default().calls(9));
        run(&budget.wrap(unknown()).unwrap(), 1).await;
        assert_eq!(budget.spent().usd, None, "unknown is not zero");
    }

    #[tokio::test(start_paused = true)]
    async fn no_call_begins_after_the_time() {
        let budget = Budget::new(Caps::default().time(Duration::from_secs(10)));
        let lm = budget.wrap(steady()).unwrap();
        assert_eq!(run(&lm, 1).await.0, 1);
        advance(Duration::from_secs(9)).await;
        assert_eq!(run(&lm, 1).await, (0, vec!["the budget of 10s is over".to_owned()]));
    }

    #[tokio::test(start_paused = true)]
    async fn what_may_have_been_charged_counts() {
        let spent = async |kind| {
            let budget = Budget::new(Caps::default());
            let lm = budget.wrap(Steady(ModelId::new("m"), Some(kind))).unwrap();
            lm.generate(&request()).await.unwrap_err();
            budget.spent().tokens
        };
        assert_eq!(spent(LmErrorKind::Timeout).await, 400);
        assert_eq!(spent(LmErrorKind::RateLimited { retry_after: None }).await, 0);
        let budget = Budget::new(Caps::default());
        let (lm, request) = (budget.wrap(steady()).unwrap(), request());
        let mut dropped = lm.generate(&request);
        assert!(futures::poll!(&mut dropped).is_pending());
        drop(dropped);
        assert_eq!(budget.spent().tokens, 400);
    }

    /// Answers with the bound that it was sent, in place of text.
    struct Bound(ModelId);

    impl Lm for Bound {
        fn model(&self) -> &ModelId {
            &self.0
        }

        fn generate<'a>(&'a self, request: &'a LmRequest) -> BoxFuture<'a, Result<LmResponse, LmError>> {
            Box::pin(async move { Ok(LmResponse::new(format!("{:?}", request.settings.max_tokens))) })
        }
    }

    #[tokio::test]
    async fn a_completion_without_a_bound_gets_one_where_a_cap_needs_it() {
        let sent = async |caps: Caps, settings: LmSettings| {
            let lm = Budget::new(caps).wrap(Bound(ModelId::new("m"))).unwrap();
            let request = LmRequest::new(vec![Message::user("q")]).with_settings(settings);
            lm.generate(&request).await.unwrap().text
        };
        let open = LmSettings::default;
        assert_eq!(sent(Caps::default().calls(1), open()).await, "None");
        assert_eq!(sent(Caps::default().tokens(9_999), open()).await, "Some(4096)");
        assert_eq!(sent(Caps::default().usd(9.0), open()).await, "Some(4096)");
        let thinks = LmSettings { reasoning: Some(Reasoning::Tokens(1_024)), ..open() };
        assert_eq!(sent(Caps::default().tokens(9_999), thinks).await, "Some(5120)");
        let own = LmSettings { max_tokens: Some(7), ..open() };
        assert_eq!(sent(Caps::default().tokens(9_999), own).await, "Some(7)");
    }

    #[test]
    fn all_that_is_paid_for_is_reserved() {
        let schema = OutputConstraint::JsonSchema(serde_json::json!({"type": "object"}));
        let settings = LmSettings { max_tokens: Some(10), n: Some(3), ..LmSettings::default() };
        let request = LmRequest::new(vec![Message::user("q")]).with_settings(settings);
        let most = most(&request.with_constraint(Some(schema)));
        assert_eq!((most.input_tokens, most.output_tokens), (1 + 16 + 17, 30));
    }
}
