//! The type of one field: at run time ([`FieldType`]) and in Rust ([`FieldValue`]).
//!
//! ```text
//!   String, i64, f64, bool, enum ──┐
//!   Vec<T>, Option<T>, BTreeMap<String, T> ──┼─ FieldValue ─▶ FieldType + JSON value
//!   Media ───────────────────────────────────┤
//!   Json<T>: any serde type with a schemars schema ──┘
//! ```
//!
//! How a value of a type is written into and read from a prompt is in [`crate::value`].

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::fields::shorten;
use crate::value;

/// Which values a field takes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum FieldType {
    /// Any text.
    Text,
    /// A whole number of 64 bits.
    Integer,
    /// A finite number.
    Float,
    /// `true` or `false`.
    Bool,
    /// One of a closed set of labels, in the order given.
    Label(Vec<String>),
    /// A list of values of one type.
    List(Box<FieldType>),
    /// A value, or nothing.
    Optional(Box<FieldType>),
    /// Values of one type under names of any text: a JSON object.
    Map(Box<FieldType>),
    /// An image, a sound or a document: [`crate::Media`].
    Media,
    /// A JSON value as a schema describes it: a nested struct, an enum with data.
    Json {
        /// The name of the type, for messages.
        name: String,
        /// Its JSON schema (draft 2020-12). Understood are `type`, `properties`, `required`, `additionalProperties`, `items`,
        /// `prefixItems`, `enum`, `const`, `anyOf`, `oneOf` and `$ref` into `$defs`; other keywords are shown to the model
        /// and not checked.
        schema: Value,
    },
}

impl fmt::Display for FieldType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text => f.write_str("text"),
            Self::Integer => f.write_str("integer"),
            Self::Float => f.write_str("number"),
            Self::Bool => f.write_str("true or false"),
            Self::Label(labels) => write!(f, "one of {}", labels.join(", ")),
            Self::List(item) => write!(f, "list of {item}"),
            Self::Optional(inner) => write!(f, "{inner}, or none"),
            Self::Map(item) => write!(f, "JSON object from names to {item}"),
            Self::Media => f.write_str("image, sound or document"),
            Self::Json { schema, .. } => write!(f, "JSON {}", value::schema::shape(schema)),
        }
    }
}

impl FieldType {
    /// The JSON schema (draft 2020-12) of the type's values.
    ///
    /// ```
    /// use teleprompt_core::FieldType;
    /// let ty = FieldType::List(Box::new(FieldType::Integer));
    /// assert_eq!(ty.json_schema().to_string(), r#"{"type":"array","items":{"type":"integer"}}"#);
    /// ```
    pub fn json_schema(&self) -> Value {
        value::schema::of(self)
    }
}

/// A Rust type that can be the type of a signature's field.
///
/// Implemented for text, whole and floating numbers, `bool`, `Vec<T>`, `Option<T>`, `BTreeMap<String, T>`, by
/// `#[derive(Label)]` for enums without data, by [`crate::Media`], and by `Json<T>` for every `serde` type with a `schemars`
/// schema.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be a field of a signature",
    note = "fields are String, integers, floats, bool, Vec<T>, Option<T>, BTreeMap<String, T>, Media, an enum with \
            #[derive(Label)], or Json<T> for your own serde + schemars types (feature `schemars`)"
)]
pub trait FieldValue: Sized {
    /// The run-time type.
    fn field_type() -> FieldType;

    /// The value as JSON.
    fn into_value(self) -> Value;

    /// The value from JSON.
    ///
    /// # Errors
    /// [`ValueError`] when the JSON is of another type.
    fn from_value(value: &Value) -> Result<Self, ValueError>;

    /// The value of a field that is not there; `None` makes that an error.
    fn when_missing() -> Option<Self> {
        None
    }
}

impl FieldValue for String {
    fn field_type() -> FieldType {
        FieldType::Text
    }

    fn into_value(self) -> Value {
        Value::String(self)
    }

    fn from_value(value: &Value) -> Result<Self, ValueError> {
        value.as_str().map(str::to_owned).ok_or_else(|| ValueError::new(&FieldType::Text, value))
    }
}

impl FieldValue for bool {
    fn field_type() -> FieldType {
        FieldType::Bool
    }

    fn into_value(self) -> Value {
        Value::Bool(self)
    }

    fn from_value(value: &Value) -> Result<Self, ValueError> {
        value.as_bool().ok_or_else(|| ValueError::new(&FieldType::Bool, value))
    }
}

macro_rules! integer_fields {
    ($($ty:ty),*) => {$(
        impl FieldValue for $ty {
            fn field_type() -> FieldType {
                FieldType::Integer
            }

            fn into_value(self) -> Value {
                Value::from(self)
            }

            fn from_value(value: &Value) -> Result<Self, ValueError> {
                let whole = value.as_i64().map(i128::from).or_else(|| value.as_u64().map(i128::from));
                whole
                    .and_then(|number| Self::try_from(number).ok())
                    .ok_or_else(|| ValueError::new(&FieldType::Integer, value))
            }
        }
    )*};
}
integer_fields!(i8, i16, i32, i64, isize, u8, u16, u32, u64, usize);

