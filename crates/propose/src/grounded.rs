//! The proposer that asks a language model, with everything it can know of the task.
//!
//! ```text
//!   trainset ─▶ data summary ──────────────────┐
//!   source ───▶ program ─▶ each predictor ─────┤
//!   demo sets, tips, current instruction ──────┴─▶ proposals, all at once ─▶ checks ─▶ pool
//!                                                        ▲                     │ rejected: again,
//!                                                        └─────────────────────┘ under another tip
//! ```
//!
//! A model that copied its prompt, or lost itself in it, is asked again with a short one: the step, its instruction, a tip.
//! Answers are looked at in the order of predictors and candidates once a whole round of calls is back, so that the pool
//! depends on the answers and not on when they came. Source: MIPRO, arXiv:2406.11695, section 3 (grounding), and the
//! proposer of DSPy 3.4.1.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures::FutureExt;
use futures::future::{BoxFuture, join, join_all};
use teleprompt_core::lm::LmSettings;
use teleprompt_core::{Ctx, Demo, DemoOrigin, Fields, LmError, PredictorName};

use crate::call::{Caller, Failure};
use crate::config::{GroundedProposerBuilder, Settings};
use crate::dataset_summary::Summary;
use crate::error::ProposeError;
use crate::leak::Data;
use crate::pool::{Attempt, Place, Pool};
use crate::program_description::Descriptions;
use crate::prompts::{Groundings, propose_instruction};
use crate::proposer::{CallRange, Prepared, ProposalRequest, Proposals, Proposer, Rejection};
use crate::strip::{drop_unfinished, strip};
use crate::{dataset_summary, program_description, render, statistics};

/// Demos shown for a proposal, at most; the reference's number.
const DEMOS_SHOWN: usize = 3;

/// Proposes instructions by asking the prompt LM, grounded in a summary of the data, a description of the program and of
/// the predictor, demos, a tip and the current instruction.
///
/// Proposals that are empty, placeholders, answers, duplicates, over-long, repetitive, in another script, echoes of the
/// prompt or quotations of the data are rejected and asked for again under another tip, with a shorter prompt where the
/// model seems to have been overwhelmed. Summaries and descriptions that are copies or go round in circles are not used.
/// Places that stay empty are filled
/// with edits of the current instruction that need no model (label list, output format, field descriptions), marked as such.
///
/// # Cost
/// With `P` predictors, `N` instructions each and `B = min(10, ceil(rows / 10))` batches of rows, in prompt-LM calls:
///
/// ```text
///   N = 1:  0                                             also if edits are reserved for all other places
///   else    B + (1 if B > 1)     data summary             if data_aware
///           + 1 + P              program, predictors      if program_aware
///           + P * (N - 1)        proposals                less P for each place reserved for edits
///           + retries            at most 2 * P * (N - 1)
/// ```
///
/// Without retries, three calls at most wait for one another: batch, merge, proposal (or program, predictor, proposal);
/// each round of retries adds one. How many run at once is for the [`teleprompt_core::Lm`] to limit.
///
/// # Determinism
/// A function of the request and of the model's answers, whatever their timing. Random streams: `summary` (order of rows),
/// `tip` and `rollout` (one for each predictor).
///
/// # Differences from DSPy
/// The program is described once for all candidates, the original costs nothing, rows are shuffled and cut to a budget,
/// batches do not wait for one another, tips are drawn without replacement, bad proposals are not kept, and a call that
/// fails does not end the run. `teleprompt`'s `docs/PARITY.md` has the whole list.
///
/// ```
/// use std::{collections::BTreeMap, sync::Arc};
/// use teleprompt_core::{Ctx, LmRequest, PlainAdapter, Predictor, SignatureSpec};
/// use teleprompt_propose::{GroundedProposer, InstructionOrigin, ProposalRequest, Proposer};
/// use teleprompt_testkit::ScriptedLm;
///
/// // A model that has one idea only.
/// let lm = ScriptedLm::new(|_: &LmRequest| "The mail of a shop is sorted.")
///     .when("Write an instruction", "Sure! Instruction: Name the one team that can help the sender.");
/// let cx = Ctx::new(Arc::new(lm)).with_adapter(Arc::new(PlainAdapter));
/// let program = Predictor::new(SignatureSpec::parse("message -> team: label[billing, delivery]").unwrap());
/// let demo_sets = BTreeMap::new();
/// let request = ProposalRequest::new(&program, &[], &demo_sets).with_num_candidates(3);
///
/// let proposer = GroundedProposer::default();
/// assert_eq!(proposer.plan(&request).nominal, 1 + 1 + 1 * (3 - 1));
/// let proposals = futures::executor::block_on(proposer.propose(&cx, &request)).unwrap();
///
/// let pool = &proposals.instructions["self"];
/// assert_eq!(pool[0].origin, InstructionOrigin::Original);
/// assert_eq!(&*pool[1].instruction, "Name the one team that can help the sender.");
/// // The model had no second idea in three tries: the place is filled without it.
/// assert_eq!(pool[2].origin, InstructionOrigin::Edited { edit: "label_list".into() });
/// assert_eq!(proposals.rejected.len(), 3);
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GroundedProposer {
    pub(crate) settings: Settings,
}

