//! Checkpoints through the public interface: what is refused, what is read again, and that nothing is asked twice.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking too")]

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures::executor::block_on;
use teleprompt_core::lm::{Completion, LmErrorKind};
use teleprompt_core::{Event, LmRequest, LmResponse, PlainAdapter, Stage, metric};
use teleprompt_miprov2::{
    AdaptiveSearch, Dataset, Ended, MiproV2, MiproV2Builder, OptimizeError, Optimized, Process, StopSignal,
    Strategy,
};
use teleprompt_propose::FixedProposer;
use teleprompt_testkit::{Fault, Faulty, ScriptedLm, SimTask, When};

fn task() -> SimTask {
    SimTask::two_stage(5)
}

fn data() -> Dataset {
    Dataset::new(task().examples(0..30)).val(task().examples(1000..1040)).test(task().examples(5000..5010))
}

fn builder(lm: &Arc<ScriptedLm>, path: &Path) -> MiproV2Builder {
    let builder = MiproV2::builder().task_lm(lm.clone()).num_candidates(3).num_trials(6).minibatch_size(10);
    builder.metric_name("exact match").checkpoint(path)
}

fn compile(builder: MiproV2Builder) -> Result<Optimized, OptimizeError> {
    block_on(builder.build().unwrap().compile(&task().program(), &data(), &task().metric()))
}

fn lm() -> Arc<ScriptedLm> {
    Arc::new(task().lm())
}

fn comparable(mut best: Optimized) -> String {
    best.report.process = Process::default();
    serde_json::to_string(&best).unwrap()
}

fn refused(result: Result<Optimized, OptimizeError>) -> String {
    let error = result.unwrap_err();
    assert!(matches!(error, OptimizeError::Checkpoint(_)), "{error}");
    error.to_string()
}

/// Whether something came out differently when a run was resumed.
fn changed_its_mind(best: &Optimized) -> bool {
    best.report.warnings.iter().any(|warning| warning.contains("another result than before"))
}

#[test]
fn a_finished_checkpoint_gives_its_result_again_and_is_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.jsonl");
    let first = compile(builder(&lm(), &path)).unwrap();
    let before = std::fs::read(&path).unwrap();
    let again = lm();
    let second = compile(builder(&again, &path)).unwrap();
    assert_eq!(again.log().calls(), 0);
    assert_eq!(std::fs::read(&path).unwrap(), before);
    assert_eq!(second.report.process.calls.resumed, first.report.process.calls.calls);
    assert!(second.report.process.spent == first.report.process.spent);
    assert!(comparable(first) == comparable(second));
    let text = String::from_utf8(before).unwrap();
    assert!(text.ends_with("{\"ended\":{\"how\":\"complete\"}}\n"));
    // Prompts and data stay out of it: no question, no instruction of a signature.
    assert!(!text.contains("which colour is") && !text.contains("Write a search query"));

    let anew = lm();
    compile(builder(&anew, &path).checkpoint_overwrite(true)).unwrap();
    assert!(anew.log().calls() > 0);
}

/// The settings of the adaptive search in place of the reference's.
fn adaptive(lm: &Arc<ScriptedLm>, path: &Path) -> MiproV2Builder {
    let builder = MiproV2::builder().task_lm(lm.clone()).num_candidates(3).num_trials(6);
    builder.strategy(Strategy::Adaptive(AdaptiveSearch::default())).checkpoint(path)
}

#[test]
fn a_stopped_run_goes_on() {
    for builder in [builder, adaptive] {
        let folder = tempfile::tempdir().unwrap();
        let whole = lm();
        let expected = comparable(compile(builder(&whole, &folder.path().join("whole.jsonl"))).unwrap());
        let path = folder.path().join("run.jsonl");
        let mut asked = 0;
        // In the middle of the proposals, and after trials; in the last, calls of the next ones are in flight.
        for (proposals, trials) in [(Some(2), None), (None, Some(0)), (None, Some(2)), (None, Some(5))] {
            let (stop, steps) = (StopSignal::new(), AtomicUsize::new(0));
            let signal = stop.clone();
            let observer = move |event: &Event| match event {
                Event::Step { stage: Stage::Propose }
                    if Some(steps.fetch_add(1, Ordering::SeqCst)) == proposals =>
                {
                    signal.stop();
                }
                Event::Trial { number, .. } if Some(*number) == trials => signal.stop(),
                _ => {}
            };
            let lm = lm();
            let best = compile(builder(&lm, &path).stop(stop).observer(Arc::new(observer))).unwrap();
            assert!(matches!(best.report.ended, Ended::Stopped { .. }));
            assert!(!changed_its_mind(&best), "{:?}", best.report.warnings);
            asked += lm.log().calls();
        }
        let last = lm();
        let best = compile(builder(&last, &path)).unwrap();
        assert_eq!(asked + last.log().calls(), whole.log().calls());
        assert!(comparable(best) == expected);
    }
}

