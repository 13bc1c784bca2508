//! Weights from elsewhere: no bytes, and no damage to a model's file, make loading one panic. The fuzz target `gguf` is the twin.
//!
//! Only the header and the metadata are damaged: what follows are the numbers of the tensors, and any number will do there.

use std::fs;
use std::sync::LazyLock;

use proptest::prelude::*;

use super::{LocalError, LocalLm, WeightsSource, fixture};

/// A whole model.
static MODEL: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let folder = tempfile::tempdir().unwrap();
    fs::read(fixture::write(folder.path(), 1)).unwrap()
});

/// Where its tensors begin, roughly: behind the name of the last one.
static HEAD: LazyLock<usize> = LazyLock::new(|| {
    let last = b"output_norm.weight";
    MODEL.windows(last.len()).rposition(|window| window == last).unwrap() + 64
});

/// Loads `bytes` as a model, which is an error of the file or none.
fn load(bytes: &[u8]) -> Result<(), LocalError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.gguf");
    fs::write(&path, bytes).unwrap();
    let loaded = LocalLm::builder().weights(WeightsSource::Path(path)).workers(1).load_blocking();
    if let Err(error) = &loaded {
        assert!(error.to_string().contains("model.gguf"), "{error}");
        assert!(!matches!(error, LocalError::Interrupted), "{error}");
    }
    loaded.map(drop)
}

#[test]
fn the_whole_file_loads() {
    load(&MODEL).unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_make_loading_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = load(&[&MODEL[..24], &bytes].concat());
        prop_assert!(load(&bytes).is_err());
    }

    #[test]
    fn no_damage_makes_loading_panic(
        at in any::<prop::sample::Index>(),
        bytes in prop::collection::vec(prop_oneof![Just(0), Just(0xff), any::<u8>()], 1..9),
        cut in any::<bool>(),
    ) {
        let at = at.index(*HEAD);
        let mut model = MODEL.clone();
        if cut { model.truncate(at) } else { model[at..at + bytes.len()].copy_from_slice(&bytes) }
        let loaded = load(&model);
        prop_assert!(!cut || loaded.is_err());
    }
}
