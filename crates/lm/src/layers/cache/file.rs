//! Where a [`Cache`](super::Cache) keeps its answers: one SQLite file.
//!
//! ```text
//!   find ─▶ reader thread ─▶ (snapshot of the file)
//!   keep ─▶ writer thread ─▶ one transaction for all answers that wait ─▶ acknowledged
//! ```
//!
//! Two threads own one connection each, so no async task ever waits in a system call, and lookups never wait
//! for a commit (write-ahead log). A commit reaches the operating system before it is acknowledged; SQLite
//! syncs the log to disk when it is folded into the file, many commits at once (`synchronous = NORMAL`).
//! Deliberately absent: the requests. Only their hash is stored, so prompts do not lie in the file.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use futures::channel::oneshot;
use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension, Statement, TransactionBehavior, params};
use sha2::{Digest, Sha256};
use teleprompt_core::lm::LmResponse;

use super::CacheError;
use super::store::{Fault, Key, OVERHEAD};

/// Marks the file as a cache of ours: "TPLM".
const APPLICATION_ID: i32 = 0x5450_4C4D;
/// The layout of the file; another number is another layout.
const SCHEMA_VERSION: i32 = 1;
/// The most answers in one transaction.
const GROUP: usize = 512;
/// How long a statement waits for a lock of another process.
const BUSY: Duration = Duration::from_secs(20);
/// How many of the oldest entries are dropped in one go.
const EVICT: i64 = 64;

struct Find {
    key: Key,
    reply: oneshot::Sender<Result<Option<LmResponse>, Fault>>,
}

struct Keep {
    key: Key,
    json: String,
    reply: oneshot::Sender<Result<Option<LmResponse>, Fault>>,
}

/// Answers in a file.
pub(crate) struct File {
    path: PathBuf,
    finds: Option<Sender<Find>>,
    keeps: Option<Sender<Keep>>,
    reader: Option<JoinHandle<()>>,
    writer: Option<JoinHandle<()>>,
}

impl File {
    /// Opens the file, or creates it with the folders above it.
    pub(crate) fn open(
        path: &Path,
        max_bytes: Option<u64>,
        max_pages: Option<u32>,
    ) -> Result<Self, CacheError> {
        let failed = |error: &dyn std::fmt::Display| CacheError::Open {
            path: path.to_owned(),
            reason: error.to_string(),
        };
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            std::fs::create_dir_all(folder).map_err(|error| failed(&error))?;
        }
        let mut writer = prepared(path)?;
        if let Some(pages) = max_pages {
            writer
                .pragma_update_and_check(None, "max_page_count", pages, |_| Ok(()))
                .map_err(|error| failed(&error))?;
        }
        // Fail here, not at the first answer, when the file cannot be written.
        writer
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .and_then(|t| {
                t.execute("UPDATE totals SET bytes = bytes", [])?;
                t.commit()
            })
            .map_err(|error| classify(path, &error))?;
        let reader = connect(path).map_err(|error| classify(path, &error))?;

        let (finds, find_queue) = mpsc::channel();
        let (keeps, keep_queue) = mpsc::channel();
        let spawn = |name: &str, body: Box<dyn FnOnce() + Send>| {
            std::thread::Builder::new().name(name.to_owned()).spawn(body).map_err(|error| failed(&error))
        };
        let reader = spawn("answers-read", Box::new(move || read_loop(&reader, &find_queue)))?;
        let writer = spawn("answers-write", Box::new(move || write_loop(writer, &keep_queue, max_bytes)))?;
        Ok(Self {
            path: path.to_owned(),
            finds: Some(finds),
            keeps: Some(keeps),
            reader: Some(reader),
            writer: Some(writer),
        })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) async fn find(&self, key: Key) -> Result<Option<LmResponse>, Fault> {
        let (reply, answer) = oneshot::channel();
        let sent = self.finds.as_ref().map(|queue| queue.send(Find { key, reply }));
        if !matches!(sent, Some(Ok(()))) {
            return Err("its reader thread has ended".to_owned());
        }
        answer.await.unwrap_or_else(|_| Err("its reader thread has ended".to_owned()))
    }

    pub(super) async fn keep(&self, key: Key, answer: &LmResponse) -> Result<LmResponse, Fault> {
        let json = serde_json::to_string(answer).map_err(|error| error.to_string())?;
        let (reply, written) = oneshot::channel();
        let sent = self.keeps.as_ref().map(|queue| queue.send(Keep { key, json, reply }));
        if !matches!(sent, Some(Ok(()))) {
            return Err("its writer thread has ended".to_owned());
        }
        let stored = written.await.unwrap_or_else(|_| Err("its writer thread has ended".to_owned()))?;
        Ok(stored.unwrap_or_else(|| answer.clone()))
    }
}

