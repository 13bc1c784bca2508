//! Cells and their journal: what came of each run, one file a cell, so that a finished cell is not run again.
//!
//! A file has the cell's *terms* in its name: everything that it was given, but for the server's address. So a quick run, other
//! rows or another model leave the cells of a full run alone. Terms do not know the optimizer's code: after a change to one, its
//! files are to be deleted. A cell whose file cannot be read is run again.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::work::{Optimizer, Work};
use crate::error::Error;

/// The form of the files.
const SCHEMA: u32 = 1;
/// Larger files are not ours.
const MAX_BYTES: u64 = 1 << 20;

/// One optimizer on one task with one seed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Cell {
    pub(crate) task: String,
    pub(crate) optimizer: Optimizer,
    pub(crate) seed: u64,
}

impl Cell {
    /// For people, and for `--cases`.
    pub(crate) fn name(&self) -> String {
        format!("{}, {}, seed {}", self.task, self.optimizer.key(), self.seed)
    }

    fn file(&self, terms: &str) -> String {
        // A task is named as its folder, whatever that holds.
        let plain = |c: char| if c.is_alphanumeric() { c } else { '-' };
        let task: String = self.task.chars().map(plain).collect();
        format!("{task}.{}.{}.{terms}.json", self.optimizer.key(), self.seed)
    }
}

/// What came of a cell.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Outcome {
    Finished(Figures),
    /// It ended in an exception: which.
    Failed(String),
    /// It was not done within so many seconds.
    LateBeyond(u64),
}

impl Outcome {
    /// Why there are no figures.
    pub(crate) fn ended(&self) -> Option<String> {
        match self {
            Self::Finished(_) => None,
            Self::Failed(reason) => Some(reason.clone()),
            Self::LateBeyond(seconds) => Some(format!("not done within {} minutes", seconds.div_ceil(60))),
        }
    }

    /// Whether it could be another one with so many seconds.
    fn was_late(&self, limit: Duration) -> bool {
        matches!(self, Self::LateBeyond(seconds) if *seconds < limit.as_secs())
    }
}

/// What was measured of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Figures {
    /// For each test row 1 where the answer was right, else 0.
    pub(crate) scores: Vec<f64>,
    /// Test rows without an answer that could be read.
    pub(crate) unread: usize,
    /// Of the optimization, not of the test, as all below.
    pub(crate) calls: u64,
    pub(crate) tokens_in: u64,
    pub(crate) tokens_out: u64,
    /// Requests that the server refused, such as a prompt that is too long.
    pub(crate) refused: u64,
    /// On the wall.
    pub(crate) seconds: f64,
    /// Processor time of the optimizer's process, without the server's; `None` where the system does not tell.
    pub(crate) cpu_seconds: Option<f64>,
    /// The most resident memory of the optimizer's process since its start.
    pub(crate) peak_mib: Option<f64>,
}

impl Figures {
    /// The share of test rows that were answered rightly.
    pub(crate) fn accuracy(&self) -> f64 {
        self.scores.iter().sum::<f64>() / self.scores.len().max(1) as f64
    }
}

/// Versions by name.
pub(crate) type Versions = BTreeMap<String, String>;

/// A cell's file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Kept {
    schema: u32,
    pub(crate) cell: Cell,
    terms: String,
    /// Of the optimizer and of the server, by name.
    pub(crate) versions: Versions,
    pub(crate) outcome: Outcome,
}

impl Kept {
    pub(crate) fn new(cell: Cell, terms: &str, versions: Versions, outcome: Outcome) -> Self {
        Self { schema: SCHEMA, cell, terms: terms.to_owned(), versions, outcome }
    }
}

/// What a cell is given and tested on, as a number: equal for equal terms.
pub(crate) fn terms(work: &Work, test: &[super::work::Row]) -> String {
    // Serializing plain data with string keys cannot fail.
    let text = serde_json::to_string(&(work, test)).unwrap_or_default();
    let fnv = text
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3));
    format!("{fnv:016x}")
}

/// The folder with the files.
#[derive(Debug)]
pub(crate) struct Journal {
    folder: PathBuf,
}

