//! Plans: what a run does stays inside of what was planned, over many configurations.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking too")]

use std::sync::Arc;
use std::time::Duration;

use futures::executor::block_on;
use proptest::prelude::{Just, ProptestConfig, any, prop_assert, prop_oneof, proptest};
use proptest::strategy::Strategy as _;
use teleprompt_core::CallRole;
use teleprompt_miprov2::{
    AdaptiveSearch, Auto, Dataset, Ended, MiproV2, Optimized, Strategy, Teacher, TokenPrice,
};
use teleprompt_testkit::SimTask;

#[derive(Clone, Debug)]
struct Setting {
    two: bool,
    train: u64,
    val: u64,
    test: u64,
    candidates: usize,
    trials: usize,
    minibatch: Option<usize>,
    steps: usize,
    bootstrapped: usize,
    labeled: usize,
    teacher: bool,
    adaptive: bool,
    auto: bool,
    share: bool,
    seed: u64,
}

fn settings() -> impl proptest::strategy::Strategy<Value = Setting> {
    let sizes = (any::<bool>(), 4_u64..120, 4_u64..70, prop_oneof![Just(0_u64), 5_u64..20]);
    let search = (1_usize..6, 1_usize..14, proptest::option::of(3_usize..40), 1_usize..7);
    let demos = (0_usize..4, 0_usize..4, any::<bool>());
    let modes = (
        any::<bool>(),
        prop_oneof![4 => Just(false), 1 => Just(true)],
        prop_oneof![3 => Just(true), 1 => Just(false)],
    );
    (sizes, search, demos, modes, 0_u64..100).prop_map(|(sizes, search, demos, modes, seed)| {
        let (two, train, val, test) = sizes;
        let (candidates, trials, minibatch, steps) = search;
        let (bootstrapped, labeled, teacher) = demos;
        let (adaptive, auto, share) = modes;
        // A search of single rows cannot but share what is known of them.
        let share = share || adaptive;
        Setting {
            two,
            train,
            val,
            test,
            candidates,
            trials,
            minibatch,
            steps,
            bootstrapped,
            labeled,
            teacher,
            adaptive,
            auto,
            share,
            seed,
        }
    })
}

fn run(setting: &Setting) -> Optimized {
    let task = if setting.two { SimTask::two_stage(setting.seed) } else { SimTask::new(setting.seed) };
    let builder = MiproV2::builder()
        .task_lm(Arc::new(task.lm().keeping(0)))
        .price("simulated", TokenPrice::new(1.0, 3.0));
    let builder = match setting.auto {
        true => builder.auto(Auto::Light).seed(setting.seed),
        false => builder.num_candidates(setting.candidates).num_trials(setting.trials).seed(setting.seed),
    };
    let teacher = Teacher {
        lm: Some(Arc::new(task.lm().keeping(0).with_model("teacher"))),
        program: Some(Arc::new(task.program())),
        candidate: None,
    };
    let builder = if setting.teacher { builder.teacher(teacher) } else { builder };
    let builder = builder.price("teacher", TokenPrice::new(2.0, 5.0)).share_known(setting.share);
    let builder = builder.max_bootstrapped_demos(setting.bootstrapped).max_labeled_demos(setting.labeled);
    let builder = if setting.adaptive {
        builder.strategy(Strategy::Adaptive(AdaptiveSearch::default()))
    } else {
        builder
            .minibatch(setting.minibatch.is_some())
            .minibatch_size(setting.minibatch.unwrap_or(35))
            .minibatch_full_eval_steps(setting.steps)
    };
    let optimizer = builder.build().unwrap();
    let data = Dataset::new(task.examples(0..setting.train)).val(task.examples(1000..1000 + setting.val));
    let data = data.test(task.examples(5000..5000 + setting.test));
    let plan = optimizer.plan(&task.program(), &data).unwrap();
    let best = block_on(optimizer.compile(&task.program(), &data, &task.metric())).unwrap();
    assert_eq!(best.report.plan, plan);
    best
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_a_run_does_stays_inside_of_its_plan(setting in settings()) {
        let best = run(&setting);
        let (report, plan) = (&best.report, &best.report.plan);
        let early = matches!(report.ended, Ended::Early { .. });
        prop_assert!(report.ended == Ended::Complete || (setting.adaptive && early), "{:?}", report.ended);
        let calls = |role| report.calls.get(&role).copied().unwrap_or_default();
        let a_run = if setting.two { 2 } else { 1 };
        let teacher = calls(CallRole::Teacher).requests as usize / a_run;
        prop_assert!(plan.bootstrap_runs.0 <= teacher && teacher <= plan.bootstrap_runs.1, "{} {:?}", teacher, plan.bootstrap_runs);
        // What the adaptive search compares at its end it has run before, and asks for once more.
        let known = if setting.adaptive { report.known_runs() } else { 0 };
        let runs = teacher + report.requested_runs() - known + plan.test_runs;
        prop_assert!(plan.program_runs.holds(runs), "{} in {:?}", runs, plan.program_runs);
        for (role, span) in &plan.calls {
            let made = calls(*role).requests - calls(*role).cached;
            prop_assert!(span.holds(made), "{role}: {made} in {span:?}");
            let usage = calls(*role).usage;
            let tokens = usage.input_tokens + usage.output_tokens;
            prop_assert!(plan.tokens[role].holds(tokens), "{role}: {tokens} in {:?}", plan.tokens[role]);
        }
        let usd: f64 = report.usd.as_ref().unwrap().values().sum();
        prop_assert!(plan.usd.unwrap().holds(usd), "{usd} in {:?}", plan.usd);
        // Where full evaluations are few to the combinations, or there is one, their number is certain and the figure near; the
        // adaptive search ends early where nothing more can pay.
        let combinations = (plan.instructions * plan.demo_sets.max(1)).pow(a_run as u32);
        let promotions = plan.trials.div_ceil(setting.steps);
        let certain = (setting.steps >= 3 && combinations > 8 * promotions) || combinations == 1;
        // Without sharing, a teacher that hardly succeeds may run each row for each set.
        if setting.share && !setting.adaptive && (certain || plan.minibatch.is_none()) {
            prop_assert!(2 * plan.program_runs.most <= 3 * plan.program_runs.least, "{:?}", plan.program_runs);
        }
    }
}

