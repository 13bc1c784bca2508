//! Landscapes: the scores of many candidates of one program on many rows, recorded from a real model once and replayed
//! without it.
//!
//! A file under `xtask/landscapes` is JSON: what was recorded, then a matrix of one line for each candidate.
//!
//! ```text
//! "predictors": [{"name": "sort", "instructions": 6, "demo_sets": 6}]   how many choices there are; choice 0 is the program's own
//! "candidates": [[0, 0], [0, 1], ..]   instruction and demo set of the first predictor, then of the second, ..
//! "default":    0                      the program as it is, by its place among the candidates
//! "rows":       "vvv..ttt"             v: the search may look at the row; t: it is kept for the test
//! "gold":       [3, 0, ..]             the row's class, below `classes`; null where answers are no classes
//! "scores":     ["01-1..", ..]         a candidate's scores by row: digits, `-` for a cell that was not recorded,
//!               [[0.25, null, ..], ..] or numbers in [0, 1]
//! ```
//!
//! No text of the data is in it. Files come from outside: [`Landscape::read`] checks sizes, ranges and shapes.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::error::Error;

/// The version of the format.
pub(crate) const SCHEMA: &str = "teleprompt.landscape/1";

/// Most bytes of a file.
const MAX_BYTES: u64 = 16 << 20;
/// Most cells of a matrix.
const MAX_CELLS: usize = 4 << 20;
/// Most predictors of a program, and most choices of each kind for one predictor.
const MAX_PREDICTORS: usize = 16;
const MAX_CHOICES: usize = 1024;

/// A recorded matrix of scores, and what it was recorded of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Landscape {
    /// [`SCHEMA`].
    pub(crate) schema: String,
    /// The file's name without its ending.
    pub(crate) name: String,
    /// The task; the split into public and held-out is by task.
    pub(crate) task: String,
    /// Whether strategies may be tuned on it.
    pub(crate) role: Role,
    /// The model's identity.
    pub(crate) model: String,
    /// The form of the prompts: `plain`, `chat` or `json`.
    pub(crate) adapter: String,
    /// What a score is, such as `exact_match`.
    pub(crate) metric: String,
    /// How many classes the gold answers have; 0 where they are no classes.
    pub(crate) classes: usize,
    /// What can be chosen.
    pub(crate) predictors: Vec<Choices>,
    /// The index of the candidate that changes nothing.
    pub(crate) default: usize,
    /// One letter for each row: `v` or `t`.
    pub(crate) rows: String,
    /// The class of each row.
    pub(crate) gold: Vec<Option<usize>>,
    /// The choices of each candidate: (instruction, demo set) of each predictor, one after the other.
    pub(crate) candidates: Vec<Vec<usize>>,
    /// The scores of each candidate, by row.
    pub(crate) scores: Vec<Scores>,
}

/// Whether strategies may be tuned on a landscape.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Role {
    /// Look at it as often as you like.
    Public,
    /// For the last measurement alone.
    HeldOut,
}

/// How many choices one predictor has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Choices {
    /// The predictor's name.
    pub(crate) name: String,
    /// Instructions, the program's own first.
    pub(crate) instructions: usize,
    /// Demo sets, the program's own (mostly none) first.
    pub(crate) demo_sets: usize,
}

/// One candidate's scores.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum Scores {
    /// `0`, `1` and `-`.
    Digits(String),
    /// Numbers in `[0, 1]`, `None` for a cell that was not recorded.
    Numbers(Vec<Option<f64>>),
}

/// What a row is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RowRole {
    /// The search may run candidates on it.
    Val,
    /// For judging what the search returned.
    Test,
}

impl Scores {
    fn len(&self) -> usize {
        match self {
            Self::Digits(digits) => digits.len(),
            Self::Numbers(numbers) => numbers.len(),
        }
    }

    /// The score on a row, in `[0, 1]`; `None` where it was not recorded.
    fn get(&self, row: usize) -> Option<f64> {
        match self {
            Self::Digits(digits) => match digits.as_bytes().get(row) {
                Some(b'0') => Some(0.0),
                Some(b'1') => Some(1.0),
                _ => None,
            },
            Self::Numbers(numbers) => numbers.get(row).copied().flatten(),
        }
    }

    /// The shortest form: digits where every score is 0 or 1, else numbers of three decimals.
    #[cfg(any(test, feature = "record"))]
    pub(crate) fn of(scores: &[Option<f64>]) -> Self {
        let digit = |score: &Option<f64>| match score {
            None => Some('-'),
            Some(score) if *score == 0.0 => Some('0'),
            Some(score) if *score == 1.0 => Some('1'),
            Some(_) => None,
        };
        match scores.iter().map(digit).collect::<Option<String>>() {
            Some(digits) => Self::Digits(digits),
            None => {
                let short = |score: &Option<f64>| score.map(|score| (score * 1e3).round() / 1e3);
                Self::Numbers(scores.iter().map(short).collect())
            }
        }
    }
}

