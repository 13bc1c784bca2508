//! The values that one parameter can take: distributions, choices and values.
//!
//! A [`Distribution`] is plain data, as a user writes it or a file holds it; it is checked, and its upper
//! bound moved onto its grid, when a [`SearchSpace`](crate::SearchSpace) is built. No probability lives here:
//! samplers decide how likely values are. The kinds are Optuna's (`optuna 5.0 distributions.py`), so that
//! studies can be exchanged.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

/// The most choices that a categorical parameter may have.
pub(crate) const MAX_CHOICES: usize = 1 << 16;
/// The most steps between zero and a bound of a stepped float: beyond, values do not know their steps well.
const MAX_STEPS: f64 = (1_u64 << 46) as f64;
/// The integers up to here are exact as `f64`, which the kernels compute in.
const MAX_INT: i64 = 1 << 53;

/// The label of one choice of a categorical parameter.
///
/// Labels never enter a computation: samplers see positions only.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Choice {
    /// No value.
    Null,
    /// A truth value.
    Bool(bool),
    /// An integer.
    Int(i64),
    /// A number, finite.
    Float(f64),
    /// A text.
    Text(String),
}

impl From<bool> for Choice {
    fn from(label: bool) -> Self {
        Self::Bool(label)
    }
}

impl From<i64> for Choice {
    fn from(label: i64) -> Self {
        Self::Int(label)
    }
}

impl From<i32> for Choice {
    fn from(label: i32) -> Self {
        Self::Int(label.into())
    }
}

impl From<f64> for Choice {
    fn from(label: f64) -> Self {
        Self::Float(label)
    }
}

impl From<&str> for Choice {
    fn from(label: &str) -> Self {
        Self::Text(label.to_owned())
    }
}

impl From<String> for Choice {
    fn from(label: String) -> Self {
        Self::Text(label)
    }
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Bool(label) => label.fmt(f),
            Self::Int(label) => label.fmt(f),
            Self::Float(label) => label.fmt(f),
            Self::Text(label) => label.fmt(f),
        }
    }
}

/// The value of one parameter in one trial.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ParamValue {
    /// The position of a choice of a categorical parameter, from 0.
    Choice(usize),
    /// The value of a float parameter, finite.
    Float(f64),
    /// The value of an integer parameter.
    Int(i64),
}

impl From<f64> for ParamValue {
    fn from(value: f64) -> Self {
        Self::Float(value)
    }
}

impl From<i64> for ParamValue {
    fn from(value: i64) -> Self {
        Self::Int(value)
    }
}

impl fmt::Display for ParamValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Choice(position) => write!(f, "choice {position}"),
            Self::Float(value) => value.fmt(f),
            Self::Int(value) => value.fmt(f),
        }
    }
}

/// What values a parameter can take.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Distribution {
    /// One of several choices without an order.
    Categorical {
        /// The labels, 1 to 65,536 of them, distinct; a value is a position in this list.
        choices: Vec<Choice>,
    },
    /// A real number in `[low, high]`.
    Float {
        /// The least value, finite; above 0 with `log`.
        low: f64,
        /// The greatest value, finite, at least `low`; with `step` it is moved down onto the grid.
        high: f64,
        /// Whether the scale is logarithmic; not together with `step`.
        log: bool,
        /// The distance of the grid `low, low + step, ..`, above 0 and above 2^-46 of the bounds.
        step: Option<f64>,
    },
    /// An integer in `[low, high]`, both within 2^53 of zero.
    Int {
        /// The least value; at least 1 with `log`.
        low: i64,
        /// The greatest value, at least `low`; with `step` it is moved down onto the grid.
        high: i64,
        /// Whether the scale is logarithmic; only with a step of 1.
        log: bool,
        /// The distance of the grid `low, low + step, ..`, at least 1.
        step: i64,
    },
}

impl Distribution {
    /// One of `choices`.
    pub fn categorical<C: Into<Choice>>(choices: impl IntoIterator<Item = C>) -> Self {
        Self::Categorical { choices: choices.into_iter().map(Into::into).collect() }
    }

    /// One of `n` choices, labelled `0..n`.
    #[must_use]
    pub fn indices(n: usize) -> Self {
        Self::Categorical { choices: (0..n as i64).map(Choice::Int).collect() }
    }

