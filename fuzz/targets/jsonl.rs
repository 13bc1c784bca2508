//! Data files of JSON lines: no bytes make reading panic, and every row that is read has the signature's fields.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use teleprompt_core::SignatureSpec;
use teleprompt_data::jsonl::Reader;

static SPEC: LazyLock<Option<SignatureSpec>> = LazyLock::new(|| {
    SignatureSpec::parse("message, limit: optional[int] -> team: label[a, b], tags: list[str]").ok()
});

fuzz_target!(|bytes: &[u8]| {
    let _ = Reader::new(bytes, "fuzz.jsonl").fields();
    if let Some(spec) = SPEC.as_ref() {
        match Reader::new(bytes, "fuzz.jsonl").examples_for(spec) {
            Ok(rows) => assert!(rows.iter().all(|row| row.inputs.contains("message"))),
            Err(error) => _ = error.to_string(),
        }
    }
});
