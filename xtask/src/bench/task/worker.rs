//! Our side, in a process of its own: it speaks the protocol of the peers' drivers, as `xtask/peers/task.py` does for DSPy.
//!
//! | request | answer |
//! |---|---|
//! | `{"op": "version"}` | `{"version": ".."}` |
//! | [`Work`], whose `op` is `optimize` | `{}` |
//! | `{"op": "test", "rows": ROWS}` | `{"answers": [".." or null, ..]}`, those of the program that was found |
//!
//! The program is one predictor, its answers are JSON that the server holds to a schema. What [`Work`] does not set is the
//! optimizer's default.

use std::io::{self, BufRead, Write};
use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Value, json};
use teleprompt::lm::{CompatibleLm, LmSettings};
use teleprompt::{
    AdaptiveSearch, Candidate, Ctx, Dataset, Evaluate, Example, FieldSpec, FieldType, Fields, JsonAdapter,
    Lm, MiproV2, Prediction, Predictor, SignatureSpec, Strategy,
};
use tokio::runtime::Runtime;

use super::work::{Optimizer, Row, Work};
use super::{exact, failed};
use crate::error::Error;

/// Answers requests until the input ends.
pub(crate) fn serve() -> Result<(), Error> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.map_err(failed)?;
    let mut output = io::stdout().lock();
    let mut session = None;
    for line in io::stdin().lock().lines() {
        let answer = answer(&runtime, &mut session, &line.map_err(failed)?);
        let answer = answer.unwrap_or_else(|problem| json!({ "error": problem }));
        writeln!(output, "{answer}").and_then(|()| output.flush()).map_err(failed)?;
    }
    Ok(())
}

/// A test of the program that was found.
#[derive(Debug, Deserialize)]
struct Test {
    rows: Vec<Row>,
}

fn answer(runtime: &Runtime, session: &mut Option<Session>, line: &str) -> Result<Value, String> {
    let text = |error: serde_json::Error| error.to_string();
    let request: Value = serde_json::from_str(line).map_err(text)?;
    match request.get("op").and_then(Value::as_str) {
        Some("version") => Ok(json!({"version": env!("CARGO_PKG_VERSION")})),
        Some("optimize") => {
            let work = serde_json::from_value(request).map_err(text)?;
            *session = Some(runtime.block_on(Session::optimize(work))?);
            Ok(json!({}))
        }
        Some("test") => {
            let session = session.as_ref().ok_or("there is nothing to test: ask to `optimize` first")?;
            let test: Test = serde_json::from_value(request).map_err(text)?;
            let answers = runtime.block_on(session.test(&test.rows))?;
            Ok(json!({ "answers": answers }))
        }
        other => Err(format!("unknown operation {other:?}")),
    }
}

/// An optimized program.
struct Session {
    work: Work,
    program: Predictor,
    cx: Ctx,
}

impl Session {
    async fn optimize(work: Work) -> Result<Self, String> {
        let lm = CompatibleLm::builder(&work.url).model(&work.model).build().map_err(|e| e.to_string())?;
        let lm: Arc<dyn Lm> = Arc::new(lm);
        let program = program(&work)?;
        let candidate = find(&work, &program, &lm).await?;
        let cx = Ctx::new(lm).with_adapter(Arc::new(JsonAdapter));
        let cx = cx.bound(&program, &candidate).map_err(|error| error.to_string())?;
        Ok(Self { work, program, cx })
    }

    /// The answer to each row; `None` where there is none that can be read.
    async fn test(&self, rows: &[Row]) -> Result<Vec<Option<String>>, String> {
        let rows = examples(&self.work, rows);
        let metric = right(&self.work);
        let evaluate =
            Evaluate::new(&rows, &metric).concurrency(self.work.scale.in_flight).max_errors(rows.len());
        let evaluation = evaluate.run(&self.program, &self.cx).await.map_err(|error| error.to_string())?;
        let answer = |row: &teleprompt::evaluate::RowResult| {
            row.outcome.as_ref().ok().map(|scored| scored.prediction.outputs.text(&self.work.answer))
        };
        Ok(evaluation.rows.iter().map(answer).collect())
    }
}

/// The best candidate that the optimizer finds.
async fn find(work: &Work, program: &Predictor, lm: &Arc<dyn Lm>) -> Result<Candidate, String> {
    let Some(optimizer) = optimizer(work, lm)? else { return Ok(Candidate::default()) };
    let data = Dataset::new(examples(work, &work.train)).val(examples(work, &work.validation));
    let best = optimizer.compile(program, &data, &right(work)).await;
    best.map(|best| best.candidate).map_err(|error| error.to_string())
}

