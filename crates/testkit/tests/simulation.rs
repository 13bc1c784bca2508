//! The simulated task: its model answers as its landscape says, through every adapter of core, and its numbers are true.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::sync::Arc;

use futures::executor::block_on;
use teleprompt_core::lm::{Capabilities, LmSettings};
use teleprompt_core::{
    Adapter, Candidate, ChatAdapter, Ctx, Demo, Evaluate, Evaluation, Example, Fields, JsonAdapter,
    PlainAdapter, Predictor, SignatureSpec,
};
use teleprompt_testkit::{Landscape, SimTask};

fn adapters() -> [Arc<dyn Adapter>; 3] {
    [Arc::new(ChatAdapter), Arc::new(PlainAdapter), Arc::new(JsonAdapter)]
}

fn evaluate(
    task: &SimTask,
    adapter: Arc<dyn Adapter>,
    candidate: &Candidate,
    rows: &[Example],
) -> Evaluation {
    let program = task.program();
    let lm = task.lm().with_yields(7, 3).with_capabilities(Capabilities::text().with_regex(true));
    let cx = Ctx::new(Arc::new(lm)).with_adapter(adapter).bound(&program, candidate).unwrap();
    block_on(Evaluate::new(rows, &task.metric()).max_errors(0).run(&program, &cx)).unwrap()
}

/// Demos from rows of the task: right ones, and one with a wrong label.
fn demos(task: &SimTask) -> Vec<Demo> {
    let rows = task.examples(1000..1004);
    let mut demos: Vec<Demo> = rows.iter().map(|row| Demo::labeled(row.clone().into_fields())).collect();
    let wrong = task.labels().iter().find(|label| **label != rows[3].labels.text("answer")).unwrap();
    demos[3] = Demo::labeled(rows[3].inputs.clone().with("answer", wrong.clone()));
    demos
}

#[test]
fn evaluations_give_the_exact_score_under_every_adapter() {
    let rows_of = |task: &SimTask| task.examples(0..150);
    for task in [SimTask::new(3), SimTask::two_stage(3), SimTask::two_stage(4).with_reasoning()] {
        let baseline = Candidate::default();
        let tuned = Candidate::default()
            .with_instruction("answer", "  Say which colour the register gives.\n\nThink first. ")
            .with_demos("answer", demos(&task));
        for candidate in [baseline, tuned] {
            for adapter in adapters() {
                let name = adapter.name();
                let evaluation = evaluate(&task, adapter, &candidate, &rows_of(&task));
                assert_eq!(evaluation.score(), Some(task.exact_score(&candidate, &rows_of(&task))), "{name}");
            }
        }
    }
}

#[test]
fn bootstrapped_demos_of_the_query_count_too() {
    let task = SimTask::two_stage(5);
    let query = |case: u32, text: &str| {
        let question = task.examples(u64::from(case)..u64::from(case) + 1)[0].inputs.text("question");
        Demo::bootstrapped(Fields::new().with("question", question).with("query", text))
    };
    let strong: Vec<Demo> =
        (70..73).map(|case| query(case, &format!("colour on record of case {case}"))).collect();
    let weak: Vec<Demo> = (70..73).map(|case| query(case, "whatever")).collect();
    let with = |demos: Vec<Demo>| Candidate::default().with_demos("query", demos);
    assert!(task.expected_score(&with(strong.clone())) > task.expected_score(&with(weak)));
    // A row without the query is no demo for the query's predictor.
    let labeled = with(vec![Demo::labeled(task.examples(70..71)[0].clone().into_fields())]);
    assert_eq!(task.expected_score(&labeled), task.expected_score(&Candidate::default()));
    let rows = task.examples(0..100);
    for adapter in adapters() {
        let score = evaluate(&task, adapter, &with(strong.clone()), &rows).score();
        assert_eq!(score, Some(task.exact_score(&with(strong.clone()), &rows)));
    }
}

#[test]
fn exact_scores_are_near_the_expected_one() {
    for task in [SimTask::new(11), SimTask::two_stage(12)] {
        for shared_luck in [0.0, 0.5, 1.0] {
            let task = task.clone().with_landscape(Landscape { shared_luck, ..Landscape::default() });
            for i in 0..5 {
                let candidate = Candidate::default().with_instruction("answer", format!("Instruction {i}."));
                let (expected, exact) =
                    (task.expected_score(&candidate), task.exact_score(&candidate, &task.examples(0..4000)));
                assert!((expected - exact).abs() < 0.035, "{expected} {exact}");
            }
        }
    }
}

