//! The spans of a run: what stands in what, under which names, and what is never in them.
#![cfg(feature = "tracing")]
#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking too")]

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::{Arc, Mutex};

use futures::executor::block_on;
use teleprompt_core::lm::{LmErrorKind, Message};
use teleprompt_core::{Lm, LmRequest};
use teleprompt_miprov2::{Dataset, MiproV2, MiproV2Builder, Optimized, TraceEvents, Traced};
use teleprompt_testkit::{Fault, Faulty, ScriptedLm, SimTask, When};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

#[derive(Clone, Debug, Default)]
struct Seen {
    name: &'static str,
    parent: Option<usize>,
    fields: BTreeMap<&'static str, String>,
    closed: bool,
}

impl Visit for Seen {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.fields.insert(field.name(), format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.fields.insert(field.name(), value.to_owned());
    }
}

#[derive(Default)]
struct State {
    spans: Vec<Seen>,
    handles: Vec<usize>,
    entered: Vec<usize>,
    events: Vec<(Level, Seen)>,
}

/// Keeps every span and event.
#[derive(Clone, Default)]
struct Collector(Arc<Mutex<State>>);

fn index(id: &Id) -> usize {
    id.into_u64() as usize - 1
}

impl Subscriber for Collector {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("teleprompt")
    }

    fn new_span(&self, attributes: &Attributes<'_>) -> Id {
        let mut state = self.0.lock().unwrap();
        let parent = match attributes.parent() {
            Some(parent) => Some(index(parent)),
            None if attributes.is_contextual() => state.entered.last().copied(),
            None => None,
        };
        let mut span = Seen { name: attributes.metadata().name(), parent, ..Seen::default() };
        attributes.record(&mut span);
        state.spans.push(span);
        state.handles.push(1);
        Id::from_u64(state.spans.len() as u64)
    }

    fn record(&self, id: &Id, values: &Record<'_>) {
        values.record(&mut self.0.lock().unwrap().spans[index(id)]);
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut state = self.0.lock().unwrap();
        let parent = state.entered.last().copied();
        let mut seen = Seen { name: event.metadata().name(), parent, ..Seen::default() };
        event.record(&mut seen);
        state.events.push((*event.metadata().level(), seen));
    }

    fn enter(&self, id: &Id) {
        self.0.lock().unwrap().entered.push(index(id));
    }

    fn exit(&self, id: &Id) {
        let mut state = self.0.lock().unwrap();
        let at = state.entered.iter().rposition(|entered| *entered == index(id)).unwrap();
        state.entered.remove(at);
    }

    fn clone_span(&self, id: &Id) -> Id {
        self.0.lock().unwrap().handles[index(id)] += 1;
        id.clone()
    }

    fn try_close(&self, id: Id) -> bool {
        let mut state = self.0.lock().unwrap();
        state.handles[index(&id)] -= 1;
        let closed = state.handles[index(&id)] == 0;
        state.spans[index(&id)].closed = closed;
        closed
    }
}

fn task() -> SimTask {
    SimTask::two_stage(6)
}

fn run(lm: impl Lm + 'static, set: impl Fn(MiproV2Builder) -> MiproV2Builder) -> (State, Optimized) {
    let collector = Collector::default();
    let builder = MiproV2::builder().task_lm(Arc::new(lm)).num_candidates(3).num_trials(4).minibatch_size(10);
    let builder = builder.concurrency(8).sleep(|_| Box::pin(std::future::ready(())));
    let optimizer = set(builder).build().unwrap();
    let data = Dataset::new(task().examples(0..30))
        .val(task().examples(1000..1020))
        .test(task().examples(5000..5010));
    let best = tracing::subscriber::with_default(collector.clone(), || {
        block_on(optimizer.compile(&task().program(), &data, &task().metric())).unwrap()
    });
    drop(optimizer);
    (std::mem::take(&mut *collector.0.lock().unwrap()), best)
}

