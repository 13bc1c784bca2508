//! Demo sets: the few-shot choices of every predictor.
//!
//! | set | holds |
//! |---|---|
//! | 0 | the program's own demos: none, for most programs |
//! | 1 | labeled rows only |
//! | 2 | bootstrapped from the rows in their order, filled up with labeled rows |
//! | 3.. | bootstrapped from shuffled rows, as many as drawn from `1..=max_bootstrapped_demos`, filled up likewise |
//!
//! Without labeled demos, set 1 is one of the last kind. Without bootstrapped demos every set from 1 on is labeled rows only.
//! A zero-shot run makes sets of 3 bootstrapped demos for the proposer alone.
//! Source: DSPy 3.4.1, `propose/utils.py`, `create_n_fewshot_demo_sets`.

use std::collections::BTreeMap;
use std::sync::Arc;

use rand::RngExt;
use serde::{Deserialize, Serialize};
use teleprompt_core::{Demo, DemoOrigin, PredictorName, rng};

use crate::bootstrap::{FailedRow, TracePool, Wanted, labeled_demo};
use crate::config::ZERO_SHOT_DEMOS;
use crate::error::OptimizeError;
use crate::run::Run;

/// The demo sets of every predictor, and what it took to make them.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct DemoSets {
    /// By predictor: as many sets for each; set 0 is the program's own.
    pub sets: BTreeMap<PredictorName, Vec<Arc<[Demo]>>>,
    /// Whether candidates may use them, or only the proposer (zero-shot).
    pub for_candidates: bool,
    /// Where each demo comes from, in the same order; the program's own have no source.
    pub sources: BTreeMap<PredictorName, Vec<Vec<DemoSource>>>,
    /// Runs of the teacher.
    pub runs: usize,
    /// Runs of the teacher that were not needed, because the row had been run for another set.
    pub spared_runs: usize,
    /// Rounds of the teacher's runs that had to follow one another: a row is run only where a set still lacks demos.
    pub waves: usize,
    /// Whether bootstrapping ended early, because no run of the teacher could be used.
    pub gave_up: bool,
    /// Training rows that the teacher failed on.
    pub failed: Vec<FailedRow>,
    /// What the user should know.
    pub warnings: Vec<String>,
}

/// Where a demo comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DemoSource {
    /// Labeled or bootstrapped.
    pub origin: DemoOrigin,
    /// The training row's index; `None` for a demo of the program's own.
    pub row: Option<usize>,
}

/// How one set is made.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Recipe {
    Own,
    Labeled,
    Bootstrapped(Wanted),
}

/// Makes all demo sets of a run.
pub(crate) async fn make(run: &Run<'_>) -> Result<DemoSets, OptimizeError> {
    let recipes = recipes(run);
    let wanted: Vec<Wanted> = recipes
        .iter()
        .filter_map(|recipe| match recipe {
            Recipe::Bootstrapped(wanted) => Some(wanted.clone()),
            _ => None,
        })
        .collect();
    // One pool for all sets, so that no row is run twice; or one for each, as the reference has it.
    let portions: Vec<&[Wanted]> =
        if run.config.share_known { vec![&wanted] } else { wanted.chunks(1).collect() };
    let most = most_runs(run);
    let mut pools = Vec::with_capacity(portions.len());
    for portion in portions {
        pools.push(TracePool::fill(run, portion, most).await?);
    }
    let pool_of = |set: usize| pools.get(set).or(pools.first());
    let mut made = DemoSets { for_candidates: !run.config.zero_shot(), ..DemoSets::default() };
    let failed = || pools.iter().flat_map(|pool| &pool.failed);
    if !wanted.is_empty() && !pools.iter().any(TracePool::any) {
        let first = failed().next().map(|failed| format!("; the first failure: {}", failed.error));
        made.warnings.push(run.warn(format!(
            "no demo could be bootstrapped: the metric accepted none of {} runs of the teacher, {} of which failed{}",
            pools.iter().map(TracePool::runs).sum::<usize>(),
            failed().count(),
            first.unwrap_or_default()
        )));
    }
    if pools.iter().any(|pool| pool.limited) {
        made.warnings.push(run.warn(format!(
            "the teacher was run on {most} rows and no more (max_teacher_runs): some demo sets have fewer bootstrapped demos"
        )));
    }
    for named in run.predictors() {
        let start = run.config.start.get(named.name.as_str()).cloned().unwrap_or_default();
        let own: Arc<[Demo]> = start.or(named.predictor.params()).demos.unwrap_or_default();
        let sets = recipes.iter().enumerate().map(|(index, recipe)| match recipe {
            Recipe::Own => own.iter().map(|demo| (None, demo.clone())).collect(),
            Recipe::Labeled => labeled(run, &named, index, &[], run.config.max_labeled_demos),
            Recipe::Bootstrapped(recipe) => {
                let set = wanted.iter().position(|other| other == recipe).unwrap_or_default();
                let successes = || pool_of(set).into_iter().flat_map(|pool| pool.successes(recipe));
                let rows: Vec<usize> = successes().map(|(row, _)| row).collect();
                let traced = successes().filter_map(|(row, demos)| Some((row, demos.get(&named.name)?)));
                let mut demos: Vec<Sourced> =
                    traced.map(|(row, fields)| (Some(row), Demo::bootstrapped(fields.clone()))).collect();
                let lacking = run.config.max_labeled_demos.saturating_sub(demos.len());
                demos.extend(labeled(run, &named, index, &rows, lacking));
                demos
            }
        });
        let sets: Vec<Vec<Sourced>> = sets.collect();
        let source = |(row, demo): &Sourced| DemoSource { origin: demo.origin, row: *row };
        let sources = sets.iter().map(|set| set.iter().map(source).collect()).collect();
        made.sources.insert(named.name.clone(), sources);
        let demos = |set: Vec<Sourced>| set.into_iter().map(|(_, demo)| demo).collect();
        made.sets.insert(named.name.clone(), sets.into_iter().map(demos).collect());
    }
    made.gave_up = pools.iter().any(|pool| pool.gave_up);
    made.waves = pools.iter().map(|pool| pool.waves).sum();
    made.runs = pools.iter().map(TracePool::runs).sum();
    let alone = |(set, wanted)| pool_of(set).map_or(0, |pool| pool.runs_of(wanted));
    let alone: usize = wanted.iter().enumerate().map(alone).sum();
    made.spared_runs = alone.saturating_sub(made.runs);
    made.failed = pools.into_iter().flat_map(|pool| pool.failed).collect();
    Ok(made)
}

