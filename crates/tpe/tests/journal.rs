//! Studies in journals: Optuna's files, several writers, crashes.

#![expect(clippy::unwrap_used, reason = "a failed step is a failed test")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use teleprompt_tpe::journal::{JournalError, JournalStudy};
use teleprompt_tpe::{
    Choice, Direction, Distribution, Error, Observation, Outcome, RandomSampler, SearchSpace, Study,
    TpeConfig, TpeSampler,
};

fn space() -> SearchSpace {
    SearchSpace::builder()
        .param("x", Distribution::float(0.0, 1.0))
        .param("kind", Distribution::categorical([Choice::Null, Choice::Float(2.5), "a".into(), true.into()]))
        .param("k", Distribution::log_int(1, 9))
        .build()
        .unwrap()
}

fn open(path: &Path, name: &str, seed: u64) -> Result<JournalStudy<TpeSampler>, JournalError> {
    let sampler = TpeSampler::new(TpeConfig { n_startup_trials: 5, ..TpeConfig::default() })?;
    JournalStudy::open(path, name, space(), sampler, Direction::Minimize, seed)
}

/// A copy of the journal that Optuna wrote (`xtask/golden/journals.py`).
fn golden(folder: &Path) -> std::path::PathBuf {
    let path = folder.join("optuna.journal");
    fs::write(&path, include_bytes!("golden/optuna.journal")).unwrap();
    path
}

#[test]
fn a_journal_of_optuna_is_read_and_continued() {
    let folder = tempfile::tempdir().unwrap();
    let path = golden(folder.path());
    let mut journal = open(&path, "s", 0).unwrap();
    // Trials 6 and 7: one waiting, the other popped by `ask` and running. Trial 8: only `x`, so not of this
    // space.
    let outcomes: Vec<_> = journal.study().trials().map(|t| (t.number, t.value().is_some())).collect();
    assert_eq!(outcomes, [(0, true), (1, false), (2, true), (3, false), (4, true), (5, true)]);
    let pruned: Vec<_> =
        journal.study().trials().filter(|t| t.outcome == Outcome::Pruned).map(|t| t.number).collect();
    assert_eq!(pruned, [1]);
    for trial in journal.study().trials().filter(|trial| trial.value().is_some()) {
        let (x, k) = (trial.values.float("x").unwrap(), trial.values.int("k").unwrap());
        let null = trial.values.choice("kind") == Some(0);
        assert_eq!(trial.value(), Some(x + k as f64 + f64::from(u8::from(null))));
    }
    assert_eq!(journal.study().pending().iter().map(|trial| trial.number).collect::<Vec<_>>(), [6]);

    let waiting = journal.ask().unwrap();
    assert_eq!((waiting.number, waiting.values.float("x")), (7, Some(0.75)), "what is open is suggested");
    let trial = journal.ask().unwrap();
    assert_eq!(trial.number, 9);
    journal.tell(9, Observation::new(-1.0).with_variance(0.25).with_count(4)).unwrap();
    journal.tell(6, Outcome::Failed).unwrap();
    let again = open(&path, "s", 0).unwrap();
    assert_eq!(again.study().state(), journal.study().state());
    assert_eq!(again.study().best().unwrap().number, 9);
    let other = SearchSpace::builder().param("y", Distribution::float(0.0, 1.0)).build().unwrap();
    let other = JournalStudy::open(&path, "other", other, RandomSampler, Direction::Maximize, 0).unwrap();
    assert_eq!(other.study().trials().len(), 2);
}

#[test]
fn a_journal_gives_the_trials_of_a_study_in_memory_through_any_number_of_restarts() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    let sampler = TpeSampler::new(TpeConfig { n_startup_trials: 5, ..TpeConfig::default() }).unwrap();
    let mut memory = Study::new(space(), sampler, Direction::Minimize, 3);
    let mut journal = open(&path, "s", 3).unwrap();
    let known = memory.problem().space.clone().values([
        ("x", 0.1_f64.into()),
        ("kind", teleprompt_tpe::ParamValue::Choice(3)),
        ("k", 9_i64.into()),
    ]);
    let known = known.unwrap();
    memory.add_trial(&known, Observation::new(0.5).with_count(7)).unwrap();
    journal.add_trial(&known, Observation::new(0.5).with_count(7)).unwrap();
    for round in 1..40 {
        if round % 7 == 0 {
            journal = open(&path, "s", 3).unwrap();
        }
        let (a, b) = (memory.ask().unwrap(), journal.ask().unwrap());
        assert_eq!(a, b);
        let outcome = match round % 6 {
            0 => continue,
            1 => Outcome::Failed,
            2 => Outcome::Pruned,
            3 => Observation::new(-1.0).with_violation(0.5).into(),
            _ => (a.values.float("x").unwrap() / 3.0).into(),
        };
        memory.tell(a.number, outcome).unwrap();
        journal.tell(b.number, outcome).unwrap();
    }
    assert_eq!(open(&path, "s", 3).unwrap().study().state(), memory.state());
}

