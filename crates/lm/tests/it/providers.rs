//! Documented answers and errors of an OpenAI-compatible server, for every provider that speaks to one.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use teleprompt_core::lm::{
    FinishReason, Lm, LmErrorKind, LmRequest, LmResponse, LmSettings, OutputConstraint, Usage,
};
use teleprompt_lm::{ApiKey, CompatibleLm, Retry, RetryPolicy, SpecError, from_spec};
use wiremock::matchers::{header, method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::{KEY, models, request};

const LONG: Duration = Duration::from_secs(60);

fn answer(text: &str) -> ResponseTemplate {
    ResponseTemplate::new(200).set_body_json(json!({
        "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "m",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 12, "completion_tokens": 3, "total_tokens": 15,
            "prompt_tokens_details": {"cached_tokens": 8}},
    }))
}

fn refusal(status: u16, message: &str) -> ResponseTemplate {
    ResponseTemplate::new(status).set_body_json(json!({
        "error": {"message": message, "type": "t", "param": null, "code": null}
    }))
}

/// A server that gives these answers in order and repeats the last.
async fn server(answers: Vec<ResponseTemplate>) -> MockServer {
    let server = MockServer::start().await;
    let queue = Mutex::new(answers);
    Mock::given(method("POST"))
        .and(path("/v1/chat/completions"))
        .and(header("authorization", format!("Bearer {KEY}").as_str()))
        .respond_with(move |_: &wiremock::Request| {
            let mut queue = queue.lock().unwrap();
            if queue.len() > 1 { queue.remove(0) } else { queue[0].clone() }
        })
        .mount(&server)
        .await;
    server
}

/// Waits that are short and exact: these tests run in real time.
fn quick() -> RetryPolicy {
    RetryPolicy::default().waits(Duration::from_millis(1), Duration::from_millis(1)).jitter(0.0)
}

async fn calls(server: &MockServer) -> usize {
    server.received_requests().await.unwrap().len()
}

async fn last_body(server: &MockServer) -> Value {
    server.received_requests().await.unwrap().last().unwrap().body_json().unwrap()
}

#[tokio::test]
async fn an_answer_is_read_whole() {
    let server = server(vec![answer("hello")]).await;
    for lm in models(&format!("{}/v1", server.uri()), LONG) {
        let usage = Usage { input_tokens: 12, output_tokens: 3, cached_tokens: 8, ..Usage::default() };
        let expect = LmResponse::new("hello").with_usage(usage).with_finish(FinishReason::Stop);
        assert_eq!(lm.generate(&request()).await, Ok(expect), "{}", lm.model());
    }
}

#[tokio::test]
async fn settings_and_schema_reach_the_server() {
    let server = server(vec![answer("{}")]).await;
    let schema = json!({"type": "object", "properties": {"label": {"enum": ["a", "b"]}},
        "required": ["label"], "additionalProperties": false});
    let settings = LmSettings {
        temperature: Some(0.7),
        max_tokens: Some(64),
        stop: vec!["\n".into()],
        seed: Some(5),
        ..LmSettings::default()
    };
    let request: LmRequest = request()
        .with_settings(settings)
        .with_rollout(1)
        .with_constraint(Some(OutputConstraint::JsonSchema(schema.clone())));
    for lm in models(&format!("{}/v1", server.uri()), LONG) {
        lm.generate(&request).await.unwrap();
        let sent = last_body(&server).await;
        assert_eq!(sent["model"], json!("m"));
        assert_eq!(sent["messages"][0], json!({"role": "system", "content": "Be brief."}));
        assert_eq!(sent["messages"][1], json!({"role": "user", "content": "Say hello."}));
        assert_eq!(sent["stop"], json!(["\n"]));
        assert_eq!(sent["seed"], json!(6));
        assert!((sent["temperature"].as_f64().unwrap() - 0.7).abs() < 1e-6);
        let tokens =
            if lm.model().as_str().starts_with("openai/") { "max_completion_tokens" } else { "max_tokens" };
        assert_eq!(sent[tokens], json!(64));
        let format = &sent["response_format"];
        assert_eq!(format["type"], json!("json_schema"));
        assert_eq!(format["json_schema"]["schema"], schema);
        assert_eq!(format["json_schema"]["strict"], json!(true));
    }
}

#[tokio::test]
async fn a_rate_limit_is_waited_for() {
    for n in 0..models("http://localhost/v1", LONG).len() {
        let limited = refusal(429, "slow down").insert_header("retry-after", "0");
        let server = server(vec![limited, answer("ok")]).await;
        let lm = models(&format!("{}/v1", server.uri()), LONG).swap_remove(n);
        let seen = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&seen);
        let lm = Retry::new(
            Arc::<dyn Lm>::from(lm),
            quick().on_retry(move |event| log.lock().unwrap().push(event.error.kind.clone())),
        );
        assert_eq!(lm.generate(&request()).await.unwrap().text, "ok");
        assert_eq!(*seen.lock().unwrap(), [LmErrorKind::RateLimited { retry_after: Some(Duration::ZERO) }]);
        assert_eq!(calls(&server).await, 2);
    }
}

#[tokio::test]
async fn server_errors_are_tried_again_and_only_by_our_layer() {
    for n in 0..models("http://localhost/v1", LONG).len() {
        let broken = || ResponseTemplate::new(500).set_body_string("<html>oops</html>");
        let server = server(vec![broken(), broken(), answer("ok")]).await;
        let lm: Arc<dyn Lm> = models(&format!("{}/v1", server.uri()), LONG).swap_remove(n).into();
        // Alone, a provider makes one attempt.
        let error = lm.generate(&request()).await.unwrap_err();
        assert_eq!(error.kind, LmErrorKind::Server { status: 500, retry_after: None });
        assert!(error.detail.contains("oops"), "{error}");
        assert_eq!(calls(&server).await, 1);
        assert_eq!(Retry::new(lm, quick()).generate(&request()).await.unwrap().text, "ok");
        assert_eq!(calls(&server).await, 3);
    }
}

