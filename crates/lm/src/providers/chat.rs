//! The shapes of OpenAI's chat completions, as far as many servers agree on them.
//!
//! Reading is lenient (servers leave fields out), writing is strict: settings that no server can honour are
//! refused before the call. Several choices per call, tools and log-probabilities are not read.

use serde::Deserialize;
use serde_json::{Map, Value, json};
use teleprompt_core::lm::{
    FinishReason, LmErrorKind, LmRequest, LmResponse, LmSettings, OutputConstraint, Role, Usage,
};

use super::http::{Failure, disguised, unreadable};

/// The name that a schema gets on the wire.
pub(crate) const SCHEMA_NAME: &str = "answer";

/// Refuses settings that mean nothing to any server of this shape.
pub(crate) fn check(request: &LmRequest, most_stops: Option<usize>) -> Result<(), Failure> {
    let invalid = |detail: String| Err(Failure::new(LmErrorKind::InvalidRequest, detail));
    let LmSettings { temperature, max_tokens, stop, .. } = &request.settings;
    if request.messages.is_empty() {
        return invalid("the request has no message".into());
    }
    if let Some(t) = temperature.filter(|t| !(0.0..=2.0).contains(t)) {
        return invalid(format!("`temperature` is {t}: it must be between 0 and 2"));
    }
    if *max_tokens == Some(0) {
        return invalid("`max_tokens` is 0: it must be at least 1".into());
    }
    if let Some(most) = most_stops.filter(|most| stop.len() > *most) {
        return invalid(format!("{} stop strings: this provider takes at most {most}", stop.len()));
    }
    Ok(())
}

/// The seed on the wire: the request's, moved on by its rollout, in 63 bits.
///
/// Without the rollout in it, a server that honours seeds would answer every rollout alike.
pub(crate) fn seed(request: &LmRequest) -> Option<i64> {
    let seed = request.settings.seed?.wrapping_add(request.rollout);
    i64::try_from(seed & (u64::MAX >> 1)).ok()
}

/// The request's JSON schema, where it has one.
pub(crate) fn schema(request: &LmRequest) -> Option<&Value> {
    match &request.constraint {
        Some(OutputConstraint::JsonSchema(schema)) => Some(schema),
        _ => None,
    }
}

/// Whether a schema is in the subset that strict structured output takes: every object lists all of its
/// properties as required and allows no others.
pub(crate) fn is_strict(schema: &Value) -> bool {
    match schema {
        Value::Object(object) => strict_object(object) && object.values().all(is_strict),
        Value::Array(items) => items.iter().all(is_strict),
        _ => true,
    }
}

fn strict_object(object: &Map<String, Value>) -> bool {
    let Some(Value::Object(properties)) = object.get("properties") else {
        return object.get("type").and_then(Value::as_str) != Some("object");
    };
    let required: Vec<&str> = match object.get("required") {
        Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    object.get("additionalProperties") == Some(&Value::Bool(false))
        && properties.keys().all(|name| required.contains(&name.as_str()))
}

/// The JSON body of a request to a server of this shape. `json_schema`: whether it takes one.
pub(crate) fn body(model: &str, request: &LmRequest, json_schema: bool) -> Value {
    let messages: Vec<Value> = request
        .messages
        .iter()
        .map(|message| {
            let role = match message.role {
                Role::System => "system",
                Role::User => "user",
                Role::Assistant => "assistant",
            };
            json!({ "role": role, "content": message.text() })
        })
        .collect();
    let mut body = json!({ "model": model, "messages": messages });
    let settings = &request.settings;
    let optional = [
        ("temperature", settings.temperature.map(Value::from)),
        ("max_tokens", settings.max_tokens.map(Value::from)),
        ("stop", (!settings.stop.is_empty()).then(|| Value::from(settings.stop.clone()))),
        ("seed", seed(request).map(Value::from)),
        (
            "response_format",
            schema(request).filter(|_| json_schema).map(|schema| {
                json!({
                    "type": "json_schema",
                    "json_schema": { "name": SCHEMA_NAME, "schema": schema, "strict": is_strict(schema) },
                })
            }),
        ),
    ];
    if let Value::Object(fields) = &mut body {
        fields.extend(optional.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))));
    }
    body
}

