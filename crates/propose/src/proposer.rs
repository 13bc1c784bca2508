//! The contract of an instruction proposer: [`Proposer`]. What it is asked is in [`crate::request`], what it gives in
//! [`crate::proposals`].
//!
//! ```text
//!   program, trainset, demo sets ─▶ Proposer::propose ─▶ per predictor: [original, proposal, proposal, ...]
//!                                   (prompt LM: Ctx)      + what was rejected, and why
//! ```
//!
//! Deliberately absent: running programs. Which instruction is better is the business of the search that follows; what it
//! found comes back as data for a later round ([`Proposer::refine`]).

use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};
use teleprompt_core::Ctx;

use crate::error::ProposeError;
use crate::proposals::{Prepared, Proposals};
use crate::refine::{RefineRequest, Refinement};
use crate::request::ProposalRequest;

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
    /// The default proposes nothing, and no strategy of MIPROv2 asks: at equal numbers of instructions, a later round has not
    /// been shown to gain anything over one round (`docs/BENCHMARKS.md`, family propose: +1.2 points on the sample task, 95 %:
    /// -1.8 to +4.3, two seeds, with a small model). Who has a better model calls it and goes on from what it gives, as
    /// `examples/own_proposer.rs` does.
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

#[cfg(test)]
mod tests {
    use super::*;

    fn _object_safe(_: &dyn Proposer) {}
    fn _assert_send(_: impl Send) {}
}
