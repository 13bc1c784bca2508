//! Words that tell labels apart: for each value of a closed set, those that stand in its rows far more often than in others.
//!
//! Counted, not guessed, so that an instruction can say what the labels mean without a model having read the rows
//! ([`crate::edits`]). Single words are no quotation of the data; one that only a single row holds is never among them.

use std::collections::{BTreeMap, BTreeSet};

use teleprompt_core::Example;
use teleprompt_core::value::format_value;

use crate::render::{one_line, words};

/// Words for each label, at most.
const WORDS: usize = 4;
/// Rows of a label that hold the word, at least.
const MIN_ROWS: usize = 2;
/// How many times as often as in other rows, at least.
const MIN_RATIO: f64 = 3.0;
/// Added to both shares: what stands in few rows is told apart by chance.
const SMOOTHING: f64 = 0.05;

/// For each label, in the order of `labels`, the words of the rows' inputs that speak for it, the strongest first. Empty
/// unless at least half of the labels have some: a list of the others would only mislead.
pub(crate) fn label_words(rows: &[Example], field: &str, labels: &[String]) -> Vec<(String, Vec<String>)> {
    let mut rows_of: BTreeMap<String, usize> = BTreeMap::new();
    let mut rows_with: BTreeMap<String, BTreeMap<String, usize>> = BTreeMap::new();
    for row in rows {
        let Some(label) = row.labels.get(field).map(|value| one_line(&format_value(value))) else { continue };
        let texts = row.inputs.iter().map(|(_, value)| format_value(value));
        let held: BTreeSet<String> = texts.flat_map(|text| words(&text)).collect();
        for word in held.into_iter().filter(|word| is_telling(word)) {
            *rows_with.entry(word).or_default().entry(label.clone()).or_default() += 1;
        }
        *rows_of.entry(label).or_default() += 1;
    }
    let all: usize = rows_of.values().sum();
    let told: Vec<(String, Vec<String>)> = labels
        .iter()
        .map(|label| {
            let own = rows_of.get(label).copied().unwrap_or_default();
            let mut scored: Vec<(f64, &String)> = rows_with
                .iter()
                .filter_map(|(word, counts)| {
                    let here = counts.get(label).copied().unwrap_or_default();
                    let elsewhere = counts.values().sum::<usize>() - here;
                    let share = here as f64 / own.max(1) as f64;
                    let others = elsewhere as f64 / (all - own).max(1) as f64;
                    let telling = here >= MIN_ROWS && share >= MIN_RATIO * others;
                    telling.then(|| (share * ((share + SMOOTHING) / (others + SMOOTHING)).ln(), word))
                })
                .collect();
            // Stable: of equals, the first by name comes first.
            scored.sort_by(|a, b| b.0.total_cmp(&a.0));
            (label.clone(), scored.into_iter().take(WORDS).map(|(_, word)| word.clone()).collect())
        })
        .collect();
    let with_words = told.iter().filter(|(_, words)| !words.is_empty()).count();
    if with_words > 0 && with_words * 2 >= labels.len() { told } else { Vec::new() }
}

/// Not a number, and more than one character.
fn is_telling(word: &str) -> bool {
    word.chars().nth(1).is_some() && word.chars().any(char::is_alphabetic)
}

#[cfg(test)]
mod tests {
    use teleprompt_core::Fields;

    use super::*;

    fn row(text: &str, team: &str) -> Example {
        Example::new(Fields::new().with("text", text).with("team", team)).with_inputs(&["text"]).unwrap()
    }

    fn told(rows: &[Example], labels: &[&str]) -> Vec<(String, Vec<String>)> {
        label_words(rows, "team", &labels.iter().map(|label| (*label).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn words_are_those_of_one_label() {
        let rows = [
            row("My parcel is late, 12 days", "delivery"),
            row("the parcel never came", "delivery"),
            row("is the parcel lost", "delivery"),
            row("charged twice for my lamp", "billing"),
            row("The invoice was charged twice", "billing"),
            row("my invoice", "billing"),
        ];
        // `my` and `the` stand in rows of both, `late` in one row, 12 is a number.
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        assert_eq!(
            told(&rows, &["billing", "delivery"]),
            [
                ("billing".to_owned(), words(&["charged", "invoice", "twice"])),
                ("delivery".to_owned(), words(&["parcel", "is"]))
            ]
        );
        // One label of three is told apart: too few.
        assert!(told(&rows[..3], &["delivery", "billing", "returns"]).is_empty());
        assert!(told(&[], &["delivery"]).is_empty() && told(&rows, &[]).is_empty());
    }

    #[test]
    fn no_more_than_four_and_none_of_a_single_row() {
        let text = "alpha beta gamma delta epsilon zeta eta";
        let rows = [row(text, "a"), row(text, "a"), row("only here", "b"), row("other", "b")];
        let told = told(&rows, &["a", "b"]);
        assert_eq!((told[0].1.len(), told[1].1.len()), (4, 0));
    }
}
