//! The settings of [`GroundedProposer`] and their builder.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use teleprompt_core::{FieldSpec, FieldType, SignatureSpec};

use crate::error::{ConfigError, ConfigProblem};
use crate::grounded::GroundedProposer;
use crate::grounding::{FixedText, Ground, Grounding, Heading, STANDARD, standard};
use crate::prompts;
use crate::request::ProposalRequest;
use crate::tips::TipLibrary;

/// Checked settings: every count is at least 1.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// Pieces that are not shown.
    pub(crate) off: BTreeSet<Grounding>,
    /// Pieces of the user's own, some in place of a standard one.
    pub(crate) own: BTreeMap<Grounding, Arc<dyn Ground>>,
    pub(crate) view_data_batch_size: usize,
    pub(crate) max_summary_batches: usize,
    pub(crate) row_tokens: usize,
    pub(crate) batch_tokens: usize,
    pub(crate) failure_tokens: usize,
    pub(crate) history_tokens: usize,
    pub(crate) source_tokens: usize,
    pub(crate) demo_tokens: usize,
    pub(crate) summary_tokens: u32,
    pub(crate) description_tokens: u32,
    pub(crate) instruction_tokens: u32,
    pub(crate) max_instruction_chars: usize,
    pub(crate) max_tries: u32,
    pub(crate) edits: bool,
    pub(crate) reserved_edits: usize,
    pub(crate) tips: TipLibrary,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            off: BTreeSet::new(),
            own: BTreeMap::new(),
            // Batch size and number of batches: those of DSPy 3.4.1 (`view_data_batch_size`, ten calls at most).
            view_data_batch_size: 10,
            max_summary_batches: 10,
            // A batch of ten rows stays below 1,500 tokens, a proposal with three demos below 2,000: half of the
            // context of a small model.
            row_tokens: 150,
            batch_tokens: 1500,
            // Four failures and eight instructions: below 1,200 tokens together.
            failure_tokens: 120,
            history_tokens: 80,
            source_tokens: 800,
            demo_tokens: 150,
            summary_tokens: 160,
            description_tokens: 120,
            instruction_tokens: 200,
            // 200 tokens of six characters: only a model that ignores its limit of tokens gets there.
            max_instruction_chars: 1200,
            max_tries: 3,
            edits: true,
            reserved_edits: 0,
            tips: TipLibrary::standard(),
        }
    }
}

impl Settings {
    /// For how many places of each predictor the prompt LM is asked: the first ones after the original.
    pub(crate) fn asked(&self, request: &ProposalRequest<'_>) -> usize {
        request.num_candidates.saturating_sub(1).saturating_sub(self.reserved_edits)
    }

    /// Further attempts at each instruction after the first.
    pub(crate) fn retries(&self) -> u64 {
        u64::from(self.max_tries - 1)
    }

    /// Whether LM calls are made for this piece: it is shown, and the user has put nothing in its place.
    pub(crate) fn asks_for(&self, kind: &Grounding) -> bool {
        !self.off.contains(kind) && !self.own.contains_key(kind)
    }

    /// The pieces that are shown, in the order of the prompt.
    pub(crate) fn pieces(&self) -> BTreeMap<Grounding, Arc<dyn Ground>> {
        let kinds = STANDARD.iter().chain(self.own.keys()).filter(|kind| !self.off.contains(kind));
        let piece = |kind: &Grounding| self.own.get(kind).cloned().or_else(|| standard(kind, self));
        kinds.filter_map(|kind| Some((kind.clone(), piece(kind)?))).collect()
    }
}

/// Builds a [`GroundedProposer`]; see [`GroundedProposer::builder`].
#[derive(Clone, Debug, Default)]
#[must_use = "a builder does nothing until `build`"]
pub struct GroundedProposerBuilder {
    settings: Settings,
}

impl GroundedProposerBuilder {
    /// Whether the program and each predictor's part in it are described (default: yes).
    ///
    /// Costs `1 + P` calls. With it the program's source text goes to the prompt LM.
    pub fn program_aware(self, yes: bool) -> Self {
        self.shown(Grounding::ProgramDescription, yes).shown(Grounding::ModuleDescription, yes)
    }

    /// Whether the data is summarized (default: yes). Costs at most [`Self::max_summary_batches`] calls and one.
    ///
    /// With it rows of the trainset go to the prompt LM.
    pub fn data_aware(self, yes: bool) -> Self {
        self.shown(Grounding::DatasetSummary, yes)
    }

    /// Whether each proposal is written under a tip (default: yes). Costs no call.
    pub fn tip_aware(self, yes: bool) -> Self {
        self.shown(Grounding::Tip, yes)
    }

    /// Whether proposals are shown demos of their predictor (default: yes). Costs no call.
    pub fn fewshot_aware(self, yes: bool) -> Self {
        self.shown(Grounding::Demos, yes)
    }

