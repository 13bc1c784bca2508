//! The contract of an instruction proposer: [`Proposer`], what it is asked ([`ProposalRequest`]) and what it gives
//! ([`Proposals`]).
//!
//! ```text
//!   program, trainset, demo sets ─▶ Proposer::propose ─▶ per predictor: [original, proposal, proposal, ...]
//!                                   (prompt LM: Ctx)      + what was rejected, and why
//! ```
//!
//! Deliberately absent: running programs. Which instruction is better is the business of the search that follows; what it
//! found comes back as data for a later round ([`Proposer::refine`]).

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};
use teleprompt_core::{Candidate, Ctx, Demo, Example, NamedPredictor, Nearest, PredictorName, Program};

use crate::error::ProposeError;
use crate::grounding::Grounding;
use crate::refine::{RefineRequest, Refinement};

/// Something that proposes instructions for the predictors of a program.
///
/// [`crate::GroundedProposer`] asks a language model, [`crate::FixedProposer`] gives a list. An own proposer starts
/// from [`Proposals::originals`] and adds to it:
///
/// ```
/// use futures::future::{BoxFuture, FutureExt};
/// use teleprompt_core::Ctx;
/// use teleprompt_propose::{CallRange, InstructionOrigin, ProposalRequest, ProposeError, ProposedInstruction, Proposer, Proposals};
///
/// /// Adds the rules of one hospital to whatever a predictor is told already.
/// struct WardRules;
///
/// impl Proposer for WardRules {
///     fn propose<'a>(&'a self, _cx: &'a Ctx, request: &'a ProposalRequest<'a>) -> BoxFuture<'a, Result<Proposals, ProposeError>> {
///         async move {
///             let mut proposals = Proposals::originals(request)?;
///             for instructions in proposals.instructions.values_mut() {
///                 let text = format!("{} Never name a patient.", instructions[0].instruction);
///                 instructions.push(ProposedInstruction::new(text, InstructionOrigin::Given));
///             }
///             Ok(proposals)
///         }
///         .boxed()
///     }
///
///     fn plan(&self, _request: &ProposalRequest<'_>) -> CallRange {
///         CallRange::exactly(0)
///     }
/// }
/// # use std::{collections::BTreeMap, sync::Arc};
/// # use teleprompt_core::{Predictor, SignatureSpec};
/// # let cx = Ctx::new(Arc::new(teleprompt_testkit::ScriptedLm::default()));
/// let program = Predictor::new(SignatureSpec::parse("note -> summary").unwrap());
/// let demo_sets = BTreeMap::new();
/// let request = ProposalRequest::new(&program, &[], &demo_sets);
/// let proposals = futures::executor::block_on(WardRules.propose(&cx, &request)).unwrap();
/// let instructions = &proposals.instructions["self"];
/// assert!(instructions[1].instruction.ends_with("Never name a patient."));
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a proposer of instructions",
    note = "implement `Proposer`: `propose` returning a `BoxFuture`, and `plan`"
)]
pub trait Proposer: Send + Sync {
    /// Instructions for each predictor of the request; index 0 is always the current instruction, for which nothing is
    /// paid. There are at most [`ProposalRequest::num_candidates`] for a predictor, and at least one.
    ///
    /// `cx` is a context on the prompt LM.
    ///
    /// # Errors
    /// [`ProposeError`]: a predictor that the program lacks, or a model that answers nothing until someone acts.
    ///
    /// # Cost
    /// Between [`CallRange::least`] and [`CallRange::most`] prompt-LM calls of [`Proposer::plan`].
    ///
    /// # Determinism
    /// Implementations give the same proposals for the same request and the same answers, whatever the timing.
    fn propose<'a>(
        &'a self,
        cx: &'a Ctx,
        request: &'a ProposalRequest<'a>,
    ) -> BoxFuture<'a, Result<Proposals, ProposeError>>;

    /// The part of the work that needs no demos, so that it can be done while they are being made. What it gives comes back
    /// in [`ProposalRequest::prepared`]; its calls are among those of [`Proposer::plan`]. The default prepares nothing.
    ///
    /// # Errors
    /// As [`Proposer::propose`].
    fn prepare<'a>(
        &'a self,
        _cx: &'a Ctx,
        _request: &'a ProposalRequest<'a>,
    ) -> BoxFuture<'a, Result<Prepared, ProposeError>> {
        std::future::ready(Ok(Prepared::default())).boxed()
    }

    /// How many prompt-LM calls [`Proposer::prepare`] and [`Proposer::propose`] make together for this request.
    fn plan(&self, request: &ProposalRequest<'_>) -> CallRange;

    /// New instructions for one predictor after some trials, from the scores, the failures of the best so far and what was
    /// tried. None of them is in the request's history or known to it; there may be fewer than asked for, or none.
    ///
    /// The default proposes nothing.
    ///
    /// # Errors
    /// As [`Proposer::propose`]; what was taken before a fatal error is in [`ProposeError::into_partial`].
    ///
    /// # Cost
    /// Between [`CallRange::least`] and [`CallRange::most`] prompt-LM calls of [`Proposer::plan_refine`].
    ///
    /// # Determinism
    /// As [`Proposer::propose`].
    fn refine<'a>(
        &'a self,
        _cx: &'a Ctx,
        _request: &'a RefineRequest<'a>,
    ) -> BoxFuture<'a, Result<Refinement, ProposeError>> {
        std::future::ready(Ok(Refinement::default())).boxed()
    }

    /// How many prompt-LM calls [`Proposer::refine`] makes for this request. The default is none.
    fn plan_refine(&self, _request: &RefineRequest<'_>) -> CallRange {
        CallRange::default()
    }

    /// The proposer's own settings as text: two proposers that propose alike have the same. Part of the fingerprint of a run
    /// that can be resumed. The default is empty.
    fn settings_text(&self) -> String {
        String::new()
    }
}

