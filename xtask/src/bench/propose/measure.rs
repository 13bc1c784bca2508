//! One task: every variant's best instruction against the original, row by row.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::sync::Arc;

use teleprompt::lm::LmSettings;
use teleprompt::propose::{
    FailedCase, InstructionOrigin, ProposalRequest, Proposals, ProposedInstruction, Proposer as _,
    RefineRequest, ScoredInstruction,
};
use teleprompt::{
    Candidate, Ctx, Demo, Evaluate, Evaluation, Example, Lm, PlainAdapter, PredictorName, PredictorParams,
    metric,
};

use super::failed;
use super::task::Task;
use super::variant::Variant;
use crate::error::Error;

/// How much is measured.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scale {
    pub(crate) seeds: u32,
    /// Instructions to choose from, the original among them.
    pub(crate) candidates: usize,
    pub(crate) validation_rows: usize,
    pub(crate) test_rows: usize,
}

impl Scale {
    pub(crate) fn quick() -> Self {
        Self { seeds: 1, candidates: 3, validation_rows: 8, test_rows: 12 }
    }

    pub(crate) fn full() -> Self {
        Self { seeds: 3, candidates: 4, validation_rows: 40, test_rows: 80 }
    }
}

/// What came of a task.
pub(crate) struct Outcome {
    pub(crate) name: String,
    pub(crate) labels: usize,
    pub(crate) validation_rows: usize,
    pub(crate) test_rows: usize,
    /// The original's mean score on the test rows.
    pub(crate) original: f64,
    pub(crate) variants: Vec<VariantOutcome>,
}

/// What came of a variant, over all seeds.
pub(crate) struct VariantOutcome {
    pub(crate) variant: Variant,
    /// New instructions that were usable, of those asked for.
    pub(crate) usable: (usize, usize),
    /// Prompt-LM calls.
    pub(crate) calls: u64,
    /// How often the best on the validation rows was a new instruction.
    pub(crate) chosen: usize,
    /// Mean score on the test rows.
    pub(crate) best: f64,
    /// For each test row, the score of the best and that of the original, averaged over the seeds.
    pub(crate) rows: Vec<(f64, f64)>,
    /// The best instruction of each seed with where it comes from.
    pub(crate) instructions: Vec<ProposedInstruction>,
}

/// Measures every variant on a task.
pub(crate) async fn task(
    lm: &Arc<dyn Lm>,
    task: Task,
    scale: &Scale,
    variants: &[Variant],
    log: &mut std::fs::File,
) -> Result<Outcome, Error> {
    let bench = Bench { cx: Ctx::new(lm.clone()).with_adapter(Arc::new(PlainAdapter)), task: &task, scale };
    let bench = if lm.capabilities().regex { bench } else { bench.with_short_answers() };
    let original = bench.scores(&task.test, scale.test_rows, None).await?;
    let mut outcomes = Vec::new();
    for &variant in variants {
        let mut sums = vec![0.0; original.len()];
        let mut outcome = VariantOutcome {
            variant,
            usable: (0, 0),
            calls: 0,
            chosen: 0,
            best: 0.0,
            rows: Vec::new(),
            instructions: Vec::new(),
        };
        for seed in 1..=u64::from(scale.seeds) {
            let found = bench.search(variant, seed).await?;
            writeln!(log, "{}", found.line(&task.name, variant, seed)).map_err(failed)?;
            eprintln!(
                "propose: {}, {}, seed {seed}: {} of {} usable, best on validation {:.1} %",
                task.name,
                variant.name(),
                found.usable,
                scale.candidates - 1,
                100.0 * found.score
            );
            outcome.usable.0 += found.usable;
            outcome.usable.1 += scale.candidates - 1;
            outcome.calls += found.calls;
            let new = found.best.origin != InstructionOrigin::Original;
            outcome.chosen += usize::from(new);
            let text = new.then_some(&found.best.instruction);
            for (sum, score) in sums.iter_mut().zip(bench.scores(&task.test, scale.test_rows, text).await?) {
                *sum += score / f64::from(scale.seeds);
            }
            outcome.instructions.push(found.best);
        }
        outcome.best = mean(&sums);
        outcome.rows = sums.into_iter().zip(original.iter().copied()).collect();
        outcomes.push(outcome);
    }
    Ok(Outcome {
        name: task.name.clone(),
        labels: task.labels,
        validation_rows: scale.validation_rows.min(task.validation.len()),
        test_rows: original.len(),
        original: mean(&original),
        variants: outcomes,
    })
}

struct Bench<'a> {
    cx: Ctx,
    task: &'a Task,
    scale: &'a Scale,
}

/// What one search found.
struct Found {
    best: ProposedInstruction,
    /// Of the best, on the validation rows.
    score: f64,
    usable: usize,
    calls: u64,
    /// Every instruction with its score on the validation rows.
    tried: Vec<(ProposedInstruction, f64)>,
    /// What was said of the data and the program, and what was rejected.
    proposals: Proposals,
}

impl Found {
    /// All of it on one line, to be read by people who ask why.
    fn line(&self, task: &str, variant: Variant, seed: u64) -> serde_json::Value {
        let tried = self.tried.iter().map(|(proposed, score)| serde_json::json!([score, proposed]));
        serde_json::json!({
            "task": task,
            "variant": variant.name(),
            "seed": seed,
            "tried": tried.collect::<Vec<_>>(),
            "proposals": self.proposals,
        })
    }
}

