//! The data summary: what the rows have in common, in two or three sentences.
//!
//! ```text
//!   rows ─ shuffled by seed ─▶ wave 1: 2 batches at once ─▶ observations
//!                              wave 2: 3 batches at once ─▶ what those lack, or "nothing new"
//!                              wave 3: the rest at once     left out if all of wave 2 had nothing new
//!                                                    └─▶ merge ─▶ summary
//! ```
//!
//! Each call sees figures that were computed over all rows, so that the model need not guess them. Waves are a compromise:
//! readers one after the other could stop at any batch and would take ten calls' time; all at once could not stop at all.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use futures::future::join_all;
use teleprompt_core::lm::LmSettings;
use teleprompt_core::{Example, LmError, rng};

use crate::call::{Caller, Failure};
use crate::checks::{check_grounding, normal};
use crate::config::Settings;
use crate::grounding::Grounding;
use crate::prompts::{self, NOTHING_NEW};
use crate::proposer::CallRange;
use crate::render::{CHARS_PER_TOKEN, cut, fields, one_line, share, words};
use crate::request::ProposalRequest;
use crate::statistics::DataStatistics;
use crate::strip::strip;

/// Batches of the first wave, and of the second.
const WAVES: [usize; 2] = [2, 3];
/// Share of an observation's words that the observations before it may hold before it counts as nothing new: one that only
/// says again what is known, in other order.
const KNOWN_WORDS: f64 = 0.9;

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

/// The number of batches.
fn batches(settings: &Settings, rows: usize) -> usize {
    if !settings.asks_for(&Grounding::DatasetSummary) {
        return 0;
    }
    rows.div_ceil(settings.view_data_batch_size).min(settings.max_summary_batches)
}

/// The calls for a summary of this many rows.
pub(crate) fn calls(settings: &Settings, rows: usize) -> CallRange {
    let batches = batches(settings, rows);
    let nominal = batches + usize::from(batches > 1);
    // At the least, the third wave is left out, and nothing is left to merge.
    let least = batches.min(WAVES.iter().sum());
    CallRange { least: least as u64, most: nominal as u64, nominal: nominal as u64 }
}

