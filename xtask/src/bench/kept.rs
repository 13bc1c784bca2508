//! What a run leaves behind: figures, tables and plots, each written as soon as it is there, so that a run that is ended
//! loses what it was at and no more.
//!
//! ```text
//!   figure ──► --json FILE          after every figure; an earlier FILE is gone on with by --resume
//!   family ──► docs/BENCHMARKS.md   its block, after each family
//!          └─► *.svg                in --plots FOLDER, and docs/plots with --write-docs
//! ```

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::machine::Machine;
use super::plot::Plot;
use super::record::{Comparison, Report};
use super::{Options, docs};
use crate::error::Error;
use crate::workspace::Workspace;

/// Where the plots of the document are, relative to the root.
pub(crate) const PLOTS: &str = "docs/plots";

/// The files of a run.
#[derive(Debug)]
pub(crate) struct Kept {
    pub(crate) machine: Machine,
    json: Option<PathBuf>,
    document: Option<PathBuf>,
    plots: Vec<PathBuf>,
    /// What an earlier run measured.
    earlier: Vec<Comparison>,
    /// Of the families that are done.
    done: Vec<Comparison>,
    /// Of the family that is being measured.
    current: Vec<Comparison>,
}

impl Kept {
    /// Opens the files that the options name, so that one that cannot be written is known before hours of work.
    ///
    /// # Errors
    ///
    /// When a file cannot be read or written, or an earlier one is of another machine.
    pub(crate) fn open(workspace: &Workspace, options: &Options) -> Result<Self, Error> {
        let machine = Machine::this(workspace);
        let earlier = match &options.json {
            Some(path) if options.resume => earlier(path, &machine)?,
            _ => Vec::new(),
        };
        let document = options.write_docs.then(|| workspace.path(docs::FILE));
        let mut plots: Vec<PathBuf> = options.plots.iter().cloned().collect();
        plots.extend(options.write_docs.then(|| workspace.path(PLOTS)));
        for folder in &plots {
            fs::create_dir_all(folder).map_err(Error::file("make the folder", folder))?;
        }
        let kept = Self {
            machine,
            json: options.json.clone(),
            document,
            plots,
            earlier,
            done: Vec::new(),
            current: Vec::new(),
        };
        kept.write_json()?;
        Ok(kept)
    }

    /// Whether anyone wants plots.
    pub(crate) fn wants_plots(&self) -> bool {
        !self.plots.is_empty()
    }

    /// What an earlier run measured of a figure: against all of these contenders, with as many seeds.
    pub(crate) fn known(&self, name: &str, contenders: &[String], seeds: u32) -> Option<Vec<Comparison>> {
        let known = |contender: &String| {
            let fits = |known: &&Comparison| {
                known.name == name && known.peer_name == *contender && known.seeds == seeds as usize
            };
            // Who failed has another chance.
            self.earlier.iter().find(fits).filter(|known| known.failure().is_none()).cloned()
        };
        contenders.iter().map(known).collect()
    }

    /// Writes the figures that there are of the family that is being measured, in place of those written before.
    pub(crate) fn keep(&mut self, figures: &[Comparison]) -> Result<(), Error> {
        self.current = figures.to_vec();
        self.write_json()
    }

    /// Writes the last figures of a family, and its block in the document.
    pub(crate) fn finish(
        &mut self,
        family: &str,
        figures: Vec<Comparison>,
        block: Option<&str>,
    ) -> Result<(), Error> {
        self.current.clear();
        self.done.extend(figures);
        self.write_json()?;
        let (Some(path), Some(block)) = (&self.document, block) else { return Ok(()) };
        // Read again: it may have been edited meanwhile.
        let text = fs::read_to_string(path).map_err(Error::file("read", path))?;
        let text = docs::replace(&text, family, block)
            .map_err(|problem| Error::Content { file: docs::FILE.into(), problem: problem.message })?;
        write(path, &text)
    }

    /// Writes a plot.
    pub(crate) fn plot(&self, plot: &Plot) -> Result<(), Error> {
        let text = plot.svg();
        self.plots.iter().try_for_each(|folder| write(&folder.join(format!("{}.svg", plot.name)), &text))
    }

    /// The figures that break the form of the file, each with what is wrong.
    pub(crate) fn problems(&self) -> Vec<String> {
        self.done.iter().filter_map(Comparison::problem).collect()
    }