impl Journal {
    /// Opens the folder, made if absent.
    pub(crate) fn open(folder: PathBuf) -> Result<Self, Error> {
        fs::create_dir_all(&folder).map_err(Error::file("make the folder", &folder))?;
        Ok(Self { folder })
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// What is known of a cell under these terms; not that it was late, where it may take longer now. A file that cannot be
    /// read is told of, and counts as none.
    pub(crate) fn get(&self, cell: &Cell, terms: &str, limit: Duration) -> Option<Kept> {
        let path = self.folder.join(cell.file(terms));
        let kept = match read(&path) {
            Ok(kept) => kept?,
            Err(problem) => {
                eprintln!("task: `{}` is run again: `{}`: {problem}", cell.name(), path.display());
                return None;
            }
        };
        (kept.cell == *cell && kept.terms == terms && !kept.outcome.was_late(limit)).then_some(kept)
    }

    /// Keeps a cell; its file is whole or not there.
    pub(crate) fn keep(
        &self,
        cell: &Cell,
        terms: &str,
        versions: Versions,
        outcome: Outcome,
    ) -> Result<Kept, Error> {
        let kept = Kept::new(cell.clone(), terms, versions, outcome);
        let path = self.folder.join(cell.file(terms));
        let part = path.with_extension("part");
        let text = serde_json::to_string_pretty(&kept).unwrap_or_default() + "\n";
        fs::write(&part, text).map_err(Error::file("write", &part))?;
        fs::rename(&part, &path).map_err(Error::file("write", &path))?;
        Ok(kept)
    }
}

fn read(path: &Path) -> Result<Option<Kept>, String> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.to_string()),
    };
    let mut text = String::new();
    file.take(MAX_BYTES).read_to_string(&mut text).map_err(|error| error.to_string())?;
    let kept: Kept = serde_json::from_str(&text).map_err(|error| error.to_string())?;
    let unit = |score: &f64| (0.0..=1.0).contains(score);
    match &kept.outcome {
        _ if kept.schema != SCHEMA => Err(format!("schema {}, not {SCHEMA}", kept.schema)),
        Outcome::Finished(figures) if !figures.scores.iter().all(unit) => {
            Err("a score is not in [0, 1]".to_owned())
        }
        _ => Ok(Some(kept)),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::super::work::{Scale, rows, tests::sample};
    use super::*;

    pub(crate) fn figures(scores: &[f64]) -> Figures {
        Figures {
            scores: scores.to_vec(),
            unread: 0,
            calls: 300,
            tokens_in: 60_000,
            tokens_out: 5_000,
            refused: 0,
            seconds: 90.0,
            cpu_seconds: Some(1.5),
            peak_mib: Some(20.0),
        }
    }

    fn journal(name: &str) -> Journal {
        let folder = std::env::temp_dir().join(format!("teleprompt-task-{name}-{}", std::process::id()));
        drop(fs::remove_dir_all(&folder));
        Journal::open(folder).unwrap()
    }

    const LIMIT: Duration = Duration::from_secs(60);

    fn cell() -> Cell {
        Cell { task: "my questions".into(), optimizer: Optimizer::Adaptive, seed: 2 }
    }

    #[test]
    fn a_finished_cell_is_found_again() {
        let journal = journal("found");
        assert_eq!(journal.get(&cell(), "a", LIMIT), None);
        for outcome in
            [Outcome::Finished(figures(&[1.0, 0.0])), Outcome::Failed("ValueError: no answer".into())]
        {
            let kept = journal.keep(&cell(), "a", Versions::new(), outcome).unwrap();
            assert_eq!(journal.get(&cell(), "a", LIMIT), Some(kept));
        }
        assert_eq!(journal.get(&Cell { seed: 3, ..cell() }, "a", LIMIT), None);
        assert_eq!(journal.get(&cell(), "b", LIMIT), None, "other terms");
        let files: Vec<_> =
            fs::read_dir(journal.folder()).unwrap().flatten().map(|f| f.file_name()).collect();
        assert_eq!(files, ["my-questions.adaptive.2.a.json"]);
    }

    #[test]
    fn a_cell_that_was_late_has_another_chance_with_more_time() {
        let journal = journal("late");
        let late = journal.keep(&cell(), "a", Versions::new(), Outcome::LateBeyond(60)).unwrap();
        assert_eq!(journal.get(&cell(), "a", LIMIT), Some(late));
        assert_eq!(journal.get(&cell(), "a", 2 * LIMIT), None);
    }

    #[test]
    fn a_file_that_is_broken_is_no_cell() {
        let journal = journal("broken");
        journal.keep(&cell(), "a", Versions::new(), Outcome::Finished(figures(&[1.0]))).unwrap();
        let path = journal.folder().join(cell().file("a"));
        let whole = fs::read_to_string(&path).unwrap();
        assert!(journal.get(&cell(), "a", LIMIT).is_some());
        for text in [
            "",
            "{}",
            &whole[..whole.len() / 2],
            &whole.replace("\"schema\": 1", "\"schema\": 9"),
            &whole.replace("1.0\n", "7.5\n"),
        ] {
            fs::write(&path, text).unwrap();
            assert_eq!(journal.get(&cell(), "a", LIMIT), None, "{text}");
        }
        fs::write(&path, [0xff, 0xfe]).unwrap();
        assert_eq!(journal.get(&cell(), "a", LIMIT), None);
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        assert_eq!(journal.get(&cell(), "a", LIMIT), None, "a folder in its place");
    }

    #[test]
    fn terms_are_what_the_cell_was_given() {
        let task = sample();
        let of =
            |seed| terms(&Work::new(&task, Scale::quick(16), Optimizer::Adaptive, seed), &rows(&task.test));
        assert_eq!(of(1), of(1));
        assert_ne!(of(1), of(2));
        let work = Work::new(&task, Scale::full(16), Optimizer::Adaptive, 1);
        assert_ne!(of(1), terms(&work, &rows(&task.test)));
        let work = Work::new(&task, Scale::quick(16), Optimizer::Adaptive, 1);
        assert_ne!(of(1), terms(&work, &rows(&task.test[1..])));
    }
}