/// Summarizes the trainset. `Err` only where no call can succeed: a call that fails is a warning, and the figures stand in
/// for a summary that nobody wrote.
pub(crate) async fn summarize(
    caller: &Caller<'_>,
    settings: &Settings,
    request: &ProposalRequest<'_>,
) -> Result<Summary, LmError> {
    let batches = batches(settings, request.trainset.len());
    if batches == 0 {
        return Ok(Summary::default());
    }
    let figures = DataStatistics::of(request.trainset).to_string();
    // Shuffled: a file that is sorted by label would show each reader one label.
    let order = rng::permutation(request.seed, "summary", &[], request.trainset.len());
    let mut waiting: &[&[usize]] =
        &order.chunks(settings.view_data_batch_size).take(batches).collect::<Vec<_>>();
    let mut observations: Vec<String> = Vec::new();
    let mut failures = Vec::new();
    for wave in WAVES.into_iter().chain([usize::MAX]) {
        let (now, later) = waiting.split_at(wave.min(waiting.len()));
        waiting = later;
        let known = (!observations.is_empty()).then(|| list(&observations));
        let observe = now.iter().map(|batch| {
            let rows: Vec<&Example> = batch.iter().filter_map(|&row| request.trainset.get(row)).collect();
            let prompt = prompts::observe_rows(&figures, rows_text(&rows, settings), known.clone());
            written(caller, prompt, settings.summary_tokens, request.temperature)
        });
        let answers = join_all(observe).await;
        let had_nothing_new = |answer: &Result<String, Failure>| matches!(answer, Ok(text) if normal(text) == NOTHING_NEW || is_known(text, &observations));
        let nothing_new = known.is_some() && !answers.is_empty() && answers.iter().all(had_nothing_new);
        for answer in answers {
            match answer {
                Ok(text) if normal(&text) == NOTHING_NEW || is_known(&text, &observations) => {}
                Ok(text) => observations.push(text),
                Err(failure) => failures.push(failure.message()?),
            }
        }
        if nothing_new {
            break;
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

/// Whether almost all words of an observation stand in those before it.
fn is_known(text: &str, before: &[String]) -> bool {
    let known: BTreeSet<String> = before.iter().flat_map(|text| words(text)).collect();
    let text: BTreeSet<String> = words(text).into_iter().collect();
    let said = text.iter().filter(|word| known.contains(*word)).count();
    !text.is_empty() && said as f64 >= KNOWN_WORDS * text.len() as f64
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
    let material = prompt.material();
    let text = strip(&caller.ask(prompt, settings, 0).await?);
    // Only a reader who was shown observations is told to say so.
    if normal(&text) == NOTHING_NEW {
        return Ok(text);
    }
    let material: Vec<(&str, &str)> =
        material.iter().map(|(heading, piece)| (&**heading, &**piece)).collect();
    if let Some(problem) = check_grounding(&text, &own, &material) {
        return Err(Failure::Unusable(problem));
    }
    // A model that ignores its limit must not fill the prompts that build on this text.
    Ok(cut(&text, tokens as usize * 6 / CHARS_PER_TOKEN))
}

/// Rows, numbered, with the expected answers after the inputs: each within its budget, and all of them within theirs.
fn rows_text(rows: &[&Example], settings: &Settings) -> String {
    let written = |row: &Example, tokens| fields(&row.clone().into_fields(), tokens);
    let lengths: Vec<usize> =
        rows.iter().map(|row| written(row, settings.row_tokens).chars().count()).collect();
    // Short rows leave their room to the long ones.
    let fair = share(&lengths, settings.batch_tokens) / CHARS_PER_TOKEN;
    let tokens = settings.row_tokens.min(fair.max(1));
    let mut out = String::new();
    for (i, row) in rows.iter().enumerate() {
        let newline = if i == 0 { "" } else { "\n" };
        let _ = write!(out, "{newline}Row {}\n{}", i + 1, written(row, tokens));
    }
    out
}

fn list(texts: &[String]) -> String {
    let lines = texts.iter().enumerate().map(|(i, text)| format!("{}. {}", i + 1, one_line(text)));
    lines.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use teleprompt_core::Fields;

    use super::*;

    #[test]
    fn the_calls_follow_the_rows() {
        let settings = Settings::default();
        let check = |rows: usize, least: u64, nominal: u64| {
            assert_eq!(calls(&settings, rows), CallRange { least, most: nominal, nominal }, "{rows}");
        };
        check(0, 0, 0);
        check(10, 1, 1);
        check(11, 2, 3);
        check(95, 5, 11);
        check(5000, 5, 11);
        let off = Settings { off: BTreeSet::from([Grounding::DatasetSummary]), ..settings };
        assert_eq!(calls(&off, 50), CallRange::exactly(0));
    }

    #[test]
    fn rows_are_numbered_and_long_ones_marked() {
        let row = |text: &str| {
            Example::new(Fields::new().with("a", text).with("b", "x")).with_inputs(&["a"]).unwrap()
        };
        let (short, long) = (row("short"), row(&"long ".repeat(30)));
        let settings = Settings { row_tokens: 6, ..Settings::default() };
        assert_eq!(
            rows_text(&[&short, &long], &settings),
            "Row 1\na: short\nb: x\nRow 2\na: long long long long lon [cut: 126 more characters]\nb: x"
        );
        // Eight long rows share 40 tokens: five for each.
        let settings = Settings { row_tokens: 30, batch_tokens: 40, ..Settings::default() };
        let text = rows_text(&[&long; 8], &settings);
        assert_eq!(
            text.matches("a: long long long long [cut: 130 more characters]\nb: x").count(),
            8,
            "{text}"
        );
    }

    #[test]
    fn an_observation_that_says_it_again_is_known() {
        let before =
            ["Short questions, some with spelling mistakes.".to_owned(), "Answers are labels.".to_owned()];
        assert!(is_known("Some short questions; answers are labels with mistakes.", &before));
        assert!(!is_known("Short questions about animals and countries.", &before));
        assert!(!is_known("", &before) && !is_known("Short questions.", &[]));
    }
}
