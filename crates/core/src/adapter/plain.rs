//! The plain adapter: `Field: value` lines, a turn for each demo.
//!
//! Where the model can be held to a regular expression, the whole answer is: its field names and the form of every value.
//! A line of a value that would read as the beginning of a field is written with a backslash before it.

use std::borrow::Cow;
use std::fmt::Write as _;

use super::answer::{Form, Found, Section, read};
use super::{Adapter, AdapterCall, AdapterError, NOT_SUPPLIED, conversation};
use crate::field_type::FieldType;
use crate::fields::Fields;
use crate::lm::{LmRequest, OutputConstraint};
use crate::signature::{FieldSpec, SignatureSpec};
use crate::value::{escape, format_typed, pattern};

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
        let inputs = |inputs: &Fields| lines(call.spec, call.spec.inputs(), inputs, false);
        let messages = conversation(call, system_text(call), |_| {}, inputs, self);
        let constraint = call.capabilities.regex.then(|| answer_pattern(call.spec)).flatten();
        Ok(LmRequest::new(messages).with_constraint(constraint.map(OutputConstraint::Regex)))
    }

    fn parse(&self, spec: &SignatureSpec, completion: &str) -> Result<Fields, AdapterError> {
        read(Form::Plain, spec, completion)
    }

    fn format_outputs(&self, spec: &SignatureSpec, outputs: &Fields) -> String {
        lines(spec, spec.outputs(), outputs, true)
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
fn lines(spec: &SignatureSpec, fields: &[FieldSpec], values: &Fields, fill: bool) -> String {
    let mut out = String::new();
    for field in fields {
        let value = match values.get(&field.name) {
            Some(value) => format_typed(&field.ty, value),
            None if fill => NOT_SUPPLIED.into(),
            None => continue,
        };
        let newline = if out.is_empty() { "" } else { "\n" };
        out.extend([newline, &field.prefix, ": ", &protect(spec, &value)]);
    }
    out
}

/// The fields of an answer: from a line that begins with a field's name to the next such line. The first of two same names
/// wins.
pub(super) fn sections_of<'a>(spec: &'a SignatureSpec, text: &str) -> Vec<Section<'a>> {
    let mut sections: Vec<(&FieldSpec, String)> = Vec::new();
    let mut current: Option<usize> = None;
    for line in text.lines() {
        if let Some((field, rest)) = header(spec, line) {
            current = sections.iter().all(|(known, _)| known.name != field.name).then(|| {
                sections.push((field, rest.to_owned()));
                sections.len() - 1
            });
        } else if let Some(open) = current {
            let text = &mut sections[open].1;
            text.push('\n');
            text.push_str(if is_protected(spec, line) { &line[1..] } else { line });
        }
    }
    sections.into_iter().map(|(field, text)| (field.name.as_str().into(), Found::Text(text.into()))).collect()
}

/// The output field that a line begins, and what follows its colon: as the form writes it, else in another case, in bold, as
/// a heading or in a list.
fn header<'a, 'b>(spec: &'a SignatureSpec, line: &'b str) -> Option<(&'a FieldSpec, &'b str)> {
    let exact = spec.outputs().iter().filter_map(|field| {
        let rest = line.strip_prefix(field.prefix.as_str())?.strip_prefix(':')?;
        Some((field, rest.strip_prefix(' ').unwrap_or(rest)))
    });
    // A prefix may begin another one: the longest is meant.
    if let Some(found) = exact.max_by_key(|(field, _)| field.prefix.len()) {
        return Some(found);
    }
    let (head, rest) = line.split_once(':')?;
    let head = head.trim();
    let bare = head.trim_matches(|c: char| c.is_whitespace() || "*_#->`•".contains(c));
    let mut named = spec.outputs().iter().filter(|field| {
        [&field.prefix, &field.name].iter().any(|name| bare.to_lowercase() == name.to_lowercase())
    });
    let field = named.next().filter(|_| named.next().is_none())?;
    // What is opened before the name may be closed behind the colon: `**Team:** billing`.
    let opened = |c: char| "*_`".contains(c) && head.starts_with(c);
    Some((field, rest.trim_start_matches(opened).trim_start()))
}

/// `text` with a backslash before each further line that would read as the beginning of a field.
fn protect<'a>(spec: &SignatureSpec, text: &'a str) -> Cow<'a, str> {
    if !text.contains('\n') {
        return text.into();
    }
    let lines = text.split('\n').enumerate().map(|(i, line)| {
        let begins_field = i > 0 && header(spec, line.trim_start_matches('\\')).is_some();
        if begins_field { format!("\\{line}") } else { line.to_owned() }
    });
    lines.collect::<Vec<_>>().join("\n").into()
}

fn is_protected(spec: &SignatureSpec, line: &str) -> bool {
    line.starts_with('\\') && header(spec, line.trim_start_matches('\\')).is_some()
}

fn answer_pattern(spec: &SignatureSpec) -> Option<String> {
    let parts = spec
        .outputs()
        .iter()
        .map(|field| Some(format!("{}: {}", escape(&field.prefix), pattern(&field.ty)?)));
    Some(parts.collect::<Option<Vec<_>>>()?.join(r"\n"))
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
