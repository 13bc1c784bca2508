//! Runs a program file on an OpenAI-compatible server: a program that DSPy saved, or one that was optimized here, without Python
//! and without a Rust type for it.
//!
//! ```sh
//! cargo run -p teleprompt-runner -- crates/core/tests/golden/dspy/stages.json \
//!     --signature "plan.predict = question -> query" --signature "solve = question, query -> answer: int" \
//!     --base-url http://localhost:8080/v1 "question=When was Emma printed?"
//! ```
//!
//! DSPy's files do not name their fields, so each predictor's signature is given, in the order in which they run; `self` is the
//! predictor of a program that has only one. Files of this library need none. Several predictors are wired by the names of
//! their fields; what that cannot do is in the docs of [`LoadedProgram`].
//!
//! The outputs are written as one JSON object. The server's key, if it wants one, is read from `TELEPROMPT_API_KEY`.
//!
//! **Size:** 3.05 MB stripped, on x86-64 Linux with Rust 1.95: HTTPS, JSON and all, with the profile `small` of the workspace.
//! `cargo xtask size` builds and measures it, and fails above 15 MB.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command-line program")]

use std::error::Error;
use std::process::ExitCode;
use std::sync::Arc;

use teleprompt::lm::{ApiKey, CompatibleLm};
use teleprompt::value::parse_value;
use teleprompt::{
    Adapter, ChatAdapter, Ctx, Fields, LoadedProgram, PlainAdapter, Program, SavedProgram, SignatureSpec,
};

const USAGE: &str = "usage: teleprompt-runner PROGRAM.json --base-url http://HOST:PORT/v1 [--model NAME] \
    [--adapter chat|plain] [--signature \"KEY = inputs -> outputs\"]... FIELD=VALUE...";

/// The variable that holds the server's key.
const KEY: &str = "TELEPROMPT_API_KEY";

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run().await {
        Ok(outputs) => {
            println!("{outputs}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<String, Box<dyn Error>> {
    let args = Args::read(std::env::args().skip(1))?;
    let saved = SavedProgram::load(&args.program)?;
    let program = match args.signatures.as_slice() {
        [] => LoadedProgram::new(&saved)?,
        given => LoadedProgram::with_signatures(
            &saved,
            given.iter().map(|(key, spec)| (key.as_str(), spec.clone())),
        )?,
    };
    let inputs = args.inputs(&program)?;

    let mut server = CompatibleLm::builder(&args.base_url);
    if let Some(model) = &args.model {
        server = server.model(model);
    }
    if let Ok(key) = std::env::var(KEY) {
        server = server.key(ApiKey::new(key)?);
    }
    let cx = Ctx::new(Arc::new(server.connect().await?)).with_adapter(args.adapter);
    let prediction = program.forward(&cx, inputs).await?;
    Ok(serde_json::to_string_pretty(&prediction.outputs)?)
}

/// The command line.
struct Args {
    program: String,
    base_url: String,
    model: Option<String>,
    adapter: Arc<dyn Adapter>,
    /// In the order in which the predictors run.
    signatures: Vec<(String, SignatureSpec)>,
    /// Names and texts of inputs.
    inputs: Vec<(String, String)>,
}

impl Args {
    fn read(mut words: impl Iterator<Item = String>) -> Result<Self, Box<dyn Error>> {
        let (mut program, mut base_url, mut model) = (None, None, None);
        let (mut signatures, mut inputs) = (Vec::new(), Vec::new());
        let mut adapter: Arc<dyn Adapter> = Arc::new(ChatAdapter);
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or_else(|| format!("`{word}` needs a value\n{USAGE}"));
            match word.as_str() {
                "--base-url" => base_url = Some(value()?),
                "--model" => model = Some(value()?),
                "--adapter" => {
                    adapter = match value()?.as_str() {
                        "chat" => Arc::new(ChatAdapter),
                        "plain" => Arc::new(PlainAdapter),
                        other => return Err(format!("no adapter `{other}`: chat or plain\n{USAGE}").into()),
                    }
                }
                "--signature" => {
                    let text = value()?;
                    let (key, spec) =
                        text.split_once('=').ok_or_else(|| format!("no `KEY =` in `{text}`\n{USAGE}"))?;
                    signatures.push((key.trim().to_owned(), SignatureSpec::parse(spec)?));
                }
                option if option.starts_with("--") => {
                    return Err(format!("no option `{option}`\n{USAGE}").into());
                }
                _ if program.is_none() => program = Some(word),
                _ => {
                    let (name, text) =
                        word.split_once('=').ok_or_else(|| format!("no `=` in `{word}`\n{USAGE}"))?;
                    inputs.push((name.to_owned(), text.to_owned()));
                }
            }
        }
        Ok(Self {
            program: program.ok_or(USAGE)?,
            base_url: base_url.ok_or(USAGE)?,
            model,
            adapter,
            signatures,
            inputs,
        })
    }

    /// The inputs, read as the types that the program takes.
    fn inputs(&self, program: &LoadedProgram) -> Result<Fields, Box<dyn Error>> {
        let mut fields = Fields::new();
        for (name, text) in &self.inputs {
            let field = program.inputs().find(|field| field.name == *name).ok_or_else(|| {
                let known: Vec<&str> = program.inputs().map(|field| field.name.as_str()).collect();
                format!("the program has no input `{name}`; it has: {}", known.join(", "))
            })?;
            let value = parse_value(&field.ty, text).map_err(|error| format!("input `{name}`: {error}"))?;
            fields.insert(name.clone(), value);
        }
        Ok(fields)
    }
}
