//! How the proposer writes signatures, rows, demos and programs into its prompts: compact, and cut to a budget.
//!
//! Budgets are in tokens, estimated at [`CHARS_PER_TOKEN`] characters each. What is cut says so.

use std::fmt::Write as _;

use teleprompt_core::value::format_value;
use teleprompt_core::{FieldSpec, FieldType, Fields, NamedPredictor, Program, SignatureSpec};

use crate::proposals::current;

/// Characters for which one token is reckoned: the usual rule of thumb for English, on the safe side for code.
pub(crate) const CHARS_PER_TOKEN: usize = 4;

/// `text`, cut to about `tokens` tokens and marked as cut.
pub(crate) fn cut(text: &str, tokens: usize) -> String {
    cut_chars(text, tokens.saturating_mul(CHARS_PER_TOKEN))
}

/// Room for the mark of a cut; what is shorter than that is not worth one.
const MARK: usize = 32;

fn cut_chars(text: &str, limit: usize) -> String {
    let length = text.chars().count();
    if length <= limit.saturating_add(MARK) {
        return text.to_owned();
    }
    let kept: String = text.chars().take(limit).collect();
    format!("{} [cut: {} more characters]", kept.trim_end(), length - limit)
}

/// A signature on one line with its types, and a line for each field that has a description.
pub(crate) fn signature(name: &str, spec: &SignatureSpec) -> String {
    let list = |fields: &[FieldSpec]| {
        fields.iter().map(|field| format!("{}: {}", field.name, field.ty)).collect::<Vec<_>>().join(", ")
    };
    let mut out = format!("{name}({}) -> {}", list(spec.inputs()), list(spec.outputs()));
    for field in spec.fields().filter(|field| !field.description.is_empty()) {
        let _ = write!(out, "\n  {}: {}", field.name, field.description);
    }
    out
}

/// The program's source text; else pseudo-code made from its predictors.
pub(crate) fn program(program: &dyn Program, tokens: usize) -> String {
    match program.source().map(str::trim).filter(|source| !source.is_empty()) {
        Some(source) => cut(source, tokens),
        None => cut(&pseudo_code(&program.predictors()), tokens),
    }
}

/// One line for each call, in the order in which the program lists its predictors.
fn pseudo_code(predictors: &[NamedPredictor<'_>]) -> String {
    let mut out =
        String::from("// The source is not available. The program asks a language model in these places:");
    for named in predictors {
        let spec = named.predictor.spec();
        let names = |fields: &[FieldSpec]| {
            fields.iter().map(|field| field.name.as_str()).collect::<Vec<_>>().join(", ")
        };
        let _ = write!(
            out,
            "\n({}) = {}({});  // {}",
            names(spec.outputs()),
            named.name,
            names(spec.inputs()),
            one_line(&cut(&current(named), 60))
        );
    }
    out
}

/// A row as `name: value` lines, cut to about `tokens` tokens in all.
///
/// Short fields are kept whole and the long ones share what is left, so that a long input never hides the label after it.
pub(crate) fn fields(fields: &Fields, tokens: usize) -> String {
    let written: Vec<(&str, String)> =
        fields.iter().map(|(name, value)| (name, one_line(&format_value(value)))).collect();
    let limit = share(&written.iter().map(|(_, text)| text.chars().count()).collect::<Vec<_>>(), tokens);
    let lines = written.iter().map(|(name, text)| format!("{name}: {}", cut_chars(text, limit)));
    lines.collect::<Vec<_>>().join("\n")
}

/// The length at which texts of these lengths are cut so that together they fit into `tokens` tokens.
pub(crate) fn share(lengths: &[usize], tokens: usize) -> usize {
    let mut sorted = lengths.to_vec();
    sorted.sort_unstable();
    let mut left = tokens.saturating_mul(CHARS_PER_TOKEN);
    for (i, &length) in sorted.iter().enumerate() {
        let limit = left / (sorted.len() - i);
        if length > limit {
            return limit;
        }
        left -= length;
    }
    usize::MAX
}

/// Demos of a predictor, numbered; fields in the order of the signature, others left out.
pub(crate) fn demos<'a>(
    spec: &SignatureSpec,
    demos: impl IntoIterator<Item = &'a Fields>,
    tokens: usize,
) -> String {
    let mut out = String::new();
    for (i, demo) in demos.into_iter().enumerate() {
        let known = demo.only(spec.fields().map(|field| field.name.as_str()));
        let newline = if i == 0 { "" } else { "\n" };
        let _ = write!(out, "{newline}Example {}\n{}", i + 1, fields(&known, tokens));
    }
    out
}

/// `text` with every run of white space as one space.
pub(crate) fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The words of `text` as they are compared: lower case, letters and digits only. A character of a script that is written
/// without spaces is a word of its own.
pub(crate) fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    for c in text.chars() {
        if !c.is_alphanumeric() || is_unspaced(c) {
            if !word.is_empty() {
                words.push(std::mem::take(&mut word));
            }
            if c.is_alphanumeric() {
                words.push(c.to_string());
            }
        } else {
            word.extend(c.to_lowercase());
        }
    }
    if !word.is_empty() {
        words.push(word);
    }
    words
}

/// Thai to Khmer without Tibetan's neighbours, kana, and Han in its blocks below and above the first plane.
fn is_unspaced(c: char) -> bool {
    matches!(u32::from(c), 0x0E00..=0x0EFF | 0x1000..=0x109F | 0x1780..=0x17FF | 0x3040..=0x30FF | 0x3400..=0x9FFF
        | 0xF900..=0xFAFF | 0x20000..=0x3FFFF)
}

/// The labels of a type that is a closed set, whether or not the value may be missing or comes in a list.
pub(crate) fn labels(ty: &FieldType) -> Option<&[String]> {
    match ty {
        FieldType::Label(labels) => Some(labels),
        FieldType::List(inner) | FieldType::Optional(inner) => labels(inner),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use teleprompt_core::Predictor;

    use super::*;

    #[test]
    fn a_long_field_is_cut_and_the_label_after_it_kept() {
        let row = Fields::new().with("message", "word ".repeat(100)).with("team", "billing");
        let text = fields(&row, 15);
        let kept = "word ".repeat(10);
        assert_eq!(text, format!("message: {kept}wor [cut: 446 more characters]\nteam: billing"));
    }

    #[test]
    fn signatures_and_pseudo_code_are_compact() {
        let spec = SignatureSpec::parse("message, tags: list[str] -> team: label[a, b]").unwrap();
        assert_eq!(
            signature("route", &spec),
            "route(message: text, tags: list of text) -> team: one of a, b"
        );
        let predictor = Predictor::new(spec.with_instruction("Route\nit."));
        assert_eq!(
            program(&predictor, 100).lines().nth(1),
            Some("(team) = self(message, tags);  // Route it.")
        );
    }

    #[test]
    fn words_are_compared_without_case_and_marks() {
        assert_eq!(words("Don't  PANIC: 3 x"), ["don", "t", "panic", "3", "x"]);
        assert_eq!(words("分类 ok"), ["分", "类", "ok"]);
    }

    proptest! {
        #[test]
        fn a_cut_row_stays_within_its_budget(a in "\\PC{0,200}", b in "[a-z ]{0,200}", tokens in 1usize..60) {
            let row = Fields::new().with("a", a).with("b", b);
            let text = fields(&row, tokens);
            // Names and marks come on top of the budget.
            prop_assert!(text.chars().count() <= tokens * CHARS_PER_TOKEN + 2 * 40);
        }
    }
}