/// A chat completion as servers send it.
#[derive(Debug, Deserialize)]
pub(crate) struct ChatCompletion {
    #[serde(default)]
    choices: Vec<Choice>,
    #[serde(default)]
    usage: Option<WireUsage>,
    /// Some gateways answer 200 with an error.
    #[serde(default)]
    error: Option<Value>,
}

#[derive(Debug, Deserialize)]
struct Choice {
    message: Option<ChoiceMessage>,
    #[serde(default)]
    finish_reason: Option<String>,
}

#[derive(Debug, Deserialize)]
struct ChoiceMessage {
    #[serde(default)]
    content: Option<Content>,
    #[serde(default)]
    refusal: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Content {
    Text(String),
    Parts(Vec<ContentPart>),
}

#[derive(Debug, Deserialize)]
struct ContentPart {
    #[serde(default)]
    text: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
struct WireUsage {
    #[serde(default)]
    prompt_tokens: Option<u64>,
    #[serde(default)]
    completion_tokens: Option<u64>,
    #[serde(default)]
    prompt_tokens_details: Option<PromptDetails>,
}

#[derive(Debug, Deserialize)]
struct PromptDetails {
    #[serde(default)]
    cached_tokens: Option<u64>,
}

impl ChatCompletion {
    pub(crate) fn read(body: &[u8]) -> Result<LmResponse, Failure> {
        let completion: Self = serde_json::from_slice(body).map_err(|error| unreadable(&error, body))?;
        completion.into_response()
    }

