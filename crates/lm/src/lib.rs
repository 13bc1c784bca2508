//! Language-model providers and layers for teleprompt: OpenAI, compatible servers, an embedded model, cache, retry
