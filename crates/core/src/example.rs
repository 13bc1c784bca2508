//! Examples: rows of data, divided into what a program is given and what is expected of it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::fields::{Fields, FieldsError, Nearest};
use crate::rng;

/// One row: the inputs of a program, and the labels that a metric compares its outputs with.
///
/// ```
/// use teleprompt_core::{Example, Fields};
/// let row = Fields::new().with("question", "2 + 2?").with("answer", 4);
/// let example = Example::new(row).with_inputs(&["question"]).unwrap();
/// assert_eq!(example.labels.text("answer"), "4");
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Example {
    /// What the program is given.
    pub inputs: Fields,
    /// What is expected of it; may be empty.
    pub labels: Fields,
}

impl Example {
    /// A row whose fields are all inputs, until [`Example::with_inputs`] divides it.
    pub fn new(fields: Fields) -> Self {
        Self { inputs: fields, labels: Fields::new() }
    }

    /// The same row, with the named fields as inputs and all others as labels.
    ///
    /// # Errors
    /// [`FieldsError::Missing`] when the row lacks one of them, with the nearest name.
    pub fn with_inputs(self, names: &[&str]) -> Result<Self, FieldsError> {
        let all = self.into_fields();
        if let Some(missing) = names.iter().find(|name| !all.contains(name)) {
            let nearest = Nearest::to(missing, all.names());
            return Err(FieldsError::Missing { field: (*missing).to_owned(), nearest });
        }
        let (inputs, labels): (Vec<_>, Vec<_>) =
            all.into_iter().partition(|(name, _)| names.contains(&name.as_str()));
        Ok(Self { inputs: inputs.into_iter().collect(), labels: labels.into_iter().collect() })
    }

    /// Rows as examples, with the named fields as inputs and all others as labels.
    ///
    /// # Errors
    /// [`RowFieldsError`] names the first row that lacks one of them.
    ///
    /// ```
    /// use teleprompt_core::{Example, Fields};
    /// let rows = [Fields::new().with("q", "2 + 2?").with("a", 4), Fields::new().with("a", 5)];
    /// let error = Example::all_with_inputs(rows, &["q"]).unwrap_err();
    /// assert_eq!(error.to_string(), "row 1: field `q` is missing");
    /// ```
    pub fn all_with_inputs(
        rows: impl IntoIterator<Item = Fields>,
        names: &[&str],
    ) -> Result<Vec<Self>, RowFieldsError> {
        let examples = rows.into_iter().enumerate().map(|(row, fields)| {
            Self::new(fields).with_inputs(names).map_err(|source| RowFieldsError { row, source })
        });
        examples.collect()
    }

    /// All fields: the inputs, then the labels.
    pub fn into_fields(self) -> Fields {
        self.inputs.into_iter().chain(self.labels).collect()
    }

    /// The value of a field, looked for among the inputs first.
    pub fn get(&self, name: &str) -> Option<&serde_json::Value> {
        self.inputs.get(name).or_else(|| self.labels.get(name))
    }
}

/// A row that lacks a field.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("row {row}: {source}")]
pub struct RowFieldsError {
    /// The row's index, from 0.
    pub row: usize,
    /// What it lacks.
    pub source: FieldsError,
}

