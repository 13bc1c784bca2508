//! The recording itself: candidate by candidate, so that all its rows share one prompt beginning in the model's cache.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use futures::{StreamExt, TryStreamExt, stream};
use teleprompt_core::evaluate::run_row;
use teleprompt_core::{
    Adapter, Bindings, Candidate, ChatAdapter, Ctx, Example, JsonAdapter, Lm, PlainAdapter, Prediction,
    Program,
};

use crate::error::Error;
use crate::landscape::{Choices, Landscape, SCHEMA, Scores};

use super::demos::{self, DemoSets};
use super::rows::{self, Rows};
use super::tasks::Task;

/// Records a task into `file`, and gives the landscape.
///
/// # Errors
/// A file, or the model.
///
/// # Cost
/// One program run for each (candidate, row), and a few dozen for the demo sets; with a cache in front of the model, the same
/// command goes on where a recording was stopped.
pub(crate) async fn record(
    task: &Task,
    rows: &Rows,
    n_candidates: usize,
    lm: Arc<dyn Lm>,
    in_flight: usize,
    file: &Path,
) -> Result<Landscape, Error> {
    let failed = |problem: String| Error::Measurement { subject: task.name.to_owned(), problem };
    let program = rows::program(task)?;
    let model = lm.model().as_str().to_owned();
    let cx = Ctx::new(lm).with_adapter(adapter(task.adapter)?);
    let measure = |gold: &Example, said: &Prediction| task.measure.score(gold, said);
    eprintln!("{}: demo sets from {} training rows", task.name, rows.train.len());
    let sets = demos::make(&program, task, &cx, &rows.train, &measure)
        .await
        .map_err(|error| failed(error.to_string()))?;
    let sizes: Vec<usize> =
        task.steps.iter().flat_map(|step| [step.instructions.len(), step.demo_sets]).collect();
    let chosen = demos::choose(&sizes, n_candidates);
    let candidates: Vec<Candidate> = chosen.iter().map(|of| candidate(task, &sets, of)).collect();
    let mut scores = Vec::new();
    let begun = Instant::now();
    for (index, candidate) in candidates.iter().enumerate() {
        let bindings = Bindings::bind(&program, candidate).map_err(|error| failed(error.to_string()))?;
        let cx = cx.clone().with_bindings(bindings.into());
        let (cx, program, measure) = (&cx, &program as &dyn Program, &measure);
        let running = rows.rows.iter().map(|row| run_row(program, cx, row, measure));
        let of_rows =
            stream::iter(running).buffered(in_flight).enumerate().map(|(row, outcome)| match outcome {
                Ok(scored) => Ok(Some(scored.score.value())),
                Err(error) if error.kind.counts_as_zero() => Ok(Some(0.0)),
                Err(error) => Err(failed(format!("candidate {index}, row {row}: {error}"))),
            });
        scores.push(Scores::of(&of_rows.try_collect::<Vec<_>>().await?));
        let done = index + 1;
        let left = begun.elapsed().as_secs_f64() / 60.0 * (candidates.len() - done) as f64 / done as f64;
        eprintln!(
            "{}: candidate {done} of {}, about {:.0} min left",
            task.name,
            candidates.len(),
            left.ceil()
        );
    }
    let landscape = Landscape {
        schema: SCHEMA.into(),
        name: task.name.into(),
        task: task.data.into(),
        role: task.role(),
        model,
        adapter: task.adapter.into(),
        metric: task.measure.name().into(),
        classes: rows.classes,
        predictors: task.steps.iter().map(choices).collect(),
        default: 0,
        rows: (0..rows.rows.len()).map(|row| if row < rows.val { 'v' } else { 't' }).collect(),
        gold: rows.gold.clone(),
        scores,
        candidates: chosen,
    };
    let text = landscape.to_json().map_err(|error| failed(error.to_string()))?;
    fs::write(file, text).map_err(Error::file("write", file))?;
    // What stands in the file is what others read.
    Landscape::read(file)
}

