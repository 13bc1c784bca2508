//! What can be measured: families of cases, each case one figure of ours against one of each contender.

use serde::Serialize;

use super::Options;
use super::peers::Peer;
use super::record::Comparison;
use crate::error::Error;
use crate::workspace::Workspace;

/// Which figures are better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(
    not(any(test, feature = "bench")),
    expect(dead_code, reason = "a build without `bench` makes none")
)]
pub(crate) enum Better {
    Higher,
    Lower,
}

/// What a case measures.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Figure {
    /// Unique in a run.
    pub(crate) name: String,
    pub(crate) unit: &'static str,
    pub(crate) better: Better,
    /// In ratios, medians below this count as this: for figures that can be 0.
    pub(crate) floor: f64,
}

/// Who is measured.
#[derive(Debug)]
pub(crate) enum Contender<'a> {
    /// This workspace.
    Ours,
    /// A baseline from this workspace, by its name.
    Rival(&'a str),
    /// Another project's program.
    Peer(&'a mut Peer),
}

impl Contender<'_> {
    /// The name in the table.
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Ours => "teleprompt",
            Self::Rival(name) => name,
            Self::Peer(peer) => peer.name(),
        }
    }
}

/// The same work for every contender.
pub(crate) trait Case {
    /// What is measured.
    fn figure(&self) -> Figure;

    /// The baselines from this workspace that ours is compared with.
    fn rivals(&self) -> &'static [&'static str];

    /// More seeds than this say no more.
    fn most_seeds(&self) -> u32 {
        u32::MAX
    }

    /// One measurement. A function of contender and seed, times apart.
    fn measure(&self, contender: &mut Contender<'_>, seed: u64) -> Result<f64, Error>;
}

/// What a family measured, with tables of its own.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Measured {
    /// For the JSON.
    pub(crate) comparisons: Vec<Comparison>,
    /// For the terminal and the document, in Markdown.
    pub(crate) tables: String,
}

/// Cases that belong together: one argument of the command, one table.
pub(crate) trait Family {
    /// How many seeds are measured unless the command says otherwise.
    fn seeds(&self) -> u32;

    /// The name under which the catalogue of peers has the source of its data, if there is one.
    fn data(&self) -> Option<&'static str> {
        None
    }

    /// The cases in the order of the table; `data` is the source of the data, where it was wanted.
    fn cases(&self, quick: bool, data: Option<&mut Peer>) -> Result<Vec<Box<dyn Case>>, Error>;

    /// Figures that sum up others, for the end of the table.
    fn summary(&self, _comparisons: &[Comparison]) -> Vec<Comparison> {
        Vec::new()
    }

    /// All figures at once, for a family whose contenders do not take turns; `None` for one that has cases.
    fn measure(
        &self,
        _workspace: &Workspace,
        _options: &Options,
        _peers: &mut [Peer],
    ) -> Result<Option<Measured>, Error> {
        Ok(None)
    }
}

/// One family by name.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) name: &'static str,
    /// In a few words.
    pub(crate) measures: &'static str,
    /// What must be there first; `None` for a family that can be measured.
    pub(crate) waits_for: Option<&'static str>,
}

/// All families in the order of `docs/BENCHMARKS.md`.
const FAMILIES: [Entry; 6] = [
    Entry {
        name: "tpe",
        measures: "the optimizer alone: time of ask and tell, search efficiency",
        waits_for: None,
    },
    Entry {
        name: "search",
        measures: "MIPROv2's search on simulated and recorded landscapes",
        waits_for: None,
    },
    Entry {
        name: "compile",
        measures: "a whole run of MIPROv2 on a server that takes 20 ms, and one that takes a second",
        waits_for: None,
    },
    Entry {
        name: "overhead",
        measures: "calls per second, CPU time and memory around the model's own time",
        waits_for: None,
    },
    Entry {
        name: "propose",
        measures: "what proposed instructions are worth, by grounding",
        waits_for: None,
    },
    Entry { name: "task", measures: "accuracy on real tasks with a real model", waits_for: None },
];

/// The families that need a model, and so are measured when they are named only.
pub(crate) const PROPOSE: &str = "propose";
pub(crate) const TASK: &str = "task";

/// The family with this name, or all of them for `all` and for no name.
///
/// # Errors
///
/// When there is no such family.
pub(crate) fn choose(name: Option<&str>) -> Result<Vec<&'static Entry>, Error> {
    let wanted = name.unwrap_or("all");
    let chosen: Vec<_> = FAMILIES.iter().filter(|entry| wanted == "all" || wanted == entry.name).collect();
    if chosen.is_empty() {
        let names: Vec<_> = FAMILIES.iter().map(|entry| entry.name).collect();
        return Err(Error::Usage(format!("no family `{wanted}`; there are {} and all", names.join(", "))));
    }
    Ok(chosen)
}

/// The family that can be measured under this name.
#[cfg(feature = "bench")]
pub(crate) fn make(name: &str) -> Option<Box<dyn Family>> {
    match name {
        "tpe" => Some(Box::new(super::tpe::Tpe)),
        "overhead" => Some(Box::new(super::overhead::Overhead)),
        "compile" => Some(Box::new(super::compile::Compile)),
        "search" => Some(Box::new(super::search::Search)),
        #[cfg(feature = "models")]
        TASK => Some(Box::new(super::task::Tasks)),
        _ => None,
    }
}

/// No family can be measured by this build.
#[cfg(not(feature = "bench"))]
pub(crate) fn make(_name: &str) -> Option<Box<dyn Family>> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_are_chosen_by_name() {
        assert_eq!(choose(Some("search")).unwrap()[0].waits_for, None);
        assert_eq!(choose(Some("all")).unwrap().len(), FAMILIES.len());
        assert_eq!(choose(None).unwrap().len(), FAMILIES.len());
        assert!(choose(Some("speed")).unwrap_err().to_string().contains("tpe, search, compile"));
    }

    #[cfg(feature = "bench")]
    #[test]
    fn every_family_that_waits_for_nothing_can_be_made() {
        for entry in FAMILIES.iter().filter(|entry| entry.name != PROPOSE && entry.name != TASK) {
            assert_eq!(make(entry.name).is_some(), entry.waits_for.is_none(), "{}", entry.name);
        }
    }
}
