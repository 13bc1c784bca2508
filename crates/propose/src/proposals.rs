//! What a proposer gives: what it found out ([`Prepared`]), and instructions with where each comes from ([`Proposals`]). Plain
//! data.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use teleprompt_core::{NamedPredictor, PredictorName};

use crate::error::ProposeError;
use crate::grounding::Grounding;
use crate::rejection::Rejection;
use crate::request::ProposalRequest;

/// What [`crate::Proposer::prepare`] gives: what was said of the data and of the program, before there are demos.
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

#[cfg(test)]
mod tests {
    use super::*;

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