impl Landscape {
    /// Reads and checks a file.
    pub(crate) fn read(path: &Path) -> Result<Self, Error> {
        let mut text = String::new();
        let file = File::open(path).map_err(Error::file("read", path))?;
        file.take(MAX_BYTES + 1).read_to_string(&mut text).map_err(Error::file("read", path))?;
        Self::from_json(&text).map_err(|problem| Error::Content { file: path.display().to_string(), problem })
    }

    /// Reads and checks the text of a file; the error says what is wrong with it.
    pub(crate) fn from_json(text: &str) -> Result<Self, String> {
        if text.len() as u64 > MAX_BYTES {
            return Err(format!("a landscape has at most {MAX_BYTES} bytes"));
        }
        let read: Self =
            serde_json::from_str(text).map_err(|error| format!("this is no landscape: {error}"))?;
        read.check()?;
        Ok(read)
    }

    /// How many candidates there are.
    pub(crate) fn n_candidates(&self) -> usize {
        self.candidates.len()
    }

    /// How many rows there are.
    pub(crate) fn n_rows(&self) -> usize {
        self.rows.len()
    }

    /// The score of a candidate on a row, in `[0, 1]`; `None` where it was not recorded.
    pub(crate) fn score(&self, candidate: usize, row: usize) -> Option<f64> {
        self.scores.get(candidate)?.get(row)
    }

    /// The rows of a role, ascending.
    pub(crate) fn rows_of(&self, role: RowRole) -> Vec<usize> {
        let letter = match role {
            RowRole::Val => b'v',
            RowRole::Test => b't',
        };
        self.rows.bytes().enumerate().filter(|(_, of)| *of == letter).map(|(row, _)| row).collect()
    }

    /// A candidate's mean score over the recorded ones of `rows`; `None` when there are none.
    pub(crate) fn mean(&self, candidate: usize, rows: &[usize]) -> Option<f64> {
        let scores: Vec<f64> = rows.iter().filter_map(|&row| self.score(candidate, row)).collect();
        (!scores.is_empty()).then(|| scores.iter().sum::<f64>() / scores.len() as f64)
    }

    /// The text of a file: one line for each key and each candidate's scores.
    #[cfg(any(test, feature = "record"))]
    pub(crate) fn to_json(&self) -> Result<String, serde_json::Error> {
        let serde_json::Value::Object(fields) = serde_json::to_value(self)? else {
            return Ok(String::new());
        };
        let lines = fields.iter().map(|(key, value)| match value {
            serde_json::Value::Array(items) if key == "scores" => {
                let items: Vec<String> = items.iter().map(ToString::to_string).collect();
                format!("  \"{key}\": [\n    {}\n  ]", items.join(",\n    "))
            }
            value => format!("  \"{key}\": {value}"),
        });
        Ok(format!("{{\n{}\n}}\n", lines.collect::<Vec<_>>().join(",\n")))
    }

