//! Spans with the feature `tracing`.
//!
//! Names of fields are OpenTelemetry's where it has one; `otel.*` is what `tracing-opentelemetry` reads, `teleprompt.*` is ours.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use serde_json::{Value, json};
use teleprompt_core::lm::{
    FinishReason, LmError, LmErrorKind, LmRequest, LmResponse, Message, ModelId, OutputConstraint, Part, Role,
};
use teleprompt_core::{CallRole, Stage};
use tracing::field::Empty;
use tracing::instrument::Instrumented;
use tracing::{Instrument, Span, info_span};

/// The spans of a run: its own, and one for each stage that goes on.
pub(crate) struct Spans {
    run: Span,
    stages: Mutex<BTreeMap<Stage, Span>>,
}

/// A span that other work runs in.
#[derive(Clone)]
pub(crate) struct Scope(Span);

/// The span of a call: over all its attempts.
pub(crate) struct CallSpan {
    span: Span,
    content: bool,
}

impl Spans {
    /// No spans: of a run that has not begun.
    pub(crate) fn none() -> Self {
        Self { run: Span::none(), stages: Mutex::default() }
    }

    /// The spans of a run that begins, in the current span.
    pub(crate) fn begin() -> Self {
        let run = info_span!("optimize", "otel.name" = "optimize mipro_v2", "otel.kind" = "internal");
        Self { run, stages: Mutex::default() }
    }

    pub(crate) fn run(&self) -> Scope {
        Scope(self.run.clone())
    }

    /// The span of a stage, which begins when it is first asked for.
    pub(crate) fn stage(&self, stage: Stage) -> Scope {
        let mut stages = self.stages.lock().unwrap_or_else(PoisonError::into_inner);
        let begin = || match stage {
            Stage::Bootstrap => info_span!(parent: &self.run, "bootstrap", "otel.kind" = "internal"),
            Stage::Propose => info_span!(parent: &self.run, "propose", "otel.kind" = "internal"),
            Stage::Search => info_span!(parent: &self.run, "search", "otel.kind" = "internal"),
            Stage::Test => info_span!(parent: &self.run, "test", "otel.kind" = "internal"),
        };
        Scope(stages.entry(stage).or_insert_with(begin).clone())
    }

    /// A stage is over: its span ends when the work in it has.
    pub(crate) fn end(&self, stage: Stage) {
        self.stages.lock().unwrap_or_else(PoisonError::into_inner).remove(&stage);
    }
}

impl Scope {
    /// A span in this one for rows that run together.
    pub(crate) fn evaluation(&self, batch: u64, rows: usize) -> Self {
        Self(info_span!(
            parent: &self.0,
            "evaluation",
            "otel.kind" = "internal",
            "teleprompt.batch" = batch,
            "teleprompt.rows" = rows
        ))
    }

    pub(crate) fn around<F: Future>(self, work: F) -> Instrumented<F> {
        work.instrument(self.0)
    }
}

impl CallSpan {
    /// Begins the span of a call, in the current one. `content` is whether prompts and answers are recorded.
    pub(crate) fn begin(model: &ModelId, request: &LmRequest, role: Option<CallRole>, content: bool) -> Self {
        let (provider, name) = provider_and_name(model);
        let settings = &request.settings;
        let span = info_span!(
            "chat",
            "otel.name" = format!("chat {name}"),
            "otel.kind" = "client",
            "otel.status_code" = Empty,
            "gen_ai.operation.name" = "chat",
            "gen_ai.provider.name" = provider,
            "gen_ai.request.model" = name,
            "gen_ai.request.temperature" = settings.temperature,
            "gen_ai.request.max_tokens" = settings.max_tokens,
            "gen_ai.request.seed" = settings.seed,
            "gen_ai.request.choice.count" = settings.n.filter(|n| *n != 1),
            "gen_ai.output.type" = match &request.constraint {
                Some(OutputConstraint::JsonSchema(_)) => "json",
                _ => "text",
            },
            "gen_ai.usage.input_tokens" = Empty,
            "gen_ai.usage.output_tokens" = Empty,
            "gen_ai.usage.cache_read.input_tokens" = Empty,
            "gen_ai.usage.reasoning.output_tokens" = Empty,
            "gen_ai.response.finish_reasons" = Empty,
            "gen_ai.input.messages" = Empty,
            "gen_ai.output.messages" = Empty,
            "error.type" = Empty,
            "teleprompt.role" = role.map(tracing::field::display),
            "teleprompt.retries" = Empty,
            "teleprompt.cached" = Empty,
        );
        if content && !span.is_disabled() {
            let messages: Vec<Value> = request.messages.iter().map(message).collect();
            span.record("gen_ai.input.messages", Value::from(messages).to_string());
        }
        Self { span, content }
    }

    pub(crate) fn around<F: Future>(&self, call: F) -> Instrumented<F> {
        call.instrument(self.span.clone())
    }

