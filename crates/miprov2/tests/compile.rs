//! Whole runs on simulated tasks: schedules against the reference's formulas, determinism, modes, failures.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking too")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures::executor::block_on;
use teleprompt_core::lm::LmErrorKind;
use teleprompt_core::{CallRole, DemoOrigin, Event, Lm, metric};
use teleprompt_miprov2::{
    AdaptiveSearch, Auto, Dataset, Ended, MiproV2, MiproV2Builder, OptimizeError, Optimized, Process,
    ReferenceSearch, StopSignal, Strategy, Teacher, TrialKind,
};
use teleprompt_propose::Proposer;
use teleprompt_testkit::{Fault, Faulty, Landscape, ScriptedLm, SimTask, When};

fn data(task: &SimTask) -> Dataset {
    Dataset::new(task.examples(0..200)).val(task.examples(1000..1100))
}

fn compile(task: &SimTask, data: &Dataset, builder: MiproV2Builder) -> Result<Optimized, OptimizeError> {
    let optimizer = builder.build().unwrap();
    block_on(optimizer.compile(&task.program(), data, &task.metric()))
}

fn light(lm: Arc<dyn Lm>) -> MiproV2Builder {
    let reference = Strategy::Reference(ReferenceSearch::default());
    MiproV2::builder().task_lm(lm).auto(Auto::Light).outage_waits([]).strategy(reference)
}

/// `|val| + 35 T + ceil(T / 5) |val|` on 100 rows: 650 for one predictor, 1,200 for two.
#[test]
fn light_asks_for_as_many_program_runs_as_the_reference() {
    for (task, trials, runs) in [(SimTask::new(1), 10, 650), (SimTask::two_stage(1), 20, 1200)] {
        for seed in 0..4 {
            let lm = Arc::new(task.lm());
            let best = compile(&task, &data(&task), light(lm.clone()).seed(seed)).unwrap();
            let report = &best.report;
            assert_eq!(report.plan.trials, trials);
            assert_eq!(report.plan.evaluation_runs, runs);
            assert_eq!(report.requested_runs(), runs, "seed {seed}");
            let predictors = report.plan.predictors as u64;
            let fresh = (report.requested_runs() - report.known_runs()) as u64;
            assert_eq!(report.calls[&CallRole::Task].requests, predictors * fresh);
            assert!(report.known_runs() > 0, "minibatch rows count towards full evaluations");
            let asked: u64 = report.calls.values().map(|counts| counts.requests - counts.cached).sum();
            assert_eq!(asked, lm.log().calls(), "every call of the model is in the report");
            assert_eq!(report.saved.program_runs, report.known_runs());
            let prompt = report.calls[&CallRole::Prompt].requests;
            let range = report.plan.proposal_calls;
            assert!((range.least..=range.most).contains(&prompt), "{prompt} in {range:?}");
            let teacher = report.calls[&CallRole::Teacher].requests / predictors;
            let (least, most) = report.plan.bootstrap_runs;
            assert!((least as u64..=most as u64).contains(&teacher), "{teacher} in {least}..={most}");
            let full = report.trials.iter().filter(|trial| trial.kind == TrialKind::Full).count();
            assert_eq!(full, trials.div_ceil(5));
        }
    }
}

#[test]
fn the_result_is_the_same_at_any_concurrency_and_on_every_run() {
    let task = SimTask::two_stage(3);
    let run = |concurrency: usize, yields: u64| {
        let lm = Arc::new(task.lm().with_yields(7, yields));
        let mut best =
            compile(&task, &data(&task), light(lm.clone()).concurrency(concurrency).seed(0)).unwrap();
        assert!(lm.log().max_in_flight() <= concurrency);
        best.report.process = Process::default();
        serde_json::to_string(&best).unwrap()
    };
    let first = run(1, 1);
    for (concurrency, yields) in [(1, 2), (8, 1), (8, 2), (64, 1), (64, 3)] {
        assert!(run(concurrency, yields) == first, "at concurrency {concurrency}");
    }
}