    /// Checks sizes, ranges and shapes; the error names the place.
    fn check(&self) -> Result<(), String> {
        let ensure = |holds: bool, problem: &dyn Fn() -> String| if holds { Ok(()) } else { Err(problem()) };
        ensure(self.schema == SCHEMA, &|| {
            format!("its schema is `{}`, this program reads `{SCHEMA}`", self.schema)
        })?;
        let (candidates, rows) = (self.n_candidates(), self.n_rows());
        ensure(candidates > 0 && rows > 0, &|| "it has no candidates or no rows".into())?;
        ensure(candidates.saturating_mul(rows) <= MAX_CELLS, &|| {
            format!("{candidates} candidates x {rows} rows are more than {MAX_CELLS} cells")
        })?;
        ensure((1..=MAX_PREDICTORS).contains(&self.predictors.len()), &|| {
            format!("it has {} predictors, not 1 to {MAX_PREDICTORS}", self.predictors.len())
        })?;
        let mut sizes = Vec::new();
        for choices in &self.predictors {
            for (what, size) in [("instructions", choices.instructions), ("demo sets", choices.demo_sets)] {
                ensure((1..=MAX_CHOICES).contains(&size), &|| {
                    format!("predictor `{}` has {size} {what}, not 1 to {MAX_CHOICES}", choices.name)
                })?;
                sizes.push(size);
            }
        }
        ensure(self.default < candidates, &|| {
            format!("the default is candidate {} of {candidates} (from 0)", self.default)
        })?;
        ensure(self.rows.bytes().all(|letter| matches!(letter, b'v' | b't')), &|| {
            "`rows` holds a letter other than v and t".into()
        })?;
        ensure(self.rows.contains('v'), &|| "no row is for the search".into())?;
        ensure(self.gold.len() == rows, &|| format!("{} gold classes for {rows} rows", self.gold.len()))?;
        for (row, class) in self.gold.iter().enumerate() {
            ensure(class.is_none_or(|class| class < self.classes), &|| {
                format!("row {row} is of class {class:?}, there are {} (from 0)", self.classes)
            })?;
        }
        let mut seen = BTreeSet::new();
        for (index, candidate) in self.candidates.iter().enumerate() {
            ensure(candidate.len() == sizes.len(), &|| {
                format!("candidate {index} makes {} choices, not {}", candidate.len(), sizes.len())
            })?;
            ensure(candidate.iter().zip(&sizes).all(|(choice, size)| choice < size), &|| {
                format!("candidate {index} makes a choice that there is not: {candidate:?}")
            })?;
            ensure(seen.insert(candidate), &|| format!("candidate {index} is there twice"))?;
        }
        ensure(self.scores.len() == candidates, &|| {
            format!("{} lines of scores for {candidates} candidates", self.scores.len())
        })?;
        for (index, scores) in self.scores.iter().enumerate() {
            ensure(scores.len() == rows, &|| {
                format!("candidate {index} has {} scores for {rows} rows", scores.len())
            })?;
            let fine = match scores {
                Scores::Digits(digits) => digits.bytes().all(|digit| matches!(digit, b'0' | b'1' | b'-')),
                Scores::Numbers(numbers) => numbers.iter().flatten().all(|score| (0.0..=1.0).contains(score)),
            };
            ensure(fine, &|| format!("candidate {index} has a score that is not in [0, 1]"))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn small() -> Landscape {
        Landscape {
            schema: SCHEMA.into(),
            name: "small-plain".into(),
            task: "small".into(),
            role: Role::HeldOut,
            model: "local/none".into(),
            adapter: "plain".into(),
            metric: "token_f1".into(),
            classes: 2,
            predictors: vec![Choices { name: "answer".into(), instructions: 2, demo_sets: 2 }],
            default: 0,
            rows: "vvt".into(),
            gold: vec![Some(0), None, Some(1)],
            candidates: vec![vec![0, 0], vec![1, 0], vec![1, 1]],
            scores: vec![
                Scores::of(&[Some(0.0), Some(1.0), None]),
                Scores::of(&[Some(1.0 / 3.0), None, Some(1.0)]),
                Scores::of(&[None, None, Some(0.0)]),
            ],
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let text = small().to_json().unwrap();
        assert!(text.contains("    \"01-\",\n    [0.333,null,1.0],\n    \"--0\"\n  ]"), "{text}");
        assert!(text.contains("\"role\": \"held_out\""), "{text}");
        let read = Landscape::from_json(&text).unwrap();
        assert_eq!(read, small());
        assert_eq!((read.n_candidates(), read.n_rows()), (3, 3));
        assert_eq!(read.rows_of(RowRole::Val), [0, 1]);
        assert_eq!(read.rows_of(RowRole::Test), [2]);
        assert_eq!((read.score(1, 0), read.score(1, 1), read.score(9, 0)), (Some(0.333), None, None));
        assert_eq!((read.mean(0, &[0, 1, 2]), read.mean(2, &[0, 1])), (Some(0.5), None));
    }

    #[test]
    fn what_is_wrong_is_named() {
        type Harm = fn(&mut Landscape);
        let cases: [(&str, Harm); 14] = [
            ("its schema is `x`", |l| l.schema = "x".into()),
            ("no candidates", |l| l.candidates.clear()),
            ("it has 0 predictors", |l| l.predictors.clear()),
            ("`answer` has 0 demo sets", |l| l.predictors[0].demo_sets = 0),
            ("the default is candidate 3 of 3", |l| l.default = 3),
            ("a letter other than", |l| l.rows = "vvé".into()),
            ("no row is for the search", |l| l.rows = "ttt".into()),
            ("2 gold classes for 3 rows", |l| l.gold.truncate(2)),
            ("row 2 is of class Some(2)", |l| l.gold[2] = Some(2)),
            ("candidate 1 makes 1 choices, not 2", |l| l.candidates[1].truncate(1)),
            ("candidate 2 makes a choice", |l| l.candidates[2][1] = 2),
            ("candidate 1 is there twice", |l| l.candidates[1] = vec![0, 0]),
            ("candidate 0 has 4 scores for 3 rows", |l| l.scores[0] = Scores::Digits("01-1".into())),
            ("candidate 0 has a score", |l| l.scores[0] = Scores::Numbers(vec![Some(1.5), None, None])),
        ];
        for (problem, harm) in cases {
            let mut landscape = small();
            harm(&mut landscape);
            let error = Landscape::from_json(&landscape.to_json().unwrap()).unwrap_err();
            assert!(error.contains(problem), "`{error}` does not say `{problem}`");
        }
        for text in ["", "[]", "{\"schema\": 1}", "{\"schema\": \"teleprompt.landscape/1\", \"more\": 2}"] {
            assert!(Landscape::from_json(text).unwrap_err().starts_with("this is no landscape"));
        }
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let error = Landscape::read(Path::new("nowhere/x.json")).unwrap_err();
        assert!(error.to_string().contains("nowhere/x.json"), "{error}");
    }
}
