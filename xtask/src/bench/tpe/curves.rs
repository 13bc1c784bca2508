//! Regret by trial as plots: how soon each contender gets near to the optimum, on a few problems of the catalogue.

use teleprompt_tpe::RandomSampler;

use super::RANDOM;
use super::problems::{self, Problem};
use super::regret::{Entrant, Shared};
use crate::bench::Options;
use crate::bench::family::Draw;
use crate::bench::peers::Peer;
use crate::bench::plot::{Axis, Middle, Plot, Scale, Series};
use crate::error::Error;

/// The problems that are drawn: one that is smooth, one with noise, one of choices, one of choices and numbers.
const DRAWN: [&str; 4] = ["hartmann6", "hartmann6 noisy", "interactions 6 x 5", "mixed5 31"];
/// Our samplers that are drawn.
const OURS: [Entrant; 2] = [Entrant::Default, Entrant::Auto];
/// Seeds of a plot.
const SEEDS: u32 = 20;
const QUICK_SEEDS: u32 = 2;
/// Regrets below this are drawn at it.
const FLOOR: f64 = 1e-6;

/// A plot for each problem; a peer that fails has no line.
pub(super) fn plots(options: &Options, peers: &mut [Peer], draw: &mut Draw<'_>) -> Result<usize, Error> {
    let seeds = options.seeds.unwrap_or(if options.quick { QUICK_SEEDS } else { SEEDS }).min(SEEDS);
    let wanted = |problem: &Problem| DRAWN.contains(&&*problem.name) && options.wants(&title(&problem.name));
    let mut drawn = 0;
    for problem in problems::all().into_iter().filter(wanted) {
        draw(plot(problem, seeds, peers)?)?;
        drawn += 1;
    }
    Ok(drawn)
}

fn title(problem: &str) -> String {
    format!("Regret by trial: {problem}")
}

fn plot(problem: Problem, seeds: u32, peers: &mut [Peer]) -> Result<Plot, Error> {
    let name = problem.name.to_string();
    eprintln!("tpe: plot of {name}, {seeds} seeds");
    let shared = Shared::new(problem);
    let trials: Vec<f64> = (1..=shared.problem.trials).map(f64::from).collect();
    let curve = |regrets: Vec<f64>| -> Vec<(f64, f64)> { trials.iter().copied().zip(regrets).collect() };
    let of_all = |run: &mut dyn FnMut(u64) -> Result<Vec<f64>, Error>| {
        (1..=u64::from(seeds)).map(|seed| run(seed).map(curve)).collect::<Result<Vec<_>, _>>()
    };
    let line = |name: &str, curves: &[Vec<(f64, f64)>]| Series::of(name, curves, &trials, Middle::Median);

    let mut series = Vec::new();
    for entrant in OURS {
        let curves = of_all(&mut |seed| shared.ours(entrant.sampler()?, seed))?;
        series.push(line(&format!("teleprompt {}", entrant.name()), &curves));
    }
    for peer in peers.iter_mut().filter(|peer| peer.missing().is_none()) {
        let name = format!("{} {}", peer.name(), peer.version());
        match of_all(&mut |seed| shared.theirs(peer, seed)) {
            Ok(curves) => series.push(line(&name, &curves)),
            Err(error) => eprintln!("tpe: no line of {name}: {error}"),
        }
    }
    let curves = of_all(&mut |seed| shared.ours(Box::new(RandomSampler), seed))?;
    series.push(line(RANDOM, &curves));
    let axis = |label: &str, scale| Axis { label: label.to_owned(), scale };
    Ok(Plot {
        name: format!("tpe-{}", name.replace(' ', "-")),
        title: title(&name),
        note: format!(
            "Lower is better: 0 is the optimum, 1 the best of 50 random points. Median of {seeds} seeds, bands: quartiles."
        ),
        x: axis("trials", Scale::Linear),
        y: axis("regret", Scale::Log { floor: FLOOR }),
        series,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_drawn_problem_is_in_the_catalogue() {
        let names: Vec<String> = problems::all().iter().map(|problem| problem.name.to_string()).collect();
        assert!(DRAWN.iter().all(|drawn| names.contains(&(*drawn).to_owned())), "{names:?}");
    }

    #[test]
    fn a_plot_has_a_line_for_each_contender_and_a_point_for_each_trial() {
        let problem =
            problems::all().into_iter().find(|problem| problem.name == "interactions 6 x 5").unwrap();
        let trials = problem.trials;
        let plot = plot(problem, 2, &mut []).unwrap();
        let names: Vec<&str> = plot.series.iter().map(|series| series.name.as_str()).collect();
        assert_eq!(names, ["teleprompt TPE", "teleprompt Auto", "random"]);
        for series in &plot.series {
            assert_eq!(series.points.len(), trials as usize);
            assert!(series.points.windows(2).all(|pair| pair[1].middle <= pair[0].middle), "{series:?}");
        }
    }
}
