//! Laws that hold for every answer of the model: plans, pools, the critical path.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use futures::FutureExt;
use futures::executor::block_on;
use futures::future::BoxFuture;
use proptest::prelude::*;
use teleprompt_core::lm::{LmErrorKind, ModelId};
use teleprompt_core::{Ctx, Lm, LmError, LmRequest, LmResponse, PlainAdapter};
use teleprompt_propose::{
    GroundedProposer, GroundedProposerBuilder, Grounding, InstructionOrigin, ProposalRequest, Proposer,
};
use teleprompt_testkit::ScriptedLm;

use crate::support::*;

/// Settings by the bits of a number.
fn builder(bits: u16) -> GroundedProposerBuilder {
    let on = |bit: u16| bits >> bit & 1 == 0;
    let builder = GroundedProposer::builder()
        .data_aware(on(0))
        .program_aware(on(1))
        .tip_aware(on(2))
        .fewshot_aware(on(3))
        .edits(on(4))
        .max_tries(1 + u32::from(bits >> 5 & 3));
    let builder = if on(7) { builder } else { builder.without(Grounding::ModuleDescription) };
    if on(8) { builder } else { builder.grounding_text(Grounding::DatasetSummary, "Mail of a shop.") }
}

/// A model that is good, bad or broken by a hash of the request: one answer in `bad` is no use.
fn moody(bad: u64, salt: u64) -> ScriptedLm {
    ScriptedLm::new(move |request: &LmRequest| {
        let text = request.last_user_text();
        let mixed = text.bytes().fold(request.rollout ^ salt, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
        });
        let mood = mixed >> 17;
        if bad > 0 && mood.is_multiple_of(bad) {
            return match mood / bad % 6 {
                0 => Err(LmErrorKind::Timeout),
                1 => Ok(text),
                2 => Ok("nothing new".to_owned()),
                3 => Ok("Instruction: {instruction}".to_owned()),
                4 => Ok("Instruction: Name whoever can help the sender best.".to_owned()),
                _ => Ok(String::new()),
            };
        }
        Ok(match kind(request) {
            Kind::Proposal => distinct(request),
            _ => grounding(request),
        })
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn the_calls_stay_within_the_plan(
        bits in 0u16..512,
        n_rows in 0usize..130,
        batch in 1usize..30,
        predictors in 1usize..3,
        candidates in 0usize..7,
        reserved in 0usize..3,
        bad in 0u64..5,
        salt in any::<u64>(),
    ) {
        let proposer = builder(bits).view_data_batch_size(batch).reserved_edits(reserved).build().unwrap();
        let (program, trainset, sets) = (Mail::new(predictors), rows(n_rows), demo_sets());
        let request = ProposalRequest::new(&program, &trainset, &sets).with_num_candidates(candidates).with_seed(salt);
        let lm = Arc::new(moody(bad, salt));
        let proposals = propose(&proposer, &lm, &request).unwrap();
        let (plan, calls) = (proposer.plan(&request), lm.log().calls());
        prop_assert!(plan.least <= calls && calls <= plan.most, "{plan:?} {calls}");
        prop_assert!(plan.least <= plan.nominal && plan.nominal <= plan.most);
        if bad == 0 {
            prop_assert_eq!(calls, plan.nominal);
        }
        // The rules of the pool.
        for (name, pool) in &proposals.instructions {
            prop_assert_eq!(&pool[0].origin, &InstructionOrigin::Original);
            prop_assert!(pool.len() <= candidates.max(1));
            let normal: BTreeSet<String> = pool.iter().map(|proposed| {
                let words = proposed.instruction.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
                words.map(str::to_lowercase).collect::<Vec<_>>().join(" ")
            }).collect();
            prop_assert_eq!(normal.len(), pool.len());
            prop_assert!(pool.iter().all(|proposed| !proposed.instruction.trim().is_empty()));
            for proposed in &pool[1..] {
                let tip = proposed.origin.groundings().contains(&Grounding::Tip);
                prop_assert!(!tip || proposed.origin.tip().is_some());
            }
            // A smaller pool says so.
            if pool.len() < candidates {
                prop_assert!(proposals.warnings.iter().any(|warning| warning.contains(name.as_str())));
            }
        }
        for rejection in &proposals.rejected {
            prop_assert!((1..candidates).contains(&rejection.index));
        }
    }

    #[test]
    fn any_answer_gives_a_pool(answer in "(\\[\\[ ## |instruction| ## \\]\\]|Instruction: |\\{|\\}|<think>|```|team|\\n|\\PC){0,30}") {
        let (program, trainset, sets) = (Mail::new(1), rows(12), demo_sets());
        let request = ProposalRequest::new(&program, &trainset, &sets).with_num_candidates(3);
        let lm = Arc::new(ScriptedLm::new(move |_: &LmRequest| answer.clone()));
        let proposals = propose(&GroundedProposer::default(), &lm, &request).unwrap();
        // One answer takes one place at most; edits fill the others.
        prop_assert_eq!(proposals.instructions["route"].len(), 3);
        prop_assert!(lm.log().calls() <= GroundedProposer::default().plan(&request).most);
    }
}

/// A model that knows how many calls ended before each began, one after the other.
struct Depth {
    inner: ScriptedLm,
    /// The longest chain among the calls that ended.
    ended: Mutex<u64>,
}

impl Lm for Depth {
    fn model(&self) -> &ModelId {
        self.inner.model()
    }

    fn generate<'a>(&'a self, request: &'a LmRequest) -> BoxFuture<'a, Result<LmResponse, LmError>> {
        async move {
            let depth = *self.ended.lock().unwrap() + 1;
            // All calls that begin together get to this point before one of them ends.
            let mut waited = false;
            futures::future::poll_fn(|cx| {
                if std::mem::replace(&mut waited, true) {
                    return std::task::Poll::Ready(());
                }
                cx.waker().wake_by_ref();
                std::task::Poll::Pending
            })
            .await;
            let answer = self.inner.generate(request).await;
            let mut ended = self.ended.lock().unwrap();
            *ended = depth.max(*ended);
            answer
        }
        .boxed()
    }
}

#[test]
fn at_most_five_calls_wait_for_one_another() {
    let depth = |n_rows: usize, predictors: usize, candidates: usize| {
        let (program, trainset, sets) = (Mail::new(predictors), rows(n_rows), demo_sets());
        let request = ProposalRequest::new(&program, &trainset, &sets).with_num_candidates(candidates);
        let lm = Arc::new(Depth { inner: model(distinct), ended: Mutex::new(0) });
        let cx = Ctx::new(lm.clone()).with_adapter(Arc::new(PlainAdapter));
        block_on(GroundedProposer::default().propose(&cx, &request)).unwrap();
        let depth = *lm.ended.lock().unwrap();
        (depth, lm.inner.log().calls())
    };
    // Program, module, proposal.
    assert_eq!(depth(0, 1, 6), (3, 1 + 1 + 5));
    // Two batches at once, merge, proposal.
    assert_eq!(depth(20, 1, 6), (3, 3 + 2 + 5));
    // Two waves, merge, proposal.
    assert_eq!(depth(50, 2, 9), (4, 6 + 3 + 16));
    // Three waves: however large the data and the program.
    assert_eq!(depth(100, 1, 6), (5, 11 + 2 + 5));
    assert_eq!(depth(1000, 2, 18), (5, 11 + 3 + 34));
}

#[test]
fn a_summary_ends_where_readers_find_nothing_new() {
    let calls = |second_wave: &'static str| {
        let (program, trainset, sets) = (Mail::new(1), rows(100), demo_sets());
        let request = ProposalRequest::new(&program, &trainset, &sets).with_num_candidates(2);
        let lm = ScriptedLm::new(move |request: &LmRequest| match kind(request) {
            Kind::Rows if request.messages[0].text().contains("nothing new") => second_wave.to_owned(),
            Kind::Proposal => distinct(request),
            _ => grounding(request),
        });
        let lm = Arc::new(lm);
        let proposals = propose(&GroundedProposer::default(), &lm, &request).unwrap();
        assert_eq!(proposals.warnings, Vec::<String>::new());
        let rows = lm.log().requests().iter().filter(|request| kind(request) == Kind::Rows).count();
        (rows, lm.log().calls(), GroundedProposer::default().plan(&request))
    };
    // Two readers, three that find nothing new; the two observations are merged.
    let (rows, total, plan) = calls("Summary: Nothing new.");
    assert_eq!((rows, total), (5, 5 + 1 + 2 + 1));
    assert_eq!((plan.least, plan.nominal), (5 + 2 + 1, 10 + 1 + 2 + 1));
    // Who says again what is known has nothing new either.
    let (rows, ..) = calls("Summary: Customers.");
    assert_eq!(rows, 5);
    let (rows, ..) = calls("Summary: Some are written in capitals, others quote prices.");
    assert_eq!(rows, 10);
}
