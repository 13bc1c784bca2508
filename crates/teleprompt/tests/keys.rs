//! A key in nothing that an optimization leaves behind: checkpoint, cache, cassette, event log, progress, report, saved program, errors.
//!
//! The server knows the key from each request's header and repeats it wherever a server can: in answers, in refusals, in headers.
//! The key is made up.

#![cfg(feature = "openai")]
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test's helper ends at the first surprise")]

use std::error::Error as StdError;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD_NO_PAD;
use teleprompt::lm::{ApiKey, Cache, CompatibleLm, LmStack, OpenAiLm, Recorder, RetryPolicy};
use teleprompt::prelude::*;
use teleprompt::{Ended, Event, EventLog, History, OptimizeError, Progress};
use wiremock::matchers::any;
use wiremock::{Mock, MockServer, Request, Respond, ResponseTemplate};

const KEY: &str = "sk-madeup-7Hq/Zw+93kd-Tn5vRb2xLc8yPf";

/// Decide which team answers the message.
#[derive(Signature)]
struct Triage {
    #[input]
    message: String,
    #[output]
    team: Team,
}

#[derive(Label, Clone, Copy, Debug, PartialEq)]
enum Team {
    Billing,
    Delivery,
}

#[derive(Module)]
struct Desk {
    triage: Predict<Triage>,
}

#[program_source]
impl Module for Desk {
    type Input = TriageInput;
    type Output = TriageOutput;

    async fn forward(&self, cx: &Ctx, input: TriageInput) -> Result<TriageOutput, Error> {
        self.triage.call(cx, input).await
    }
}

fn desk() -> Desk {
    Desk { triage: Predict::new() }
}

fn rows(from: usize, to: usize) -> Vec<Example> {
    let row = |i: usize| match i % 2 {
        0 => Triage { message: format!("I paid twice, order {i}"), team: Team::Billing },
        _ => Triage { message: format!("where is order {i}"), team: Team::Delivery },
    };
    (from..to).map(row).map(Example::from).collect()
}

/// Answers, and repeats the key: a server's error once, then `answers` times well, then with 401.
struct Parrot {
    answers: usize,
    calls: AtomicUsize,
}

impl Respond for Parrot {
    fn respond(&self, request: &Request) -> ResponseTemplate {
        let sent = request.headers["authorization"].to_str().unwrap().to_owned();
        assert_eq!(sent, format!("Bearer {KEY}"));
        let call = self.calls.fetch_add(1, Ordering::SeqCst);
        let status = match call {
            1 => 500,
            call if call <= self.answers => 200,
            _ => 401,
        };
        let body = if status == 200 {
            let asked = String::from_utf8_lossy(&request.body);
            let paid = asked.rsplit("order").nth(1).is_some_and(|text| text.contains("paid"));
            let team = if paid { "billing" } else { "delivery" };
            let content = match call % 3 {
                // An answer that says it too, in a row's answer and in a proposed instruction.
                0 => format!("You sent {sent}. [[ ## team ## ]]\n{team}\n\nwith {KEY}"),
                1 => format!("[[ ## team ## ]]\n{team} {KEY}"),
                _ => format!("[[ ## team ## ]]\n{team}"),
            };
            serde_json::json!({
                "id": KEY, "object": "chat.completion", "created": 1, "model": KEY, "system_fingerprint": KEY,
                "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": content}}],
                "usage": {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12},
            })
        } else {
            let message = format!("Incorrect API key provided: {KEY}. You sent {sent}");
            serde_json::json!({"error": {"message": message, "type": KEY, "code": KEY, "param": null}})
        };
        // Some servers write a slash as `\/`.
        let body = body.to_string().replace('/', if call.is_multiple_of(2) { "\\/" } else { "/" });
        ResponseTemplate::new(status)
            .insert_header("x-request-id", KEY)
            .set_body_raw(body, "application/json")
    }
}

#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// What shows the key: the key itself and every stretch of it that is long enough to tell, plain, in Base64 at any offset, in hex.
fn marks() -> Vec<String> {
    let windows = KEY.as_bytes().windows(14).map(|part| String::from_utf8(part.to_vec()).unwrap());
    let mut marks: Vec<String> = windows.collect();
    for before in ["", "B", "Be", "Bearer ", ":", "user:"] {
        let encoded = BASE64_STANDARD_NO_PAD.encode(format!("{before}{KEY}"));
        // The first and the last characters depend on what stands beside the key.
        marks.push(encoded[12..encoded.len() - 4].to_owned());
    }
    marks.push(KEY.bytes().map(|byte| format!("{byte:02x}")).collect());
    marks.push(KEY.replace('/', "%2F").replace('+', "%2B"));
    marks.push(KEY.replace('/', "\\/"));
    marks
}

fn check(place: &str, bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    for mark in marks() {
        if let Some(at) = text.find(&mark) {
            let around: String =
                text[..at].chars().rev().take(80).collect::<Vec<_>>().into_iter().rev().collect();
            panic!("{place} shows the key after: {around}");
        }
    }
}

fn check_folder(folder: &Path) -> usize {
    let mut files = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        check(&path.display().to_string(), &std::fs::read(&path).unwrap());
        files += 1;
    }
    files
}

fn chain(error: &dyn StdError) -> String {
    let mut text = format!("{error} {error:?} {error:#?}");
    let mut source = error.source();
    while let Some(inner) = source {
        text += &format!("\n{inner} {inner:?}");
        source = inner.source();
    }
    text
}