#[test]
fn many_calls_are_in_flight_at_once() {
    let task = SimTask::new(3);
    let lm = Arc::new(task.lm().with_yields(3, 1));
    compile(&task, &data(&task), light(lm.clone()).concurrency(32)).unwrap();
    assert!((17..=32).contains(&lm.log().max_in_flight()), "{}", lm.log().max_in_flight());
}

#[test]
fn another_seed_is_another_run_and_zero_is_a_seed() {
    let task = SimTask::new(5);
    let run =
        |seed| compile(&task, &data(&task), light(Arc::new(task.lm())).seed(seed)).unwrap().report.trials;
    assert_ne!(run(0), run(1));
}

#[test]
fn the_winner_beats_the_baseline_where_something_better_can_be_found() {
    for seed in 0..5 {
        let task = SimTask::new(seed);
        let held_out = task.examples(5000..5300);
        let data = data(&task).test(held_out.clone());
        let best = compile(&task, &data, light(Arc::new(task.lm())).seed(seed)).unwrap();
        let test = best.report.test.as_ref().unwrap();
        assert_eq!(test.winner, task.exact_score(&best.candidate, &held_out));
        assert!(best.report.winner.score >= best.report.baseline.score);
        let difference = test.difference.unwrap();
        assert!(difference.low > 0.0, "seed {seed}: {difference:?}");
        assert!(best.report.to_string().contains("test "));
    }
}

#[test]
fn the_baseline_is_the_floor() {
    let flat = Landscape { instruction: 0.0, own_instruction: 1.0, demos: 0.0, ..Landscape::default() };
    let task = SimTask::new(2).with_landscape(flat);
    let best = compile(&task, &data(&task), light(Arc::new(task.lm()))).unwrap();
    assert!(best.report.winner.score >= best.report.baseline.score);
    let own = best.report.trials.iter().filter(|trial| trial.kind != TrialKind::Minibatch);
    let top = own.filter_map(|trial| trial.score).fold(0.0, f64::max);
    assert_eq!(best.report.winner.score, Some(top));
}

#[test]
fn demo_sets_follow_the_limits() {
    let task = SimTask::new(4);
    let sets = |bootstrapped, labeled| {
        let builder = light(Arc::new(task.lm()));
        let builder = builder.max_bootstrapped_demos(bootstrapped).max_labeled_demos(labeled);
        compile(&task, &data(&task), builder).unwrap()
    };
    let origins = |best: &Optimized| -> Vec<DemoOrigin> {
        let params = best.candidate.iter().filter_map(|(_, params)| params.demos.clone());
        params.flat_map(|demos| demos.iter().map(|demo| demo.origin).collect::<Vec<_>>()).collect()
    };
    let zero_shot = sets(0, 0);
    assert!(origins(&zero_shot).is_empty());
    assert_eq!(zero_shot.report.plan.trials, 9);
    assert_eq!(zero_shot.report.plan.instructions, 6);
    assert!(zero_shot.report.trials.iter().all(|trial| trial.choices[0].demos.is_none()));
    assert!(zero_shot.report.calls[&CallRole::Teacher].requests > 0, "the proposer still sees demos");

    let labeled = sets(0, 3);
    assert!(origins(&labeled).iter().all(|origin| *origin == DemoOrigin::Labeled));
    assert!(origins(&labeled).len() <= 3);
    assert!(!labeled.report.calls.contains_key(&CallRole::Teacher), "no teacher is needed");

    let bootstrapped = sets(3, 0);
    assert!(origins(&bootstrapped).iter().all(|origin| *origin == DemoOrigin::Bootstrapped));
}

#[test]
fn a_teacher_of_its_own_makes_the_demos() {
    let task = SimTask::new(6);
    let teacher = Arc::new(task.lm().with_model("teacher"));
    let student = Arc::new(task.lm());
    let builder = light(student).teacher(Teacher { lm: Some(teacher.clone()), ..Teacher::default() });
    let best = compile(&task, &data(&task), builder).unwrap();
    assert_eq!(best.report.calls[&CallRole::Teacher].requests, teacher.log().calls());
    let other = SimTask::two_stage(6);
    let mismatch = Teacher { program: Some(Arc::new(task.program())), ..Teacher::default() };
    let error = compile(&other, &data(&other), light(Arc::new(other.lm())).teacher(mismatch)).unwrap_err();
    assert_eq!(error.to_string(), "the teacher's program has no predictor `query`, which the student has");
}

