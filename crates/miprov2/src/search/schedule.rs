//! The schedule of the reference's search: what is evaluated after what, before anything is known of it.
//!
//! ```text
//!   position   0         1   2   3   4   5   6         7   ..
//!              baseline  t1  t2  t3  t4  t5  full      t6  ..      every 5 trials, and after the last, a full evaluation
//! ```

use crate::config::Config;

/// What stands at a position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Slot {
    /// The program as it is, on all rows.
    Baseline,
    /// The trial of this number, from 1.
    Trial(usize),
    /// A full evaluation of the best candidate on minibatches.
    Promotion,
}

/// The schedule for a program of `predictors` on `val_rows` validation rows.
pub(crate) fn schedule(config: &Config, predictors: usize, val_rows: usize) -> Vec<Slot> {
    let trials = config.num_trials(predictors);
    let promotes = config.minibatch(val_rows).is_some();
    let mut slots = vec![Slot::Baseline];
    for number in 1..=trials {
        slots.push(Slot::Trial(number));
        let due = number.is_multiple_of(config.search.minibatch_full_eval_steps) || number == trials;
        if promotes && due {
            slots.push(Slot::Promotion);
        }
    }
    slots
}

/// The fewest rounds of program runs that follow one another when nothing else holds them up: the length of the chain.
///
/// A trial waits for the one `ahead` positions before it, a full evaluation for all before it.
pub(crate) fn chain(slots: &[Slot], ahead: usize) -> usize {
    let mut ends: Vec<usize> = Vec::with_capacity(slots.len());
    for (position, slot) in slots.iter().enumerate() {
        let waits = match slot {
            Slot::Promotion => position,
            _ => (position + 1).saturating_sub(ahead),
        };
        let begins = ends.iter().take(waits).copied().max().unwrap_or(0);
        ends.push(begins + 1);
    }
    ends.into_iter().max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_chain_is_the_longest_path() {
        use Slot::{Baseline, Promotion, Trial};
        let slots = [Baseline, Trial(1), Trial(2), Promotion, Trial(3), Promotion];
        assert_eq!(chain(&slots, 1), 6);
        // b t1 | t2 | full, t3 | full.
        assert_eq!(chain(&slots, 2), 4);
        // b t1 t2 | full, t3 | full.
        assert_eq!(chain(&slots, 3), 3);
    }
}
