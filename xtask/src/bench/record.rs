//! The figures of a run as data: what `--json` writes, and what holds for each of them.
//!
//! ```text
//!   {"schema": 1, "machine": .., "results": [{"name", "unit", "better", "ours", "peer_name", "peer", "ratio", "low", "high", "seeds", "versions"}]}
//! ```
//!
//! A ratio above 1 means that ours is better, whichever way `better` points. What could not be measured is `null`; why, stands
//! where the contender's version would.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::family::Better;
use super::machine::Machine;

/// The form of the file; raised when a key changes its meaning.
const SCHEMA: u32 = 1;
/// By which part a ratio may differ from the quotient of its figures: rounding.
const ROUNDING: f64 = 1e-6;
/// Our own name among the versions.
pub(crate) const OURS: &str = "teleprompt";

/// All figures of one run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Report {
    schema: u32,
    pub(crate) machine: Machine,
    pub(crate) results: Vec<Comparison>,
}

/// One figure of ours beside the same figure of one contender.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Comparison {
    pub(crate) name: String,
    pub(crate) unit: String,
    pub(crate) better: Better,
    /// The median over the seeds, or what the name says.
    pub(crate) ours: Option<f64>,
    pub(crate) peer_name: String,
    /// The same of the contender; `None` if it could not be measured.
    pub(crate) peer: Option<f64>,
    /// `ours / peer` where higher is better, `peer / ours` where lower is: above 1 where ours is better.
    pub(crate) ratio: Option<f64>,
    /// The lower end of the ratio's 95 % interval, which holds the ratio.
    pub(crate) low: Option<f64>,
    /// The upper end.
    pub(crate) high: Option<f64>,
    /// How many seeds were measured.
    pub(crate) seeds: usize,
    /// Of both contenders, by name; in place of its version, why a contender has no figure.
    pub(crate) versions: BTreeMap<String, String>,
}

impl Comparison {
    /// Why the contender could not be measured, if it could not.
    pub(crate) fn failure(&self) -> Option<&str> {
        let measured = self.peer.is_some() || self.ratio.is_some();
        if measured { None } else { self.versions.get(&self.peer_name).map(String::as_str) }
    }

    /// What breaks the form that all families share, if anything does.
    pub(crate) fn problem(&self) -> Option<String> {
        let problem = |text: &str| Some(format!("`{}` against {}: {text}", self.name, self.peer_name));
        let numbers = [self.ours, self.peer, self.ratio, self.low, self.high];
        if self.name.is_empty() || self.peer_name.is_empty() || self.peer_name == OURS {
            return problem("a figure has a name, and a contender has one that is not ours");
        }
        if numbers.iter().flatten().any(|number| !number.is_finite()) {
            return problem("a number is not finite");
        }
        if !self.versions.contains_key(OURS) {
            return problem("our own version is missing");
        }
        match (self.ratio, self.low, self.high) {
            (None, None, None) => {}
            (Some(ratio), Some(low), Some(high)) if 0.0 < low && low <= ratio && ratio <= high => {}
            _ => return problem("not 0 < low <= ratio <= high"),
        }
        let (Some(ours), Some(peer), Some(ratio)) = (self.ours, self.peer, self.ratio) else { return None };
        let better = match self.better {
            Better::Higher => ours >= peer,
            Better::Lower => ours <= peer,
        };
        // A floor, for figures that can be 0, moves a ratio nearer to 1 but never beyond.
        let of_figures = match self.better {
            Better::Higher => ours / peer,
            Better::Lower => peer / ours,
        };
        let (least, most) = if better { (1.0, of_figures) } else { (of_figures, 1.0) };
        let most = if most.is_nan() { f64::INFINITY } else { most };
        let fits = least * (1.0 - ROUNDING) <= ratio && ratio <= most * (1.0 + ROUNDING);
        if fits { None } else { problem(&format!("a ratio of {ratio} is not that of {ours} and {peer}")) }
    }
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

