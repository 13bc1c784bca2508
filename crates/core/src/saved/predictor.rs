//! One predictor's entry in a program file: read, made, and changed in its place.

use serde_json::{Map, Value, json};

use super::SavedError;
use super::error::listed;
use crate::candidate::{Demo, DemoOrigin, PredictorParams};
use crate::fields::Fields;
use crate::lm::LmSettings;
use crate::module::NamedPredictor;
use crate::signature::{FieldSpec, SignatureSpec};

/// The name of the predictor in a program that is one predictor.
pub(super) const ONE_PREDICTOR: &str = "self";

/// The key that marks a bootstrapped demo.
const AUGMENTED: &str = "augmented";

/// The key under which a predictor stands in a file; `None` where its entry is the file's top level.
pub(super) fn key_of(named: &NamedPredictor<'_>) -> Option<String> {
    match (named.name.as_str(), named.predictor.dspy_holder()) {
        (ONE_PREDICTOR, None) => None,
        (ONE_PREDICTOR, Some(inner)) => Some(inner.to_owned()),
        (name, None) => Some(name.to_owned()),
        (name, Some(inner)) => Some(format!("{name}.{inner}")),
    }
}

/// A predictor as it stands in a file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Saved<'a> {
    pub(super) key: &'a str,
    entry: &'a Map<String, Value>,
    signature: &'a Value,
}

impl<'a> Saved<'a> {
    /// The entry as a predictor's, if it has a signature. Other parts of a program, such as an index, have none.
    pub(super) fn new(key: &'a str, entry: &'a Map<String, Value>) -> Option<Self> {
        Some(Self { key, entry, signature: entry.get("signature")? })
    }

    /// What a predictor of this signature is called with.
    ///
    /// # Errors
    /// [`SavedError::Fields`] or [`SavedError::Malformed`].
    pub(super) fn params(&self, spec: &SignatureSpec) -> Result<PredictorParams, SavedError> {
        let prefixes = self.fields()?;
        if prefixes.len() != spec.fields().count() {
            return Err(SavedError::Fields {
                predictor: self.key.to_owned(),
                in_file: prefixes.len(),
                file: listed(prefixes.iter().map(|field| field.prefix)),
                in_program: spec.fields().count(),
                program: listed(spec.fields().map(|field| field.name.as_str())),
            });
        }
        Ok(PredictorParams { instruction: Some(self.instruction()?.into()), demos: self.demos(spec)? })
    }

    fn instruction(&self) -> Result<&'a str, SavedError> {
        let text = self.signature.get("instructions").and_then(Value::as_str);
        text.ok_or_else(|| self.malformed("signature.instructions", "a text"))
    }

    /// The fields in order.
    pub(super) fn fields(&self) -> Result<Vec<SavedField<'a>>, SavedError> {
        let wrong = || self.malformed("signature.fields", "a list of objects");
        let fields = self.signature.get("fields").and_then(Value::as_array).ok_or_else(wrong)?;
        let text = |field: &'a Map<String, Value>, key| field.get(key).and_then(Value::as_str).unwrap_or("");
        let field = |field: &'a Value| {
            let field = field.as_object().ok_or_else(wrong)?;
            let prefix = text(field, "prefix").trim().trim_end_matches(':').trim_end();
            Ok(SavedField { prefix, description: text(field, "description") })
        };
        fields.iter().map(field).collect()
    }

    /// The demos; `None` where the file says nothing of them.
    fn demos(&self, spec: &SignatureSpec) -> Result<Option<std::sync::Arc<[Demo]>>, SavedError> {
        let wrong = || self.malformed("demos", "a list of objects");
        let Some(demos) = self.entry.get("demos") else { return Ok(None) };
        let demo = |demo: &Value| {
            let mut fields: Fields = demo.as_object().ok_or_else(wrong)?.clone().into_iter().collect();
            // A field of this name is not the mark.
            let mark = if has_field(spec, AUGMENTED) { None } else { fields.remove(AUGMENTED) };
            Ok(if mark == Some(Value::Bool(true)) {
                Demo::bootstrapped(fields)
            } else {
                Demo::labeled(fields)
            })
        };
        demos.as_array().ok_or_else(wrong)?.iter().map(demo).collect::<Result<_, _>>().map(Some)
    }

    /// What the file says of the predictor's own model, as far as it is about the answer.
    pub(super) fn settings(&self) -> LmSettings {
        let lm = |key| self.entry.get("lm").and_then(|lm| lm.get(key));
        LmSettings {
            temperature: lm("temperature").and_then(Value::as_f64),
            max_tokens: lm("max_tokens").and_then(Value::as_u64).and_then(|tokens| tokens.try_into().ok()),
            ..LmSettings::default()
        }
    }

    fn malformed(&self, at: &'static str, wanted: &'static str) -> SavedError {
        SavedError::Malformed { predictor: self.key.to_owned(), at, wanted }
    }
}

