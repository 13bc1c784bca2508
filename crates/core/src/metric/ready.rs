//! Ready-made metrics on one field.
//!
//! All compare the output `field` of a prediction with the label of the same name. Where the label is a list of texts and the
//! output is a text, the list holds the answers that count as right, and the best one scores, as in SQuAD. A row without the
//! label and a prediction without the field are failures of the metric, not scores of 0.

use serde_json::{Number, Value};

use super::{Metric, text};
use crate::example::Example;
use crate::field_type::ValueError;
use crate::fields::{Fields, FieldsError, Nearest};
use crate::module::Prediction;
use crate::value::format_value;

/// The metric "this field is as in the data", by [`same`].
///
/// ```
/// use teleprompt_core::{Example, Fields, Prediction, metric};
/// let gold = Example::new(Fields::new().with("q", "capital of France").with("a", "Paris")).with_inputs(&["q"]).unwrap();
/// let said = Prediction { outputs: Fields::new().with("a", " paris.") };
/// assert!(metric::same(&gold, &said, "a").unwrap());
/// ```
pub fn exact_match(field: impl Into<String>) -> impl Metric {
    on_field(field, |said, gold, _| Ok(f64::from(u8::from(alike(said, gold)))))
}

/// The metric "this field has the same words as in the data", in SQuAD's normalized form ([`text::words`]).
pub fn normalized_match(field: impl Into<String>) -> impl Metric {
    on_texts(field, |said, gold| f64::from(u8::from(text::same(said, gold))))
}

/// The metric "so many words of this field are those in the data": SQuAD's F1 ([`text::f1`]).
pub fn token_f1(field: impl Into<String>) -> impl Metric {
    on_texts(field, text::f1)
}

/// The metric "this field has the words of the label in it" ([`text::contains`]): for long answers to short questions.
pub fn contains(field: impl Into<String>) -> impl Metric {
    on_texts(field, |said, gold| f64::from(u8::from(text::contains(said, gold))))
}

/// The metric "this field is a number near the one in the data".
///
/// Texts that are numbers count as such: `1,234.5`, `$7`, `12 %` (which is 12). An output that is no number scores 0; a label
/// that is none is a failure of the metric.
///
/// ```
/// use teleprompt_core::metric::{self, Tolerance};
/// let metric = metric::within("price", Tolerance::absolute(0.01));
/// # let _ = metric;
/// ```
pub fn within(field: impl Into<String>, tolerance: Tolerance) -> impl Metric {
    on_field(field, move |said, gold, field| {
        let Some(gold) = number(gold) else {
            let source = ValueError {
                expected: "number".to_owned(),
                found: crate::fields::shorten(&gold.to_string(), 80),
            };
            return Err(FieldsError::Type { field: field.to_owned(), source });
        };
        Ok(f64::from(u8::from(number(said).is_some_and(|said| tolerance.allows(said, gold)))))
    })
}

/// How far a number may be from the one in the data.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Tolerance {
    absolute: f64,
    relative: f64,
}

impl Tolerance {
    /// At most `difference` away, the end included.
    pub fn absolute(difference: f64) -> Self {
        Self { absolute: difference, relative: 0.0 }
    }

    /// At most `share` of the label's size away, the end included: 0.01 is one per cent.
    pub fn relative(share: f64) -> Self {
        Self { absolute: 0.0, relative: share }
    }

    /// The same, or at most `difference` away: for labels near 0.
    #[must_use]
    pub fn or_absolute(mut self, difference: f64) -> Self {
        self.absolute = difference;
        self
    }

    /// Whether `said` is near enough to `gold`.
    pub fn allows(self, said: f64, gold: f64) -> bool {
        (said - gold).abs() <= self.absolute.max(self.relative * gold.abs())
    }
}

/// Whether `field` of the prediction is as in the row.
///
/// Texts are compared without case, surplus white space, quotes around them and punctuation at their end, numbers by what they
/// are worth (`2` is `2.0`), lists and objects item by item.
///
/// # Errors
/// When the row does not have the label, or the prediction does not have the field.
pub fn same(gold: &Example, prediction: &Prediction, field: &str) -> Result<bool, FieldsError> {
    let gold = found(&gold.labels, field)?;
    let said = found(&prediction.outputs, field)?;
    Ok(any_of(said, gold).iter().any(|gold| alike(said, gold)))
}

