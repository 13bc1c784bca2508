//! The family `quickstart`: what the example of that name gains on its test rows, with the embedded model, by seed.
//!
//! The example runs as a user would start it, one process a seed, and writes what it did into `target/quickstart`. Beside its
//! accuracy stand those of the same program before, and of always giving the commonest label.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use serde::Deserialize;

use super::Options;
use super::family::{Better, Family, Keep, Measured};
use super::peers::Peer;
use super::record::{Comparison, OURS};
use super::stats::ratio_of_means;
use crate::error::Error;
use crate::workspace::{Workspace, shown};

/// Where answers and figures are kept, relative to the root.
const FOLDER: &str = "target/quickstart";

/// The family.
#[derive(Debug)]
pub(crate) struct Quickstart;

/// What a run writes; the example writes more.
#[derive(Debug, Clone, PartialEq, Deserialize)]
struct Outcome {
    seed: u64,
    majority: f64,
    baseline: f64,
    optimized: f64,
    diff: f64,
    diff_low: f64,
    diff_high: f64,
    test_rows: usize,
    lm_calls: u64,
    lm_calls_from_cache: u64,
    seconds: f64,
}

impl Family for Quickstart {
    fn seeds(&self) -> u32 {
        5
    }

    fn quick_seeds(&self) -> u32 {
        1
    }

    fn measure(
        &self,
        workspace: &Workspace,
        options: &Options,
        _: &mut [Peer],
        keep: &mut Keep<'_>,
    ) -> Result<Option<Measured>, Error> {
        fs::create_dir_all(workspace.path(FOLDER)).map_err(Error::file("make the folder", FOLDER))?;
        let seeds = u64::from(self.seeds_of(options));
        let mut outcomes = Vec::new();
        for seed in 1..=seeds {
            eprintln!("quickstart: seed {seed} of {seeds}");
            outcomes.push(run(workspace, options, seed)?);
            keep(&comparisons(&outcomes))?;
        }
        Ok(Some(Measured { comparisons: comparisons(&outcomes), tables: table(&outcomes) }))
    }
}

/// Runs the example with a seed; what an earlier run has is taken when this one resumes it.
fn run(workspace: &Workspace, options: &Options, seed: u64) -> Result<Outcome, Error> {
    let stem = format!("{FOLDER}/{}-{seed}", if options.quick { "smoke" } else { "seed" });
    let json = workspace.path(&format!("{stem}.json"));
    if options.resume && json.is_file() {
        return read(&json);
    }
    // Without an earlier run's answers: the time is to be that of a first run.
    for file in [format!("{stem}.json"), format!("{stem}.db")] {
        let path = workspace.path(&file);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(Error::file("remove", path)(error));
            }
            _ => {}
        }
    }
    let mut arguments: Vec<String> =
        ["run", "--quiet", "--release", "--example", "quickstart", "--", "--seed"]
            .map(str::to_owned)
            .to_vec();
    arguments.extend([
        seed.to_string(),
        "--cache".to_owned(),
        format!("{stem}.db"),
        "--json".to_owned(),
        format!("{stem}.json"),
        "--save".to_owned(),
        format!("{stem}-program.json"),
    ]);
    if options.quick {
        arguments.push("--smoke".to_owned());
    }
    let command = shown(&[], "cargo", &arguments);
    // Its report is not one of the tables; its progress is shown.
    let status = workspace.command("cargo").args(&arguments).stdout(std::process::Stdio::null()).status();
    match status.map_err(|source| Error::Start { command: command.clone(), source })? {
        status if status.success() => read(&json),
        status => Err(Error::Command { command, status }),
    }
}

fn read(path: &Path) -> Result<Outcome, Error> {
    let text = fs::read_to_string(path).map_err(Error::file("read", path))?;
    serde_json::from_str(&text)
        .map_err(|error| Error::Content { file: path.display().to_string(), problem: error.to_string() })
}

