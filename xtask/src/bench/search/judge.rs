//! Runs every contender on one landscape after another and judges what each returned.

use std::thread;

use teleprompt_miprov2::adaptive::{AdaptiveConfig, AdaptivePlanner, Space};

use super::reference::{self, Ours, Theirs};
use super::terrain::{Ledger, Terrain};
use super::track::Track;
use super::{halving, simulated};
use crate::bench::peers::Peer;
use crate::error::Error;

/// Added to a seed, so that the seeds of measurements are none of those that settings were tried with.
pub(crate) const MEASURED: u64 = 600_000;

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
    /// Plans, each made when all runs of the one before are told; 0 for strategies without plans.
    pub(crate) rounds: f64,
}

/// What all searches on a landscape came to: by contender, then by seed.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Judgement {
    pub(crate) verdicts: Vec<Vec<Verdict>>,
    /// How good the answer was while the search ran; empty tracks unless they were asked for.
    pub(crate) tracks: Vec<Vec<Track>>,
}

type One = (Verdict, Track);

/// What came of one seed, by contender, with the seed's place.
type Placed = (usize, Vec<One>);

/// Makes the landscape of a seed.
pub(crate) type Make<'a> = dyn Fn(u64) -> Box<dyn Terrain + 'a> + Sync + 'a;

/// Runs every contender on the landscapes of the seeds, and follows their answers if `track` says so.
///
/// The cost that others are given is that of the first contender on the same landscape.
///
/// # Errors
///
/// When a search fails. A peer whose search failed is missing from then on, so that the caller may go on without it.
pub(crate) fn judge(
    make: &Make<'_>,
    contenders: &[Contender],
    peers: &mut [Peer],
    seeds: u32,
    track: bool,
) -> Result<Judgement, Error> {
    let seeds: Vec<u64> = (1..=u64::from(seeds)).map(|seed| MEASURED + seed).collect();
    // Peers answer one at a time; so they go before the threads.
    let mut theirs: Vec<Option<Vec<One>>> = Vec::new();
    for contender in contenders {
        theirs.push(match contender {
            Contender::Peer(index) => {
                let peer = peers.get_mut(*index).ok_or_else(|| failed("no such peer"))?;
                let mut search = |seed: u64| -> Result<One, Error> {
                    let terrain = make(seed);
                    let ledger = ledger(terrain.as_ref(), track);
                    let mut suggest = Theirs::new(peer, terrain.options(), seed)?;
                    let found = reference::search(&ledger, terrain.as_ref(), &mut suggest, seed)?;
                    Ok((verdict(terrain.as_ref(), &found, &ledger), ledger.into_track()))
                };
                let searched: Result<Vec<One>, Error> = seeds.iter().map(|&seed| search(seed)).collect();
                // Whoever fails is not asked again.
                Some(searched.inspect_err(|error| peer.give_up(error))?)
            }
            _ => None,
        });
    }
    let of_seed = |at: usize, seed: u64| -> Result<Vec<One>, Error> {
        let terrain = make(seed);
        let mut verdicts: Vec<One> = Vec::new();
        for (contender, known) in contenders.iter().zip(&theirs) {
            let cost = verdicts.first().map_or(0.0, |(first, _)| first.cost);
            verdicts.push(match known.as_ref().and_then(|known| known.get(at)) {
                Some(known) => known.clone(),
                None => {
                    let ledger = ledger(terrain.as_ref(), track);
                    let found = one(&ledger, terrain.as_ref(), contender, cost, seed)?;
                    (verdict(terrain.as_ref(), &found, &ledger), ledger.into_track())
                }
            });
        }
        Ok(verdicts)
    };
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let worked: Vec<Result<Vec<Placed>, Error>> = thread::scope(|scope| {
        let work = |thread: usize| {
            let (seeds, of_seed) = (&seeds, &of_seed);
            scope.spawn(move || {
                let mine = seeds.iter().enumerate().filter(|(at, _)| *at % threads == thread);
                mine.map(|(at, &seed)| Ok((at, of_seed(at, seed)?))).collect()
            })
        };
        let handles: Vec<_> = (0..threads).map(work).collect();
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
    let mut judgement = Judgement {
        verdicts: vec![Vec::new(); contenders.len()],
        tracks: vec![Vec::new(); contenders.len()],
    };
    for (contender, (verdict, track)) in by_seed.into_iter().flat_map(|(_, of)| of.into_iter().enumerate()) {
        judgement.verdicts[contender].push(verdict);
        judgement.tracks[contender].push(track);
    }
    Ok(judgement)
}

/// The same without peers that fail: the places that they had among the contenders, one after another, and what came of the others.
pub(crate) fn judge_remaining(
    make: &Make<'_>,
    contenders: &mut Vec<Contender>,
    peers: &mut [Peer],
    seeds: u32,
    track: bool,
) -> Result<(Vec<usize>, Judgement), Error> {
    let mut gone = Vec::new();
    loop {
        let error = match judge(make, contenders, peers, seeds, track) {
            Ok(judgement) => return Ok((gone, judgement)),
            Err(error) => error,
        };
        let missing = |contender: &Contender| matches!(contender, Contender::Peer(index) if peers.get(*index).is_some_and(|peer| peer.missing().is_some()));
        let Some(place) = contenders.iter().position(missing) else { return Err(error) };
        eprintln!("search: goes on without a peer: {error}");
        contenders.remove(place);
        gone.push(place);
    }
}

fn ledger(terrain: &dyn Terrain, track: bool) -> Ledger<'_> {
    if track { Ledger::tracking(terrain) } else { Ledger::new(terrain) }
}

/// The combination that a contender returns.
fn one(
    ledger: &Ledger<'_>,
    terrain: &dyn Terrain,
    contender: &Contender,
    cost: f64,
    seed: u64,
) -> Result<Vec<usize>, Error> {
    let options = terrain.options();
    let share = |share: f64| ((cost * share) as usize).max(1);
    match contender {
        Contender::Peer(_) => Err(failed("a peer has no verdict")),
        Contender::Tpe => reference::search(ledger, terrain, &mut Ours::tpe(options, seed)?, seed),
        Contender::Random => reference::search(ledger, terrain, &mut Ours::random(options, seed)?, seed),
        Contender::Halving(part) => Ok(halving::search(ledger, terrain, share(*part), seed)),
        Contender::Adaptive(part, change) => adaptive(ledger, terrain, share(*part), *change, seed),
    }
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
        ledger.next_round();
        ledger.incumbent(|| planner.conclude().winner);
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
        rounds: ledger.rounds() as f64,
    }
}

fn failed(problem: impl ToString) -> Error {
    Error::Measurement { subject: "search".into(), problem: problem.to_string() }
}
