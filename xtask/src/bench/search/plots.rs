//! Search efficiency as plots: how good the answer is after so many program runs, on recorded and simulated landscapes.
//!
//! Recorded landscapes are drawn in true scores; of simulated ones each seed has its own level, so they are drawn as the part of the
//! way from a random candidate to the best one.

use super::judge::{Contender, MEASURED, Make, judge_remaining};
use super::recorded::{self, Recorded};
use super::simulated::{Cell, Kind, Simulated};
use super::terrain::Terrain;
use super::track::Track;
use super::{MODES, show};
use crate::bench::Options;
use crate::bench::family::Draw;
use crate::bench::peers::Peer;
use crate::bench::plot::{Axis, Middle, Plot, Scale, Series, grid};
use crate::error::Error;
use crate::landscape::Role;
use crate::workspace::Workspace;

/// Seeds of a plot.
const SEEDS: u32 = 50;
const QUICK_SEEDS: u32 = 3;
/// Simulated spaces that are drawn: mode and predictors.
const DRAWN: [(&str, usize); 3] = [("light", 1), ("light", 2), ("medium", 2)];
/// Points of a line.
const POINTS: u32 = 100;

/// A plot for each recorded landscape and a few simulated ones. A peer that fails has no line.
pub(super) fn plots(
    workspace: &Workspace,
    options: &Options,
    peers: &mut [Peer],
    draw: &mut Draw<'_>,
) -> Result<usize, Error> {
    let seeds = options.seeds.unwrap_or(if options.quick { QUICK_SEEDS } else { SEEDS });
    let mut drawn = 0;
    let mut one = |name: &str, make: &Make<'_>, simulated: bool| -> Result<(), Error> {
        if options.wants(&title(name)) {
            draw(plot(name, make, simulated, seeds, peers)?)?;
            drawn += 1;
        }
        Ok(())
    };
    for landscape in &recorded::all(workspace, &options.landscapes)? {
        if options.quick && landscape.role != Role::Public {
            continue;
        }
        let make = |seed| -> Box<dyn Terrain + '_> { Box::new(Recorded::new(landscape, seed)) };
        one(&landscape.name, &make, false)?;
    }
    for &(mode, n, rows) in MODES.iter().filter(|_| !options.quick) {
        for (_, predictors) in DRAWN.into_iter().filter(|(drawn, _)| *drawn == mode) {
            let cell = Cell { mode, predictors, n, rows };
            let make = |seed| -> Box<dyn Terrain> { Box::new(Simulated::new(&cell, Kind::Ordinary, seed)) };
            one(&format!("{mode} {predictors}"), &make, true)?;
        }
    }
    Ok(drawn)
}

fn title(name: &str) -> String {
    format!("Search efficiency: {name}")
}

fn plot(name: &str, make: &Make<'_>, simulated: bool, seeds: u32, peers: &mut [Peer]) -> Result<Plot, Error> {
    eprintln!("search: plot of {name}, {seeds} seeds");
    // The first is the reference, which sets the cost.
    let theirs = (0..peers.len()).filter(|&index| peers[index].missing().is_none()).map(Contender::Peer);
    let mut contenders: Vec<Contender> = theirs.collect();
    contenders.extend([
        Contender::Tpe,
        Contender::Random,
        Contender::Halving(1.0),
        Contender::Adaptive(1.0, None),
    ]);
    let (_, judgement) = judge_remaining(make, &mut contenders, peers, seeds, true)?;

    let level = |seed: usize, truth: f64| {
        if !simulated {
            return truth;
        }
        let terrain = make(MEASURED + 1 + seed as u64);
        (truth - terrain.chance()) / (terrain.best() - terrain.chance()).max(super::simulated::TINY)
    };
    let end = judgement.tracks.iter().flatten().map(Track::end).max().unwrap_or(1);
    let places = grid(end as f64, POINTS);
    let line = |(contender, tracks): (&Contender, &Vec<Track>)| {
        let curve = |(seed, track): (usize, &Track)| -> Vec<(f64, f64)> {
            track.steps().iter().map(|&(runs, truth)| (runs as f64, level(seed, truth))).collect()
        };
        let curves: Vec<_> = tracks.iter().enumerate().map(curve).collect();
        Series::of(&show::name(contender, peers), &curves, &places, Middle::Mean)
    };
    let mut series: Vec<Series> = contenders.iter().zip(&judgement.tracks).map(line).collect();
    // Ours first in the legend and on top.
    series.rotate_right(1);
    let better = if simulated {
        "1 is the best candidate, 0 one drawn at random."
    } else {
        "The true score of what would be returned."
    };
    let axis = |label: &str| Axis { label: label.to_owned(), scale: Scale::Linear };
    Ok(Plot {
        name: format!("search-{}", name.replace(' ', "-")),
        title: title(name),
        note: format!("{better} Mean of {seeds} seeds, bands: its 95 % interval."),
        x: axis("program runs"),
        y: axis(if simulated { "part of the way to the best" } else { "true score" }),
        series,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plot_has_ours_first_and_starts_at_the_default() {
        let cell = Cell { mode: "light", predictors: 1, n: 6, rows: 100 };
        let make = |seed| -> Box<dyn Terrain> { Box::new(Simulated::new(&cell, Kind::Ordinary, seed)) };
        let plot = plot("light 1", &make, true, 4, &mut []).unwrap();
        let names: Vec<&str> = plot.series.iter().map(|series| series.name.as_str()).collect();
        assert_eq!(names, ["ours", "our TPE", "random", "halving"]);
        let begin = plot.series[0].points[0];
        for series in &plot.series {
            assert_eq!(series.points[0], begin, "{}", series.name);
            assert!(series.points.iter().all(|point| point.middle <= 1.0 + 1e-9), "{}", series.name);
        }
        assert!(plot.series[0].points[POINTS as usize].middle > begin.middle);
    }
}
