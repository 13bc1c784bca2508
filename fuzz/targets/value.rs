//! One value: no text makes reading panic, and what is read can be written and read again.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use teleprompt_core::value::{format_typed, parse_value};
use teleprompt_core::{FieldType, SignatureSpec};

static TYPES: LazyLock<Vec<FieldType>> = LazyLock::new(|| {
    let text = "x -> a: int, b: float, c: bool, d: label[yes, bug report, A-b], e: list[str], f: list[optional[int]], \
        g: optional[list[bool]], h: list[list[label[a, b]]], i: str, j: dict[str, optional[int]]";
    SignatureSpec::parse(text)
        .map(|spec| spec.outputs().iter().map(|field| field.ty.clone()).collect())
        .unwrap_or_default()
});

fuzz_target!(|text: &str| {
    for ty in TYPES.iter() {
        match parse_value(ty, text) {
            Ok(value) => {
                let again = parse_value(ty, &format_typed(ty, &value));
                assert_eq!(again.as_ref(), Ok(&value), "{ty} from {text:?}");
            }
            Err(error) => _ = error.to_string(),
        }
    }
});
