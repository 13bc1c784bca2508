//! Caps: never passed, at any concurrency; the best program so far with the reason; the same result whatever the timing.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking too")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures::executor::block_on;
use teleprompt_core::lm::{Capabilities, Usage};
use teleprompt_core::{
    Example, FieldValue, Fields, LmRequest, LmResponse, Media, Predictor, SignatureSpec, metric,
};
use teleprompt_miprov2::{
    AdaptiveSearch, Caps, Dataset, Ended, MiproV2, MiproV2Builder, Optimized, Process, Strategy, TokenPrice,
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

/// The same, but the answers get two and a half times as long with every demo that is shown: what was seen does not tell what the
/// next candidate takes.
fn uneven(order: u64) -> ScriptedLm {
    ScriptedLm::new(|request: &LmRequest| {
        let prompt = request.messages.iter().map(|message| message.text().len() as u64).sum::<u64>();
        let demos = request.messages.len() / 2 - 1;
        let output_tokens = 100.0 * 2.5_f64.powi(demos.min(4) as i32);
        let usage =
            Usage { input_tokens: prompt / 3, output_tokens: output_tokens as u64, ..Usage::default() };
        LmResponse::new(task().answer(request)).with_usage(usage)
    })
    .with_model("priced")
    .with_yields(9, order)
}

fn builder(lm: &Arc<ScriptedLm>) -> MiproV2Builder {
    MiproV2::builder().task_lm(lm.clone()).num_candidates(3).num_trials(8).minibatch_size(10)
}

/// Both strategies, with the same budget.
const STRATEGIES: [&str; 2] = ["reference", "adaptive"];

fn under(strategy: &str, lm: &Arc<ScriptedLm>) -> MiproV2Builder {
    match strategy {
        "reference" => builder(lm),
        _ => {
            let builder = MiproV2::builder().task_lm(lm.clone()).num_candidates(3).num_trials(8);
            builder.strategy(Strategy::Adaptive(AdaptiveSearch::default()))
        }
    }
}

/// Calls in flight, with an order in which those in flight end.
const ORDERS: [(usize, u64); 5] = [(1, 2), (8, 3), (8, 5), (64, 7), (64, 11)];

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

/// Whether something came out differently when a run was resumed.
fn changed_its_mind(best: &Optimized) -> bool {
    best.report.warnings.iter().any(|warning| warning.contains("another result than before"))
}

#[test]
fn a_cap_on_calls_is_never_passed_and_the_result_does_not_depend_on_timing() {
    for strategy in STRATEGIES {
        let whole = compile(under(strategy, &Arc::new(model())));
        let calls = whole.report.process.spent.calls;
        let (mut scores, mut stopped) = (Vec::new(), 0);
        for cap in (0..=calls + 10).step_by(calls as usize / 24) {
            let mut seen = None;
            for (concurrency, order) in ORDERS.into_iter().step_by(2) {
                let lm = Arc::new(model().with_yields(5, order));
                let caps = Caps::default().calls(cap);
                let best = compile(under(strategy, &lm).caps(caps).concurrency(concurrency));
                assert!(lm.log().calls() <= cap, "{} of {cap}", lm.log().calls());
                if let Ended::Stopped { reason } = &best.report.ended {
                    assert!(reason.starts_with(&format!("the cap of {cap} LM calls")), "{reason}");
                    stopped += 1;
                } else {
                    assert!(
                        cap >= calls && comparable(&best) == comparable(&whole),
                        "{:?}",
                        best.report.ended
                    );
                }
                let found = comparable(&best);
                assert!(
                    seen.get_or_insert_with(|| found.clone()) == &found,
                    "{strategy}, cap {cap}, concurrency {concurrency}"
                );
                scores.push(best.report.winner.score);
            }
        }
        assert!(stopped >= 24 * 3, "{stopped}");
        // Where full scores decide, more calls are never worse.
        assert!(strategy != "reference" || scores.windows(2).all(|pair| pair[0] <= pair[1]), "{scores:?}");
        assert!(scores.iter().filter(|score| score.is_none()).count() >= 2 * 3);
        assert!(
            scores.iter().flatten().any(|score| Some(*score) != whole.report.baseline.score),
            "{scores:?}"
        );
    }
}

#[test]
fn a_cap_below_the_baseline_says_so_and_leaves_the_program_as_it_was() {
    let mut seen = None;
    for concurrency in [1, 7, 64] {
        let best =
            compile(builder(&Arc::new(model())).caps(Caps::default().calls(30)).concurrency(concurrency));
        let expected = "the cap of 30 LM calls is reached before the program as it is was evaluated on 40 validation rows";
        assert_eq!(best.report.ended, Ended::Stopped { reason: expected.to_owned() });
        assert!(best.report.trials.is_empty() && best.report.calls.is_empty());
        assert_eq!(best.report.process.calls.calls, 30, "what was spent is told");
        assert_eq!(best.candidate, teleprompt_core::Candidate::default());
        let text = best.report.to_string();
        assert!(
            text.starts_with(&format!("stopped early: {expected}; the best program so far follows")),
            "{text}"
        );
        assert!(text.contains("warning      the cap of 30 LM calls is below the 1"), "{text}");
        let found = comparable(&best);
        assert!(seen.get_or_insert_with(|| found.clone()) == &found, "concurrency {concurrency}");
    }
    // The baseline alone is 80 calls; demos and instructions need more than 10.
    let best = compile(builder(&Arc::new(model())).caps(Caps::default().calls(90)));
    let Ended::Stopped { reason } = &best.report.ended else { panic!("{:?}", best.report.ended) };
    assert_eq!(reason, "the cap of 90 LM calls is reached before there were demos and instructions to try");
    assert!(best.report.baseline.score.is_some() && best.report.demo_sets.is_empty());
}

#[test]
fn caps_on_tokens_and_money_are_never_passed() {
    let price = TokenPrice::new(0.15, 0.6);
    for strategy in STRATEGIES {
        let base = |order, concurrency| {
            let lm = Arc::new(model().with_yields(5, order));
            under(strategy, &lm).price("priced", price).concurrency(concurrency)
        };
        let whole = compile(base(2, 8));
        let spent = whole.report.process.spent;
        assert!(spent.usd() > 0.0);
        for percent in [1, 5, 8, 12, 20, 35, 50, 80, 99] {
            let mut seen = [None, None];
            let mut same = |which: usize, best: &Optimized| {
                let found = comparable(best);
                assert!(
                    seen[which].get_or_insert_with(|| found.clone()) == &found,
                    "{strategy}, {percent} %"
                );
            };
            for (concurrency, order) in [(1, 2), (3, 5), (64, 11)] {
                let cap = spent.tokens * percent / 100;
                let best = compile(base(order, concurrency).caps(Caps::default().tokens(cap)));
                assert!(best.report.process.spent.tokens <= cap, "{percent} %");
                let Ended::Stopped { reason } = &best.report.ended else { panic!("{:?}", best.report.ended) };
                assert!(reason.contains("tokens"), "{reason}");
                same(0, &best);
                let cap = spent.usd() * percent as f64 / 100.0;
                let best = compile(base(order, concurrency).caps(Caps::default().usd(cap)));
                assert!(best.report.process.spent.usd() <= cap, "{percent} %");
                let Ended::Stopped { reason } = &best.report.ended else { panic!("{:?}", best.report.ended) };
                assert!(reason.contains("USD"), "{reason}");
                same(1, &best);
            }
        }
        let twice = Caps::default().tokens(2 * spent.tokens).usd(2.0 * spent.usd()).calls(2 * spent.calls);
        assert!(comparable(&compile(base(3, 8).caps(twice))) == comparable(&whole));
    }
}

#[test]
fn a_cap_that_cuts_what_was_not_foreseen_gives_the_same_whatever_the_timing() {
    for strategy in STRATEGIES {
        let tokens = compile(under(strategy, &Arc::new(uneven(2)))).report.process.spent.tokens;
        let mut cut = 0;
        for percent in (4..60).step_by(4) {
            let cap = tokens * percent / 100;
            let mut seen = None;
            for (concurrency, order) in ORDERS {
                let builder = under(strategy, &Arc::new(uneven(order))).concurrency(concurrency);
                let best = compile(builder.caps(Caps::default().tokens(cap)));
                assert!(best.report.process.spent.tokens <= cap);
                let Ended::Stopped { reason } = &best.report.ended else { panic!("{:?}", best.report.ended) };
                cut += usize::from(reason.contains("is reached before the next"));
                let found = comparable(&best);
                assert!(
                    seen.get_or_insert_with(|| found.clone()) == &found,
                    "{strategy}, {percent} %, {concurrency} in flight: {reason}"
                );
            }
        }
        assert!(cut >= ORDERS.len(), "{strategy}: {cut}");
    }
}

#[test]
fn media_are_reserved_for_or_refused() {
    let cap = 60_000;
    let run = |media: Media, caps: Caps| {
        let spec = SignatureSpec::parse("image: media, question -> answer").unwrap();
        let rows = |from: usize, to: usize| -> Vec<Example> {
            let row = |i: usize| Example {
                inputs: Fields::new()
                    .with("image", media.clone().into_value())
                    .with("question", format!("{i}?")),
                labels: Fields::new().with("answer", "yes"),
            };
            (from..to).map(row).collect()
        };
        // Says what a large picture takes, whatever the file's size.
        let lm = ScriptedLm::new(|_: &LmRequest| {
            let usage = Usage { input_tokens: 4_000, output_tokens: 5, ..Usage::default() };
            LmResponse::new("[[ ## answer ## ]]\nyes").with_usage(usage)
        });
        let lm = lm.with_capabilities(Capabilities::text().with_media(true)).with_yields(3, 1);
        let proposer = teleprompt_propose::FixedProposer::new().with("self", ["Look."]);
        let builder = MiproV2::builder().task_lm(Arc::new(lm)).num_candidates(2).num_trials(4);
        let builder = builder.proposer(Arc::new(proposer)).caps(caps).concurrency(16).minibatch_size(4);
        let optimizer = builder.build().unwrap();
        let data = Dataset::new(rows(0, 4)).val(rows(10, 20));
        let program = Predictor::new(spec);
        block_on(optimizer.compile(&program, &data, &metric::exact_match("answer"))).unwrap().report
    };
    let picture = || Media::bytes("image/png", [7; 300]);
    let report = run(picture(), Caps::default().tokens(cap));
    assert!(
        report.process.spent.tokens <= cap && report.baseline.score.is_some(),
        "{:?}",
        report.process.spent
    );
    let address = || Media::url("image/png", "https://pictures.example/1.png");
    let Ended::Stopped { reason } = run(address(), Caps::default().tokens(cap)).ended else { panic!() };
    assert!(reason.contains("https://pictures.example/1.png takes; set `Caps::media`"), "{reason}");
    let report = run(address(), Caps::default().tokens(cap).media(5_000));
    assert!(
        report.process.spent.tokens <= cap && report.baseline.score.is_some(),
        "{:?}",
        report.process.spent
    );
    assert_eq!(run(address(), Caps::default().calls(1_000)).ended, Ended::Complete);
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
    for strategy in STRATEGIES {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run.jsonl");
        let whole = compile(under(strategy, &Arc::new(model())));
        let calls = whole.report.process.spent.calls;
        let mut asked = 0;
        for cap in [90, calls / 3, calls / 2, calls * 5 / 8, calls * 3 / 4, 2 * calls] {
            let lm = Arc::new(model());
            let builder = under(strategy, &lm).checkpoint(&path).caps(Caps::default().calls(cap));
            let best = compile(builder.concurrency(7));
            asked += lm.log().calls();
            assert!(asked <= cap, "what was spent before counts: {asked} of {cap}");
            assert!(!changed_its_mind(&best), "{strategy}: {:?}", best.report.warnings);
            assert_eq!(best.report.ended == whole.report.ended, cap > calls);
            if cap > calls {
                assert!(comparable(&best) == comparable(&whole), "{strategy}");
            }
        }
        assert_eq!(asked, calls, "{strategy}");
    }
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
