//! Laplace's fit against numbers of a high-precision reference, and the laws that it obeys.

use proptest::prelude::*;
use serde::Deserialize;
use teleprompt_tpe::bayes::{BayesLinear, BayesLogistic, ChoiceKernel};

use super::{Kernel, cases, close, ease, evidence, renamed, reordered, scores, space};

/// What the reference found for the scores of a case.
#[derive(Deserialize)]
pub(super) struct Expected {
    kernel: Kernel,
    mean: f64,
    rows: Kernel,
    posterior_mean: Vec<f64>,
    posterior_covariance: Vec<Vec<f64>>,
    log_evidence: f64,
    /// The expected score of each point, and how steeply it rises with the log odds.
    scores: Vec<(f64, f64)>,
}

fn model() -> BayesLogistic {
    let kernel = ChoiceKernel::additive(4.0, vec![0.1, 0.3]).with_own(0.2).with_pair(0, 1, 0.1);
    let rows = ChoiceKernel::additive(1.5, vec![0.0, 1.0]).with_pair(0, 1, 0.2);
    BayesLogistic::new(kernel.with_bump(vec![0, 0], 0.5), 0.0, rows).unwrap()
}

#[test]
fn the_fit_is_that_of_the_reference() {
    for (number, case) in cases().iter().enumerate() {
        let expect = &case.logistic;
        let model = BayesLogistic::new(expect.kernel.kernel(), expect.mean, expect.rows.kernel()).unwrap();
        let evidence = case.evidence();
        let fit = model.fit(&evidence).unwrap();
        let (odds, scores) = (fit.posterior(&case.at), model.scores(&fit, &case.at));
        for i in 0..case.at.len() {
            let (score, slope) = expect.scores[i];
            assert!(close(odds.mean()[i], expect.posterior_mean[i], 1e-11), "case {number}, mean {i}");
            assert!(close(scores.mean()[i], score, 1e-11), "case {number}, score {i}");
            for j in 0..case.at.len() {
                let covariance = expect.posterior_covariance[i][j];
                assert!(close(odds.covariance(i, j), covariance, 1e-11), "case {number}, {i} {j}");
                let covariance = covariance * slope * expect.scores[j].1;
                assert!(close(scores.covariance(i, j), covariance, 1e-11), "case {number}, {i} {j}");
            }
        }
        assert!(close(fit.log_evidence(), expect.log_evidence, 1e-11), "case {number}");
    }
}

#[test]
fn what_makes_no_sense_is_refused() {
    let kernel = || ChoiceKernel::additive(1.0, vec![0.1]);
    assert!(BayesLogistic::new(kernel().with_own(-1.0), 0.0, ease(1.0)).is_err());
    assert!(BayesLogistic::new(kernel(), f64::INFINITY, ease(1.0)).is_err());
    assert!(BayesLogistic::new(kernel(), 0.0, ease(f64::NAN)).is_err());
    for value in [-0.25, 1.25] {
        let seen = evidence(1, &[vec![0]], &[(0, 0, value)]);
        let error = BayesLogistic::new(kernel(), 0.0, ease(1.0)).unwrap().fit(&seen).unwrap_err();
        assert!(error.to_string().contains("right-or-wrong"), "{error}");
    }
}

#[test]
fn without_evidence_the_prior_stands() {
    let nothing = evidence(0, &[], &[]);
    let model = BayesLogistic::new(ChoiceKernel::additive(1.0, vec![0.5]), 0.0, ease(2.0)).unwrap();
    let fit = model.fit(&nothing).unwrap();
    assert_eq!((fit.at(&[4]), fit.log_evidence()), ((0.0, 1.5_f64.sqrt()), 0.0));
    assert!(close(model.scores(&fit, &[vec![4]]).mean()[0], 0.5, 1e-12));
    assert!(model.scores(&fit, &[]).is_empty());
}

#[test]
fn one_point_on_one_row_solves_its_own_equation() {
    // With a prior variance of 3 in all, the mode is where odds / 3 is what the score is above its probability.
    let model = BayesLogistic::new(ChoiceKernel::additive(1.0, vec![0.0]), 0.0, ease(2.0)).unwrap();
    let fit = model.fit(&evidence(1, &[vec![0]], &[(0, 0, 1.0)])).unwrap().mean_at(&[0]);
    // The row has two thirds of it.
    let odds: f64 = 3.0 * fit;
    assert!(close(odds / 3.0, 1.0 - 1.0 / (1.0 + (-odds).exp()), 1e-12), "{odds}");
}