#[test]
fn enqueued_trials_are_asked_first_by_whoever_asks() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    let (mut one, mut other) = (open(&path, "s", 1).unwrap(), open(&path, "s", 1).unwrap());
    let values = |x: f64, kind| {
        let kind = teleprompt_tpe::ParamValue::Choice(kind);
        space().values([("x", x.into()), ("kind", kind), ("k", 3_i64.into())]).unwrap()
    };
    let queue = [values(0.125, 0), values(0.5, 1), values(0.75, 3)];
    for values in &queue {
        one.enqueue(values).unwrap();
    }
    assert!(one.study().pending().is_empty() && one.study().trials().len() == 0);
    let asked = [other.ask().unwrap(), one.ask().unwrap(), other.ask().unwrap()];
    assert_eq!(asked.each_ref().map(|trial| trial.number), [0, 1, 2]);
    assert_eq!(asked.each_ref().map(|trial| &trial.values), queue.each_ref());
    assert_eq!(one.ask().unwrap().number, 3);
    other.tell(1, 1.0).unwrap();
    assert_eq!(open(&path, "s", 1).unwrap().study().pending().len(), 3);
}

#[test]
fn several_writers_share_one_study() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    let numbers: Vec<u64> = std::thread::scope(|scope| {
        let worker = || {
            let mut journal = open(&path, "s", 8).unwrap();
            let mut numbers = Vec::new();
            for _ in 0..8 {
                let trial = journal.ask().unwrap();
                journal.tell(trial.number, trial.values.float("x").unwrap()).unwrap();
                numbers.push(trial.number);
            }
            numbers
        };
        let workers: Vec<_> = (0..4).map(|_| scope.spawn(worker)).collect();
        workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
    });
    assert_eq!(numbers.into_iter().collect::<BTreeSet<_>>(), (0..32).collect());
    let journal = open(&path, "s", 8).unwrap();
    assert_eq!(journal.study().trials().len(), 32);
    assert!(journal.study().pending().is_empty());
}

#[test]
fn a_journal_cut_anywhere_opens() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    let whole = include_bytes!("golden/optuna.journal");
    for end in (0..whole.len()).step_by(97) {
        fs::write(&path, &whole[..end]).unwrap();
        let mut journal = open(&path, "s", 1).unwrap();
        let trial = journal.ask().unwrap();
        journal.tell(trial.number, 1.0).unwrap();
        assert_eq!(open(&path, "s", 1).unwrap().study().state(), journal.study().state());
    }
}

#[test]
fn misuse_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = golden(folder.path());
    let before = fs::read(&path).unwrap();
    let mut journal = open(&path, "s", 1).unwrap();
    assert!(matches!(journal.tell(0, 1.0), Err(JournalError::Study(Error::AlreadyFinished { number: 0 }))));
    assert!(matches!(journal.tell(50, 1.0), Err(JournalError::Study(Error::UnknownTrial { number: 50 }))));
    assert!(matches!(journal.tell(6, f64::NAN), Err(JournalError::Study(Error::Observation { .. }))));
    assert!(matches!(open(&path, "other", 1), Err(JournalError::Direction { found }) if found == [2]));
    assert_eq!(fs::read(&path).unwrap(), before, "nothing was written");

    let delete = br#"{"op_code":1,"worker_id":"w","study_id":1}"#;
    fs::write(&path, [&before[..], delete, b"\n"].concat()).unwrap();
    assert!(matches!(journal.ask(), Err(JournalError::Deleted)));
    fs::write(&path, [&before[..], b"no record\n"].concat()).unwrap();
    assert!(matches!(open(&path, "s", 1), Err(JournalError::Line { .. })));
}
