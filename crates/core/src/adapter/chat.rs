//! The chat adapter: one `[[ ## field ## ]]` header line per field, a turn for each demo.
//!
//! The headers are the format that DSPy's chat adapter uses too, so that prompts written for one work on the other; the
//! wording is our own. A header inside of a value is written with a backslash, `[[ \\## x ## ]]`, so that no text of a row or
//! of a model can pass for a field.

use std::borrow::Cow;
use std::fmt::Write as _;

use super::answer::{Form, Found, Section, read, same_name};
use super::{Adapter, AdapterCall, AdapterError, NOT_SUPPLIED, conversation};
use crate::field_type::FieldType;
use crate::fields::Fields;
use crate::lm::{LmRequest, OutputConstraint};
use crate::signature::{FieldSpec, SignatureSpec};
use crate::value::{escape, format_typed, pattern};

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
        let ask = |text: &mut String| {
            text.push_str("\n\nRespond with the output fields, beginning with ");
            for (i, field) in spec.outputs().iter().enumerate() {
                text.push_str(if i == 0 { "`" } else { ", then `" });
                push_header(text, &field.name);
                text.push('`');
            }
            text.push_str(", and end with `");
            push_header(text, END);
            text.push_str("`.");
        };
        let inputs = |inputs: &Fields| sections(spec.inputs(), inputs, false);
        let messages = conversation(call, system_text(call), ask, inputs, self);
        let constraint = call.capabilities.regex.then(|| answer_pattern(spec)).flatten();
        Ok(LmRequest::new(messages).with_constraint(constraint.map(OutputConstraint::Regex)))
    }

    fn parse(&self, spec: &SignatureSpec, completion: &str) -> Result<Fields, AdapterError> {
        read(Form::Chat, spec, completion)
    }

    fn format_outputs(&self, spec: &SignatureSpec, outputs: &Fields) -> String {
        let mut text = sections(spec.outputs(), outputs, true);
        text.push_str("\n\n");
        push_header(&mut text, END);
        text
    }
}

fn push_header(text: &mut String, name: &str) {
    text.extend(["[[ ## ", name, " ## ]]"]);
}

fn header(name: &str) -> String {
    let mut text = String::new();
    push_header(&mut text, name);
    text
}

/// Room for a prompt's part, in bytes, that most need not outgrow.
const USUAL: usize = 512;

/// The fields with their types and descriptions, a line each.
pub(super) fn field_list(spec: &SignatureSpec) -> String {
    let mut text = String::with_capacity(USUAL);
    for (title, fields) in [("Input fields:\n", spec.inputs()), ("Output fields:\n", spec.outputs())] {
        text.push_str(title);
        for (i, field) in fields.iter().enumerate() {
            let _ = write!(text, "{}", i + 1);
            text.extend([". `", &field.name, "`"]);
            if field.ty != FieldType::Text {
                let _ = write!(text, " ({})", field.ty);
            }
            if !field.description.is_empty() {
                text.extend([": ", &field.description]);
            }
            text.push('\n');
        }
    }
    text
}

fn system_text(call: &AdapterCall<'_>) -> String {
    let mut text = field_list(call.spec);
    text.push_str("\nEvery exchange has this structure:\n\n");
    for field in call.spec.fields() {
        push_header(&mut text, &field.name);
        text.extend(["\n{", &field.name, "}\n\n"]);
    }
    push_header(&mut text, END);
    text.extend(["\n\nYour task: ", call.instruction.trim()]);
    text
}

pub(super) fn sections(fields: &[FieldSpec], values: &Fields, fill: bool) -> String {
    let mut text = String::with_capacity(USUAL);
    for field in fields {
        let value = match values.get(&field.name) {
            Some(value) => format_typed(&field.ty, value),
            None if fill => NOT_SUPPLIED.into(),
            None => continue,
        };
        if !text.is_empty() {
            text.push_str("\n\n");
        }
        push_header(&mut text, &field.name);
        text.push('\n');
        text.push_str(&protect(&value));
    }
    text
}

fn answer_pattern(spec: &SignatureSpec) -> Option<String> {
    let mut out = String::new();
    for field in spec.outputs() {
        let _ = write!(out, r"{}\n{}\n\n", escape(&header(&field.name)), pattern(&field.ty)?);
    }
    Some(out + &escape(&header(END)))
}

/// The sections of an answer: text from one header to the next. A header may stand anywhere in a line, with or without
/// spaces inside, in bold or as a heading; the first of two same headers wins.
pub(super) fn sections_of(text: &str) -> Vec<Section<'_>> {
    let mut sections: Vec<Section<'_>> = Vec::new();
    let mut open = None;
    let mut at = 0;
    let mut close = |open, end| {
        if let Some((name, start)) = open
            && sections.iter().all(|(known, _)| !same_name(known, name))
        {
            sections.push((name.into(), Found::Text(unprotect(text[start..end].trim()))));
        }
    };
    while let Some(found) = opening(&text[at..]) {
        let start = at + found;
        match read_header(&text[start..]) {
            Some((name, length)) => {
                let marks = markup_before(&text[at..start]);
                close(open.take(), start - marks.len());
                at = start + length;
                let after = &text[at..];
                at += after.len() - after.trim_start_matches(|c| marks.contains(c) && c != ' ').len();
                open = Some((name, at));
            }
            None => at = start + 2,
        }
    }
    close(open.take(), text.len());
    sections
}

/// Where `[[` stands first.
fn opening(text: &str) -> Option<usize> {
    text.match_indices('[').map(|(at, _)| at).find(|at| text[at + 1..].starts_with('['))
}

/// The marks of bold, code, headings or lists at the end of `text`, where nothing else stands on its last line.
fn markup_before(text: &str) -> &str {
    let line = &text[text.rfind('\n').map_or(0, |end| end + 1)..];
    if line.chars().all(|c| " \t*_`#>-".contains(c)) { line } else { "" }
}

/// A header at the start of `text`: its name and its length in bytes.
fn read_header(text: &str) -> Option<(&str, usize)> {
    let inner = text.strip_prefix("[[")?.trim_start().strip_prefix("##")?;
    let (name, rest) = inner.split_once("##")?;
    let rest = rest.trim_start().strip_prefix("]]")?;
    let named = !name.trim().is_empty() && !name.contains(['[', ']', '\n']);
    named.then_some((name.trim(), text.len() - rest.len()))
}

/// `text` with one more backslash in each `[[ ## `.
fn protect(text: &str) -> Cow<'_, str> {
    rewrite_marks(text, |slashes| format!("{slashes}\\"))
}

/// The reverse of [`protect`].
fn unprotect(text: &str) -> Cow<'_, str> {
    rewrite_marks(text, |slashes| slashes.strip_suffix('\\').unwrap_or(slashes).to_owned())
}

/// Rewrites the backslashes between `[[` and `##` where nothing but space and backslashes stands there.
fn rewrite_marks(text: &str, rewrite: impl Fn(&str) -> String) -> Cow<'_, str> {
    if opening(text).is_none() {
        return text.into();
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = opening(rest) {
        let (before, after) = rest.split_at(at + 2);
        out.push_str(before);
        let inner = after.trim_start();
        let slashes = &inner[..inner.len() - inner.trim_start_matches('\\').len()];
        if inner[slashes.len()..].starts_with("##") {
            out.push_str(&after[..after.len() - inner.len()]);
            out.push_str(&rewrite(slashes));
            rest = &inner[slashes.len()..];
        } else {
            rest = after;
        }
    }
    out.push_str(rest);
    out.into()
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
