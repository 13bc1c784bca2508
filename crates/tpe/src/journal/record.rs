//! The lines of a journal: one JSON object each, as Optuna 5.0 writes and reads them
//! (`storages/journal/_storage.py`).

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::Deserialize;
use serde_json::{Value, json};

use crate::distribution::{Choice, Distribution, ParamValue};
use crate::space::{SearchSpace, Values};
use crate::trial::{Direction, Observation, Outcome};

pub(super) const CREATE_STUDY: u32 = 0;
pub(super) const DELETE_STUDY: u32 = 1;
pub(super) const CREATE_TRIAL: u32 = 4;
pub(super) const SET_TRIAL_PARAM: u32 = 5;
pub(super) const SET_TRIAL_STATE_VALUES: u32 = 6;
pub(super) const SET_TRIAL_USER_ATTR: u32 = 8;
pub(super) const SET_TRIAL_SYSTEM_ATTR: u32 = 9;

pub(super) const RUNNING: u8 = 0;
pub(super) const COMPLETE: u8 = 1;
pub(super) const PRUNED: u8 = 2;
pub(super) const FAIL: u8 = 3;
pub(super) const WAITING: u8 = 4;

/// The system attribute of a waiting trial's values, labels and numbers by name.
pub(super) const FIXED: &str = "fixed_params";

/// The user attribute that holds what Optuna has no place for: an observation's variance and count.
pub(super) const OBSERVATION: &str = "teleprompt_tpe:observation";
/// The system attribute of all constraints, and the prefix of those of single ones; a positive value is a
/// violation.
const CONSTRAINTS: &str = "constraints";

/// A line as far as it matters here; every operation uses some of the fields.
#[derive(Debug, Deserialize)]
pub(super) struct Record {
    pub(super) op_code: u32,
    pub(super) study_name: Option<String>,
    pub(super) directions: Option<Vec<u8>>,
    pub(super) study_id: Option<usize>,
    pub(super) trial_id: Option<usize>,
    pub(super) param_name: Option<String>,
    pub(super) param_value_internal: Option<f64>,
    pub(super) distribution: Option<String>,
    #[serde(default)]
    pub(super) distributions: BTreeMap<String, String>,
    #[serde(default)]
    pub(super) params: BTreeMap<String, Option<f64>>,
    pub(super) state: Option<u8>,
    pub(super) value: Option<f64>,
    pub(super) values: Option<Vec<Option<f64>>>,
    #[serde(default)]
    pub(super) user_attr: BTreeMap<String, Value>,
    #[serde(default)]
    pub(super) user_attrs: BTreeMap<String, Value>,
    #[serde(default)]
    pub(super) system_attr: BTreeMap<String, Value>,
    #[serde(default)]
    pub(super) system_attrs: BTreeMap<String, Value>,
}

impl Record {
    pub(super) fn parse(line: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(line).or_else(|error| {
            // Python writes bare NaN and Infinity, which are no JSON.
            let text = String::from_utf8_lossy(line);
            serde_json::from_str(&without_bare_words(&text)).map_err(|_| error)
        })
    }
}

/// The text with `null` for NaN, Infinity and -Infinity outside of strings.
fn without_bare_words(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    let mut in_string = false;
    'next: while let Some(c) = rest.chars().next() {
        if !in_string {
            for word in ["NaN", "Infinity", "-Infinity"] {
                if let Some(after) = rest.strip_prefix(word) {
                    out.push_str("null");
                    rest = after;
                    continue 'next;
                }
            }
        }
        // An escaped character, perhaps a quote, is taken along with its backslash.
        let length = match c {
            '\\' if in_string => 1 + rest[1..].chars().next().map_or(0, char::len_utf8),
            _ => c.len_utf8(),
        };
        in_string ^= c == '"';
        out.push_str(&rest[..length]);
        rest = &rest[length..];
    }
    out
}

/// A distribution of a journal as far as it matters for taking over a value.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Stored {
    /// The internal value is a position among these labels.
    Choices(Vec<Choice>),
    /// The internal value is the value.
    Number,
}

