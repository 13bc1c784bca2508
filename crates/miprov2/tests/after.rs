//! After the run: the report as data and as text, its warnings, other candidates than the winner, and who watched.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking too")]

use std::io::Write;
use std::sync::{Arc, Mutex};

use futures::executor::block_on;
use teleprompt_core::lm::LmErrorKind;
use teleprompt_core::{Ctx, Evaluate, Event, Example, LmRequest, Observer, Prediction, SavedProgram, Stage};
use teleprompt_miprov2::{
    AdaptiveSearch, Auto, Caps, Dataset, EventLog, MiproV2, MiproV2Builder, Optimized, Process, Progress,
    Ranked, ReferenceSearch, Report, Strategy, TokenPrice, TrialKind,
};
use teleprompt_testkit::{Fault, Faulty, Landscape, ScriptedLm, SimTask, When};

fn task() -> SimTask {
    SimTask::two_stage(11)
}

/// What is said of full evaluations needs the strategy that makes them.
fn reference() -> Strategy {
    Strategy::Reference(ReferenceSearch::default())
}

fn builder() -> MiproV2Builder {
    let price = TokenPrice::new(1.0, 2.0);
    MiproV2::builder()
        .task_lm(Arc::new(task().lm()))
        .auto(Auto::Light)
        .strategy(reference())
        .price("simulated", price)
        .metric_name("exact match")
}

fn compile(builder: MiproV2Builder) -> Optimized {
    let data = Dataset::new(task().examples(0..100))
        .val(task().examples(1000..1100))
        .test(task().examples(5000..5100));
    block_on(builder.build().unwrap().compile(&task().program(), &data, &task().metric())).unwrap()
}

#[test]
fn the_report_is_data_and_reads_well() {
    let mut best = compile(builder());
    let text = serde_json::to_string(&best).unwrap();
    assert_eq!(serde_json::from_str::<Optimized>(&text).unwrap(), best);
    let report: &Report = &best.report;
    assert_eq!(report.version, teleprompt_miprov2::REPORT_VERSION);
    assert_eq!(report.winner_rows.len(), 100);
    let mean = report.winner_rows.iter().filter_map(|row| row.score()).sum::<f64>() / 100.0;
    assert_eq!(report.winner.score, Some(mean));
    let by_stage: u64 =
        report.stages.values().flat_map(|roles| roles.values()).map(|counts| counts.requests).sum();
    assert_eq!(by_stage, report.calls.values().map(|counts| counts.requests).sum::<u64>());
    let usd: f64 = report.usd.as_ref().unwrap().values().sum();
    assert!((usd - report.process.spent.usd()).abs() < 1e-6, "{usd} {}", report.process.spent.usd());
    // Every demo says where it comes from: the row holds what the demo shows.
    let train = task().examples(0..100);
    for (predictor, sets) in &report.demo_sets {
        assert_eq!(sets[0], []);
        assert!(sets[1..].iter().flatten().all(|demo| demo.row.is_some_and(|row| row < 100)), "{predictor}");
    }
    for choice in &report.winner.choices {
        let set = choice.demos.unwrap();
        let demos = best.candidate.get(choice.predictor.as_str()).and_then(|params| params.demos.clone());
        for (demo, source) in
            demos.iter().flat_map(|demos| demos.iter()).zip(&report.demo_sets[choice.predictor.as_str()][set])
        {
            assert_eq!(demo.origin, source.origin);
            let row: &Example = &train[source.row.unwrap()];
            assert_eq!(demo.fields.get("question"), row.inputs.get("question"));
        }
    }
    let tips = report.tips();
    let predictors = report.instructions.len();
    assert_eq!(tips.origins.iter().map(|origin| origin.wins).sum::<usize>(), predictors);
    assert_eq!(
        tips.origins.iter().map(|origin| origin.rows).sum::<usize>(),
        predictors * report.requested_runs()
    );
    let tip = report.instructions.values().flatten().filter_map(|proposed| proposed.origin.tip()).next();
    assert!(
        tips.origins
            .iter()
            .any(|origin| Some(origin.origin.as_str()) == tip.map(|key| format!("tip {key}")).as_deref())
    );
    best.report.process = Process::default();
    insta::assert_snapshot!(best.report.to_string());
}

