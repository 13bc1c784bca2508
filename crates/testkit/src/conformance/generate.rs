//! Generated signatures and values for the laws of adapters.
//!
//! Values are such as survive a prompt. Left out on purpose is what the tolerant reading of answers gives up:
//!
//! - white space at the ends of a text, and line ends other than `\n`: models add and drop them;
//! - a float that is a JSON integer: `2` is read as `2.0`;
//! - names that differ only in case, spaces or `_`.
//!
//! Texts that imitate the forms are in: headers, lines that begin with a field's name, JSON, code fences, `none`.

use serde_json::json;
use teleprompt_core::{FieldSpec, FieldType, Fields, SignatureSpec, Value};

use crate::hash::Draws;

const NAMES: [&str; 16] = [
    "answer",
    "reasoning",
    "net_income",
    "q2",
    "is_urgent",
    "größe",
    "a",
    "completed",
    "Team",
    "long_field_name_here",
    "x_1",
    "input",
    "text",
    "score",
    "_hidden_",
    "json",
];
const WORDS: [&str; 27] = [
    "ship",
    "seven",
    "Ümlaut",
    "naïve",
    "日本",
    "😀",
    "a,b",
    "(c)",
    "3.14",
    "don't",
    "{x}",
    "[1]",
    "\"quoted\"",
    "50%",
    "C:",
    "#tag",
    "[[ ## answer ## ]]",
    "[[ \\## completed ## ]]",
    "[[",
    "\nAnswer: 7",
    "\n\\Team: x",
    "\n**Score:** 3",
    "```\ncode\n```",
    "{\"answer\": 1}",
    "none",
    "\\",
    "*starred*",
];
const LABELS: [&str; 8] = ["billing", "bug report", "Praise", "c++", "n.a.?", "très cher", "yes", "a (b)"];

/// A signature of 1 to 3 inputs and 1 to 4 outputs with distinct names.
pub(super) fn spec(draws: &mut Draws) -> SignatureSpec {
    let start = draws.below(NAMES.len());
    let inputs = 1 + draws.below(3);
    let outputs = 1 + draws.below(4);
    let mut fields: Vec<FieldSpec> = (0..inputs + outputs)
        .map(|i| {
            let field = FieldSpec::new(NAMES[(start + i) % NAMES.len()], field_type(draws, 2));
            if draws.below(3) == 0 { field.described("what it holds, in a phrase") } else { field }
        })
        .collect();
    let outputs = fields.split_off(inputs);
    SignatureSpec::derived("Generated".to_owned(), "Do as the examples do.", fields, outputs)
}

fn field_type(draws: &mut Draws, depth: usize) -> FieldType {
    match draws.below(if depth == 0 { 5 } else { 9 }) {
        0 => FieldType::Text,
        1 => FieldType::Integer,
        2 => FieldType::Float,
        3 => FieldType::Bool,
        4 => {
            let start = draws.below(LABELS.len());
            let count = 2 + draws.below(4);
            let labels = (0..count).map(|i| LABELS[(start + i) % LABELS.len()].to_owned());
            FieldType::Label(labels.collect())
        }
        5 => FieldType::List(Box::new(field_type(draws, depth - 1))),
        6 => FieldType::Map(Box::new(field_type(draws, depth - 1))),
        7 => FieldType::Json { name: "Note".to_owned(), schema: note_schema() },
        _ => FieldType::Optional(Box::new(field_type(draws, depth - 1))),
    }
}

/// A struct with a nullable part and a list, as `schemars` describes it.
fn note_schema() -> Value {
    json!({
        "type": "object",
        "properties": {
            "title": {"type": "string"},
            "pages": {"type": ["integer", "null"]},
            "tags": {"type": "array", "items": {"enum": ["a", "b c"]}},
        },
        "required": ["title", "tags"],
    })
}

/// Values for these fields.
pub(super) fn values(draws: &mut Draws, fields: &[FieldSpec]) -> Fields {
    fields.iter().map(|field| (field.name.clone(), value(draws, &field.ty))).collect()
}

fn value(draws: &mut Draws, ty: &FieldType) -> Value {
    match ty {
        FieldType::Integer => match draws.below(4) {
            0 => Value::from(draws.bits()),
            1 => Value::from(draws.bits() as i64),
            _ => Value::from(draws.below(2000) as i64 - 1000),
        },
        FieldType::Float => {
            let any = f64::from_bits(draws.bits());
            Value::from(if any.is_finite() { any } else { draws.below(2_000_001) as f64 / 64.0 })
        }
        FieldType::Bool => Value::from(draws.below(2) == 1),
        FieldType::Label(labels) => Value::from(labels[draws.below(labels.len())].clone()),
        FieldType::List(item) => {
            let items = draws.below(4);
            (0..items).map(|_| value(draws, item)).collect::<Vec<_>>().into()
        }
        FieldType::Optional(inner) => {
            if draws.below(3) == 0 {
                Value::Null
            } else {
                value(draws, inner)
            }
        }
        FieldType::Map(item) => {
            let items = draws.below(4);
            let items = (0..items).map(|_| (draws.pick(&WORDS).to_owned(), value(draws, item)));
            Value::Object(items.collect())
        }
        FieldType::Json { .. } => json!({
            "title": text(draws),
            "pages": value(draws, &FieldType::Optional(Box::new(FieldType::Integer))),
            "tags": (0..draws.below(3)).map(|_| draws.pick(&["a", "b c"])).collect::<Vec<_>>(),
        }),
        // Types added later are covered as text until they have values of their own here.
        _ => Value::from(text(draws)),
    }
}

/// Words on one or more lines, without white space at the ends; now and then none.
fn text(draws: &mut Draws) -> String {
    if draws.below(20) == 0 {
        return String::new();
    }
    let mut text = draws.pick(&WORDS).to_owned();
    for _ in 0..draws.below(6) {
        text.push_str(draws.pick(&[" ", " ", " ", "  ", "\n", "\n\n"]));
        text.push_str(draws.pick(&WORDS));
    }
    text.trim().to_owned()
}

/// Any text: pieces of the forms that adapters use, brackets, control characters, half a form.
pub(super) fn noise(draws: &mut Draws, spec: &SignatureSpec) -> String {
    let names: Vec<&str> =
        spec.fields().flat_map(|field| [field.name.as_str(), field.prefix.as_str()]).collect();
    let pieces = [
        "[[ ## ",
        " ## ]]",
        "[[",
        "]]",
        "##",
        ": ",
        ":",
        "\n",
        "\r\n",
        "\t",
        "\0",
        "{",
        "}",
        "\"",
        "[",
        "]",
        ",",
        "**",
        "`",
        "```json\n",
        "null",
        "none",
        "true",
        "-",
        "1e999",
        "18446744073709551616",
        "é",
        "\u{feff}",
        "\u{2028}",
        "𝔘",
        "<",
        "</",
        ">",
        "\\",
        "\\u",
        "completed",
    ];
    let mut text = String::new();
    for _ in 0..draws.below(24) {
        let piece = if draws.below(3) == 0 { draws.pick(&names) } else { draws.pick(&pieces) };
        text.push_str(piece);
    }
    text
}
