//! The family `tpe`: our optimizer alone, against its own random sampler and against Optuna and its Rust port.
//!
//! - *ask and tell*: the mean time for one suggestion of all parameters and its report, on a study that holds many
//!   random trials already. Beside the random sampler it says what the model costs, so a ratio below 1 is no loss.
//! - *regret*: how far the best value found is from the optimum, 0 at the optimum and 1 at what 50 random points
//!   give. Every contender suggests, and this program evaluates, so all see the very same function.

mod problems;

use std::hint::black_box;
use std::time::Instant;

use serde_json::{Value, json};
use teleprompt_tpe::{
    Direction, Distribution, ParamValue, RandomSampler, Sampler, SearchSpace, Study, TpeSampler, Values,
};

use self::problems::{Parameter, Problem, draw};
use super::family::{Better, Case, Contender, Family, Figure};
use super::peers::Peer;
use super::stats::SplitMix64;
use crate::error::Error;

/// The baseline from our own crate.
const RANDOM: &str = "random";

/// Regrets below this count as this in ratios: a thousandth of what chance leaves is as good as none.
const REGRET_FLOOR: f64 = 1e-3;

/// The family.
#[derive(Debug)]
pub(crate) struct Tpe;

impl Family for Tpe {
    fn seeds(&self) -> u32 {
        20
    }

    fn cases(&self, quick: bool) -> Result<Vec<Box<dyn Case>>, Error> {
        let choices = |n| vec![Parameter::Choice { n: 12 }; n];
        let floats = |n| vec![Parameter::Float { low: 0.0, high: 1.0 }; n];
        let mut times = vec![("8 categorical x 12", choices(8), 1_000)];
        if !quick {
            times.push(("8 categorical x 12", choices(8), 10_000));
            times.push(("10 float", floats(10), 1_000));
            times.push(("10 float", floats(10), 10_000));
        }
        let times = times.into_iter().map(|(label, space, history)| AskTell { label, space, history });

        let mut regrets = vec![(problems::branin(), 60), (problems::interactions(), 60)];
        if !quick {
            regrets = vec![
                (problems::branin(), 100),
                (problems::hartmann6(), 100),
                (problems::interactions(), 60),
                (problems::mixed(), 60),
            ];
        }
        let regrets = regrets.into_iter().map(|(problem, trials)| Regret::new(problem, trials));
        let times = times.map(|case| Box::new(case) as Box<dyn Case>);
        Ok(times.chain(regrets.map(|case| Box::new(case) as Box<dyn Case>)).collect())
    }
}

/// The time of one ask and tell.
struct AskTell {
    label: &'static str,
    space: Vec<Parameter>,
    /// How many random trials the study holds before.
    history: u32,
}

impl Case for AskTell {
    fn figure(&self) -> Figure {
        let name = format!("ask and tell, {}, {} trials", self.label, self.history);
        Figure { name, unit: "ms", better: Better::Lower, floor: 0.0 }
    }

    fn rivals(&self) -> &'static [&'static str] {
        &[RANDOM]
    }

    fn measure(&self, contender: &mut Contender<'_>, seed: u64) -> Result<f64, Error> {
        // Fewer rounds where each is slow, and with a hundred times as many trials all are.
        let rounds = if self.history > 1_000 { 20 } else { 100 };
        match contender {
            Contender::Ours => self.timed(TpeSampler::default(), seed, rounds),
            Contender::Rival(RANDOM) => self.timed(RandomSampler, seed, rounds),
            Contender::Rival(other) => Err(failed(format!("no rival `{other}`"))),
            Contender::Peer(peer) => {
                let space = described(&self.space);
                let (history, rounds) = (self.history, rounds / 5);
                let request =
                    json!({"op": "time", "space": space, "seed": seed, "history": history, "rounds": rounds});
                let answer = peer.request(&request)?;
                answer
                    .get("milliseconds")
                    .and_then(Value::as_f64)
                    .ok_or_else(|| failed("answer without a time"))
            }
        }
    }
}

impl AskTell {
    /// Milliseconds for one ask and tell, over `rounds` of them.
    fn timed<S: Sampler>(&self, sampler: S, seed: u64, rounds: u32) -> Result<f64, Error> {
        let mut random = SplitMix64::new(seed);
        let mut study = Study::new(space_of(&self.space)?, sampler, Direction::Minimize, seed);
        for _ in 0..self.history {
            let point = draw(&self.space, &mut random);
            let named: Vec<(String, ParamValue)> =
                point.iter().enumerate().map(|(index, value)| (name(index), *value)).collect();
            let named = named.iter().map(|(name, value)| (name.as_str(), *value));
            let values = study.problem().space.values(named).map_err(failed)?;
            study.add_trial(&values, random.unit()).map_err(failed)?;
        }
        let start = Instant::now();
        for _ in 0..rounds {
            let trial = study.ask().map_err(failed)?;
            study.tell(black_box(trial.number), random.unit()).map_err(failed)?;
        }
        Ok(1e3 * start.elapsed().as_secs_f64() / f64::from(rounds))
    }
}

/// How near to the optimum a number of trials comes.
struct Regret {
    problem: Problem,
    trials: u32,
    /// What 50 random points give, the mean of many draws.
    chance: f64,
}

impl Regret {
    fn new(problem: Problem, trials: u32) -> Self {
        let chance = problem.best_of_random(50);
        Self { problem, trials, chance }
    }

