//! A regular expression as a grammar of llama.cpp's server (GBNF), which holds an answer to a grammar but to no expression.
//!
//! What an expression can say and a grammar cannot (boundaries, look-around) has no translation. Bounded: an expression from
//! outside gives a grammar a few times its length, or none.

use std::fmt::Write as _;

use regex_syntax::hir::{Class, Hir, HirKind, Repetition};

/// Longest expression that is translated, in bytes.
const MAX_LENGTH: usize = 100_000;

/// A grammar of exactly the texts that the whole of `regex` matches; `None` where there is none.
pub(crate) fn grammar(regex: &str) -> Option<String> {
    if regex.len() > MAX_LENGTH {
        return None;
    }
    let mut out = String::from("root ::= ");
    write_part(&mut out, &regex_syntax::parse(regex).ok()?)?;
    Some(out)
}

fn write_part(out: &mut String, part: &Hir) -> Option<()> {
    match part.kind() {
        HirKind::Empty => out.push_str("\"\""),
        HirKind::Literal(literal) => {
            out.push('"');
            for c in std::str::from_utf8(&literal.0).ok()?.chars() {
                write_char(out, c);
            }
            out.push('"');
        }
        HirKind::Class(Class::Unicode(class)) => {
            out.push('[');
            for range in class.ranges() {
                write_char(out, range.start());
                if range.end() > range.start() {
                    out.push('-');
                    write_char(out, range.end());
                }
            }
            out.push(']');
        }
        HirKind::Class(Class::Bytes(_)) | HirKind::Look(_) => return None,
        HirKind::Repetition(Repetition { min, max, sub, .. }) => {
            write_group(out, sub)?;
            match (min, max) {
                (0, None) => out.push('*'),
                (1, None) => out.push('+'),
                (0, Some(1)) => out.push('?'),
                (min, None) => write!(out, "{{{min},}}").ok()?,
                (min, Some(max)) => write!(out, "{{{min},{max}}}").ok()?,
            }
        }
        HirKind::Capture(capture) => write_group(out, &capture.sub)?,
        HirKind::Concat(parts) => write_all(out, parts, " ")?,
        HirKind::Alternation(parts) => {
            out.push('(');
            write_all(out, parts, " | ")?;
            out.push(')');
        }
    }
    Some(())
}

fn write_group(out: &mut String, part: &Hir) -> Option<()> {
    out.push('(');
    write_part(out, part)?;
    out.push(')');
    Some(())
}

fn write_all(out: &mut String, parts: &[Hir], between: &str) -> Option<()> {
    for (i, part) in parts.iter().enumerate() {
        if i > 0 {
            out.push_str(between);
        }
        write_part(out, part)?;
    }
    Some(())
}

/// A letter or digit as it is, everything else by its number: no character has a meaning of its own then.
fn write_char(out: &mut String, c: char) {
    if c.is_ascii_alphanumeric() || c == ' ' || c == '_' || c == ':' {
        out.push(c);
    } else {
        let _ = write!(out, "\\U{:08X}", u32::from(c));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_forms_of_answers_are_grammars() {
        let check = |regex: &str, expect: &str| {
            assert_eq!(grammar(regex).as_deref(), Some(format!("root ::= {expect}").as_str()), "{regex}");
        };
        check("Team: (billing|delivery)", r#""Team: " (("billing" | "delivery"))"#);
        check(r"[^\n]+", r"([\U00000000-\U00000009\U0000000B-\U0010FFFF])+");
        check(r"a\.\n(b)?", r#""a\U0000002E\U0000000A" (("b"))?"#);
        check("[ab]{2,3}x{2,}", r#"([a-b]){2,3} ("x"){2,}"#);
        check("", r#""""#);
    }

    #[test]
    fn what_no_grammar_says_has_none() {
        assert_eq!(grammar(r"\bword\b"), None);
        assert_eq!(grammar("("), None);
        assert_eq!(grammar(&"a".repeat(MAX_LENGTH + 1)), None);
    }

    proptest! {
        #[test]
        fn no_expression_makes_it_panic_or_grow_without_bound(regex in "([a-c.|()*+?\\[\\]{}0-9^$\\\\]|\\PC){0,40}") {
            if let Some(grammar) = grammar(&regex) {
                prop_assert!(grammar.starts_with("root ::= "));
            }
        }
    }
}
