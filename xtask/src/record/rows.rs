//! The rows of a task: from the project's own samples, or from a folder of data sets that the project does not contain.
//!
//! Rows of both kinds are taken in a seeded order and divided into training rows, of which demos are made, and the rows of
//! the matrix. Of the data only gold classes get into a landscape.

use std::path::Path;

use teleprompt_core::{Example, FieldType, Fields, SignatureSpec, rng};
use teleprompt_data::jsonl;

use crate::csv::Table;
use crate::error::Error;
use crate::workspace::Workspace;

use super::problems::{self, Ask};
use super::steps::Steps;
use super::tasks::Task;

/// The seed of every order of rows.
const SEED: u64 = 9;
/// Training rows of a task, of which demos are made.
const TRAIN: usize = 40;
/// Longest message of the banking data that is taken, in bytes: a recording should take minutes.
const MAX_MESSAGE: usize = 90;

/// Where rows come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// A sample of the project under `examples/data`.
    Sample {
        /// The field that the program is given.
        input: &'static str,
        /// The field that it is to say.
        label: &'static str,
        /// Longest input that is taken, in bytes: a recording should take minutes.
        most: usize,
    },
    /// `banking77/train.csv`: messages with one of 77 categories, of which these are taken.
    Banking {
        /// The field for the category, underscores as spaces.
        label: &'static str,
        /// The categories.
        categories: &'static [&'static str],
    },
    /// `iris/iris.csv`: four measures and a species.
    Iris {
        /// Which of them is to be said.
        label: &'static str,
    },
    /// `scone/train`: sentence pairs without negation and with one negation in scope, which differ in one word; the `word` of
    /// the hypothesis, and the word of the premise that it `replaced`.
    Scone,
    /// `gsm8k/*.jsonl`: word problems, and something that follows from their text.
    Problems {
        /// What that is.
        ask: Ask,
    },
}

/// What a first predictor should say for each gold class: rows get it as one more label, so that its demos can be labeled.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Between {
    /// The field that holds the class.
    pub(crate) gold: &'static str,
    /// The field of the first predictor.
    pub(crate) field: &'static str,
    /// Classes with what to say.
    pub(crate) of: &'static [(&'static str, &'static str)],
}

impl Between {
    fn add(self, row: &mut Example) {
        let gold = row.labels.text(self.gold);
        if let Some((_, said)) = self.of.iter().find(|(class, _)| *class == gold) {
            row.labels.insert(self.field, *said);
        }
    }
}

/// The rows of a task.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Rows {
    /// For demos.
    pub(crate) train: Vec<Example>,
    /// For the matrix: first those of the search, then those of the test.
    pub(crate) rows: Vec<Example>,
    /// How many of them are for the search.
    pub(crate) val: usize,
    /// The class of each row, where answers are classes.
    pub(crate) gold: Vec<Option<usize>>,
    /// How many classes there are.
    pub(crate) classes: usize,
}

/// Loads `n` rows of a task, a third of them for the test.
pub(crate) fn load(
    workspace: &Workspace,
    folder: Option<&Path>,
    task: &Task,
    n: usize,
) -> Result<Rows, Error> {
    let spec = task
        .steps
        .last()
        .and_then(|step| SignatureSpec::parse(step.signature).ok())
        .ok_or_else(|| Error::Usage(format!("task `{}` has no signature that can be read", task.name)))?;
    let val = n - n / 3;
    let (mut train, mut rows) = match task.source {
        Source::Sample { input, label, most } => {
            let load = |split: &str| {
                let path = workspace.path(&format!("examples/data/{}/{split}.jsonl", task.data));
                jsonl::load_examples(&path, &[input], &[label]).map_err(|error| Error::Content {
                    file: path.display().to_string(),
                    problem: error.to_string(),
                })
            };
            let (mut train, mut rows, mut test) = (load("train")?, load("validation")?, load("test")?);
            for rows in [&mut train, &mut rows, &mut test] {
                rows.retain(|row| row.inputs.text(input).len() <= most);
            }
            train.truncate(TRAIN);
            rows.truncate(val);
            test.truncate(n - rows.len());
            rows.extend(test);
            (train, rows)
        }
        source => {
            let all = outside(folder, source)?;
            let order = rng::permutation(SEED, "record rows", &[], all.len());
            let mut taken = order.into_iter().filter_map(|row| all.get(row).cloned());
            (taken.by_ref().take(TRAIN.min(all.len() / 5)).collect(), taken.take(n).collect::<Vec<_>>())
        }
    };
    if rows.len() < n || train.is_empty() {
        return Err(Error::Usage(format!("`{}` has {} rows for the matrix, not {n}", task.data, rows.len())));
    }
    let classes: Vec<String> = match (task.source, spec.outputs().first().map(|field| &field.ty)) {
        (Source::Banking { categories, .. }, _) => categories.iter().map(|name| spaced(name)).collect(),
        (_, Some(FieldType::Label(labels))) => labels.clone(),
        _ => Vec::new(),
    };
    if let Some(between) = task.between {
        train.iter_mut().chain(&mut rows).for_each(|row| between.add(row));
    }
    let field = spec.outputs().first().map(|field| field.name.as_str()).unwrap_or_default();
    let gold = rows.iter().map(|row| classes.iter().position(|class| *class == row.labels.text(field)));
    Ok(Rows { train, val, gold: gold.collect(), classes: classes.len(), rows })
}