/// Ends the threads after what waits is written. The writer closes last, alone, and so folds the log into the
/// file.
impl Drop for File {
    fn drop(&mut self) {
        self.finds = None;
        join(self.reader.take());
        self.keeps = None;
        join(self.writer.take());
    }
}

fn join(thread: Option<JoinHandle<()>>) {
    if let Some(thread) = thread {
        // A thread that panicked has nothing left to say.
        let _ = thread.join();
    }
}

fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let flags =
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY)?;
    // The file comes from outside: what it holds is data, checked before it is used.
    connection.pragma_update(None, "trusted_schema", false)?;
    connection.pragma_update(None, "cell_size_check", true)?;
    Ok(connection)
}

/// A connection to a file that is, from now on at the latest, a cache in the present layout.
fn prepared(path: &Path) -> Result<Connection, CacheError> {
    let failed = |error: rusqlite::Error| classify(path, &error);
    let mut connection = connect(path).map_err(failed)?;
    // In one transaction, hence of one moment: another process may be creating the file.
    let look = connection.transaction().map_err(failed)?;
    let whose = owner(&look).map_err(failed)?;
    look.commit().map_err(failed)?;
    if whose == Owner::Another {
        return Err(CacheError::NotACache { path: path.to_owned() });
    }
    write_ahead(&connection).map_err(failed)?;
    connection.pragma_update(None, "synchronous", "NORMAL").map_err(failed)?;
    let create = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
    // Another process may have created it since: look again, with the lock held.
    if owner(&create).map_err(failed)? == Owner::Nobody {
        create
            .execute_batch(
                "CREATE TABLE answers (
                     id INTEGER PRIMARY KEY,
                     key BLOB NOT NULL UNIQUE,
                     answer TEXT NOT NULL,
                     checksum BLOB NOT NULL
                 );
                 CREATE TABLE totals (bytes INTEGER NOT NULL);
                 INSERT INTO totals VALUES (0);",
            )
            .map_err(failed)?;
        create.pragma_update(None, "application_id", APPLICATION_ID).map_err(failed)?;
        create.pragma_update(None, "user_version", SCHEMA_VERSION).map_err(failed)?;
    }
    let found = pragma(&create, "user_version").map_err(failed)?;
    create.commit().map_err(failed)?;
    if found != SCHEMA_VERSION {
        return Err(CacheError::Version { path: path.to_owned(), found, expected: SCHEMA_VERSION });
    }
    Ok(connection)
}

#[derive(PartialEq)]
enum Owner {
    Us,
    Nobody,
    Another,
}

/// Whose file this is. An empty one is nobody's, and may become a cache.
fn owner(connection: &Connection) -> rusqlite::Result<Owner> {
    let mark = pragma(connection, "application_id")?;
    let tables: i64 = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    Ok(match (mark, tables) {
        (APPLICATION_ID, _) => Owner::Us,
        (0, 0) => Owner::Nobody,
        _ => Owner::Another,
    })
}

fn pragma(connection: &Connection, name: &str) -> rusqlite::Result<i32> {
    connection.pragma_query_value(None, name, |row| row.get(0))
}

/// Switches to the write-ahead log. SQLite does not wait for other processes here, so this does.
fn write_ahead(connection: &Connection) -> rusqlite::Result<()> {
    let give_up = Instant::now() + BUSY;
    loop {
        let switched =
            connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get::<_, String>(0));
        match switched {
            Err(error) if is_busy(&error) && Instant::now() < give_up => {
                std::thread::sleep(Duration::from_millis(5));
            }
            other => return other.map(drop),
        }
    }
}

fn is_busy(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked))
}

/// What an error at opening means.
fn classify(path: &Path, error: &rusqlite::Error) -> CacheError {
    let path = path.to_owned();
    match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase) => CacheError::NotACache { path },
        Some(ErrorCode::DatabaseCorrupt) => CacheError::Damaged { path },
        _ if matches!(error, rusqlite::Error::SqlInputError { .. }) => CacheError::Damaged { path },
        _ => CacheError::Open { path, reason: error.to_string() },
    }
}

/// The first 8 bytes of SHA-256 of key and answer: a row whose bytes have changed is no answer.
fn checksum(key: &Key, json: &str) -> [u8; 8] {
    let digest = Sha256::new().chain_update(key).chain_update(json).finalize();
    let mut check = [0; 8];
    check.iter_mut().zip(digest).for_each(|(to, from)| *to = from);
    check
}

