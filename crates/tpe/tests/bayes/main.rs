//! The Bayesian models against numbers of a high-precision reference, and the laws that they obey.
//!
//! The numbers were made by `xtask/golden/bayes.py`, with 50 digits and by conditioning the full joint distribution.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod logistic;

use proptest::prelude::*;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde::Deserialize;
use teleprompt_tpe::bayes::{BayesLinear, ChoiceKernel, Evidence, Look, mean_by_evidence};

#[derive(Deserialize)]
struct Kernel {
    constant: f64,
    main: Vec<f64>,
    pairs: Vec<(usize, usize, f64)>,
    own: f64,
    bump: Option<(Vec<usize>, f64)>,
}

impl Kernel {
    fn kernel(&self) -> ChoiceKernel {
        let mut kernel = ChoiceKernel::additive(self.constant, self.main.clone()).with_own(self.own);
        for &(d, e, variance) in &self.pairs {
            kernel = kernel.with_pair(d, e, variance);
        }
        match &self.bump {
            Some((anchor, variance)) => kernel.with_bump(anchor.clone(), *variance),
            None => kernel,
        }
    }
}

/// What scores of the last point asked for say on rows with a score of each point but the last.
#[derive(Deserialize)]
struct Said {
    rows: usize,
    weights: Vec<f64>,
    information: f64,
}

#[derive(Deserialize)]
struct Case {
    kernel: Kernel,
    mean: f64,
    rows: Kernel,
    noise_variance: f64,
    n_rows: usize,
    points: Vec<Vec<usize>>,
    scores: Vec<(usize, usize, f64)>,
    at: Vec<Vec<usize>>,
    posterior_mean: Vec<f64>,
    posterior_covariance: Vec<Vec<f64>>,
    log_evidence: f64,
    information: Vec<f64>,
    knowledge_gradient: Vec<Vec<f64>>,
    beside: Said,
    logistic: logistic::Expected,
}

fn cases() -> Vec<Case> {
    serde_json::from_str(include_str!("../golden/bayes.json")).unwrap()
}

impl Case {
    fn model(&self) -> BayesLinear {
        BayesLinear::new(self.kernel.kernel(), self.mean, self.rows.kernel(), self.noise_variance).unwrap()
    }

    fn evidence(&self) -> Evidence {
        evidence(self.n_rows, &self.points, &self.scores)
    }
}

fn evidence(n_rows: usize, points: &[Vec<usize>], scores: &[(usize, usize, f64)]) -> Evidence {
    let mut evidence = Evidence::new(n_rows);
    for point in points {
        evidence.point(point);
    }
    for &(point, row, value) in scores {
        evidence.push(point, row, value).unwrap();
    }
    evidence
}

/// Rows that differ in ease and in nothing else.
fn ease(variance: f64) -> ChoiceKernel {
    ChoiceKernel::additive(variance, Vec::new())
}

/// Looks at one point with so much information each.
fn looks(point: usize, information: &[f64]) -> Vec<Look> {
    information.iter().map(|&information| Look::at(point, information)).collect()
}

fn close(a: f64, b: f64, tolerance: f64) -> bool {
    (a - b).abs() <= tolerance * (1.0 + b.abs())
}