#[test]
fn the_plan_reads_well_and_tells_a_time() {
    let task = SimTask::new(1);
    let builder =
        MiproV2::builder().task_lm(Arc::new(task.lm())).price("simulated", TokenPrice::new(0.15, 0.6));
    let adaptive = teleprompt_miprov2::Strategy::Adaptive(teleprompt_miprov2::AdaptiveSearch::default());
    let optimizer = builder.strategy(adaptive).build().unwrap();
    let data =
        Dataset::new(task.examples(0..200)).val(task.examples(1000..1100)).test(task.examples(5000..5100));
    let plan = optimizer.plan(&task.program(), &data).unwrap();
    insta::assert_snapshot!(plan.to_string());
    let reference = teleprompt_miprov2::Strategy::Reference(teleprompt_miprov2::ReferenceSearch::default());
    let builder = MiproV2::builder().task_lm(Arc::new(task.lm())).strategy(reference);
    let theirs = builder.build().unwrap().plan(&task.program(), &data).unwrap();
    insta::assert_snapshot!("the_plan_of_the_reference", theirs.to_string());
    assert_eq!(theirs.evaluation_runs, plan.evaluation_runs);
    let time = plan.time(Duration::from_secs(1), 16);
    assert!(time.least > Duration::from_secs(5) && time.most < Duration::from_secs(120), "{time:?}");
}

#[test]
fn a_teacher_that_hardly_ever_succeeds_is_not_asked_for_ever() {
    let task = SimTask::new(2);
    let never = |_: &teleprompt_core::Example, _: &teleprompt_core::Prediction| false;
    let run = |builder: teleprompt_miprov2::MiproV2Builder| {
        let data = Dataset::new(task.examples(0..900)).val(task.examples(1000..1060));
        let optimizer = builder.task_lm(Arc::new(task.lm())).build().unwrap();
        block_on(optimizer.compile(&task.program(), &data, &never)).unwrap()
    };
    let best = run(MiproV2::builder());
    let most = best.report.plan.bootstrap_runs.1 as u64;
    assert_eq!(best.report.calls[&CallRole::Teacher].requests, most);
    assert!(most < 250, "{most}");
    assert!(best.report.warnings.iter().any(|warning| warning.contains("max_teacher_runs")));
    let best = run(MiproV2::builder().max_teacher_runs(17));
    assert_eq!(best.report.calls[&CallRole::Teacher].requests, 17);
}
