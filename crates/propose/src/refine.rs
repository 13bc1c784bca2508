//! Later rounds: what a proposer is told of the instructions that were tried, and what it gives
//! ([`Proposer::refine`](crate::Proposer::refine)).
//!
//! ```text
//!   instructions with scores ──┐
//!   failures of the best ──────┼─▶ Proposer::refine ─▶ new instructions, none of them tried before
//!   demos, Prepared ───────────┘
//! ```
//!
//! All of it is data that an optimizer has anyway; nothing here runs a program.
//!
//! **Whose rows.** Failures are shown to the prompt LM, and what it writes from them fits those rows better than others. Rows
//! that were shown must not decide alone whether the new instruction is better: keep test rows that no round has seen.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use teleprompt_core::evaluate::RowResult;
use teleprompt_core::{
    Demo, Example, Fields, NamedPredictor, Nearest, PredictorName, Program, SignatureSpec,
};

use crate::error::ProposeError;
use crate::proposals::{Prepared, ProposedInstruction, current};
use crate::rejection::Rejection;
use crate::render;

/// An instruction that was tried.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ScoredInstruction {
    /// The instruction.
    pub instruction: Arc<str>,
    /// Its mean score, in `[0, 1]`; higher is better.
    pub score: f64,
    /// On how many rows.
    pub rows: usize,
}

impl ScoredInstruction {
    /// An instruction with its mean score, in `[0, 1]`, on this many rows.
    pub fn new(instruction: impl Into<Arc<str>>, score: f64, rows: usize) -> Self {
        Self { instruction: instruction.into(), score, rows }
    }
}

/// A row on which an instruction fails, as one predictor saw it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct FailedCase {
    /// What the predictor was given.
    pub inputs: Fields,
    /// What it answered; empty where the answer could not be read.
    pub output: Fields,
    /// The labels of the row: what the whole program should have given.
    pub expected: Fields,
    /// What the metric or the adapter said of it, or the answer that could not be read.
    pub feedback: Option<String>,
}

impl FailedCase {
    /// A failure on these inputs, with what was answered and what was expected.
    pub fn new(inputs: Fields, output: Fields, expected: Fields) -> Self {
        Self { inputs, output, expected, feedback: None }
    }

    /// The same failure with what the metric said of it.
    #[must_use]
    pub fn with_feedback(mut self, feedback: impl Into<String>) -> Self {
        self.feedback = Some(feedback.into());
        self
    }

    /// The failure of `predictor` in the result of one row: its inputs and answer as the trace has them, else those of the
    /// whole program. `None` for a row that scored 1, or failed by the model's or the metric's doing: that says nothing about
    /// the instruction.
    pub fn of(example: &Example, result: &RowResult, predictor: &PredictorName) -> Option<Self> {
        let expected = example.labels.clone();
        match &result.outcome {
            Ok(scored) if scored.score.value() >= 1.0 => None,
            Ok(scored) => Some(match scored.trace.of(predictor).first() {
                Some(step) => Self::new(step.inputs.clone(), step.outputs.clone(), expected),
                None => Self::new(example.inputs.clone(), scored.prediction.outputs.clone(), expected),
            }),
            Err(error) if error.kind.counts_as_zero() => {
                let failed = Self::new(example.inputs.clone(), Fields::new(), expected);
                let said =
                    error.raw_answer.as_ref().map(|raw| format!("the answer could not be read: {raw}"));
                Some(failed.with_feedback(said.unwrap_or_else(|| error.message.clone())))
            }
            Err(_) => None,
        }
    }

    /// The failure as lines, within about this many tokens.
    pub(crate) fn written(&self, spec: &SignatureSpec, tokens: usize) -> String {
        let known = |fields: &Fields| fields.only(spec.fields().map(|field| field.name.as_str()));
        let mut lines = Fields::new();
        let mut add = |prefix: &str, fields: &Fields| {
            for (name, value) in fields.iter() {
                lines.insert(format!("{prefix}{name}"), value.clone());
            }
        };
        add("", &known(&self.inputs));
        add("answered ", &known(&self.output));
        // The labels of the program, also where the predictor has no field of that name: they say what went wrong.
        add("expected ", &self.expected);
        if let Some(feedback) = &self.feedback {
            lines.insert("feedback", feedback.as_str());
        }
        render::fields(&lines, tokens)
    }
}

