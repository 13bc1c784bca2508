//! Documented answers and errors of Anthropic and Gemini.

use std::time::Duration;

use serde_json::{Value, json};
use teleprompt_core::lm::{Lm, LmErrorKind, LmSettings, OutputConstraint};
use teleprompt_lm::{AnthropicLm, ApiKey, GeminiLm};
use wiremock::matchers::{body_partial_json, header, method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::{KEY, request};

async fn server(route: &str, key_header: &str, answer: ResponseTemplate) -> MockServer {
    let server = MockServer::start().await;
    Mock::given(method("POST"))
        .and(path(route))
        .and(header(key_header, KEY))
        .respond_with(answer)
        .mount(&server)
        .await;
    server
}

async fn anthropic(answer: ResponseTemplate) -> (MockServer, AnthropicLm) {
    let server = server("/v1/messages", "x-api-key", answer).await;
    let lm = AnthropicLm::builder("claude").base_url(server.uri()).key(ApiKey::new(KEY).unwrap());
    (server, lm.build().unwrap())
}

async fn gemini(answer: ResponseTemplate) -> (MockServer, GeminiLm) {
    let server = server("/v1beta/models/flash:generateContent", "x-goog-api-key", answer).await;
    let lm = GeminiLm::builder("flash").base_url(server.uri()).key(ApiKey::new(KEY).unwrap());
    (server, lm.build().unwrap())
}

fn json_answer(status: u16, body: Value) -> ResponseTemplate {
    ResponseTemplate::new(status).set_body_json(body)
}

#[tokio::test]
async fn anthropic_answers() {
    let answer = json!({"id": "msg_1", "type": "message", "role": "assistant", "model": "claude",
        "content": [{"type": "text", "text": "hello"}], "stop_reason": "end_turn",
        "usage": {"input_tokens": 4, "output_tokens": 1}});
    let (server, lm) = anthropic(json_answer(200, answer)).await;
    let answer = lm.generate(&request()).await.unwrap();
    assert_eq!((answer.text.as_str(), answer.usage.input_tokens), ("hello", 4));
    assert_eq!(lm.model().as_str(), "anthropic/claude");
    let sent = &server.received_requests().await.unwrap()[0];
    assert_eq!(sent.headers["anthropic-version"], "2023-06-01");
    assert!(!sent.headers.contains_key("authorization"));
    let body: Value = sent.body_json().unwrap();
    assert_eq!(body["system"], json!("Be brief."));
}

#[tokio::test]
async fn anthropic_errors() {
    let error =
        |kind: &str| json!({"type": "error", "error": {"type": kind, "message": format!("{kind} {KEY}")}});
    let cases = [
        (401, "authentication_error", LmErrorKind::Auth),
        (403, "permission_error", LmErrorKind::Auth),
        (404, "not_found_error", LmErrorKind::NotFound),
        (400, "invalid_request_error", LmErrorKind::InvalidRequest),
        (529, "overloaded_error", LmErrorKind::Server { status: 529, retry_after: None }),
    ];
    for (status, name, kind) in cases {
        let (_server, lm) = anthropic(json_answer(status, error(name))).await;
        let failed = lm.generate(&request()).await.unwrap_err();
        assert_eq!(failed.kind, kind);
        assert_eq!(failed.detail, format!("{name} [redacted]"));
    }
    let limited = json_answer(429, error("rate_limit_error")).insert_header("retry-after", "12");
    let (_server, lm) = anthropic(limited).await;
    let kind = LmErrorKind::RateLimited { retry_after: Some(Duration::from_secs(12)) };
    assert_eq!(lm.generate(&request()).await.unwrap_err().kind, kind);
    let long = json!({"error": {"message": "prompt is too long: 210000 tokens > 200000 maximum"}});
    let (_server, lm) = anthropic(json_answer(400, long)).await;
    let kind = LmErrorKind::ContextOverflow { tokens: 210_000, limit: 200_000 };
    assert_eq!(lm.generate(&request()).await.unwrap_err().kind, kind);
}

#[tokio::test]
async fn gemini_answers() {
    let answer = json!({"candidates": [{"content": {"role": "model", "parts": [{"text": "hello"}]},
        "finishReason": "STOP"}], "usageMetadata": {"promptTokenCount": 4, "candidatesTokenCount": 1}});
    let server = MockServer::start().await;
    let expected = json!({
        "systemInstruction": {"parts": [{"text": "Be brief."}]},
        "generationConfig": {"temperature": 0.0, "responseMimeType": "application/json"},
    });
    Mock::given(body_partial_json(expected)).respond_with(json_answer(200, answer)).mount(&server).await;
    let lm =
        GeminiLm::builder("flash").base_url(server.uri()).key(ApiKey::new(KEY).unwrap()).build().unwrap();
    let settings = LmSettings { temperature: Some(0.0), ..LmSettings::default() };
    let schema = OutputConstraint::JsonSchema(json!({"type": "object"}));
    let request = request().with_settings(settings).with_constraint(Some(schema));
    let answer = lm.generate(&request).await.unwrap();
    assert_eq!((answer.text.as_str(), answer.usage.input_tokens), ("hello", 4));
    assert_eq!(lm.model().as_str(), "gemini/flash");
}

#[tokio::test]
async fn gemini_errors() {
    let limited = json!({"error": {"code": 429, "message": "quota", "status": "RESOURCE_EXHAUSTED",
        "details": [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "17s"}]}});
    let wait = Some(Duration::from_secs(17));
    let refused = json!({"error": {"code": 400, "message": "API key not valid.", "status": "INVALID_ARGUMENT",
        "details": [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"}]}});
    let cases = [
        (429, limited, LmErrorKind::RateLimited { retry_after: wait }),
        (400, refused, LmErrorKind::Auth),
        (400, json!({"error": {"code": 400, "message": "bad"}}), LmErrorKind::InvalidRequest),
        (
            500,
            json!({"error": {"code": 500, "message": "oops"}}),
            LmErrorKind::Server { status: 500, retry_after: None },
        ),
    ];
    for (status, body, kind) in cases {
        let (_server, lm) = gemini(json_answer(status, body)).await;
        assert_eq!(lm.generate(&request()).await.unwrap_err().kind, kind);
    }
}
