//! The journal as a file: whole lines in, whole lines out, one writer at a time.
//!
//! The lock is Optuna's: a symbolic link `<file>.lock` that points to the file. Whoever finds the file
//! unchanged for [`GRACE`] while waiting takes the holder for dead and removes the link. It is advisory, and
//! like Optuna's it trusts that no holder pauses for longer. Where there are no symbolic links the lock is an
//! empty file, as Optuna's `JournalFileOpenLock`.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// How long the lock of a writer that writes nothing is respected.
const GRACE: Duration = Duration::from_secs(30);

/// An open journal and how far it has been read.
#[derive(Debug)]
pub(super) struct JournalFile {
    path: PathBuf,
    file: File,
    /// The end of the last whole line that was read, in bytes.
    offset: u64,
}

impl JournalFile {
    /// Opens a journal, creating it where there is none.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().read(true).append(true).create(true).open(path)?;
        // The link must lead to the journal from its own folder too.
        Ok(Self { path: std::path::absolute(path)?, file, offset: 0 })
    }

    /// The whole lines that have been written since the last call, without what is torn at the end.
    pub(super) fn read_new(&mut self) -> io::Result<Vec<u8>> {
        self.file.seek(SeekFrom::Start(self.offset))?;
        let mut bytes = Vec::new();
        self.file.read_to_end(&mut bytes)?;
        let whole = bytes.iter().rposition(|&byte| byte == b'\n').map_or(0, |last| last + 1);
        bytes.truncate(whole);
        self.offset += whole as u64;
        Ok(bytes)
    }

    /// Appends whole lines. The lock must be held, and everything been read.
    pub(super) fn append(&mut self, lines: &[u8]) -> io::Result<()> {
        if self.file.metadata()?.len() > self.offset {
            // A writer died within a line: nobody has read it, and what follows must not become its end.
            self.file.set_len(self.offset)?;
        }
        self.file.write_all(lines)
    }

    /// Waits until all that was appended is on the disk.
    pub(super) fn persist(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    /// Waits for the lock.
    pub(super) fn lock(&self) -> io::Result<Lock> {
        let mut path = self.path.clone().into_os_string();
        path.push(".lock");
        let path = PathBuf::from(path);
        let (mut pause, mut since, mut seen) = (Duration::from_millis(1), Instant::now(), None);
        loop {
            match create(&self.path, &path) {
                Ok(()) => return Ok(Lock { path }),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
            // Through the link this is the time of the last write to the journal.
            let modified = fs::metadata(&path).and_then(|metadata| metadata.modified()).ok();
            if modified.is_none() || modified != seen {
                (seen, since) = (modified, Instant::now());
            } else if since.elapsed() > GRACE {
                remove(&path);
            }
            thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(50));
        }
    }
}

#[cfg(unix)]
fn create(target: &Path, lock: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(target, lock)
}

#[cfg(not(unix))]
fn create(_: &Path, lock: &Path) -> io::Result<()> {
    OpenOptions::new().write(true).create_new(true).open(lock).map(|_| ())
}

/// Removes a lock. It is renamed first: of several who try, one succeeds.
fn remove(lock: &Path) {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let mut renamed = lock.as_os_str().to_owned();
    renamed.push(format!("{}-{}.rename", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed)));
    if fs::rename(lock, &renamed).is_ok() {
        // Nobody else knows the new name; a failure leaves a stray link that locks nothing.
        let _ = fs::remove_file(&renamed);
    }
}

/// The lock of a journal, released when it is dropped.
#[derive(Debug)]
pub(super) struct Lock {
    path: PathBuf,
}

impl Drop for Lock {
    fn drop(&mut self) {
        remove(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn torn_lines_are_not_read_and_do_not_survive_a_write() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        fs::write(&path, b"one\ntw").unwrap();
        let mut file = JournalFile::open(&path).unwrap();
        assert_eq!(file.read_new().unwrap(), b"one\n");
        assert_eq!(file.read_new().unwrap(), b"");
        let lock = file.lock().unwrap();
        file.append(b"three\n").unwrap();
        drop(lock);
        assert_eq!(file.read_new().unwrap(), b"three\n");
        assert_eq!(fs::read(&path).unwrap(), b"one\nthree\n");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "no lock is left behind");
    }

    #[test]
    fn the_lock_lets_one_in_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let mut file = JournalFile::open(&path).unwrap();
                    for _ in 0..10 {
                        let _lock = file.lock().unwrap();
                        let written: usize = 1 + file.read_new().map(|_| file.offset as usize / 2).unwrap();
                        file.append(format!("{}\n", written % 10).as_bytes()).unwrap();
                    }
                });
            }
        });
        let expected: String = (1..=40).map(|n| format!("{}\n", n % 10)).collect();
        assert_eq!(fs::read_to_string(&path).unwrap(), expected);
    }
}