#[test]
fn the_fit_is_that_of_the_reference() {
    let cases = cases();
    assert_eq!(cases.len(), 4);
    for (number, case) in cases.iter().enumerate() {
        let (model, evidence) = (case.model(), case.evidence());
        let fit = model.fit(&evidence);
        let posterior = fit.posterior(&case.at);
        let all: Vec<usize> = (0..case.at.len()).collect();
        for i in 0..case.at.len() {
            assert!(close(posterior.mean()[i], case.posterior_mean[i], 1e-11), "case {number}, mean {i}");
            assert!(close(fit.mean_at(&case.at[i]), case.posterior_mean[i], 1e-11), "case {number}, {i}");
            for j in 0..case.at.len() {
                let expect = case.posterior_covariance[i][j];
                assert!(close(posterior.covariance(i, j), expect, 1e-11), "case {number}, {i} {j}");
            }
            let sd = case.posterior_covariance[i][i].sqrt();
            assert!(close(fit.at(&case.at[i]).1, sd, 1e-10), "case {number}, sd {i}");
            let gains = posterior.knowledge_gradient(&all, &looks(i, &case.information));
            for (gain, expect) in gains.iter().zip(&case.knowledge_gradient[i]) {
                assert!((gain - expect).abs() < 1e-11, "case {number}, gain of {i}: {gain} {expect}");
            }
        }
        assert!(close(fit.log_evidence(), case.log_evidence, 1e-10), "case {number}");
        let others = case.points[..case.points.len() - 1].iter().map(Vec::as_slice).collect();
        let said = model
            .nested_rows(others)
            .beside(case.at.last().unwrap(), &[vec![(case.points.len() - 1, case.beside.rows)]]);
        assert!(close(said[0].information, case.beside.information, 1e-11), "case {number}");
        for (weight, expect) in said[0].others.iter().zip(&case.beside.weights) {
            assert!(close(*weight, *expect, 1e-11), "case {number}: {weight} {expect}");
        }
    }
}

#[test]
fn what_makes_no_sense_is_refused() {
    let model = |kernel, row, noise| BayesLinear::new(kernel, 0.5, ease(row), noise);
    let kernel = || ChoiceKernel::additive(1.0, vec![0.1]);
    assert!(model(kernel().with_own(-1.0), 0.1, 0.1).is_err());
    assert!(model(kernel(), -0.1, 0.1).is_err());
    assert!(model(kernel(), 0.1, 0.0).is_err());
    assert!(BayesLinear::new(kernel(), f64::NAN, ease(0.1), 0.1).is_err());
    let mut evidence = Evidence::new(3);
    assert!(evidence.push(0, 0, 1.0).is_err());
    evidence.point(&[1]);
    assert!(evidence.push(0, 3, 1.0).unwrap_err().to_string().contains("row"));
    assert!(evidence.push(0, 0, f64::NAN).is_err());
    assert_eq!(evidence.scores(), []);
}

#[test]
fn one_point_on_one_row_is_a_weighted_mean() {
    // Prior variance 0.25, and 0.5 + 0.25 of row and noise: a quarter of the way from 0.5 to 1.
    let model = BayesLinear::new(ChoiceKernel::additive(0.25, vec![0.0]), 0.5, ease(0.5), 0.25).unwrap();
    let evidence = evidence(1, &[vec![0]], &[(0, 0, 1.0)]);
    let (mean, sd) = model.fit(&evidence).at(&[0]);
    assert!(close(mean, 0.625, 1e-12) && close(sd * sd, 0.1875, 1e-12), "{mean} {sd}");
}

#[test]
fn without_evidence_the_prior_stands() {
    let model =
        BayesLinear::new(ChoiceKernel::additive(1.0, vec![0.5]).with_own(0.25), 0.3, ease(0.1), 0.1).unwrap();
    let nothing = evidence(0, &[], &[]);
    let fit = model.fit(&nothing);
    assert_eq!(fit.at(&[4]), (0.3, 1.75_f64.sqrt()));
    assert_eq!(fit.log_evidence(), 0.0);
    assert!(fit.posterior(&[]).is_empty() && fit.posterior(&[]).best().is_none());
    let alone = model.nested_rows(Vec::new()).beside(&[4], &[vec![(0, 1)]]);
    assert!(close(alone[0].information, 5.0, 1e-12) && alone[0].others.is_empty());
}

#[test]
fn all_right_and_all_wrong_stay_in_order() {
    for value in [0.0, 1.0] {
        let scores: Vec<(usize, usize, f64)> = (0..20).map(|i| (i % 2, i / 2, value)).collect();
        let evidence = evidence(10, &[vec![0], vec![1]], &scores);
        let model = BayesLinear::new(ChoiceKernel::additive(1.5, vec![0.01]), 0.5, ease(0.12), 0.14).unwrap();
        let posterior = model.fit(&evidence).posterior(evidence.points());
        assert!((posterior.mean()[0] - value).abs() < 0.1, "{:?}", posterior.mean());
        assert!(close(posterior.probability_above(0, 1), 0.5, 1e-6));
        assert_eq!(posterior.probability_above(0, 0), 0.5);
    }
}

