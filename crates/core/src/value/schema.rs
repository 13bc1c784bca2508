//! JSON schemas of field types: made ([`of`]), shown ([`shape`]), held to ([`pattern`]), and fitted to ([`fit`]).
//!
//! The part of JSON Schema (draft 2020-12) that types describe is understood: `type`, `properties`, `required`,
//! `additionalProperties`, `items`, `prefixItems`, `enum`, `const`, `anyOf`, `oneOf`, and `$ref` into `$defs`. Other keywords
//! are not checked; for a typed field, `serde` has the last word.

use serde_json::{Map, Value, json};

use super::json::write;
use super::{escape, is_nothing, parse_bool, parse_float, parse_integer, same_label};
use crate::field_type::{FieldType, ValueError};
use crate::fields::shorten;

/// The schema that takes any value.
static ANY: Value = Value::Bool(true);

/// Schemas are followed this deep, references included: a recursive schema ends there.
const MAX_DEPTH: usize = 32;

/// As [`MAX_DEPTH`], for patterns, whose length grows with each level.
const MAX_PATTERN_DEPTH: usize = 6;

/// The schema of a type's values.
pub(crate) fn of(ty: &FieldType) -> Value {
    match ty {
        FieldType::Text => json!({"type": "string"}),
        FieldType::Integer => json!({"type": "integer"}),
        FieldType::Float => json!({"type": "number"}),
        FieldType::Bool => json!({"type": "boolean"}),
        FieldType::Label(labels) => json!({"type": "string", "enum": labels}),
        FieldType::List(item) => json!({"type": "array", "items": of(item)}),
        FieldType::Optional(inner) => json!({"anyOf": [of(inner), {"type": "null"}]}),
        FieldType::Map(item) => json!({"type": "object", "additionalProperties": of(item)}),
        FieldType::Media => json!({
            "type": "object",
            "properties": {"media_type": {"type": "string"}, "url": {"type": "string"}},
            "required": ["media_type"],
        }),
        FieldType::Json { schema, .. } => schema.clone(),
    }
}

/// A schema as a reader sees it: `{"name": text, "tags": [text, ...]}`.
pub(crate) fn shape(schema: &Value) -> String {
    shape_in(Root(schema), schema, 0)
}

fn shape_in(root: Root<'_>, schema: &Value, depth: usize) -> String {
    let schema = root.resolve(schema);
    let inner = |schema: &Value| shape_in(root, schema, depth + 1);
    if depth > MAX_PATTERN_DEPTH {
        return "...".to_owned();
    }
    if let Some(value) = schema.get("const") {
        return write(value);
    }
    if let Some(values) = list(schema, "enum") {
        return values.iter().map(write).collect::<Vec<_>>().join(" or ");
    }
    if let Some(choices) = alternatives(schema) {
        return choices.iter().map(inner).collect::<Vec<_>>().join(" or ");
    }
    let one = |name: &str| match name {
        "string" => "text".to_owned(),
        "boolean" => "true or false".to_owned(),
        "array" => match (schema.get("items"), list(schema, "prefixItems")) {
            (_, Some(items)) => format!("[{}]", items.iter().map(inner).collect::<Vec<_>>().join(", ")),
            (Some(item), None) => format!("[{}, ...]", inner(item)),
            (None, None) => "[...]".to_owned(),
        },
        "object" => match (map(schema, "properties"), schema.get("additionalProperties")) {
            (Some(properties), _) => {
                let fields =
                    properties.iter().map(|(name, schema)| format!("{}: {}", quoted(name), inner(schema)));
                format!("{{{}}}", fields.collect::<Vec<_>>().join(", "))
            }
            (None, Some(item)) if item.is_object() => format!("{{name: {}, ...}}", inner(item)),
            _ => "{...}".to_owned(),
        },
        other => other.to_owned(),
    };
    match types(schema).as_slice() {
        [] => "any JSON".to_owned(),
        types => types.iter().map(|name| one(name)).collect::<Vec<_>>().join(" or "),
    }
}

/// A regular expression (Rust syntax) for the values of a schema as [`write`] spells them, every property there and in
/// order. `None` for what no regular expression describes: recursion, values of any type.
pub(crate) fn pattern(schema: &Value) -> Option<String> {
    pattern_in(Root(schema), schema, 0)
}

