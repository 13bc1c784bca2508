//! Journals that went through Optuna's hands: define-by-run studies, and one of ours that it went on with.
//!
//! `cargo xtask golden` has `ours_is_written` write a journal, has a pinned Optuna go on with it, and keeps the result in
//! `golden/continued.journal`. Without Python everything here is checked against the files as they stand.

#![expect(clippy::unwrap_used, reason = "a failed step is a failed test")]

use std::fs;
use std::path::{Path, PathBuf};

use teleprompt_tpe::journal::JournalStudy;
use teleprompt_tpe::{
    Choice, Direction, Distribution, Observation, Outcome, ParamValue, QuasiRandomSampler, SearchSpace,
    SearchSpaceBuilder, TpeSampler, Values,
};

/// The space of our journal.
fn space() -> SearchSpace {
    SearchSpace::builder()
        .param("x", Distribution::float(0.0, 1.0))
        .param("kind", Distribution::categorical(["a".into(), Choice::Null, true.into(), Choice::Float(2.5)]))
        .param_when("k", Distribution::log_int(1, 9), "kind", [0])
        .param("grid", Distribution::stepped_float(0.0, 1.0, 0.25))
        .build()
        .unwrap()
}

/// What trial `number` of our journal came to.
fn outcome(number: u64, values: &Values) -> Outcome {
    let loss = values.float("x").unwrap() + values.float("grid").unwrap();
    match number {
        3 | 11 => Outcome::Failed,
        5 | 13 => Outcome::Pruned,
        7 => Observation::new(-1.0).with_violation(0.5).into(),
        9 => Observation::new(loss).with_variance(0.25).with_count(4).into(),
        _ => loss.into(),
    }
}

/// Writes our journal: 22 trials that are finished, one that runs and one that waits.
fn write(path: &Path) {
    let open = || {
        let sampler = QuasiRandomSampler;
        JournalStudy::open(path, "ours", space(), sampler, Direction::Minimize, 5).unwrap()
    };
    let mut journal = open();
    for round in 0..22 {
        if round == 10 {
            journal = open();
        }
        let trial = journal.ask().unwrap();
        journal.tell(trial.number, outcome(trial.number, &trial.values)).unwrap();
    }
    journal.ask().unwrap();
    let waiting =
        [("x", ParamValue::Float(0.125)), ("kind", ParamValue::Choice(1)), ("grid", ParamValue::Float(0.5))];
    journal.enqueue(&space().values(waiting).unwrap()).unwrap();
}

/// A copy of a golden journal.
fn golden(name: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    fs::copy(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name), &path).unwrap();
    (folder, path)
}

#[test]
fn ours_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = std::env::var_os("TELEPROMPT_JOURNAL").map_or(folder.path().join("ours"), PathBuf::from);
    drop(fs::remove_file(&path));
    write(&path);
    let text = fs::read_to_string(&path).unwrap();
    assert_eq!(text.lines().filter(|line| line.contains("\"op_code\":4")).count(), 24);
}

#[test]
fn what_optuna_added_to_ours_counts() {
    let (folder, path) = golden("continued.journal");
    let ours = folder.path().join("ours");
    write(&ours);
    let open = |path: &Path| {
        JournalStudy::open(path, "ours", space(), TpeSampler::default(), Direction::Minimize, 5).unwrap()
    };
    let (before, mut after) = (open(&ours), open(&path));
    // Our trials came back as they were.
    assert_eq!(before.study().trials().len(), 22);
    for trial in before.study().trials() {
        assert_eq!(after.study().trial(trial.number), Some(trial));
    }
    let running: Vec<u64> = after.study().pending().iter().map(|trial| trial.number).collect();
    assert_eq!(running, [22]);
    // Optuna ended the trial that we left waiting, and eleven of its own.
    assert_eq!(after.study().trials().len(), 34);
    let waited = after.study().trial(23).unwrap();
    assert_eq!((waited.values.float("x"), waited.value()), (Some(0.125), Some(0.625)));
    let theirs = || after.study().trials().filter(|trial| trial.number > 23);
    assert_eq!(theirs().filter(|trial| trial.outcome == Outcome::Pruned).count(), 1);
    assert_eq!(theirs().filter(|trial| trial.outcome == Outcome::Failed).count(), 1);
    for trial in theirs().filter(|trial| trial.value().is_some()) {
        let off = trial.values.int("k").map_or(0, |k| (k - 5).abs()) as f64;
        let (x, grid) = (trial.values.float("x").unwrap(), trial.values.float("grid").unwrap());
        assert!((trial.value().unwrap() - (x + off + grid)).abs() < 1e-12);
    }
    // And we go on in turn, first with what Optuna left waiting.
    let next = after.ask().unwrap();
    assert_eq!((next.number, next.values.float("x"), next.values.choice("kind")), (35, Some(0.5), Some(2)));
    after.tell(next.number, -3.0).unwrap();
    assert_eq!(open(&path).study().best().unwrap().number, 35);
}

#[test]
fn a_define_by_run_study_gives_the_trials_that_fit_the_space() {
    let (_folder, path) = golden("define_by_run.journal");
    let numbers = |builder: SearchSpaceBuilder| -> Vec<u64> {
        let space = builder.build().unwrap();
        let journal = JournalStudy::open(&path, "s", space, TpeSampler::default(), Direction::Minimize, 1);
        let journal = journal.unwrap();
        for trial in journal.study().trials() {
            assert!(trial.value().unwrap() > 0.0, "{trial:?}");
        }
        journal.study().trials().map(|trial| trial.number).collect()
    };
    let models = || Distribution::categorical(["linear", "trees"]);
    let common = |most: f64, depth: i64| {
        SearchSpace::builder()
            .param("rate", Distribution::log_float(1e-4, most))
            .param("model", models())
            .param_when("depth", Distribution::int(1, depth), "model", [1])
    };
    // What all trials have: ranges are those of the last trials, and what came and went is passed over.
    assert_eq!(numbers(common(1.0, 8)), (0..18).collect::<Vec<_>>());
    // A parameter that came late, or was given up.
    assert_eq!(
        numbers(common(1.0, 8).param("late", Distribution::stepped_float(0.0, 1.0, 0.25))),
        [12, 13, 14, 15, 16, 17]
    );
    assert_eq!(numbers(common(1.0, 8).param("gone", Distribution::float(0.0, 1.0))), [0, 1, 2, 3, 4, 5]);
    // The ranges of the first trials: later ones count where their values lie within.
    let early = numbers(common(1e-2, 4));
    assert!(early.starts_with(&[0, 1, 2, 3, 4, 5, 6, 7]) && early.len() < 18, "{early:?}");
    // A parameter that was asked for under a choice only is missing elsewhere.
    let always = SearchSpace::builder().param("model", models()).param("depth", Distribution::int(1, 8));
    assert_eq!(numbers(always), [1, 3, 5, 7, 9, 11, 13, 15, 17]);
    // Another kind of parameter under an old name fits nothing.
    assert_eq!(numbers(SearchSpace::builder().param("rate", Distribution::indices(3))), Vec::<u64>::new());
}
