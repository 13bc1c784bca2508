//! The rows of an optimization: to learn from, to judge by, and to report on.

use std::collections::BTreeSet;

use teleprompt_core::{Example, rng, split};

use crate::digest::Digest;
use crate::error::OptimizeError;

/// Most rows of a validation set that is split off, and its largest share of the training rows.
///
/// Source: DSPy 3.4.1, `mipro_optimizer_v2.py`, `_set_and_validate_datasets`.
const MAX_SPLIT_ROWS: usize = 1000;
const SPLIT_SHARE: f64 = 0.8;

/// Training, validation and test rows.
///
/// Demos and proposals are made from the training rows, candidates are judged on the validation rows, and the test rows, if
/// given, are touched only once the winner is chosen.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Dataset {
    train: Vec<Example>,
    val: Option<Vec<Example>>,
    test: Vec<Example>,
}

impl Dataset {
    /// A data set whose validation rows are split off the training rows: `min(1000, 80 %)` of them, shuffled by the run's
    /// seed and stratified where the labels are few.
    pub fn new(train: Vec<Example>) -> Self {
        Self { train, val: None, test: Vec::new() }
    }

    /// The same with validation rows of its own.
    #[must_use]
    pub fn val(mut self, rows: Vec<Example>) -> Self {
        self.val = Some(rows);
        self
    }

    /// The same with test rows: the baseline and the winner are both run on them at the end.
    #[must_use]
    pub fn test(mut self, rows: Vec<Example>) -> Self {
        self.test = rows;
        self
    }

    pub(crate) fn test_rows(&self) -> &[Example] {
        &self.test
    }

    /// What to say of rows that stand in two sets: a figure on a row that was learned from says less than it seems to.
    pub(crate) fn overlaps(&self, train: &[Example], val: &[Example]) -> Vec<String> {
        let inputs = |rows: &[Example]| -> BTreeSet<Digest> {
            rows.iter().map(|row| Digest::of(&row.inputs)).collect()
        };
        let (mut seen, judged) = (inputs(train), inputs(val));
        let among = |rows: &[Example], seen: &BTreeSet<Digest>| {
            rows.iter().filter(|row| seen.contains(&Digest::of(&row.inputs))).count()
        };
        let in_train = among(val, &seen);
        seen.extend(judged);
        let sets = [
            (in_train, val.len(), "validation", "training"),
            (among(&self.test, &seen), self.test.len(), "test", "training or validation"),
        ];
        let said = sets.into_iter().filter(|(both, ..)| *both > 0).map(|(both, rows, set, other)| {
            format!(
                "{both} of {rows} {set} rows have the inputs of {other} rows, which prompts were made from or chosen by: scores on them \
                 are rather too high"
            )
        });
        said.collect()
    }

    /// The training and validation rows of a run; at most `max_val_rows` of the latter, chosen by the seed.
    pub(crate) fn resolve(
        &self,
        seed: u64,
        max_val_rows: Option<usize>,
    ) -> Result<(Vec<Example>, Vec<Example>), OptimizeError> {
        let (train, val) = match &self.val {
            Some(val) => (self.train.clone(), val.clone()),
            None => {
                let most = MAX_SPLIT_ROWS as f64 / self.train.len().max(1) as f64;
                split(&self.train, SPLIT_SHARE.min(most), seed)
            }
        };
        if train.is_empty() {
            return Err(OptimizeError::NoRows { which: "training" });
        }
        if val.is_empty() {
            return Err(OptimizeError::NoRows { which: "validation" });
        }
        let val = match max_val_rows {
            Some(most) if val.len() > most => {
                let mut rows = rng::permutation(seed, "valset", &[], val.len());
                rows.truncate(most);
                rows.sort_unstable();
                rows.into_iter().map(|row| val[row].clone()).collect()
            }
            _ => val,
        };
        Ok((train, val))
    }
}

#[cfg(test)]
mod tests {
    use teleprompt_core::Fields;

    use super::*;

    fn rows(n: usize) -> Vec<Example> {
        (0..n).map(|i| Example::new(Fields::new().with("x", i))).collect()
    }

    #[test]
    fn a_split_and_a_cap_are_seeded_and_complete() {
        let data = Dataset::new(rows(50));
        let (train, val) = data.resolve(0, None).unwrap();
        assert_eq!((train.len(), val.len()), (10, 40));
        assert_ne!(data.resolve(1, None).unwrap().1, val);
        let capped = Dataset::new(rows(5)).val(rows(120)).resolve(0, Some(100)).unwrap();
        assert_eq!((capped.0.len(), capped.1.len()), (5, 100));
        assert_eq!(Dataset::new(rows(5)).val(rows(70)).resolve(0, Some(100)).unwrap().1, rows(70));
    }

    #[test]
    fn rows_that_stand_in_two_sets_are_told() {
        let data = Dataset::new(rows(50)).val(rows(20)).test(rows(60));
        let [val, test] = &data.overlaps(&rows(50)[15..], &rows(20))[..] else { panic!("two") };
        assert!(val.starts_with("5 of 20 validation rows have the inputs of training rows"), "{val}");
        assert!(
            test.starts_with("50 of 60 test rows have the inputs of training or validation rows"),
            "{test}"
        );
        assert_eq!(Dataset::new(rows(9)).overlaps(&rows(9)[5..], &rows(5)), Vec::<String>::new());
    }

    #[test]
    fn a_data_set_without_rows_is_refused() {
        let error = Dataset::new(vec![]).val(rows(3)).resolve(0, None).unwrap_err();
        assert!(error.to_string().starts_with("the training set is empty"));
        assert!(Dataset::new(rows(1)).resolve(0, None).is_err());
    }
}
