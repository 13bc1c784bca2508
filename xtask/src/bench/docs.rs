//! The generated blocks of `docs/BENCHMARKS.md`: found by their markers, replaced whole, never edited by hand.
//!
//! ```text
//!   <!-- bench:tpe:begin -->
//!   ... what `cargo xtask bench tpe --write-docs` wrote ...
//!   <!-- bench:tpe:end -->
//! ```

/// The document with the blocks, relative to the root.
pub(crate) const FILE: &str = "docs/BENCHMARKS.md";

/// How the first line of a block begins; the command follows, and a backquote.
pub(crate) const MADE_BY: &str = "Made by `";

/// One generated block: what stands between its markers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Block {
    /// The name in the markers.
    pub(crate) name: String,
    /// The line of the first marker, from 0.
    begin: usize,
    /// The line of the second marker, from 0.
    end: usize,
    /// The command that made it, as its first line says; `None` when that line says nothing.
    pub(crate) command: Option<String>,
}

impl Block {
    /// The family that makes it.
    pub(crate) fn family(&self) -> &str {
        self.name.split('-').next().unwrap_or_default()
    }

    /// What is wrong with the block itself: it is of a family, and was made by the command of that family.
    pub(crate) fn problem(&self, families: &[&str]) -> Option<Problem> {
        let problem = |message: String| Some(Problem { line: self.begin + 1, message });
        // A family may have several blocks: `search-ablation` is one of `search`.
        let (name, family) = (&self.name, self.family());
        if !families.contains(&family) {
            return problem(format!("no family makes the block `{name}`; there are {}", families.join(", ")));
        }
        let start = format!("cargo xtask bench {family} ");
        match &self.command {
            Some(command) if format!("{command} ").starts_with(&start) => None,
            // Its figures are still to be made.
            None if self.end == self.begin + 1 => None,
            _ => problem(format!(
                "the block `{name}` does not begin with the command that made it, `{start}..`"
            )),
        }
    }
}

/// Why markers do not form blocks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    /// The line, from 1.
    pub(crate) line: usize,
    pub(crate) message: String,
}

/// All blocks in order.
pub(crate) fn blocks(text: &str) -> Result<Vec<Block>, Problem> {
    let mut found: Vec<Block> = Vec::new();
    let mut open: Option<(&str, usize)> = None;
    for (index, line) in text.lines().enumerate() {
        let problem = |message: String| Problem { line: index + 1, message };
        match (marker(line), open) {
            (None, _) => {}
            (Some((name, "begin")), None) => {
                if found.iter().any(|block| block.name == name) {
                    return Err(problem(format!("a second block `{name}`")));
                }
                open = Some((name, index));
            }
            (Some((name, "end")), Some((begun, begin))) if name == begun => {
                let first = text.lines().nth(begin + 1).unwrap_or_default();
                let command = first.strip_prefix(MADE_BY).and_then(|rest| rest.split('`').next());
                let command = command.map(str::to_owned);
                found.push(Block { name: name.to_owned(), begin, end: index, command });
                open = None;
            }
            (Some((name, kind @ ("begin" | "end"))), _) => {
                return Err(problem(format!("the marker `bench:{name}:{kind}` stands out of order")));
            }
            (Some((name, kind)), _) => {
                return Err(problem(format!(
                    "the marker `bench:{name}:{kind}` is neither `begin` nor `end`"
                )));
            }
        }
    }
    match open {
        Some((name, begin)) => {
            Err(Problem { line: begin + 1, message: format!("block `{name}` has no end") })
        }
        None => Ok(found),
    }
}

/// The name and the kind of a marker line.
fn marker(line: &str) -> Option<(&str, &str)> {
    let inner = line.trim().strip_prefix("<!-- bench:")?.strip_suffix("-->")?;
    inner.trim().rsplit_once(':')
}

/// `text` with the inside of block `name` replaced by `content`.
///
/// # Errors
///
/// When the markers do not form blocks, or none has this name.
pub(crate) fn replace(text: &str, name: &str, content: &str) -> Result<String, Problem> {
    let blocks = blocks(text)?;
    let block = blocks.iter().find(|block| block.name == name).ok_or_else(|| Problem {
        line: 0,
        message: format!(
            "no block `{name}`: add the lines `<!-- bench:{name}:begin -->` and `<!-- bench:{name}:end -->`"
        ),
    })?;
    let lines: Vec<&str> = text.lines().collect();
    let before = lines.iter().take(block.begin + 1).copied();
    let after = lines.iter().skip(block.end).copied();
    let mut replaced: Vec<&str> = before.collect();
    replaced.extend(content.trim_end().lines());
    replaced.extend(after);
    Ok(replaced.join("\n") + "\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# B\n<!-- bench:tpe:begin -->\nold\n<!-- bench:tpe:end -->\nby hand\n";

    #[test]
    fn a_block_is_replaced_and_the_rest_kept() {
        let replaced = replace(TEXT, "tpe", "new 1\nnew 2\n").unwrap();
        assert_eq!(
            replaced,
            "# B\n<!-- bench:tpe:begin -->\nnew 1\nnew 2\n<!-- bench:tpe:end -->\nby hand\n"
        );
        assert_eq!(replace(&replaced, "tpe", "old").unwrap(), TEXT);
    }

    #[test]
    fn a_missing_block_names_its_markers() {
        assert!(replace(TEXT, "search", "x").unwrap_err().message.contains("<!-- bench:search:begin -->"));
    }

    #[test]
    fn a_block_names_its_family_and_command() {
        let check = |first: &str, name: &str| {
            let text = format!("<!-- bench:{name}:begin -->\n{first}\n<!-- bench:{name}:end -->\n");
            blocks(&text).unwrap()[0].problem(&["tpe", "search"]).map(|problem| problem.message)
        };
        assert_eq!(check("Made by `cargo xtask bench tpe --seeds 5` on x.", "tpe"), None);
        assert!(check("Made by `cargo xtask bench tpe` on x.", "search").unwrap().contains("bench search"));
        assert!(
            blocks("<!-- bench:tpe:begin -->\n<!-- bench:tpe:end -->\n").unwrap()[0]
                .problem(&["tpe"])
                .is_none()
        );
        assert!(check("by hand", "tpe").unwrap().contains("does not begin with the command"));
        assert!(
            check("Made by `cargo xtask bench speed` on x.", "speed")
                .unwrap()
                .contains("there are tpe, search")
        );
    }

    #[test]
    fn broken_markers_are_named_with_their_line() {
        let check = |text: &str, line: usize| assert_eq!(blocks(text).unwrap_err().line, line, "{text}");
        check("<!-- bench:a:begin -->\n", 1);
        check("\n<!-- bench:a:end -->\n", 2);
        check("<!-- bench:a:begin -->\n<!-- bench:b:end -->\n", 2);
        check("<!-- bench:a:start -->\n", 1);
        check(&format!("{TEXT}{TEXT}"), 7);
    }
}
