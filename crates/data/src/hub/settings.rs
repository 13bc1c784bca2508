//! Where the hub is, where files go, and the token.

use std::env;
use std::fmt;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use super::HubError;

/// How a hub is asked, and where its files go.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct HubSettings {
    /// The hub's address.
    pub endpoint: String,
    /// The folder for data sets.
    pub cache: PathBuf,
    /// The token, where there is one.
    pub token: Option<Token>,
    /// Whether the network is left alone.
    pub offline: bool,
    /// The most files of a data set; 100,000 by default.
    pub max_files: usize,
    /// The most bytes of a file; 8 GiB by default.
    pub max_bytes: u64,
    /// How long a server may be silent; 30 s by default.
    pub patience: Duration,
}

impl HubSettings {
    /// A hub at `endpoint` with files in `cache`: no token, online.
    pub fn new(endpoint: impl Into<String>, cache: impl Into<PathBuf>) -> Self {
        Self {
            endpoint: endpoint.into(),
            cache: cache.into(),
            token: None,
            offline: false,
            max_files: 100_000,
            max_bytes: 8 << 30,
            patience: Duration::from_secs(30),
        }
    }

    /// The settings that the environment names.
    ///
    /// # Errors
    /// [`HubError::Home`], [`HubError::Token`].
    pub fn from_env() -> Result<Self, HubError> {
        Self::from_lookup(|name| env::var(name).ok(), env::home_dir())
    }

    /// The settings of an environment.
    pub(crate) fn from_lookup(
        lookup: impl Fn(&str) -> Option<String>,
        home: Option<PathBuf>,
    ) -> Result<Self, HubError> {
        let set = |name: &str| lookup(name).filter(|value| !value.trim().is_empty());
        let caches = || Some(set("XDG_CACHE_HOME").map_or(home.clone()?.join(".cache"), PathBuf::from));
        let hf_home = match set("HF_HOME") {
            Some(folder) => PathBuf::from(folder),
            None => caches().ok_or(HubError::Home)?.join("huggingface"),
        };
        let endpoint = set("HF_ENDPOINT").unwrap_or_else(|| "https://huggingface.co".to_owned());
        let mut settings = Self::new(endpoint, hf_home.join("teleprompt").join("datasets"));
        let stored = || {
            let path = set("HF_TOKEN_PATH").map_or_else(|| hf_home.join("token"), PathBuf::from);
            fs::read_to_string(path).ok().filter(|text| !text.trim().is_empty())
        };
        settings.token = set("HF_TOKEN").or_else(stored).map(Token::new).transpose()?;
        let yes = |value: String| matches!(value.trim().to_lowercase().as_str(), "1" | "true" | "yes" | "on");
        settings.offline = set("HF_HUB_OFFLINE").is_some_and(yes);
        Ok(settings)
    }
}

/// A token; shown as `***`.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    /// A token.
    ///
    /// # Errors
    /// [`HubError::Token`] when it is empty or cannot stand in a header.
    pub fn new(text: impl AsRef<str>) -> Result<Self, HubError> {
        let text = text.as_ref().trim();
        let sendable = !text.is_empty() && text.chars().all(|c| c.is_ascii_graphic());
        if sendable { Ok(Self(text.to_owned())) } else { Err(HubError::Token) }
    }

    /// The text, for the header alone.
    pub(super) fn text(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(***)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_is_read_as_the_hubs_own_tools_do() {
        let home = tempfile::tempdir().unwrap();
        let read = |pairs: &[(&str, &str)]| {
            let find =
                |name: &str| pairs.iter().find(|(known, _)| *known == name).map(|(_, v)| (*v).to_owned());
            HubSettings::from_lookup(find, Some(home.path().to_owned())).unwrap()
        };
        let plain = read(&[]);
        assert_eq!(plain.endpoint, "https://huggingface.co");
        assert_eq!(plain.cache, home.path().join(".cache/huggingface/teleprompt/datasets"));
        assert!(!plain.offline && plain.token.is_none());
        assert_eq!(
            read(&[("XDG_CACHE_HOME", "/c")]).cache,
            PathBuf::from("/c/huggingface/teleprompt/datasets")
        );
        let text = home.path().display().to_string();
        std::fs::write(home.path().join("token"), "hf_file\n").unwrap();
        let full = read(&[("HF_HOME", &text), ("HF_ENDPOINT", "http://h"), ("HF_HUB_OFFLINE", "ON")]);
        assert_eq!((full.endpoint.as_str(), full.offline), ("http://h", true));
        assert_eq!(full.token, Some(Token::new("hf_file").unwrap()));
        assert_eq!(
            read(&[("HF_HOME", &text), ("HF_TOKEN", " hf_env ")]).token,
            Some(Token::new("hf_env").unwrap())
        );
        assert!(matches!(HubSettings::from_lookup(|_| None, None), Err(HubError::Home)));
        assert!(Token::new("a\nb").is_err() && !format!("{full:?}").contains("hf_file"));
    }
}
