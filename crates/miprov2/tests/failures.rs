//! What fails, and what that means for a run: rows, candidates, metrics, and a provider that is away.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking too")]

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::executor::block_on;
use teleprompt_core::lm::LmErrorKind;
use teleprompt_core::{Event, Example, Lm, Metric, Prediction, metric};
use teleprompt_miprov2::{
    Dataset, Ended, MiproV2, MiproV2Builder, OptimizeError, Optimized, Process, TrialKind,
};
use teleprompt_propose::FixedProposer;
use teleprompt_testkit::{ScriptedLm, SimTask};

fn task() -> SimTask {
    SimTask::new(11)
}

fn builder(lm: Arc<dyn Lm>) -> MiproV2Builder {
    let instructions = ["Name the colour.", "Look the item up, then name its colour."];
    let proposer = FixedProposer::new().with("answer", instructions);
    let builder = MiproV2::builder().task_lm(lm).num_candidates(3).num_trials(10).minibatch_size(20);
    builder.proposer(Arc::new(proposer)).outage_waits([])
}

fn compile(builder: MiproV2Builder, metric: &dyn Metric) -> Result<Optimized, OptimizeError> {
    let data = Dataset::new(task().examples(0..40)).val(task().examples(1000..1040));
    block_on(builder.build().unwrap().compile(&task().program(), &data, metric))
}

/// A model that gives no answer where `fails` says so.
fn failing(fails: impl Fn(&teleprompt_core::LmRequest) -> bool + Send + Sync + 'static) -> Arc<ScriptedLm> {
    let lm = ScriptedLm::new(move |request| -> Result<String, LmErrorKind> {
        if fails(request) { Err(LmErrorKind::Timeout) } else { Ok(task().answer(request)) }
    });
    Arc::new(lm.with_model("simulated"))
}

