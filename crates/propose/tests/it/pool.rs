//! What enters the pool, and that it does not depend on timing.

use std::collections::BTreeSet;
use std::sync::Arc;

use teleprompt_core::{Candidate, LmRequest, PredictorParams};
use teleprompt_propose::{
    GroundedProposer, Grounding, InstructionOrigin, ProposalRequest, Proposals, ProposedInstruction,
    Proposer, RejectReason, Tip, TipLibrary,
};
use teleprompt_testkit::ScriptedLm;

use crate::support::*;

fn run(proposer: &GroundedProposer, lm: ScriptedLm, predictors: usize, candidates: usize) -> Proposals {
    let (program, trainset, sets) = (Mail::new(predictors), rows(60), demo_sets());
    let request = ProposalRequest::new(&program, &trainset, &sets).with_num_candidates(candidates);
    propose(proposer, &Arc::new(lm), &request).unwrap()
}

/// A proposer that asks for nothing but proposals, and fills nothing.
fn bare() -> GroundedProposer {
    GroundedProposer::builder().data_aware(false).program_aware(false).edits(false).build().unwrap()
}

/// Proposals for the first attempt, and good ones after it.
fn first_then_distinct(first: &'static str) -> ScriptedLm {
    let seen = std::sync::Mutex::new(0);
    model(move |request| {
        let mut seen = seen.lock().unwrap();
        *seen += 1;
        if *seen == 1 { first.to_owned() } else { distinct(request) }
    })
}

#[test]
fn the_original_comes_first_and_origins_are_recorded() {
    let proposals = run(&GroundedProposer::default(), model(distinct), 2, 4);
    let route = &proposals.instructions["route"];
    let original =
        ProposedInstruction::new("Read the message and name the team.", InstructionOrigin::Original);
    assert_eq!(route[0], original);
    assert_eq!(proposals.instructions["reply"].len(), 4);
    assert_eq!(proposals.summary.as_deref(), Some("Short complaints by customers of a web shop."));
    assert_eq!(proposals.program_description.as_deref(), Some("It sorts mail."));
    let tips: BTreeSet<&str> = route.iter().filter_map(|proposed| proposed.origin.tip()).collect();
    assert_eq!(tips.len(), 3);
    let InstructionOrigin::Proposed { groundings, .. } = &route[1].origin else { panic!("{:?}", route[1]) };
    let all = [
        Grounding::DatasetSummary,
        Grounding::ProgramDescription,
        Grounding::ModuleDescription,
        Grounding::Demos,
        Grounding::CurrentInstruction,
        Grounding::Tip,
    ];
    assert!(groundings.iter().all(|grounding| all.contains(grounding)) && groundings.len() >= 5);
}

#[test]
fn the_pool_does_not_depend_on_timing() {
    // One proposal in three is a duplicate, one in five fails the checks.
    let answer = |request: &LmRequest| match request.rollout % 15 {
        0 | 5 | 10 => "...".to_owned(),
        1 | 4 | 7 | 11 | 13 => "Name whoever can help the sender best.".to_owned(),
        _ => distinct(request),
    };
    let reference = run(&GroundedProposer::default(), model(answer), 2, 12);
    assert!(!reference.rejected.is_empty());
    for seed in 0..10 {
        let shuffled = run(&GroundedProposer::default(), model(answer).with_yields(30, seed), 2, 12);
        assert_eq!(shuffled, reference, "{seed}");
    }
}

#[test]
fn another_seed_is_another_pool() {
    let (program, trainset, sets) = (Mail::new(1), rows(20), demo_sets());
    let pool = |seed| {
        let request = ProposalRequest::new(&program, &trainset, &sets).with_seed(seed);
        texts(&propose(&bare(), &Arc::new(model(distinct)), &request).unwrap(), "route")
    };
    assert_eq!(pool(1), pool(1));
    assert_ne!(pool(1), pool(2));
}