#[test]
fn all_right_and_all_wrong_stay_finite_and_in_order() {
    for value in [0.0, 1.0] {
        // Hundreds of scores under a prior that allows nearly anything.
        let scores: Vec<(usize, usize, f64)> = (0..600).map(|i| (i % 3, i / 3, value)).collect();
        let seen = evidence(200, &[vec![0], vec![1], vec![2]], &scores[1..]);
        let model = BayesLogistic::new(ChoiceKernel::additive(900.0, vec![100.0]), 0.0, ease(900.0)).unwrap();
        let fit = model.fit(&seen).unwrap();
        let expected = model.scores(&fit, seen.points());
        assert!(fit.log_evidence().is_finite() && fit.log_evidence() < 0.0);
        for point in 0..3 {
            assert!((expected.mean()[point] - value).abs() < 0.5, "{:?}", expected.mean());
            assert!(expected.sd(point) > 0.0 && expected.sd(point) < 0.5);
        }
        assert!((expected.mean()[1] - expected.mean()[2]).abs() < 1e-9);
    }
}

#[test]
fn wide_turns_pull_scores_to_the_middle() {
    let scores: Vec<(usize, usize, f64)> =
        (0..400).map(|row| (0, row, if row % 4 > 0 { 1.0 } else { 0.0 })).collect();
    let seen = evidence(400, &[vec![0]], &scores);
    for (sd, expect) in [(0.0, 0.75), (1.0, 0.719), (2.0, 0.687), (5.0, 0.632), (10.0, 0.590)] {
        let kernel = ChoiceKernel::additive(1e4, vec![0.0]);
        let model = BayesLogistic::new(kernel, 0.0, ease(sd * sd)).unwrap();
        let score = model.scores(&model.fit(&seen).unwrap(), seen.points()).mean()[0];
        assert!((score - expect).abs() < 2e-3, "{sd}: {score}");
    }
}

#[test]
fn steps_that_overshoot_are_halved_until_they_settle() {
    // 200 rows that set two points apart, and scores against them where the prior is far off.
    let mut scores: Vec<(usize, usize, f64)> =
        (0..200).flat_map(|row| [(0, row, 1.0), (1, row, 0.0)]).collect();
    for row in 200..400 {
        scores.extend([(0, row, 0.0); 50]);
        scores.push((1, row, 1.0));
    }
    let seen = evidence(400, &[vec![0], vec![1]], &scores);
    let model = BayesLogistic::new(ChoiceKernel::additive(4.0, vec![0.0]), 6.0, ease(1000.0)).unwrap();
    let fit = model.fit(&seen).unwrap();
    assert!((fit.mean_at(&[0]) - 1.106).abs() < 1e-3, "{}", fit.mean_at(&[0]));
    assert!((fit.log_evidence() + 2579.0).abs() < 1.0, "{}", fit.log_evidence());
}

#[test]
fn beliefs_and_evidence_stay_finite_under_any_prior() {
    let scores: Vec<(usize, usize, f64)> =
        (0..60).map(|i| (i % 2, i / 2, if i % 5 < 3 { 1.0 } else { 0.0 })).collect();
    let seen = evidence(30, &[vec![0], vec![1]], &scores);
    for (values, rows) in [(0.0, 0.0), (1e12, 0.0), (4.0, 1e12), (1e12, 1e12), (1e9, 1.0)] {
        let model =
            BayesLogistic::new(ChoiceKernel::additive(values, vec![values]), 0.0, ease(rows)).unwrap();
        let fit = model.fit(&seen).unwrap();
        assert!(fit.log_evidence().is_finite(), "{values} {rows}: {}", fit.log_evidence());
        let unseen = [vec![0], vec![1], vec![2]];
        let scores = model.scores(&fit, &unseen);
        for i in 0..3 {
            assert!((0.0..=1.0).contains(&scores.mean()[i]) && scores.sd(i).is_finite(), "{values} {rows}");
        }
    }
    // What is not known at all is right half of the time, however wide the belief.
    let model = BayesLogistic::new(ChoiceKernel::additive(1e6, vec![0.0]), 0.0, ease(0.0)).unwrap();
    let nothing = evidence(0, &[], &[]);
    let scores = model.scores(&model.fit(&nothing).unwrap(), &[vec![0]]);
    // The density of log odds at 0, 0.3989 / 1000, is how steeply the probability rises with their mean.
    assert!(close(scores.mean()[0], 0.5, 1e-9) && (scores.sd(0) - 0.39894).abs() < 1e-4, "{}", scores.sd(0));
}

