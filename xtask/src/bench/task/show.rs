//! The cells as tables for people, and as data.

use std::fmt::Write as _;

use teleprompt::PairedDifference;

use super::cell::{Figures, Kept, Outcome, Versions};
use super::work::{Optimizer, Scale};
use crate::bench::family::Better;
use crate::bench::propose::show::difference;
use crate::bench::record::{Comparison, OURS};
use crate::bench::stats::{Ratio, median, ratio_of_means, ratio_of_medians};

/// The one that others are compared with, row by row.
const RIVAL: Optimizer = Optimizer::DspyMiprov2;

const HEADINGS: [&str; 10] = [
    "optimizer",
    "seeds",
    "test accuracy (95 %)",
    "each seed",
    "against DSPy, MIPROv2 (95 %)",
    "LM calls",
    "tokens in, out",
    "wall, s",
    "CPU, s",
    "peak, MiB",
];

/// A task in numbers.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Described {
    pub(crate) name: String,
    pub(crate) labels: usize,
    pub(crate) train: usize,
    pub(crate) validation: usize,
    pub(crate) test: usize,
    pub(crate) scale: Scale,
}

/// The cells of a task.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Table {
    pub(crate) task: Described,
    /// How many seeds were wanted.
    pub(crate) seeds: u32,
    pub(crate) kept: Vec<Kept>,
}

impl Table {
    fn of(&self, optimizer: Optimizer) -> impl Iterator<Item = &Kept> {
        self.kept.iter().filter(move |kept| kept.cell.optimizer == optimizer)
    }

    /// Seed and figures of the cells that were finished.
    fn finished(&self, optimizer: Optimizer) -> Vec<(u64, &Figures)> {
        let of = self.of(optimizer).map(|kept| (kept.cell.seed, &kept.outcome));
        of.filter_map(|(seed, outcome)| match outcome {
            Outcome::Finished(figures) => Some((seed, figures)),
            Outcome::Failed(_) | Outcome::LateBeyond(_) => None,
        })
        .collect()
    }

    /// Why the first cell without figures has none.
    fn failure(&self, optimizer: Optimizer) -> Option<String> {
        self.of(optimizer).find_map(|kept| kept.outcome.ended())
    }

    /// Each test row's score, averaged over the seeds.
    fn rows(&self, optimizer: Optimizer) -> Vec<f64> {
        let finished = self.finished(optimizer);
        let row = |index: usize| {
            let scores = finished.iter().filter_map(|(_, figures)| figures.scores.get(index));
            scores.sum::<f64>() / finished.len() as f64
        };
        let rows = finished.iter().map(|(_, figures)| figures.scores.len()).min().unwrap_or_default();
        (0..rows).map(row).collect()
    }
}

/// An outcome in a line.
pub(crate) fn line(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Failed(_) | Outcome::LateBeyond(_) => {
            format!("ended: {}", outcome.ended().unwrap_or_default())
        }
        Outcome::Finished(figures) => format!(
            "{:.1} % of {} test rows, {} calls, {} + {} tokens, {:.0} s, {:.1} s of CPU, {:.0} MiB",
            100.0 * figures.accuracy(),
            figures.scores.len(),
            figures.calls,
            figures.tokens_in,
            figures.tokens_out,
            figures.seconds,
            figures.cpu_seconds.unwrap_or_default(),
            figures.peak_mib.unwrap_or_default()
        ),
    }
}

/// The table of a task, with what ended without a result below it.
pub(crate) fn markdown(table: &Table) -> String {
    let Described { name, labels, train, validation, test, scale } = &table.task;
    let kind = if *labels > 0 { format!("{labels} labels") } else { "free text".to_owned() };
    let mut out = format!(
        "\n**{name}**: {kind}; {train} training, {validation} validation and {test} test rows; {} program runs on validation rows,\n\
         {} instructions and demo sets, at most {} demos; random search: {} programs.\n\n| {} |\n|{}\n",
        scale.program_runs(*validation),
        scale.candidates,
        scale.demos,
        scale.random_programs + 3,
        HEADINGS.join(" | "),
        "---|".repeat(HEADINGS.len())
    );
    let rival = table.rows(RIVAL);
    for optimizer in Optimizer::ALL {
        if table.of(optimizer).next().is_some() {
            let _ = writeln!(out, "| {} |", cells(table, optimizer, &rival).join(" | "));
        }
    }
    let notes: Vec<String> = table.kept.iter().filter_map(note).collect();
    if !notes.is_empty() {
        let _ = write!(out, "\n- {}\n", notes.join("\n- "));
    }
    out
}