#[test]
fn draws_have_the_moments_of_the_posterior() {
    let scores = [(0, 0, 1.0), (1, 0, 0.0), (2, 0, 1.0), (0, 1, 1.0), (1, 1, 0.0)];
    let evidence = evidence(2, &[vec![0, 0], vec![0, 1], vec![1, 1]], &scores);
    let kernel = ChoiceKernel::additive(0.5, vec![0.2, 0.1]).with_own(0.1);
    let model = BayesLinear::new(kernel, 0.5, ease(0.1), 0.1).unwrap();
    let fit = model.fit(&evidence);
    let posterior = fit.posterior(evidence.points());
    let mut random = ChaCha8Rng::seed_from_u64(5);
    let draws = fit.draws(4000, &mut random);
    let samples: Vec<Vec<f64>> = (0..4000).map(|_| posterior.sample(&mut random)).collect();
    for (i, point) in evidence.points().iter().enumerate() {
        let drawn: Vec<f64> = draws.iter().map(|draw| draw.at(point)).collect();
        for values in [drawn, samples.iter().map(|sample| sample[i]).collect()] {
            let mean = values.iter().sum::<f64>() / 4000.0;
            let variance = values.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>() / 4000.0;
            assert!((mean - posterior.mean()[i]).abs() < 0.02, "{mean}");
            assert!((variance.sqrt() / posterior.sd(i) - 1.0).abs() < 0.05, "{variance}");
        }
    }
}

#[test]
fn models_are_averaged_by_their_evidence() {
    assert_eq!(mean_by_evidence(&[(-3.0, 1.0), (-3.0, 0.0)]), 0.5);
    assert!(close(mean_by_evidence(&[(1000.0, 0.25), (0.0, 1.0)]), 0.25, 1e-12));
    assert!(mean_by_evidence(&[]).is_nan());
}

/// Points of a 3 x 4 space and scores on 6 rows.
fn scores() -> impl Strategy<Value = Vec<(usize, usize, f64)>> {
    prop::collection::vec((0..12_usize, 0..6_usize, 0.0..=1.0), 1..60)
}

fn space() -> Vec<Vec<usize>> {
    (0..12).map(|i| vec![i % 3, i / 3]).collect()
}

/// The same points with other names of their choices, but for choice 0 of each dimension, which is the anchor's.
fn renamed(by: usize) -> Vec<Vec<usize>> {
    let turn = |x: usize, n: usize| if x == 0 { 0 } else { 1 + (x - 1 + by) % (n - 1) };
    space().iter().map(|point| vec![turn(point[0], 3), turn(point[1], 4)]).collect()
}

/// The same scores in another order.
fn reordered(scores: &[(usize, usize, f64)], by: usize) -> Vec<(usize, usize, f64)> {
    let mut turned = scores.to_vec();
    turned.rotate_left(by % scores.len());
    turned.reverse();
    turned
}

fn model() -> BayesLinear {
    let kernel = ChoiceKernel::additive(1.5, vec![0.002, 0.006]).with_own(0.006).with_pair(0, 1, 0.002);
    let rows = ChoiceKernel::additive(0.1, vec![0.0, 0.08]).with_pair(0, 1, 0.01);
    BayesLinear::new(kernel.with_bump(vec![0, 0], 0.02), 0.5, rows, 0.03).unwrap()
}

