//! Program files: no bytes make reading or using one panic, and what is read is written as it was.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use teleprompt_core::{Candidate, LoadedProgram, Predictor, SavedProgram, SignatureSpec};

static SPECS: LazyLock<Vec<SignatureSpec>> = LazyLock::new(|| {
    let texts = ["question -> answer: int", "question -> query", "question, query -> answer"];
    texts.into_iter().filter_map(|text| SignatureSpec::parse(text).ok()).collect()
});

fuzz_target!(|bytes: &[u8]| {
    let Ok(mut saved) = SavedProgram::parse(bytes) else { return };
    let _ = LoadedProgram::new(&saved);
    for spec in SPECS.iter() {
        for key in saved.predictors() {
            let _ = LoadedProgram::with_signatures(&saved, [(key, spec.clone())]);
        }
        let program = Predictor::new(spec.clone());
        if let Ok(candidate) = saved.candidate(&program) {
            assert_eq!(
                saved.update(&program, &Candidate::default().with_instruction("self", "Changed.")).ok(),
                Some(())
            );
            assert_eq!(saved.update(&program, &candidate).ok(), Some(()));
            assert_eq!(saved.candidate(&program).ok(), Some(candidate));
        }
    }
    assert_eq!(SavedProgram::parse(saved.to_text().as_bytes()).ok(), Some(saved));
});
