//! The command that the README gives for the tests, taken from its text, so that it cannot go stale.
//!
//! The README marks the block with an HTML comment that readers do not see:
//!
//! ````text
//! <!-- command: test -->
//! ```sh
//! cargo test
//! ```
//! ````
//!
//! The words are run as they stand, without a shell, so that the command is the same on every system. The
//! environment keeps it from reaching any network but the machine's own, and from finding weights.

use std::path::Path;

use super::steps::Invocation;
use crate::error::Error;

/// The line before the block.
pub(crate) const MARKER: &str = "<!-- command: test -->";

/// A port on which nothing listens: connections are refused at once.
const NOWHERE: &str = "http://127.0.0.1:9";

/// The hosts that tests may talk to.
const THIS_MACHINE: &str = "127.0.0.1,localhost,::1";

/// The commands of the marked block, ready to run.
///
/// # Errors
///
/// When there is no such block, or a line needs a shell.
pub(super) fn invocations(readme: &str) -> Result<Vec<Invocation>, Error> {
    let wrong = |problem: String| Error::Content { file: "README.md".into(), problem };
    let lines = block(readme).ok_or_else(|| {
        wrong(format!("no block for the tests: put `{MARKER}` on the line before its opening fence"))
    })?;
    if lines.is_empty() {
        return Err(wrong("the block for the tests is empty".into()));
    }
    let mut invocations = Vec::new();
    for line in lines {
        if line.contains(['|', '&', ';', '<', '>', '$', '`', '"', '\'', '*', '\\']) {
            return Err(wrong(format!("`{line}` needs a shell: write one plain command a line")));
        }
        invocations.push(Invocation::new(line));
    }
    Ok(invocations)
}

/// The lines of the marked block without comments and empty lines.
fn block(readme: &str) -> Option<Vec<&str>> {
    let mut lines = readme.lines().map(str::trim);
    lines.find(|line| *line == MARKER)?;
    lines.find(|line| !line.is_empty())?.strip_prefix("```")?;
    let body = lines.by_ref().take_while(|line| *line != "```").collect::<Vec<_>>();
    Some(body.into_iter().filter(|line| !line.is_empty() && !line.starts_with('#')).collect())
}

/// The command without weights and without a network beyond this machine.
pub(super) fn isolated(invocation: Invocation, target: &Path) -> Invocation {
    let mut invocation = invocation
        .with("CARGO_NET_OFFLINE", "true")
        .with("TELEPROMPT_CACHE", target.join("no-weights").to_string_lossy())
        .with("TELEPROMPT_WEIGHTS", "");
    for name in ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"] {
        invocation = invocation.with(name, NOWHERE);
    }
    invocation.with("NO_PROXY", THIS_MACHINE).with("no_proxy", THIS_MACHINE)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(readme: &str) -> Vec<String> {
        invocations(readme).unwrap().iter().map(Invocation::to_string).collect()
    }

    #[test]
    fn the_marked_block_is_taken_and_no_other() {
        let readme = "```sh\ncargo run\n```\n<!-- command: test -->\n```sh\n# all of them\ncargo test --workspace\n```\n\
            ```sh\ncargo bench\n```\n";
        assert_eq!(lines(readme), ["cargo test --workspace"]);
    }

    #[test]
    fn an_empty_line_after_the_marker_is_fine() {
        assert_eq!(lines("<!-- command: test -->\n\n```sh\ncargo test\n```\n"), ["cargo test"]);
    }

    #[test]
    fn a_missing_block_and_shell_syntax_are_errors() {
        let check = |readme: &str, expect: &str| {
            let message = invocations(readme).unwrap_err().to_string();
            assert!(message.contains(expect), "{message}");
        };
        check("```sh\ncargo test\n```\n", "command: test");
        check("<!-- command: test -->\ntext\n", "command: test");
        check("<!-- command: test -->\n```sh\n```\n", "empty");
        check("<!-- command: test -->\n```sh\ncd x && cargo test\n```\n", "needs a shell");
    }

    #[test]
    fn the_command_is_kept_from_networks_and_weights() {
        let invocation = isolated(Invocation::new("cargo test"), Path::new("/x"));
        assert!(invocation.environment.contains(&("CARGO_NET_OFFLINE", "true".into())));
        assert!(invocation.environment.contains(&("https_proxy", NOWHERE.into())));
        assert_eq!((invocation.program.as_str(), invocation.arguments.len()), ("cargo", 1));
    }
}