    /// Reads what [`Report::to_json`] wrote.
    pub(crate) fn from_json(text: &str) -> Result<Self, String> {
        let report: Self = serde_json::from_str(text).map_err(|error| error.to_string())?;
        match report.schema {
            SCHEMA => Ok(report),
            other => Err(format!("schema {other} is not {SCHEMA}, the one that this version writes")),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::super::stats::{SplitMix64, median, ratio_of_medians};
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
            ratio: Some(8.5 / 0.0512),
            low: Some(150.25),
            high: Some(180.0),
            seeds: 20,
            versions: BTreeMap::from([
                ("teleprompt".into(), "0.1.0".into()),
                ("optuna".into(), "5.0.0".into()),
            ]),
        }
    }

    /// The same, of a peer that could not be measured.
    pub(crate) fn missing() -> Comparison {
        let mut missing = Comparison { peer: None, ratio: None, low: None, high: None, ..sample() };
        missing.versions.insert("optuna".into(), "not installed: no Python".into());
        missing
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
    fn what_could_not_be_measured_is_null_and_says_why() {
        let json = Report::new(Machine::default(), vec![missing()]).to_json();
        let value: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert!(value["results"][0]["peer"].is_null());
        assert_eq!(value["results"][0]["versions"]["optuna"], "not installed: no Python");
        assert_eq!(missing().failure(), Some("not installed: no Python"));
        assert_eq!(missing().problem(), None);
        assert_eq!(sample().failure(), None);
    }

    #[test]
    fn a_report_comes_back_as_it_was() {
        let mut random = SplitMix64::new(3);
        let results = (0..100).map(|_| Comparison { ours: Some(1.0 / (0.01 + random.unit())), ..sample() });
        let report = Report::new(Machine::default(), results.chain([missing()]).collect());
        assert_eq!(Report::from_json(&report.to_json()), Ok(report.clone()));
        let newer = report.to_json().replace("\"schema\": 1", "\"schema\": 2");
        assert!(Report::from_json(&newer).unwrap_err().contains("schema 2"));
        assert!(Report::from_json("{\"schema\": 1}").unwrap_err().contains("machine"));
    }

    #[test]
    fn what_is_made_from_measurements_has_the_form() {
        let mut random = SplitMix64::new(4);
        for round in 0..300 {
            let mut draw = |n: usize| -> Vec<f64> { (0..n).map(|_| 0.2 / (0.01 + random.unit())).collect() };
            let n = 1 + round % 7;
            let (ours, peer) = (draw(n), draw(n));
            // A floor above some of the figures and below others.
            let floor = [0.0, 0.8][round % 2];
            for better in [Better::Higher, Better::Lower] {
                let ratio = match better {
                    Better::Higher => ratio_of_medians(&ours, &peer, floor),
                    Better::Lower => ratio_of_medians(&peer, &ours, floor),
                };
                let comparison = Comparison {
                    better,
                    ours: median(&ours),
                    peer: median(&peer),
                    ratio: ratio.map(|ratio| ratio.ratio),
                    low: ratio.map(|ratio| ratio.low),
                    high: ratio.map(|ratio| ratio.high),
                    ..sample()
                };
                assert_eq!(comparison.problem(), None, "{comparison:?}");
            }
        }
    }

    #[test]
    fn what_breaks_the_form_is_named() {
        assert_eq!(sample().problem(), None);
        let check = |comparison: Comparison, expect: &str| {
            let problem = comparison.problem().unwrap();
            assert!(problem.contains(expect), "{problem}");
        };
        check(Comparison { better: Better::Higher, ..sample() }, "is not that of");
        check(Comparison { ratio: Some(170.0), ..sample() }, "is not that of");
        check(Comparison { low: Some(170.0), ..sample() }, "low <= ratio");
        check(Comparison { high: Some(160.0), ..sample() }, "ratio <= high");
        check(Comparison { low: None, ..sample() }, "low <= ratio");
        check(Comparison { ours: Some(f64::NAN), ..sample() }, "not finite");
        check(Comparison { peer_name: "teleprompt".into(), ..sample() }, "one that is not ours");
        check(Comparison { versions: BTreeMap::new(), ..sample() }, "our own version");
        // Equal at the floor.
        let equal = Comparison { ratio: Some(1.0), low: Some(1.0), high: Some(1.0), ..sample() };
        assert_eq!(Comparison { ours: Some(0.0), peer: Some(0.0), ..equal }.problem(), None);
    }
}
