//! Programs made of programs, fall-backs between adapters and the history of a context, on scripted models.

#![expect(clippy::unwrap_used, reason = "a test's helpers end at the first surprise")]

use std::sync::Arc;

use futures::executor::block_on;
use teleprompt_core::lm::{Capabilities, LmErrorKind};
use teleprompt_core::{
    Adapter, AdapterCall, BestOfN, Candidate, ChatAdapter, Ctx, Error, FieldValue, Fields, History,
    JsonAdapter, LmError, LmRequest, Media, Module, Parallel, PlainAdapter, Predictor, PredictorName,
    Program, SignatureSpec, Visit, Visitor,
};
use teleprompt_testkit::ScriptedLm;

fn predictor(signature: &str) -> Predictor {
    Predictor::new(SignatureSpec::parse(signature).unwrap())
}

/// A program of parts whose types are not known, and one that is.
struct Mixed {
    parts: Vec<Box<dyn Program>>,
    last: Box<Predictor>,
    spare: Option<Arc<dyn Program>>,
}

impl Visit for Mixed {
    fn visit<'a>(&'a self, visitor: &mut Visitor<'a>) {
        visitor.field("parts", &self.parts);
        visitor.field("last", &self.last);
        visitor.frozen_field("spare", &self.spare);
    }
}

impl Module for Mixed {
    type Input = Fields;
    type Output = Fields;

    async fn forward(&self, cx: &Ctx, mut fields: Fields) -> Result<Fields, Error> {
        for part in &self.parts {
            fields.extend(Module::forward(part, cx, fields.clone()).await?);
        }
        self.last.call(cx, fields).await
    }
}

fn mixed() -> Mixed {
    let inner = Mixed {
        parts: vec![Box::new(predictor("q -> a"))],
        last: Box::new(predictor("a -> b")),
        spare: None,
    };
    Mixed {
        parts: vec![Box::new(predictor("q -> a")), Box::new(inner)],
        last: Box::new(predictor("b -> c")),
        spare: Some(Arc::new(predictor("x -> y"))),
    }
}

#[test]
fn programs_of_unknown_type_show_their_predictors() {
    let program = mixed();
    let named = Program::predictors(&program);
    let names: Vec<&str> = named.iter().map(|named| named.name.as_str()).collect();
    assert_eq!(names, ["parts[0]", "parts[1].parts[0]", "parts[1].last", "last", "spare"]);
    assert!(named[4].frozen && !named[0].frozen);
    let boxed: Box<dyn Program> = Box::new(program);
    let names = |program: &dyn Program| -> Vec<PredictorName> {
        program.predictors().into_iter().map(|named| named.name).collect()
    };
    assert_eq!(names(&boxed), names(&*boxed));
}

#[test]
fn a_candidate_reaches_predictors_behind_pointers() {
    let lm = Arc::new(ScriptedLm::new(|request: &LmRequest| {
        let system = request.messages[0].text();
        let output = system.split("`\n\nEvery").next().and_then(|head| head.rsplit('`').next()).unwrap_or("");
        format!("[[ ## {output} ## ]]\n{}", if system.contains("Shout.") { "LOUD" } else { "quiet" })
    }));
    let program: Box<dyn Program> = Box::new(mixed());
    let candidate = Candidate::default().with_instruction("last", "Shout.");
    let cx = Ctx::new(lm.clone()).bound(&program, &candidate).unwrap().recording();
    let prediction = block_on(Program::forward(&*program, &cx, Fields::new().with("q", "?"))).unwrap();
    assert_eq!(prediction.outputs.text("c"), "LOUD");
    let steps: Vec<String> = cx.trace().steps.iter().map(|step| step.predictor.to_string()).collect();
    assert_eq!(steps, ["parts[0]", "parts[1].parts[0]", "parts[1].last", "last"]);
    assert_eq!(cx.trace().to_string().lines().last(), Some("   > c: LOUD"));
    assert_eq!(lm.log().calls(), 4);
}

