//! The time of one ask and tell on a study that holds trials already: many of TPE, some of the Gaussian process.

use std::hint::black_box;
use std::time::Duration;

use criterion::BatchSize::PerIteration;
use criterion::{Criterion, criterion_group, criterion_main};
use teleprompt_tpe::{
    AutoSampler, Direction, Distribution, Error, GpSampler, ParamValue, Sampler, SearchSpace,
    SearchSpaceBuilder, Study, TpeSampler, Values,
};

/// A study of `parameters` copies of a distribution after `n_trials` trials of its own, on a separable
/// objective.
fn grown<S: Sampler>(
    sampler: S,
    distribution: &Distribution,
    parameters: usize,
    n_trials: u64,
) -> Result<Study<S>, Error> {
    let add = |builder: SearchSpaceBuilder, index| builder.param(format!("p{index}"), distribution.clone());
    let space = (0..parameters).fold(SearchSpace::builder(), add).build()?;
    let mut study = Study::new(space, sampler, Direction::Minimize, 1);
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

fn step<S: Sampler>(study: &mut Study<S>) -> Result<(), Error> {
    let trial = study.ask()?;
    study.tell(trial.number, black_box(objective(&trial.values)))
}

/// A copy of a study. A copy has no spare capacity and is not in the caches, unlike a study at work: the first step is not
/// timed.
fn at_work<S: Sampler + Clone>(study: &Study<S>) -> Study<S> {
    let mut study = study.clone();
    let _ = step(&mut study);
    study
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
        let Ok(study) = grown(TpeSampler::default(), &distribution, parameters, n_trials) else { continue };
        group
            .bench_function(name, |bencher| bencher.iter_batched_ref(|| at_work(&study), step, PerIteration));
    }
    group.finish();
}

/// Of three asks of `AutoSampler` one is TPE's.
fn ask_of_the_process(c: &mut Criterion) {
    let mut group = c.benchmark_group("gaussian_process");
    group
        .sample_size(10)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_millis(1500));
    for (name, distribution, parameters, n_trials) in [
        ("4 float, 30", Distribution::float(0.0, 1.0), 4, 30),
        ("10 float, 100", Distribution::float(0.0, 1.0), 10, 100),
        ("10 float, 250", Distribution::float(0.0, 1.0), 10, 250),
        ("8 categorical x 12, 60", Distribution::indices(12), 8, 60),
    ] {
        let Ok(study) = grown(GpSampler::new(), &distribution, parameters, n_trials) else { continue };
        group
            .bench_function(name, |bencher| bencher.iter_batched_ref(|| at_work(&study), step, PerIteration));
    }
    if let Ok(study) = grown(AutoSampler::new(), &Distribution::float(0.0, 1.0), 10, 100) {
        let three = |study: &mut Study<AutoSampler>| (0..3).try_for_each(|_| step(study));
        let name = "Auto, 10 float, 100: three asks";
        group.bench_function(name, |bencher| {
            bencher.iter_batched_ref(|| at_work(&study), three, PerIteration)
        });
    }
    group.finish();
}

criterion_group!(benches, ask_and_tell, ask_of_the_process);
criterion_main!(benches);