#[test]
fn near_the_middle_it_is_the_linear_fit() {
    // Where all log odds are near 0, a score is 1/2 + odds / 4 with a noise of variance 1/4.
    let scores = [(0, 0, 0.6), (1, 0, 0.4), (2, 0, 0.55), (0, 1, 0.52), (1, 1, 0.45), (3, 1, 0.5)];
    let seen = evidence(2, &space(), &scores);
    let kernel = |scale: f64| {
        ChoiceKernel::additive(0.01 * scale, vec![0.01 * scale, 0.02 * scale]).with_own(0.01 * scale)
    };
    let logistic = BayesLogistic::new(kernel(1.0), 0.0, ease(0.02)).unwrap();
    let linear = BayesLinear::new(kernel(1.0 / 16.0), 0.5, ease(0.02 / 16.0), 0.25).unwrap();
    let (a, b) = (logistic.fit(&seen).unwrap(), linear.fit(&seen));
    let expected = logistic.scores(&a, &space());
    for (i, point) in space().iter().enumerate() {
        let (mean, sd) = b.at(point);
        assert!((expected.mean()[i] - mean).abs() < 1e-4, "{} {mean}", expected.mean()[i]);
        assert!((expected.sd(i) / sd - 1.0).abs() < 0.03, "{} {sd}", expected.sd(i));
    }
}

/// Scores that are right or wrong.
fn verdicts() -> impl Strategy<Value = Vec<(usize, usize, f64)>> {
    scores().prop_map(|scores| scores.into_iter().map(|(p, row, v)| (p, row, v.round())).collect())
}

proptest! {
    #[test]
    fn evidence_never_widens_the_prior(scores in scores()) {
        let (nothing, seen) = (evidence(6, &space(), &[]), evidence(6, &space(), &scores));
        let model = model();
        let before = model.fit(&nothing).unwrap().posterior(&space());
        let after = model.fit(&seen).unwrap().posterior(&space());
        for i in 0..12 {
            prop_assert!(after.sd(i) <= before.sd(i) + 1e-9);
            for j in 0..i {
                prop_assert!(after.sd_of_difference(i, j) <= before.sd_of_difference(i, j) + 1e-9);
            }
        }
    }

    #[test]
    fn a_right_answer_more_never_lowers_its_point(scores in verdicts()) {
        let (point, row, _) = scores[0];
        let mut more = scores.clone();
        more.push((point, row, 1.0));
        let (some, all) = (evidence(6, &space(), &scores), evidence(6, &space(), &more));
        let model = model();
        let (before, after) = (model.fit(&some).unwrap(), model.fit(&all).unwrap());
        prop_assert!(after.mean_at(&space()[point]) >= before.mean_at(&space()[point]) - 1e-9);
        prop_assert!(after.log_evidence() < before.log_evidence());
    }

    #[test]
    fn right_and_wrong_are_mirrored(scores in scores()) {
        let turned: Vec<_> = scores.iter().map(|&(point, row, value)| (point, row, 1.0 - value)).collect();
        let (one, other) = (evidence(6, &space(), &scores), evidence(6, &space(), &turned));
        let model = model();
        let (a, b) = (model.fit(&one).unwrap(), model.fit(&other).unwrap());
        prop_assert!(close(a.log_evidence(), b.log_evidence(), 1e-9));
        for point in &space() {
            let ((mean, sd), (mirrored, same)) = (a.at(point), b.at(point));
            prop_assert!(close(mean, -mirrored, 1e-8) && close(sd, same, 1e-8), "{mean} {mirrored} {sd} {same}");
        }
    }

    #[test]
    fn the_order_of_scores_changes_nothing(scores in scores(), by in 0..60_usize) {
        let (one, other) = (evidence(6, &space(), &scores), evidence(6, &space(), &reordered(&scores, by)));
        let model = model();
        prop_assert_eq!(model.fit(&one).unwrap().posterior(&space()), model.fit(&other).unwrap().posterior(&space()));
    }

    #[test]
    fn renaming_choices_changes_nothing(scores in scores(), by in 1..4_usize) {
        let renamed = renamed(by);
        let (one, other) = (evidence(6, &space(), &scores), evidence(6, &renamed, &scores));
        let model = model();
        let (a, b) = (model.fit(&one).unwrap(), model.fit(&other).unwrap());
        for (point, renamed) in space().iter().zip(&renamed) {
            let ((mean, sd), (same, wide)) = (a.at(point), b.at(renamed));
            prop_assert!(close(mean, same, 1e-8) && close(sd, wide, 1e-8));
        }
    }
}
