//! Laws of densities and studies, through the public API.

#![expect(clippy::unwrap_used, reason = "a failed step is a failed test")]

use proptest::prelude::*;
use teleprompt_tpe::journal::{JournalError, JournalStudy};
use teleprompt_tpe::{
    AskContext, AutoSampler, Densities, Dependence, Direction, Distribution, Error, FinishedTrial, Gamma,
    Observation, Outcome, ParamValue, Problem, RandomSampler, Sampler, SearchSpace, Study, StudyState,
    TpeConfig, TpeSampler, Trial, Values, Weights,
};

fn space(parameters: &[(&str, Distribution)]) -> SearchSpace {
    let add = |builder: teleprompt_tpe::SearchSpaceBuilder, (name, d): &(&str, Distribution)| {
        builder.param(*name, d.clone())
    };
    parameters.iter().fold(SearchSpace::builder(), add).build().unwrap()
}

/// A sampler that has seen `trials`, and its densities at a point.
struct Seen {
    problem: Problem,
    sampler: TpeSampler,
    pending: Vec<Trial>,
}

impl Seen {
    fn new(space: &SearchSpace, trials: &[(Values, Option<f64>)]) -> Self {
        let problem = Problem { space: space.clone(), direction: Direction::Minimize, seed: 3 };
        let mut sampler = TpeSampler::default();
        let mut pending = Vec::new();
        for (number, (values, value)) in (0..).zip(trials) {
            let values = values.clone();
            match *value {
                Some(value) => {
                    sampler.observe(&problem, &FinishedTrial { number, values, outcome: value.into() })
                }
                None => pending.push(Trial { number, values }),
            }
        }
        Self { problem, sampler, pending }
    }

    fn densities(&mut self, values: &Values) -> Densities {
        let cx = AskContext::new(&self.problem, 1000, &self.pending);
        self.sampler.densities(&cx, values).unwrap()
    }
}

