//! What the program is for, and what each predictor does in it: one call for the program, then one for each predictor, all
//! of these at once. A description that the user has switched off or replaced is not asked for.

use futures::future::join_all;
use teleprompt_core::{LmError, NamedPredictor};

use crate::call::Caller;
use crate::config::Settings;
use crate::dataset_summary::written;
use crate::grounding::Grounding;
use crate::prompts;
use crate::render;
use crate::request::ProposalRequest;

/// What was said of a program.
#[derive(Debug, Default)]
pub(crate) struct Descriptions {
    pub(crate) program: Option<String>,
    /// By predictor, in the order given.
    pub(crate) modules: Vec<Option<String>>,
    pub(crate) warnings: Vec<String>,
}

impl Descriptions {
    /// Nothing was said of this many predictors.
    pub(crate) fn none(predictors: usize) -> Self {
        Self { modules: vec![None; predictors], ..Self::default() }
    }
}

/// The number of calls for this many predictors.
pub(crate) fn calls(settings: &Settings, predictors: usize) -> usize {
    let program = usize::from(settings.asks_for(&Grounding::ProgramDescription));
    let modules = if settings.asks_for(&Grounding::ModuleDescription) { predictors } else { 0 };
    program + modules
}

/// Describes the program and these predictors of it. `Err` only where no call can succeed; a description that failed is a
/// warning and stays out of the prompts that build on it.
pub(crate) async fn describe(
    caller: &Caller<'_>,
    settings: &Settings,
    request: &ProposalRequest<'_>,
    predictors: &[NamedPredictor<'_>],
) -> Result<Descriptions, LmError> {
    let mut descriptions = Descriptions::none(predictors.len());
    if calls(settings, predictors.len()) == 0 {
        return Ok(descriptions);
    }
    let (tokens, temperature) = (settings.description_tokens, request.temperature);
    let program = render::program(request.program, settings.source_tokens);
    if settings.asks_for(&Grounding::ProgramDescription) {
        match written(caller, prompts::describe_program(program.clone()), tokens, temperature).await {
            Ok(text) => descriptions.program = Some(text),
            Err(failure) => {
                let message = failure.message()?;
                descriptions.warnings.push(format!("the program could not be described: {message}"));
            }
        }
    }
    if !settings.asks_for(&Grounding::ModuleDescription) {
        return Ok(descriptions);
    }
    let known = descriptions.program.as_deref();
    let calls = predictors.iter().map(|named| {
        let module = render::signature(named.name.as_str(), named.predictor.spec());
        written(caller, prompts::describe_module(program.clone(), known, module), tokens, temperature)
    });
    let mut modules = Vec::new();
    for (named, answer) in predictors.iter().zip(join_all(calls).await) {
        modules.push(match answer {
            Ok(text) => Some(text),
            Err(failure) => {
                let message = failure.message()?;
                let warning = format!("predictor `{}` could not be described: {message}", named.name);
                descriptions.warnings.push(warning);
                None
            }
        });
    }
    descriptions.modules = modules;
    Ok(descriptions)
}
