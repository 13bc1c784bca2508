//! JSON schemas of field types: made ([`of`]), shown ([`shape`]), held to ([`pattern`]), and fitted to ([`fit`]).
//!
//! The part of JSON Schema (draft 2020-12) that types describe is understood: `type`, `properties`, `required`,
//! `additionalProperties`, `items`, `prefixItems`, `enum`, `const`, `anyOf`, `oneOf`, and `$ref` into `$defs`. Other keywords
//! are not checked; for a typed field, `serde` has the last word.
//!
//! A schema can come from a file: how deep it is followed and how many of its parts are looked at is bounded.

use std::cell::Cell;

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

/// Parts of a schema that are shown, or made into a pattern, at most.
const MAX_PATTERN_PARTS: usize = 2_000;

/// Parts of a value that are compared with parts of a schema at most, each as often as it is.
const MAX_STEPS: usize = 1_000_000;

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
    shape_in(Root::new(schema, &Cell::new(MAX_PATTERN_PARTS)), schema, 0)
}

fn shape_in(root: Root<'_>, schema: &Value, depth: usize) -> String {
    let schema = root.resolve(schema);
    let inner = |schema: &Value| shape_in(root, schema, depth + 1);
    if depth > MAX_PATTERN_DEPTH || !root.steps(1) {
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
    pattern_in(Root::new(schema, &Cell::new(MAX_PATTERN_PARTS)), schema, 0)
}

fn pattern_in(root: Root<'_>, schema: &Value, depth: usize) -> Option<String> {
    const STRING: &str = r#""([^"\\\x00-\x1F]|\\["\\/bfnrt])*""#;
    let schema = root.resolve(schema);
    let inner = |schema: &Value| pattern_in(root, schema, depth + 1);
    let any_of = |parts: Vec<String>| format!("({})", parts.join("|"));
    if depth > MAX_PATTERN_DEPTH || !root.steps(1) {
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
    let left = Cell::new(MAX_STEPS);
    let root = Root::new(schema, &left);
    fit_in(root, schema, value, &mut Place::default()).map_err(|unfit| unfit.error(root))
}

type Fit<'a> = Result<Value, Box<Unfit<'a>>>;

/// A part of a value that does not fit. Made into words only where no other alternative fits.
struct Unfit<'a> {
    expected: Expected<'a>,
    value: Value,
    path: String,
}

enum Expected<'a> {
    /// What a part of the schema takes.
    Schema(&'a Value),
    /// An object with this property.
    Property(&'a str),
    /// Something that ends sooner.
    Shallower,
}

impl Unfit<'_> {
    fn error(self, root: Root<'_>) -> ValueError {
        let expected = match self.expected {
            Expected::Schema(part) => {
                shape_in(Root::new(root.schema, &Cell::new(MAX_PATTERN_PARTS)), part, 0)
            }
            Expected::Property(name) => format!("an object with {}", quoted(name)),
            Expected::Shallower => "less deeply nested JSON".to_owned(),
        };
        let place = if self.path.is_empty() { String::new() } else { format!(" at `{}`", self.path) };
        ValueError { expected: expected + &place, found: shorten(&self.value.to_string(), 80) }
    }
}

/// Where in a value a part of it stands.
#[derive(Default)]
struct Place {
    path: Vec<String>,
    /// Schemas inside of each other, those of one part's alternatives included.
    depth: usize,
}

fn fit_in<'a>(root: Root<'a>, schema: &'a Value, value: Value, place: &mut Place) -> Fit<'a> {
    if place.depth > MAX_DEPTH || !root.steps(1) {
        return Err(unfit(Expected::Shallower, value, place));
    }
    place.depth += 1;
    let fitted = fit_one(root, root.resolve(schema), value, place);
    place.depth -= 1;
    fitted
}

fn fit_one<'a>(root: Root<'a>, schema: &'a Value, value: Value, place: &mut Place) -> Fit<'a> {
    if let Some(only) = schema.get("const") {
        return if *only == value { Ok(value) } else { Err(unfit(Expected::Schema(schema), value, place)) };
    }
    if let Some(values) = list(schema, "enum") {
        return fit_enum(schema, values, value, place);
    }
    if let Some(choices) = alternatives(schema) {
        return first_fit(root, choices.iter().collect(), schema, value, place, |choice, value, place| {
            fit_in(root, choice, value, place)
        });
    }
    match types(schema).as_slice() {
        [] => Ok(value),
        [one] => fit_type(root, schema, one, value, place),
        several => first_fit(root, several.to_vec(), schema, value, place, |name, value, place| {
            fit_type(root, schema, name, value, place)
        }),
    }
}

/// The first choice that takes the value as it is, else the first that takes it mended.
fn first_fit<'a, T: Copy>(
    root: Root<'a>,
    choices: Vec<T>,
    schema: &'a Value,
    value: Value,
    place: &mut Place,
    mut fit: impl FnMut(T, Value, &mut Place) -> Fit<'a>,
) -> Fit<'a> {
    let mut mended = None;
    for choice in choices {
        if !root.steps(parts(&value)) {
            break;
        }
        match fit(choice, value.clone(), place) {
            Ok(same) if same == value => return Ok(same),
            Ok(other) => mended = mended.or(Some(other)),
            Err(_) => {}
        }
    }
    mended.ok_or_else(|| unfit(Expected::Schema(schema), value, place))
}