impl GroundedProposer {
    /// A builder with the default settings.
    pub fn builder() -> GroundedProposerBuilder {
        GroundedProposerBuilder::default()
    }
}

impl Proposer for GroundedProposer {
    fn propose<'a>(
        &'a self,
        cx: &'a Ctx,
        request: &'a ProposalRequest<'a>,
    ) -> BoxFuture<'a, Result<Proposals, ProposeError>> {
        propose(&self.settings, cx, request).boxed()
    }

    fn prepare<'a>(
        &'a self,
        cx: &'a Ctx,
        request: &'a ProposalRequest<'a>,
    ) -> BoxFuture<'a, Result<Prepared, ProposeError>> {
        async move {
            let caller = Caller::new(cx, request.on_call);
            prepare(&self.settings, &caller, request).await
        }
        .boxed()
    }

    fn settings_text(&self) -> String {
        format!("{self:?}")
    }

    fn plan(&self, request: &ProposalRequest<'_>) -> CallRange {
        let names: BTreeSet<&PredictorName> = request.predictors.iter().collect();
        let proposals = names.len() as u64 * self.settings.asked(request) as u64;
        if proposals == 0 {
            return CallRange::default();
        }
        let (batches, merge) = dataset_summary::calls(&self.settings, request.trainset.len());
        let least = batches + program_description::calls(&self.settings, names.len());
        let least = least as u64 + proposals;
        let nominal = least + merge as u64;
        CallRange { least, nominal, most: nominal + proposals * u64::from(self.settings.max_tries - 1) }
    }
}

async fn propose(
    settings: &Settings,
    cx: &Ctx,
    request: &ProposalRequest<'_>,
) -> Result<Proposals, ProposeError> {
    let mut proposals = Proposals::originals(request)?;
    let predictors = request.resolve()?;
    if predictors.is_empty() || request.num_candidates <= 1 {
        return Ok(proposals);
    }
    let caller = Caller::new(cx, request.on_call);
    let fatal = |source: LmError, partial: Proposals| ProposeError::Lm { source, partial: Box::new(partial) };

    let asked = settings.asked(request);
    let prepared = match request.prepared {
        Some(prepared) => prepared.clone(),
        None => prepare(settings, &caller, request).await?,
    };
    proposals.warnings.extend(prepared.warnings);
    proposals.summary = prepared.summary;
    proposals.program_description = prepared.program_description;

    let known = statistics::closed_labels(request.trainset);
    let data = Data::new(request, &known);
    let mut pools: Vec<Pool<'_>> = Vec::with_capacity(predictors.len());
    for (i, named) in predictors.into_iter().enumerate() {
        let description = prepared.module_descriptions.get(&named.name).cloned();
        pools.push(Pool::new(settings, request, i, named, description, &known));
    }

    let mut open: Vec<Place> = (0..pools.len())
        .flat_map(|predictor| (1..=asked).map(move |index| Place { predictor, index, short: false }))
        .collect();
    for attempt in 1..=settings.max_tries {
        if open.is_empty() {
            break;
        }
        let round = ask_round(settings, &caller, request, &proposals, &mut pools, &open, attempt).await;
        let (again, stopped) = take_round(&data, &mut pools, &mut proposals, round, attempt);
        open = again;
        if let Some(error) = stopped {
            finish(&mut proposals, pools);
            return Err(fatal(error, proposals));
        }
    }
    for pool in &mut pools {
        proposals.warnings.extend(pool.fill(request.num_candidates, asked));
    }
    finish(&mut proposals, pools);
    Ok(proposals)
}

