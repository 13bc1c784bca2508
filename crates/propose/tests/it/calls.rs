//! How many calls are made, in which order, with which settings.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures::executor::block_on;
use teleprompt_core::{CallRole, Ctx, LmRequest, PlainAdapter};
use teleprompt_propose::{CallRange, GroundedProposer, ProposalRequest, Proposer};

use teleprompt_testkit::ScriptedLm;

use crate::support::*;

/// Runs a proposal in which nothing goes wrong; gives its plan and the calls of each kind.
fn count(
    proposer: &GroundedProposer,
    rows_n: usize,
    predictors: usize,
    candidates: usize,
) -> (CallRange, BTreeMap<Kind, u64>) {
    let (program, trainset, sets) = (Mail::new(predictors), rows(rows_n), demo_sets());
    let told = AtomicU64::new(0);
    let on_call = || {
        told.fetch_add(1, Ordering::Relaxed);
    };
    let request = ProposalRequest::new(&program, &trainset, &sets)
        .with_num_candidates(candidates)
        .with_on_call(&on_call);
    let lm = Arc::new(model(distinct));
    let proposals = propose(proposer, &lm, &request).unwrap();
    assert_eq!((proposals.warnings, proposals.rejected), (vec![], vec![]));
    for instructions in proposals.instructions.values() {
        assert_eq!(instructions.len(), candidates.max(1));
    }
    let mut kinds = BTreeMap::new();
    for request in lm.log().requests() {
        *kinds.entry(kind(&request)).or_default() += 1;
    }
    assert_eq!(told.load(Ordering::Relaxed), lm.log().calls());
    (proposer.plan(&request), kinds)
}

#[test]
fn the_calls_are_those_of_the_formula() {
    let check = |rows: usize, predictors: usize, candidates: usize, batches: u64| {
        let (plan, kinds) = count(&GroundedProposer::default(), rows, predictors, candidates);
        let (p, n) = (predictors as u64, candidates as u64);
        let merge = u64::from(batches > 1);
        assert_eq!(plan.nominal, 1 + p + p * (n - 1) + batches + merge);
        assert_eq!(plan.least, 1 + p + p * (n - 1) + batches.min(5));
        assert_eq!(plan.most, plan.nominal + 2 * p * (n - 1));
        assert_eq!(kinds.values().sum::<u64>(), plan.nominal);
        assert_eq!(kinds.get(&Kind::Rows).copied().unwrap_or_default(), batches);
        assert_eq!(kinds.get(&Kind::Merge).copied().unwrap_or_default(), merge);
        assert_eq!((kinds[&Kind::Program], kinds[&Kind::Module]), (1, p));
        assert_eq!(kinds[&Kind::Proposal], p * (n - 1));
    };
    check(0, 1, 2, 0);
    check(9, 1, 6, 1);
    check(30, 2, 3, 3);
    check(101, 2, 9, 10);
    check(400, 1, 18, 10);
}

#[test]
fn the_least_and_the_most_are_reached() {
    let calls = |lm: ScriptedLm| {
        let (program, trainset, sets) = (Mail::new(2), rows(100), demo_sets());
        let request = ProposalRequest::new(&program, &trainset, &sets).with_num_candidates(4);
        let lm = Arc::new(lm);
        propose(&GroundedProposer::default(), &lm, &request).unwrap();
        (lm.log().calls(), GroundedProposer::default().plan(&request))
    };
    // No proposal can be used: each of the six places is asked for three times.
    let (made, plan) = calls(model(|_| "...".to_owned()));
    assert_eq!((made, plan.most), (11 + 3 + 6 * 3, 11 + 3 + 6 * 3));
    // All readers say the same: those of the third wave are not asked. The two observations of the first are merged.
    let (made, plan) = calls(ScriptedLm::new(|request: &LmRequest| match kind(request) {
        Kind::Rows => "Summary: Letters of customers.".to_owned(),
        Kind::Proposal => distinct(request),
        _ => grounding(request),
    }));
    assert_eq!(plan.least, 5 + 3 + 6);
    assert!(plan.least <= made && made <= plan.least + 1, "{made}");
}

#[test]
fn nothing_is_asked_where_nothing_is_wanted() {
    for candidates in [0, 1] {
        let (plan, kinds) = count(&GroundedProposer::default(), 50, 2, candidates);
        assert_eq!((plan, kinds), (CallRange::exactly(0), BTreeMap::new()));
    }
}

