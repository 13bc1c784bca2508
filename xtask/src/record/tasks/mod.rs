//! The tasks that are recorded: programs of one or two predictors, and the instructions that candidates choose from.
//!
//! The instructions are what a search meets in practice: the program's own first, then such as a person or a large model
//! would write, what the built-in edits add (the labels, the form of the answer), one that is poor, and one that misleads.
//! Demo sets are made from rows (see [`super::demos`]). In the programs of two predictors the second does not see the whole
//! input, but what the first one said, so that the choices of the first matter and all combinations can be recorded: a model
//! need not be asked twice for the same. A task is data; adding one needs no other code, unless its rows come from a new kind
//! of source.

mod held_out;
mod public;

use crate::landscape::Role;

use super::rows::{Between, Source};
use super::steps::{Measure, Step};

/// A task: everything that a landscape is recorded from, but for the model.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Task {
    /// The landscape's name: data set, what is special, adapter.
    pub(crate) name: &'static str,
    /// The data set.
    pub(crate) data: &'static str,
    /// The adapter's name.
    pub(crate) adapter: &'static str,
    /// What an answer scores.
    pub(crate) measure: Measure,
    /// Where rows come from.
    pub(crate) source: Source,
    /// What the first predictor should say, where the data do not say it.
    pub(crate) between: Option<Between>,
    /// What the program begins with.
    pub(crate) start: Start,
    /// The program.
    pub(crate) steps: &'static [Step],
    /// How many candidates, when nothing else is asked for; all combinations if there are fewer.
    pub(crate) candidates: usize,
    /// How many rows, when nothing else is asked for; a third of them is for the test.
    pub(crate) rows: usize,
}

/// What a program is like before a search, and so what its demo sets are (see [`super::demos`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Start {
    /// Without demos.
    Bare,
    /// With demos that somebody picked well, so that there may be little to gain; the last set misleads.
    Settled,
}

/// The data sets that are held out; fixed before any of their landscapes was recorded.
const HELD_OUT: [&str; 2] = ["gsm8k", "lending"];

impl Task {
    /// Whether searches may be tuned on it.
    pub(crate) fn role(&self) -> Role {
        if HELD_OUT.contains(&self.data) { Role::HeldOut } else { Role::Public }
    }
}

/// All tasks, in the order in which they are best recorded.
pub(crate) fn all() -> impl Iterator<Item = &'static Task> {
    public::TASKS.iter().chain(held_out::TASKS)
}

/// The task of a name.
pub(crate) fn named(name: &str) -> Option<&'static Task> {
    all().find(|task| task.name == name)
}

#[cfg(test)]
mod tests {
    use teleprompt_core::SignatureSpec;

    use super::*;

    #[test]
    fn a_task_stands_on_the_side_of_its_data_set() {
        assert!(public::TASKS.iter().all(|task| task.role() == Role::Public));
        assert!(held_out::TASKS.iter().all(|task| task.role() == Role::HeldOut));
    }

    #[test]
    fn tasks_are_sound() {
        let mut names: Vec<&str> = all().map(|task| task.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), all().count());
        for task in all() {
            assert!(task.name.starts_with(task.data) && task.name.ends_with(task.adapter), "{}", task.name);
            let mut combinations = 1;
            for step in task.steps {
                let spec = SignatureSpec::parse(step.signature).unwrap();
                assert!(!spec.outputs().is_empty() && step.demo_sets >= 3, "{}", task.name);
                let mut texts = step.instructions.to_vec();
                texts.sort_unstable();
                texts.dedup();
                assert_eq!(texts.len(), step.instructions.len(), "{}", task.name);
                combinations *= step.instructions.len() * step.demo_sets;
            }
            assert!(combinations >= task.candidates, "{}", task.name);
        }
    }
}
