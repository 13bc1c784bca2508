//! What a landscape is like, in a line: how good its candidates are, and what makes them differ.
//!
//! The variance of the candidates' mean scores is divided into what each kind of choice explains alone (a two-way analysis
//! of variance where all combinations were recorded), what no sum of choices explains (*own*), and the part of it that is
//! mere chance of the rows (*noise*: the residual of score minus candidate mean minus row mean, over the number of rows).

use std::fmt::Write as _;

use crate::landscape::{Landscape, Role, RowRole};

/// Sweeps of the additive fit; it is exact after one where all combinations were recorded.
const SWEEPS: usize = 60;

/// What a landscape is like. Scores, means and standard deviations are in `[0, 1]`.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Summary {
    /// The share of rows of the commonest class; `None` where answers are no classes.
    pub(super) majority: Option<f64>,
    /// The default's mean score over all rows.
    pub(super) default: f64,
    /// The mean of the candidates' mean scores, their standard deviation, and the best.
    pub(super) mean: f64,
    pub(super) sd: f64,
    pub(super) best: f64,
    /// Shares of the variance of the mean scores: of instructions and of demo sets, all predictors together ...
    pub(super) instructions: f64,
    pub(super) demo_sets: f64,
    /// ... of what no sum of choices explains ...
    pub(super) own: f64,
    /// ... and of chance, which is inside all of the others.
    pub(super) noise: f64,
    /// The share of cells that were recorded.
    pub(super) filled: f64,
}

impl Summary {
    /// Summarizes a landscape that was read, so is sound.
    pub(super) fn of(landscape: &Landscape) -> Self {
        let rows: Vec<usize> = (0..landscape.n_rows()).collect();
        let means: Vec<f64> = (0..landscape.n_candidates())
            .map(|candidate| landscape.mean(candidate, &rows).unwrap_or(0.0))
            .collect();
        let mean = average(&means);
        let variance = average(&means.iter().map(|x| (x - mean).powi(2)).collect::<Vec<_>>());
        let share = |part: f64| if variance > 0.0 { part / variance } else { 0.0 };
        let effects = additive(landscape, &means);
        let of_kind = |kind: usize| {
            let each = effects.iter().skip(kind).step_by(2).map(|effect| {
                let centre = average(effect);
                average(&effect.iter().map(|x| (x - centre).powi(2)).collect::<Vec<_>>())
            });
            share(each.sum())
        };
        let rest: Vec<f64> = (0..means.len())
            .map(|i| (means[i] - mean - effects.iter().map(|effect| effect[i]).sum::<f64>()).powi(2))
            .collect();
        let cells = landscape.n_candidates() * landscape.n_rows();
        let recorded: usize = (0..landscape.n_candidates())
            .map(|candidate| rows.iter().filter(|&&row| landscape.score(candidate, row).is_some()).count())
            .sum();
        Self {
            majority: majority(landscape),
            default: means.get(landscape.default).copied().unwrap_or(0.0),
            mean,
            sd: variance.sqrt(),
            best: means.iter().copied().fold(0.0, f64::max),
            instructions: of_kind(0),
            demo_sets: of_kind(1),
            own: share(average(&rest)),
            noise: share(chance(landscape, &means)),
            filled: recorded as f64 / cells as f64,
        }
    }
}

