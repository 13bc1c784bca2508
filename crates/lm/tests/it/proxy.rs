//! A proxy from the environment is used for other machines, and never for this one.

use std::process::Command;
use std::time::Duration;

use serde_json::json;
use wiremock::matchers::any;
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::{everyone, request};

const SERVER: &str = "TELEPROMPT_TEST_SERVER";

/// Not a test by itself: what the child process of the test below does, with a proxy in its environment.
#[tokio::test]
async fn child() {
    let Ok(base) = std::env::var(SERVER) else { return };
    for lm in everyone(&base, Duration::from_secs(20)) {
        let outcome = lm.generate(&request()).await;
        println!("outcome {}", outcome.map_or_else(|error| error.to_string(), |answer| answer.text));
    }
}

#[tokio::test]
async fn a_proxy_from_the_environment_is_honoured() {
    let answer = |text: &str| {
        ResponseTemplate::new(200).set_body_json(json!({
            "choices": [{"message": {"content": text}}],
            "content": [{"type": "text", "text": text}],
            "candidates": [{"content": {"parts": [{"text": text}]}}],
        }))
    };
    let (proxy, server) = (MockServer::start().await, MockServer::start().await);
    Mock::given(any()).respond_with(answer("by proxy")).mount(&proxy).await;
    Mock::given(any()).respond_with(answer("straight")).mount(&server).await;
    let outcomes = |base: String| {
        let mut child = Command::new(std::env::current_exe().unwrap());
        child.args(["--exact", "proxy::child", "--nocapture"]).env(SERVER, base);
        child.env_remove("NO_PROXY").env_remove("no_proxy");
        for name in ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"] {
            child.env(name, proxy.uri());
        }
        async move {
            let output = tokio::task::spawn_blocking(move || child.output().unwrap()).await.unwrap();
            let text = String::from_utf8(output.stdout).unwrap();
            let lines = text.lines().filter_map(|line| Some(line.split_once("outcome ")?.1.to_owned()));
            lines.collect::<Vec<_>>()
        }
    };
    // A name that can be resolved nowhere: only a proxy can answer for it.
    let remote = outcomes("http://teleprompt.invalid/v1".to_owned()).await;
    assert!(remote.len() >= 3 && remote.iter().all(|text| text == "by proxy"), "{remote:?}");
    let local = outcomes(format!("{}/v1", server.uri())).await;
    assert!(local.len() >= 3 && local.iter().all(|text| text == "straight"), "{local:?}");
}