#[test]
fn the_adaptive_search_has_other_candidates_too() {
    let adaptive = Strategy::Adaptive(AdaptiveSearch::default());
    let best = compile(builder().strategy(adaptive));
    let top: Vec<_> = best.top(4).collect();
    assert_eq!((top.len(), top[0].1), (4, &best.candidate));
    let score = |ranked: &Ranked| ranked.score().unwrap();
    assert!(top.windows(2).all(|pair| score(pair[0].0) >= score(pair[1].0)));
    assert!(best.report.ranking.iter().all(|ranked| ranked.believed.is_some_and(|belief| belief.sd > 0.0)));
    let front = best.report.pareto();
    assert_eq!(front[0].choices, best.report.winner.choices);
    assert!(front.windows(2).all(|pair| pair[0].prompt_tokens > pair[1].prompt_tokens));
    assert_eq!(best.ensemble(&task().program(), 3).members().len(), 3);
    let text = serde_json::to_string(&best).unwrap();
    assert_eq!(serde_json::from_str::<Optimized>(&text).unwrap(), best);
}

#[test]
fn other_candidates_and_an_ensemble_can_be_run() {
    let best = compile(builder());
    let top: Vec<_> = best.top(3).collect();
    assert_eq!(top[0].1, &best.candidate);
    assert!(top.windows(2).all(|pair| pair[0].0.full >= pair[1].0.full));
    let full = best.report.trials.iter().filter(|trial| trial.kind != TrialKind::Minibatch).count();
    assert_eq!(best.top(100).count(), full);
    let rows = task().examples(7000..7100);
    for (_, candidate) in top {
        // A candidate that is saved and loaded is the same program.
        let saved = SavedProgram::new(&task().program(), candidate);
        let loaded = saved.candidate(&task().program()).unwrap();
        assert_eq!(task().exact_score(&loaded, &rows), task().exact_score(candidate, &rows));
    }
    let program = task().program();
    let ensemble = best.ensemble(&program, 3).on("answer");
    assert_eq!(ensemble.members().len(), 3);
    let cx = Ctx::new(Arc::new(task().lm()));
    let score =
        block_on(Evaluate::new(&rows, &task().metric()).run(&ensemble, &cx)).unwrap().score().unwrap();
    let member = |candidate| task().exact_score(candidate, &rows);
    let (low, high) = best
        .top(3)
        .map(|(_, candidate)| member(candidate))
        .fold((1.0, 0.0), |(low, high), score| (score.min(low), score.max(high)));
    // A vote can lose rows that a member alone gets right, and win others.
    assert!(score >= low - 0.1 && score <= high + 0.1, "{score} of {low} to {high}");
    let alone = best.ensemble(&program, 1);
    let one = block_on(Evaluate::new(&rows, &task().metric()).run(&alone, &cx)).unwrap().score().unwrap();
    assert_eq!(one, member(&best.candidate));
}

#[test]
fn shorter_prompts_are_on_the_front_and_can_be_preferred() {
    let best = compile(builder());
    let front = best.report.pareto();
    assert_eq!(front[0].full, best.report.winner.score);
    assert!(
        front
            .windows(2)
            .all(|pair| { pair[0].full >= pair[1].full && pair[0].prompt_tokens > pair[1].prompt_tokens })
    );
    let shortest = best
        .report
        .ranking
        .iter()
        .filter(|ranked| ranked.full.is_some())
        .map(|ranked| ranked.prompt_tokens)
        .min();
    assert_eq!(front.last().map(|ranked| ranked.prompt_tokens), shortest);
    let shorter = compile(builder().prefer_shorter(0.1));
    let tokens = |best: &Optimized| {
        best.report
            .ranking
            .iter()
            .find(|ranked| ranked.choices == best.report.winner.choices)
            .unwrap()
            .prompt_tokens
    };
    assert!(tokens(&shorter) <= tokens(&best));
    assert!(shorter.report.winner.score.unwrap() >= best.report.winner.score.unwrap() - 0.1);
    assert!(shorter.report.winner.score >= shorter.report.baseline.score);
}

