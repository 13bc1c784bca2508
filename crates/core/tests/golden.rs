//! Programs between DSPy and Rust: files that DSPy wrote are read here, and files written here are those that DSPy was seen
//! to load.
//!
//! `cargo xtask golden` makes `golden/dspy` with a pinned DSPy, has this test write `golden/ours` (`TELEPROMPT_GOLDEN=write`),
//! and loads those into DSPy. Both sides take instructions and demos from `golden/cases.json`. Without Python everything here
//! is compared with the files as they are.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test")]

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use serde_json::{Map, Value};
use teleprompt_core::{
    Candidate, ChainOfThought, Demo, Fields, LoadedProgram, Predict, Predictor, Program, SavedProgram,
    SignatureSpec, Visit, Visitor,
};
use teleprompt_macros::{Label, Module, Signature};

/// `question -> answer: int`, and so on: the counterparts of the programs in `xtask/golden/programs.py`.
#[derive(Signature)]
#[signature(crate = teleprompt_core)]
struct Sum {
    #[input]
    question: String,
    #[output]
    answer: i64,
}

#[derive(Signature)]
#[signature(crate = teleprompt_core)]
struct Answer {
    #[input]
    question: String,
    #[output]
    answer: String,
}

#[derive(Signature)]
#[signature(crate = teleprompt_core)]
struct Plan {
    #[input]
    question: String,
    #[output]
    query: String,
}

#[derive(Signature)]
#[signature(crate = teleprompt_core)]
struct Solve {
    #[input]
    question: String,
    #[input]
    query: String,
    #[output]
    answer: i64,
}

#[derive(Signature)]
#[signature(crate = teleprompt_core)]
struct Improve {
    #[input]
    text: String,
    #[output]
    better: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Label)]
#[label(crate = teleprompt_core)]
enum Kind {
    #[label("bug report")]
    BugReport,
    #[label("praise")]
    Praise,
}

/// Fill in the fields.
#[derive(Signature)]
#[signature(crate = teleprompt_core)]
struct Typed {
    #[input]
    text: String,
    /// no more than this
    #[input]
    limit: i64,
    #[output]
    count: i64,
    /// between 0 and 1
    #[output]
    share: f64,
    #[output]
    sure: bool,
    #[output]
    kind: Kind,
    #[output]
    tags: Vec<String>,
    #[output]
    sizes: Vec<i64>,
    #[output]
    note: Option<String>,
}

#[derive(Signature)]
#[signature(crate = teleprompt_core)]
struct Capital {
    #[input]
    country: String,
    #[output]
    capital: String,
}

#[derive(Module)]
#[module(crate = teleprompt_core)]
struct Stages {
    plan: ChainOfThought<Plan>,
    solve: Predict<Solve>,
}

#[derive(Module)]
#[module(crate = teleprompt_core)]
struct Inner {
    draft: Predict<Improve>,
    check: ChainOfThought<Improve>,
}

fn inner() -> Inner {
    Inner { draft: Predict::new(), check: ChainOfThought::new() }
}

/// A list of modules of two kinds.
enum Step {
    Plain(Predict<Improve>),
    Reasoned(ChainOfThought<Improve>),
    Both(Inner),
}

impl Visit for Step {
    fn visit<'a>(&'a self, visitor: &mut Visitor<'a>) {
        match self {
            Self::Plain(part) => part.visit(visitor),
            Self::Reasoned(part) => part.visit(visitor),
            Self::Both(part) => part.visit(visitor),
        }
    }
}

#[derive(Module)]
#[module(crate = teleprompt_core)]
struct Nested {
    first: Inner,
    steps: Vec<Step>,
    tools: BTreeMap<String, Predict<Improve>>,
    #[module(frozen)]
    frozen: Inner,
}

/// Whatever lists its predictors, as a program that is not run.
struct Listed<V>(V);

impl<V: Visit + Send + Sync> Program for Listed<V> {
    fn predictors(&self) -> Vec<teleprompt_core::NamedPredictor<'_>> {
        Visitor::list(&self.0)
    }

    fn forward<'a>(
        &'a self,
        _: &'a teleprompt_core::Ctx,
        _: Fields,
    ) -> futures::future::BoxFuture<'a, Result<teleprompt_core::Prediction, teleprompt_core::Error>> {
        unreachable!("the programs of golden files are not run")
    }
}

const CASES: [&str; 6] = ["single", "reasoned", "stages", "nested", "typed", "settings"];

