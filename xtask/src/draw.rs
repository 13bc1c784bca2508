//! Draws tasks for the families `propose` and `task` of `cargo xtask bench` from data sets that the project does not contain:
//! some rows of each class, by seed, so that anyone who has the data gets the same ones.
//!
//! ```text
//!   --data FOLDER/banking77/*.csv, FOLDER/scone/train/*.csv ─▶ target/bench/data/NAME/{train,validation,test}.jsonl, instruction.txt
//! ```
//!
//! A row's place in the draw is a hash of the seed and of the row itself: the order of a file does not matter. No input is
//! drawn twice.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde_json::{Map, Value};

use crate::csv::Table;
use crate::error::Error;
use crate::workspace::Workspace;

/// Options of `cargo xtask draw`.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct Options {
    /// What to draw; without it, all that can be drawn is listed.
    #[arg(requires = "data")]
    name: Option<String>,
    /// The folder with the data sets, such as `banking77/train.csv`.
    #[arg(long, value_name = "FOLDER")]
    data: Option<PathBuf>,
    /// Other rows for another seed.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// The folder to write; `target/bench/data/NAME` otherwise.
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
}

/// A task that can be drawn.
#[derive(Debug)]
struct Draw {
    name: &'static str,
    /// What a user would begin with.
    instruction: &'static str,
    /// The fields of a row, the answer last.
    fields: &'static [&'static str],
    /// The classes: as the files write them, and as the task does.
    answers: &'static [(&'static str, &'static str)],
    /// Splits with the files that they are drawn from.
    parts: &'static [Part],
    /// Rows of each class in each split.
    rows: [usize; 3],
}

/// Splits that share files.
#[derive(Debug)]
struct Part {
    /// Indices among [`SPLITS`].
    splits: &'static [usize],
    /// Each with the columns of the fields.
    files: &'static [(&'static str, &'static [&'static str])],
}

const SPLITS: [&str; 3] = ["train", "validation", "test"];

const BANKING: &[Part] = &[
    Part { splits: &[0, 1], files: &[("banking77/train.csv", &["text", "category"])] },
    Part { splits: &[2], files: &[("banking77/test.csv", &["text", "category"])] },
];

/// Sentence pairs without negation, and with one negation in scope.
const SCONE: &[Part] = &[Part {
    splits: &[0, 1, 2],
    files: &[
        ("scone/train/no_negation.csv", &["sentence1_edited", "sentence2_edited", "gold_label_edited"]),
        ("scone/train/one_scoped.csv", &["sentence1", "sentence2", "gold_label"]),
    ],
}];

const DRAWS: [Draw; 3] = [
    Draw {
        name: "banking77-10",
        instruction: "Say which intent the bank customer's message has.",
        fields: &["text", "category"],
        answers: &[
            ("card_arrival", "card_arrival"),
            ("card_not_working", "card_not_working"),
            ("cash_withdrawal_charge", "cash_withdrawal_charge"),
            ("change_pin", "change_pin"),
            ("declined_transfer", "declined_transfer"),
            ("exchange_rate", "exchange_rate"),
            ("lost_or_stolen_card", "lost_or_stolen_card"),
            ("pending_top_up", "pending_top_up"),
            ("Refund_not_showing_up", "Refund_not_showing_up"),
            ("verify_my_identity", "verify_my_identity"),
        ],
        parts: BANKING,
        rows: [10, 5, 10],
    },
    Draw {
        name: "banking77-8",
        instruction: "Say which intent the bank customer's message has.",
        fields: &["text", "category"],
        answers: &[
            ("card_arrival", "card_arrival"),
            ("card_not_working", "card_not_working"),
            ("cash_withdrawal_charge", "cash_withdrawal_charge"),
            ("change_pin", "change_pin"),
            ("exchange_rate", "exchange_rate"),
            ("lost_or_stolen_card", "lost_or_stolen_card"),
            ("pending_top_up", "pending_top_up"),
            ("verify_my_identity", "verify_my_identity"),
        ],
        parts: BANKING,
        rows: [5, 5, 13],
    },
    Draw {
        name: "scone",
        instruction: "Say whether the premise entails the hypothesis.",
        fields: &["premise", "hypothesis", "entails"],
        answers: &[("entailment", "yes"), ("neutral", "no")],
        parts: SCONE,
        rows: [20, 20, 50],
    },
];