fn fit_enum<'a>(schema: &'a Value, values: &'a [Value], value: Value, place: &Place) -> Fit<'a> {
    if values.contains(&value) {
        return Ok(value);
    }
    let labels = values.iter().filter_map(Value::as_str);
    let meant = value.as_str().and_then(|text| same_label(labels, text)).map(Value::from);
    meant.ok_or_else(|| unfit(Expected::Schema(schema), value, place))
}

fn fit_type<'a>(root: Root<'a>, schema: &'a Value, name: &str, value: Value, place: &mut Place) -> Fit<'a> {
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
            Value::Array(items) => return fit_items(root, schema, items, place),
            _ => None,
        },
        "object" => match value {
            Value::Object(fields) => return fit_fields(root, schema, fields, place),
            _ => None,
        },
        _ => return Ok(value),
    };
    fitted.ok_or_else(|| unfit(Expected::Schema(schema), value, place))
}

fn fit_items<'a>(root: Root<'a>, schema: &'a Value, items: Vec<Value>, place: &mut Place) -> Fit<'a> {
    let first = list(schema, "prefixItems").map(Vec::as_slice).unwrap_or_default();
    if items.len() < first.len() {
        return Err(unfit(Expected::Schema(schema), Value::Array(items), place));
    }
    let others = schema.get("items").unwrap_or(&ANY);
    let fitted = items.into_iter().enumerate().map(|(i, item)| {
        place.path.push(format!("[{i}]"));
        let item = fit_in(root, first.get(i).unwrap_or(others), item, place);
        place.path.pop();
        item
    });
    fitted.collect::<Result<Vec<_>, _>>().map(Value::Array)
}

fn fit_fields<'a>(
    root: Root<'a>,
    schema: &'a Value,
    fields: Map<String, Value>,
    place: &mut Place,
) -> Fit<'a> {
    let properties = map(schema, "properties");
    let mut fitted = Map::new();
    for (name, value) in fields {
        let known = properties.and_then(|properties| {
            let known = properties.get_key_value(&name).map(|(name, schema)| (name.as_str(), schema));
            known.or_else(|| {
                let name = same_label(properties.keys().map(String::as_str), &name)?;
                Some((name, properties.get(name)?))
            })
        });
        let (name, schema) = match (known, schema.get("additionalProperties")) {
            (Some((known, schema)), _) => (known.to_owned(), Some(schema)),
            (None, Some(Value::Bool(false))) => continue,
            (None, others) => (name, others),
        };
        let value = match schema {
            None => value,
            Some(schema) => {
                place.path.push(format!(".{name}"));
                let value = fit_in(root, schema, value, place);
                place.path.pop();
                value?
            }
        };
        fitted.entry(name).or_insert(value);
    }
    let required = list(schema, "required").map(Vec::as_slice).unwrap_or_default();
    match required.iter().filter_map(Value::as_str).find(|name| !fitted.contains_key(*name)) {
        None => Ok(Value::Object(fitted)),
        Some(missing) => Err(unfit(Expected::Property(missing), Value::Object(fitted), place)),
    }
}