/// What can be said before there are demos: of the data and, at the same time, of the program.
async fn prepare(
    settings: &Settings,
    caller: &Caller<'_>,
    request: &ProposalRequest<'_>,
) -> Result<Prepared, ProposeError> {
    let predictors = request.resolve()?;
    if predictors.is_empty() || request.num_candidates <= 1 || settings.asked(request) == 0 {
        return Ok(Prepared::default());
    }
    let summary = dataset_summary::summarize(caller, settings, request);
    let descriptions = program_description::describe(caller, settings, request, &predictors);
    let (summary, descriptions): (Summary, Descriptions) = match join(summary, descriptions).await {
        (Ok(summary), Ok(descriptions)) => (summary, descriptions),
        (Err(source), _) | (_, Err(source)) => {
            let partial = Box::new(Proposals::originals(request)?);
            return Err(ProposeError::Lm { source, partial });
        }
    };
    let names = predictors.into_iter().map(|named| named.name);
    let modules = names.zip(descriptions.modules).filter_map(|(name, text)| Some((name, text?)));
    Ok(Prepared {
        summary: summary.text,
        program_description: descriptions.program,
        module_descriptions: modules.collect(),
        warnings: summary.warnings.into_iter().chain(descriptions.warnings).collect(),
    })
}

/// Asks for every open place at once; gives the attempts with their answers in the order of the places.
async fn ask_round<'t>(
    settings: &Settings,
    caller: &Caller<'_>,
    request: &ProposalRequest<'_>,
    known: &Proposals,
    pools: &mut [Pool<'t>],
    open: &[Place],
    attempt: u32,
) -> Vec<(Attempt<'t>, Result<String, Failure>)> {
    let mut attempts = Vec::new();
    let mut calls = Vec::new();
    for &place in open {
        let Some(pool) = pools.get_mut(place.predictor) else { continue };
        let tip = pool.next_tip();
        let spec = pool.named.predictor.spec();
        let sets = request.demo_sets.get(&pool.named.name).filter(|_| settings.fewshot_aware);
        let shown = sets.map(|sets| demos_for(sets, place.index)).filter(|shown| !shown.is_empty());
        let groundings = Groundings {
            short: false,
            dataset_summary: known.summary.clone(),
            program_description: known.program_description.clone(),
            module: render::signature(pool.named.name.as_str(), spec),
            module_description: pool.module_description.clone(),
            examples: shown.map(|shown| render::demos(spec, shown, settings.demo_tokens)),
            current_instruction: pool.current.to_string(),
            tip: tip.map(|tip| tip.text.clone()).filter(|text| !text.is_empty()),
        };
        let groundings = if place.short { groundings.shortened() } else { groundings };
        let lm = LmSettings {
            temperature: Some(request.temperature),
            max_tokens: Some(pool.max_tokens()),
            ..LmSettings::default()
        };
        let rollout = pool.rollout(place.index, attempt);
        calls.push(caller.ask(propose_instruction(&groundings), lm, rollout));
        attempts.push(Attempt { place, tip, groundings });
    }
    attempts.into_iter().zip(join_all(calls).await).collect()
}