    /// Leaves one piece out of every prompt. What it would have cost is not paid.
    pub fn without(self, kind: Grounding) -> Self {
        self.shown(kind, false)
    }

    fn shown(mut self, kind: Grounding, yes: bool) -> Self {
        if yes {
            self.settings.off.remove(&kind);
        } else {
            self.settings.off.insert(kind);
        }
        self
    }

    /// Puts a piece of the user's own in place of one that comes with the crate, whose calls are then not made, or adds one
    /// under [`Grounding::Own`].
    pub fn grounding(mut self, kind: Grounding, ground: impl Ground + 'static) -> Self {
        self.settings.own.insert(kind.clone(), Arc::new(ground));
        self.shown(kind, true)
    }

    /// Puts a text in place of a piece, such as a description of the data that the user has written: the calls for it are not
    /// made. An own piece stands under its name; an empty text leaves the piece out.
    pub fn grounding_text(self, kind: Grounding, text: impl Into<String>) -> Self {
        let heading = match &kind {
            Grounding::Own(name) => Heading::new(name, ""),
            known => standard(known, &self.settings).map_or_else(|| Heading::new("", ""), |it| it.heading()),
        };
        self.grounding(kind, FixedText { heading, text: text.into() })
    }

    /// Rows shown in each summary call (default 10, at least 1).
    pub fn view_data_batch_size(mut self, rows: usize) -> Self {
        self.settings.view_data_batch_size = rows;
        self
    }

    /// Most batches of rows that are summarized (default 10, at least 1): a sample of the rows where there are more.
    pub fn max_summary_batches(mut self, batches: usize) -> Self {
        self.settings.max_summary_batches = batches;
        self
    }

    /// Tokens for each row in a summary call, estimated at 4 characters each; long rows are cut and marked as cut
    /// (default 150, at least 1).
    pub fn row_tokens(mut self, tokens: usize) -> Self {
        self.settings.row_tokens = tokens;
        self
    }

    /// Tokens for all rows of one summary call together (default 1500, at least 1): where the rows have more, each gets
    /// its share.
    pub fn batch_tokens(mut self, tokens: usize) -> Self {
        self.settings.batch_tokens = tokens;
        self
    }

    /// Tokens for each failure in a later round, of which 4 are shown at most (default 120, at least 1).
    pub fn failure_tokens(mut self, tokens: usize) -> Self {
        self.settings.failure_tokens = tokens;
        self
    }

    /// Tokens for each earlier instruction in a later round, of which 8 are shown at most (default 80, at least 1).
    pub fn history_tokens(mut self, tokens: usize) -> Self {
        self.settings.history_tokens = tokens;
        self
    }

    /// Tokens for the program's source text, estimated at 4 characters each (default 800, at least 1).
    pub fn source_tokens(mut self, tokens: usize) -> Self {
        self.settings.source_tokens = tokens;
        self
    }

    /// Tokens for each demo in a proposal call, estimated at 4 characters each (default 150, at least 1).
    pub fn demo_tokens(mut self, tokens: usize) -> Self {
        self.settings.demo_tokens = tokens;
        self
    }

    /// Most tokens of each answer of the data summary (default 160, at least 1).
    pub fn summary_tokens(mut self, tokens: u32) -> Self {
        self.settings.summary_tokens = tokens;
        self
    }

    /// Most tokens of each description of the program or a part of it (default 120, at least 1).
    pub fn description_tokens(mut self, tokens: u32) -> Self {
        self.settings.description_tokens = tokens;
        self
    }

    /// Most tokens of a proposed instruction (default 200, at least 1). Where the current instruction is long, one and a
    /// half times its estimated tokens, if that is more.
    pub fn instruction_tokens(mut self, tokens: u32) -> Self {
        self.settings.instruction_tokens = tokens;
        self
    }

    /// Most characters of a proposed instruction (default 1200, at least 1). Where the current instruction is long, twice
    /// its length, if that is more.
    pub fn max_instruction_chars(mut self, chars: usize) -> Self {
        self.settings.max_instruction_chars = chars;
        self
    }

    /// Most attempts at each instruction, the first included (default 3, at least 1).
    pub fn max_tries(mut self, tries: u32) -> Self {
        self.settings.max_tries = tries;
        self
    }

    /// Whether places for which no attempt succeeded are filled with edits of the current instruction (default: yes).
    pub fn edits(mut self, yes: bool) -> Self {
        self.settings.edits = yes;
        self
    }

    /// How many of each predictor's places, the last ones, are given to edits without asking the prompt LM (default 0). For
    /// prompt LMs that write poor instructions, and for small task LMs with labels to choose from: the first edit, the words
    /// that speak for each label, gained the 135M model 12.5 points (95 %: 2.3 to 22.7) on the test rows of the sample task, and
    /// nothing on a draw of banking77 (`docs/BENCHMARKS.md`, family propose). Saves `P * places` calls. A signature has 1, 3, 7
    /// or 15 edits.
    pub fn reserved_edits(mut self, places: usize) -> Self {
        self.settings.reserved_edits = places;
        self
    }

