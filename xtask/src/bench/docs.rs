//! The generated blocks of `docs/BENCHMARKS.md`: found by their markers, replaced whole, never edited by hand.
//!
//! ```text
//!   <!-- bench:tpe:begin -->
//!   ... what `cargo xtask bench tpe --write-docs` wrote ...
//!   <!-- bench:tpe:end -->
//! ```

/// The document with the blocks, relative to the root.
pub(crate) const FILE: &str = "docs/BENCHMARKS.md";

/// One generated block: what stands between its markers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Block {
    /// The name in the markers.
    pub(crate) name: String,
    /// The line of the first marker, from 0.
    begin: usize,
    /// The line of the second marker, from 0.
    end: usize,
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
                found.push(Block { name: name.to_owned(), begin, end: index });
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
    fn broken_markers_are_named_with_their_line() {
        let check = |text: &str, line: usize| assert_eq!(blocks(text).unwrap_err().line, line, "{text}");
        check("<!-- bench:a:begin -->\n", 1);
        check("\n<!-- bench:a:end -->\n", 2);
        check("<!-- bench:a:begin -->\n<!-- bench:b:end -->\n", 2);
        check("<!-- bench:a:start -->\n", 1);
        check(&format!("{TEXT}{TEXT}"), 7);
    }
}
