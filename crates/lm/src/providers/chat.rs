//! The shapes of OpenAI's chat completions, as far as many servers agree on them.
//!
//! Reading is lenient (servers leave fields out) but for what was asked for: a server that gives fewer completions
//! than wanted, or no log-probabilities, has dropped a setting, and that is an error. Tools are not read.

use std::fmt;

use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value, json};
use teleprompt_core::lm::{
    Completion, FinishReason, LmErrorKind, LmRequest, LmResponse, LmSettings, Message, OutputConstraint,
    Part, Reasoning, Role, TokenLogprob, Usage,
};

use super::grammar::grammar;
use super::http::{Failure, disguised, unreadable};
use super::media;
use super::takes::Takes;

/// What the shape has a place for, and servers of it take.
pub(crate) const TAKES: Takes =
    Takes { seed: true, completions: 128, logprobs: true, effort: true, media: true, ..Takes::PLAIN };

/// What differs between servers of this shape.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Dialect {
    /// The bound on tokens is called `max_completion_tokens`.
    pub(crate) completion_tokens: bool,
    /// Reasoning is an object, with an effort or a number of tokens (OpenRouter).
    pub(crate) reasoning_object: bool,
    /// An answer can be held to a grammar (llama.cpp).
    pub(crate) grammar: bool,
}

/// The name that a schema gets on the wire.
pub(crate) const SCHEMA_NAME: &str = "answer";

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

/// The JSON body of a request to a server of this shape.
#[derive(Debug, Serialize)]
pub(crate) struct Body<'a> {
    model: &'a str,
    messages: Vec<BodyMessage<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    grammar: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_tokens: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_completion_tokens: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    n: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    logprobs: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_logprobs: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning_effort: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning: Option<Value>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    stop: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    seed: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_format: Option<Value>,
}

#[derive(Debug, Serialize)]
struct BodyMessage<'a> {
    role: &'static str,
    content: BodyContent<'a>,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum BodyContent<'a> {
    /// One text, as most messages are: not copied.
    Text(&'a str),
    Other(Value),
}

impl<'a> BodyMessage<'a> {
    fn of(message: &'a Message) -> Result<Self, Failure> {
        let role = match message.role {
            Role::System => "system",
            Role::User => "user",
            Role::Assistant => "assistant",
        };
        let content = match message.parts.as_slice() {
            [Part::Text(text)] => BodyContent::Text(text),
            _ => BodyContent::Other(media::chat_content(message)?),
        };
        Ok(Self { role, content })
    }
}

impl<'a> Body<'a> {
    /// The body of a request that passed its [`Takes`].
    pub(crate) fn of(model: &'a str, request: &'a LmRequest, dialect: Dialect) -> Result<Self, Failure> {
        let settings = &request.settings;
        let (effort, tokens) = match settings.reasoning {
            Some(Reasoning::Effort(effort)) => (Some(effort.as_str()), None),
            Some(Reasoning::Tokens(tokens)) => (None, Some(tokens)),
            _ => (None, None),
        };
        let (reasoning_effort, reasoning) = match (effort, tokens) {
            (Some(effort), _) if dialect.reasoning_object => (None, Some(json!({ "effort": effort }))),
            (effort, tokens) => (effort, tokens.map(|tokens| json!({ "max_tokens": tokens }))),
        };
        let grammar = match &request.constraint {
            Some(OutputConstraint::Regex(regex)) if dialect.grammar => {
                let refused = || {
                    let why = "the regular expression that binds the answer cannot be written as a grammar of llama.cpp: leave it out";
                    Failure::new(LmErrorKind::InvalidRequest, why)
                };
                Some(grammar(regex).ok_or_else(refused)?)
            }
            _ => None,
        };
        Ok(Self {
            model,
            grammar,
            messages: request.messages.iter().map(BodyMessage::of).collect::<Result<_, Failure>>()?,
            temperature: settings.temperature,
            max_tokens: settings.max_tokens.filter(|_| !dialect.completion_tokens),
            max_completion_tokens: settings.max_tokens.filter(|_| dialect.completion_tokens),
            n: settings.n,
            logprobs: settings.logprobs.map(|_| true),
            top_logprobs: settings.logprobs.filter(|k| *k > 0),
            reasoning_effort,
            reasoning,
            stop: &settings.stop,
            seed: seed(request),
            response_format: schema(request).map(|schema| {
                json!({
                    "type": "json_schema",
                    "json_schema": { "name": SCHEMA_NAME, "schema": schema, "strict": is_strict(schema) },
                })
            }),
        })
    }
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
    #[serde(default)]
    logprobs: Option<Logprobs>,
}

#[derive(Debug, Deserialize)]
struct Logprobs {
    #[serde(default)]
    content: Option<Vec<WireToken>>,
}

#[derive(Debug, Deserialize)]
struct WireToken {
    token: String,
    logprob: f64,
    #[serde(default)]
    top_logprobs: Vec<WireToken>,
}

#[derive(Debug, Deserialize)]
struct ChoiceMessage {
    #[serde(default)]
    content: Option<Content>,
    #[serde(default)]
    refusal: Option<String>,
}

/// The text of a message, which some servers send in parts.
#[derive(Debug)]
struct Content(String);

#[derive(Debug, Deserialize)]
struct ContentPart {
    #[serde(default)]
    text: Option<String>,
}

impl<'de> Deserialize<'de> for Content {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ContentVisitor)
    }
}