#[test]
fn warnings_say_what_the_figures_cannot() {
    let has = |best: &Optimized, text: &str| {
        let warnings = &best.report.warnings;
        assert!(warnings.iter().any(|warning| warning.contains(text)), "{warnings:?}");
    };
    let flat = Landscape { instruction: 0.0, demos: 0.0, ..Landscape::default() };
    let task = SimTask::new(3).with_landscape(flat);
    let run = |task: &SimTask, builder: MiproV2Builder, val: u64, metric: &dyn teleprompt_core::Metric| {
        let data = Dataset::new(task.examples(0..40)).val(task.examples(1000..1000 + val));
        block_on(builder.build().unwrap().compile(&task.program(), &data, metric)).unwrap()
    };
    let light = || {
        let builder = MiproV2::builder().task_lm(Arc::new(task.lm())).auto(Auto::Light);
        builder.strategy(reference()).outage_waits([])
    };
    has(&run(&task, light(), 20, &task.metric()), "only 20 validation rows");
    let always = |_: &Example, _: &Prediction| true;
    let best = run(&task, light(), 60, &always);
    has(&best, "is right on 100.0 % of the validation rows");
    has(&best, "full evaluations lie within 0.0 points");
    let garbled = Faulty::new(task.lm()).with(When::OneRequestIn { n: 4, seed: 1 }, Fault::Garble);
    has(
        &run(&task, light().task_lm(Arc::new(garbled)), 60, &task.metric()),
        "answers could not be read and score 0",
    );
    let capped = run(&task, light().caps(Caps::default().calls(190)), 60, &task.metric());
    has(
        &capped,
        "no candidate was evaluated in full before the run ended: the result is the program as it was; the best on a minibatch",
    );
    assert_eq!(capped.candidate, teleprompt_core::Candidate::default());
}

#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Vec<u8>>>);

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_run_can_be_watched() {
    let (lines, pipe, live) = (Shared::default(), Shared::default(), Shared::default());
    let observers: [Arc<dyn Observer>; 3] = [
        Arc::new(EventLog::new(lines.clone())),
        Arc::new(Progress::to(Box::new(pipe.clone()), false)),
        Arc::new(Progress::to(Box::new(live.clone()), true)),
    ];
    let best = compile(observers.into_iter().fold(builder(), MiproV2Builder::observer));
    let text = |shared: &Shared| String::from_utf8(shared.0.lock().unwrap().clone()).unwrap();
    let events: Vec<Event> = text(&lines).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(matches!(events[0], Event::Started { .. }) && matches!(events.last(), Some(Event::Ended { .. })));
    let trials = events.iter().filter(|event| matches!(event, Event::Trial { .. })).count();
    assert_eq!(trials, best.report.trials.len());
    let steps = |wanted| {
        events.iter().filter(|event| matches!(event, Event::Step { stage } if *stage == wanted)).count()
    };
    assert_eq!(steps(teleprompt_core::Stage::Search), best.report.requested_runs());
    assert_eq!(steps(teleprompt_core::Stage::Test), 200);
    for stage in [Stage::Bootstrap, Stage::Propose, Stage::Search, Stage::Test] {
        let at = |wanted: &dyn Fn(&Event) -> bool| events.iter().position(wanted).unwrap();
        let begin = at(&|event| matches!(event, Event::Stage { stage: begun, .. } if *begun == stage));
        let end = at(&|event| matches!(event, Event::StageEnded { stage: ended } if *ended == stage));
        assert!(begin < end, "{stage:?}");
    }
    // Every row belongs to a batch, and every batch ends.
    let batches = |wanted: Stage| -> (usize, usize) {
        let rows = |event: &Event| match event {
            Event::Batch { stage, rows, .. } if *stage == wanted => (*rows, 0),
            Event::BatchEnded { stage, rows, .. } if *stage == wanted => (0, *rows),
            _ => (0, 0),
        };
        events.iter().map(rows).fold((0, 0), |sum, rows| (sum.0 + rows.0, sum.1 + rows.1))
    };
    let asked = best.report.requested_runs();
    assert_eq!((batches(Stage::Search), batches(Stage::Test)), ((asked, asked), (200, 200)));
    let bootstrapped = steps(Stage::Bootstrap);
    assert_eq!(batches(Stage::Bootstrap), (bootstrapped, bootstrapped));

    let text_of_pipe = text(&pipe);
    for line in [
        "making demos, at most 100 program runs",
        "searching, at most 1200 program runs",
        "testing before and after",
    ] {
        assert_eq!(text_of_pipe.matches(line).count(), 1, "{text_of_pipe}");
    }
    assert!(text_of_pipe.lines().count() < 40 && !text_of_pipe.contains('\r'), "{text_of_pipe}");
    assert!(text(&live).contains("\rdemos 0/100"));
    assert!(text(&live).ends_with(&format!("{}\n", best.report.to_string().lines().next().unwrap())));
}

