//! Each mistake that a JSONL file can have, by its exact message.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::io::{self, BufRead, Read};

use teleprompt_core::{FieldType, Fields, FieldsError, FromFields, SignatureSpec};
use teleprompt_data::jsonl::{Limits, Reader};
use teleprompt_data::{DataError, ProblemKind, jsonl};

fn syntax(text: impl AsRef<[u8]>) -> String {
    match Reader::new(text.as_ref(), "data/train.jsonl").fields() {
        Ok(rows) => format!("no error: {rows:?}"),
        Err(error) => error.to_string(),
    }
}

fn helpdesk(text: &str) -> String {
    let spec = SignatureSpec::parse(
        "message -> team: label[billing, delivery], urgent: bool, parcels: optional[int], tags: list[str], cost: float",
    );
    match Reader::new(text.as_bytes(), "train.jsonl").examples_for(&spec.unwrap()) {
        Ok(rows) => format!("no error: {rows:?}"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn syntax_is_placed_by_line_and_column() {
    let check =
        |text: &str, expect: &str| assert_eq!(syntax(text), format!("data/train.jsonl:{expect}"), "{text}");
    check("{\"a\": 1}\n{\"a\": 1 \"b\": 2}\n", "2:9: expected `,` or `}`, found `\"`");
    check("{\"ä\": \"ö\" 3}", "1:11: expected `,` or `}`, found `3`");
    check("\n\n  {\"a\" 1}", "3:8: expected `:`, found `1`");
    check("{\"a\": 1,}", "1:9: expected a field name after the comma, found `}`");
    check("{\"a\": [1,]}", "1:10: expected a value, found `]`");
    check("{a: 1}", "1:2: expected a field name in double quotes, found `a`");
    check("{'a': 1}", "1:2: expected a field name in double quotes, found `'`");
    check("{\"a\": hello}", "1:7: expected a value, found `h`");
    check("{\"a\": True}", "1:7: expected a value, found `T`");
    check("{\"a\": tru}", "1:10: expected a value, found `}`");
    check("{\"a\": NaN}", "1:7: expected a value, found `N`");
    check("{\"a\": 1} {\"a\": 2}", "1:10: expected the end of the line after the object, found `{`");
    check("{\"a\": \"x", "1:9: expected the closing `\"` of a text, found the end of the line");
    check("{\"a\": 1", "1:8: expected `,` or `}`, found the end of the line");
    check("{\"a\": [1", "1:9: expected `,` or `]`, found the end of the line");
    check("{\"a\":", "1:6: expected a value, found the end of the line");
    check("{", "1:2: expected `,` or `}`, found the end of the line");
    check("{\"a\": \"x\ty\"}", "1:9: found the control character 0x09 inside a text; write it as an escape");
    check("{\"a\": \"\\x\"}", "1:9: invalid escape");
    check("{\"b\": 1, \"a\": 1e999}", "1:19: number out of range");
    check("{\"a\": \"\\ud800\"}", "1:14: unexpected end of hex escape");
    check("question,answer\n", "1:1: expected an object that begins with `{`, found `q`");
    check("\"a\"", "1:1: expected an object that begins with `{`, found `\"`");
    check(
        "[{\"a\": 1}]",
        "1:1: expected an object that begins with `{`, found `[`; a JSON array is no JSONL file",
    );
    check("{\"a\": 1, \"b\": 2, \"a\": 3}", "1:18: field `a` stands twice in this row");
    let deep = format!("{{\"a\": {}{}}}", "[".repeat(200), "]".repeat(200));
    assert!(syntax(deep).ends_with("recursion limit exceeded"));
}

#[test]
fn bytes_that_are_no_text_are_named() {
    assert_eq!(
        syntax(b"{\"a\": 1}\n{\"\xc3\xa4\": \"\xff\"}"),
        "data/train.jsonl:2:9: byte 0xff is not UTF-8; save the file as UTF-8"
    );
    assert_eq!(
        syntax(b"\xff\xfe{\0\"\0"),
        "data/train.jsonl:1:1: byte 0xff is not UTF-8; save the file as UTF-8"
    );
}

#[test]
fn rows_that_do_not_fit_the_signature_are_named() {
    let check =
        |text: &str, expect: &str| assert_eq!(helpdesk(text), format!("train.jsonl:{expect}"), "{text}");
    let rest = "\"urgent\": true, \"tags\": [], \"cost\": 1";
    check(
        &format!("{{\"massage\": \"x\", \"team\": \"billing\", {rest}}}"),
        "1:2: field `massage` is not in the signature; did you mean `message`?",
    );
    check(&format!("  {{\"team\": \"billing\", {rest}}}"), "1:3: field `message` is missing");
    check(
        &format!("{{\"message\": \"x\", \"team\": \"biling\", {rest}}}"),
        "1:26: field `team`: expected one of billing, delivery, found \"biling\"; did you mean `billing`?",
    );
    check(
        &format!("{{\"message\": \"x\", \"team\": \"zzz\", {rest}}}"),
        "1:26: field `team`: expected one of billing, delivery, found \"zzz\"",
    );
    check(
        &format!("{{\"message\": 7, \"team\": \"Billing\", {rest}}}"),
        "1:13: field `message`: expected text, found 7\n\
         train.jsonl:1:24: field `team`: expected one of billing, delivery, found \"Billing\"; did you mean `billing`?",
    );
    check(
        "{\"message\": \"x\", \"team\": \"billing\", \"urgent\": \"yes\", \"tags\": [1], \"cost\": null, \"parcels\": 1.5}",
        "1:47: field `urgent`: expected true or false, found \"yes\"\n\
         train.jsonl:1:62: field `tags`: expected text, found 1\n\
         train.jsonl:1:75: field `cost`: expected number, found null\n\
         train.jsonl:1:92: field `parcels`: expected integer, found 1.5",
    );
    check(
        &format!("{{\"message\": \"x\", \"team\": \"billing\", \"parcel\": 2, {rest}}}"),
        "1:37: field `parcel` is not in the signature; did you mean `parcels`?",
    );
}

#[test]
fn further_fields_are_labels_and_numbers_are_as_the_signature_has_them() {
    let spec =
        SignatureSpec::parse("message -> team: label[a, b], cost: float, note: optional[str]").unwrap();
    let text = "{\"team\": \"a\", \"message_id\": 3, \"cost\": 4, \"message\": \"x\"}";
    let rows = Reader::new(text.as_bytes(), "x").examples_for(&spec).unwrap();
    assert_eq!(rows[0].inputs, Fields::new().with("message", "x"));
    let labels = Fields::new()
        .with("team", "a")
        .with("cost", 4.0)
        .with("note", teleprompt_core::Value::Null)
        .with("message_id", 3);
    assert_eq!(rows[0].labels, labels);
    assert_eq!(rows[0].labels.names().collect::<Vec<_>>(), ["team", "cost", "note", "message_id"]);
}

#[test]
fn named_fields_must_be_there() {
    let text = "{\"question\": \"x\", \"anwser\": 4}\n{\"question\": \"y\", \"answer\": 4}\n";
    let error = Reader::new(text.as_bytes(), "qa.jsonl").examples(&["question"], &["answer"]).unwrap_err();
    assert_eq!(error.to_string(), "qa.jsonl:1:1: field `answer` is missing; did you mean `anwser`?");
    assert!(matches!(error.problems()[0].kind, ProblemKind::Missing { .. }));
}

#[derive(Debug)]
struct Sum {
    _a: u8,
}

impl FromFields for Sum {
    fn from_fields(fields: &Fields) -> Result<Self, FieldsError> {
        Ok(Self { _a: fields.typed("a")? })
    }
}

#[test]
fn typed_rows_name_their_field() {
    let text = "{\"a\": 1}\n{\"b\": 1, \"a\": 300}\n{\"A\": 1}";
    let error = Reader::new(text.as_bytes(), "sums.jsonl").typed::<Sum>().unwrap_err();
    assert_eq!(
        error.to_string(),
        "sums.jsonl:2:15: field `a`: expected integer, found 300\n\
         sums.jsonl:3:1: field `a` is missing; did you mean `A`?"
    );
}

#[test]
fn files_as_a_whole_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let missing = dir.path().join("absent.jsonl");
    assert_eq!(
        jsonl::load(&missing).unwrap_err().to_string(),
        format!("{}: no such file", missing.display())
    );
    let empty = "data/train.jsonl: no rows; expected one JSON object on each line";
    assert_eq!(syntax(""), empty);
    assert_eq!(syntax("\u{feff}\n \r\n\t\n"), empty);
    let unwritable = dir.path().join("absent").join("rows.jsonl");
    let error = jsonl::save(&unwritable, [Fields::new()]).unwrap_err();
    assert!(matches!(error, DataError::Write { .. }), "{error}");
}

#[test]
fn limits_are_kept() {
    let text = "{\"a\": 1}\n{\"a\": 22}\n{\"a\": 3}\n{\"a\": 4}\n";
    let read = |limits| Reader::new(text.as_bytes(), "x.jsonl").with_limits(limits).fields();
    let error = |limits| read(limits).unwrap_err().to_string();
    assert_eq!(
        error(Limits::default().with_line_bytes(8)),
        "x.jsonl:2:9: the line is longer than 8 bytes (`Limits::line_bytes`)"
    );
    assert_eq!(
        error(Limits::default().with_rows(3)),
        "x.jsonl:4: more than 3 rows, the most that are read (`Limits::rows`)"
    );
    assert_eq!(read(Limits::default().with_rows(4).with_line_bytes(9)).unwrap().len(), 4);
    let long = format!("{{\"a\": \"{}\"}}\n", "x".repeat(1 << 20));
    assert_eq!(
        syntax(long),
        "data/train.jsonl:1:1048577: the line is longer than 1048576 bytes (`Limits::line_bytes`)"
    );
}

#[test]
fn the_first_ten_problems_come_at_once() {
    let problems = |n: usize| syntax("{\"a\": 1}\n{\"a\"}\n".repeat(n));
    assert_eq!(
        problems(2),
        "data/train.jsonl:2:5: expected `:`, found `}`\ndata/train.jsonl:4:5: expected `:`, found `}`"
    );
    let many = problems(30);
    let lines: Vec<&str> = many.lines().collect();
    assert_eq!(lines.len(), 11);
    assert_eq!(lines[9], "data/train.jsonl:20:5: expected `:`, found `}`");
    assert_eq!(lines[10], "and perhaps more: reading stopped after 10 problems");
}

#[test]
fn marks_line_ends_and_blank_lines_are_accepted() {
    let text = "\u{feff}{\"a\": 1}\r\n\r\n   \r\n  {\"a\": 2} \r\n{\"a\": 3}";
    let rows = Reader::new(text.as_bytes(), "x").fields().unwrap();
    assert_eq!(rows.iter().map(|row| row.text("a")).collect::<Vec<_>>(), ["1", "2", "3"]);
    assert_eq!(
        syntax("\u{feff}{x}"),
        "data/train.jsonl:1:2: expected a field name in double quotes, found `x`"
    );
}

/// A reader that breaks after its first line.
struct Breaks(&'static [u8]);

impl Read for Breaks {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Err(io::Error::other("the disk is gone"))
    }
}

impl BufRead for Breaks {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.0.is_empty() { Err(io::Error::other("the disk is gone")) } else { Ok(self.0) }
    }

    fn consume(&mut self, bytes: usize) {
        self.0 = &self.0[bytes..];
    }
}

#[test]
fn a_reader_that_breaks_is_named_with_its_line() {
    let error = Reader::new(Breaks(b"{\"a\": 1}\n{\"a\""), "x.jsonl").fields().unwrap_err();
    assert_eq!(error.to_string(), "x.jsonl:2: cannot be read: the disk is gone");
}

#[test]
fn messages_stay_short() {
    let name = "n".repeat(100_000);
    let text = format!("{{\"{name}\": 1, \"{name}\": 2}}");
    assert!(syntax(text).len() < 200);
    let spec = SignatureSpec::parse("n -> m: int").unwrap();
    assert_eq!(spec.outputs()[0].ty, FieldType::Integer);
    let text = format!("{{\"n\": \"x\", \"m\": \"{name}\"}}");
    let error = Reader::new(text.as_bytes(), "x").examples_for(&spec).unwrap_err();
    assert!(error.to_string().len() < 200);
}

#[test]
fn maps_media_and_nested_values_are_checked() {
    let spec = SignatureSpec::parse("page: image -> totals: dict[str, float]").unwrap();
    let read =
        |text: &str| Reader::new(text.as_bytes(), "x").examples_for(&spec).map_err(|error| error.to_string());
    let good = r#"{"page": {"media_type": "image/png", "url": "http://h/a.png"}, "totals": {"net": 10}}"#;
    assert_eq!(read(good).unwrap()[0].labels.get("totals"), Some(&serde_json::json!({"net": 10.0})));
    let error = read(r#"{"page": "a.png", "totals": {"net": "ten"}}"#).unwrap_err();
    assert!(error.contains("field `page`: expected") && error.contains("found \"a.png\""), "{error}");
    assert!(error.contains("field `totals`: expected number, found \"ten\""), "{error}");
}
