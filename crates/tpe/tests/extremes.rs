//! What users do to a study that no tutorial shows: extreme values, nothing to choose, nothing to learn, a million
//! trials.

#![expect(clippy::unwrap_used, reason = "a failed step is a failed test")]

use proptest::prelude::*;
use teleprompt_tpe::{
    AutoSampler, Direction, Distribution, FinishedTrial, Observation, ParamValue, Problem, Sampler,
    SearchSpace, Study, TpeConfig, TpeSampler,
};

fn space() -> SearchSpace {
    SearchSpace::builder()
        .param("x", Distribution::float(-1.0, 1.0))
        .param("rate", Distribution::log_float(1e-300, 1e300))
        .param("kind", Distribution::indices(3))
        .param("only", Distribution::indices(1))
        .param_when("depth", Distribution::int(0, 9), "kind", [1])
        .build()
        .unwrap()
}

fn samplers() -> [Box<dyn Sampler>; 4] {
    let tpe = |config| Box::new(TpeSampler::new(config).unwrap());
    [
        Box::new(AutoSampler::new()),
        tpe(TpeConfig::default()),
        tpe(TpeConfig::optuna()),
        tpe(TpeConfig::tutorial()),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 8, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn values_of_any_size_are_taken(exponents in prop::collection::vec(-320..308_i32, 25), seed in 0_u64..100) {
        for sampler in samplers() {
            let mut study = Study::new(space(), sampler, Direction::Maximize, seed);
            for (k, exponent) in exponents.iter().enumerate() {
                let trial = study.ask().unwrap();
                let value = 10_f64.powi(*exponent) * if k % 3 == 0 { -1.7 } else { 1.7 };
                let observation = match k % 4 {
                    0 => Observation::new(value).with_variance(value.abs()),
                    1 => Observation::new(value).with_count(1 << (k % 60)),
                    _ => Observation::new(value),
                };
                study.tell_with(trial.number, observation).unwrap();
            }
            let best = study.trials().filter_map(FinishedTrial::value).fold(f64::NEG_INFINITY, f64::max);
            prop_assert_eq!(study.best().unwrap().value(), Some(best));
        }
    }

    #[test]
    fn duplicates_and_constants_are_taken_in_any_order(
        points in prop::collection::vec((0_usize..3, 0_usize..2), 15..40),
        constant in any::<bool>(),
        exponent in -300..300_i32,
    ) {
        let scale = 10_f64.powi(exponent);
        let space = SearchSpace::builder()
            .param("x", Distribution::float(-scale, scale))
            .param("rate", Distribution::log_float(1e-300, 1e300))
            .param("kind", Distribution::indices(3))
            .build()
            .unwrap();
        let values = |place: usize| {
            let place_of = place as f64 - 1.0;
            space.values([
                ("x", ParamValue::Float(scale * place_of)),
                ("rate", ParamValue::Float(libm::pow(10.0, 250.0 * place_of))),
                ("kind", ParamValue::Choice(place)),
            ])
        };
        for direction in [Direction::Minimize, Direction::Maximize] {
            for sampler in samplers() {
                let mut study = Study::new(space.clone(), sampler, direction, 1);
                for &(place, value) in &points {
                    let value = if constant { scale } else { scale * value as f64 };
                    study.add_trial(&values(place).unwrap(), value).unwrap();
                }
                for trial in study.ask_batch(3).unwrap() {
                    prop_assert!(space.values(trial.values.iter()).is_ok());
                }
                let equals = || study.trials().filter(|trial| trial.value() == study.best().unwrap().value());
                prop_assert_eq!(equals().next().unwrap().number, study.best().unwrap().number);
            }
        }
    }
}

#[test]
fn nothing_to_learn_is_no_trouble() {
    for sampler in samplers() {
        let mut study = Study::new(space(), sampler, Direction::Minimize, 4);
        for k in 0..30 {
            let trial = study.ask().unwrap();
            match k % 3 {
                0 => study.tell_failed(trial.number).unwrap(),
                _ => study.tell(trial.number, 1.0).unwrap(),
            }
        }
        let known = study.trials().next().unwrap().values.clone();
        for _ in 0..5 {
            study.add_trial(&known, 1.0).unwrap();
            study.ask_batch(2).unwrap();
        }
        assert_eq!(study.best().unwrap().number, 1);
    }
}

#[test]
fn small_spaces_are_searched_whole_before_anything_repeats() {
    let space = SearchSpace::builder()
        .param("a", Distribution::indices(3))
        .param("b", Distribution::int(1, 4))
        .param("only", Distribution::indices(1))
        .build()
        .unwrap();
    for sampler in samplers().into_iter().take(2) {
        let mut study = Study::new(space.clone(), sampler, Direction::Minimize, 2);
        let mut seen: Vec<_> = Vec::new();
        for _ in 0..11 {
            let trial = study.ask().unwrap();
            let value = trial.values.int("b").unwrap() as f64;
            study.tell(trial.number, value).unwrap();
            seen.push(trial.values);
        }
        assert!((1..seen.len()).all(|k| !seen[..k].contains(&seen[k])), "{seen:?}");
        // And it goes on when there is nothing new.
        for _ in 0..4 {
            let trial = study.ask().unwrap();
            study.tell(trial.number, 1.0).unwrap();
        }
    }
}

#[test]
fn a_million_trials_fit_where_the_history_is_capped() {
    let space = SearchSpace::builder()
        .param("x", Distribution::float(0.0, 1.0))
        .param("c", Distribution::indices(12))
        .build()
        .unwrap();
    let config = TpeConfig { max_others: Some(500), ..TpeConfig::default() };
    let mut sampler = TpeSampler::new(config).unwrap();
    let problem = Problem { space: space.clone(), direction: Direction::Minimize, seed: 1 };
    for number in 0..1_000_000_u64 {
        let x = (number as f64 * 0.618_033_988_749_895) % 1.0;
        let choice = ParamValue::Choice((number % 12) as usize);
        let slots = vec![Some(x.into()), Some(choice)];
        let outcome = ((x - 0.3).abs() + (number % 12) as f64).into();
        sampler
            .observe(&problem, &FinishedTrial { number, values: space.from_slots(slots).unwrap(), outcome });
    }
    let cx = teleprompt_tpe::AskContext::new(&problem, 1_000_000, &[]);
    let values = sampler.suggest(&cx).unwrap();
    assert_eq!(values.choice("c"), Some(0));
    assert!((values.float("x").unwrap() - 0.3).abs() < 0.1, "{values:?}");
}