#[test]
fn a_candidate_that_fails_on_too_many_rows_has_no_score_and_does_not_win() {
    let hash =
        |text: &str| text.bytes().fold(7_u32, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
    // Under this instruction three rows of five have no answer; a mean of what is left would say nothing.
    let lm = failing(move |request| {
        let system = request.messages[0].text();
        system.contains("Name the colour.") && hash(&request.last_user_text()) % 5 < 3
    });
    let best =
        compile(builder(lm).max_errors(1_000).max_bootstrapped_demos(0).num_trials(24), &task().metric())
            .unwrap();
    assert_eq!(best.report.ended, Ended::Complete);
    let (bad, good): (Vec<_>, Vec<_>) =
        best.report.trials.iter().partition(|trial| trial.choices[0].instruction == 1);
    assert!(bad.len() >= 2 && !good.is_empty(), "{} {}", bad.len(), good.len());
    assert!(bad.iter().filter(|trial| trial.score.is_none()).count() * 2 > bad.len());
    assert!(bad.iter().all(|trial| trial.kind == TrialKind::Minibatch || trial.score.is_none()));
    assert!(good.iter().all(|trial| trial.score.is_some() && trial.failed.is_empty()));
    assert_ne!(best.report.winner.choices[0].instruction, 1);
}

#[test]
fn what_a_metric_does_wrong_is_named_with_its_row() {
    let odd = task().examples(1000..1040)[7].inputs.text("question");
    let check = |value: fn() -> f64, message: &str| {
        let odd = odd.clone();
        let metric = move |gold: &Example, said: &Prediction| {
            if gold.inputs.text("question") == odd {
                return Ok(value());
            }
            metric::same(gold, said, "answer").map(f64::from)
        };
        let best = compile(builder(Arc::new(task().lm())).max_errors(50), &metric).unwrap();
        let failed: Vec<_> = best.report.failed_rows().collect();
        assert!(!failed.is_empty());
        for (_, failed) in failed {
            assert_eq!((failed.row, failed.error.message.contains(message)), (7, true), "{failed:?}");
        }
        assert!(best.report.to_string().contains("trial 0, row 7: "), "{}", best.report);
        assert_eq!(best.report.baseline_rows.len(), 39, "no score is no zero");
        // Where none is allowed, the error says which row it was.
        let error = compile(builder(Arc::new(task().lm())).max_errors(0), &metric).unwrap_err().to_string();
        assert!(error.contains("the first: row 7: ") && error.contains(message), "{error}");
    };
    check(|| f64::NAN, "the metric gave NaN: a score must be a number from 0 to 1");
    check(|| 1.5, "the metric gave 1.5");
    check(|| -0.25, "the metric gave -0.25");
    check(|| panic!("odd row"), "the program or the metric panicked: odd row");
}

fn comparable(mut best: Optimized) -> String {
    best.report.process = Process::default();
    serde_json::to_string(&best).unwrap()
}

#[test]
fn an_outage_pauses_visibly_then_fails_and_the_run_goes_on_when_the_provider_is_back() {
    let folder = tempfile::tempdir().unwrap();
    let run = |lm: Arc<dyn Lm>, path: &Path, observer: Option<Arc<dyn teleprompt_core::Observer>>| {
        let builder = builder(lm).max_bootstrapped_demos(0).checkpoint(path).concurrency(4).max_errors(3);
        let builder = builder.outage_waits([2, 10, 60].map(Duration::from_secs));
        let builder = builder.sleep(|_| Box::pin(std::future::ready(())));
        compile(observer.into_iter().fold(builder, MiproV2Builder::observer), &task().metric())
    };
    let expected = comparable(run(Arc::new(task().lm()), &folder.path().join("whole.jsonl"), None).unwrap());
    for answered in [0, 5, 60, 130] {
        let path = folder.path().join(format!("{answered}.jsonl"));
        let calls = AtomicUsize::new(0);
        let away = failing(move |_| calls.fetch_add(1, Ordering::SeqCst) >= answered);
        let pauses = Arc::new(Mutex::new(Vec::new()));
        let seen = pauses.clone();
        let observer = move |event: &Event| {
            if let Event::Paused { seconds, message } = event {
                seen.lock().unwrap().push((*seconds, message.clone()));
            }
        };
        let result = run(away, &path, Some(Arc::new(observer)));
        let message = match &result {
            Ok(best) => match &best.report.ended {
                Ended::Failed { message } => message.clone(),
                other => panic!("{other:?}"),
            },
            Err(error) => error.to_string(),
        };
        assert!(message.contains("more than 3 rows failed") && message.contains("timed out"), "{message}");
        let pauses = pauses.lock().unwrap();
        // The first wait is each call's own.
        assert!(
            pauses.iter().any(|(seconds, _)| *seconds == 10.0)
                && pauses.iter().any(|(seconds, _)| *seconds == 60.0)
        );
        assert!(pauses.iter().all(|(_, message)| message.contains("timed out")), "{pauses:?}");
        let back = Arc::new(task().lm());
        let best = run(back.clone(), &path, None).unwrap();
        assert!(comparable(best) == expected, "after {answered} answers");
    }
}

#[test]
fn a_server_that_was_never_reached_is_waited_for_once() {
    let lm = Arc::new(ScriptedLm::new(|_| LmErrorKind::Connection));
    let slept = Arc::new(Mutex::new(Duration::ZERO));
    let sum = slept.clone();
    let builder = builder(lm.clone()).outage_waits([2, 10, 60].map(Duration::from_secs)).concurrency(8);
    let builder = builder.sleep(move |time| {
        *sum.lock().unwrap() += time;
        Box::pin(std::future::ready(()))
    });
    let error = compile(builder, &task().metric()).unwrap_err().to_string();
    assert!(error.contains("more than 10 rows failed") && error.contains("cannot be reached"), "{error}");
    let calls = lm.log().calls();
    assert_eq!(*slept.lock().unwrap(), Duration::from_secs(calls), "2 s for every second call");
    assert!(calls < 60, "{calls}");
}

#[test]
fn a_server_that_says_how_long_to_wait_is_waited_for() {
    for (asked, waited) in [(1, 2), (20, 20), (3_600, 60)] {
        let first = AtomicBool::new(true);
        let lm = ScriptedLm::new(move |request| -> Result<String, LmErrorKind> {
            let retry_after = Some(Duration::from_secs(asked));
            if first.swap(false, Ordering::SeqCst) {
                return Err(LmErrorKind::RateLimited { retry_after });
            }
            Ok(task().answer(request))
        });
        let slept = Arc::new(Mutex::new(Duration::ZERO));
        let sum = slept.clone();
        let builder = builder(Arc::new(lm)).outage_waits([2, 10, 60].map(Duration::from_secs));
        let builder = builder.sleep(move |time| {
            *sum.lock().unwrap() += time;
            Box::pin(std::future::ready(()))
        });
        let best = compile(builder, &task().metric()).unwrap();
        assert_eq!(best.report.ended, Ended::Complete);
        assert_eq!(*slept.lock().unwrap(), Duration::from_secs(waited));
    }
}

#[test]
fn a_stop_during_a_pause_is_no_failure_of_the_call() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.jsonl");
    let stop = teleprompt_miprov2::StopSignal::new();
    let signal = stop.clone();
    let away = Arc::new(AtomicBool::new(true));
    let state = away.clone();
    let lm = failing(move |_| state.load(Ordering::SeqCst));
    let observer = move |event: &Event| {
        if matches!(event, Event::Paused { .. }) {
            signal.stop();
        }
    };
    let base = || {
        let builder = builder(lm.clone()).max_bootstrapped_demos(0).checkpoint(&path).max_errors(0);
        builder.outage_waits([Duration::from_secs(1); 3]).sleep(|_| Box::pin(std::future::ready(())))
    };
    let stopped = compile(base().stop(stop).observer(Arc::new(observer)), &task().metric()).unwrap();
    assert!(matches!(stopped.report.ended, Ended::Stopped { .. }));
    away.store(false, Ordering::SeqCst);
    let best = compile(base(), &task().metric()).unwrap();
    assert_eq!(best.report.ended, Ended::Complete);
    assert_eq!(best.report.failed_rows().count(), 0);
}