/// `n` random trials of a space, some pending.
fn history(space: &SearchSpace, n: u64, seed: u64) -> Vec<(Values, Option<f64>)> {
    let problem = Problem { space: space.clone(), direction: Direction::Minimize, seed };
    let trial = |number| {
        let values = RandomSampler.suggest(&AskContext::new(&problem, number, &[])).unwrap();
        let value = (number % 6 != 5).then_some(((number * 7919 + seed) % 13) as f64);
        (values, value)
    };
    (0..n).map(trial).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn probabilities_of_countable_spaces_sum_to_one(n in 0_u64..60, seed in 0_u64..1000) {
        let space = space(&[
            ("c", Distribution::indices(3)),
            ("i", Distribution::int(-2, 2)),
            ("l", Distribution::log_int(1, 9)),
            ("s", Distribution::stepped_float(0.0, 1.0, 0.25)),
        ]);
        let mut seen = Seen::new(&space, &history(&space, n, seed));
        let (mut l, mut g) = (0.0, 0.0);
        for (c, i) in (0..3).flat_map(|c| (-2..=2).map(move |i| (c, i))) {
            for (k, s) in (1..=9).flat_map(|k| (0..5).map(move |s| (k, s))) {
                let s = f64::from(s) * 0.25;
                let pairs = [("c", ParamValue::Choice(c)), ("i", i.into()), ("l", k.into()), ("s", s.into())];
                let d = seen.densities(&space.values(pairs).unwrap());
                l += d.log_l.exp();
                g += d.log_g.exp();
            }
        }
        prop_assert!((l - 1.0).abs() < 1e-10 && (g - 1.0).abs() < 1e-10, "{l} {g}");
    }

    #[test]
    fn densities_of_floats_integrate_to_one(n in 0_u64..40, seed in 0_u64..1000, exponent in -300..=300) {
        let scale = 10_f64.powi(exponent);
        for (distribution, low, width) in [
            (Distribution::float(-2.0 * scale, 5.0 * scale), -2.0 * scale, 7.0 * scale),
            (Distribution::log_float(scale, 1e5 * scale), scale.ln(), 1e5_f64.ln()),
        ] {
            let space = space(&[("x", distribution.clone())]);
            let mut seen = Seen::new(&space, &history(&space, n, seed));
            // Midpoint rule; the kernels are at least a hundredth of the range wide.
            let steps = 2000;
            let (mut l, mut g) = (0.0, 0.0);
            for k in 0..steps {
                let x = low + width * (f64::from(k) + 0.5) / f64::from(steps);
                let x = if matches!(distribution, Distribution::Float { log: true, .. }) { x.exp() } else { x };
                let d = seen.densities(&space.values([("x", x.into())]).unwrap());
                l += (d.log_l + (width / f64::from(steps)).ln()).exp();
                g += (d.log_g + (width / f64::from(steps)).ln()).exp();
            }
            prop_assert!((l - 1.0).abs() < 1e-3 && (g - 1.0).abs() < 1e-3, "{l} {g}");
        }
    }

    #[test]
    fn relabelled_choices_permute_the_densities(n in 0_u64..60, seed in 0_u64..1000, shift in 1_usize..5) {
        let space = space(&[("a", Distribution::indices(5)), ("x", Distribution::float(0.0, 1.0))]);
        let relabel = |values: &Values| {
            let pairs = values.iter().map(|(name, value)| match value {
                ParamValue::Choice(c) => (name, ParamValue::Choice((c + shift) % 5)),
                other => (name, other),
            });
            space.values(pairs).unwrap()
        };
        let trials = history(&space, n, seed);
        let relabelled: Vec<_> = trials.iter().map(|(values, value)| (relabel(values), *value)).collect();
        let (mut one, mut other) = (Seen::new(&space, &trials), Seen::new(&space, &relabelled));
        for (point, _) in history(&space, 8, seed + 1) {
            prop_assert_eq!(one.densities(&point), other.densities(&relabel(&point)));
        }
    }

    #[test]
    fn rescaled_ranges_leave_choices_alone(n in 12_u64..40, seed in 0_u64..1000) {
        // Powers of two scale without rounding, so the whole search must be the same.
        let ask = |scale: f64| {
            let space = space(&[("x", Distribution::float(0.0, scale)), ("a", Distribution::indices(4))]);
            let mut study = Study::new(space, TpeSampler::default(), Direction::Maximize, seed);
            let mut seen = Vec::new();
            for _ in 0..n {
                let trial = study.ask().unwrap();
                let x = trial.values.float("x").unwrap() / scale;
                let a = trial.values.choice("a").unwrap();
                seen.push((x, a));
                study.tell(trial.number, x * (1.0 - x) + a as f64).unwrap();
            }
            seen
        };
        prop_assert_eq!(ask(1.0), ask(2_f64.powi(900)));
        prop_assert_eq!(ask(1.0), ask(2_f64.powi(-900)));
    }

    #[test]
    fn monotone_objectives_leave_the_search_alone(seed in 0_u64..1000) {
        // TPE uses ranks: values from 1e-300 to 1e300, and minimize or maximize, make no difference.
        let run = |direction, value: fn(f64) -> f64| {
            let space = space(&[("x", Distribution::float(0.0, 1.0)), ("k", Distribution::int(0, 9))]);
            let mut study = Study::new(space, TpeSampler::default(), direction, seed);
            for _ in 0..30 {
                let trial = study.ask().unwrap();
                let x = trial.values.float("x").unwrap() + trial.values.int("k").unwrap() as f64 / 10.0;
                study.tell(trial.number, value(x)).unwrap();
            }
            let best = study.best().unwrap().number;
            (best, study.trials().map(|t| t.values.clone()).collect::<Vec<_>>())
        };
        let plain = run(Direction::Minimize, |x| x);
        prop_assert_eq!(&plain, &run(Direction::Minimize, |x| 10_f64.powf(300.0 * (x - 1.0))));
        prop_assert_eq!(&plain, &run(Direction::Maximize, |x| -x));
    }
}

#[test]
fn a_study_goes_on_from_its_state() {
    let space = space(&[("x", Distribution::float(0.0, 1.0)), ("a", Distribution::indices(3))]);
    let mut study = Study::new(space.clone(), TpeSampler::default(), Direction::Maximize, 5);
    let queued = space.values([("x", 0.25.into()), ("a", ParamValue::Choice(2))]).unwrap();
    study.add_trial(&queued, Observation::new(0.1).with_count(100)).unwrap();
    for k in 0..25 {
        let trial = study.ask().unwrap();
        match k % 5 {
            0 => {}
            1 => study.tell_failed(trial.number).unwrap(),
            _ => study.tell(trial.number, trial.values.float("x").unwrap()).unwrap(),
        }
    }
    study.enqueue(&queued).unwrap();
    let json = serde_json::to_string(&study.state()).unwrap();
    let mut restored = Study::restore(serde_json::from_str(&json).unwrap(), TpeSampler::default()).unwrap();
    assert_eq!(restored.state(), study.state());
    assert_eq!(restored.best(), study.best());
    let first = study.ask().unwrap();
    assert_eq!(first.values, queued);
    assert_eq!(first, restored.ask().unwrap());
    assert_eq!(study.ask().unwrap(), restored.ask().unwrap());

    let mut state = study.state();
    state.finished.remove(3);
    assert!(matches!(Study::restore(state, RandomSampler), Err(Error::Corrupt { .. })));
}