/// The values of a row, in the order of the fields.
type Row = Vec<String>;

/// Draws a task into its folder, or lists what can be drawn.
///
/// # Errors
///
/// When there is no such task, its data is not there, or has too few rows.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<ExitCode, Error> {
    let (Some(name), Some(data)) = (&options.name, &options.data) else {
        for draw in &DRAWS {
            let [train, validation, test] = draw.rows.map(|rows| rows * draw.answers.len());
            println!("{:13} {train} training, {validation} validation and {test} test rows", draw.name);
        }
        return Ok(ExitCode::SUCCESS);
    };
    let draw = DRAWS.iter().find(|draw| draw.name == name).ok_or_else(|| {
        let known: Vec<&str> = DRAWS.iter().map(|draw| draw.name).collect();
        Error::Usage(format!("there is no `{name}` to draw; there are {}", known.join(", ")))
    })?;
    let folder = match &options.out {
        Some(folder) => folder.clone(),
        None => workspace.target().join("bench").join("data").join(name),
    };
    let splits = rows(draw, data, options.seed)?;
    fs::create_dir_all(&folder).map_err(Error::file("make the folder", &folder))?;
    let write = |name: &str, text: String| {
        let path = folder.join(name);
        fs::write(&path, text).map_err(Error::file("write", path))
    };
    for (split, rows) in SPLITS.iter().zip(&splits) {
        write(&format!("{split}.jsonl"), rows.iter().map(|row| line(draw, row)).collect())?;
    }
    write("instruction.txt", format!("{}\n", draw.instruction))?;
    println!(
        "{}: {} training, {} validation and {} test rows",
        folder.display(),
        splits[0].len(),
        splits[1].len(),
        splits[2].len()
    );
    Ok(ExitCode::SUCCESS)
}

/// The rows of each split, in the order of their places.
fn rows(draw: &Draw, data: &Path, seed: u64) -> Result<[Vec<Row>; 3], Error> {
    let mut splits = [const { Vec::new() }; 3];
    let mut drawn = BTreeSet::new();
    for part in draw.parts {
        let mut rows = Vec::new();
        for (file, columns) in part.files {
            rows.extend(read(draw, data.join(file), columns)?);
        }
        rows.sort_by_cached_key(|row| (place(seed, row), row.clone()));
        for (_, answer) in draw.answers {
            let of_class = rows.iter().filter(|row| row.last().is_some_and(|value| value == answer));
            let mut left = of_class.filter(|row| drawn.insert(row[..row.len() - 1].to_vec()));
            for &split in part.splits {
                let wanted = draw.rows[split];
                let taken: Vec<Row> = left.by_ref().take(wanted).cloned().collect();
                if taken.len() < wanted {
                    let files: Vec<&str> = part.files.iter().map(|(file, _)| *file).collect();
                    return Err(Error::Content {
                        file: data.join(files.join(", ")).display().to_string(),
                        problem: format!(
                            "too few rows are `{answer}`: {} of the {wanted} for {}",
                            taken.len(),
                            SPLITS[split]
                        ),
                    });
                }
                splits[split].extend(taken);
            }
        }
    }
    for rows in &mut splits {
        rows.sort_by_cached_key(|row| (place(seed, row), row.clone()));
    }
    Ok(splits)
}

/// The rows of a file that have one of the answers.
fn read(draw: &Draw, path: PathBuf, columns: &[&str]) -> Result<Vec<Row>, Error> {
    let table = Table::read(path)?;
    let columns: Vec<usize> = columns.iter().map(|name| table.column(name)).collect::<Result<_, _>>()?;
    let values = |of: &Vec<String>| -> Option<Row> {
        let mut row: Row = columns.iter().map(|&column| of[column].trim().to_owned()).collect();
        let answer = row.last_mut()?;
        let (_, known) = draw.answers.iter().find(|(written, _)| written == answer)?;
        *answer = (*known).to_owned();
        Some(row)
    };
    Ok(table.rows.iter().filter_map(values).collect())
}

