//! What can be measured: families of cases, each case one figure of ours against one of each contender.

use serde::{Deserialize, Serialize};

use super::Options;
use super::peers::Peer;
use super::plot::Plot;
use super::record::Comparison;
use crate::error::Error;
use crate::workspace::Workspace;

/// Which figures are better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
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

/// Takes the figures that a family has so far, all of them each time, and writes them.
pub(crate) type Keep<'a> = dyn FnMut(&[Comparison]) -> Result<(), Error> + 'a;

/// Takes a plot and writes it.
pub(crate) type Draw<'a> = dyn FnMut(Plot) -> Result<(), Error> + 'a;

/// Cases that belong together: one argument of the command, one table.
pub(crate) trait Family {
    /// How many seeds are measured unless the command says otherwise.
    fn seeds(&self) -> u32;

    /// The same for a quick run.
    fn quick_seeds(&self) -> u32 {
        self.seeds().min(3)
    }

    /// How many seeds these options want.
    fn seeds_of(&self, options: &Options) -> u32 {
        let own = || if options.quick { self.quick_seeds() } else { self.seeds() };
        options.seeds.unwrap_or_else(own)
    }

    /// The name under which the catalogue of peers has the source of its data, if there is one.
    fn data(&self) -> Option<&'static str> {
        None
    }

    /// The cases in the order of the table, for a family that has some; `data` is the source of the data, where it was wanted.
    fn cases(&self, _quick: bool, _data: Option<&mut Peer>) -> Result<Vec<Box<dyn Case>>, Error> {
        Ok(Vec::new())
    }

    /// The figures as tables of its own, in Markdown, where one line a figure would not be read.
    fn tables(&self, _comparisons: &[Comparison]) -> Option<String> {
        None
    }

    /// Figures that sum up others, for the end of the table.
    fn summary(&self, _comparisons: &[Comparison]) -> Vec<Comparison> {
        Vec::new()
    }

    /// All figures at once, for a family whose contenders do not take turns; `None` for one that has cases. Figures that
    /// are there go to `keep` on the way, so that a run that is ended does not lose them.
    fn measure(
        &self,
        _workspace: &Workspace,
        _options: &Options,
        _peers: &mut [Peer],
        _keep: &mut Keep<'_>,
    ) -> Result<Option<Measured>, Error> {
        Ok(None)
    }

    /// Gives plots to `draw`, one after another, and their number; called when they are wanted, after the figures.
    fn plots(
        &self,
        _workspace: &Workspace,
        _options: &Options,
        _peers: &mut [Peer],
        _draw: &mut Draw<'_>,
    ) -> Result<usize, Error> {
        Ok(0)
    }
}

/// One family by name.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) name: &'static str,
    /// In a few words.
    pub(crate) measures: &'static str,
    /// Whether a real model is asked; such a family is left out of a quick run of all.
    pub(crate) asks_model: bool,
    /// The feature of this package that it is built with.
    pub(crate) feature: &'static str,
}

/// Enough for most families; and for those that have the embedded model in this process, which takes minutes to build.
pub(crate) const BENCH: &str = "bench";
pub(crate) const MODELS: &str = "models";

/// All families in the order of `docs/BENCHMARKS.md`.
pub(crate) const FAMILIES: [Entry; 7] = [
    Entry {
        name: "quickstart",
        measures: "accuracy before and after, on the sample task with the embedded model",
        asks_model: true,
        feature: BENCH,
    },
    Entry {
        name: "tpe",
        measures: "the optimizer alone: time of ask and tell, search efficiency",
        asks_model: false,
        feature: BENCH,
    },
    Entry {
        name: "search",
        measures: "MIPROv2's search on simulated and recorded landscapes",
        asks_model: false,
        feature: BENCH,
    },
    Entry {
        name: "compile",
        measures: "a whole run of MIPROv2 on a server that takes 20 ms, and one that takes a second",
        asks_model: false,
        feature: BENCH,
    },
    Entry {
        name: "overhead",
        measures: "calls per second, CPU time and memory around the model's own time",
        asks_model: false,
        feature: BENCH,
    },
    Entry {
        name: "propose",
        measures: "what proposed instructions are worth, by grounding",
        asks_model: true,
        feature: MODELS,
    },
    Entry {
        name: "task",
        measures: "what each optimizer makes of real tasks with a real model",
        asks_model: true,
        feature: MODELS,
    },
];

/// The family with this name, or all of them for `all` and for no name; of a quick run of all, those that ask no model.
///
/// # Errors
///
/// When there is no such family.
pub(crate) fn choose(name: Option<&str>, quick: bool) -> Result<Vec<&'static Entry>, Error> {
    let wanted = name.unwrap_or("all");
    if wanted == "all" {
        return Ok(FAMILIES.iter().filter(|entry| !(quick && entry.asks_model)).collect());
    }
    match FAMILIES.iter().find(|entry| entry.name == wanted) {
        Some(entry) => Ok(vec![entry]),
        None => {
            let names: Vec<_> = FAMILIES.iter().map(|entry| entry.name).collect();
            Err(Error::Usage(format!("no family `{wanted}`; there are {}, and all", names.join(", "))))
        }
    }
}

/// The family that can be measured under this name by this build.
#[cfg(feature = "bench")]
pub(crate) fn make(name: &str) -> Option<Box<dyn Family>> {
    match name {
        "quickstart" => Some(Box::new(super::quickstart::Quickstart)),
        "tpe" => Some(Box::new(super::tpe::Tpe)),
        "overhead" => Some(Box::new(super::overhead::Overhead)),
        "compile" => Some(Box::new(super::compile::Compile)),
        "search" => Some(Box::new(super::search::Search)),
        #[cfg(feature = "models")]
        "propose" => Some(Box::new(super::propose::Propose)),
        #[cfg(feature = "models")]
        "task" => Some(Box::new(super::task::Tasks)),
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
        let names = |name, quick| -> Vec<&str> {
            choose(name, quick).unwrap().iter().map(|entry| entry.name).collect()
        };
        assert_eq!(names(Some("search"), false), ["search"]);
        assert_eq!(names(Some("propose"), true), ["propose"]);
        assert_eq!(names(Some("all"), false).len(), FAMILIES.len());
        assert_eq!(names(None, false).len(), FAMILIES.len());
        assert_eq!(names(None, true), ["tpe", "search", "compile", "overhead"]);
        let error = choose(Some("speed"), false).unwrap_err().to_string();
        assert!(error.contains("tpe, search, compile, overhead, propose, task, and all"), "{error}");
    }

    #[cfg(feature = "models")]
    #[test]
    fn every_family_can_be_made() {
        for entry in &FAMILIES {
            assert!(make(entry.name).is_some(), "{}", entry.name);
        }
    }
}
