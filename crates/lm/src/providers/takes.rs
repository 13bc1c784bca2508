//! What a model takes beyond messages: a request with more is refused before anyone is asked.
//!
//! Every provider, the embedded model included, states one [`Takes`] and checks each request against it, so that a
//! setting is either on the wire or an error with its name, never dropped. Deliberately absent: what one model of a
//! provider takes and its next does not. The provider knows, and says so.

use std::ops::RangeInclusive;

use teleprompt_core::lm::{LmErrorKind, LmRequest, LmSettings, OutputConstraint, Reasoning};

use super::http::Failure;

/// Alternatives at the place of one token, at most; the same at every provider that has log-probabilities.
const MOST_LOGPROBS: u32 = 20;

/// The settings and constraints that a model takes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Takes {
    pub(crate) highest_temperature: f64,
    /// The most stop strings; `None` is no bound.
    pub(crate) stops: Option<usize>,
    pub(crate) seed: bool,
    /// The most completions of one call.
    pub(crate) completions: u32,
    pub(crate) logprobs: bool,
    /// [`Reasoning::Effort`].
    pub(crate) effort: bool,
    /// [`Reasoning::Tokens`].
    pub(crate) reasoning_tokens: bool,
    pub(crate) regex: bool,
    pub(crate) json_schema: bool,
    /// Any [`teleprompt_core::Media`].
    pub(crate) media: bool,
}

impl Takes {
    /// Temperatures, stop strings and lengths; nothing else.
    pub(crate) const PLAIN: Self = Self {
        highest_temperature: 2.0,
        stops: None,
        seed: false,
        completions: 1,
        logprobs: false,
        effort: false,
        reasoning_tokens: false,
        regex: false,
        json_schema: false,
        media: false,
    };

    /// Refuses what cannot be honoured, by name, with what to do instead.
    pub(crate) fn check(&self, request: &LmRequest) -> Result<(), Failure> {
        match self.problem(request) {
            Some(problem) => Err(Failure::new(LmErrorKind::InvalidRequest, problem)),
            None => Ok(()),
        }
    }

    fn problem(&self, request: &LmRequest) -> Option<String> {
        let LmSettings { temperature, max_tokens, stop, seed, n, logprobs, reasoning } = &request.settings;
        if request.messages.is_empty() {
            return Some("the request has no message".into());
        }
        if let Some(media) =
            request.messages.iter().find_map(|message| message.media().next()).filter(|_| !self.media)
        {
            return Some(format!("a message holds media ({media}), and this model takes text only"));
        }
        let range: RangeInclusive<f64> = 0.0..=self.highest_temperature;
        if let Some(t) = temperature.filter(|t| !range.contains(t)) {
            return Some(format!("`temperature` is {t}: this model takes 0 to {}", range.end()));
        }
        if *max_tokens == Some(0) {
            return Some("`max_tokens` is 0: it must be at least 1".into());
        }
        if let Some(most) = self.stops.filter(|most| stop.len() > *most) {
            return Some(format!("{} stop strings: this model takes at most {most}", stop.len()));
        }
        if stop.iter().any(String::is_empty) {
            return Some("a stop string is empty: leave it out".into());
        }
        if seed.is_some() && !self.seed {
            return Some(
                "`seed` is set, and this model has none: leave it out (`rollout` asks for other samples)"
                    .into(),
            );
        }
        if *n == Some(0) {
            return Some("`n` is 0: it must be at least 1".into());
        }
        if let Some(n) = n.filter(|n| *n > self.completions) {
            return Some(format!(
                "`n` is {n}: this model gives at most {} completions a call; ask again with another `rollout`",
                self.completions
            ));
        }
        if logprobs.is_some() && !self.logprobs {
            return Some("`logprobs` is set, and this model gives none: leave it out".into());
        }
        if let Some(k) = logprobs.filter(|k| *k > MOST_LOGPROBS) {
            return Some(format!("`logprobs` is {k}: it must be at most {MOST_LOGPROBS}"));
        }
        match reasoning {
            Some(Reasoning::Effort(effort)) if !self.effort => Some(if self.reasoning_tokens {
                format!(
                    "`reasoning` is the effort `{}`: this model takes a number of tokens",
                    effort.as_str()
                )
            } else {
                "`reasoning` is set, and this model does not take it: leave it out".into()
            }),
            Some(Reasoning::Tokens(tokens)) if !self.reasoning_tokens => Some(if self.effort {
                format!("`reasoning` is {tokens} tokens: this model takes an effort, such as `low`")
            } else {
                "`reasoning` is set, and this model does not take it: leave it out".into()
            }),
            _ => self.constraint_problem(request.constraint.as_ref()?),
        }
    }