    /// A real number in `[low, high]`.
    #[must_use]
    pub fn float(low: f64, high: f64) -> Self {
        Self::Float { low, high, log: false, step: None }
    }

    /// A real number in `[low, high]` on a logarithmic scale, `low` above 0.
    #[must_use]
    pub fn log_float(low: f64, high: f64) -> Self {
        Self::Float { low, high, log: true, step: None }
    }

    /// A real number of the grid `low, low + step, ..` up to `high`.
    #[must_use]
    pub fn stepped_float(low: f64, high: f64, step: f64) -> Self {
        Self::Float { low, high, log: false, step: Some(step) }
    }

    /// An integer in `[low, high]`.
    #[must_use]
    pub fn int(low: i64, high: i64) -> Self {
        Self::Int { low, high, log: false, step: 1 }
    }

    /// An integer in `[low, high]` on a logarithmic scale, `low` at least 1.
    #[must_use]
    pub fn log_int(low: i64, high: i64) -> Self {
        Self::Int { low, high, log: true, step: 1 }
    }

    /// An integer of the grid `low, low + step, ..` up to `high`.
    #[must_use]
    pub fn stepped_int(low: i64, high: i64, step: i64) -> Self {
        Self::Int { low, high, log: false, step }
    }

    /// The number of values of a distribution of a built search space, or `None` where they are not countable
    /// in practice (a float without a step, or a grid of 2^53 values and more).
    pub fn cardinality(&self) -> Option<u64> {
        match *self {
            Self::Categorical { ref choices } => Some(choices.len() as u64),
            Self::Float { low, high, .. } if low == high => Some(1),
            Self::Float { low, high, step: Some(step), .. } => {
                let last = ((high - low) / step).round();
                (last < MAX_INT as f64).then_some(last as u64 + 1)
            }
            Self::Float { .. } => None,
            Self::Int { low, high, step, .. } => Some(high.abs_diff(low) / step.unsigned_abs().max(1) + 1),
        }
    }

    /// Whether `value` is one of the values, for a distribution of a built search space.
    ///
    /// A value of a stepped float may be off its grid by 1e-8 steps (as in Optuna), or by what rounding makes
    /// of a very fine grid.
    pub fn contains(&self, value: ParamValue) -> bool {
        match (self, value) {
            (Self::Categorical { choices }, ParamValue::Choice(position)) => position < choices.len(),
            (&Self::Float { low, high, step, .. }, ParamValue::Float(x)) => {
                let on_grid = step.is_none_or(|step| {
                    let k = (x - low) / step;
                    let rounding = 4.0 * f64::EPSILON * low.abs().max(high.abs()) / step;
                    (k - k.round()).abs() < rounding.max(1e-8)
                });
                low <= x && x <= high && on_grid
            }
            (&Self::Int { low, high, step, .. }, ParamValue::Int(x)) => {
                low <= x && x <= high && x.wrapping_sub(low).checked_rem(step) == Some(0)
            }
            _ => false,
        }
    }

    /// The only value, where there is only one.
    pub(crate) fn only_value(&self) -> Option<ParamValue> {
        (self.cardinality() == Some(1)).then_some(match *self {
            Self::Categorical { .. } => ParamValue::Choice(0),
            Self::Float { low, .. } => ParamValue::Float(low),
            Self::Int { low, .. } => ParamValue::Int(low),
        })
    }

