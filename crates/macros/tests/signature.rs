//! `#[derive(Signature)]`: the run-time form, the two halves, and the conversions between them.
#![deny(warnings, missing_docs, unreachable_pub)]

// The facade's place: without `crate = ..`, generated code names `::teleprompt`.
extern crate teleprompt_core as teleprompt;

use teleprompt_core::{
    Example, FieldType, FieldValue, Fields, FromFields, IntoFields, Signature, Value, ValueError,
};
use teleprompt_macros::{Label, Signature};

/// Answer from the passages.
/// Be brief.
///
/// - Quote nothing.
#[derive(Clone, Debug, PartialEq, Signature)]
struct Answer {
    /// What was found,
    /// best first.
    #[input]
    passages: Vec<String>,
    #[output]
    r#type: Kind,
    /// For readers of the code.
    #[input(desc = "what the user asks", prefix = "Q")]
    net_question: String,
    #[output(prefix = "How sure")]
    confidence: Option<f64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Label)]
enum Kind {
    Fact,
    Opinion,
}

#[derive(Signature)]
struct Joke {
    #[output]
    joke: String,
}

/// A field type of the user's own.
#[derive(Clone, Debug, PartialEq)]
struct Percent(u8);

impl FieldValue for Percent {
    fn field_type() -> FieldType {
        FieldType::Integer
    }

    fn into_value(self) -> Value {
        self.0.into()
    }

    fn from_value(value: &Value) -> Result<Self, ValueError> {
        u8::from_value(value).map(Self)
    }
}

/** Rate it.

    Strictly.
      - Always.
*/
#[derive(Signature)]
struct Rate {
    #[input]
    n: i64,
    #[input]
    flags: Vec<Option<bool>>,
    #[output]
    score: Percent,
}

fn answer() -> Answer {
    Answer {
        passages: vec!["a".to_owned()],
        r#type: Kind::Opinion,
        net_question: "why?".to_owned(),
        confidence: None,
    }
}

#[test]
fn the_doc_comment_is_the_instruction_with_its_lines() {
    let spec = Answer::spec();
    assert_eq!(spec.name(), "Answer");
    assert_eq!(&*spec.instruction(), "Answer from the passages.\nBe brief.\n\n- Quote nothing.");
    assert_eq!(&*Rate::spec().instruction(), "Rate it.\n\nStrictly.\n  - Always.");
}

#[test]
fn without_a_doc_comment_the_fields_make_the_instruction() {
    #[derive(Signature)]
    struct Bare {
        #[input]
        question: String,
        #[output]
        answer: String,
    }
    let expect = "Given the field `question`, produce the field `answer`.";
    assert_eq!(&*Bare::spec().instruction(), expect);
}

#[test]
fn fields_have_names_types_descriptions_and_prefixes() {
    let spec = Answer::spec();
    let check = |index: usize, name: &str, prefix: &str, description: &str, ty: FieldType| {
        let field = spec.fields().nth(index).unwrap();
        assert_eq!(
            (field.name.as_str(), field.prefix.as_str(), field.description.as_str(), &field.ty),
            (name, prefix, description, &ty)
        );
    };
    check(0, "passages", "Passages", "What was found, best first.", Vec::<String>::field_type());
    check(1, "net_question", "Q", "what the user asks", FieldType::Text);
    check(2, "type", "Type", "", FieldType::Label(vec!["fact".to_owned(), "opinion".to_owned()]));
    check(3, "confidence", "How sure", "", Option::<f64>::field_type());
    assert_eq!(Rate::spec().summary(), "n: integer, flags: list of true or false, or none -> score: integer");
}

#[test]
fn the_run_time_form_is_made_once() {
    assert!(std::ptr::eq(Answer::spec(), Answer::spec()));
}

#[test]
fn the_whole_and_its_halves_become_fields_and_back() {
    let fields = answer().into_fields();
    assert_eq!(fields.names().collect::<Vec<_>>(), ["passages", "type", "net_question", "confidence"]);
    assert_eq!(Answer::from_fields(&fields).unwrap(), answer());
    let input = AnswerInput::from_fields(&fields).unwrap();
    assert_eq!(input, AnswerInput { passages: vec!["a".to_owned()], net_question: "why?".to_owned() });
    assert_eq!(input.clone().into_fields(), fields.only(["passages", "net_question"]));
    let output = AnswerOutput::from_fields(&fields).unwrap();
    assert_eq!(output, AnswerOutput { r#type: Kind::Opinion, confidence: None });
    assert_eq!(Answer::from((input, output)), answer());
    let rated = Rate { n: -3, flags: vec![None, Some(true)], score: Percent(7) }.into_fields();
    assert_eq!(RateOutput::from_fields(&rated).unwrap().score, Percent(7));
}

#[test]
fn an_optional_field_may_be_missing_and_another_may_not() {
    let fields = Fields::new().with("type", "fact");
    assert_eq!(AnswerOutput::from_fields(&fields).unwrap().confidence, None);
    let error = AnswerInput::from_fields(&fields.with("passage", "a")).unwrap_err();
    assert_eq!(error.to_string(), "field `passages` is missing; did you mean `passage`?");
    let error = AnswerOutput::from_fields(&Fields::new().with("type", "x")).unwrap_err();
    assert_eq!(error.to_string(), "field `type`: expected one of fact, opinion, found \"x\"");
}

#[test]
fn a_whole_row_becomes_an_example() {
    let example = Example::from(answer());
    assert_eq!(example.inputs.names().collect::<Vec<_>>(), ["passages", "net_question"]);
    assert_eq!(example.labels.names().collect::<Vec<_>>(), ["type", "confidence"]);
    assert_eq!(example.labels.text("type"), "opinion");
}

#[test]
fn a_task_may_have_no_inputs() {
    assert!(JokeInput {}.into_fields().is_empty());
    assert_eq!(JokeInput::from_fields(&Fields::new()).unwrap(), JokeInput {});
    let (_, output) = <(JokeInput, JokeOutput)>::from(Joke { joke: "..".to_owned() });
    assert_eq!(output.joke, "..");
    assert!(Joke::spec().inputs().is_empty());
}
