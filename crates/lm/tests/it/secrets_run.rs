//! A whole run with a marked key, all of whose outputs are searched for it: standard output and error, what every
//! library logs at its lowest level, and every file.
//!
//! The run is a child process, so that the key comes from its environment as a user's does. Its servers repeat the key
//! wherever a server can put it.

use std::fmt::{self, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use teleprompt_core::lm::{Lm, LmRequest};
use teleprompt_lm::{
    AnthropicLm, ApiKey, Budget, Cache, Caps, CompatibleLm, GeminiLm, Limiter, Limits, LmStack, ModelSpec,
    Recorder, RetryPolicy, SpecOptions,
};
use tracing::field::{Field, Visit};
use tracing::span;

use crate::hostile_server::{Act, Hostile, response};
use crate::{KEY, request};

const FOLDER: &str = "TELEPROMPT_TEST_SECRETS";

/// Prints everything that is logged.
struct Everything;

fn tell(line: &str) {
    std::io::Write::write_all(&mut std::io::stderr().lock(), format!("{line}\n").as_bytes()).unwrap();
}

impl log::Log for Everything {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        tell(&format!("log {} {}", record.target(), record.args()));
    }

    fn flush(&self) {}
}

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        write!(self.0, " {field}={value:?}").unwrap();
    }
}

impl tracing::Subscriber for Everything {
    fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, span: &span::Attributes<'_>) -> span::Id {
        let mut line = Line(String::new());
        span.record(&mut line);
        tell(&format!("span {} {}", span.metadata().name(), line.0));
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, values: &span::Record<'_>) {
        let mut line = Line(String::new());
        values.record(&mut line);
        tell(&format!("values {}", line.0));
    }

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        let mut line = Line(String::new());
        event.record(&mut line);
        tell(&format!("event {} {}", event.metadata().target(), line.0));
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

/// Repeats the key in an answer, in errors of every kind, in a header, in an address, and in what is no answer.
fn echoes() -> Vec<Act> {
    let error = format!(r#"{{"error": {{"message": "you sent {KEY}", "code": "{KEY}"}}}}"#);
    let text = format!("your key is {KEY}");
    let answer = format!(
        r#"{{"choices": [{{"message": {{"content": "{text}"}}}}], "content": [{{"type": "text", "text": "{text}"}}],
            "candidates": [{{"content": {{"parts": [{{"text": "{text}"}}]}}}}]}}"#
    );
    vec![
        Act::Send(response("500 Oops", &format!("x-key: {KEY}\r\nretry-after: 0\r\n"), &error)),
        Act::Send(response("429 Slow", &format!("x-key: {KEY}\r\nretry-after: 0\r\n"), &error)),
        Act::Send(response("200 OK", &format!("set-cookie: {KEY}\r\n"), &answer)),
        Act::Send(response("401 No", "", &error)),
        Act::Send(response("400 Bad", "", KEY)),
        Act::Send(response("302 Found", &format!("location: http://127.0.0.1:1/?key={KEY}\r\n"), "")),
        Act::Send(response("200 OK", "", &error)),
        Act::Send(response("200 OK", "", KEY)),
        Act::SendAndReset(
            format!("HTTP/1.1 200 OK\r\nx-key: {KEY}\r\ncontent-length: 99\r\n\r\n{KEY}").into(),
        ),
    ]
}