#[test]
fn misuse_is_an_error_and_changes_nothing() {
    let space = space(&[("x", Distribution::float(0.0, 1.0))]);
    let mut study: Study = Study::new(space, Box::new(RandomSampler), Direction::Minimize, 0);
    assert_eq!(study.tell(0, 1.0), Err(Error::UnknownTrial { number: 0 }));
    let trial = study.ask().unwrap();
    let before = study.state();
    for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        assert!(matches!(study.tell(trial.number, bad), Err(Error::Observation { .. })));
        assert!(study.add_trial(&trial.values, bad).is_err());
    }
    assert!(study.tell(trial.number, Observation::new(0.0).with_variance(f64::NAN)).is_err());
    assert_eq!(study.state(), before);
    study.tell(trial.number, 1.0).unwrap();
    assert_eq!(study.tell(trial.number, 1.0), Err(Error::AlreadyFinished { number: 0 }));
    assert_eq!(study.tell_failed(7), Err(Error::UnknownTrial { number: 7 }));
}

#[test]
fn best_is_observed_and_prefers_the_earlier_of_equals() {
    let space = space(&[("x", Distribution::float(0.0, 1.0))]);
    let mut study = Study::new(space, RandomSampler, Direction::Maximize, 0);
    let trials: Vec<_> = (0..5).map(|_| study.ask().unwrap()).collect();
    assert!(study.best().is_none());
    for (number, outcome) in [(4, 2.0.into()), (1, 2.0.into()), (0, Outcome::Pruned), (2, 1.0.into())] {
        study.tell(number, outcome).unwrap();
    }
    assert_eq!(study.best().unwrap().number, 1);
    assert_eq!(study.best().unwrap().values, trials[1].values);
    assert_eq!(study.trials().map(|t| t.number).collect::<Vec<_>>(), [0, 1, 2, 4]);
    assert_eq!(study.pending(), [trials[3].clone()]);
}

#[test]
fn the_best_trial_is_feasible() {
    let space = space(&[("x", Distribution::float(0.0, 1.0))]);
    let mut study = Study::new(space, TpeSampler::default(), Direction::Minimize, 0);
    for _ in 0..80 {
        let trial = study.ask().unwrap();
        let x = trial.values.float("x").unwrap();
        // Small values are good, and forbidden below 0.7.
        study.tell(trial.number, Observation::new(x).with_violation((0.7 - x).max(0.0))).unwrap();
    }
    let x = study.best().unwrap().value().unwrap();
    assert!((0.7..0.72).contains(&x), "{x}");
}

#[test]
fn old_trials_are_left_out_of_g_where_that_is_asked() {
    let space = space(&[("x", Distribution::float(0.0, 1.0)), ("c", Distribution::indices(3))]);
    let problem = Problem { space: space.clone(), direction: Direction::Minimize, seed: 3 };
    let trials = history(&space, 60, 1);
    let densities = |max_others| {
        let mut sampler = TpeSampler::new(TpeConfig { max_others, ..TpeConfig::default() }).unwrap();
        for (number, (values, value)) in (0..).zip(&trials) {
            let outcome = value.map_or(Outcome::Failed, Outcome::from);
            sampler.observe(&problem, &FinishedTrial { number, values: values.clone(), outcome });
        }
        sampler.densities(&AskContext::new(&problem, 60, &[]), &trials[7].0).unwrap()
    };
    let (all, ample, few) = (densities(None), densities(Some(60)), densities(Some(12)));
    assert_eq!(all, ample);
    assert!(all.log_l == few.log_l && all.log_g != few.log_g);
}

#[test]
fn densities_are_finite_on_extreme_ranges() {
    let parameters = [
        ("huge", Distribution::float(-8e307, 8e307)),
        ("tiny", Distribution::float(0.0, 5e-324)),
        ("log", Distribution::log_float(1e-300, 1e300)),
        ("int", Distribution::int(-(1 << 53), 1 << 53)),
        ("log_int", Distribution::log_int(1, 1 << 53)),
        ("fine", Distribution::stepped_float(-1.0, 1.0, 1e-13)),
    ];
    for parameter in parameters {
        let space = space(&[parameter]);
        let trials = history(&space, 40, 9);
        let mut seen = Seen::new(&space, &trials);
        for (point, _) in &trials {
            let d = seen.densities(point);
            assert!(d.log_l.is_finite() && d.log_g.is_finite(), "{point:?} {d:?}");
        }
    }
}

