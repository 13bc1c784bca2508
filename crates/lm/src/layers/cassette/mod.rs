//! Cassettes: answers recorded to a text file, and a model that replays them.
//!
//! A test, or someone without a key, runs against recorded answers ([`Cassette::model`]) exactly as the
//! recorded run did, as long as it asks the same requests. The file is JSON Lines, made to be read, compared
//! and committed:
//!
//! ```text
//!   {"cassette":1}
//!   {"model":"openai/gpt-4o-mini","capabilities":{..}}
//!   {"model":"openai/gpt-4o-mini","request":{..},"response":{..}}
//! ```
//!
//! Unlike a cache file it holds the requests, prompts and all: do not publish one made from private data.
//! Deliberately absent: matching of similar requests, and recorded errors.

mod recorder;

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};
use teleprompt_core::lm::{Capabilities, Lm, LmError, LmErrorKind, LmRequest, LmResponse, ModelId};

use super::cache::{Key, key};
pub use recorder::{RecordedLm, Recorder};

/// The layout of the file.
const VERSION: u32 = 1;

/// Why a cassette cannot be used.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum CassetteError {
    /// The file cannot be read or written.
    #[error("cannot open the cassette `{}`: {reason}", .path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// What the system said.
        reason: String,
    },
    /// The file does not begin as a cassette does.
    #[error("`{}` is no cassette in layout {VERSION}: name another file, or record anew", .path.display())]
    NotACassette {
        /// The file.
        path: PathBuf,
    },
    /// A line cannot be read.
    #[error("line {line} of the cassette `{}` cannot be read: {reason}; remove it, or record anew", .path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong, with the column.
        reason: String,
    },
    /// The cassette has nothing of this model.
    #[error("the cassette `{}` has no answers of `{model}` (only of: {known})", .path.display())]
    NoModel {
        /// The file.
        path: PathBuf,
        /// The model.
        model: ModelId,
        /// The models that it has.
        known: String,
    },
}

#[derive(Serialize, Deserialize)]
struct Header {
    cassette: u32,
}

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Line {
    Answer { model: ModelId, request: Box<LmRequest>, response: LmResponse },
    Model { model: ModelId, capabilities: Capabilities },
}

/// A file of recorded answers, read into memory.
///
/// ```
/// use futures::executor::block_on;
/// use futures::future::BoxFuture;
/// use teleprompt_core::lm::{Lm, LmError, LmRequest, LmResponse, Message, ModelId};
/// use teleprompt_lm::layers::cassette::{Cassette, Recorder};
///
/// struct Echo(ModelId);
/// impl Lm for Echo {
///     fn model(&self) -> &ModelId { &self.0 }
///     fn generate<'a>(&'a self, r: &'a LmRequest) -> BoxFuture<'a, Result<LmResponse, LmError>> {
///         Box::pin(async move { Ok(LmResponse::new(r.last_user_text())) })
///     }
/// }
///
/// # let folder = tempfile::tempdir().unwrap();
/// # let path = folder.path().join("run.jsonl");
/// let request = LmRequest::new(vec![Message::user("hi")]);
/// let lm = Recorder::open(&path).unwrap().wrap(Echo(ModelId::new("echo"))).unwrap();
/// block_on(lm.generate(&request)).unwrap();
///
/// let replayed = Cassette::load(&path).unwrap().model(&ModelId::new("echo")).unwrap();
/// assert_eq!(block_on(replayed.generate(&request)).unwrap().text, "hi");
/// ```
#[derive(Clone)]
pub struct Cassette(Arc<Tape>);

struct Tape {
    path: PathBuf,
    models: BTreeMap<ModelId, Capabilities>,
    answers: HashMap<Key, LmResponse>,
    /// Bytes up to the end of the last whole line.
    whole: u64,
}

impl Cassette {
    /// Reads a file. A last line that was cut off when the recording process was killed is left out.
    ///
    /// # Errors
    /// A [`CassetteError`] that names the file, and the line where there is one.
    pub fn load(path: impl AsRef<Path>) -> Result<Self, CassetteError> {
        Tape::load(path.as_ref()).map(|tape| Self(Arc::new(tape)))
    }

    /// The models that were recorded, by name.
    pub fn models(&self) -> impl Iterator<Item = &ModelId> {
        self.0.models.keys()
    }

    /// The model `id`, answering from the recording.
    ///
    /// # Errors
    /// [`CassetteError::NoModel`] when nothing of it was recorded.
    pub fn model(&self, id: &ModelId) -> Result<ReplayedLm, CassetteError> {
        match self.0.models.get(id) {
            Some(capabilities) => {
                Ok(ReplayedLm { id: id.clone(), capabilities: *capabilities, tape: Arc::clone(&self.0) })
            }
            None => Err(CassetteError::NoModel {
                path: self.0.path.clone(),
                model: id.clone(),
                known: self.models().map(ModelId::as_str).collect::<Vec<_>>().join(", "),
            }),
        }
    }
}

impl fmt::Debug for Cassette {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cassette")
            .field("path", &self.0.path)
            .field("models", &self.0.models)
            .field("answers", &self.0.answers.len())
            .finish()
    }
}

