//! The laws of [`Lm`].

use futures::FutureExt;
use futures::future::join_all;
use teleprompt_core::lm::{LmSettings, Message, OutputConstraint};
use teleprompt_core::{Lm, LmError, LmRequest, LmResponse, Value};

use super::broken;

/// How many requests are made at once.
const AT_ONCE: usize = 8;

/// Checks that `model` keeps the laws of [`Lm`]:
///
/// - the model's id is not empty, and it and the capabilities stay the same;
/// - a short question is answered with text and with counts of tokens in and out;
/// - a system message, demos, settings and a rollout are accepted;
/// - eight calls at once are all answered;
/// - a call that is dropped before it ends does no harm to later ones;
/// - a model that says it honours regular expressions or JSON schemas does.
///
/// # Panics
/// When a law is broken, and when the model answers with an error: run it against a model that is up.
///
/// # Cost
/// 11 LM calls, and one more for each kind of constraint that the model honours.
pub async fn lm(model: &dyn Lm) {
    let (id, capabilities) = (model.model().clone(), model.capabilities());
    if id.as_str().trim().is_empty() {
        broken("a model has an id", "`model()` is empty");
    }

    let question = request("What is the capital of France? Answer in one word.");
    check_answer(&question, model.generate(&question).await);

    let long = LmRequest::new(vec![
        Message::system("Answer in one word."),
        Message::user("What is the capital of Italy?"),
        Message::assistant("Rome"),
        Message::user("What is the capital of Spain?"),
    ]);
    let settings = LmSettings { temperature: Some(0.7), max_tokens: Some(64), ..LmSettings::default() };
    let long = long.with_settings(settings).with_rollout(1);
    check_answer(&long, model.generate(&long).await);

    let dropped = request("What is the capital of Poland? Answer in one word.");
    if let Some(answer) = model.generate(&dropped).now_or_never() {
        check_answer(&dropped, answer);
    }

    let requests: Vec<LmRequest> = (0..AT_ONCE).map(|i| request(&format!("What is {i} + {i}?"))).collect();
    let answers = join_all(requests.iter().map(|request| model.generate(request))).await;
    for (request, answer) in requests.iter().zip(answers) {
        check_answer(request, answer);
    }

    if capabilities.regex {
        let constraint = OutputConstraint::Regex("(yes|no)".to_owned());
        let held = request("Is water wet? Answer yes or no.").with_constraint(Some(constraint));
        let answer = check_answer(&held, model.generate(&held).await);
        if answer.text != "yes" && answer.text != "no" {
            broken("a regular expression matches the whole completion", &format!("got {:?}", answer.text));
        }
    }
    if capabilities.json_schema {
        let held = request("Is water wet? Answer with {\"wet\": true} or {\"wet\": false}.")
            .with_constraint(Some(OutputConstraint::JsonSchema(schema())));
        let answer = check_answer(&held, model.generate(&held).await);
        let wet = answer.text.parse::<Value>().ok().and_then(|value| value.get("wet")?.as_bool());
        if wet.is_none() {
            broken("a completion satisfies the JSON schema asked for", &format!("got {:?}", answer.text));
        }
    }

    if *model.model() != id || model.capabilities() != capabilities {
        broken("the id and the capabilities of a model stay the same", "they changed while it was in use");
    }
}

fn request(text: &str) -> LmRequest {
    LmRequest::new(vec![Message::user(text)])
}

/// An object with a boolean `wet` and nothing else.
fn schema() -> Value {
    let text = r#"{"type":"object","properties":{"wet":{"type":"boolean"}},"required":["wet"],"additionalProperties":false}"#;
    text.parse().unwrap_or_default()
}

fn check_answer(request: &LmRequest, answer: Result<LmResponse, LmError>) -> LmResponse {
    let asked = format!("the request was {:?}", request.last_user_text());
    let answer = match answer {
        Ok(answer) => answer,
        Err(error) => broken("a model answers a short question", &format!("it said: {error}\n{asked}")),
    };
    if answer.text.trim().is_empty() {
        broken("an answer has text", &asked);
    }
    let usage = answer.usage;
    if usage.input_tokens == 0 || usage.output_tokens == 0 {
        broken("an answer comes with its usage", &format!("got {usage:?}\n{asked}"));
    }
    if usage.cached_tokens > usage.input_tokens {
        broken("cached tokens are part of the input tokens", &format!("got {usage:?}\n{asked}"));
    }
    answer
}