impl Stored {
    pub(super) fn parse(text: &str) -> Result<Self, serde_json::Error> {
        #[derive(Deserialize)]
        struct Named {
            name: String,
            #[serde(default)]
            attributes: Attributes,
        }
        #[derive(Default, Deserialize)]
        struct Attributes {
            #[serde(default)]
            choices: Vec<Choice>,
        }
        let Named { name, attributes } =
            serde_json::from_str(text).or_else(|_| serde_json::from_str(&without_bare_words(text)))?;
        Ok(if name == "CategoricalDistribution" { Self::Choices(attributes.choices) } else { Self::Number })
    }

    /// The value of `distribution` that an internal value stands for; it may lie outside.
    pub(super) fn value(&self, internal: f64, distribution: &Distribution) -> Option<ParamValue> {
        match (self, distribution) {
            (Self::Choices(labels), Distribution::Categorical { choices }) => {
                let label = labels.get(internal as usize)?;
                choices.iter().position(|choice| choice == label).map(ParamValue::Choice)
            }
            (Self::Number, Distribution::Float { .. }) => Some(ParamValue::Float(internal)),
            (Self::Number, Distribution::Int { .. }) if internal.round() == internal => {
                Some(ParamValue::Int(internal as i64))
            }
            _ => None,
        }
    }
}

/// Writes the lines of one writer.
#[derive(Debug)]
pub(super) struct Writer {
    worker_id: String,
}

impl Writer {
    pub(super) fn new() -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { worker_id: format!("teleprompt-{}-{:x}", std::process::id(), now.as_nanos()) }
    }

    fn line(&self, op_code: u32, mut fields: Value, out: &mut Vec<u8>) {
        if let Value::Object(map) = &mut fields {
            map.insert("op_code".to_owned(), op_code.into());
            map.insert("worker_id".to_owned(), self.worker_id.as_str().into());
        }
        out.extend_from_slice(fields.to_string().as_bytes());
        out.push(b'\n');
    }

    pub(super) fn create_study(&self, name: &str, direction: Direction, out: &mut Vec<u8>) {
        self.line(CREATE_STUDY, json!({ "study_name": name, "directions": [code(direction)] }), out);
    }

    /// A running trial with its values.
    pub(super) fn ask(
        &self,
        study_id: usize,
        trial_id: usize,
        space: &SearchSpace,
        values: &Values,
        out: &mut Vec<u8>,
    ) {
        self.line(CREATE_TRIAL, json!({ "study_id": study_id, "datetime_start": now() }), out);
        self.params(trial_id, space, values, out);
    }

    /// A waiting trial that runs from now on.
    pub(super) fn start(&self, trial_id: usize, space: &SearchSpace, values: &Values, out: &mut Vec<u8>) {
        let fields =
            json!({ "trial_id": trial_id, "state": RUNNING, "values": null, "datetime_start": now() });
        self.line(SET_TRIAL_STATE_VALUES, fields, out);
        self.params(trial_id, space, values, out);
    }

    /// A trial that waits to be asked for, with its values.
    pub(super) fn enqueue(&self, study_id: usize, space: &SearchSpace, values: &Values, out: &mut Vec<u8>) {
        let mut fixed = serde_json::Map::new();
        for (parameter, slot) in space.parameters().iter().zip(values.slots()) {
            let label = match (slot, &parameter.distribution) {
                (Some(ParamValue::Choice(position)), Distribution::Categorical { choices }) => {
                    json!(choices.get(*position))
                }
                (Some(ParamValue::Float(value)), _) => json!(value),
                (Some(ParamValue::Int(value)), _) => json!(value),
                _ => continue,
            };
            fixed.insert(parameter.name.to_string(), label);
        }
        let fields = json!({
            "study_id": study_id, "datetime_start": null, "state": WAITING, "value": null, "values": null,
            "distributions": {}, "params": {}, "user_attrs": {}, "system_attrs": { FIXED: fixed },
            "intermediate_values": {},
        });
        self.line(CREATE_TRIAL, fields, out);
    }

    fn params(&self, trial_id: usize, space: &SearchSpace, values: &Values, out: &mut Vec<u8>) {
        for (name, internal, distribution) in stored(space, values) {
            let fields = json!({
                "trial_id": trial_id, "param_name": name, "param_value_internal": internal,
                "distribution": distribution,
            });
            self.line(SET_TRIAL_PARAM, fields, out);
        }
    }

    /// The end of a running trial.
    pub(super) fn tell(&self, trial_id: usize, outcome: Outcome, out: &mut Vec<u8>) {
        if let Some(attribute) = attribute(outcome) {
            let fields = json!({ "trial_id": trial_id, "user_attr": { OBSERVATION: attribute } });
            self.line(SET_TRIAL_USER_ATTR, fields, out);
        }
        if let Some(constraints) = constraints(outcome) {
            let fields = json!({ "trial_id": trial_id, "system_attr": constraints });
            self.line(SET_TRIAL_SYSTEM_ATTR, fields, out);
        }
        let (state, value) = state(outcome);
        let values = value.map(|value| [value]);
        let fields =
            json!({ "trial_id": trial_id, "state": state, "values": values, "datetime_complete": now() });
        self.line(SET_TRIAL_STATE_VALUES, fields, out);
    }

    /// A trial that is finished from the start.
    pub(super) fn add(
        &self,
        study_id: usize,
        space: &SearchSpace,
        values: &Values,
        outcome: Outcome,
        out: &mut Vec<u8>,
    ) {
        let (state, value) = state(outcome);
        let (mut params, mut distributions) = (serde_json::Map::new(), serde_json::Map::new());
        for (name, internal, distribution) in stored(space, values) {
            params.insert(name.to_owned(), internal);
            distributions.insert(name.to_owned(), distribution.into());
        }
        let user_attrs = attribute(outcome).map_or(json!({}), |attribute| json!({ OBSERVATION: attribute }));
        let now = now();
        let fields = json!({
            "study_id": study_id, "datetime_start": now, "datetime_complete": now, "state": state, "value": value,
            "values": null, "params": params, "distributions": distributions, "user_attrs": user_attrs,
            "system_attrs": constraints(outcome).unwrap_or(json!({})), "intermediate_values": {},
        });
        self.line(CREATE_TRIAL, fields, out);
    }
}

