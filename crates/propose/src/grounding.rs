//! Groundings: the pieces of what the prompt LM is shown for one proposal, each on its own, each replaceable.
//!
//! ```text
//!   Prepared, demos, failures, history, tip ─▶ Place ─▶ Ground::text ─▶ one field of the prompt, or none
//! ```
//!
//! A [`Ground`] is pure: what costs LM calls (the data summary, the descriptions) was asked before and stands in
//! [`Prepared`]. A user replaces a piece under its [`Grounding`], or adds an own one under [`Grounding::Own`]; a piece that is
//! off or replaced costs no call.

use std::fmt::{self, Write as _};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use teleprompt_core::{Fields, PredictorName, SignatureSpec};

use crate::config::Settings;
use crate::proposals::Prepared;
use crate::refine::{FailedCase, ScoredInstruction};
use crate::render;
use crate::tips::Tip;

/// A piece of what the prompt LM is shown for a proposal, in the order of the prompt.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Grounding {
    /// What was said of the data, or the statistics where nothing could be said.
    DatasetSummary,
    /// What was said of the program.
    ProgramDescription,
    /// What was said of the predictor's part in it.
    ModuleDescription,
    /// Demos of the predictor.
    Demos,
    /// A piece of the user's own, by its name.
    Own(String),
    /// Rows on which the best instruction so far fails; in later rounds.
    Failures,
    /// Earlier instructions with their scores; in later rounds.
    History,
    /// The current instruction, in later rounds the best so far.
    CurrentInstruction,
    /// A tip.
    Tip,
}

/// The kinds that come with the crate, in the order of the prompt.
pub(crate) const STANDARD: [Grounding; 8] = [
    Grounding::DatasetSummary,
    Grounding::ProgramDescription,
    Grounding::ModuleDescription,
    Grounding::Demos,
    Grounding::Failures,
    Grounding::History,
    Grounding::CurrentInstruction,
    Grounding::Tip,
];

/// How a piece stands in the prompt: as an input field of the prompt's signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heading {
    /// The field's name: an identifier, unique in the prompt.
    pub name: String,
    /// What the field holds, in a few words.
    pub description: String,
}

impl Heading {
    /// A heading of this name and description.
    pub fn new(name: impl Into<String>, description: impl Into<String>) -> Self {
        Self { name: name.into(), description: description.into() }
    }
}

/// What is known at the place of one proposal.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Place<'a> {
    /// The predictor.
    pub predictor: &'a PredictorName,
    /// Its signature.
    pub spec: &'a SignatureSpec,
    /// Its current instruction, in later rounds the best so far.
    pub current: &'a str,
    /// The place among its instructions, from 1.
    pub index: usize,
    /// The tip that was drawn; `None` where tips are off or none applies.
    pub tip: Option<&'a Tip>,
    /// The demos chosen for this place; at most 3.
    pub demos: &'a [&'a Fields],
    /// Where the best instruction so far fails; empty in the first round.
    pub failures: &'a [FailedCase],
    /// Earlier instructions with their scores; empty in the first round.
    pub history: &'a [ScoredInstruction],
    /// What was said of the data and of the program.
    pub prepared: &'a Prepared,
}

/// One piece of the prompt: its heading, and its text for each place.
///
/// What a piece prints as `Debug` is part of the proposer's settings ([`crate::Proposer::settings_text`]), by which a run that
/// is resumed sees that it is the same: it should tell two pieces apart that say different things.
///
/// ```
/// use teleprompt_propose::{Ground, GroundedProposer, Grounding, Heading, Place};
///
/// /// What the operator of the shop has decided; the same for every predictor but one.
/// #[derive(Debug)]
/// struct HouseRules;
///
/// impl Ground for HouseRules {
///     fn heading(&self) -> Heading {
///         Heading::new("house_rules", "what every instruction has to respect")
///     }
///
///     fn text(&self, place: &Place<'_>) -> Option<String> {
///         (place.predictor.as_str() != "search").then(|| "Customers are addressed formally.".to_owned())
///     }
/// }
///
/// let proposer = GroundedProposer::builder()
///     .grounding(Grounding::Own("house_rules".into()), HouseRules)
///     .grounding_text(Grounding::DatasetSummary, "Mail of a shop for lamps, most of it in one or two sentences.")
///     .without(Grounding::ModuleDescription)
///     .build();
/// assert!(proposer.is_ok());
/// ```
pub trait Ground: fmt::Debug + Send + Sync {
    /// How the piece stands in the prompt; the same at every place.
    fn heading(&self) -> Heading;

