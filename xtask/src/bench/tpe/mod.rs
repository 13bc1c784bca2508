//! The family `tpe`: our optimizer alone, against its own random sampler and against Optuna and its Rust port.
//!
//! Times are in [`speed`], search efficiency in [`regret`] on the catalogue of [`problems`], trial by trial in [`curves`].

mod curves;
mod problems;
mod regret;
mod show;
mod space;
mod speed;

use super::Options;
use super::family::{Case, Draw, Family};
use super::peers::Peer;
use super::record::Comparison;
use crate::error::Error;
use crate::workspace::Workspace;

/// The baseline from our own crate.
const RANDOM: &str = "random";
/// The problems of a quick run.
const QUICK: [&str; 2] = ["branin2", "interactions 6 x 5"];

/// The family.
#[derive(Debug)]
pub(crate) struct Tpe;

impl Family for Tpe {
    fn seeds(&self) -> u32 {
        50
    }

    fn data(&self) -> Option<&'static str> {
        Some("tpe-tables")
    }

    fn cases(&self, quick: bool, data: Option<&mut Peer>) -> Result<Vec<Box<dyn Case>>, Error> {
        let mut cases = speed::cases(quick);
        let mut problems = problems::all();
        if quick {
            problems.retain(|problem| QUICK.contains(&&*problem.name));
        } else if let Some(peer) = data {
            match peer.missing() {
                Some(reason) => eprintln!("tpe: no tables: {reason}"),
                None => problems.extend(problems::Tables(peer).problems()?),
            }
        }
        cases.extend(regret::cases(problems));
        Ok(cases)
    }

    fn tables(&self, comparisons: &[Comparison]) -> Option<String> {
        Some(show::tables(comparisons))
    }

    fn summary(&self, comparisons: &[Comparison]) -> Vec<Comparison> {
        regret::summary(comparisons)
    }

    fn plots(
        &self,
        _: &Workspace,
        options: &Options,
        peers: &mut [Peer],
        draw: &mut Draw<'_>,
    ) -> Result<usize, Error> {
        curves::plots(options, peers, draw)
    }
}

fn failed(problem: impl ToString) -> Error {
    Error::Measurement { subject: "tpe".into(), problem: problem.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_have_names_of_their_own() {
        for quick in [true, false] {
            let cases = Tpe.cases(quick, None).unwrap();
            let mut names: Vec<String> = cases.iter().map(|case| case.figure().name).collect();
            names.sort();
            names.dedup();
            assert_eq!(names.len(), cases.len());
        }
    }
}
