//! Every prompt as it is sent, in the form of each adapter.

use std::fmt::Write as _;
use std::sync::Arc;

use futures::executor::block_on;
use teleprompt_core::{Adapter, ChatAdapter, Ctx, LmRequest, PlainAdapter};
use teleprompt_propose::{GroundedProposer, ProposalRequest, Proposer, Tip, TipLibrary};

use crate::support::*;

pub(crate) fn written(request: &LmRequest) -> String {
    let settings = serde_json::to_string(&request.settings).unwrap();
    let mut out = format!("==== {:?} {settings}\n", kind(request));
    for message in &request.messages {
        let _ = write!(out, "---- {:?}\n{}\n", message.role, message.text());
    }
    out
}

/// One request of each kind, in the order in which they are sent.
fn prompts(adapter: Arc<dyn Adapter>, source: Option<&'static str>) -> String {
    let mut program = Mail::new(2);
    program.source = source;
    let (trainset, sets) = (rows(12), demo_sets());
    let tips = TipLibrary::empty().with(Tip::new("plain", "Keep it plain."));
    let proposer =
        GroundedProposer::builder().view_data_batch_size(6).row_tokens(12).tips(tips).build().unwrap();
    let request = ProposalRequest::new(&program, &trainset, &sets)
        .with_predictors(vec!["route".into()])
        .with_num_candidates(2);
    let lm = Arc::new(model(distinct));
    let cx = Ctx::new(lm.clone()).with_adapter(adapter);
    block_on(proposer.propose(&cx, &request)).unwrap();
    let mut kinds = Vec::new();
    let mut out = String::new();
    for request in lm.log().requests() {
        if !kinds.contains(&kind(&request)) {
            kinds.push(kind(&request));
            out.push_str(&written(&request));
        }
    }
    assert_eq!(kinds.len(), 5);
    out
}

#[test]
fn the_prompts_in_plain_form() {
    insta::assert_snapshot!(prompts(Arc::new(PlainAdapter), None));
}

#[test]
fn the_prompts_in_chat_form() {
    let source = "let team = self.route.call(cx, message).await?;\nself.reply.call(cx, message, team).await";
    insta::assert_snapshot!(prompts(Arc::new(ChatAdapter), Some(source)));
}

#[test]
fn a_proposal_with_every_grounding_off() {
    let (program, sets) = (Mail::new(1), demo_sets());
    let bare = GroundedProposer::builder()
        .data_aware(false)
        .program_aware(false)
        .tip_aware(false)
        .fewshot_aware(false);
    let request = ProposalRequest::new(&program, &[], &sets).with_num_candidates(2);
    let lm = Arc::new(model(distinct));
    propose(&bare.build().unwrap(), &lm, &request).unwrap();
    insta::assert_snapshot!(written(&lm.log().requests()[0]));
}

#[test]
fn the_short_prompt_after_a_copy() {
    let (program, trainset, sets) = (Mail::new(1), rows(12), demo_sets());
    let request = ProposalRequest::new(&program, &trainset, &sets).with_num_candidates(2);
    let lm = Arc::new(model(|request| request.last_user_text()));
    let proposals = propose(&GroundedProposer::default(), &lm, &request).unwrap();
    assert_eq!(proposals.rejected.len(), 3);
    insta::assert_snapshot!(written(lm.log().requests().last().unwrap()));
}
