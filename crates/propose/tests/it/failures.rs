//! What happens when calls fail, and when answers cannot be read.

use std::sync::Arc;

use futures::executor::block_on;
use teleprompt_core::lm::LmErrorKind;
use teleprompt_core::{ChatAdapter, Ctx, LmRequest};
use teleprompt_propose::{
    GroundedProposer, InstructionOrigin, ProposalRequest, Proposals, ProposeError, Proposer,
};
use teleprompt_testkit::ScriptedLm;

use crate::support::*;

fn run(lm: ScriptedLm, candidates: usize) -> (Result<Proposals, ProposeError>, u64) {
    let (program, trainset, sets) = (Mail::new(1), rows(30), demo_sets());
    let request = ProposalRequest::new(&program, &trainset, &sets).with_num_candidates(candidates);
    let lm = Arc::new(lm);
    (propose(&GroundedProposer::default(), &lm, &request), lm.log().calls())
}

/// The usual model, failing in one kind of call.
fn failing(failing: Kind, error: LmErrorKind) -> ScriptedLm {
    ScriptedLm::new(move |request: &LmRequest| match kind(request) {
        found if found == failing => Err(error.clone()),
        Kind::Proposal => Ok(distinct(request)),
        _ => Ok(grounding(request)),
    })
}

#[test]
fn a_wrong_key_ends_it_and_keeps_the_original() {
    let (result, calls) = run(ScriptedLm::new(|_: &LmRequest| LmErrorKind::Auth), 5);
    let error = result.unwrap_err();
    assert_eq!(error.to_string(), "instructions cannot be proposed: scripted: the key was refused: scripted");
    assert!(!error.is_stopped());
    // The first wave of two batches and the program, which begin together; nothing after them.
    assert_eq!(calls, 3);
    assert_eq!(texts(&error.into_partial().unwrap(), "route"), ["Read the message and name the team."]);
}

#[test]
fn what_was_proposed_before_a_stop_is_kept() {
    let lm = ScriptedLm::new(|request: &LmRequest| match kind(request) {
        Kind::Proposal if request.rollout.is_multiple_of(2) => Err(LmErrorKind::Stopped),
        Kind::Proposal => Ok(distinct(request)),
        _ => Ok(grounding(request)),
    });
    let error = run(lm, 9).0.unwrap_err();
    assert!(error.is_stopped());
    let partial = error.into_partial().unwrap();
    assert_eq!(partial.instructions["route"].len(), 5);
    assert!(partial.summary.is_some());
}

#[test]
fn a_failed_grounding_is_a_warning() {
    let check = |kind: Kind, nominal_less: u64, warning: &str| {
        let (result, calls) = run(failing(kind, LmErrorKind::Timeout), 3);
        let proposals = result.unwrap();
        assert_eq!(proposals.instructions["route"].len(), 3, "{kind:?}");
        assert_eq!(proposals.warnings, [warning]);
        assert_eq!(calls, 3 + 1 + 1 + 1 + 2 - nominal_less);
        proposals
    };
    let timeout = "scripted: timed out: scripted";
    let all = check(Kind::Rows, 1, &format!("the data summary: 3 of 3 calls gave nothing usable: {timeout}"));
    // The figures stand in for a summary.
    assert!(all.summary.unwrap().starts_with("30 rows\ninput `message`: text of 17 words"));
    let merge = check(Kind::Merge, 0, &format!("the observations of the data stay unmerged: {timeout}"));
    assert!(merge.summary.unwrap().starts_with("1. Complaints"));
    let program = check(Kind::Program, 0, &format!("the program could not be described: {timeout}"));
    assert_eq!(program.program_description, None);
    check(Kind::Module, 0, &format!("predictor `route` could not be described: {timeout}"));
}

#[test]
fn a_summary_that_copies_its_prompt_is_not_used() {
    let lm = ScriptedLm::new(move |request: &LmRequest| match kind(request) {
        Kind::Rows => request.last_user_text(),
        Kind::Proposal => distinct(request),
        _ => grounding(request),
    });
    let proposals = run(lm, 3).0.unwrap();
    let warning = "the data summary: 3 of 3 calls gave nothing usable: the answer repeats itself";
    assert_eq!(proposals.warnings, [warning]);
    assert!(proposals.summary.unwrap().starts_with("30 rows\n"));
}

#[test]
fn a_failed_proposal_is_a_missing_one() {
    let (result, calls) =
        run(failing(Kind::Proposal, LmErrorKind::ContextOverflow { tokens: 9, limit: 8 }), 3);
    let proposals = result.unwrap();
    // Not asked again: the model's layers have done that.
    assert_eq!(calls, 3 + 1 + 1 + 1 + 2);
    assert!(
        proposals.warnings[0]
            .starts_with("predictor `route`: 2 calls failed, the first with: scripted: the prompt of 9")
    );
    assert!(
        proposals.warnings[0]
            .ends_with("(lower the proposer's budgets of tokens, or switch a grounding off)")
    );
    assert_eq!(
        proposals.instructions["route"][2].origin,
        InstructionOrigin::Edited { edit: "output_format".into() }
    );
}

#[test]
fn an_answer_out_of_form_is_read_as_text() {
    let (program, trainset, sets) = (Mail::new(1), rows(30), demo_sets());
    let request = ProposalRequest::new(&program, &trainset, &sets).with_num_candidates(3);
    // The chat adapter cannot read these: there is no header.
    let lm = Arc::new(model(|request| {
        format!("Sure, here is the new instruction:\n\n\"{}\"", &distinct(request)[13..])
    }));
    let cx = Ctx::new(lm.clone()).with_adapter(Arc::new(ChatAdapter));
    let proposals = block_on(GroundedProposer::default().propose(&cx, &request)).unwrap();
    assert_eq!(lm.log().calls(), GroundedProposer::default().plan(&request).nominal);
    assert!(texts(&proposals, "route")[1].starts_with("Decide by rule"));
    assert!(texts(&proposals, "route")[1].ends_with("the customer."));
    assert_eq!(proposals.program_description.as_deref(), Some("It sorts mail."));
}

#[test]
fn an_unknown_predictor_is_named() {
    let (program, sets) = (Mail::new(2), demo_sets());
    let request = ProposalRequest::new(&program, &[], &sets).with_predictors(vec!["rout".into()]);
    let error = propose(&GroundedProposer::default(), &Arc::new(model(distinct)), &request).unwrap_err();
    assert_eq!(
        error.to_string(),
        "cannot propose for predictor `rout`: the program has no such predictor; did you mean `route`?"
    );
}