/// A field as it stands in a file.
#[derive(Clone, Copy, Debug)]
pub(super) struct SavedField<'a> {
    /// Without the colon.
    pub(super) prefix: &'a str,
    description: &'a str,
}

impl SavedField<'_> {
    /// `field` with the prefix and the description that the file has for it.
    pub(super) fn onto(self, mut field: FieldSpec) -> FieldSpec {
        if !self.prefix.is_empty() {
            self.prefix.clone_into(&mut field.prefix);
        }
        // DSPy describes a field by its name where nobody else has.
        let plain = self.description.strip_prefix("${").is_some_and(|name| name.ends_with('}'));
        field.description = if plain { String::new() } else { self.description.to_owned() };
        field
    }
}

/// An entry with everything that DSPy asks for.
pub(super) fn new_entry(named: &NamedPredictor<'_>, params: &PredictorParams) -> Map<String, Value> {
    let spec = named.predictor.spec();
    let field = |field: &FieldSpec| {
        let description = match field.description.as_str() {
            "" => format!("${{{}}}", field.name),
            given => given.to_owned(),
        };
        json!({"prefix": format!("{}:", field.prefix), "description": description})
    };
    let instruction = params.instruction.clone().unwrap_or_else(|| spec.instruction());
    let parts = [
        ("traces", json!([])),
        ("train", json!([])),
        ("demos", demos_value(spec, params)),
        (
            "signature",
            json!({"instructions": &*instruction, "fields": spec.fields().map(field).collect::<Vec<_>>()}),
        ),
        ("lm", Value::Null),
    ];
    parts.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}

/// Brings what changes from `current`, which the entry holds, to `wanted`.
pub(super) fn update_entry(
    entry: &mut Map<String, Value>,
    named: &NamedPredictor<'_>,
    current: &PredictorParams,
    wanted: &PredictorParams,
) {
    let spec = named.predictor.spec();
    let instruction = wanted.instruction.clone().unwrap_or_else(|| spec.instruction());
    if current.instruction.as_ref() != Some(&instruction) {
        super::change_object(entry, "signature", |signature| {
            signature.insert("instructions".to_owned(), json!(&*instruction));
        });
    }
    if current.demos.as_deref().unwrap_or_default() != wanted.demos.as_deref().unwrap_or_default() {
        entry.insert("demos".to_owned(), demos_value(spec, wanted));
    }
}

fn demos_value(spec: &SignatureSpec, params: &PredictorParams) -> Value {
    let demo = |demo: &Demo| {
        let mut out = Map::new();
        if demo.origin == DemoOrigin::Bootstrapped && !has_field(spec, AUGMENTED) {
            out.insert(AUGMENTED.to_owned(), Value::Bool(true));
        }
        out.extend(demo.fields.iter().map(|(name, value)| (name.to_owned(), value.clone())));
        Value::Object(out)
    };
    params.demos.iter().flat_map(|demos| demos.iter()).map(demo).collect()
}

fn has_field(spec: &SignatureSpec, name: &str) -> bool {
    spec.fields().any(|field| field.name == name)
}