fn field<'a>(span: &'a Seen, name: &str) -> Option<&'a str> {
    span.fields.get(name).map(String::as_str)
}

#[test]
fn a_run_is_a_tree_of_spans_down_to_its_calls() {
    let (state, best) =
        run(task().lm().with_model("openai/gpt-4o-mini").with_yields(3, 1), |builder| builder);
    let spans = &state.spans;
    assert!(spans.iter().all(|span| span.closed), "every span ends");
    let path = |mut at: usize| {
        let mut names = vec![spans[at].name];
        while let Some(parent) = spans[at].parent {
            names.push(spans[parent].name);
            at = parent;
        }
        names.join(" < ")
    };
    let mut paths: BTreeMap<String, u64> = BTreeMap::new();
    (0..spans.len()).for_each(|at| *paths.entry(path(at)).or_default() += 1);
    let calls =
        |stage: teleprompt_core::Stage| best.report.stages[&stage].values().map(|c| c.paid()).sum::<u64>();
    use teleprompt_core::Stage;
    let expected = BTreeMap::from([
        ("optimize".to_owned(), 1),
        ("bootstrap < optimize".to_owned(), 1),
        ("propose < optimize".to_owned(), 1),
        ("search < optimize".to_owned(), 1),
        ("test < optimize".to_owned(), 1),
        ("evaluation < search < optimize".to_owned(), best.report.trials.len() as u64),
        ("evaluation < test < optimize".to_owned(), 2),
        ("chat < bootstrap < optimize".to_owned(), calls(Stage::Bootstrap)),
        ("chat < propose < optimize".to_owned(), calls(Stage::Propose)),
        ("chat < evaluation < search < optimize".to_owned(), calls(Stage::Search)),
        ("chat < evaluation < test < optimize".to_owned(), calls(Stage::Test)),
    ]);
    assert_eq!(paths, expected);
    assert_eq!(field(&spans[0], "otel.name"), Some("optimize mipro_v2"));
    let chats: Vec<&Seen> = spans.iter().filter(|span| span.name == "chat").collect();
    assert_eq!(chats.len() as u64, best.report.process.calls.calls);
    for chat in &chats {
        for (name, value) in [
            ("otel.name", "chat gpt-4o-mini"),
            ("otel.kind", "client"),
            ("gen_ai.operation.name", "chat"),
            ("gen_ai.provider.name", "openai"),
            ("gen_ai.request.model", "gpt-4o-mini"),
            ("gen_ai.output.type", "text"),
            ("gen_ai.response.finish_reasons", "[\"stop\"]"),
            ("teleprompt.cached", "false"),
        ] {
            assert_eq!(field(chat, name), Some(value), "{name} of {chat:?}");
        }
        assert!(
            !chat.fields.contains_key("error.type") && !chat.fields.contains_key("gen_ai.input.messages")
        );
    }
    let sum =
        |name: &str| chats.iter().map(|chat| field(chat, name).unwrap().parse::<u64>().unwrap()).sum::<u64>();
    let spent = sum("gen_ai.usage.input_tokens") + sum("gen_ai.usage.output_tokens");
    assert_eq!(spent, best.report.process.spent.tokens);
    let temperatures = chats.iter().filter_map(|chat| field(chat, "gen_ai.request.temperature"));
    assert_eq!(temperatures.count() as u64, calls(Stage::Propose), "the proposer's calls set one");
    // Nothing of prompts and rows.
    let all = format!("{spans:?}");
    assert!(!all.contains("which colour") && !all.contains("search query"));
}

