//! The gate that every LM call of a run passes: one limit on calls in flight, and one signal that stops new calls.
//!
//! A call that has begun is never cut: its answer is paid for, and the layers below keep it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures::FutureExt;
use futures::future::BoxFuture;
use teleprompt_core::Lm;
use teleprompt_core::lm::{Capabilities, LmError, LmErrorKind, LmRequest, LmResponse, ModelId};
use tokio::sync::Semaphore;

/// Tells a run to end: no new LM call begins, those in flight are waited for, the best program so far is the result.
///
/// Clones are the same signal: give one to the builder and keep one for the Ctrl-C handler.
#[derive(Clone, Debug, Default)]
pub struct StopSignal(Arc<AtomicBool>);

impl StopSignal {
    /// A signal that has not been given.
    pub fn new() -> Self {
        Self::default()
    }

    /// Gives the signal.
    pub fn stop(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    /// Whether it was given.
    pub fn is_stopped(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

/// A model behind the gate.
pub(crate) struct Gate {
    inner: Arc<dyn Lm>,
    permits: Arc<Semaphore>,
    stop: StopSignal,
}

impl Gate {
    pub(crate) fn wrap(inner: Arc<dyn Lm>, permits: &Arc<Semaphore>, stop: &StopSignal) -> Arc<dyn Lm> {
        Arc::new(Self { inner, permits: permits.clone(), stop: stop.clone() })
    }

    fn stopped(&self) -> LmError {
        LmError::new(self.inner.model().clone(), LmErrorKind::Stopped, "")
    }
}

impl Lm for Gate {
    fn model(&self) -> &ModelId {
        self.inner.model()
    }

    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    fn generate<'a>(&'a self, request: &'a LmRequest) -> BoxFuture<'a, Result<LmResponse, LmError>> {
        async move {
            // The semaphore is never closed; were it, the run could not go on either.
            let permit = self.permits.acquire().await.map_err(|_| self.stopped())?;
            if self.stop.is_stopped() {
                return Err(self.stopped());
            }
            let answer = self.inner.generate(request).await;
            drop(permit);
            answer
        }
        .boxed()
    }
}
