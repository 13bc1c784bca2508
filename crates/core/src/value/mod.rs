//! How values are written into prompts and read back from what models write.
//!
//! [`format_typed`] and [`parse_value`] are inverse for every value that fits its type:
//! `parse_value(ty, &format_typed(ty, v)) == v` (texts up to white space around them). Reading is tolerant of what models
//! really write: `7.0` for an integer, `yes` for a bool, a label in another case or with punctuation around it, a list with
//! bullets, JSON that is not quite JSON. [`pattern`] is the regular expression of the strict form, for models that can be held
//! to one.

pub(crate) mod json;
pub(crate) mod schema;

use std::borrow::Cow;

use serde_json::Value;

use crate::field_type::{FieldType, ValueError};
use crate::media::media_in;

/// A value as it stands in a prompt: text as it is, nothing as `none`, lists and objects as JSON.
pub fn format_value(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "none".to_owned(),
        // As `pattern` has it, so that demos show the form that a constrained model may write.
        other => json::write(other),
    }
}

/// A value of type `ty` as it stands in a prompt: as [`format_value`], but for an optional text that could be taken for
/// nothing, which stands in quotes; and for media, whose types stand there while they themselves are parts of the message.
pub fn format_typed<'a>(ty: &FieldType, value: &'a Value) -> Cow<'a, str> {
    match (ty, value) {
        (FieldType::Optional(_), Value::String(text)) if is_nothing(text) || text.starts_with('"') => {
            value.to_string().into()
        }
        (FieldType::Json { .. }, value) => json::write(value).into(),
        (FieldType::Media | FieldType::List(_) | FieldType::Map(_), value) => {
            match media_in(ty, value).as_slice() {
                [] => format_value(value).into(),
                attached => {
                    let types: Vec<&str> = attached.iter().map(|media| media.media_type.as_str()).collect();
                    format!("(attached: {})", types.join(", ")).into()
                }
            }
        }
        (_, Value::String(text)) => text.into(),
        _ => format_value(value).into(),
    }
}

/// Reads a value of type `ty` from a model's text.
///
/// # Errors
/// [`ValueError`] says what was expected and what was found.
pub fn parse_value(ty: &FieldType, text: &str) -> Result<Value, ValueError> {
    let trimmed = text.trim();
    if *ty == FieldType::Text {
        return Ok(Value::from(trimmed));
    }
    let text = without_fence(trimmed);
    let wrong = || ValueError::of_text(ty, trimmed);
    match ty {
        FieldType::Optional(inner) if matches!(**inner, FieldType::Optional(_)) => {
            parse_value(inner, trimmed)
        }
        FieldType::Optional(inner) => match quoted_text(inner, trimmed) {
            Some(quoted) => fit(inner, Value::from(quoted)),
            None if is_nothing(trimmed) => Ok(Value::Null),
            None => parse_value(inner, trimmed)
                .or_else(|error| if is_nothing(text) { Ok(Value::Null) } else { Err(error) }),
        },
        FieldType::List(_) => {
            let list = json::read(text, '[').or_else(|| list_of_lines(text)).ok_or_else(wrong)?;
            fit(ty, list)
        }
        FieldType::Map(_) | FieldType::Media => fit(ty, json::read(text, '{').ok_or_else(wrong)?),
        FieldType::Json { .. } => {
            let value = ['{', '['].into_iter().find_map(|open| {
                // What begins as a list is one, though it holds objects.
                (!(open == '{' && text.starts_with('['))).then(|| json::read(text, open))?
            });
            fit(ty, value.unwrap_or_else(|| Value::from(trim_decoration(text))))
        }
        // A short value is often followed by lines that explain it.
        _ => parse_short(ty, text).or_else(|| parse_short(ty, text.lines().next()?)).ok_or_else(wrong),
    }
}

