//! Parquet files, written here by the crate that reads them, whole and damaged.

#![cfg(feature = "parquet")]
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::path::Path;
use std::sync::Arc;

use parquet::data_type::{BoolType, ByteArray, ByteArrayType, DoubleType, Int64Type};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use proptest::prelude::*;
use teleprompt_core::{SignatureSpec, Value};
use teleprompt_data::parquet::{Reader, load};
use teleprompt_data::{DataError, Limits};

/// Three rows: questions, answers, scores, flags, lists of tags, bytes.
fn file() -> Vec<u8> {
    let schema = "message rows {
        required binary question (UTF8);
        optional int64 answer;
        required double score;
        required boolean easy;
        optional group tags (LIST) { repeated group list { required binary element (UTF8); } }
        required binary image;
    }";
    let schema = Arc::new(parse_message_type(schema).unwrap());
    let mut bytes = Vec::new();
    let properties =
        Arc::new(WriterProperties::builder().set_compression(parquet::basic::Compression::SNAPPY).build());
    let mut writer = SerializedFileWriter::new(&mut bytes, schema, properties).unwrap();
    let mut group = writer.next_row_group().unwrap();
    let texts = |texts: &[&str]| texts.iter().map(|text| ByteArray::from(*text)).collect::<Vec<_>>();
    let mut column = 0;
    while let Some(mut writer) = group.next_column().unwrap() {
        match column {
            0 => writer.typed::<ByteArrayType>().write_batch(&texts(&["2 + 2?", "ä?", "x"]), None, None),
            1 => writer.typed::<Int64Type>().write_batch(&[4, 7], Some(&[1, 0, 1]), None),
            2 => writer.typed::<DoubleType>().write_batch(&[0.5, 1.0, 2.5], None, None),
            3 => writer.typed::<BoolType>().write_batch(&[true, false, true], None, None),
            4 => writer.typed::<ByteArrayType>().write_batch(
                &texts(&["a", "b", "c"]),
                Some(&[2, 2, 0, 2]),
                Some(&[0, 1, 0, 0]),
            ),
            _ => {
                let images: Vec<ByteArray> = (0..3).map(|_| ByteArray::from(vec![0xff, 0xd8])).collect();
                writer.typed::<ByteArrayType>().write_batch(&images, None, None)
            }
        }
        .unwrap();
        writer.close().unwrap();
        column += 1;
    }
    group.close().unwrap();
    writer.close().unwrap();
    bytes
}

fn saved(dir: &Path, bytes: &[u8]) -> std::path::PathBuf {
    let path = dir.join("rows.parquet");
    std::fs::write(&path, bytes).unwrap();
    path
}

const COLUMNS: [&str; 5] = ["question", "answer", "score", "easy", "tags"];

#[test]
fn rows_are_read() {
    let dir = tempfile::tempdir().unwrap();
    let path = saved(dir.path(), &file());
    let rows = Reader::open(&path).unwrap().with_columns(&COLUMNS).fields().unwrap();
    let rows: Vec<Value> = rows.iter().map(|row| serde_json::to_value(row).unwrap()).collect();
    assert_eq!(
        rows,
        [
            serde_json::json!({"question": "2 + 2?", "answer": 4, "score": 0.5, "easy": true, "tags": ["a", "b"]}),
            serde_json::json!({"question": "ä?", "answer": null, "score": 1.0, "easy": false, "tags": null}),
            serde_json::json!({"question": "x", "answer": 7, "score": 2.5, "easy": true, "tags": ["c"]}),
        ]
    );
}

#[test]
fn misfits_are_named_with_row_and_column() {
    let dir = tempfile::tempdir().unwrap();
    let path = saved(dir.path(), &file());
    let spec = SignatureSpec::parse("question -> answer: int").unwrap();
    let error = Reader::open(&path).unwrap().with_columns(&COLUMNS).examples_for(&spec).unwrap_err();
    let expect = format!("{}:2:2: field `answer`: expected integer, found null", path.display());
    assert_eq!(error.to_string(), expect);
    let error = load(&path).unwrap_err();
    assert!(error.to_string().contains(":1:6: column `image` holds what no field can"), "{error}");
    let spec = SignatureSpec::parse("question -> answer: optional[int]").unwrap();
    let rows = Reader::open(&path).unwrap().with_columns(&COLUMNS).stream(&spec).unwrap();
    assert_eq!(rows.map(|row| row.unwrap().labels.text("answer")).collect::<Vec<_>>(), ["4", "", "7"]);
}

#[test]
fn what_is_no_parquet_file_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let check = |bytes: &[u8]| {
        let error = Reader::open(saved(dir.path(), bytes)).unwrap_err();
        assert!(matches!(error, DataError::Damaged { .. }), "{error}");
    };
    check(b"");
    check(b"PAR1");
    check(&b"question,answer\n".repeat(10));
    check(&file()[..100]);
    let small = Limits::default().with_group_bytes(10);
    let error = Reader::open(saved(dir.path(), &file())).unwrap().with_limits(small).fields().unwrap_err();
    assert!(error.to_string().contains("more than 10 (`Limits::group_bytes`)"), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn no_damage_ends_the_program(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let mut bytes = file();
        for (index, byte) in changes {
            let length = bytes.len();
            bytes[index.index(length)] = byte;
        }
        if let Some(cut) = cut {
            let length = bytes.len();
            bytes.truncate(cut.index(length));
        }
        let dir = tempfile::tempdir().unwrap();
        if let Ok(reader) = Reader::open(saved(dir.path(), &bytes)) {
            let limits = Limits::default().with_rows(1000).with_group_bytes(1 << 20);
            let _ = reader.with_limits(limits).with_columns(&COLUMNS).fields();
        }
    }
}
