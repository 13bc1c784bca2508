//! What the simulated model answers.

use std::fmt::Write as _;

use teleprompt_core::{FieldSpec, FieldType, Fields, LmRequest, REASONING, SignatureSpec};

use super::landscape::Shown;
use super::prompt::{self, Prompt, Wanted};
use super::{ANSWER, QUERY, SimTask};
use crate::hash::Hash;

/// The answer to any request.
pub(super) fn answer(task: &SimTask, request: &LmRequest) -> String {
    let seed = Hash::new(task.seed, "invented").request(request);
    let Some(prompt) = prompt::read(request) else { return sentence(seed) };
    own_answer(task, &prompt, request.rollout).unwrap_or_else(|| invented(&prompt, seed))
}

/// The answer of one of the task's own predictors, if the prompt is one of theirs.
fn own_answer(task: &SimTask, prompt: &Prompt, rollout: u64) -> Option<String> {
    let case = prompt::case_of(&prompt.last)?;
    let predictor = [QUERY, ANSWER].into_iter().find(|name| {
        prompt.wanted.iter().any(|field| field.is(name))
            && prompt.wanted.iter().all(|field| field.is(name) || field.is(REASONING))
    })?;
    let spec = if predictor == QUERY { task.query_spec() } else { task.answer_spec() };
    // The output alone reads from any demo, with or without reasoning.
    let output = spec.outputs().iter().filter(|field| field.name == predictor).cloned().collect();
    let bare = SignatureSpec::derived(String::new(), "-", Vec::new(), output);
    let adapter = prompt.form.adapter();
    let demos = prompt.demos.iter().map(|(user, assistant)| {
        let read = adapter.parse(&bare, assistant).map(|fields| fields.text(predictor)).unwrap_or_default();
        task.demo(predictor, user, &read)
    });
    let shown = Shown { instruction: prompt.instruction.clone(), demos: demos.collect() };
    let strong = task.stages == super::Stages::One || prompt.last.contains(&task.query(case, true));
    let right = task.is_right(predictor, &shown, case, strong, rollout);
    let said = match (predictor, right) {
        (QUERY, right) => task.query(case, right),
        (_, true) => task.gold(case).to_owned(),
        (_, false) => wrong_label(task, &shown, case),
    };
    let mut spec = spec;
    if prompt.wanted.iter().any(|field| field.is(REASONING)) {
        spec = spec.with_first_output(FieldSpec::new(REASONING, FieldType::Text));
    }
    let outputs =
        Fields::new().with(REASONING, format!("The register lists case {case}.")).with(predictor, said);
    Some(adapter.format_outputs(&spec, &outputs))
}

/// A label that is not the right one.
fn wrong_label(task: &SimTask, shown: &Shown, case: u64) -> String {
    let gold = task.gold(case);
    let others: Vec<&String> = task.labels().iter().filter(|label| *label != gold).collect();
    let hash = Hash::new(task.seed, "wrong").number(case).text(&shown.instruction);
    others.get(hash.below(others.len())).map_or_else(|| gold.to_owned(), |label| (*label).clone())
}

/// Invented values for every output that a prompt asks for.
fn invented(prompt: &Prompt, seed: Hash) -> String {
    let fields: Vec<(FieldSpec, String)> = prompt
        .wanted
        .iter()
        .map(|wanted| {
            let mut field = FieldSpec::new(wanted.name.clone(), FieldType::Text);
            field.prefix.clone_from(&wanted.name);
            (field, invented_value(wanted, seed.text(&wanted.name)))
        })
        .collect();
    if fields.is_empty() {
        return sentence(seed);
    }
    let values: Fields = fields.iter().map(|(field, value)| (field.name.clone(), value.clone())).collect();
    let specs = fields.into_iter().map(|(field, _)| field).collect();
    prompt
        .form
        .adapter()
        .format_outputs(&SignatureSpec::derived(String::new(), "-", Vec::new(), specs), &values)
}

/// A value of the type that the prompt names, as far as it can be told from its words.
fn invented_value(wanted: &Wanted, seed: Hash) -> String {
    let about = wanted.about.trim().trim_end_matches(')');
    if let Some((_, labels)) = about.rsplit_once("one of ") {
        let labels: Vec<&str> = labels.trim_end_matches(", or none").split(", ").collect();
        let label = labels[seed.below(labels.len())].split(')').next().unwrap_or_default().to_owned();
        return if about.contains("list of one of") { format!("[\"{label}\"]") } else { label };
    }
    let is =
        |ty: &str| about.trim_start_matches([' ', '(']).starts_with(ty) || about.ends_with(&format!("({ty}"));
    if is("list of integer") || is("list of number") {
        return format!("[{}]", seed.below(100));
    }
    if is("list of true or false") {
        return "[true]".to_owned();
    }
    if is("list of") {
        return format!("[\"{}\"]", sentence(seed));
    }
    if is("integer") || is("number") {
        return seed.below(100).to_string();
    }
    if is("true or false") {
        return (seed.below(2) == 1).to_string();
    }
    sentence(seed)
}

/// A sentence that reads like an instruction or a remark and is different for each seed.
fn sentence(seed: Hash) -> String {
    let pick = |name: &str, words: &[&'static str]| words[seed.text(name).below(words.len())];
    let mut text =
        pick("verb", &["Look up", "Read", "Compare", "Check", "Weigh", "Find", "Recall"]).to_owned();
    let _ = write!(
        text,
        " {} {}, then {} {}.",
        pick(
            "what",
            &["the item", "every detail of the case", "the register", "the question", "the material"]
        ),
        pick("how", &["with care", "word by word", "before anything else", "in order", "against the record"]),
        pick("then", &["name", "give", "state", "choose", "write"]),
        pick(
            "end",
            &["the one colour that fits", "a single label", "the best answer", "only what is asked for"]
        ),
    );
    let _ = write!(text, " Keep to rule {:05x}.", seed.text("rule").bits() & 0xf_ffff);
    text
}
