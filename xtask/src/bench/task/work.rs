//! What an optimizer is given: its name, how much it may do, and the task, all of it as one JSON object.
//!
//! | field | what |
//! |---|---|
//! | `op`, `optimizer`, `seed` | `optimize`, the [`Optimizer`]'s key, and the run's seed |
//! | `url`, `model` | the server and the model's name there |
//! | `instruction`, `inputs`, `answer`, `labels` | the program: one predictor; no labels where the answer is free text |
//! | `train`, `validation` | rows: objects of texts, the inputs and the answer |
//! | the fields of [`Scale`] | how much is done |
//!
//! Every optimizer gets as many program runs on validation rows as the reference's schedule takes ([`Scale::program_runs`]).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use teleprompt::{Example, FieldType};

use super::super::propose::task::Task;

/// Who makes the program better, in the order of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Optimizer {
    /// Nobody: our program as it is.
    Unoptimized,
    /// MIPROv2 with our own search.
    Adaptive,
    /// MIPROv2 with the reference's search.
    Reference,
    /// Nobody: DSPy's program as it is.
    DspyUnoptimized,
    /// DSPy's MIPROv2.
    DspyMiprov2,
    /// DSPy's BootstrapFewShotWithRandomSearch.
    DspyRandomSearch,
}

impl Optimizer {
    pub(crate) const ALL: [Self; 6] = [
        Self::Unoptimized,
        Self::Adaptive,
        Self::Reference,
        Self::DspyUnoptimized,
        Self::DspyMiprov2,
        Self::DspyRandomSearch,
    ];

    /// The name in requests and file names.
    pub(crate) fn key(self) -> &'static str {
        match self {
            Self::Unoptimized => "unoptimized",
            Self::Adaptive => "adaptive",
            Self::Reference => "reference",
            Self::DspyUnoptimized => "dspy-unoptimized",
            Self::DspyMiprov2 => "dspy-miprov2",
            Self::DspyRandomSearch => "dspy-random-search",
        }
    }

    /// The name in tables.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Unoptimized => "teleprompt, unoptimized",
            Self::Adaptive => "teleprompt, adaptive",
            Self::Reference => "teleprompt, reference",
            Self::DspyUnoptimized => "DSPy, unoptimized",
            Self::DspyMiprov2 => "DSPy, MIPROv2",
            Self::DspyRandomSearch => "DSPy, random search",
        }
    }

    /// Whether DSPy runs it.
    pub(crate) fn is_dspy(self) -> bool {
        matches!(self, Self::DspyUnoptimized | Self::DspyMiprov2 | Self::DspyRandomSearch)
    }

    /// Of `seeds` wanted, so many: more say no more, or are not what is asked.
    pub(crate) fn seeds(self, seeds: u32) -> u32 {
        match self {
            Self::Adaptive | Self::Reference | Self::DspyMiprov2 => seeds,
            Self::Unoptimized | Self::DspyUnoptimized | Self::DspyRandomSearch => 1,
        }
    }
}

/// How much is done.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Scale {
    /// Instructions and demo sets to choose from.
    pub(crate) candidates: usize,
    pub(crate) trials: usize,
    /// Rows of a minibatch.
    pub(crate) minibatch: usize,
    /// Trials between two full evaluations.
    pub(crate) full_eval_steps: usize,
    /// Most bootstrapped demos in a set, and most demos in all.
    pub(crate) demos: usize,
    /// Programs that random search tries besides its three fixed ones.
    pub(crate) random_programs: usize,
    /// LM calls in flight.
    pub(crate) in_flight: usize,
    /// Of the program's calls; proposals have each optimizer's own.
    pub(crate) temperature: f64,
    /// Most tokens of an answer.
    pub(crate) max_tokens: u32,
}

/// Rows that are used of a task, at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rows {
    pub(crate) train: usize,
    pub(crate) validation: usize,
    pub(crate) test: usize,
}

impl Rows {
    pub(crate) const FULL: Self = Self { train: 40, validation: 40, test: 100 };
    pub(crate) const QUICK: Self = Self { train: 16, validation: 16, test: 24 };

    /// The first so many rows of each split.
    pub(crate) fn cut(self, task: &mut Task) {
        task.train.truncate(self.train);
        task.validation.truncate(self.validation);
        task.test.truncate(self.test);
    }
}

impl Scale {
    /// A run that ends in a few minutes, for so many validation rows.
    pub(crate) fn full(validation: usize) -> Self {
        Self { candidates: 4, trials: 8, minibatch: 20, demos: 4, ..Self::base() }.fitted(validation)
    }

