//! Whole runs with the adaptive strategy: its budget, its determinism, its checkpoint, and what it finds beside the reference.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking too")]

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use futures::executor::block_on;
use teleprompt_core::{CallRole, Event, Lm, Observer, Stage};
use teleprompt_miprov2::{
    AdaptiveSearch, Auto, Dataset, Ended, MiproV2, MiproV2Builder, Optimized, Process, ReferenceSearch,
    Strategy, TrialKind,
};
use teleprompt_testkit::SimTask;

fn compile(task: &SimTask, builder: MiproV2Builder) -> Optimized {
    let data = Dataset::new(task.examples(0..200)).val(task.examples(1000..1100));
    block_on(builder.build().unwrap().compile(&task.program(), &data, &task.metric())).unwrap()
}

fn light(lm: Arc<dyn Lm>) -> MiproV2Builder {
    MiproV2::builder().task_lm(lm).auto(Auto::Light).outage_waits([])
}

fn adaptive(lm: Arc<dyn Lm>) -> MiproV2Builder {
    light(lm).strategy(Strategy::Adaptive(AdaptiveSearch::default()))
}

fn reference_search(lm: Arc<dyn Lm>) -> MiproV2Builder {
    light(lm).strategy(Strategy::Reference(ReferenceSearch::default()))
}

/// What does not depend on the process.
fn result(mut best: Optimized) -> String {
    best.report.process = Process::default();
    serde_json::to_string_pretty(&best).unwrap()
}

#[test]
fn the_budget_is_the_references_and_is_never_passed() {
    for (task, runs) in [(SimTask::new(1), 650), (SimTask::two_stage(1), 1200)] {
        for (asked, budget) in [(None, runs), (Some(runs / 2), runs / 2), (Some(7), 7)] {
            let lm = Arc::new(task.lm());
            let search = AdaptiveSearch::default();
            let search = asked.map_or(search, |runs| search.program_runs(runs));
            let steps = Arc::new(AtomicUsize::new(0));
            let counted = steps.clone();
            let observer = move |event: &Event| {
                let step = matches!(event, Event::Step { stage: Stage::Search });
                counted.fetch_add(usize::from(step), Ordering::SeqCst);
            };
            let builder = light(lm.clone()).strategy(Strategy::Adaptive(search)).observer(Arc::new(observer));
            let best = compile(&task, builder);
            let report = &best.report;
            // No row that is known is asked for again, neither by the first plan nor by the comparison at the end.
            assert_eq!((report.known_runs(), report.saved.program_runs), (0, 0));
            assert_eq!(steps.load(Ordering::SeqCst), report.requested_runs());
            assert_eq!(report.plan.evaluation_runs, budget);
            let fresh = report.requested_runs() - report.known_runs();
            assert!(fresh <= budget, "{fresh} of {budget}");
            assert_eq!(report.calls[&CallRole::Task].requests, (report.plan.predictors * fresh) as u64);
            let asked: u64 = report.calls.values().map(|counts| counts.requests - counts.cached).sum();
            assert_eq!(asked, lm.log().calls(), "every call of the model is in the report");
            let posterior = report.posterior.as_ref().unwrap();
            assert!(posterior.runs <= budget && (0.0..=1.0).contains(&posterior.p_better));
            // Baseline and winner stand on the same rows.
            let rows = |rows: &[teleprompt_core::evaluate::RowResult]| -> Vec<usize> {
                rows.iter().map(|row| row.row).collect()
            };
            assert_eq!(rows(&report.baseline_rows), rows(&report.winner_rows));
            assert!(!report.baseline_rows.is_empty());
            let full = report.trials.iter().filter(|trial| trial.kind != TrialKind::Minibatch);
            assert!(full.count() <= 2);
        }
    }
}

