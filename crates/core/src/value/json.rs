//! JSON as models write it: strict where it is JSON, repaired where it nearly is.
//!
//! [`read`] finds the object or list in an answer, with text before and after it, in code fences or not, and mends what small
//! models get wrong: single or typographic quotes, bare words, Python's `True` and `None`, trailing or missing commas, comments,
//! quotes inside of strings, an end that is missing. [`write()`] gives the one spelling that prompts use.

use serde_json::{Map, Value};

/// Containers may nest this deep; deeper ones are not read.
const MAX_DEPTH: usize = 64;

/// Places at which an object or list may begin that are tried.
const MAX_STARTS: usize = 32;

/// The first object (`open` is `{`) or list (`[`) in `text`; an empty one only where no other is.
pub(crate) fn read(text: &str, open: char) -> Option<Value> {
    let wanted = |value: &Value| if open == '{' { value.is_object() } else { value.is_array() };
    if let Some(value) = serde_json::from_str(text.trim()).ok().filter(wanted) {
        return Some(value);
    }
    let starts: Vec<usize> = text.match_indices(open).map(|(at, _)| at).take(MAX_STARTS).collect();
    // All of them strictly before any is mended: a bracket in the preamble must not win over real JSON behind it.
    let strict = starts
        .iter()
        .filter_map(|&at| serde_json::Deserializer::from_str(&text[at..]).into_iter::<Value>().next()?.ok());
    let mended = starts.iter().filter_map(|&at| Reader { rest: &text[at..], depth: 0 }.value());
    let mut empty = None;
    for value in strict.chain(mended) {
        let filled = value.as_object().is_none_or(|map| !map.is_empty())
            && value.as_array().is_none_or(|list| !list.is_empty());
        if filled {
            return Some(value);
        }
        empty.get_or_insert(value);
    }
    empty
}

/// `value` in the spelling of prompts: on one line, a space after each comma and colon.
pub(crate) fn write(value: &Value) -> String {
    let mut out = String::new();
    write_into(value, &mut out);
    out
}

fn write_into(value: &Value, out: &mut String) {
    let separate = |i: usize, out: &mut String| {
        if i > 0 {
            out.push_str(", ");
        }
    };
    match value {
        Value::Array(items) => {
            out.push('[');
            for (i, item) in items.iter().enumerate() {
                separate(i, out);
                write_into(item, out);
            }
            out.push(']');
        }
        Value::Object(map) => {
            out.push('{');
            for (i, (key, item)) in map.iter().enumerate() {
                separate(i, out);
                out.push_str(&Value::from(key.as_str()).to_string());
                out.push_str(": ");
                write_into(item, out);
            }
            out.push('}');
        }
        plain => out.push_str(&plain.to_string()),
    }
}

/// Reads what is nearly JSON. Every method takes what it reads off the front of `rest`.
struct Reader<'a> {
    rest: &'a str,
    depth: usize,
}

impl<'a> Reader<'a> {
    fn value(&mut self) -> Option<Value> {
        self.space();
        match self.peek()? {
            '{' => self.container(Self::object),
            '[' => self.container(Self::list),
            quote if closing(quote).is_some() => self.string().map(Value::from),
            _ => Some(bare_value(self.bare(",]}\n"))),
        }
    }

    fn container(&mut self, read: fn(&mut Self) -> Option<Value>) -> Option<Value> {
        if self.depth >= MAX_DEPTH {
            return None;
        }
        self.skip();
        self.depth += 1;
        let value = read(self);
        self.depth -= 1;
        value
    }

    fn object(&mut self) -> Option<Value> {
        let mut map = Map::new();
        loop {
            self.separators();
            match self.peek() {
                None => break,
                Some('}') => {
                    self.skip();
                    break;
                }
                Some(']') => return None,
                Some(_) => {}
            }
            let key = match self.peek().and_then(closing) {
                Some(_) => self.string()?,
                None => self.bare(":={}[],\n").to_owned(),
            };
            self.space();
            if !matches!(self.peek(), Some(':' | '=')) || key.is_empty() {
                return None;
            }
            self.skip();
            self.rest = self.rest.strip_prefix('>').unwrap_or(self.rest);
            self.space();
            // A key without its value: the answer was cut there.
            if self.peek().is_none() {
                break;
            }
            let value = self.value()?;
            map.insert(key, value);
        }
        Some(Value::Object(map))
    }

    fn list(&mut self) -> Option<Value> {
        let mut items = Vec::new();
        loop {
            self.separators();
            match self.peek() {
                None => break,
                Some(']') => {
                    self.skip();
                    break;
                }
                Some('}') => return None,
                Some(_) => items.push(self.value()?),
            }
        }
        Some(Value::Array(items))
    }

    /// A string in any quotes. A quote ends it where the JSON could go on behind it; elsewhere it belongs to the text.
    fn string(&mut self) -> Option<String> {
        let close = closing(self.peek()?)?;
        self.skip();
        let mut out = String::new();
        while let Some(c) = self.peek() {
            self.skip();
            if c == '\\' {
                self.escape(&mut out);
            } else if c == close && self.may_go_on() {
                return Some(out);
            } else {
                out.push(c);
            }
        }
        Some(out)
    }

