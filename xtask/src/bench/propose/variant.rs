//! Which proposers are compared.

use teleprompt::propose::{GroundedProposer, GroundedProposerBuilder, Grounding};

use super::failed;
use crate::error::Error;

/// A proposer under test.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Variant {
    /// Every grounding.
    All,
    /// Every grounding but these.
    Without(&'static str, &'static [Grounding]),
    /// The current instruction alone.
    Bare,
    /// The deterministic edits, which ask no model.
    Edits,
    /// Every grounding for half of the new instructions, edits for the others.
    Half,
    /// Every grounding; some of the instructions are proposed in a later round, from scores and failures.
    Later,
}

impl Variant {
    /// All of them; the first is the one that the others are compared with.
    pub(crate) fn all() -> Vec<Self> {
        use Grounding::{
            CurrentInstruction, DatasetSummary, Demos, ModuleDescription, ProgramDescription, Tip,
        };
        vec![
            Self::All,
            Self::Without("data summary", &[DatasetSummary]),
            Self::Without("program and module description", &[ProgramDescription, ModuleDescription]),
            Self::Without("demos", &[Demos]),
            Self::Without("tips", &[Tip]),
            Self::Without("current instruction", &[CurrentInstruction]),
            Self::Bare,
            Self::Edits,
            Self::Half,
            Self::Later,
        ]
    }

    /// Those of a smoke test.
    pub(crate) fn quick() -> Vec<Self> {
        vec![Self::All, Self::Bare, Self::Edits]
    }

    /// The name in the table.
    pub(crate) fn name(self) -> String {
        match self {
            Self::All => "all groundings".to_owned(),
            Self::Without(name, _) => format!("without {name}"),
            Self::Bare => "current instruction alone".to_owned(),
            Self::Edits => "edits, no model".to_owned(),
            Self::Half => "half of them edits".to_owned(),
            Self::Later => "a later round".to_owned(),
        }
    }

    /// Of this many new instructions, those that are proposed in a later round.
    pub(crate) fn later(self, new: usize) -> usize {
        if self == Self::Later { new / 2 } else { 0 }
    }

    /// The proposer, which gives `new` instructions beside the original.
    ///
    /// # Errors
    /// Its settings have no meaning.
    pub(crate) fn proposer(self, new: usize) -> Result<GroundedProposer, Error> {
        // Small models write short texts: fewer rows at a time, in fewer calls, as in the quickstart.
        let builder = GroundedProposer::builder().view_data_batch_size(8).max_summary_batches(3).edits(false);
        let without = |builder: GroundedProposerBuilder, kinds: &[Grounding]| {
            kinds.iter().fold(builder, |builder, kind| builder.without(kind.clone()))
        };
        let bare = [
            Grounding::DatasetSummary,
            Grounding::ProgramDescription,
            Grounding::ModuleDescription,
            Grounding::Demos,
            Grounding::Tip,
        ];
        let builder = match self {
            Self::All | Self::Later => builder,
            Self::Without(_, kinds) => without(builder, kinds),
            Self::Bare => without(builder, &bare),
            Self::Edits => builder.reserved_edits(new),
            Self::Half => builder.reserved_edits(new.div_ceil(2)),
        };
        builder.build().map_err(failed)
    }
}