fn unfit<'a>(expected: Expected<'a>, value: Value, place: &Place) -> Box<Unfit<'a>> {
    Box::new(Unfit { expected, value, path: place.path.concat() })
}

/// How many values a value holds, itself included.
fn parts(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(parts).sum::<usize>(),
        Value::Object(fields) => 1 + fields.values().map(parts).sum::<usize>(),
        _ => 1,
    }
}

fn quoted(name: &str) -> String {
    Value::from(name).to_string()
}

/// The schema that holds the `$defs` which references name, and how much of it may still be looked at.
#[derive(Clone, Copy)]
struct Root<'a> {
    schema: &'a Value,
    left: &'a Cell<usize>,
}

impl<'a> Root<'a> {
    fn new(schema: &'a Value, left: &'a Cell<usize>) -> Self {
        Self { schema, left }
    }

    /// Takes steps; `false` when there are none left.
    fn steps(self, n: usize) -> bool {
        let left = self.left.get();
        self.left.set(left.saturating_sub(n));
        left > 0
    }

    /// `schema`, or what it refers to; a reference that leads nowhere, or around in a circle, takes any value.
    fn resolve(self, mut schema: &'a Value) -> &'a Value {
        for _ in 0..MAX_DEPTH {
            let Some(reference) = schema.get("$ref").and_then(Value::as_str) else { return schema };
            match reference.strip_prefix('#').and_then(|pointer| self.schema.pointer(pointer)) {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schemas_that_go_in_circles_end() {
        let circles = [
            json!({"$ref": "#"}),
            json!({"anyOf": [{"$ref": "#"}, {"$ref": "#"}]}),
            json!({"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}}),
            json!({"type": "array", "items": {"anyOf": vec![json!({"$ref": "#"}); 200]}}),
        ];
        for schema in circles {
            let _ =
                (shape(&schema).len(), pattern(&schema), fit(&schema, json!([[[[1], [2]], "x"]])).is_ok());
        }
    }

    #[test]
    fn a_recursive_type_is_fitted_as_deep_as_its_value() {
        let schema = json!({
            "type": "object",
            "properties": {"n": {"type": "integer"}, "next": {"anyOf": [{"$ref": "#"}, {"type": "null"}]}},
            "required": ["n"],
        });
        let fitted = fit(&schema, json!({"n": "1", "next": {"N": 2.0, "next": null}})).unwrap();
        assert_eq!(fitted, json!({"n": 1, "next": {"n": 2, "next": null}}));
        let error = fit(&schema, json!({"n": 1, "next": {"n": "x"}})).unwrap_err().to_string();
        assert!(error.contains("at `.next`"), "{error}");
        assert_eq!(pattern(&schema), None);
    }

    #[test]
    fn patterns_follow_the_spelling_of_prompts() {
        let schema = json!({"type": "object", "properties": {"a b": {"enum": ["x", 1]}, "c": {"type": ["boolean", "null"]}}});
        assert_eq!(pattern(&schema).unwrap(), r#"(\{"a b": ("x"|1), "c": ((true|false)|null)\})"#);
        assert_eq!(shape(&schema), r#"{"a b": "x" or 1, "c": true or false or null}"#);
    }
}
