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

use std::collections::{BTreeMap, BTreeSet};

use futures::FutureExt;
use futures::future::{BoxFuture, join, join_all};
use teleprompt_core::lm::LmSettings;
use teleprompt_core::{Ctx, LmError, PredictorName};

use crate::call::{Caller, Failure};
use crate::config::{GroundedProposerBuilder, Settings};
use crate::dataset_summary::Summary;
use crate::error::ProposeError;
use crate::known::Known;
use crate::leak::Data;
use crate::pool::{Attempt, Open, Pool};
use crate::program_description::Descriptions;
use crate::prompts::propose_instruction;
use crate::proposals::{Prepared, Proposals};
use crate::proposer::{CallRange, Proposer};
use crate::refine::{RefineRequest, Refinement};
use crate::rejection::Rejection;
use crate::request::ProposalRequest;
use crate::strip::{drop_unfinished, strip};
use crate::{dataset_summary, program_description};

/// Proposes instructions by asking the prompt LM, grounded in a summary of the data, a description of the program and of
/// the predictor, demos, a tip and the current instruction.
///
/// Proposals that are empty, placeholders, answers, duplicates, over-long, repetitive, in another language, echoes of the
/// prompt, quotations of the data, or not about the task (no word of it is in them) are rejected and asked for again under
/// another tip, with a shorter prompt where the model seems to have been overwhelmed. Summaries and descriptions that are
/// copies or go round in circles are not used. Places that stay empty are filled with edits of the current instruction that
/// need no model (label list, output format, field descriptions), marked as such.
///
/// # Cost
/// With `P` predictors, `N` instructions each and `B = min(10, ceil(rows / 10))` batches of rows, in prompt-LM calls:
///
/// ```text
///   N = 1:  0                                             also if edits are reserved for all other places
///   else    B + (1 if B > 1)     data summary             if data_aware; 5 if the readers find nothing new after them
///           + 1 + P              program, predictors      if program_aware
///           + P * (N - 1)        proposals                less P for each place reserved for edits
///           + retries            at most 2 * P * (N - 1)
/// ```
///
/// Without retries, five calls at most wait for one another: three waves of batches (2, 3 and the rest), merge, proposal;
/// each round of retries adds one. With at most two batches it is three. How many run at once is for the
/// [`teleprompt_core::Lm`] to limit. A later round ([`Proposer::refine`]) costs one call for each new instruction, and retries.
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
#[derive(Clone, Debug, Default)]
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
        let summary = dataset_summary::calls(&self.settings, request.trainset.len());
        let others = program_description::calls(&self.settings, names.len()) as u64 + proposals;
        let nominal = summary.nominal + others;
        CallRange {
            least: summary.least + others,
            nominal,
            most: nominal + proposals * self.settings.retries(),
        }
    }

    /// Asks for every new instruction at once, shown the failures (some of them for each), the history and what
    /// [`RefineRequest::prepared`] holds; the rules of the pool are those of the first round.
    fn refine<'a>(
        &'a self,
        cx: &'a Ctx,
        request: &'a RefineRequest<'a>,
    ) -> BoxFuture<'a, Result<Refinement, ProposeError>> {
        refine(&self.settings, cx, request).boxed()
    }

    fn plan_refine(&self, request: &RefineRequest<'_>) -> CallRange {
        let proposals = request.num_candidates as u64;
        CallRange { most: proposals * (1 + self.settings.retries()), ..CallRange::exactly(proposals) }
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
    let prepared = match request.prepared {
        Some(prepared) => prepared.clone(),
        None => prepare(settings, &caller, request).await?,
    };
    proposals.warnings.extend(prepared.warnings.iter().cloned());
    proposals.summary.clone_from(&prepared.summary);
    proposals.program_description.clone_from(&prepared.program_description);
    proposals.module_descriptions.clone_from(&prepared.module_descriptions);

    let known = Known::of(request.trainset);
    let data = Data::new(request.program, &known.labels)
        .rows(request.trainset)
        .demos(request.demo_sets.values().flatten());
    let mut pools: Vec<Pool<'_>> = Vec::with_capacity(predictors.len());
    for (i, named) in predictors.into_iter().enumerate() {
        pools.push(Pool::new(settings, request, i, named, &known));
    }
    let asked = settings.asked(request);
    let round = Round {
        settings,
        caller: &caller,
        data: &data,
        prepared: &prepared,
        temperature: request.temperature,
    };
    let (rejected, stopped) = round.run(&mut pools, asked).await;
    proposals.rejected = rejected;
    if stopped.is_none() {
        for pool in &mut pools {
            proposals.warnings.extend(pool.fill(request.num_candidates - 1, asked));
        }
    }
    for pool in pools {
        let instructions = proposals.instructions.entry(pool.named.name.clone()).or_default();
        instructions.extend(pool.into_accepted());
    }
    match stopped {
        Some(source) => Err(ProposeError::Lm { source, partial: Box::new(proposals) }),
        None => Ok(proposals),
    }
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

async fn refine(
    settings: &Settings,
    cx: &Ctx,
    request: &RefineRequest<'_>,
) -> Result<Refinement, ProposeError> {
    let (predictor, named) = request.resolve()?;
    let caller = Caller::new(cx, request.on_call);
    let nothing = Prepared::default();
    let prepared = request.prepared.unwrap_or(&nothing);
    let known = Known::of(request.trainset);
    let data = Data::new(request.program, &known.labels)
        .rows(request.trainset)
        .demos([&*request.demos])
        .failures(&request.failures);
    let mut pool = Pool::later(settings, request, predictor, named, &known);
    let round = Round { settings, caller: &caller, data: &data, prepared, temperature: request.temperature };
    let (rejected, stopped) = round.run(std::slice::from_mut(&mut pool), request.num_candidates).await;
    let warnings = match stopped {
        None => pool.fill(request.num_candidates, request.num_candidates),
        Some(_) => Vec::new(),
    };
    let instructions = pool.into_accepted().collect();
    match stopped {
        None => Ok(Refinement { instructions, rejected, warnings }),
        Some(source) => {
            let instructions = BTreeMap::from([(request.predictor.clone(), instructions)]);
            let partial = Box::new(Proposals { instructions, rejected, ..Proposals::default() });
            Err(ProposeError::Lm { source, partial })
        }
    }
}

/// What all attempts of a proposal share.
struct Round<'a> {
    settings: &'a Settings,
    caller: &'a Caller<'a>,
    data: &'a Data<'a>,
    prepared: &'a Prepared,
    temperature: f64,
}