/// A shared proposer is a proposer.
impl<P: Proposer + ?Sized> Proposer for Arc<P> {
    fn propose<'a>(
        &'a self,
        cx: &'a Ctx,
        request: &'a ProposalRequest<'a>,
    ) -> BoxFuture<'a, Result<Proposals, ProposeError>> {
        (**self).propose(cx, request)
    }

    fn prepare<'a>(
        &'a self,
        cx: &'a Ctx,
        request: &'a ProposalRequest<'a>,
    ) -> BoxFuture<'a, Result<Prepared, ProposeError>> {
        (**self).prepare(cx, request)
    }

    fn refine<'a>(
        &'a self,
        cx: &'a Ctx,
        request: &'a RefineRequest<'a>,
    ) -> BoxFuture<'a, Result<Refinement, ProposeError>> {
        (**self).refine(cx, request)
    }

    fn plan_refine(&self, request: &RefineRequest<'_>) -> CallRange {
        (**self).plan_refine(request)
    }

    fn settings_text(&self) -> String {
        (**self).settings_text()
    }

    fn plan(&self, request: &ProposalRequest<'_>) -> CallRange {
        (**self).plan(request)
    }
}

/// What a proposer is asked.
#[derive(Clone)]
#[non_exhaustive]
pub struct ProposalRequest<'a> {
    /// The program.
    pub program: &'a dyn Program,
    /// The predictors to propose for, in the order in which they are worked on.
    pub predictors: Vec<PredictorName>,
    /// Rows that may be shown to the prompt LM. Never the validation rows.
    pub trainset: &'a [Example],
    /// Demo sets by predictor; set 0 is the empty one. May be empty, or lack predictors.
    pub demo_sets: &'a BTreeMap<PredictorName, Vec<Arc<[Demo]>>>,
    /// Most instructions for each predictor, the original included; 0 is read as 1.
    pub num_candidates: usize,
    /// The root of the random streams `tip`, `summary` and `rollout`.
    pub seed: u64,
    /// Sampling temperature of the proposals, in `[0, 2]`.
    pub temperature: f64,
    /// Called after each prompt-LM call, answered or failed: for progress displays. Must return soon.
    pub on_call: Option<&'a (dyn Fn() + Sync)>,
    /// Instructions from which to start, where they are not the program's own.
    pub start: Option<&'a Candidate>,
    /// What [`Proposer::prepare`] gave for this request, if it was asked.
    pub prepared: Option<&'a Prepared>,
}