    /// How often the call was made again.
    pub(crate) fn retried(&self, times: usize) {
        self.span.record("teleprompt.retries", times);
    }

    /// What the call came to.
    pub(crate) fn end(&self, outcome: Result<&LmResponse, &LmError>) {
        if self.span.is_disabled() {
            return;
        }
        let answer = match outcome {
            Ok(answer) => answer,
            Err(error) => {
                self.span.record("error.type", error_type(&error.kind));
                self.span.record("otel.status_code", "ERROR");
                return;
            }
        };
        let usage = &answer.usage;
        self.span.record("gen_ai.usage.input_tokens", usage.input_tokens);
        self.span.record("gen_ai.usage.output_tokens", usage.output_tokens);
        if usage.cached_tokens > 0 {
            self.span.record("gen_ai.usage.cache_read.input_tokens", usage.cached_tokens);
        }
        if usage.reasoning_tokens > 0 {
            self.span.record("gen_ai.usage.reasoning.output_tokens", usage.reasoning_tokens);
        }
        self.span.record("teleprompt.cached", answer.cached);
        let others = answer.others.iter().map(|other| (&other.text, other.finish));
        let all: Vec<_> = std::iter::once((&answer.text, answer.finish)).chain(others).collect();
        let reasons: Vec<&str> = all.iter().map(|(_, finish)| finish_reason(*finish)).collect();
        self.span.record("gen_ai.response.finish_reasons", Value::from(reasons).to_string());
        if self.content {
            let said = |(text, finish): &(&String, FinishReason)| {
                let parts = json!([{"type": "text", "content": text}]);
                json!({"role": "assistant", "parts": parts, "finish_reason": finish_reason(*finish)})
            };
            let messages: Vec<Value> = all.iter().map(said).collect();
            self.span.record("gen_ai.output.messages", Value::from(messages).to_string());
        }
    }
}

/// A message as the conventions have it; of media the type and the size or address alone.
fn message(message: &Message) -> Value {
    let role = match message.role {
        Role::System => "system",
        Role::User => "user",
        Role::Assistant => "assistant",
    };
    let part = |part: &Part| match part {
        Part::Text(text) => json!({"type": "text", "content": text}),
        Part::Media(media) => json!({"type": "media", "content": media.to_string()}),
    };
    json!({"role": role, "parts": message.parts.iter().map(part).collect::<Vec<_>>()})
}

fn finish_reason(finish: FinishReason) -> &'static str {
    match finish {
        FinishReason::Length => "length",
        FinishReason::Filtered => "content_filter",
        _ => "stop",
    }
}

/// The provider by the conventions' name where they have one, and the model by the provider's: `openai/gpt-4o` is `openai` and
/// `gpt-4o`, `http://host/v1#name` is `host` and `name`.
fn provider_and_name(model: &ModelId) -> (&str, &str) {
    let id = model.as_str();
    if let Some((_, rest)) = id.split_once("://") {
        let (base, name) = rest.rsplit_once('#').unwrap_or((rest, id));
        return (base.split(['/', '?']).next().unwrap_or(base), name);
    }
    match id.split_once('/') {
        Some(("gemini", name)) => ("gcp.gemini", name),
        Some((provider, name)) => (provider, name),
        None => ("custom", id),
    }
}

/// A name of few values for the kind of an error; an HTTP status where there is one.
fn error_type(kind: &LmErrorKind) -> String {
    match kind {
        LmErrorKind::RateLimited { .. } => "429".to_owned(),
        LmErrorKind::Server { status, .. } => status.to_string(),
        LmErrorKind::Timeout => "timeout".to_owned(),
        LmErrorKind::Connection => "connection".to_owned(),
        LmErrorKind::Auth => "authentication".to_owned(),
        LmErrorKind::NotFound => "not_found".to_owned(),
        LmErrorKind::InvalidRequest => "invalid_request".to_owned(),
        LmErrorKind::ContextOverflow { .. } => "context_overflow".to_owned(),
        LmErrorKind::Malformed => "malformed_answer".to_owned(),
        LmErrorKind::Storage => "storage".to_owned(),
        LmErrorKind::Stopped => "stopped".to_owned(),
        _ => "_OTHER".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn providers_have_the_conventions_names_and_no_part_of_an_address_that_may_be_secret() {
        let check = |id: &str, provider: &str, name: &str| {
            assert_eq!(provider_and_name(&ModelId::new(id)), (provider, name));
        };
        check("openai/gpt-4o-mini", "openai", "gpt-4o-mini");
        check("gemini/gemini-2.5-flash", "gcp.gemini", "gemini-2.5-flash");
        check("http://127.0.0.1:8000/v1#org/model", "127.0.0.1:8000", "org/model");
        check("https://host?key=secret#m", "host", "m");
        check("simulated", "custom", "simulated");
    }
}