impl Tape {
    fn load(path: &Path) -> Result<Self, CassetteError> {
        let open = |reason: String| CassetteError::Open { path: path.to_owned(), reason };
        let bytes = std::fs::read(path).map_err(|error| open(error.to_string()))?;
        let end = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let bytes = bytes.get(..end).unwrap_or_default();
        let mut tape = Self {
            path: path.to_owned(),
            models: BTreeMap::new(),
            answers: HashMap::new(),
            whole: bytes.len() as u64,
        };
        let mut lines = bytes.split(|byte| *byte == b'\n').enumerate();
        let header = lines.next().and_then(|(_, line)| serde_json::from_slice::<Header>(line).ok());
        if header.is_none_or(|header| header.cassette != VERSION) {
            return Err(CassetteError::NotACassette { path: path.to_owned() });
        }
        for (index, line) in lines.filter(|(_, line)| !line.trim_ascii().is_empty()) {
            let unreadable =
                |reason: String| CassetteError::Line { path: path.to_owned(), line: index + 1, reason };
            match serde_json::from_slice(line).map_err(|error| unreadable(error.to_string()))? {
                Line::Model { model, capabilities } => {
                    tape.models.insert(model, capabilities);
                }
                Line::Answer { model, request, response } => {
                    let key = key(&model, &request).map_err(|error| unreadable(error.to_string()))?;
                    tape.models.entry(model).or_default();
                    // The first answer is the answer: a request has one.
                    tape.answers.entry(key).or_insert(response);
                }
            }
        }
        Ok(tape)
    }
}

/// A model that answers from a [`Cassette`], and only from it.
///
/// # Errors
/// [`LmErrorKind::NotFound`] for a request that was not recorded: a replayed run cannot go on without it.
///
/// # Cost
/// No LM call: every answer is marked as cached.
#[derive(Clone)]
pub struct ReplayedLm {
    id: ModelId,
    capabilities: Capabilities,
    tape: Arc<Tape>,
}

impl Lm for ReplayedLm {
    fn model(&self) -> &ModelId {
        &self.id
    }

    fn capabilities(&self) -> Capabilities {
        self.capabilities
    }

    fn generate<'a>(&'a self, request: &'a LmRequest) -> BoxFuture<'a, Result<LmResponse, LmError>> {
        Box::pin(async move {
            let found = self.tape.answers.get(&key(&self.id, request)?);
            found.cloned().map(LmResponse::into_cached).ok_or_else(|| {
                let asked: String = request.last_user_text().chars().take(80).collect();
                let detail = format!(
                    "the cassette `{}` has no answer to this request (rollout {}, `{asked}`): record the run anew",
                    self.tape.path.display(),
                    request.rollout,
                );
                LmError::new(self.id.clone(), LmErrorKind::NotFound, detail)
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use std::fs::OpenOptions;
    use std::io::Write;

    use teleprompt_core::lm::Message;

    use super::*;

    struct Echo(ModelId);

    impl Lm for Echo {
        fn model(&self) -> &ModelId {
            &self.0
        }

        fn capabilities(&self) -> Capabilities {
            Capabilities::text().with_json_schema(true)
        }

        fn generate<'a>(&'a self, request: &'a LmRequest) -> BoxFuture<'a, Result<LmResponse, LmError>> {
            Box::pin(async move { Ok(LmResponse::new(format!("{}é\n", request.rollout))) })
        }
    }

    fn request(rollout: u64) -> LmRequest {
        LmRequest::new(vec![Message::user("who is there?")]).with_rollout(rollout)
    }

    fn echo() -> Echo {
        Echo(ModelId::new("m"))
    }

    #[tokio::test]
    async fn a_recorded_run_is_replayed_without_a_model() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/run.jsonl");
        let lm = Recorder::open(&path).unwrap().wrap(echo()).unwrap();
        for n in [0, 1, 0, 1] {
            lm.generate(&request(n)).await.unwrap();
        }
        assert_eq!(std::fs::read_to_string(&path).unwrap().lines().count(), 4, "an answer is recorded once");
        // A process was killed while it wrote; the next one records on.
        let mut file = OpenOptions::new().append(true).open(&path).unwrap();
        file.write_all(br#"{"model":"m","requ"#).unwrap();
        assert!(Cassette::load(&path).is_ok());
        let lm = Recorder::open(&path).unwrap().wrap(echo()).unwrap();
        lm.generate(&request(2)).await.unwrap();

        let cassette = Cassette::load(&path).unwrap();
        let replayed = cassette.model(&ModelId::new("m")).unwrap();
        assert!(replayed.capabilities().json_schema, "requests depend on what a model can do");
        for n in 0..3 {
            let answer = replayed.generate(&request(n)).await.unwrap();
            assert_eq!((answer.text, answer.cached), (format!("{n}é\n"), true));
        }
        let error = replayed.generate(&request(3)).await.unwrap_err();
        assert!(error.is_fatal() && error.detail.contains("`who is there?`"), "{error}");
        let error = cassette.model(&ModelId::new("n")).err().unwrap();
        assert!(error.to_string().contains("has no answers of `n` (only of: m)"), "{error}");
    }

    #[test]
    fn what_is_no_cassette_is_named_and_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.jsonl");
        let not = CassetteError::NotACassette { path: path.clone() };
        for text in ["notes", "notes\n", "{\"cassette\":9}\n", "\u{0}\n"] {
            std::fs::write(&path, text).unwrap();
            assert_eq!(Cassette::load(&path).err(), Some(not.clone()), "{text}");
            assert_eq!(Recorder::open(&path).err(), Some(not.clone()), "{text}");
            assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
        }
        std::fs::write(&path, "{\"cassette\":1}\n\n{\"model\":7}\n").unwrap();
        let error = Cassette::load(&path).err().unwrap();
        assert!(matches!(error, CassetteError::Line { line: 3, .. }), "{error}");
        assert!(matches!(Cassette::load(folder.path()), Err(CassetteError::Open { .. })));
    }
}