/// All rows of a data set that is not part of the project.
fn outside(folder: Option<&Path>, source: Source) -> Result<Vec<Example>, Error> {
    let folder = folder.ok_or_else(|| {
        Error::Usage("these rows are not part of the project: name their folder with --data FOLDER".into())
    })?;
    let row = |inputs: Fields, label: &str, value: serde_json::Value| Example {
        inputs,
        labels: Fields::new().with(label, value),
    };
    match source {
        Source::Sample { .. } => Ok(Vec::new()),
        Source::Problems { ask } => problems::load(folder, ask),
        Source::Banking { label, categories } => {
            let table = Table::read(folder.join("banking77/train.csv"))?;
            let (text, category) = (table.column("text")?, table.column("category")?);
            let kept = table.rows.iter().filter(|of| {
                categories.contains(&of[category].as_str()) && of[text].trim().len() <= MAX_MESSAGE
            });
            Ok(kept
                .map(|of| {
                    row(Fields::new().with("text", of[text].trim()), label, spaced(&of[category]).into())
                })
                .collect())
        }
        Source::Iris { label } => {
            let table = Table::read(folder.join("iris/iris.csv"))?;
            let names = ["sepal_length", "sepal_width", "petal_length", "petal_width", "species"];
            // The file's first line holds counts and the names of the species.
            let species = table.header.get(2..).unwrap_or_default();
            table
                .rows
                .iter()
                .map(|of| {
                    let mut fields = Fields::new();
                    for (name, value) in names.iter().zip(of) {
                        let number: f64 = value.trim().parse().map_err(|_| table.bad(value))?;
                        match *name {
                            "species" => {
                                let known = species.get(number as usize).ok_or_else(|| table.bad(value))?;
                                fields.insert(*name, known.as_str());
                            }
                            name => fields.insert(name, number),
                        }
                    }
                    let value = fields.remove(label).ok_or_else(|| table.bad(label))?;
                    Ok(row(fields, label, value))
                })
                .collect()
        }
        Source::Scone => {
            let mut rows = Vec::new();
            for (file, suffix) in [("no_negation", "_edited"), ("one_scoped", "")] {
                let table = Table::read(folder.join(format!("scone/train/{file}.csv")))?;
                let (premise, hypothesis) = (
                    table.column(&format!("sentence1{suffix}"))?,
                    table.column(&format!("sentence2{suffix}"))?,
                );
                let (replaced, word) = (table.column("sentence1_lex")?, table.column("sentence2_lex")?);
                rows.extend(table.rows.iter().map(|of| {
                    Example {
                        inputs: Fields::new()
                            .with("premise", of[premise].as_str())
                            .with("hypothesis", of[hypothesis].as_str()),
                        labels: Fields::new()
                            .with("word", of[word].as_str())
                            .with("replaced", of[replaced].as_str()),
                    }
                }));
            }
            Ok(rows)
        }
    }
}

fn spaced(name: &str) -> String {
    name.replace('_', " ")
}

/// The program of a task.
pub(crate) fn program(task: &Task) -> Result<Steps, Error> {
    Steps::new(task.steps).map_err(|error| Error::Usage(format!("task `{}`: {error}", task.name)))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::record::steps::Measure;
    use crate::record::tasks;

    #[test]
    fn the_projects_own_samples_give_rows_with_classes() {
        let workspace = Workspace::find().unwrap();
        for task in tasks::all().filter(|task| matches!(task.source, Source::Sample { .. })) {
            let rows = load(&workspace, None, task, task.rows).unwrap();
            assert_eq!((rows.rows.len(), rows.val), (120, 80), "{}", task.name);
            assert!(rows.train.len() >= 30, "{}", task.name);
            assert_eq!(rows.gold.len(), 120);
            assert!(rows.gold.iter().all(|of| of.is_some() == (rows.classes > 0)), "{}", task.name);
            assert_eq!(rows.classes > 0, matches!(task.measure, Measure::Exact(_)), "{}", task.name);
            assert!(!rows.rows.iter().any(|row| rows.train.contains(row)));
            if let Some(between) = task.between {
                let first = SignatureSpec::parse(task.steps[0].signature).unwrap();
                let field = first.outputs().iter().find(|field| field.name == between.field).unwrap();
                let FieldType::Label(labels) = &field.ty else { panic!("{}", task.name) };
                assert!(rows.train.iter().all(|row| labels.contains(&row.labels.text(between.field))));
            }
        }
    }

    #[test]
    fn rows_from_outside_are_read_from_the_folder_named() {
        let folder = std::env::temp_dir().join(format!("teleprompt-record-{}", std::process::id()));
        fs::create_dir_all(folder.join("iris")).unwrap();
        let lines: String = (0..150).map(|i| format!("5.{},3.0,1.4,0.2,{}\n", i % 10, i % 3)).collect();
        fs::write(folder.join("iris/iris.csv"), format!("150,4,setosa,versicolor,virginica\n{lines}"))
            .unwrap();
        let workspace = Workspace::find().unwrap();
        let task = tasks::named("iris-petal-plain").unwrap();
        let rows = load(&workspace, Some(&folder), task, 120).unwrap();
        assert_eq!((rows.train.len(), rows.rows.len(), rows.classes), (30, 120, 0));
        assert!(rows.gold.iter().all(Option::is_none));
        assert_eq!(rows.rows[0].labels.text("petal_length"), "1.4");
        assert_eq!(rows.rows[0].inputs.text("petal_width"), "0.2");
        let error = load(&workspace, Some(&folder), task, 121).unwrap_err();
        assert!(error.to_string().contains("120 rows for the matrix, not 121"), "{error}");
        fs::write(folder.join("iris/iris.csv"), "150,4,a,b,c\n1,2,3,4,9\n").unwrap();
        assert!(load(&workspace, Some(&folder), task, 1).unwrap_err().to_string().contains("`9`"));
        fs::remove_dir_all(&folder).unwrap();
        assert!(load(&workspace, None, task, 1).unwrap_err().to_string().contains("--data"));
    }
}
