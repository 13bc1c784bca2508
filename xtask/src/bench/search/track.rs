//! How good a search's answer is while it runs: the true score of what it would return, by the program runs spent so far.

use super::terrain::Terrain;

/// One search's answers, by runs: steps, the first at 0 runs (the default).
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Track {
    /// Unique (combination, row) runs, ascending, and the true score of the answer from there on.
    steps: Vec<(usize, f64)>,
}

/// The mean of many searches' answers, by runs.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Curve {
    /// Whose.
    pub(crate) name: String,
    /// Runs and the mean true score, in `[0, 1]`, of what would be returned there; a search that has ended keeps its answer.
    pub(crate) points: Vec<(usize, f64)>,
}

impl Track {
    pub(crate) fn of_default(terrain: &dyn Terrain) -> Self {
        Self { steps: vec![(0, terrain.truth(&terrain.default()))] }
    }

    /// The answer after `runs` runs, no fewer than those of the last one.
    pub(crate) fn push(&mut self, runs: usize, truth: f64) {
        self.steps.push((runs, truth));
    }

    /// The true score of the answer after `runs` runs.
    pub(crate) fn at(&self, runs: usize) -> f64 {
        let after = self.steps.partition_point(|(spent, _)| *spent <= runs);
        self.steps[..after].last().map_or(0.0, |(_, truth)| *truth)
    }

    /// Runs, and the true score of the answer from there on.
    pub(crate) fn steps(&self) -> &[(usize, f64)] {
        &self.steps
    }

    /// Runs at the last step.
    pub(crate) fn end(&self) -> usize {
        self.steps.last().map_or(0, |(spent, _)| *spent)
    }
}

impl Curve {
    /// The mean true score after `runs` runs.
    pub(crate) fn at(&self, runs: usize) -> f64 {
        let after = self.points.partition_point(|(spent, _)| *spent <= runs);
        self.points[..after].last().map_or(0.0, |(_, truth)| *truth)
    }
}

/// The mean over searches at `points` numbers of runs, evenly spread from 0 to the most that one of them spent.
pub(crate) fn curve(name: String, tracks: &[Track], points: usize) -> Curve {
    let most = tracks.iter().map(Track::end).max().unwrap_or(0);
    let at = |point: usize| {
        let runs = most * point / (points - 1).max(1);
        (runs, tracks.iter().map(|track| track.at(runs)).sum::<f64>() / tracks.len().max(1) as f64)
    };
    Curve { name, points: (0..points).map(at).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_holds_until_the_next() {
        let track = Track { steps: vec![(0, 0.5), (10, 0.25), (10, 0.75), (30, 1.0)] };
        let at = [0, 9, 10, 29, 30, 99].map(|runs| track.at(runs));
        assert_eq!(at, [0.5, 0.5, 0.75, 0.75, 1.0, 1.0]);
        let other = Track { steps: vec![(0, 0.5)] };
        let mean = curve("ours".into(), &[track, other], 4);
        assert_eq!(mean.points, [(0, 0.5), (10, 0.625), (20, 0.625), (30, 0.75)]);
        assert_eq!([9, 10, 99].map(|runs| mean.at(runs)), [0.5, 0.625, 0.75]);
        assert_eq!(curve(String::new(), &[], 2).points, [(0, 0.0), (0, 0.0)]);
    }
}