/// Optuna's number of a direction.
pub(super) fn code(direction: Direction) -> u8 {
    match direction {
        Direction::Minimize => 1,
        Direction::Maximize => 2,
    }
}

fn state(outcome: Outcome) -> (u8, Option<f64>) {
    match outcome {
        Outcome::Complete(observation) => (COMPLETE, Some(observation.value)),
        Outcome::Failed => (FAIL, None),
        Outcome::Pruned => (PRUNED, None),
    }
}

/// The variance and the count of an observation, where they say anything.
fn attribute(outcome: Outcome) -> Option<Value> {
    match outcome {
        Outcome::Complete(observation) => {
            // The violation has a place of its own.
            let observation = Observation { violation: 0.0, ..observation };
            (observation != Observation::new(observation.value))
                .then(|| serde_json::to_value(observation).ok())?
        }
        _ => None,
    }
}

/// The violation, as the only one in the list of constraints: Optuna reads it beside constraints with names of their
/// own, the dashboard reads nothing else.
fn constraints(outcome: Outcome) -> Option<Value> {
    match outcome {
        Outcome::Complete(Observation { violation, .. }) if violation > 0.0 => {
            Some(json!({ CONSTRAINTS: [violation] }))
        }
        _ => None,
    }
}

/// What a value of [`FIXED`] is under a distribution; `None` where it is no value of it.
pub(super) fn fixed(value: &Value, distribution: &Distribution) -> Option<ParamValue> {
    let value = match distribution {
        Distribution::Categorical { choices } => {
            let label: Choice = serde_json::from_value(value.clone()).ok()?;
            ParamValue::Choice(choices.iter().position(|choice| *choice == label)?)
        }
        Distribution::Float { .. } => ParamValue::Float(value.as_f64()?),
        Distribution::Int { .. } => ParamValue::Int(value.as_i64()?),
    };
    distribution.contains(value).then_some(value)
}

