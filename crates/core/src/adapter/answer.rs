//! Reading answers: the sections of an answer in one of the forms, their values, and what to do when the form is another.

use std::borrow::Cow;

use serde_json::Value;

use super::{AdapterError, chat, json, plain};
use crate::field_type::FieldType;
use crate::fields::{Fields, Nearest};
use crate::signature::{FieldSpec, SignatureSpec};
use crate::value::{fit, parse_value};

/// A form in which answers are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Chat,
    Plain,
    Json,
}

/// A value as it stands in an answer.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Found<'a> {
    Text(Cow<'a, str>),
    Json(Value),
}

/// What an answer has under one name.
pub(super) type Section<'a> = (Cow<'a, str>, Found<'a>);

impl Form {
    fn sections<'a>(self, spec: &'a SignatureSpec, text: &'a str) -> Vec<Section<'a>> {
        match self {
            Self::Chat => chat::sections_of(text),
            Self::Plain => plain::sections_of(spec, text),
            Self::Json => json::sections_of(text),
        }
    }
}

/// The output fields of an answer in `form`; in another form where this one has none of them and the other has all. The whole
/// answer is the value of a signature's only output where no form names it: a model that leaves out the only name has still
/// answered. An optional field that is left out is nothing.
pub(super) fn read(form: Form, spec: &SignatureSpec, completion: &str) -> Result<Fields, AdapterError> {
    let text = without_outer_fence(completion);
    let own = form.sections(spec, text);
    let has = |sections: &[Section<'_>], field: &FieldSpec| find(sections, spec, field).is_some();
    if spec.outputs().iter().any(|field| has(&own, field)) {
        return typed(spec, &own, completion);
    }
    let others = [Form::Chat, Form::Json, Form::Plain].into_iter().filter(|other| *other != form);
    let complete = others
        .map(|other| other.sections(spec, text))
        .find(|sections| spec.outputs().iter().all(|field| has(sections, field)));
    match (complete, spec.outputs()) {
        (Some(sections), _) => typed(spec, &sections, completion),
        (None, [only]) if !text.trim().is_empty() => {
            typed(spec, &[(only.name.as_str().into(), Found::Text(text.into()))], completion)
        }
        _ => typed(spec, &own, completion),
    }
}

fn typed(spec: &SignatureSpec, sections: &[Section<'_>], completion: &str) -> Result<Fields, AdapterError> {
    let mut outputs = Fields::new();
    for field in spec.outputs() {
        let answer = || completion.to_owned();
        let Some(found) = find(sections, spec, field) else {
            if matches!(field.ty, FieldType::Optional(_)) && !sections.is_empty() {
                outputs.insert(field.name.clone(), Value::Null);
                continue;
            }
            let nearest = Nearest::to(&field.name, sections.iter().map(|(name, _)| &**name));
            return Err(AdapterError::Missing { field: field.name.clone(), nearest, answer: answer() });
        };
        let value = match found {
            Found::Text(text) => parse_value(&field.ty, text),
            // A text where a list or an object is due may still read as one.
            Found::Json(value) => fit(&field.ty, value.clone())
                .or_else(|error| parse_value(&field.ty, value.as_str().ok_or(error)?)),
        };
        let value = value.map_err(|source| AdapterError::Value {
            field: field.name.clone(),
            source,
            answer: answer(),
        })?;
        outputs.insert(field.name.clone(), value);
    }
    Ok(outputs)
}

/// The section of a field: under its name, else the only one under its name or prefix in another spelling that is no other
/// field's.
fn find<'a>(sections: &'a [Section<'_>], spec: &SignatureSpec, field: &FieldSpec) -> Option<&'a Found<'a>> {
    if let Some((_, found)) = sections.iter().find(|(name, _)| *name == field.name) {
        return Some(found);
    }
    let others = |name: &str| spec.outputs().iter().any(|other| other.name == name);
    let mut near = sections.iter().filter(|(name, _)| {
        !others(name) && (same_name(name, &field.name) || same_name(name, &field.prefix))
    });
    let (_, found) = near.next()?;
    near.next().is_none().then_some(found)
}

/// Whether two names are the same but for case, spaces, `_` and `-`.
pub(super) fn same_name(a: &str, b: &str) -> bool {
    fn plain(name: &str) -> impl Iterator<Item = char> {
        name.chars().filter(|c| !matches!(c, ' ' | '_' | '-')).flat_map(char::to_lowercase)
    }
    plain(a).eq(plain(b))
}

/// An answer without the code fence around all of it.
fn without_outer_fence(text: &str) -> &str {
    let inside = || {
        let (_, inside) = text.trim().strip_prefix("```")?.split_once('\n')?;
        inside.strip_suffix("```").filter(|inside| !inside.contains("```"))
    };
    inside().unwrap_or(text)
}