/// What a reader of a cell's figures should know, if there is anything.
fn note(kept: &Kept) -> Option<String> {
    let what = match &kept.outcome {
        Outcome::Finished(Figures { unread: 0, refused: 0, .. }) => return None,
        Outcome::Finished(Figures { unread, refused, .. }) => {
            format!("{unread} test answers could not be read, the server refused {refused} requests")
        }
        outcome => format!("ended: `{}`", outcome.ended()?.replace('`', "'")),
    };
    Some(format!("{}, seed {}: {what}", kept.cell.optimizer.name(), kept.cell.seed))
}

fn cells(table: &Table, optimizer: Optimizer, rival: &[f64]) -> [String; 10] {
    let finished = table.finished(optimizer);
    let wanted = optimizer.seeds(table.seeds);
    let rows = table.rows(optimizer);
    let seeds = finished.iter().map(|(_, figures)| format!("{:.1}", 100.0 * figures.accuracy()));
    let middle = |figure: &dyn Fn(&Figures) -> Option<f64>, digits: usize| {
        let values: Option<Vec<f64>> = finished.iter().map(|(_, figures)| figure(figures)).collect();
        median(&values.unwrap_or_default())
            .map_or_else(|| "-".to_owned(), |value| format!("{value:.digits$}"))
    };
    // With itself it is not compared.
    let rival = if optimizer == RIVAL { &[] } else { rival };
    let tokens = |of: fn(&Figures) -> u64| middle(&|figures| Some(of(figures) as f64), 0);
    [
        optimizer.name().to_owned(),
        format!("{} of {wanted}", finished.len()),
        accuracy(&rows),
        seeds.collect::<Vec<_>>().join(", "),
        difference(rival.iter().copied().zip(rows.iter().copied())),
        tokens(|figures| figures.calls),
        format!("{}, {}", tokens(|figures| figures.tokens_in), tokens(|figures| figures.tokens_out)),
        middle(&|figures| Some(figures.seconds), 0),
        middle(&|figures| figures.cpu_seconds, 1),
        middle(&|figures| figures.peak_mib, 0),
    ]
}

/// The mean over rows with Student's interval, in percent.
fn accuracy(rows: &[f64]) -> String {
    match PairedDifference::of(rows.iter().map(|score| (0.0, *score))) {
        Some(d) => {
            let percent = |share: f64| 100.0 * share.clamp(0.0, 1.0);
            format!("{:.1} % ({:.1} to {:.1})", percent(d.mean), percent(d.low), percent(d.high))
        }
        None => "-".to_owned(),
    }
}

/// A figure of a run, if there is one.
type Figure = fn(&Figures) -> Option<f64>;

/// What of a run costs, with its unit: less is better.
const COSTS: [(&str, &str, Figure); 6] = [
    ("LM calls", "", |figures| Some(figures.calls as f64)),
    ("tokens in", "", |figures| Some(figures.tokens_in as f64)),
    ("tokens out", "", |figures| Some(figures.tokens_out as f64)),
    ("wall time", "s", |figures| Some(figures.seconds)),
    ("CPU time", "s", |figures| figures.cpu_seconds),
    ("peak memory", "MiB", |figures| figures.peak_mib),
];

