//! The laws of `Lm`, for every layer and every network provider.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use teleprompt_core::lm::{Capabilities, Lm, LmResponse, Usage};
use teleprompt_lm::{Budget, Cache, Caps, Cassette, Limiter, Limits, LmStack, Recorder, Retry, RetryPolicy};
use teleprompt_testkit::{ScriptedLm, conformance};
use wiremock::matchers::any;
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::everyone;

/// A text that is an answer to every question of the suite.
const TEXT: &str = r#"{"wet": true}"#;

fn scripted() -> Arc<dyn Lm> {
    let usage = Usage { input_tokens: 9, output_tokens: 3, ..Usage::default() };
    Arc::new(
        ScriptedLm::new(move |_| LmResponse::new(TEXT).with_usage(usage))
            .with_capabilities(Capabilities::text().with_json_schema(true)),
    )
}

#[tokio::test]
async fn layers_keep_the_laws() {
    let folder = tempfile::tempdir().unwrap();
    let (limiter, budget) =
        (Limiter::new(Limits::default().in_flight(3)), Budget::new(Caps::default().calls(99)));
    let tape = folder.path().join("run.jsonl");
    let layers: Vec<Arc<dyn Lm>> = vec![
        Arc::new(Cache::in_memory().wrap(scripted())),
        Arc::new(Cache::open(folder.path().join("answers.db")).unwrap().wrap(scripted())),
        Arc::new(Retry::new(scripted(), RetryPolicy::default())),
        Arc::new(limiter.wrap(scripted())),
        Arc::new(budget.wrap(scripted()).unwrap()),
        Arc::new(Recorder::open(&tape).unwrap().wrap(scripted()).unwrap()),
        LmStack::new(scripted())
            .cache(&Cache::in_memory())
            .retry(RetryPolicy::default())
            .limit(&limiter)
            .budget(&budget)
            .unwrap()
            .build(),
    ];
    for lm in layers {
        conformance::lm(&*lm).await;
    }
    let replayed = Cassette::load(&tape).unwrap().model(scripted().model()).unwrap();
    conformance::lm(&replayed).await;
}

#[tokio::test]
async fn providers_keep_the_laws() {
    // One answer in the shapes of all: each provider reads its own fields.
    let answer = json!({
        "choices": [{"message": {"role": "assistant", "content": TEXT}, "finish_reason": "stop"}],
        "content": [{"type": "text", "text": TEXT}],
        "candidates": [{"content": {"parts": [{"text": TEXT}]}}],
        "usage": {"prompt_tokens": 9, "completion_tokens": 3, "input_tokens": 9, "output_tokens": 3},
        "usageMetadata": {"promptTokenCount": 9, "candidatesTokenCount": 3},
    });
    let server = MockServer::start().await;
    Mock::given(any()).respond_with(ResponseTemplate::new(200).set_body_json(answer)).mount(&server).await;
    for lm in everyone(&server.uri(), Duration::from_secs(60)) {
        conformance::lm(&*lm).await;
    }
}
