//! Rules about Rust files: length, head, and what must not stand in them.

use std::ops::Range;

use super::mask::{code, line_of, words};
use super::{Finding, Tree};

/// Past this many lines a file fails.
const MAX_LINES: usize = 600;
/// Past this many lines a file is noted.
const LONG_LINES: usize = 400;

/// The findings of all Rust files of the workspace's packages.
pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (file, text) in tree.ending(".rs").filter(|(file, _)| is_ours(file)) {
        let masked = code(text);
        findings.extend(length(file, text));
        findings.extend(head(file, text));
        findings.extend(macros(file, &masked));
        findings.extend(attributes(file, &masked));
        findings.extend(unsafe_code(file, &masked));
        findings.extend(sleeps(file, &masked));
        findings.extend(ignored_doctests(file, text));
    }
    findings
}

/// Whether a file belongs to a package. Cases for the compiler are wrong on purpose.
fn is_ours(file: &str) -> bool {
    let package = ["crates/", "examples/", "xtask/", "fuzz/"].iter().any(|folder| file.starts_with(folder));
    package && !["/tests/ui/", "/tests/compile/"].iter().any(|cases| file.contains(cases))
}

fn length(file: &str, text: &str) -> Option<Finding> {
    let lines = text.lines().count();
    let finding = |limit: usize| {
        let remedy = "split it by concept, each file with a head of its own (never `utils.rs`)";
        Finding::fail("file-length", file, lines, format!("{lines} lines, more than {limit}"), remedy)
    };
    match lines {
        lines if lines > MAX_LINES => Some(finding(MAX_LINES)),
        lines if lines > LONG_LINES => Some(finding(LONG_LINES).note()),
        _ => None,
    }
}

/// Files below `src` and examples say what they are.
fn head(file: &str, text: &str) -> Option<Finding> {
    let wanted = file.contains("/src/") || file.starts_with("examples/");
    let present = text.trim_start_matches('\u{feff}').trim_start().starts_with("//!");
    (wanted && !present).then(|| {
        let remedy = "say in its first lines what it is, what it is not, and where the method comes from";
        Finding::fail("module-head", file, 1, "does not start with a `//!` head", remedy)
    })
}

fn macros(file: &str, masked: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    for name in ["todo", "unimplemented"] {
        for at in words(masked, name) {
            let rest = masked.get(at + name.len()..).unwrap_or_default();
            if rest.trim_start().starts_with('!') && !rest.trim_start().starts_with("!=") {
                let remedy = "write it, or return an error that says what is missing";
                findings.push(Finding::fail(
                    "no-placeholder",
                    file,
                    line_of(masked, at),
                    format!("`{name}!`"),
                    remedy,
                ));
            }
        }
    }
    findings
}

/// `#[ignore]`, `#[allow(..)]`, and `#[expect(..)]` without a reason.
fn attributes(file: &str, masked: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    let generated = generated(masked);
    for (at, body) in attribute_bodies(masked) {
        let line = line_of(masked, at);
        let name = body.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or_default();
        let has = |word: &str| name == word || (name == "cfg_attr" && words(body, word).next().is_some());
        if has("ignore") {
            let remedy = "make the test run everywhere, or delete it";
            findings.push(Finding::fail("no-ignored-test", file, line, "`#[ignore]`", remedy));
        }
        // Generated code cannot know whether a lint would have fired.
        if has("allow") && !generated.iter().any(|range| range.contains(&at)) {
            let remedy = "use `#[expect(lint, reason = \"..\")]`, which goes when its cause is gone";
            findings.push(Finding::fail("no-allow", file, line, "`#[allow(..)]`", remedy));
        }
        if has("expect") && words(body, "reason").next().is_none() {
            let remedy = "add `reason = \"..\"`";
            findings.push(Finding::fail(
                "expect-reason",
                file,
                line,
                "`#[expect(..)]` without a reason",
                remedy,
            ));
        }
    }
    findings
}

/// The insides of `quote!` and its kin, which write code for users.
fn generated(masked: &str) -> Vec<Range<usize>> {
    let mut ranges = Vec::new();
    for name in ["quote", "quote_spanned", "parse_quote"] {
        for at in words(masked, name) {
            let start = at + name.len();
            let Some(rest) = masked.get(start..) else { continue };
            let Some(rest) = rest.trim_start().strip_prefix('!') else { continue };
            let mut depth = 0_usize;
            let close = rest.char_indices().find(|&(_, c)| {
                match c {
                    '(' | '[' | '{' => depth += 1,
                    ')' | ']' | '}' => depth = depth.saturating_sub(1),
                    _ => return false,
                }
                depth == 0
            });
            ranges.extend(close.map(|(close, _)| start..masked.len() - rest.len() + close));
        }
    }
    ranges
}

