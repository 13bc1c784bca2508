//! Caps: never passed, at any concurrency; the best program so far with the reason; the same result whatever the timing.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking too")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures::executor::block_on;
use teleprompt_core::lm::Usage;
use teleprompt_core::{LmRequest, LmResponse};
use teleprompt_miprov2::{
    Caps, Dataset, Ended, MiproV2, MiproV2Builder, Optimized, Process, Report, TokenPrice,
};
use teleprompt_testkit::{ScriptedLm, SimTask};

fn task() -> SimTask {
    SimTask::two_stage(4)
}

/// Answers as the simulated task does; usage is counted in characters, and the answer is never longer than it may be.
fn model() -> ScriptedLm {
    ScriptedLm::new(|request: &LmRequest| {
        let text = task().answer(request);
        let input_tokens =
            request.messages.iter().map(|message| message.text().len() as u64).sum::<u64>() / 3;
        let usage = Usage { input_tokens, output_tokens: text.len() as u64 / 3, ..Usage::default() };
        LmResponse::new(text).with_usage(usage)
    })
    .with_model("priced")
    .with_yields(5, 2)
}

fn builder(lm: &Arc<ScriptedLm>) -> MiproV2Builder {
    MiproV2::builder().task_lm(lm.clone()).num_candidates(3).num_trials(8).minibatch_size(10)
}

fn compile(builder: MiproV2Builder) -> Optimized {
    let data = Dataset::new(task().examples(0..30))
        .val(task().examples(1000..1040))
        .test(task().examples(5000..5020));
    block_on(builder.build().unwrap().compile(&task().program(), &data, &task().metric())).unwrap()
}

fn comparable(best: &Optimized) -> String {
    let mut best = best.clone();
    best.report.process = Process::default();
    serde_json::to_string(&best).unwrap()
}

/// Calls that were paid for to make demos, instructions and the baseline: before that many are allowed, what is done depends on
/// which comes first.
fn learned(report: &Report) -> u64 {
    let counts = report.stages.iter().filter(|(stage, _)| **stage < teleprompt_core::Stage::Search);
    let learned: u64 = counts.flat_map(|(_, roles)| roles.values()).map(|counts| counts.paid()).sum();
    learned + 2 * 40
}

/// Whether something came out differently when a run was resumed.
fn changed_its_mind(best: &Optimized) -> bool {
    best.report.warnings.iter().any(|warning| warning.contains("another result than before"))
}

#[test]
fn a_cap_on_calls_is_never_passed_and_the_result_does_not_depend_on_timing() {
    let whole = compile(builder(&Arc::new(model())));
    let (calls, first) = (whole.report.process.spent.calls, learned(&whole.report));
    let mut scores = Vec::new();
    for cap in (0..=calls + 10).step_by(calls as usize / 12) {
        let mut seen = None;
        for concurrency in [1, 5, 64] {
            let lm = Arc::new(model());
            let best = compile(builder(&lm).caps(Caps::default().calls(cap)).concurrency(concurrency));
            assert!(lm.log().calls() <= cap, "{} of {cap}", lm.log().calls());
            if cap < calls {
                let Ended::Stopped { reason } = &best.report.ended else {
                    panic!("{cap}: {:?}", best.report.ended)
                };
                assert!(reason.starts_with(&format!("the cap of {cap} LM calls")), "{reason}");
            } else {
                assert!(comparable(&best) == comparable(&whole));
            }
            if cap >= first {
                let found = comparable(&best);
                assert!(
                    seen.get_or_insert_with(|| found.clone()) == &found,
                    "cap {cap}, concurrency {concurrency}"
                );
                scores.push(best.report.winner.score);
            }
        }
    }
    assert!(scores.windows(2).all(|pair| pair[0] <= pair[1]), "{scores:?}");
    assert!(scores.len() > 15);
}

#[test]
fn caps_on_tokens_and_money_are_never_passed() {
    let price = TokenPrice::new(0.15, 0.6);
    let whole = compile(builder(&Arc::new(model())).price("priced", price));
    let spent = whole.report.process.spent;
    assert!(spent.usd() > 0.0);
    for percent in [1, 20, 50, 80, 99] {
        for concurrency in [3, 64] {
            let cap = spent.tokens * percent / 100;
            let base = || builder(&Arc::new(model())).price("priced", price).concurrency(concurrency);
            let best = compile(base().caps(Caps::default().tokens(cap)));
            assert!(best.report.process.spent.tokens <= cap, "{percent} %");
            let Ended::Stopped { reason } = &best.report.ended else { panic!("{:?}", best.report.ended) };
            assert!(reason.contains("tokens"), "{reason}");
            let cap = spent.usd() * percent as f64 / 100.0;
            let best = compile(base().caps(Caps::default().usd(cap)));
            assert!(best.report.process.spent.usd() <= cap, "{percent} %");
            let Ended::Stopped { reason } = &best.report.ended else { panic!("{:?}", best.report.ended) };
            assert!(reason.contains("USD"), "{reason}");
        }
    }
    let twice = Caps::default().tokens(2 * spent.tokens).usd(2.0 * spent.usd()).calls(2 * spent.calls);
    let best = compile(builder(&Arc::new(model())).price("priced", price).caps(twice));
    assert!(comparable(&best) == comparable(&whole));
}