/// The optimizer that is asked for, if it is one.
fn optimizer(work: &Work, lm: &Arc<dyn Lm>) -> Result<Option<MiproV2>, String> {
    let scale = &work.scale;
    let builder = MiproV2::builder()
        .task_lm(lm.clone())
        .adapter(Arc::new(JsonAdapter))
        .num_candidates(scale.candidates)
        .num_trials(scale.trials)
        .max_bootstrapped_demos(scale.demos)
        .max_labeled_demos(scale.demos)
        .concurrency(scale.in_flight)
        .seed(work.seed);
    let builder = match work.optimizer {
        Optimizer::Unoptimized => return Ok(None),
        Optimizer::Adaptive => {
            let runs = scale.program_runs(work.validation.len());
            builder.strategy(Strategy::Adaptive(AdaptiveSearch::default().program_runs(runs)))
        }
        Optimizer::Reference => {
            builder.minibatch_size(scale.minibatch).minibatch_full_eval_steps(scale.full_eval_steps)
        }
        other => return Err(format!("`{}` is not ours", other.key())),
    };
    builder.build().map(Some).map_err(|error| error.to_string())
}

fn program(work: &Work) -> Result<Predictor, String> {
    let ty = match work.labels.is_empty() {
        true => FieldType::Text,
        false => FieldType::Label(work.labels.clone()),
    };
    let inputs = work.inputs.iter().map(|name| FieldSpec::new(name, FieldType::Text)).collect();
    let outputs = vec![FieldSpec::new(&work.answer, ty)];
    let spec = SignatureSpec::new("Task", &work.instruction, inputs, outputs);
    let settings = LmSettings {
        temperature: Some(work.scale.temperature),
        max_tokens: Some(work.scale.max_tokens),
        ..LmSettings::default()
    };
    Ok(Predictor::new(spec.map_err(|error| error.to_string())?).with_settings(settings))
}

fn examples(work: &Work, rows: &[Row]) -> Vec<Example> {
    let example = |row: &Row| {
        let (mut inputs, mut labels) = (Fields::new(), Fields::new());
        for (name, text) in row {
            let side = if *name == work.answer { &mut labels } else { &mut inputs };
            side.insert(name.clone(), text.as_str());
        }
        Example { inputs, labels }
    };
    rows.iter().map(example).collect()
}

/// The metric: the answer is the row's.
fn right(work: &Work) -> impl Fn(&Example, &Prediction) -> bool + Send + Sync + use<> {
    let answer = work.answer.clone();
    move |example, prediction| exact(&example.labels.text(&answer), &prediction.outputs.text(&answer))
}

#[cfg(test)]
mod tests {
    use super::super::work::{Scale, tests::sample};
    use super::*;

    #[test]
    fn requests_that_make_no_sense_are_answered() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let ask = |line: &str| answer(&runtime, &mut None, line);
        assert!(ask("{\"op\": \"version\"}").unwrap()["version"].is_string());
        assert!(ask("{\"op\": \"test\", \"rows\": []}").unwrap_err().contains("nothing to test"));
        assert!(ask("{\"op\": \"optimize\"}").unwrap_err().contains("missing field"));
        assert!(ask("{}").unwrap_err().contains("unknown operation"));
        let work = Work::new(&sample(), Scale::quick(16), Optimizer::DspyMiprov2, 1);
        let work = Work { url: "http://127.0.0.1:1/v1".into(), model: "m".into(), ..work };
        let problem = ask(&serde_json::to_string(&work).unwrap()).unwrap_err();
        assert_eq!(problem, "`dspy-miprov2` is not ours");
    }

    #[test]
    fn our_optimizers_can_be_used() {
        let lm: Arc<dyn Lm> =
            Arc::new(CompatibleLm::builder("http://127.0.0.1:1/v1").model("m").build().unwrap());
        let made = |which| {
            let work = Work::new(&sample(), Scale::full(16), which, 1);
            optimizer(&work, &lm).map(|made| made.is_some())
        };
        assert_eq!(made(Optimizer::Unoptimized), Ok(false));
        assert_eq!(made(Optimizer::Adaptive), Ok(true));
        assert_eq!(made(Optimizer::Reference), Ok(true));
        assert!(made(Optimizer::DspyRandomSearch).is_err());
    }

    #[test]
    fn the_program_is_that_of_the_task() {
        let task = sample();
        let work = Work::new(&task, Scale::quick(16), Optimizer::Adaptive, 1);
        let program = program(&work).unwrap();
        assert_eq!(program.spec().instruction(), task.program.spec().instruction());
        assert_eq!(program.spec().outputs(), task.program.spec().outputs());
        assert_eq!(examples(&work, &work.train), task.train);
    }
}