/// The mean accuracy over the seeds, beside those without optimizing.
fn comparisons(outcomes: &[Outcome]) -> Vec<Comparison> {
    let of = |value: fn(&Outcome) -> f64| -> Vec<f64> { outcomes.iter().map(value).collect() };
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len().max(1) as f64;
    let ours = of(|outcome| outcome.optimized);
    let compare = |(name, theirs): (&str, Vec<f64>)| {
        let ratio = ratio_of_means(&ours, &theirs);
        Comparison {
            name: "accuracy on the test rows, mean".to_owned(),
            unit: "of 1".to_owned(),
            better: Better::Higher,
            ours: Some(mean(&ours)),
            peer_name: name.to_owned(),
            peer: Some(mean(&theirs)),
            ratio: ratio.map(|ratio| ratio.ratio),
            low: ratio.map(|ratio| ratio.low),
            high: ratio.map(|ratio| ratio.high),
            seeds: outcomes.len(),
            versions: BTreeMap::from([(OURS.to_owned(), env!("CARGO_PKG_VERSION").to_owned())]),
        }
    };
    let others =
        [("before", of(|outcome| outcome.baseline)), ("majority class", of(|outcome| outcome.majority))];
    others.into_iter().map(compare).collect()
}

fn table(outcomes: &[Outcome]) -> String {
    let mut text = "| seed | majority class | before | after | difference (95 % interval), points | LM calls | seconds |\n\
        |---|---|---|---|---|---|---|\n"
        .to_owned();
    for outcome in outcomes {
        let percent = |share: f64| 100.0 * share;
        let seconds = match outcome.lm_calls_from_cache {
            0 => format!("{:.0}", outcome.seconds),
            cached => format!("- ({cached} answers were known)"),
        };
        let calls = match outcome.lm_calls {
            calls @ 0..1000 => calls.to_string(),
            calls => format!("{},{:03}", calls / 1000, calls % 1000),
        };
        let _ = writeln!(
            text,
            "| {} | {:.1} % | {:.1} % | {:.1} % | {:+.1} ({:+.1} to {:+.1}) | {calls} | {seconds} |",
            outcome.seed,
            percent(outcome.majority),
            percent(outcome.baseline),
            percent(outcome.optimized),
            percent(outcome.diff),
            percent(outcome.diff_low),
            percent(outcome.diff_high),
        );
    }
    let n = outcomes.len();
    let mean = 100.0 * outcomes.iter().map(|outcome| outcome.diff).sum::<f64>() / n.max(1) as f64;
    let better = outcomes.iter().filter(|outcome| outcome.diff > 0.0).count();
    let rows = outcomes.first().map_or(0, |outcome| outcome.test_rows);
    let _ = writeln!(
        text,
        "\nAccuracy on {rows} test rows; mean difference {mean:+.1} points, better with {better} of {n} seeds. The intervals \
         are of the test\nrows' sampling, for a given run; between seeds the result varies with the demos that are drawn."
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcomes() -> Vec<Outcome> {
        let text = |seed, optimized, cached| {
            format!(
                r#"{{"majority": 0.18, "baseline": 0.4, "optimized": {optimized}, "diff": 0.3, "diff_low": 0.2, "diff_high": 0.4,
                "test_rows": 190, "lm_calls": 1482, "lm_calls_from_cache": {cached}, "seconds": 58.4, "seed": {seed}, "more": 1}}"#
            )
        };
        [text(1, 0.8, 0), text(2, 0.6, 12)].iter().map(|text| serde_json::from_str(text).unwrap()).collect()
    }

    #[test]
    fn the_table_has_a_row_a_seed() {
        let table = table(&outcomes());
        assert!(
            table.contains("| 1 | 18.0 % | 40.0 % | 80.0 % | +30.0 (+20.0 to +40.0) | 1,482 | 58 |\n"),
            "{table}"
        );
        assert!(table.contains("| 1,482 | - (12 answers were known) |\n"), "{table}");
        assert!(table.contains("mean difference +30.0 points, better with 2 of 2 seeds"), "{table}");
    }

    #[test]
    fn figures_have_the_form() {
        let comparisons = comparisons(&outcomes());
        assert_eq!(comparisons.iter().filter_map(Comparison::problem).collect::<Vec<_>>(), [""; 0]);
        assert!((comparisons[0].ratio.unwrap() - 0.7 / 0.4).abs() < 1e-9);
    }
}
