//! Parity with DSPy 3.4.1: with the same answers, the same number of task calls by kind and the same first three demo sets.
//!
//! `tests/golden/dspy.json` is what DSPy did, written by `xtask/golden/miprov2.py`; the scripted answers are the same here. How a
//! candidate is promoted is compared in the search's own tests.

use std::sync::Arc;

use futures::executor::block_on;
use serde::Deserialize;
use teleprompt_core::{
    CallRole, DemoOrigin, Example, Fields, LmRequest, Predictor, SignatureSpec, Stage, metric,
};
use teleprompt_miprov2::{Dataset, MiproV2, ReferenceSearch, Strategy, TrialKind};
use teleprompt_testkit::ScriptedLm;

#[derive(Deserialize)]
struct Golden {
    train: u64,
    val: u64,
    trials: usize,
    minibatch: usize,
    steps: usize,
    candidates: usize,
    calls: Calls,
    demo_sets: Vec<Vec<GoldenDemo>>,
}

#[derive(Deserialize)]
struct Calls {
    bootstrap: u64,
    minibatch: usize,
    full: usize,
}

#[derive(Deserialize)]
struct GoldenDemo {
    question: String,
    bootstrapped: bool,
}

/// The model knows about half of the cases, whatever the prompt; proposals differ by what they are asked with.
fn answer(request: &LmRequest) -> String {
    let text = request.last_user_text();
    let shown = text.rsplit_once("Respond with").map_or(text.as_str(), |(shown, _)| shown);
    match shown.rsplit_once("case ").and_then(|(_, case)| case.trim().parse::<u64>().ok()) {
        Some(case) if (case * 7 + 3) % 10 < 5 => format!("[[ ## answer ## ]]\n{}", 3 * case),
        Some(_) => "[[ ## answer ## ]]\nunknown".to_owned(),
        None => {
            format!("Triple the number, then write it down. Variant {} of {}.", request.rollout, text.len())
        }
    }
}

fn rows(cases: std::ops::Range<u64>) -> Vec<Example> {
    let row = |case: u64| Example {
        inputs: Fields::new().with("question", format!("case {case}")),
        labels: Fields::new().with("answer", (3 * case).to_string()),
    };
    cases.map(row).collect()
}

#[test]
fn the_same_answers_give_the_same_calls_and_demo_sets() {
    let golden: Golden = serde_json::from_str(include_str!("golden/dspy.json")).unwrap();
    let lm = Arc::new(ScriptedLm::new(answer));
    let builder = MiproV2::builder().task_lm(lm).num_candidates(golden.candidates).num_trials(golden.trials);
    let builder = builder.strategy(Strategy::Reference(ReferenceSearch::default()));
    let builder = builder.minibatch_size(golden.minibatch).minibatch_full_eval_steps(golden.steps);
    let optimizer = builder.share_known(false).trials_ahead(1).build().unwrap();
    let data = Dataset::new(rows(0..golden.train)).val(rows(100..100 + golden.val));
    let program = Predictor::new(SignatureSpec::parse("question -> answer").unwrap());
    let best = block_on(optimizer.compile(&program, &data, &metric::exact_match("answer"))).unwrap();
    let report = &best.report;

    let runs = |minibatch: bool| -> usize {
        let trials = report.trials.iter().filter(|trial| (trial.kind == TrialKind::Minibatch) == minibatch);
        trials.map(|trial| trial.requested - trial.known).sum()
    };
    assert_eq!((runs(true), runs(false)), (golden.calls.minibatch, golden.calls.full));
    let search = &report.stages[&Stage::Search][&CallRole::Task];
    assert_eq!((search.requests, search.cached), ((golden.calls.minibatch + golden.calls.full) as u64, 0));
    assert_eq!(report.stages[&Stage::Bootstrap][&CallRole::Teacher].requests, golden.calls.bootstrap);

    let sets = &report.demo_sets["self"];
    assert_eq!(sets.len(), golden.demo_sets.len());
    for (index, (ours, theirs)) in sets.iter().zip(&golden.demo_sets).enumerate() {
        assert_eq!(ours.len(), theirs.len(), "set {index}");
        for (ours, theirs) in ours.iter().zip(theirs) {
            assert_eq!(ours.origin == DemoOrigin::Bootstrapped, theirs.bootstrapped, "set {index}");
            // Labeled rows are drawn by the run's own seed; bootstrapped ones are those that succeed first.
            if theirs.bootstrapped {
                assert_eq!(format!("case {}", ours.row.unwrap()), theirs.question, "set {index}");
            }
        }
    }
}