/// The place and the inner text of each `#[..]` and `#![..]`.
fn attribute_bodies(masked: &str) -> Vec<(usize, &str)> {
    let mut bodies = Vec::new();
    for (at, _) in masked.match_indices('#') {
        let Some(rest) = masked.get(at + 1..) else { continue };
        let inner = rest.strip_prefix('!').unwrap_or(rest).trim_start();
        let Some(inner) = inner.strip_prefix('[') else { continue };
        let mut depth = 1_usize;
        let close = inner.char_indices().find(|&(_, c)| {
            match c {
                '[' => depth += 1,
                ']' => depth -= 1,
                _ => {}
            }
            depth == 0
        });
        if let Some(body) = close.and_then(|(close, _)| inner.get(..close)) {
            bodies.push((at, body.trim_start()));
        }
    }
    bodies
}

fn unsafe_code(file: &str, masked: &str) -> Vec<Finding> {
    let finding = |at| {
        let remedy = "the workspace forbids it: find a safe way, or a dependency that has one";
        Finding::fail("no-unsafe", file, line_of(masked, at), "`unsafe` code", remedy)
    };
    // `Token![unsafe]` is how a macro reads the word in its user's code.
    let read = |at: usize| masked.get(..at).is_some_and(|before| before.ends_with("Token!["));
    words(masked, "unsafe").filter(|&at| !read(at)).map(finding).collect()
}

/// Tests wait for events, not for time: a sleep makes them slow, and wrong on a busy machine. tokio's sleep takes no
/// time where the clock is stopped.
fn sleeps(file: &str, masked: &str) -> Vec<Finding> {
    let tests = tests_begin(file, masked);
    let mut findings = Vec::new();
    for at in words(masked, "sleep").filter(|&at| at >= tests) {
        let before = masked.get(..at).unwrap_or_default();
        let called = masked.get(at + "sleep".len()..).is_some_and(|rest| rest.starts_with('('));
        let own = before.ends_with('.') || before.ends_with("fn ") || before.ends_with("Self::");
        let stopped = !before.ends_with("thread::") && in_virtual_time(masked, before);
        if called && !own && !stopped {
            let remedy = "wait for an event, or stop the clock: `#[tokio::test(start_paused = true)]`";
            findings.push(Finding::fail("no-sleep", file, line_of(masked, at), "a sleep in a test", remedy));
        }
    }
    findings
}

/// The byte from which on a file is test code.
fn tests_begin(file: &str, masked: &str) -> usize {
    let name = file.rsplit('/').next().unwrap_or(file);
    if file.contains("/tests/") || name == "tests.rs" || name.ends_with("_tests.rs") {
        return 0;
    }
    masked.find("#[cfg(test)]").unwrap_or(masked.len())
}

/// Whether tokio's clock stands still at the end of `before`: the nearest test attribute above stops it, or there is
/// none above (a helper) and some test of the file does.
fn in_virtual_time(masked: &str, before: &str) -> bool {
    let stops =
        |text: &str| text.split(']').next().is_some_and(|attribute| attribute.contains("start_paused"));
    match before.rsplit_once("#[tokio::test") {
        Some((_, attribute)) => stops(attribute),
        None => masked.split("#[tokio::test").skip(1).any(stops),
    }
}

