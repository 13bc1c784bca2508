//! The pool of one predictor while it grows: what is taken, which places are open, and what fills those that stay empty.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::Arc;

use rand::RngExt as _;
use teleprompt_core::{NamedPredictor, rng};

use crate::checks::{Rules, normal};
use crate::config::Settings;
use crate::edits::edits;
use crate::prompts::{Groundings, propose_instruction};
use crate::proposer::{InstructionOrigin, ProposalRequest, ProposedInstruction, RejectReason};
use crate::render::CHARS_PER_TOKEN;
use crate::statistics::ClosedLabels;
use crate::tips::{Tip, TipDraw};

/// The place of an instruction: which predictor of the request, and which index among its instructions (from 1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) predictor: usize,
    pub(crate) index: usize,
    /// Asked for with the short prompt.
    pub(crate) short: bool,
}

/// One attempt at a place.
pub(crate) struct Attempt<'t> {
    pub(crate) place: Place,
    pub(crate) tip: Option<&'t Tip>,
    pub(crate) groundings: Groundings,
}

/// What is known of a predictor, and its pool.
pub(crate) struct Pool<'a> {
    pub(crate) named: NamedPredictor<'a>,
    pub(crate) current: Arc<str>,
    pub(crate) module_description: Option<String>,
    /// Messages of calls that failed.
    pub(crate) failures: Vec<String>,
    settings: &'a Settings,
    tips: TipDraw<'a>,
    first_rollout: u64,
    known: &'a ClosedLabels,
    known_labels: BTreeSet<String>,
    /// By index, without the original.
    accepted: BTreeMap<usize, ProposedInstruction>,
    /// The normal forms of the original and of what is accepted.
    taken: BTreeSet<String>,
}

impl<'a> Pool<'a> {
    /// The empty pool of the predictor at index `predictor` of the request.
    pub(crate) fn new(
        settings: &'a Settings,
        request: &ProposalRequest<'_>,
        predictor: usize,
        named: NamedPredictor<'a>,
        module_description: Option<String>,
        known: &'a ClosedLabels,
    ) -> Self {
        let spec = named.predictor.spec();
        let current = request.current(&named);
        let values = spec.outputs().iter().filter_map(|field| known.get(&field.name)).flatten();
        let mut stream = rng::stream(request.seed, "rollout", &[predictor as u64]);
        Self {
            module_description,
            failures: Vec::new(),
            settings,
            tips: settings.tips.draw(spec, request.seed, predictor as u64),
            // 0 is the first sample of every request, which the calls of other stages ask for.
            first_rollout: 1 + u64::from(stream.random::<u32>()),
            known_labels: values.map(|(value, _)| value.clone()).collect(),
            known,
            accepted: BTreeMap::new(),
            taken: BTreeSet::from([normal(&current)]),
            current,
            named,
        }
    }

    /// The tip of the next attempt.
    pub(crate) fn next_tip(&mut self) -> Option<&'a Tip> {
        if self.settings.tip_aware { self.tips.next() } else { None }
    }

    /// The number of the sample asked for at this attempt: no two of a predictor are the same.
    pub(crate) fn rollout(&self, index: usize, attempt: u32) -> u64 {
        self.first_rollout + index as u64 * u64::from(self.settings.max_tries) + u64::from(attempt)
    }

    /// Most tokens of an instruction.
    pub(crate) fn max_tokens(&self) -> u32 {
        let current = self.current.chars().count() / CHARS_PER_TOKEN * 3 / 2;
        self.settings.instruction_tokens.max(u32::try_from(current).unwrap_or(u32::MAX))
    }

    /// Takes a proposal, unless a rule or what it `quoted` speaks against it.
    pub(crate) fn offer(
        &mut self,
        index: usize,
        text: &str,
        tip: Option<String>,
        groundings: &Groundings,
        quoted: Option<String>,
    ) -> Result<(), RejectReason> {
        let rules = Rules {
            spec: self.named.predictor.spec(),
            current: &self.current,
            known_labels: &self.known_labels,
            limit: self.settings.max_instruction_chars.max(self.current.chars().count() * 2),
        };
        let tip_text = groundings.tip.as_deref().unwrap_or_default();
        let own = format!("{}\n{tip_text}", propose_instruction(groundings).own_words());
        let material: Vec<&str> = groundings.material().collect();
        rules.check(text, &own, &material, &self.taken)?;
        if let Some(words) = quoted {
            return Err(RejectReason::Leak { words });
        }
        self.taken.insert(normal(text));
        let origin = InstructionOrigin::Proposed { tip, groundings: groundings.kinds() };
        self.accepted.insert(index, ProposedInstruction::new(text, origin));
        Ok(())
    }

    /// Fills the places up to `num_candidates` that stayed empty with edits, and says in warnings what went wrong. The
    /// places after the first `asked` were never asked for.
    pub(crate) fn fill(&mut self, num_candidates: usize, asked: usize) -> Vec<String> {
        let mut warnings = Vec::new();
        let name = &self.named.name;
        if let Some(first) = self.failures.first() {
            let failed = self.failures.len();
            warnings.push(format!("predictor `{name}`: {failed} calls failed, the first with: {first}"));
        }
        let wanted = num_candidates - 1;
        let empty: Vec<usize> = (1..=wanted).filter(|index| !self.accepted.contains_key(index)).collect();
        if empty.is_empty() {
            return warnings;
        }
        let mut edited = edits(&self.current, self.named.predictor.spec(), self.known).into_iter();
        let mut filled = 0;
        for &index in empty.iter().filter(|&&index| self.settings.edits || index > asked) {
            let Some(edit) = edited.find(|edit| self.taken.insert(normal(&edit.instruction))) else { break };
            let origin = InstructionOrigin::Edited { edit: edit.edit };
            self.accepted.insert(index, ProposedInstruction::new(edit.instruction, origin));
            filled += 1;
        }
        let missed = empty.iter().filter(|&&index| index <= asked).count();
        if missed == 0 && filled == empty.len() {
            return warnings;
        }
        let mut warning = format!(
            "predictor `{name}`: the prompt LM wrote a usable instruction for {} of {asked} places",
            asked - missed
        );
        if filled > 0 {
            let _ = write!(warning, "; {filled} are edits of the current instruction");
        }
        if filled < empty.len() {
            let _ = write!(warning, "; {} stay empty", empty.len() - filled);
        }
        warning.push_str(" (a larger prompt LM, a higher temperature or further tips may help)");
        warnings.push(warning);
        warnings
    }

    /// What was taken, in the order of the places.
    pub(crate) fn into_accepted(self) -> impl Iterator<Item = ProposedInstruction> {
        self.accepted.into_values()
    }
}