fn choices(step: &super::steps::Step) -> Choices {
    Choices { name: step.name.into(), instructions: step.instructions.len(), demo_sets: step.demo_sets }
}

fn adapter(name: &str) -> Result<Arc<dyn Adapter>, Error> {
    Ok(match name {
        "plain" => Arc::new(PlainAdapter),
        "chat" => Arc::new(ChatAdapter),
        "json" => Arc::new(JsonAdapter),
        other => return Err(Error::Usage(format!("there is no adapter `{other}`"))),
    })
}

/// The candidate of some choices: instruction and demo set of the first predictor, then of the second, ...
fn candidate(task: &Task, sets: &DemoSets, choices: &[usize]) -> Candidate {
    let mut candidate = Candidate::default();
    for ((step, sets), choice) in task.steps.iter().zip(sets).zip(choices.chunks(2)) {
        let &[instruction, demos] = choice else { continue };
        candidate = candidate
            .with_instruction(step.name, step.instructions[instruction])
            .with_demos(step.name, sets[demos].clone());
    }
    candidate
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures::FutureExt;
    use futures::executor::block_on;
    use futures::future::BoxFuture;
    use teleprompt_core::lm::{LmError, LmErrorKind, ModelId};
    use teleprompt_core::{LmRequest, LmResponse};
    use teleprompt_lm::{Cache, LmStack};

    use super::*;
    use crate::record::tasks;
    use crate::workspace::Workspace;

    /// Says `thing` where the prompt has few demos, else `person`; fails once its calls are used up.
    struct Short {
        id: ModelId,
        calls: AtomicUsize,
    }

    impl Lm for Short {
        fn model(&self) -> &ModelId {
            &self.id
        }

        fn generate<'a>(&'a self, request: &'a LmRequest) -> BoxFuture<'a, Result<LmResponse, LmError>> {
            let left = self.calls.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1));
            let answer = if request.messages.len() < 4 { "Answer: thing" } else { "Answer: person" };
            let outcome = match left {
                Ok(_) => Ok(LmResponse::new(answer)),
                Err(_) => Err(LmError::new(self.id.clone(), LmErrorKind::Auth, "used up")),
            };
            async move { outcome }.boxed()
        }
    }

    #[test]
    fn a_recording_that_fails_goes_on_with_the_answers_it_lacks() {
        let task = tasks::named("questions-plain").unwrap();
        let rows = rows::load(&Workspace::find().unwrap(), None, task, 12).unwrap();
        let folder = std::env::temp_dir().join(format!("teleprompt-matrix-{}", std::process::id()));
        let file = folder.join("questions-plain.json");
        fs::create_dir_all(&folder).unwrap();
        let cache = Cache::in_memory();
        let record = |calls: usize| {
            let lm = Arc::new(Short { id: ModelId::new("test/short"), calls: calls.into() });
            let cached = LmStack::new(lm.clone()).cache(&cache).build();
            let outcome = block_on(record(task, &rows, 6, cached, 2, &file));
            (outcome, lm.calls.load(Ordering::SeqCst))
        };
        // Demo sets take one call for each training row; the rest breaks off within the second candidate.
        let (outcome, _) = record(rows.train.len() + 20);
        let error = outcome.unwrap_err().to_string();
        assert!(error.contains("questions-plain: candidate 1"), "{error}");
        assert!(!file.exists());

        let (outcome, left) = record(1000);
        let landscape = outcome.unwrap();
        assert_eq!(1000 - left, 6 * 12 - 20, "only what was missing was asked");
        assert_eq!((landscape.n_candidates(), landscape.n_rows(), landscape.default), (6, 12, 0));
        assert_eq!((landscape.rows.as_str(), landscape.classes), ("vvvvvvvvtttt", 6));
        for row in 0..12 {
            // Without demos the model says `thing`, which is the fifth label.
            let expect = f64::from(u8::from(landscape.gold[row] == Some(4)));
            assert_eq!(landscape.score(0, row), Some(expect), "row {row}");
        }
        fs::remove_dir_all(&folder).unwrap();
    }
}