impl Round<'_> {
    /// Fills the first `asked` places of each pool, again and again where proposals are rejected. Gives what was rejected, in
    /// order, and the error that ended it.
    async fn run(&self, pools: &mut [Pool<'_>], asked: usize) -> (Vec<Rejection>, Option<LmError>) {
        let mut rejected = Vec::new();
        let mut open: Vec<Open> = (0..pools.len())
            .flat_map(|pool| (1..=asked).map(move |index| Open { pool, index, short: false }))
            .collect();
        let mut stopped = None;
        for attempt in 1..=self.settings.max_tries {
            if open.is_empty() || stopped.is_some() {
                break;
            }
            let answers = self.ask(pools, &open, attempt).await;
            (open, stopped) = self.take(pools, &mut rejected, answers, attempt);
        }
        rejected.sort_by_key(|(pool, rejection)| (*pool, rejection.index, rejection.attempt));
        (rejected.into_iter().map(|(_, rejection)| rejection).collect(), stopped)
    }

    /// Asks for every open place at once; gives the attempts with their answers in the order of the places.
    async fn ask<'t>(
        &self,
        pools: &mut [Pool<'t>],
        open: &[Open],
        attempt: u32,
    ) -> Vec<(Attempt<'t>, Result<String, Failure>)> {
        let pieces = self.settings.pieces();
        let mut attempts = Vec::new();
        let mut calls = Vec::new();
        for &place in open {
            let Some(pool) = pools.get_mut(place.pool) else { continue };
            let attempted = pool.attempt(place, &pieces, self.prepared);
            let lm = LmSettings {
                temperature: Some(self.temperature),
                max_tokens: Some(pool.max_tokens()),
                ..LmSettings::default()
            };
            let rollout = pool.rollout(place.index, attempt);
            calls.push(self.caller.ask(propose_instruction(&attempted.shown), lm, rollout));
            attempts.push(attempted);
        }
        attempts.into_iter().zip(join_all(calls).await).collect()
    }

    /// Takes the good proposals of a round, in order. Gives the places to ask for again, and the error that ends it all.
    fn take(
        &self,
        pools: &mut [Pool<'_>],
        rejected: &mut Vec<(usize, Rejection)>,
        answers: Vec<(Attempt<'_>, Result<String, Failure>)>,
        attempt: u32,
    ) -> (Vec<Open>, Option<LmError>) {
        let mut stopped = None;
        let mut written = Vec::new();
        for (attempted, answer) in answers {
            let Some(pool) = pools.get_mut(attempted.place.pool) else { continue };
            match answer {
                Ok(text) => {
                    let text = strip(&text);
                    let text = drop_unfinished(&text, pool.max_tokens()).to_owned();
                    written.push((attempted, text));
                }
                Err(failure) => match failure.message() {
                    Ok(message) => pool.failed_calls.push(message),
                    Err(error) => stopped = stopped.or(Some(error)),
                },
            }
        }
        let currents = written.iter().map(|(attempted, text)| {
            let current = pools.get(attempted.place.pool).map(|pool| &*pool.current).unwrap_or_default();
            (text.as_str(), current)
        });
        let quotes = self.data.quoted(currents);

        let mut again = Vec::new();
        for ((attempted, text), quoted) in written.into_iter().zip(quotes) {
            let Attempt { place, tip, shown } = attempted;
            let Some(pool) = pools.get_mut(place.pool) else { continue };
            let tip = tip.map(|tip| tip.key.clone());
            if let Err(reason) = pool.offer(place.index, &text, tip.clone(), &shown, quoted) {
                again.push(Open { short: place.short || reason.calls_for_less(), ..place });
                let predictor = pool.named.name.clone();
                let rejection = Rejection { predictor, index: place.index, attempt, tip, text, reason };
                rejected.push((place.pool, rejection));
            }
        }
        (again, stopped)
    }
}