#[test]
fn a_small_valset_means_full_evaluations_only() {
    let task = SimTask::new(7);
    let data = Dataset::new(task.examples(0..40)).val(task.examples(1000..1030));
    let best = compile(&task, &data, light(Arc::new(task.lm()))).unwrap();
    assert_eq!(best.report.plan.minibatch, None);
    assert_eq!(best.report.requested_runs(), 30 * 11);
    assert!(best.report.trials.iter().skip(1).all(|trial| trial.kind == TrialKind::Full));
}

#[test]
fn a_space_of_one_combination_ends_cleanly() {
    let task = SimTask::new(7);
    let builder = MiproV2::builder().task_lm(Arc::new(task.lm())).num_candidates(1).num_trials(7);
    let best = compile(&task, &data(&task), builder).unwrap();
    assert_eq!(best.report.ended, Ended::Complete);
    assert_eq!(best.candidate, teleprompt_core::Candidate::default());
    assert_eq!(best.report.calls[&CallRole::Task].requests, 100, "the same rows are not run twice");
}

#[test]
fn unreadable_answers_are_failed_rows_and_not_the_end() {
    let task = SimTask::new(8);
    let lm = Faulty::new(task.lm()).with(When::OneRequestIn { n: 3, seed: 1 }, Fault::Garble);
    let best = compile(&task, &data(&task), light(Arc::new(lm))).unwrap();
    assert_eq!(best.report.ended, Ended::Complete);
    let (_, failed) = best.report.failed_rows().next().unwrap();
    assert!(failed.error.raw_answer.is_some());
    assert!(best.report.to_string().contains("failed rows"));
}

#[test]
fn a_model_of_which_nothing_can_be_read_ends_with_the_reason() {
    let task = SimTask::new(8);
    let lm = Arc::new(ScriptedLm::new(|_| "I cannot help with that."));
    let proposer = teleprompt_propose::FixedProposer::new();
    let error = compile(&task, &data(&task), light(lm).proposer(Arc::new(proposer))).unwrap_err();
    let text = error.to_string();
    assert!(text.contains("not one of 100 answers") && text.contains("adapter"), "{text}");
}

/// The same however few rows there are, and nothing is searched for it.
#[test]
fn a_program_that_fails_on_every_row_ends_with_the_reason() {
    let task = SimTask::new(8);
    let renamed = |mut row: teleprompt_core::Example| {
        row.inputs = teleprompt_core::Fields::new().with("text", row.inputs.text("question"));
        row
    };
    let rows: Vec<_> = task.examples(0..12).into_iter().map(renamed).collect();
    let proposer = Arc::new(teleprompt_propose::FixedProposer::new());
    let lm = Arc::new(task.lm());
    for strategy in
        [Strategy::Reference(ReferenceSearch::default()), Strategy::Adaptive(AdaptiveSearch::default())]
    {
        let builder = light(lm.clone()).strategy(strategy).proposer(proposer.clone());
        let error = compile(&task, &Dataset::new(rows.clone()), builder).unwrap_err().to_string();
        assert!(error.contains("failed on each of") && error.contains("`question` is missing"), "{error}");
    }
    assert_eq!(lm.log().calls(), 0);
}

#[test]
fn a_model_that_goes_away_leaves_the_best_so_far() {
    let task = SimTask::new(9);
    let optimizer = |lm| light(lm).proposer(fixed()).max_bootstrapped_demos(0);
    let whole = Arc::new(task.lm());
    compile(&task, &data(&task), optimizer(whole.clone())).unwrap();
    let lm = Faulty::new(task.lm()).with(When::FirstCalls(250), Fault::Error(LmErrorKind::Connection));
    // The first 250 calls fail: more than are allowed while the baseline is evaluated.
    let error = compile(&task, &data(&task), optimizer(Arc::new(lm))).unwrap_err();
    assert!(error.to_string().contains("more than 10 rows failed"), "{error}");

    let calls = AtomicUsize::new(0);
    let inner = task.clone();
    let dying = ScriptedLm::new(move |request| -> Result<String, LmErrorKind> {
        if calls.fetch_add(1, Ordering::SeqCst) < 250 {
            Ok(inner.answer(request))
        } else {
            Err(LmErrorKind::Connection)
        }
    });
    let best = compile(&task, &data(&task), optimizer(Arc::new(dying))).unwrap();
    assert!(matches!(&best.report.ended, Ended::Failed { message } if message.contains("rows failed")));
    assert_eq!(best.report.trials[0].kind, TrialKind::Baseline);
}