    /// The first choice.
    pub(crate) fn into_response(self) -> Result<LmResponse, Failure> {
        if let Some(error) = self.error.filter(|error| !error.is_null()) {
            return Err(disguised(&error));
        }
        let Some(choice) = self.choices.into_iter().next() else {
            return Err(Failure::malformed("the answer has no choice"));
        };
        let Some(message) = choice.message else {
            return Err(Failure::malformed("the answer's choice has no message"));
        };
        let mut finish = match choice.finish_reason.as_deref() {
            Some("length" | "max_tokens") => FinishReason::Length,
            Some("content_filter") => FinishReason::Filtered,
            _ => FinishReason::Stop,
        };
        let text = match (message.content, message.refusal) {
            (None, Some(refusal)) => {
                finish = FinishReason::Filtered;
                refusal
            }
            (Some(Content::Text(text)), _) => text,
            (Some(Content::Parts(parts)), _) => parts.into_iter().filter_map(|part| part.text).collect(),
            (None, None) if finish == FinishReason::Stop => {
                return Err(Failure::malformed("the answer's message has no content"));
            }
            (None, None) => String::new(),
        };
        Ok(LmResponse::new(text).with_finish(finish).with_usage(self.usage.unwrap_or_default().into()))
    }
}

impl From<WireUsage> for Usage {
    fn from(wire: WireUsage) -> Self {
        Usage {
            input_tokens: wire.prompt_tokens.unwrap_or_default(),
            output_tokens: wire.completion_tokens.unwrap_or_default(),
            cached_tokens: wire.prompt_tokens_details.and_then(|d| d.cached_tokens).unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use teleprompt_core::lm::Message;

    use super::*;

    fn request(settings: LmSettings) -> LmRequest {
        LmRequest::new(vec![Message::system("s"), Message::user("u")]).with_settings(settings)
    }

    #[test]
    fn a_body_has_what_was_set_and_nothing_else() {
        let plain = body("m", &request(LmSettings::default()), true);
        assert_eq!(
            plain,
            json!({"model": "m", "messages": [
                {"role": "system", "content": "s"}, {"role": "user", "content": "u"}]})
        );
        let settings = LmSettings {
            temperature: Some(0.5),
            max_tokens: Some(7),
            stop: vec!["x".into()],
            seed: Some(u64::MAX),
        };
        let schema = json!({"type": "object", "properties": {"a": {}}, "required": ["a"]});
        let full = request(settings)
            .with_rollout(2)
            .with_constraint(Some(OutputConstraint::JsonSchema(schema.clone())));
        let sent = body("m", &full, true);
        assert_eq!(sent["temperature"], json!(0.5));
        assert_eq!(sent["max_tokens"], json!(7));
        assert_eq!(sent["stop"], json!(["x"]));
        assert_eq!(sent["seed"], json!(1), "the rollout moves the seed on");
        assert_eq!(sent["response_format"]["json_schema"]["schema"], schema);
        assert_eq!(sent["response_format"]["json_schema"]["strict"], json!(false));
        assert!(body("m", &full, false).get("response_format").is_none());
    }

    #[test]
    fn strict_schemas_are_recognized() {
        let inner = json!({"type": "object", "properties": {"b": {"type": "string"}}, "required": ["b"],
            "additionalProperties": false});
        let outer = json!({"type": "object", "properties": {"a": inner}, "required": ["a"],
            "additionalProperties": false});
        assert!(is_strict(&outer));
        assert!(!is_strict(&json!({"anyOf": [{"type": "object", "properties": {}}]})));
        assert!(!is_strict(&json!({"type": "object"})));
    }

    #[test]
    fn impossible_settings_are_refused() {
        let check_settings = |settings, part: &str| {
            let failure = check(&request(settings), Some(4)).unwrap_err();
            assert_eq!(failure.kind, LmErrorKind::InvalidRequest);
            assert!(failure.detail.contains(part), "{}", failure.detail);
        };
        check_settings(LmSettings { temperature: Some(f64::NAN), ..LmSettings::default() }, "temperature");
        check_settings(LmSettings { temperature: Some(2.5), ..LmSettings::default() }, "temperature");
        check_settings(LmSettings { max_tokens: Some(0), ..LmSettings::default() }, "max_tokens");
        check_settings(LmSettings { stop: vec!["x".into(); 5], ..LmSettings::default() }, "at most 4");
        assert!(check(&LmRequest::default(), None).is_err());
        assert!(check(&request(LmSettings::default()), None).is_ok());
    }

    #[test]
    fn completions_are_read_leniently_and_errors_are_not_answers() {
        let read = |text: &str| ChatCompletion::read(text.as_bytes());
        let full = r#"{"choices":[{"message":{"role":"assistant","content":"hi"},"finish_reason":"length"}],
            "usage":{"prompt_tokens":5,"completion_tokens":2,"prompt_tokens_details":{"cached_tokens":4}}}"#;
        let usage = Usage { input_tokens: 5, output_tokens: 2, cached_tokens: 4 };
        let expect = LmResponse::new("hi").with_finish(FinishReason::Length).with_usage(usage);
        assert_eq!(read(full), Ok(expect));
        let parts = r#"{"choices":[{"message":{"content":[{"type":"text","text":"a"},{"text":"b"}]}}]}"#;
        assert_eq!(read(parts).unwrap().text, "ab");
        let refusal = read(r#"{"choices":[{"message":{"content":null,"refusal":"no"}}]}"#).unwrap();
        assert_eq!((refusal.text.as_str(), refusal.finish), ("no", FinishReason::Filtered));

        let kind = |text: &str| read(text).unwrap_err().kind;
        for text in ["", "[1", "{}", r#"{"choices":[]}"#, r#"{"choices":[{}]}"#, "\u{0}", "null"] {
            assert_eq!(kind(text), LmErrorKind::Malformed, "{text}");
        }
        assert_eq!(kind(r#"{"error":{"message":"overloaded"}}"#), LmErrorKind::Malformed);
        let limited = LmErrorKind::RateLimited { retry_after: None };
        assert_eq!(kind(r#"{"error":{"message":"slow","code":429}}"#), limited);
    }
}
