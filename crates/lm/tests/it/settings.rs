//! Every setting on every provider: on the wire, or refused before anyone is asked.

use std::time::Duration;

use serde_json::{Value, json};
use teleprompt_core::Media;
use teleprompt_core::lm::{
    Effort, FinishReason, LmErrorKind, LmRequest, LmSettings, Message, OutputConstraint, Reasoning,
    TokenLogprob, Usage,
};
use wiremock::matchers::any;
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::{everyone, models, request};

const LONG: Duration = Duration::from_secs(60);

async fn serving(body: Value) -> MockServer {
    let server = MockServer::start().await;
    Mock::given(any()).respond_with(ResponseTemplate::new(200).set_body_json(body)).mount(&server).await;
    server
}

/// Two completions with log-probabilities, in the shape of each provider.
fn two_completions() -> Value {
    let token = |text: &str| {
        json!({"content": [{"token": text, "logprob": -0.25,
        "top_logprobs": [{"token": text, "logprob": -0.25}]}]})
    };
    let result = |text: &str| {
        json!({"chosenCandidates": [{"token": text, "logProbability": -0.25}],
        "topCandidates": [{"candidates": [{"token": text, "logProbability": -0.25}]}]})
    };
    json!({
        "choices": [
            {"message": {"content": "a"}, "finish_reason": "stop", "logprobs": token("a")},
            {"message": {"content": "b"}, "finish_reason": "length", "logprobs": token("b")}],
        "content": [{"type": "text", "text": "a"}],
        "candidates": [
            {"content": {"parts": [{"text": "a"}]}, "finishReason": "STOP", "logprobsResult": result("a")},
            {"content": {"parts": [{"text": "b"}]}, "finishReason": "MAX_TOKENS", "logprobsResult": result("b")}],
        "usage": {"prompt_tokens": 9, "completion_tokens": 30,
            "completion_tokens_details": {"reasoning_tokens": 28}},
        "usageMetadata": {"promptTokenCount": 9, "candidatesTokenCount": 2, "thoughtsTokenCount": 28},
    })
}

#[tokio::test]
async fn completions_log_probabilities_and_reasoning_tokens_are_read_where_they_are_offered() {
    let server = serving(two_completions()).await;
    let settings = LmSettings { n: Some(2), logprobs: Some(1), ..LmSettings::default() };
    let request = request().with_settings(settings);
    let mut answered = 0;
    for lm in everyone(&format!("{}/v1", server.uri()), LONG) {
        let outcome = lm.generate(&request).await;
        if lm.model().as_str().starts_with("anthropic/") {
            assert!(outcome.unwrap_err().detail.starts_with("`n` is 2"));
            continue;
        }
        let answer = outcome.unwrap();
        let usage = Usage { input_tokens: 9, output_tokens: 30, reasoning_tokens: 28, ..Usage::default() };
        assert_eq!((answer.text.as_str(), answer.usage), ("a", usage), "{}", lm.model());
        let expected = |text: &str| {
            vec![TokenLogprob { token: text.into(), logprob: -0.25, top: vec![(text.into(), -0.25)] }]
        };
        assert_eq!(answer.logprobs, expected("a"));
        let [other] = &answer.others[..] else { panic!("{:?}", answer.others) };
        assert_eq!((other.text.as_str(), other.finish), ("b", FinishReason::Length));
        assert_eq!(other.logprobs, expected("b"));
        answered += 1;
    }
    assert!(answered >= 2);
}

/// Each setting that not all providers take.
fn particular() -> Vec<(&'static str, LmRequest)> {
    let with = |settings: LmSettings| request().with_settings(settings);
    let default = LmSettings::default;
    let schema = OutputConstraint::JsonSchema(json!({"type": "object"}));
    let picture = Message::user("u").with_media([Media::bytes("image/png", b"abc")]);
    let film = Message::user("u").with_media([Media::url("video/mp4", "https://host/a.mp4")]);
    vec![
        ("picture", LmRequest::new(vec![picture])),
        ("film", LmRequest::new(vec![film])),
        ("seed", with(LmSettings { seed: Some(3), ..default() })),
        ("n", with(LmSettings { n: Some(2), ..default() })),
        ("logprobs", with(LmSettings { logprobs: Some(1), ..default() })),
        ("effort", with(LmSettings { reasoning: Some(Reasoning::Effort(Effort::Low)), ..default() })),
        ("tokens", with(LmSettings { reasoning: Some(Reasoning::Tokens(2_048)), ..default() })),
        ("warm", with(LmSettings { temperature: Some(1.5), ..default() })),
        ("stops", with(LmSettings { stop: vec!["x".into(); 5], ..default() })),
        ("regex", request().with_constraint(Some(OutputConstraint::Regex("x+".into())))),
        ("schema", request().with_constraint(Some(schema))),
    ]
}

#[tokio::test]
async fn a_setting_is_sent_or_refused_before_the_call_and_never_dropped() {
    let server = serving(two_completions()).await;
    let mut table = Vec::new();
    for lm in everyone(&format!("{}/v1", server.uri()), LONG) {
        let provider = lm.model().as_str().split('/').next().unwrap_or_default().to_owned();
        let mut refused = Vec::new();
        for (name, request) in particular() {
            let before = server.received_requests().await.unwrap().len();
            let outcome = lm.generate(&request).await;
            let sent = server.received_requests().await.unwrap().split_off(before);
            match outcome {
                Err(error) => {
                    assert_eq!(error.kind, LmErrorKind::InvalidRequest, "{name}: {error}");
                    assert!(!error.is_retryable() && sent.is_empty(), "{name}: {error}");
                    refused.push(name);
                }
                Ok(_) => {
                    // What was sent differs from a plain request.
                    let plain = lm.generate(&crate::request()).await;
                    assert!(plain.is_ok());
                    let all = server.received_requests().await.unwrap();
                    assert_eq!(sent.len(), 1, "{name} on {provider}");
                    assert_ne!(sent[0].body, all.last().unwrap().body, "{name} on {provider} was dropped");
                }
            }
        }
        table.push((provider, refused));
    }
    let expected: Vec<(String, Vec<&str>)> = [
        ("http:", vec!["film", "tokens", "regex"]),
        #[cfg(feature = "openai")]
        ("openai", vec!["film", "tokens", "stops", "regex"]),
        ("anthropic", vec!["film", "seed", "n", "logprobs", "warm", "regex", "schema"]),
        ("gemini", vec!["regex"]),
    ]
    .map(|(name, refused)| (name.to_owned(), refused))
    .into();
    assert_eq!(table, expected);
}

#[tokio::test]
async fn a_server_that_drops_a_setting_is_an_error_and_no_answer() {
    let server = serving(json!({"choices": [{"message": {"content": "one"}}]})).await;
    for lm in models(&format!("{}/v1", server.uri()), LONG) {
        for (settings, part) in [
            (LmSettings { n: Some(3), ..LmSettings::default() }, "1 of 3 completions"),
            (LmSettings { logprobs: Some(0), ..LmSettings::default() }, "no log-probabilities"),
        ] {
            let error = lm.generate(&request().with_settings(settings)).await.unwrap_err();
            assert_eq!(error.kind, LmErrorKind::Malformed, "paid for, and no answer to what was asked");
            assert!(error.detail.contains(part), "{error}");
        }
    }
}
