//! The time of one decision in a large space: 3 predictors, 18 instructions and 18 demo sets each, 1,000 rows.

use std::fs;
use std::time::Instant;

use teleprompt_miprov2::adaptive::{AdaptiveConfig, AdaptivePlanner, Space};

use crate::bench::stats::SplitMix64;
use crate::error::Error;

/// The reference's program runs for this space: a baseline, 50 minibatches of 35 and 10 full evaluations of 1,000.
const BUDGET: usize = 12_750;

/// Milliseconds of CPU time that decisions took.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Timing {
    pub(crate) decisions: usize,
    pub(crate) mean: f64,
    pub(crate) worst: f64,
}

/// Runs two whole searches on made-up answers and times each of their decisions: one where choices differ, and one where they hardly
/// do, which ends with decisions that only compare leader and default, at every scale.
pub(crate) fn measure() -> Result<Timing, Error> {
    let mut times = search(0.15)?;
    times.extend(search(0.03)?);
    Ok(Timing {
        decisions: times.len(),
        mean: times.iter().sum::<f64>() / times.len() as f64,
        worst: times.iter().copied().fold(0.0, f64::max),
    })
}

/// The times of a search's decisions, where a choice is worth up to half of `spread` more or less than the mean.
fn search(spread: f64) -> Result<Vec<f64>, Error> {
    let failed = |problem: String| Error::Measurement { subject: "search".into(), problem };
    let mut random = SplitMix64::new(11);
    let effects: Vec<Vec<f64>> =
        (0..6).map(|_| (0..18).map(|_| spread * (random.unit() - 0.5)).collect()).collect();
    let space = Space {
        predictors: vec![(18, 18); 3],
        default: vec![0; 6],
        strata: (0..1000).map(|row| row % 4).collect(),
        only: Vec::new(),
    };
    let mut planner = AdaptivePlanner::new(space, AdaptiveConfig::new(BUDGET), 11)
        .map_err(|error| failed(error.to_string()))?;
    let mut times = Vec::new();
    loop {
        let start = clock();
        let plan = planner.plan();
        times.push(1e3 * (clock() - start));
        if plan.is_empty() {
            break;
        }
        let score = |choices: &[usize]| {
            let chance = 0.5 + choices.iter().zip(&effects).map(|(&x, effects)| effects[x]).sum::<f64>();
            Some(f64::from(u8::from(random.unit() < chance)))
        };
        let mut score = score;
        let scores: Vec<Option<f64>> = plan.iter().map(|run| score(&run.choices)).collect();
        planner.tell(&scores).map_err(|error| failed(error.to_string()))?;
    }
    Ok(times)
}

/// Seconds of CPU time of this thread where the system tells (Linux), else of a clock.
fn clock() -> f64 {
    use std::sync::OnceLock;
    static BEGIN: OnceLock<Instant> = OnceLock::new();
    let on_cpu = || {
        let text = fs::read_to_string("/proc/thread-self/schedstat").ok()?;
        text.split(' ').next()?.parse::<f64>().ok()
    };
    match on_cpu() {
        Some(nanoseconds) => nanoseconds * 1e-9,
        None => BEGIN.get_or_init(Instant::now).elapsed().as_secs_f64(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_goes_forward() {
        let start = clock();
        assert!(clock() >= start);
    }
}
