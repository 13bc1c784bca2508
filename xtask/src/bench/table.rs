//! The figures of a run as tables: plain text for the terminal, Markdown for the document.

use super::docs::MADE_BY;
use super::machine::Machine;
use super::record::Comparison;

const HEADINGS: [&str; 7] = ["figure", "unit", "teleprompt", "peer", "peer's", "ratio", "95 %"];

/// A table with aligned columns.
pub(crate) fn text(comparisons: &[Comparison]) -> String {
    let rows: Vec<[String; 7]> =
        std::iter::once(HEADINGS.map(str::to_owned)).chain(comparisons.iter().map(cells)).collect();
    let mut widths = [0; 7];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let line = |row: &[String; 7]| {
        let cells: Vec<String> =
            row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        cells.join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// How a generated block was made, on what, and with which versions.
pub(crate) fn head(command: &str, machine: &Machine, comparisons: &[Comparison]) -> String {
    let mut versions: Vec<String> = comparisons
        .iter()
        .filter(|comparison| comparison.failure().is_none())
        .flat_map(|comparison| &comparison.versions)
        .map(|(name, version)| format!("{name} {version}"))
        .collect();
    versions.sort();
    versions.dedup();
    format!("{MADE_BY}{command}` on {}.\nVersions: {}.\n", machine.describe(), versions.join(", "))
}

/// The inside of a generated block: how it was made, on what, and the table.
pub(crate) fn markdown(command: &str, machine: &Machine, comparisons: &[Comparison]) -> String {
    head(command, machine, comparisons) + &rows(comparisons)
}

/// A table with one line a figure, and what its columns are.
pub(crate) fn rows(comparisons: &[Comparison]) -> String {
    let seeds = comparisons.iter().map(|comparison| comparison.seeds).max().unwrap_or_default();
    let mut lines = vec![
        format!("Medians over {seeds} seeds; a ratio above 1 means that teleprompt is better, with the 95 %"),
        "bootstrap interval over seeds.".to_owned(),
        String::new(),
        format!("| {} |", HEADINGS.join(" | ")),
        format!("|{}", "---|".repeat(HEADINGS.len())),
    ];
    let row =
        |comparison| format!("| {} |", cells(comparison).map(|cell| cell.replace('|', "\\|")).join(" | "));
    lines.extend(comparisons.iter().map(row));
    lines.join("\n") + "\n"
}

fn cells(comparison: &Comparison) -> [String; 7] {
    let interval = match (comparison.low, comparison.high) {
        (Some(low), Some(high)) => format!("{} to {}", digits(low), digits(high)),
        _ => String::new(),
    };
    let shown = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), digits);
    let peer = comparison.failure().map_or_else(|| shown(comparison.peer), str::to_owned);
    [
        comparison.name.clone(),
        comparison.unit.clone(),
        shown(comparison.ours),
        comparison.peer_name.clone(),
        peer,
        shown(comparison.ratio),
        interval,
    ]
}

/// Three significant digits, without an exponent where the number is of a usual size.
pub(crate) fn digits(value: f64) -> String {
    let size = value.abs();
    if size == 0.0 {
        "0".to_owned()
    } else if !(1e-4..1e7).contains(&size) {
        format!("{value:.2e}")
    } else {
        let decimals = 2 - size.log10().floor() as i32;
        format!("{value:.*}", usize::try_from(decimals).unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use super::super::record::tests::{missing, sample};
    use super::*;

    #[test]
    fn numbers_have_three_digits() {
        for (value, expect) in [
            (0.0, "0"),
            (0.051_23, "0.0512"),
            (8.5, "8.50"),
            (166.4, "166"),
            (12_345.0, "12345"),
            (1e-6, "1.00e-6"),
        ] {
            assert_eq!(digits(value), expect);
        }
    }

    #[test]
    fn columns_are_aligned() {
        let expect = "figure        unit  teleprompt  peer    peer's  ratio  95 %\n\
            ask and tell  ms    0.0512      optuna  8.50    166    150 to 180";
        assert_eq!(text(&[sample()]), expect);
    }

    #[test]
    fn a_peer_that_is_missing_says_why() {
        let table = text(&[missing()]);
        assert!(table.ends_with("optuna  not installed: no Python  -"), "{table}");
    }

    #[test]
    fn markdown_names_command_machine_and_versions() {
        let machine = Machine { cpu: "Some CPU".into(), cores: 2, ..Machine::default() };
        let block = markdown("cargo xtask bench tpe", &machine, &[sample()]);
        assert!(block.starts_with("Made by `cargo xtask bench tpe` on Some CPU, 2 cores"), "{block}");
        assert!(block.contains("Versions: optuna 5.0.0, teleprompt 0.1.0."), "{block}");
        assert!(
            block.contains("| ask and tell | ms | 0.0512 | optuna | 8.50 | 166 | 150 to 180 |\n"),
            "{block}"
        );
    }
}