    /// A smoke test.
    pub(crate) fn quick(validation: usize) -> Self {
        Self { candidates: 3, trials: 3, minibatch: 8, demos: 2, ..Self::base() }.fitted(validation)
    }

    fn base() -> Self {
        Self {
            candidates: 1,
            trials: 1,
            minibatch: 1,
            full_eval_steps: 5,
            demos: 0,
            random_programs: 1,
            in_flight: 4,
            temperature: 0.0,
            max_tokens: 300,
        }
    }

    /// With as many random programs as the program runs allow.
    fn fitted(self, validation: usize) -> Self {
        /// Without demos, with labeled demos, with demos in the rows' order.
        const FIXED: usize = 3;
        let programs = self.program_runs(validation) / validation.max(1);
        Self { random_programs: programs.saturating_sub(FIXED).max(1), ..self }
    }

    /// Program runs on validation rows that the reference's schedule asks for: the default in full, the minibatches, and a full
    /// evaluation after every few trials and after the last.
    pub(crate) fn program_runs(&self, validation: usize) -> usize {
        validation + self.trials * self.minibatch + self.trials.div_ceil(self.full_eval_steps) * validation
    }
}

/// A row as texts.
pub(crate) type Row = BTreeMap<String, String>;

/// What an optimizer is given.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Work {
    pub(crate) op: String,
    pub(crate) optimizer: Optimizer,
    pub(crate) seed: u64,
    pub(crate) url: String,
    pub(crate) model: String,
    pub(crate) instruction: String,
    pub(crate) inputs: Vec<String>,
    pub(crate) answer: String,
    pub(crate) labels: Vec<String>,
    pub(crate) train: Vec<Row>,
    pub(crate) validation: Vec<Row>,
    #[serde(flatten)]
    pub(crate) scale: Scale,
}

impl Work {
    /// The work on a task, without a server.
    pub(crate) fn new(task: &Task, scale: Scale, optimizer: Optimizer, seed: u64) -> Self {
        let spec = task.program.spec();
        let labels = spec.outputs().iter().find_map(|field| match &field.ty {
            FieldType::Label(labels) => Some(labels.iter().map(ToString::to_string).collect()),
            _ => None,
        });
        Self {
            op: "optimize".to_owned(),
            optimizer,
            seed,
            url: String::new(),
            model: String::new(),
            instruction: spec.instruction().to_string(),
            inputs: spec.inputs().iter().map(|field| field.name.clone()).collect(),
            answer: task.answer.clone(),
            labels: labels.unwrap_or_default(),
            train: rows(&task.train),
            validation: rows(&task.validation),
            scale,
        }
    }
}

/// Examples as texts.
pub(crate) fn rows(examples: &[Example]) -> Vec<Row> {
    let row = |example: &Example| {
        let fields = example.clone().into_fields();
        fields.names().map(|name| (name.to_owned(), fields.text(name))).collect()
    };
    examples.iter().map(row).collect()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::workspace::Workspace;

    /// The sample task, cut to the quick size.
    pub(crate) fn sample() -> Task {
        let mut task = Task::load(&Workspace::find().unwrap().path("examples/data/questions")).unwrap();
        Rows::QUICK.cut(&mut task);
        task
    }

    #[test]
    fn every_optimizer_has_the_same_number_of_program_runs() {
        for (scale, validation, runs) in [(Scale::full(40), 40, 280), (Scale::quick(16), 16, 56)] {
            assert_eq!(scale.program_runs(validation), runs);
            let random = (scale.random_programs + 3) * validation;
            assert!(random.abs_diff(runs) <= validation, "{random} {runs}");
        }
    }

    #[test]
    fn work_says_all_that_a_driver_needs() {
        let work = Work::new(&sample(), Scale::quick(16), Optimizer::DspyMiprov2, 2);
        let json = serde_json::to_value(&work).unwrap();
        assert_eq!(json["optimizer"], Optimizer::DspyMiprov2.key());
        assert_eq!(json["labels"].as_array().map(Vec::len), Some(6));
        assert_eq!((json["inputs"][0].as_str(), json["answer"].as_str()), (Some("question"), Some("answer")));
        assert_eq!(json["train"][0].as_object().map(serde_json::Map::len), Some(2));
        assert_eq!((json["trials"].as_u64(), json["seed"].as_u64()), (Some(3), Some(2)));
        assert_eq!(json["instruction"], "Say which kind of answer the question wants.");
        assert_eq!(serde_json::from_value::<Work>(json).unwrap(), work);
    }

    #[test]
    fn keys_are_those_of_requests() {
        for optimizer in Optimizer::ALL {
            assert_eq!(serde_json::to_value(optimizer).unwrap(), optimizer.key());
        }
    }
}