    fn constraint_problem(&self, constraint: &OutputConstraint) -> Option<String> {
        let what = match constraint {
            OutputConstraint::Regex(_) if self.regex => return None,
            OutputConstraint::JsonSchema(_) if self.json_schema => return None,
            OutputConstraint::Regex(_) => "a regular expression",
            OutputConstraint::JsonSchema(_) => "a JSON schema",
            _ => "a constraint of this kind",
        };
        Some(format!("{what} is to bind the answer, and this model honours none: see its `capabilities`"))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use teleprompt_core::Media;
    use teleprompt_core::lm::{Effort, Message};

    use super::*;

    const ALL: Takes = Takes {
        highest_temperature: 2.0,
        stops: Some(4),
        seed: true,
        completions: 8,
        logprobs: true,
        effort: true,
        reasoning_tokens: true,
        regex: true,
        json_schema: true,
        media: true,
    };

    fn request(settings: LmSettings) -> LmRequest {
        LmRequest::new(vec![Message::user("u")]).with_settings(settings)
    }

    fn problem(takes: Takes, settings: LmSettings) -> String {
        let failure = takes.check(&request(settings)).unwrap_err();
        assert_eq!(failure.kind, LmErrorKind::InvalidRequest);
        failure.detail
    }

    #[test]
    fn impossible_settings_are_refused_by_all() {
        let check = |settings, part: &str| {
            let detail = problem(ALL, settings);
            assert!(detail.contains(part), "{detail}");
        };
        let default = LmSettings::default;
        check(LmSettings { temperature: Some(f64::NAN), ..default() }, "`temperature` is NaN");
        check(LmSettings { temperature: Some(2.5), ..default() }, "takes 0 to 2");
        check(LmSettings { max_tokens: Some(0), ..default() }, "`max_tokens` is 0");
        check(LmSettings { stop: vec!["x".into(); 5], ..default() }, "at most 4");
        check(LmSettings { stop: vec![String::new()], ..default() }, "is empty");
        check(LmSettings { n: Some(0), ..default() }, "`n` is 0");
        check(LmSettings { n: Some(9), ..default() }, "at most 8 completions");
        check(LmSettings { logprobs: Some(21), ..default() }, "at most 20");
        assert!(ALL.check(&LmRequest::default()).is_err());
    }

    #[test]
    fn what_a_model_lacks_is_named_and_nothing_is_dropped() {
        let default = LmSettings::default;
        let effort = Some(Reasoning::Effort(Effort::Low));
        let tokens = Some(Reasoning::Tokens(64));
        let cases = [
            (LmSettings { seed: Some(1), ..default() }, "`seed`"),
            (LmSettings { n: Some(2), ..default() }, "`n` is 2"),
            (LmSettings { logprobs: Some(0), ..default() }, "`logprobs`"),
            (LmSettings { reasoning: effort, ..default() }, "`reasoning`"),
            (LmSettings { reasoning: tokens, ..default() }, "`reasoning`"),
        ];
        for (settings, part) in cases {
            assert!(ALL.check(&request(settings.clone())).is_ok(), "{part}");
            assert!(problem(Takes::PLAIN, settings).contains(part), "{part}");
        }
        let words = Takes { reasoning_tokens: false, ..ALL };
        assert!(problem(words, LmSettings { reasoning: tokens, ..default() }).contains("takes an effort"));
        let numbers = Takes { effort: false, ..ALL };
        assert!(problem(numbers, LmSettings { reasoning: effort, ..default() }).contains("number of tokens"));
        for constraint in [OutputConstraint::Regex("x".into()), OutputConstraint::JsonSchema(json!({}))] {
            let held = request(default()).with_constraint(Some(constraint));
            assert!(ALL.check(&held).is_ok());
            assert!(Takes::PLAIN.check(&held).unwrap_err().detail.contains("to bind the answer"));
        }
        let page = Message::user("u").with_media([Media::bytes("application/pdf", b"abc")]);
        let seen = LmRequest::new(vec![page]);
        assert!(ALL.check(&seen).is_ok());
        let refused = Takes::PLAIN.check(&seen).unwrap_err().detail;
        assert_eq!(
            refused,
            "a message holds media (application/pdf, 3 bytes), and this model takes text only"
        );
        assert!(Takes::PLAIN.check(&request(LmSettings { n: Some(1), ..default() })).is_ok());
    }
}
