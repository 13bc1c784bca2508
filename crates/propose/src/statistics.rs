//! Figures about a data set, computed and not guessed: how many rows, how long the texts, how the labels are balanced.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use teleprompt_core::value::format_value;
use teleprompt_core::{Example, Fields, Value};

use crate::render::{cut, one_line};

/// Most distinct values that a field has to be called a closed set.
const MAX_CLOSED: usize = 20;
/// Rows per distinct value that a closed set has on average, at least: `teleprompt_core::split` draws the same line.
const ROWS_PER_VALUE: usize = 4;
/// Values listed with their counts.
const LISTED: usize = 12;

/// The values of label fields that are closed sets, each with its number of rows: the most frequent first.
pub(crate) type ClosedLabels = BTreeMap<String, Vec<(String, usize)>>;

/// The label fields that are closed sets by the data.
pub(crate) fn closed_labels(rows: &[Example]) -> ClosedLabels {
    let mut sets = BTreeMap::new();
    for name in names(rows, |row| &row.labels) {
        let values = rows.iter().filter_map(|row| row.labels.get(&name));
        if let Some(values) = closed_set(values) {
            sets.insert(name, values);
        }
    }
    sets
}

/// The figures as lines of text: the number of rows, then one line per field.
pub(crate) fn describe(rows: &[Example]) -> String {
    let mut out = format!("{} rows", rows.len());
    let inputs: Part = |row| &row.inputs;
    let labels: Part = |row| &row.labels;
    for (kind, part) in [("input", inputs), ("expected answer", labels)] {
        for name in names(rows, part) {
            let values: Vec<&Value> = rows.iter().filter_map(|row| part(row).get(&name)).collect();
            let _ = write!(out, "\n{kind} `{name}`: {}", describe_values(&values));
            if values.len() < rows.len() {
                let _ = write!(out, "; missing in {} rows", rows.len() - values.len());
            }
        }
    }
    out
}

/// One side of a row: its inputs or its labels.
type Part = fn(&Example) -> &Fields;

/// The names of the fields of all rows, in the order in which they first appear.
fn names(rows: &[Example], part: Part) -> Vec<String> {
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

fn describe_values(values: &[&Value]) -> String {
    if let Some(counted) = closed_set(values.iter().copied()) {
        let shown = counted.iter().take(LISTED);
        let mut list: Vec<String> =
            shown.map(|(value, count)| format!("{} {count}", cut(value, 10))).collect();
        if counted.len() > LISTED {
            list.push(format!("{} more", counted.len() - LISTED));
        }
        return format!("{} values ({})", counted.len(), list.join(", "));
    }
    let numbers: Vec<f64> = values.iter().filter_map(|value| value.as_f64()).collect();
    if numbers.len() == values.len() && !numbers.is_empty() {
        let low = numbers.iter().copied().fold(f64::INFINITY, f64::min);
        let high = numbers.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        return format!("numbers from {low} to {high}");
    }
    let lists: Vec<usize> = values.iter().filter_map(|value| Some(value.as_array()?.len())).collect();
    if lists.len() == values.len() && !lists.is_empty() {
        return format!("lists of {} items", spread(lists));
    }
    format!(
        "text of {} words",
        spread(values.iter().map(|value| format_value(value).split_whitespace().count()))
    )
}

/// `3 to 40 (median 12)`; one number where all are the same.
fn spread(counts: impl IntoIterator<Item = usize>) -> String {
    let mut counts: Vec<usize> = counts.into_iter().collect();
    counts.sort_unstable();
    match (counts.first(), counts.get(counts.len() / 2), counts.last()) {
        (Some(low), Some(median), Some(high)) if low < high => format!("{low} to {high} (median {median})"),
        (Some(one), ..) => one.to_string(),
        _ => "no".to_owned(),
    }
}

/// The distinct values with their counts, the most frequent first, where they are few enough to be a closed set.
fn closed_set<'a>(values: impl Iterator<Item = &'a Value>) -> Option<Vec<(String, usize)>> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_counted() {
        let row = |i: usize| {
            let fields = Fields::new()
                .with("message", "word ".repeat(i + 1))
                .with("age", i)
                .with("team", if i.is_multiple_of(3) { "billing" } else { "delivery" });
            Example::new(fields).with_inputs(&["message", "age"]).unwrap()
        };
        let rows: Vec<Example> = (0..9).map(row).collect();
        assert_eq!(
            describe(&rows),
            "9 rows\ninput `message`: text of 1 to 9 (median 5) words\ninput `age`: numbers from 0 to 8\n\
             expected answer `team`: 2 values (delivery 6, billing 3)"
        );
        let closed = closed_labels(&rows);
        assert_eq!(closed["team"], [("delivery".to_owned(), 6), ("billing".to_owned(), 3)]);
        assert!(closed_labels(&rows[..4]).is_empty());
        assert_eq!(describe(&[]), "0 rows");
    }
}