fn program(case: &str) -> Box<dyn Program> {
    match case {
        "single" => Box::new(Listed(Predict::<Sum>::new())),
        "reasoned" => Box::new(Listed(ChainOfThought::<Answer>::new())),
        "stages" => Box::new(Listed(Stages { plan: ChainOfThought::new(), solve: Predict::new() })),
        "nested" => Box::new(Listed(Nested {
            first: inner(),
            steps: vec![
                Step::Plain(Predict::new()),
                Step::Reasoned(ChainOfThought::new()),
                Step::Both(inner()),
            ],
            tools: BTreeMap::from([("find it".to_owned(), Predict::new())]),
            frozen: inner(),
        })),
        "typed" => Box::new(Listed(Predict::<Typed>::new())),
        "settings" => Box::new(Listed(Predict::<Capital>::new())),
        other => panic!("no case {other}"),
    }
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

fn read(path: &str) -> String {
    let path = folder().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// What `cases.json` says of a case, by our names: DSPy's path without the part that its chain of thought adds.
fn candidate(case: &str) -> Candidate {
    let cases: Map<String, Value> = serde_json::from_str(&read("cases.json")).unwrap();
    let mut candidate = Candidate::default();
    for (path, state) in cases[case].as_object().unwrap() {
        let name = match path.strip_suffix("predict").map(|name| name.trim_end_matches('.')) {
            None => path,
            Some("") => "self",
            Some(name) => name,
        };
        let demos = state["demos"].as_array().unwrap().iter().map(|demo| {
            let mut fields: Fields = demo.as_object().unwrap().clone().into_iter().collect();
            match fields.remove("augmented") {
                Some(Value::Bool(true)) => Demo::bootstrapped(fields),
                _ => Demo::labeled(fields),
            }
        });
        candidate = candidate
            .with_instruction(name, state["instructions"].as_str().unwrap())
            .with_demos(name, demos.collect::<Vec<_>>());
    }
    candidate
}

fn theirs(case: &str) -> SavedProgram {
    SavedProgram::load(folder().join(format!("dspy/{case}.json"))).unwrap()
}

/// Compares with a file of ours, or writes it; the version is not compared.
fn check_ours(name: &str, saved: &SavedProgram) {
    let path = format!("ours/{name}.json");
    if std::env::var("TELEPROMPT_GOLDEN").is_ok_and(|mode| mode == "write") {
        saved.save(folder().join(&path)).unwrap();
    }
    let mut found = SavedProgram::parse(read(&path).as_bytes()).unwrap();
    found.note("version", saved.noted("version").unwrap().clone());
    assert_eq!(
        found.to_text(),
        saved.to_text(),
        "{path} is not what is written now: run `cargo xtask golden`"
    );
}

#[test]
fn what_dspy_saves_loads_with_the_same_instructions_and_demos() {
    for case in CASES {
        assert_eq!(theirs(case).candidate(&*program(case)).unwrap(), candidate(case), "{case}");
    }
}

#[test]
fn what_dspy_saves_is_written_again_byte_for_byte() {
    for case in CASES.into_iter().chain(["extras"]) {
        assert_eq!(theirs(case).to_text(), read(&format!("dspy/{case}.json")), "{case}");
    }
}

#[test]
fn what_is_written_here_is_what_dspy_was_seen_to_load() {
    for case in CASES {
        let saved = SavedProgram::new(&*program(case), &candidate(case));
        assert_eq!(saved.candidate(&*program(case)).unwrap().get("self"), candidate(case).get("self"));
        check_ours(case, &saved);
    }
}

#[test]
fn a_change_keeps_every_key_of_others() {
    let (program, mut saved) = (program("stages"), theirs("extras"));
    let unchanged = saved.candidate(&*program).unwrap();
    saved.update(&*program, &unchanged).unwrap();
    let without_ours = |saved: &SavedProgram| {
        let mut document: Map<String, Value> = serde_json::from_str(&saved.to_text()).unwrap();
        document["metadata"].as_object_mut().unwrap().shift_remove("teleprompt");
        serde_json::to_string(&document).unwrap()
    };
    assert_eq!(without_ours(&saved), without_ours(&theirs("extras")));

    let changed = unchanged.with_instruction("plan", "A changed instruction.").with_demos("plan", Vec::new());
    saved.update(&*program, &changed).unwrap();
    assert_eq!(saved.candidate(&*program).unwrap(), changed);
    check_ours("changed", &saved);
}

#[test]
fn a_program_is_made_from_a_file_of_either_side() {
    let names = |program: &LoadedProgram| -> Vec<String> {
        program
            .predictors()
            .iter()
            .map(|named| format!("{}: {}", named.name, named.predictor.spec().summary()))
            .collect()
    };
    for case in CASES {
        let ours = SavedProgram::new(&*program(case), &candidate(case));
        let loaded = LoadedProgram::new(&ours).unwrap();
        // Under keys of the file, so that it is saved as it was loaded.
        assert_eq!(SavedProgram::new(&loaded, &Candidate::default()), ours, "{case}");
    }
    let text = |text| SignatureSpec::parse(text).unwrap();
    let signatures =
        [("plan.predict", text("question -> query")), ("solve", text("question, query -> answer: int"))];
    let loaded = LoadedProgram::with_signatures(&theirs("extras"), signatures).unwrap();
    assert_eq!(
        names(&loaded),
        ["plan.predict: question -> reasoning, query", "solve: question, query -> answer: integer"]
    );
    let listed = loaded.predictors();
    let query = &listed[0].predictor.spec().outputs()[1];
    assert_eq!((query.prefix.as_str(), query.description.as_str()), ("Search for", "at most five words"));

    let single = [("self", text("country -> capital"))];
    let loaded = LoadedProgram::with_signatures(&theirs("settings"), single).unwrap();
    let predictor: &Predictor = loaded.predictors()[0].predictor;
    assert_eq!((predictor.settings().temperature, predictor.settings().max_tokens), (Some(0.25), Some(77)));
}