/// A JSON value as one of type `ty`, mended where it is clear what is meant.
///
/// # Errors
/// [`ValueError`] says what was expected, where, and what was found.
pub fn fit(ty: &FieldType, value: Value) -> Result<Value, ValueError> {
    match ty {
        FieldType::Json { schema, .. } => schema::fit(schema, value),
        ty => schema::fit(&schema::of(ty), value),
    }
}

/// Numbers, bools and labels.
fn parse_short(ty: &FieldType, text: &str) -> Option<Value> {
    match ty {
        FieldType::Integer => parse_integer(text),
        FieldType::Float => parse_float(text),
        FieldType::Bool => parse_bool(text),
        FieldType::Label(labels) => same_label(labels.iter().map(String::as_str), text).map(Value::from),
        _ => None,
    }
}

const INTEGER: &str = "-?(0|[1-9][0-9]{0,17})";
const FLOAT: &str = r"-?(0|[1-9][0-9]{0,17})(\.[0-9]{1,17})?";

/// A regular expression (Rust syntax) for the strict form of `ty`: one line, nothing around it. `None` for a type that no
/// regular expression describes, such as a recursive one.
pub fn pattern(ty: &FieldType) -> Option<String> {
    let one_of = |values: Vec<String>| format!("({})", values.join("|"));
    match ty {
        FieldType::Text => Some(r"[^\n]+".to_owned()),
        FieldType::Integer => Some(INTEGER.to_owned()),
        FieldType::Float => Some(FLOAT.to_owned()),
        FieldType::Bool => Some("(true|false)".to_owned()),
        FieldType::Label(labels) => Some(one_of(labels.iter().map(|label| escape(label)).collect())),
        FieldType::Optional(inner) => match &**inner {
            FieldType::Label(labels) => {
                let written =
                    labels.iter().map(|label| escape(&format_typed(ty, &Value::from(label.as_str()))));
                Some(one_of(written.chain(["none".to_owned()]).collect()))
            }
            inner => Some(format!("({}|none)", pattern(inner)?)),
        },
        FieldType::List(_) | FieldType::Map(_) | FieldType::Media | FieldType::Json { .. } => {
            schema::pattern(&ty.json_schema())
        }
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

/// `text` without the code fence around it.
fn without_fence(text: &str) -> &str {
    let inside = || {
        let (_, inside) = text.strip_prefix("```")?.split_once('\n')?;
        Some(inside.trim_end().strip_suffix("```").unwrap_or(inside).trim())
    };
    inside().unwrap_or(text)
}

/// Takes off what models put around a short value: bold, quotes, code marks, a full stop.
fn trim_decoration(text: &str) -> &str {
    let around = |c: char| c.is_whitespace() || "*_`'\"".contains(c);
    text.trim_start_matches(around).trim_end_matches(|c: char| around(c) || ".,;".contains(c))
}

/// Whether `text` says that there is nothing.
fn is_nothing(text: &str) -> bool {
    matches!(trim_decoration(text).to_lowercase().as_str(), "" | "none" | "null" | "n/a")
}

/// The text in an answer that is one JSON string, where text or a label is wanted.
fn quoted_text(ty: &FieldType, text: &str) -> Option<String> {
    let wanted = matches!(ty, FieldType::Text | FieldType::Label(_));
    (wanted && text.starts_with('"')).then(|| serde_json::from_str(text).ok())?
}

fn parse_bool(text: &str) -> Option<Value> {
    match trim_decoration(text).to_lowercase().as_str() {
        "true" | "yes" | "y" | "1" => Some(Value::Bool(true)),
        "false" | "no" | "n" | "0" => Some(Value::Bool(false)),
        _ => None,
    }
}

fn parse_float(text: &str) -> Option<Value> {
    let number = plain_digits(trim_decoration(text)).parse::<f64>().ok()?;
    serde_json::Number::from_f64(number).map(Value::Number)
}

fn parse_integer(text: &str) -> Option<Value> {
    let text = plain_digits(trim_decoration(text));
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

/// `1,234,567.5` without its commas; text in which they do not part thousands as it is.
fn plain_digits(text: &str) -> String {
    let (whole, _) = text.split_once('.').unwrap_or((text, ""));
    let groups: Vec<&str> = whole.trim_start_matches(['-', '+']).split(',').collect();
    let digits = |group: &&str| group.chars().all(|c| c.is_ascii_digit());
    let thousands = groups.len() > 1
        && (1..=3).contains(&groups[0].len())
        && groups[1..].iter().all(|group| group.len() == 3)
        && groups.iter().all(digits);
    if thousands { text.replace(',', "") } else { text.to_owned() }
}

/// A list that is no JSON: bulleted or numbered lines, else what commas part on one line.
fn list_of_lines(text: &str) -> Option<Value> {
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let bullet = |line: &&str| {
        let numbered = line.trim_start_matches(|c: char| c.is_ascii_digit());
        let rest = match line.strip_prefix(['-', '*', '•']) {
            Some(rest) => rest,
            None if numbered.len() < line.len() => numbered.strip_prefix(['.', ')'])?,
            None => return None,
        };
        rest.starts_with(' ').then(|| Value::from(rest.trim()))
    };
    if let Some(items) =
        lines.iter().map(bullet).collect::<Option<Vec<_>>>().filter(|items| !items.is_empty())
    {
        return Some(Value::Array(items));
    }
    match lines.as_slice() {
        [] => None,
        [line] if is_nothing(line) => Some(Value::Array(Vec::new())),
        [line] => Some(line.split(',').map(|item| Value::from(item.trim())).collect()),
        _ => None,
    }
}

/// The label meant by `text`: the same, else the only one that is the same but for case and punctuation.
fn same_label<'a>(labels: impl Iterator<Item = &'a str> + Clone, text: &str) -> Option<&'a str> {
    let plain = |text: &str| -> String {
        text.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
    };
    let exact = labels.clone().find(|label| *label == text.trim());
    let near = || {
        let wanted = plain(text);
        let mut found = labels.filter(|label| plain(label) == wanted && !wanted.is_empty());
        found.next().filter(|_| found.next().is_none())
    };
    exact.or_else(near)
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
        let list = |item| FieldType::List(Box::new(item));
        check(&list(FieldType::Integer), "[1, 2.0]", json!([1, 2]));
        check(&list(FieldType::Integer), "1, 2, 3", json!([1, 2, 3]));
        check(&list(labels()), "- Praise\n- **bug report**", json!(["Praise", "bug report"]));
        check(&list(FieldType::Text), "Here: ['a', 'b',]", json!(["a", "b"]));
        check(&list(FieldType::Text), "none", json!([]));
        check(&FieldType::Integer, "```\n1,234\n```", json!(1234));
        check(&FieldType::Integer, "7\n\nBecause there are seven.", json!(7));
        check(&FieldType::Map(Box::new(FieldType::Float)), "{'a': '1.5', b: 2}", json!({"a": 1.5, "b": 2.0}));
        let person = FieldType::Json {
            name: "Person".to_owned(),
            schema: json!({
                "type": "object",
                "properties": {"name": {"type": "string"}, "age": {"type": "integer"}, "boss": {"$ref": "#"}},
                "required": ["name"],
            }),
        };
        check(&person, "{\"Name\": \"Ada\", \"age\": \"36\"} as asked", json!({"name": "Ada", "age": 36}));
        let error = parse_value(&person, r#"{"name": "Ada", "boss": {"age": 3}}"#).unwrap_err();
        assert_eq!(error.to_string(), r#"expected an object with "name" at `.boss`, found {"age":3}"#);
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
            let map = FieldType::Map(Box::new(FieldType::Optional(Box::new(FieldType::Float))));
            for ty in [map, FieldType::Integer, FieldType::Float, FieldType::Bool, labels(), FieldType::List(Box::new(labels()))] {
                let _ = parse_value(&ty, &text);
            }
        }
    }
}
