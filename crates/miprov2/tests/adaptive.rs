//! The adaptive planner on made-up scores: what it promises whatever comes.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;

use proptest::prelude::*;
use teleprompt_miprov2::adaptive::{
    AdaptiveConfig, AdaptiveError, AdaptivePlanner, Decision, PlannedRun, SearchEnd, Space, common_order,
};

fn space(predictors: &[(usize, usize)], rows: usize) -> Space {
    let dimensions = predictors.iter().map(|(_, demos)| if *demos > 0 { 2 } else { 1 }).sum();
    Space {
        predictors: predictors.to_vec(),
        default: vec![0; dimensions],
        strata: (0..rows).map(|row| row % 3.min(rows)).collect(),
        only: Vec::new(),
    }
}

/// A number in `[0, 1)` that depends on all words.
fn hash(words: &[usize]) -> f64 {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    for &word in words {
        state = (state ^ word as u64).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        state ^= state >> 29;
    }
    (state >> 11) as f64 / (1_u64 << 53) as f64
}

/// Right more often the higher the first predictor's choices are.
fn lucky(run: &PlannedRun) -> Option<f64> {
    let words: Vec<usize> = run.choices.iter().copied().chain([run.row]).collect();
    let chance = 0.3 + 0.08 * (run.choices[0] + run.choices.get(1).copied().unwrap_or(0)) as f64;
    Some(f64::from(u8::from(hash(&words) < chance)))
}

/// Runs a search to its end; gives the decision and every plan.
fn search(
    space: &Space,
    config: AdaptiveConfig,
    seed: u64,
    score: impl Fn(&PlannedRun) -> Option<f64>,
) -> (Decision, Vec<Vec<PlannedRun>>) {
    let mut planner = AdaptivePlanner::new(space.clone(), config, seed).unwrap();
    let mut plans = Vec::new();
    loop {
        let plan = planner.plan();
        if plan.is_empty() {
            return (planner.decision().unwrap(), plans);
        }
        assert!(planner.decision().is_none());
        assert_eq!(planner.plan(), plan, "a plan is given again until it is told");
        planner.tell(&plan.iter().map(&score).collect::<Vec<_>>()).unwrap();
        plans.push(plan);
    }
}

#[test]
fn the_best_of_a_clear_landscape_is_found() {
    for seed in 0..3 {
        let (decision, _) = search(&space(&[(4, 5)], 200), AdaptiveConfig::new(1500), seed, lucky);
        assert!(decision.winner.iter().sum::<usize>() >= 6, "{decision:?}");
        assert!(decision.p_better > 0.95 && decision.gain.mean > 0.2, "{decision:?}");
        assert_eq!(decision.winner, decision.leader);
    }
}

#[test]
fn the_default_is_kept_where_nothing_is_better() {
    // The default is right on 9 rows of 10, all others on 5.
    let score = |run: &PlannedRun| {
        let words: Vec<usize> = run.choices.iter().copied().chain([run.row]).collect();
        let chance = if run.choices == [0, 0] { 0.9 } else { 0.5 };
        Some(f64::from(u8::from(hash(&words) < chance)))
    };
    for seed in 0..3 {
        let (decision, _) = search(&space(&[(3, 6)], 100), AdaptiveConfig::new(600), seed, score);
        assert_eq!(decision.winner, [0, 0], "{decision:?}");
    }
}

#[test]
fn a_clear_winner_ends_the_search_early() {
    let score = |run: &PlannedRun| Some(f64::from(u8::from(run.choices == [2, 3])));
    let (decision, _) = search(&space(&[(3, 6)], 400), AdaptiveConfig::new(5000), 1, score);
    assert_eq!((decision.winner, decision.end), (vec![2, 3], SearchEnd::NotWorthwhile));
    assert!(decision.spent < 2500, "{}", decision.spent);
}

#[test]
fn a_change_is_confirmed_before_it_is_proposed() {
    // All but the default are the same and little better: there is nothing to choose among them, and the budget is large.
    let score = |run: &PlannedRun| {
        let better = run.choices != [0, 0];
        Some(f64::from(u8::from(hash(&[usize::from(better), run.row]) < if better { 0.6 } else { 0.5 })))
    };
    let plain = search(&space(&[(2, 2)], 600), AdaptiveConfig::new(2400), 3, score);
    let mut config = AdaptiveConfig::new(2400);
    config.ingredients.sure = 0.0;
    let without = search(&space(&[(2, 2)], 600), config, 3, score);
    assert!(plain.0.spent >= without.0.spent, "{:?} {:?}", plain.0, without.0);
    assert!(plain.0.gain.sd <= without.0.gain.sd + 1e-12, "{:?} {:?}", plain.0, without.0);
}

