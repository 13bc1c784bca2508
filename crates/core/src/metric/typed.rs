//! Metrics on the program's own types.

use super::{IntoScore, Metric};
use crate::example::Example;
use crate::fields::{FieldsError, FromFields};
use crate::module::Prediction;

/// A metric of a closure on typed rows and typed predictions.
///
/// `G` is read from all fields of the row: with `#[derive(Signature)] struct Triage`, `Triage` itself. `P` is read from the
/// outputs: `TriageOutput`, or `Reasoned<TriageOutput>`. A row or a prediction that is not of its type is a failure of the
/// metric, not a score of 0.
pub fn typed<G, P, R, F>(score: F) -> impl Metric
where
    G: FromFields,
    P: FromFields,
    R: IntoScore,
    F: Fn(&G, &P) -> R + Send + Sync,
{
    move |gold: &Example, prediction: &Prediction| -> Result<R, FieldsError> {
        let row = G::from_fields(&gold.clone().into_fields())?;
        Ok(score(&row, &P::from_fields(&prediction.outputs)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metric::tests::{said, score};
    use crate::{Fields, Reasoned};

    struct Sum(i64);

    impl FromFields for Sum {
        fn from_fields(fields: &Fields) -> Result<Self, FieldsError> {
            fields.typed("sum").map(Self)
        }
    }

    #[test]
    fn a_closure_on_types_is_a_metric() {
        let gold = Example { inputs: Fields::new(), labels: Fields::new().with("sum", 7) };
        let metric = typed(|gold: &Sum, said: &Sum| gold.0 == said.0);
        assert_eq!(score(&metric, &gold, &said("sum", 7)).unwrap(), 1.0);
        assert_eq!(score(&metric, &gold, &said("sum", 8)).unwrap(), 0.0);
        let error = score(&metric, &gold, &said("sum", "seven")).unwrap_err();
        assert_eq!(error.to_string(), "the metric failed: field `sum`: expected integer, found \"seven\"");
        let near =
            typed(
                |gold: &Sum, said: &Reasoned<Sum>| {
                    if said.reasoning.is_empty() { Err("no reasoning") } else { Ok(gold.0 == said.output.0) }
                },
            );
        assert!(score(&near, &gold, &said("sum", 7)).is_err());
    }
}