macro_rules! float_fields {
    ($($ty:ty),*) => {$(
        impl FieldValue for $ty {
            fn field_type() -> FieldType {
                FieldType::Float
            }

            fn into_value(self) -> Value {
                Value::from(self)
            }

            fn from_value(value: &Value) -> Result<Self, ValueError> {
                value.as_f64().map(|number| number as $ty).ok_or_else(|| ValueError::new(&FieldType::Float, value))
            }
        }
    )*};
}
float_fields!(f32, f64);

impl<T: FieldValue> FieldValue for Vec<T> {
    fn field_type() -> FieldType {
        FieldType::List(Box::new(T::field_type()))
    }

    fn into_value(self) -> Value {
        Value::Array(self.into_iter().map(T::into_value).collect())
    }

    fn from_value(value: &Value) -> Result<Self, ValueError> {
        let items = value.as_array().ok_or_else(|| ValueError::new(&Self::field_type(), value))?;
        items.iter().map(T::from_value).collect()
    }
}

impl<T: FieldValue> FieldValue for Option<T> {
    fn field_type() -> FieldType {
        FieldType::Optional(Box::new(T::field_type()))
    }

    fn into_value(self) -> Value {
        self.map_or(Value::Null, T::into_value)
    }

    fn from_value(value: &Value) -> Result<Self, ValueError> {
        if value.is_null() { Ok(None) } else { T::from_value(value).map(Some) }
    }

    fn when_missing() -> Option<Self> {
        Some(None)
    }
}

impl<T: FieldValue> FieldValue for BTreeMap<String, T> {
    fn field_type() -> FieldType {
        FieldType::Map(Box::new(T::field_type()))
    }

    fn into_value(self) -> Value {
        Value::Object(self.into_iter().map(|(name, value)| (name, value.into_value())).collect())
    }

    fn from_value(value: &Value) -> Result<Self, ValueError> {
        let items = value.as_object().ok_or_else(|| ValueError::new(&Self::field_type(), value))?;
        items.iter().map(|(name, value)| Ok((name.clone(), T::from_value(value)?))).collect()
    }
}

/// A field of a type of your own: anything that `serde` reads and writes and `schemars` describes.
///
/// The model is told the shape of its JSON, and held to its schema where the model can be held to one. Reads like the value
/// inside.
///
/// ```
/// use schemars::JsonSchema;
/// use serde::{Deserialize, Serialize};
/// use teleprompt_core::{FieldValue, Json};
///
/// #[derive(Serialize, Deserialize, JsonSchema)]
/// struct Person {
///     name: String,
///     age: Option<u8>,
/// }
///
/// let person = Json::<Person>::from_value(&serde_json::json!({"name": "Ada", "age": 36})).unwrap();
/// assert_eq!(person.name, "Ada");
/// assert_eq!(Json::<Person>::field_type().to_string(), r#"JSON {"name": text, "age": integer or null}"#);
/// ```
#[cfg(feature = "schemars")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Json<T>(pub T);

#[cfg(feature = "schemars")]
impl<T> std::ops::Deref for Json<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

#[cfg(feature = "schemars")]
impl<T> From<T> for Json<T> {
    fn from(value: T) -> Self {
        Self(value)
    }
}

#[cfg(feature = "schemars")]
impl<T: Serialize + serde::de::DeserializeOwned + schemars::JsonSchema> FieldValue for Json<T> {
    fn field_type() -> FieldType {
        let settings = schemars::generate::SchemaSettings::draft2020_12().with(|settings| {
            settings.inline_subschemas = true;
            settings.meta_schema = None;
        });
        let schema = settings.into_generator().into_root_schema_for::<T>().to_value();
        FieldType::Json { name: T::schema_name().into_owned(), schema }
    }

    /// `null` for a value that `serde` cannot write as JSON, such as a map whose keys are no texts.
    fn into_value(self) -> Value {
        serde_json::to_value(self.0).unwrap_or(Value::Null)
    }

    fn from_value(value: &Value) -> Result<Self, ValueError> {
        T::deserialize(value).map(Self).map_err(|error| ValueError {
            expected: format!("{} ({error})", T::schema_name()),
            found: shorten(&value.to_string(), 80),
        })
    }
}

/// A JSON value that does not have the type expected.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected {expected}, found {found}")]
pub struct ValueError {
    /// The type expected, in words.
    pub expected: String,
    /// The value found, shortened to 80 characters.
    pub found: String,
}

impl ValueError {
    /// The error that `value` is not of type `expected`.
    pub fn new(expected: &FieldType, value: &Value) -> Self {
        Self::of_text(expected, &value.to_string())
    }

    /// The error that `text` does not read as `expected`.
    pub fn of_text(expected: &FieldType, text: &str) -> Self {
        Self { expected: expected.to_string(), found: shorten(text, 80) }
    }
}
