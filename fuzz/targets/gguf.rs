//! Weights of the embedded model: no file makes loading panic or take the memory of the machine.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use teleprompt_lm::local::{LocalLm, WeightsSource};
use tempfile::TempDir;

static FOLDER: LazyLock<Option<TempDir>> = LazyLock::new(|| tempfile::tempdir().ok());

// Loading catches the panics of the readers below it and makes them errors, as it is meant to: the hook that ends the process at
// every panic is taken off. One that is not caught still ends it.
fuzz_target!(init: drop(std::panic::take_hook()), |bytes: &[u8]| {
    let Some(folder) = FOLDER.as_ref() else { return };
    let path = folder.path().join("model.gguf");
    if std::fs::write(&path, bytes).is_err() {
        return;
    }
    let load = LocalLm::builder().weights(WeightsSource::Path(path)).workers(1).prefix_cache_bytes(0);
    if let Err(error) = load.load_blocking() {
        let _ = error.to_string();
    }
});