/// What a proposer is asked after some trials, for one predictor.
#[derive(Clone)]
#[non_exhaustive]
pub struct RefineRequest<'a> {
    /// The program.
    pub program: &'a dyn Program,
    /// The predictor to propose for.
    pub predictor: PredictorName,
    /// Instructions of this predictor that were tried, with their scores, in any order. None of them is proposed again.
    pub history: Vec<ScoredInstruction>,
    /// Further instructions that are known and not scored, such as those of the pool that no trial has run. None of them is
    /// proposed again.
    pub known: Vec<Arc<str>>,
    /// The instruction to improve on. `None`: the best of `history`, else the program's own.
    pub current: Option<Arc<str>>,
    /// Where that instruction fails; each proposal is shown some of them.
    pub failures: Vec<FailedCase>,
    /// Demos of the predictor; the first 3 are shown.
    pub demos: Vec<Demo>,
    /// Rows that no proposal may quote, and from which closed sets of labels are known.
    pub trainset: &'a [Example],
    /// What was said of the data and of the program; see [`crate::Proposals::prepared`]. `None`: these pieces stay out.
    pub prepared: Option<&'a Prepared>,
    /// How many new instructions are wanted at most.
    pub num_candidates: usize,
    /// Which round this is, from 1; part of the names of the random streams.
    pub round: u64,
    /// The root of the random streams `tip` and `rollout`.
    pub seed: u64,
    /// Sampling temperature of the proposals, in `[0, 2]`.
    pub temperature: f64,
    /// Called after each prompt-LM call, answered or failed: for progress displays. Must return soon.
    pub on_call: Option<&'a (dyn Fn() + Sync)>,
}

impl<'a> RefineRequest<'a> {
    /// A request for 3 new instructions of this predictor in round 1; seed 9, temperature 1.
    pub fn new(
        program: &'a dyn Program,
        predictor: impl Into<PredictorName>,
        history: Vec<ScoredInstruction>,
        failures: Vec<FailedCase>,
    ) -> Self {
        Self {
            program,
            predictor: predictor.into(),
            history,
            known: Vec::new(),
            current: None,
            failures,
            demos: Vec::new(),
            trainset: &[],
            prepared: None,
            num_candidates: 3,
            round: 1,
            seed: 9,
            temperature: 1.0,
            on_call: None,
        }
    }

    /// The same request, also refusing these instructions.
    #[must_use]
    pub fn with_known(mut self, known: impl IntoIterator<Item = Arc<str>>) -> Self {
        self.known.extend(known);
        self
    }

    /// The same request, improving on this instruction instead of the best of the history.
    #[must_use]
    pub fn with_current(mut self, current: impl Into<Arc<str>>) -> Self {
        self.current = Some(current.into());
        self
    }

    /// The same request with demos of the predictor.
    #[must_use]
    pub fn with_demos(mut self, demos: impl IntoIterator<Item = Demo>) -> Self {
        self.demos = demos.into_iter().collect();
        self
    }

    /// The same request with rows that no proposal may quote.
    #[must_use]
    pub fn with_trainset(mut self, trainset: &'a [Example]) -> Self {
        self.trainset = trainset;
        self
    }

    /// The same request with what was said of the data and of the program.
    #[must_use]
    pub fn with_prepared(mut self, prepared: &'a Prepared) -> Self {
        self.prepared = Some(prepared);
        self
    }

    /// The same request for this many new instructions.
    #[must_use]
    pub fn with_num_candidates(mut self, num_candidates: usize) -> Self {
        self.num_candidates = num_candidates;
        self
    }

    /// The same request as round number `round`, from 1.
    #[must_use]
    pub fn with_round(mut self, round: u64) -> Self {
        self.round = round;
        self
    }

    /// The same request with another root of the random streams.
    #[must_use]
    pub fn with_seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// The same request with another temperature, in `[0, 2]`.
    #[must_use]
    pub fn with_temperature(mut self, temperature: f64) -> Self {
        self.temperature = temperature;
        self
    }

    /// The same request, telling `on_call` of each prompt-LM call that ended.
    #[must_use]
    pub fn with_on_call(mut self, on_call: &'a (dyn Fn() + Sync)) -> Self {
        self.on_call = Some(on_call);
        self
    }

    /// The instruction with the highest score; of equals the one on more rows, then the earlier one.
    pub fn best(&self) -> Option<&ScoredInstruction> {
        // `max_by` gives the last of equals.
        let earlier_last = self.history.iter().rev();
        earlier_last.max_by(|a, b| a.score.total_cmp(&b.score).then(a.rows.cmp(&b.rows)))
    }

