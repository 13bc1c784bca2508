//! Images, sounds and documents as values of fields and as parts of messages.

use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::field_type::{FieldType, FieldValue, ValueError};

/// An image, a sound or a document: where it is, or its bytes.
///
/// As an input field it is shown to the model as a part of its own; a model that takes no media refuses the call before it is
/// made.
///
/// ```
/// use teleprompt_core::{FieldValue, Media};
/// let image = Media::bytes("image/png", [0x89, b'P', b'N', b'G']);
/// assert_eq!(image.to_string(), "image/png, 4 bytes");
/// assert_eq!(Media::from_value(&image.clone().into_value()).unwrap(), image);
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Media {
    /// The MIME type, such as `image/png`, `audio/wav`, `application/pdf`.
    pub media_type: String,
    /// The content.
    #[serde(flatten)]
    pub source: MediaSource,
}

/// Where the content of a [`Media`] is.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum MediaSource {
    /// At an address that the provider can read.
    Url(String),
    /// Here, in standard Base64.
    Base64(Arc<str>),
}

impl Media {
    /// What is at an address that the provider can read.
    pub fn url(media_type: impl Into<String>, url: impl Into<String>) -> Self {
        Self { media_type: media_type.into(), source: MediaSource::Url(url.into()) }
    }

    /// What these bytes are.
    pub fn bytes(media_type: impl Into<String>, bytes: impl AsRef<[u8]>) -> Self {
        let source = MediaSource::Base64(STANDARD.encode(bytes).into());
        Self { media_type: media_type.into(), source }
    }

    /// The address, or a `data:` URL with the bytes.
    pub fn to_url(&self) -> String {
        match &self.source {
            MediaSource::Url(url) => url.clone(),
            MediaSource::Base64(data) => format!("data:{};base64,{data}", self.media_type),
        }
    }
}

/// The type and the address or the size, never the bytes.
impl fmt::Display for Media {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.source {
            MediaSource::Url(url) => write!(f, "{} at {url}", self.media_type),
            MediaSource::Base64(data) => {
                let padding = data.bytes().rev().take_while(|byte| *byte == b'=').count();
                write!(f, "{}, {} bytes", self.media_type, (data.len() / 4 * 3).saturating_sub(padding))
            }
        }
    }
}

impl fmt::Debug for Media {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Media({self})")
    }
}

impl fmt::Debug for MediaSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url(url) => f.debug_tuple("Url").field(url).finish(),
            Self::Base64(data) => write!(f, "Base64({} characters)", data.len()),
        }
    }
}

impl FieldValue for Media {
    fn field_type() -> FieldType {
        FieldType::Media
    }

    fn into_value(self) -> Value {
        let (key, value) = match &self.source {
            MediaSource::Url(url) => ("url", url.as_str()),
            MediaSource::Base64(data) => ("base64", &**data),
        };
        serde_json::json!({ "media_type": self.media_type, key: value })
    }

    fn from_value(value: &Value) -> Result<Self, ValueError> {
        Self::deserialize(value).map_err(|_| ValueError::new(&FieldType::Media, value))
    }
}

/// The media in a value, in order: itself, or those in a list or an object.
pub(crate) fn media_in(ty: &FieldType, value: &Value) -> Vec<Media> {
    match (ty, value) {
        (FieldType::Media, value) => Media::from_value(value).into_iter().collect(),
        (FieldType::Optional(inner), value) => media_in(inner, value),
        (FieldType::List(item), Value::Array(items)) => {
            items.iter().flat_map(|value| media_in(item, value)).collect()
        }
        (FieldType::Map(item), Value::Object(items)) => {
            items.values().flat_map(|value| media_in(item, value)).collect()
        }
        _ => Vec::new(),
    }
}
