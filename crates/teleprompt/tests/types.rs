//! A signature with every type of field, typed from end to end: what is asked, what is read, in each adapter.

#![cfg(feature = "schemars")]
#![expect(clippy::unwrap_used, reason = "a test's helper ends at the first surprise")]

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::executor::block_on;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use teleprompt::lm::{Capabilities, OutputConstraint};
use teleprompt::prelude::*;
use teleprompt::{Adapter, FieldType, Json, Media};
use teleprompt_testkit::ScriptedLm;

/// Read the invoice in the picture.
#[derive(Signature)]
struct ReadInvoice {
    /// the scanned page
    #[input]
    page: Media,
    /// what else is known
    #[input]
    hints: Option<Vec<String>>,
    #[output]
    number: i64,
    #[output]
    currency: Currency,
    #[output]
    totals: BTreeMap<String, f64>,
    /// who sent it
    #[output]
    sender: Json<Sender>,
    #[output]
    paid: Option<bool>,
}

#[derive(Label, Clone, Copy, Debug, PartialEq)]
enum Currency {
    Eur,
    Usd,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
struct Sender {
    name: String,
    /// ISO 3166
    country: Option<String>,
    lines: Vec<String>,
}

const ANSWER: &str = r#"{"number": "1,207", "currency": "EUR", "totals": {"net": 10, "gross": 11.9},
    "sender": {"name": "Ada", "lines": ["Street 1"]}, "paid": "no"}"#;

fn ask(adapter: Arc<dyn Adapter>, answer: &'static str) -> (ReadInvoiceOutput, Arc<ScriptedLm>) {
    let able = Capabilities::text().with_json_schema(true).with_media(true);
    let lm = Arc::new(ScriptedLm::new(move |_| answer).with_capabilities(able));
    let cx = Ctx::new(lm.clone()).with_adapter(adapter);
    let input = ReadInvoiceInput { page: Media::bytes("image/png", b"page"), hints: None };
    (block_on(Predict::<ReadInvoice>::new().call(&cx, input)).unwrap(), lm)
}

#[test]
fn every_type_is_read_into_its_rust_type() {
    let forms: [(Arc<dyn Adapter>, &str); 3] = [
        (Arc::new(JsonAdapter), ANSWER),
        (
            Arc::new(ChatAdapter),
            "[[ ## number ## ]]\n1,207\n[[ ## currency ## ]] EUR [[ ## totals ## ]]\n{net: 10, gross: 11.9}\n\
             **[[ ## Sender ## ]]**\n```json\n{\"name\": \"Ada\", \"lines\": [\"Street 1\"],}\n```\n\
             [[ ## paid ## ]]\nNo.\n",
        ),
        (
            Arc::new(PlainAdapter),
            "Number: 1207.0\n**Currency:** eur\nTotals: {\"net\": 10, \"gross\": \"11.9\"}\n\
             sender: {'name': 'Ada', 'lines': ['Street 1']}\n- paid: no",
        ),
    ];
    for (adapter, answer) in forms {
        let name = adapter.name();
        let (read, _) = ask(adapter, answer);
        assert_eq!((read.number, read.currency, read.paid), (1207, Currency::Eur, Some(false)), "{name}");
        assert_eq!(read.totals, BTreeMap::from([("net".to_owned(), 10.0), ("gross".to_owned(), 11.9)]));
        let sender = Sender { name: "Ada".into(), country: None, lines: vec!["Street 1".into()] };
        assert_eq!(read.sender, Json(sender), "{name}");
    }
}

#[test]
fn the_model_is_told_the_shape_and_held_to_the_schema() {
    let (_, lm) = ask(Arc::new(JsonAdapter), ANSWER);
    let request = lm.log().requests().remove(0);
    let system = request.messages[0].text();
    let shape = r#""sender": {"name": text, "country": text or null, "lines": [text, ...]}"#;
    assert!(system.contains(shape), "{system}");
    assert!(system.contains("1. `page` (image, sound or document): the scanned page"), "{system}");
    let Some(OutputConstraint::JsonSchema(schema)) = &request.constraint else { panic!("no schema") };
    assert_eq!(schema["properties"]["sender"]["description"], "who sent it");
    assert_eq!(schema["properties"]["currency"]["enum"], serde_json::json!(["eur", "usd"]));
    assert!(request.messages.last().is_some_and(|message| message.media().count() == 1));
}

#[test]
fn an_answer_that_serde_refuses_is_an_error_that_names_the_field() {
    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
    struct Small {
        size: u8,
    }
    #[derive(Signature)]
    struct Measure {
        #[input]
        thing: String,
        #[output]
        small: Json<Small>,
    }
    let lm = Arc::new(ScriptedLm::new(|_| r#"{"small": {"size": 300}}"#));
    let cx = Ctx::new(lm).with_adapter(Arc::new(JsonAdapter));
    let outcome = block_on(Predict::<Measure>::new().call(&cx, MeasureInput { thing: "x".into() }));
    let error = outcome.err().map(|error| error.to_string()).unwrap_or_default();
    assert!(
        error.starts_with(
            "predictor `Measure`: field `small` of the answer: expected Small (invalid value: integer `300`"
        ),
        "{error}"
    );
    assert!(matches!(Measure::spec().outputs()[0].ty, FieldType::Json { .. }));
}
