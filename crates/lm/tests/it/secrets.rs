//! A key in none of the things that a run leaves behind: values, errors, cache files.

use std::time::Duration;

use teleprompt_core::lm::Lm;
use teleprompt_lm::{ApiKey, Cache, CompatibleLm, ModelSpec, Recorder, RetryPolicy, SpecOptions};
use wiremock::matchers::any;
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::{KEY, request};

#[tokio::test]
async fn nothing_shows_the_key() {
    let server = MockServer::start().await;
    let echo = format!(r#"{{"error": {{"message": "Incorrect API key provided: {KEY}"}}}}"#);
    Mock::given(any()).respond_with(ResponseTemplate::new(401).set_body_string(echo)).mount(&server).await;
    let base = format!("{}/v1", server.uri());
    let key = ApiKey::new(KEY).unwrap();
    let options = SpecOptions::default().with_key(key.clone()).with_timeout(Duration::from_secs(9));
    let builder = CompatibleLm::builder(&base).model("m").key(key.clone());
    let lm = builder.clone().build().unwrap();
    let error = lm.generate(&request()).await.unwrap_err();
    let unlisted = base.parse::<ModelSpec>().unwrap().connect(options.clone()).await.err().unwrap();
    let shown = vec![
        format!("{key} {key:?} {options:?} {builder:?} {lm:#?} {:?}", lm.model()),
        format!("{error} {error:?}"),
        format!("{unlisted} {unlisted:?}"),
        format!("{:?}", RetryPolicy::default()),
    ];
    #[cfg(feature = "openai")]
    let shown = {
        let mut shown = shown;
        let builder = teleprompt_lm::OpenAiLm::builder("m").base_url(&base).key(key.clone());
        let lm = builder.clone().build().unwrap();
        let error = lm.generate(&request()).await.unwrap_err();
        shown.push(format!("{builder:?} {lm:#?} {error} {error:?}"));
        shown
    };
    for text in shown {
        assert!(!text.contains("marked"), "{text}");
    }
}

#[tokio::test]
async fn no_file_holds_the_key_and_the_cache_no_prompt() {
    let server = MockServer::start().await;
    let answer = r#"{"choices": [{"message": {"content": "an answer"}}]}"#;
    Mock::given(any()).respond_with(ResponseTemplate::new(200).set_body_string(answer)).mount(&server).await;
    let folder = tempfile::tempdir().unwrap();
    let cache = Cache::open(folder.path().join("answers.db")).unwrap();
    let lm = CompatibleLm::builder(format!("{}/v1", server.uri())).model("m").key(ApiKey::new(KEY).unwrap());
    let tape = tempfile::tempdir().unwrap();
    let recorder = Recorder::open(tape.path().join("run.jsonl")).unwrap();
    let lm = recorder.wrap(cache.wrap(lm.build().unwrap())).unwrap();
    lm.generate(&request()).await.unwrap();
    let mut seen = false;
    for entry in std::fs::read_dir(folder.path()).unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        let text = String::from_utf8_lossy(&bytes);
        assert!(!text.contains("marked") && !text.contains("Say hello."));
        seen |= text.contains("an answer");
    }
    assert!(seen, "the answer is in the file or its log");
    let recorded = std::fs::read_to_string(tape.path().join("run.jsonl")).unwrap();
    assert!(recorded.contains("Say hello.") && !recorded.contains("marked"));
}
