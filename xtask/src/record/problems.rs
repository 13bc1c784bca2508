//! What can be asked about a word problem without solving it: answers that follow from its text by a fixed rule.
//!
//! A small model solves no word problems, but they are texts like others. Problems to which a rule gives no clear answer are left
//! out.

use std::path::Path;

use teleprompt_core::{Example, Fields};
use teleprompt_data::jsonl;

use crate::error::Error;

/// The files, all of whose problems are taken together.
const FILES: [&str; 2] = ["train.jsonl", "test.jsonl"];
/// Most problems of one kind of question, so that the commonest does not drown the others.
const MOST_OF_A_KIND: usize = 60;

/// What is asked about a problem.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ask {
    /// The `kind` of its last sentence, `question`, of at most 80 bytes: `age`, `count`, `measure`, `money` or `time`.
    Kind,
    /// The name of the person that its last sentence asks about, `who`; problems of at most 160 bytes.
    Who,
}

/// The rows of `folder/gsm8k`, in the order of the files.
pub(crate) fn load(folder: &Path, ask: Ask) -> Result<Vec<Example>, Error> {
    let mut rows = Vec::new();
    for file in FILES {
        let path = folder.join("gsm8k").join(file);
        let problems = jsonl::load_examples(&path, &["question"], &[]).map_err(|error| Error::Content {
            file: path.display().to_string(),
            problem: error.to_string(),
        })?;
        rows.extend(problems.iter().filter_map(|problem| row(problem.inputs.text("question").trim(), ask)));
    }
    if ask == Ask::Kind {
        rows = at_most(rows, "kind", MOST_OF_A_KIND);
    }
    Ok(rows)
}

fn row(problem: &str, ask: Ask) -> Option<Example> {
    let (input, text, label, answer) = match ask {
        Ask::Kind => {
            let question = last_sentence(problem);
            ("question", question, "kind", kind(question)?.into())
        }
        Ask::Who => ("problem", problem, "who", who(last_sentence(problem))?.into()),
    };
    let most = match ask {
        Ask::Kind => 80,
        Ask::Who => 160,
    };
    let answer: serde_json::Value = answer;
    (text.len() <= most).then(|| Example {
        inputs: Fields::new().with(input, text),
        labels: Fields::new().with(label, answer),
    })
}

/// The first rows of each answer.
fn at_most(rows: Vec<Example>, label: &str, most: usize) -> Vec<Example> {
    let mut counts = std::collections::BTreeMap::<String, usize>::new();
    let kept = rows.into_iter().filter(|row| {
        let count = counts.entry(row.labels.text(label)).or_default();
        *count += 1;
        *count <= most
    });
    kept.collect()
}

/// What follows the last mark of a sentence's end that has a space behind it.
fn last_sentence(problem: &str) -> &str {
    let ends = problem.char_indices().zip(problem.chars().skip(1));
    let end = ends.filter(|&((_, c), next)| matches!(c, '.' | '!' | '?') && next.is_whitespace()).last();
    problem.get(end.map_or(0, |((at, _), _)| at + 1)..).unwrap_or_default().trim()
}

/// What a question that begins with `how` wants.
fn kind(question: &str) -> Option<&'static str> {
    const SKIPPED: [&str; 8] = ["more", "total", "fewer", "full", "whole", "extra", "additional", "square"];
    const TIMES: [&str; 7] = ["second", "minute", "hour", "day", "week", "month", "year"];
    const UNITS: [&str; 15] = [
        "pound",
        "ounce",
        "gram",
        "kilogram",
        "ton",
        "mile",
        "foot",
        "inche",
        "meter",
        "kilometer",
        "yard",
        "gallon",
        "liter",
        "cup",
        "milliliter",
    ];
    const MONEY: [&str; 15] = [
        "cost", "pay", "paid", "spend", "spent", "earn", "owe", "save", "charge", "profit", "dollars",
        "price", "money", "earnings", "earned",
    ];
    let lower = question.to_lowercase();
    let words: Vec<&str> =
        lower.split(|c: char| !c.is_ascii_alphabetic()).filter(|word| !word.is_empty()).collect();
    let (&"how", rest) = words.split_first()? else { return None };
    match *rest.first()? {
        "old" => Some("age"),
        "long" => Some("time"),
        "far" | "tall" | "high" | "heavy" | "deep" | "wide" => Some("measure"),
        "much" if rest.iter().any(|word| MONEY.contains(word)) => Some("money"),
        "many" => {
            let noun = *rest[1..].iter().find(|word| !SKIPPED.contains(word))?;
            let one = noun.strip_suffix('s').unwrap_or(noun);
            Some(match one {
                "dollar" | "cent" => "money",
                one if TIMES.contains(&one) => "time",
                one if UNITS.contains(&one) || noun == "feet" => "measure",
                _ => "count",
            })
        }
        _ => None,
    }
}

