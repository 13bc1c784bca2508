//! Candidates as MIPROv2 makes them: demo sets of every kind, and which combinations of choices are recorded.
//!
//! | demo set | of a program without demos | of one with well picked demos |
//! |---|---|---|
//! | 0 | nothing | labeled rows, every answer in turn |
//! | 1 | labeled rows; where a predictor's answers are not in the data, a set of the last kind | nothing |
//! | 2 | bootstrapped from the rows in their order, filled up with labeled rows | the same |
//! | 3.. | bootstrapped from shuffled rows, as many as drawn, filled up likewise | the same |
//! | last | the same | labeled rows of one answer alone, the commonest |
//!
//! The teacher is the program with labeled demos on the same model, as in an optimization. The optimizer's own stage is
//! private to it; this one runs rows one by one, for a few dozen calls.

use std::collections::BTreeMap;
use std::iter;

use teleprompt_core::evaluate::{RowError, run_row_traced};
use teleprompt_core::{
    Candidate, Ctx, Demo, Example, Fields, Metric, NamedPredictor, PredictorName, Program, rng,
};

use super::tasks::{Start, Task};

/// The seed of demo sets and of the choice of candidates.
const SEED: u64 = 9;

/// The demo sets of each predictor: by predictor, by set.
pub(crate) type DemoSets = Vec<Vec<Vec<Demo>>>;

/// Why demo sets could not be made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DemoError {
    /// A candidate does not fit the program.
    #[error(transparent)]
    Bind(#[from] teleprompt_core::BindError),
    /// The model failed on a training row.
    #[error("training row {row}: {error}")]
    Row { row: usize, error: RowError },
}

/// Makes the demo sets of a task's program.
pub(crate) async fn make(
    program: &dyn Program,
    task: &Task,
    cx: &Ctx,
    train: &[Example],
    measure: &dyn Metric,
) -> Result<DemoSets, DemoError> {
    let accepted = task.measure.accepted();
    let mut teacher = Teacher { program, cx, train, measure, accepted, runs: BTreeMap::new() };
    let mut sets: DemoSets = Vec::new();
    let named = program.predictors();
    for (predictor, step) in named.iter().zip(task.steps) {
        let mut own = Vec::new();
        for set in 0..step.demo_sets {
            let labeled = match (task.start, set) {
                (Start::Bare, 0) | (Start::Settled, 1) => Some(Vec::new()),
                (Start::Bare, 1) => Some(labeled(predictor, train, set as u64, &[], step.demos))
                    .filter(|demos| !demos.is_empty()),
                (Start::Settled, 0) => Some(in_turn(by_answer(predictor, train), step.demos)),
                (Start::Settled, set) if set + 1 == step.demo_sets => {
                    Some(commonest(by_answer(predictor, train), step.demos))
                }
                _ => None,
            };
            own.push(match labeled {
                Some(demos) => demos,
                None => {
                    let stream = &[set as u64];
                    let (order, most) = match set {
                        2 => ((0..train.len()).collect(), step.demos),
                        _ => (
                            rng::permutation(SEED, "record bootstrap", stream, train.len()),
                            1 + rng::permutation(SEED, "record demo count", stream, step.demos)
                                .first()
                                .unwrap_or(&0),
                        ),
                    };
                    let (rows, mut demos) = teacher.demos(&predictor.name, &order, most, step.demos).await?;
                    let lacking = step.demos - demos.len();
                    demos.extend(self::labeled(predictor, train, set as u64, &rows, lacking));
                    demos
                }
            });
        }
        sets.push(own);
    }
    Ok(sets)
}

/// The rows as demos of one predictor, in their order, by what they answer.
fn by_answer(predictor: &NamedPredictor<'_>, train: &[Example]) -> BTreeMap<String, Vec<Demo>> {
    let mut by: BTreeMap<String, Vec<Demo>> = BTreeMap::new();
    let Some(answer) = predictor.predictor.spec().outputs().first() else { return by };
    for row in train {
        let demo = labeled_demo(predictor, row);
        demo.into_iter().for_each(|demo| by.entry(row.labels.text(&answer.name)).or_default().push(demo));
    }
    by
}

/// `count` demos, every answer in turn.
fn in_turn(by_answer: BTreeMap<String, Vec<Demo>>, count: usize) -> Vec<Demo> {
    let longest = by_answer.values().map(Vec::len).max().unwrap_or(0);
    let turns = (0..longest).flat_map(|turn| by_answer.values().filter_map(move |demos| demos.get(turn)));
    turns.take(count).cloned().collect()
}

/// `count` demos of one answer alone, the commonest.
fn commonest(by_answer: BTreeMap<String, Vec<Demo>>, count: usize) -> Vec<Demo> {
    let most = by_answer.into_values().rev().max_by_key(Vec::len).unwrap_or_default();
    most.into_iter().take(count).collect()
}

/// `count` rows in a seeded order as demos of one predictor, without those in `except`.
fn labeled(
    predictor: &NamedPredictor<'_>,
    train: &[Example],
    set: u64,
    except: &[usize],
    count: usize,
) -> Vec<Demo> {
    let order = rng::permutation(SEED, "record labeled", &[set], train.len());
    let rows = order.into_iter().filter(|row| !except.contains(row));
    rows.filter_map(|row| labeled_demo(predictor, &train[row])).take(count).collect()
}

