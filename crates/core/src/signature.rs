//! Signatures: the declared task of one LM call, as data and as a Rust type.
//!
//! [`SignatureSpec`] is the run-time form; `#[derive(Signature)]` makes it from a struct and implements [`Signature`];
//! [`SignatureSpec::parse`] makes it from the short text form `"question, context: list[str] -> answer: int"`.

use std::fmt::Write as _;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::field_type::FieldType;
use crate::fields::{Fields, FieldsError, FromFields, IntoFields, Nearest};

/// A task declared as a Rust type; made by `#[derive(Signature)]`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a signature",
    note = "derive it: #[derive(Signature)] with #[input] and #[output] fields"
)]
pub trait Signature: Send + Sync + 'static {
    /// The struct of the input fields.
    type Input: IntoFields + FromFields + Send;
    /// The struct of the output fields.
    type Output: IntoFields + FromFields + Send;

    /// The run-time form; the same value at each call.
    fn spec() -> &'static Arc<SignatureSpec>;
}

/// The run-time form of a signature: an instruction, input fields and output fields.
///
/// Field names are unique identifiers and there is at least one output.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SignatureSpec {
    name: String,
    instruction: Arc<str>,
    inputs: Vec<FieldSpec>,
    outputs: Vec<FieldSpec>,
}

/// One field of a signature.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FieldSpec {
    /// The name in code and in data files: an identifier.
    pub name: String,
    /// What stands before the value in plain prompts, without the colon: `Net income` for `net_income`.
    pub prefix: String,
    /// What the field holds, in a phrase; may be empty.
    pub description: String,
    /// Which values it takes.
    pub ty: FieldType,
}

impl FieldSpec {
    /// A field without a description; the prefix is made from the name.
    pub fn new(name: impl Into<String>, ty: FieldType) -> Self {
        let name = name.into();
        Self { prefix: title(&name), name, description: String::new(), ty }
    }

    /// The same field with a description.
    #[must_use]
    pub fn described(mut self, description: impl Into<String>) -> Self {
        self.description = description.into();
        self
    }
}

/// `net_income` -> `Net income`.
fn title(name: &str) -> String {
    let words = name.replace('_', " ");
    let mut chars = words.chars();
    match chars.next() {
        Some(first) => first.to_uppercase().chain(chars).collect(),
        None => words,
    }
}

impl SignatureSpec {
    /// A signature from its parts. An empty instruction becomes a plain one made from the field names.
    ///
    /// # Errors
    /// [`SignatureError`] when a name is used twice or is no identifier, or when there is no output.
    pub fn new(
        name: impl Into<String>,
        instruction: &str,
        inputs: Vec<FieldSpec>,
        outputs: Vec<FieldSpec>,
    ) -> Result<Self, SignatureError> {
        if outputs.is_empty() {
            return Err(SignatureError::NoOutput);
        }
        let names: Vec<&str> = inputs.iter().chain(&outputs).map(|field| field.name.as_str()).collect();
        for (i, name) in names.iter().enumerate() {
            if !is_identifier(name) {
                return Err(SignatureError::Name { name: (*name).to_owned() });
            }
            if names[..i].contains(name) {
                return Err(SignatureError::Twice { name: (*name).to_owned() });
            }
        }
        Ok(Self::derived(name.into(), instruction, inputs, outputs))
    }

    /// What the derive macro calls after it has checked the same at compile time.
    #[doc(hidden)]
    pub fn derived(name: String, instruction: &str, inputs: Vec<FieldSpec>, outputs: Vec<FieldSpec>) -> Self {
        let instruction = match instruction.trim() {
            "" => default_instruction(&inputs, &outputs),
            given => given.to_owned(),
        };
        Self { name, instruction: instruction.into(), inputs, outputs }
    }

    /// A signature from its text form: fields `name` or `name: type`, separated by commas, inputs `->` outputs.
    ///
    /// Types: `str`, `int`, `float`, `bool`, `list[T]`, `optional[T]` or `T | None`, `dict[str, T]`, `image`, `label[a, b, c]`
    /// or `Literal["a", "b", "c"]`; without one, `str`. Case does not matter.
    ///
    /// # Errors
    /// [`SignatureError`] names the part that cannot be read.
    ///
    /// ```
    /// use teleprompt_core::SignatureSpec;
    /// let spec = SignatureSpec::parse("question, context: list[str] -> answer: int").unwrap();
    /// assert_eq!(spec.inputs().len(), 2);
    /// assert_eq!(&*spec.instruction(), "Given the fields `question`, `context`, produce the field `answer`.");
    /// ```
    pub fn parse(text: &str) -> Result<Self, SignatureError> {
        let (inputs, outputs) =
            text.split_once("->").ok_or_else(|| SignatureError::NoArrow { text: text.to_owned() })?;
        Self::new("Signature", "", parse_fields(inputs)?, parse_fields(outputs)?)
    }