    fn write_json(&self) -> Result<(), Error> {
        let Some(path) = &self.json else { return Ok(()) };
        let mut results: Vec<Comparison> = self.done.iter().chain(&self.current).cloned().collect();
        // Those of an earlier run stay until they are measured again.
        let again = |known: &&Comparison| {
            !results.iter().any(|new| new.name == known.name && new.peer_name == known.peer_name)
        };
        let rest: Vec<Comparison> = self.earlier.iter().filter(again).cloned().collect();
        results.extend(rest);
        write(path, &Report::new(self.machine.clone(), results).to_json())
    }
}

/// The figures of an earlier run; none when there is no file.
fn earlier(path: &Path, machine: &Machine) -> Result<Vec<Comparison>, Error> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(Error::file("read", path)(error)),
    };
    let wrong = |problem: String| Error::Content { file: path.display().to_string(), problem };
    let report = Report::from_json(&text)
        .map_err(|problem| wrong(format!("{problem}; leave `--resume` out to begin anew")))?;
    if report.machine != *machine {
        let other = report.machine.describe();
        return Err(wrong(format!(
            "was measured on another machine ({other}): figures of two do not compare"
        )));
    }
    Ok(report.results)
}

/// Writes a file whole or not at all.
fn write(path: &Path, text: &str) -> Result<(), Error> {
    let mut new = path.as_os_str().to_owned();
    new.push(".tmp");
    fs::write(&new, text).map_err(Error::file("write", path))?;
    fs::rename(&new, path).map_err(Error::file("write", path))
}

#[cfg(test)]
mod tests {
    use super::super::record::tests::{missing, sample};
    use super::*;

    /// A run that writes `name` into a folder of its own.
    fn options(name: &str, resume: bool) -> Options {
        let folder = std::env::temp_dir().join(format!("teleprompt-kept-{}-{name}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        Options { json: Some(folder.join("figures.json")), resume, ..Options::default() }
    }

    fn written(options: &Options) -> Vec<Comparison> {
        Report::from_json(&fs::read_to_string(options.json.as_ref().unwrap()).unwrap()).unwrap().results
    }

    fn end(options: &Options) {
        fs::remove_dir_all(options.json.as_ref().unwrap().parent().unwrap()).unwrap();
    }

    #[test]
    fn what_is_measured_is_in_the_file_at_once() {
        let workspace = Workspace::find().unwrap();
        let options = options("at-once", false);
        let mut kept = Kept::open(&workspace, &options).unwrap();
        assert_eq!(written(&options), []);
        kept.keep(&[sample()]).unwrap();
        kept.keep(&[sample(), missing()]).unwrap();
        assert_eq!(written(&options), [sample(), missing()]);
        kept.finish("tpe", vec![sample()], None).unwrap();
        kept.keep(&[missing()]).unwrap();
        assert_eq!(written(&options), [sample(), missing()]);
        end(&options);
    }

    #[test]
    fn a_run_that_was_ended_goes_on() {
        let workspace = Workspace::find().unwrap();
        let options = options("goes-on", true);
        Kept::open(&workspace, &options).unwrap().keep(&[sample(), missing()]).unwrap();
        let mut kept = Kept::open(&workspace, &options).unwrap();
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        assert_eq!(kept.known("ask and tell", &names(&["optuna"]), 20), Some(vec![sample()]));
        assert_eq!(kept.known("ask and tell", &names(&["optuna"]), 5), None);
        assert_eq!(kept.known("ask and tell", &names(&["optuna", "random"]), 20), None);
        assert_eq!(kept.known("regret", &names(&["optuna"]), 20), None);
        // What is measured again takes the place of what was.
        let again = Comparison { ours: Some(1.0), ..sample() };
        kept.finish("tpe", vec![again.clone()], None).unwrap();
        assert_eq!(written(&options), [again]);
        end(&options);
    }

    #[test]
    fn a_file_of_another_machine_is_not_gone_on_with() {
        let workspace = Workspace::find().unwrap();
        let options = options("machine", true);
        let other = Machine { cpu: "another".into(), ..Machine::default() };
        let path = options.json.clone().unwrap();
        fs::write(&path, Report::new(other, Vec::new()).to_json()).unwrap();
        let message = Kept::open(&workspace, &options).unwrap_err().to_string();
        assert!(message.contains("another machine"), "{message}");
        fs::write(&path, "{").unwrap();
        let message = Kept::open(&workspace, &options).unwrap_err().to_string();
        assert!(message.contains("leave `--resume` out"), "{message}");
        end(&options);
    }
}