    /// The tips to draw from (default [`TipLibrary::standard`]).
    pub fn tips(mut self, tips: TipLibrary) -> Self {
        self.settings.tips = tips;
        self
    }

    /// The proposer.
    ///
    /// # Errors
    /// [`ConfigError`] lists every setting that has no meaning.
    pub fn build(self) -> Result<GroundedProposer, ConfigError> {
        let settings = self.settings;
        let counts = [
            ("view_data_batch_size", settings.view_data_batch_size, ", or switch `data_aware` off"),
            ("max_summary_batches", settings.max_summary_batches, ", or switch `data_aware` off"),
            ("row_tokens", settings.row_tokens, ""),
            ("batch_tokens", settings.batch_tokens, ""),
            ("failure_tokens", settings.failure_tokens, ", or leave `Grounding::Failures` out"),
            ("history_tokens", settings.history_tokens, ", or leave `Grounding::History` out"),
            ("source_tokens", settings.source_tokens, ", or switch `program_aware` off"),
            ("demo_tokens", settings.demo_tokens, ", or switch `fewshot_aware` off"),
            ("summary_tokens", settings.summary_tokens as usize, ""),
            ("description_tokens", settings.description_tokens as usize, ""),
            ("instruction_tokens", settings.instruction_tokens as usize, ""),
            ("max_instruction_chars", settings.max_instruction_chars, ""),
            ("max_tries", settings.max_tries as usize, ""),
        ];
        let mut problems: Vec<ConfigProblem> = counts
            .into_iter()
            .filter(|&(_, count, _)| count == 0)
            .map(|(setting, _, remedy)| ConfigProblem::Zero { setting, remedy })
            .collect();
        problems.extend(settings.tips.problems());
        // The prompt is a signature: its own check says what is wrong with a heading.
        let headings: Vec<Heading> = settings.pieces().values().map(|piece| piece.heading()).collect();
        let field = |name: &str| FieldSpec::new(name, FieldType::Text);
        let inputs = headings.iter().map(|heading| field(&heading.name)).chain([field(prompts::MODULE.0)]);
        if let Err(error) =
            SignatureSpec::new("ProposeInstruction", "", inputs.collect(), vec![field(prompts::INSTRUCTION)])
        {
            problems.push(ConfigProblem::Heading { problem: error.to_string() });
        }
        if problems.is_empty() { Ok(GroundedProposer { settings }) } else { Err(ConfigError { problems }) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proposer::Proposer as _;
    use crate::tips::Tip;

    #[test]
    fn every_problem_is_reported_at_once() {
        let tips = [Tip::new("a", ""), Tip::new("a", "x").weighing(f64::NAN)].into_iter().collect();
        let error =
            GroundedProposerBuilder::default().view_data_batch_size(0).max_tries(0).tips(tips).build();
        assert_eq!(
            error.unwrap_err().to_string(),
            "the proposer cannot be built: `view_data_batch_size` is 0: set it to 1 or more, or switch `data_aware` off; \
             `max_tries` is 0: set it to 1 or more; two tips have the key `a`: rename one, or remove the first with \
             `TipLibrary::without`; tip `a` has the weight NaN: give it a finite weight above 0, or remove the tip"
        );
        let built = GroundedProposerBuilder::default().build().unwrap();
        assert_eq!(built.settings_text(), GroundedProposer::default().settings_text());
    }

    #[test]
    fn a_heading_must_fit_into_the_prompt() {
        let own = |name: &str| {
            let kind = Grounding::Own(name.to_owned());
            let built = GroundedProposerBuilder::default().grounding_text(kind, "x").build();
            built.map(|_| ()).map_err(|error| error.to_string())
        };
        assert_eq!(own("house_rules"), Ok(()));
        for name in ["tip", "module", "instruction"] {
            let error = own(name).unwrap_err();
            assert!(error.contains("heading") && error.contains(name), "{error}");
        }
        assert!(own("house rules").unwrap_err().contains("`house rules`"));
    }

    #[test]
    fn pieces_are_shown_in_the_order_of_the_prompt() {
        let builder = GroundedProposerBuilder::default().data_aware(false).without(Grounding::History);
        let settings = builder.grounding_text(Grounding::Own("b".into()), "x").settings;
        let kinds: Vec<Grounding> = settings.pieces().into_keys().collect();
        use Grounding::*;
        assert_eq!(
            kinds,
            [
                ProgramDescription,
                ModuleDescription,
                Demos,
                Own("b".into()),
                Failures,
                CurrentInstruction,
                Tip
            ]
        );
        assert!(!settings.asks_for(&DatasetSummary) && settings.asks_for(&ModuleDescription));
    }
}
