//! The verdicts as tables for people and as comparisons for the JSON.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::judge::{Contender, Verdict};
use super::summary::{Estimate, half_width, harm_rate, mean, ratio};
use super::timing::Timing;
use super::track::Curve;
use super::{Group, Judged};
use crate::bench::family::{Better, Measured};
use crate::bench::peers::Peer;
use crate::bench::record::{Comparison, OURS};

/// In ratios, mean regrets below this count as this.
const REGRET_FLOOR: f64 = 0.005;
/// And rates of harm, and sizes.
const RATE_FLOOR: f64 = 0.005;
const SIZE_FLOOR: f64 = 0.0002;

type Of = fn(&Verdict) -> f64;

/// The figures of a run.
pub(crate) fn measured(
    judged: &[Judged],
    contenders: &[Contender],
    peers: &[Peer],
    timing: Timing,
) -> Measured {
    let show = Show { judged, contenders, peers };
    let mut tables = show.missing();
    tables += &show.regrets();
    tables += &show.answers();
    tables += &show.harms();
    tables += &show.totals();
    let Timing { decisions, mean, worst } = timing;
    let _ = writeln!(
        tables,
        "\nOne decision for 3 predictors x (18 instructions + 18 demo sets) and 1,000 rows: {mean:.1} ms of CPU time on \
         average, {worst:.1} ms at most, over {decisions} decisions."
    );
    Measured { comparisons: show.comparisons(), tables }
}

/// The figures of the landscapes so far.
pub(crate) fn comparisons(judged: &[Judged], contenders: &[Contender], peers: &[Peer]) -> Vec<Comparison> {
    Show { judged, contenders, peers }.comparisons()
}

/// What a contender is called in tables.
pub(crate) fn name(contender: &Contender, peers: &[Peer]) -> String {
    let part = |part: f64| if part < 1.0 { " 1/2" } else { "" };
    match contender {
        Contender::Peer(index) => peers[*index].name().to_owned(),
        Contender::Tpe => "our TPE".to_owned(),
        Contender::Random => "random".to_owned(),
        Contender::Halving(share) => format!("halving{}", part(*share)),
        Contender::Adaptive(share, None) => format!("ours{}", part(*share)),
        Contender::Adaptive(share, Some(change)) => format!("{change}{}", part(*share)),
    }
}

struct Show<'a> {
    judged: &'a [Judged],
    contenders: &'a [Contender],
    peers: &'a [Peer],
}

