//! Metrics: how good a prediction is, from 0 (wrong) to 1 (right).
//!
//! A closure `Fn(&Example, &Prediction) -> bool | f64` is a metric; [`from_async`] makes one of an async closure, for
//! judges that call a model themselves.

use futures::FutureExt;
use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};

use crate::context::Ctx;
use crate::error::Error;
use crate::example::Example;
use crate::lm::LmError;
use crate::module::Prediction;
use crate::trace::Trace;

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

/// The metric "this field is as in the data": texts are compared without case, surplus white space, quotes around them and
/// punctuation at their end, other values as they are. A row without the label fails.
///
/// ```
/// use teleprompt_core::{Example, Fields, Prediction, metric};
/// let gold = Example::new(Fields::new().with("q", "capital of France").with("a", "Paris")).with_inputs(&["q"]).unwrap();
/// let said = Prediction { outputs: Fields::new().with("a", " paris.") };
/// assert!(metric::same(&gold, &said, "a").unwrap());
/// ```
pub fn exact_match(field: impl Into<String>) -> impl Metric {
    let field = field.into();
    move |gold: &Example, prediction: &Prediction| same(gold, prediction, &field)
}

/// Whether `field` of the prediction is as in the row, by the comparison of [`exact_match`].
///
/// # Errors
/// When the row does not have the label.
pub fn same(
    gold: &Example,
    prediction: &Prediction,
    field: &str,
) -> Result<bool, crate::fields::FieldsError> {
    let wanted = gold.labels.get(field).ok_or_else(|| crate::fields::FieldsError::Missing {
        field: field.to_owned(),
        nearest: crate::fields::Nearest::to(field, gold.labels.names()),
    })?;
    let plain = |value: &serde_json::Value| match value.as_str() {
        None => value.clone(),
        Some(text) => {
            let text =
                text.trim().trim_matches(['"', '\'', '`', '*']).trim_end_matches(['.', ',', ';', ':', '!']);
            let words: Vec<String> = text.split_whitespace().map(str::to_lowercase).collect();
            serde_json::Value::String(words.join(" "))
        }
    };
    Ok(prediction.get(field).map(plain) == Some(plain(wanted)))
}
