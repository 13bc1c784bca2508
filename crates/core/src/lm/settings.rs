//! How a model is asked: sampling, length, and what is wanted beside the text.

use serde::{Deserialize, Serialize};

/// Sampling and length settings; `None` leaves a setting to the model.
///
/// A model that cannot honour a setting refuses the request before it asks anyone
/// ([`LmErrorKind::InvalidRequest`](super::LmErrorKind::InvalidRequest)): no setting is dropped silently.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct LmSettings {
    /// Sampling temperature in `[0, 2]`; 0 is greedy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f64>,
    /// Most tokens in the completion, those of reasoning included.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_tokens: Option<u32>,
    /// The completion ends before the first of these strings.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub stop: Vec<String>,
    /// Seed of the model's sampler, where it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// How many completions one call gives, at least 1 (1). The first is
    /// [`LmResponse::text`](super::LmResponse::text), the others are in
    /// [`LmResponse::others`](super::LmResponse::others); all of them are paid for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub n: Option<u32>,
    /// Asks for the log-probability of each token of the completion, and of so many of the likeliest tokens at
    /// its place, in `[0, 20]`. `None` asks for none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub logprobs: Option<u32>,
    /// How much a reasoning model thinks before it answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reasoning: Option<Reasoning>,
}

impl LmSettings {
    /// These settings, with what `self` leaves open taken from `fallback`.
    #[must_use]
    pub fn or(&self, fallback: &LmSettings) -> LmSettings {
        LmSettings {
            temperature: self.temperature.or(fallback.temperature),
            max_tokens: self.max_tokens.or(fallback.max_tokens),
            stop: if self.stop.is_empty() { fallback.stop.clone() } else { self.stop.clone() },
            seed: self.seed.or(fallback.seed),
            n: self.n.or(fallback.n),
            logprobs: self.logprobs.or(fallback.logprobs),
            reasoning: self.reasoning.or(fallback.reasoning),
        }
    }
}

/// How much a reasoning model thinks before it answers. Some providers take a word, others a number of tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Reasoning {
    /// In the provider's own steps.
    Effort(Effort),
    /// The most tokens of reasoning; 0 is none.
    Tokens(u32),
}

/// A provider's own steps of reasoning, from least to most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Effort {
    /// None at all.
    None,
    /// As little as possible.
    Minimal,
    /// Little.
    Low,
    /// The usual amount.
    Medium,
    /// Much.
    High,
}

impl Effort {
    /// The word for it on the wire: `none`, `minimal`, `low`, `medium` or `high`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Minimal => "minimal",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_set_is_not_written_so_that_old_keys_stay() {
        assert_eq!(serde_json::to_string(&LmSettings::default()).unwrap(), "{}");
        let effort = LmSettings { reasoning: Some(Reasoning::Effort(Effort::Low)), ..LmSettings::default() };
        assert_eq!(serde_json::to_string(&effort).unwrap(), r#"{"reasoning":{"effort":"low"}}"#);
        assert_eq!(serde_json::to_value(Effort::Minimal).unwrap(), Effort::Minimal.as_str());
    }

    #[test]
    fn open_settings_come_from_the_fallback() {
        let own = LmSettings { n: Some(3), ..LmSettings::default() };
        let reasoning = Some(Reasoning::Tokens(64));
        let fallback = LmSettings { n: Some(1), logprobs: Some(0), reasoning, ..LmSettings::default() };
        assert_eq!(own.or(&fallback), LmSettings { n: Some(3), ..fallback });
    }
}
