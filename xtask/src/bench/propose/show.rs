//! The figures as a table for people, and as data.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use teleprompt::PairedDifference;
use teleprompt::propose::InstructionOrigin;

use super::super::family::Better;
use super::super::record::Comparison;
use super::super::stats::ratio_of_means;
use super::measure::{Outcome, Scale, VariantOutcome};
use super::variant::Variant;

const HEADINGS: [&str; 7] = [
    "proposer",
    "usable",
    "LM calls",
    "best is new",
    "test accuracy",
    "against the original (95 %)",
    "against all groundings (95 %)",
];

/// The tables of all tasks.
pub(crate) fn markdown(model: &str, scale: &Scale, outcomes: &[Outcome]) -> String {
    let mut out = format!(
        "Model `{model}`, for the task and for the proposals. Best of {} instructions, the original among them, chosen on\n\
         validation rows; {} seeds. Differences in points, paired by test row, each row's score averaged over the seeds: the\n\
         intervals are of the rows' sampling.\n",
        scale.candidates, scale.seeds
    );
    for outcome in outcomes {
        let labels = if outcome.labels > 0 { format!("{} labels, ", outcome.labels) } else { String::new() };
        let _ = write!(
            out,
            "\n**{}**: {labels}{} validation and {} test rows; the original instruction: {:.1} %.\n\n| {} |\n|{}\n",
            outcome.name,
            outcome.validation_rows,
            outcome.test_rows,
            100.0 * outcome.original,
            HEADINGS.join(" | "),
            "---|".repeat(HEADINGS.len())
        );
        let all = outcome.variants.iter().find(|outcome| outcome.variant == Variant::All);
        for variant in &outcome.variants {
            let _ = writeln!(out, "| {} |", cells(variant, all, scale).join(" | "));
        }
        if let Some(all) = all {
            let _ = write!(out, "\nThe instructions that all groundings chose:\n\n");
            for proposed in &all.instructions {
                let from = match &proposed.origin {
                    InstructionOrigin::Original => "the original".to_owned(),
                    origin => format!("tip {}", origin.tip().unwrap_or("none")),
                };
                let text = proposed.instruction.split_whitespace().collect::<Vec<_>>().join(" ");
                let _ = writeln!(out, "- {from}: {text}");
            }
        }
    }
    out
}

fn cells(variant: &VariantOutcome, all: Option<&VariantOutcome>, scale: &Scale) -> [String; 7] {
    let against_all = match all {
        Some(all) if all.variant != variant.variant => {
            let pairs = variant.rows.iter().zip(&all.rows).map(|(ours, theirs)| (theirs.0, ours.0));
            difference(pairs)
        }
        _ => "-".to_owned(),
    };
    [
        variant.variant.name(),
        format!("{} of {}", variant.usable.0, variant.usable.1),
        variant.calls.to_string(),
        format!("{} of {}", variant.chosen, scale.seeds),
        format!("{:.1} %", 100.0 * variant.best),
        difference(variant.rows.iter().map(|(best, original)| (*original, *best))),
        against_all,
    ]
}

/// The mean of `after - before`, in points.
pub(crate) fn difference(pairs: impl IntoIterator<Item = (f64, f64)>) -> String {
    match PairedDifference::of(pairs) {
        Some(d) => format!("{:+.1} ({:+.1} to {:+.1})", 100.0 * d.mean, 100.0 * d.low, 100.0 * d.high),
        None => "-".to_owned(),
    }
}

/// Each variant's best against the original, as every family gives its figures: ratios of accuracies.
pub(crate) fn comparisons(model: &str, outcome: &Outcome) -> Vec<Comparison> {
    let compare = |variant: &VariantOutcome| {
        let (best, original): (Vec<f64>, Vec<f64>) = variant.rows.iter().copied().unzip();
        let ratio = ratio_of_means(&best, &original);
        Comparison {
            name: format!("accuracy, {}, {}, {model}", outcome.name, variant.variant.name()),
            unit: "of 1".to_owned(),
            better: Better::Higher,
            ours: Some(variant.best),
            peer_name: "original instruction".to_owned(),
            peer: Some(outcome.original),
            ratio: ratio.map(|ratio| ratio.ratio),
            low: ratio.map(|ratio| ratio.low),
            high: ratio.map(|ratio| ratio.high),
            seeds: variant.instructions.len(),
            versions: BTreeMap::from([("teleprompt".to_owned(), env!("CARGO_PKG_VERSION").to_owned())]),
        }
    };
    outcome.variants.iter().map(compare).collect()
}