#[test]
fn a_server_that_is_not_there_is_asked_no_more_than_it_takes_to_know() {
    let task = SimTask::new(9);
    let lm = Arc::new(ScriptedLm::new(|_| LmErrorKind::Connection).with_yields(3, 1));
    let error = compile(&task, &data(&task), light(lm.clone()).max_errors(3).concurrency(2)).unwrap_err();
    assert!(error.to_string().contains("more than 3 rows failed"), "{error}");
    // One more than are allowed, what was in flight beside it, and the first calls of the proposer and of the baseline.
    assert!(lm.log().calls() <= 8, "{}", lm.log().calls());
}

#[test]
fn a_refused_key_ends_at_once() {
    let task = SimTask::new(9);
    let lm = Arc::new(ScriptedLm::new(|_| LmErrorKind::Auth));
    let error = compile(&task, &data(&task), light(lm.clone()).concurrency(4)).unwrap_err();
    assert!(error.to_string().contains("the key was refused"), "{error}");
    assert!(lm.log().calls() <= 16, "{}", lm.log().calls());
}

#[test]
fn stopping_returns_the_best_so_far() {
    let task = SimTask::new(10);
    let stop = StopSignal::new();
    let signal = stop.clone();
    let observer = move |event: &Event| {
        if matches!(event, Event::Trial { number: 3, .. }) {
            signal.stop();
        }
    };
    let builder = light(Arc::new(task.lm())).stop(stop).observer(Arc::new(observer));
    let best = compile(&task, &data(&task), builder).unwrap();
    assert_eq!(best.report.ended, Ended::Stopped { reason: String::new() });
    assert_eq!(best.report.trials.len(), 4);
    assert!(best.report.to_string().starts_with("stopped early"));

    let stop = StopSignal::new();
    stop.stop();
    let best = compile(&task, &data(&task), light(Arc::new(task.lm())).stop(stop)).unwrap();
    assert_eq!(
        (best.report.ended.clone(), best.report.winner.score),
        (Ended::Stopped { reason: String::new() }, None)
    );
    assert!(best.report.to_string().contains("the program as it was"));
    assert_eq!(best.candidate, teleprompt_core::Candidate::default());
}

#[test]
fn stopping_while_testing_says_so_and_keeps_the_winner() {
    let task = SimTask::new(10);
    let stop = StopSignal::new();
    let signal = stop.clone();
    let observer = move |event: &Event| {
        if matches!(event, Event::Stage { stage: teleprompt_core::Stage::Test, .. }) {
            signal.stop();
        }
    };
    let builder = light(Arc::new(task.lm())).stop(stop).observer(Arc::new(observer));
    let best = compile(&task, &data(&task).test(task.examples(5000..5100)), builder).unwrap();
    assert_eq!(best.report.ended, Ended::Stopped { reason: String::new() });
    assert_eq!(best.report.test, None);
    assert!(best.report.winner.score > best.report.baseline.score);
}

#[test]
fn a_metric_that_fails_is_no_score_of_zero() {
    let task = SimTask::new(11);
    let optimizer = light(Arc::new(task.lm())).max_bootstrapped_demos(0).proposer(fixed()).build().unwrap();
    let metric = |gold: &teleprompt_core::Example, said: &teleprompt_core::Prediction| {
        metric::same(gold, said, "colour")
    };
    let error = block_on(optimizer.compile(&task.program(), &data(&task), &metric)).unwrap_err();
    assert!(error.to_string().contains("field `colour` is missing"), "{error}");
}

fn fixed() -> Arc<dyn Proposer> {
    let instructions = ["Name the colour.", "Look the item up, then name its colour."];
    Arc::new(teleprompt_propose::FixedProposer::new().with("answer", instructions))
}

