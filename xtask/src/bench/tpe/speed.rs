//! How long one suggestion and its report take, in memory and in a journal.
//!
//! *Ask and tell* is the mean time for one suggestion of all parameters and its report, on a study that holds many
//! random trials already; the first one, in which all of these are taken in at once, is not timed. Beside the random sampler it says what the model costs, so a ratio below 1 is no loss.
//! *Journal* is the same with the study in a file, each outcome on the disk before it counts.

use std::hint::black_box;
use std::time::Instant;

use serde_json::{Value, json};
use teleprompt_tpe::journal::JournalStudy;
use teleprompt_tpe::{Direction, ParamValue, RandomSampler, Sampler, Study, TpeConfig, TpeSampler};

use super::space::{Parameter, described, draw, name, space_of};
use super::{RANDOM, failed};
use crate::bench::family::{Better, Case, Contender, Figure};
use crate::bench::stats::SplitMix64;
use crate::error::Error;

/// TPE that looks at the newest 2,000 of the trials that are not good.
const CAPPED: &str = "newest 2000";
/// Seeds differ little in a time: more of them only heat the machine.
const SEEDS: u32 = 10;

/// All cases of time.
pub(super) fn cases(quick: bool) -> Vec<Box<dyn Case>> {
    let choices = |n| vec![Parameter::choice(12); n];
    let floats = |n| vec![Parameter::float(0.0, 1.0); n];
    let mut cases = vec![("8 categorical x 12", choices(8), 1_000, false)];
    if !quick {
        cases.extend([
            ("8 categorical x 12", choices(8), 10_000, false),
            ("10 float", floats(10), 1_000, false),
            ("10 float", floats(10), 10_000, false),
            ("50 float", floats(50), 5_000, false),
            ("10 float", floats(10), 100_000, false),
            ("10 float", floats(10), 1_000, true),
        ]);
    }
    let case = |(label, space, history, journal)| {
        Box::new(AskTell { label, space, history, journal }) as Box<dyn Case>
    };
    cases.into_iter().map(case).collect()
}

/// The time of one ask and tell.
struct AskTell {
    label: &'static str,
    space: Vec<Parameter>,
    /// How many random trials the study holds before.
    history: u32,
    /// Whether the study is a file.
    journal: bool,
}

impl Case for AskTell {
    fn figure(&self) -> Figure {
        let place = if self.journal { " in a journal" } else { "" };
        let name = format!("ask and tell{place}, {}, {} trials", self.label, self.history);
        Figure { name, unit: "ms", better: Better::Lower, floor: 0.0 }
    }

    fn rivals(&self) -> &'static [&'static str] {
        if self.history > 10_000 { &[RANDOM, CAPPED] } else { &[RANDOM] }
    }

    fn most_seeds(&self) -> u32 {
        SEEDS
    }

    fn measure(&self, contender: &mut Contender<'_>, seed: u64) -> Result<f64, Error> {
        // Fewer rounds where each is slow.
        let rounds = if self.history > 1_000 { 20 } else { 100 };
        match contender {
            Contender::Ours => self.timed(TpeSampler::default(), seed, rounds),
            Contender::Rival(RANDOM) => self.timed(RandomSampler, seed, rounds),
            Contender::Rival(CAPPED) => {
                let config = TpeConfig { max_others: Some(2_000), ..TpeConfig::default() };
                self.timed(TpeSampler::new(config).map_err(failed)?, seed, rounds)
            }
            Contender::Peer(_) if self.history > 10_000 => {
                Err(failed("left out: filling a study of theirs with so many trials takes minutes"))
            }
            Contender::Rival(other) => Err(failed(format!("no rival `{other}`"))),
            Contender::Peer(peer) => {
                let request = json!({
                    "op": "time", "space": described(&self.space), "seed": seed, "history": self.history,
                    "rounds": rounds / 5, "journal": self.journal,
                });
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
        let space = space_of(&self.space)?;
        let mut history = Vec::new();
        for _ in 0..self.history {
            let point = draw(&self.space, &mut random);
            let named: Vec<(String, ParamValue)> = point
                .iter()
                .enumerate()
                .filter_map(|(index, value)| Some((name(index), (*value)?)))
                .collect();
            let named = named.iter().map(|(name, value)| (name.as_str(), *value));
            history.push((space.values(named).map_err(failed)?, random.unit()));
        }
        if self.journal {
            let path =
                std::env::temp_dir().join(format!("teleprompt-bench-{}-{seed}.journal", std::process::id()));
            // What an earlier run may have left.
            drop(std::fs::remove_file(&path));
            let mut study = JournalStudy::open(&path, "bench", space, sampler, Direction::Minimize, seed)
                .map_err(failed)?;
            for (values, value) in &history {
                study.add_trial(values, *value).map_err(failed)?;
            }
            let mut step = || {
                let trial = study.ask().map_err(failed)?;
                study.tell(black_box(trial.number), random.unit()).map_err(failed)
            };
            step()?;
            let start = Instant::now();
            for _ in 0..rounds {
                step()?;
            }
            let elapsed = start.elapsed();
            drop(study);
            std::fs::remove_file(&path).map_err(failed)?;
            return Ok(1e3 * elapsed.as_secs_f64() / f64::from(rounds));
        }
        let mut study = Study::new(space, sampler, Direction::Minimize, seed);
        for (values, value) in &history {
            study.add_trial(values, *value).map_err(failed)?;
        }
        let mut step = || {
            let trial = study.ask().map_err(failed)?;
            study.tell(black_box(trial.number), random.unit()).map_err(failed)
        };
        step()?;
        let start = Instant::now();
        for _ in 0..rounds {
            step()?;
        }
        Ok(1e3 * start.elapsed().as_secs_f64() / f64::from(rounds))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_measured_for_both_samplers_and_places() {
        for journal in [false, true] {
            let case = AskTell { label: "x", space: vec![Parameter::choice(3); 2], history: 20, journal };
            for mut contender in [Contender::Ours, Contender::Rival(RANDOM)] {
                assert!(case.measure(&mut contender, 1).unwrap() > 0.0);
            }
        }
    }
}
