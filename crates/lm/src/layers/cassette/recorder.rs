//! [`Recorder`]: writes a cassette while a run goes on.
//!
//! A line is written in one piece before its answer is returned, so a process that is killed loses no answer
//! that it has returned; it is not synced to disk line by line.

use std::collections::HashSet;
use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use futures::future::BoxFuture;
use serde::Serialize;
use teleprompt_core::lm::{Capabilities, Lm, LmError, LmErrorKind, LmRequest, LmResponse, ModelId};

use super::super::cache::{Key, key};
use super::{CassetteError, Header, Line, Tape, VERSION};

/// Records the answers of any number of models into one file; clones share it.
#[derive(Clone)]
pub struct Recorder(Arc<Deck>);

struct Deck {
    path: PathBuf,
    tape: Mutex<Writing>,
}

struct Writing {
    file: File,
    known: HashSet<Key>,
}

impl Recorder {
    /// Opens the file for recording, or creates it with the folders above it. What was recorded before stays,
    /// and is not recorded again.
    ///
    /// # Errors
    /// A [`CassetteError`]; a file that is no cassette is left as it is.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, CassetteError> {
        let path = path.as_ref();
        let failed =
            |error: io::Error| CassetteError::Open { path: path.to_owned(), reason: error.to_string() };
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            std::fs::create_dir_all(folder).map_err(failed)?;
        }
        let mut file = OpenOptions::new().append(true).read(true).create(true).open(path).map_err(failed)?;
        let mut known = HashSet::new();
        if file.metadata().map_err(failed)?.len() == 0 {
            append(&mut file, &Header { cassette: VERSION }).map_err(failed)?;
        } else {
            let tape = Tape::load(path)?;
            // A line that was cut off must not run into the next.
            file.set_len(tape.whole).map_err(failed)?;
            known.extend(tape.answers.into_keys());
        }
        Ok(Self(Arc::new(Deck { path: path.to_owned(), tape: Mutex::new(Writing { file, known }) })))
    }

    /// `lm`, recorded.
    ///
    /// # Errors
    /// [`CassetteError::Open`] when the file cannot be written.
    pub fn wrap(&self, lm: impl Lm + 'static) -> Result<RecordedLm, CassetteError> {
        self.announce(&lm)?;
        Ok(self.around(Arc::new(lm)))
    }

    /// Writes down which model answers from here on.
    pub(in crate::layers) fn announce(&self, lm: &dyn Lm) -> Result<(), CassetteError> {
        let line = Line::Model { model: lm.model().clone(), capabilities: lm.capabilities() };
        let mut writing = self.0.tape.lock().unwrap_or_else(PoisonError::into_inner);
        append(&mut writing.file, &line)
            .map_err(|error| CassetteError::Open { path: self.0.path.clone(), reason: error.to_string() })
    }

    /// `lm`, recorded, after [`Recorder::announce`].
    pub(in crate::layers) fn around(&self, lm: Arc<dyn Lm>) -> RecordedLm {
        RecordedLm { inner: lm, deck: Arc::clone(&self.0) }
    }
}

impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recorder").field("path", &self.0.path).finish_non_exhaustive()
    }
}

/// Writes a line in one go, so that lines of several processes do not mix.
fn append(file: &mut File, line: &impl Serialize) -> io::Result<()> {
    let mut bytes = serde_json::to_vec(line)?;
    bytes.push(b'\n');
    file.write_all(&bytes)
}

/// A model whose answers a [`Recorder`] keeps.
///
/// # Errors
/// Those of the model, which are not recorded, and [`LmErrorKind::Storage`] when the file cannot be written.
#[derive(Clone)]
pub struct RecordedLm {
    inner: Arc<dyn Lm>,
    deck: Arc<Deck>,
}

impl Lm for RecordedLm {
    fn model(&self) -> &ModelId {
        self.inner.model()
    }

    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    fn generate<'a>(&'a self, request: &'a LmRequest) -> BoxFuture<'a, Result<LmResponse, LmError>> {
        Box::pin(async move {
            let response = self.inner.generate(request).await?;
            let model = self.inner.model();
            let key = key(model, request)?;
            let mut writing = self.deck.tape.lock().unwrap_or_else(PoisonError::into_inner);
            if !writing.known.contains(&key) {
                let line = Line::Answer {
                    model: model.clone(),
                    request: Box::new(request.clone()),
                    response: response.clone(),
                };
                append(&mut writing.file, &line).map_err(|error| {
                    let detail = format!(
                        "cannot write the cassette `{}`: {error}; make room",
                        self.deck.path.display()
                    );
                    LmError::new(model.clone(), LmErrorKind::Storage, detail)
                })?;
                writing.known.insert(key);
            }
            Ok(response)
        })
    }
}
