//! Metrics: how good a prediction is, from 0 (wrong) to 1 (right).
//!
//! A closure `Fn(&Example, &Prediction) -> bool | f64` is a metric; [`typed`] makes one of a closure on the program's own
//! types, [`from_async`] one of an async closure. Ready-made:
//!
//! | metric | score | source |
//! |---|---|---|
//! | [`exact_match`] | 1 where the values are the same, texts up to case, white space and marks around them | |
//! | [`normalized_match`] | 1 where the texts are the same without case, punctuation, articles and white space | SQuAD |
//! | [`token_f1`] | the harmonic mean of precision and recall over the words of both texts | SQuAD |
//! | [`contains`] | 1 where the answer has the label's words, side by side | DPR |
//! | [`within`] | 1 where two numbers differ by no more than a tolerance | |
//! | [`judge`] | a model's grade, from 0 to 1 | MT-Bench, G-Eval |
//!
//! SQuAD: Rajpurkar et al. 2016, arXiv:1606.05250, §6.1, and the rules of its official evaluation script, version 2.0. DPR:
//! Karpukhin et al. 2020, arXiv:2004.04906, §5.2 of which counts a passage as right when it has the answer's tokens. MT-Bench:
//! Zheng et al. 2023, arXiv:2306.05685; G-Eval: Liu et al. 2023, arXiv:2303.16634.
//!
//! Each but the judge is a function of values too ([`same`], [`text`]), for closures on typed predictions:
//!
//! ```
//! use teleprompt_core::{Fields, FieldsError, FromFields, metric};
//! // As `#[derive(Signature)]` makes them: the whole row, and its outputs.
//! struct Qa { answer: String }
//! struct QaOutput { answer: String }
//! # impl FromFields for Qa {
//! #     fn from_fields(fields: &Fields) -> Result<Self, FieldsError> { Ok(Self { answer: fields.typed("answer")? }) }
//! # }
//! # impl FromFields for QaOutput {
//! #     fn from_fields(fields: &Fields) -> Result<Self, FieldsError> { Ok(Self { answer: fields.typed("answer")? }) }
//! # }
//! let metric = metric::typed(|gold: &Qa, said: &QaOutput| metric::text::f1(&said.answer, &gold.answer));
//! # let _ = metric;
//! ```

mod judge;
mod ready;
pub mod text;
mod typed;

use futures::FutureExt;
use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};

use crate::context::Ctx;
use crate::error::Error;
use crate::example::Example;
use crate::lm::LmError;
use crate::module::Prediction;
use crate::trace::Trace;

pub use judge::{Judge, judge};
pub use ready::{Tolerance, contains, exact_match, normalized_match, same, token_f1, within};
pub use typed::typed;

/// A score in `[0, 1]`, higher is better.
#[derive(Clone, Copy, Debug, Default, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Score(f64);

impl Score {
    /// A score.
    ///
    /// # Errors
    /// [`MetricError::OutOfRange`] when `value` is not a number in `[0, 1]`.
    pub fn new(value: f64) -> Result<Self, MetricError> {
        if (0.0..=1.0).contains(&value) { Ok(Self(value)) } else { Err(MetricError::OutOfRange { value }) }
    }

    /// The number, in `[0, 1]`.
    pub fn value(self) -> f64 {
        self.0
    }
}

/// Why a metric gave no score. That is a failure of the metric, not a score of 0.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MetricError {
    /// The score is no number in `[0, 1]`.
    #[error("the metric gave {value}: a score must be a number from 0 to 1")]
    OutOfRange {
        /// What it gave.
        value: f64,
    },
    /// The metric's own error.
    #[error("the metric failed: {0}")]
    Failed(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl MetricError {
    /// The error of the model that the metric asked, where that is the cause.
    pub fn as_lm(&self) -> Option<&LmError> {
        let Self::Failed(cause) = self else { return None };
        cause.downcast_ref::<LmError>().or_else(|| cause.downcast_ref::<Error>()?.as_lm())
    }
}

/// How good a prediction is.
///
/// Implemented for every `Fn(&Example, &Prediction) -> R` where `R` is `bool`, `f64`, [`Score`] or a `Result` of one.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a metric",
    note = "use a closure `|example: &Example, prediction: &Prediction| -> bool` (or f64), or metric::from_async"
)]
pub trait Metric: Send + Sync {
    /// The score of `prediction` for the row `gold`.
    ///
    /// `cx` is a context without a candidate on the task model, for judges. `trace` is given while demos are
    /// bootstrapped, when a metric may be stricter about how an answer was reached.
    ///
    /// # Errors
    /// [`MetricError`]: the row is then a failed row, not one of score 0.
    fn score<'a>(
        &'a self,
        cx: &'a Ctx,
        gold: &'a Example,
        prediction: &'a Prediction,
        trace: Option<&'a Trace>,
    ) -> BoxFuture<'a, Result<Score, MetricError>>;
}