#[test]
fn samples_of_one_prompt_have_numbers_of_their_own() {
    let proposer = GroundedProposer::builder().tip_aware(false).fewshot_aware(false).build().unwrap();
    let (program, sets) = (Mail::new(1), demo_sets());
    let request = ProposalRequest::new(&program, &[], &sets).with_num_candidates(8);
    let lm = Arc::new(model(|_| "Name one team.".to_owned()));
    propose(&proposer, &lm, &request).unwrap();
    let asked = lm.log().requests();
    let proposals: Vec<&LmRequest> = asked.iter().filter(|request| kind(request) == Kind::Proposal).collect();
    let rollouts: BTreeSet<u64> = proposals.iter().map(|request| request.rollout).collect();
    let prompts: BTreeSet<String> = proposals.iter().map(|request| request.last_user_text()).collect();
    // Seven places: one takes the only idea, the other six are tried three times.
    assert_eq!((rollouts.len(), prompts.len()), (7 + 6 + 6, 1));
}

#[test]
fn what_is_rejected_is_asked_again_under_another_tip() {
    let check = |first: &'static str, expect: fn(&RejectReason) -> bool| {
        let proposals = run(&bare(), first_then_distinct(first), 1, 3);
        assert_eq!(proposals.instructions["route"].len(), 3, "{first}");
        let [rejection] = proposals.rejected.as_slice() else { panic!("{first}: {:?}", proposals.rejected) };
        assert!(expect(&rejection.reason), "{first}: {:?}", rejection.reason);
        assert_eq!((rejection.index, rejection.attempt), (1, 1));
        let taken = &proposals.instructions["route"][1].origin;
        assert!(taken.tip().is_some() && taken.tip() != rejection.tip.as_deref());
        assert!(proposals.warnings.is_empty());
    };
    check("Instruction: ", |r| matches!(r, RejectReason::Empty));
    check("Instruction: READ the message, and name the team!", |r| matches!(r, RejectReason::Duplicate));
    check("Instruction: <your instruction>", |r| matches!(r, RejectReason::Placeholder { .. }));
    check("Instruction: {instruction}", |r| matches!(r, RejectReason::Placeholder { .. }));
    check("Team: billing", |r| matches!(r, RejectReason::Answer));
    check("When does the billing team open on Sundays?", |r| matches!(r, RejectReason::Question));
    check("Write an instruction that leads to better answers than the current one.", |r| {
        matches!(r, RejectReason::Echo)
    });
    check("A common story from ancient Rome, told again by wizards.", |r| {
        matches!(r, RejectReason::OffTopic)
    });
    check("Прочитай письмо и назови команду.", |r| {
        matches!(r, RejectReason::Language)
    });
    check(
        "Parcels \"that I ordered for my aunt in spring has not\" go to delivery.",
        |r| matches!(r, RejectReason::Leak { words } if words == "that i ordered for my aunt in spring"),
    );
}

#[test]
fn an_over_long_proposal_is_rejected_unless_the_current_one_is_long() {
    let long: &'static str = (0..300).map(|i| format!("word{i} ")).collect::<String>().leak();
    let proposals = run(&bare(), first_then_distinct(long), 1, 2);
    assert_eq!(proposals.rejected[0].reason, RejectReason::TooLong { chars: long.trim().len(), limit: 1200 });

    // Twice the length of the current instruction is allowed.
    let (program, sets) = (Mail::new(1), demo_sets());
    let params = PredictorParams {
        instruction: Some("Sort it well. ".repeat(100).into()),
        ..PredictorParams::default()
    };
    let mut start = Candidate::default();
    start.set("route".into(), params);
    let request = ProposalRequest::new(&program, &[], &sets).with_num_candidates(2).with_start(&start);
    let proposals = propose(&bare(), &Arc::new(model(move |_| long.to_owned())), &request).unwrap();
    assert_eq!((proposals.rejected.len(), proposals.instructions["route"].len()), (0, 2));
}

