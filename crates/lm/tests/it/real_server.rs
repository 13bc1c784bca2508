//! A real llama.cpp server, for what wiremock cannot tell: whether the shapes are right. Runs where the variable
//! `TELEPROMPT_TEST_LLAMA_SERVER` names one, such as `http://127.0.0.1:8091` from
//! `llama-server -m SmolLM2-135M-Instruct.Q4_1.gguf -c 4096 -np 2 --port 8091`, and does nothing elsewhere.

use std::time::Duration;

use teleprompt_core::lm::{Lm, LmErrorKind, LmRequest, LmSettings, Message, OutputConstraint};
use teleprompt_lm::{AnthropicLm, ApiKey, CompatibleLm};
use teleprompt_testkit::conformance;

const VARIABLE: &str = "TELEPROMPT_TEST_LLAMA_SERVER";
const LONG: Duration = Duration::from_secs(600);

#[tokio::test]
async fn a_real_server_keeps_the_laws_and_takes_what_is_sent() {
    let Ok(server) = std::env::var(VARIABLE) else { return };
    let key = || ApiKey::new("none-needed").unwrap();
    let base = format!("{server}/v1");
    let compatible = CompatibleLm::builder(&base).timeout(LONG).connect().await.unwrap();
    let anthropic = AnthropicLm::builder("m").base_url(&server).key(key()).timeout(LONG).build().unwrap();
    conformance::lm(&compatible).await;
    conformance::lm(&anthropic).await;
    #[cfg(feature = "openai")]
    {
        let openai = teleprompt_lm::OpenAiLm::builder("m").base_url(&base).key(key()).timeout(LONG);
        conformance::lm(&openai.build().unwrap()).await;
    }

    let settings =
        LmSettings { logprobs: Some(3), max_tokens: Some(5), seed: Some(1), ..LmSettings::default() };
    let request = LmRequest::new(vec![Message::user("Count to ten.")]).with_settings(settings);
    let answer = compatible.generate(&request).await.unwrap();
    assert_eq!(answer.logprobs.len() as u64, answer.usage.output_tokens);
    for token in &answer.logprobs {
        assert!(token.logprob <= 0.0 && token.top.len() == 3, "{token:?}");
        assert!(token.top.windows(2).all(|pair| pair[0].1 >= pair[1].1), "{token:?}");
    }
    let spelled: String = answer.logprobs.iter().map(|token| token.token.as_str()).collect();
    assert!(spelled.starts_with(answer.text.trim()), "{spelled:?} and {:?}", answer.text);

    let form = "Team: (billing|delivery)\\nWhy: [^\\n]{1,40}";
    let held = LmRequest::new(vec![Message::user("Who answers \"I was charged twice\"?")])
        .with_constraint(Some(OutputConstraint::Regex(form.to_owned())));
    let answer = compatible.generate(&held).await.unwrap().text;
    assert!(
        answer.starts_with("Team: billing\nWhy: ") || answer.starts_with("Team: delivery\nWhy: "),
        "{answer}"
    );

    let long = LmRequest::new(vec![Message::user("word ".repeat(9_000))]);
    let all: [&dyn Lm; 2] = [&compatible, &anthropic];
    for lm in all {
        let error = lm.generate(&long).await.unwrap_err();
        let counted = matches!(error.kind, LmErrorKind::ContextOverflow { tokens: 9_000.., limit: 1.. });
        assert!(counted, "{error}");
    }
}