    /// The predictor, with its index in the program.
    ///
    /// # Errors
    /// [`ProposeError::UnknownPredictor`] with the nearest name that the program has.
    pub fn resolve(&self) -> Result<(usize, NamedPredictor<'a>), ProposeError> {
        let known = self.program.predictors();
        match known.iter().position(|named| named.name == self.predictor) {
            Some(index) => Ok((index, known[index].clone())),
            None => Err(ProposeError::UnknownPredictor {
                name: self.predictor.clone(),
                nearest: Nearest::to(self.predictor.as_str(), known.iter().map(|named| named.name.as_str())),
            }),
        }
    }

    /// The instruction to improve on.
    pub(crate) fn improves_on(&self, named: &NamedPredictor<'_>) -> Arc<str> {
        let given = self.current.clone();
        given.or_else(|| self.best().map(|best| best.instruction.clone())).unwrap_or_else(|| current(named))
    }
}

/// What a later round gives.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Refinement {
    /// New instructions, at most [`RefineRequest::num_candidates`]; none is in the request's history or known to it. May be
    /// empty.
    pub instructions: Vec<ProposedInstruction>,
    /// Proposals that were not taken, in order: by place and attempt.
    #[serde(default)]
    pub rejected: Vec<Rejection>,
    /// What the user should know.
    #[serde(default)]
    pub warnings: Vec<String>,
}

#[cfg(test)]
mod tests {
    use teleprompt_core::evaluate::{RowError, RowErrorKind, RowScore};
    use teleprompt_core::{Prediction, Predictor, Score, Trace, TraceStep};

    use super::*;

    #[test]
    fn the_best_is_the_highest_on_most_rows_and_first() {
        let program = Predictor::new(SignatureSpec::parse("a -> b").unwrap());
        let scored = |text: &str, score, rows| ScoredInstruction::new(text, score, rows);
        let best = |history: Vec<ScoredInstruction>| {
            RefineRequest::new(&program, "self", history, vec![])
                .best()
                .map(|best| best.instruction.to_string())
        };
        assert_eq!(best(vec![]), None);
        assert_eq!(best(vec![scored("a", 0.5, 9), scored("b", 0.7, 3)]).as_deref(), Some("b"));
        assert_eq!(best(vec![scored("a", 0.5, 3), scored("b", 0.5, 9)]).as_deref(), Some("b"));
        assert_eq!(best(vec![scored("a", 0.5, 9), scored("b", 0.5, 9)]).as_deref(), Some("a"));
    }

    #[test]
    fn a_failure_is_read_from_the_trace_of_a_row() {
        let row = Example::new(Fields::new().with("message", "hi").with("team", "a"));
        let row = row.with_inputs(&["message"]).unwrap();
        let step = TraceStep {
            predictor: "route".into(),
            inputs: Fields::new().with("message", "hi").with("hint", "short"),
            outputs: Fields::new().with("team", "b"),
        };
        let of = |outcome| FailedCase::of(&row, &RowResult { row: 0, outcome }, &"route".into());
        let scored = |score| RowScore {
            score: Score::new(score).unwrap(),
            prediction: Prediction { outputs: Fields::new().with("team", "b") },
            trace: Trace { steps: vec![step.clone()] },
        };
        assert_eq!(of(Ok(scored(1.0))), None);
        let case = of(Ok(scored(0.5))).unwrap();
        assert_eq!(
            (case.inputs.text("hint"), case.output.text("team"), case.expected.text("team")),
            ("short".into(), "b".into(), "a".into())
        );
        let spec = SignatureSpec::parse("message, hint -> team").unwrap();
        assert_eq!(case.written(&spec, 50), "message: hi\nhint: short\nanswered team: b\nexpected team: a");

        let error = |kind, raw: Option<&str>| RowError {
            kind,
            message: "no field".into(),
            raw_answer: raw.map(str::to_owned),
            fatal: None,
        };
        let unread = of(Err(error(RowErrorKind::Answer, Some("hm")))).unwrap();
        assert_eq!(
            unread.written(&spec, 50),
            "message: hi\nexpected team: a\nfeedback: the answer could not be read: hm"
        );
        assert_eq!(
            of(Err(error(RowErrorKind::Program, None))).unwrap().feedback.as_deref(),
            Some("no field")
        );
        assert_eq!(of(Err(error(RowErrorKind::Model, None))), None);
        assert_eq!(of(Err(error(RowErrorKind::Metric, None))), None);
    }
}
