//! Azure and OpenRouter through `CompatibleLm`: addresses, headers, and how reasoning is asked for.

use serde_json::{Value, json};
use teleprompt_core::lm::{Effort, Lm, LmSettings, Reasoning};
use teleprompt_lm::{ApiKey, CompatibleLm, SpecError};
use wiremock::matchers::{header, method, path, query_param};
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::{KEY, request};

fn answer() -> ResponseTemplate {
    ResponseTemplate::new(200).set_body_json(json!({"choices": [{"message": {"content": "ok"}}]}))
}

fn key() -> ApiKey {
    ApiKey::new(KEY).unwrap()
}

#[tokio::test]
async fn an_azure_deployment_has_its_own_header_query_and_bound() {
    let server = MockServer::start().await;
    Mock::given(method("POST"))
        .and(path("/openai/deployments/mine/chat/completions"))
        .and(query_param("api-version", "2024-10-21"))
        .and(header("api-key", KEY))
        .respond_with(answer())
        .mount(&server)
        .await;
    let base = format!("{}/openai/deployments/mine?api-version=2024-10-21", server.uri());
    let builder = CompatibleLm::builder(base).model("m").key(key());
    let lm = builder.clone().key_header("api-key").max_completion_tokens().build().unwrap();
    let settings = LmSettings {
        max_tokens: Some(900),
        reasoning: Some(Reasoning::Effort(Effort::Low)),
        ..LmSettings::default()
    };
    assert_eq!(lm.generate(&request().with_settings(settings)).await.unwrap().text, "ok");
    assert_eq!(lm.model().as_str(), format!("{}/openai/deployments/mine#m", server.uri()));
    let sent = &server.received_requests().await.unwrap()[0];
    assert!(!sent.headers.contains_key("authorization"));
    let body: Value = sent.body_json().unwrap();
    assert_eq!((&body["max_completion_tokens"], &body["reasoning_effort"]), (&json!(900), &json!("low")));
    assert!(matches!(builder.key_header("no header").build(), Err(SpecError::InvalidKey { .. })));
}

#[tokio::test]
async fn openrouter_gets_its_path_and_the_headers_of_attribution() {
    let server = MockServer::start().await;
    Mock::given(method("POST"))
        .and(path("/api/v1/chat/completions"))
        .and(header("authorization", format!("Bearer {KEY}").as_str()))
        .and(header("http-referer", "https://example.com"))
        .and(header("x-title", "Example"))
        .respond_with(answer())
        .mount(&server)
        .await;
    let builder = CompatibleLm::builder(format!("{}/api/v1", server.uri())).model("org/m").key(key());
    let builder = builder.header("HTTP-Referer", "https://example.com").header("X-Title", "Example");
    let lm = builder.clone().build().unwrap();
    assert_eq!(lm.generate(&request()).await.unwrap().text, "ok");
    for (name, value) in [("no header", "x"), ("x-title", "a\nb")] {
        let error = builder.clone().header(name, value).build().unwrap_err();
        assert!(matches!(error, SpecError::InvalidKey { .. }), "{error}");
    }
}
