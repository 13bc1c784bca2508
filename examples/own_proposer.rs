//! Two proposers of one's own, without a prompt LM: `cargo run --release --example own_proposer`.
//!
//! A help desk already knows what its teams do. `FixedProposer` tries instructions that someone has written down; `Handbook`, a
//! `Proposer` for this one domain, builds instructions from a table of duties, and in a later round adds a rule for the two
//! teams that were mixed up most. Either goes into `MiproV2::builder().proposer(..)`; here they are called by hand, so that
//! every step can be seen.

#![expect(clippy::print_stdout, reason = "a command-line program")]

use std::collections::BTreeMap;
use std::error::Error as StdError;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;
use futures::FutureExt;
use futures::future::BoxFuture;
use teleprompt::data::jsonl;
use teleprompt::prelude::*;
use teleprompt::propose::{
    CallRange, FailedCase, FixedProposer, InstructionOrigin, ProposalRequest, Proposals, ProposeError,
    ProposedInstruction, Proposer, RefineRequest, Refinement, ScoredInstruction, TipTable, Tried,
};
use teleprompt::{Evaluation, PredictorName, PredictorParams};
use teleprompt_examples::{ModelArgs, exit};

/// Name the team that answers the message.
#[derive(Signature)]
struct Route {
    /// What a customer wrote.
    #[input]
    message: String,
    #[output]
    team: Team,
}

#[derive(Label, Clone, Copy, Debug, PartialEq)]
enum Team {
    Billing,
    Delivery,
    Returns,
    Account,
    Product,
    Repair,
}

/// What each team does, from the shop's handbook.
const DUTIES: [(&str, &str); 6] = [
    ("billing", "charges, invoices, discounts and ways to pay"),
    ("delivery", "where a parcel is, and when and where it arrives"),
    ("returns", "sending something back, swaps and refunds for it"),
    ("account", "logging in, personal data, newsletters and points"),
    ("product", "what a thing can do, fits or costs before it is bought or while it works"),
    ("repair", "a thing that does not work, warranty and spare parts"),
];

/// Proposes what the handbook says. Asks no model.
#[derive(Debug)]
struct Handbook;

impl Proposer for Handbook {
    fn propose<'a>(
        &'a self,
        _cx: &'a Ctx,
        request: &'a ProposalRequest<'a>,
    ) -> BoxFuture<'a, Result<Proposals, ProposeError>> {
        async move {
            let mut proposals = Proposals::originals(request)?;
            let lines: Vec<String> = DUTIES.iter().map(|(team, does)| format!("{team}: {does}.")).collect();
            let whole =
                |order: &[String]| format!("Name the team that answers the message.\n{}", order.join("\n"));
            for pool in proposals.instructions.values_mut() {
                // The order of a list can matter to a small model.
                let turned = lines.iter().rev().cloned().collect::<Vec<_>>();
                let texts = [
                    whole(&lines),
                    whole(&turned),
                    format!("{}\nThe customer's wish decides.", whole(&lines)),
                ];
                let new = texts.map(|text| ProposedInstruction::new(text, InstructionOrigin::Given));
                pool.extend(new.into_iter().take(request.num_candidates.saturating_sub(1)));
            }
            Ok(proposals)
        }
        .boxed()
    }

    fn plan(&self, _request: &ProposalRequest<'_>) -> CallRange {
        CallRange::exactly(0)
    }

    /// One more rule for the two teams that the best instruction mixes up most.
    fn refine<'a>(
        &'a self,
        _cx: &'a Ctx,
        request: &'a RefineRequest<'a>,
    ) -> BoxFuture<'a, Result<Refinement, ProposeError>> {
        async move {
            let mut mixed: BTreeMap<(String, String), usize> = BTreeMap::new();
            for case in &request.failures {
                *mixed.entry((case.output.text("team"), case.expected.text("team"))).or_default() += 1;
            }
            let worst = mixed.into_iter().max_by_key(|(_, count)| *count).map(|(teams, _)| teams);
            let mut refinement = Refinement::default();
            if let (Some(best), Some((said, right))) = (request.best(), worst) {
                let does = DUTIES.iter().find(|(team, _)| *team == right).map_or("", |(_, does)| does);
                let text =
                    format!("{}\nIf it is about {does}, answer {right}, not {said}.", best.instruction);
                refinement.instructions.push(ProposedInstruction::new(text, InstructionOrigin::Given));
            }
            Ok(refinement)
        }
        .boxed()
    }
}