/// Divides `examples` into two by a seeded shuffle, stratified where the labels are few.
///
/// The second part holds `round(share * n)` rows, at least one and at most `n - 1` when there are two rows or more.
/// With between 2 and `n / 4` distinct label values, every value is in both parts in about its proportion. Both parts
/// are in shuffled order.
///
/// # Determinism
/// A function of the rows' order, `share` and `seed` (stream `split`).
pub fn split(examples: &[Example], share: f64, seed: u64) -> (Vec<Example>, Vec<Example>) {
    let n = examples.len();
    if n < 2 {
        return (examples.to_vec(), Vec::new());
    }
    let second = ((share.clamp(0.0, 1.0) * n as f64).round() as usize).clamp(1, n - 1);
    let order = rng::permutation(seed, "split", &[], n);
    // Within a stratum rows keep their shuffled order; a row's place is its quantile in its stratum, so that any prefix of
    // the order by place has every label in proportion.
    let mut strata: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for &row in &order {
        strata.entry(serde_json::to_string(&examples[row].labels).unwrap_or_default()).or_default().push(row);
    }
    let mut places: Vec<(f64, usize)> = if strata.len() >= 2 && strata.len() * 4 <= n {
        let quantiles = strata.values().flat_map(|rows| {
            rows.iter().enumerate().map(|(i, &row)| ((i as f64 + 0.5) / rows.len() as f64, row))
        });
        quantiles.collect()
    } else {
        order.iter().enumerate().map(|(i, &row)| (i as f64, row)).collect()
    };
    places.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    let chosen: std::collections::BTreeSet<usize> = places[..second].iter().map(|&(_, row)| row).collect();
    let part = |inside: bool| {
        order.iter().filter(|row| chosen.contains(row) == inside).map(|&row| examples[row].clone()).collect()
    };
    (part(false), part(true))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rows(n: usize) -> Vec<Example> {
        let row = |i: usize| {
            Fields::new().with("x", i).with("y", if i.is_multiple_of(4) { "rare" } else { "common" })
        };
        (0..n).map(|i| Example::new(row(i)).with_inputs(&["x"]).unwrap()).collect()
    }

    #[test]
    fn a_split_keeps_proportions_and_every_row() {
        let (first, second) = split(&rows(100), 0.2, 7);
        assert_eq!((first.len(), second.len()), (80, 20));
        assert_eq!(second.iter().filter(|row| row.labels.text("y") == "rare").count(), 5);
        let mut seen: Vec<String> = first.iter().chain(&second).map(|row| row.inputs.text("x")).collect();
        seen.sort();
        seen.dedup();
        assert_eq!(seen.len(), 100);
        assert_eq!(split(&rows(100), 0.2, 7).1, second);
        assert_ne!(split(&rows(100), 0.2, 8).1, second);
    }

    #[test]
    fn an_input_that_a_row_lacks_is_named() {
        let error = rows(1)[0].clone().with_inputs(&["z"]).unwrap_err();
        assert_eq!(error.to_string(), "field `z` is missing");
    }

    proptest! {
        #[test]
        fn a_split_is_a_division_in_proportion(
            labels in prop::collection::vec(0u8..4, 0..60),
            share in -0.5f64..1.5,
            seed in any::<u64>(),
        ) {
            let row = |(i, label): (usize, &u8)| Example::new(Fields::new().with("x", i).with("y", *label));
            let rows: Vec<Example> =
                labels.iter().enumerate().map(row).map(|row| row.with_inputs(&["x"]).unwrap()).collect();
            let (first, second) = split(&rows, share, seed);
            // Every row is in one part, once.
            let mut seen: Vec<u64> =
                first.iter().chain(&second).map(|row| row.inputs.get("x").unwrap().as_u64().unwrap()).collect();
            seen.sort_unstable();
            prop_assert!(seen.into_iter().eq(0..rows.len() as u64));
            // The second part has its share, and neither is empty.
            let n = rows.len();
            if n >= 2 {
                let wanted = ((share.clamp(0.0, 1.0) * n as f64).round() as usize).clamp(1, n - 1);
                prop_assert_eq!(second.len(), wanted);
            } else {
                prop_assert!(second.is_empty());
            }
            // Where it is stratified, a label's rows are divided as all rows are, to a row or so.
            let mut distinct = labels.clone();
            distinct.sort_unstable();
            distinct.dedup();
            if n >= 2 && distinct.len() >= 2 && distinct.len() * 4 <= n {
                let share = second.len() as f64 / n as f64;
                for label in distinct {
                    let count = |rows: &[Example]| rows.iter().filter(|row| row.labels.text("y") == label.to_string()).count();
                    let expect = share * count(&rows) as f64;
                    prop_assert!((count(&second) as f64 - expect).abs() <= 1.5, "{label}: {} for {expect}", count(&second));
                }
            }
            // A function of its arguments.
            prop_assert_eq!(split(&rows, share, seed), (first, second));
        }
    }
}
