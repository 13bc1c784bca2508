//! Answers of models: no text makes an adapter panic, and what is read has every output field.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use teleprompt_core::{Adapter, ChatAdapter, JsonAdapter, PlainAdapter, SignatureSpec};

static SPECS: LazyLock<Vec<SignatureSpec>> = LazyLock::new(|| {
    let texts = [
        "question -> answer",
        "question -> reasoning, answer: int",
        "message -> team: label[billing, bug report], urgent: bool, share: float",
        "text -> tags: list[str], sizes: list[list[int]], note: optional[str], kinds: list[label[a, b c]], totals: dict[str, float]",
    ];
    texts.into_iter().filter_map(|text| SignatureSpec::parse(text).ok()).collect()
});

fuzz_target!(|answer: &str| {
    let adapters: [&dyn Adapter; 3] = [&ChatAdapter, &PlainAdapter, &JsonAdapter];
    for adapter in adapters {
        for spec in SPECS.iter() {
            match adapter.parse(spec, answer) {
                Ok(fields) => {
                    assert!(spec.outputs().iter().all(|field| fields.contains(&field.name)));
                    let _ = adapter.format_outputs(spec, &fields);
                }
                Err(error) => _ = error.to_string(),
            }
        }
    }
});
