//! Cassettes from elsewhere: no bytes, and no damage to a cassette, make loading one panic. The fuzz target `cassette` is the
//! twin.
#![expect(clippy::unwrap_used, reason = "a test")]

use std::fs;

use futures::executor::block_on;
use proptest::prelude::*;
use teleprompt_core::lm::{Lm, LmRequest, Message};
use teleprompt_lm::{Cassette, Recorder};
use teleprompt_testkit::ScriptedLm;

/// Loads `bytes` as a cassette; every model that it names is there.
fn load(bytes: &[u8]) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.jsonl");
    fs::write(&path, bytes).unwrap();
    match Cassette::load(&path) {
        Ok(cassette) => cassette.models().for_each(|model| assert!(cassette.model(model).is_ok())),
        Err(error) => assert!(error.to_string().contains("run.jsonl"), "{error}"),
    }
}

/// A cassette of two answers.
fn cassette() -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.jsonl");
    let lm = Recorder::open(&path).unwrap().wrap(ScriptedLm::new(|_| "an answer")).unwrap();
    for text in ["one", "two"] {
        block_on(lm.generate(&LmRequest::new(vec![Message::user(text)]))).unwrap();
    }
    fs::read(&path).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_make_loading_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        load(&bytes);
    }

    #[test]
    fn no_damage_makes_loading_panic(at in any::<prop::sample::Index>(), byte in 32..127_u8, cut in any::<bool>()) {
        let mut bytes = cassette();
        let at = at.index(bytes.len());
        if cut { bytes.truncate(at) } else { bytes[at] = byte }
        load(&bytes);
    }
}