/// A row as a demo, if it has inputs and outputs of the predictor.
fn labeled_demo(predictor: &NamedPredictor<'_>, row: &Example) -> Option<Demo> {
    let spec = predictor.predictor.spec();
    let all: Fields = row.inputs.clone().into_iter().chain(row.labels.clone()).collect();
    let fields = all.only(spec.fields().map(|field| field.name.as_str()));
    let has = |of: &[teleprompt_core::FieldSpec]| of.iter().any(|field| fields.contains(&field.name));
    (has(spec.inputs()) && has(spec.outputs())).then(|| Demo::labeled(fields))
}

/// The program with labeled demos, and what its runs gave.
struct Teacher<'a> {
    program: &'a dyn Program,
    cx: &'a Ctx,
    train: &'a [Example],
    measure: &'a dyn Metric,
    accepted: f64,
    /// By row: each predictor's demo, or nothing when the run was not accepted.
    runs: BTreeMap<usize, Option<BTreeMap<PredictorName, Fields>>>,
}

impl Teacher<'_> {
    /// The first `most` accepted runs in this order, as rows and as demos of one predictor.
    async fn demos(
        &mut self,
        predictor: &PredictorName,
        order: &[usize],
        most: usize,
        shown: usize,
    ) -> Result<(Vec<usize>, Vec<Demo>), DemoError> {
        let (mut rows, mut demos) = (Vec::new(), Vec::new());
        for &row in order {
            if demos.len() == most {
                break;
            }
            if !self.runs.contains_key(&row) {
                let run = self.run(row, shown).await?;
                self.runs.insert(row, run);
            }
            if let Some(Some(fields)) =
                self.runs.get(&row).map(|run| run.as_ref().map(|run| run.get(predictor)))
            {
                demos.extend(fields.cloned().map(Demo::bootstrapped));
                rows.push(row);
            }
        }
        Ok((rows, demos))
    }

    async fn run(
        &self,
        row: usize,
        shown: usize,
    ) -> Result<Option<BTreeMap<PredictorName, Fields>>, DemoError> {
        let mut candidate = Candidate::default();
        let named = self.program.predictors();
        for predictor in &named {
            // One more than are shown: a row never sees itself.
            let mut demos = labeled(predictor, self.train, 1, &[row], shown);
            demos.truncate(shown);
            candidate = candidate.with_demos(predictor.name.clone(), demos);
        }
        let cx = self.cx.clone().bound(self.program, &candidate)?;
        match run_row_traced(self.program, &cx, &self.train[row], self.measure).await {
            Ok(scored) if scored.score.value() >= self.accepted => {
                let steps = named.iter().filter_map(|of| {
                    let step = *scored.trace.of(&of.name).last()?;
                    let fields = step.inputs.clone().into_iter().chain(step.outputs.clone()).collect();
                    Some((of.name.clone(), fields))
                });
                Ok(Some(steps.collect()))
            }
            Ok(_) => Ok(None),
            Err(error) if error.kind.counts_as_zero() => Ok(None),
            Err(error) => Err(DemoError::Row { row, error }),
        }
    }
}

/// The choices of `n` candidates: all combinations if there are no more, else the program's own and others at random. In
/// lexical order, so that candidates that share a prompt's beginning are neighbours.
pub(crate) fn choose(sizes: &[usize], n: usize) -> Vec<Vec<usize>> {
    let all = sizes.iter().fold(vec![Vec::new()], |all: Vec<Vec<usize>>, &size| {
        all.iter().flat_map(|of| (0..size).map(|choice| [of.as_slice(), &[choice]].concat())).collect()
    });
    let others = rng::permutation(SEED, "record candidates", &[], all.len().saturating_sub(1));
    let mut places: Vec<usize> =
        iter::once(0).chain(others.into_iter().map(|place| place + 1)).take(n).collect();
    places.sort_unstable();
    places.into_iter().map(|place| all[place].clone()).collect()
}

#[cfg(test)]
mod tests {
    use std::slice;

    use super::*;
    use crate::record::rows;
    use crate::record::tasks;

    #[test]
    fn picked_demos_have_every_answer_and_misleading_ones_have_one() {
        let task = tasks::named("lending-shelf-chat").unwrap();
        let program = rows::program(task).unwrap();
        let predictor = &program.predictors()[0];
        let row = |note: &str, shelf: &str| Example {
            inputs: Fields::new().with("note", note),
            labels: Fields::new().with("shelf", shelf),
        };
        let train =
            [row("a", "party"), row("b", "garden"), row("c", "party"), row("d", "party"), row("e", "garden")];
        let notes = |demos: Vec<Demo>| -> String { demos.iter().map(|of| of.fields.text("note")).collect() };
        assert_eq!(notes(in_turn(by_answer(predictor, &train), 4)), "baec");
        assert_eq!(notes(commonest(by_answer(predictor, &train), 2)), "ac");
        assert_eq!(notes(commonest(by_answer(predictor, slice::from_ref(&train[1])), 2)), "b");
        assert!(in_turn(by_answer(predictor, &[]), 3).is_empty());
    }

    #[test]
    fn all_combinations_or_some_of_them_with_every_option() {
        assert_eq!(choose(&[2, 3], 9), [[0, 0], [0, 1], [0, 2], [1, 0], [1, 1], [1, 2]]);
        let some = choose(&[3, 3, 4, 3], 36);
        assert_eq!((some.len(), &some[0]), (36, &vec![0; 4]));
        for (choice, size) in [3, 3, 4, 3].into_iter().enumerate() {
            for option in 0..size {
                let count = some.iter().filter(|of| of[choice] == option).count();
                assert!(count * size >= 18, "option {option} of choice {choice}: {count} times");
            }
        }
    }
}