fn pattern_in(root: Root<'_>, schema: &Value, depth: usize) -> Option<String> {
    const STRING: &str = r#""([^"\\\x00-\x1F]|\\["\\/bfnrt])*""#;
    let schema = root.resolve(schema);
    let inner = |schema: &Value| pattern_in(root, schema, depth + 1);
    let any_of = |parts: Vec<String>| format!("({})", parts.join("|"));
    if depth > MAX_PATTERN_DEPTH {
        return None;
    }
    if let Some(value) = schema.get("const") {
        return Some(escape(&write(value)));
    }
    if let Some(values) = list(schema, "enum") {
        return Some(any_of(values.iter().map(|value| escape(&write(value))).collect()));
    }
    if let Some(choices) = alternatives(schema) {
        return choices.iter().map(inner).collect::<Option<Vec<_>>>().map(any_of);
    }
    let repeated = |item: String| format!("({item}(, {item})*)?");
    let one = |name: &str| match name {
        "string" => Some(STRING.to_owned()),
        "integer" => Some(super::INTEGER.to_owned()),
        "number" => Some(super::FLOAT.to_owned()),
        "boolean" => Some("(true|false)".to_owned()),
        "null" => Some("null".to_owned()),
        "array" => match list(schema, "prefixItems") {
            Some(items) => {
                let items = items.iter().map(inner).collect::<Option<Vec<_>>>()?;
                Some(format!(r"\[{}\]", items.join(", ")))
            }
            None => Some(format!(r"\[{}\]", repeated(inner(schema.get("items")?)?))),
        },
        "object" => match map(schema, "properties") {
            Some(properties) => {
                let fields = properties
                    .iter()
                    .map(|(name, schema)| Some(format!("{}: {}", escape(&quoted(name)), inner(schema)?)));
                Some(format!(r"\{{{}\}}", fields.collect::<Option<Vec<_>>>()?.join(", ")))
            }
            None => {
                let item = inner(schema.get("additionalProperties").filter(|item| item.is_object())?)?;
                Some(format!(r"\{{{}\}}", repeated(format!("{STRING}: {item}"))))
            }
        },
        _ => None,
    };
    match types(schema).as_slice() {
        [] => None,
        types => types.iter().map(|name| one(name)).collect::<Option<Vec<_>>>().map(any_of),
    }
}

/// `value` as the schema has it, mended where it is clear what is meant: `"7"` or `7.0` for an integer, `"yes"` for a bool, a
/// label or a name in another case or with punctuation.
pub(crate) fn fit(schema: &Value, value: Value) -> Result<Value, ValueError> {
    fit_in(Root(schema), schema, value, &mut Vec::new()).map_err(|unfit| *unfit)
}

type Fit = Result<Value, Box<ValueError>>;

fn fit_in(root: Root<'_>, schema: &Value, value: Value, path: &mut Vec<String>) -> Fit {
    if path.len() > MAX_DEPTH {
        return Err(unfit("less deeply nested JSON", &value, path));
    }
    let schema = root.resolve(schema);
    if let Some(only) = schema.get("const") {
        return if *only == value { Ok(value) } else { Err(unfit(&write(only), &value, path)) };
    }
    if let Some(values) = list(schema, "enum") {
        return fit_enum(schema, values, value, path);
    }
    if let Some(choices) = alternatives(schema) {
        return first_fit(choices.iter().collect(), schema, value, path, |choice, value, path| {
            fit_in(root, choice, value, path)
        });
    }
    match types(schema).as_slice() {
        [] => Ok(value),
        [one] => fit_type(root, schema, one, value, path),
        several => first_fit(several.to_vec(), schema, value, path, |name, value, path| {
            fit_type(root, schema, name, value, path)
        }),
    }
}

/// The first choice that takes the value as it is, else the first that takes it mended.
fn first_fit<T: Copy>(
    choices: Vec<T>,
    schema: &Value,
    value: Value,
    path: &mut Vec<String>,
    mut fit: impl FnMut(T, Value, &mut Vec<String>) -> Fit,
) -> Fit {
    let mut mended = None;
    for choice in choices {
        match fit(choice, value.clone(), path) {
            Ok(same) if same == value => return Ok(same),
            Ok(other) => mended = mended.or(Some(other)),
            Err(_) => {}
        }
    }
    mended.ok_or_else(|| unfit(&shape(schema), &value, path))
}

fn fit_enum(schema: &Value, values: &[Value], value: Value, path: &[String]) -> Fit {
    if values.contains(&value) {
        return Ok(value);
    }
    let labels = values.iter().filter_map(Value::as_str);
    let meant = value.as_str().and_then(|text| same_label(labels, text)).map(Value::from);
    meant.ok_or_else(|| unfit(&shape(schema), &value, path))
}

