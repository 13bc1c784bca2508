//! Every prompt of the crate, as signatures: what the prompt LM is told, given and asked for.
//!
//! Nothing else in the crate speaks to a model. The wording is our own; `tests/prompts.rs` keeps a snapshot of each prompt
//! in each adapter's form, so that a change of wording is seen in review. All of them ask for one text.

use teleprompt_core::{FieldSpec, FieldType, Fields, SignatureSpec};

use crate::proposer::Grounding;

/// A prompt: a signature with one text output, and the inputs of one call.
#[derive(Clone, Debug)]
pub(crate) struct Prompt {
    pub(crate) spec: SignatureSpec,
    pub(crate) inputs: Fields,
}

impl Prompt {
    /// The inputs are `(name, description, value)`. The names are literals of this file, distinct identifiers (tested).
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
        }
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

/// What a batch of rows has in common.
pub(crate) fn observe_rows(statistics: &str, rows: String) -> Prompt {
    Prompt::new(
        "ObserveRows",
        "You are shown rows of a data set for a language task, and figures about all of its rows. Describe the data for \
         someone who will write guidelines for the task but cannot see the rows: the subject, how the inputs are \
         written, what the expected answers look like, and what makes some rows hard. Describe only; do not copy a row.",
        &[
            ("statistics", "figures computed over all rows", statistics.to_owned()),
            ("rows", "some of the rows", rows),
        ],
        ("summary", "two or three sentences"),
    )
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

/// What an instruction is written from; a piece that is `None` does not stand in the prompt.
#[derive(Clone, Debug, Default)]
pub(crate) struct Groundings {
    /// Asks in few words, for a model that was overwhelmed by many.
    pub(crate) short: bool,
    pub(crate) dataset_summary: Option<String>,
    pub(crate) program_description: Option<String>,
    pub(crate) module: String,
    pub(crate) module_description: Option<String>,
    pub(crate) examples: Option<String>,
    pub(crate) current_instruction: String,
    pub(crate) tip: Option<String>,
}

impl Groundings {
    /// Which pieces there are, in the order of the prompt. A tip without text is no grounding.
    pub(crate) fn kinds(&self) -> Vec<Grounding> {
        let kinds = [
            (Grounding::DatasetSummary, self.dataset_summary.is_some()),
            (Grounding::ProgramDescription, self.program_description.is_some()),
            (Grounding::ModuleDescription, self.module_description.is_some()),
            (Grounding::Demos, self.examples.is_some()),
            (Grounding::CurrentInstruction, true),
            (Grounding::Tip, self.tip.is_some()),
        ];
        kinds.into_iter().filter_map(|(kind, there)| there.then_some(kind)).collect()
    }

    /// What was written by a model or taken from the data: text that a proposal should not repeat.
    pub(crate) fn material(&self) -> impl Iterator<Item = &str> {
        [&self.dataset_summary, &self.program_description, &self.module_description, &self.examples]
            .into_iter()
            .filter_map(|piece| piece.as_deref())
    }
}

impl Groundings {
    /// Without all that a small model may copy instead of writing: what stays is the step, its instruction and the tip.
    pub(crate) fn shortened(self) -> Self {
        Self {
            short: true,
            dataset_summary: None,
            program_description: None,
            module_description: None,
            examples: None,
            ..self
        }
    }
}

/// A new instruction.
pub(crate) fn propose_instruction(groundings: &Groundings) -> Prompt {
    let (task, wanted) = if groundings.short {
        ("Rewrite the current instruction so that it is clearer and more exact.", "one paragraph")
    } else {
        (
            "A language model does the step described below, and its instruction decides how well. Write an instruction \
             that leads to better answers than the current one. It is read together with the inputs alone, so it says \
             what to produce and how, without mentioning the material shown here and without quoting an example.",
            "the new instruction and nothing else, in one paragraph",
        )
    };
    let mut inputs: Vec<(&str, &str, String)> = Vec::new();
    let mut add = |name, description, value: &Option<String>| {
        if let Some(value) = value {
            inputs.push((name, description, value.clone()));
        }
    };
    add("dataset_summary", "what the data looks like", &groundings.dataset_summary);
    add("program_description", "what the whole program is for", &groundings.program_description);
    add("module", "the step that gets the instruction", &Some(groundings.module.clone()));
    add("module_description", "what this step has to achieve", &groundings.module_description);
    add("examples", "inputs of this step with good outputs", &groundings.examples);
    add("current_instruction", "what the step is told now", &Some(groundings.current_instruction.clone()));
    add("tip", "how to write the new instruction", &groundings.tip);
    Prompt::new("ProposeInstruction", task, &inputs, ("instruction", wanted))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_prompt_is_a_valid_signature_with_one_output() {
        let text = || Some("x".to_owned());
        let groundings = Groundings {
            dataset_summary: text(),
            program_description: text(),
            module_description: text(),
            examples: text(),
            tip: text(),
            ..Groundings::default()
        };
        assert_eq!(groundings.kinds().len(), 6);
        for prompt in [
            observe_rows("", String::new()),
            merge_observations("", String::new()),
            describe_program(String::new()),
            describe_module(String::new(), Some(""), String::new()),
            propose_instruction(&groundings),
            propose_instruction(&Groundings::default()),
            propose_instruction(&groundings.clone().shortened()),
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
