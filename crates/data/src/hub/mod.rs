//! Data sets of the Hugging Face hub: what files there are, and fetching them once.
//!
//! ```text
//!   Hub::from_env ─▶ dataset("owner/name", "main") ─▶ files() ─▶ fetch(path) ─▶ a file on this machine
//!                        │ the commit that the revision is now        │ <file>.part ─ size, sha256 ─▶ <file>
//!                        └ kept, for working offline                  └ goes on where it broke off (HTTP Range)
//! ```
//!
//! From the environment, as the hub's own tools have it: `HF_ENDPOINT`, `HF_HOME`, `HF_TOKEN` (else the file `token` in
//! `HF_HOME`), `HF_HUB_OFFLINE`. Files stand under `HF_HOME/teleprompt/datasets/OWNER--NAME/COMMIT/`; a commit never changes, so
//! a file that is there is asked for no more.
//!
//! What a server says is not trusted: names that lead out of the folder, lists and files beyond the limits, and files that are
//! not of the size and hash announced are refused. The token goes to the endpoint alone, and into no message.
//!
//! ```no_run
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! use teleprompt_core::SignatureSpec;
//! use teleprompt_data::hub::Hub;
//! let set = Hub::from_env()?.dataset("openai/gsm8k", "main").await?;
//! let file = set.fetch("main/test-00000-of-00001.parquet").await?;
//! let spec = SignatureSpec::parse("question -> answer")?;
//! let rows = teleprompt_data::examples_for(&file, &spec)?;
//! # Ok(()) }
//! ```

mod download;
mod error;
mod settings;

use std::fs;
use std::path::PathBuf;

use reqwest::{Client, Url};
use serde::{Deserialize, Serialize};
use teleprompt_core::Nearest;

pub use error::HubError;
pub use settings::{HubSettings, Token};

/// The most bytes of one answer that is a list.
const MAX_LIST_BYTES: usize = 16 << 20;

/// A hub.
#[derive(Clone, Debug)]
pub struct Hub {
    settings: HubSettings,
    endpoint: Url,
    client: Client,
}

/// A file of a data set, as the hub lists it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HubFile {
    /// The path in the data set, with `/` between its parts.
    pub path: String,
    /// The size.
    pub bytes: u64,
    /// The SHA-256 in hexadecimal; the hub knows it of large files.
    pub sha256: Option<String>,
}

/// A data set at one commit.
#[derive(Clone, Debug)]
pub struct HubDataset {
    hub: Hub,
    id: String,
    commit: String,
    files: Vec<HubFile>,
}

impl Hub {
    /// The hub that the environment names.
    ///
    /// # Errors
    /// [`HubError`]: an endpoint that is no address, a token that cannot be sent, no home folder.
    pub fn from_env() -> Result<Self, HubError> {
        Self::new(HubSettings::from_env()?)
    }

    /// A hub with these settings.
    ///
    /// # Errors
    /// [`HubError`]: an endpoint that is no address, a token that cannot be sent.
    pub fn new(settings: HubSettings) -> Result<Self, HubError> {
        let endpoint = settings.endpoint.trim_end_matches('/');
        let url = Url::parse(&format!("{endpoint}/")).ok().filter(|url| {
            matches!(url.scheme(), "http" | "https") && url.username().is_empty() && url.password().is_none()
        });
        let endpoint = url.ok_or(HubError::Endpoint)?;
        let client = download::client(&settings, &endpoint)?;
        Ok(Self { settings, endpoint, client })
    }

    /// A data set and the list of its files, at the commit that `revision` (a branch, a tag, a commit) is now; offline, at the
    /// one that it was when it was last asked for.
    ///
    /// # Errors
    /// [`HubError`]: an id that is none, a hub that does not answer or refuses, a list that cannot be read.
    ///
    /// # Cost
    /// Two requests, and one more for every thousand files; offline none.
    pub async fn dataset(&self, id: &str, revision: &str) -> Result<HubDataset, HubError> {
        let parts: Vec<&str> = id.split('/').collect();
        if parts.len() > 2 || !parts.iter().all(|part| is_plain_name(part)) {
            return Err(HubError::Id { id: id.chars().take(100).collect() });
        }
        if revision.is_empty() || !revision.split('/').all(is_plain_name) {
            return Err(HubError::Revision { revision: revision.chars().take(100).collect() });
        }
        let folder = self.settings.cache.join(id.replace('/', "--"));
        let note = folder.join("revisions").join(format!("{}.json", revision.replace('/', "--")));
        if self.settings.offline {
            let missing =
                || HubError::Offline { what: format!("the list of files of `{id}` at `{revision}`") };
            let text = fs::read(&note).map_err(|_| missing())?;
            let noted: Noted = serde_json::from_slice(&text).map_err(|_| missing())?;
            return self.checked(id, noted);
        }
        let noted = self.listed(id, revision).await?;
        let text = serde_json::to_vec(&noted).unwrap_or_default();
        download::write_whole(&note, &text)?;
        self.checked(id, noted)
    }

