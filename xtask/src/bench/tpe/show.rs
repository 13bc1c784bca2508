//! The figures of the family as tables: times one a line, regrets by problem with all contenders side by side.

use std::fmt::Write as _;

use super::regret::{FIGURE, SUMMARY};
use crate::bench::record::Comparison;
use crate::bench::table;

/// The contender that ratios are given for, where it was measured.
const REFERENCE: &str = "optuna";

/// All tables.
pub(super) fn tables(comparisons: &[Comparison]) -> String {
    let (regrets, others): (Vec<_>, Vec<_>) =
        comparisons.iter().cloned().partition(|comparison| comparison.name.starts_with(FIGURE));
    let (sums, regrets): (Vec<_>, Vec<_>) =
        regrets.into_iter().partition(|comparison| comparison.name.contains(SUMMARY));
    let mut text = String::new();
    if !others.is_empty() {
        text += &table::rows(&others);
    }
    if !regrets.is_empty() {
        let seeds = regrets.iter().map(|regret| regret.seeds).max().unwrap_or_default();
        let against = regrets.iter().any(|regret| regret.peer_name == REFERENCE);
        let ratios = if against {
            format!(", and ratios to {REFERENCE}'s, above 1 where ours is better")
        } else {
            String::new()
        };
        let _ = write!(text, "\nMedian regret over at most {seeds} seeds by problem{ratios}:\n\n");
        text += &by_problem(&regrets);
    }
    if !sums.is_empty() {
        text += "\nOver all problems of a half, the geometric mean of the ratios, with the worst and the best:\n\n\
            | ours | against | ratio | worst to best | seeds |\n|---|---|---|---|---|\n";
        for sum in &sums {
            let number = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), table::digits);
            let name = sum.name.trim_start_matches(FIGURE).trim().replace(SUMMARY, "");
            let (ratio, low, high) = (number(sum.ratio), number(sum.low), number(sum.high));
            let _ =
                writeln!(text, "| {name} | {} | {ratio} | {low} to {high} | {} |", sum.peer_name, sum.seeds);
        }
    }
    text
}

/// A line a problem: what others reach, what ours reach, and ours against the reference.
fn by_problem(regrets: &[Comparison]) -> String {
    let (mut problems, mut entrants, mut peers) = (Vec::new(), Vec::new(), Vec::new());
    let note = |list: &mut Vec<String>, name: &str| {
        if !list.iter().any(|known| known == name) {
            list.push(name.to_owned());
        }
    };
    for regret in regrets {
        let (entrant, problem) = parts(&regret.name);
        note(&mut entrants, entrant);
        note(&mut problems, problem);
        note(&mut peers, &regret.peer_name);
    }
    let ratios = if peers.iter().any(|peer| peer == REFERENCE) { entrants.clone() } else { Vec::new() };
    let heads = ["problem".to_owned()].into_iter().chain(peers.iter().chain(&entrants).cloned());
    let heads: Vec<String> =
        heads.chain(ratios.iter().map(|entrant| format!("{entrant}: ratio (95 %)"))).collect();
    let mut text = format!("| {} |\n|{}\n", heads.join(" | "), "---|".repeat(heads.len()));
    for problem in &problems {
        let of = |entrant: Option<&String>, peer: Option<&String>| {
            regrets.iter().find(|regret| {
                let (ours, on) = parts(&regret.name);
                on == problem
                    && entrant.is_none_or(|entrant| entrant == ours)
                    && peer.is_none_or(|peer| *peer == regret.peer_name)
            })
        };
        let shown = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), table::digits);
        let mut cells = vec![problem.clone()];
        cells.extend(peers.iter().map(|peer| shown(of(None, Some(peer)).and_then(|regret| regret.peer))));
        cells.extend(entrants.iter().map(|ours| shown(of(Some(ours), None).and_then(|regret| regret.ours))));
        cells.extend(ratios.iter().map(|ours| {
            let regret = of(Some(ours), Some(&REFERENCE.to_owned()));
            let interval = |regret: &Comparison| {
                let (ratio, low, high) = (regret.ratio?, regret.low?, regret.high?);
                Some(format!("{} ({} to {})", table::digits(ratio), table::digits(low), table::digits(high)))
            };
            regret.and_then(interval).unwrap_or_else(|| "-".to_owned())
        }));
        let _ = writeln!(text, "| {} |", cells.join(" | "));
    }
    text
}

/// Whose regret, and on which problem.
fn parts(name: &str) -> (&str, &str) {
    let rest = name.strip_prefix(FIGURE).unwrap_or(name).trim_start();
    rest.split_once(", ").unwrap_or((rest, ""))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::record::tests::sample;

    #[test]
    fn a_problem_has_one_line() {
        let regret = |entrant: &str, peer: &str, ours: f64, theirs: f64| Comparison {
            name: format!("{FIGURE} {entrant}, branin2, 100 trials (develop)"),
            ours: Some(ours),
            peer_name: peer.to_owned(),
            peer: Some(theirs),
            ratio: Some(theirs / ours),
            low: Some(0.5),
            high: Some(9.0),
            ..sample()
        };
        let figures = [
            sample(),
            regret("TPE", "random", 0.1, 0.4),
            regret("TPE", "optuna", 0.1, 0.2),
            regret("Auto", "random", 0.05, 0.4),
            regret("Auto", "optuna", 0.05, 0.2),
        ];
        let text = tables(&figures);
        assert!(text.contains("| ask and tell | ms |"), "{text}");
        assert!(
            text.contains(
                "| problem | random | optuna | TPE | Auto | TPE: ratio (95 %) | Auto: ratio (95 %) |\n"
            ),
            "{text}"
        );
        let line = "| branin2, 100 trials (develop) | 0.400 | 0.200 | 0.100 | 0.0500 | 2.00 (0.500 to 9.00) | 4.00 (0.500 to 9.00) |\n";
        assert!(text.contains(line), "{text}");
    }

    #[test]
    fn a_sum_is_named_by_whom_it_is_of() {
        let name = format!("{FIGURE} TPE{SUMMARY} 24 kept problems");
        let text = tables(&[Comparison { name, ours: None, peer: None, ..sample() }]);
        assert!(text.contains("| TPE 24 kept problems | optuna | 166 | 150 to 180 | 20 |"), "{text}");
    }
}
