//! [`Traced`]: a model with a span for each call, for use outside of a run.

use futures::FutureExt;
use futures::future::BoxFuture;
use teleprompt_core::lm::{Capabilities, ModelId};
use teleprompt_core::{Lm, LmError, LmRequest, LmResponse};

use super::CallSpan;

/// A model whose every call has a span `chat {model}` with OpenTelemetry's names for generative AI: what was asked for, usage,
/// and the type of an error. Never a key; prompts and answers only with [`Traced::with_content`].
///
/// A run has such spans of its own, each over a call with its retries: wrap a model for calls outside of one.
///
/// ```
/// use std::sync::Arc;
/// use teleprompt_core::{Ctx, Predictor, SignatureSpec, Fields, Lm};
/// use teleprompt_miprov2::Traced;
/// use teleprompt_testkit::ScriptedLm;
///
/// let lm = Traced::new(ScriptedLm::new(|_| "[[ ## answer ## ]]\n4"));
/// assert_eq!(lm.model().as_str(), "scripted");
/// let program = Predictor::new(SignatureSpec::parse("question -> answer: int").unwrap());
/// let cx = Ctx::new(Arc::new(lm));
/// let answer = futures::executor::block_on(program.call(&cx, Fields::new().with("question", "2 + 2?"))).unwrap();
/// assert_eq!(answer.text("answer"), "4");
/// ```
#[derive(Clone, Debug)]
pub struct Traced<L> {
    inner: L,
    content: bool,
}

impl<L: Lm> Traced<L> {
    /// `inner`, with a span for each call.
    pub fn new(inner: L) -> Self {
        Self { inner, content: false }
    }

    /// The same, recording prompts and answers too.
    #[must_use]
    pub fn with_content(mut self) -> Self {
        self.content = true;
        self
    }
}

impl<L: Lm> Lm for Traced<L> {
    fn model(&self) -> &ModelId {
        self.inner.model()
    }

    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    fn generate<'a>(&'a self, request: &'a LmRequest) -> BoxFuture<'a, Result<LmResponse, LmError>> {
        async move {
            let span = CallSpan::begin(self.inner.model(), request, None, self.content);
            let answer = span.around(self.inner.generate(request)).await;
            span.end(answer.as_ref());
            answer
        }
        .boxed()
    }
}
