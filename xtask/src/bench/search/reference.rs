//! The reference's schedule over any sampler: the real Optuna, our own TPE, or chance.

use serde_json::{Value, json};
use teleprompt_tpe::{
    Direction, Distribution, ParamValue, RandomSampler, Sampler, SearchSpace, Study, TpeConfig, TpeSampler,
};

use super::terrain::{Ledger, Terrain};
use crate::bench::peers::Peer;
use crate::bench::stats::SplitMix64;
use crate::error::Error;

/// Rows of a minibatch, and trials between full evaluations (DSPy 3.4.1).
const MINIBATCH: usize = 35;
const STEPS: usize = 5;
/// Valsets of at most this size are always run whole.
const SMALL: usize = 50;
/// Suggestions until one must be among the combinations that there are.
const PATIENCE: usize = 1000;

/// Suggests combinations.
pub(crate) trait Suggest {
    fn ask(&mut self) -> Result<Vec<usize>, Error>;
    /// The score of the last combination asked for; `None` when it has none.
    fn tell(&mut self, score: Option<f64>) -> Result<(), Error>;
    /// The score of a combination that was not asked for.
    fn add(&mut self, choices: &[usize], score: f64) -> Result<(), Error>;
}

/// Runs the schedule; gives the best full score's combination, the default on a tie.
pub(crate) fn search(
    ledger: &Ledger<'_>,
    terrain: &dyn Terrain,
    suggest: &mut dyn Suggest,
    seed: u64,
) -> Result<Vec<usize>, Error> {
    let all: Vec<usize> = (0..ledger.n_rows()).collect();
    let mut random = SplitMix64::new(seed ^ 0xba7c);
    let default = terrain.default();
    let score = ledger.mean(&default, &all).unwrap_or(0.0);
    suggest.add(&default, score)?;
    let mut full = vec![(default, score)];
    let mut partial: Vec<(Vec<usize>, f64, f64)> = Vec::new();
    let trials = terrain.trials();
    ledger.incumbent(|| best_of(&full));
    for number in 1..=trials {
        let choices = ask_among(suggest, terrain)?;
        if all.len() <= SMALL {
            let score = ledger.mean(&choices, &all).unwrap_or(0.0);
            suggest.tell(Some(score))?;
            full.push((choices, score));
            ledger.incumbent(|| best_of(&full));
            continue;
        }
        let mut rows = all.clone();
        for i in 0..MINIBATCH {
            let other = i + random.below(rows.len() - i);
            rows.swap(i, other);
        }
        let score = ledger.mean(&choices, &rows[..MINIBATCH]).unwrap_or(0.0);
        suggest.tell(Some(score))?;
        match partial.iter_mut().find(|(known, ..)| *known == choices) {
            Some((_, sum, n)) => {
                *sum += score;
                *n += 1.0;
            }
            None => partial.push((choices, score, 1.0)),
        }
        if number % STEPS == 0 || number == trials {
            let open = partial.iter().filter(|(x, ..)| full.iter().all(|(done, _)| done != x));
            let best = open.fold(None::<&(Vec<usize>, f64, f64)>, |best, next| match best {
                Some(known) if known.1 / known.2 >= next.1 / next.2 => best,
                _ => Some(next),
            });
            if let Some((choices, ..)) = best {
                let score = ledger.mean(choices, &all).unwrap_or(0.0);
                suggest.add(choices, score)?;
                full.push((choices.clone(), score));
                ledger.incumbent(|| best_of(&full));
            }
        }
    }
    Ok(best_of(&full))
}

/// The combination with the best full score, the first among equals.
fn best_of(full: &[(Vec<usize>, f64)]) -> Vec<usize> {
    let best = full.iter().fold(&full[0], |best, next| if next.1 > best.1 { next } else { best });
    best.0.clone()
}

/// The next suggestion among the combinations that there are; others are told as failed trials, which teach nothing.
fn ask_among(suggest: &mut dyn Suggest, terrain: &dyn Terrain) -> Result<Vec<usize>, Error> {
    for _ in 0..PATIENCE {
        let choices = suggest.ask()?;
        if terrain.only().is_empty() || terrain.only().contains(&choices) {
            return Ok(choices);
        }
        suggest.tell(None)?;
    }
    Err(failed("the sampler suggests nothing that was recorded"))
}