/// Each of our strategies beside every other optimizer: accuracy, and for DSPy's optimizers what they cost.
///
/// Accuracies are means over rows and finished seeds, their ratios' intervals of the rows' sampling. Costs are medians over the
/// seeds that both have finished.
pub(crate) fn comparisons(table: &Table) -> Vec<Comparison> {
    let mut all = Vec::new();
    for ours in [Optimizer::Adaptive, Optimizer::Reference] {
        if table.finished(ours).is_empty() {
            continue;
        }
        for peer in
            Optimizer::ALL.into_iter().filter(|peer| *peer != ours && table.of(*peer).next().is_some())
        {
            all.push(accuracies(table, ours, peer));
            if matches!(peer, Optimizer::DspyMiprov2 | Optimizer::DspyRandomSearch) {
                all.extend(COSTS.into_iter().map(|cost| costs(table, ours, peer, cost)));
            }
        }
    }
    all
}

fn accuracies(table: &Table, ours: Optimizer, peer: Optimizer) -> Comparison {
    let mean = |rows: &[f64]| (!rows.is_empty()).then(|| rows.iter().sum::<f64>() / rows.len() as f64);
    let (own, other) = (table.rows(ours), table.rows(peer));
    let ratio = ratio_of_means(&own, &other);
    let seeds = table.finished(ours).len();
    comparison(
        table,
        ours,
        peer,
        "accuracy",
        "of 1",
        Better::Higher,
        (mean(&own), mean(&other)),
        ratio,
        seeds,
    )
}

fn costs(
    table: &Table,
    ours: Optimizer,
    peer: Optimizer,
    (name, unit, figure): (&str, &str, Figure),
) -> Comparison {
    let theirs = table.finished(peer);
    let both = table.finished(ours).into_iter().filter_map(|(seed, own)| {
        let (_, other) = theirs.iter().find(|(other, _)| *other == seed)?;
        figure(own).zip(figure(other))
    });
    let (own, other): (Vec<f64>, Vec<f64>) = both.unzip();
    let ratio = ratio_of_medians(&other, &own, 0.0);
    let medians = (median(&own), median(&other));
    comparison(table, ours, peer, name, unit, Better::Lower, medians, ratio, own.len())
}

#[expect(clippy::too_many_arguments, reason = "the parts of a figure, named where it is called")]
fn comparison(
    table: &Table,
    ours: Optimizer,
    peer: Optimizer,
    name: &str,
    unit: &str,
    better: Better,
    (own, other): (Option<f64>, Option<f64>),
    ratio: Option<Ratio>,
    seeds: usize,
) -> Comparison {
    let mut versions = Versions::from([(OURS.to_owned(), env!("CARGO_PKG_VERSION").to_owned())]);
    for kept in table.of(peer) {
        versions.extend(kept.versions.clone());
    }
    // Why a contender has no figure stands in place of its version.
    let failure = if other.is_none() { table.failure(peer) } else { None };
    versions.extend(failure.map(|reason| (peer.key().to_owned(), reason)));
    Comparison {
        name: format!("{name}, {}, {}", table.task.name, ours.key()),
        unit: unit.to_owned(),
        better,
        ours: own,
        peer_name: peer.key().to_owned(),
        peer: other,
        ratio: ratio.map(|ratio| ratio.ratio),
        low: ratio.map(|ratio| ratio.low),
        high: ratio.map(|ratio| ratio.high),
        seeds,
        versions,
    }
}

#[cfg(test)]
mod tests {
    use super::super::cell::Cell;
    use super::super::cell::tests::figures;
    use super::*;

    /// 8 test rows; ours right on 6, the reference's search on 5, theirs on 4 with the first seed and ended with the second.
    fn table() -> Table {
        let right = |n: usize| -> Vec<f64> { (0..8).map(|row| f64::from(u8::from(row < n))).collect() };
        let kept = |optimizer, seed, outcome| {
            let cell = Cell { task: "questions".into(), optimizer, seed };
            Kept::new(cell, "t", Versions::from([("dspy".into(), "3.4.1".into())]), outcome)
        };
        let finished = |n: usize, calls: u64| {
            Outcome::Finished(Figures { calls, unread: 5 - n.min(5), ..figures(&right(n)) })
        };
        let ended = || Outcome::Failed("AdapterParseError: no `answer`".into());
        Table {
            task: Described {
                name: "questions".into(),
                labels: 6,
                train: 40,
                validation: 40,
                test: 8,
                scale: Scale::full(40),
            },
            seeds: 2,
            kept: vec![
                kept(Optimizer::Adaptive, 1, finished(6, 200)),
                kept(Optimizer::Adaptive, 2, finished(6, 300)),
                kept(Optimizer::Reference, 1, finished(5, 250)),
                kept(Optimizer::DspyMiprov2, 1, finished(4, 400)),
                kept(Optimizer::DspyMiprov2, 2, ended()),
                kept(Optimizer::DspyRandomSearch, 1, ended()),
            ],
        }
    }