#[test]
fn tpe_finds_what_random_does_not() {
    // Two coupled choices of 12 and a narrow float: the median of 15 seeds.
    let regret = |sampler: fn() -> Box<dyn Sampler>| {
        let mut regrets: Vec<f64> = (0..15)
            .map(|seed| {
                let space = space(&[
                    ("a", Distribution::indices(12)),
                    ("b", Distribution::indices(12)),
                    ("x", Distribution::float(0.0, 1.0)),
                ]);
                let mut study = Study::new(space, sampler(), Direction::Minimize, seed);
                for _ in 0..120 {
                    let trial = study.ask().unwrap();
                    let (a, b) = (trial.values.choice("a").unwrap(), trial.values.choice("b").unwrap());
                    let x = trial.values.float("x").unwrap();
                    let value = f64::from(u8::from(a != 4)) + f64::from(u8::from(b != 9)) + (x - 0.3).abs();
                    study.tell(trial.number, value).unwrap();
                }
                study.best().unwrap().value().unwrap()
            })
            .collect();
        regrets.sort_by(f64::total_cmp);
        regrets[7]
    };
    let (tpe, random) = (regret(|| Box::new(TpeSampler::default())), regret(|| Box::new(RandomSampler)));
    assert!(tpe < 0.1 * random, "{tpe} {random}");
}

#[test]
fn samplers_are_send_and_object_safe() {
    fn assert_send<T: Send>() {}
    fn assert_plain<T: Send + Sync + Unpin + 'static>() {}
    assert_send::<Study>();
    assert_plain::<Study<TpeSampler>>();
    assert_plain::<Study<AutoSampler>>();
    assert_plain::<StudyState>();
    assert_plain::<TpeConfig>();
    assert_plain::<SearchSpace>();
    assert_plain::<FinishedTrial>();
    assert_plain::<Error>();
    assert_plain::<JournalStudy<TpeSampler>>();
    assert_plain::<JournalError>();
    let _: Box<dyn Sampler> = Box::new(
        TpeSampler::new(TpeConfig { dependence: Dependence::Univariate, ..TpeConfig::default() }).unwrap(),
    );
}

/// `ln l` at a choice of three, after two good trials, 0.0 at choice 0 and 3.0 at choice 1, and two others at choice 2, the
/// better one 4.0. All values are times `scale`.
fn log_l(weights: Weights, scale: f64, at: usize) -> f64 {
    let space = space(&[("c", Distribution::indices(3))]);
    let config =
        TpeConfig { gamma: Gamma::Linear { fraction: 0.5, cap: 25 }, weights, ..TpeConfig::optuna() };
    let mut sampler = TpeSampler::new(config).unwrap();
    let problem = Problem { space: space.clone(), direction: Direction::Minimize, seed: 1 };
    for (number, (choice, value)) in [(1, 3.0), (2, 4.0), (0, 0.0), (2, 9.0)].into_iter().enumerate() {
        let values = space.from_slots(vec![Some(ParamValue::Choice(choice))]).unwrap();
        let outcome = (scale * value).into();
        sampler.observe(&problem, &FinishedTrial { number: number as u64, values, outcome });
    }
    let values = space.from_slots(vec![Some(ParamValue::Choice(at))]).unwrap();
    sampler.densities(&AskContext::new(&problem, 4, &[]), &values).unwrap().log_l
}

/// What that is, where the good trials count `best` and `second`, and the prior 1. Three kernels: a third everywhere, and
/// one more at the observed choice, over two.
fn check_weights(weights: Weights, scale: f64, best: f64, second: f64) {
    let (hit, miss) = (4.0 / 6.0, 1.0 / 6.0);
    let expect = [
        (best * hit + second * miss + 1.0 / 3.0) / 3.0,
        (best * miss + second * hit + 1.0 / 3.0) / 3.0,
        (2.0 * miss + 1.0 / 3.0) / 3.0,
    ];
    for (at, expect) in expect.iter().enumerate() {
        let found = log_l(weights, scale, at).exp();
        assert!((found - expect).abs() < 1e-12, "{weights:?} {scale} {at}: {found} {expect}");
    }
}

#[test]
fn good_trials_count_by_their_improvement() {
    for scale in [1e-300, 1.0, 1e300] {
        check_weights(Weights::Improvement, scale, 1.6, 0.4);
    }
}

#[test]
fn good_trials_count_by_their_rank() {
    // 1/1 + 1/2 and 1/2, whatever the values are.
    for scale in [1e-300, 1.0, 1e300] {
        check_weights(Weights::Rank, scale, 1.5, 0.5);
    }
}
