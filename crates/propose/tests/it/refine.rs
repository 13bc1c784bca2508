//! Later rounds: what they are shown, what they refuse, what they cost.

use std::sync::Arc;

use futures::executor::block_on;
use teleprompt_core::lm::LmErrorKind;
use teleprompt_core::{Ctx, Demo, Fields, LmRequest, PlainAdapter};
use teleprompt_propose::{
    CallRange, FailedCase, FixedProposer, GroundedProposer, Grounding, InstructionOrigin, ProposalRequest,
    ProposeError, Proposer, RefineRequest, Refinement, RejectReason, ScoredInstruction,
};
use teleprompt_testkit::ScriptedLm;

use crate::support::*;

fn history() -> Vec<ScoredInstruction> {
    let scored = |text: &str, score, rows| ScoredInstruction::new(text, score, rows);
    vec![
        scored("Read the message and name the team.", 0.5, 40),
        scored("Which team can help the sender?", 0.7, 40),
        scored("Sort the mail of the shop.", 0.1, 10),
    ]
}

fn failures() -> Vec<FailedCase> {
    let case = |message: &str, said: &str, right: &str| {
        let inputs = Fields::new().with("message", message);
        FailedCase::new(inputs, Fields::new().with("team", said), Fields::new().with("team", right))
    };
    vec![
        case("I was charged for a parcel that never came", "delivery", "billing"),
        case("It broke, I want my money", "billing", "returns")
            .with_feedback("the wish decides, not the money"),
        case("No one rang at my door", "returns", "delivery"),
        case("Two sizes too small", "delivery", "returns"),
        case("Is it on its way?", "billing", "delivery"),
    ]
}

fn refine(
    proposer: &dyn Proposer,
    lm: &Arc<ScriptedLm>,
    request: &RefineRequest<'_>,
) -> Result<Refinement, ProposeError> {
    let cx = Ctx::new(lm.clone()).with_adapter(Arc::new(PlainAdapter));
    block_on(proposer.refine(&cx, request))
}

#[test]
fn the_prompt_of_a_later_round() {
    let (program, trainset, sets) = (Mail::new(2), rows(30), demo_sets());
    let first = ProposalRequest::new(&program, &trainset, &sets).with_num_candidates(2);
    let lm = Arc::new(model(distinct));
    let prepared = propose(&GroundedProposer::default(), &lm, &first).unwrap().prepared();
    assert_eq!(prepared.module_descriptions.len(), 2);

    let demo = Demo::bootstrapped(Fields::new().with("message", "where is it?").with("team", "delivery"));
    let request = RefineRequest::new(&program, "route", history(), failures())
        .with_prepared(&prepared)
        .with_trainset(&trainset)
        .with_demos([demo])
        .with_num_candidates(2);
    let lm = Arc::new(model(distinct));
    let refined = refine(&GroundedProposer::default(), &lm, &request).unwrap();
    assert_eq!((refined.instructions.len(), refined.rejected.len(), refined.warnings.len()), (2, 0, 0));
    let origin = &refined.instructions[0].origin;
    use Grounding::*;
    let kinds =
        [DatasetSummary, ProgramDescription, ModuleDescription, Demos, Failures, History, CurrentInstruction];
    assert_eq!(origin.groundings()[..7], kinds);
    let asked = lm.log().requests();
    let shown: Vec<String> = asked.iter().map(crate::prompts::written).collect();
    insta::assert_snapshot!(shown.join("\n"));
    // Each proposal sees other failures first.
    assert!(
        shown[0].contains("Failure 1\nmessage: I was charged")
            && shown[1].contains("Failure 1\nmessage: Is it on")
    );
}

#[test]
fn what_was_tried_or_is_known_is_not_proposed_again() {
    let program = Mail::new(1);
    let answers = [
        "WHICH team can help the sender?!",
        "Sort the mail of the shop",
        "Known but never run.",
        "Read the message and name the team.",
        "Ask yourself who can help: charges go to billing.",
    ];
    let lm = Arc::new(ScriptedLm::queue(answers.map(|text| format!("Instruction: {text}"))));
    let request = RefineRequest::new(&program, "route", history(), failures())
        .with_known(["known but never run".into()])
        .with_num_candidates(5);
    let proposer = GroundedProposer::builder().max_tries(1).edits(false).build().unwrap();
    let refined = refine(&proposer, &lm, &request).unwrap();
    assert_eq!(refined.instructions.len(), 1);
    assert!(refined.instructions[0].instruction.starts_with("Ask yourself"));
    assert_eq!(refined.rejected.len(), 4);
    assert!(refined.rejected.iter().all(|rejected| rejected.reason == RejectReason::Duplicate));
    assert!(refined.warnings[0].contains("1 of 5 places; 4 stay empty"), "{:?}", refined.warnings);
}

