//! The pool of one predictor while it grows: what is taken, which places are open, and what fills those that stay empty.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::Arc;

use rand::RngExt as _;
use teleprompt_core::{Demo, DemoOrigin, Fields, NamedPredictor, rng};

use crate::checks::{Asked, Rules, normal};
use crate::config::Settings;
use crate::edits::edits;
use crate::grounding::{Ground, Grounding, Place};
use crate::known::Known;
use crate::language::Writing;
use crate::prompts::{Piece, Shown, propose_instruction};
use crate::proposals::{InstructionOrigin, Prepared, ProposedInstruction, current};
use crate::refine::{FailedCase, RefineRequest, ScoredInstruction};
use crate::rejection::RejectReason;
use crate::render::{self, CHARS_PER_TOKEN};
use crate::request::ProposalRequest;
use crate::tips::{Tip, TipDraw};

/// Demos shown for a proposal, at most; the reference's number.
const DEMOS_SHOWN: usize = 3;

/// A place to be filled: which pool, and which index among its instructions (from 1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Open {
    pub(crate) pool: usize,
    pub(crate) index: usize,
    /// Asked for with the short prompt.
    pub(crate) short: bool,
}

/// One attempt at a place.
pub(crate) struct Attempt<'t> {
    pub(crate) place: Open,
    pub(crate) tip: Option<&'t Tip>,
    pub(crate) shown: Shown,
}

/// What is known of a predictor, and its pool.
pub(crate) struct Pool<'a> {
    pub(crate) named: NamedPredictor<'a>,
    pub(crate) current: Arc<str>,
    /// Messages of calls that failed.
    pub(crate) failed_calls: Vec<String>,
    settings: &'a Settings,
    tips: TipDraw<'a>,
    first_rollout: u64,
    known: &'a Known,
    known_labels: BTreeSet<String>,
    writing: Writing,
    /// By index, without the original.
    accepted: BTreeMap<usize, ProposedInstruction>,
    /// The normal forms of what cannot be taken any more: the current instruction, what was tried, what is accepted.
    taken: BTreeSet<String>,
    /// Demo sets of the first round.
    demo_sets: &'a [Arc<[Demo]>],
    /// What later rounds know.
    later: Option<Later<'a>>,
}

/// What is known in a later round.
struct Later<'a> {
    demos: &'a [Demo],
    failures: &'a [FailedCase],
    history: &'a [ScoredInstruction],
}

impl<'a> Pool<'a> {
    /// The empty pool of the predictor at index `predictor` of a first round's request.
    pub(crate) fn new(
        settings: &'a Settings,
        request: &'a ProposalRequest<'_>,
        predictor: usize,
        named: NamedPredictor<'a>,
        known: &'a Known,
    ) -> Self {
        let current = request.current(&named);
        let demo_sets = request.demo_sets.get(&named.name).map(Vec::as_slice).unwrap_or_default();
        let pool = Self::empty(settings, request.seed, &[predictor as u64], named, current, known);
        Self { demo_sets, ..pool }
    }

    /// The pool of a later round, in which nothing that was tried can be taken again.
    pub(crate) fn later(
        settings: &'a Settings,
        request: &'a RefineRequest<'_>,
        predictor: usize,
        named: NamedPredictor<'a>,
        known: &'a Known,
    ) -> Self {
        let best = request.improves_on(&named);
        let own = current(&named);
        let indices = [predictor as u64, request.round];
        let mut pool = Self::empty(settings, request.seed, &indices, named, best, known);
        let tried = request.history.iter().map(|scored| &scored.instruction);
        pool.taken.extend(tried.chain(&request.known).chain([&own]).map(|text| normal(text)));
        let (demos, failures, history) = (&*request.demos, &*request.failures, &*request.history);
        pool.later = Some(Later { demos, failures, history });
        pool
    }

    /// A pool whose random streams are named by these indices.
    fn empty(
        settings: &'a Settings,
        seed: u64,
        indices: &[u64],
        named: NamedPredictor<'a>,
        current: Arc<str>,
        known: &'a Known,
    ) -> Self {
        let spec = named.predictor.spec();
        let values = spec.outputs().iter().filter_map(|field| known.labels.get(&field.name)).flatten();
        let mut stream = rng::stream(seed, "rollout", indices);
        Self {
            failed_calls: Vec::new(),
            settings,
            tips: settings.tips.draw_at(spec, seed, indices),
            // 0 is the first sample of every request, which the calls of other stages ask for.
            first_rollout: 1 + u64::from(stream.random::<u32>()),
            known_labels: values.map(|(value, _)| value.clone()).collect(),
            writing: known.writing.clone().and(&current),
            known,
            accepted: BTreeMap::new(),
            taken: BTreeSet::from([normal(&current)]),
            demo_sets: &[],
            later: None,
            current,
            named,
        }
    }