#[test]
fn a_prompt_too_long_for_the_model_counts_against_its_candidate() {
    let task = SimTask::new(12);
    let inner = task.clone();
    let lm = ScriptedLm::new(move |request| -> Result<String, LmErrorKind> {
        match request.messages.len() {
            0..=6 => Ok(inner.answer(request)),
            _ => Err(LmErrorKind::ContextOverflow { tokens: 9000, limit: 4096 }),
        }
    });
    let best = compile(&task, &data(&task), light(Arc::new(lm)).proposer(fixed())).unwrap();
    assert_eq!(best.report.ended, Ended::Complete);
    let overflowing = best.report.trials.iter().filter(|trial| !trial.failed.is_empty());
    assert!(overflowing.clone().count() > 0);
    assert!(overflowing.clone().all(|trial| trial.score == Some(0.0)));
}

#[test]
fn max_errors_is_one_allowance_for_the_whole_search() {
    let task = SimTask::new(9);
    let calls = AtomicUsize::new(0);
    let inner = task.clone();
    // After the baseline every call fails; a minibatch of 8 alone stays below the allowance of 10.
    let lm = Arc::new(ScriptedLm::new(move |request| -> Result<String, LmErrorKind> {
        if calls.fetch_add(1, Ordering::SeqCst) < 100 {
            Ok(inner.answer(request))
        } else {
            Err(LmErrorKind::Connection)
        }
    }));
    let builder =
        light(lm.clone()).proposer(fixed()).max_bootstrapped_demos(0).minibatch_size(8).concurrency(1);
    let best = compile(&task, &data(&task), builder).unwrap();
    assert!(
        matches!(&best.report.ended, Ended::Failed { message } if message.contains("more than 10 rows failed"))
    );
    assert_eq!(lm.log().calls(), 100 + 11);
}

#[test]
fn one_row_that_times_out_leaves_the_others_paired() {
    let task = SimTask::new(13);
    let failed = AtomicUsize::new(0);
    let inner = task.clone();
    let lm = Arc::new(ScriptedLm::new(move |request| -> Result<String, LmErrorKind> {
        let first = failed.fetch_add(1, Ordering::SeqCst) == 3;
        if first { Err(LmErrorKind::Timeout) } else { Ok(inner.answer(request)) }
    }));
    let builder = light(lm).proposer(fixed()).max_bootstrapped_demos(0).concurrency(1);
    let best = compile(&task, &data(&task), builder).unwrap();
    assert_eq!(best.report.trials[0].failed.len(), 1);
    assert_eq!(best.report.validation_difference.unwrap().n, 99);
}

#[test]
fn a_provider_that_is_away_for_a_while_is_waited_for() {
    let task = SimTask::new(9);
    let whole = compile(&task, &data(&task), light(Arc::new(task.lm()))).unwrap();
    // Calls 150 to 153 fail, whatever they ask.
    let calls = AtomicUsize::new(0);
    let inner = task.clone();
    let lm = Arc::new(ScriptedLm::new(move |request| -> Result<String, LmErrorKind> {
        let call = calls.fetch_add(1, Ordering::SeqCst);
        if (150..154).contains(&call) { Err(LmErrorKind::Connection) } else { Ok(inner.answer(request)) }
    }));
    let pauses = Arc::new(std::sync::Mutex::new(Vec::new()));
    let sink = pauses.clone();
    let observer = move |event: &Event| {
        if let Event::Paused { seconds, message } = event {
            sink.lock().unwrap().push((*seconds, message.clone()));
        }
    };
    let slept = Arc::new(AtomicUsize::new(0));
    let sleeper = slept.clone();
    let builder = light(lm).observer(Arc::new(observer)).max_errors(0);
    let waits = [1, 2, 4, 8].map(std::time::Duration::from_secs);
    let builder = builder.outage_waits(waits).sleep(move |time| {
        sleeper.fetch_add(time.as_millis() as usize, Ordering::SeqCst);
        Box::pin(std::future::ready(()))
    });
    let best = compile(&task, &data(&task), builder).unwrap();
    assert_eq!(best.report.ended, Ended::Complete);
    assert_eq!(best.report.trials, whole.report.trials);
    let pauses = pauses.lock().unwrap();
    assert_eq!(pauses.iter().map(|(seconds, _)| *seconds).collect::<Vec<_>>(), [2.0, 4.0, 8.0]);
    assert!(pauses[0].1.contains("cannot be reached"), "{pauses:?}");
    assert_eq!(slept.load(Ordering::SeqCst), 15_000);
}