#[test]
fn failures_are_not_quoted() {
    let program = Mail::new(1);
    let long = "I have waited for my blue lamp since the first of May";
    let case = FailedCase::new(
        Fields::new().with("message", long),
        Fields::new(),
        Fields::new().with("team", "delivery"),
    );
    let request = RefineRequest::new(&program, "route", history(), vec![case]).with_num_candidates(1);
    let lm = Arc::new(ScriptedLm::new(|request: &LmRequest| {
        assert!(request.last_user_text().contains("Failure 1"));
        "If they say \"I have waited for my blue lamp since the first of May\", name delivery."
    }));
    let proposer = GroundedProposer::builder().max_tries(1).edits(false).build().unwrap();
    let refined = refine(&proposer, &lm, &request).unwrap();
    assert!(refined.instructions.is_empty());
    assert!(matches!(refined.rejected[0].reason, RejectReason::Leak { .. }), "{:?}", refined.rejected);
}

#[test]
fn it_improves_on_the_best_and_fills_with_its_edits() {
    let program = Mail::new(1);
    let request = RefineRequest::new(&program, "route", history(), vec![]).with_num_candidates(2);
    let lm = Arc::new(model(|_| "...".to_owned()));
    let proposer = GroundedProposer::default();
    let refined = refine(&proposer, &lm, &request).unwrap();
    assert_eq!(proposer.plan_refine(&request), CallRange { least: 2, nominal: 2, most: 6 });
    assert_eq!(lm.log().calls(), 6);
    let all: Vec<&str> = refined.instructions.iter().map(|proposed| &*proposed.instruction).collect();
    assert!(all.iter().all(|text| text.starts_with("Which team can help the sender?\n")), "{all:?}");
    assert!(matches!(refined.instructions[0].origin, InstructionOrigin::Edited { .. }));
    let given = request.with_current("Name who helps.");
    let refined = refine(&proposer, &lm, &given).unwrap();
    assert!(refined.instructions[0].instruction.starts_with("Name who helps."));
}

#[test]
fn rounds_differ_and_do_not_depend_on_timing() {
    let program = Mail::new(1);
    let answer = |request: &LmRequest| match request.rollout % 3 {
        0 => "...".to_owned(),
        _ => distinct(request),
    };
    let proposer = GroundedProposer::builder().edits(false).build().unwrap();
    let round = |round: u64, seed| {
        let request = RefineRequest::new(&program, "route", history(), failures())
            .with_round(round)
            .with_num_candidates(6);
        refine(&proposer, &Arc::new(model(answer).with_yields(20, seed)), &request).unwrap()
    };
    let first = round(1, 0);
    assert!(!first.rejected.is_empty());
    for seed in 1..6 {
        assert_eq!(round(1, seed), first);
    }
    assert_ne!(round(2, 0), first);
}

#[test]
fn a_stop_keeps_what_was_taken_and_an_unknown_predictor_is_named() {
    let program = Mail::new(1);
    let stopping = ScriptedLm::new(|request: &LmRequest| match request.rollout % 2 {
        0 => Err(LmErrorKind::Stopped),
        _ => Ok(distinct(request)),
    });
    let request = RefineRequest::new(&program, "route", history(), failures()).with_num_candidates(4);
    let error = refine(&GroundedProposer::default(), &Arc::new(stopping), &request).unwrap_err();
    assert!(error.is_stopped());
    assert_eq!(error.into_partial().unwrap().instructions["route"].len(), 2);
    let unknown = RefineRequest::new(&program, "rout", vec![], vec![]);
    let error = refine(&GroundedProposer::default(), &Arc::new(ScriptedLm::default()), &unknown).unwrap_err();
    assert!(error.to_string().ends_with("did you mean `route`?"));
}

#[test]
fn a_proposer_that_implements_nothing_refines_nothing() {
    let program = Mail::new(1);
    let request = RefineRequest::new(&program, "route", history(), failures());
    let proposer: Arc<dyn Proposer> = Arc::new(FixedProposer::new());
    assert_eq!(proposer.plan_refine(&request), CallRange::exactly(0));
    assert_eq!(refine(&proposer, &Arc::new(ScriptedLm::default()), &request).unwrap(), Refinement::default());
}
