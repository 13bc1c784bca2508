//! The text form of signatures: no text makes reading panic.
#![no_main]

use libfuzzer_sys::fuzz_target;
use teleprompt_core::SignatureSpec;

fuzz_target!(|text: &str| {
    match SignatureSpec::parse(text) {
        Ok(spec) => assert!(!spec.outputs().is_empty() && !spec.summary().is_empty()),
        Err(error) => _ = error.to_string(),
    }
});
