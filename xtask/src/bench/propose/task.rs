//! A task in a folder, and the program of one predictor that solves it.
//!
//! | file | holds |
//! |---|---|
//! | `train.jsonl`, `validation.jsonl`, `test.jsonl` | one JSON object per line, all with the same fields; the last field of the first row of `train.jsonl` is the answer, the others are inputs |
//! | `instruction.txt` | optional: the instruction that a user would begin with; without it the signature's default |
//!
//! Where the training rows have at most 100 different answers, each at least twice on average, these are a closed set of
//! labels; else answers are free text. Answers are compared by `metric::exact_match`.

use std::collections::BTreeSet;
use std::path::Path;

use teleprompt::data::jsonl;
use teleprompt::{Example, FieldSpec, FieldType, Predictor, SignatureSpec};

use super::failed;
use crate::error::Error;

/// Most answers that are a closed set.
const MAX_LABELS: usize = 100;

/// A task: a program and its rows.
pub(crate) struct Task {
    pub(crate) name: String,
    pub(crate) program: Predictor,
    /// The field that is compared.
    pub(crate) answer: String,
    pub(crate) labels: usize,
    pub(crate) train: Vec<Example>,
    pub(crate) validation: Vec<Example>,
    pub(crate) test: Vec<Example>,
}

impl Task {
    /// Reads a folder.
    ///
    /// # Errors
    /// A file is missing or does not fit.
    pub(crate) fn load(folder: &Path) -> Result<Self, Error> {
        let file = |split: &str| folder.join(format!("{split}.jsonl"));
        let rows = jsonl::load(file("train")).map_err(failed)?;
        let names: Vec<String> = rows.iter().take(1).flat_map(|row| row.names()).map(str::to_owned).collect();
        let [inputs @ .., answer] = names.as_slice() else {
            return Err(failed(format!("`{}` has no rows with fields", file("train").display())));
        };
        let labels: BTreeSet<String> = rows.iter().map(|row| row.text(answer)).collect();
        let closed = labels.len() <= MAX_LABELS && labels.len() * 2 <= rows.len();
        let ty = if closed { FieldType::Label(labels.iter().cloned().collect()) } else { FieldType::Text };
        let text = folder.join("instruction.txt");
        let instruction = match std::fs::read_to_string(&text) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(Error::file("read", text)(error)),
        };
        let inputs = inputs.iter().map(|name| FieldSpec::new(name, FieldType::Text)).collect();
        let outputs = vec![FieldSpec::new(answer, ty)];
        let spec = SignatureSpec::new("Task", &instruction, inputs, outputs).map_err(failed)?;
        let load = |split: &str| jsonl::examples_for(file(split), &spec).map_err(failed);
        let name =
            folder.file_name().map_or_else(|| "task".to_owned(), |name| name.to_string_lossy().into_owned());
        Ok(Self {
            name,
            answer: answer.clone(),
            labels: if closed { labels.len() } else { 0 },
            train: load("train")?,
            validation: load("validation")?,
            test: load("test")?,
            program: Predictor::new(spec.clone()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace::Workspace;

    #[test]
    fn the_sample_task_is_one() {
        let task = Task::load(&Workspace::find().unwrap().path(super::super::SAMPLE)).unwrap();
        assert_eq!((task.name.as_str(), task.answer.as_str(), task.labels), ("questions", "answer", 6));
        assert_eq!((task.train.len(), task.validation.len(), task.test.len()), (100, 100, 190));
        assert!(task.train[0].inputs.get("question").is_some());
    }
}
