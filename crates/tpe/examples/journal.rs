//! Writes a study into a journal file, or goes on with it, and says what it found: a file for `optuna-dashboard`.
//!
//! ```console
//! cargo run -p teleprompt-tpe --features journal --example journal -- study.journal
//! ```
//!
//! It has what real studies have: conditional parameters, a constraint, trials that fail, are pruned, wait and run.

#![expect(clippy::print_stdout, reason = "an example says what it found")]

use std::error::Error;

use teleprompt_tpe::journal::JournalStudy;
use teleprompt_tpe::{
    Direction, Distribution, Observation, Outcome, ParamValue, SearchSpace, TpeSampler, Values,
};

/// The loss of a made-up network, with the megabytes that it needs; nothing where it cannot be trained.
fn trained(values: &Values) -> Option<(f64, f64)> {
    let (rate, model) = (values.float("rate")?, values.choice("model")?);
    let off = (rate.log10() + 3.0).powi(2);
    let (loss, size) = match model {
        0 => (0.5 + 0.1 * off, 1.0),
        1 => {
            let depth = values.int("depth")? as f64;
            (0.3 + 0.1 * off + 0.02 * (depth - 6.0).abs(), 3.0 * depth)
        }
        _ => {
            let (layers, dropout) = (values.int("layers")? as f64, values.float("dropout")?);
            (0.1 + 0.2 * off + 0.05 * (layers - 3.0).abs() + (dropout - 0.2).powi(2), 12.0 * layers)
        }
    };
    // Such rates diverge.
    (rate < 0.3).then_some((loss, size))
}

fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args().nth(1).ok_or("name the file")?;
    let space = SearchSpace::builder()
        .param("rate", Distribution::log_float(1e-5, 1.0))
        .param("model", Distribution::categorical(["linear", "trees", "network"]))
        .param_when("depth", Distribution::int(1, 12), "model", [1])
        .param_when("layers", Distribution::int(1, 6), "model", [2])
        .param_when("dropout", Distribution::stepped_float(0.0, 0.5, 0.05), "model", [2])
        .build()?;
    let sampler = TpeSampler::default();
    let mut journal = JournalStudy::open(&path, "network", space.clone(), sampler, Direction::Minimize, 7)?;
    let before = journal.study().trials().len();
    if before == 0 {
        // What is in use today is the first trial.
        let known = [("rate", ParamValue::Float(0.01)), ("model", ParamValue::Choice(0))];
        journal.enqueue(&space.values(known)?)?;
    }
    for _ in 0..60 {
        let trial = journal.ask()?;
        let outcome = match trained(&trial.values) {
            None => Outcome::Failed,
            Some((loss, _)) if loss > 1.2 => Outcome::Pruned,
            // More than 48 megabytes do not fit the device.
            Some((loss, size)) => Observation::new(loss).with_violation((size - 48.0).max(0.0)).into(),
        };
        journal.tell(trial.number, outcome)?;
    }
    let study = journal.study();
    let best = study.best().ok_or("no trial has a value")?;
    println!("{before} trials were in {path}, {} are", study.trials().len());
    println!("best: trial {} with {:?}", best.number, best.value());
    for (name, value) in best.values.iter() {
        println!("  {name} {value}");
    }
    // One that runs and one that waits, for whoever goes on.
    journal.ask()?;
    journal
        .enqueue(&space.values([("rate", ParamValue::Float(0.001)), ("model", ParamValue::Choice(0))])?)?;
    Ok(())
}
