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

    /// All fields: the inputs, then the labels.
    pub fn into_fields(self) -> Fields {
        self.inputs.into_iter().chain(self.labels).collect()
    }

    /// The value of a field, looked for among the inputs first.
    pub fn get(&self, name: &str) -> Option<&serde_json::Value> {
        self.inputs.get(name).or_else(|| self.labels.get(name))
    }
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
}
