//! The rules of the house that neither the compiler nor clippy knows, as a function from files to findings.
//!
//! ```text
//!   Tree (path -> text) ──► manifests ─┐
//!                       ├─► sources    ├─► Vec<Finding>, sorted by file and line
//!                       └─► documents ─┘
//! ```
//!
//! The rules look at text, not at the compiler's view of it: a rule that needs types belongs into a lint. Each
//! finding names file, line, rule and remedy. Why the rules are as they are: `docs/ARCHITECTURE.md`.

mod documents;
mod manifests;
mod mask;
mod sources;
mod tree;

use std::fmt;
use std::process::ExitCode;

use crate::error::Error;
use crate::workspace::Workspace;

pub(crate) use tree::Tree;

/// Whether a finding fails the check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Severity {
    /// Must be mended.
    Fail,
    /// Worth a look.
    Note,
}

/// One violation of one rule at one place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Finding {
    /// The file, relative to the root, with forward slashes.
    pub(crate) file: String,
    /// From 1; 0 where the whole file is meant.
    pub(crate) line: usize,
    pub(crate) severity: Severity,
    /// The rule's name, the same for all its findings.
    pub(crate) rule: &'static str,
    /// What is wrong.
    pub(crate) message: String,
    /// What to do about it.
    pub(crate) remedy: String,
}

impl Finding {
    fn fail(
        rule: &'static str,
        file: &str,
        line: usize,
        message: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        let (message, remedy) = (message.into(), remedy.into());
        Self { file: file.to_owned(), line, severity: Severity::Fail, rule, message, remedy }
    }

    fn note(self) -> Self {
        Self { severity: Severity::Note, ..self }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = match self.severity {
            Severity::Fail => "error",
            Severity::Note => "note",
        };
        write!(f, "{severity}[{}] {}", self.rule, self.file)?;
        if self.line > 0 {
            write!(f, ":{}", self.line)?;
        }
        write!(f, ": {}\n    remedy: {}", self.message, self.remedy)
    }
}

/// All violations in `tree`, sorted by file and line.
pub(crate) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = manifests::check(tree);
    findings.extend(sources::check(tree));
    findings.extend(documents::check(tree));
    findings.sort_by(|a, b| (&a.file, a.line, a.rule).cmp(&(&b.file, b.line, b.rule)));
    findings
}

/// Checks the workspace and prints what was found.
pub(crate) fn run(workspace: &Workspace) -> Result<ExitCode, Error> {
    let tree = Tree::load(workspace.root())?;
    let findings = check(&tree);
    for finding in &findings {
        println!("{finding}");
    }
    let failed = findings.iter().filter(|finding| finding.severity == Severity::Fail).count();
    println!("tidy: {} files, {failed} errors, {} notes", tree.len(), findings.len() - failed);
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The rules and lines that `check` reports for the given files, without those of missing documents.
    pub(super) fn found(files: &[(&str, &str)]) -> Vec<(&'static str, usize)> {
        check(&Tree::from_files(files.iter().copied()))
            .into_iter()
            .filter(|finding| finding.rule != "documents")
            .map(|finding| (finding.rule, finding.line))
            .collect()
    }

    #[test]
    fn a_finding_names_file_line_rule_and_remedy() {
        let finding =
            Finding::fail("no-unsafe", "crates/core/src/lm.rs", 7, "`unsafe` code", "find a safe way");
        assert_eq!(
            finding.to_string(),
            "error[no-unsafe] crates/core/src/lm.rs:7: `unsafe` code\n    remedy: find a safe way"
        );
        assert!(finding.note().to_string().starts_with("note["));
    }

    #[test]
    fn findings_are_sorted_by_file_and_line() {
        let tree = Tree::from_files([
            ("crates/b/src/lib.rs", "//! B.\nfn f() {\n    todo!()\n}\nunsafe fn g() {}\n"),
            ("crates/a/src/lib.rs", "fn f() {}\n"),
        ]);
        let places: Vec<_> =
            check(&tree).into_iter().filter(|f| f.line > 0).map(|f| (f.file, f.line)).collect();
        assert_eq!(
            places,
            [
                ("crates/a/src/lib.rs".to_owned(), 1),
                ("crates/b/src/lib.rs".to_owned(), 3),
                ("crates/b/src/lib.rs".to_owned(), 5)
            ]
        );
    }
}