/// One process of a run: everything that it leaves is in `folder`, everything that it says comes back.
async fn process(
    folder: &Path,
    answers: usize,
    lm: impl Fn(&str) -> LmStack,
) -> (Result<Optimized, OptimizeError>, String) {
    let server = MockServer::start().await;
    let parrot = Parrot { answers, calls: AtomicUsize::new(0) };
    Mock::given(any()).respond_with(parrot).mount(&server).await;
    let said = Arc::new(Mutex::new(String::new()));
    let (events, retries) = (said.clone(), said.clone());
    let policy = RetryPolicy::default().waits(Duration::ZERO, Duration::ZERO);
    let policy = policy.on_retry(move |event| {
        *retries.lock().unwrap() += &format!("{event:?} {} {:?}\n", event.error, event.error);
    });
    let cache = Cache::open(folder.join("answers.db")).unwrap();
    let recorder = Recorder::open(folder.join("cassette.jsonl")).unwrap();
    let stack = lm(&format!("{}/v1", server.uri())).retry(policy).cache(&cache);
    let lm = stack.record(&recorder).unwrap().build();
    let log =
        std::fs::OpenOptions::new().append(true).create(true).open(folder.join("events.jsonl")).unwrap();
    let progress = Shared::default();
    let observer = move |event: &Event| *events.lock().unwrap() += &format!("{event:?}\n");
    let builder = MiproV2::builder()
        .task_lm(lm.clone())
        .num_candidates(3)
        .num_trials(4)
        .concurrency(4)
        .outage_waits([])
        .checkpoint(folder.join("run.jsonl"))
        .observer(Arc::new(observer))
        .observer(Arc::new(EventLog::new(log)))
        .observer(Arc::new(Progress::to(Box::new(progress.clone()), true)));
    let optimizer = builder.build().unwrap();
    let data = Dataset::new(rows(0, 12)).val(rows(100, 120)).test(rows(200, 208));
    let plan = optimizer.plan(&desk(), &data).unwrap();
    let result = optimizer.compile(&desk(), &data, &metric::exact_match("team")).await;
    let mut text = said.lock().unwrap().clone();
    text += &String::from_utf8_lossy(&progress.0.lock().unwrap());
    text += &format!("{plan} {plan:?} {:?} {:?} {cache:?} {recorder:?}", lm.model(), lm.capabilities());
    match &result {
        Ok(best) => {
            best.save(&desk(), folder.join("program.json")).unwrap();
            std::fs::write(folder.join("report.json"), serde_json::to_string(&best.report).unwrap()).unwrap();
            text += &format!("{} {:?} {best:#?}", best.report, best.report);
        }
        Err(error) => text += &chain(error),
    }
    // Who asks by hand has the answer, or the error, in full.
    let history = History::new(9);
    let cx = Ctx::new(lm).with_history(history.clone());
    for message in ["where is order 9001", "I paid twice, order 9002"] {
        let input = TriageInput { message: message.to_owned() };
        match desk().forward(&cx, input).await {
            Ok(output) => text += &format!("{:?}", output.team),
            Err(error) => text += &chain(&error),
        }
    }
    text += &history.inspect(9);
    text += &format!("{:?}", history.last(9));
    (result, text)
}

async fn holds(name: &str, lm: impl Fn(&str) -> LmStack) {
    let folder = tempfile::tempdir().unwrap();
    // The key is refused at the first call, in the middle of the run, and not at all.
    let (refused, said) = process(folder.path(), 0, &lm).await;
    check(&format!("{name}: a refused run"), said.as_bytes());
    assert!(refused.is_err() && said.contains("the key was refused"), "{said}");
    let (broken, said) = process(folder.path(), 40, &lm).await;
    check(&format!("{name}: a broken run"), said.as_bytes());
    assert!(said.contains("[redacted]"), "{said}");
    assert!(!matches!(&broken, Ok(best) if best.report.ended == Ended::Complete));
    let (whole, said) = process(folder.path(), usize::MAX, &lm).await;
    check(&format!("{name}: a whole run"), said.as_bytes());
    assert_eq!(whole.unwrap().report.ended, Ended::Complete);
    assert!(
        check_folder(folder.path()) >= 6,
        "a checkpoint, a cache, a cassette, events, a report, a program"
    );
    let events = std::fs::read_to_string(folder.path().join("events.jsonl")).unwrap();
    assert!(events.contains("[redacted]") && events.lines().count() > 100, "the key was repeated to us");
    let kept = std::fs::read_to_string(folder.path().join("run.jsonl")).unwrap();
    assert!(kept.contains("[redacted]") && kept.lines().count() > 40);
}

#[tokio::test]
async fn nothing_that_a_run_on_openai_leaves_holds_the_key() {
    holds("openai", |base| {
        let lm = OpenAiLm::builder("m").base_url(base).key(ApiKey::new(KEY).unwrap());
        check("the builder", format!("{lm:?}").as_bytes());
        let lm = lm.build().unwrap();
        check("the model", format!("{lm:?}").as_bytes());
        LmStack::new(lm)
    })
    .await;
}

#[tokio::test]
async fn nothing_that_a_run_on_a_compatible_server_leaves_holds_the_key() {
    holds("compatible", |base| {
        let lm = CompatibleLm::builder(base).model("m").key(ApiKey::new(KEY).unwrap());
        LmStack::new(lm.build().unwrap())
    })
    .await;
}

#[test]
fn the_marks_would_be_found() {
    for text in [
        format!("a {KEY} b"),
        KEY[8..24].to_owned(),
        BASE64_STANDARD_NO_PAD.encode(format!("Authorization: Bearer {KEY}")),
        BASE64_STANDARD_NO_PAD.encode(KEY),
    ] {
        assert!(std::panic::catch_unwind(|| check("here", text.as_bytes())).is_err(), "{text}");
    }
}
