//! Runs every contender on one landscape after another and judges what each returned.

use std::thread;

use teleprompt_miprov2::adaptive::{AdaptiveConfig, AdaptivePlanner, Space};

use super::reference::{self, Ours, Theirs};
use super::terrain::{Ledger, Terrain};
use super::{halving, simulated};
use crate::bench::peers::Peer;
use crate::error::Error;

/// How many threads judge.
const THREADS: u64 = 2;
/// Added to a seed, so that the seeds of measurements are none of those that settings were tried with.
const MEASURED: u64 = 500_000;

/// Who searches, and how.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Contender {
    /// The reference's schedule with the sampler of a peer, by its place among the peers.
    Peer(usize),
    /// The reference's schedule with our TPE.
    Tpe,
    /// The reference's schedule with chance.
    Random,
    /// Guarded halving, with this share of the reference's cost.
    Halving(f64),
    /// Ours, with this share of the reference's cost, and perhaps changed.
    Adaptive(f64, Option<&'static str>),
}

/// What a search returned and spent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Verdict {
    /// 0 for the best combination, 1 for one drawn at random.
    pub(crate) regret: f64,
    /// By how much it is worse than the default; 0 where it is not.
    pub(crate) harm: f64,
    /// By how much it is better than the default on rows that the search did not see.
    pub(crate) gain: f64,
    /// Unique (combination, row) pairs.
    pub(crate) cost: f64,
}

/// The verdicts of one seed, by contender, with the seed's place.
type Placed = (usize, Vec<Verdict>);

/// Makes the landscape of a seed.
pub(crate) type Make<'a> = dyn Fn(u64) -> Box<dyn Terrain + 'a> + Sync + 'a;

/// The verdicts of every contender, by contender, then by seed.
///
/// The cost that others are given is that of the first contender on the same landscape.
pub(crate) fn judge(
    make: &Make<'_>,
    contenders: &[Contender],
    peers: &mut [Peer],
    seeds: u32,
) -> Result<Vec<Vec<Verdict>>, Error> {
    let seeds: Vec<u64> = (1..=u64::from(seeds)).map(|seed| MEASURED + seed).collect();
    // Peers answer one at a time; so they go before the threads.
    let mut theirs: Vec<Option<Vec<Verdict>>> = Vec::new();
    for contender in contenders {
        theirs.push(match contender {
            Contender::Peer(index) => {
                let peer = peers.get_mut(*index).ok_or_else(|| failed("no such peer"))?;
                let mut verdicts = Vec::new();
                for &seed in &seeds {
                    let terrain = make(seed);
                    let ledger = Ledger::new(terrain.as_ref());
                    let mut suggest = Theirs::new(peer, terrain.options(), seed)?;
                    let found = reference::search(&ledger, terrain.as_ref(), &mut suggest, seed)?;
                    verdicts.push(verdict(terrain.as_ref(), &found, &ledger));
                }
                Some(verdicts)
            }
            _ => None,
        });
    }
    let of_seed = |at: usize, seed: u64| -> Result<Vec<Verdict>, Error> {
        let terrain = make(seed);
        let mut verdicts: Vec<Verdict> = Vec::new();
        for (contender, known) in contenders.iter().zip(&theirs) {
            let cost = verdicts.first().map_or(0.0, |first| first.cost);
            verdicts.push(match known.as_ref().and_then(|known| known.get(at)) {
                Some(known) => *known,
                None => one(terrain.as_ref(), contender, cost, seed)?,
            });
        }
        Ok(verdicts)
    };
    let worked: Vec<Result<Vec<Placed>, Error>> = thread::scope(|scope| {
        let work = |thread: u64| {
            let (seeds, of_seed) = (&seeds, &of_seed);
            scope.spawn(move || {
                let mine = seeds.iter().enumerate().filter(|(at, _)| *at as u64 % THREADS == thread);
                mine.map(|(at, &seed)| Ok((at, of_seed(at, seed)?))).collect()
            })
        };
        let handles: Vec<_> = (0..THREADS).map(work).collect();
        let join = |handle: thread::ScopedJoinHandle<'_, _>| {
            handle.join().unwrap_or_else(|_| Err(failed("a thread broke off")))
        };
        handles.into_iter().map(join).collect()
    });
    let mut by_seed: Vec<Placed> = Vec::new();
    for part in worked {
        by_seed.extend(part?);
    }
    by_seed.sort_by_key(|(at, _)| *at);
    Ok((0..contenders.len()).map(|c| by_seed.iter().map(|(_, verdicts)| verdicts[c]).collect()).collect())
}

fn one(terrain: &dyn Terrain, contender: &Contender, cost: f64, seed: u64) -> Result<Verdict, Error> {
    let ledger = Ledger::new(terrain);
    let options = terrain.options();
    let share = |share: f64| ((cost * share) as usize).max(1);
    let found = match contender {
        Contender::Peer(_) => return Err(failed("a peer has no verdict")),
        Contender::Tpe => reference::search(&ledger, terrain, &mut Ours::tpe(options, seed)?, seed)?,
        Contender::Random => reference::search(&ledger, terrain, &mut Ours::random(options, seed)?, seed)?,
        Contender::Halving(part) => halving::search(&ledger, terrain, share(*part), seed),
        Contender::Adaptive(part, change) => adaptive(&ledger, terrain, share(*part), *change, seed)?,
    };
    Ok(verdict(terrain, &found, &ledger))
}

/// Runs our planner on a landscape.
fn adaptive(
    ledger: &Ledger<'_>,
    terrain: &dyn Terrain,
    budget: usize,
    change: Option<&str>,
    seed: u64,
) -> Result<Vec<usize>, Error> {
    let mut config = AdaptiveConfig::new(budget);
    if let Some(change) = change {
        super::ablation::apply(change, &mut config)?;
    }
    let space = Space {
        predictors: terrain.options().chunks(2).map(|pair| (pair[0], pair[1])).collect(),
        default: terrain.default(),
        strata: terrain.strata().to_vec(),
        only: terrain.only().to_vec(),
    };
    let mut planner = AdaptivePlanner::new(space, config, seed).map_err(failed)?;
    loop {
        let plan = planner.plan();
        if plan.is_empty() {
            break;
        }
        let scores: Vec<Option<f64>> = plan.iter().map(|run| ledger.run(&run.choices, run.row)).collect();
        planner.tell(&scores).map_err(failed)?;
    }
    planner.decision().map(|decision| decision.winner).ok_or_else(|| failed("the search has not ended"))
}

fn verdict(terrain: &dyn Terrain, found: &[usize], ledger: &Ledger<'_>) -> Verdict {
    let (truth, default) = (terrain.truth(found), terrain.default());
    Verdict {
        regret: (terrain.best() - truth) / (terrain.best() - terrain.chance()).max(simulated::TINY),
        harm: (terrain.truth(&default) - truth).max(0.0),
        gain: terrain.unseen(found) - terrain.unseen(&default),
        cost: ledger.spent() as f64,
    }
}

fn failed(problem: impl ToString) -> Error {
    Error::Measurement { subject: "search".into(), problem: problem.to_string() }
}
