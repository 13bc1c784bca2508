//! Rows against what is asked of them: names, a signature, or a Rust type.

use serde_json::Value;
use teleprompt_core::value::fit;
use teleprompt_core::{
    Example, FieldSpec, FieldType, Fields, FieldsError, FromFields, Nearest, SignatureSpec, ValueError,
};

use crate::error::{Problem, ProblemKind};
use crate::row::{Row, shorten};

/// A row with the named fields; further fields are labels.
pub(crate) fn named(
    mut row: Row<'_>,
    inputs: &[&str],
    labels: &[&str],
    problems: &mut Vec<Problem>,
) -> Option<Example> {
    let wanted = || inputs.iter().chain(labels).copied();
    let before = problems.len();
    for (i, name) in wanted().enumerate() {
        if !row.fields.contains(name) && !wanted().take(i).any(|earlier| earlier == name) {
            let others = row.fields.names().filter(|name| !wanted().any(|wanted| wanted == *name));
            let nearest = shortened(Nearest::to(name, others));
            problems.push(row.problem(ProblemKind::Missing { field: name.to_owned(), nearest }));
        }
    }
    (problems.len() == before).then(|| divide(&mut row.fields, inputs, labels))
}

/// A row that fits a signature; further fields are labels.
pub(crate) fn signature(
    mut row: Row<'_>,
    spec: &SignatureSpec,
    problems: &mut Vec<Problem>,
) -> Option<Example> {
    let mut found = misnamed(&row, spec);
    let mut checked: Vec<(&FieldSpec, Value)> = Vec::new();
    for field in spec.fields() {
        match row.fields.get(&field.name) {
            Some(value) => match check(&field.ty, value) {
                Ok(value) => checked.push((field, value)),
                Err((source, nearest)) => {
                    let kind = ProblemKind::Value { field: field.name.clone(), source, nearest };
                    found.push(row.value_problem(&field.name, kind));
                }
            },
            None => checked.push((field, Value::Null)),
        }
    }
    if !found.is_empty() {
        found.sort_by_key(|problem| problem.column);
        problems.append(&mut found);
        return None;
    }
    for (field, value) in checked {
        row.fields.insert(field.name.clone(), value);
    }
    let names = |fields: &'_ [FieldSpec]| fields.iter().map(|field| field.name.clone()).collect::<Vec<_>>();
    Some(divide(&mut row.fields, &names(spec.inputs()), &names(spec.outputs())))
}

/// A row as a Rust type.
pub(crate) fn typed<X: FromFields>(row: Row<'_>, problems: &mut Vec<Problem>) -> Option<X> {
    let error = match X::from_fields(&row.fields) {
        Ok(value) => return Some(value),
        Err(error) => error,
    };
    problems.push(match error {
        FieldsError::Missing { field, nearest } => {
            row.problem(ProblemKind::Missing { field, nearest: shortened(nearest) })
        }
        FieldsError::Unknown { field, nearest } => {
            row.name_problem(&field, ProblemKind::Unknown { field: shorten(&field), nearest })
        }
        FieldsError::Type { field, source } => {
            let kind = ProblemKind::Value { field: field.clone(), source, nearest: Nearest(None) };
            row.value_problem(&field, kind)
        }
        other => row.problem(ProblemKind::Syntax { expected: other.to_string() }),
    });
    None
}

/// The fields of the signature that a row lacks: missing, or there under a misspelt name.
fn misnamed(row: &Row<'_>, spec: &SignatureSpec) -> Vec<Problem> {
    let mut unknown: Vec<&str> =
        row.fields.names().filter(|name| !spec.fields().any(|field| field.name == *name)).collect();
    let mut found = Vec::new();
    for field in spec.fields().filter(|field| !row.fields.contains(&field.name)) {
        let optional = matches!(field.ty, FieldType::Optional(_));
        let near = if optional {
            // A row may well lack an optional field and have another of a distantly similar name.
            unknown.iter().copied().find(|name| nearly_same(name, &field.name))
        } else {
            let nearest = Nearest::to(&field.name, unknown.iter().copied()).0;
            unknown.iter().copied().find(|name| nearest.as_deref() == Some(name))
        };
        match near {
            Some(name) => {
                unknown.retain(|other| *other != name);
                let nearest = Nearest(Some(field.name.clone()));
                let kind = ProblemKind::Unknown { field: shorten(name), nearest };
                found.push(row.name_problem(name, kind));
            }
            None if optional => {}
            None => {
                let kind = ProblemKind::Missing { field: field.name.clone(), nearest: Nearest(None) };
                found.push(row.problem(kind));
            }
        }
    }
    found
}

