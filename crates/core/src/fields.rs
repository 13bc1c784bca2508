//! Run-time fields: the values that flow between programs, prompts and data files.
//!
//! [`Fields`] is an ordered map from field names to JSON values; [`IntoFields`] and [`FromFields`] connect it to Rust
//! structs. Which values a single field takes is in [`crate::field_type`].

use std::collections::BTreeMap;
use std::fmt;

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::field_type::{FieldValue, ValueError};

/// An ordered map from field names to values.
///
/// ```
/// use teleprompt_core::Fields;
/// let fields = Fields::new().with("question", "2 + 2?").with("answer", 4);
/// assert_eq!(fields.names().collect::<Vec<_>>(), ["question", "answer"]);
/// assert_eq!(fields.text("answer"), "4");
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Fields(IndexMap<String, Value>);

impl Fields {
    /// No fields.
    pub fn new() -> Self {
        Self::default()
    }

    /// These fields and one more; a field of the same name is replaced in its place.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.insert(name, value);
        self
    }

    /// Sets a field; a field of the same name is replaced in its place.
    pub fn insert(&mut self, name: impl Into<String>, value: impl Into<Value>) {
        self.0.insert(name.into(), value.into());
    }

    /// The value of a field.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    /// The value of a field as text: a string as it is, nothing for a missing field, JSON otherwise.
    pub fn text(&self, name: &str) -> String {
        match self.get(name) {
            None | Some(Value::Null) => String::new(),
            Some(Value::String(text)) => text.clone(),
            Some(other) => other.to_string(),
        }
    }

    /// Takes a field out, keeping the order of the others.
    pub fn remove(&mut self, name: &str) -> Option<Value> {
        self.0.shift_remove(name)
    }

    /// Whether there is a field of this name.
    pub fn contains(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// The names, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// Names and values, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value))
    }

    /// How many fields there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Only the fields named, in the order of `names`; missing ones are left out.
    #[must_use]
    pub fn only<'a>(&self, names: impl IntoIterator<Item = &'a str>) -> Self {
        names.into_iter().filter_map(|name| Some((name.to_owned(), self.get(name)?.clone()))).collect()
    }

    /// The typed value of a field.
    ///
    /// # Errors
    /// [`FieldsError::Missing`], with the nearest name there is, or [`FieldsError::Type`].
    pub fn typed<T: FieldValue>(&self, name: &str) -> Result<T, FieldsError> {
        match self.get(name) {
            Some(value) => T::from_value(value)
                .map_err(|error| FieldsError::Type { field: name.to_owned(), source: error }),
            None => T::when_missing().ok_or_else(|| FieldsError::Missing {
                field: name.to_owned(),
                nearest: Nearest::to(name, self.names()),
            }),
        }
    }
}

impl<K: Into<String>, V: Into<Value>> FromIterator<(K, V)> for Fields {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(iter: I) -> Self {
        Self(iter.into_iter().map(|(name, value)| (name.into(), value.into())).collect())
    }
}

impl<K: Into<String>, V: Into<Value>> Extend<(K, V)> for Fields {
    fn extend<I: IntoIterator<Item = (K, V)>>(&mut self, iter: I) {
        self.0.extend(iter.into_iter().map(|(name, value)| (name.into(), value.into())));
    }
}

impl IntoIterator for Fields {
    type Item = (String, Value);
    type IntoIter = indexmap::map::IntoIter<String, Value>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

/// A type that turns into [`Fields`]: the inputs or outputs of a signature or a module.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot become the fields of a program",
    note = "use the `...Input` or `...Output` struct of a `#[derive(Signature)]`, or implement `IntoFields`"
)]
pub trait IntoFields {
    /// The fields, in declared order.
    fn into_fields(self) -> Fields;
}

/// A type that is read from [`Fields`]: the inputs or outputs of a signature or a module.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be read from the fields of a program",
    note = "use the `...Input` or `...Output` struct of a `#[derive(Signature)]`, or implement `FromFields`"
)]
pub trait FromFields: Sized {
    /// The value with these fields; further fields are ignored.
    ///
    /// # Errors
    /// [`FieldsError`] names the field that is missing or of the wrong type.
    fn from_fields(fields: &Fields) -> Result<Self, FieldsError>;

    /// As [`FromFields::from_fields`], for a type that can take the fields over.
    ///
    /// # Errors
    /// As [`FromFields::from_fields`].
    fn from_owned(fields: Fields) -> Result<Self, FieldsError> {
        Self::from_fields(&fields)
    }
}

impl IntoFields for Fields {
    fn into_fields(self) -> Fields {
        self
    }
}

impl FromFields for Fields {
    fn from_fields(fields: &Fields) -> Result<Self, FieldsError> {
        Ok(fields.clone())
    }

    fn from_owned(fields: Fields) -> Result<Self, FieldsError> {
        Ok(fields)
    }
}

impl IntoFields for BTreeMap<String, Value> {
    fn into_fields(self) -> Fields {
        self.into_iter().collect()
    }
}

/// `text` cut to `most` characters, with `…` where something is cut.
pub(crate) fn shorten(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", &text[..end]),
    }
}

/// Fields that do not fit a signature.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FieldsError {
    /// A field is not there.
    #[error("field `{field}` is missing{nearest}")]
    Missing {
        /// The field.
        field: String,
        /// The nearest name there is.
        nearest: Nearest,
    },
    /// There is a field that the signature lacks.
    #[error("unknown field `{field}`{nearest}")]
    Unknown {
        /// The field.
        field: String,
        /// The nearest name that the signature has.
        nearest: Nearest,
    },
    /// A field's value is of another type.
    #[error("field `{field}`: {source}")]
    Type {
        /// The field.
        field: String,
        /// What was expected and found.
        source: ValueError,
    },
}

/// The name nearest to a misspelt one, as the end of an error message; empty when nothing is near.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Nearest(pub Option<String>);

impl Nearest {
    /// The nearest of `names` to `wanted`, if any is near enough to be meant.
    pub fn to<'a>(wanted: &str, names: impl IntoIterator<Item = &'a str>) -> Self {
        let score = |name: &str| strsim::jaro_winkler(&wanted.to_lowercase(), &name.to_lowercase());
        let best = names.into_iter().map(|name| (score(name), name)).max_by(|a, b| a.0.total_cmp(&b.0));
        Self(best.filter(|(score, _)| *score > 0.7).map(|(_, name)| name.to_owned()))
    }
}

impl fmt::Display for Nearest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(name) => write!(f, "; did you mean `{name}`?"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_field_is_named_with_the_nearest_one() {
        let fields = Fields::new().with("mesage", "hi");
        let error = fields.typed::<String>("message").unwrap_err();
        assert_eq!(error.to_string(), "field `message` is missing; did you mean `mesage`?");
    }

    #[test]
    fn values_of_another_type_are_refused() {
        let fields = Fields::new().with("n", "seven");
        let error = fields.typed::<i64>("n").unwrap_err();
        assert_eq!(error.to_string(), "field `n`: expected integer, found \"seven\"");
        assert_eq!(fields.typed::<Option<u8>>("absent").unwrap(), None);
        assert!(Fields::new().with("n", 300).typed::<u8>("n").is_err());
    }
}
