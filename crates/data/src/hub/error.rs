//! What can go wrong with a hub. No message has the token in it, nor the query of an address.

use std::io;
use std::path::PathBuf;

use teleprompt_core::Nearest;

/// Why a data set or a file of it could not be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HubError {
    /// The endpoint is no address.
    #[error("the hub's address (`HF_ENDPOINT`) must be `https://HOST` or `http://HOST`, without a user name")]
    Endpoint,
    /// The token cannot be sent.
    #[error("the token (`HF_TOKEN`) is empty or holds characters that no token has")]
    Token,
    /// There is no folder for the cache.
    #[error("there is no home folder: set `HF_HOME` to the folder for data sets")]
    Home,
    /// The id is none.
    #[error("`{id}` names no data set: write `OWNER/NAME`")]
    Id {
        /// The id.
        id: String,
    },
    /// The revision is none.
    #[error("`{revision}` is no branch, tag or commit")]
    Revision {
        /// The revision.
        revision: String,
    },
    /// The HTTP client could not be set up.
    #[error("the HTTP client cannot be set up: {cause}")]
    Client {
        /// What it said.
        cause: String,
    },
    /// The hub did not answer, or broke off again and again.
    #[error("{url}: no answer: {cause}")]
    Unreachable {
        /// What was asked for.
        url: String,
        /// What the connection said.
        cause: String,
    },
    /// The hub refused.
    #[error("{url}: status {status}{}", hint(*.status))]
    Status {
        /// What was asked for.
        url: String,
        /// The HTTP status.
        status: u16,
    },
    /// A list cannot be read or used.
    #[error("{url}: the list of files cannot be used: {cause}")]
    List {
        /// What was asked for.
        url: String,
        /// What is wrong.
        cause: String,
    },
    /// More files than the limit allows.
    #[error("the data set has more than {limit} files (`HubSettings::max_files`)")]
    TooManyFiles {
        /// The limit.
        limit: usize,
    },
    /// A file larger than the limit allows.
    #[error("`{path}` has {bytes} bytes, more than {limit} (`HubSettings::max_bytes`)")]
    TooLarge {
        /// The file.
        path: String,
        /// Its size.
        bytes: u64,
        /// The limit.
        limit: u64,
    },
    /// The data set has no such file.
    #[error("`{id}` has no file `{path}`{nearest}")]
    NoFile {
        /// The data set.
        id: String,
        /// The file.
        path: String,
        /// The nearest path that it has.
        nearest: Nearest,
    },
    /// What came is not the file announced; it was removed.
    #[error(
        "`{path}` is not what the hub's list says: {what} {found}, not {expected}; it was removed, fetch it again"
    )]
    Mismatch {
        /// The file.
        path: String,
        /// The size or the hash.
        what: &'static str,
        /// Of what came.
        found: String,
        /// As listed.
        expected: String,
    },
    /// Offline, and not in the cache.
    #[error("offline (`HF_HUB_OFFLINE`), and {what} is not in the cache: fetch it once online")]
    Offline {
        /// What is missing.
        what: String,
    },
    /// The disk.
    #[error("{}: {source}", .path.display())]
    Disk {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

fn hint(status: u16) -> &'static str {
    match status {
        401 | 403 => ": it wants a token that may read it (`HF_TOKEN`), or does not exist",
        404 => ": it does not exist, or wants a token (`HF_TOKEN`)",
        429 => ": too many requests; wait a little, or set `HF_TOKEN`",
        _ => "",
    }
}
