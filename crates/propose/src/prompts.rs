//! Every prompt of the crate, as signatures: what the prompt LM is told, given and asked for.
//!
//! Nothing else in the crate speaks to a model. The wording is our own; `tests/it/prompts.rs` keeps a snapshot of each prompt
//! in each adapter's form, so that a change of wording is seen in review. All of them ask for one text. The pieces that a
//! proposal is written from have their headings in [`crate::grounding`].

use teleprompt_core::{FieldSpec, FieldType, Fields, SignatureSpec};

use crate::grounding::{Grounding, Heading};

/// A prompt: a signature with one text output, and the inputs of one call.
#[derive(Clone, Debug)]
pub(crate) struct Prompt {
    pub(crate) spec: SignatureSpec,
    pub(crate) inputs: Fields,
    /// An input that an answer may repeat.
    pub(crate) repeatable: Option<&'static str>,
}

impl Prompt {
    /// The inputs are `(name, description, value)`. The names are distinct identifiers: literals of this file (tested), or
    /// headings, which the proposer's builder has checked.
    fn new(name: &str, instruction: &str, inputs: &[(&str, &str, String)], output: (&str, &str)) -> Self {
        let text =
            |name: &str, description: &str| FieldSpec::new(name, FieldType::Text).described(description);
        Self {
            spec: SignatureSpec::derived(
                name.to_owned(),
                instruction,
                inputs.iter().map(|(name, description, _)| text(name, description)).collect(),
                vec![text(output.0, output.1)],
            ),
            inputs: inputs.iter().map(|(name, _, value)| ((*name).to_owned(), value.clone())).collect(),
            repeatable: None,
        }
    }

    /// What the prompt shows and no answer should repeat, with the headings that stand before it.
    pub(crate) fn material(&self) -> Vec<(String, String)> {
        let fields = self.spec.inputs().iter().filter(|field| self.repeatable != Some(field.name.as_str()));
        fields.map(|field| (field.prefix.clone(), self.inputs.text(&field.name))).collect()
    }

    /// The name of the one output.
    pub(crate) fn output(&self) -> &str {
        self.spec.outputs().first().map(|field| field.name.as_str()).unwrap_or_default()
    }

    /// What the prompt says by itself, without the values of its inputs.
    pub(crate) fn own_words(&self) -> String {
        let mut out = self.spec.instruction().to_string();
        for field in self.spec.fields() {
            out.push('\n');
            out.push_str(&field.description);
        }
        out
    }
}

/// What a reader answers who has nothing to add, in normal form.
pub(crate) const NOTHING_NEW: &str = "nothing new";

/// What a batch of rows has in common; with `known`, only what these observations of other rows lack.
pub(crate) fn observe_rows(statistics: &str, rows: String, known: Option<String>) -> Prompt {
    const DESCRIBE: &str = "You are shown rows of a data set for a language task, and figures about all of its rows. \
         Describe the data for someone who will write guidelines for the task but cannot see the rows: the subject, how \
         the inputs are written, what the expected answers look like, and what makes some rows hard. Describe only; do \
         not copy a row.";
    const ADD: &str = "You are shown rows of a data set for a language task, figures about all of its rows, and what \
         others observed on other rows. Add what their observations lack and guidelines for the task would need: a kind \
         of input, an answer or a difficulty that they do not mention. Describe only; do not copy a row. If they say it \
         all, answer: nothing new.";
    let mut inputs = vec![
        ("statistics", "figures computed over all rows", statistics.to_owned()),
        ("rows", "some of the rows", rows),
    ];
    match known {
        None => Prompt::new("ObserveRows", DESCRIBE, &inputs, ("summary", "two or three sentences")),
        Some(known) => {
            inputs.push(("observations", "what others observed on other rows", known));
            let wanted = ("summary", "one or two sentences, or: nothing new");
            // Who repeats the observations has nothing to add, which is no fault.
            Prompt {
                repeatable: Some("observations"),
                ..Prompt::new("ObserveMoreRows", ADD, &inputs, wanted)
            }
        }
    }
}