#[test]
fn the_last_runs_are_for_leader_and_default_while_it_is_open_which_is_better() {
    // All are equally good.
    let score = |run: &PlannedRun| Some(f64::from(u8::from(hash(&[run.choices[1], run.row]) < 0.5)));
    let last = |reserve: f64, seed: u64| {
        let mut config = AdaptiveConfig::new(600);
        (config.worthwhile, config.ingredients.reserve) = (0.0, reserve);
        let (decision, plans) = search(&space(&[(3, 6)], 400), config, seed, score);
        let run: BTreeSet<_> = plans[plans.len() - 1].iter().map(|run| run.choices.clone()).collect();
        (decision.leader != [0, 0] && decision.p_better < 0.95, run.len())
    };
    let open: Vec<usize> =
        (0..12).map(|seed| last(0.3, seed)).filter(|(open, _)| *open).map(|of| of.1).collect();
    // But for a search in which the default itself had been the leader until then.
    let others = open.iter().filter(|&&combinations| combinations > 2).count();
    assert!(open.len() > 6 && others <= 1, "{open:?}");
    assert!((0..12).any(|seed| last(0.0, seed).1 > 2));
}

#[test]
fn all_right_and_all_wrong_keep_the_default() {
    for value in [0.0, 1.0] {
        let (decision, _) = search(&space(&[(3, 6)], 60), AdaptiveConfig::new(600), 1, |_| Some(value));
        assert_eq!(decision.winner, [0, 0]);
        assert!((decision.default_score.mean - value).abs() < 0.1, "{decision:?}");
        // Where all is right, only the default's rows are run after the start.
        assert!(value < 1.0 || decision.spent <= 60 + 6 * 4, "{decision:?}");
    }
}

#[test]
fn small_spaces_and_budgets_are_fine() {
    for (predictors, rows, budget) in
        [(vec![(1, 0)], 1, 1), (vec![(1, 1)], 3, 50), (vec![(2, 0)], 1, 9), (vec![(3, 2), (1, 0)], 7, 30)]
    {
        let space = space(&predictors, rows);
        let (decision, plans) = search(&space, AdaptiveConfig::new(budget), 3, lucky);
        assert!(decision.spent <= budget && !plans.is_empty(), "{predictors:?}");
        assert!(plans.iter().flatten().any(|run| run.choices == decision.leader), "{decision:?}");
        assert_eq!(decision.winner.len(), space.default.len());
    }
}

#[test]
fn what_gave_no_score_is_not_asked_again_and_teaches_nothing() {
    let never = |_: &PlannedRun| None;
    let (decision, plans) = search(&space(&[(2, 3)], 20), AdaptiveConfig::new(90), 5, never);
    assert_eq!(decision.winner, [0, 0]);
    assert_eq!(decision.p_better, 0.5);
    let runs: usize = plans.iter().map(Vec::len).sum();
    assert_eq!((decision.spent, runs), (90, 90));
    // One in three is missing: the rest decides.
    let some = |run: &PlannedRun| if run.row.is_multiple_of(3) { None } else { lucky(run) };
    let (decision, _) = search(&space(&[(4, 5)], 200), AdaptiveConfig::new(1500), 5, some);
    assert!(decision.winner.iter().sum::<usize>() >= 5, "{decision:?}");
}

#[test]
fn only_what_is_allowed_is_planned() {
    let only = vec![vec![0, 0], vec![2, 1], vec![3, 4], vec![1, 3]];
    let space = Space { only: only.clone(), ..space(&[(4, 5)], 60) };
    let (decision, plans) = search(&space, AdaptiveConfig::new(150), 2, lucky);
    assert!(plans.iter().flatten().all(|run| only.contains(&run.choices)));
    assert_eq!(decision.winner, [3, 4]);
}

#[test]
fn what_makes_no_sense_is_refused() {
    let new = |space: Space, config| AdaptivePlanner::new(space, config, 0).map(drop);
    let good = || space(&[(2, 2)], 5);
    let config = AdaptiveConfig::new;
    let mut guard = config(9);
    guard.guard = 1.5;
    let mut no_noise = config(9);
    no_noise.ingredients.rest_share = 0.0;
    for (space, config, word) in [
        (good(), config(0), "budget"),
        (good(), guard, "guard"),
        (good(), no_noise, "rest_share"),
        (Space { predictors: vec![], default: vec![], ..good() }, config(9), "no predictor"),
        (Space { predictors: vec![(0, 2)], ..good() }, config(9), "no instruction"),
        (Space { strata: vec![], ..good() }, config(9), "no rows"),
        (Space { strata: vec![7, 0], ..good() }, config(9), "strata"),
        (Space { default: vec![0, 2], ..good() }, config(9), "one choice a dimension"),
        (Space { only: vec![vec![1, 1]], ..good() }, config(9), "among the only"),
    ] {
        let error = new(space, config).unwrap_err().to_string();
        assert!(error.contains(word), "`{error}` does not say `{word}`");
    }
    let mut planner = AdaptivePlanner::new(good(), config(20), 0).unwrap();
    let planned = planner.plan().len();
    assert_eq!(planner.tell(&[None]), Err(AdaptiveError::Results { planned, told: 1 }));
    let mut results = vec![Some(1.0); planned];
    results[1] = Some(f64::NAN);
    assert!(matches!(planner.tell(&results), Err(AdaptiveError::Score { index: 1, .. })));
    // Nothing was taken.
    assert_eq!(planner.plan().len(), planned);
}

