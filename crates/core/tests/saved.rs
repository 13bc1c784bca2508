//! Program files: round trips, every mistake by its message, hostile content, and programs made from a file.
#![expect(clippy::unwrap_used, reason = "a test")]

use std::sync::Arc;

use futures::executor::block_on;
use proptest::prelude::*;
use serde_json::{Value, json};
use teleprompt_core::{
    Candidate, Ctx, Demo, Fields, LoadedProgram, Module, Predictor, Program, SavedProgram, SignatureSpec,
    Visit, Visitor,
};
use teleprompt_testkit::ScriptedLm;

fn spec(text: &str) -> SignatureSpec {
    SignatureSpec::parse(text).unwrap()
}

fn one() -> Predictor {
    Predictor::new(spec("question -> answer: int"))
}

/// A program whose predictors have the names given.
struct Named(Vec<(&'static str, Predictor)>);

impl Visit for Named {
    fn visit<'a>(&'a self, visitor: &mut Visitor<'a>) {
        for (name, predictor) in &self.0 {
            visitor.field(name, predictor);
        }
    }
}

impl Module for Named {
    type Input = Fields;
    type Output = Fields;

    async fn forward(&self, _: &Ctx, input: Fields) -> Result<Fields, teleprompt_core::Error> {
        Ok(input)
    }
}

fn two() -> Named {
    Named(vec![("plan", Predictor::new(spec("question -> query"))), ("solve", one())])
}

/// The entry of a predictor `question -> answer`.
fn entry(demos: Value) -> Value {
    let fields =
        json!([{"prefix": "Question:", "description": ""}, {"prefix": "Answer:", "description": ""}]);
    json!({"demos": demos, "lm": null, "signature": {"instructions": "Add.", "fields": fields}})
}

fn parsed(document: &Value) -> SavedProgram {
    SavedProgram::parse(document.to_string().as_bytes()).unwrap()
}

#[test]
fn a_program_under_a_candidate_is_saved_whole() {
    let demos = [
        Demo::bootstrapped(Fields::new().with("question", "1 + 1").with("answer", 2)),
        Demo::labeled(Fields::new().with("question", "2 + 2").with("answer", 4)),
    ];
    let candidate = Candidate::default().with_instruction("self", "Add.").with_demos("self", demos.to_vec());
    let saved = SavedProgram::new(&one(), &candidate);
    insta::assert_snapshot!(saved.to_text());
    let loaded = SavedProgram::parse(saved.to_text().as_bytes()).unwrap();
    assert_eq!(loaded.candidate(&one()).unwrap(), candidate);
}

#[test]
fn a_file_of_another_program_is_refused_by_name() {
    let error = |document: &Value, program: &dyn Program| {
        parsed(document).candidate(program).unwrap_err().to_string()
    };
    let file = json!({"plan": entry(json!([])), "index": {"k": 3}, "metadata": {}});
    assert_eq!(error(&file, &two()), "the file has no predictor `solve`; it has: plan");
    assert_eq!(error(&file, &one()), "the file has no predictor `self`; it has: plan");
    assert_eq!(error(&json!({"metadata": {}}), &two()), "the file has no predictor `plan`; it has: none");

    let more = Predictor::new(spec("question, hint -> reasoning, answer"));
    assert_eq!(
        error(&entry(json!([])), &more),
        "predictor `self` has 2 fields in the file (Question, Answer), but 4 in the program (question, hint, reasoning, \
         answer): fields match by position, inputs before outputs"
    );
}

#[test]
fn a_part_of_another_form_is_refused_by_its_place() {
    let error = |document: &Value| parsed(document).candidate(&one()).unwrap_err().to_string();
    assert_eq!(error(&entry(json!("none"))), "predictor `self`: `demos` is not a list of objects");
    assert_eq!(error(&entry(json!([1]))), "predictor `self`: `demos` is not a list of objects");
    let mut document = entry(json!([]));
    document["signature"]["fields"] = json!({});
    assert_eq!(error(&document), "predictor `self`: `signature.fields` is not a list of objects");
    document["signature"]["fields"] = json!([{}, {}]);
    document["signature"]["instructions"] = json!(["a", "b"]);
    assert_eq!(error(&document), "predictor `self`: `signature.instructions` is not a text");
}

#[test]
fn a_file_that_is_no_program_is_refused_with_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let error = |content: &[u8]| {
        let path = folder.path().join("program.json");
        std::fs::write(&path, content).unwrap();
        let error = SavedProgram::load(&path).unwrap_err().to_string();
        assert!(error.starts_with("program file `") && error.contains("program.json`: "), "{error}");
        error.split_once("`: ").unwrap().1.to_owned()
    };
    let none = "not a saved program: neither a predictor nor `metadata` is in it";
    assert_eq!(error(b"{\"self\": 3}"), none);
    assert_eq!(error(b"{}"), none);
    assert_eq!(error(b"{\"metadata\": 1}"), "not a saved program: `metadata` is not an object");
    assert!(error(b"[]").starts_with("not a saved program: invalid type: sequence, expected a map"));
    assert!(error(b"{\"a\": \xff}").starts_with("not a saved program: "));
    assert!(error("[".repeat(100_000).as_bytes()).starts_with("lists and objects are nested deeper than 64"));
    let many = format!("{{\"a\": [{}0]}}", "0,".repeat(1_000_000));
    assert_eq!(error(many.as_bytes()), "more than 1000000 values: leave out demos");
    let predictors = (0..1001).map(|i| (i.to_string(), json!({"signature": {}})));
    let predictors = serde_json::to_vec(&predictors.collect::<serde_json::Map<_, _>>()).unwrap();
    assert_eq!(error(&predictors), "more than 1000 predictors, which no program has");
    let missing = SavedProgram::load(folder.path().join("absent.json")).unwrap_err().to_string();
    assert!(missing.contains("absent.json"), "{missing}");
}