/// Most teacher runs that making the sets can take: what the configuration allows, or every row.
///
/// Without a limit of the user's it is the fewest runs, and two fifths of what the search will run: a teacher that hardly ever
/// succeeds must not cost more than the search that its demos are for.
pub(crate) fn most_runs(run: &Run<'_>) -> usize {
    let config = run.config;
    let sets = recipes(run).iter().filter(|recipe| matches!(recipe, Recipe::Bootstrapped(_))).count();
    if sets == 0 {
        return 0;
    }
    if !config.share_known {
        return sets * run.train.len();
    }
    let (val, trials) = (run.val.len(), config.num_trials(run.names.len()));
    let search = val + trials * config.minibatch(val).unwrap_or(val);
    let limit = config.max_teacher_runs.unwrap_or_else(|| least_runs(run) + search * 2 / 5);
    limit.min(run.train.len())
}

/// Fewest teacher runs: every row succeeds, and the sets share as many rows as they can.
pub(crate) fn least_runs(run: &Run<'_>) -> usize {
    let firsts = recipes(run).into_iter().filter_map(|recipe| match recipe {
        Recipe::Bootstrapped(wanted) => Some(wanted.order.into_iter().take(wanted.demos).collect::<Vec<_>>()),
        _ => None,
    });
    firsts.flatten().collect::<std::collections::BTreeSet<_>>().len()
}

fn recipes(run: &Run<'_>) -> Vec<Recipe> {
    let config = run.config;
    let n = run.train.len();
    let bootstrapped = if config.zero_shot() { ZERO_SHOT_DEMOS } else { config.max_bootstrapped_demos };
    let make = |index: usize| match index {
        0 => Recipe::Own,
        1 if config.max_labeled_demos > 0 => Recipe::Labeled,
        _ if bootstrapped == 0 => Recipe::Labeled,
        2 => Recipe::Bootstrapped(Wanted { order: (0..n).collect(), demos: bootstrapped }),
        _ => {
            let order = rng::permutation(config.seed, "bootstrap", &[index as u64], n);
            let demos =
                rng::stream(config.seed, "demo count", &[index as u64]).random_range(1..=bootstrapped);
            Recipe::Bootstrapped(Wanted { order, demos })
        }
    };
    (0..config.num_demo_sets()).map(make).collect()
}

/// `count` labeled demos of one predictor for the set `index`, none from the rows in `except`.
fn labeled(
    run: &Run<'_>,
    named: &teleprompt_core::NamedPredictor<'_>,
    index: usize,
    except: &[usize],
    count: usize,
) -> Vec<Sourced> {
    let order = rng::permutation(run.config.seed, "labeled", &[index as u64], run.train.len());
    let rows = order.into_iter().filter(|row| !except.contains(row));
    rows.filter_map(|row| Some((Some(row), labeled_demo(named, &run.train[row])?))).take(count).collect()
}

/// A demo with the training row that it was made of.
type Sourced = (Option<usize>, Demo);