/// One summary out of several observations.
pub(crate) fn merge_observations(statistics: &str, observations: String) -> Prompt {
    Prompt::new(
        "MergeObservations",
        "Several readers each saw a part of one data set and described it. Put what they agree on, and what matters most \
         for solving the task, into one description of the whole data set.",
        &[
            ("statistics", "figures computed over all rows", statistics.to_owned()),
            ("observations", "what each reader wrote", observations),
        ],
        ("summary", "two or three sentences"),
    )
}

/// What a program is for.
pub(crate) fn describe_program(program: String) -> Prompt {
    Prompt::new(
        "DescribeProgram",
        "You are shown a program that calls a language model. Say what problem the program solves and by which steps.",
        &[("program", "source text or an outline of it", program)],
        ("description", "two or three sentences"),
    )
}

/// What one predictor does in its program.
pub(crate) fn describe_module(program: String, description: Option<&str>, module: String) -> Prompt {
    let mut inputs = vec![("program", "source text or an outline of it", program)];
    if let Some(description) = description {
        inputs.push(("program_description", "what the program is for", description.to_owned()));
    }
    inputs.push(("module", "one step of the program: its name, inputs and outputs", module));
    Prompt::new(
        "DescribeModule",
        "A program calls a language model in one or more steps. Say what the step shown under `module` has to achieve, \
         and what the rest of the program needs from it.",
        &inputs,
        ("description", "one or two sentences"),
    )
}

/// One piece as it is shown.
#[derive(Clone, Debug)]
pub(crate) struct Piece {
    pub(crate) kind: Grounding,
    pub(crate) heading: Heading,
    pub(crate) text: String,
}

/// What an instruction is written from: the step, and the pieces that have a text, in the order of the prompt.
#[derive(Clone, Debug, Default)]
pub(crate) struct Shown {
    /// Asks in few words, for a model that was overwhelmed by many.
    pub(crate) short: bool,
    /// The step that gets the instruction.
    pub(crate) module: String,
    pub(crate) pieces: Vec<Piece>,
}

/// The heading of the step itself, which is always there.
pub(crate) const MODULE: (&str, &str) = ("module", "the step that gets the instruction");
/// The output of [`propose_instruction`].
pub(crate) const INSTRUCTION: &str = "instruction";

impl Shown {
    /// Which pieces there are.
    pub(crate) fn kinds(&self) -> Vec<Grounding> {
        self.pieces.iter().map(|piece| piece.kind.clone()).collect()
    }

    /// The text of the tip, where there is one.
    pub(crate) fn tip(&self) -> &str {
        let tip = self.pieces.iter().find(|piece| piece.kind == Grounding::Tip);
        tip.map(|tip| tip.text.as_str()).unwrap_or_default()
    }

    /// What was written by a model or taken from the data: text that a proposal should not repeat. Instructions are not
    /// among it, for a good one often keeps most of the last one.
    pub(crate) fn material(&self) -> impl Iterator<Item = &str> {
        let free = [Grounding::CurrentInstruction, Grounding::Tip, Grounding::History];
        let pieces = self.pieces.iter().filter(move |piece| !free.contains(&piece.kind));
        pieces.map(|piece| piece.text.as_str())
    }

    /// What was said of the task as a whole, and not of single rows, by a model or the user.
    pub(crate) fn about(&self) -> impl Iterator<Item = &str> {
        let whole = |kind: &Grounding| {
            use Grounding::{DatasetSummary, ModuleDescription, Own, ProgramDescription};
            matches!(kind, DatasetSummary | ProgramDescription | ModuleDescription | Own(_))
        };
        self.pieces.iter().filter(move |piece| whole(&piece.kind)).map(|piece| piece.text.as_str())
    }