#[test]
fn what_could_not_be_loaded_is_not_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("program.json");
    let program = Named(vec![("metadata", one())]);
    let error = SavedProgram::new(&program, &Candidate::default()).save(&path).unwrap_err().to_string();
    assert!(
        error.ends_with("a predictor named `metadata` cannot be saved: rename the field that holds it"),
        "{error}"
    );

    let deep = (0..70).fold(json!(1), |value, _| json!([value]));
    let demos = vec![Demo::labeled(Fields::new().with("question", deep).with("answer", 1))];
    let saved = SavedProgram::new(&one(), &Candidate::default().with_demos("self", demos));
    let error = saved.save(&path).unwrap_err().to_string();
    assert!(error.contains("nested deeper than 64"), "{error}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);

    let saved = SavedProgram::new(&two(), &Candidate::default());
    saved.save(&path).unwrap();
    assert_eq!(SavedProgram::load(&path).unwrap(), saved);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn what_a_demo_has_beyond_the_signature_stays_and_is_not_shown() {
    let file = entry(json!([{"question": "1 + 1", "answer": 2, "source": "a book"}, {"other": "row"}]));
    let candidate = parsed(&file).candidate(&one()).unwrap();
    let demos = candidate.get("self").unwrap().demos.clone().unwrap();
    assert_eq!(demos[0].fields.text("source"), "a book");
    assert_eq!(demos[1].fields.names().collect::<Vec<_>>(), ["other"]);

    let (lm, program) = (Arc::new(ScriptedLm::new(|_| "[[ ## answer ## ]]\n3")), one());
    let cx = Ctx::new(lm.clone()).bound(&program, &candidate).unwrap();
    block_on(program.call(&cx, Fields::new().with("question", "1 + 2"))).unwrap();
    let prompt = serde_json::to_string(&lm.log().requests()).unwrap();
    assert!(prompt.contains("1 + 1") && !prompt.contains("a book") && !prompt.contains("row"), "{prompt}");
    assert_eq!(SavedProgram::new(&program, &candidate).candidate(&program).unwrap(), candidate);
}

#[test]
fn a_field_of_the_marks_name_is_a_field() {
    let program = Predictor::new(spec("question -> augmented: bool"));
    let demo = Demo::labeled(Fields::new().with("question", "?").with("augmented", true));
    let candidate = Candidate::default().with_instruction("self", "Say.").with_demos("self", vec![demo]);
    let saved = SavedProgram::new(&program, &candidate);
    assert_eq!(saved.candidate(&program).unwrap(), candidate);
}

#[test]
fn an_update_of_another_program_changes_nothing() {
    let mut saved = parsed(&json!({"plan": entry(json!([])), "metadata": {}}));
    let before = saved.clone();
    saved.update(&two(), &Candidate::default()).unwrap_err();
    assert_eq!(saved, before);
}

#[test]
fn a_chain_runs_from_a_file_alone() {
    let program = Named(vec![
        ("plan", Predictor::new(spec("question -> query"))),
        ("solve", Predictor::new(spec("question, query -> answer: int, note: optional[str]"))),
    ]);
    let candidate =
        Candidate::default().with_instruction("plan", "Write a query.").with_instruction("solve", "Solve.");
    let text = SavedProgram::new(&program, &candidate).to_text();

    let loaded = LoadedProgram::new(&SavedProgram::parse(text.as_bytes()).unwrap()).unwrap();
    assert_eq!(loaded.inputs().map(|field| field.name.as_str()).collect::<Vec<_>>(), ["question"]);
    let lm = ScriptedLm::new(|request| {
        let asked = request.last_user_text();
        if asked.contains("## query ##") && asked.contains("sum of 40 and 2") {
            "[[ ## answer ## ]]\n42\n[[ ## note ## ]]\nnone"
        } else {
            "[[ ## query ## ]]\nsum of 40 and 2"
        }
    });
    let lm = Arc::new(lm);
    let cx = Ctx::new(lm.clone());
    let prediction =
        block_on(Program::forward(&loaded, &cx, Fields::new().with("question", "40 + 2?"))).unwrap();
    let expect = Fields::new().with("query", "sum of 40 and 2").with("answer", 42).with("note", Value::Null);
    assert_eq!(prediction.outputs, expect);
    assert_eq!(lm.log().calls(), 2);
    assert!(serde_json::to_string(&lm.log().requests()).unwrap().contains("Write a query."));

    let error = block_on(Program::forward(&loaded, &cx, Fields::new())).unwrap_err().to_string();
    assert_eq!(error, "field `question` is missing");
}

#[test]
fn what_a_file_does_not_say_of_its_fields_is_asked_for() {
    let saved = parsed(&json!({"plan": entry(json!([])), "solve": entry(json!([]))}));
    let error = LoadedProgram::new(&saved).unwrap_err().to_string();
    assert!(
        error.starts_with(
            "the file does not name the fields of predictor `plan` (Question, Answer): give its signature"
        ),
        "{error}"
    );
    let error = |keys: &[&str]| {
        let signatures = keys.iter().map(|key| (*key, spec("question -> answer")));
        LoadedProgram::with_signatures(&saved, signatures).unwrap_err().to_string()
    };
    assert!(error(&["plan"]).contains("fields of predictor `solve`"));
    assert_eq!(error(&["plan", "self"]), "the file has no predictor `self`; it has: plan, solve");
    let noted =
        json!({"plan": {"name": "Plan", "inputs": {"question": "text"}, "outputs": {"question": "text"}}});
    let file = json!({"plan": entry(json!([])), "metadata": {"teleprompt": {"signatures": noted}}});
    let error = LoadedProgram::new(&parsed(&file)).unwrap_err().to_string();
    assert_eq!(error, "predictor `plan`: field `question` stands twice in the signature");
}

/// Any JSON, small and shallow.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "\\PC{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        let keys = prop_oneof![
            Just("demos".to_owned()),
            Just("signature".to_owned()),
            Just("instructions".to_owned()),
            Just("fields".to_owned()),
            Just("metadata".to_owned()),
            Just("teleprompt".to_owned()),
            Just("signatures".to_owned()),
            Just("plan".to_owned()),
            Just("lm".to_owned()),
            "[a-z]{1,4}"
        ];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(keys, inner, 0..5)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

