//! The plain adapter: `Field: value` lines, a turn for each demo.
//!
//! Where the model can be held to a regular expression, the whole answer is: its field names and the form of every value.

use std::fmt::Write as _;

use super::{Adapter, AdapterCall, AdapterError, NOT_SUPPLIED, typed_outputs, usable};
use crate::fields::{FieldType, Fields};
use crate::lm::{LmRequest, Message, OutputConstraint};
use crate::signature::{FieldSpec, SignatureSpec};
use crate::value::{escape, format_value, pattern};

/// `Field: value` lines, a turn for each demo: the form that small models handle best.
///
/// ```text
/// system     Route the message.
///
///            Answer with:
///            Team: one of billing, delivery
/// user       Message: where is my parcel
/// assistant  Team: delivery
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PlainAdapter;

impl Adapter for PlainAdapter {
    fn name(&self) -> &'static str {
        "plain"
    }

    fn render(&self, call: &AdapterCall<'_>) -> Result<LmRequest, AdapterError> {
        let mut messages = vec![Message::system(system_text(call))];
        for demo in usable(call.spec, call.demos) {
            messages.push(Message::user(lines(call.spec.inputs(), &demo.fields, false)));
            messages.push(Message::assistant(lines(call.spec.outputs(), &demo.fields, true)));
        }
        messages.push(Message::user(lines(call.spec.inputs(), call.inputs, false)));
        let constraint = call.capabilities.regex.then(|| OutputConstraint::Regex(answer_pattern(call.spec)));
        Ok(LmRequest::new(messages).with_constraint(constraint))
    }

    fn parse(&self, spec: &SignatureSpec, completion: &str) -> Result<Fields, AdapterError> {
        let mut sections: Vec<(String, String)> = Vec::new();
        let mut current: Option<usize> = None;
        for line in completion.lines() {
            if let Some((field, rest)) = header(spec, line) {
                current = sections.iter().all(|(name, _)| *name != field.name).then(|| {
                    sections.push((field.name.clone(), rest.to_owned()));
                    sections.len() - 1
                });
            } else if let Some(open) = current {
                let text = &mut sections[open].1;
                text.push('\n');
                text.push_str(line);
            }
        }
        // A model that leaves out the only field's name has still answered.
        if sections.is_empty() && spec.outputs().len() == 1 && !completion.trim().is_empty() {
            sections.push((spec.outputs()[0].name.clone(), completion.to_owned()));
        }
        typed_outputs(spec, &sections, completion)
    }

    fn format_outputs(&self, spec: &SignatureSpec, outputs: &Fields) -> String {
        lines(spec.outputs(), outputs, true)
    }
}

fn system_text(call: &AdapterCall<'_>) -> String {
    let mut text = call.instruction.trim().to_owned();
    for field in call.spec.inputs().iter().filter(|field| !field.description.is_empty()) {
        let _ = write!(text, "\n{}: {}", field.prefix, field.description);
    }
    text.push_str("\n\nAnswer with:");
    for field in call.spec.outputs() {
        let _ = write!(text, "\n{}: ", field.prefix);
        match (&field.ty, field.description.as_str()) {
            (FieldType::Text, "") => text.push_str("text"),
            (FieldType::Text, description) => text.push_str(description),
            (ty, "") => {
                let _ = write!(text, "{ty}");
            }
            (ty, description) => {
                let _ = write!(text, "{description} ({ty})");
            }
        }
    }
    text
}

/// `Prefix: value` for each field; a missing value is left out, or named as missing where `fill`.
fn lines(fields: &[FieldSpec], values: &Fields, fill: bool) -> String {
    let mut out = String::new();
    for field in fields {
        let value = match values.get(&field.name) {
            Some(value) => format_value(value),
            None if fill => NOT_SUPPLIED.to_owned(),
            None => continue,
        };
        let newline = if out.is_empty() { "" } else { "\n" };
        let _ = write!(out, "{newline}{}: {value}", field.prefix);
    }
    out
}

/// The output field that a line begins, and what follows its colon. Case, bold and list marks do not matter.
fn header<'a, 'b>(spec: &'a SignatureSpec, line: &'b str) -> Option<(&'a FieldSpec, &'b str)> {
    let (head, rest) = line.split_once(':')?;
    let head = head.trim_matches(|c: char| c.is_whitespace() || "*_#->`".contains(c));
    let same = |name: &str| head.eq_ignore_ascii_case(name);
    let field = spec.outputs().iter().find(|field| same(&field.prefix) || same(&field.name))?;
    Some((field, rest.trim_start_matches(['*', '_', '`']).trim()))
}

fn answer_pattern(spec: &SignatureSpec) -> String {
    let parts: Vec<String> = spec
        .outputs()
        .iter()
        .map(|field| format!("{}: {}", escape(&field.prefix), pattern(&field.ty)))
        .collect();
    parts.join(r"\n")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::candidate::Demo;
    use crate::lm::Capabilities;

    fn spec() -> SignatureSpec {
        SignatureSpec::parse("message -> team: label[billing, delivery], urgent: bool").unwrap()
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
            .with_capabilities(Capabilities::text().with_regex(true));
        insta::assert_json_snapshot!(PlainAdapter.render(&call).unwrap());
    }

    #[test]
    fn reads_what_models_write() {
        let check = |answer: &str| {
            let fields = PlainAdapter.parse(&spec(), answer).unwrap();
            assert_eq!((fields.text("team"), fields.text("urgent")), ("billing".into(), "true".into()));
        };
        check("Team: billing\nUrgent: true");
        check("Sure! Here it is:\n\n**Team:** Billing.\n- urgent: yes\n");
        let error = PlainAdapter.parse(&spec(), "Team: billing").unwrap_err();
        assert_eq!(error.to_string(), "the answer has no field `urgent`; it was: Team: billing");
        let error = PlainAdapter.parse(&spec(), "Team: sales\nUrgent: no").unwrap_err();
        assert_eq!(
            error.to_string(),
            "field `team` of the answer: expected one of billing, delivery, found sales"
        );
    }

    proptest! {
        #[test]
        fn parsing_inverts_formatting(team in 0..2usize, urgent in any::<bool>()) {
            let outputs = Fields::new().with("team", ["billing", "delivery"][team]).with("urgent", urgent);
            let text = PlainAdapter.format_outputs(&spec(), &outputs);
            prop_assert_eq!(PlainAdapter.parse(&spec(), &text).unwrap(), outputs);
        }

        #[test]
        fn no_text_makes_parsing_panic(text in "(Team: |urgent|[a-z:*\\n ]|\\PC){0,40}") {
            let _ = PlainAdapter.parse(&spec(), &text);
        }
    }
}