#[test]
fn what_changed_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.jsonl");
    compile(builder(&lm(), &path)).unwrap();
    let before = std::fs::read(&path).unwrap();
    let check = |builder: MiproV2Builder, change: &str| {
        let text = refused(compile(builder));
        assert!(text.contains(&format!("changed: {change}. ")), "{text}");
        assert!(text.contains("run.jsonl") && text.contains("checkpoint_overwrite"), "{text}");
    };
    let base = || builder(&lm(), &path);
    check(base().seed(1), "seed (9 before, 1 now)");
    let budget = |trials| format!("{{\"manual\":{{\"num_candidates\":3,\"num_trials\":{trials}}}}}");
    check(
        base().num_trials(7).minibatch_size(9),
        &format!("budget ({} before, {} now), minibatch_size (10 before, 9 now)", budget(6), budget(7)),
    );
    check(base().trials_ahead(2), "trials_ahead (6 before, 2 now)");
    check(base().metric_name("f1"), "metric (\"exact match\" before, \"f1\" now)");
    check(base().adapter(Arc::new(PlainAdapter)), "adapter, prompt adapter");
    check(base().proposer(Arc::new(FixedProposer::new())), "proposer");
    let other = Arc::new(task().lm().with_model("other"));
    check(
        builder(&other, &path),
        "prompt model (\"simulated\" before, \"other\" now), task model (\"simulated\" before, \"other\" now), \
         teacher's model (\"simulated\" before, \"other\" now)",
    );
    let with_data = |data: Dataset| {
        refused(block_on(base().build().unwrap().compile(&task().program(), &data, &task().metric())))
    };
    let val = task().examples(1000..1040);
    let text =
        with_data(Dataset::new(task().examples(0..31)).val(val.clone()).test(task().examples(5000..5010)));
    assert!(text.contains("training rows (30 rows before, 31 rows now)"), "{text}");
    let text = with_data(Dataset::new(task().examples(1..31)).val(val).test(task().examples(5000..5010)));
    assert!(text.contains("changed: training rows. "), "{text}");
    let program = SimTask::new(5).program();
    let text =
        refused(block_on(base().build().unwrap().compile(&program, &data(), &metric::exact_match("answer"))));
    assert!(text.contains("program: predictors ([\"query\",\"answer\"] before, [\"answer\"] now)"), "{text}");
    assert!(text.contains("program: source"), "{text}");
    // What has no bearing on the result may change.
    compile(base().concurrency(3).track_stats(false)).unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), before);
}

#[test]
fn other_files_are_left_as_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rows.jsonl");
    for text in
        ["{\"question\": \"a\"}\n", "not JSON", "\u{0}\u{1}", "{}\n", "\n", "{\"teleprompt_checkpoint\":1}\n"]
    {
        std::fs::write(&path, text).unwrap();
        let error = refused(compile(builder(&lm(), &path)));
        assert!(error.contains("is not a checkpoint of a run, and is left as it is"), "{text:?}: {error}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
    }
    std::fs::write(&path, "{\"teleprompt_checkpoint\":99,\"form\":\"unheard of\"}\n").unwrap();
    assert!(refused(compile(builder(&lm(), &path))).contains("has version 99 of the form"));
    let error = refused(compile(builder(&lm(), &folder.path().join("no/such/folder"))));
    assert!(error.contains("no/such/folder"), "{error}");
    // An empty file is nobody's, and so is one that was torn in its first line.
    for text in ["", "{\"telep", "{\"teleprompt_checkpoint\":1,\"finger"] {
        std::fs::write(&path, text).unwrap();
        compile(builder(&lm(), &path)).unwrap();
    }
}

#[test]
fn a_torn_end_is_dropped_and_a_damaged_middle_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.jsonl");
    let expected = comparable(compile(builder(&lm(), &path)).unwrap());
    let text = std::fs::read_to_string(&path).unwrap();
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    for cut in [1, 7, 40] {
        let kept: String = lines[..cut].concat();
        for tear in [1, lines[cut].len() / 2, lines[cut].len() - 1] {
            std::fs::write(&path, format!("{kept}{}", &lines[cut][..tear])).unwrap();
            assert!(comparable(compile(builder(&lm(), &path)).unwrap()) == expected);
        }
    }
    let mut damaged: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
    damaged[4] = "{\"answer\": oh\n".to_owned();
    let damaged = damaged.concat();
    std::fs::write(&path, &damaged).unwrap();
    let error = refused(compile(builder(&lm(), &path)));
    assert!(error.contains("run.jsonl`, line 5, cannot be read: expected value"), "{error}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), damaged);
}