    /// What is shown for an attempt at a place, and under which tip.
    pub(crate) fn attempt(
        &mut self,
        place: Open,
        pieces: &BTreeMap<Grounding, Arc<dyn Ground>>,
        prepared: &Prepared,
    ) -> Attempt<'a> {
        let tip = if pieces.contains_key(&Grounding::Tip) { self.tips.next() } else { None };
        let spec = self.named.predictor.spec();
        let (demos, failures, history) = match &self.later {
            None => (demos_for(self.demo_sets, place.index), Default::default(), Default::default()),
            Some(Later { demos, failures, history }) => {
                (demos.iter().take(DEMOS_SHOWN).map(|demo| &*demo.fields).collect(), *failures, *history)
            }
        };
        let at = Place {
            predictor: &self.named.name,
            spec,
            current: &self.current,
            index: place.index,
            tip,
            demos: &demos,
            failures,
            history,
            prepared,
        };
        let shown = pieces.iter().filter_map(|(kind, ground)| {
            Some(Piece { kind: kind.clone(), heading: ground.heading(), text: ground.text(&at)? })
        });
        let module = render::signature(self.named.name.as_str(), spec);
        let shown = Shown { short: false, module, pieces: shown.collect() };
        Attempt { place, tip, shown: if place.short { shown.shortened() } else { shown } }
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
        shown: &Shown,
        quoted: Option<String>,
    ) -> Result<(), RejectReason> {
        let rules = Rules {
            spec: self.named.predictor.spec(),
            current: &self.current,
            known_labels: &self.known_labels,
            writing: &self.writing,
            limit: self.settings.max_instruction_chars.max(self.current.chars().count() * 2),
        };
        let own = format!("{}\n{}", propose_instruction(shown).own_words(), shown.tip());
        let (material, about): (Vec<&str>, Vec<&str>) = (shown.material().collect(), shown.about().collect());
        rules.check(text, Asked { own: &own, material: &material, about: &about }, &self.taken)?;
        if let Some(words) = quoted {
            return Err(RejectReason::Leak { words });
        }
        self.taken.insert(normal(text));
        let origin = InstructionOrigin::Proposed { tip, groundings: shown.kinds() };
        self.accepted.insert(index, ProposedInstruction::new(text, origin));
        Ok(())
    }

    /// Fills those of the first `wanted` places that stayed empty with edits, and says in warnings what went wrong. The
    /// places after the first `asked` were never asked for.
    pub(crate) fn fill(&mut self, wanted: usize, asked: usize) -> Vec<String> {
        let mut warnings = Vec::new();
        let name = &self.named.name;
        if let Some(first) = self.failed_calls.first() {
            let failed = self.failed_calls.len();
            warnings.push(format!("predictor `{name}`: {failed} calls failed, the first with: {first}"));
        }
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

/// The demos shown for the candidate of this index: none at the empty set 0, else up to three, from the set of the same
/// index on and round again. Bootstrapped ones, for they show the predictor at work; labeled ones only where there are none.
fn demos_for(sets: &[Arc<[Demo]>], index: usize) -> Vec<&Fields> {
    if sets.is_empty() || index.is_multiple_of(sets.len()) {
        return Vec::new();
    }
    let start = index % sets.len();
    let of = |origin: DemoOrigin| {
        let mut shown: Vec<&Fields> = Vec::new();
        let demos = sets.iter().cycle().skip(start).take(sets.len()).flat_map(|set| set.iter());
        for demo in demos.filter(|demo| demo.origin == origin) {
            if shown.len() < DEMOS_SHOWN && !shown.contains(&&*demo.fields) {
                shown.push(&demo.fields);
            }
        }
        shown
    };
    let bootstrapped = of(DemoOrigin::Bootstrapped);
    if bootstrapped.is_empty() { of(DemoOrigin::Labeled) } else { bootstrapped }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn demos_start_at_the_set_of_the_same_index() {
        let demo = |origin: fn(Fields) -> Demo, i: i64| origin(Fields::new().with("a", i));
        let sets: Vec<Arc<[Demo]>> = vec![
            Arc::new([]),
            Arc::new([demo(Demo::labeled, 0)]),
            Arc::new([demo(Demo::bootstrapped, 1), demo(Demo::bootstrapped, 2)]),
            Arc::new([demo(Demo::bootstrapped, 2), demo(Demo::labeled, 9), demo(Demo::bootstrapped, 3)]),
        ];
        let shown = |sets: &[Arc<[Demo]>], index| -> Vec<String> {
            demos_for(sets, index).into_iter().map(|fields| fields.text("a")).collect()
        };
        assert!(shown(&sets, 0).is_empty() && shown(&sets, 4).is_empty() && shown(&[], 1).is_empty());
        assert_eq!(shown(&sets, 1), ["1", "2", "3"]);
        assert_eq!(shown(&sets, 3), ["2", "3", "1"]);
        assert_eq!(shown(&sets, 6), ["1", "2", "3"]);
        assert_eq!(shown(&sets[..2], 1), ["0"]);
    }
}
