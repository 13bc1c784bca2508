//! `#[derive(Label)]`: the texts of labels, and reading them from values.
#![deny(warnings, missing_docs, unreachable_pub)]

use teleprompt_core::{FieldType, FieldValue, Value};
use teleprompt_macros::Label;

#[derive(Clone, Copy, Debug, PartialEq, Label)]
#[label(crate = teleprompt_core)]
enum Kind {
    BugReport = 4,
    #[label("thank you")]
    Praise,
    HTTPError,
    r#Try,
}

/// Its own names for standard things do not disturb the generated code.
#[derive(Debug, PartialEq, Label)]
#[label(crate = teleprompt_core)]
enum Odd {
    Ok,
    Err,
    Some,
    None,
    String,
    Value,
}

#[test]
fn a_label_is_the_name_in_snake_case_or_the_text_given() {
    let texts: Vec<&str> = Kind::ALL.iter().map(Kind::as_str).collect();
    assert_eq!(texts, ["bug_report", "thank you", "http_error", "try"]);
    assert_eq!(Kind::field_type(), FieldType::Label(texts.into_iter().map(str::to_owned).collect()));
}

#[test]
fn every_label_survives_its_value() {
    for kind in Kind::ALL {
        assert_eq!(Kind::from_value(&kind.into_value()), Ok(*kind));
    }
    for text in ["ok", "err", "some", "none", "string", "value"] {
        assert_eq!(Odd::from_value(&text.into()).unwrap().as_str(), text);
    }
}

#[test]
fn another_value_is_refused_with_the_labels() {
    let error = Kind::from_value(&Value::from("Praise")).unwrap_err();
    assert_eq!(error.to_string(), "expected one of bug_report, thank you, http_error, try, found \"Praise\"");
    assert!(Kind::from_value(&Value::from(4)).is_err());
}