#[test]
fn a_panic_of_the_metric_is_named_with_its_row() {
    let task = SimTask::new(11);
    let optimizer = light(Arc::new(task.lm())).max_errors(50).build().unwrap();
    let rows = task.examples(1000..1100);
    let bad = rows[7].inputs.text("question");
    let metric = move |gold: &teleprompt_core::Example, said: &teleprompt_core::Prediction| {
        assert!(gold.inputs.text("question") != bad, "row 7 is odd");
        metric::same(gold, said, "answer")
    };
    let best = block_on(optimizer.compile(&task.program(), &data(&task), &metric)).unwrap();
    let (_, failed) = best.report.failed_rows().next().unwrap();
    assert_eq!(failed.row, 7);
    assert_eq!(failed.error.message, "the program or the metric panicked: row 7 is odd");
    assert_eq!(best.report.validation_difference.unwrap().n, 99);
}

#[test]
fn a_failing_proposer_leaves_the_original_and_the_demos() {
    struct Failing;
    impl Proposer for Failing {
        fn propose<'a>(
            &'a self,
            _: &'a teleprompt_core::Ctx,
            _: &'a teleprompt_propose::ProposalRequest<'a>,
        ) -> futures::future::BoxFuture<
            'a,
            Result<teleprompt_propose::Proposals, teleprompt_propose::ProposeError>,
        > {
            Box::pin(async { Err(teleprompt_propose::ProposeError::user("no ideas today")) })
        }

        fn plan(&self, _: &teleprompt_propose::ProposalRequest<'_>) -> teleprompt_propose::CallRange {
            teleprompt_propose::CallRange::exactly(0)
        }
    }
    let task = SimTask::two_stage(14);
    let best = compile(&task, &data(&task), light(Arc::new(task.lm())).proposer(Arc::new(Failing))).unwrap();
    assert_eq!(best.report.ended, Ended::Complete);
    assert!(best.report.warnings.iter().any(|warning| warning.contains("no ideas today")));
    assert!(best.report.instructions.values().all(|instructions| instructions.len() == 1));
}

#[test]
fn the_first_line_of_a_run_says_what_leaves_the_machine() {
    let task = SimTask::new(15);
    let first = |remote: bool| {
        let capabilities = teleprompt_core::lm::Capabilities::text().with_remote(remote);
        let seen = Arc::new(std::sync::Mutex::new(String::new()));
        let sink = seen.clone();
        let observer = move |event: &Event| {
            if let Event::Started { lines } = event {
                *sink.lock().unwrap() = lines[0].clone();
            }
        };
        let lm = Arc::new(task.lm().with_capabilities(capabilities));
        compile(&task, &data(&task), light(lm).observer(Arc::new(observer))).unwrap();
        seen.lock().unwrap().clone()
    };
    assert!(
        first(true).starts_with("rows and the program's source are sent out of this machine, to simulated")
    );
    assert!(first(false).starts_with("MIPROv2, reference strategy (asked for); task LM simulated"));
}

#[test]
fn the_plan_counts_test_rows_and_says_where_data_goes() {
    let task = SimTask::new(15);
    let capabilities = teleprompt_core::lm::Capabilities::text().with_remote(true);
    let lm = Arc::new(task.lm().with_capabilities(capabilities));
    let optimizer = light(lm).concurrency(usize::MAX).max_labeled_demos(usize::MAX).build().unwrap();
    let plan = optimizer.plan(&task.program(), &data(&task).test(task.examples(5000..5030))).unwrap();
    assert_eq!(plan.test_runs, 60);
    assert!(
        plan.to_string()
            .starts_with("rows and the program's source are sent out of this machine, to simulated"),
        "{plan}"
    );
}
