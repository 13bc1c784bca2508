//! A proposer without a model: instructions that the user has written.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;
use teleprompt_core::{Ctx, PredictorName};

use crate::checks::normal;
use crate::error::ProposeError;
use crate::proposals::{InstructionOrigin, Proposals, ProposedInstruction};
use crate::proposer::{CallRange, Proposer};
use crate::rejection::{RejectReason, Rejection};
use crate::request::ProposalRequest;

/// Proposes the instructions that it was given, in their order, after the original.
///
/// An instruction that is empty or the same as one before it (but for case, spaces and punctuation) is left out, and so is
/// what exceeds [`ProposalRequest::num_candidates`]; both are said in [`Proposals`].
///
/// # Cost
/// No LM call.
///
/// ```
/// use std::{collections::BTreeMap, sync::Arc};
/// use teleprompt_core::{Ctx, Predictor, SignatureSpec};
/// use teleprompt_propose::{FixedProposer, ProposalRequest, Proposer};
///
/// # let cx = Ctx::new(Arc::new(teleprompt_testkit::ScriptedLm::default()));
/// let program = Predictor::new(SignatureSpec::parse("message -> team").unwrap());
/// let proposer = FixedProposer::new()
///     .with("self", ["Name the team that should answer.", "Who answers this? Write the team's name."]);
///
/// let demo_sets = BTreeMap::new();
/// let request = ProposalRequest::new(&program, &[], &demo_sets);
/// assert_eq!(proposer.plan(&request).most, 0);
/// let proposals = futures::executor::block_on(proposer.propose(&cx, &request)).unwrap();
/// let texts: Vec<&str> = proposals.instructions["self"].iter().map(|proposed| &*proposed.instruction).collect();
/// assert_eq!(texts[0], "Given the field `message`, produce the field `team`.");
/// assert_eq!(texts[1..], ["Name the team that should answer.", "Who answers this? Write the team's name."]);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FixedProposer {
    instructions: BTreeMap<PredictorName, Vec<Arc<str>>>,
}

impl FixedProposer {
    /// A proposer of nothing but the original.
    pub fn new() -> Self {
        Self::default()
    }

    /// The same proposer with instructions for one predictor; they follow those given for it before.
    #[must_use]
    pub fn with<I>(mut self, predictor: impl Into<PredictorName>, instructions: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<Arc<str>>,
    {
        let given = self.instructions.entry(predictor.into()).or_default();
        given.extend(instructions.into_iter().map(Into::into));
        self
    }

    fn proposals(&self, request: &ProposalRequest<'_>) -> Result<Proposals, ProposeError> {
        let mut proposals = Proposals::originals(request)?;
        for (name, taken) in &mut proposals.instructions {
            let mut seen: BTreeSet<String> = taken.iter().map(|known| normal(&known.instruction)).collect();
            let given = self.instructions.get(name).map(Vec::as_slice).unwrap_or_default();
            for (i, text) in given.iter().enumerate() {
                let words = normal(text);
                let reason = if text.trim().is_empty() {
                    Some(RejectReason::Empty)
                } else if !seen.insert(words) {
                    Some(RejectReason::Duplicate)
                } else {
                    None
                };
                if let Some(reason) = reason {
                    proposals.rejected.push(Rejection {
                        predictor: name.clone(),
                        index: i + 1,
                        attempt: 1,
                        tip: None,
                        text: text.to_string(),
                        reason,
                    });
                } else if taken.len() < request.num_candidates.max(1) {
                    taken.push(ProposedInstruction::new(text.clone(), InstructionOrigin::Given));
                } else {
                    proposals.warnings.push(format!(
                        "predictor `{name}`: {} of the given instructions are not used, for `num_candidates` is {}",
                        given.len() - i,
                        request.num_candidates
                    ));
                    break;
                }
            }
        }
        let unused = self.instructions.keys().filter(|name| !proposals.instructions.contains_key(*name));
        for name in unused {
            let warning = format!("instructions were given for predictor `{name}`, which is not asked for");
            proposals.warnings.push(warning);
        }
        Ok(proposals)
    }
}

impl Proposer for FixedProposer {
    fn propose<'a>(
        &'a self,
        _cx: &'a Ctx,
        request: &'a ProposalRequest<'a>,
    ) -> BoxFuture<'a, Result<Proposals, ProposeError>> {
        futures::future::ready(self.proposals(request)).boxed()
    }

    fn plan(&self, _request: &ProposalRequest<'_>) -> CallRange {
        CallRange::exactly(0)
    }

    fn settings_text(&self) -> String {
        format!("{self:?}")
    }
}

#[cfg(test)]
mod tests {
    use teleprompt_core::{Predictor, SignatureSpec};

    use super::*;

    #[test]
    fn what_cannot_be_used_is_said() {
        let program = Predictor::new(SignatureSpec::parse("a -> b").unwrap());
        let demo_sets = BTreeMap::new();
        let request = ProposalRequest::new(&program, &[], &demo_sets).with_num_candidates(3);
        let proposer =
            FixedProposer::new().with("self", ["One.", " ONE", "", "Two.", "Three."]).with("other", ["x"]);
        let proposals = proposer.proposals(&request).unwrap();
        assert_eq!(proposals.instructions["self"].len(), 3);
        let reasons: Vec<_> = proposals.rejected.iter().map(|r| (r.index, r.reason.clone())).collect();
        assert_eq!(reasons, [(2, RejectReason::Duplicate), (3, RejectReason::Empty)]);
        assert_eq!(
            proposals.warnings,
            [
                "predictor `self`: 1 of the given instructions are not used, for `num_candidates` is 3",
                "instructions were given for predictor `other`, which is not asked for"
            ]
        );
    }
}