    /// Without all that a small model may copy instead of writing: what stays is the step, its instruction and the tip.
    pub(crate) fn shortened(mut self) -> Self {
        self.short = true;
        self.pieces.retain(|piece| matches!(piece.kind, Grounding::CurrentInstruction | Grounding::Tip));
        self
    }
}

/// A new instruction.
pub(crate) fn propose_instruction(shown: &Shown) -> Prompt {
    const SHORT: &str = "Rewrite the current instruction so that it is clearer and more exact.";
    const SHORT_NEW: &str = "Write a clear and exact instruction for the step.";
    const FIRST: &str = "A language model does the step described below, and its instruction decides how well. Write an \
         instruction that leads to better answers than the current one. It is read together with the inputs alone, so \
         it says what to produce and how, without mentioning the material shown here and without quoting an example.";
    const LATER: &str = "A language model does the step described below, and its instruction decides how well. \
         Instructions were tried and scored; you see what they achieved and where the current one fails. Find out what \
         the failures have in common, and write a new instruction that prevents them and keeps what works. It is read \
         together with the inputs alone, so it says what to produce and how, without mentioning the material shown here \
         and without quoting an example.";
    let has = |kind: Grounding| shown.pieces.iter().any(|piece| piece.kind == kind);
    let (task, wanted) = match shown.short {
        true if has(Grounding::CurrentInstruction) => (SHORT, "one paragraph"),
        true => (SHORT_NEW, "one paragraph"),
        false => {
            let later = has(Grounding::Failures) || has(Grounding::History);
            (if later { LATER } else { FIRST }, "the new instruction and nothing else, in one paragraph")
        }
    };
    let module = (MODULE.0, MODULE.1, shown.module.clone());
    // The step stands between what is said of the whole program and what is said of the step.
    let (before, after): (Vec<&Piece>, Vec<&Piece>) =
        shown.pieces.iter().partition(|piece| piece.kind <= Grounding::ProgramDescription);
    let input = |piece: &'_ Piece| -> (String, String, String) {
        (piece.heading.name.clone(), piece.heading.description.clone(), piece.text.clone())
    };
    let inputs: Vec<(String, String, String)> = (before.into_iter().map(input))
        .chain(std::iter::once((module.0.to_owned(), module.1.to_owned(), module.2)))
        .chain(after.into_iter().map(input))
        .collect();
    let inputs: Vec<(&str, &str, String)> =
        inputs.iter().map(|(name, about, text)| (name.as_str(), about.as_str(), text.clone())).collect();
    Prompt::new("ProposeInstruction", task, &inputs, (INSTRUCTION, wanted))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Settings;
    use crate::grounding::{STANDARD, standard};

    #[test]
    fn every_prompt_is_a_valid_signature_with_one_output() {
        let settings = Settings::default();
        let pieces = STANDARD.into_iter().map(|kind| {
            let heading = standard(&kind, &settings).unwrap().heading();
            Piece { kind, heading, text: "x".into() }
        });
        let shown = Shown { short: false, module: "m".into(), pieces: pieces.collect() };
        assert_eq!(shown.kinds().len(), 8);
        for prompt in [
            observe_rows("", String::new(), None),
            observe_rows("", String::new(), Some(String::new())),
            merge_observations("", String::new()),
            describe_program(String::new()),
            describe_module(String::new(), Some(""), String::new()),
            propose_instruction(&shown),
            propose_instruction(&Shown::default()),
            propose_instruction(&shown.clone().shortened()),
        ] {
            let spec = &prompt.spec;
            let checked = SignatureSpec::new(
                spec.name(),
                &spec.instruction(),
                spec.inputs().to_vec(),
                spec.outputs().to_vec(),
            );
            assert_eq!(checked.as_ref(), Ok(spec));
            assert_eq!(spec.outputs().len(), 1);
            assert_eq!(
                prompt.inputs.names().collect::<Vec<_>>(),
                spec.inputs().iter().map(|f| &f.name).collect::<Vec<_>>()
            );
        }
    }
}
