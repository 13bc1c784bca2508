//! Journals from elsewhere: no bytes, and no damage to a journal, make opening one panic. The fuzz target `journal` is the twin.
#![expect(clippy::unwrap_used, reason = "a test")]

use std::fs;
use std::path::Path;

use proptest::prelude::*;
use teleprompt_tpe::journal::{JournalError, JournalStudy};
use teleprompt_tpe::{Direction, Distribution, RandomSampler, SearchSpace};

fn open(path: &Path) -> Result<JournalStudy<RandomSampler>, JournalError> {
    let space = SearchSpace::builder()
        .param("rate", Distribution::log_float(1e-5, 1.0))
        .param("size", Distribution::indices(3))
        .build()
        .unwrap();
    JournalStudy::open(path, "study", space, RandomSampler, Direction::Maximize, 1)
}

/// Opens `bytes` as a journal and goes on with it, where it opens.
fn go_on(bytes: &[u8]) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("study.journal");
    fs::write(&path, bytes).unwrap();
    match open(&path) {
        Ok(mut study) => {
            let known = study.study().trials().len();
            if let Ok(trial) = study.ask() {
                study.tell(trial.number, 0.5).unwrap();
                assert_eq!(open(&path).unwrap().study().trials().len(), known + 1);
            }
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

/// A journal of two trials.
fn journal() -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("study.journal");
    let mut study = open(&path).unwrap();
    for score in [0.25, 0.75] {
        let trial = study.ask().unwrap();
        study.tell(trial.number, score).unwrap();
    }
    fs::read(&path).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_make_opening_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        go_on(&bytes);
    }

    #[test]
    fn no_damage_makes_opening_panic(at in any::<prop::sample::Index>(), byte in 32..127_u8, cut in any::<bool>()) {
        let mut bytes = journal();
        let at = at.index(bytes.len());
        if cut { bytes.truncate(at) } else { bytes[at] = byte }
        go_on(&bytes);
    }
}