    /// Runs one search; `suggest` takes the last value and returns the next point.
    fn search(
        &self,
        mut suggest: impl FnMut(Option<f64>) -> Result<Vec<ParamValue>, Error>,
    ) -> Result<f64, Error> {
        let mut best = f64::INFINITY;
        let mut last = None;
        for _ in 0..self.trials {
            let value = self.problem.value(&suggest(last)?);
            best = best.min(value);
            last = Some(value);
        }
        Ok((best - self.problem.optimum()) / (self.chance - self.problem.optimum()))
    }

    fn ours<S: Sampler>(&self, sampler: S, seed: u64) -> Result<f64, Error> {
        let mut study = Study::new(space_of(self.problem.space())?, sampler, Direction::Minimize, seed);
        let mut number = 0;
        self.search(|last| {
            if let Some(value) = last {
                study.tell(number, value).map_err(failed)?;
            }
            let trial = study.ask().map_err(failed)?;
            number = trial.number;
            Ok(point_of(&trial.values))
        })
    }

    fn theirs(&self, peer: &mut Peer, seed: u64) -> Result<f64, Error> {
        let space = self.problem.space();
        peer.request(&json!({"op": "start", "space": described(space), "seed": seed}))?;
        self.search(|last| {
            if let Some(value) = last {
                peer.request(&json!({"op": "tell", "value": value}))?;
            }
            let answer = peer.request(&json!({"op": "ask"}))?;
            parse(space, &answer).ok_or_else(|| failed(format!("`{answer}` is no point of the space")))
        })
    }
}

impl Case for Regret {
    fn figure(&self) -> Figure {
        let name = format!("regret, {}, {} trials", self.problem.name(), self.trials);
        Figure { name, unit: "of chance", better: Better::Lower, floor: REGRET_FLOOR }
    }

    fn rivals(&self) -> &'static [&'static str] {
        &[RANDOM]
    }

    fn measure(&self, contender: &mut Contender<'_>, seed: u64) -> Result<f64, Error> {
        match contender {
            Contender::Ours => self.ours(TpeSampler::default(), seed),
            Contender::Rival(RANDOM) => self.ours(RandomSampler, seed),
            Contender::Rival(other) => Err(failed(format!("no rival `{other}`"))),
            Contender::Peer(peer) => self.theirs(peer, seed),
        }
    }
}

fn failed(problem: impl ToString) -> Error {
    Error::Measurement { subject: "tpe".into(), problem: problem.to_string() }
}

fn name(index: usize) -> String {
    format!("p{index}")
}

fn space_of(parameters: &[Parameter]) -> Result<SearchSpace, Error> {
    let mut builder = SearchSpace::builder();
    for (index, parameter) in parameters.iter().enumerate() {
        let distribution = match *parameter {
            Parameter::Float { low, high } => Distribution::float(low, high),
            Parameter::Choice { n } => Distribution::indices(n),
        };
        builder = builder.param(name(index), distribution);
    }
    builder.build().map_err(failed)
}

fn point_of(values: &Values) -> Vec<ParamValue> {
    values.slots().iter().flatten().copied().collect()
}

/// The space as a driver takes it.
fn described(parameters: &[Parameter]) -> Value {
    let describe = |parameter: &Parameter| match parameter {
        Parameter::Float { low, high } => json!({"kind": "float", "low": low, "high": high}),
        Parameter::Choice { n } => json!({"kind": "choice", "n": n}),
    };
    parameters.iter().map(describe).collect()
}

/// The point in a driver's answer.
fn parse(parameters: &[Parameter], answer: &Value) -> Option<Vec<ParamValue>> {
    let values = answer.get("values")?.as_array()?;
    let parse = |(parameter, value): (&Parameter, &Value)| match parameter {
        Parameter::Float { .. } => value.as_f64().map(ParamValue::Float),
        Parameter::Choice { n } => {
            let index = usize::try_from(value.as_u64()?).ok()?;
            (index < *n).then_some(ParamValue::Choice(index))
        }
    };
    let point: Vec<ParamValue> = parameters.iter().zip(values).filter_map(parse).collect();
    (point.len() == parameters.len()).then_some(point)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_have_names_of_their_own() {
        for quick in [true, false] {
            let cases = Tpe.cases(quick).unwrap();
            let mut names: Vec<String> = cases.iter().map(|case| case.figure().name).collect();
            names.sort();
            names.dedup();
            assert_eq!(names.len(), cases.len());
        }
    }

    #[test]
    fn a_search_is_a_function_of_its_seed() {
        let case = Regret::new(problems::branin(), 20);
        let regret = |seed| case.measure(&mut Contender::Ours, seed).unwrap();
        assert_eq!(regret(1).to_bits(), regret(1).to_bits());
        assert!(regret(1) >= 0.0);
    }

    #[test]
    fn a_time_is_measured_for_both_samplers() {
        let case = AskTell { label: "x", space: vec![Parameter::Choice { n: 3 }; 2], history: 20 };
        for mut contender in [Contender::Ours, Contender::Rival(RANDOM)] {
            assert!(case.measure(&mut contender, 1).unwrap() > 0.0);
        }
    }

    #[test]
    fn answers_outside_the_space_are_refused() {
        let space = [Parameter::Choice { n: 3 }, Parameter::Float { low: 0.0, high: 1.0 }];
        let expect = vec![ParamValue::Choice(2), ParamValue::Float(0.5)];
        assert_eq!(parse(&space, &json!({"values": [2, 0.5]})), Some(expect));
        assert_eq!(parse(&space, &json!({"values": [3, 0.5]})), None);
        assert_eq!(parse(&space, &json!({"values": [2]})), None);
        assert_eq!(parse(&space, &json!({})), None);
    }
}