/// Try two proposers of one's own on a help desk's messages.
#[derive(Parser)]
struct Args {
    #[command(flatten)]
    model: ModelArgs,
    /// The folder with train.jsonl and validation.jsonl.
    #[arg(long, value_name = "FOLDER", default_value = "examples/data/helpdesk")]
    data: PathBuf,
    /// Validation rows that are used.
    #[arg(long, default_value_t = 60)]
    rows: usize,
}

#[tokio::main]
async fn main() -> ExitCode {
    exit(run(Args::parse()).await)
}

async fn run(args: Args) -> Result<(), Box<dyn StdError>> {
    let load = |split: &str| jsonl::load_as::<Route>(args.data.join(format!("{split}.jsonl")));
    let train: Vec<Example> = load("train")?.into_iter().map(Example::from).collect();
    let rows: Vec<Example> = load("validation")?.into_iter().take(args.rows).map(Example::from).collect();
    let program = Predict::<Route>::new();
    let cx = Ctx::new(args.model.open().await?).with_adapter(Arc::new(PlainAdapter));

    let list = FixedProposer::new().with(
        "self",
        [
            "Who should read this first? Answer with one team.",
            "Read the message to its end. What does the customer want? Name the team that can do it.",
        ],
    );
    println!("a list of one's own");
    try_out(&list, &program, &cx, &train, &rows).await?;
    println!("\nthe handbook");
    try_out(&Handbook, &program, &cx, &train, &rows).await
}

/// Proposes, scores on `rows`, refines once, and shows every instruction with its score.
async fn try_out(
    proposer: &dyn Proposer,
    program: &Predict<Route>,
    cx: &Ctx,
    train: &[Example],
    rows: &[Example],
) -> Result<(), Box<dyn StdError>> {
    let demo_sets = BTreeMap::new();
    let request = ProposalRequest::new(program, train, &demo_sets);
    println!("  {} prompt-LM calls at most", proposer.plan(&request).most);
    let mut pool = proposer.propose(cx, &request).await?.instructions.remove("self").unwrap_or_default();
    let mut evaluations = Vec::new();
    for proposed in &pool {
        evaluations.push(evaluate(program, cx, &proposed.instruction, rows).await?);
    }

    let score = |evaluation: &Evaluation| evaluation.score().unwrap_or_default();
    let history: Vec<ScoredInstruction> = (pool.iter().zip(&evaluations))
        .map(|(proposed, it)| ScoredInstruction::new(proposed.instruction.clone(), score(it), rows.len()))
        .collect();
    // Of equals the first, as `RefineRequest::best` has it.
    let best = (0..evaluations.len())
        .rev()
        .max_by(|&a, &b| score(&evaluations[a]).total_cmp(&score(&evaluations[b])));
    let name = PredictorName::from("self");
    let failed = best.into_iter().flat_map(|best| &evaluations[best].rows);
    let failures = failed.filter_map(|row| FailedCase::of(&rows[row.row], row, &name)).collect();
    let refined = proposer.refine(cx, &RefineRequest::new(program, "self", history, failures)).await?;
    for proposed in refined.instructions {
        evaluations.push(evaluate(program, cx, &proposed.instruction, rows).await?);
        pool.push(proposed);
    }

    for (proposed, evaluation) in pool.iter().zip(&evaluations) {
        let text = proposed.instruction.replace('\n', " / ");
        println!("  {:5.1} %  {text}", 100.0 * score(evaluation));
    }
    let tried = evaluations.iter().enumerate().map(|(index, evaluation)| Tried {
        predictor: "self",
        index,
        score: score(evaluation),
        rows: rows.len(),
    });
    println!("{}", TipTable::of([("self", &pool[..])], tried, []));
    Ok(())
}

async fn evaluate(
    program: &Predict<Route>,
    cx: &Ctx,
    instruction: &Arc<str>,
    rows: &[Example],
) -> Result<Evaluation, Box<dyn StdError>> {
    let mut candidate = Candidate::default();
    let params = PredictorParams { instruction: Some(instruction.clone()), ..PredictorParams::default() };
    candidate.set("self".into(), params);
    let cx = cx.clone().bound(program, &candidate)?;
    Ok(Evaluate::new(rows, &metric::exact_match("team")).run(program, &cx).await?)
}