#[test]
fn an_answer_that_cannot_be_read_is_asked_for_once_more_in_the_fallback_form() {
    let answer = |request: &LmRequest| {
        if request.messages[0].text().contains("JSON object") { r#"{"n": 7, "why": "so"}"# } else { "seven" }
    };
    let lm = Arc::new(ScriptedLm::new(answer));
    let program = predictor("q -> n: int, why");
    let history = History::new(2);
    let cx = Ctx::new(lm.clone()).with_history(history.clone());
    let inputs = Fields::new().with("q", "3 + 4?");
    let error = block_on(program.call(&cx, inputs.clone())).unwrap_err();
    assert!(error.to_string().contains("the answer has no field `n`"), "{error}");

    let cx = cx.with_fallback(Arc::new(JsonAdapter));
    let outputs = block_on(program.call(&cx, inputs.clone())).unwrap();
    assert_eq!(outputs.text("n"), "7");
    let counts = cx.meter().counts();
    let counts = counts.values().next().unwrap();
    assert_eq!((counts.requests, counts.fallbacks, lm.log().calls()), (3, 1, 3));

    // What was said can be read: the last two of three exchanges.
    let last = history.last(9);
    assert_eq!(last.iter().map(|exchange| exchange.adapter).collect::<Vec<_>>(), ["chat", "json"]);
    let shown = history.inspect(2);
    for part in ["3 + 4?", "--- not read", "has no field `n`", "--- read as\nn: 7\nwhy: so"] {
        assert!(shown.contains(part), "{part} is not in:\n{shown}");
    }
}

#[test]
fn a_fallback_that_cannot_be_read_either_is_the_error() {
    let lm = Arc::new(ScriptedLm::new(|_: &LmRequest| "nothing of use"));
    let cx = Ctx::new(lm.clone()).with_fallback(Arc::new(JsonAdapter));
    let outcome = block_on(predictor("q -> n: int, why").call(&cx, Fields::new().with("q", "?")));
    assert!(matches!(outcome, Err(Error::Adapter { .. })));
    assert_eq!(lm.log().calls(), 2);
}

#[test]
fn media_stand_in_the_message_and_are_refused_by_models_of_text() {
    let lm = |media| {
        let able = Capabilities::text().with_media(media);
        Arc::new(ScriptedLm::new(|_: &LmRequest| "a cat").with_capabilities(able))
    };
    let program = predictor("photos: list[image], question -> answer");
    let photos = [Media::url("image/png", "http://host/a.png"), Media::bytes("image/jpeg", b"abc")];
    let inputs = Fields::new()
        .with("photos", photos.clone().map(FieldValue::into_value).to_vec())
        .with("question", "What is it?");
    for adapter in [&ChatAdapter as &dyn Adapter, &PlainAdapter, &JsonAdapter] {
        let call = AdapterCall::new(program.spec(), "Look.", &inputs);
        let request = adapter.render(&call).unwrap();
        let last = request.messages.last().unwrap();
        assert!(last.media().eq(&photos), "{}", adapter.name());
        assert!(last.text().contains("(attached: image/png, image/jpeg)") && !last.text().contains("YWJj"));
    }
    let seeing = lm(true);
    let history = History::new(1);
    let cx = Ctx::new(seeing).with_history(history.clone());
    assert_eq!(block_on(program.call(&cx, inputs.clone())).unwrap().text("answer"), "a cat");
    assert!(history.inspect(1).contains("[image/jpeg, 3 bytes]"));
    let blind = lm(false);
    let error = block_on(program.call(&Ctx::new(blind.clone()), inputs)).unwrap_err();
    assert!(error.to_string().ends_with("this model takes text only, and the inputs hold media"), "{error}");
    assert_eq!(blind.log().calls(), 0);
}

fn counting() -> Arc<ScriptedLm> {
    Arc::new(ScriptedLm::new(|request: &LmRequest| request.rollout.to_string()))
}

#[test]
fn many_inputs_run_at_once_in_order() {
    let lm = Arc::new(
        ScriptedLm::new(|request: &LmRequest| request.last_user_text().matches('x').count().to_string())
            .with_yields(5, 1),
    );
    let many = Parallel::new(predictor("q -> n: int"), 3);
    let inputs: Vec<Fields> =
        (0..20).map(|n| Fields::new().with("q", "y".repeat(n) + &"x".repeat(n))).collect();
    let outputs = block_on(many.call(&Ctx::new(lm.clone()), inputs));
    let numbers: Vec<i64> = outputs.into_iter().map(|output| output.unwrap().typed("n").unwrap()).collect();
    assert_eq!(numbers, (0..20).collect::<Vec<i64>>());
    assert_eq!(lm.log().max_in_flight(), 3);
}

#[test]
fn the_best_attempt_is_kept_and_only_its_calls() {
    let lm = counting();
    let reward =
        |_: &Fields, output: &Fields| -((output.text("n").parse::<f64>().unwrap_or(9.0) - 2.0).abs());
    let best = BestOfN::new(predictor("q -> n: int"), 4, reward);
    let cx = Ctx::new(lm.clone()).recording();
    let inputs = Fields::new().with("q", "?");
    let output = block_on(Module::forward(&best, &cx, inputs.clone())).unwrap();
    assert_eq!((output.text("n").as_str(), lm.log().calls()), ("2", 4));
    assert_eq!(cx.trace().steps.len(), 1);
    assert_eq!(cx.trace().steps[0].outputs.text("n"), "2");
    // Attempt 0 is the call that the module alone makes; the others sample.
    let asked = lm.log().requests();
    assert_eq!(
        asked.iter().map(|request| request.settings.temperature).collect::<Vec<_>>()[..2],
        [None, Some(1.0)]
    );
    // Attempts of another rollout are others.
    let output = block_on(Module::forward(&best, &cx.with_rollout(1), inputs)).unwrap();
    assert_eq!(output.text("n"), "4");
}

#[test]
fn attempts_end_where_one_is_enough() {
    let lm = counting();
    let best = BestOfN::new(predictor("q -> n: int"), 10, |_: &Fields, output: &Fields| {
        output.text("n").parse().unwrap_or(f64::NAN)
    });
    let output =
        block_on(Module::forward(&best.until(3.0), &Ctx::new(lm.clone()), Fields::new().with("q", "?")));
    assert_eq!((output.unwrap().text("n").as_str(), lm.log().calls()), ("3", 4));
}

#[test]
fn failed_attempts_lose_and_a_refused_key_ends_them() {
    let failing = |kind: LmErrorKind| {
        ScriptedLm::new(move |request: &LmRequest| match request.rollout {
            0 => Err(LmError::new(teleprompt_core::lm::ModelId::new("m"), kind.clone(), "")),
            n => Ok(n.to_string()),
        })
    };
    let run = |kind| {
        let best = BestOfN::new(predictor("q -> n: int"), 2, |_: &Fields, _: &Fields| 1.0);
        block_on(Module::forward(&best, &Ctx::new(Arc::new(failing(kind))), Fields::new().with("q", "?")))
    };
    assert_eq!(run(LmErrorKind::Timeout).unwrap().text("n"), "1");
    assert!(run(LmErrorKind::Auth).unwrap_err().as_lm().is_some_and(LmError::is_fatal));
}