fn line(draw: &Draw, row: &Row) -> String {
    let object: Map<String, Value> = draw
        .fields
        .iter()
        .zip(row)
        .map(|(name, value)| ((*name).to_owned(), Value::from(value.as_str())))
        .collect();
    format!("{}\n", Value::Object(object))
}

/// A hash of the seed and the values: FNV-1a, mixed as in SplitMix64.
fn place(seed: u64, row: &Row) -> u64 {
    let bytes = row.iter().flat_map(|value| value.bytes().chain([0]));
    let hash = bytes.fold(0xcbf2_9ce4_8422_2325 ^ seed, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
    });
    let hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ (hash >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder with invented messages in the form of banking77, 40 of each class in each file.
    fn folder(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("teleprompt-draw-{name}-{}", std::process::id()));
        fs::create_dir_all(folder.join("banking77")).unwrap();
        for file in ["train", "test"] {
            let mut text = "text,category\n".to_owned();
            for (class, _) in DRAWS[0].answers {
                // The first message of each class stands in both files.
                text.extend((0..40).map(|i| match i {
                    0 => format!("\"both, {class}\",{class}\n"),
                    _ => format!("\"{file}, {class} {i}\",{class}\n"),
                }));
            }
            fs::write(folder.join(format!("banking77/{file}.csv")), text).unwrap();
        }
        folder
    }

    #[test]
    fn classes_are_even_and_no_input_is_drawn_twice() {
        let folder = folder("even");
        let draw = &DRAWS[0];
        for seed in 0..20 {
            let splits = rows(draw, &folder, seed).unwrap();
            for (split, wanted) in splits.iter().zip(draw.rows) {
                for (_, answer) in draw.answers {
                    assert_eq!(split.iter().filter(|row| row[1] == *answer).count(), wanted);
                }
            }
            let inputs: BTreeSet<&str> = splits.iter().flatten().map(|row| row[0].as_str()).collect();
            assert_eq!(inputs.len(), splits.iter().map(Vec::len).sum::<usize>());
            assert!(splits[..2].iter().flatten().all(|row| !row[0].starts_with("test")));
            // Mixed: the first rows are not of one class.
            let first: BTreeSet<&str> = splits[2].iter().take(20).map(|row| row[1].as_str()).collect();
            assert!(first.len() > 4, "{first:?}");
        }
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn the_seed_decides_and_the_order_of_the_file_does_not() {
        let folder = folder("seed");
        let draw = &DRAWS[1];
        let first = rows(draw, &folder, 0).unwrap();
        assert_ne!(rows(draw, &folder, 1).unwrap(), first);
        let path = folder.join("banking77/train.csv");
        let text = fs::read_to_string(&path).unwrap();
        let (header, records) = text.split_once('\n').unwrap();
        let backwards: Vec<&str> = records.lines().rev().collect();
        fs::write(&path, format!("{header}\n{}\n", backwards.join("\n"))).unwrap();
        assert_eq!(rows(draw, &folder, 0).unwrap(), first);
        fs::write(&path, format!("{header}\n{}\n", backwards[..50].join("\n"))).unwrap();
        let error = rows(draw, &folder, 0).unwrap_err().to_string();
        assert!(error.contains("too few rows are `card_arrival`: 0 of the 5 for train"), "{error}");
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn a_row_is_written_with_the_answer_last() {
        let row = vec!["A \"b\".".to_owned(), "c".to_owned(), "yes".to_owned()];
        assert_eq!(
            line(&DRAWS[2], &row),
            "{\"premise\":\"A \\\"b\\\".\",\"hypothesis\":\"c\",\"entails\":\"yes\"}\n"
        );
        // A draw of years ago is drawn again.
        assert_eq!((place(0, &row), place(1, &row)), (0x5b61_64ef_1555_7363, 0xfd19_aedd_36a1_f216));
    }
}
