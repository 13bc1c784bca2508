//! Rules about Markdown: the documents that must be there, their links, and the blocks that are generated.

use super::{Finding, Tree};
use crate::bench::docs;
use crate::bench::family::FAMILIES;
use crate::ci::readme;

/// Documents that users and contributors are pointed to.
const DOCUMENTS: [&str; 9] = [
    "README.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "LICENSE-MIT",
    "LICENSE-APACHE",
    "docs/ARCHITECTURE.md",
    "docs/GLOSSARY.md",
    "docs/PARITY.md",
    docs::FILE,
];

/// The findings of all Markdown files.
pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in DOCUMENTS.iter().filter(|file| !tree.contains(file)) {
        findings.push(Finding::fail("documents", file, 0, "is missing", "write it"));
    }
    if tree.get("README.md").is_some_and(|text| !text.contains(readme::MARKER)) {
        let remedy = format!("put `{}` on the line before the block with the test command", readme::MARKER);
        findings.push(Finding::fail("documents", "README.md", 0, "does not mark its test command", remedy));
    }
    for (file, text) in tree.ending(".md") {
        findings.extend(links(tree, file, text));
    }
    if let Some(text) = tree.get("CHANGELOG.md") {
        findings.extend(changelog(text));
    }
    if let Some(text) = tree.get(docs::FILE) {
        findings.extend(blocks(text));
    }
    findings
}

fn changelog(text: &str) -> Option<Finding> {
    let heading = |line: &str| {
        line.strip_prefix("## ").is_some_and(|title| title.trim().trim_matches(['[', ']']) == "Unreleased")
    };
    (!text.lines().any(heading)).then(|| {
        let remedy = "add `## [Unreleased]` above the newest version, and the change below it";
        Finding::fail("changelog", "CHANGELOG.md", 0, "has no section for what is not released yet", remedy)
    })
}

/// Generated tables stand between markers, or the next run cannot find them, and say which command makes them.
fn blocks(text: &str) -> Vec<Finding> {
    let finding = |problem: docs::Problem, remedy| {
        Finding::fail("bench-blocks", docs::FILE, problem.line, problem.message, remedy)
    };
    match docs::blocks(text) {
        Err(problem) => {
            let remedy =
                "write `<!-- bench:NAME:begin -->` and `<!-- bench:NAME:end -->` around each generated block";
            vec![finding(problem, remedy)]
        }
        Ok(blocks) => {
            let families = FAMILIES.each_ref().map(|entry| entry.name);
            let remedy =
                "make it with `cargo xtask bench NAME --write-docs`, and leave its first line as it is";
            let problems = blocks.iter().filter_map(|block| block.problem(&families));
            problems.map(|problem| finding(problem, remedy)).collect()
        }
    }
}

/// Links to files of the repository lead somewhere.
fn links(tree: &Tree, file: &str, text: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut fenced = false;
    for (index, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
            continue;
        }
        let targets = if fenced { Vec::new() } else { targets(line) };
        for target in targets.into_iter().filter(|target| is_local(target)) {
            let path = target.split(['#', '?']).next().unwrap_or_default();
            let found = resolve(file, path).is_some_and(|path| tree.contains(&path));
            if !path.is_empty() && !found {
                let message = format!("the link to `{target}` leads nowhere");
                let remedy = "correct the path, which is relative to this file, or remove the link";
                findings.push(Finding::fail("links", file, index + 1, message, remedy));
            }
        }
    }
    findings
}

fn is_local(target: &str) -> bool {
    !target.contains("://") && !target.starts_with("mailto:") && !target.starts_with('#')
}

/// The targets of `[text](target)`, of `[name]: target`, and of `src="target"` and `href="target"`.
fn targets(line: &str) -> Vec<String> {
    let line = without_code(line);
    let mut found: Vec<&str> = Vec::new();
    for (marker, close) in [("](", ')'), ("src=\"", '"'), ("href=\"", '"')] {
        found.extend(line.split(marker).skip(1).filter_map(|piece| piece.split(close).next()));
    }
    if let Some((name, target)) = line.split_once("]: ")
        && name.starts_with('[')
        && !name.starts_with("[^")
    {
        found.push(target);
    }
    // A title may follow: `[text](target "title")`.
    let bare = found.into_iter().filter_map(|target| target.split_whitespace().next());
    bare.map(|target| target.trim_matches(['<', '>']).to_owned()).collect()
}

/// `line` without its `code spans`.
fn without_code(line: &str) -> String {
    line.split('`').step_by(2).collect::<Vec<_>>().join("``")
}

/// A path relative to `file`'s folder, from the root. `None` if it leaves the repository.
fn resolve(file: &str, path: &str) -> Option<String> {
    let mut parts: Vec<&str> = if path.starts_with('/') { Vec::new() } else { file.split('/').collect() };
    parts.pop();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::super::tests::found;
    use super::*;

    fn check(line: &str, expect: &[(&'static str, usize)]) {
        let files =
            [("docs/guide.md", line), ("docs/other.md", ""), ("README.md", ""), ("crates/core/x.rs", "")];
        assert_eq!(found(&files), expect, "{line}");
    }

    #[test]
    fn links_lead_somewhere() {
        check(
            "[a](other.md), [b](../README.md#top), [c](#here), [d](https://a.b/c), [e](../crates/core)\n",
            &[],
        );
        check("\n[a](gone.md) and [b](other.md)\n", &[("links", 2)]);
        check("![p](plot.svg)\n", &[("links", 1)]);
        check("[a]: gone.md \"title\"\n", &[("links", 1)]);
        check("<img src=\"gone.png\">\n", &[("links", 1)]);
        check("[out](../../other/file.md)\n", &[("links", 1)]);
        check("[root](/docs/other.md)\n", &[]);
    }

    #[test]
    fn code_has_no_links() {
        check("```text\n[a](gone.md)\n```\n", &[]);
        check("`v[0](x)` and `[a](gone.md)`\n", &[]);
    }

    #[test]
    fn the_changelog_has_an_unreleased_section() {
        assert_eq!(found(&[("CHANGELOG.md", "# Changelog\n## [Unreleased]\n")]), []);
        assert_eq!(found(&[("CHANGELOG.md", "## Unreleased\n")]), []);
        assert_eq!(found(&[("CHANGELOG.md", "## [0.1.0]\n")]), [("changelog", 0)]);
    }

    #[test]
    fn generated_blocks_are_closed() {
        let check = |text: &str| found(&[(docs::FILE, text)]);
        let made = "Made by `cargo xtask bench tpe --write-docs` on x.";
        assert_eq!(check(&format!("<!-- bench:tpe:begin -->\n{made}\n<!-- bench:tpe:end -->\n")), []);
        assert_eq!(check("<!-- bench:tpe:begin -->\nx\n<!-- bench:tpe:end -->\n"), [("bench-blocks", 1)]);
        assert_eq!(check("x\n<!-- bench:tpe:begin -->\nx\n"), [("bench-blocks", 2)]);
    }

    #[test]
    fn missing_documents_are_named() {
        let tree = Tree::from_files([("README.md", readme::MARKER)]);
        let files: Vec<String> = super::check(&tree).into_iter().map(|finding| finding.file).collect();
        assert_eq!(files.len(), DOCUMENTS.len() - 1);
        assert!(files.contains(&"docs/GLOSSARY.md".to_owned()));
    }
}
