//! The figures of a run as data: what `--json` writes.

use std::collections::BTreeMap;

use serde::Serialize;

use super::family::Better;
use super::machine::Machine;

/// The form of the file; raised when a key changes its meaning.
const SCHEMA: u32 = 1;

/// All figures of one run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Report {
    schema: u32,
    machine: Machine,
    results: Vec<Comparison>,
}

/// One figure of ours beside the same figure of one contender.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Comparison {
    pub(crate) name: String,
    pub(crate) unit: String,
    pub(crate) better: Better,
    /// The median over the seeds.
    pub(crate) ours: Option<f64>,
    pub(crate) peer_name: String,
    /// The median over the seeds; `None` if the peer could not be measured.
    pub(crate) peer: Option<f64>,
    /// Above 1 where ours is better, whichever way `better` points.
    pub(crate) ratio: Option<f64>,
    /// The lower end of the ratio's 95 % interval.
    pub(crate) low: Option<f64>,
    /// The upper end.
    pub(crate) high: Option<f64>,
    /// How many seeds were measured.
    pub(crate) seeds: usize,
    /// Of both contenders, by name.
    pub(crate) versions: BTreeMap<String, String>,
    /// Why the peer could not be measured; for the table only.
    #[serde(skip)]
    pub(crate) failure: Option<String>,
}

impl Report {
    pub(crate) fn new(machine: Machine, results: Vec<Comparison>) -> Self {
        Self { schema: SCHEMA, machine, results }
    }

    /// The report as indented JSON with a line break at its end.
    pub(crate) fn to_json(&self) -> String {
        // Serializing plain data with string keys cannot fail.
        serde_json::to_string_pretty(self).unwrap_or_default() + "\n"
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A comparison of ours with `optuna`.
    pub(crate) fn sample() -> Comparison {
        Comparison {
            name: "ask and tell".into(),
            unit: "ms".into(),
            better: Better::Lower,
            ours: Some(0.0512),
            peer_name: "optuna".into(),
            peer: Some(8.5),
            ratio: Some(166.0),
            low: Some(150.25),
            high: Some(180.0),
            seeds: 20,
            versions: BTreeMap::from([
                ("teleprompt".into(), "0.1.0".into()),
                ("optuna".into(), "5.0.0".into()),
            ]),
            failure: None,
        }
    }

    #[test]
    fn the_json_has_the_promised_keys_and_no_others() {
        let json = Report::new(Machine::default(), vec![sample()]).to_json();
        let value: serde_json::Value = serde_json::from_str(&json).unwrap();
        let keys = |value: &serde_json::Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
        assert_eq!(keys(&value), ["schema", "machine", "results"]);
        assert_eq!(value["schema"], 1);
        let expect = [
            "name",
            "unit",
            "better",
            "ours",
            "peer_name",
            "peer",
            "ratio",
            "low",
            "high",
            "seeds",
            "versions",
        ];
        assert_eq!(keys(&value["results"][0]), expect);
        assert_eq!(value["results"][0]["better"], "lower");
        assert_eq!(value["results"][0]["versions"]["optuna"], "5.0.0");
    }

    #[test]
    fn what_could_not_be_measured_is_null() {
        let missing =
            Comparison { peer: None, ratio: None, failure: Some("not installed".into()), ..sample() };
        let json = Report::new(Machine::default(), vec![missing]).to_json();
        let value: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert!(value["results"][0]["peer"].is_null());
    }
}