/// Most tokens of an answer that cannot be held to its form: a small model may never end by itself.
const ANSWER_TOKENS: u32 = 64;

impl Bench<'_> {
    fn with_short_answers(mut self) -> Self {
        let settings = LmSettings { max_tokens: Some(ANSWER_TOKENS), ..LmSettings::default() };
        self.cx = self.cx.with_settings(settings);
        self
    }

    /// Proposes, scores every instruction on the validation rows, and takes the best; of equals the first.
    async fn search(&self, variant: Variant, seed: u64) -> Result<Found, Error> {
        let new = self.scale.candidates - 1;
        let later = variant.later(new);
        let proposer = variant.proposer(new)?;
        let sets = BTreeMap::from([(PredictorName::from("self"), demo_sets(&self.task.train))]);
        let calls = std::sync::atomic::AtomicU64::new(0);
        let on_call = || {
            calls.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        };
        let request = ProposalRequest::new(&self.task.program, &self.task.train, &sets)
            .with_num_candidates(self.scale.candidates - later)
            .with_seed(seed)
            .with_on_call(&on_call);
        let mut proposals = proposer.propose(&self.cx, &request).await.map_err(failed)?;
        let prepared = proposals.prepared();
        let pool = proposals.instructions.remove("self").unwrap_or_default();
        let mut tried = self.try_all(pool).await?;
        if later > 0 {
            let history = tried.iter().map(|(proposed, score, _)| {
                ScoredInstruction::new(proposed.instruction.clone(), *score, self.scale.validation_rows)
            });
            let (_, _, best) = best_of(&tried)?;
            let rows = best.rows.iter().filter_map(|row| Some((self.task.validation.get(row.row)?, row)));
            let failures = rows.filter_map(|(example, row)| FailedCase::of(example, row, &"self".into()));
            let request =
                RefineRequest::new(&self.task.program, "self", history.collect(), failures.collect())
                    .with_trainset(&self.task.train)
                    .with_prepared(&prepared)
                    .with_num_candidates(later)
                    .with_seed(seed)
                    .with_on_call(&on_call);
            let refined = proposer.refine(&self.cx, &request).await.map_err(failed)?;
            proposals.rejected.extend(refined.rejected);
            proposals.warnings.extend(refined.warnings);
            tried.extend(self.try_all(refined.instructions).await?);
        }
        let (best, score, _) = best_of(&tried)?;
        let (best, score, usable) = (best.clone(), *score, tried.len() - 1);
        let tried = tried.into_iter().map(|(proposed, score, _)| (proposed, score)).collect();
        Ok(Found { best, score, usable, calls: calls.into_inner(), tried, proposals })
    }

    /// Every instruction with its mean score and results on the validation rows.
    async fn try_all(
        &self,
        pool: Vec<ProposedInstruction>,
    ) -> Result<Vec<(ProposedInstruction, f64, Evaluation)>, Error> {
        let mut tried = Vec::new();
        for proposed in pool {
            let text = (proposed.origin != InstructionOrigin::Original).then_some(&proposed.instruction);
            let evaluation = self.evaluate(&self.task.validation, self.scale.validation_rows, text).await?;
            let score = evaluation.score().unwrap_or_default();
            tried.push((proposed, score, evaluation));
        }
        Ok(tried)
    }

    async fn scores(
        &self,
        rows: &[Example],
        most: usize,
        text: Option<&Arc<str>>,
    ) -> Result<Vec<f64>, Error> {
        let evaluation = self.evaluate(rows, most, text).await?;
        evaluation.rows.iter().map(|row| row.score().ok_or_else(|| failed("a row has no score"))).collect()
    }

    /// The program with this instruction, else with its own, on the first `most` rows.
    async fn evaluate(
        &self,
        rows: &[Example],
        most: usize,
        text: Option<&Arc<str>>,
    ) -> Result<Evaluation, Error> {
        let mut candidate = Candidate::default();
        if let Some(text) = text {
            let params = PredictorParams { instruction: Some(text.clone()), ..PredictorParams::default() };
            candidate.set("self".into(), params);
        }
        let cx = self.cx.clone().bound(&self.task.program, &candidate).map_err(failed)?;
        let metric = metric::exact_match(self.task.answer.clone());
        let rows = rows.get(..most).unwrap_or(rows);
        Evaluate::new(rows, &metric).max_errors(0).run(&self.task.program, &cx).await.map_err(failed)
    }
}

fn best_of(
    tried: &[(ProposedInstruction, f64, Evaluation)],
) -> Result<&(ProposedInstruction, f64, Evaluation), Error> {
    let first = tried.first().ok_or_else(|| failed("there is no instruction, not even the original"))?;
    Ok(tried.iter().fold(first, |best, next| if next.1 > best.1 { next } else { best }))
}

/// The empty set and three sets of three training rows.
fn demo_sets(train: &[Example]) -> Vec<Arc<[Demo]>> {
    let demo = |row: &Example| Demo::labeled(row.clone().into_fields());
    let sets = train.chunks(3).take(3).map(|rows| rows.iter().map(demo).collect());
    std::iter::once(Arc::from([])).chain(sets).collect()
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}
