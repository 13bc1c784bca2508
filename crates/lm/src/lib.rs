//! Language-model providers and layers for teleprompt: OpenAI, compatible servers, an embedded model, cache, retry

#[cfg(feature = "local")]
pub mod local;
