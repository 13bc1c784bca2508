//! The crate's behaviour through its public interface: loopback servers and temporary files only.

#![expect(clippy::unwrap_used, reason = "tests, helpers included, may panic")]

mod cache_file;
mod cache_kill;
mod conformance;
mod hostile;
mod hostile_server;
mod other_providers;
mod providers;
mod proxy;
mod real_server;
mod secrets;
mod secrets_run;
mod services;
mod settings;

use std::time::Duration;

use teleprompt_core::lm::{Lm, LmRequest, Message};
use teleprompt_lm::{AnthropicLm, ApiKey, CompatibleLm, GeminiLm};

/// A key that must never be seen again.
pub(crate) const KEY: &str = "sk-marked-0123456789";

pub(crate) fn request() -> LmRequest {
    LmRequest::new(vec![Message::system("Be brief."), Message::user("Say hello.")])
}

/// Each provider of chat completions, pointed at `base`, with the marked key.
pub(crate) fn models(base: &str, timeout: Duration) -> Vec<Box<dyn Lm>> {
    let key = || ApiKey::new(KEY).unwrap();
    vec![
        Box::new(CompatibleLm::builder(base).model("m").key(key()).timeout(timeout).build().unwrap()),
        #[cfg(feature = "openai")]
        Box::new(
            teleprompt_lm::OpenAiLm::builder("m").base_url(base).key(key()).timeout(timeout).build().unwrap(),
        ),
    ]
}

/// Each network provider, pointed at `base`, with the marked key.
pub(crate) fn everyone(base: &str, timeout: Duration) -> Vec<Box<dyn Lm>> {
    let key = || ApiKey::new(KEY).unwrap();
    let mut all = models(base, timeout);
    all.push(Box::new(AnthropicLm::builder("m").base_url(base).key(key()).timeout(timeout).build().unwrap()));
    all.push(Box::new(GeminiLm::builder("m").base_url(base).key(key()).timeout(timeout).build().unwrap()));
    all
}
