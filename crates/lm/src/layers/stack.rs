//! [`LmStack`]: the usual layers around a model, always in the documented order.

use std::sync::Arc;

use teleprompt_core::lm::Lm;

use super::budget::{Budget, BudgetError};
use super::cache::Cache;
use super::cassette::{CassetteError, Recorder};
use super::limit::Limiter;
use super::retry::{Retry, RetryPolicy};

/// Puts layers around a model in the [documented order](super), whatever the order of the calls here.
///
/// ```
/// # use teleprompt_lm::{Cache, CompatibleLm, LmStack, RetryPolicy};
/// # let provider = CompatibleLm::builder("http://localhost:8000/v1").model("m").build().unwrap();
/// let lm = LmStack::new(provider).cache(&Cache::in_memory()).retry(RetryPolicy::default()).build();
/// assert_eq!(lm.model().as_str(), "http://localhost:8000/v1#m");
/// ```
#[must_use = "a stack does nothing until `build`"]
pub struct LmStack {
    provider: Arc<dyn Lm>,
    limiter: Option<Limiter>,
    budget: Option<Budget>,
    retry: Option<RetryPolicy>,
    cache: Option<Cache>,
    recorder: Option<Recorder>,
}

impl LmStack {
    /// A stack of `provider` alone.
    pub fn new(provider: impl Lm + 'static) -> Self {
        Self {
            provider: Arc::new(provider),
            limiter: None,
            budget: None,
            retry: None,
            cache: None,
            recorder: None,
        }
    }

    /// At the pace of `limiter`, which other stacks may share.
    pub fn limit(mut self, limiter: &Limiter) -> Self {
        self.limiter = Some(limiter.clone());
        self
    }

    /// Within `budget`, which other stacks may share.
    ///
    /// # Errors
    /// [`BudgetError`] for a cap in USD and a model without a known price.
    pub fn budget(mut self, budget: &Budget) -> Result<Self, BudgetError> {
        budget.check(&self.provider)?;
        self.budget = Some(budget.clone());
        Ok(self)
    }

    /// With attempts repeated as `policy` says.
    pub fn retry(mut self, policy: RetryPolicy) -> Self {
        self.retry = Some(policy);
        self
    }

    /// With answers kept in `cache`, which other stacks may share.
    pub fn cache(mut self, cache: &Cache) -> Self {
        self.cache = Some(cache.clone());
        self
    }

    /// With every answer written to the cassette of `recorder`, which other stacks may share.
    ///
    /// # Errors
    /// [`CassetteError::Open`] when the file cannot be written.
    pub fn record(mut self, recorder: &Recorder) -> Result<Self, CassetteError> {
        recorder.announce(&self.provider)?;
        self.recorder = Some(recorder.clone());
        Ok(self)
    }

    /// The wrapped model.
    pub fn build(self) -> Arc<dyn Lm> {
        let mut lm = self.provider;
        if let Some(limiter) = self.limiter {
            lm = Arc::new(limiter.wrap(lm));
        }
        if let Some(budget) = self.budget {
            lm = Arc::new(budget.around(lm));
        }
        if let Some(policy) = self.retry {
            lm = Arc::new(Retry::new(lm, policy));
        }
        if let Some(cache) = self.cache {
            lm = Arc::new(cache.wrap(lm));
        }
        if let Some(recorder) = self.recorder {
            lm = Arc::new(recorder.around(lm));
        }
        lm
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::time::Duration;

    use futures::future::BoxFuture;
    use teleprompt_core::lm::{LmError, LmErrorKind, LmRequest, LmResponse, ModelId};

    use super::*;
    use crate::layers::budget::Caps;
    use crate::layers::cassette::Cassette;
    use crate::layers::limit::Limits;

    /// Fails twice, then answers.
    struct Shaky(ModelId, AtomicU32);

    impl Lm for Shaky {
        fn model(&self) -> &ModelId {
            &self.0
        }

        fn generate<'a>(&'a self, _: &'a LmRequest) -> BoxFuture<'a, Result<LmResponse, LmError>> {
            Box::pin(async move {
                match self.1.fetch_add(1, Ordering::Relaxed) {
                    0 | 1 => Err(LmError::new(
                        self.0.clone(),
                        LmErrorKind::Server { status: 500, retry_after: None },
                        "",
                    )),
                    _ => Ok(LmResponse::new("ok")),
                }
            })
        }
    }

    #[tokio::test(start_paused = true)]
    async fn layers_stand_in_the_documented_order() {
        let (cache, budget) = (Cache::in_memory(), Budget::new(Caps::default().calls(3)));
        let limiter = Limiter::new(Limits::default().in_flight(1));
        let folder = tempfile::tempdir().unwrap();
        let tape = folder.path().join("run.jsonl");
        let recorder = Recorder::open(&tape).unwrap();
        let stack = LmStack::new(Shaky(ModelId::new("m"), AtomicU32::new(0))).record(&recorder).unwrap();
        let lm = stack
            .cache(&cache)
            .limit(&limiter)
            .budget(&budget)
            .unwrap()
            .retry(RetryPolicy::default())
            .build();
        let request = LmRequest::default();
        let start = tokio::time::Instant::now();
        assert!(!lm.generate(&request).await.unwrap().cached);
        assert!(start.elapsed() > Duration::from_millis(500), "it waited between attempts");
        assert_eq!(budget.spent().calls, 3, "each attempt counts");
        assert!(lm.generate(&request).await.unwrap().cached, "a known answer needs no budget");
        let refused = lm.generate(&request.clone().with_rollout(1)).await.unwrap_err();
        assert!(refused.is_stopped(), "and is not tried again: {refused}");
        assert_eq!((cache.stats().hits, cache.stats().misses, budget.spent().refused), (1, 2, 1));
        let replayed = Cassette::load(&tape).unwrap().model(lm.model()).unwrap();
        assert_eq!(replayed.generate(&request).await.unwrap().text, "ok", "and the recorder has it");
    }
}