impl<'a> ProposalRequest<'a> {
    /// A request for every predictor of `program` that is not frozen: 6 instructions each (the number of MIPROv2's
    /// smallest budget), seed 9, temperature 1.
    pub fn new(
        program: &'a dyn Program,
        trainset: &'a [Example],
        demo_sets: &'a BTreeMap<PredictorName, Vec<Arc<[Demo]>>>,
    ) -> Self {
        let predictors = program.predictors().into_iter().filter(|named| !named.frozen);
        Self {
            predictors: predictors.map(|named| named.name).collect(),
            program,
            trainset,
            demo_sets,
            num_candidates: 6,
            seed: 9,
            temperature: 1.0,
            on_call: None,
            start: None,
            prepared: None,
        }
    }

    /// The same request for these predictors only.
    #[must_use]
    pub fn with_predictors(mut self, predictors: Vec<PredictorName>) -> Self {
        self.predictors = predictors;
        self
    }

    /// The same request for this many instructions for each predictor, the original included.
    #[must_use]
    pub fn with_num_candidates(mut self, num_candidates: usize) -> Self {
        self.num_candidates = num_candidates;
        self
    }

    /// The same request with another root of the random streams.
    #[must_use]
    pub fn with_seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// The same request with another temperature, in `[0, 2]`.
    #[must_use]
    pub fn with_temperature(mut self, temperature: f64) -> Self {
        self.temperature = temperature;
        self
    }

    /// The same request, telling `on_call` of each prompt-LM call that ended.
    #[must_use]
    pub fn with_on_call(mut self, on_call: &'a (dyn Fn() + Sync)) -> Self {
        self.on_call = Some(on_call);
        self
    }

    /// The same request, starting from a candidate's instructions.
    #[must_use]
    pub fn with_start(mut self, start: &'a Candidate) -> Self {
        self.start = Some(start);
        self
    }

    /// The same request with what [`Proposer::prepare`] gave for it.
    #[must_use]
    pub fn with_prepared(mut self, prepared: &'a Prepared) -> Self {
        self.prepared = Some(prepared);
        self
    }

    /// The instruction that a predictor has now: that of the start, else its own, else its signature's.
    pub fn current(&self, named: &NamedPredictor<'_>) -> Arc<str> {
        let start = self.start.and_then(|start| start.get(named.name.as_str()));
        start.and_then(|params| params.instruction.clone()).unwrap_or_else(|| current(named))
    }

    /// The predictors to propose for, found in the program; one that is named twice is given once.
    ///
    /// # Errors
    /// [`ProposeError::UnknownPredictor`] with the nearest name that the program has.
    pub fn resolve(&self) -> Result<Vec<NamedPredictor<'a>>, ProposeError> {
        let known = self.program.predictors();
        let find = |name: &PredictorName| {
            known.iter().find(|named| named.name == *name).cloned().ok_or_else(|| {
                let names = known.iter().map(|named| named.name.as_str());
                ProposeError::UnknownPredictor {
                    name: name.clone(),
                    nearest: Nearest::to(name.as_str(), names),
                }
            })
        };
        let first =
            |(i, name): &(usize, &PredictorName)| !self.predictors.iter().take(*i).any(|seen| seen == *name);
        self.predictors.iter().enumerate().filter(first).map(|(_, name)| find(name)).collect()
    }
}

/// How many LM calls something makes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallRange {
    /// The fewest, when no call fails in a way that ends the proposal.
    pub least: u64,
    /// The most.
    pub most: u64,
    /// The number when every answer can be used: no failure, no retry, no early stop.
    pub nominal: u64,
}

impl CallRange {
    /// Always `calls`.
    pub fn exactly(calls: u64) -> Self {
        Self { least: calls, most: calls, nominal: calls }
    }
}

/// What [`Proposer::prepare`] gives: what was said of the data and of the program, before there are demos.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Prepared {
    /// What was said of the data.
    pub summary: Option<String>,
    /// What was said of the program.
    pub program_description: Option<String>,
    /// What was said of each predictor's part in it.
    pub module_descriptions: BTreeMap<PredictorName, String>,
    /// What the user should know.
    pub warnings: Vec<String>,
}