#[test]
fn progress_says_how_long_a_run_takes() {
    let pipe = Shared::default();
    let progress = Progress::to(Box::new(pipe.clone()), false);
    for (latency, seconds) in [(0.0206, (0.5, 9.04)), (1.25, (61.0, 1500.0)), (31.0, (7300.0, 90_000.0))] {
        progress.on_event(&Event::Estimated { latency, seconds });
    }
    let text = String::from_utf8(pipe.0.lock().unwrap().clone()).unwrap();
    let lines = [
        "a call takes 21 ms: the run 500 ms to 9.0 s in all",
        "a call takes 1.2 s: the run 61 s to 25 min in all",
        "a call takes 31 s: the run 2.0 h to 25.0 h in all",
    ];
    assert_eq!(text.lines().collect::<Vec<_>>(), lines);
}

#[test]
fn test_rows_are_asked_for_after_the_search_only() {
    let (train, val, test) =
        (task().examples(0..100), task().examples(1000..1100), task().examples(5000..5100));
    let question = |row: &Example| row.inputs.text("question");
    let seen: Vec<String> = train.iter().chain(&val).map(question).collect();
    let hidden: Vec<String> = test.iter().map(question).filter(|text| !seen.contains(text)).collect();
    assert!(hidden.len() > 20);
    let prompts = Arc::new(Mutex::new((Vec::new(), Vec::new())));
    let (sink, late) = (prompts.clone(), Arc::new(std::sync::atomic::AtomicBool::new(false)));
    let is_late = late.clone();
    let lm = ScriptedLm::new(move |request: &LmRequest| {
        let mut prompts = sink.lock().unwrap();
        let text = request.messages.iter().map(teleprompt_core::lm::Message::text).collect::<String>();
        if is_late.load(std::sync::atomic::Ordering::SeqCst) { &mut prompts.1 } else { &mut prompts.0 }
            .push(text);
        task().answer(request)
    });
    let observer = move |event: &Event| {
        if matches!(event, Event::Stage { stage: Stage::Test, .. }) {
            late.store(true, std::sync::atomic::Ordering::SeqCst);
        }
    };
    compile(builder().task_lm(Arc::new(lm.with_model("simulated"))).observer(Arc::new(observer)));
    let prompts = prompts.lock().unwrap();
    let shown = |prompts: &[String]| {
        hidden.iter().filter(|text| prompts.iter().any(|prompt| prompt.contains(*text))).count()
    };
    assert_eq!((shown(&prompts.0), shown(&prompts.1)), (0, hidden.len()));
}