/// What a metric's closure may return.
pub trait IntoScore {
    /// The score.
    ///
    /// # Errors
    /// [`MetricError`] when it is none.
    fn into_score(self) -> Result<Score, MetricError>;
}

impl IntoScore for bool {
    fn into_score(self) -> Result<Score, MetricError> {
        Ok(Score(f64::from(u8::from(self))))
    }
}

impl IntoScore for f64 {
    fn into_score(self) -> Result<Score, MetricError> {
        Score::new(self)
    }
}

impl IntoScore for Score {
    fn into_score(self) -> Result<Score, MetricError> {
        Ok(self)
    }
}

impl<T: IntoScore, E: Into<Box<dyn std::error::Error + Send + Sync>>> IntoScore for Result<T, E> {
    fn into_score(self) -> Result<Score, MetricError> {
        self.map_err(|error| MetricError::Failed(error.into()))?.into_score()
    }
}

impl<F, R> Metric for F
where
    F: Fn(&Example, &Prediction) -> R + Send + Sync,
    R: IntoScore,
{
    fn score<'a>(
        &'a self,
        _: &'a Ctx,
        gold: &'a Example,
        prediction: &'a Prediction,
        _: Option<&'a Trace>,
    ) -> BoxFuture<'a, Result<Score, MetricError>> {
        std::future::ready(self(gold, prediction).into_score()).boxed()
    }
}

/// A metric of an async closure; it owns copies of the row and the prediction, and a context for judges.
///
/// ```
/// use teleprompt_core::{Ctx, Example, Prediction, metric};
/// let metric = metric::from_async(|_cx: Ctx, gold: Example, prediction: Prediction| async move {
///     gold.labels.get("answer") == prediction.get("answer")
/// });
/// # let _ = metric;
/// ```
pub fn from_async<F, Fut, R>(score: F) -> AsyncMetric<F>
where
    F: Fn(Ctx, Example, Prediction) -> Fut + Send + Sync,
    Fut: Future<Output = R> + Send + 'static,
    R: IntoScore,
{
    AsyncMetric(score)
}

/// The metric of [`from_async`].
#[derive(Clone, Debug)]
pub struct AsyncMetric<F>(F);

impl<F, Fut, R> Metric for AsyncMetric<F>
where
    F: Fn(Ctx, Example, Prediction) -> Fut + Send + Sync,
    Fut: Future<Output = R> + Send + 'static,
    R: IntoScore,
{
    fn score<'a>(
        &'a self,
        cx: &'a Ctx,
        gold: &'a Example,
        prediction: &'a Prediction,
        _: Option<&'a Trace>,
    ) -> BoxFuture<'a, Result<Score, MetricError>> {
        let judged = (self.0)(cx.clone(), gold.clone(), prediction.clone());
        async move { judged.await.into_score() }.boxed()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    //! What the metrics' own tests share.

    use super::*;
    use crate::fields::Fields;
    use crate::lm::{Lm, LmRequest, LmResponse, ModelId};

    /// A model that is never asked.
    struct Silent(ModelId);

    impl Lm for Silent {
        fn model(&self) -> &ModelId {
            &self.0
        }

        fn generate<'a>(&'a self, _: &'a LmRequest) -> BoxFuture<'a, Result<LmResponse, LmError>> {
            std::future::ready(Ok(LmResponse::new(""))).boxed()
        }
    }

    /// The score of a metric that asks no model.
    pub(crate) fn score(
        metric: &dyn Metric,
        gold: &Example,
        prediction: &Prediction,
    ) -> Result<f64, MetricError> {
        let cx = Ctx::new(std::sync::Arc::new(Silent(ModelId::new("silent"))));
        futures::executor::block_on(metric.score(&cx, gold, prediction, None)).map(Score::value)
    }

    /// A prediction of one field.
    pub(crate) fn said(field: &str, value: impl Into<serde_json::Value>) -> Prediction {
        Prediction { outputs: Fields::new().with(field, value) }
    }
}