/// What a proposer gives.
///
/// Plain data, so that it can be stored, resumed and edited by hand.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Proposals {
    /// Instructions by predictor: the original first, no two the same, at most
    /// [`ProposalRequest::num_candidates`] each.
    pub instructions: BTreeMap<PredictorName, Vec<ProposedInstruction>>,
    /// What was said of the data, where that was asked.
    #[serde(default)]
    pub summary: Option<String>,
    /// What was said of the program, where that was asked.
    #[serde(default)]
    pub program_description: Option<String>,
    /// What was said of each predictor's part in it, where that was asked.
    #[serde(default)]
    pub module_descriptions: BTreeMap<PredictorName, String>,
    /// What the user should know: failed calls, places that stayed empty.
    #[serde(default)]
    pub warnings: Vec<String>,
    /// Proposals that were not taken, in order: by predictor, candidate and attempt.
    #[serde(default)]
    pub rejected: Vec<Rejection>,
}

impl Proposals {
    /// The current instruction of every predictor of the request, and nothing else: where every proposer begins.
    ///
    /// # Errors
    /// [`ProposeError::UnknownPredictor`] with the nearest name that the program has.
    pub fn originals(request: &ProposalRequest<'_>) -> Result<Self, ProposeError> {
        let originals = request.resolve()?.into_iter().map(|named| {
            let original = ProposedInstruction::new(request.current(&named), InstructionOrigin::Original);
            (named.name, vec![original])
        });
        Ok(Self { instructions: originals.collect(), ..Self::default() })
    }

    /// What was said of the data and of the program, for later rounds.
    pub fn prepared(&self) -> Prepared {
        Prepared {
            summary: self.summary.clone(),
            program_description: self.program_description.clone(),
            module_descriptions: self.module_descriptions.clone(),
            warnings: Vec::new(),
        }
    }
}

/// The instruction that a predictor has now: its own, else its signature's.
pub(crate) fn current(named: &NamedPredictor<'_>) -> Arc<str> {
    let own = named.predictor.params().instruction.clone();
    own.unwrap_or_else(|| named.predictor.spec().instruction())
}

/// An instruction, and where it comes from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProposedInstruction {
    /// The instruction.
    pub instruction: Arc<str>,
    /// Where it comes from.
    pub origin: InstructionOrigin,
}

impl ProposedInstruction {
    /// An instruction of this origin.
    pub fn new(instruction: impl Into<Arc<str>>, origin: InstructionOrigin) -> Self {
        Self { instruction: instruction.into(), origin }
    }
}

/// Where an instruction comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "origin", rename_all = "snake_case")]
#[non_exhaustive]
pub enum InstructionOrigin {
    /// The program's own.
    Original,
    /// Written by the prompt LM.
    Proposed {
        /// The key of the tip that it was written under; `None` where tips were off.
        tip: Option<String>,
        /// What the prompt LM was shown, in the order of the prompt.
        groundings: Vec<Grounding>,
    },
    /// Made from the original by a fixed rule, without an LM.
    Edited {
        /// Which rules, joined by `+`: `label_list`, `label_words`, `output_format`, `field_descriptions`.
        edit: String,
    },
    /// Given by the user.
    Given,
}

impl InstructionOrigin {
    /// The key of the tip, where there was one.
    pub fn tip(&self) -> Option<&str> {
        match self {
            Self::Proposed { tip, .. } => tip.as_deref(),
            _ => None,
        }
    }

    /// What the prompt LM was shown, in the order of the prompt; empty where no model wrote the instruction.
    pub fn groundings(&self) -> &[Grounding] {
        match self {
            Self::Proposed { groundings, .. } => groundings,
            _ => &[],
        }
    }
}

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
    /// It says the same thing again and again.
    Repetitive,
    /// It is a label, a field's name or a reply to the prompt: the model did the task, or copied the form, or talked, instead
    /// of writing an instruction.
    Answer,
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
            Self::Repetitive => f.write_str("repeats itself"),
            Self::Answer => f.write_str("is an answer, not an instruction"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn _object_safe(_: &dyn Proposer) {}
    fn _assert_send(_: impl Send) {}

    #[test]
    fn proposals_survive_their_own_json() {
        let mut proposals = Proposals::default();
        let origin =
            InstructionOrigin::Proposed { tip: Some("simple".into()), groundings: vec![Grounding::Tip] };
        let instruction = ProposedInstruction::new("Sort it.", origin);
        proposals.instructions.insert("draft".into(), vec![instruction]);
        let text = serde_json::to_string(&proposals).unwrap();
        assert_eq!(serde_json::from_str::<Proposals>(&text).unwrap(), proposals);
    }
}
