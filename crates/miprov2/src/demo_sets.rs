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
use teleprompt_core::{Demo, PredictorName, rng};

use crate::bootstrap::{FailedRow, TracePool, Wanted, labeled_demo};
use crate::config::ZERO_SHOT_DEMOS;
use crate::error::OptimizeError;
use crate::run::Run;

/// The demo sets of every predictor, and what it took to make them.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct DemoSets {
    /// By predictor: as many sets for each; set 0 is the program's own.
    pub sets: BTreeMap<PredictorName, Vec<Arc<[Demo]>>>,
    /// Whether candidates may use them, or only the proposer (zero-shot).
    pub for_candidates: bool,
    /// Whether bootstrapping ended early, because no run of the teacher could be used.
    pub gave_up: bool,
    /// Training rows that the teacher failed on.
    pub failed: Vec<FailedRow>,
    /// What the user should know.
    pub warnings: Vec<String>,
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
    let pool = TracePool::fill(run, &wanted).await?;
    let mut made = DemoSets { for_candidates: !run.config.zero_shot(), ..DemoSets::default() };
    if !wanted.is_empty() && !pool.any() {
        let failed = pool.failed.first().map(|failed| format!("; the first failure: {}", failed.error));
        made.warnings.push(run.warn(format!(
            "no demo could be bootstrapped: the metric accepted none of {} runs of the teacher, {} of which failed{}",
            pool.runs(),
            pool.failed.len(),
            failed.unwrap_or_default()
        )));
    }
    for named in run.predictors() {
        let own: Arc<[Demo]> = named.predictor.params().demos.clone().unwrap_or_default();
        let sets = recipes.iter().enumerate().map(|(index, recipe)| match recipe {
            Recipe::Own => own.clone(),
            Recipe::Labeled => labeled(run, &named, index, &[], run.config.max_labeled_demos).into(),
            Recipe::Bootstrapped(wanted) => {
                let rows: Vec<usize> = pool.successes(wanted).map(|(row, _)| row).collect();
                let traced = pool.successes(wanted).filter_map(|(_, demos)| demos.get(&named.name));
                let mut demos: Vec<Demo> = traced.cloned().map(Demo::bootstrapped).collect();
                let lacking = run.config.max_labeled_demos.saturating_sub(demos.len());
                demos.extend(labeled(run, &named, index, &rows, lacking));
                demos.into()
            }
        });
        made.sets.insert(named.name.clone(), sets.collect());
    }
    made.gave_up = pool.gave_up;
    made.failed = pool.failed;
    Ok(made)
}

/// Most teacher runs that making the sets can take.
pub(crate) fn most_runs(run: &Run<'_>) -> usize {
    let bootstraps = recipes(run).iter().any(|recipe| matches!(recipe, Recipe::Bootstrapped(_)));
    if bootstraps { run.train.len() } else { 0 }
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
) -> Vec<Demo> {
    let order = rng::permutation(run.config.seed, "labeled", &[index as u64], run.train.len());
    let rows = order.into_iter().filter(|row| !except.contains(row));
    rows.filter_map(|row| labeled_demo(named, &run.train[row])).take(count).collect()
}
