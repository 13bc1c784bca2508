//! After the run: the candidates beside the winner, what they cost to run, and several of them as one program.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::FutureExt;
use futures::future::{BoxFuture, join_all};
use serde::{Deserialize, Serialize};
use teleprompt_core::{Bindings, Candidate, Ctx, Error, Fields, NamedPredictor, Prediction, Program};

use super::Report;
use crate::search::adaptive::Belief;
use crate::search::{Choices, Found, SearchSpace, TrialKind, TrialRecord};

/// A combination with all that is known of it. Scores on minibatches and on all validation rows are never mixed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Ranked {
    /// Which combination.
    pub choices: Choices,
    /// The mean score on all validation rows, in `[0, 1]`, if it was evaluated in full.
    pub full: Option<f64>,
    /// The mean of its scores on minibatches, in `[0, 1]`, if it had any. Minibatches differ from trial to trial.
    pub minibatch: Option<f64>,
    /// On how many minibatches.
    pub minibatches: usize,
    /// What the adaptive search believes of its score over all rows there might be, if that search ran.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub believed: Option<Belief>,
    /// Tokens of its instructions and demos over all predictors, estimated at 4 characters each: what every run of the program
    /// pays for it.
    pub prompt_tokens: usize,
}

impl Ranked {
    /// What it is ranked by: the score that the adaptive search expects of it, else its full score; `None` where it has neither.
    pub fn score(&self) -> Option<f64> {
        self.believed.map(|belief| belief.mean).or(self.full)
    }
}

impl Report {
    /// The combinations with a [score](Ranked::score) than which none is both at least as good and shorter: from the best to the
    /// shortest.
    pub fn pareto(&self) -> Vec<&Ranked> {
        let mut front: Vec<&Ranked> = Vec::new();
        let mut scored: Vec<&Ranked> =
            self.ranking.iter().filter(|ranked| ranked.score().is_some()).collect();
        let by_score = |a: &&Ranked, b: &&Ranked| {
            let score = |ranked: &Ranked| ranked.score().unwrap_or(0.0);
            score(b).total_cmp(&score(a)).then(a.prompt_tokens.cmp(&b.prompt_tokens))
        };
        scored.sort_by(by_score);
        for ranked in scored {
            if front.last().is_none_or(|last| ranked.prompt_tokens < last.prompt_tokens) {
                front.push(ranked);
            }
        }
        front
    }
}

/// Every combination of these trials. What the adaptive search returned stands first, for it may have kept the program as it was
/// though another one is expected to be a little better.
pub(super) fn rank(space: &SearchSpace, found: &Found) -> Vec<Ranked> {
    let trials = &found.trials;
    let mut by_choices: BTreeMap<&Choices, Vec<&TrialRecord>> = BTreeMap::new();
    for trial in trials {
        by_choices.entry(&trial.choices).or_default().push(trial);
    }
    let first = |choices: &Choices| trials.iter().position(|trial| trial.choices == *choices);
    let ranked = by_choices.into_iter().map(|(choices, trials)| {
        let on_minibatches = trials.iter().filter(|trial| trial.kind == TrialKind::Minibatch);
        let scores: Vec<f64> = on_minibatches.filter_map(|trial| trial.score).collect();
        Ranked {
            full: trials
                .iter()
                .rev()
                .find(|trial| trial.kind != TrialKind::Minibatch)
                .and_then(|trial| trial.score),
            minibatch: (!scores.is_empty()).then(|| scores.iter().sum::<f64>() / scores.len() as f64),
            minibatches: scores.len(),
            believed: found.beliefs.get(choices).copied(),
            prompt_tokens: space.prompt_tokens(choices),
            choices: choices.clone(),
        }
    });
    let mut ranked: Vec<Ranked> = ranked.collect();
    let returned = |ranked: &Ranked| ranked.believed.is_some() && ranked.choices == found.choices;
    ranked.sort_by(|a, b| {
        let score = |ranked: &Ranked| ranked.score().unwrap_or(-1.0);
        let on_minibatches = |ranked: &Ranked| ranked.minibatch.unwrap_or(-1.0);
        // Equals with a score in the order in which they were tried, as the winner is chosen.
        let tried = first(&a.choices).cmp(&first(&b.choices));
        let unknown = if a.score().is_some() {
            tried
        } else {
            on_minibatches(b).total_cmp(&on_minibatches(a)).then(tried)
        };
        let known = b.score().is_some().cmp(&a.score().is_some());
        returned(b).cmp(&returned(a)).then(known).then(score(b).total_cmp(&score(a))).then(unknown)
    });
    ranked
}

/// A program run under several candidates at once; the answer that most of them give is its answer.
///
/// Answers are compared as a whole, or by the field of [`Ensemble::on`]. Among answers with as many votes, that of the better
/// candidate wins. A member that fails has no vote.
///
/// # Cost
/// As many program runs as members.
#[derive(Clone)]
pub struct Ensemble<'a> {
    program: &'a dyn Program,
    members: Vec<Candidate>,
    field: Option<String>,
}

impl<'a> Ensemble<'a> {
    /// `program` under each of `members`, the best first; without members as it is.
    pub fn new(program: &'a dyn Program, members: Vec<Candidate>) -> Self {
        let members = if members.is_empty() { vec![Candidate::default()] } else { members };
        Self { program, members, field: None }
    }

    /// The same, voting on one output field.
    #[must_use]
    pub fn on(mut self, field: impl Into<String>) -> Self {
        self.field = Some(field.into());
        self
    }

    /// The candidates.
    pub fn members(&self) -> &[Candidate] {
        &self.members
    }

    async fn vote(&self, cx: &Ctx, inputs: Fields) -> Result<Prediction, Error> {
        let runs = self.members.iter().map(|candidate| {
            let inputs = inputs.clone();
            async move {
                let bindings = Bindings::bind(self.program, candidate).map_err(Error::user)?;
                let cx = cx.clone().with_bindings(Arc::new(bindings));
                self.program.forward(&cx, inputs).await
            }
        });
        let mut failed = None;
        let mut answers: Vec<(String, Prediction, usize)> = Vec::new();
        for answer in join_all(runs).await {
            let prediction = match answer {
                Ok(prediction) => prediction,
                Err(error) => {
                    failed.get_or_insert(error);
                    continue;
                }
            };
            let ballot = match &self.field {
                Some(field) => prediction.outputs.text(field),
                None => serde_json::to_string(&prediction.outputs).map_err(Error::user)?,
            };
            match answers.iter_mut().find(|(other, ..)| *other == ballot) {
                Some((.., votes)) => *votes += 1,
                None => answers.push((ballot, prediction, 1)),
            }
        }
        let most = answers.iter().map(|(.., votes)| *votes).max();
        match (answers.into_iter().find(|(.., votes)| Some(*votes) == most), failed) {
            (Some((_, prediction, _)), _) => Ok(prediction),
            (None, Some(error)) => Err(error),
            (None, None) => Err(Error::user("the ensemble has no members")),
        }
    }
}

impl Program for Ensemble<'_> {
    fn predictors(&self) -> Vec<NamedPredictor<'_>> {
        self.program.predictors()
    }

    fn forward<'b>(&'b self, cx: &'b Ctx, inputs: Fields) -> BoxFuture<'b, Result<Prediction, Error>> {
        self.vote(cx, inputs).boxed()
    }

    fn source(&self) -> Option<&str> {
        self.program.source()
    }
}
