//! Laws: what is written is read back, and no bytes make reading panic.

use proptest::prelude::*;
use teleprompt_core::{Fields, SignatureSpec, Value};
use teleprompt_data::jsonl::{Limits, Reader, load, save, write};

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_filter("JSON has finite numbers", |x| x.is_finite()).prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec(("[a-z\\n\"é]{0,5}", inner), 0..4)
                .prop_map(|items| items.into_iter().collect()),
        ]
    })
}

fn fields() -> impl Strategy<Value = Fields> {
    prop::collection::vec((any::<String>(), value()), 0..6).prop_map(|items| items.into_iter().collect())
}

/// Bytes that are now and then nearly a row.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..6),
        prop::sample::select(vec![
            "{",
            "}",
            "\"",
            "\"message\"",
            "\"team\"",
            ":",
            ",",
            "[",
            "]",
            "1",
            "-1e9",
            "null",
            "true",
            "\n",
            "\r\n",
            " ",
            "\\u",
            "\\ud83d",
            "\u{feff}",
            "é",
            "{\"message\": \"x\", \"team\": \"a\"}\n",
        ])
        .prop_map(|piece: &str| piece.as_bytes().to_vec()),
    ];
    prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(rows in prop::collection::vec(fields(), 1..6)) {
        let mut text = Vec::new();
        write(&mut text, &rows).unwrap();
        let read = Reader::new(text.as_slice(), "rows").fields().unwrap();
        prop_assert_eq!(&read, &rows);
        for (read, row) in read.iter().zip(&rows) {
            prop_assert!(read.names().eq(row.names()));
        }
    }

    #[test]
    fn no_bytes_make_reading_panic(bytes in bytes()) {
        let spec = SignatureSpec::parse("message, n: optional[int] -> team: label[a, b], more: list[float]").unwrap();
        let reader = || Reader::new(bytes.as_slice(), "rows").with_limits(Limits::default().with_line_bytes(40));
        for error in [reader().fields().err(), reader().examples_for(&spec).err(), reader().examples(&["message"], &["team"]).err()] {
            for problem in error.iter().flat_map(|error| error.problems()) {
                prop_assert!(problem.line >= 1 && problem.column >= 1);
            }
        }
    }
}

#[test]
fn files_are_read_back() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("rows.jsonl");
    let rows: Vec<Fields> =
        (0..1000).map(|i| Fields::new().with("i", i).with("text", "ä\n\u{2028}")).collect();
    save(&path, &rows).unwrap();
    assert_eq!(load(&path).unwrap(), rows);
}