/// A metric of both values of a field, the best over all labels that count as right.
fn on_field(
    field: impl Into<String>,
    score: impl Fn(&Value, &Value, &str) -> Result<f64, FieldsError> + Send + Sync,
) -> impl Metric {
    let field = field.into();
    move |gold: &Example, prediction: &Prediction| -> Result<f64, FieldsError> {
        let gold = found(&gold.labels, &field)?;
        let said = found(&prediction.outputs, &field)?;
        let mut best = 0.0;
        for gold in any_of(said, gold) {
            best = score(said, gold, &field)?.max(best);
        }
        Ok(best)
    }
}

/// As [`on_field`], of both values as texts.
fn on_texts(field: impl Into<String>, score: impl Fn(&str, &str) -> f64 + Send + Sync) -> impl Metric {
    on_field(field, move |said, gold, _| Ok(score(&format_value(said), &format_value(gold))))
}

fn found<'a>(fields: &'a Fields, field: &str) -> Result<&'a Value, FieldsError> {
    fields.get(field).ok_or_else(|| FieldsError::Missing {
        field: field.to_owned(),
        nearest: Nearest::to(field, fields.names()),
    })
}

/// The labels that count as right: the label, or each of a list of texts where a text was said.
fn any_of<'a>(said: &Value, gold: &'a Value) -> &'a [Value] {
    match gold {
        Value::Array(all) if said.is_string() && !all.is_empty() && all.iter().all(Value::is_string) => all,
        one => std::slice::from_ref(one),
    }
}

fn alike(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::String(a), Value::String(b)) => plain(a).eq(plain(b)),
        (Value::Number(a), Value::Number(b)) => equal(a, b),
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| alike(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| alike(a, b)))
        }
        (a, b) => a == b,
    }
}

/// The words of a text without case, marks around it and punctuation at its end.
fn plain(text: &str) -> impl Iterator<Item = Caseless<'_>> {
    const MARKS: [char; 4] = ['"', '\'', '`', '*'];
    let end = |c: char| MARKS.contains(&c) || ".,;:!".contains(c);
    let text = text.trim().trim_start_matches(MARKS).trim_end_matches(end);
    text.split_whitespace().map(Caseless)
}

/// A word that is the same in another case.
struct Caseless<'a>(&'a str);

impl PartialEq for Caseless<'_> {
    fn eq(&self, other: &Self) -> bool {
        let (a, b) = (self.0, other.0);
        a == b
            || if a.is_ascii() && b.is_ascii() {
                a.eq_ignore_ascii_case(b)
            } else {
                a.to_lowercase() == b.to_lowercase()
            }
    }
}

/// Whether two numbers are worth the same, whole ones to the last digit.
fn equal(a: &Number, b: &Number) -> bool {
    let whole = |n: &Number| n.as_i64().map(i128::from).or_else(|| n.as_u64().map(i128::from));
    match (whole(a), whole(b)) {
        (Some(a), Some(b)) => a == b,
        (None, None) => a.as_f64() == b.as_f64(),
        (Some(whole), None) => worth(b, whole),
        (None, Some(whole)) => worth(a, whole),
    }
}

/// Whether a floating number is this whole number. `2^64` is beyond every whole number of JSON here.
fn worth(float: &Number, whole: i128) -> bool {
    float.as_f64().is_some_and(|float| {
        float.fract() == 0.0 && float.abs() <= 18_446_744_073_709_551_616.0 && float as i128 == whole
    })
}

