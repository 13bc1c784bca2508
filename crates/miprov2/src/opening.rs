//! What is done before the search: the baseline's evaluation, and what is learned of the program and its data.
//!
//! ```text
//!   demos ─▶ proposals          at once with the baseline
//!   baseline ─▶ demos ─▶ proposals          under a cap on calls, tokens or money
//! ```
//!
//! Under such a cap one follows the other, so that how far the money goes does not depend on which call came first: what is not
//! complete when a cap is met is as if it had not begun.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join;
use teleprompt_core::evaluate::RowResult;
use teleprompt_core::lm::{LmError, LmErrorKind};
use teleprompt_core::{CallRole, Demo, EvaluateError, Event, PredictorName, Stage};
use teleprompt_propose::{Prepared, ProposalRequest, Proposals, ProposeError};

use crate::demo_sets::{self, DemoSets};
use crate::error::OptimizeError;
use crate::plan::Plan;
use crate::rows::Rows;
use crate::run::{Run, part};
use crate::search::adaptive::drive;

/// What was learned: demo sets, and instructions grounded in them.
pub(crate) type Learned = Result<(DemoSets, Proposals), OptimizeError>;
/// The baseline's results: on all validation rows, or on those that the strategy begins with.
pub(crate) type Baseline = Result<Vec<RowResult>, EvaluateError>;

/// Learns, and evaluates the baseline. When one ends in an error, the other begins no further call.
pub(crate) async fn run(run: &Run<'_>, rows: &Rows<'_>, plan: &Plan) -> (Learned, Baseline) {
    let learned = async {
        let learned = learn(run, plan).await;
        if let Err(error) = &learned {
            run.halt(&error.to_string());
        }
        learned
    };
    let baseline = async {
        let all: Vec<usize> = match &run.config.adaptive {
            None => (0..run.val.len()).collect(),
            Some(_) => drive::first_rows(run, plan.evaluation_runs),
        };
        run.begin(Stage::Search, plan.evaluation_runs as u64);
        let results = rows.run(part::SEARCH, &run.config.start, &all).await;
        match &results {
            Ok(_) => estimate(run, plan),
            Err(error) => _ = run.halt(&error.to_string()),
        }
        results
    };
    let purse = &run.shared.purse;
    if !purse.counts() {
        return join(learned, baseline).await;
    }
    let baseline = baseline.await;
    if let Some(cap) = purse.met(0..=part::SEARCH) {
        let reason = format!(
            "{cap} is reached before the program as it is was evaluated on {} validation rows",
            run.val.len()
        );
        run.leave_out(Stage::Search);
        run.cap(&reason);
        let refused = LmError::new(run.config.task_lm.model().clone(), LmErrorKind::Stopped, &*reason);
        return (Err(OptimizeError::Stopped { reason }), Err(EvaluateError::Fatal(refused)));
    }
    let mut learned = learned.await;
    if let Some(cap) = purse.met(0..=part::SEARCH) {
        let reason = format!("{cap} is reached before there were demos and instructions to try");
        run.leave_out(Stage::Bootstrap);
        run.leave_out(Stage::Propose);
        run.cap(&reason);
        learned = Err(OptimizeError::Stopped { reason });
    }
    (learned, baseline)
}

/// Says how long the run takes at the time that calls were measured to take; nothing where this process made none.
fn estimate(run: &Run<'_>, plan: &Plan) {
    let measured = run.shared.tally();
    if measured.calls > 0 && measured.mean_latency_ms > 0.0 {
        let latency = measured.mean_latency_ms / 1e3;
        let time = plan.time(Duration::from_secs_f64(latency), run.config.concurrency);
        let seconds = (time.least.as_secs_f64(), time.most.as_secs_f64());
        run.emit(&Event::Estimated { latency, seconds });
    }
}

/// Steps 1 and 2: demo sets, and instructions grounded in them.
async fn learn(run: &Run<'_>, plan: &Plan) -> Result<(DemoSets, Proposals), OptimizeError> {
    let demos = async {
        run.begin(Stage::Bootstrap, plan.bootstrap_runs.1 as u64);
        let mut demos = run.spans.stage(Stage::Bootstrap).around(demo_sets::make(run)).await;
        match &mut demos {
            Ok(demos) => {
                let warning = run.end(Stage::Bootstrap, &demos.sets);
                demos.warnings.extend(warning);
            }
            Err(error) => _ = run.halt(&error.to_string()),
        }
        demos
    };
    let no_demos = BTreeMap::new();
    let on_call = || run.step(Stage::Propose);
    let request = request(run, &no_demos).with_on_call(&on_call);
    let cx = run.cx(CallRole::Prompt, Stage::Propose, part::PROPOSE);
    run.begin(Stage::Propose, plan.proposal_calls.nominal);
    let prepared = run.spans.stage(Stage::Propose).around(run.config.proposer.prepare(&cx, &request));
    let (demos, prepared) = join(demos, prepared).await;
    let demos = demos?;
    let proposals = propose(run, &demos, prepared).await?;
    Ok((demos, proposals))
}

/// The instructions that there are without a proposer.
pub(crate) fn originals(run: &Run<'_>) -> Result<Proposals, OptimizeError> {
    Ok(Proposals::originals(&request(run, &BTreeMap::new()))?)
}

/// Step 2: instructions for every predictor.
async fn propose(
    run: &Run<'_>,
    demos: &DemoSets,
    prepared: Result<Prepared, ProposeError>,
) -> Result<Proposals, OptimizeError> {
    let on_call = || run.step(Stage::Propose);
    let cx = run.cx(CallRole::Prompt, Stage::Propose, part::PROPOSE);
    let request = request(run, &demos.sets).with_on_call(&on_call);
    let originals = Proposals::originals(&request)?;
    // Demos are paid for by now: a proposer that fails leaves the instructions that there are, the original at least.
    let proposed = match prepared {
        Ok(prepared) => {
            let request = request.clone().with_prepared(&prepared);
            run.spans.stage(Stage::Propose).around(run.config.proposer.propose(&cx, &request)).await
        }
        Err(error) => Err(error),
    };
    let complete = proposed.is_ok();
    let mut proposals = proposed.unwrap_or_else(|error| {
        let message = format!("no further instructions could be proposed: {error}");
        let mut proposals = error.into_partial().unwrap_or_default();
        proposals.warnings.push(message);
        proposals
    });
    for (name, original) in originals.instructions {
        let proposed = proposals.instructions.entry(name).or_default();
        if proposed.is_empty() {
            *proposed = original;
        }
    }
    for warning in &proposals.warnings {
        run.warn(warning.clone());
    }
    for (predictor, instructions) in &proposals.instructions {
        for (index, proposed) in instructions.iter().enumerate() {
            run.emit(&Event::Proposed {
                predictor: predictor.to_string(),
                index,
                instruction: proposed.instruction.clone(),
            });
        }
    }
    if complete {
        proposals.warnings.extend(run.end(Stage::Propose, &proposals.instructions));
    }
    Ok(proposals)
}

pub(crate) fn request<'a>(
    run: &'a Run<'_>,
    demo_sets: &'a BTreeMap<PredictorName, Vec<Arc<[Demo]>>>,
) -> ProposalRequest<'a> {
    ProposalRequest::new(run.program, &run.train, demo_sets)
        .with_predictors(run.names.clone())
        .with_num_candidates(run.config.num_instructions())
        .with_seed(run.config.seed)
        .with_temperature(run.config.init_temperature)
        .with_start(&run.config.start)
}
