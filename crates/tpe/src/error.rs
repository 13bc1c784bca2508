//! What can go wrong: one error type for the crate, and one for each problem of a search space.
//!
//! An expected partial failure (a trial whose evaluation failed) is data,
//! [`Outcome::Failed`](crate::Outcome), and never an error here.

/// An error of this crate.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The parameters do not form a search space; every problem is listed.
    #[error("invalid search space: {}", list(.0))]
    Space(Vec<SpaceError>),
    /// The settings of a sampler have no meaning.
    #[error("invalid setting `{setting}`: {requirement}")]
    Config {
        /// The field.
        setting: &'static str,
        /// What its value must be.
        requirement: &'static str,
    },
    /// A told value, or the variance, count or violation that came with it, is not usable.
    #[error("`{field}` is {value}: {requirement}")]
    Observation {
        /// `value`, `variance`, `count` or `violation`.
        field: &'static str,
        /// What was told.
        value: f64,
        /// What it must be.
        requirement: &'static str,
    },
    /// No trial of this number was asked for.
    #[error("there is no trial {number}")]
    UnknownTrial {
        /// The number that was told.
        number: u64,
    },
    /// The trial has been told before.
    #[error("trial {number} is already finished")]
    AlreadyFinished {
        /// The number that was told.
        number: u64,
    },
    /// The space has no parameter of this name.
    #[error("the search space has no parameter `{name}`")]
    UnknownParameter {
        /// The name that was given.
        name: String,
    },
    /// A parameter that is active under the other values has no value.
    #[error("parameter `{name}` has no value")]
    MissingValue {
        /// The parameter.
        name: String,
    },
    /// A parameter has a value though its condition does not hold.
    #[error("parameter `{name}` has a value, but its condition does not hold")]
    InactiveParameter {
        /// The parameter.
        name: String,
    },
    /// A value is of another type than its parameter, or out of its range, or off its grid.
    #[error("{value} is not a value of parameter `{name}`")]
    OutOfRange {
        /// The parameter.
        name: String,
        /// The value.
        value: crate::ParamValue,
    },
    /// A saved study contradicts itself.
    #[error("the saved study is inconsistent: trial {number} {problem}")]
    Corrupt {
        /// The trial.
        number: u64,
        /// What is wrong with it.
        problem: &'static str,
    },
}

/// One problem of a search space, found while it is built.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SpaceError {
    /// There is no parameter at all.
    #[error("there is no parameter")]
    Empty,
    /// Two parameters share a name.
    #[error("parameter `{name}` occurs twice")]
    DuplicateName {
        /// The name.
        name: String,
    },
    /// The values of a distribution are empty or not representable.
    #[error("parameter `{name}`: {requirement}")]
    Distribution {
        /// The parameter.
        name: String,
        /// What its distribution must fulfil.
        requirement: &'static str,
    },
    /// A condition names a parameter that does not stand before this one.
    #[error("parameter `{name}` depends on `{parent}`, which does not stand before it")]
    UnknownParent {
        /// The dependent parameter.
        name: String,
        /// The parent that it names.
        parent: String,
    },
    /// A condition lists no choice, a choice that its parent lacks, or its parent is not categorical.
    #[error("parameter `{name}` depends on choices that `{parent}` does not have")]
    UnknownParentChoice {
        /// The dependent parameter.
        name: String,
        /// Its parent.
        parent: String,
    },
}

fn list(problems: &[SpaceError]) -> String {
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}