#[test]
fn shared_luck_makes_better_prompts_right_on_the_same_rows_and_more() {
    let task = SimTask::new(2).with_landscape(Landscape { shared_luck: 1.0, ..Landscape::default() });
    let mut candidates: Vec<Candidate> =
        (0..6).map(|i| Candidate::default().with_instruction("answer", format!("No. {i}."))).collect();
    candidates.sort_by(|a, b| task.expected_score(a).total_cmp(&task.expected_score(b)));
    for row in task.examples(0..100) {
        let right: Vec<f64> =
            candidates.iter().map(|c| task.exact_score(c, std::slice::from_ref(&row))).collect();
        assert!(right.is_sorted(), "{right:?}");
    }
}

#[test]
fn the_landscape_is_what_it_says() {
    let task = SimTask::new(1);
    assert!((task.expected_score(&Candidate::default()) - 0.45).abs() < 1e-9);
    let demos = demos(&task);
    let flat = Landscape { demo_spread: 0.0, ..Landscape::default() };
    let task = task.with_landscape(flat);
    let score =
        |demos: &[Demo]| task.expected_score(&Candidate::default().with_demos("answer", demos.to_vec()));
    assert!((score(&demos[..1]) - 0.5).abs() < 1e-9);
    assert!((score(&demos[..3]) - 0.6).abs() < 1e-9);
    assert!((score(&demos[1..]) - 0.55).abs() < 1e-9, "a wrong demo adds nothing");
    let twice = [demos[0].clone(), demos[0].clone()];
    assert!((score(&twice) - 0.5).abs() < 1e-9, "the same demo adds once");
    assert_eq!(task.instruction_quality("answer", " x "), task.instruction_quality("answer", "x"));
}

#[test]
fn rows_are_distinct_and_labels_are_spread() {
    let task = SimTask::new(7).with_labels(&["yes", "no", "yes"]);
    let rows = task.examples(0..500);
    let yes = rows.iter().filter(|row| row.labels.text("answer") == "yes").count();
    assert!((200..300).contains(&yes), "{yes}");
    assert_eq!(task.labels(), ["yes", "no"]);
    assert_eq!(task.examples(200..210), rows[200..210]);
    assert_ne!(SimTask::new(8).examples(0..10), SimTask::new(7).examples(0..10));
}

#[test]
fn the_model_answers_what_proposers_ask() {
    let spec = SignatureSpec::parse(
        "examples: list[str], tip -> observations, kind: label[easy, hard one], n: int, ok: bool, names: list[str], \
         proposed_instruction",
    )
    .unwrap();
    let described = SignatureSpec::new(
        "Propose",
        "Write an instruction.",
        vec![teleprompt_core::FieldSpec::new("tip", teleprompt_core::FieldType::Text)],
        vec![
            teleprompt_core::FieldSpec::new(
                "kind",
                teleprompt_core::FieldType::Label(vec!["a".into(), "b (x)".into()]),
            )
            .described("which one"),
            teleprompt_core::FieldSpec::new("count", teleprompt_core::FieldType::Integer)
                .described("how many"),
        ],
    )
    .unwrap();
    let task = SimTask::two_stage(1);
    for adapter in adapters() {
        let cx = Ctx::new(Arc::new(task.lm())).with_adapter(adapter);
        let ask = |cx: &Ctx, tip: &str| {
            let inputs = Fields::new().with("examples", vec!["Case 7: which colour?"]).with("tip", tip);
            block_on(Predictor::new(spec.clone()).call(cx, inputs)).unwrap()
        };
        let first = ask(&cx, "Be brief.");
        assert!(["easy", "hard one"].contains(&first.text("kind").as_str()));
        assert!(first.text("proposed_instruction").split_whitespace().count() > 5);
        assert_eq!(ask(&cx, "Be brief."), first);
        let warm = cx.clone().with_settings(LmSettings { temperature: Some(1.0), ..LmSettings::default() });
        for other in
            [ask(&cx, "Be bold."), ask(&cx.clone().with_rollout(1), "Be brief."), ask(&warm, "Be brief.")]
        {
            assert_ne!(other.text("proposed_instruction"), first.text("proposed_instruction"));
        }
        let described = Predictor::new(described.clone());
        block_on(described.call(&cx, Fields::new().with("tip", "none"))).unwrap();
    }
}

#[test]
fn free_prompts_get_text() {
    use teleprompt_core::LmRequest;
    use teleprompt_core::lm::Message;
    let task = SimTask::new(1);
    let say = |text: &str| task.answer(&LmRequest::new(vec![Message::user(text)]));
    assert!(!say("Write an instruction.").is_empty());
    assert_ne!(say("Write an instruction."), say("Write another instruction."));
    assert!(!task.answer(&LmRequest::default()).is_empty());
}
