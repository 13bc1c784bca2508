//! What a reader of the figures should know before believing them.

use teleprompt_core::evaluate::RowErrorKind;

use crate::search::{Ended, Found, TrialKind, TrialRecord};

/// Below this many validation rows an interval is wider than what prompts usually gain.
const FEW_ROWS: usize = 30;
/// From this score of the baseline on there is little left to gain.
const CEILING: f64 = 0.95;
/// Full scores closer together than this are told apart by chance.
const FLAT: f64 = 0.01;
/// From this share of unreadable answers on, the form of the prompt is what should change first.
const UNREADABLE: f64 = 0.1;

/// Warnings on the figures of a search.
pub(super) fn of(found: &Found, val_rows: usize) -> Vec<String> {
    let mut out = Vec::new();
    if val_rows < FEW_ROWS {
        out.push(format!(
            "only {val_rows} validation row{}: differences between candidates are mostly chance; {FEW_ROWS} or more are better",
            if val_rows == 1 { "" } else { "s" }
        ));
    }
    let full: Vec<&TrialRecord> =
        found.trials.iter().filter(|trial| trial.kind != TrialKind::Minibatch).collect();
    let scores: Vec<f64> = full.iter().filter_map(|trial| trial.score).collect();
    if let Some(first) = scores.first().filter(|score| **score >= CEILING) {
        out.push(format!(
            "the program as it was is right on {:.1} % of the validation rows: there is little to gain on them",
            100.0 * first
        ));
    }
    let range = scores.iter().copied().fold(0.0, f64::max) - scores.iter().copied().fold(1.0, f64::min);
    if scores.len() >= 3 && range <= FLAT {
        out.push(format!(
            "all {} full evaluations lie within {:.1} points: what was tried makes no difference that these rows could show",
            scores.len(),
            100.0 * range
        ));
    }
    let failed = found.trials.iter().flat_map(|trial| &trial.failed);
    let unreadable = failed.filter(|failed| failed.error.kind == RowErrorKind::Answer).count();
    let run: usize = found.trials.iter().map(|trial| trial.requested - trial.known).sum();
    if run > 0 && unreadable as f64 >= UNREADABLE * run as f64 {
        out.push(format!(
            "{unreadable} of {run} answers could not be read and score 0: another adapter or model may gain more than a prompt"
        ));
    }
    let ended = !matches!(found.ended, Ended::Complete | Ended::Early { .. });
    if ended && full.len() == 1 {
        let seen = found.trials.iter().filter(|trial| trial.kind == TrialKind::Minibatch);
        let best = seen.filter_map(|trial| trial.score).max_by(f64::total_cmp);
        let best = best.map_or(String::new(), |best| {
            format!("; the best on a minibatch, which says less, had {:.1} %", 100.0 * best)
        });
        out.push(format!(
            "no candidate was evaluated in full before the run ended: the result is the program as it was{best}"
        ));
    }
    out
}
