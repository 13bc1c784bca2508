//! Proposals that were not taken, and why. The rules are in [`crate::checks`], [`crate::relevance`] and
//! [`crate::leak`].

use std::fmt;

use serde::{Deserialize, Serialize};
use teleprompt_core::PredictorName;

/// A proposal that was not taken.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rejection {
    /// For which predictor.
    pub predictor: PredictorName,
    /// For which place among its instructions, from 1.
    pub index: usize,
    /// Which attempt at that place, from 1.
    pub attempt: u32,
    /// The key of the tip that it was written under.
    pub tip: Option<String>,
    /// The proposal, stripped of what models write around it.
    pub text: String,
    /// Why it was not taken.
    pub reason: RejectReason,
}

/// Why a proposal was not taken. Reads as the end of "the proposal ...".
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "reason", rename_all = "snake_case")]
#[non_exhaustive]
pub enum RejectReason {
    /// Nothing was left once decoration was stripped.
    Empty,
    /// It equals another instruction of the predictor but for case, spaces and punctuation.
    Duplicate,
    /// It mostly repeats the prompt that asked for it.
    Echo,
    /// It holds a place to be filled in, or is nothing else.
    Placeholder {
        /// The place.
        text: String,
    },
    /// It is longer than allowed.
    TooLong {
        /// Characters that it has.
        chars: usize,
        /// Characters that are allowed.
        limit: usize,
    },
    /// It quotes the data.
    Leak {
        /// The first words quoted.
        words: String,
    },
    /// It is written in a language, or a script, that neither the current instruction nor the inputs of the data use.
    Language,
    /// It shares no content word with the task: the current instruction, the fields and labels, what was said of data and
    /// program.
    OffTopic,
    /// It says the same thing again and again.
    Repetitive,
    /// It is a label, a field's name or a reply to the prompt: the model did the task, or copied the form, or talked, instead
    /// of writing an instruction.
    Answer,
    /// It only asks a question, names neither an input field nor two labels, and the current instruction asks none: models that are shown
    /// questions write one more.
    Question,
}

impl RejectReason {
    /// Whether the prompt LM was likely overwhelmed by what it was shown, or copied it: asked again, it gets the short prompt.
    pub(crate) fn calls_for_less(&self) -> bool {
        !matches!(self, Self::Duplicate | Self::TooLong { .. } | Self::Language)
    }
}

impl fmt::Display for RejectReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("is empty"),
            Self::Duplicate => f.write_str("repeats another instruction"),
            Self::Echo => f.write_str("repeats its own prompt"),
            Self::Placeholder { text } => write!(f, "holds the placeholder `{text}`"),
            Self::TooLong { chars, limit } => write!(f, "has {chars} characters, {limit} are allowed"),
            Self::Leak { words } => write!(f, "quotes the data: \"{words}\""),
            Self::Language => f.write_str("is in another language than the current instruction and the data"),
            Self::OffTopic => f.write_str("shares no word with the task"),
            Self::Repetitive => f.write_str("repeats itself"),
            Self::Question => f.write_str("is a question, not an instruction"),
            Self::Answer => f.write_str("is an answer, not an instruction"),
        }
    }
}