struct ContentVisitor;

impl<'de> Visitor<'de> for ContentVisitor {
    type Value = Content;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text, or a list of parts")
    }

    fn visit_str<E>(self, text: &str) -> Result<Content, E> {
        Ok(Content(text.to_owned()))
    }

    fn visit_string<E>(self, text: String) -> Result<Content, E> {
        Ok(Content(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut parts: A) -> Result<Content, A::Error> {
        let mut text = String::new();
        while let Some(part) = parts.next_element::<ContentPart>()? {
            text.push_str(part.text.as_deref().unwrap_or_default());
        }
        Ok(Content(text))
    }
}

#[derive(Debug, Default, Deserialize)]
struct WireUsage {
    #[serde(default)]
    prompt_tokens: Option<u64>,
    #[serde(default)]
    completion_tokens: Option<u64>,
    #[serde(default)]
    prompt_tokens_details: Option<PromptDetails>,
    #[serde(default)]
    completion_tokens_details: Option<CompletionDetails>,
}

#[derive(Debug, Deserialize)]
struct CompletionDetails {
    #[serde(default)]
    reasoning_tokens: Option<u64>,
}

#[derive(Debug, Deserialize)]
struct PromptDetails {
    #[serde(default)]
    cached_tokens: Option<u64>,
}

impl ChatCompletion {
    pub(crate) fn read(body: &[u8], asked: &LmSettings) -> Result<LmResponse, Failure> {
        let completion: Self = serde_json::from_slice(body).map_err(|error| unreadable(&error, body))?;
        completion.into_response(asked)
    }

    /// The answer, with everything that was asked for.
    pub(crate) fn into_response(self, asked: &LmSettings) -> Result<LmResponse, Failure> {
        if let Some(error) = self.error.filter(|error| !error.is_null()) {
            return Err(disguised(&error));
        }
        let completions =
            self.choices.into_iter().map(Choice::into_completion).collect::<Result<Vec<_>, _>>()?;
        answer(completions, self.usage.unwrap_or_default().into(), asked, "the answer has no choice")
    }
}

/// An answer of these completions, the first of which is its text.
///
/// # Errors
/// `none` where there is no completion; a setting that the server dropped, by name. A provider that withheld a text
/// dropped nothing.
pub(crate) fn answer(
    completions: Vec<Completion>,
    usage: Usage,
    asked: &LmSettings,
    none: &str,
) -> Result<LmResponse, Failure> {
    let given = completions.len();
    let withheld = completions.iter().any(|one| one.finish == FinishReason::Filtered);
    let tokens_named = completions.iter().all(|one| !one.logprobs.is_empty() || one.text.is_empty());
    let mut completions = completions.into_iter();
    let Some(first) = completions.next() else { return Err(Failure::malformed(none)) };
    let dropped = |detail: String| Err(Failure::malformed(detail));
    if let Some(n) = asked.n.filter(|n| !withheld && given < *n as usize) {
        return dropped(format!(
            "the server gave {given} of {n} completions: it does not take `n`, leave it out"
        ));
    }
    if asked.logprobs.is_some() && !withheld && !tokens_named {
        return dropped(
            "the server gave no log-probabilities: it does not take `logprobs`, leave it out".into(),
        );
    }
    let response = LmResponse::new(first.text).with_finish(first.finish).with_usage(usage);
    Ok(response.with_logprobs(first.logprobs).with_others(completions.collect()))
}

impl Choice {
    fn into_completion(self) -> Result<Completion, Failure> {
        let Some(message) = self.message else {
            return Err(Failure::malformed("the answer's choice has no message"));
        };
        let mut finish = match self.finish_reason.as_deref() {
            Some("length" | "max_tokens") => FinishReason::Length,
            Some("content_filter") => FinishReason::Filtered,
            _ => FinishReason::Stop,
        };
        let text = match (message.content, message.refusal) {
            (None, Some(refusal)) => {
                finish = FinishReason::Filtered;
                refusal
            }
            (Some(Content(text)), _) => text,
            (None, None) if finish == FinishReason::Stop => {
                return Err(Failure::malformed("the answer's message has no content"));
            }
            (None, None) => String::new(),
        };
        let tokens = self.logprobs.and_then(|logprobs| logprobs.content).unwrap_or_default();
        Ok(Completion { text, finish, logprobs: tokens.into_iter().map(TokenLogprob::from).collect() })
    }
}

impl From<WireToken> for TokenLogprob {
    fn from(wire: WireToken) -> Self {
        let top = wire.top_logprobs.into_iter().map(|other| (other.token, other.logprob)).collect();
        Self { token: wire.token, logprob: wire.logprob, top }
    }
}

impl From<WireUsage> for Usage {
    fn from(wire: WireUsage) -> Self {
        Usage {
            input_tokens: wire.prompt_tokens.unwrap_or_default(),
            output_tokens: wire.completion_tokens.unwrap_or_default(),
            cached_tokens: wire.prompt_tokens_details.and_then(|d| d.cached_tokens).unwrap_or_default(),
            reasoning_tokens: (wire.completion_tokens_details)
                .and_then(|d| d.reasoning_tokens)
                .unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use teleprompt_core::lm::{Effort, LmErrorKind, Message};

    use super::*;

    fn request(settings: LmSettings) -> LmRequest {
        LmRequest::new(vec![Message::system("s"), Message::user("u")]).with_settings(settings)
    }

    #[test]
    fn a_body_has_what_was_set_and_nothing_else() {
        let body = |model, request: &LmRequest, dialect| {
            serde_json::to_value(Body::of(model, request, dialect).unwrap()).unwrap()
        };
        let plain = body("m", &request(LmSettings::default()), Dialect::default());
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
            n: Some(3),
            logprobs: Some(2),
            reasoning: Some(Reasoning::Effort(Effort::Low)),
        };
        let schema = json!({"type": "object", "properties": {"a": {}}, "required": ["a"]});
        let full = request(settings)
            .with_rollout(2)
            .with_constraint(Some(OutputConstraint::JsonSchema(schema.clone())));
        let sent = body("m", &full, Dialect::default());
        assert_eq!(sent["temperature"], json!(0.5));
        assert_eq!(sent["max_tokens"], json!(7));
        assert_eq!(sent["stop"], json!(["x"]));
        assert_eq!(sent["seed"], json!(1), "the rollout moves the seed on");
        assert_eq!(sent["response_format"]["json_schema"]["schema"], schema);
        assert_eq!(sent["response_format"]["json_schema"]["strict"], json!(false));
        assert_eq!(
            (&sent["n"], &sent["logprobs"], &sent["top_logprobs"]),
            (&json!(3), &json!(true), &json!(2))
        );
        assert_eq!((&sent["reasoning_effort"], sent.get("reasoning")), (&json!("low"), None));
        let dialect = Dialect { completion_tokens: true, reasoning_object: true, grammar: false };
        let sent = body("m", &full, dialect);
        assert_eq!((&sent["max_completion_tokens"], sent.get("max_tokens")), (&json!(7), None));
        assert_eq!((&sent["reasoning"], sent.get("reasoning_effort")), (&json!({"effort": "low"}), None));
        let tokens = LmSettings { reasoning: Some(Reasoning::Tokens(9)), ..LmSettings::default() };
        assert_eq!(body("m", &request(tokens), dialect)["reasoning"], json!({"max_tokens": 9}));
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
    fn completions_are_read_leniently_and_errors_are_not_answers() {
        let read = |text: &str| ChatCompletion::read(text.as_bytes(), &LmSettings::default());
        let full = r#"{"choices":[{"message":{"role":"assistant","content":"hi"},"finish_reason":"length"}],
            "usage":{"prompt_tokens":5,"completion_tokens":2,"prompt_tokens_details":{"cached_tokens":4},
                "completion_tokens_details":{"reasoning_tokens":1}}}"#;
        let usage = Usage { input_tokens: 5, output_tokens: 2, cached_tokens: 4, reasoning_tokens: 1 };
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

    #[test]
    fn what_was_asked_for_is_there_or_it_is_an_error() {
        let several = r#"{"choices":[
            {"message":{"content":"a"},"logprobs":{"content":[{"token":"a","logprob":-0.5,"bytes":[97],
                "top_logprobs":[{"token":"a","logprob":-0.5},{"token":"b","logprob":-1.5}]}]}},
            {"message":{"content":"b"},"finish_reason":"length","logprobs":{"content":[
                {"token":"b","logprob":-1.5}]}}]}"#;
        let asked = LmSettings { n: Some(2), logprobs: Some(2), ..LmSettings::default() };
        let answer = ChatCompletion::read(several.as_bytes(), &asked).unwrap();
        let top = vec![("a".to_owned(), -0.5), ("b".to_owned(), -1.5)];
        assert_eq!(answer.logprobs, [TokenLogprob { token: "a".into(), logprob: -0.5, top }]);
        let other = &answer.others[0];
        assert_eq!((other.text.as_str(), other.finish, other.logprobs.len()), ("b", FinishReason::Length, 1));

        let dropped = |text: &str, asked: &LmSettings, part: &str| {
            let failure = ChatCompletion::read(text.as_bytes(), asked).unwrap_err();
            assert_eq!(failure.kind, LmErrorKind::Malformed);
            assert!(failure.detail.contains(part), "{}", failure.detail);
        };
        let one = r#"{"choices":[{"message":{"content":"a"}}]}"#;
        dropped(one, &LmSettings { n: Some(2), ..LmSettings::default() }, "1 of 2 completions");
        dropped(one, &LmSettings { logprobs: Some(0), ..LmSettings::default() }, "no log-probabilities");
        let withheld = r#"{"choices":[{"message":{"content":""},"finish_reason":"content_filter"}]}"#;
        assert!(ChatCompletion::read(withheld.as_bytes(), &asked).is_ok(), "nothing was dropped");
    }
}
