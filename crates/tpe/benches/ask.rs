//! The time of one ask and tell of TPE on a study that holds many trials already.

use std::hint::black_box;
use std::time::Duration;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use teleprompt_tpe::{
    Direction, Distribution, Error, ParamValue, SearchSpace, SearchSpaceBuilder, Study, TpeSampler, Values,
};

/// A study of `parameters` copies of a distribution after `n_trials` trials of its own, on a separable
/// objective.
fn grown(distribution: &Distribution, parameters: usize, n_trials: u64) -> Result<Study<TpeSampler>, Error> {
    let add = |builder: SearchSpaceBuilder, index| builder.param(format!("p{index}"), distribution.clone());
    let space = (0..parameters).fold(SearchSpace::builder(), add).build()?;
    let mut study = Study::new(space, TpeSampler::default(), Direction::Minimize, 1);
    for _ in 0..n_trials {
        let trial = study.ask()?;
        study.tell(trial.number, objective(&trial.values))?;
    }
    Ok(study)
}

fn objective(values: &Values) -> f64 {
    let part = |(index, (_, value)): (usize, (&str, ParamValue))| match value {
        ParamValue::Choice(position) => f64::from(u8::from(position != index)),
        ParamValue::Int(value) => ((value as f64 - 30.0) / 100.0).powi(2),
        ParamValue::Float(value) => (value - 0.3).powi(2),
    };
    values.iter().enumerate().map(part).sum()
}

fn ask_and_tell(c: &mut Criterion) {
    let mut group = c.benchmark_group("ask_tell");
    group
        .sample_size(20)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_millis(1500));
    for (name, distribution, parameters, n_trials) in [
        ("8 categorical x 12, 100", Distribution::indices(12), 8, 100),
        ("8 categorical x 12, 1000", Distribution::indices(12), 8, 1_000),
        ("8 categorical x 12, 10000", Distribution::indices(12), 8, 10_000),
        ("10 float, 100", Distribution::float(0.0, 1.0), 10, 100),
        ("10 float, 1000", Distribution::float(0.0, 1.0), 10, 1_000),
        ("10 float, 10000", Distribution::float(0.0, 1.0), 10, 10_000),
        ("50 float, 5000", Distribution::float(0.0, 1.0), 50, 5_000),
        ("10 int of 100, 1000", Distribution::int(1, 100), 10, 1_000),
    ] {
        let Ok(study) = grown(&distribution, parameters, n_trials) else { continue };
        let step = |study: &mut Study<TpeSampler>| {
            let trial = study.ask()?;
            study.tell(trial.number, black_box(objective(&trial.values)))
        };
        group.bench_function(name, |bencher| {
            // A copy has no spare capacity and is not in the caches, unlike a study at work: the first step
            // is not timed.
            let at_work = || {
                let mut study = study.clone();
                let _ = step(&mut study);
                study
            };
            bencher.iter_batched_ref(at_work, step, BatchSize::PerIteration);
        });
    }
    group.finish();
}

criterion_group!(benches, ask_and_tell);
criterion_main!(benches);