const SELECT: &str = "SELECT answer, checksum FROM answers WHERE key = ?1";

/// The answer under `key`, if it is whole.
fn lookup(select: &mut Statement<'_>, key: &Key) -> rusqlite::Result<Option<LmResponse>> {
    let row = select
        .query_row([&key[..]], |row| {
            let (json, check) = (row.get_ref(0)?, row.get_ref(1)?);
            Ok(match (json.as_str(), check.as_blob()) {
                (Ok(json), Ok(check)) if check == checksum(key, json) => serde_json::from_str(json).ok(),
                _ => None,
            })
        })
        .optional()?;
    Ok(row.flatten())
}

fn read_loop(connection: &Connection, queue: &Receiver<Find>) {
    let mut select = match connection.prepare(SELECT) {
        Ok(select) => select,
        Err(error) => {
            queue.iter().for_each(|find| drop(find.reply.send(Err(error.to_string()))));
            return;
        }
    };
    for Find { key, reply } in queue {
        // The caller may be gone: then nobody needs the answer.
        let _ = reply.send(lookup(&mut select, &key).map_err(|error| error.to_string()));
    }
}

fn write_loop(mut connection: Connection, queue: &Receiver<Keep>, max_bytes: Option<u64>) {
    while let Ok(first) = queue.recv() {
        let group: Vec<Keep> =
            std::iter::once(first).chain(queue.try_iter().take(GROUP.saturating_sub(1))).collect();
        match write(&mut connection, &group, max_bytes) {
            Ok(stored) => {
                for (keep, stored) in group.into_iter().zip(stored) {
                    let _ = keep.reply.send(Ok(stored));
                }
            }
            // One bad answer must not fail the others: each alone.
            Err(_) if group.len() > 1 => {
                for keep in group {
                    let outcome = write(&mut connection, std::slice::from_ref(&keep), max_bytes);
                    let outcome = outcome.map(|mut stored| stored.pop().flatten());
                    let _ = keep.reply.send(outcome.map_err(|error| error.to_string()));
                }
            }
            Err(error) => {
                for keep in group {
                    let _ = keep.reply.send(Err(error.to_string()));
                }
            }
        }
    }
}

/// Writes a group in one transaction. For each: the answer that stood there already, if one did.
fn write(
    connection: &mut Connection,
    group: &[Keep],
    max_bytes: Option<u64>,
) -> rusqlite::Result<Vec<Option<LmResponse>>> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let mut stored = Vec::with_capacity(group.len());
    let mut added: i64 = 0;
    {
        let mut select = transaction.prepare(SELECT)?;
        let mut delete = transaction
            .prepare("DELETE FROM answers WHERE key = ?1 RETURNING length(CAST(answer AS BLOB))")?;
        let mut insert = transaction.prepare(
            "INSERT INTO answers (key, answer, checksum) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING",
        )?;
        for Keep { key, json, .. } in group {
            let check = checksum(key, json);
            let row = params![&key[..], json, &check[..]];
            let mut known = None;
            if insert.execute(row)? == 0 {
                known = lookup(&mut select, key)?;
                if known.is_none() {
                    // What stands there is damaged: replace it.
                    let old = delete.query_row([&key[..]], |row| row.get::<_, i64>(0)).optional()?;
                    added -= old.map_or(0, size);
                    insert.execute(row)?;
                }
            }
            if known.is_none() {
                added += size(i64::try_from(json.len()).unwrap_or(i64::MAX));
            }
            stored.push(known);
        }
        let mut total: i64 = transaction
            .prepare("UPDATE totals SET bytes = max(0, bytes + ?1) RETURNING bytes")?
            .query_row([added], |row| row.get(0))?;
        let most = max_bytes.map_or(i64::MAX, |most| i64::try_from(most).unwrap_or(i64::MAX));
        while total > most {
            let freed: Vec<i64> = transaction
                .prepare(
                    "DELETE FROM answers WHERE id IN (SELECT id FROM answers ORDER BY id LIMIT ?1)
                     RETURNING length(CAST(answer AS BLOB))",
                )?
                .query_map([EVICT], |row| row.get(0))?
                .collect::<rusqlite::Result<_>>()?;
            if freed.is_empty() {
                break;
            }
            total -= freed.into_iter().map(size).sum::<i64>();
            transaction.execute("UPDATE totals SET bytes = max(0, ?1)", [total])?;
        }
    }
    transaction.commit()?;
    Ok(stored)
}

/// The bytes that an answer of `text` bytes counts for.
fn size(text: i64) -> i64 {
    text.saturating_add(i64::try_from(OVERHEAD).unwrap_or_default())
}