/// One of our own samplers.
pub(crate) struct Ours {
    study: Study<Box<dyn Sampler>>,
    last: u64,
}

impl Ours {
    /// TPE with Optuna's densities.
    pub(crate) fn tpe(options: &[usize], seed: u64) -> Result<Self, Error> {
        let sampler = TpeSampler::new(TpeConfig::optuna()).map_err(failed)?;
        Self::new(options, Box::new(sampler), seed)
    }

    /// Chance.
    pub(crate) fn random(options: &[usize], seed: u64) -> Result<Self, Error> {
        Self::new(options, Box::new(RandomSampler), seed)
    }

    fn new(options: &[usize], sampler: Box<dyn Sampler>, seed: u64) -> Result<Self, Error> {
        let mut builder = SearchSpace::builder();
        for (d, &n) in options.iter().enumerate() {
            builder = builder.param(format!("p{d}"), Distribution::indices(n));
        }
        let space = builder.build().map_err(failed)?;
        Ok(Self { study: Study::new(space, sampler, Direction::Maximize, seed), last: 0 })
    }
}

impl Suggest for Ours {
    fn ask(&mut self) -> Result<Vec<usize>, Error> {
        let trial = self.study.ask().map_err(failed)?;
        self.last = trial.number;
        let choice = |value: &Option<ParamValue>| match value {
            Some(ParamValue::Choice(choice)) => *choice,
            _ => 0,
        };
        Ok(trial.values.slots().iter().map(choice).collect())
    }

    fn tell(&mut self, score: Option<f64>) -> Result<(), Error> {
        let outcome = match score {
            Some(score) => self.study.tell(self.last, score),
            None => self.study.tell_failed(self.last),
        };
        outcome.map_err(failed)
    }

    fn add(&mut self, choices: &[usize], score: f64) -> Result<(), Error> {
        let names: Vec<String> = (0..choices.len()).map(|d| format!("p{d}")).collect();
        let named = names.iter().zip(choices).map(|(name, &x)| (name.as_str(), ParamValue::Choice(x)));
        let values = self.study.problem().space.values(named).map_err(failed)?;
        self.study.add_trial(&values, score).map_err(failed)?;
        Ok(())
    }
}

/// A peer with Optuna's interface.
pub(crate) struct Theirs<'a> {
    peer: &'a mut Peer,
    options: Vec<usize>,
}

impl<'a> Theirs<'a> {
    pub(crate) fn new(peer: &'a mut Peer, options: &[usize], seed: u64) -> Result<Self, Error> {
        let space: Value = options.iter().map(|n| json!({"kind": "choice", "n": n})).collect();
        peer.request(&json!({"op": "start", "space": space, "seed": seed}))?;
        Ok(Self { peer, options: options.to_vec() })
    }
}

impl Suggest for Theirs<'_> {
    fn ask(&mut self) -> Result<Vec<usize>, Error> {
        let answer = self.peer.request(&json!({"op": "ask"}))?;
        let values = answer.get("values").and_then(Value::as_array).cloned().unwrap_or_default();
        let choices: Vec<usize> = values
            .iter()
            .zip(&self.options)
            .filter_map(|(value, &n)| usize::try_from(value.as_u64()?).ok().filter(|x| *x < n))
            .collect();
        if choices.len() == self.options.len() {
            Ok(choices)
        } else {
            Err(failed(format!("`{answer}` is no point of the space")))
        }
    }

    fn tell(&mut self, score: Option<f64>) -> Result<(), Error> {
        self.peer.request(&json!({"op": "tell", "value": score.map(|score| -score)})).map(drop)
    }

    fn add(&mut self, choices: &[usize], score: f64) -> Result<(), Error> {
        self.peer.request(&json!({"op": "add", "values": choices, "value": -score})).map(drop)
    }
}

fn failed(problem: impl ToString) -> Error {
    Error::Measurement { subject: "search".into(), problem: problem.to_string() }
}