    fn may_go_on(&self) -> bool {
        self.rest.trim_start().chars().next().is_none_or(|c| ",:]}".contains(c))
            || self.rest.trim_start_matches([' ', '\t']).starts_with('\n')
    }

    fn escape(&mut self, out: &mut String) {
        let Some(c) = self.peek() else { return };
        self.skip();
        match c {
            'n' => out.push('\n'),
            't' => out.push('\t'),
            'r' => out.push('\r'),
            'b' => out.push('\u{8}'),
            'f' => out.push('\u{c}'),
            'u' => match self.rest.get(..4).and_then(|hex| u32::from_str_radix(hex, 16).ok()) {
                Some(code) => {
                    self.rest = &self.rest[4..];
                    out.push(char::from_u32(code).unwrap_or('\u{fffd}'));
                }
                None => out.push('u'),
            },
            other => out.push(other),
        }
    }

    /// Text up to one of the characters in `ends`, without the space around it.
    fn bare(&mut self, ends: &str) -> &'a str {
        let comment = |at| [" //", " /*"].iter().any(|mark| self.rest[at..].starts_with(mark));
        let mut places = self.rest.char_indices().filter(|&(at, c)| ends.contains(c) || comment(at));
        let end = places.next().map_or(self.rest.len(), |(at, _)| at);
        let (text, rest) = self.rest.split_at(end);
        self.rest = rest;
        text.trim()
    }

    /// White space, commas, semicolons.
    fn separators(&mut self) {
        self.space();
        while matches!(self.peek(), Some(',' | ';')) {
            self.skip();
            self.space();
        }
    }

    /// White space and comments.
    fn space(&mut self) {
        loop {
            self.rest = self.rest.trim_start();
            self.rest = if self.rest.starts_with("//") {
                self.rest.split_once('\n').map_or("", |(_, rest)| rest)
            } else if self.rest.starts_with("/*") {
                self.rest.split_once("*/").map_or("", |(_, rest)| rest)
            } else {
                return;
            };
        }
    }

    fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    fn skip(&mut self) {
        let mut chars = self.rest.chars();
        chars.next();
        self.rest = chars.as_str();
    }
}

/// The quote that ends a string which `open` begins.
fn closing(open: char) -> Option<char> {
    match open {
        '"' | '\'' | '`' => Some(open),
        '“' | '”' | '„' => Some('”'),
        '‘' => Some('’'),
        _ => None,
    }
}

/// A word without quotes: a literal, a number, or text.
fn bare_value(text: &str) -> Value {
    match text {
        "true" | "True" | "TRUE" => Value::Bool(true),
        "false" | "False" | "FALSE" => Value::Bool(false),
        "null" | "None" | "NULL" | "undefined" | "" => Value::Null,
        _ => {
            let number = serde_json::from_str::<Value>(text).ok().filter(Value::is_number);
            number.unwrap_or_else(|| Value::from(text))
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn reads_what_models_write() {
        let check = |text: &str, expect: Value| {
            let open = if expect.is_object() { '{' } else { '[' };
            assert_eq!(read(text, open), Some(expect), "{text}");
        };
        check("Sure!\n```json\n{\"a\": 1}\n```\nHope it helps {:-)}", json!({"a": 1}));
        check("{'a': 'it', 'b': True, c: None,}", json!({"a": "it", "b": true, "c": null}));
        check("{“a”: “b”}", json!({"a": "b"}));
        check("{\"a\": \"he said \"no\" twice\", \"b\": 2}", json!({"a": "he said \"no\" twice", "b": 2}));
        check("{\"a\": 1 // one\n, /* two */ \"b\": 2", json!({"a": 1, "b": 2}));
        check("{\"a\": [1, 2, {\"b\": \"cut he", json!({"a": [1, 2, {"b": "cut he"}]}));
        check("{\"a\": \"x\"\n \"b\": \"y\"}", json!({"a": "x", "b": "y"}));
        check("[note] the list is ['a', 'b']", json!(["note"]));
        check("{} then {\"a\": \"\\u00e9\"}", json!({"a": "é"}));
        check("[]", json!([]));
        assert_eq!(read("no JSON here", '{'), None);
        assert_eq!(read(&"[".repeat(100_000), '['), None);
    }

    #[test]
    fn one_spelling_for_prompts() {
        assert_eq!(write(&json!({"a": [1, "x"], "b": {"c": null}})), r#"{"a": [1, "x"], "b": {"c": null}}"#);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_in_any_surroundings(text in "\\PC{0,20}", n in any::<i64>(), before in "[a-z .\\n]{0,10}") {
            let value = json!({"text": text, "list": [n, {"deep": text}]});
            let answer = format!("{before}{}{before}", write(&value));
            prop_assert_eq!(read(&answer, '{'), Some(value));
        }

        #[test]
        fn no_text_makes_reading_panic(text in "([{}\\[\\]\"',:\\\\]|//|/\\*|true|u00|\\PC){0,60}") {
            let _ = read(&text, '{');
            let _ = read(&text, '[');
        }
    }
}