/// The number that a value is, or that its text reads as.
fn number(value: &Value) -> Option<f64> {
    let text = match value {
        Value::Number(number) => return number.as_f64(),
        Value::String(text) => text.trim(),
        _ => return None,
    };
    let text =
        text.trim_start_matches(['$', '€', '£']).trim_end_matches('%').trim_end().trim_end_matches('.');
    text.replace(',', "").parse::<f64>().ok().filter(|number| number.is_finite())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::metric::tests::{said, score};

    fn gold(value: Value) -> Example {
        Example { inputs: Fields::new(), labels: Fields::new().with("a", value) }
    }

    fn check(metric: &dyn Metric, label: Value, output: Value, expect: f64) {
        let found = score(metric, &gold(label.clone()), &said("a", output.clone())).unwrap();
        assert!((found - expect).abs() < 1e-12, "{label} {output}: {found}");
    }

    #[test]
    fn values_are_compared_by_what_they_are_worth() {
        let metric = exact_match("a");
        check(&metric, json!(2), json!(2.0), 1.0);
        check(&metric, json!([1, {"b": 2.0}]), json!([1.0, {"b": 2}]), 1.0);
        check(&metric, json!([1, 2]), json!([2, 1]), 0.0);
        check(&metric, json!(9_007_199_254_740_993_i64), json!(9_007_199_254_740_992_i64), 0.0);
        check(&metric, json!(9_007_199_254_740_993_i64), json!(9_007_199_254_740_992.0), 0.0);
        check(&metric, json!(u64::MAX), json!(18_446_744_073_709_551_616.0), 0.0);
        check(&metric, json!("New  York"), json!("**new york**."), 1.0);
        check(&metric, json!(["NY", "New York"]), json!("new york"), 1.0);
        check(&metric, json!(["NY", "New York"]), json!(["ny"]), 0.0);
        check(&metric, json!("2"), json!(2), 0.0);
        check(&metric, Value::Null, Value::Null, 1.0);
    }

    #[test]
    fn texts_are_compared_by_their_words() {
        check(&normalized_match("a"), json!("The Beatles"), json!("beatles!"), 1.0);
        check(&normalized_match("a"), json!("The Beatles"), json!("the beatles band"), 0.0);
        check(&token_f1("a"), json!("The Beatles"), json!("the beatles band"), 2.0 / 3.0);
        check(&token_f1("a"), json!(["rock", "beatles band"]), json!("the beatles"), 2.0 / 3.0);
        check(&contains("a"), json!(1969), json!("It was in 1969."), 1.0);
        check(&contains("a"), json!("1969"), json!("It was in 1970."), 0.0);
    }

    #[test]
    fn numbers_are_compared_within_a_tolerance() {
        let cents = within("a", Tolerance::absolute(0.01));
        check(&cents, json!(1234.5), json!("$1,234.51"), 1.0);
        check(&cents, json!(1234.5), json!(1234.52), 0.0);
        check(&cents, json!("12 %"), json!("12."), 1.0);
        check(&cents, json!(3), json!("three"), 0.0);
        let percent = within("a", Tolerance::relative(0.01).or_absolute(0.001));
        check(&percent, json!(-200), json!(-202), 1.0);
        check(&percent, json!(-200), json!(-202.1), 0.0);
        check(&percent, json!(0), json!(0.0005), 1.0);
        let error = score(&percent, &gold(json!("many")), &said("a", 3)).unwrap_err();
        assert_eq!(error.to_string(), "the metric failed: field `a`: expected number, found \"many\"");
    }

    #[test]
    fn what_is_missing_is_no_score_of_zero() {
        let (row, metric) = (gold(json!("x")), exact_match("a"));
        assert!(score(&metric, &Example::default(), &said("a", "x")).is_err());
        let error = score(&metric, &row, &said("A", "x")).unwrap_err();
        assert_eq!(error.to_string(), "the metric failed: field `a` is missing; did you mean `A`?");
    }

    proptest! {
        #[test]
        fn every_whole_number_is_its_float(n in -9_007_199_254_740_992i64..=9_007_199_254_740_992) {
            prop_assert!(alike(&json!(n), &json!(n as f64)) && alike(&json!(n as f64), &json!(n)));
            prop_assert!(!alike(&json!(n as f64 + 0.5), &json!(n)) || (n as f64 + 0.5).fract() == 0.0);
        }

        #[test]
        fn no_text_makes_a_metric_panic(a in "\\PC{0,20}", b in "\\PC{0,20}") {
            let both = [json!(a), json!(b)];
            prop_assert_eq!(alike(&both[0], &both[1]), alike(&both[1], &both[0]));
            let _ = both.iter().map(number).collect::<Vec<_>>();
        }
    }
}
