//! Edits: instructions made from the original by fixed rules, without a model.
//!
//! They fill the places that stay empty when a model wrote nothing usable: what they say is true of the signature or counted
//! in the data, so they cost nothing and are often better than nothing, above all for small models.

use std::fmt::Write as _;

use teleprompt_core::{FieldSpec, FieldType, REASONING, SignatureSpec};

use crate::known::Known;
use crate::render::labels;

/// An edited instruction and the rules that made it, joined by `+`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Edited {
    pub(crate) edit: String,
    pub(crate) instruction: String,
}

/// The edits of `original` that say something new: each rule alone, then in pairs, then all.
///
/// `known` holds the values of label fields that are closed sets by the data; they count where the signature itself has free
/// text.
pub(crate) fn edits(original: &str, spec: &SignatureSpec, known: &Known) -> Vec<Edited> {
    let rules: Vec<(&str, String)> = [
        // First what helps most: one reserved place is enough for it.
        ("label_words", words_of_labels(spec, known)),
        ("label_list", label_list(original, spec, known)),
        ("output_format", output_format(spec)),
        ("field_descriptions", field_descriptions(original, spec)),
    ]
    .into_iter()
    .filter(|(_, text)| !text.is_empty())
    .collect();
    // Subsets by size, then in the order of the rules.
    let mut subsets: Vec<u32> = (1..1u32 << rules.len()).collect();
    subsets.sort_by_key(|subset| subset.count_ones());
    let edited = subsets.into_iter().map(|subset| {
        let chosen = rules.iter().enumerate().filter(|(i, _)| subset >> i & 1 == 1).map(|(_, rule)| rule);
        let (mut edit, mut instruction) = (String::new(), original.trim_end().to_owned());
        for (name, text) in chosen {
            let plus = if edit.is_empty() { "" } else { "+" };
            let _ = write!(edit, "{plus}{name}");
            let _ = write!(instruction, "\n{text}");
        }
        Edited { edit, instruction }
    });
    edited.collect()
}

/// Which words of the inputs speak for which label, where the predictor is shown these inputs. They are written like an input
/// and its answer: small models follow that form, and hardly one that explains it.
fn words_of_labels(spec: &SignatureSpec, known: &Known) -> String {
    let Some(input) = spec.inputs().iter().find(|field| known.inputs.contains(&field.name)) else {
        return String::new();
    };
    let mut lines = Vec::new();
    for field in spec.outputs() {
        for (label, words) in known.words.get(&field.name).into_iter().flatten() {
            if !words.is_empty() {
                lines.push(format!("{}: {}\n{}: {label}", input.prefix, words.join(" "), field.prefix));
            }
        }
    }
    lines.join("\n")
}

fn label_list(original: &str, spec: &SignatureSpec, known: &Known) -> String {
    let lines = spec.outputs().iter().filter_map(|field| {
        let by_data = || {
            let mut values: Vec<String> =
                known.labels.get(&field.name)?.iter().map(|(value, _)| value.clone()).collect();
            // By name: the order of their counts would hint at the most frequent one.
            values.sort();
            Some(values)
        };
        let values = match (labels(&field.ty), &field.ty) {
            (Some(labels), _) => labels.to_vec(),
            (None, FieldType::Text) => by_data()?,
            _ => return None,
        };
        let said = values.iter().all(|value| original.contains(value.as_str()));
        (!said).then(|| format!("`{}` is exactly one of: {}.", field.name, values.join(", ")))
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn output_format(spec: &SignatureSpec) -> String {
    let outputs: Vec<&FieldSpec> = spec.outputs().iter().collect();
    let form = |field: &FieldSpec| match (&field.ty, field.name.as_str()) {
        (_, REASONING) => format!("`{}` (a few sentences of thought)", field.name),
        (FieldType::Text, _) => format!("`{}` (text)", field.name),
        (FieldType::Label(_), _) => format!("`{}` (one label, spelled as given)", field.name),
        (ty, _) => format!("`{}` ({ty})", field.name),
    };
    let list = outputs.iter().map(|field| form(field)).collect::<Vec<_>>().join(", then ");
    format!("Give only {list}, without comments or explanations around it.")
}

fn field_descriptions(original: &str, spec: &SignatureSpec) -> String {
    let described = spec.fields().filter(|field| {
        !field.description.is_empty() && !original.contains(field.description.trim_end_matches('.'))
    });
    described
        .map(|field| format!("`{}`: {}.", field.name, field.description.trim_end_matches('.')))
        .collect::<Vec<_>>()
        .join("\n")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use teleprompt_core::{Example, Fields};

    use super::*;

    #[test]
    fn each_rule_says_what_the_signature_holds() {
        let spec = SignatureSpec::parse("message -> reasoning, team: label[billing, delivery], urgent: bool")
            .unwrap();
        let all = edits("Route it.", &spec, &Known::default());
        let named: Vec<&str> = all.iter().map(|edited| edited.edit.as_str()).collect();
        assert_eq!(named, ["label_list", "output_format", "label_list+output_format"]);
        assert_eq!(
            all[2].instruction,
            "Route it.\n`team` is exactly one of: billing, delivery.\nGive only `reasoning` (a few sentences of \
             thought), then `team` (one label, spelled as given), then `urgent` (true or false), without comments or \
             explanations around it."
        );
    }

    #[test]
    fn labels_can_come_from_the_data_and_descriptions_from_the_fields() {
        let field = |name: &str| FieldSpec::new(name, FieldType::Text).described("what it is.");
        let spec = SignatureSpec::new("S", "x", vec![field("a")], vec![field("b")]).unwrap();
        let labels = BTreeMap::from([("b".to_owned(), vec![("yes".to_owned(), 9), ("no".to_owned(), 3)])]);
        let known = Known { labels, ..Known::default() };
        let all = edits("Do.", &spec, &known);
        assert_eq!(all.len(), 7);
        assert_eq!(all[0].instruction, "Do.\n`b` is exactly one of: no, yes.");
        assert_eq!(all[2].instruction, "Do.\n`a`: what it is.\n`b`: what it is.");
        let said = edits("Say yes or no, what it is.", &spec, &known);
        assert_eq!(said.iter().map(|edited| edited.edit.as_str()).collect::<Vec<_>>(), ["output_format"]);
        assert_eq!(all[6].edit, "label_list+output_format+field_descriptions");
    }
    #[test]
    fn words_of_the_rows_say_what_labels_mean_to_who_sees_these_rows() {
        let row = |i: usize| {
            let (text, team) = [("the lamp is late", "delivery"), ("charged twice", "billing")][i % 2];
            Example::new(Fields::new().with("text", text).with("team", team)).with_inputs(&["text"]).unwrap()
        };
        let known = Known::of(&(0..10).map(row).collect::<Vec<_>>());
        let spec = |text: &str| SignatureSpec::parse(text).unwrap();
        let all = edits("Route it.", &spec("text -> team: label[billing, delivery]"), &known);
        assert_eq!(all[0].edit, "label_words");
        assert_eq!(
            all[0].instruction,
            "Route it.\nText: charged twice\nTeam: billing\nText: is lamp late the\nTeam: delivery"
        );
        assert_eq!(all.len(), 7);
        // A later step does not see the text.
        let later = edits("Route it.", &spec("summary -> team: label[billing, delivery]"), &known);
        assert!(later.iter().all(|edited| !edited.edit.contains("label_words")));
    }
}