    /// The name: the struct's name, or `Signature`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The instruction.
    pub fn instruction(&self) -> Arc<str> {
        self.instruction.clone()
    }

    /// The input fields, in order.
    pub fn inputs(&self) -> &[FieldSpec] {
        &self.inputs
    }

    /// The output fields, in order; at least one.
    pub fn outputs(&self) -> &[FieldSpec] {
        &self.outputs
    }

    /// All fields: the inputs, then the outputs.
    pub fn fields(&self) -> impl Iterator<Item = &FieldSpec> {
        self.inputs.iter().chain(&self.outputs)
    }

    /// The same signature with another instruction.
    #[must_use]
    pub fn with_instruction(mut self, instruction: impl Into<Arc<str>>) -> Self {
        self.instruction = instruction.into();
        self
    }

    /// The same signature with one more output, before the others. Kept as it is when the name is taken.
    #[must_use]
    pub fn with_first_output(mut self, field: FieldSpec) -> Self {
        if !self.fields().any(|known| known.name == field.name) {
            self.outputs.insert(0, field);
        }
        self
    }

    /// Checks that `fields` holds every input; further fields are fine.
    ///
    /// # Errors
    /// [`FieldsError::Missing`] with the nearest name that is there.
    pub fn check_inputs(&self, fields: &Fields) -> Result<(), FieldsError> {
        let missing = self
            .inputs
            .iter()
            .find(|field| !fields.contains(&field.name) && !matches!(field.ty, FieldType::Optional(_)));
        match missing {
            None => Ok(()),
            Some(field) => Err(FieldsError::Missing {
                field: field.name.clone(),
                nearest: Nearest::to(&field.name, fields.names()),
            }),
        }
    }

    /// The signature as a line of its text form, for descriptions and errors.
    pub fn summary(&self) -> String {
        let list = |fields: &[FieldSpec]| {
            let mut out = String::new();
            for (i, field) in fields.iter().enumerate() {
                let comma = if i == 0 { "" } else { ", " };
                let _ = match &field.ty {
                    FieldType::Text => write!(out, "{comma}{}", field.name),
                    ty => write!(out, "{comma}{}: {ty}", field.name),
                };
            }
            out
        };
        format!("{} -> {}", list(&self.inputs), list(&self.outputs))
    }
}

fn default_instruction(inputs: &[FieldSpec], outputs: &[FieldSpec]) -> String {
    let names = |fields: &[FieldSpec]| {
        fields.iter().map(|field| format!("`{}`", field.name)).collect::<Vec<_>>().join(", ")
    };
    let plural = |fields: &[FieldSpec]| if fields.len() == 1 { "field" } else { "fields" };
    format!(
        "Given the {} {}, produce the {} {}.",
        plural(inputs),
        names(inputs),
        plural(outputs),
        names(outputs)
    )
}

fn is_identifier(name: &str) -> bool {
    let mut chars = name.chars();
    chars.next().is_some_and(|c| c.is_alphabetic() || c == '_')
        && chars.all(|c| c.is_alphanumeric() || c == '_')
}

fn parse_fields(text: &str) -> Result<Vec<FieldSpec>, SignatureError> {
    split_top_level(text).into_iter().filter(|part| !part.trim().is_empty()).map(parse_field).collect()
}

fn parse_field(text: &str) -> Result<FieldSpec, SignatureError> {
    match text.split_once(':') {
        None => Ok(FieldSpec::new(text.trim(), FieldType::Text)),
        Some((name, ty)) => Ok(FieldSpec::new(name.trim(), parse_type(ty.trim(), 0)?)),
    }
}

/// Types may nest this deep; deeper text is refused, so that no text exhausts the stack.
const MAX_TYPE_DEPTH: usize = 16;

