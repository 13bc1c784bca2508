//! The reference's search: TPE over minibatch scores, with the best combination evaluated in full from time to time.
//!
//! ```text
//!   baseline, full ─▶ trial 1..T: ask ─▶ fresh minibatch ─▶ tell
//!                        └ after every 5, and after the last: the best mean of those without a full score ─▶ full ─▶ tell
//!   winner: the best full score; on a tie the earlier, so the baseline is the floor
//! ```
//!
//! Program runs asked for: `|val| + size * T + ceil(T / steps) * |val|`; with full evaluations only, `|val| * (T + 1)`.
//! Source: DSPy 3.4.1, `mipro_optimizer_v2.py`, `_optimize_prompt_parameters`; Optuna 5.0.0, `TPESampler`.
//!
//! # Differences from DSPy
//! The baseline counts as evaluated in full and is never promoted again; rows that a candidate has run are not run again; when
//! every combination seen has a full score there is nothing to promote; a failed trial is told as failed, not as 0.

use std::collections::BTreeMap;

use teleprompt_core::{EvaluateError, rng};
use teleprompt_tpe::{Direction, Distribution, Sampler, Study, TpeConfig, TpeSampler, Values};

use super::{Choices, Ended, Found, Scoreboard, SearchSpace, TrialKind, TrialRecord, baseline_error};
use crate::error::OptimizeError;
use crate::run::Run;

/// Runs the search; the result is at least the baseline.
///
/// `accept_baseline` sees the baseline's trial before any other is run.
pub(crate) async fn search(
    run: &Run<'_>,
    space: &SearchSpace,
    accept_baseline: impl FnOnce(&TrialRecord) -> Result<(), OptimizeError>,
) -> Result<Found, OptimizeError> {
    let mut search = Search::new(run, space)?;
    let baseline = space.default_choices();
    let all: Vec<usize> = (0..run.val.len()).collect();
    let score = search.board.trial(TrialKind::Baseline, &baseline, &all).await.map_err(baseline_error)?;
    search.board.trials().last().map_or(Ok(()), accept_baseline)?;
    search.add_full(&baseline, score)?;
    let ended = match search.trials(&all).await {
        Ok(()) => Ended::Complete,
        Err(Halt::Evaluation(error)) => Ended::by(&error),
        Err(Halt::Sampler(error)) => Ended::Failed { message: error.to_string() },
    };
    let best = search.full.iter().fold((&baseline, score.unwrap_or(0.0)), |best, (choices, score)| {
        if *score > best.1 { (choices, *score) } else { best }
    });
    Ok(Found { choices: best.0.clone(), ended, trials: search.board.into_trials() })
}

/// Full evaluations that the schedule asks for, the baseline's aside.
pub(crate) fn promotions(trials: usize, steps: usize) -> usize {
    trials.div_ceil(steps)
}

struct Search<'a> {
    run: &'a Run<'a>,
    space: &'a SearchSpace,
    board: Scoreboard<'a>,
    study: Study<Box<dyn Sampler>>,
    /// Minibatch scores of each combination, in the order in which they came.
    minibatch: Vec<(Choices, Vec<f64>)>,
    /// Full scores, in the order in which they came.
    full: Vec<(Choices, f64)>,
}

enum Halt {
    Evaluation(EvaluateError),
    Sampler(teleprompt_tpe::Error),
}

impl From<EvaluateError> for Halt {
    fn from(error: EvaluateError) -> Self {
        Self::Evaluation(error)
    }
}

impl From<teleprompt_tpe::Error> for Halt {
    fn from(error: teleprompt_tpe::Error) -> Self {
        Self::Sampler(error)
    }
}

impl<'a> Search<'a> {
    fn new(run: &'a Run<'a>, space: &'a SearchSpace) -> Result<Self, OptimizeError> {
        let mut builder = teleprompt_tpe::SearchSpace::builder();
        for (i, options) in space.predictors.iter().enumerate() {
            builder = builder.param(instruction_param(i), Distribution::indices(options.instructions.len()));
            if !options.demos.is_empty() {
                builder = builder.param(demos_param(i), Distribution::indices(options.demos.len()));
            }
        }
        let sampler: Box<dyn Sampler> = Box::new(TpeSampler::new(TpeConfig::optuna())?);
        let study = Study::new(builder.build()?, sampler, Direction::Maximize, run.config.seed);
        Ok(Self {
            run,
            space,
            board: Scoreboard::new(run, space),
            study,
            minibatch: Vec::new(),
            full: Vec::new(),
        })
    }

