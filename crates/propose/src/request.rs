//! What a proposer is asked for its first round: [`ProposalRequest`]. Later rounds are in [`crate::refine`].

use std::collections::BTreeMap;
use std::sync::Arc;

use teleprompt_core::{Candidate, Demo, Example, NamedPredictor, Nearest, PredictorName, Program};

use crate::error::ProposeError;
use crate::proposals::{Prepared, current};

/// What a proposer is asked.
#[derive(Clone)]
#[non_exhaustive]
pub struct ProposalRequest<'a> {
    /// The program.
    pub program: &'a dyn Program,
    /// The predictors to propose for, in the order in which they are worked on.
    pub predictors: Vec<PredictorName>,
    /// Rows that may be shown to the prompt LM. Never the validation rows.
    pub trainset: &'a [Example],
    /// Demo sets by predictor; set 0 is the empty one. May be empty, or lack predictors.
    pub demo_sets: &'a BTreeMap<PredictorName, Vec<Arc<[Demo]>>>,
    /// Most instructions for each predictor, the original included; 0 is read as 1.
    pub num_candidates: usize,
    /// The root of the random streams `tip`, `summary` and `rollout`.
    pub seed: u64,
    /// Sampling temperature of the proposals, in `[0, 2]`.
    pub temperature: f64,
    /// Called after each prompt-LM call, answered or failed: for progress displays. Must return soon.
    pub on_call: Option<&'a (dyn Fn() + Sync)>,
    /// Instructions from which to start, where they are not the program's own.
    pub start: Option<&'a Candidate>,
    /// What [`crate::Proposer::prepare`] gave for this request, if it was asked.
    pub prepared: Option<&'a Prepared>,
}

impl<'a> ProposalRequest<'a> {
    /// A request for every predictor of `program` that is not frozen: 6 instructions each (the number of MIPROv2's
    /// smallest budget), seed 9, temperature 1.
    pub fn new(
        program: &'a dyn Program,
        trainset: &'a [Example],
        demo_sets: &'a BTreeMap<PredictorName, Vec<Arc<[Demo]>>>,
    ) -> Self {
        let predictors = program.predictors().into_iter().filter(|named| !named.frozen);
        Self {
            predictors: predictors.map(|named| named.name).collect(),
            program,
            trainset,
            demo_sets,
            num_candidates: 6,
            seed: 9,
            temperature: 1.0,
            on_call: None,
            start: None,
            prepared: None,
        }
    }

    /// The same request for these predictors only.
    #[must_use]
    pub fn with_predictors(mut self, predictors: Vec<PredictorName>) -> Self {
        self.predictors = predictors;
        self
    }

    /// The same request for this many instructions for each predictor, the original included.
    #[must_use]
    pub fn with_num_candidates(mut self, num_candidates: usize) -> Self {
        self.num_candidates = num_candidates;
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

    /// The same request, starting from a candidate's instructions.
    #[must_use]
    pub fn with_start(mut self, start: &'a Candidate) -> Self {
        self.start = Some(start);
        self
    }

    /// The same request with what [`crate::Proposer::prepare`] gave for it.
    #[must_use]
    pub fn with_prepared(mut self, prepared: &'a Prepared) -> Self {
        self.prepared = Some(prepared);
        self
    }

    /// The instruction that a predictor has now: that of the start, else its own, else its signature's.
    pub fn current(&self, named: &NamedPredictor<'_>) -> Arc<str> {
        let start = self.start.and_then(|start| start.get(named.name.as_str()));
        start.and_then(|params| params.instruction.clone()).unwrap_or_else(|| current(named))
    }

    /// The predictors to propose for, found in the program; one that is named twice is given once.
    ///
    /// # Errors
    /// [`ProposeError::UnknownPredictor`] with the nearest name that the program has.
    pub fn resolve(&self) -> Result<Vec<NamedPredictor<'a>>, ProposeError> {
        let known = self.program.predictors();
        let find = |name: &PredictorName| {
            known.iter().find(|named| named.name == *name).cloned().ok_or_else(|| {
                let names = known.iter().map(|named| named.name.as_str());
                ProposeError::UnknownPredictor {
                    name: name.clone(),
                    nearest: Nearest::to(name.as_str(), names),
                }
            })
        };
        let first =
            |(i, name): &(usize, &PredictorName)| !self.predictors.iter().take(*i).any(|seen| seen == *name);
        self.predictors.iter().enumerate().filter(first).map(|(_, name)| find(name)).collect()
    }
}