    /// The text at this place; `None` leaves the piece out of this prompt.
    fn text(&self, place: &Place<'_>) -> Option<String>;
}

/// A text of the user's own in place of a piece.
#[derive(Debug)]
pub(crate) struct FixedText {
    pub(crate) heading: Heading,
    pub(crate) text: String,
}

impl Ground for FixedText {
    fn heading(&self) -> Heading {
        self.heading.clone()
    }

    fn text(&self, _: &Place<'_>) -> Option<String> {
        (!self.text.trim().is_empty()).then(|| self.text.clone())
    }
}

/// A text at a place, within a budget of tokens where it has one.
type TextOf = fn(&Place<'_>, usize) -> Option<String>;

/// A piece of the crate's own: a heading, and a function of the place within a budget of tokens.
struct Standard {
    heading: (&'static str, &'static str),
    tokens: usize,
    text: TextOf,
}

fn piece(name: &'static str, description: &'static str, tokens: usize, text: TextOf) -> Standard {
    Standard { heading: (name, description), tokens, text }
}

impl fmt::Debug for Standard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} within {} tokens", self.heading.0, self.tokens)
    }
}

impl Ground for Standard {
    fn heading(&self) -> Heading {
        Heading::new(self.heading.0, self.heading.1)
    }

    fn text(&self, place: &Place<'_>) -> Option<String> {
        (self.text)(place, self.tokens)
    }
}

/// The piece of this kind that comes with the crate; none for an own one.
pub(crate) fn standard(kind: &Grounding, settings: &Settings) -> Option<Arc<dyn Ground>> {
    Some(Arc::new(match kind {
        Grounding::DatasetSummary => {
            piece("dataset_summary", "what the data looks like", 0, |place, _| place.prepared.summary.clone())
        }
        Grounding::ProgramDescription => {
            piece("program_description", "what the whole program is for", 0, |place, _| {
                place.prepared.program_description.clone()
            })
        }
        Grounding::ModuleDescription => {
            piece("module_description", "what this step has to achieve", 0, |place, _| {
                place.prepared.module_descriptions.get(place.predictor).cloned()
            })
        }
        Grounding::Demos => piece(
            "examples",
            "inputs of this step with good outputs",
            settings.demo_tokens,
            |place, tokens| {
                let demos = place.demos.iter().copied();
                (!place.demos.is_empty()).then(|| render::demos(place.spec, demos, tokens))
            },
        ),
        Grounding::Failures => piece(
            "failures",
            "inputs on which the current instruction leads to a wrong output",
            settings.failure_tokens,
            failures,
        ),
        Grounding::History => piece(
            "earlier_instructions",
            "what was tried already with its score, the best last",
            settings.history_tokens,
            history,
        ),
        Grounding::CurrentInstruction => {
            piece("current_instruction", "what the step is told now", 0, |place, _| {
                Some(place.current.to_owned())
            })
        }
        Grounding::Tip => piece("tip", "how to write the new instruction", 0, |place, _| {
            place.tip.map(|tip| tip.text.clone()).filter(|text| !text.is_empty())
        }),
        Grounding::Own(_) => return None,
    }))
}

/// Failures in full that are shown at most.
const FAILURES_SHOWN: usize = 4;
/// Earlier instructions that are shown at most.
const HISTORY_SHOWN: usize = 8;

/// Some failures, numbered: which ones changes with the place, so that proposals are written from different mistakes.
fn failures(place: &Place<'_>, tokens: usize) -> Option<String> {
    let count = place.failures.len();
    let start = place.index.saturating_sub(1) * FAILURES_SHOWN;
    let mut out = String::new();
    for i in 0..count.min(FAILURES_SHOWN) {
        let Some(case) = place.failures.get((start + i) % count) else { continue };
        let newline = if i == 0 { "" } else { "\n" };
        let _ = write!(out, "{newline}Failure {}\n{}", i + 1, case.written(place.spec, tokens));
    }
    (count > 0).then_some(out)
}

/// The best earlier instructions, the best of them last: what stands last is imitated most.
fn history(place: &Place<'_>, tokens: usize) -> Option<String> {
    let mut order: Vec<&ScoredInstruction> = place.history.iter().collect();
    order.sort_by(|a, b| a.score.total_cmp(&b.score).then(a.rows.cmp(&b.rows)));
    let best = order.get(order.len().saturating_sub(HISTORY_SHOWN)..).unwrap_or_default();
    let lines = best.iter().map(|scored| {
        let text = render::one_line(&render::cut(&scored.instruction, tokens));
        format!("{:.0} of 100 on {} rows: {text}", 100.0 * scored.score, scored.rows)
    });
    (!best.is_empty()).then(|| lines.collect::<Vec<_>>().join("\n"))
}