/// The violations that system attributes tell of.
pub(super) fn violations(attributes: &BTreeMap<String, Value>) -> impl Iterator<Item = f64> {
    let of = |(key, value): (&String, &Value)| -> Vec<f64> {
        match (key.strip_prefix(CONSTRAINTS), value) {
            (Some(""), Value::Array(values)) => values.iter().filter_map(Value::as_f64).collect(),
            (Some(name), value) if name.starts_with(':') => value.as_f64().into_iter().collect(),
            _ => Vec::new(),
        }
    };
    attributes.iter().flat_map(of).filter(|&value| value > 0.0)
}

/// Names, internal values and distributions as Optuna writes them.
fn stored<'a>(space: &'a SearchSpace, values: &Values) -> impl Iterator<Item = (&'a str, Value, String)> {
    space.parameters().iter().zip(values.slots()).filter_map(|(parameter, slot)| {
        let internal = match (*slot)? {
            ParamValue::Choice(position) => json!(position),
            ParamValue::Float(value) => json!(value),
            ParamValue::Int(value) => json!(value as f64),
        };
        let (name, attributes) = match &parameter.distribution {
            Distribution::Categorical { choices } => {
                ("CategoricalDistribution", json!({ "choices": choices }))
            }
            Distribution::Float { low, high, log, step } => {
                ("FloatDistribution", json!({ "step": step, "low": low, "high": high, "log": log }))
            }
            Distribution::Int { low, high, log, step } => {
                ("IntDistribution", json!({ "log": log, "step": step, "low": low, "high": high }))
            }
        };
        Some((&*parameter.name, internal, json!({ "name": name, "attributes": attributes }).to_string()))
    })
}

/// The time as `2026-01-31T23:59:59.123456+00:00`.
fn now() -> String {
    timestamp(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_micros() as u64)
}

fn timestamp(micros: u64) -> String {
    let (seconds, fraction) = (micros / 1_000_000, micros % 1_000_000);
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    // Years start in March, so that a leap day is the last; 719,468 days lie between 0000-03-01 and
    // 1970-01-01.
    let days = days + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let march_month = (5 * day + 2) / 153;
    let (month, day) = ((march_month + 2) % 12 + 1, day - (153 * march_month + 2) / 5 + 1);
    let year = 400 * era + year + u64::from(month <= 2);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{fraction:06}+00:00")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_are_civil() {
        assert_eq!(timestamp(0), "1970-01-01T00:00:00.000000+00:00");
        assert_eq!(timestamp(951_826_088_000_001), "2000-02-29T12:08:08.000001+00:00");
        assert_eq!(timestamp(1_772_323_199_999_999), "2026-02-28T23:59:59.999999+00:00");
        assert_eq!(timestamp(4_107_542_400_000_000), "2100-03-01T00:00:00.000000+00:00");
    }

    #[test]
    fn bare_words_become_null_outside_of_strings() {
        let text = r#"{"a":NaN,"b":[Infinity,-Infinity],"NaN":"Infinity \" NaN","c":"\\"}"#;
        assert_eq!(
            without_bare_words(text),
            r#"{"a":null,"b":[null,null],"NaN":"Infinity \" NaN","c":"\\"}"#
        );
        assert!(Record::parse(br#"{"op_code":7,"values":[NaN]}"#).is_ok());
        assert!(Record::parse(br#"{"op_code":7,"values":[NaNa]}"#).is_err());
    }

    #[test]
    fn values_are_taken_over_by_label() {
        let stored = Stored::parse(
            r#"{"name": "CategoricalDistribution", "attributes": {"choices": ["b", null, 1, "a"]}}"#,
        )
        .unwrap();
        let ours = Distribution::categorical(["a", "b"]);
        assert_eq!(stored.value(3.0, &ours), Some(ParamValue::Choice(0)));
        assert_eq!(stored.value(2.0, &ours), None);
        assert_eq!(stored.value(9.0, &ours), None);
        let number =
            Stored::parse(r#"{"name": "IntUniformDistribution", "attributes": {"low": 1, "high": 3}}"#)
                .unwrap();
        assert_eq!(number.value(2.0, &Distribution::int(0, 9)), Some(ParamValue::Int(2)));
        assert_eq!(number.value(2.5, &Distribution::int(0, 9)), None);
    }
}
