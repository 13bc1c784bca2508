//! The family `search`: which candidate each strategy finds on the same landscapes for the same number of program runs.
//!
//! ```text
//!   landscape of a seed ─▶ the reference: Optuna under DSPy's schedule ─▶ its cost
//!   (simulated, recorded)  ours, guarded halving, chance               ◀─ at that cost, and at half of it
//!                                  └▶ regret, harm, gain on unseen rows  (judge)  ─▶ means, ratios (summary) ─▶ tables (show)
//! ```
//!
//! Cost is the number of unique (candidate, row) runs for all: no one pays twice for what a cache holds. *Regret* is how far
//! the returned candidate's true mean is from the best one's, on a scale where random candidates are at 1. *Harm* is by how
//! much it is worse than the default.

mod ablation;
mod halving;
mod judge;
mod plots;
mod recorded;
mod reference;
mod show;
mod simulated;
mod summary;
mod terrain;
mod timing;
mod track;

use self::judge::{Contender, Judgement, Make, Verdict, judge_remaining};
use self::recorded::Recorded;
use self::simulated::{Cell, Kind, Simulated};
use self::track::Curve;
use super::Options;
use super::family::{Draw, Family, Keep, Measured};
use super::peers::Peer;
use crate::error::Error;
use crate::landscape::Role;
use crate::workspace::Workspace;

/// The reference's modes (DSPy 3.4.1): demo sets, rows of the valset.
const MODES: [(&str, usize, usize); 3] = [("light", 6, 100), ("medium", 12, 300), ("heavy", 18, 1000)];

/// The family.
#[derive(Debug)]
pub(crate) struct Search;

/// What a landscape is used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Group {
    Simulated,
    Public,
    HeldOut,
    Flat,
    DefaultBest,
}

/// The verdicts of all contenders on one landscape.
pub(crate) struct Judged {
    pub(crate) name: String,
    pub(crate) group: Group,
    /// By contender, then by seed.
    pub(crate) verdicts: Vec<Vec<Verdict>>,
    /// The mean true score of every contender's answer while it searches, by contender; of recorded landscapes.
    pub(crate) curves: Vec<Curve>,
}

impl Judged {
    /// The same without a contender.
    fn without(&mut self, contender: usize) {
        self.verdicts.remove(contender);
        if !self.curves.is_empty() {
            self.curves.remove(contender);
        }
    }
}

/// Points of a curve.
const CURVE: usize = 101;

impl Group {
    fn name(self) -> &'static str {
        match self {
            Self::Simulated => "simulated",
            Self::Public => "public",
            Self::HeldOut => "held out",
            Self::Flat => "flat",
            Self::DefaultBest => "default best",
        }
    }
}

impl Family for Search {
    fn seeds(&self) -> u32 {
        100
    }

    fn quick_seeds(&self) -> u32 {
        10
    }

    fn measure(
        &self,
        workspace: &Workspace,
        options: &Options,
        peers: &mut [Peer],
        keep: &mut Keep<'_>,
    ) -> Result<Option<Measured>, Error> {
        let seeds = self.seeds_of(options);
        let mut contenders = contenders(options.ablate, peers);
        let landscapes = recorded::all(workspace, &options.landscapes)?;
        let mut judged: Vec<Judged> = Vec::new();
        let mut note = |name: String, group: Group, make: &Make<'_>| -> Result<(), Error> {
            // `--cases public` is all public landscapes, `--cases flat` all flat ones.
            let title = format!("{}: {name}", group.name());
            if !options.wants(&title) {
                return Ok(());
            }
            eprintln!("search: {title}, {seeds} seeds");
            let track = !options.ablate && matches!(group, Group::Public | Group::HeldOut);
            let (gone, Judgement { verdicts, tracks }) =
                judge_remaining(make, &mut contenders, peers, seeds, track)?;
            for contender in gone {
                judged.iter_mut().for_each(|judged: &mut Judged| judged.without(contender));
            }
            let names = contenders.iter().map(|contender| show::name(contender, peers));
            let curves = names.zip(&tracks).filter(|_| track);
            let curves = curves.map(|(name, tracks)| track::curve(name, tracks, CURVE)).collect();
            judged.push(Judged { name, group, verdicts, curves });
            keep(&show::comparisons(&judged, &contenders, peers))
        };
        // A held-out landscape is for the whole measurement alone.
        let public_only = options.quick || options.ablate;
        for landscape in &landscapes {
            let group = if landscape.role == Role::Public { Group::Public } else { Group::HeldOut };
            if public_only && group != Group::Public {
                continue;
            }
            let make = |seed| -> Box<dyn terrain::Terrain + '_> { Box::new(Recorded::new(landscape, seed)) };
            note(landscape.name.clone(), group, &make)?;
        }
        for (kind, group) in [
            (Kind::Ordinary, Group::Simulated),
            (Kind::DefaultBest, Group::DefaultBest),
            (Kind::Flat, Group::Flat),
        ] {
            for cell in cells(options.quick, options.ablate, kind) {
                let make =
                    |seed| -> Box<dyn terrain::Terrain> { Box::new(Simulated::new(&cell, kind, seed)) };
                let kind = match kind {
                    Kind::Ordinary => "",
                    Kind::Flat => ", flat",
                    Kind::DefaultBest => ", default best",
                };
                note(format!("{} {}{kind}", cell.mode, cell.predictors), group, &make)?;
            }
        }
        let timing = timing::measure()?;
        Ok(Some(show::measured(&judged, &contenders, peers, timing)))
    }

    fn plots(
        &self,
        workspace: &Workspace,
        options: &Options,
        peers: &mut [Peer],
        draw: &mut Draw<'_>,
    ) -> Result<usize, Error> {
        plots::plots(workspace, options, peers, draw)
    }
}

/// Who is measured, the reference first.
fn contenders(ablate: bool, peers: &[Peer]) -> Vec<Contender> {
    let theirs = (0..peers.len()).filter(|&index| peers[index].missing().is_none());
    let mut all: Vec<Contender> = theirs.map(Contender::Peer).collect();
    all.push(Contender::Tpe);
    if !ablate {
        all.extend([Contender::Random, Contender::Halving(1.0), Contender::Halving(0.5)]);
    }
    all.extend([Contender::Adaptive(1.0, None), Contender::Adaptive(0.5, None)]);
    if ablate {
        for change in ablation::CHANGES {
            all.extend([Contender::Adaptive(1.0, Some(change)), Contender::Adaptive(0.5, Some(change))]);
        }
    }
    all
}

/// The simulated spaces. Harm is measured in five of the nine; an ablation is of those, the largest only where the default is best, for time.
fn cells(quick: bool, ablate: bool, kind: Kind) -> Vec<Cell> {
    let all = MODES
        .iter()
        .flat_map(|&(mode, n, rows)| (1..=3).map(move |predictors| Cell { mode, predictors, n, rows }));
    all.filter(|cell| match (cell.mode, cell.predictors) {
        ("light", 1 | 2) => true,
        _ if quick => false,
        ("medium", 1) => true,
        ("medium", 2) | ("heavy", 1) => !ablate || kind == Kind::DefaultBest,
        _ => !ablate && kind == Kind::Ordinary,
    })
    .collect()
}

#[cfg(test)]
mod tests;
