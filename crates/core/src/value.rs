//! How values are written into prompts and read back from what models write.
//!
//! [`format_value`] and [`parse_value`] are inverse for every value that fits its type:
//! `parse_value(ty, &format_value(v)) == v` (texts up to surrounding white space). Reading is tolerant of what models really
//! write: `7.0` for an integer, `yes` for a bool, a label in another case or with punctuation around it.
//! [`pattern`] is the regular expression of the strict form, for models that can be held to one.

use serde_json::Value;

use crate::fields::{FieldType, ValueError};

/// A value as it stands in a prompt: text as it is, nothing as `none`, lists as JSON.
pub fn format_value(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "none".to_owned(),
        // As `pattern` has it, so that demos show the form that a constrained model may write.
        Value::Array(items) => {
            format!("[{}]", items.iter().map(Value::to_string).collect::<Vec<_>>().join(", "))
        }
        other => other.to_string(),
    }
}

/// Reads a value of type `ty` from a model's text.
///
/// # Errors
/// [`ValueError`] says what was expected and what was found.
pub fn parse_value(ty: &FieldType, text: &str) -> Result<Value, ValueError> {
    let trimmed = text.trim();
    let bare = trim_decoration(trimmed);
    let wrong = || ValueError::of_text(ty, trimmed);
    match ty {
        FieldType::Text => Ok(Value::String(trimmed.to_owned())),
        FieldType::Integer => parse_integer(bare).ok_or_else(wrong),
        FieldType::Float => {
            let number = bare.parse::<f64>().ok().and_then(serde_json::Number::from_f64);
            number.map(Value::Number).ok_or_else(wrong)
        }
        FieldType::Bool => match bare.to_lowercase().as_str() {
            "true" | "yes" | "1" => Ok(Value::Bool(true)),
            "false" | "no" | "0" => Ok(Value::Bool(false)),
            _ => Err(wrong()),
        },
        FieldType::Label(labels) => find_label(labels, trimmed).map(Value::String).ok_or_else(wrong),
        FieldType::List(item) => parse_list(item, trimmed).ok_or_else(wrong),
        FieldType::Optional(inner) => match bare.to_lowercase().as_str() {
            "" | "none" | "null" | "n/a" => Ok(Value::Null),
            _ => parse_value(inner, text),
        },
    }
}

/// A regular expression (Rust syntax) for the strict form of `ty`: one line, nothing around it.
pub fn pattern(ty: &FieldType) -> String {
    match ty {
        FieldType::Text => r"[^\n]+".to_owned(),
        FieldType::Integer => "-?(0|[1-9][0-9]{0,17})".to_owned(),
        FieldType::Float => r"-?(0|[1-9][0-9]{0,17})(\.[0-9]{1,17})?".to_owned(),
        FieldType::Bool => "(true|false)".to_owned(),
        FieldType::Label(labels) => {
            format!("({})", labels.iter().map(|label| escape(label)).collect::<Vec<_>>().join("|"))
        }
        FieldType::List(item) => {
            let item = match **item {
                FieldType::Text | FieldType::List(_) | FieldType::Optional(_) => r#""[^"\\\n]*""#.to_owned(),
                FieldType::Label(ref labels) => {
                    format!(
                        "\"({})\"",
                        labels.iter().map(|label| escape(label)).collect::<Vec<_>>().join("|")
                    )
                }
                ref plain => pattern(plain),
            };
            format!(r"\[({item}(, {item})*)?\]")
        }
        FieldType::Optional(inner) => format!("({}|none)", pattern(inner)),
    }
}

/// `text` with every character that a regular expression gives a meaning escaped.
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if r"\.+*?()|[]{}^$#&-~/".contains(c) {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

/// Takes off what models put around a short value: bold, quotes, code marks, a full stop.
fn trim_decoration(text: &str) -> &str {
    let around = |c: char| c.is_whitespace() || "*_`'\"".contains(c);
    text.trim_start_matches(around).trim_end_matches(|c: char| around(c) || ".,;".contains(c))
}

fn parse_integer(text: &str) -> Option<Value> {
    if let Ok(number) = text.parse::<i64>() {
        return Some(Value::from(number));
    }
    if let Ok(number) = text.parse::<u64>() {
        return Some(Value::from(number));
    }
    let number = text.parse::<f64>().ok()?;
    // 2^53: beyond it a floating number does not say which integer is meant.
    (number.fract() == 0.0 && number.abs() <= 9_007_199_254_740_992.0).then(|| Value::from(number as i64))
}

fn parse_list(item: &FieldType, text: &str) -> Option<Value> {
    let Ok(Value::Array(items)) = serde_json::from_str::<Value>(text) else { return None };
    let parsed = items.into_iter().map(|value| match value {
        Value::String(ref text) => parse_value(item, text).ok(),
        Value::Null => matches!(item, FieldType::Optional(_)).then_some(Value::Null),
        other => parse_value(item, &other.to_string()).ok(),
    });
    parsed.collect::<Option<Vec<_>>>().map(Value::Array)
}

/// The label meant by `text`: the same, else the same but for case and punctuation.
fn find_label(labels: &[String], text: &str) -> Option<String> {
    let plain = |text: &str| -> String {
        text.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
    };
    let exact = labels.iter().find(|label| label.as_str() == text);
    let near = || {
        let wanted = plain(text);
        let mut found = labels.iter().filter(|label| plain(label) == wanted && !wanted.is_empty());
        found.next().filter(|_| found.next().is_none())
    };
    exact.or_else(near).cloned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn labels() -> FieldType {
        FieldType::Label(vec!["bug report".into(), "Praise".into()])
    }

    #[test]
    fn reads_what_models_write() {
        let check = |ty: &FieldType, text: &str, expect: Value| {
            assert_eq!(parse_value(ty, text).unwrap(), expect, "{text}");
        };
        check(&FieldType::Integer, " 7.0 ", json!(7));
        check(&FieldType::Integer, "**12**.", json!(12));
        check(&FieldType::Bool, "Yes.", json!(true));
        check(&labels(), "`praise`!", json!("Praise"));
        check(&labels(), "Bug-Report", json!("bug report"));
        check(&FieldType::List(Box::new(FieldType::Integer)), "[1, 2.0]", json!([1, 2]));
        check(&FieldType::Optional(Box::new(FieldType::Float)), "None", Value::Null);
        assert!(parse_value(&labels(), "spam").is_err());
        assert!(parse_value(&FieldType::Float, "inf").is_err());
    }

    proptest! {
        #[test]
        fn parsing_inverts_formatting(number in any::<i64>(), real in -1e12f64..1e12, text in "[a-z][a-z ,.]{0,30}[a-z]") {
            let round = |ty: FieldType, value: Value| parse_value(&ty, &format_value(&value)).unwrap() == value;
            prop_assert!(round(FieldType::Integer, json!(number)));
            prop_assert!(round(FieldType::Float, json!(real)));
            prop_assert!(round(FieldType::Text, json!(text.clone())));
            prop_assert!(round(FieldType::List(Box::new(FieldType::Text)), json!([text])));
        }

        #[test]
        fn no_text_makes_parsing_panic(text in "\\PC{0,80}") {
            for ty in [FieldType::Integer, FieldType::Float, FieldType::Bool, labels(), FieldType::List(Box::new(labels()))] {
                let _ = parse_value(&ty, &text);
            }
        }
    }
}
