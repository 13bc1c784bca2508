//! Plans: what a run does stays inside of what was planned, over many configurations.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking too")]

use std::sync::Arc;
use std::time::Duration;

use futures::executor::block_on;
use proptest::prelude::{Just, ProptestConfig, any, prop_assert, prop_oneof, proptest};
use proptest::strategy::Strategy as _;
use teleprompt_core::{CallRole, Ctx, Error, Fields, Module, Predictor, SignatureSpec, Visit, Visitor};
use teleprompt_miprov2::{
    AdaptiveSearch, Auto, Dataset, Ended, MiproV2, Plan, Strategy, Teacher, TokenPrice,
};
use teleprompt_testkit::{SimProgram, SimTask};

/// A program of one to three predictors; the third says something about the answer, and nothing depends on it.
struct Staged {
    sim: SimProgram,
    remark: Option<Predictor>,
}

impl Staged {
    fn new(task: &SimTask, predictors: usize) -> Self {
        let remark = SignatureSpec::parse("question, answer -> remark").unwrap();
        Self { sim: task.program(), remark: (predictors == 3).then(|| Predictor::new(remark)) }
    }
}

impl Visit for Staged {
    fn visit<'a>(&'a self, visitor: &mut Visitor<'a>) {
        self.sim.visit(visitor);
        if let Some(remark) = &self.remark {
            visitor.field("remark", remark);
        }
    }
}

impl Module for Staged {
    type Input = Fields;
    type Output = Fields;