/// Not a test by itself: the run.
#[tokio::test]
async fn child() {
    let Ok(folder) = std::env::var(FOLDER) else { return };
    log::set_boxed_logger(Box::new(Everything)).unwrap();
    log::set_max_level(log::LevelFilter::Trace);
    tracing::subscriber::set_global_default(Everything).unwrap();
    let folder = Path::new(&folder);

    let server = Hostile::in_turn(echoes()).await;
    let key = ApiKey::from_env("ANTHROPIC_API_KEY").unwrap();
    let options = SpecOptions::default().with_key(key.clone());
    // A key in the query, as some gateways have it.
    let spec: ModelSpec = format!("{}?key={KEY}#m", server.base).parse().unwrap();
    let builders = (
        CompatibleLm::builder(format!("{}?key={KEY}", server.base)).model("m").key(key.clone()),
        AnthropicLm::builder("m").base_url(&server.base),
        GeminiLm::builder("m").base_url(&server.base),
    );
    println!("{key} {key:?} {options:?} {spec:?} {builders:?}");
    let compatible = builders.0.build().unwrap();
    let (anthropic, gemini) = (builders.1.build().unwrap(), builders.2.build().unwrap());
    println!("{compatible:#?} {anthropic:#?} {gemini:#?}");
    let mut lms: Vec<Arc<dyn Lm>> = vec![
        spec.connect(options).await.unwrap(),
        Arc::new(compatible),
        Arc::new(anthropic),
        Arc::new(gemini),
    ];
    #[cfg(feature = "openai")]
    {
        let lm = teleprompt_lm::OpenAiLm::builder("m").base_url(&server.base).build().unwrap();
        println!("{lm:#?}");
        lms.push(Arc::new(lm));
    }

    let cache = Cache::open(folder.join("answers.db")).unwrap();
    let recorder = Recorder::open(folder.join("run.jsonl")).unwrap();
    let limiter = Limiter::new(Limits::default().in_flight(2));
    let budget = Budget::new(Caps::default().calls(999));
    let policy = RetryPolicy::default().waits(Duration::ZERO, Duration::ZERO);
    let policy = policy.on_retry(|event| println!("{event:?} {}", event.error));
    for lm in lms {
        let stack = LmStack::new(lm).limit(&limiter).budget(&budget).unwrap();
        let lm = stack.retry(policy.clone()).cache(&cache).record(&recorder).unwrap().build();
        for rollout in 0..12 {
            let request: LmRequest = request().with_rollout(rollout);
            match lm.generate(&request).await {
                Ok(answer) => println!("{answer:?} {}", serde_json::to_string(&answer).unwrap()),
                Err(error) => println!("{error} {error:?} {error:#?}"),
            }
        }
        println!("{} {:?}", lm.model(), lm.capabilities());
    }
    println!("{cache:?} {recorder:?} {limiter:?} {budget:?} {:?} {policy:?}", budget.spent());
    // As a kill would leave the files: the log of the cache is one of them.
    std::process::exit(0);
}

#[test]
fn no_output_of_a_run_holds_the_key() {
    let folder = tempfile::tempdir().unwrap();
    let mut child = std::process::Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", "secrets_run::child", "--nocapture"]).env(FOLDER, folder.path());
    for name in ["OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GEMINI_API_KEY", "OPENAI_ORG_ID"] {
        child.env(name, KEY);
    }
    let output = child.output().unwrap();
    let mut outputs = vec![("stdout".to_owned(), output.stdout), ("stderr".to_owned(), output.stderr)];
    for entry in std::fs::read_dir(folder.path()).unwrap() {
        let path = entry.unwrap().path();
        outputs.push((path.display().to_string(), std::fs::read(path).unwrap()));
    }
    let mut redacted = 0;
    for (name, bytes) in &outputs {
        let text = String::from_utf8_lossy(bytes);
        if let Some(at) = text.find("marked") {
            panic!("{name} holds the key: {}", text[..at + 60].lines().last().unwrap_or_default());
        }
        redacted += text.matches("[redacted]").count();
    }
    let text = |i: usize| String::from_utf8_lossy(&outputs[i].1).into_owned();
    for said in ["rate limit reached", "the key was refused", "your key is [redacted]", "server error 500"] {
        assert!(text(0).contains(said), "{said}: {}", text(0));
    }
    assert!(text(1).contains("event hyper") || text(1).contains("log "), "nothing was logged");
    assert!(outputs.len() >= 4 && redacted > 50, "{} outputs, {redacted} marks", outputs.len());
}
