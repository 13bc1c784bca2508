//! What the rules of the pool know of the data: its closed sets of labels with the words that speak for each, the names of its
//! inputs, and how these are written.

use std::collections::BTreeMap;

use teleprompt_core::value::format_value;
use teleprompt_core::{Example, Fields, Value};

use crate::label_words::label_words;
use crate::language::Writing;
use crate::render::one_line;

/// Most distinct values that a field has to be called a closed set.
const MAX_CLOSED: usize = 20;
/// Rows per distinct value that a closed set has on average, at least: `teleprompt_core::split` draws the same line.
const ROWS_PER_VALUE: usize = 4;

/// The values of label fields that are closed sets, each with its number of rows: the most frequent first.
pub(crate) type ClosedLabels = BTreeMap<String, Vec<(String, usize)>>;

/// What the rules of the pool know of the data.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Known {
    /// Its closed sets of labels.
    pub(crate) labels: ClosedLabels,
    /// For each of these sets, by name, the words that speak for each label; see [`label_words`].
    pub(crate) words: BTreeMap<String, Vec<(String, Vec<String>)>>,
    /// The names of its inputs.
    pub(crate) inputs: Vec<String>,
    /// How its inputs are written.
    pub(crate) writing: Writing,
}

impl Known {
    /// What these rows say.
    pub(crate) fn of(rows: &[Example]) -> Self {
        let labels = closed_labels(rows);
        let by_name = |(field, counted): (&String, &Vec<(String, usize)>)| {
            // By name: the order of their counts would hint at the most frequent one.
            let mut values: Vec<String> = counted.iter().map(|(value, _)| value.clone()).collect();
            values.sort();
            (field.clone(), label_words(rows, field, &values))
        };
        Self {
            words: labels.iter().map(by_name).collect(),
            inputs: names(rows, |row| &row.inputs),
            writing: Writing::of_rows(rows),
            labels,
        }
    }
}

/// The label fields that are closed sets by the data.
fn closed_labels(rows: &[Example]) -> ClosedLabels {
    let mut sets = BTreeMap::new();
    for name in names(rows, |row| &row.labels) {
        let values = rows.iter().filter_map(|row| row.labels.get(&name));
        if let Some(values) = closed_set(values) {
            sets.insert(name, values);
        }
    }
    sets
}

/// The distinct values with their counts, the most frequent first, where they are few enough to be a closed set.
pub(crate) fn closed_set<'a>(values: impl Iterator<Item = &'a Value>) -> Option<Vec<(String, usize)>> {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    let mut total = 0;
    for value in values {
        // Lists and objects are no labels.
        if value.is_array() || value.is_object() {
            return None;
        }
        *counts.entry(one_line(&format_value(value))).or_default() += 1;
        total += 1;
        if counts.len() > MAX_CLOSED {
            return None;
        }
    }
    let mut counted: Vec<(String, usize)> = counts.into_iter().collect();
    counted.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    (counted.len() >= 2 && counted.len() * ROWS_PER_VALUE <= total).then_some(counted)
}

/// One side of a row: its inputs or its labels.
pub(crate) type Part = fn(&Example) -> &Fields;

/// The names of the fields of all rows, in the order in which they first appear.
pub(crate) fn names(rows: &[Example], part: Part) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for row in rows {
        for name in part(row).names() {
            if !names.iter().any(|known| known == name) {
                names.push(name.to_owned());
            }
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_closed_set_has_four_rows_for_each_of_its_values() {
        let row = |i: usize| {
            let team = if i.is_multiple_of(3) { "billing" } else { "delivery" };
            let fields =
                Fields::new().with("message", format!("{i}")).with("tags", vec!["a"]).with("team", team);
            Example::new(fields).with_inputs(&["message"]).unwrap()
        };
        let rows: Vec<Example> = (0..9).map(row).collect();
        let known = Known::of(&rows);
        assert_eq!(known.labels["team"], [("delivery".to_owned(), 6), ("billing".to_owned(), 3)]);
        assert_eq!((known.labels.len(), known.inputs), (1, vec!["message".to_owned()]));
        assert!(closed_labels(&rows[..4]).is_empty() && closed_labels(&[]).is_empty());
    }
}