impl Show<'_> {
    fn name(&self, contender: &Contender) -> String {
        name(contender, self.peers)
    }

    fn of(&self, group: Group) -> impl Iterator<Item = &Judged> {
        self.judged.iter().filter(move |judged| judged.group == group)
    }

    /// The place of ours at a share of the reference's cost.
    fn ours(&self, share: f64) -> usize {
        let found = self.contenders.iter().position(|c| *c == Contender::Adaptive(share, None));
        found.unwrap_or_default()
    }

    fn heading(&self) -> String {
        let names: Vec<String> = self.contenders.iter().map(|contender| self.name(contender)).collect();
        format!("| landscape | {} |\n|---|{}\n", names.join(" | "), "---|".repeat(names.len()))
    }

    /// Mean regrets by landscape.
    fn regrets(&self) -> String {
        let mut text = String::new();
        for (group, title) in [
            (Group::Simulated, "Mean regret with half the width of its 95 % interval, simulated landscapes"),
            (Group::Public, "The same, recorded landscapes, public (gain on unseen rows in points, runs)"),
            (Group::HeldOut, "The same, recorded landscapes, held out"),
        ] {
            if self.of(group).next().is_none() {
                continue;
            }
            let _ = write!(text, "\n{title}:\n\n{}", self.heading());
            for judged in self.of(group) {
                let cell = |verdicts: &Vec<Verdict>| {
                    let regret = format!(
                        "{:.3} ± {:.3}",
                        mean(verdicts, |v| v.regret),
                        half_width(verdicts, |v| v.regret)
                    );
                    let runs = mean(verdicts, |v| v.cost);
                    if group == Group::Simulated {
                        format!("{regret} ({runs:.0})")
                    } else {
                        format!("{regret} ({:+.1}, {runs:.0})", 100.0 * mean(verdicts, |v| v.gain))
                    }
                };
                let cells: Vec<String> = judged.verdicts.iter().map(cell).collect();
                let _ = writeln!(text, "| {} | {} |", judged.name, cells.join(" | "));
            }
        }
        text
    }

    /// How good the answer is while the search runs, on recorded landscapes.
    fn answers(&self) -> String {
        let mut text = String::new();
        for judged in self.judged.iter().filter(|judged| !judged.curves.is_empty()) {
            if text.is_empty() {
                let names: Vec<&str> = judged.curves.iter().map(|curve| curve.name.as_str()).collect();
                let _ = write!(
                    text,
                    "\nMean true score, in percent, of what would be returned after a quarter, half, three quarters and all of \
                     the runs of {}:\n\n| landscape | {} |\n|---|{}\n",
                    names[0],
                    names.join(" | "),
                    "---|".repeat(names.len())
                );
            }
            let all = mean(&judged.verdicts[0], |v| v.cost);
            let cell = |curve: &Curve| {
                let at = |quarter: f64| format!("{:.1}", 100.0 * curve.at((all * quarter / 4.0) as usize));
                [1.0, 2.0, 3.0, 4.0].map(at).join(" ")
            };
            let cells: Vec<String> = judged.curves.iter().map(cell).collect();
            let _ = writeln!(text, "| {} | {} |", judged.name, cells.join(" | "));
        }
        text
    }

    /// How often, and by how much on average, what is returned is worse than the default.
    fn harms(&self) -> String {
        let mut text = String::new();
        for (group, title) in [
            (Group::DefaultBest, "where the default is the best"),
            (Group::Flat, "where all candidates are nearly equal"),
        ] {
            if self.of(group).next().is_none() {
                continue;
            }
            let _ =
                write!(text, "\nHarm {title}: share of searches, mean size in points:\n\n{}", self.heading());
            for judged in self.of(group) {
                let cell = |verdicts: &Vec<Verdict>| {
                    let (rate, size) = (mean(verdicts, harm_rate), mean(verdicts, |v| v.harm));
                    format!("{:.0} %, {:.2}", 100.0 * rate, 100.0 * size)
                };
                let cells: Vec<String> = judged.verdicts.iter().map(cell).collect();
                let _ = writeln!(text, "| {} | {} |", judged.name, cells.join(" | "));
            }
        }
        text
    }

    /// Ratios to the reference over all landscapes of a group.
    fn totals(&self) -> String {
        let mut text = format!(
            "\nAgainst {} at its full cost: geometric mean over landscapes of the ratio of mean regrets (below 1: better than \
             it), 95 % interval, and the worst landscape; rounds of runs that follow one another, mean:\n\n| strategy | simulated | public | held out | harm rate | harm size | rounds |\n\
             |---|---|---|---|---|---|---|\n",
            self.name(&self.contenders[0])
        );
        for (index, contender) in self.contenders.iter().enumerate().skip(1) {
            let regret = |group| {
                let worst = self
                    .of(group)
                    .map(|judged| self.ratio(&[judged], index, 0, |v| v.regret, REGRET_FLOOR).value)
                    .fold(0.0, f64::max);
                self.total(&[group], index, |v| v.regret, REGRET_FLOOR)
                    .map_or_else(|| "-".to_owned(), |ratio| format!("{}, {worst:.2}", shown(ratio)))
            };
            let harm = |of: Of, floor| {
                self.total(&[Group::DefaultBest, Group::Flat], index, of, floor)
                    .map_or_else(|| "-".to_owned(), shown)
            };
            let rounds: Vec<f64> =
                self.judged.iter().map(|judged| mean(&judged.verdicts[index], |v| v.rounds)).collect();
            let rounds = rounds.iter().sum::<f64>() / rounds.len().max(1) as f64;
            let _ = writeln!(
                text,
                "| {} | {} | {} | {} | {} | {} | {} |",
                self.name(contender),
                regret(Group::Simulated),
                regret(Group::Public),
                regret(Group::HeldOut),
                harm(harm_rate, RATE_FLOOR),
                harm(|v| v.harm, SIZE_FLOOR),
                if rounds > 0.0 { format!("{rounds:.1}") } else { "-".to_owned() },
            );
        }
        text
    }

    /// The ratio of a contender to the reference over groups; `None` when nothing was measured.
    fn total(&self, groups: &[Group], index: usize, of: Of, floor: f64) -> Option<Estimate> {
        let judged: Vec<&Judged> = self.judged.iter().filter(|j| groups.contains(&j.group)).collect();
        (!judged.is_empty()).then(|| self.ratio(&judged, index, 0, of, floor))
    }

    fn ratio(&self, judged: &[&Judged], over: usize, under: usize, of: Of, floor: f64) -> Estimate {
        let pairs: Vec<(&[Verdict], &[Verdict])> = judged
            .iter()
            .map(|judged| (judged.verdicts[over].as_slice(), judged.verdicts[under].as_slice()))
            .collect();
        ratio(&pairs, of, floor)
    }

    /// Ours beside every other contender, by landscape and in total: means over the seeds.
    fn comparisons(&self) -> Vec<Comparison> {
        let mut all = Vec::new();
        for share in [1.0, 0.5] {
            let ours = self.ours(share);
            let cost = if share < 1.0 { "half the cost" } else { "the same cost" };
            for (groups, figure, unit, of, floor) in [
                (
                    &[Group::Simulated, Group::Public, Group::HeldOut][..],
                    "regret",
                    "of chance",
                    (|v: &Verdict| v.regret) as Of,
                    REGRET_FLOOR,
                ),
                (&[Group::DefaultBest, Group::Flat][..], "harm rate", "share", harm_rate as Of, RATE_FLOOR),
                (&[Group::DefaultBest, Group::Flat][..], "harm size", "score", |v| v.harm, SIZE_FLOOR),
            ] {
                let mut cells: Vec<(String, Vec<&Judged>)> = Vec::new();
                for &group in groups {
                    let of_group: Vec<&Judged> = self.of(group).collect();
                    cells.extend(of_group.iter().map(|judged| (judged.name.clone(), vec![*judged])));
                    if !of_group.is_empty() {
                        cells.push((format!("all {}", group.name()), of_group));
                    }
                }
                for (name, judged) in cells {
                    for (index, contender) in self.contenders.iter().enumerate().filter(|(i, _)| *i != ours) {
                        let ratio = self.ratio(&judged, index, ours, of, floor);
                        // Over several landscapes the geometric mean, as the ratio.
                        let centre = |index: usize| match judged.as_slice() {
                            [one] => mean(&one.verdicts[index], of),
                            all => {
                                let means = all.iter().map(|one| mean(&one.verdicts[index], of).max(floor));
                                (means.map(f64::ln).sum::<f64>() / all.len() as f64).exp()
                            }
                        };
                        all.push(Comparison {
                            name: format!("{figure}, {name}, {cost}"),
                            unit: unit.to_owned(),
                            better: Better::Lower,
                            ours: Some(centre(ours)),
                            peer_name: self.name(contender),
                            peer: Some(centre(index)),
                            ratio: Some(ratio.value),
                            low: Some(ratio.low),
                            high: Some(ratio.high),
                            seeds: judged.iter().map(|judged| judged.verdicts[index].len()).sum(),
                            versions: self.versions(contender),
                        });
                    }
                }
            }
        }
        all.extend(self.absent().map(|(peer, reason)| Comparison {
            name: "regret, all landscapes, the same cost".to_owned(),
            unit: "of chance".to_owned(),
            better: Better::Lower,
            ours: None,
            peer_name: peer.name().to_owned(),
            peer: None,
            ratio: None,
            low: None,
            high: None,
            seeds: 0,
            versions: BTreeMap::from([
                (OURS.to_owned(), env!("CARGO_PKG_VERSION").to_owned()),
                (peer.name().to_owned(), reason.lines().next().unwrap_or_default().to_owned()),
            ]),
        }));
        all
    }

    /// The peers without figures, with the reason.
    fn absent(&self) -> impl Iterator<Item = (&Peer, &str)> {
        self.peers.iter().filter_map(|peer| Some((peer, peer.missing()?)))
    }

    fn missing(&self) -> String {
        self.absent()
            .map(|(peer, reason)| {
                format!("{} was not measured: {}\n", peer.name(), reason.lines().next().unwrap_or_default())
            })
            .collect()
    }

    fn versions(&self, contender: &Contender) -> BTreeMap<String, String> {
        let mut versions = BTreeMap::from([(OURS.to_owned(), env!("CARGO_PKG_VERSION").to_owned())]);
        if let Contender::Peer(index) = contender {
            versions.insert(self.peers[*index].name().to_owned(), self.peers[*index].version());
        }
        versions
    }
}

fn shown(ratio: Estimate) -> String {
    format!("{:.2} ({:.2} to {:.2})", ratio.value, ratio.low, ratio.high)
}