    async fn forward(&self, cx: &Ctx, input: Fields) -> Result<Fields, Error> {
        let mut outputs = self.sim.forward(cx, input.clone()).await?;
        if let Some(remark) = &self.remark {
            let inputs = input.into_iter().chain(outputs.clone()).collect();
            outputs.insert("remark", remark.call(cx, inputs).await?.text("remark"));
        }
        Ok(outputs)
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Demos {
    ZeroShot,
    LabeledOnly(usize),
    Bootstrapped(usize, usize),
}

#[derive(Clone, Debug)]
struct Setting {
    predictors: usize,
    train: u64,
    /// Without one the rows are split.
    val: Option<u64>,
    test: u64,
    budget: Result<Auto, (usize, usize)>,
    minibatch: Option<usize>,
    steps: usize,
    demos: Demos,
    /// Whether a teacher of its own makes the demos, with the student's program or a longer one.
    teacher: Option<bool>,
    adaptive: bool,
    share: bool,
    seed: u64,
}

fn settings(
    rows: std::ops::Range<u64>,
    most_trials: usize,
) -> impl proptest::strategy::Strategy<Value = Setting> {
    let most = rows.end;
    let val = prop_oneof![
        2 => (1..36_u64).prop_map(Some),
        4 => rows.clone().prop_map(Some),
        1 => Just(None),
    ];
    let sizes = (1_usize..4, 5..=most, val, prop_oneof![Just(0_u64), 1_u64..30]);
    let manual = (1_usize..7, 1..most_trials).prop_map(Err);
    let budget = prop_oneof![
        1 => prop_oneof![Just(Auto::Light), Just(Auto::Medium), Just(Auto::Heavy)].prop_map(Ok),
        2 => manual,
    ];
    let search = (budget, proptest::option::weighted(0.8, 1_usize..50), 1_usize..8);
    let demos = prop_oneof![
        1 => Just(Demos::ZeroShot),
        1 => (1_usize..5).prop_map(Demos::LabeledOnly),
        3 => (1_usize..5, 0_usize..5).prop_map(|(made, labeled)| Demos::Bootstrapped(made, labeled)),
    ];
    let teacher = prop_oneof![3 => Just(None), 1 => Just(Some(false)), 1 => Just(Some(true))];
    let modes = (demos, teacher, any::<bool>(), prop_oneof![4 => Just(true), 1 => Just(false)]);
    (sizes, search, modes, 0_u64..1000).prop_map(|(sizes, search, modes, seed)| {
        let (predictors, train, val, test) = sizes;
        let (budget, minibatch, steps) = search;
        let (demos, teacher, adaptive, share) = modes;
        // A search of single rows cannot but share what is known of them.
        let share = share || adaptive;
        Setting {
            predictors,
            train,
            val,
            test,
            budget,
            minibatch,
            steps,
            demos,
            teacher,
            adaptive,
            share,
            seed,
        }
    })
}

struct Case {
    optimizer: MiproV2,
    program: Staged,
    data: Dataset,
    task: SimTask,
}

fn case(setting: &Setting) -> Case {
    let seed = setting.seed;
    let task = if setting.predictors > 1 { SimTask::two_stage(seed) } else { SimTask::new(seed) };
    let builder = MiproV2::builder()
        .task_lm(Arc::new(task.lm().keeping(0)))
        .price("simulated", TokenPrice::new(1.0, 3.0))
        .price("teacher", TokenPrice::new(2.0, 5.0))
        .share_known(setting.share)
        .seed(seed);
    let builder = match setting.budget {
        Ok(auto) => builder.auto(auto),
        Err((candidates, trials)) => builder.num_candidates(candidates).num_trials(trials),
    };
    let (bootstrapped, labeled) = match setting.demos {
        Demos::ZeroShot => (0, 0),
        Demos::LabeledOnly(labeled) => (0, labeled),
        Demos::Bootstrapped(made, labeled) => (made, labeled),
    };
    let builder = builder.max_bootstrapped_demos(bootstrapped).max_labeled_demos(labeled);
    let builder = match setting.teacher {
        None => builder,
        Some(longer) => {
            let predictors = if longer && setting.predictors == 2 { 3 } else { setting.predictors };
            builder.teacher(Teacher {
                lm: Some(Arc::new(task.lm().keeping(0).with_model("teacher"))),
                program: Some(Arc::new(Staged::new(&task, predictors))),
                candidate: None,
            })
        }
    };
    let builder = if setting.adaptive {
        builder.strategy(Strategy::Adaptive(AdaptiveSearch::default()))
    } else {
        builder
            .minibatch(setting.minibatch.is_some())
            .minibatch_size(setting.minibatch.unwrap_or(35))
            .minibatch_full_eval_steps(setting.steps)
    };
    let data = Dataset::new(task.examples(0..setting.train));
    let data = match setting.val {
        Some(rows) => data.val(task.examples(10_000..10_000 + rows)),
        None => data,
    };
    let data = data.test(task.examples(50_000..50_000 + setting.test));
    let program = Staged::new(&task, setting.predictors);
    Case { optimizer: builder.build().unwrap(), program, data, task }
}

/// The most program runs are at most 1.5 times the fewest, except where [`Plan::program_runs`] says so.
fn is_near(setting: &Setting, plan: &Plan) -> bool {
    let runs = plan.program_runs;
    setting.adaptive || !setting.share || 2 * runs.most <= 3 * runs.least
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_plan_is_near(setting in settings(36..1500, 60)) {
        let case = case(&setting);
        let plan = case.optimizer.plan(&case.program, &case.data).unwrap();
        prop_assert!(is_near(&setting, &plan), "{:?}", plan.program_runs);
        prop_assert!(plan.program_runs.least <= plan.program_runs.most, "{:?}", plan.program_runs);
        for (role, calls) in &plan.calls {
            prop_assert!(calls.least <= calls.most, "{role}: {calls:?}");
            let tokens = plan.tokens[role];
            prop_assert!(tokens.least <= tokens.most, "{role}: {tokens:?}");
        }
        let usd = plan.usd.unwrap();
        prop_assert!(usd.least <= usd.most, "{usd:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 80, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_a_run_does_stays_inside_of_its_plan(setting in settings(20..70, 14)) {
        let case = case(&setting);
        let plan = case.optimizer.plan(&case.program, &case.data).unwrap();
        let metric = case.task.metric();
        let compiled = case.optimizer.compile(&case.program, &case.data, &metric);
        let report = block_on(compiled).unwrap().report;
        prop_assert!(report.plan == plan, "{:?} and {plan:?}", report.plan);
        let early = matches!(report.ended, Ended::Early { .. });
        prop_assert!(report.ended == Ended::Complete || (setting.adaptive && early), "{:?}", report.ended);
        let calls = |role| report.calls.get(&role).copied().unwrap_or_default();
        let a_teacher = if setting.teacher == Some(true) && setting.predictors == 2 { 3 } else { setting.predictors };
        let teacher = calls(CallRole::Teacher).requests as usize / a_teacher;
        prop_assert!(plan.bootstrap_runs.0 <= teacher && teacher <= plan.bootstrap_runs.1, "{} {:?}", teacher, plan.bootstrap_runs);
        let runs = teacher + report.requested_runs() + plan.test_runs;
        prop_assert!(plan.program_runs.holds(runs), "{} in {:?}", runs, plan.program_runs);
        // But for the teacher's runs, the reference's schedule is known to the run.
        prop_assert!(setting.adaptive || report.requested_runs() == plan.evaluation_runs, "{} {:?}", report.requested_runs(), plan);
        prop_assert!(is_near(&setting, &plan), "{:?}", plan.program_runs);
        for (role, span) in &plan.calls {
            let made = calls(*role).requests - calls(*role).cached;
            prop_assert!(span.holds(made), "{role}: {made} in {span:?}");
            let usage = calls(*role).usage;
            let tokens = usage.input_tokens + usage.output_tokens;
            prop_assert!(plan.tokens[role].holds(tokens), "{role}: {tokens} in {:?}", plan.tokens[role]);
        }
        let usd: f64 = report.usd.as_ref().unwrap().values().sum();
        prop_assert!(plan.usd.unwrap().holds(usd), "{usd} in {:?}", plan.usd);
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