proptest! {
    #[test]
    fn more_evidence_never_widens_the_belief(scores in scores()) {
        let (some, all) = (evidence(6, &space(), &scores[1..]), evidence(6, &space(), &scores));
        let model = model();
        let (before, after) = (model.fit(&some).posterior(&space()), model.fit(&all).posterior(&space()));
        for i in 0..12 {
            prop_assert!(after.sd(i) <= before.sd(i) + 1e-9);
            for j in 0..i {
                prop_assert!(after.sd_of_difference(i, j) <= before.sd_of_difference(i, j) + 1e-9);
            }
        }
    }

    #[test]
    fn the_order_of_scores_changes_nothing(scores in scores(), by in 0..60_usize) {
        let (one, other) = (evidence(6, &space(), &scores), evidence(6, &space(), &reordered(&scores, by)));
        let model = model();
        prop_assert_eq!(model.fit(&one).posterior(&space()), model.fit(&other).posterior(&space()));
    }

    #[test]
    fn a_fit_at_a_scale_is_that_of_the_scaled_model(scores in scores()) {
        let (seen, model) = (evidence(6, &space(), &scores), model());
        for (fit, scale) in model.fit_at_scales(&seen, &[0.0, 0.3, 1.0, 1.5]).iter().zip([0.0, 0.3, 1.0, 1.5]) {
            let mut scaled = model.clone();
            scaled.kernel = model.kernel.scaled(scale);
            let alone = scaled.fit(&seen);
            prop_assert!(close(fit.log_evidence(), alone.log_evidence(), 1e-9));
            let (a, b) = (fit.posterior(&space()), alone.posterior(&space()));
            for i in 0..12 {
                prop_assert!(close(a.mean()[i], b.mean()[i], 1e-9));
                prop_assert!(close(a.sd(i), b.sd(i), 1e-8), "{} {}", a.sd(i), b.sd(i));
            }
        }
    }

    #[test]
    fn renaming_choices_changes_nothing(scores in scores(), by in 1..4_usize) {
        let renamed = renamed(by);
        let (one, other) = (evidence(6, &space(), &scores), evidence(6, &renamed, &scores));
        let model = model();
        let (a, b) = (model.fit(&one).posterior(&space()), model.fit(&other).posterior(&renamed));
        for i in 0..12 {
            prop_assert!(close(a.mean()[i], b.mean()[i], 1e-9));
            prop_assert!(close(a.sd(i), b.sd(i), 1e-9));
        }
    }

    #[test]
    fn looking_is_worth_something_and_more_of_it_more(scores in scores(), point in 0..12_usize) {
        let seen = evidence(6, &space(), &scores);
        let all: Vec<usize> = (0..12).collect();
        let posterior = model().fit(&seen).posterior(&space());
        let gains = posterior.knowledge_gradient(&all, &looks(point, &[0.0, 5.0, 50.0, 5000.0]));
        prop_assert!(gains[0] == 0.0 && gains.windows(2).all(|pair| pair[0] <= pair[1] + 1e-12), "{:?}", gains);
    }

    #[test]
    fn what_is_anticipated_comes_about(scores in scores(), points in prop::sample::subsequence((0..12_usize).collect::<Vec<_>>(), 1..6)) {
        // Some points on a row of their own, one after the other: each says what it was expected to say beside those before it.
        let model = model();
        let mut more = scores.clone();
        let mut before = model.fit(&evidence(7, &space(), &scores)).posterior(&space());
        for (at, &point) in points.iter().enumerate() {
            let all = space();
            let others = points[..at].iter().map(|&other| all[other].as_slice()).collect();
            let said = model.nested_rows(others).beside(&all[point], &[vec![(at, 1)]]).remove(0);
            let weights = points[..at].iter().zip(&said.others).map(|(&other, weight)| (other, -weight));
            let weights = std::iter::once((point, 1.0)).chain(weights).collect();
            before.anticipate(&Look { weights, information: said.information });
            more.push((point, 6, 1.0));
            let came = model.fit(&evidence(7, &space(), &more)).posterior(&space());
            for i in 0..12 {
                prop_assert!(close(came.sd(i), before.sd(i), 1e-8), "{} {}", came.sd(i), before.sd(i));
            }
        }
    }
}