#[test]
fn two_runs_do_not_write_one_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.jsonl");
    let inner = path.clone();
    let seen = Arc::new(std::sync::Mutex::new(String::new()));
    let sink = seen.clone();
    let observer = move |event: &teleprompt_core::Event| {
        if matches!(event, teleprompt_core::Event::Trial { number: 1, .. }) {
            let program = task().program();
            let other = builder(&lm(), &inner).build().unwrap();
            let second = std::thread::spawn(move || {
                refused(block_on(other.compile(&program, &data(), &task().metric())))
            });
            *sink.lock().unwrap() = second.join().unwrap();
        }
    };
    compile(builder(&lm(), &path).observer(Arc::new(observer))).unwrap();
    assert!(seen.lock().unwrap().contains("is in use by another run"));
}

#[test]
fn failures_are_given_again_and_forgotten_when_the_run_gave_up() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.jsonl");
    let faulty = |kind| {
        Arc::new(Faulty::new(task().lm()).with(When::OneRequestIn { n: 30, seed: 2 }, Fault::Error(kind)))
    };
    let with = |lm: Arc<dyn teleprompt_core::Lm>, path: &Path, errors| {
        let base = MiproV2::builder().task_lm(lm).num_candidates(3).num_trials(6).minibatch_size(10);
        compile(base.checkpoint(path).max_errors(errors).outage_waits([]))
    };
    let first = with(faulty(LmErrorKind::Timeout), &path, 1000).unwrap();
    assert!(first.report.failed_rows().count() > 0);
    // The same answers, failures among them, though the model is well now.
    let second = with(lm(), &path, 1000).unwrap();
    assert!(comparable(first) == comparable(second));

    let path = folder.path().join("gave_up.jsonl");
    let error = with(faulty(LmErrorKind::Connection), &path, 0).unwrap_err();
    assert!(error.to_string().contains("rows failed"), "{error}");
    let well = with(lm(), &folder.path().join("well.jsonl"), 0).unwrap();
    let resumed = with(lm(), &path, 0).unwrap();
    assert_eq!(resumed.report.trials, well.report.trials);
}

#[test]
fn a_metric_that_changes_its_mind_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.jsonl");
    let run = |answer: f64| {
        let metric = move |_: &teleprompt_core::Example, _: &teleprompt_core::Prediction| answer;
        block_on(builder(&lm(), &path).build().unwrap().compile(&task().program(), &data(), &metric)).unwrap()
    };
    assert!(!changed_its_mind(&run(0.5)));
    let warnings = run(0.75).report.warnings;
    assert!(
        warnings.iter().any(|text| text.contains("trial 0 gave another result than before")),
        "{warnings:?}"
    );
}

/// Files of every version of the form: each later program reads them. `UPDATE_GOLDEN` makes that of the present version anew.
#[test]
fn a_file_of_every_version_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let lm = Arc::new(ScriptedLm::new(|request: &LmRequest| {
        let even = request.last_user_text().len().is_multiple_of(2);
        let other = Completion { text: "grey".to_owned(), ..Completion::default() };
        let text = format!("[[ ## answer ## ]]\n{}", if even { "amber" } else { "blue" });
        LmResponse::new(text).with_others(vec![other])
    }));
    let program = teleprompt_core::Predictor::new(
        teleprompt_core::SignatureSpec::parse("question -> answer: label[amber, blue]").unwrap(),
    );
    let row = |i: usize| {
        let fields =
            teleprompt_core::Fields::new().with("question", "?".repeat(i + 1)).with("answer", "amber");
        teleprompt_core::Example::new(fields).with_inputs(&["question"]).unwrap()
    };
    let rows: Vec<_> = (0..8).map(row).collect();
    let data = Dataset::new(rows[..4].to_vec()).val(rows[4..].to_vec());
    let run = |path: &Path| {
        let builder = MiproV2::builder().task_lm(lm.clone()).num_candidates(2).num_trials(2);
        let proposer = FixedProposer::new().with("self", ["Name a colour."]);
        let builder = builder.minibatch(false).trials_ahead(5).proposer(Arc::new(proposer)).checkpoint(path);
        let optimizer = builder.build().unwrap();
        block_on(optimizer.compile(&program, &data, &metric::exact_match("answer"))).unwrap()
    };
    let golden = |version| {
        Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/golden/checkpoint-v{version}.jsonl"))
    };
    let fresh = folder.path().join("fresh.jsonl");
    run(&fresh);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::copy(&fresh, golden(2)).unwrap();
    }
    let present = std::fs::read_to_string(&fresh).unwrap();
    assert!(present.starts_with("{\"teleprompt_checkpoint\":2,") && present.contains("grey"));
    for version in [1, 2] {
        let path = folder.path().join(format!("v{version}.jsonl"));
        std::fs::copy(golden(version), &path).unwrap();
        let calls = lm.log().calls();
        let best = run(&path);
        assert_eq!(lm.log().calls(), calls, "every answer is in the file of version {version}");
        assert_eq!(best.report.ended, Ended::Complete);
        assert!(!changed_its_mind(&best), "{:?}", best.report.warnings);
        assert_eq!(std::fs::read(&path).unwrap(), std::fs::read(golden(version)).unwrap());
    }
}