/// Whether two names differ, apart from case and signs, by one letter that is added, left out or another, or by two neighbours
/// in the other order. Digits are no misspelling: `answer_2` is not `answer_3`.
fn nearly_same(a: &str, b: &str) -> bool {
    let plain = |name: &str| -> Vec<char> {
        name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
    };
    let (a, b) = (plain(a), plain(b));
    let start = a.iter().zip(&b).take_while(|(x, y)| x == y).count();
    let (a, b) = (&a[start..], &b[start..]);
    let end = a.iter().rev().zip(b.iter().rev()).take_while(|(x, y)| x == y).count();
    let (a, b) = (&a[..a.len() - end], &b[..b.len() - end]);
    let letters = a.iter().chain(b).all(|c| c.is_alphabetic());
    let swapped = a.len() == 2 && b.len() == 2 && a[0] == b[1] && a[1] == b[0];
    let one_letter = a.len() <= 1 && b.len() <= 1 && start + end >= 3;
    (a.is_empty() && b.is_empty()) || (letters && (swapped || one_letter))
}

/// The fields divided into inputs and labels, each in the order given, further ones as labels at the end.
fn divide<N: AsRef<str>>(fields: &mut Fields, inputs: &[N], labels: &[N]) -> Example {
    let mut take = |names: &[N]| -> Fields {
        names
            .iter()
            .filter_map(|name| Some((name.as_ref().to_owned(), fields.remove(name.as_ref())?)))
            .collect()
    };
    let (inputs, labels) = (take(inputs), take(labels));
    let labels = labels.into_iter().chain(std::mem::take(fields)).collect();
    Example { inputs, labels }
}

/// The value as the type has it, or what is wrong with it and the label that is probably meant.
fn check(ty: &FieldType, value: &Value) -> Result<Value, (ValueError, Nearest)> {
    let wrong = || (ValueError::new(ty, value), Nearest(None));
    let fits = match ty {
        FieldType::Text => value.is_string(),
        FieldType::Integer => value.is_i64() || value.is_u64(),
        FieldType::Float => return value.as_f64().map(Value::from).ok_or_else(wrong),
        FieldType::Bool => value.is_boolean(),
        FieldType::Label(labels) => {
            let text = value.as_str().ok_or_else(wrong)?;
            if !labels.iter().any(|label| label == text) {
                let nearest = Nearest::to(text, labels.iter().map(String::as_str));
                return Err((ValueError::new(ty, value), nearest));
            }
            true
        }
        FieldType::List(item) => {
            let items = value.as_array().ok_or_else(wrong)?;
            return items
                .iter()
                .map(|value| check(item, value))
                .collect::<Result<Vec<_>, _>>()
                .map(Value::from);
        }
        FieldType::Optional(_) if value.is_null() => true,
        FieldType::Optional(inner) => return check(inner, value),
        FieldType::Map(item) => {
            let items = value.as_object().ok_or_else(wrong)?;
            let checked = items.iter().map(|(name, value)| Ok((name.clone(), check(item, value)?)));
            return checked.collect::<Result<_, _>>().map(Value::Object);
        }
        // Media and JSON of a schema.
        ty => return fit(ty, value.clone()).map_err(|error| (error, Nearest(None))),
    };
    if fits { Ok(value.clone()) } else { Err(wrong()) }
}

fn shortened(nearest: Nearest) -> Nearest {
    Nearest(nearest.0.as_deref().map(shorten))
}

#[cfg(test)]
mod tests {
    use super::nearly_same;

    #[test]
    fn misspellings_of_optional_fields() {
        let check = |a: &str, b: &str, expect: bool| assert_eq!(nearly_same(a, b), expect, "{a} {b}");
        check("net-income", "net_income", true);
        check("netIncome", "net_income", true);
        check("massage", "message", true);
        check("mesage", "message", true);
        check("messsage", "message", true);
        check("mesasge", "message", true);
        check("answer_2", "answer_3", false);
        check("message_id", "message", false);
        check("a", "b", false);
        check("", "a", false);
    }
}