#[test]
fn retries_errors_and_events_are_told() {
    let faulty = |lm: ScriptedLm| {
        Faulty::new(lm).with(When::OneRequestIn { n: 30, seed: 3 }, Fault::Error(LmErrorKind::Timeout)).with(
            When::FirstAttempts(1),
            Fault::Error(LmErrorKind::Server { status: 503, retry_after: None }),
        )
    };
    let set = |builder: MiproV2Builder| {
        let builder = builder.outage_waits([std::time::Duration::from_secs(2)]).max_errors(1000);
        builder.observer(Arc::new(TraceEvents)).concurrency(1)
    };
    let (state, best) = run(faulty(task().lm()), set);
    let chats: Vec<&Seen> = state.spans.iter().filter(|span| span.name == "chat").collect();
    // One span over all attempts of a call.
    assert!(chats.iter().all(|chat| field(chat, "teleprompt.retries") == Some("1")), "{:?}", chats[0]);
    let failed = chats.iter().filter(|chat| field(chat, "error.type") == Some("timeout"));
    let failed: Vec<_> = failed.collect();
    assert!(!failed.is_empty() && failed.iter().all(|chat| field(chat, "otel.status_code") == Some("ERROR")));
    assert_eq!(
        failed.len() + chats.iter().filter(|chat| !chat.fields.contains_key("error.type")).count(),
        chats.len()
    );
    let events = |kind: &str| {
        let wanted = format!("\"event\":\"{kind}\"");
        let events =
            state.events.iter().filter(|(_, event)| event.fields["teleprompt.event"].contains(&wanted));
        events.cloned().collect::<Vec<_>>()
    };
    let retried = events("retried");
    assert_eq!(retried.len(), chats.len());
    for (level, event) in &retried {
        assert_eq!(*level, Level::WARN);
        assert_eq!(state.spans[event.parent.unwrap()].name, "chat", "in the span of its call");
        let event: teleprompt_core::Event = serde_json::from_str(&event.fields["teleprompt.event"]).unwrap();
        let teleprompt_core::Event::Retried { attempt, seconds, message, .. } = event else { panic!() };
        assert_eq!((attempt, seconds), (1, 2.0));
        assert!(message.contains("server error 503") || message.contains("timed out"), "{message}");
    }
    assert_eq!(events("trial").len(), best.report.trials.len());
    assert_eq!(events("stage").len(), 4);
    assert_eq!(events("stage_ended").len(), 4);
    assert_eq!(events("batch").len(), events("batch_ended").len());
}

#[test]
fn prompts_and_answers_are_recorded_when_asked_for() {
    let (state, _) = run(task().lm(), |builder| builder.trace_content(true));
    let chat = state.spans.iter().find(|span| span.name == "chat").unwrap();
    let messages: serde_json::Value =
        serde_json::from_str(field(chat, "gen_ai.input.messages").unwrap()).unwrap();
    assert_eq!(messages[0]["role"], "system");
    assert!(messages.as_array().unwrap().last().unwrap()["parts"][0]["content"].is_string());
    let said: serde_json::Value =
        serde_json::from_str(field(chat, "gen_ai.output.messages").unwrap()).unwrap();
    assert_eq!((&said[0]["role"], &said[0]["finish_reason"]), (&"assistant".into(), &"stop".into()));
}

#[test]
fn a_model_outside_of_a_run_is_traced() {
    let collector = Collector::default();
    let lm =
        Traced::new(ScriptedLm::queue([Ok("4".to_owned()), Err(LmErrorKind::Auth)]).with_model("gemini/g"));
    tracing::subscriber::with_default(collector.clone(), || {
        let request = LmRequest::new(vec![Message::user("2 + 2?")]);
        block_on(lm.generate(&request)).unwrap();
        block_on(lm.generate(&request)).unwrap_err();
    });
    let state = collector.0.lock().unwrap();
    assert_eq!(field(&state.spans[0], "gen_ai.provider.name"), Some("gcp.gemini"));
    assert_eq!(field(&state.spans[0], "otel.name"), Some("chat g"));
    assert_eq!(field(&state.spans[0], "teleprompt.role"), None);
    assert_eq!(field(&state.spans[1], "error.type"), Some("authentication"));
}