fn average(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

fn majority(landscape: &Landscape) -> Option<f64> {
    let mut counts = vec![0_usize; landscape.classes];
    for class in landscape.gold.iter().flatten() {
        *counts.get_mut(*class)? += 1;
    }
    Some(*counts.iter().max()? as f64 / landscape.n_rows() as f64)
}

/// The additive fit of the candidates' means: for each choice (instruction and demo set of each predictor), each candidate's
/// effect. Fitted by turns, so that it holds for any design.
fn additive(landscape: &Landscape, means: &[f64]) -> Vec<Vec<f64>> {
    let n = means.len();
    let centre = average(means);
    let choices = landscape.predictors.len() * 2;
    let mut effects = vec![vec![0.0; n]; choices];
    for _ in 0..SWEEPS {
        for choice in 0..choices {
            let options = 1 + landscape.candidates.iter().map(|of| of[choice]).max().unwrap_or(0);
            let mut sums = vec![(0.0, 0_usize); options];
            for (i, of) in landscape.candidates.iter().enumerate() {
                let others: f64 =
                    (0..choices).filter(|&other| other != choice).map(|other| effects[other][i]).sum();
                let (sum, count) = &mut sums[of[choice]];
                *sum += means[i] - centre - others;
                *count += 1;
            }
            for (i, of) in landscape.candidates.iter().enumerate() {
                let (sum, count) = sums[of[choice]];
                effects[choice][i] = sum / count as f64;
            }
        }
    }
    effects
}

/// The variance that a candidate's mean has because its rows are few: row difficulty is common to all candidates and does
/// not count.
fn chance(landscape: &Landscape, means: &[f64]) -> f64 {
    let centre = average(means);
    let (mut squares, mut cells) = (0.0, 0_usize);
    for row in 0..landscape.n_rows() {
        let known: Vec<(f64, f64)> = means
            .iter()
            .enumerate()
            .filter_map(|(candidate, mean)| Some((landscape.score(candidate, row)?, mean - centre)))
            .collect();
        let ease = average(&known.iter().map(|(score, ability)| score - ability).collect::<Vec<_>>());
        squares += known.iter().map(|(score, ability)| (score - ability - ease).powi(2)).sum::<f64>();
        cells += known.len();
    }
    squares / cells.max(1) as f64 / landscape.n_rows() as f64
}

/// The table of `docs/LANDSCAPES.md`.
pub(super) fn markdown(landscapes: &[Landscape]) -> String {
    let mut text = String::from(
        "| landscape | role | instructions x demo sets | candidates x rows (val + test) | metric | majority | default | mean | sd | best \
         | instr. | demos | own | noise |\n|---|---|---|---|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|\n",
    );
    for landscape in landscapes {
        let summary = Summary::of(landscape);
        let role = match landscape.role {
            Role::Public => "public",
            Role::HeldOut => "held out",
        };
        let choices: Vec<String> =
            landscape.predictors.iter().map(|of| format!("{} x {}", of.instructions, of.demo_sets)).collect();
        let percent = |x: f64| format!("{:.1}", 100.0 * x);
        let share = |x: f64| format!("{:.0} %", 100.0 * x);
        let _ = writeln!(
            text,
            "| {} | {role} | {} | {} x {} ({} + {}){} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {} |",
            landscape.name,
            choices.join(", "),
            landscape.n_candidates(),
            landscape.n_rows(),
            landscape.rows_of(RowRole::Val).len(),
            landscape.rows_of(RowRole::Test).len(),
            if summary.filled < 1.0 { format!(", {} filled", share(summary.filled)) } else { String::new() },
            landscape.metric,
            summary.majority.map_or_else(|| "-".to_owned(), percent),
            percent(summary.default),
            percent(summary.mean),
            percent(summary.sd),
            percent(summary.best),
            share(summary.instructions),
            share(summary.demo_sets),
            share(summary.own),
            share(summary.noise),
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::landscape::{Choices, SCHEMA, Scores};

    /// A 2 x 2 grid whose candidates score `levels` (tenths) on 10 rows, each right on the first rows.
    fn grid(levels: [usize; 4]) -> Landscape {
        let score = |level: usize| -> Vec<Option<f64>> {
            (0..10).map(|row| Some(f64::from(u8::from(row < level)))).collect()
        };
        Landscape {
            schema: SCHEMA.into(),
            name: "grid".into(),
            task: "grid".into(),
            role: Role::Public,
            model: "none".into(),
            adapter: "plain".into(),
            metric: "exact_match".into(),
            classes: 2,
            predictors: vec![Choices { name: "x".into(), instructions: 2, demo_sets: 2 }],
            default: 0,
            rows: "vvvvvvvttt".into(),
            gold: (0..10).map(|row| Some(usize::from(row > 5))).collect(),
            candidates: vec![vec![0, 0], vec![0, 1], vec![1, 0], vec![1, 1]],
            scores: levels.iter().map(|&level| Scores::of(&score(level))).collect(),
        }
    }

    #[test]
    fn main_effects_and_interactions_are_told_apart() {
        // The instruction adds 0.1, the demo set 0.3: variances 0.0025 and 0.0225.
        let summary = Summary::of(&grid([2, 5, 3, 6]));
        assert!((summary.instructions - 0.1).abs() < 1e-9, "{summary:?}");
        assert!((summary.demo_sets - 0.9).abs() < 1e-9, "{summary:?}");
        assert!(summary.own < 1e-9, "{summary:?}");
        assert_eq!((summary.majority, summary.default, summary.best), (Some(0.6), 0.2, 0.6));
        assert!((summary.mean - 0.4).abs() < 1e-9 && (summary.sd - 0.025_f64.sqrt()).abs() < 1e-9);

        let crossed = Summary::of(&grid([2, 5, 5, 2]));
        assert!((crossed.own - 1.0).abs() < 1e-9 && crossed.instructions < 1e-9, "{crossed:?}");
        let flat = Summary::of(&grid([4; 4]));
        assert_eq!((flat.sd, flat.own, flat.noise, flat.filled), (0.0, 0.0, 0.0, 1.0));
    }

    #[test]
    fn chance_is_what_rows_and_candidates_do_not_explain() {
        // All rows alike but for the candidates' levels: cells deviate from an additive pattern, so there is chance.
        let summary = Summary::of(&grid([2, 5, 3, 6]));
        assert!(summary.noise > 0.0 && summary.noise < 1.0, "{summary:?}");
    }

    #[test]
    fn the_table_has_a_line_for_each_landscape() {
        let table = markdown(&[grid([2, 5, 3, 6])]);
        let line = table.lines().last().unwrap();
        assert!(
            line.starts_with("| grid | public | 2 x 2 | 4 x 10 (7 + 3) | exact_match | 60.0 | 20.0 | 40.0"),
            "{line}"
        );
    }
}
