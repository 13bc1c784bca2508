//! Recorded answers: no file makes loading panic.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use teleprompt_lm::Cassette;
use tempfile::TempDir;

static FOLDER: LazyLock<Option<TempDir>> = LazyLock::new(|| tempfile::tempdir().ok());

fuzz_target!(|bytes: &[u8]| {
    let Some(folder) = FOLDER.as_ref() else { return };
    let path = folder.path().join("run.jsonl");
    if std::fs::write(&path, bytes).is_err() {
        return;
    }
    match Cassette::load(&path) {
        Ok(cassette) => cassette.models().for_each(|model| assert!(cassette.model(model).is_ok())),
        Err(error) => _ = error.to_string(),
    }
});
