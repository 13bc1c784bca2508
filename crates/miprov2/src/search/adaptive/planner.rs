//! The planner: what to run next, from what has been told.

use rand::Rng;
use serde::{Deserialize, Serialize};
use teleprompt_core::rng;
use teleprompt_tpe::bayes::{BayesLinear, Evidence, Fit};

use super::config::AdaptiveConfig;
use super::look::{Ahead, Looks};
use super::model::Models;
use super::pool;
use super::rows::common_order;
use super::space::{AdaptiveError, Space};

/// One program run: a combination on a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedRun {
    /// The combination: see [`Space`].
    pub choices: Vec<usize>,
    /// The row, by its index.
    pub row: usize,
}

/// What is believed of a combination's score over all rows there might be.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Belief {
    /// The expected score.
    pub mean: f64,
    /// Its standard deviation.
    pub sd: f64,
}

/// Why a search has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SearchEnd {
    /// The budget is spent.
    Complete,
    /// No further run was worth its cost, or no row was left that could change the winner.
    NotWorthwhile,
}

/// What a search has come to.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Decision {
    /// The combination to return: the leader, or the default where the guard kept it.
    pub winner: Vec<usize>,
    /// The combination with the best expected score among those with runs.
    pub leader: Vec<usize>,
    /// The probability that the leader is better than the default; one half when they are the same.
    pub p_better: f64,
    /// What is believed of the leader.
    pub leader_score: Belief,
    /// What is believed of the default.
    pub default_score: Belief,
    /// What is believed of their difference.
    pub gain: Belief,
    /// Program runs planned and told.
    pub spent: usize,
    /// Why it ended there.
    pub end: SearchEnd,
}

/// Decides which program runs to make: see the [module](super).
#[derive(Clone, Debug)]
pub struct AdaptivePlanner {
    space: Space,
    config: AdaptiveConfig,
    seed: u64,
    /// The common order of rows.
    order: Vec<usize>,
    models: Models,
    /// The default is its first point.
    evidence: Evidence,
    /// How far each point of the evidence has come in the order.
    progress: Vec<usize>,
    /// The plan that has not been told: points of the evidence and rows.
    asked: Vec<(usize, usize)>,
    /// Plans made.
    plans: u64,
    spent: usize,
    end: Option<SearchEnd>,
}

impl AdaptivePlanner {
    /// A search that has not begun.
    ///
    /// # Errors
    /// [`AdaptiveError::Setting`], [`AdaptiveError::Space`].
    ///
    /// # Determinism
    /// Draws from the streams `adaptive*` of `seed`.
    pub fn new(space: Space, config: AdaptiveConfig, seed: u64) -> Result<Self, AdaptiveError> {
        space.check(&config)?;
        let n_rows = space.strata.len();
        let order = if config.ingredients.stratify {
            common_order(&space.strata, seed)
        } else {
            common_order(&vec![0; n_rows], seed)
        };
        let mut evidence = Evidence::new(n_rows);
        evidence.point(&space.default);
        Ok(Self {
            models: Models::new(&space, &config.ingredients)?,
            space,
            config,
            seed,
            order,
            evidence,
            progress: vec![0],
            asked: Vec::new(),
            plans: 0,
            spent: 0,
            end: None,
        })
    }

    /// The next runs, all to be made before the next plan, at once if one likes; empty when the search has ended. Until its
    /// results are told, a plan is given again. No run is ever planned twice.
    ///
    /// Time: some 6 milliseconds for three predictors with 18 instructions and 18 demo sets each; some 16 for a plan that only
    /// compares leader and default, which fits the model at every scale.
    pub fn plan(&mut self) -> Vec<PlannedRun> {
        if self.asked.is_empty() && self.end.is_none() {
            if self.plans == 0 {
                self.start();
            } else {
                self.look();
            }
            self.plans += 1;
            if self.asked.is_empty() {
                self.end.get_or_insert(SearchEnd::Complete);
            }
        }
        let run = |&(point, row): &(usize, usize)| PlannedRun {
            choices: self.evidence.points()[point].clone(),
            row,
        };
        self.asked.iter().map(run).collect()
    }

