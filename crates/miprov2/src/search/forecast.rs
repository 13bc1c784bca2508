//! What further program runs will use, foreseen from those that were made: so that under a cap nothing begins that the cap would cut,
//! and what a run comes to depends on no timing.
//!
//! Two figures for a row. What it is *expected* to use is enough where an evaluation runs alone: should the cap cut it all the
//! same, it is as if it had not begun ([`Purse::met`](crate::caps::Purse::met)). Evaluations overlap only where the *most* that
//! they can use has room, for of several that a cap cuts nobody could say which would have ended.

use super::{Choices, SearchSpace};
use crate::caps::Spent;
use crate::run::{Run, part};

/// What is foreseen has this margin in tokens and money: prompts and answers of different candidates differ in length.
const MARGIN: f64 = 1.25;
/// Characters of a token where the tokens of a prompt are estimated by its length; a call reserves a token for each.
const CHARS_PER_TOKEN: u64 = 4;

/// What the program runs of a search used so far.
pub(crate) struct Forecast<'a> {
    run: &'a Run<'a>,
    space: &'a SearchSpace,
    seen: Vec<Seen>,
}

/// What one combination used.
struct Seen {
    choices: Choices,
    prompt_tokens: usize,
    rows: usize,
    took: Spent,
    reserved: Spent,
}

/// What a program run may use.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct RowCost {
    /// Most probably no more than this.
    pub(crate) expected: Spent,
    /// Not more than this: all that its calls reserve.
    pub(crate) most: Spent,
}

impl RowCost {
    pub(crate) fn plus(self, other: Self) -> Self {
        Self { expected: self.expected.plus(other.expected), most: self.most.plus(other.most) }
    }

    pub(crate) fn times(self, rows: usize) -> Self {
        Self { expected: self.expected.scaled(rows as f64), most: self.most.scaled(rows as f64) }
    }

    fn max(self, other: Self) -> Self {
        Self { expected: self.expected.max(other.expected), most: self.most.max(other.most) }
    }
}

impl<'a> Forecast<'a> {
    pub(crate) fn new(run: &'a Run<'a>, space: &'a SearchSpace) -> Self {
        Self { run, space, seen: Vec::new() }
    }

    /// Notes what a part of the schedule used that ran a combination on so many rows.
    pub(crate) fn note(&mut self, part: u64, choices: &Choices, rows: usize) {
        let purse = &self.run.shared.purse;
        if !purse.counts() || rows == 0 {
            return;
        }
        let (took, reserved) = (purse.used_by(part..=part), purse.reserved_by(part..=part));
        match self.seen.iter_mut().find(|seen| seen.choices == *choices) {
            Some(seen) => {
                seen.rows += rows;
                seen.took = seen.took.plus(took);
                seen.reserved = seen.reserved.plus(reserved);
            }
            None => {
                let (choices, prompt_tokens) = (choices.clone(), self.space.prompt_tokens(choices));
                self.seen.push(Seen { choices, prompt_tokens, rows, took, reserved });
            }
        }
    }

    /// What a row uses under a candidate of so many prompt tokens: what it used under the dearest combination so far, and the
    /// tokens that this candidate's prompt has more.
    pub(crate) fn row(&self, prompt_tokens: usize) -> RowCost {
        let (purse, model) = (&self.run.shared.purse, self.run.config.task_lm.model());
        let of = |seen: &Seen| {
            let more = prompt_tokens.saturating_sub(seen.prompt_tokens) as u64;
            RowCost {
                expected: seen.took.each_of(seen.rows).plus(purse.prompt_cost(model, more)),
                most: seen.reserved.each_of(seen.rows).plus(purse.prompt_cost(model, CHARS_PER_TOKEN * more)),
            }
        };
        let cost = self.seen.iter().map(of).fold(RowCost::default(), RowCost::max);
        RowCost { expected: cost.expected.with_margin(MARGIN), most: cost.most.with_margin(MARGIN) }
    }

    /// The same under a combination.
    pub(crate) fn row_of(&self, choices: &Choices) -> RowCost {
        self.row(self.space.prompt_tokens(choices))
    }

    /// The cap that leaves no room for `needed` after everything in the parts below `end`, if one does.
    pub(crate) fn refusal(&self, end: u64, needed: Spent) -> Option<String> {
        let purse = &self.run.shared.purse;
        if !purse.counts() {
            return None;
        }
        let before = part::BOOTSTRAP..=end.saturating_sub(1);
        let used = purse.used_by(before.clone()).plus(purse.room(before).with_margin(MARGIN));
        purse.refusal(used.plus(needed))
    }
}