    #[test]
    fn a_table_shows_what_was_finished_and_what_ended() {
        let text = markdown(&table());
        let head = "\n**questions**: 6 labels; 40 training, 40 validation and 8 test rows; 280 program runs on validation rows,\n\
            4 instructions and demo sets, at most 4 demos; random search: 7 programs.\n\n| optimizer | seeds |";
        assert!(text.starts_with(head), "{text}");
        for row in [
            "| teleprompt, adaptive | 2 of 2 | 75.0 % (36.3 to 100.0) | 75.0, 75.0 | +25.0 (-13.7 to +63.7) | 250 | 60000, 5000 | 90 | 1.5 | 20 |\n",
            "| teleprompt, reference | 1 of 2 | 62.5 % (19.2 to 100.0) | 62.5 | +12.5 (-17.1 to +42.1) | 250 | 60000, 5000 | 90 | 1.5 | 20 |\n",
            "| DSPy, MIPROv2 | 1 of 2 | 50.0 % (5.3 to 94.7) | 50.0 | - | 400 | 60000, 5000 | 90 | 1.5 | 20 |\n",
            "| DSPy, random search | 0 of 1 | - |  | - | - | -, - | - | - | - |\n",
            "\n- DSPy, MIPROv2, seed 1: 1 test answers could not be read, the server refused 0 requests\n",
            "\n- DSPy, MIPROv2, seed 2: ended: `AdapterParseError: no 'answer'`\n- DSPy, random search, seed 1: ended: ",
        ] {
            assert!(text.contains(row), "{row}\n{text}");
        }
        assert!(!text.contains("unoptimized"), "no row without a cell: {text}");
    }

    #[test]
    fn figures_compare_what_both_have() {
        let all = comparisons(&table());
        let find = |name: &str, peer: &str| {
            all.iter().find(|figure| figure.name == name && figure.peer_name == peer).unwrap()
        };
        let accuracy = find("accuracy, questions, adaptive", "dspy-miprov2");
        assert_eq!((accuracy.ours, accuracy.peer, accuracy.ratio), (Some(0.75), Some(0.5), Some(1.5)));
        assert!(accuracy.low.unwrap() < 1.5 && accuracy.high.unwrap() > 1.5);
        // The second seed of theirs has no figures.
        let calls = find("LM calls, questions, adaptive", "dspy-miprov2");
        assert_eq!(
            (calls.ours, calls.peer, calls.ratio, calls.seeds),
            (Some(200.0), Some(400.0), Some(2.0), 1)
        );
        assert_eq!(calls.versions["dspy"], "3.4.1");
        let ended = find("accuracy, questions, reference", "dspy-random-search");
        assert_eq!((ended.peer, ended.ratio), (None, None));
        assert_eq!(ended.failure(), Some("AdapterParseError: no `answer`"));
        assert!(find("accuracy, questions, reference", "adaptive").ratio.unwrap() < 1.0);
        assert!(all.iter().all(|figure| figure.problem().is_none()), "{all:?}");
    }

    #[test]
    fn an_outcome_is_a_line() {
        assert_eq!(line(&Outcome::LateBeyond(300)), "ended: not done within 5 minutes");
        let expect = "50.0 % of 2 test rows, 300 calls, 60000 + 5000 tokens, 90 s, 1.5 s of CPU, 20 MiB";
        assert_eq!(line(&Outcome::Finished(figures(&[1.0, 0.0]))), expect);
    }
}