    /// The distribution with its upper bound on its grid, or what it must fulfil and does not.
    pub(crate) fn checked(self) -> Result<Self, &'static str> {
        match self {
            Self::Categorical { ref choices } => {
                let distinct: BTreeSet<_> = choices.iter().map(|choice| format!("{choice:?}")).collect();
                if choices.is_empty() {
                    Err("a categorical parameter needs at least one choice")
                } else if choices.len() > MAX_CHOICES {
                    Err("a categorical parameter has at most 65,536 choices")
                } else if choices.iter().any(|c| matches!(c, Choice::Float(x) if !x.is_finite())) {
                    Err("a choice must be a finite number")
                } else if distinct.len() < choices.len() {
                    Err("the choices must be distinct")
                } else {
                    Ok(self)
                }
            }
            Self::Float { low, high, log, step } => {
                if !(low.is_finite() && high.is_finite() && (high - low).is_finite()) {
                    Err("the bounds and their distance must be finite")
                } else if low > high {
                    Err("`low` must not exceed `high`")
                } else if log && low <= 0.0 {
                    Err("`low` must be above 0 on a logarithmic scale")
                } else if log && step.is_some() {
                    Err("a logarithmic float has no step")
                } else if let Some(step) = step {
                    // Decimal steps are not exact: a bound that misses the grid by 1e-8 steps is on it.
                    let last = ((high - low) / step + 1e-8).floor();
                    if !(step.is_finite() && step > 0.0) {
                        Err("`step` must be above 0 and finite")
                    } else if low.abs().max(high.abs()) / step >= MAX_STEPS {
                        Err("`step` is too small for the range")
                    } else {
                        Ok(Self::Float { low, high: high.min(low + last * step), log, step: Some(step) })
                    }
                } else {
                    Ok(self)
                }
            }
            Self::Int { low, high, log, step } => {
                if low > high {
                    Err("`low` must not exceed `high`")
                } else if low < -MAX_INT || high > MAX_INT {
                    Err("the bounds must lie within 2^53 of zero")
                } else if step < 1 {
                    Err("`step` must be at least 1")
                } else if log && low < 1 {
                    Err("`low` must be at least 1 on a logarithmic scale")
                } else if log && step != 1 {
                    Err("a logarithmic integer has a step of 1")
                } else {
                    Ok(Self::Int { low, high: high - (high - low) % step, log, step })
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn upper_bounds_move_onto_the_grid() {
        assert_eq!(Distribution::stepped_int(0, 10, 4).checked(), Ok(Distribution::stepped_int(0, 8, 4)));
        let Ok(Distribution::Float { high, .. }) = Distribution::stepped_float(0.0, 1.0, 0.3).checked()
        else {
            panic!("a valid distribution");
        };
        assert!((high - 0.9).abs() < 1e-12);
        // 0.1 does not divide 1 in binary, yet 1 is on the grid.
        let tenths = Distribution::stepped_float(0.0, 1.0, 0.1).checked().unwrap();
        assert_eq!(tenths.cardinality(), Some(11));
        assert!(tenths.contains(0.3.into()) && tenths.contains(1.0.into()) && !tenths.contains(0.35.into()));
    }

    #[test]
    fn meaningless_distributions_are_refused() {
        for distribution in [
            Distribution::indices(0),
            Distribution::indices(MAX_CHOICES + 1),
            Distribution::categorical(["a", "b", "a"]),
            Distribution::categorical([f64::NAN]),
            Distribution::float(1.0, 0.0),
            Distribution::float(f64::MIN, f64::MAX),
            Distribution::float(0.0, f64::NAN),
            Distribution::log_float(0.0, 1.0),
            Distribution::Float { low: 1.0, high: 2.0, log: true, step: Some(0.5) },
            Distribution::stepped_float(0.0, 1.0, 0.0),
            Distribution::stepped_float(0.0, 1.0, f64::NAN),
            Distribution::stepped_float(0.0, 1e300, 1e-300),
            Distribution::stepped_float(1e9, 2e9, 1e-8),
            Distribution::int(2, 1),
            Distribution::int(i64::MIN, i64::MAX),
            Distribution::stepped_int(0, 1, 0),
            Distribution::log_int(0, 5),
            Distribution::Int { low: 1, high: 9, log: true, step: 2 },
        ] {
            assert!(distribution.clone().checked().is_err(), "{distribution:?}");
        }
    }

    #[test]
    fn values_of_another_type_are_not_contained() {
        assert!(!Distribution::float(0.0, 3.0).contains(ParamValue::Int(1)));
        assert!(!Distribution::int(0, 3).contains(ParamValue::Choice(1)));
        assert!(!Distribution::float(0.0, 3.0).contains(f64::NAN.into()));
        assert_eq!(Distribution::float(2.5, 2.5).only_value(), Some(ParamValue::Float(2.5)));
        assert_eq!(Distribution::indices(2).only_value(), None);
    }

    #[test]
    fn labels_are_bare_in_json() {
        let choices = vec![Choice::Null, true.into(), 3.into(), 0.5.into(), "adam".into()];
        let json = serde_json::to_string(&choices).unwrap();
        assert_eq!(json, r#"[null,true,3,0.5,"adam"]"#);
        assert_eq!(serde_json::from_str::<Vec<Choice>>(&json).unwrap(), choices);
    }
}