#[test]
fn retries_failures_and_the_cap_are_events_and_are_shown() {
    let (lines, pipe) = (Shared::default(), Shared::default());
    let observers: [Arc<dyn Observer>; 2] =
        [Arc::new(EventLog::new(lines.clone())), Arc::new(Progress::to(Box::new(pipe.clone()), false))];
    let lm = Faulty::new(task().lm())
        .with(When::OneRequestIn { n: 40, seed: 2 }, Fault::Error(LmErrorKind::Timeout))
        .with(When::OneRequestIn { n: 8, seed: 1 }, Fault::Garble);
    let lm = Faulty::new(lm)
        .with(When::FirstAttempts(1), Fault::Error(LmErrorKind::RateLimited { retry_after: None }));
    let builder = observers.into_iter().fold(builder(), MiproV2Builder::observer).task_lm(Arc::new(lm));
    let builder = builder.outage_waits([std::time::Duration::from_secs(3)]).max_errors(1_000);
    let builder = builder.sleep(|_| Box::pin(std::future::ready(()))).caps(Caps::default().calls(2_000));
    let best = compile(builder);
    let text = |shared: &Shared| String::from_utf8(shared.0.lock().unwrap().clone()).unwrap();
    let events: Vec<Event> = text(&lines).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let retried: Vec<_> = events.iter().filter(|event| matches!(event, Event::Retried { .. })).collect();
    // Each call was made twice, and the search ends where there is no room for another evaluation of such calls.
    assert!(retried.len() >= 900, "{}", retried.len());
    let Event::Retried { model, attempt, seconds, message } = retried[0] else { panic!() };
    assert_eq!((model.as_str(), *attempt, *seconds), ("simulated", 1, 3.0));
    assert!(message.contains("rate limit reached"), "{message}");
    let failed = |wanted: bool| {
        events
            .iter()
            .filter(|event| matches!(event, Event::RowFailed { scored, .. } if *scored == wanted))
            .count()
    };
    assert!(failed(true) > 0 && failed(false) > 0, "unreadable answers and time-outs");
    let caps: Vec<_> = events.iter().filter(|event| matches!(event, Event::CapReached { .. })).collect();
    let [Event::CapReached { reason }] = caps[..] else { panic!("{caps:?}") };
    assert!(reason.contains("the cap of 2000 LM calls"), "{reason}");
    assert!(
        matches!(&best.report.ended, teleprompt_miprov2::Ended::Stopped { reason: ended } if ended == reason)
    );
    let shown = text(&pipe);
    for line in [
        "a call is made again in 3 s, the first of the run: ",
        "a call is made again in 3 s, the 100th of the run: ",
    ] {
        assert_eq!(shown.matches(line).count(), 1, "{shown}");
    }
    assert!(shown.contains(reason), "{shown}");
}

#[test]
fn an_optimized_program_is_optimized_further() {
    let first = compile(builder());
    let program = task().program();
    let loaded = SavedProgram::new(&program, &first.candidate).candidate(&program).unwrap();
    let second = compile(builder().start(loaded.clone()).seed(3));
    // It begins where the first ended, and every predictor's first options are those of the start.
    assert_eq!(second.report.baseline.score, first.report.winner.score);
    assert!(second.report.winner.score >= first.report.winner.score);
    for (predictor, instructions) in &second.report.instructions {
        let start = loaded.get(predictor).unwrap();
        assert_eq!(Some(&instructions[0].instruction), start.instruction.as_ref());
    }
    let rows = task().examples(1000..1100);
    assert_eq!(second.report.winner.score, Some(task().exact_score(&second.candidate, &rows)));
    let unknown = teleprompt_core::Candidate::default().with_instruction("elsewhere", "Do it.");
    let data = Dataset::new(task().examples(0..100));
    let error =
        block_on(builder().start(unknown).build().unwrap().compile(&program, &data, &task().metric()));
    assert!(error.unwrap_err().to_string().contains("no predictor `elsewhere`"));
}
