//! Tests of the family as a whole.

use super::judge::{MEASURED, judge};
use super::simulated::trials;
use super::terrain::{Ledger, Terrain};
use super::*;
use crate::landscape::Landscape;

fn small(kind: Kind, seed: u64) -> Simulated {
    Simulated::new(&Cell { mode: "light", predictors: 1, n: 6, rows: 100 }, kind, seed)
}

#[test]
fn trials_are_those_of_the_reference() {
    for (predictors, n, expect) in
        [(1, 6, 10), (1, 12, 18), (1, 18, 27), (2, 6, 20), (2, 12, 28), (2, 18, 33)]
    {
        assert_eq!(trials(predictors, n), expect, "{predictors} {n}");
    }
}

#[test]
fn landscapes_have_the_kind_that_they_are_asked_for() {
    for seed in 0..20 {
        let best = small(Kind::DefaultBest, seed);
        assert!((best.truth(&best.default()) - best.best()).abs() < 1e-9, "seed {seed}");
        assert!(best.best() - best.chance() > 0.03, "seed {seed}");
        let flat = small(Kind::Flat, seed);
        assert!(flat.best() - flat.chance() < 0.04, "seed {seed}");
        let ordinary = small(Kind::Ordinary, seed);
        assert!(ordinary.best() > ordinary.chance(), "seed {seed}");
    }
}

#[test]
fn a_score_is_drawn_once_and_its_mean_is_the_truth() {
    let terrain = Simulated::new(&Cell { mode: "", predictors: 2, n: 6, rows: 20_000 }, Kind::Ordinary, 3);
    for point in [vec![0, 0, 0, 0], vec![1, 2, 2, 5]] {
        let mean = (0..20_000).filter_map(|row| terrain.score(&point, row)).sum::<f64>() / 20_000.0;
        assert!((mean - terrain.truth(&point)).abs() < 0.02, "{mean} {}", terrain.truth(&point));
        assert_eq!(terrain.score(&point, 7), terrain.score(&point, 7));
    }
}

#[test]
fn a_pair_is_paid_for_once() {
    let terrain = small(Kind::Ordinary, 1);
    let ledger = Ledger::new(&terrain);
    ledger.mean(&[0, 1], &[3, 4, 5]);
    ledger.mean(&[0, 1], &[5, 6]);
    ledger.run(&[0, 0], 5);
    assert_eq!(ledger.spent(), 5);
}

#[test]
fn nobody_spends_more_than_the_reference() {
    let contenders = contenders(false, &[]);
    let make = |seed| -> Box<dyn Terrain> { Box::new(small(Kind::Ordinary, seed)) };
    let Judgement { verdicts, tracks } = judge(&make, &contenders, &mut [], 3, true).unwrap();
    for (contender, verdicts) in contenders.iter().zip(&verdicts) {
        for verdict in verdicts {
            assert!(verdict.regret >= 0.0 && verdict.harm >= 0.0, "{contender:?}");
        }
    }
    // A track begins with the default and ends with what was returned.
    for (at, verdict) in verdicts.iter().flatten().enumerate() {
        let (track, terrain) = (&tracks[at / 3][at % 3], small(Kind::Ordinary, MEASURED + 1 + at as u64 % 3));
        assert!((track.at(0) - terrain.truth(&terrain.default())).abs() < 1e-12);
        let regret = (terrain.best() - track.at(usize::MAX)) / (terrain.best() - terrain.chance());
        assert!((regret - verdict.regret).abs() < 1e-9, "{regret} {verdict:?}");
    }
    for (at, contender) in contenders.iter().enumerate() {
        if let Contender::Halving(share) | Contender::Adaptive(share, _) = contender {
            for (mine, reference) in verdicts[at].iter().zip(&verdicts[0]) {
                assert!(mine.cost <= share * reference.cost, "{contender:?}");
            }
        }
    }
}

#[test]
fn what_was_not_recorded_is_never_returned() {
    let text = r#"{"schema": "teleprompt.landscape/1", "name": "x", "task": "x", "role": "public", "model": "m",
        "adapter": "plain", "metric": "exact_match", "classes": 2,
        "predictors": [{"name": "p", "instructions": 2, "demo_sets": 3}], "default": 1, "rows": "vvvvtt",
        "gold": [0, 1, 0, 1, 0, 1], "candidates": [[1, 2], [0, 0], [1, 0]], "scores": ["111111", "000000", "010101"]}"#;
    let landscape = Landscape::from_json(text).unwrap();
    let make = |seed| -> Box<dyn Terrain + '_> { Box::new(Recorded::new(&landscape, seed)) };
    let verdicts = judge(&make, &contenders(false, &[]), &mut [], 4, false).unwrap().verdicts;
    for verdict in verdicts.iter().flatten() {
        assert!([0.0, 1.0, 2.0].map(|r: f64| (verdict.regret - r).abs()).iter().any(|d| *d < 1.01));
        assert!(verdict.cost <= 12.0, "{verdict:?}");
    }
}

#[test]
fn a_peer_that_fails_is_left_out_and_says_why() {
    // A program that ends at once: every search of it fails.
    let mut peers = [Peer::program("gone", &mut std::process::Command::new("teleprompt-no-such-program"))];
    let make = |seed| -> Box<dyn Terrain> { Box::new(small(Kind::Ordinary, seed)) };
    let mut rest = vec![
        Contender::Tpe,
        Contender::Peer(0),
        Contender::Adaptive(1.0, None),
        Contender::Adaptive(0.5, None),
    ];
    let (gone, judgement) = judge_remaining(&make, &mut rest, &mut peers, 2, false).unwrap();
    assert_eq!((gone, rest.len(), judgement.verdicts.len()), (vec![1], 3, 3));
    assert!(!contenders(false, &peers).contains(&Contender::Peer(0)));
    let verdicts = judgement.verdicts;
    let judged = [Judged { name: "light 1".into(), group: Group::Simulated, verdicts, curves: Vec::new() }];
    let comparisons = show::comparisons(&judged, &rest, &peers);
    assert_eq!(comparisons.iter().filter_map(|figure| figure.problem()).collect::<Vec<_>>(), [""; 0]);
    let failures: Vec<&str> = comparisons.iter().filter_map(|figure| figure.failure()).collect();
    assert!(matches!(failures.as_slice(), [reason] if reason.contains("not started")), "{failures:?}");
}