/// Takes the good proposals of a round, in order. Gives the places to ask for again, and the error that ends it all.
fn take_round(
    data: &Data<'_>,
    pools: &mut [Pool<'_>],
    proposals: &mut Proposals,
    round: Vec<(Attempt<'_>, Result<String, Failure>)>,
    attempt: u32,
) -> (Vec<Place>, Option<LmError>) {
    let mut stopped = None;
    let mut written = Vec::new();
    for (attempted, answer) in round {
        let Some(pool) = pools.get_mut(attempted.place.predictor) else { continue };
        match answer {
            Ok(text) => {
                let text = strip(&text);
                let text = drop_unfinished(&text, pool.max_tokens()).to_owned();
                written.push((attempted, text));
            }
            Err(failure) => match failure.message() {
                Ok(message) => pool.failures.push(message),
                Err(error) => stopped = stopped.or(Some(error)),
            },
        }
    }
    let currents = written.iter().map(|(attempted, text)| {
        let current = pools.get(attempted.place.predictor).map(|pool| &*pool.current).unwrap_or_default();
        (text.as_str(), current)
    });
    let quotes = data.quoted(currents);

    let mut again = Vec::new();
    for ((attempted, text), quoted) in written.into_iter().zip(quotes) {
        let Attempt { place, tip, groundings } = attempted;
        let Some(pool) = pools.get_mut(place.predictor) else { continue };
        let tip = tip.map(|tip| tip.key.clone());
        let offered = pool.offer(place.index, &text, tip.clone(), &groundings, quoted);
        if let Err(reason) = offered {
            again.push(Place { short: place.short || reason.calls_for_less(), ..place });
            let predictor = pool.named.name.clone();
            proposals.rejected.push(Rejection { predictor, index: place.index, attempt, tip, text, reason });
        }
    }
    (again, stopped)
}

/// Moves what the pools hold behind the originals, and puts the rejections in order.
fn finish(proposals: &mut Proposals, pools: Vec<Pool<'_>>) {
    let order: Vec<PredictorName> = pools.iter().map(|pool| pool.named.name.clone()).collect();
    for pool in pools {
        let instructions = proposals.instructions.entry(pool.named.name.clone()).or_default();
        instructions.extend(pool.into_accepted());
    }
    let place = |name: &PredictorName| order.iter().position(|known| known == name);
    proposals
        .rejected
        .sort_by_key(|rejection| (place(&rejection.predictor), rejection.index, rejection.attempt));
}

/// The demos shown for the candidate of this index: none at the empty set 0, else up to three, from the set of the same
/// index on and round again. Bootstrapped ones, for they show the predictor at work; labeled ones only where there are none.
fn demos_for(sets: &[Arc<[Demo]>], index: usize) -> Vec<&Fields> {
    if sets.is_empty() || index.is_multiple_of(sets.len()) {
        return Vec::new();
    }
    let start = index % sets.len();
    let of = |origin: DemoOrigin| {
        let mut shown: Vec<&Fields> = Vec::new();
        let demos = sets.iter().cycle().skip(start).take(sets.len()).flat_map(|set| set.iter());
        for demo in demos.filter(|demo| demo.origin == origin) {
            if shown.len() < DEMOS_SHOWN && !shown.contains(&&*demo.fields) {
                shown.push(&demo.fields);
            }
        }
        shown
    };
    let bootstrapped = of(DemoOrigin::Bootstrapped);
    if bootstrapped.is_empty() { of(DemoOrigin::Labeled) } else { bootstrapped }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn demos_start_at_the_set_of_the_same_index() {
        let demo = |origin: fn(Fields) -> Demo, i: i64| origin(Fields::new().with("a", i));
        let sets: Vec<Arc<[Demo]>> = vec![
            Arc::new([]),
            Arc::new([demo(Demo::labeled, 0)]),
            Arc::new([demo(Demo::bootstrapped, 1), demo(Demo::bootstrapped, 2)]),
            Arc::new([demo(Demo::bootstrapped, 2), demo(Demo::labeled, 9), demo(Demo::bootstrapped, 3)]),
        ];
        let shown = |sets: &[Arc<[Demo]>], index| -> Vec<String> {
            demos_for(sets, index).into_iter().map(|fields| fields.text("a")).collect()
        };
        assert!(shown(&sets, 0).is_empty() && shown(&sets, 4).is_empty() && shown(&[], 1).is_empty());
        assert_eq!(shown(&sets, 1), ["1", "2", "3"]);
        assert_eq!(shown(&sets, 3), ["2", "3", "1"]);
        assert_eq!(shown(&sets, 6), ["1", "2", "3"]);
        assert_eq!(shown(&sets[..2], 1), ["0"]);
    }
}
