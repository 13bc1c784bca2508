//! The program as its users run it: a golden file of DSPy's, a server on this machine, one JSON object.
#![expect(clippy::unwrap_used, reason = "a test")]

use std::process::{Command, Output};

use wiremock::matchers::{body_string_contains, header, method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../crates/core/tests/golden/dspy/stages.json");

/// Runs the program on a server that plans and solves.
async fn run(arguments: &[&str]) -> Output {
    let server = MockServer::start().await;
    let answer = |text: &str| {
        let body = serde_json::json!({"id": "1", "object": "chat.completion", "created": 0, "model": "m",
            "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}],
            "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}});
        ResponseTemplate::new(200).set_body_json(body)
    };
    let models = serde_json::json!({"object": "list", "data": [{"id": "m", "object": "model"}]});
    Mock::given(method("GET"))
        .and(path("/v1/models"))
        .respond_with(ResponseTemplate::new(200).set_body_json(models))
        .mount(&server)
        .await;
    // What the file says: its instructions, and one of its demos.
    Mock::given(method("POST"))
        .and(path("/v1/chat/completions"))
        .and(header("authorization", "Bearer a-key"))
        .and(body_string_contains("Write a search query for the question."))
        .and(body_string_contains("author of Emma"))
        .respond_with(answer("[[ ## reasoning ## ]]\nA year.\n[[ ## query ## ]]\nEmma first edition"))
        .mount(&server)
        .await;
    Mock::given(method("POST"))
        .and(path("/v1/chat/completions"))
        .and(body_string_contains("Give the year."))
        .and(body_string_contains("Emma first edition"))
        .respond_with(answer("[[ ## answer ## ]]\n1815"))
        .mount(&server)
        .await;

    let mut command = Command::new(env!("CARGO_BIN_EXE_teleprompt-runner"));
    command.env("TELEPROMPT_API_KEY", "a-key").env("NO_PROXY", "127.0.0.1");
    command.arg(GOLDEN).args(["--base-url", &format!("{}/v1", server.uri())]).args(arguments);
    tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
}

const SIGNATURES: [&str; 4] = [
    "--signature",
    "plan.predict = question -> query",
    "--signature",
    "solve = question, query -> answer: int",
];

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_dspy_saved_runs() {
    let output = run(&[&SIGNATURES[..], &["question=When was Emma printed?"]].concat()).await;
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{error}");
    let outputs: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let expect = serde_json::json!({"reasoning": "A year.", "query": "Emma first edition", "answer": 1815});
    assert_eq!(outputs, expect);
}

#[tokio::test(flavor = "multi_thread")]
async fn mistakes_are_said() {
    for (arguments, message) in [
        (
            &["question=?"][..],
            "the file does not name the fields of predictor `plan.predict` (Question, Reasoning, Query)",
        ),
        (&SIGNATURES[..], "field `question` is missing"),
        (&[&SIGNATURES[..], &["query=?"]].concat(), "the program has no input `query`; it has: question"),
        (&["--model"], "`--model` needs a value"),
    ] {
        let output = run(arguments).await;
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && error.contains(message), "{error}");
    }
}
