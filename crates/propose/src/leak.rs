//! Whether a proposal quotes the data: [`LEAK_WORDS`] or more consecutive words of a row's input, of an open-ended answer or
//! of a demo. A closed list of labels may be named.
//!
//! An instruction that quotes a training row looks better on rows like it than it is, and carries data to wherever the
//! program is used.

use std::collections::{BTreeMap, BTreeSet};

use teleprompt_core::value::format_value;
use teleprompt_core::{Demo, Example, FieldType, Fields, Program};

use crate::known::ClosedLabels;
use crate::refine::FailedCase;
use crate::render::{labels, words};

/// Consecutive words of the data that make a quotation.
pub(crate) const LEAK_WORDS: usize = 8;

/// The data that no instruction may quote: inputs and open-ended answers of the rows, the demos, and failures.
pub(crate) struct Data<'a> {
    /// Fields whose values are a closed set, which may be named.
    closed: BTreeSet<String>,
    /// Each with whether its closed sets are looked at as well.
    texts: Vec<(&'a Fields, bool)>,
}

impl<'a> Data<'a> {
    /// No data yet; `known` and the types of the program's outputs say which sets are closed.
    pub(crate) fn new(program: &dyn Program, known: &ClosedLabels) -> Self {
        let mut closed: BTreeSet<String> = known.keys().cloned().collect();
        for named in program.predictors() {
            let outputs = named.predictor.spec().outputs().iter();
            let closed_outputs =
                outputs.filter(|field| matches!(field.ty, FieldType::Bool) || labels(&field.ty).is_some());
            closed.extend(closed_outputs.map(|field| field.name.clone()));
        }
        Self { closed, texts: Vec::new() }
    }

    /// With these rows.
    pub(crate) fn rows(mut self, rows: &'a [Example]) -> Self {
        self.texts.extend(rows.iter().flat_map(|row| [(&row.inputs, true), (&row.labels, false)]));
        self
    }

    /// With these sets of demos.
    pub(crate) fn demos(
        mut self,
        sets: impl IntoIterator<Item = &'a (impl AsRef<[Demo]> + ?Sized + 'a)>,
    ) -> Self {
        let demos = sets.into_iter().flat_map(|set| set.as_ref().iter());
        self.texts.extend(demos.map(|demo| (&*demo.fields, false)));
        self
    }

    /// With these failures.
    pub(crate) fn failures(mut self, failures: &'a [FailedCase]) -> Self {
        self.texts.extend(failures.iter().flat_map(|case| [(&case.inputs, false), (&case.expected, false)]));
        self
    }

    /// For each proposal (with a text that it may quote), the words of the data that it quotes, if any.
    pub(crate) fn quoted<'b>(
        &self,
        proposals: impl Iterator<Item = (&'b str, &'b str)>,
    ) -> Vec<Option<String>> {
        let mut quotes = Quotes::new(proposals);
        for (fields, all) in &self.texts {
            for (name, value) in fields.iter() {
                if *all || !self.closed.contains(name) {
                    quotes.scan(&format_value(value));
                }
            }
        }
        quotes.found()
    }
}

/// Finds which of many proposals quote the data: [`LEAK_WORDS`] or more consecutive words of one value.
///
/// It indexes the proposals, which are few and short, and passes over the rows once.
struct Quotes {
    ids: BTreeMap<String, u32>,
    grams: BTreeMap<[u32; LEAK_WORDS], Vec<usize>>,
    found: Vec<Option<String>>,
}

impl Quotes {
    /// For these proposals, each with texts that it may quote, such as the current instruction.
    fn new<'a>(proposals: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let mut quotes = Self { ids: BTreeMap::new(), grams: BTreeMap::new(), found: Vec::new() };
        for (proposal, (text, allowed)) in proposals.into_iter().enumerate() {
            let allowed: BTreeSet<[u32; LEAK_WORDS]> = quotes.indexed(allowed).into_iter().collect();
            for gram in quotes.indexed(text) {
                if !allowed.contains(&gram) {
                    quotes.grams.entry(gram).or_default().push(proposal);
                }
            }
            quotes.found.push(None);
        }
        quotes
    }

    /// The sequences of a text, its words given numbers.
    fn indexed(&mut self, text: &str) -> Vec<[u32; LEAK_WORDS]> {
        let mut numbers = Vec::new();
        for word in words(text) {
            let next = self.ids.len() as u32;
            numbers.push(*self.ids.entry(word).or_insert(next));
        }
        numbers.windows(LEAK_WORDS).filter_map(|gram| gram.try_into().ok()).collect()
    }

    /// Looks for quotations of one value of the data.
    fn scan(&mut self, value: &str) {
        if self.grams.is_empty() {
            return;
        }
        let value = words(value);
        // A word that no proposal holds gets a number that none has.
        let numbers: Vec<u32> =
            value.iter().map(|word| self.ids.get(word).copied().unwrap_or(u32::MAX)).collect();
        for (at, gram) in numbers.windows(LEAK_WORDS).enumerate() {
            let Ok(gram) = <[u32; LEAK_WORDS]>::try_from(gram) else { continue };
            for &proposal in self.grams.get(&gram).map(Vec::as_slice).unwrap_or_default() {
                if let Some(found @ None) = self.found.get_mut(proposal) {
                    *found = value.get(at..at + LEAK_WORDS).map(|words| words.join(" "));
                }
            }
        }
    }

    /// For each proposal, the first words that it quotes, in the order of the scans.
    fn found(self) -> Vec<Option<String>> {
        self.found
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn quotations_of_eight_words_are_found() {
        let row = "My parcel number seven has been lost since Monday, please help";
        let quotes = |text: &str, allowed: &str| {
            let mut quotes = Quotes::new([(text, allowed)]);
            quotes.scan("something else");
            quotes.scan(row);
            quotes.found().remove(0)
        };
        let eight = "Such as \"parcel number seven has been lost since monday\": name it.";
        assert_eq!(quotes(eight, "").as_deref(), Some("parcel number seven has been lost since monday"));
        assert_eq!(quotes("Such as \"parcel number seven has been lost since\".", ""), None);
        assert_eq!(quotes(eight, row), None);
    }

    proptest! {
        #[test]
        fn a_quotation_is_found_wherever_it_stands(
            row in proptest::collection::vec("[a-d]{1,3}", 8..20),
            before in proptest::collection::vec("[a-f]{1,3}", 0..6),
            from in 0usize..12,
            mark in "[ ,.!\"]{1,3}",
        ) {
            let from = from.min(row.len() - LEAK_WORDS);
            let quoted = row[from..from + LEAK_WORDS].join(&mark);
            let text = format!("{} {} end", before.join(" "), quoted);
            let mut quotes = Quotes::new([("nothing of it", ""), (text.as_str(), "")]);
            quotes.scan(&row.join(" "));
            let found = quotes.found();
            prop_assert_eq!(&found[0], &None);
            prop_assert!(found[1].is_some());
        }

        #[test]
        fn fewer_than_eight_words_are_no_quotation(
            row in proptest::collection::vec("[a-d]{1,3}", 1..20),
            text in proptest::collection::vec("[a-d]{1,3}", 0..8),
        ) {
            let text = text.join(" ");
            let mut quotes = Quotes::new([(text.as_str(), "")]);
            quotes.scan(&row.join(" "));
            prop_assert_eq!(quotes.found(), vec![None]);
        }
    }
}
