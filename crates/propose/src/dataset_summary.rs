//! The data summary: what the rows have in common, in two or three sentences.
//!
//! ```text
//!   rows ─ shuffled by seed ─▶ batch 1 ─▶ observation ┐
//!                              batch 2 ─▶ observation ├─▶ merge ─▶ summary
//!                              ...        (all at once)┘
//! ```
//!
//! Each call sees figures that were computed over all rows, so that the model need not guess them. The calls are those of
//! [`calls`]: one per batch, and one to merge them where there are two batches or more.

use std::fmt::Write as _;

use futures::future::join_all;
use teleprompt_core::lm::LmSettings;
use teleprompt_core::{Example, LmError, rng};

use crate::call::{Caller, Failure};
use crate::checks::check_grounding;
use crate::config::Settings;
use crate::proposer::ProposalRequest;
use crate::render::{CHARS_PER_TOKEN, cut, fields};
use crate::strip::strip;
use crate::{prompts, statistics};

/// Temperature of summaries and descriptions, where that of the proposals is not lower still. Every proposal builds on the
/// one sample that is drawn of them: they should say what is likely, and variety comes from the proposals. Not 0, at which
/// small models tend to loop.
pub(crate) const GROUNDING_TEMPERATURE: f64 = 0.3;

/// What came of a grounding.
#[derive(Debug, Default)]
pub(crate) struct Summary {
    pub(crate) text: Option<String>,
    pub(crate) warnings: Vec<String>,
}

/// The number of batches, and of calls to merge them.
pub(crate) fn calls(settings: &Settings, rows: usize) -> (usize, usize) {
    if !settings.data_aware {
        return (0, 0);
    }
    let batches = rows.div_ceil(settings.view_data_batch_size).min(settings.max_summary_batches);
    (batches, usize::from(batches > 1))
}

/// Summarizes the trainset. `Err` only where no call can succeed: a call that fails is a warning, and the figures stand in
/// for a summary that nobody wrote.
pub(crate) async fn summarize(
    caller: &Caller<'_>,
    settings: &Settings,
    request: &ProposalRequest<'_>,
) -> Result<Summary, LmError> {
    let (batches, _) = calls(settings, request.trainset.len());
    if batches == 0 {
        return Ok(Summary::default());
    }
    let figures = statistics::describe(request.trainset);
    // Shuffled: a file that is sorted by label would show each reader one label.
    let order = rng::permutation(request.seed, "summary", &[], request.trainset.len());
    let observe = order.chunks(settings.view_data_batch_size).take(batches).map(|batch| {
        let rows = batch.iter().filter_map(|&row| request.trainset.get(row));
        let prompt = prompts::observe_rows(&figures, rows_text(rows, settings.row_tokens));
        written(caller, prompt, settings.summary_tokens, request.temperature)
    });
    let mut observations = Vec::new();
    let mut failures = Vec::new();
    for answer in join_all(observe).await {
        match answer {
            Ok(text) => observations.push(text),
            Err(failure) => failures.push(failure.message()?),
        }
    }
    let mut summary = Summary::default();
    if let Some(first) = failures.first() {
        let warning =
            format!("the data summary: {} of {batches} calls gave nothing usable: {first}", failures.len());
        summary.warnings.push(warning);
    }
    summary.text = Some(match observations.as_slice() {
        [] => figures,
        [one] => one.clone(),
        several => {
            let listed = list(several);
            let prompt = prompts::merge_observations(&figures, listed.clone());
            match written(caller, prompt, settings.summary_tokens, request.temperature).await {
                Ok(text) => text,
                Err(failure) => {
                    // A model that could not merge what it wrote wrote nothing that is better than the figures.
                    let unusable = matches!(failure, Failure::Unusable(_));
                    let message = failure.message()?;
                    summary.warnings.push(format!("the observations of the data stay unmerged: {message}"));
                    if unusable {
                        figures.clone()
                    } else {
                        cut(&listed, settings.summary_tokens as usize * 2)
                    }
                }
            }
        }
    });
    Ok(summary)
}

/// One call for a summary or a description of at most `tokens` tokens; a copy of its prompt is a failure.
pub(crate) async fn written(
    caller: &Caller<'_>,
    prompt: prompts::Prompt,
    tokens: u32,
    temperature: f64,
) -> Result<String, Failure> {
    let settings = LmSettings {
        temperature: Some(temperature.min(GROUNDING_TEMPERATURE)),
        max_tokens: Some(tokens),
        ..LmSettings::default()
    };
    let own = prompt.own_words();
    let material: Vec<(String, String)> = (prompt.spec.inputs().iter())
        .map(|field| (field.prefix.clone(), prompt.inputs.text(&field.name)))
        .collect();
    let text = strip(&caller.ask(prompt, settings, 0).await?);
    let material: Vec<(&str, &str)> =
        material.iter().map(|(heading, piece)| (&**heading, &**piece)).collect();
    if let Some(problem) = check_grounding(&text, &own, &material) {
        return Err(Failure::Unusable(problem));
    }
    // A model that ignores its limit must not fill the prompts that build on this text.
    Ok(cut(&text, tokens as usize * 6 / CHARS_PER_TOKEN))
}

/// Rows, numbered, with the expected answers after the inputs.
fn rows_text<'a>(rows: impl Iterator<Item = &'a Example>, tokens: usize) -> String {
    let mut out = String::new();
    for (i, row) in rows.enumerate() {
        let newline = if i == 0 { "" } else { "\n" };
        let _ = write!(out, "{newline}Row {}\n{}", i + 1, fields(&row.clone().into_fields(), tokens));
    }
    out
}

fn list(texts: &[String]) -> String {
    let lines =
        texts.iter().enumerate().map(|(i, text)| format!("{}. {}", i + 1, crate::render::one_line(text)));
    lines.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use teleprompt_core::Fields;

    use super::*;

    #[test]
    fn the_calls_follow_the_rows() {
        let settings = Settings::default();
        let check =
            |rows: usize, expect: (usize, usize)| assert_eq!(calls(&settings, rows), expect, "{rows}");
        check(0, (0, 0));
        check(10, (1, 0));
        check(11, (2, 1));
        check(95, (10, 1));
        check(5000, (10, 1));
        assert_eq!(calls(&Settings { data_aware: false, ..settings }, 50), (0, 0));
    }

    #[test]
    fn rows_are_numbered_and_long_ones_marked() {
        let row = |text: &str| {
            Example::new(Fields::new().with("a", text).with("b", "x")).with_inputs(&["a"]).unwrap()
        };
        let rows = [row("short"), row(&"long ".repeat(30))];
        assert_eq!(
            rows_text(rows.iter(), 6),
            "Row 1\na: short\nb: x\nRow 2\na: long long long long lon [cut: 126 more characters]\nb: x"
        );
    }
}