#[tokio::test]
async fn what_cannot_pass_is_not_repeated_and_keeps_the_server_s_words() {
    let refused = [
        (401, LmErrorKind::Auth),
        (403, LmErrorKind::Auth),
        (404, LmErrorKind::NotFound),
        (400, LmErrorKind::InvalidRequest),
        (422, LmErrorKind::InvalidRequest),
    ];
    for (status, kind) in refused {
        let server = server(vec![refusal(status, &format!("you sent {KEY}: no"))]).await;
        for (n, lm) in models(&format!("{}/v1", server.uri()), LONG).into_iter().enumerate() {
            let lm = Retry::new(Arc::<dyn Lm>::from(lm), quick());
            let error = lm.generate(&request()).await.unwrap_err();
            assert_eq!(error.kind, kind, "{status}");
            assert!(error.detail.contains("you sent [redacted]: no"), "{error}");
            assert!(!format!("{error} {error:?}").contains(KEY));
            assert_eq!(calls(&server).await, n + 1);
        }
    }
}

#[tokio::test]
async fn a_prompt_that_is_too_long_is_told_with_its_numbers() {
    let server = server(vec![refusal(
        400,
        "This model's maximum context length is 8192 tokens. However, your messages resulted in 9001 tokens.",
    )])
    .await;
    for lm in models(&format!("{}/v1", server.uri()), LONG) {
        let error = lm.generate(&request()).await.unwrap_err();
        assert_eq!(error.kind, LmErrorKind::ContextOverflow { tokens: 9001, limit: 8192 });
    }
}

#[tokio::test]
async fn impossible_settings_are_refused_before_the_call() {
    let server = server(vec![answer("no")]).await;
    let hot = LmSettings { temperature: Some(9.0), ..LmSettings::default() };
    for lm in models(&format!("{}/v1", server.uri()), LONG) {
        let error = lm.generate(&request().with_settings(hot.clone())).await.unwrap_err();
        assert_eq!(error.kind, LmErrorKind::InvalidRequest);
    }
    assert_eq!(calls(&server).await, 0);
}

#[tokio::test]
async fn the_only_model_of_a_server_needs_no_name() {
    let serve = |names: &[&str]| {
        let data: Vec<Value> = names.iter().map(|name| json!({"id": name, "object": "model"})).collect();
        async move {
            let server = MockServer::start().await;
            Mock::given(method("GET"))
                .and(path("/v1/models"))
                .respond_with(
                    ResponseTemplate::new(200).set_body_json(json!({"object": "list", "data": data})),
                )
                .mount(&server)
                .await;
            server
        }
    };
    let one = serve(&["only"]).await;
    let lm = from_spec(&format!("{}/v1", one.uri())).await.unwrap();
    assert_eq!(lm.model().as_str(), format!("{}/v1#only", one.uri()));

    let two = serve(&["a", "b"]).await;
    let error = from_spec(&format!("{}/v1", two.uri())).await.err().unwrap();
    assert!(error.to_string().contains("offers 2 models"), "{error}");
    assert!(error.to_string().contains("/v1#a` (a, b)"), "{error}");

    let none = serve(&[]).await;
    let error = from_spec(&format!("{}/v1", none.uri())).await.err().unwrap();
    assert!(matches!(error, SpecError::NoModel { .. }), "{error}");
    let elsewhere = CompatibleLm::builder(format!("{}/v2", none.uri())).connect().await.unwrap_err();
    assert!(elsewhere.to_string().contains("list of models could not be read"), "{elsewhere}");
}

#[tokio::test]
async fn a_llama_cpp_server_is_held_to_expressions_by_grammars() {
    let serve = |owner: &'static str| async move {
        let server = server(vec![answer("Team: billing")]).await;
        let list = json!({"object": "list", "data": [{"id": "only", "owned_by": owner}]});
        let models = Mock::given(method("GET")).and(path("/v1/models"));
        models.respond_with(ResponseTemplate::new(200).set_body_json(list)).mount(&server).await;
        let key = ApiKey::new(KEY).unwrap();
        let lm = CompatibleLm::builder(format!("{}/v1", server.uri())).key(key).connect().await.unwrap();
        (server, lm)
    };
    let held = |regex: &str| request().with_constraint(Some(OutputConstraint::Regex(regex.to_owned())));
    let (llama, lm) = serve("llamacpp").await;
    assert!(lm.capabilities().regex && lm.capabilities().json_schema);
    lm.generate(&held("Team: (billing|delivery)")).await.unwrap();
    let sent = last_body(&llama).await;
    assert_eq!(sent["grammar"], json!(r#"root ::= "Team: " (("billing" | "delivery"))"#));
    assert!(sent.get("response_format").is_none());
    let error = lm.generate(&held(r"\bword\b")).await.unwrap_err();
    assert_eq!(error.kind, LmErrorKind::InvalidRequest);
    assert!(error.to_string().contains("grammar"), "{error}");

    // Another server is asked for nothing that it does not know.
    let (_other, lm) = serve("vllm").await;
    assert!(!lm.capabilities().regex);
    assert_eq!(lm.generate(&held("a")).await.unwrap_err().kind, LmErrorKind::InvalidRequest);
    let named = CompatibleLm::builder("http://localhost:1/v1").model("m").llama_cpp(true).build().unwrap();
    assert!(named.capabilities().regex);
}
