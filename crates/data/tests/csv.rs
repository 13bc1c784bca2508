//! CSV files: their mistakes by exact message, and the laws of reading and writing them.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use proptest::prelude::*;
use teleprompt_core::{Fields, SignatureSpec, Value};
use teleprompt_data::csv::{Reader, load, save, write};
use teleprompt_data::{DataError, Limits};

fn read(text: &str) -> Result<Vec<Fields>, DataError> {
    Reader::new(text.as_bytes(), "train.csv").fields()
}

fn spec() -> SignatureSpec {
    SignatureSpec::parse(
        "message, note: optional[str] -> team: label[billing, delivery], parcels: int, tags: list[str]",
    )
    .unwrap()
}

#[test]
fn mistakes_are_placed_by_line_and_column() {
    let check =
        |text: &str, expect: &str| assert_eq!(read(text).unwrap_err().to_string(), expect, "{text:?}");
    check(
        "a,b\n1,2,3\n\n4\n",
        "train.csv:2:5: expected 2 cells, as many as the header has, found 3\n\
         train.csv:4:1: expected 2 cells, as many as the header has, found 1",
    );
    check(
        "a,,b\n1,2,3\n",
        "train.csv:1:3: expected the name of a field in the header, found nothing\nand perhaps more: reading stopped after 1 problems",
    );
    check(
        "a,b,a\n",
        "train.csv:1:5: field `a` stands twice in this row\nand perhaps more: reading stopped after 1 problems",
    );
    check("a\n\"x\"y\n", "train.csv:2:4: expected the end of the cell after its closing `\"`, found `y`");
    check("a\n\"x\n\n", "train.csv:4:1: expected the closing `\"` of a cell, found the end of the file");
    check("", "train.csv: no rows; expected a header and one record on each line");
    check("a,b\n\n", "train.csv: no rows; expected a header and one record on each line");
    let bytes = Reader::new(&b"a,b\n\"x\",\xff\n"[..], "train.csv").fields().unwrap_err();
    assert_eq!(bytes.to_string(), "train.csv:2:5: byte 0xff is not UTF-8; save the file as UTF-8");
    let limits = Limits::default().with_rows(1);
    let error = Reader::new(&b"a\n1\n2\n"[..], "x.csv").with_limits(limits).fields().unwrap_err();
    assert!(error.to_string().contains("more than 1 rows"), "{error}");
}

#[test]
fn cells_are_read_as_the_signature_has_them() {
    let text = "id,message,note,team,parcels,tags\n7,\"two\nlines\",,billing,2.0,\"[\"\"a\"\"]\"\n";
    let rows = Reader::new(text.as_bytes(), "x").examples_for(&spec()).unwrap();
    assert_eq!(rows[0].inputs, Fields::new().with("message", "two\nlines").with("note", Value::Null));
    let labels =
        Fields::new().with("team", "billing").with("parcels", 2).with("tags", vec!["a"]).with("id", "7");
    assert_eq!(rows[0].labels, labels);

    let text = "massage,team,parcels,tags\nx,biling,many,[]\n";
    let error = Reader::new(text.as_bytes(), "x.csv").examples_for(&spec()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "x.csv:2:1: field `massage` is not in the signature; did you mean `message`?\n\
         x.csv:2:3: field `team`: expected one of billing, delivery, found \"biling\"; did you mean `billing`?\n\
         x.csv:2:10: field `parcels`: expected integer, found \"many\""
    );
}

#[test]
fn named_fields_and_streams() {
    let text = "question,anwser\nx,4\n";
    let error = Reader::new(text.as_bytes(), "qa.csv").examples(&["question"], &["answer"]).unwrap_err();
    assert_eq!(error.to_string(), "qa.csv:2:1: field `answer` is missing; did you mean `anwser`?");

    let text = "q,a\nx,1\ny,two\nz,3\n";
    let spec = SignatureSpec::parse("q -> a: int").unwrap();
    let rows: Vec<_> = Reader::new(text.as_bytes(), "s.csv").stream(&spec).collect();
    assert_eq!(rows.len(), 2);
    assert!(rows[0].is_ok());
    assert!(rows[1].as_ref().unwrap_err().to_string().starts_with("s.csv:3:3: field `a`"));
}

#[test]
fn files_are_read_back() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("rows.csv");
    let rows =
        [Fields::new().with("a", "x,\"y\"\r\n").with("b", ""), Fields::new().with("a", "ä").with("b", " ")];
    save(&path, &rows).unwrap();
    assert_eq!(load(&path).unwrap(), rows);
    let spec = SignatureSpec::parse("a -> b").unwrap();
    assert_eq!(teleprompt_data::examples_for(&path, &spec).unwrap().len(), 2);
    let odd = [Fields::new().with("a", "x"), Fields::new().with("b", "y")];
    let error = save(&path, &odd).unwrap_err();
    assert!(error.to_string().contains("row 2 has the field `b`"), "{error}");
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(
        names in prop::collection::btree_set("\\PC{0,6}[a-z\"\n,]", 1..5),
        cells in prop::collection::vec(prop::collection::vec("(\\PC|[\",\n\r\u{feff}]){0,8}", 5), 1..6),
    ) {
        let names: Vec<String> = names.into_iter().filter(|name| !name.trim().is_empty()).collect();
        prop_assume!(!names.is_empty());
        let rows: Vec<Fields> =
            cells.into_iter().map(|cells| names.iter().cloned().zip(cells).collect()).collect();
        let mut text = Vec::new();
        write(&mut text, &rows).unwrap();
        prop_assert_eq!(Reader::new(text.as_slice(), "rows").fields().unwrap(), rows);
    }

    #[test]
    fn no_bytes_make_reading_panic(
        pieces in prop::collection::vec(
            prop_oneof![
                prop::collection::vec(any::<u8>(), 0..6),
                prop::sample::select(vec!["message,team\n", "\"", "\"\"", ",", "\n", "\r\n", "a", "\u{feff}", "é", "billing"])
                    .prop_map(|piece: &str| piece.as_bytes().to_vec()),
            ],
            0..24,
        )
    ) {
        let bytes = pieces.concat();
        let reader = || Reader::new(bytes.as_slice(), "rows").with_limits(Limits::default().with_line_bytes(40));
        for error in [reader().fields().err(), reader().examples_for(&spec()).err()] {
            for problem in error.iter().flat_map(|error| error.problems()) {
                prop_assert!(problem.line >= 1 && problem.column >= 1);
            }
        }
        prop_assert!(reader().stream(&spec()).count() <= bytes.len() + 1);
    }
}
