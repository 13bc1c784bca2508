//! How good a prompt of a [`SimTask`] is, and which cases it gets right.

use std::collections::BTreeSet;

use super::{ANSWER, QUERY, SimTask, prompt};
use crate::hash::Hash;

/// How the chance of a right answer follows from the prompt. All numbers are probabilities or parts of one.
///
/// ```text
///   chance = base + instruction * quality                              quality in [0, 1), a hash of the text
///          + demos * min(right demos, useful_demos) / useful_demos     distinct cases, rightly answered
///          + demo_spread * (q - 1/2)                                   q in [0, 1), a hash of the demos; 1/2 for none
/// ```
///
/// cut to `[0.02, 0.98]`. Each predictor has its own hashes and the same numbers.
#[derive(Clone, Debug, PartialEq)]
pub struct Landscape {
    /// The chance under the worst instruction without demos.
    pub base: f64,
    /// What the best instruction adds.
    pub instruction: f64,
    /// The quality of the signature's own instruction, in `[0, 1]`.
    pub own_instruction: f64,
    /// What `useful_demos` right demos add.
    pub demos: f64,
    /// Up to how many demos help; 0 counts as 1.
    pub useful_demos: usize,
    /// How far apart demo sets of the same size are.
    pub demo_spread: f64,
    /// The share of cases, in `[0, 1]`, that are equally hard under every prompt: a better prompt gets the same ones right and
    /// more. On the rest each prompt has luck of its own, as has each rollout.
    pub shared_luck: f64,
    /// What the chance of a right answer is multiplied with after a weak query, in `[0, 1]`.
    pub weak_query: f64,
}

impl Default for Landscape {
    /// One instruction in four is worse than the signature's own; the best prompt reaches about 0.95, the baseline 0.45.
    fn default() -> Self {
        Self {
            base: 0.35,
            instruction: 0.4,
            own_instruction: 0.25,
            demos: 0.15,
            useful_demos: 3,
            demo_spread: 0.1,
            shared_luck: 0.5,
            weak_query: 0.5,
        }
    }
}

/// What a prompt shows the model, besides the case itself.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Shown {
    pub(super) instruction: String,
    pub(super) demos: Vec<ShownDemo>,
}

/// A demo as the model sees it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct ShownDemo {
    case: Option<u64>,
    right: bool,
}

impl SimTask {
    /// A demo of `predictor` with these inputs and this output.
    pub(super) fn demo(&self, predictor: &str, inputs: &str, output: &str) -> ShownDemo {
        let case = prompt::case_of(inputs);
        let right = case.is_some_and(|case| match predictor {
            QUERY => output == self.query(case, true),
            _ => output == self.gold(case),
        });
        ShownDemo { case, right }
    }

    /// The chance, in `[0, 1]`, that `predictor` is right under this prompt, given a strong query.
    pub(super) fn chance(&self, predictor: &str, shown: &Shown) -> f64 {
        let landscape = &self.landscape;
        let right: BTreeSet<u64> =
            shown.demos.iter().filter(|demo| demo.right).filter_map(|demo| demo.case).collect();
        let useful = landscape.useful_demos.max(1);
        let demos = right.len().min(useful) as f64 / useful as f64;
        let luck = if shown.demos.is_empty() { 0.5 } else { self.demos_hash(predictor, shown).unit() };
        let quality = self.instruction_quality(predictor, &shown.instruction);
        let chance = landscape.base
            + landscape.instruction * quality
            + landscape.demos * demos
            + landscape.demo_spread * (luck - 0.5);
        chance.clamp(0.02, 0.98)
    }

    /// Whether `predictor` is right about a case under this prompt; `strong` says whether it was given a strong query.
    pub(super) fn is_right(
        &self,
        predictor: &str,
        shown: &Shown,
        case: u64,
        strong: bool,
        rollout: u64,
    ) -> bool {
        let mut chance = self.chance(predictor, shown);
        if predictor == ANSWER && !strong {
            chance *= self.landscape.weak_query;
        }
        let of_case = Hash::new(self.seed, "case").text(predictor).number(case);
        let draw = if of_case.text("shared").unit() < self.landscape.shared_luck {
            of_case.text("luck")
        } else {
            let demos = self.demos_hash(predictor, shown).bits();
            of_case.text(&shown.instruction).number(demos).number(rollout)
        };
        draw.unit() < chance
    }

    /// The query that leads to a case's facts, or one that does not.
    pub(super) fn query(&self, case: u64, strong: bool) -> String {
        if strong {
            format!("colour on record of case {case}")
        } else {
            format!("something about case {case}")
        }
    }

    fn demos_hash(&self, predictor: &str, shown: &Shown) -> Hash {
        let start = Hash::new(self.seed, "demos").text(predictor);
        shown.demos.iter().fold(start, |hash, demo| {
            hash.number(demo.case.unwrap_or(u64::MAX)).number(u64::from(demo.right))
        })
    }
}
