//! One line as a row: its fields, each with the place where its name and its value stand.

use std::fmt;

use serde::Deserializer as _;
use serde::de::{MapAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;
use teleprompt_core::Fields;

use crate::error::{Problem, ProblemKind};
use crate::row::{Places, Row, column, shorten};

/// A problem at a byte of a line.
fn problem(line: u64, text: &str, at: usize, kind: ProblemKind) -> Problem {
    Problem { line, column: column(text, at), kind }
}

/// Reads a line as an object.
pub(super) fn read(line: u64, text: &str) -> Result<Row<'_>, Problem> {
    let syntax = |at, expected| problem(line, text, at, ProblemKind::Syntax { expected });
    let start = text.find(|c: char| !c.is_ascii_whitespace()).unwrap_or(text.len());
    let first = text[start..].chars().next();
    if first != Some('{') {
        let list = if first == Some('[') { "; a JSON array is no JSONL file" } else { "" };
        let expected = format!("expected an object that begins with `{{`, {}{list}", found(text, start));
        return Err(syntax(start, expected));
    }
    let mut reader = serde_json::Deserializer::from_str(text);
    let entries = reader.deserialize_map(Entries).and_then(|entries| reader.end().map(|()| entries));
    let entries = entries.map_err(|error| {
        let (at, expected) = explain(&error, text);
        syntax(at, expected)
    })?;

    let (mut fields, mut places) = (Fields::new(), Vec::with_capacity(entries.len()));
    let mut end = start;
    for (name, raw) in entries {
        // The text of a raw value is a part of the line: its address says where it stands.
        let value_at = (raw.get().as_ptr() as usize).saturating_sub(text.as_ptr() as usize);
        let name_at = text.get(end..).and_then(|rest| rest.find('"')).map_or(end, |at| end + at);
        end = value_at + raw.get().len();
        if fields.contains(&name) {
            return Err(problem(line, text, name_at, ProblemKind::Twice { field: shorten(&name) }));
        }
        let value: Value = serde_json::from_str(raw.get()).map_err(|error| {
            let (at, expected) = explain(&error, raw.get());
            syntax(value_at + at, expected)
        })?;
        fields.insert(name, value);
        places.push((name_at, value_at));
    }
    Ok(Row { fields, places: Places::Text { line, text, start, fields: places } })
}

/// The entries of an object, values as they stand in the text.
struct Entries;

impl<'de> Visitor<'de> for Entries {
    type Value = Vec<(String, &'de RawValue)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
        }
        Ok(entries)
    }
}

/// Where an error of the JSON reader is, in bytes, and what to say of it.
fn explain(error: &serde_json::Error, text: &str) -> (usize, String) {
    let said = error.to_string();
    let said = said.split(" at line ").next().unwrap_or_default();
    let at = if error.is_eof() { text.len() } else { error.column().saturating_sub(1).min(text.len()) };
    let expected = match said {
        "EOF while parsing a string" => "the closing `\"` of a text",
        "EOF while parsing an object" => "`,` or `}`",
        "EOF while parsing a list" => "`,` or `]`",
        "EOF while parsing a value" | "expected value" | "expected ident" => "a value",
        "key must be a string" => "a field name in double quotes",
        "trailing comma" => "a field name after the comma",
        "trailing characters" => "the end of the line after the object",
        other if other.starts_with("control character") => {
            // The reader points at the byte before.
            return (at + 1, format!("{} inside a text; write it as an escape", found(text, at + 1)));
        }
        other => match other.strip_prefix("expected ") {
            Some(expected) => expected,
            None => return (at, other.to_owned()),
        },
    };
    (at, format!("expected {expected}, {}", found(text, at)))
}

/// What stands at a byte of a line.
fn found(text: &str, at: usize) -> String {
    match text.get(at..).and_then(|rest| rest.chars().next()) {
        Some(c) if !c.is_control() => format!("found `{c}`"),
        Some(c) => format!("found the control character {:#04x}", c as u32),
        None => "found the end of the line".to_owned(),
    }
}
