//! The chat adapter: one `[[ ## field ## ]]` header line per field, a turn for each demo.
//!
//! The headers are the format that DSPy's chat adapter uses too, so that prompts written for one work on the other; the
//! wording is our own.

use std::fmt::Write as _;

use super::{Adapter, AdapterCall, AdapterError, NOT_SUPPLIED, typed_outputs, usable};
use crate::fields::{FieldType, Fields};
use crate::lm::{LmRequest, Message, OutputConstraint};
use crate::signature::{FieldSpec, SignatureSpec};
use crate::value::{escape, format_value, pattern};

const END: &str = "completed";

/// Sections under `[[ ## field ## ]]` headers, a turn for each demo: for models that follow forms.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ChatAdapter;

impl Adapter for ChatAdapter {
    fn name(&self) -> &'static str {
        "chat"
    }

    fn render(&self, call: &AdapterCall<'_>) -> Result<LmRequest, AdapterError> {
        let spec = call.spec;
        let mut messages = vec![Message::system(system_text(call))];
        for demo in usable(spec, call.demos) {
            messages.push(Message::user(sections(spec.inputs(), &demo.fields, false)));
            messages.push(Message::assistant(self.format_outputs(spec, &demo.fields)));
        }
        let headers: Vec<String> =
            spec.outputs().iter().map(|field| format!("`{}`", header(&field.name))).collect();
        let ask = format!(
            "Respond with the output fields, beginning with {}, and end with `{}`.",
            headers.join(", then "),
            header(END)
        );
        messages.push(Message::user(format!("{}\n\n{ask}", sections(spec.inputs(), call.inputs, false))));
        let constraint = call.capabilities.regex.then(|| OutputConstraint::Regex(answer_pattern(spec)));
        Ok(LmRequest::new(messages).with_constraint(constraint))
    }

    fn parse(&self, spec: &SignatureSpec, completion: &str) -> Result<Fields, AdapterError> {
        typed_outputs(spec, &split_sections(completion), completion)
    }

    fn format_outputs(&self, spec: &SignatureSpec, outputs: &Fields) -> String {
        format!("{}\n\n{}", sections(spec.outputs(), outputs, true), header(END))
    }
}

fn header(name: &str) -> String {
    format!("[[ ## {name} ## ]]")
}

fn system_text(call: &AdapterCall<'_>) -> String {
    let mut text = String::new();
    for (title, fields) in [("Input", call.spec.inputs()), ("Output", call.spec.outputs())] {
        let _ = writeln!(text, "{title} fields:");
        for (i, field) in fields.iter().enumerate() {
            let _ = write!(text, "{}. `{}`", i + 1, field.name);
            if field.ty != FieldType::Text {
                let _ = write!(text, " ({})", field.ty);
            }
            if !field.description.is_empty() {
                let _ = write!(text, ": {}", field.description);
            }
            text.push('\n');
        }
    }
    text.push_str("\nEvery exchange has this structure:\n\n");
    for field in call.spec.fields() {
        let _ = write!(text, "{}\n{{{}}}\n\n", header(&field.name), field.name);
    }
    let _ = write!(text, "{}\n\nYour task: {}", header(END), call.instruction.trim());
    text
}

fn sections(fields: &[FieldSpec], values: &Fields, fill: bool) -> String {
    let written = fields.iter().filter_map(|field| {
        let value = match values.get(&field.name) {
            Some(value) => format_value(value),
            None if fill => NOT_SUPPLIED.to_owned(),
            None => return None,
        };
        Some(format!("{}\n{value}", header(&field.name)))
    });
    written.collect::<Vec<_>>().join("\n\n")
}

fn answer_pattern(spec: &SignatureSpec) -> String {
    let mut out = String::new();
    for field in spec.outputs() {
        let _ = write!(out, r"{}\n{}\n\n", escape(&header(&field.name)), pattern(&field.ty));
    }
    out + &escape(&header(END))
}

/// The sections of an answer: text from one header to the next. A header may stand anywhere in a line, with or without
/// spaces inside; the first of two same headers wins.
fn split_sections(text: &str) -> Vec<(String, String)> {
    let mut sections: Vec<(String, String)> = Vec::new();
    let mut open: Option<(String, usize)> = None;
    let mut at = 0;
    let mut close = |open: Option<(String, usize)>, end: usize| {
        if let Some((name, start)) = open
            && sections.iter().all(|(known, _)| *known != name)
        {
            sections.push((name, text[start..end].trim().to_owned()));
        }
    };
    while let Some(found) = text[at..].find("[[") {
        let start = at + found;
        match read_header(&text[start..]) {
            Some((name, length)) => {
                close(open.take(), start);
                at = start + length;
                open = Some((name.to_owned(), at));
            }
            None => at = start + 2,
        }
    }
    close(open.take(), text.len());
    sections
}

/// A header at the start of `text`: its name and its length in bytes.
fn read_header(text: &str) -> Option<(&str, usize)> {
    let inner = text.strip_prefix("[[")?.trim_start().strip_prefix("##")?.trim_start();
    let name_end = inner.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(inner.len());
    let (name, rest) = inner.split_at(name_end);
    let rest = rest.trim_start().strip_prefix("##")?.trim_start().strip_prefix("]]")?;
    (!name.is_empty()).then_some((name, text.len() - rest.len()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::candidate::Demo;

    fn spec() -> SignatureSpec {
        SignatureSpec::parse("question -> reasoning, answer: int").unwrap()
    }

    #[test]
    fn a_prompt_reads_as_documented() {
        let inputs = Fields::new().with("question", "1 + 1?");
        let demos = [Demo::labeled(Fields::new().with("question", "2 + 2?").with("answer", 4))];
        let spec = spec();
        let call = AdapterCall::new(&spec, "Add.", &inputs).with_demos(&demos);
        insta::assert_json_snapshot!(ChatAdapter.render(&call).unwrap());
    }

    #[test]
    fn reads_what_models_write() {
        let check = |answer: &str| {
            let fields = ChatAdapter.parse(&spec(), answer).unwrap();
            assert_eq!((fields.text("reasoning"), fields.text("answer")), ("Sum.".into(), "7".into()));
        };
        check("[[ ## reasoning ## ]]\nSum.\n\n[[ ## answer ## ]]\n7\n\n[[ ## completed ## ]]");
        check("Sure: [[## reasoning ##]] Sum. [[ ##answer## ]] **7.0** [[ ## answer ## ]] 8");
        let error = ChatAdapter.parse(&spec(), "[[ ## reasoning ## ]] x").unwrap_err();
        assert!(error.to_string().starts_with("the answer has no field `answer`"));
    }

    proptest! {
        #[test]
        fn parsing_inverts_formatting(reasoning in "[a-zA-Z .\\n]{0,40}", answer in any::<i64>()) {
            let outputs = Fields::new().with("reasoning", reasoning.trim()).with("answer", answer);
            let text = ChatAdapter.format_outputs(&spec(), &outputs);
            prop_assert_eq!(ChatAdapter.parse(&spec(), &text).unwrap(), outputs);
        }

        #[test]
        fn no_text_makes_parsing_panic(text in "(\\[\\[|##|\\]\\]|answer|\\PC){0,40}") {
            let _ = ChatAdapter.parse(&spec(), &text);
        }
    }
}