fn parse_type(text: &str, depth: usize) -> Result<FieldType, SignatureError> {
    let unknown = || SignatureError::Type { text: text.to_owned() };
    if depth > MAX_TYPE_DEPTH {
        return Err(unknown());
    }
    let parse = |text: &str| parse_type(text.trim(), depth + 1);
    // Python's spelling of an optional type.
    if let Some((inner, nothing)) = text.rsplit_once('|') {
        return match nothing.trim() {
            "None" | "none" | "null" => Ok(FieldType::Optional(Box::new(parse(inner)?))),
            _ => Err(unknown()),
        };
    }
    let (head, arguments) = match text.split_once('[') {
        None => (text, None),
        Some((head, rest)) => (head.trim(), Some(rest.strip_suffix(']').ok_or_else(unknown)?)),
    };
    match (head.to_ascii_lowercase().as_str(), arguments) {
        ("str" | "text" | "string", None) => Ok(FieldType::Text),
        ("int" | "integer", None) => Ok(FieldType::Integer),
        ("float" | "number", None) => Ok(FieldType::Float),
        ("bool" | "boolean", None) => Ok(FieldType::Bool),
        ("image" | "audio" | "document" | "media", None) => Ok(FieldType::Media),
        ("list", None) => Ok(FieldType::List(Box::new(FieldType::Text))),
        ("list", Some(item)) => Ok(FieldType::List(Box::new(parse(item)?))),
        ("optional", Some(inner)) => Ok(FieldType::Optional(Box::new(parse(inner)?))),
        ("dict" | "map", Some(item)) => match split_top_level(item).as_slice() {
            [item] => Ok(FieldType::Map(Box::new(parse(item)?))),
            [key, item] if matches!(key.trim(), "str" | "text" | "string") => {
                Ok(FieldType::Map(Box::new(parse(item)?)))
            }
            _ => Err(unknown()),
        },
        ("label" | "literal", Some(labels)) => {
            let labels: Vec<String> =
                labels.split(',').map(|label| unquoted(label.trim()).to_owned()).collect();
            if labels.iter().any(String::is_empty) { Err(unknown()) } else { Ok(FieldType::Label(labels)) }
        }
        _ => Err(unknown()),
    }
}

/// `text` without the quotes around it.
fn unquoted(text: &str) -> &str {
    let inside = |quote: char| text.strip_prefix(quote)?.strip_suffix(quote);
    inside('"').or_else(|| inside('\'')).unwrap_or(text)
}

/// Splits at commas that stand outside of brackets.
fn split_top_level(text: &str) -> Vec<&str> {
    let (mut parts, mut depth, mut start) = (Vec::new(), 0i32, 0);
    for (i, c) in text.char_indices() {
        match c {
            '[' => depth += 1,
            ']' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(&text[start..i]);
                start = i + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts
}

/// A signature that cannot be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SignatureError {
    /// The text form has no arrow.
    #[error("no `->` in signature `{text}`: write `inputs -> outputs`")]
    NoArrow {
        /// The text.
        text: String,
    },
    /// There is no output field.
    #[error("a signature needs at least one output field")]
    NoOutput,
    /// A name is used twice.
    #[error("field `{name}` stands twice in the signature")]
    Twice {
        /// The name.
        name: String,
    },
    /// A name is no identifier.
    #[error("`{name}` cannot name a field: use letters, digits and `_`, not beginning with a digit")]
    Name {
        /// The name.
        name: String,
    },
    /// A type is not known.
    #[error(
        "unknown type `{text}`: use str, int, float, bool, list[T], optional[T], dict[str, T], image or label[a, b]"
    )]
    Type {
        /// The text of the type.
        text: String,
    },
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_text_form_reads_types() {
        let spec = SignatureSpec::parse("a, b: list[int] -> c: label[x, y z], d: optional[float]").unwrap();
        assert_eq!(spec.inputs()[1].ty, FieldType::List(Box::new(FieldType::Integer)));
        assert_eq!(spec.outputs()[0].ty, FieldType::Label(vec!["x".into(), "y z".into()]));
        let typed =
            |ty| SignatureSpec::parse(&format!("a -> b: {ty}")).map(|spec| spec.outputs()[0].ty.clone());
        assert_eq!(typed("Literal['x', \"y z\"]").unwrap(), spec.outputs()[0].ty);
        assert_eq!(
            typed("dict[str, list[int]]").unwrap().to_string(),
            "JSON object from names to list of integer"
        );
        assert_eq!(typed("list[float] | None").unwrap().to_string(), "list of number, or none");
        assert!(
            typed("int | str").is_err() && typed("dict[int, str]").is_err() && typed("list[int").is_err()
        );
        assert_eq!(spec.summary(), "a, b: list of integer -> c: one of x, y z, d: number, or none");
    }

    #[test]
    fn mistakes_are_named() {
        let error = |text| SignatureSpec::parse(text).unwrap_err().to_string();
        assert_eq!(error("a, b"), "no `->` in signature `a, b`: write `inputs -> outputs`");
        assert_eq!(error("a -> a"), "field `a` stands twice in the signature");
        assert_eq!(error("a ->"), "a signature needs at least one output field");
        assert!(error("a -> b: strin").starts_with("unknown type `strin`"));
    }

    proptest! {
        #[test]
        fn no_text_makes_parsing_panic(text in "[a-z\\[\\]:,> \\-]{0,60}") {
            let _ = SignatureSpec::parse(&text);
        }
    }
}