#[test]
fn open_answers_are_not_quoted_and_closed_ones_may_be() {
    let mut trainset = rows(40);
    for (i, row) in trainset.iter_mut().enumerate() {
        row.labels
            .insert("reply", format!("Dear customer number {i}, we have sent your parcel once again today."));
        let verdict = ["it is one of the ones that we send again", "no"][i % 2];
        row.labels.insert("verdict", verdict);
    }
    let (program, sets) = (Mail::new(2), demo_sets());
    let request = ProposalRequest::new(&program, &trainset, &sets)
        .with_predictors(vec!["reply".into()])
        .with_num_candidates(3);
    let lm = model(|request| match request.rollout % 2 {
        0 => "End the reply with: we have sent your parcel once again today.".to_owned(),
        _ => "Answer the customer \"it is one of the ones that we send again\" or no.".to_owned(),
    });
    let proposals = propose(&bare(), &Arc::new(lm), &request).unwrap();
    assert_eq!(proposals.instructions.len(), 1);
    assert_eq!(
        texts(&proposals, "reply")[1..],
        ["Answer the customer \"it is one of the ones that we send again\" or no."]
    );
    let leaks = proposals.rejected.iter().filter(|r| matches!(r.reason, RejectReason::Leak { .. }));
    assert!(leaks.count() >= 1);
}

#[test]
fn a_model_without_a_good_idea_leaves_edits_or_the_original() {
    let bad = || model(|_| "...".to_owned());
    let proposals = run(&GroundedProposer::default(), bad(), 1, 3);
    let origins: Vec<_> = proposals.instructions["route"].iter().map(|p| p.origin.clone()).collect();
    let edited = |edit: &str| InstructionOrigin::Edited { edit: edit.to_owned() };
    assert_eq!(origins, [InstructionOrigin::Original, edited("label_list"), edited("output_format")]);
    assert_eq!(proposals.rejected.len(), 2 * 3);
    assert_eq!(
        proposals.warnings,
        [
            "predictor `route`: the prompt LM wrote a usable instruction for 0 of 2 places; 2 are edits of the current \
          instruction (a larger prompt LM, a higher temperature or further tips may help)"
        ]
    );

    let without = GroundedProposer::builder().edits(false).build().unwrap();
    let proposals = run(&without, bad(), 1, 3);
    assert_eq!(texts(&proposals, "route"), ["Read the message and name the team."]);
    assert!(proposals.warnings[0].contains("2 stay empty"));

    // There are seven edits of this signature: the pool is smaller than asked for, and says so.
    let proposals = run(&GroundedProposer::default(), bad(), 1, 12);
    assert_eq!(proposals.instructions["route"].len(), 8);
    assert!(proposals.warnings[0].contains("7 are edits of the current instruction; 4 stay empty"));
}

#[test]
fn own_tips_are_used() {
    let tips = TipLibrary::empty().with(Tip::new("units", "Give every quantity its unit."));
    let proposer = GroundedProposer::builder().tips(tips).build().unwrap();
    let (program, sets) = (Mail::new(1), demo_sets());
    let request = ProposalRequest::new(&program, &[], &sets).with_num_candidates(3);
    let lm = Arc::new(model(distinct));
    let proposals = propose(&proposer, &lm, &request).unwrap();
    assert!(proposals.instructions["route"][1..].iter().all(|p| p.origin.tip() == Some("units")));
    let asked = lm.log().requests();
    let with_tip =
        asked.iter().filter(|r| r.last_user_text().ends_with("Tip: Give every quantity its unit."));
    assert_eq!(with_tip.count(), 2);
}

#[test]
fn places_reserved_for_edits_are_not_asked_for() {
    let check = |reserved: usize, candidates: usize, calls: u64, edits: usize, warnings: usize| {
        let proposer = GroundedProposer::builder().reserved_edits(reserved).edits(false).build().unwrap();
        let (program, sets) = (Mail::new(1), demo_sets());
        let request = ProposalRequest::new(&program, &[], &sets).with_num_candidates(candidates);
        let lm = Arc::new(model(distinct));
        let proposals = propose(&proposer, &lm, &request).unwrap();
        assert_eq!((proposer.plan(&request).nominal, lm.log().calls()), (calls, calls));
        let pool = &proposals.instructions["route"];
        let edited = pool.iter().rev().take_while(|p| matches!(p.origin, InstructionOrigin::Edited { .. }));
        assert_eq!(edited.count(), edits);
        assert_eq!(proposals.warnings.len(), warnings, "{:?}", proposals.warnings);
    };
    check(2, 6, 2 + 3, 2, 0);
    check(5, 6, 0, 5, 0);
    check(9, 6, 0, 5, 0);
    // Seven edits for nine places.
    check(9, 12, 2 + 2, 7, 1);
}
