//! The adaptive search: program runs go, a few at a time, where they can change the answer.
//!
//! What MIPROv2 searches is a product of few choices, and each evaluation of a combination is one program run on *one* row,
//! always with the same outcome. So the unit of budget is a program run, and what is to be decided is which combination to
//! run on how many rows. The reference answers with whole minibatches of fresh rows and whole full evaluations, forgets
//! which rows it saw and trusts the luckiest score.
//!
//! ```text
//!   Space + AdaptiveConfig + seed ─▶ AdaptivePlanner ── plan ──▶ 16 to 200 runs (combination, row), all at once
//!                                        ▲                                │
//!                                        └───────────── tell ◀────────────┘ scores in the plan's order
//!                                    decision: winner, p_better, beliefs, why it ended
//! ```
//!
//! The planner is synchronous and pure: what it plans is a function of the space, the settings, the seed and what it has been
//! told. So a run can be replayed, resumed by telling the same results again, and its result does not depend on timing or on
//! how many runs are in flight.
//!
//! # How it works
//!
//! 1. **One order of rows for all**, shuffled, every prefix with its share of each stratum (gold label). Two combinations have
//!    thus always seen the same rows, as far as the shorter has come, and a combination that is good on one label gains nothing
//!    by which rows it was lucky to get. On a recorded landscape this was worth more than everything else here.
//! 2. **A start**: the default on up to 100 rows (at most an eighth of the budget), for everything is compared with it; and as
//!    many combinations as the largest choice has options, each option equally often, on 4 rows each.
//! 3. **A model** ([`teleprompt_tpe::bayes`]): the score of a combination on a row is the combination's value, what the row adds and
//!    noise. Values share what their choices share: instruction, demo set, the two together within one predictor; and have
//!    a small part of their own. What a row adds is shared too: with the same demo sets a model answers a row much alike, whatever
//!    the instruction. So six instructions with one demo set on the same five rows are not thirty independent scores of that demo set,
//!    but little more than five, and a good way to compare the six. How much all combinations, those with the same demo sets, and
//!    each alone have of the variance is estimated from the scores, and how far values are apart follows from it: combinations that give
//!    the same answers have the same value. The model is fitted anew, exactly, for every plan.
//! 4. **The knowledge gradient** says where a run pays: by how much the best expected value is expected to rise if a combination
//!    were run on its next 5, 15, 40 or 100 rows, for each run, given which other combinations have seen these rows. The best gets
//!    a chunk of rows; the next chunk is chosen as if those had been seen, and so on, so that a plan can run at once.
//! 5. **The end**: the budget is spent, or no look ahead is worth [`worthwhile`](AdaptiveConfig::worthwhile). Before that leader
//!    and default are run on further rows until it is clear whether the leader is better, for the knowledge gradient only asks
//!    which is best, and not how safe the change is. The last runs of the budget are kept for it: what the two need, at most a
//!    [share](Ingredients::reserve). Where the default was the best of 162 combinations, that took the searches that did harm from
//!    17 % to 2 %.
//! 6. **The choice**: the best expected value, which is shrunk towards what similar combinations showed, so that the luckiest of
//!    many does not win for its luck. The default is kept unless the leader is better with probability
//!    [`guard`](AdaptiveConfig::guard). That probability is averaged over models in which combinations differ much or hardly at
//!    all, weighed by how well each explains what was seen: a model that takes differences for granted finds them in noise.
//!
//! What was measured and left out, since it did not pay: top-two sampling, a demo set "none" that is set apart from the others; Laplace's
//! fit of right-or-wrong scores ([`BayesLogistic`](teleprompt_tpe::bayes::BayesLogistic): no better, at eight times the work or more); a
//! share of each predictor's own in what rows add; halving by the model's expected values in place of the knowledge gradient (public
//! landscapes at the reference's cost: 0.8 of its regret, where the knowledge gradient had 0.5); fewer first rows for the default (with 20,
//! two to three times the harm). See `docs/BENCHMARKS.md`.
//!
//! # Limits
//! Scores have as much noise near 0 and 1 as in the middle of the scale; where few answers earn any score, the search is surer of the
//! worse combinations than it should be. With one predictor and a few dozen combinations, halving all of them on the same common rows
//! finds nearly as good a winner; it has no guard worth the name, and falls behind with more predictors.
//!
//! # Cost
//! `budget` program runs at most, often fewer. A plan takes milliseconds.

mod config;
pub(crate) mod drive;
mod look;
mod model;
mod planner;
mod pool;
mod rows;
mod shares;
mod space;

pub(crate) use self::config::GUARD;
pub use self::config::{AdaptiveConfig, Ingredients};
pub use self::planner::{AdaptivePlanner, Belief, Decision, PlannedRun, SearchEnd};
pub use self::rows::common_order;
pub use self::space::{AdaptiveError, Space};
