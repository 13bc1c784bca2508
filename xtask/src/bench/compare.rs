//! Measures all contenders of a case in turn and compares ours with each other one.
//!
//! Per seed each contender has its turn, and the first one rotates from seed to seed, so that a machine that gets
//! slower or busier in the course of a run does so for all. A contender that fails is a result: its reason is shown
//! in the table, and it is not asked again. Only a failure of ours ends the run.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::family::{Better, Case, Contender, Figure};
use super::peers::Peer;
use super::record::{Comparison, OURS};
use super::stats::{median, ratio_of_medians};
use crate::error::Error;

/// So much of a reason fits into a table.
const MAX_REASON: usize = 160;
/// After so many seconds of silence a line says how far a case is.
const SILENCE: Duration = Duration::from_secs(2);

/// The measurements of one contender, one per seed in order, or why there are none.
type Series = Result<Vec<f64>, String>;

/// Measures a case with the seeds `1..=seeds` and compares ours with each rival and peer.
pub(crate) fn run(case: &dyn Case, peers: &mut [Peer], seeds: u32) -> Result<Vec<Comparison>, Error> {
    let rivals = case.rivals();
    let mut told = Instant::now();
    let series = interleave(1 + rivals.len() + peers.len(), seeds, |index, seed| {
        let mut contender = match (index, index.checked_sub(1 + rivals.len())) {
            (0, _) => Contender::Ours,
            (_, Some(peer)) => match peers.get_mut(peer) {
                Some(peer) => Contender::Peer(peer),
                None => return Err("no such peer".to_owned()),
            },
            (index, None) => Contender::Rival(rivals.get(index - 1).copied().unwrap_or_default()),
        };
        if let Contender::Peer(peer) = &contender
            && let Some(reason) = peer.missing()
        {
            return Err(reason.to_owned());
        }
        if told.elapsed() >= SILENCE {
            eprintln!("  seed {seed} of {seeds}: {}", contender.name());
            told = Instant::now();
        }
        match case.measure(&mut contender, seed) {
            Ok(value) if value.is_finite() => Ok(value),
            Ok(value) => Err(format!("{} measured {value}", contender.name())),
            Err(error) => Err(error.to_string()),
        }
    });

    let mut series = series.into_iter();
    let figure = case.figure();
    let ours = match series.next() {
        Some(Ok(ours)) => ours,
        Some(Err(problem)) => return Err(Error::Measurement { subject: figure.name, problem }),
        None => return Ok(Vec::new()),
    };
    // A rival has our own version.
    let names = rivals.iter().map(|name| ((*name).to_owned(), None));
    let names = names.chain(peers.iter().map(|peer| (peer.name().to_owned(), Some(peer.version()))));
    Ok(names.zip(series).map(|(peer, series)| comparison(&figure, &ours, peer, series)).collect())
}

/// Measures `n` contenders with the seeds `1..=seeds`, each seed by all of them before the next.
fn interleave(
    n: usize,
    seeds: u32,
    mut measure: impl FnMut(usize, u64) -> Result<f64, String>,
) -> Vec<Series> {
    let mut series: Vec<Series> = vec![Ok(Vec::new()); n];
    for seed in 1..=u64::from(seeds) {
        let first = (seed - 1) as usize % n.max(1);
        for index in (first..n).chain(0..first) {
            let Some(slot) = series.get_mut(index) else { continue };
            let Ok(values) = slot else { continue };
            match measure(index, seed) {
                Ok(value) => values.push(value),
                Err(reason) => *slot = Err(reason),
            }
        }
    }
    series
}

fn comparison(
    figure: &Figure,
    ours: &[f64],
    (name, version): (String, Option<String>),
    series: Series,
) -> Comparison {
    let (values, failure) = match series {
        Ok(values) => (values, None),
        Err(reason) => (Vec::new(), Some(shown(&reason, version.as_deref()))),
    };
    let ratio = match figure.better {
        Better::Higher => ratio_of_medians(ours, &values, figure.floor),
        Better::Lower => ratio_of_medians(&values, ours, figure.floor),
    };
    let mut versions = BTreeMap::from([(OURS.to_owned(), env!("CARGO_PKG_VERSION").to_owned())]);
    versions.extend(failure.or(version).map(|version| (name.clone(), version)));
    Comparison {
        name: figure.name.clone(),
        unit: figure.unit.to_owned(),
        better: figure.better,
        ours: median(ours),
        peer_name: name,
        peer: median(&values),
        ratio: ratio.map(|ratio| ratio.ratio),
        low: ratio.map(|ratio| ratio.low),
        high: ratio.map(|ratio| ratio.high),
        seeds: ours.len(),
        versions,
    }
}

/// The beginning of a reason, with the version that it is about.
fn shown(reason: &str, version: Option<&str>) -> String {
    let line: String = reason.lines().next().unwrap_or_default().chars().take(MAX_REASON).collect();
    match version {
        // A peer that is missing has its reason for a version.
        Some(version) if !version.starts_with(&line) => format!("{version}: {line}"),
        _ => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Constant(Better);

    impl Case for Constant {
        fn figure(&self) -> Figure {
            Figure { name: "constant".into(), unit: "s", better: self.0, floor: 0.0 }
        }

        fn rivals(&self) -> &'static [&'static str] {
            &["slow", "broken"]
        }

        fn measure(&self, contender: &mut Contender<'_>, _: u64) -> Result<f64, Error> {
            match contender {
                Contender::Ours => Ok(2.0),
                Contender::Rival("slow") => Ok(6.0),
                _ => Err(Error::Usage("out of order".into())),
            }
        }
    }

    #[test]
    fn a_ratio_above_one_means_that_ours_is_better() {
        let lower = run(&Constant(Better::Lower), &mut [], 3).unwrap();
        assert_eq!((lower[0].ours, lower[0].peer, lower[0].ratio), (Some(2.0), Some(6.0), Some(3.0)));
        let higher = run(&Constant(Better::Higher), &mut [], 3).unwrap();
        assert_eq!(higher[0].ratio, Some(1.0 / 3.0));
        assert_eq!(higher[0].seeds, 3);
    }

    #[test]
    fn a_contender_that_fails_is_a_result() {
        let comparisons = run(&Constant(Better::Lower), &mut [], 3).unwrap();
        assert_eq!(comparisons[1].failure(), Some("out of order"));
        assert_eq!(shown("not installed\ndetails", Some("not installed")), "not installed");
        assert_eq!(shown("ValueError: x", Some("5.0.0")), "5.0.0: ValueError: x");
        assert_eq!((comparisons[1].peer, comparisons[1].ratio), (None, None));
    }

    #[test]
    fn contenders_take_turns_and_the_first_one_rotates() {
        let mut order = Vec::new();
        interleave(3, 3, |index, seed| {
            order.push((seed, index));
            Ok(0.0)
        });
        assert_eq!(order, [(1, 0), (1, 1), (1, 2), (2, 1), (2, 2), (2, 0), (3, 2), (3, 0), (3, 1)]);
    }

    #[test]
    fn who_failed_is_not_asked_again() {
        let mut asked = 0;
        let series = interleave(2, 5, |index, seed| {
            asked += index;
            if index == 1 && seed == 2 { Err("gone".into()) } else { Ok(seed as f64) }
        });
        assert_eq!(asked, 2);
        assert_eq!(series, [Ok(vec![1.0, 2.0, 3.0, 4.0, 5.0]), Err("gone".into())]);
    }
}