    /// Takes the results of the last plan, one for each of its runs and in its order; `None` for a run without a score,
    /// which teaches nothing and is not asked for again.
    ///
    /// # Errors
    /// [`AdaptiveError::Results`], [`AdaptiveError::Score`]; nothing is taken then.
    pub fn tell(&mut self, results: &[Option<f64>]) -> Result<(), AdaptiveError> {
        let (planned, told) = (self.asked.len(), results.len());
        if planned != told {
            return Err(AdaptiveError::Results { planned, told });
        }
        for (index, result) in results.iter().enumerate() {
            if let Some(value) = *result
                && !(0.0..=1.0).contains(&value)
            {
                return Err(AdaptiveError::Score { index, value });
            }
        }
        for ((point, row), result) in self.asked.drain(..).zip(results) {
            if let Some(value) = *result {
                self.evidence.push(point, row, value)?;
            }
        }
        self.spent += planned;
        Ok(())
    }

    /// What the search has come to; `None` before it has ended. [`conclude`](Self::conclude) gives it at any time.
    pub fn decision(&self) -> Option<Decision> {
        self.end.map(|_| self.conclude())
    }

    /// The decision if the search ended now, with what has been told.
    pub fn conclude(&self) -> Decision {
        let points = self.evidence.points();
        let model = self.models.of(&self.evidence);
        let fit = model.fit(&self.evidence);
        let leader = self.leader(&fit);
        let posterior = fit.posterior(&[points[0].clone(), points[leader].clone()]);
        let belief = |of: usize| Belief { mean: posterior.mean()[of], sd: posterior.sd(of) };
        let p_better = self.models.probability_above(&model, &self.evidence, leader, 0);
        let winner = if p_better >= self.config.guard { leader } else { 0 };
        Decision {
            winner: points[winner].clone(),
            leader: points[leader].clone(),
            p_better,
            leader_score: belief(1),
            default_score: belief(0),
            gain: Belief {
                mean: posterior.mean()[1] - posterior.mean()[0],
                sd: posterior.sd_of_difference(1, 0),
            },
            spent: self.spent,
            end: self.end.unwrap_or(SearchEnd::Complete),
        }
    }

    /// What is believed of every combination with scores, in the order in which they were first planned.
    pub fn beliefs(&self) -> Vec<(Vec<usize>, Belief)> {
        let model = self.models.of(&self.evidence);
        let fit = model.fit(&self.evidence);
        let scored = self.evidence.points().iter().zip(self.scored()).filter(|(_, scored)| *scored);
        let belief = |(point, _): (&Vec<usize>, bool)| {
            let (mean, sd) = fit.at(point);
            (point.clone(), Belief { mean, sd })
        };
        scored.map(belief).collect()
    }

    /// Whether each combination has a score.
    fn scored(&self) -> Vec<bool> {
        let mut scored = vec![false; self.evidence.points().len()];
        for score in self.evidence.scores() {
            scored[score.point] = true;
        }
        scored
    }

    /// The combination with scores that has the best expected one, the first among equals; the default where there is none.
    fn leader(&self, fit: &Fit<'_>) -> usize {
        let scored = self.scored();
        let means: Vec<f64> = self.evidence.points().iter().map(|point| fit.mean_at(point)).collect();
        let better =
            |point: usize, best: usize| scored[point] && (!scored[best] || means[point] > means[best]);
        (0..means.len()).fold(0, |best, point| if better(point, best) { point } else { best })
    }

    /// The first plan: the default, then as many combinations as the largest dimension has options, each option equally
    /// often.
    fn start(&mut self) {
        let budget = self.config.budget;
        let (rows, of_default) = {
            let parts = &self.config.ingredients;
            (parts.start_rows, parts.start_default.min(budget.div_ceil(8)))
        };
        let mut left = budget;
        self.ask(0, of_default, &mut left);
        let mut left = left.min(budget / 2);
        for point in pool::spread(&self.space, self.seed) {
            if left == 0 {
                break;
            }
            let point = self.point(&point);
            if self.progress[point] == 0 {
                self.ask(point, rows, &mut left);
            }
        }
    }

