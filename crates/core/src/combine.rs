//! Modules made of modules: many inputs at once ([`Parallel`]), the best of several attempts ([`BestOfN`]).
//!
//! The predictors inside keep their names: to an optimizer, a wrapped module is the module itself.

use futures::StreamExt;
use futures::stream;

use crate::context::Ctx;
use crate::error::Error;
use crate::lm::LmSettings;
use crate::module::{Module, Visit, Visitor};

/// Runs a module on many inputs at once, for use inside of a program's `forward`.
///
/// ```
/// use std::sync::Arc;
/// use teleprompt_core::{Ctx, Fields, Parallel, Predictor, SignatureSpec};
/// # use teleprompt_core::lm::{Lm, LmError, LmRequest, LmResponse, ModelId};
/// # struct Echo(ModelId);
/// # impl Lm for Echo {
/// #     fn model(&self) -> &ModelId { &self.0 }
/// #     fn generate<'a>(&'a self, request: &'a LmRequest) -> futures::future::BoxFuture<'a, Result<LmResponse, LmError>> {
/// #         let n = request.last_user_text().matches('x').count();
/// #         Box::pin(async move { Ok(LmResponse::new(n.to_string())) })
/// #     }
/// # }
/// # futures::executor::block_on(async {
/// let cx = Ctx::new(Arc::new(Echo(ModelId::new("echo"))));
/// let count = Parallel::new(Predictor::new(SignatureSpec::parse("letters -> n: int").unwrap()), 8);
/// let inputs = ["xx", "x"].map(|text| Fields::new().with("letters", text));
/// let outputs = count.call(&cx, inputs).await;
/// assert_eq!(outputs[0].as_ref().unwrap().text("n"), "2");
/// # });
/// ```
#[derive(Clone, Debug)]
pub struct Parallel<M> {
    module: M,
    in_flight: usize,
}

impl<M: Module> Parallel<M> {
    /// `module` on up to `in_flight` inputs at once; at least 1.
    pub fn new(module: M, in_flight: usize) -> Self {
        Self { module, in_flight: in_flight.max(1) }
    }

    /// The outputs in the order of the inputs; one that fails does not stop the others.
    ///
    /// # Cost
    /// One run of the module for each input.
    pub async fn call(
        &self,
        cx: &Ctx,
        inputs: impl IntoIterator<Item = M::Input>,
    ) -> Vec<Result<M::Output, Error>> {
        let runs: Vec<_> = inputs.into_iter().map(|input| self.module.forward(cx, input)).collect();
        stream::iter(runs).buffered(self.in_flight).collect().await
    }
}

impl<M: Visit> Visit for Parallel<M> {
    fn visit<'a>(&'a self, visitor: &mut Visitor<'a>) {
        self.module.visit(visitor);
    }
}

/// Runs a module several times and keeps the output that a reward likes best.
///
/// Attempt 0 is the module as it is; the further ones ask for other samples ([`Ctx::with_rollout`]) at temperature 1, unless a
/// predictor sets its own. Only the calls of the attempt that is kept stand in the trace, so that no demo is made of a
/// rejected one.
///
/// # Determinism
/// The earliest of equal attempts wins, whichever ends first.
#[derive(Clone, Debug)]
pub struct BestOfN<M, R> {
    module: M,
    attempts: u32,
    reward: R,
    enough: Option<f64>,
}

impl<M, R> BestOfN<M, R>
where
    M: Module,
    R: Fn(&M::Input, &M::Output) -> f64 + Send + Sync,
{
    /// The best of `attempts` runs of `module`, at least 1, run at once. `reward` is higher for better outputs; NaN is worst.
    pub fn new(module: M, attempts: u32, reward: R) -> Self {
        Self { module, attempts: attempts.max(1), reward, enough: None }
    }

    /// Runs one attempt after another and takes the first whose reward reaches `reward`: fewer calls, more waiting.
    #[must_use]
    pub fn until(mut self, reward: f64) -> Self {
        self.enough = Some(reward);
        self
    }
}

impl<M, R> BestOfN<M, R>
where
    M: Module,
    M::Input: Clone + Sync,
    R: Fn(&M::Input, &M::Output) -> f64 + Send + Sync,
{
    async fn attempt(&self, cx: &Ctx, input: &M::Input, attempt: u32) -> Attempt<M::Output> {
        let mut run =
            cx.clone().recording().with_rollout(cx.rollout() * u64::from(self.attempts) + u64::from(attempt));
        if attempt > 0 {
            let warm = LmSettings { temperature: Some(1.0), ..LmSettings::default() };
            run = run.with_settings(warm.or(cx.settings()));
        }
        let output = self.module.forward(&run, input.clone()).await?;
        let reward = (self.reward)(input, &output);
        Ok((if reward.is_nan() { f64::NEG_INFINITY } else { reward }, output, run))
    }
}

/// An output, its reward, and the context that holds its trace.
type Attempt<O> = Result<(f64, O, Ctx), Error>;

impl<M, R> Module for BestOfN<M, R>
where
    M: Module,
    M::Input: Clone + Sync,
    R: Fn(&M::Input, &M::Output) -> f64 + Send + Sync,
{
    type Input = M::Input;
    type Output = M::Output;

    /// The best output; the first error where every attempt fails, a fatal one at once.
    async fn forward(&self, cx: &Ctx, input: M::Input) -> Result<M::Output, Error> {
        // One at a time where an early one may be enough.
        let at_once = if self.enough.is_some() { 1 } else { self.attempts as usize };
        let attempts = (0..self.attempts).map(|attempt| self.attempt(cx, &input, attempt));
        let mut attempts = std::pin::pin!(stream::iter(attempts).buffered(at_once));
        let mut best: Option<Attempt<M::Output>> = None;
        while let Some(attempt) = attempts.next().await {
            if attempt.as_ref().is_err_and(|error| error.as_lm().is_some_and(|error| error.is_fatal())) {
                return attempt.map(|(_, output, _)| output);
            }
            let better = match (&best, &attempt) {
                (None, _) | (Some(Err(_)), Ok(_)) => true,
                (Some(Ok((known, ..))), Ok((reward, ..))) => reward > known,
                (Some(_), Err(_)) => false,
            };
            let enough =
                matches!((&attempt, self.enough), (Ok((reward, ..)), Some(enough)) if *reward >= enough);
            if better {
                best = Some(attempt);
            }
            if enough {
                break;
            }
        }
        match best {
            Some(Ok((_, output, run))) => {
                cx.absorb(run.into_trace());
                Ok(output)
            }
            Some(Err(error)) => Err(error),
            // There is at least one attempt.
            None => Err(Error::user("no attempt was made")),
        }
    }

    fn source(&self) -> Option<&str> {
        self.module.source()
    }
}

impl<M: Visit, R> Visit for BestOfN<M, R> {
    fn visit<'a>(&'a self, visitor: &mut Visitor<'a>) {
        self.module.visit(visitor);
    }
}
