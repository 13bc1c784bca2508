//! The JSON adapter: the answer is one JSON object with the output fields.
//!
//! Where the model can be held to a JSON schema, it is (native structured output); else to a regular expression; else it is
//! asked. Inputs stand under the chat adapter's headers, for long texts read badly with their line ends escaped.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};

use super::answer::{Form, Found, Section, read};
use super::chat::{field_list, sections};
use super::{Adapter, AdapterCall, AdapterError, NOT_SUPPLIED, conversation};
use crate::field_type::FieldType;
use crate::fields::Fields;
use crate::lm::{LmRequest, OutputConstraint};
use crate::signature::SignatureSpec;
use crate::value::{json as text, schema};

/// One JSON object with the output fields, a turn for each demo: for models with native structured output.
///
/// ```text
/// system     Input fields: ...  Output fields: ...  Your task: Route the message.
/// user       [[ ## message ## ]]
///            where is my parcel
/// assistant  {"team": "delivery", "urgent": false}
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct JsonAdapter;

impl Adapter for JsonAdapter {
    fn name(&self) -> &'static str {
        "json"
    }

    fn render(&self, call: &AdapterCall<'_>) -> Result<LmRequest, AdapterError> {
        let spec = call.spec;
        let names: Vec<String> = spec.outputs().iter().map(|field| format!("`{}`", field.name)).collect();
        let ask =
            format!("\n\nRespond with one JSON object that holds {}, and nothing else.", names.join(", "));
        let messages = conversation(
            call,
            system_text(call),
            |text| text.push_str(&ask),
            |inputs| sections(spec.inputs(), inputs, false),
            self,
        );
        let answer = answer_schema(spec);
        let constraint = if call.capabilities.json_schema {
            Some(OutputConstraint::JsonSchema(answer))
        } else if call.capabilities.regex {
            schema::pattern(&answer).map(OutputConstraint::Regex)
        } else {
            None
        };
        Ok(LmRequest::new(messages).with_constraint(constraint))
    }

    fn parse(&self, spec: &SignatureSpec, completion: &str) -> Result<Fields, AdapterError> {
        read(Form::Json, spec, completion)
    }

    fn format_outputs(&self, spec: &SignatureSpec, outputs: &Fields) -> String {
        let written = spec.outputs().iter().map(|field| {
            let value = outputs.get(&field.name).cloned().unwrap_or_else(|| missing(&field.ty));
            (field.name.clone(), value)
        });
        text::write(&Value::Object(written.collect()))
    }
}

/// What stands for an output that a demo does not have.
fn missing(ty: &FieldType) -> Value {
    if *ty == FieldType::Text { Value::from(NOT_SUPPLIED) } else { Value::Null }
}

/// The fields of an answer.
pub(super) fn sections_of(text: &str) -> Vec<Section<'static>> {
    match text::read(text, '{') {
        Some(Value::Object(fields)) => {
            fields.into_iter().map(|(name, value)| (name.into(), Found::Json(value))).collect()
        }
        _ => Vec::new(),
    }
}

fn system_text(call: &AdapterCall<'_>) -> String {
    let shape = schema::shape(&answer_schema(call.spec));
    let mut text = field_list(call.spec);
    let _ = write!(
        text,
        "\nEvery answer is one JSON object of this shape:\n\n{shape}\n\nYour task: {}",
        call.instruction.trim()
    );
    text
}

/// The schema of the whole answer. Every field is required, as structured output wants it; an optional one may be null.
fn answer_schema(spec: &SignatureSpec) -> Value {
    let mut properties = Map::new();
    let mut definitions = Map::new();
    for field in spec.outputs() {
        let mut schema = field.ty.json_schema();
        // References name definitions at the root.
        if let Some(Value::Object(own)) = schema.as_object_mut().and_then(|schema| schema.remove("$defs")) {
            definitions.extend(own);
        }
        if let (Some(schema), false) = (schema.as_object_mut(), field.description.is_empty()) {
            schema.insert("description".to_owned(), Value::from(field.description.as_str()));
        }
        properties.insert(field.name.clone(), schema);
    }
    let required: Vec<&String> = properties.keys().collect();
    let mut schema = json!({
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": false,
    });
    if let (Some(schema), false) = (schema.as_object_mut(), definitions.is_empty()) {
        schema.insert("$defs".to_owned(), Value::Object(definitions));
    }
    schema
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::candidate::Demo;
    use crate::lm::Capabilities;

    fn spec() -> SignatureSpec {
        SignatureSpec::parse("message -> team: label[billing, delivery], urgent: bool, note: optional[str]")
            .unwrap()
    }

    #[test]
    fn a_prompt_reads_as_documented() {
        let inputs = Fields::new().with("message", "where is it?");
        let demos = [Demo::labeled(
            Fields::new().with("message", "paid twice").with("team", "billing").with("urgent", true),
        )];
        let spec = spec();
        let call = AdapterCall::new(&spec, "Route the message.", &inputs)
            .with_demos(&demos)
            .with_capabilities(Capabilities::text().with_json_schema(true));
        insta::assert_json_snapshot!(JsonAdapter.render(&call).unwrap());
        let held = call.with_capabilities(Capabilities::text().with_regex(true));
        insta::assert_json_snapshot!(JsonAdapter.render(&held).unwrap().constraint);
    }

    #[test]
    fn reads_what_models_write() {
        let check = |answer: &str| {
            let fields = JsonAdapter.parse(&spec(), answer).unwrap();
            let read = (fields.text("team"), fields.text("urgent"), fields.text("note"));
            assert_eq!(read, ("billing".into(), "true".into(), "".into()), "{answer}");
        };
        check(r#"{"team": "billing", "urgent": true, "note": null}"#);
        check("Sure! ```json\n{'Team': 'Billing.', 'urgent': 'Yes', 'note': None,}\n``` Anything else?");
        check("[[ ## team ## ]]\nbilling\n[[ ## urgent ## ]] yes [[ ## note ## ]] none");
        check("Team: billing\nUrgent: yes\nNote: none");
        let error = JsonAdapter.parse(&spec(), r#"{"team": "sales", "urgent": 7}"#).unwrap_err();
        assert_eq!(
            error.to_string(),
            "field `team` of the answer: expected one of billing, delivery, found sales"
        );
        let error = JsonAdapter.parse(&spec(), r#"{"team": "billing"}"#).unwrap_err();
        assert!(error.to_string().starts_with("the answer has no field `urgent`"));
    }

    proptest! {
        #[test]
        fn parsing_inverts_formatting(team in 0..2usize, urgent in any::<bool>(), note in "\\PC{0,30}") {
            let outputs = Fields::new()
                .with("team", ["billing", "delivery"][team])
                .with("urgent", urgent)
                .with("note", note);
            let text = JsonAdapter.format_outputs(&spec(), &outputs);
            prop_assert_eq!(JsonAdapter.parse(&spec(), &text).unwrap(), outputs);
        }

        #[test]
        fn no_text_makes_parsing_panic(text in "([{}\":,]|team|urgent|note|true|\\PC){0,40}") {
            let _ = JsonAdapter.parse(&spec(), &text);
        }
    }
}