/// The name behind the verb of a question, as in `does Ann`.
fn who(question: &str) -> Option<&str> {
    const VERBS: [&str; 11] =
        ["does", "did", "will", "would", "has", "is", "was", "can", "could", "should", "must"];
    const TITLES: [&str; 4] = ["Mr", "Mrs", "Ms", "Dr"];
    let words: Vec<&str> = question.split_whitespace().collect();
    let names: Vec<&str> = words
        .windows(2)
        .filter(|pair| VERBS.contains(&pair[0]))
        .map(|pair| pair[1].trim_end_matches(['?', '.', ',']))
        .filter(|name| {
            name.starts_with(|c: char| c.is_ascii_uppercase())
                && name.len() > 1
                && name.chars().skip(1).all(|c| c.is_ascii_lowercase())
                && !TITLES.contains(name)
        })
        .collect();
    match names[..] {
        [name] => Some(name),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn problems_are_read_from_both_files() {
        let folder = std::env::temp_dir().join(format!("teleprompt-problems-{}", std::process::id()));
        fs::create_dir_all(folder.join("gsm8k")).unwrap();
        let line = "{\"question\": \"Max is 9. How old is Eva?\", \"answer\": \"#### 1\"}\n";
        fs::write(folder.join("gsm8k/train.jsonl"), line.repeat(MOST_OF_A_KIND)).unwrap();
        assert!(load(&folder, Ask::Who).unwrap_err().to_string().contains("test.jsonl"));
        fs::write(folder.join("gsm8k/test.jsonl"), line).unwrap();
        let rows = load(&folder, Ask::Who).unwrap();
        assert_eq!((rows.len(), rows[0].labels.text("who")), (MOST_OF_A_KIND + 1, "Eva".into()));
        assert_eq!(load(&folder, Ask::Kind).unwrap().len(), MOST_OF_A_KIND);
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn the_last_sentence_is_what_is_asked() {
        assert_eq!(last_sentence("Ann has 3.5 kg. She eats 1. How much is left?"), "How much is left?");
        assert_eq!(last_sentence("How old is Ben?"), "How old is Ben?");
        assert_eq!(last_sentence("Süß! Où?"), "Où?");
        assert_eq!(last_sentence(""), "");
    }

    #[test]
    fn a_question_is_of_one_kind_or_left_out() {
        let check = |question: &str, expect| assert_eq!(kind(question), expect, "{question}");
        check("How old is Ben?", Some("age"));
        check("How many total hours will it take?", Some("time"));
        check("How long did she wait?", Some("time"));
        check("How many square feet is the house?", Some("measure"));
        check("How many inches of snow fell?", Some("measure"));
        check("How many more dollars does she need?", Some("money"));
        check("How much does she pay in all?", Some("money"));
        check("How many more shells were there?", Some("count"));
        check("How much is left?", None);
        check("How many", None);
        check("What is the price?", None);
    }

    #[test]
    fn the_person_asked_about_stands_behind_the_verb() {
        assert_eq!(who("How many clips did Nora sell?"), Some("Nora"));
        assert_eq!(who("How old will Max be when Eva is 9?"), Some("Max"));
        assert_eq!(who("How old is Mr. Field?"), None);
        assert_eq!(who("How much is Nora's share?"), None);
        assert_eq!(who("How many can Nora sell if Tom does Nora a favour and is Tom?"), None);
    }

    #[test]
    fn rows_have_the_input_that_is_asked_about() {
        let problem = "Ann has 12 pens and buys 30. How many pens does Ann have?";
        let kind = row(problem, Ask::Kind).unwrap();
        assert_eq!(kind.inputs.text("question"), "How many pens does Ann have?");
        assert_eq!(kind.labels.text("kind"), "count");
        assert_eq!(row(problem, Ask::Who).unwrap().labels.text("who"), "Ann");
        assert_eq!(row(&problem.repeat(3), Ask::Who), None);
        assert_eq!(at_most(vec![kind.clone(), kind.clone(), kind.clone()], "kind", 2).len(), 2);
    }
}