    /// What the hub lists at a revision.
    async fn listed(&self, id: &str, revision: &str) -> Result<Noted, HubError> {
        #[derive(Deserialize)]
        struct Info {
            sha: String,
        }
        #[derive(Deserialize)]
        struct Entry {
            #[serde(rename = "type")]
            kind: String,
            path: String,
            #[serde(default)]
            size: u64,
            #[serde(default)]
            lfs: Option<Lfs>,
        }
        #[derive(Deserialize)]
        struct Lfs {
            oid: String,
            size: u64,
        }
        let url = self.url(&["api", "datasets"], id, &["revision", revision])?;
        let (info, _) = download::json::<Info>(self, url).await?;
        let mut next = Some(self.url(&["api", "datasets"], id, &["tree", &info.sha])?);
        if let Some(url) = &mut next {
            url.set_query(Some("recursive=true"));
        }
        let mut files = Vec::new();
        while let Some(url) = next {
            let shown = download::shown(&url);
            let (entries, more) = download::json::<Vec<Entry>>(self, url).await?;
            // A page without files that names another one would go on for ever.
            let barren = entries.is_empty();
            for entry in entries.into_iter().filter(|entry| entry.kind == "file") {
                let (bytes, sha256) = match entry.lfs {
                    Some(lfs) => (lfs.size, Some(lfs.oid.to_lowercase())),
                    None => (entry.size, None),
                };
                files.push(HubFile { path: entry.path, bytes, sha256 });
            }
            if files.len() > self.settings.max_files {
                return Err(HubError::TooManyFiles { limit: self.settings.max_files });
            }
            next = more.filter(|_| !barren);
            if let Some(more) = &next
                && more.origin() != self.endpoint.origin()
            {
                return Err(HubError::List {
                    url: shown,
                    cause: "its next page is on another server".into(),
                });
            }
        }
        Ok(Noted { commit: info.sha, files })
    }

    /// A list that names nothing outside of its folder.
    fn checked(&self, id: &str, noted: Noted) -> Result<HubDataset, HubError> {
        let list = |cause: String| HubError::List { url: id.to_owned(), cause };
        if !is_plain_name(&noted.commit) {
            return Err(list("its commit is no name".into()));
        }
        if let Some(file) = noted.files.iter().find(|file| !file.path.split('/').all(is_file_name)) {
            let name: String = file.path.chars().take(100).collect();
            return Err(list(format!("`{name}` cannot be the path of a file here")));
        }
        let hash = |hash: &String| hash.len() == 64 && hash.chars().all(|c| c.is_ascii_hexdigit());
        if let Some(file) = noted.files.iter().find(|file| !file.sha256.iter().all(hash)) {
            return Err(list(format!("the hash of `{}` is none", file.path)));
        }
        Ok(HubDataset { hub: self.clone(), id: id.to_owned(), commit: noted.commit, files: noted.files })
    }

    /// An address below the endpoint.
    fn url(&self, before: &[&str], id: &str, after: &[&str]) -> Result<Url, HubError> {
        let mut url = self.endpoint.clone();
        let mut segments = url.path_segments_mut().map_err(|()| HubError::Endpoint)?;
        segments.pop_if_empty().extend(before).extend(id.split('/')).extend(after);
        drop(segments);
        Ok(url)
    }
}

/// What is kept of a revision, for working offline.
#[derive(Debug, Serialize, Deserialize)]
struct Noted {
    commit: String,
    files: Vec<HubFile>,
}

impl HubDataset {
    /// The commit.
    pub fn commit(&self) -> &str {
        &self.commit
    }

    /// The files, in the hub's order.
    pub fn files(&self) -> &[HubFile] {
        &self.files
    }

    /// A file on this machine, fetched if it is not there.
    ///
    /// The file is checked by size and, where the hub knows it, by SHA-256 before it gets its name. A transfer that broke off
    /// goes on where it ended, in this call or a later one. Of two processes that fetch one file, one waits for the other.
    ///
    /// # Errors
    /// [`HubError`]: a path that the data set lacks, a hub that does not answer, a file that is not the one announced, the disk.
    ///
    /// # Cost
    /// One request for each connection that it takes; none if the file is there.
    pub async fn fetch(&self, path: &str) -> Result<PathBuf, HubError> {
        let Some(file) = self.files.iter().find(|file| file.path == path) else {
            let nearest = Nearest::to(path, self.files.iter().map(|file| file.path.as_str()));
            return Err(HubError::NoFile { id: self.id.clone(), path: path.to_owned(), nearest });
        };
        let cache = &self.hub.settings.cache;
        let mut target = cache.join(self.id.replace('/', "--")).join(&self.commit);
        target.extend(path.split('/'));
        let after: Vec<&str> = ["resolve", &self.commit].into_iter().chain(path.split('/')).collect();
        let url = self.hub.url(&["datasets"], &self.id, &after)?;
        download::fetch(&self.hub, file, url, &target).await?;
        Ok(target)
    }
}

/// A part of an id or a revision.
fn is_plain_name(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    (1..=96).contains(&name.len())
        && name.chars().all(plain)
        && !name.starts_with('.')
        && !name.contains("--")
}

/// A part of a path that means a file or a folder of this name on every system.
fn is_file_name(name: &str) -> bool {
    let refused = |c: char| c.is_control() || "\\:<>\"|?*".contains(c);
    (1..=255).contains(&name.len())
        && !name.chars().any(refused)
        && !name.chars().all(|c| c == '.')
        && !name.ends_with([' ', '.'])
        // The endings of our own files beside it.
        && !name.ends_with(".part")
        && !name.ends_with(".lock")
}
