//! A small program, its data, and a prompt LM that answers each kind of call in its own way.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::FutureExt;
use futures::executor::block_on;
use futures::future::BoxFuture;
use teleprompt_core::{
    Ctx, Demo, Error, Example, FieldSpec, FieldType, Fields, LmRequest, NamedPredictor, PlainAdapter,
    Prediction, Predictor, PredictorName, Program, SignatureSpec,
};
use teleprompt_propose::{GroundedProposer, ProposalRequest, Proposals, ProposeError, Proposer};
use teleprompt_testkit::ScriptedLm;

pub(crate) type DemoSets = BTreeMap<PredictorName, Vec<Arc<[Demo]>>>;

/// A program of one predictor, `route`, or of two: `route` and `reply`.
pub(crate) struct Mail {
    predictors: Vec<(&'static str, Predictor)>,
    pub(crate) source: Option<&'static str>,
}

impl Mail {
    pub(crate) fn new(predictors: usize) -> Self {
        let labels = FieldType::Label(["billing", "delivery", "returns"].map(str::to_owned).to_vec());
        let message = || FieldSpec::new("message", FieldType::Text).described("what the customer wrote");
        let route = SignatureSpec::new(
            "Route",
            "Read the message and name the team.",
            vec![message()],
            vec![FieldSpec::new("team", labels)],
        );
        let reply = SignatureSpec::new(
            "Reply",
            "Answer the customer.",
            vec![message(), FieldSpec::new("team", FieldType::Text)],
            vec![FieldSpec::new("reply", FieldType::Text)],
        );
        let both = [("route", Predictor::new(route.unwrap())), ("reply", Predictor::new(reply.unwrap()))];
        Self { predictors: both.into_iter().take(predictors).collect(), source: None }
    }
}

impl Program for Mail {
    fn predictors(&self) -> Vec<NamedPredictor<'_>> {
        let named = self.predictors.iter();
        named
            .map(|(name, predictor)| NamedPredictor { name: (*name).into(), predictor, frozen: false })
            .collect()
    }

    fn forward<'a>(&'a self, _: &'a Ctx, _: Fields) -> BoxFuture<'a, Result<Prediction, Error>> {
        async { Ok(Prediction::default()) }.boxed()
    }

    fn source(&self) -> Option<&str> {
        self.source
    }
}

/// Rows whose messages are all different, with teams in turn.
pub(crate) fn rows(n: usize) -> Vec<Example> {
    let row = |i: usize| {
        let message =
            format!("Parcel {i} that I ordered for my aunt in spring has not arrived at her house yet");
        let fields =
            Fields::new().with("message", message).with("team", ["delivery", "billing", "returns"][i % 3]);
        Example::new(fields).with_inputs(&["message"]).unwrap()
    };
    (0..n).map(row).collect()
}

/// An empty set, a labeled one and a bootstrapped one for `route`.
pub(crate) fn demo_sets() -> DemoSets {
    let demo = |text: &str, team: &str| Fields::new().with("message", text).with("team", team);
    let sets: Vec<Arc<[Demo]>> = vec![
        Arc::new([]),
        Arc::new([Demo::labeled(demo("charged twice", "billing"))]),
        Arc::new([
            Demo::bootstrapped(demo("where is it?", "delivery")),
            Demo::bootstrapped(demo("too small", "returns")),
        ]),
    ];
    BTreeMap::from([("route".into(), sets)])
}

/// Which of the prompts a request is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Rows,
    Merge,
    Program,
    Module,
    Proposal,
}

pub(crate) fn kind(request: &LmRequest) -> Kind {
    let system = request.messages[0].text();
    let kinds = [
        ("shown rows of a data set", Kind::Rows),
        ("Several readers", Kind::Merge),
        ("shown a program", Kind::Program),
        ("Say what the step shown", Kind::Module),
        ("Write an instruction", Kind::Proposal),
        ("Instructions were tried", Kind::Proposal),
        ("Rewrite the current instruction", Kind::Proposal),
        ("Write a clear and exact instruction", Kind::Proposal),
    ];
    kinds.into_iter().find(|(words, _)| system.contains(words)).unwrap().1
}

/// What the usual model answers to everything but proposals; no two batches of rows look the same to it.
pub(crate) fn grounding(request: &LmRequest) -> String {
    match kind(request) {
        Kind::Rows => {
            let prompt = request.last_user_text();
            let n: String =
                prompt.split("Parcel ").nth(1).unwrap().chars().take_while(char::is_ascii_digit).collect();
            format!("Summary: Complaints{n} of{n} shop{n} customers.")
        }
        Kind::Merge => "Summary: Short complaints by customers of a web shop.".to_owned(),
        Kind::Program => "Description: It sorts mail.".to_owned(),
        _ => "Description: Finds who can help.".to_owned(),
    }
}

/// A model whose proposals are `proposal(request)`.
pub(crate) fn model(proposal: impl Fn(&LmRequest) -> String + Send + Sync + 'static) -> ScriptedLm {
    ScriptedLm::new(move |request: &LmRequest| match kind(request) {
        Kind::Proposal => proposal(request),
        _ => grounding(request),
    })
}

/// A proposal of its own for every sample of every prompt.
pub(crate) fn distinct(request: &LmRequest) -> String {
    format!("Instruction: Decide by rule {} which team has to answer the customer.", request.rollout)
}

pub(crate) fn propose(
    proposer: &GroundedProposer,
    lm: &Arc<ScriptedLm>,
    request: &ProposalRequest<'_>,
) -> Result<Proposals, ProposeError> {
    let cx = Ctx::new(lm.clone()).with_adapter(Arc::new(PlainAdapter));
    block_on(proposer.propose(&cx, request))
}

pub(crate) fn texts(proposals: &Proposals, predictor: &str) -> Vec<String> {
    proposals.instructions[predictor].iter().map(|proposed| proposed.instruction.to_string()).collect()
}