fn use_every_way(bytes: &[u8]) {
    if let Ok(mut saved) = SavedProgram::parse(bytes) {
        let _ = saved.candidate(&one());
        let _ = saved.candidate(&two());
        let _ = LoadedProgram::new(&saved);
        let _ = LoadedProgram::with_signatures(&saved, [("plan", spec("question -> answer"))]);
        let _ = saved.update(&two(), &Candidate::default());
        assert_eq!(SavedProgram::parse(saved.to_text().as_bytes()).unwrap(), saved);
    }
}

proptest! {
    #[test]
    fn no_bytes_make_reading_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        use_every_way(&bytes);
    }

    #[test]
    fn no_json_makes_reading_panic(document in any_json()) {
        use_every_way(document.to_string().as_bytes());
    }

    #[test]
    fn no_damage_makes_reading_panic(at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<bool>()) {
        let mut bytes = SavedProgram::new(&two(), &Candidate::default()).to_text().into_bytes();
        let at = at.index(bytes.len());
        if cut { bytes.truncate(at) } else { bytes[at] = byte }
        use_every_way(&bytes);
    }

    #[test]
    fn what_others_added_survives(foreign in any_json(), key in "[a-z]{1,6}") {
        let mut file = json!({"plan": entry(json!([])), "solve": entry(json!([])), "metadata": {}});
        for place in ["/plan", "/plan/signature", "/metadata", ""] {
            let object = file.pointer_mut(place).unwrap().as_object_mut().unwrap();
            object.entry(format!("their {key}")).or_insert(foreign.clone());
        }
        let mut saved = parsed(&file);
        let changed = Candidate::default().with_instruction("plan", "Changed.").with_demos("solve", Vec::new());
        saved.update(&two(), &changed).unwrap();
        let mut after: Value = serde_json::from_str(&saved.to_text()).unwrap();
        prop_assert_eq!(&after["plan"]["signature"]["instructions"], "Changed.");
        after["plan"]["signature"]["instructions"] = json!("Add.");
        after["solve"]["signature"]["instructions"] = json!("Add.");
        after["metadata"].as_object_mut().unwrap().remove("teleprompt");
        after["metadata"].as_object_mut().unwrap().remove("dependency_versions");
        prop_assert_eq!(after, file);
    }

    #[test]
    fn a_candidate_survives_the_file(instruction in "\\PC{0,40}", values in prop::collection::vec((any_json(), any_json(), any::<bool>()), 0..4)) {
        let demos = values.into_iter().map(|(question, answer, bootstrapped)| {
            let fields = Fields::new().with("question", question).with("answer", answer);
            if bootstrapped { Demo::bootstrapped(fields) } else { Demo::labeled(fields) }
        });
        let candidate = Candidate::default()
            .with_instruction("self", instruction)
            .with_demos("self", demos.collect::<Vec<_>>());
        let saved = SavedProgram::new(&one(), &candidate);
        let loaded = SavedProgram::parse(saved.to_text().as_bytes()).unwrap();
        prop_assert_eq!(loaded.candidate(&one()).unwrap(), candidate.clone());
        let program = LoadedProgram::new(&loaded).unwrap();
        prop_assert_eq!(SavedProgram::new(&program, &Candidate::default()), saved);
    }
}