    /// Chunks where looking pays most, each chosen as if those before it had been run.
    fn look(&mut self) {
        let mut left = self.config.budget.saturating_sub(self.spent);
        if left == 0 {
            return;
        }
        if self.is_perfect() {
            // Nothing can be better; the rest of the default's rows tells whether that is so.
            self.ask(0, self.order.len(), &mut left);
        } else {
            let model = self.models.of(&self.evidence);
            let fit = model.fit(&self.evidence);
            let leader = self.leader(&fit);
            let reserve = self.reserve(leader);
            let plan = self.config.chunks.saturating_mul(self.config.chunk_rows);
            let is_open = left.saturating_sub(reserve) < plan && self.is_open(&model, leader);
            let free = if is_open { left.saturating_sub(reserve) } else { left };
            let chunks = self.chunks(&model, &fit, leader, free);
            for (point, rows) in &chunks {
                let point = self.point(point);
                self.ask(point, *rows, &mut left);
            }
            if chunks.is_empty() && (is_open || self.is_open(&model, leader)) {
                self.confirm(leader, left);
            }
        }
        // Rows may be left of combinations that nobody expects anything of.
        if self.asked.is_empty() {
            self.end = Some(SearchEnd::NotWorthwhile);
        }
    }

    /// Whether the default has scores, and the highest that there is on every row so far.
    fn is_perfect(&self) -> bool {
        let mut own = self.evidence.scores().iter().filter(|score| score.point == 0).peekable();
        own.peek().is_some() && own.all(|score| score.value >= 1.0)
    }

    /// The program runs that are left for the comparison of leader and default: what their rows take, but no more than a share of the budget.
    fn reserve(&self, leader: usize) -> usize {
        let most = self.config.ingredients.reserve * self.config.budget as f64;
        (2 * self.order.len() - self.progress[leader] - self.progress[0]).min(most as usize)
    }

    /// Whether it is not clear that the leader is better than the default.
    fn is_open(&self, model: &BayesLinear, leader: usize) -> bool {
        let sure = self.config.ingredients.sure;
        leader != 0 && self.models.probability_above(model, &self.evidence, leader, 0) < sure
    }

    /// More rows for leader and default, the one that has come less far first.
    fn confirm(&mut self, leader: usize, mut left: usize) {
        for _ in 0..self.config.chunks {
            let point = if self.progress[leader] < self.progress[0] { leader } else { 0 };
            self.ask(point, self.config.chunk_rows, &mut left);
        }
    }

    /// Combinations with the numbers of their next rows, `left` in all at most.
    fn chunks(
        &self,
        model: &BayesLinear,
        fit: &Fit<'_>,
        leader: usize,
        mut left: usize,
    ) -> Vec<(Vec<usize>, usize)> {
        if left == 0 {
            return Vec::new();
        }
        let (horizon, evidence) = (&self.config.ingredients.horizon, &self.evidence);
        let pool = pool::pool(&self.space, evidence.points(), leader, fit, &mut self.random());
        let mut posterior = fit.posterior(&pool);
        let come = |point: &Vec<usize>| evidence.find(point).map_or(0, |index| self.progress[index]);
        let mut progress: Vec<usize> = pool.iter().map(come).collect();
        let mut chosen = Vec::with_capacity(self.config.chunks);
        let mut looks = Looks::new(horizon, self.config.chunk_rows, self.config.worthwhile);
        for _ in 0..self.config.chunks {
            let ahead = Ahead::new(model, &pool, &progress, self.order.len());
            let Some(best) = looks.next(&posterior, &ahead, left) else { break };
            posterior.anticipate(&best.says);
            chosen.push((pool[best.point].clone(), best.rows));
            progress[best.point] += best.rows;
            left -= best.rows;
        }
        chosen
    }

    /// The random stream of this plan.
    fn random(&self) -> impl Rng + use<> {
        rng::stream(self.seed, "adaptive", &[self.plans])
    }

    /// The place of a combination in the evidence, added if it is new.
    fn point(&mut self, choices: &[usize]) -> usize {
        let point = self.evidence.point(choices);
        self.progress.resize(self.evidence.points().len(), 0);
        point
    }

    /// Asks for the next `rows` rows of a point, as far as there are any and runs are left.
    fn ask(&mut self, point: usize, rows: usize, left: &mut usize) {
        let from = self.progress[point];
        let to = (from + rows.min(*left)).min(self.order.len());
        self.asked.extend(self.order[from..to].iter().map(|&row| (point, row)));
        self.progress[point] = to;
        *left -= to - from;
    }
}
