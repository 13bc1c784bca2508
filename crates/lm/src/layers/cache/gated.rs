//! A model for the tests of the cache: it answers when it is told to, and counts its calls.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use futures::channel::oneshot;
use futures::future::BoxFuture;
use teleprompt_core::lm::{Lm, LmError, LmErrorKind, LmRequest, LmResponse, Message, ModelId};

use super::locked;

/// Answers with the number of the call, once it is let through.
pub(super) struct Gated {
    id: ModelId,
    calls: AtomicU64,
    gates: Mutex<Vec<oneshot::Receiver<()>>>,
}

impl Gated {
    pub(super) fn open() -> Arc<Self> {
        Self::behind(Vec::new())
    }

    pub(super) fn behind(gates: Vec<oneshot::Receiver<()>>) -> Arc<Self> {
        Arc::new(Self { id: ModelId::new("m"), calls: AtomicU64::new(0), gates: Mutex::new(gates) })
    }

    pub(super) fn calls(&self) -> u64 {
        self.calls.load(Ordering::Relaxed)
    }
}

impl Lm for Gated {
    fn model(&self) -> &ModelId {
        &self.id
    }

    fn generate<'a>(&'a self, _: &'a LmRequest) -> BoxFuture<'a, Result<LmResponse, LmError>> {
        Box::pin(async move {
            let n = self.calls.fetch_add(1, Ordering::Relaxed);
            let gate = locked(&self.gates).pop();
            if let Some(gate) = gate
                && gate.await.is_err()
            {
                return Err(LmError::new(self.id.clone(), LmErrorKind::Connection, "gate lost"));
            }
            Ok(LmResponse::new(format!("answer {n}")))
        })
    }
}

pub(super) fn request(rollout: u64) -> LmRequest {
    LmRequest::new(vec![Message::user("q")]).with_rollout(rollout)
}