#[test]
fn a_grounding_that_is_off_costs_nothing() {
    let kinds = |proposer: &GroundedProposer| {
        let (plan, kinds) = count(proposer, 30, 2, 4);
        assert_eq!(plan.nominal, kinds.values().sum::<u64>());
        kinds.into_iter().collect::<Vec<_>>()
    };
    let builder = GroundedProposer::builder;
    let proposals = (Kind::Proposal, 6);
    let described = [(Kind::Program, 1), (Kind::Module, 2), proposals];
    assert_eq!(kinds(&builder().data_aware(false).build().unwrap()), described);
    let summarized = [(Kind::Rows, 3), (Kind::Merge, 1), proposals];
    assert_eq!(kinds(&builder().program_aware(false).build().unwrap()), summarized);
    let bare = builder().data_aware(false).program_aware(false).tip_aware(false).fewshot_aware(false);
    assert_eq!(kinds(&bare.build().unwrap()), [proposals]);
    let fewer = builder().program_aware(false).view_data_batch_size(5).max_summary_batches(2);
    assert_eq!(kinds(&fewer.build().unwrap()), [(Kind::Rows, 2), (Kind::Merge, 1), proposals]);
}

#[test]
fn calls_run_at_once_and_carry_their_settings() {
    let (program, trainset, sets) = (Mail::new(2), rows(100), demo_sets());
    let request =
        ProposalRequest::new(&program, &trainset, &sets).with_num_candidates(9).with_temperature(1.3);
    let lm = Arc::new(model(distinct).with_yields(1000, 1));
    propose(&GroundedProposer::default(), &lm, &request).unwrap();
    // All 2 * 8 proposals; before them 10 batches beside the description of the program.
    assert_eq!(lm.log().max_in_flight(), 16);
    for request in lm.log().requests() {
        let settings = (request.settings.temperature, request.settings.max_tokens);
        match kind(&request) {
            Kind::Rows | Kind::Merge => assert_eq!(settings, (Some(0.3), Some(160))),
            Kind::Program | Kind::Module => assert_eq!(settings, (Some(0.3), Some(120))),
            Kind::Proposal => assert_eq!(settings, (Some(1.3), Some(200))),
        }
    }
}

#[test]
fn calls_count_as_the_prompt_lms_in_any_context() {
    let (program, sets) = (Mail::new(1), demo_sets());
    let request = ProposalRequest::new(&program, &[], &sets).with_num_candidates(2);
    let lm = Arc::new(model(distinct));
    let cx = Ctx::new(lm).with_adapter(Arc::new(PlainAdapter));
    // A candidate's bindings do not know the proposer's predictors.
    let cx = cx.bound(&program, &Default::default()).unwrap();
    block_on(GroundedProposer::default().propose(&cx, &request)).unwrap();
    let counts = cx.meter().counts();
    assert_eq!(
        counts.into_iter().map(|(role, c)| (role, c.requests)).collect::<Vec<_>>(),
        [(CallRole::Prompt, 3)]
    );
}

#[test]
fn rows_are_cut_and_sampled_by_the_seed() {
    let mut trainset = rows(40);
    for row in &mut trainset {
        row.inputs.insert("message", row.inputs.text("message").repeat(50));
    }
    let (program, sets) = (Mail::new(1), demo_sets());
    let proposer = GroundedProposer::builder().row_tokens(30).max_summary_batches(2).build().unwrap();
    let shown = |seed: u64| -> Vec<String> {
        let request = ProposalRequest::new(&program, &trainset, &sets).with_num_candidates(2).with_seed(seed);
        let lm = Arc::new(model(distinct));
        propose(&proposer, &lm, &request).unwrap();
        let requests = lm.log().requests();
        requests.iter().filter(|r| kind(r) == Kind::Rows).map(|r| r.last_user_text()).collect()
    };
    let first = shown(1);
    assert_eq!(first.len(), 2);
    for prompt in &first {
        assert_eq!(prompt.matches("more characters]").count(), 10);
        assert_eq!(prompt.matches("\nteam: ").count(), 10);
        // Ten rows of 30 tokens at 4 characters, with their names, marks and the figures.
        assert!(prompt.len() < 10 * (30 * 4 + 80) + 400, "{}", prompt.len());
    }
    assert_eq!(shown(1), first);
    assert_ne!(shown(2), first);
}
