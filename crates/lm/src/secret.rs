//! [`ApiKey`]: a provider's key that nothing prints.
//!
//! A key enters from the environment or as a value, and leaves only in the header of a request. It has no
//! `Serialize`, its `Debug` and `Display` are the word `redacted`, and [`ApiKey::redact`] takes it out of what
//! a server says before that reaches an error. Deliberately absent: key files and key rings, which are a
//! matter of the application.

use std::fmt;
use std::sync::Arc;

use reqwest::header::{HeaderName, HeaderValue};

use crate::SpecError;

/// A provider's key. Clones share it.
///
/// ```
/// use teleprompt_lm::ApiKey;
/// let key = ApiKey::new("sk-very-secret").unwrap();
/// assert_eq!(format!("{key} {key:?}"), "redacted ApiKey(redacted)");
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct ApiKey(Arc<str>);

impl ApiKey {
    /// A key from its text; white space around it is dropped.
    ///
    /// # Errors
    /// [`SpecError::InvalidKey`] when nothing is left, or when a character cannot stand in an HTTP header.
    pub fn new(text: impl AsRef<str>) -> Result<Self, SpecError> {
        Self::named("the key passed in", text.as_ref())
    }

    /// The key in the environment variable `variable`.
    ///
    /// # Errors
    /// [`SpecError::MissingKey`] when it is not set or empty, [`SpecError::InvalidKey`] as in [`ApiKey::new`].
    pub fn from_env(variable: &str) -> Result<Self, SpecError> {
        Self::from_lookup(variable, &|name| std::env::var(name).ok())
    }

    /// As [`ApiKey::from_env`], with another source than the environment of the process.
    pub(crate) fn from_lookup(
        variable: &str,
        lookup: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, SpecError> {
        match lookup(variable) {
            Some(text) if !text.trim().is_empty() => Self::named(&format!("`{variable}`"), &text),
            _ => Err(SpecError::MissingKey { variable: variable.to_owned() }),
        }
    }

    fn named(source: &str, text: &str) -> Result<Self, SpecError> {
        let text = text.trim();
        if text.is_empty() || !text.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(SpecError::InvalidKey { origin: source.to_owned() });
        }
        Ok(Self(text.into()))
    }

    /// `text` with every occurrence of the key replaced by `[redacted]`.
    pub fn redact(&self, text: &str) -> String {
        text.replace(&*self.0, "[redacted]")
    }

    /// `bytes` with the key replaced by `[redacted]`, as it is and as JSON may write it: some servers escape every slash.
    pub(crate) fn redact_bytes(&self, bytes: Vec<u8>) -> Vec<u8> {
        let next = |from: &[u8]| (0..from.len()).find_map(|at| Some((at, self.len_at(from.get(at..)?)?)));
        let Some((mut at, mut len)) = next(&bytes) else { return bytes };
        let (mut clean, mut rest) = (Vec::with_capacity(bytes.len()), bytes.as_slice());
        loop {
            let (before, found) = rest.split_at(at);
            clean.extend_from_slice(before);
            clean.extend_from_slice(b"[redacted]");
            rest = found.get(len..).unwrap_or_default();
            match next(rest) {
                Some(again) => (at, len) = again,
                None => break,
            }
        }
        clean.extend_from_slice(rest);
        clean
    }

    /// How many of the first bytes are the key, if they are.
    fn len_at(&self, bytes: &[u8]) -> Option<usize> {
        let mut rest = bytes;
        for &wanted in self.0.as_bytes() {
            rest = match rest {
                [b'\\', b'u', b'0', b'0', high, low, rest @ ..] if hex(*high, *low) == Some(wanted) => rest,
                [b'\\', escaped, rest @ ..] if *escaped == wanted && b"/\\\"".contains(escaped) => rest,
                [plain, rest @ ..] if *plain == wanted => rest,
                _ => return None,
            };
        }
        Some(bytes.len() - rest.len())
    }

    /// A header with the key behind `prefix`, marked as sensitive.
    pub(crate) fn header(&self, name: HeaderName, prefix: &str) -> Option<(HeaderName, HeaderValue)> {
        let mut value = HeaderValue::from_str(&format!("{prefix}{}", self.0)).ok()?;
        value.set_sensitive(true);
        Some((name, value))
    }
}

/// The byte of two hexadecimal digits.
fn hex(high: u8, low: u8) -> Option<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    u8::try_from(16 * digit(high)? + digit(low)?).ok()
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiKey(redacted)")
    }
}

impl fmt::Display for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("redacted")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_prints_a_key() {
        let key = ApiKey::new("  sk-marked \n").unwrap();
        let header = key.header(HeaderName::from_static("x-api-key"), "Bearer ").unwrap().1;
        for text in [format!("{key}"), format!("{key:?}"), format!("{key:#?}"), format!("{header:?}")] {
            assert!(!text.contains("sk-marked"), "{text}");
        }
        assert_eq!(key.redact("you sent sk-marked, sk-marked"), "you sent [redacted], [redacted]");
        let bytes = |text: &str| String::from_utf8(key.redact_bytes(text.into())).unwrap();
        assert_eq!(bytes("sk-marked, and sk-marked."), "[redacted], and [redacted].");
        assert_eq!((bytes("sk-mar"), bytes("")), ("sk-mar".to_owned(), String::new()));
        let key = ApiKey::new(r#"a/b"c\d"#).unwrap();
        let bytes = |text: &str| String::from_utf8(key.redact_bytes(text.into())).unwrap();
        for written in [r#"a/b"c\d"#, r#"a\/b\"c\\d"#, r#"a/b\"c\\d"#, r#"a\u002Fb\u0022c\u005cd"#] {
            assert_eq!(bytes(&format!("x {written}, a/b")), "x [redacted], a/b");
        }
    }

    #[test]
    fn a_missing_key_says_what_to_do() {
        for value in [None, Some("  ".to_owned())] {
            let error = ApiKey::from_lookup("OPENAI_API_KEY", &|_| value.clone()).unwrap_err().to_string();
            assert!(error.starts_with("`OPENAI_API_KEY` is not set: export it"), "{error}");
        }
    }

    #[test]
    fn a_key_that_no_header_can_carry_is_refused_without_being_shown() {
        for text in ["", " ", "sk\nnext", "sk clé"] {
            let error = ApiKey::new(text).unwrap_err().to_string();
            assert!(!error.contains("sk"), "{error}");
        }
    }
}
