//! Requests to a hub: short answers in JSON, and files that may be large and may break off.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

use reqwest::header::{ACCEPT_ENCODING, AUTHORIZATION, CONTENT_RANGE, HeaderMap, HeaderValue, LINK, RANGE};
use reqwest::{Client, RequestBuilder, Response, Url, redirect};
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};

use super::{Hub, HubError, HubFile, HubSettings, MAX_LIST_BYTES};

/// At most this many connections for one file, as long as each brings bytes.
const CONNECTIONS: u32 = 50;

/// A client: redirects are followed, for files stand on other servers, but none from `https` to `http`.
pub(super) fn client(settings: &HubSettings, endpoint: &Url) -> Result<Client, HubError> {
    let policy = redirect::Policy::custom(|attempt| {
        let secure = attempt.previous().iter().all(|url| url.scheme() == "https");
        if attempt.previous().len() > 5 {
            attempt.error("more than 5 redirects")
        } else if secure && attempt.url().scheme() != "https" {
            attempt.error("a redirect from https to http")
        } else {
            attempt.follow()
        }
    });
    let mut builder = Client::builder();
    if endpoint.scheme() == "http" && is_loopback(endpoint) {
        // A hub on this machine needs neither a proxy nor certificates.
        builder = builder.no_proxy().tls_certs_only(std::iter::empty());
    }
    builder
        .redirect(policy)
        .connect_timeout(settings.patience)
        .read_timeout(settings.patience)
        .user_agent(concat!("teleprompt/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(|error| HubError::Client { cause: cause(error) })
}

fn is_loopback(url: &Url) -> bool {
    match url.host_str() {
        Some("localhost" | "[::1]") => true,
        Some(host) => host.parse::<std::net::Ipv4Addr>().is_ok_and(|ip| ip.is_loopback()),
        None => false,
    }
}

/// An address without its query.
pub(super) fn shown(url: &Url) -> String {
    let mut url = url.clone();
    url.set_query(None);
    url.to_string()
}

/// The innermost cause, without the address, which may hold a signature.
fn cause(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut inner: &dyn std::error::Error = &error;
    while let Some(next) = inner.source() {
        inner = next;
    }
    inner.to_string()
}

fn get(hub: &Hub, url: &Url) -> Result<RequestBuilder, HubError> {
    let mut headers = HeaderMap::new();
    // What is counted and hashed are the file's own bytes.
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    if let Some(token) = &hub.settings.token {
        let mut value =
            HeaderValue::from_str(&format!("Bearer {}", token.text())).map_err(|_| HubError::Token)?;
        value.set_sensitive(true);
        headers.insert(AUTHORIZATION, value);
    }
    Ok(hub.client.get(url.clone()).headers(headers))
}

/// A short answer, and the address of its next page.
pub(super) async fn json<T: DeserializeOwned>(hub: &Hub, url: Url) -> Result<(T, Option<Url>), HubError> {
    let shown = shown(&url);
    let unreachable = |error| HubError::Unreachable { url: shown.clone(), cause: cause(error) };
    let mut response = get(hub, &url)?.send().await.map_err(unreachable)?;
    if !response.status().is_success() {
        return Err(HubError::Status { url: shown, status: response.status().as_u16() });
    }
    let next = response.headers().get(LINK).and_then(|link| next_page(link.to_str().ok()?));
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(unreachable)? {
        if body.len() + chunk.len() > MAX_LIST_BYTES {
            let cause = format!("it is larger than {} MiB", MAX_LIST_BYTES >> 20);
            return Err(HubError::List { url: shown, cause });
        }
        body.extend_from_slice(&chunk);
    }
    let value = serde_json::from_slice(&body);
    value.map(|value| (value, next)).map_err(|error| HubError::List { url: shown, cause: error.to_string() })
}

/// The address in `<URL>; rel="next"`.
fn next_page(link: &str) -> Option<Url> {
    let part = link.split(',').find(|part| part.contains("rel=\"next\""))?;
    Url::parse(part.trim().strip_prefix('<')?.split('>').next()?).ok()
}

/// Makes `target` the file, if it is not there.
pub(super) async fn fetch(hub: &Hub, file: &HubFile, url: Url, target: &Path) -> Result<(), HubError> {
    let is_there = || fs::metadata(target).is_ok_and(|found| found.is_file() && found.len() == file.bytes);
    if is_there() {
        return Ok(());
    }
    if hub.settings.offline {
        return Err(HubError::Offline { what: format!("`{}`", file.path) });
    }
    if file.bytes > hub.settings.max_bytes {
        let (path, bytes, limit) = (file.path.clone(), file.bytes, hub.settings.max_bytes);
        return Err(HubError::TooLarge { path, bytes, limit });
    }
    make_folder_of(target)?;
    let beside = |ending: &str| {
        let mut name = target.file_name().unwrap_or_default().to_owned();
        name.push(ending);
        target.with_file_name(name)
    };
    let (part, lock) = (beside(".part"), beside(".lock"));
    let held = File::create(&lock).map_err(disk(&lock))?;
    // A file system without locks is no reason to stop: the checks still guard the final name.
    let _held = held.lock();
    if is_there() {
        return Ok(());
    }
    let mut last = None;
    for _ in 0..CONNECTIONS {
        let before = fs::metadata(&part).map_or(0, |found| found.len());
        if before >= file.bytes && part.exists() {
            break;
        }
        match transfer(hub, &url, file, &part, before).await {
            Ok(()) => last = None,
            Err(error @ HubError::Unreachable { .. }) => last = Some(error),
            Err(error) => return Err(error),
        }
        let after = fs::metadata(&part).map_or(0, |found| found.len());
        if after <= before && last.is_some() {
            break;
        }
    }
    if let Some(error) = last {
        return Err(error);
    }
    check(file, &part)?;
    fs::rename(&part, target).map_err(disk(target))
}

/// One connection: appends to `part` what comes after its first `have` bytes.
async fn transfer(hub: &Hub, url: &Url, file: &HubFile, part: &Path, have: u64) -> Result<(), HubError> {
    let unreachable = |error| HubError::Unreachable { url: shown(url), cause: cause(error) };
    let mut request = get(hub, url)?;
    if have > 0 {
        request = request.header(RANGE, format!("bytes={have}-"));
    }
    let mut response = request.send().await.map_err(unreachable)?;
    let mut at = match response.status().as_u16() {
        206 if begins_at(&response, have) => have,
        200 => 0,
        // The server cannot go on from there: from the start, with the next connection.
        206 | 416 if have > 0 => return fs::remove_file(part).map_err(disk(part)),
        status => return Err(HubError::Status { url: shown(url), status }),
    };
    let mut out =
        OpenOptions::new().write(true).create(true).truncate(false).open(part).map_err(disk(part))?;
    out.set_len(at).and_then(|()| out.seek(SeekFrom::Start(at))).map_err(disk(part))?;
    while let Some(bytes) = response.chunk().await.map_err(unreachable)? {
        out.write_all(&bytes).map_err(disk(part))?;
        at += bytes.len() as u64;
        if at > file.bytes {
            // Longer than it can be: the check says so; the rest is not worth the disk.
            return Ok(());
        }
    }
    out.sync_all().map_err(disk(part))?;
    if at < file.bytes {
        let cause = format!("it ended after {at} of {} bytes", file.bytes);
        return Err(HubError::Unreachable { url: shown(url), cause });
    }
    Ok(())
}

/// Whether a partial answer begins where it was asked to.
fn begins_at(response: &Response, have: u64) -> bool {
    let range = response.headers().get(CONTENT_RANGE).and_then(|value| value.to_str().ok());
    range.is_some_and(|range| range.starts_with(&format!("bytes {have}-")))
}

/// Whether `part` is the file that was listed; it is removed if not.
fn check(file: &HubFile, part: &Path) -> Result<(), HubError> {
    let found = fs::metadata(part).map_err(disk(part))?.len();
    let mismatch = |what, found: String, expected: String| {
        fs::remove_file(part).map_err(disk(part))?;
        Err(HubError::Mismatch { path: file.path.clone(), what, found, expected })
    };
    if found != file.bytes {
        return mismatch("bytes:", found.to_string(), file.bytes.to_string());
    }
    match &file.sha256 {
        None => Ok(()),
        Some(expected) => match sha256(part).map_err(disk(part))? {
            found if found == *expected => Ok(()),
            found => mismatch("sha256", found, expected.clone()),
        },
    }
}

fn sha256(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect()),
            n => hasher.update(buffer.get(..n).unwrap_or_default()),
        }
    }
}

/// Writes a small file so that it is whole or not there.
pub(super) fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), HubError> {
    make_folder_of(path)?;
    let temporary = path.with_extension(format!("{}.part", std::process::id()));
    fs::write(&temporary, bytes).map_err(disk(&temporary))?;
    fs::rename(&temporary, path).map_err(disk(path))
}

fn make_folder_of(path: &Path) -> Result<(), HubError> {
    path.parent().map_or(Ok(()), |folder| fs::create_dir_all(folder).map_err(disk(folder)))
}

fn disk(path: &Path) -> impl FnOnce(io::Error) -> HubError {
    let path = path.to_owned();
    move |source| HubError::Disk { path, source }
}
