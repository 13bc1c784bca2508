//! Recorded landscapes: scores of a real model, replayed.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::simulated::trials;
use super::terrain::Terrain;
use crate::bench::stats::SplitMix64;
use crate::error::Error;
use crate::landscape::{Landscape, RowRole};
use crate::workspace::Workspace;

/// Where recordings are, relative to the root.
const FOLDER: &str = "xtask/landscapes";

/// The recordings that ship, and those of the folders that a command names; each folder's by name.
pub(crate) fn all(workspace: &Workspace, further: &[PathBuf]) -> Result<Vec<Landscape>, Error> {
    let own = workspace.path(FOLDER);
    let folders = own.is_dir().then_some(own).into_iter().chain(further.iter().cloned());
    let landscapes: Result<Vec<_>, Error> = folders.map(|folder| of(&folder)).collect();
    Ok(landscapes?.into_iter().flatten().collect())
}

fn of(folder: &Path) -> Result<Vec<Landscape>, Error> {
    let entries = fs::read_dir(folder).map_err(Error::file("list", folder))?;
    let mut files: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "json"));
    files.sort();
    files.iter().map(|file| Landscape::read(file)).collect()
}

/// A recorded matrix with a split of its rows.
pub(crate) struct Recorded<'a> {
    landscape: &'a Landscape,
    index: BTreeMap<&'a [usize], usize>,
    options: Vec<usize>,
    val: Vec<usize>,
    test: Vec<usize>,
    strata: Vec<usize>,
    truth: Vec<f64>,
    best: f64,
    chance: f64,
}

impl<'a> Recorded<'a> {
    /// The rows are split anew by each seed, as many for the search as the recording says: choices and demos were made
    /// without any of them. Where cells are missing, or there are no test rows, the recording's own split stays.
    pub(crate) fn new(landscape: &'a Landscape, seed: u64) -> Self {
        let (mut val, mut test) = (landscape.rows_of(RowRole::Val), landscape.rows_of(RowRole::Test));
        let all: Vec<usize> = (0..landscape.n_rows()).collect();
        let n = landscape.n_candidates();
        let complete = (0..n).all(|c| all.iter().all(|&row| landscape.score(c, row).is_some()));
        if complete && !test.is_empty() {
            let mut order = SplitMix64::new(seed ^ 0x5b11).permutation(all.len());
            test = order.split_off(val.len());
            val = order;
        }
        let truth: Vec<f64> = (0..n).map(|c| landscape.mean(c, &all).unwrap_or(0.0)).collect();
        let options =
            landscape.predictors.iter().flat_map(|choices| [choices.instructions, choices.demo_sets]);
        Self {
            index: landscape.candidates.iter().enumerate().map(|(c, x)| (x.as_slice(), c)).collect(),
            options: options.collect(),
            strata: val.iter().map(|&row| landscape.gold[row].unwrap_or(0)).collect(),
            best: truth.iter().copied().fold(f64::MIN, f64::max),
            chance: truth.iter().sum::<f64>() / n as f64,
            landscape,
            val,
            test,
            truth,
        }
    }

    fn of(&self, choices: &[usize]) -> Option<usize> {
        self.index.get(choices).copied()
    }
}

impl Terrain for Recorded<'_> {
    fn options(&self) -> &[usize] {
        &self.options
    }

    fn only(&self) -> &[Vec<usize>] {
        let all: usize = self.options.iter().product();
        if self.landscape.n_candidates() < all { &self.landscape.candidates } else { &[] }
    }

    fn default(&self) -> Vec<usize> {
        self.landscape.candidates[self.landscape.default].clone()
    }

    fn strata(&self) -> &[usize] {
        &self.strata
    }

    fn score(&self, choices: &[usize], row: usize) -> Option<f64> {
        self.landscape.score(self.of(choices)?, self.val[row])
    }

    fn truth(&self, choices: &[usize]) -> f64 {
        self.of(choices).map_or(self.chance, |candidate| self.truth[candidate])
    }

    fn unseen(&self, choices: &[usize]) -> f64 {
        let rows = if self.test.is_empty() { &self.val } else { &self.test };
        self.of(choices).and_then(|candidate| self.landscape.mean(candidate, rows)).unwrap_or(self.chance)
    }

    fn best(&self) -> f64 {
        self.best
    }

    fn chance(&self) -> f64 {
        self.chance
    }

    fn trials(&self) -> usize {
        let n = self.landscape.predictors.iter().map(|choices| choices.demo_sets.max(choices.instructions));
        trials(self.landscape.predictors.len(), n.max().unwrap_or(1).max(2))
    }
}
