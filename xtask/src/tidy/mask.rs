//! Rust source with comments and literals blanked out, so that a rule about code does not fire on prose.
//!
//! Not a full lexer: it knows comments (nested ones too), strings, raw strings, byte and C strings, characters and
//! lifetimes, which is what is needed to tell code from the rest.

/// `source` with the text of comments and literals replaced by spaces. Lines keep their numbers, and bytes their
/// places unless they were blanked.
pub(crate) fn code(source: &str) -> String {
    let chars: Vec<char> = source.chars().collect();
    let mut masked = String::with_capacity(source.len());
    let mut i = 0;
    while let Some(&c) = chars.get(i) {
        let end = match (c, chars.get(i + 1)) {
            ('/', Some('/')) => line_comment(&chars, i),
            ('/', Some('*')) => block_comment(&chars, i),
            ('"', _) => string(&chars, i),
            ('\'', _) => character(&chars, i),
            ('r' | 'b' | 'c', _) if !follows_word(&chars, i) => prefixed(&chars, i),
            _ => i,
        };
        if end == i {
            masked.push(c);
            i += 1;
        } else {
            masked.extend(chars.iter().take(end).skip(i).map(|&c| if c == '\n' { '\n' } else { ' ' }));
            i = end;
        }
    }
    masked
}

/// Whether the character before `i` belongs to a word, so that a word starting at `i` is only its rest.
fn follows_word(chars: &[char], i: usize) -> bool {
    i.checked_sub(1).and_then(|before| chars.get(before)).is_some_and(|&c| is_word(c))
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn line_comment(chars: &[char], start: usize) -> usize {
    (start..chars.len()).find(|&i| chars.get(i) == Some(&'\n')).unwrap_or(chars.len())
}

fn block_comment(chars: &[char], start: usize) -> usize {
    let mut depth = 0_usize;
    let mut i = start;
    while i < chars.len() {
        match (chars.get(i), chars.get(i + 1)) {
            (Some('/'), Some('*')) => (depth, i) = (depth + 1, i + 2),
            (Some('*'), Some('/')) => (depth, i) = (depth.saturating_sub(1), i + 2),
            _ => i += 1,
        }
        if depth == 0 {
            break;
        }
    }
    i.min(chars.len())
}

/// The end of the string whose opening quote is at `quote`.
fn string(chars: &[char], quote: usize) -> usize {
    let mut i = quote + 1;
    while let Some(c) = chars.get(i) {
        match c {
            '\\' => i += 2,
            '"' => return i + 1,
            _ => i += 1,
        }
    }
    chars.len()
}

/// The end of a character literal, or `quote` itself if it begins a lifetime or a label.
fn character(chars: &[char], quote: usize) -> usize {
    match (chars.get(quote + 1), chars.get(quote + 2)) {
        (Some('\\'), _) => {
            let close = (quote + 3..chars.len()).find(|&i| chars.get(i) == Some(&'\''));
            close.map_or(chars.len(), |close| close + 1)
        }
        (Some(_), Some('\'')) => quote + 3,
        _ => quote,
    }
}

/// The end of a literal such as `r#".."#`, `b".."` or `b'x'` that begins at `start`, else `start`.
fn prefixed(chars: &[char], start: usize) -> usize {
    let mut i = start;
    let mut raw = false;
    while let Some(&c) = chars.get(i) {
        match c {
            'r' if !raw => raw = true,
            'b' | 'c' if i == start => {}
            _ => break,
        }
        i += 1;
    }
    let hashes = (i..chars.len()).take_while(|&j| chars.get(j) == Some(&'#')).count();
    match chars.get(i + hashes) {
        Some('"') if raw => raw_string(chars, i + hashes, hashes),
        Some('"') if hashes == 0 => string(chars, i),
        Some('\'') if hashes == 0 && !raw => match character(chars, i) {
            end if end == i => start,
            end => end,
        },
        _ => start,
    }
}

fn raw_string(chars: &[char], quote: usize, hashes: usize) -> usize {
    let closes = |i: usize| {
        chars.get(i) == Some(&'"') && (1..=hashes).all(|offset| chars.get(i + offset) == Some(&'#'))
    };
    (quote + 1..chars.len()).find(|&i| closes(i)).map_or(chars.len(), |close| close + 1 + hashes)
}

/// The places, in bytes, at which `word` stands as a whole word in `code`.
pub(crate) fn words<'a>(code: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    code.match_indices(word).map(|(at, _)| at).filter(move |&at| {
        let before = code.get(..at).and_then(|text| text.chars().next_back());
        let after = code.get(at + word.len()..).and_then(|text| text.chars().next());
        !before.is_some_and(is_word) && !after.is_some_and(is_word)
    })
}

/// The line, from 1, of the byte `at`.
pub(crate) fn line_of(text: &str, at: usize) -> usize {
    1 + text.bytes().take(at).filter(|&byte| byte == b'\n').count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(source: &str, expect: &str) {
        assert_eq!(code(source), expect, "{source}");
    }

    #[test]
    fn comments_are_blanked_and_lines_kept() {
        check("a // unsafe\nb", "a          \nb");
        check("a /* x /* y */\n z */ b", "a             \n      b");
        check("/// doc\nfn f() {}", "       \nfn f() {}");
        check("a /* open", "a        ");
    }

    #[test]
    fn literals_are_blanked() {
        check(r#"f("todo!()", x)"#, "f(         , x)");
        check(r#"f("a\"b", x)"#, "f(      , x)");
        check("f(r#\"a\"b\"#, x)", "f(        , x)");
        check("f(br\"a\\\", x)", "f(      , x)");
        check("f(b\"a\", c\"b\")", "f(    ,     )");
        check("f('\"', '\\'', b'x')", "f(   ,     ,     )");
    }

    #[test]
    fn lifetimes_and_words_stay() {
        check("fn f<'a>(x: &'a str) {}", "fn f<'a>(x: &'a str) {}");
        check("'outer: loop { break 'outer; }", "'outer: loop { break 'outer; }");
        check("let r#type = bar(c, b);", "let r#type = bar(c, b);");
    }

    #[test]
    fn words_are_whole() {
        assert_eq!(words("unsafe_code unsafe {", "unsafe").collect::<Vec<_>>(), [12]);
        assert_eq!(line_of("a\nb\nc", 4), 3);
    }
}
