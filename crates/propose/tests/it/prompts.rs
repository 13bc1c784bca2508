//! Every prompt as it is sent, in the form of each adapter.

use std::fmt::Write as _;
use std::sync::Arc;

use futures::executor::block_on;
use teleprompt_core::{Adapter, ChatAdapter, Ctx, LmRequest, PlainAdapter};
use teleprompt_propose::{
    Ground, GroundedProposer, Grounding, Heading, Place, ProposalRequest, Proposer, Tip, TipLibrary,
};

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
        GroundedProposer::builder().view_data_batch_size(4).row_tokens(12).tips(tips).build().unwrap();
    let request = ProposalRequest::new(&program, &trainset, &sets)
        .with_predictors(vec!["route".into()])
        .with_num_candidates(2);
    let lm = Arc::new(model(distinct));
    let cx = Ctx::new(lm.clone()).with_adapter(adapter);
    block_on(proposer.propose(&cx, &request)).unwrap();
    let mut seen = Vec::new();
    let mut out = String::new();
    for request in lm.log().requests() {
        let system = request.messages[0].text();
        if !seen.contains(&system) {
            seen.push(system);
            out.push_str(&written(&request));
        }
    }
    // Readers of the first wave and of the second, merge, program, module, proposal.
    assert_eq!(seen.len(), 6);
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

/// A piece that stands in the prompt for one of the predictors only.
#[derive(Debug)]
struct HouseRules;

impl Ground for HouseRules {
    fn heading(&self) -> Heading {
        Heading::new("house_rules", "what every instruction has to respect")
    }

    fn text(&self, place: &Place<'_>) -> Option<String> {
        (place.predictor.as_str() == "route").then(|| format!("Rule {}: be brief.", place.index))
    }
}

#[test]
fn own_groundings_and_replaced_ones() {
    let (program, trainset, sets) = (Mail::new(2), rows(12), demo_sets());
    let tips = TipLibrary::empty().with(Tip::new("plain", "Keep it plain."));
    let proposer = GroundedProposer::builder()
        .grounding(Grounding::Own("house_rules".into()), HouseRules)
        .grounding_text(Grounding::DatasetSummary, "Mail of a shop for lamps.")
        .without(Grounding::ProgramDescription)
        .tips(tips)
        .build()
        .unwrap();
    let request = ProposalRequest::new(&program, &trainset, &sets).with_num_candidates(2);
    let lm = Arc::new(model(distinct));
    let proposals = propose(&proposer, &lm, &request).unwrap();
    // Two descriptions of predictors and two proposals: nothing is paid for what is replaced or off.
    assert_eq!((lm.log().calls(), proposer.plan(&request).nominal), (4, 4));
    let kinds = |predictor: &str| proposals.instructions[predictor][1].origin.groundings().to_vec();
    let own = Grounding::Own("house_rules".into());
    assert!(kinds("route").contains(&own) && !kinds("reply").contains(&own));
    let requests = lm.log().requests();
    insta::assert_snapshot!(format!("{}{}", written(&requests[0]), written(&requests[2])));
}

#[test]
fn the_short_prompt_without_a_current_instruction() {
    let (program, sets) = (Mail::new(1), demo_sets());
    let proposer = GroundedProposer::builder()
        .without(Grounding::CurrentInstruction)
        .program_aware(false)
        .tip_aware(false)
        .build()
        .unwrap();
    let request = ProposalRequest::new(&program, &[], &sets).with_num_candidates(2);
    let lm = Arc::new(model(|request| request.last_user_text()));
    propose(&proposer, &lm, &request).unwrap();
    insta::assert_snapshot!(written(lm.log().requests().last().unwrap()));
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