#[test]
fn a_cap_in_usd_needs_a_price() {
    let lm = Arc::new(model());
    let other = Arc::new(model().with_model("unheard of"));
    let problems = |builder: MiproV2Builder| builder.build().err().unwrap().to_string();
    let text = problems(builder(&lm).caps(Caps::default().usd(1.0)));
    assert!(text.contains("a cap in USD needs the price of `priced`"), "{text}");
    let priced = || builder(&lm).price("priced", TokenPrice::new(1.0, 2.0)).caps(Caps::default().usd(1.0));
    assert!(priced().build().is_ok());
    let text = problems(priced().prompt_lm(other));
    assert!(text.contains("a cap in USD needs the price of `unheard of`"), "{text}");
    let text = problems(priced().price("priced", TokenPrice::new(-1.0, f64::NAN)));
    assert!(text.contains("the price of `priced` is negative"), "{text}");
    let text = problems(priced().caps(Caps::default().usd(f64::NAN)));
    assert!(text.contains("`caps.usd` is NaN"), "{text}");
}

#[test]
fn no_call_goes_on_after_the_time() {
    for (cap, longest) in [(0, 1000), (40_000, 1000), (100_000, 1500)] {
        let now = Arc::new(AtomicU64::new(0));
        let (clock, passes) = (now.clone(), now.clone());
        let lm = Arc::new(ScriptedLm::new(move |request: &LmRequest| {
            // Calls get slower up to the longest.
            let began = passes.load(Ordering::SeqCst);
            passes.fetch_add((900 + began / 100).min(longest), Ordering::SeqCst);
            task().answer(request)
        }));
        let limit = Duration::from_millis(cap);
        let clock = move || Duration::from_millis(clock.load(Ordering::SeqCst));
        let best = compile(builder(&lm).concurrency(1).clock(clock).caps(Caps::default().time(limit)));
        // A call that takes longer than any before it is not foreseen: here by a hundredth of the time so far at most.
        let ended = now.load(Ordering::SeqCst);
        assert!(ended <= cap + longest / 50, "{ended} of {cap}");
        assert!(cap == 0 || ended + 2 * longest > cap, "{ended} of {cap}");
        let Ended::Stopped { reason } = &best.report.ended else { panic!("{:?}", best.report.ended) };
        assert!(reason.starts_with(&format!("the cap of {:.1} s", limit.as_secs_f64())), "{reason}");
    }
}

#[test]
fn a_capped_run_goes_on_under_a_higher_cap() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.jsonl");
    let whole = compile(builder(&Arc::new(model())));
    let calls = whole.report.process.spent.calls;
    let mut asked = 0;
    for cap in [calls / 3, calls / 2, calls * 3 / 4, calls] {
        let lm = Arc::new(model());
        let best = compile(builder(&lm).checkpoint(&path).caps(Caps::default().calls(cap)).concurrency(7));
        asked += lm.log().calls();
        assert!(asked <= cap, "what was spent before counts: {asked} of {cap}");
        assert!(!changed_its_mind(&best), "{:?}", best.report.warnings);
        if cap == calls {
            assert!(comparable(&best) == comparable(&whole));
        }
    }
    assert_eq!(asked, calls);
}

#[test]
fn patience_ends_the_search_and_is_no_matter_of_timing() {
    let run = |concurrency| {
        let builder = builder(&Arc::new(model())).num_trials(40).patience(2).minibatch_full_eval_steps(3);
        compile(builder.concurrency(concurrency))
    };
    let best = run(1);
    let Ended::Early { reason } = &best.report.ended else { panic!("{:?}", best.report.ended) };
    assert!(reason.contains("2 full evaluations were not better"), "{reason}");
    assert!(best.report.test.is_some());
    assert!(best.report.requested_runs() < best.report.plan.evaluation_runs);
    for concurrency in [4, 64] {
        assert!(comparable(&run(concurrency)) == comparable(&best));
    }
}