#[test]
fn the_first_line_says_which_strategy_runs_and_why() {
    #[derive(Default)]
    struct Lines(Mutex<Vec<String>>);
    impl Observer for Lines {
        fn on_event(&self, event: &Event) {
            if let Event::Started { lines } = event {
                self.0.lock().unwrap().extend(lines.iter().cloned());
            }
        }
    }
    let task = SimTask::new(2);
    let first = |builder: MiproV2Builder| {
        let lines = Arc::new(Lines::default());
        let data = Dataset::new(task.examples(0..20)).val(task.examples(1000..1020));
        let optimizer = builder.observer(lines.clone()).build().unwrap();
        let best = block_on(optimizer.compile(&task.program(), &data, &task.metric())).unwrap();
        let line = lines.0.lock().unwrap()[0].clone();
        (line, best.report.settings.adaptive.is_some())
    };
    let new = || light(Arc::new(task.lm()));
    let manual = || MiproV2::builder().task_lm(Arc::new(task.lm())).num_candidates(2).num_trials(2);
    let asked = || Strategy::Adaptive(AdaptiveSearch::default());
    for (builder, adaptive, why) in [
        (new(), true, "adaptive strategy (the default)"),
        (adaptive(Arc::new(task.lm())), true, "adaptive strategy (asked for)"),
        (reference_search(Arc::new(task.lm())), false, "reference strategy (asked for)"),
        (new().minibatch_size(10), false, "reference strategy (set by `minibatch_size`)"),
        (new().patience(3).minibatch(false), false, "reference strategy (set by `minibatch`, `patience`)"),
        (manual(), false, "reference strategy (set by `num_trials`)"),
        (manual().strategy(asked()), true, "adaptive strategy (asked for)"),
    ] {
        let (line, is_adaptive) = first(builder);
        assert!(line.contains(why), "{line}: {why}");
        assert_eq!(is_adaptive, adaptive, "{why}");
    }
    let problem = manual().patience(3).strategy(asked()).build().err().unwrap().to_string();
    assert!(problem.contains("`patience` is a setting of the reference's search"), "{problem}");
}

#[test]
fn fast_is_half_of_the_references_number() {
    let task = SimTask::new(1);
    let lm = Arc::new(task.lm());
    let best = compile(&task, light(lm).strategy(Strategy::Adaptive(AdaptiveSearch::default().fast())));
    assert_eq!(best.report.plan.evaluation_runs, 325);
    assert!(best.report.posterior.unwrap().runs <= 325);
}

#[test]
fn a_change_needs_the_probability_of_improvement_that_was_asked_for() {
    let task = SimTask::new(4);
    let run = |p: f64| {
        let search = AdaptiveSearch::default().require_improvement(p);
        compile(&task, light(Arc::new(task.lm())).strategy(Strategy::Adaptive(search)))
    };
    let (easy, never) = (run(0.0), run(1.0));
    let (p, leader) = {
        let posterior = easy.report.posterior.as_ref().unwrap();
        (posterior.p_better, posterior.leader.clone())
    };
    assert_eq!(easy.report.winner.choices, leader);
    assert!(p > 0.5 && p < 1.0, "{p}");
    // The leader is the same; it stays the leader, and the program stays as it was.
    assert_eq!(never.report.posterior.as_ref().unwrap().leader, leader);
    assert!(
        never.report.winner.choices.iter().all(|choice| choice.instruction == 0 && choice.demos == Some(0))
    );
}

#[test]
fn a_result_does_not_depend_on_the_concurrency() {
    let task = SimTask::two_stage(3);
    let run = |concurrency| {
        let lm = Arc::new(task.lm().with_yields(7, concurrency as u64));
        result(compile(&task, adaptive(lm).concurrency(concurrency)))
    };
    let one = run(1);
    assert_eq!(one, run(8));
    assert_eq!(one, run(64));
}

#[test]
fn a_finished_run_is_told_again_from_its_checkpoint() {
    let task = SimTask::new(5);
    let folder = tempfile::tempdir().unwrap();
    let run = || {
        let lm = Arc::new(task.lm());
        let best = compile(&task, adaptive(lm.clone()).checkpoint(folder.path().join("run.jsonl")));
        (result(best), lm.log().calls())
    };
    let (first, calls) = run();
    let (again, more) = run();
    assert_eq!(first, again);
    assert!(calls > 0);
    assert_eq!(more, 0);
}

#[test]
fn it_finds_programs_at_least_as_good_as_the_references() {
    let rows = |task: &SimTask| task.examples(20_000..22_000);
    let (mut ours, mut reference, mut runs, mut reference_runs) = (0.0, 0.0, 0, 0);
    for seed in 0..48 {
        let task = if seed % 2 == 0 { SimTask::new(seed) } else { SimTask::two_stage(seed) };
        let spent = |best: &Optimized| best.report.requested_runs() - best.report.known_runs();
        let best = compile(&task, adaptive(Arc::new(task.lm())).seed(seed));
        assert!(matches!(best.report.ended, Ended::Complete | Ended::Early { .. }));
        ours += task.exact_score(&best.candidate, &rows(&task));
        runs += spent(&best);
        let best = compile(&task, reference_search(Arc::new(task.lm())).seed(seed));
        reference += task.exact_score(&best.candidate, &rows(&task));
        reference_runs += spent(&best);
    }
    assert!(runs <= reference_runs + 48 * 250, "{runs} and {reference_runs} program runs");
    // 72.3 and 71.2 % when this was written; a dozen tasks are too few to tell them apart.
    assert!(ours >= reference, "{} and {}", ours / 48.0, reference / 48.0);
}
