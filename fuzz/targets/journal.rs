//! Journals of studies: no file makes opening panic, and one that opens can be gone on with.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use teleprompt_tpe::journal::JournalStudy;
use teleprompt_tpe::{Direction, Distribution, RandomSampler, SearchSpace};
use tempfile::TempDir;

static FOLDER: LazyLock<Option<TempDir>> = LazyLock::new(|| tempfile::tempdir().ok());
static SPACE: LazyLock<Option<SearchSpace>> = LazyLock::new(|| {
    SearchSpace::builder()
        .param("rate", Distribution::log_float(1e-5, 1.0))
        .param("size", Distribution::indices(3))
        .build()
        .ok()
});

fuzz_target!(|bytes: &[u8]| {
    let (Some(folder), Some(space)) = (FOLDER.as_ref(), SPACE.as_ref()) else { return };
    let path = folder.path().join("study.journal");
    if std::fs::write(&path, bytes).is_err() {
        return;
    }
    match JournalStudy::open(&path, "fuzz", space.clone(), RandomSampler, Direction::Maximize, 1) {
        Ok(mut study) => {
            let _ = study.study().best();
            let _ = study.ask();
        }
        Err(error) => _ = error.to_string(),
    }
});