    /// All trials after the baseline.
    async fn trials(&mut self, all: &[usize]) -> Result<(), Halt> {
        let config = self.run.config;
        let trials = config.num_trials(self.run.names.len());
        let minibatch = config.minibatch(all.len());
        for number in 1..=trials {
            let trial = self.study.ask()?;
            let choices = self.choices(&trial.values);
            let (kind, rows) = match minibatch {
                None => (TrialKind::Full, all.to_vec()),
                Some(size) => (TrialKind::Minibatch, self.draw_rows(number, size, all.len())),
            };
            let score = self.board.trial(kind, &choices, &rows).await?;
            match score {
                Some(score) => self.study.tell(trial.number, score)?,
                None => self.study.tell_failed(trial.number)?,
            }
            match (kind, score) {
                (TrialKind::Minibatch, Some(score)) => self.remember(choices, score),
                (_, Some(score)) => self.full.push((choices, score)),
                (_, None) => {}
            }
            let due = number.is_multiple_of(config.search.minibatch_full_eval_steps) || number == trials;
            if minibatch.is_some() && due {
                self.promote(all).await?;
            }
        }
        Ok(())
    }

    /// Evaluates the combination with the best mean minibatch score among those without a full score.
    async fn promote(&mut self, all: &[usize]) -> Result<(), Halt> {
        let mean = |scores: &[f64]| scores.iter().sum::<f64>() / scores.len() as f64;
        let open =
            self.minibatch.iter().filter(|(choices, _)| self.full.iter().all(|(done, _)| done != choices));
        let best = open.fold(None::<(&Choices, f64)>, |best, (choices, scores)| match best {
            Some((_, score)) if score >= mean(scores) => best,
            _ => Some((choices, mean(scores))),
        });
        let Some(choices) = best.map(|(choices, _)| choices.clone()) else { return Ok(()) };
        let score = self.board.trial(TrialKind::Full, &choices, all).await?;
        self.add_full(&choices, score)?;
        Ok(())
    }

    /// Notes a full score and tells it to the study as a trial of its own.
    fn add_full(&mut self, choices: &Choices, score: Option<f64>) -> Result<(), teleprompt_tpe::Error> {
        let Some(score) = score else { return Ok(()) };
        self.full.push((choices.clone(), score));
        let values = self.values(choices)?;
        self.study.add_trial(&values, score)?;
        Ok(())
    }

    fn remember(&mut self, choices: Choices, score: f64) {
        match self.minibatch.iter_mut().find(|(known, _)| *known == choices) {
            Some((_, scores)) => scores.push(score),
            None => self.minibatch.push((choices, vec![score])),
        }
    }

    /// The rows of a trial's minibatch, in the order of the valset.
    fn draw_rows(&self, number: usize, size: usize, rows: usize) -> Vec<usize> {
        let mut drawn = rng::permutation(self.run.config.seed, "minibatch", &[number as u64], rows);
        drawn.truncate(size);
        drawn.sort_unstable();
        drawn
    }

    fn choices(&self, values: &Values) -> Choices {
        let mut choices = self.space.default_choices();
        for (i, choice) in choices.iter_mut().enumerate() {
            choice.instruction = values.choice(&instruction_param(i)).unwrap_or(0);
            choice.demos = choice.demos.map(|_| values.choice(&demos_param(i)).unwrap_or(0));
        }
        choices
    }

    fn values(&self, choices: &Choices) -> Result<Values, teleprompt_tpe::Error> {
        let mut by_name = BTreeMap::new();
        for (i, choice) in choices.iter().enumerate() {
            by_name.insert(instruction_param(i), choice.instruction);
            if let Some(demos) = choice.demos {
                by_name.insert(demos_param(i), demos);
            }
        }
        self.study.problem().space.values(
            by_name.iter().map(|(name, &index)| (name.as_str(), teleprompt_tpe::ParamValue::Choice(index))),
        )
    }
}

/// The reference's names of the parameters.
fn instruction_param(predictor: usize) -> String {
    format!("{predictor}_predictor_instruction")
}

fn demos_param(predictor: usize) -> String {
    format!("{predictor}_predictor_demos")
}
