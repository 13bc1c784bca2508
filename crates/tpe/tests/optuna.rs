//! Densities against numbers made by Optuna 5.0.0 (`golden/make_optuna.py`).

use serde::Deserialize;
use teleprompt_tpe::{
    AskContext, Dependence, Direction, FinishedTrial, Observation, Problem, Sampler, SearchSpace, TpeConfig,
    TpeSampler, Trial, Values,
};

#[derive(Deserialize)]
struct Case {
    name: String,
    direction: Direction,
    multivariate: bool,
    space: SearchSpace,
    finished: Vec<Finished>,
    pending: Vec<Trial>,
    points: Vec<Point>,
}

#[derive(Deserialize)]
struct Finished {
    number: u64,
    values: Values,
    value: f64,
    violation: f64,
}

#[derive(Deserialize)]
struct Point {
    values: Values,
    log_l: f64,
    log_g: f64,
}

fn close(name: &str, found: f64, expected: f64) {
    let tolerance = 1e-10 * expected.abs().max(1.0);
    assert!((found - expected).abs() < tolerance, "{name}: {found} is not {expected}");
}

#[test]
fn densities_are_those_of_optuna() {
    let cases: Vec<Case> = serde_json::from_str(include_str!("golden/optuna.json")).unwrap();
    assert_eq!(cases.len(), 19);
    for Case { name, direction, multivariate, space, finished, pending, points } in cases {
        let problem = Problem { space, direction, seed: 0 };
        let dependence = if multivariate { Dependence::Multivariate } else { Dependence::Univariate };
        let mut sampler = TpeSampler::new(TpeConfig { dependence, ..TpeConfig::optuna() }).unwrap();
        let number = (finished.len() + pending.len()) as u64;
        let bind = |values: &Values| problem.space.values(values.iter()).unwrap();
        for Finished { number, values, value, violation } in finished {
            let outcome = Observation::new(value).with_violation(violation).into();
            sampler.observe(&problem, &FinishedTrial { number, values: bind(&values), outcome });
        }
        let pending: Vec<_> =
            pending.iter().map(|trial| Trial { number: trial.number, values: bind(&trial.values) }).collect();
        let cx = AskContext::new(&problem, number, &pending);
        for point in points {
            let found = sampler.densities(&cx, &point.values).unwrap();
            close(&name, found.log_l, point.log_l);
            close(&name, found.log_g, point.log_g);
        }
    }
}