fn fit_type(root: Root<'_>, schema: &Value, name: &str, value: Value, path: &mut Vec<String>) -> Fit {
    let text = value.as_str();
    let fitted = match name {
        "string" => match &value {
            Value::String(_) => return Ok(value),
            Value::Number(_) | Value::Bool(_) => Some(Value::from(value.to_string())),
            _ => None,
        },
        "integer" => match &value {
            Value::Number(number) => parse_integer(&number.to_string()),
            _ => text.and_then(parse_integer),
        },
        "number" => match &value {
            Value::Number(number) => number.as_f64().map(Value::from),
            _ => text.and_then(parse_float),
        },
        "boolean" => match &value {
            Value::Bool(_) => return Ok(value),
            _ => text.and_then(parse_bool),
        },
        "null" => (value.is_null() || text.is_some_and(is_nothing)).then_some(Value::Null),
        "array" => match value {
            Value::Array(items) => return fit_items(root, schema, items, path),
            _ => None,
        },
        "object" => match value {
            Value::Object(fields) => return fit_fields(root, schema, fields, path),
            _ => None,
        },
        _ => return Ok(value),
    };
    fitted.ok_or_else(|| unfit(&shape_in(root, schema, 0), &value, path))
}

fn fit_items(root: Root<'_>, schema: &Value, items: Vec<Value>, path: &mut Vec<String>) -> Fit {
    let first = list(schema, "prefixItems").map(Vec::as_slice).unwrap_or_default();
    if items.len() < first.len() {
        return Err(unfit(&shape_in(root, schema, 0), &Value::Array(items), path));
    }
    let others = schema.get("items").unwrap_or(&ANY);
    let fitted = items.into_iter().enumerate().map(|(i, item)| {
        path.push(format!("[{i}]"));
        let item = fit_in(root, first.get(i).unwrap_or(others), item, path);
        path.pop();
        item
    });
    fitted.collect::<Result<Vec<_>, _>>().map(Value::Array)
}

fn fit_fields(root: Root<'_>, schema: &Value, fields: Map<String, Value>, path: &mut Vec<String>) -> Fit {
    let none = Map::new();
    let properties = map(schema, "properties").unwrap_or(&none);
    let mut fitted = Map::new();
    for (name, value) in fields {
        let known = properties.get_key_value(&name).map(|(name, schema)| (name.as_str(), schema));
        let known = known.or_else(|| {
            let name = same_label(properties.keys().map(String::as_str), &name)?;
            Some((name, properties.get(name)?))
        });
        let (name, schema) = match (known, schema.get("additionalProperties")) {
            (Some((known, schema)), _) => (known.to_owned(), Some(schema)),
            (None, Some(Value::Bool(false))) => continue,
            (None, others) => (name, others),
        };
        let value = match schema {
            None => value,
            Some(schema) => {
                path.push(format!(".{name}"));
                let value = fit_in(root, schema, value, path);
                path.pop();
                value?
            }
        };
        fitted.entry(name).or_insert(value);
    }
    let required = list(schema, "required").map(Vec::as_slice).unwrap_or_default();
    match required.iter().filter_map(Value::as_str).find(|name| !fitted.contains_key(*name)) {
        None => Ok(Value::Object(fitted)),
        Some(missing) => {
            Err(unfit(&format!("an object with {}", quoted(missing)), &Value::Object(fitted), path))
        }
    }
}

fn unfit(expected: &str, value: &Value, path: &[String]) -> Box<ValueError> {
    let place = if path.is_empty() { String::new() } else { format!(" at `{}`", path.concat()) };
    Box::new(ValueError { expected: format!("{expected}{place}"), found: shorten(&value.to_string(), 80) })
}

fn quoted(name: &str) -> String {
    Value::from(name).to_string()
}

/// The schema that holds the `$defs` which references name.
#[derive(Clone, Copy)]
struct Root<'a>(&'a Value);

impl<'a> Root<'a> {
    /// `schema`, or what it refers to; a reference that leads nowhere, or around in a circle, takes any value.
    fn resolve(self, mut schema: &'a Value) -> &'a Value {
        for _ in 0..MAX_DEPTH {
            let Some(reference) = schema.get("$ref").and_then(Value::as_str) else { return schema };
            match reference.strip_prefix('#').and_then(|pointer| self.0.pointer(pointer)) {
                Some(found) => schema = found,
                None => break,
            }
        }
        &ANY
    }
}

fn list<'a>(schema: &'a Value, key: &str) -> Option<&'a Vec<Value>> {
    schema.get(key)?.as_array()
}

fn map<'a>(schema: &'a Value, key: &str) -> Option<&'a Map<String, Value>> {
    schema.get(key)?.as_object()
}

fn alternatives(schema: &Value) -> Option<&Vec<Value>> {
    list(schema, "anyOf").or_else(|| list(schema, "oneOf"))
}

fn types(schema: &Value) -> Vec<&str> {
    match schema.get("type") {
        Some(Value::String(name)) => vec![name.as_str()],
        Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).collect(),
        _ if schema.get("properties").is_some() => vec!["object"],
        _ => Vec::new(),
    }
}