#[test]
fn numeric_scores_are_fine() {
    let score = |run: &PlannedRun| lucky(run).map(|right| 0.2 + 0.3 * right + 0.1 * hash(&[run.row]));
    let (decision, _) = search(&space(&[(4, 5)], 200), AdaptiveConfig::new(1500), 4, score);
    assert!(decision.winner.iter().sum::<usize>() >= 6, "{decision:?}");
}

#[test]
fn large_spaces_are_searched() {
    let (decision, plans) = search(&space(&[(9, 18), (9, 18)], 300), AdaptiveConfig::new(800), 4, lucky);
    assert!(decision.winner[0] + decision.winner[1] > 12, "{decision:?}");
    // Any number of threads may run a plan: it names no pair twice.
    assert!(plans.iter().any(|plan| plan.len() >= 40));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn a_search_is_a_function_of_its_seed_and_keeps_its_budget(
        seed in 0..1000_u64,
        budget in 1..120_usize,
        (instructions, demos) in (1..4_usize, 0..4_usize),
        rows in 1..60_usize,
    ) {
        let space = space(&[(instructions, demos)], rows);
        let one = search(&space, AdaptiveConfig::new(budget), seed, lucky);
        let other = search(&space, AdaptiveConfig::new(budget), seed, lucky);
        prop_assert_eq!(&one, &other);
        let (decision, plans) = one;
        prop_assert!(decision.spent <= budget);
        let mut seen = BTreeSet::new();
        for run in plans.iter().flatten() {
            prop_assert!(run.row < rows);
            prop_assert!(seen.insert((run.choices.clone(), run.row)), "{:?} is planned twice", run);
        }
        prop_assert!((0.0..=1.0).contains(&decision.p_better));
        // The winner has been run, unless nothing but the default has.
        prop_assert!(decision.winner == space.default || seen.iter().any(|(choices, _)| *choices == decision.winner));
    }

    #[test]
    fn every_prefix_of_the_common_order_is_balanced(
        strata in prop::collection::vec(0..4_usize, 1..120),
        seed in 0..50_u64,
    ) {
        let order = common_order(&strata, seed);
        let mut sorted = order.clone();
        sorted.sort_unstable();
        prop_assert_eq!(sorted, (0..strata.len()).collect::<Vec<_>>());
        for stratum in 0..4 {
            let share = strata.iter().filter(|s| **s == stratum).count() as f64 / strata.len() as f64;
            let mut count = 0.0;
            for (place, &row) in order.iter().enumerate() {
                count += f64::from(u8::from(strata[row] == stratum));
                // Each stratum has an offset of its own, so all four can be off by one at once.
                prop_assert!((count - share * (place + 1) as f64).abs() <= 4.0);
            }
        }
    }
}

/// Every combination begins with the same rows. Where no one gets those right, the search must go on to others and not try all
/// combinations on them.
#[test]
fn rows_that_nobody_gets_right_do_not_use_up_the_search() {
    let mut space = space(&[(3, 3), (3, 3)], 54);
    space.strata = vec![0; 54];
    // Three rows of four are out of reach; on the rest the last choice decides, and 0, the default's, is nearly never right.
    let chances: [f64; 3] = [0.08, 0.56, 0.76];
    let (mut found, mut best) = (0, 0);
    for seed in 0..40 {
        let score = |run: &PlannedRun| {
            let words: Vec<usize> = run.choices.iter().copied().chain([run.row, seed]).collect();
            let within_reach = hash(&[run.row, seed, 7]) < 0.25;
            Some(f64::from(u8::from(within_reach && hash(&words) < chances[run.choices[3]])))
        };
        let (decision, _) = search(&space, AdaptiveConfig::new(486), seed as u64, score);
        found += usize::from(decision.winner[3] > 0);
        best += usize::from(decision.winner[3] == 2);
    }
    assert!(found >= 39 && best >= 24, "{found} and {best} of 40");
}