/// Examples in documentation run: with a scripted model where they need one.
fn ignored_doctests(file: &str, text: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim_start();
        let Some(doc) = line.strip_prefix("///").or_else(|| line.strip_prefix("//!")) else { continue };
        let Some(info) = doc.trim_start().strip_prefix("```") else { continue };
        if info.split(',').any(|word| word.trim() == "ignore" || word.trim().starts_with("ignore-")) {
            let remedy = "let it run on the testkit's scripted model, or mark it `text`";
            findings.push(Finding::fail("no-ignored-test", file, index + 1, "an ignored doctest", remedy));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::super::tests::found;

    /// What is found in a source file with this text after a head of one line.
    fn check(text: &str, expect: &[(&'static str, usize)]) {
        let text = format!("//! Head.\n{text}");
        assert_eq!(found(&[("crates/core/src/x.rs", &text)]), expect, "{text}");
    }

    #[test]
    fn long_files_fail_and_rather_long_ones_are_noted() {
        let file = |lines: usize| format!("//! Head.\n{}", "fn f() {}\n".repeat(lines - 1));
        for (lines, expect) in [(400, 0), (401, 1), (600, 1), (601, 1)] {
            assert_eq!(found(&[("crates/core/src/x.rs", &file(lines))]).len(), expect, "{lines}");
        }
        let severity = |lines| super::length("x.rs", &file(lines)).map(|finding| finding.severity);
        assert_eq!(severity(600), Some(crate::tidy::Severity::Note));
        assert_eq!(severity(601), Some(crate::tidy::Severity::Fail));
    }

    #[test]
    fn a_head_is_needed_below_src() {
        assert_eq!(found(&[("crates/core/src/x.rs", "\n//! Head.\n")]), []);
        assert_eq!(found(&[("crates/core/src/x.rs", "/// Not a head.\nfn f() {}\n")]), [("module-head", 1)]);
        assert_eq!(found(&[("crates/core/tests/x.rs", "fn f() {}\n")]), []);
        assert_eq!(found(&[("crates/macros/tests/ui/x.rs", "unsafe fn f() {}\n")]), []);
    }

    #[test]
    fn placeholders_are_found_in_code_only() {
        check(
            "fn f() { todo!() }\nfn g() { unimplemented!(\"x\") }\n",
            &[("no-placeholder", 2), ("no-placeholder", 3)],
        );
        check("// todo!()\nconst T: &str = \"todo!()\";\nfn f(todo: u8) -> bool { todo != 1 }\n", &[]);
    }

    #[test]
    fn attributes_are_checked() {
        check("#[test]\n#[ignore]\nfn f() {}\n", &[("no-ignored-test", 3)]);
        check("#[ignore = \"slow\"]\nfn f() {}\n", &[("no-ignored-test", 2)]);
        check("#[cfg_attr(windows, ignore)]\nfn f() {}\n", &[("no-ignored-test", 2)]);
        check("#[allow(dead_code)]\nfn f() {}\n", &[("no-allow", 2)]);
        check("#![allow(missing_docs, reason = \"x\")]\n", &[("no-allow", 2)]);
        check("#[cfg_attr(not(test), allow(dead_code))]\nfn f() {}\n", &[("no-allow", 2)]);
        check("#[expect(dead_code)]\nfn f() {}\n", &[("expect-reason", 2)]);
        check("#[expect(\n    dead_code,\n    reason = \"[x]\"\n)]\nfn f() {}\n", &[]);
        check("fn f() { quote! { #[allow(dead_code)] fn g() { #body } } }\n", &[]);
        check("fn f() { quote!(x) }\n#[allow(dead_code)]\nfn g() {}\n", &[("no-allow", 3)]);
        check("#[serde(ignore)]\nfn allow(a: &[u8]) {}\n", &[]);
    }

    #[test]
    fn unsafe_code_is_found() {
        check("unsafe fn f() {}\n", &[("no-unsafe", 2)]);
        check("#![forbid(unsafe_code)]\n// unsafe\n", &[]);
        check("fn f() { input.parse::<Token![unsafe]>() }\n", &[]);
    }

    #[test]
    fn sleeps_are_found_in_tests_only() {
        check("fn f() { std::thread::sleep(d); }\n", &[]);
        check("#[cfg(test)]\nmod tests { fn f() { std::thread::sleep(d); } }\n", &[("no-sleep", 3)]);
        check(
            "#[cfg(test)]\nmod tests {\nasync fn f() { tokio::time::sleep(d).await; }\n}\n",
            &[("no-sleep", 4)],
        );
        check("#[cfg(test)]\nmod tests { fn sleep() {} fn f(c: Clock) { c.sleep(d); } }\n", &[]);
        let paused = "#[cfg(test)]\nmod tests {\n#[tokio::test(start_paused = true)]\nasync fn f() { sleep(d).await; }\n}\n";
        check(paused, &[]);
        let helper = paused.replace("mod tests {", "mod tests { async fn slow() { sleep(d).await; }");
        check(&helper, &[]);
        let thread = paused.replace("sleep(d).await", "std::thread::sleep(d)");
        check(&thread, &[("no-sleep", 5)]);
        assert_eq!(found(&[("crates/core/tests/x.rs", "fn f() { sleep(d); }\n")]), [("no-sleep", 1)]);
    }

    #[test]
    fn ignored_doctests_are_found() {
        check("/// ```ignore\n/// f()\n/// ```\nfn f() {}\n", &[("no-ignored-test", 2)]);
        check("/// ```no_run\n/// f()\n/// ```\nfn f() {}\n", &[]);
    }
}
