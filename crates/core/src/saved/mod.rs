//! Programs as files: the instructions and demos of every predictor, in the JSON that DSPy 3.4 reads and writes too.
//!
//! ```json
//! {"plan.predict": {"traces": [], "train": [],
//!                   "demos": [{"augmented": true, "question": "...", "reasoning": "...", "query": "..."}],
//!                   "signature": {"instructions": "...", "fields": [{"prefix": "Question:", "description": "${question}"}]},
//!                   "lm": null},
//!  "metadata": {"dependency_versions": {}, "teleprompt": {"version": "0.1.0", "signatures": {}}}}
//! ```
//!
//! | in Rust | key in the file |
//! |---|---|
//! | `solve: Predict<S>` | `solve` |
//! | `plan: ChainOfThought<S>` | `plan.predict`: DSPy's chain of thought is a module around a predictor of this name |
//! | `steps: Vec<Inner>`, `tools: BTreeMap<String, _>` | `steps[0].draft`, `tools['find']` |
//! | the program is one `Predictor` or `Predict` | none: what else stands below the key stands at the top level |
//! | the program is one `ChainOfThought` | `predict` |
//!
//! DSPy stores neither the names nor the types of fields: they match by position, inputs before outputs. What a
//! [`SavedProgram`] does not know it keeps, at every level: what is loaded, changed by [`SavedProgram::update`] and saved
//! again has every foreign key where it was. Our own data stands in `metadata.teleprompt`, which DSPy leaves alone.
//!
//! A file is untrusted input: its size, depth and number of values are bounded, and it is checked where it is used.

mod error;
mod limits;
mod loaded;
mod predictor;

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::path::Path;

use serde::Serialize;
use serde_json::{Map, Value};

use crate::candidate::{Candidate, PredictorParams};
use crate::module::{NamedPredictor, Program};

pub use error::SavedError;
pub use limits::MAX_FILE_BYTES;
use limits::MAX_PREDICTORS;
pub use loaded::LoadedProgram;
use loaded::NotedSignature;
use predictor::{ONE_PREDICTOR, Saved};

/// The key beside the predictors; no predictor can have this name.
pub const METADATA: &str = "metadata";

/// The key of our own data within `metadata`.
const OURS: &str = "teleprompt";

/// The key of the signatures within our own data.
const SIGNATURES: &str = "signatures";

/// A program's instructions and demos as they stand in a file, with everything else that stands there.
///
/// ```
/// use teleprompt_core::{Candidate, Predictor, SavedProgram, SignatureSpec};
/// let program = Predictor::new(SignatureSpec::parse("question -> answer: int").unwrap());
/// // As another tool wrote it.
/// let file = br#"{"demos": [{"question": "1 + 1", "answer": 2}], "lm": null, "owner": "somebody",
///     "signature": {"instructions": "Add.", "fields": [{"prefix": "Question:"}, {"prefix": "Answer:"}]}}"#;
/// let mut saved = SavedProgram::parse(file).unwrap();
/// let candidate = saved.candidate(&program).unwrap();
/// assert_eq!(candidate.get("self").unwrap().instruction.as_deref(), Some("Add."));
///
/// saved.update(&program, &candidate.with_instruction("self", "Add the numbers.")).unwrap();
/// assert!(saved.to_text().contains(r#""instructions": "Add the numbers.""#));
/// assert!(saved.to_text().contains(r#""owner": "somebody""#));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(transparent)]
pub struct SavedProgram {
    /// The whole file, in its order.
    document: Map<String, Value>,
}

impl SavedProgram {
    /// A program under a candidate: for every predictor what it would be called with.
    pub fn new(program: &dyn Program, candidate: &Candidate) -> Self {
        let mut saved = Self::default();
        for named in program.predictors() {
            let entry = predictor::new_entry(&named, &params_under(candidate, &named));
            match predictor::key_of(&named) {
                Some(key) => _ = saved.document.insert(key, Value::Object(entry)),
                None => saved.document.extend(entry),
            }
        }
        saved.note_program(program);
        saved
    }

    /// Replaces instructions and demos by those of a program under a candidate. What does not change, and what is not known
    /// here, stays as it is: prefixes, descriptions, the settings of a model, foreign keys, the order of all keys.
    ///
    /// # Errors
    /// As [`SavedProgram::candidate`]; then nothing is changed.
    pub fn update(&mut self, program: &dyn Program, candidate: &Candidate) -> Result<(), SavedError> {
        let current = self.candidate(program)?;
        for named in program.predictors() {
            let Some(current) = current.get(named.name.as_str()) else { continue };
            let wanted = params_under(candidate, &named);
            let entry = match predictor::key_of(&named) {
                Some(key) => self.document.get_mut(&key).and_then(Value::as_object_mut),
                None => Some(&mut self.document),
            };
            if let Some(entry) = entry {
                predictor::update_entry(entry, &named, current, &wanted);
            }
        }
        self.note_program(program);
        Ok(())
    }

    /// Adds a value to our own part of the metadata.
    pub fn note(&mut self, key: &str, value: impl Into<Value>) {
        change_object(&mut self.document, METADATA, |metadata| {
            change_object(metadata, OURS, |ours| _ = ours.insert(key.to_owned(), value.into()));
        });
    }

    /// A value of our own part of the metadata.
    pub fn noted(&self, key: &str) -> Option<&Value> {
        self.document.get(METADATA)?.get(OURS)?.get(key)
    }

    /// The keys of the predictors, in the file's order; `self` where the program is one predictor.
    pub fn predictors(&self) -> impl Iterator<Item = &str> {
        self.entries().map(|saved| saved.key)
    }

    /// The candidate that makes `program` what was saved.
    ///
    /// Prefixes and descriptions of the file's fields stay in the file: those of a Rust program are in its signatures. A
    /// demo keeps fields that the signature lacks, and does not show them; a demo without any input or any output of the
    /// signature is not shown at all, here as in DSPy. A frozen predictor that the file lacks stays as it is, for DSPy
    /// leaves those out.
    ///
    /// # Errors
    /// [`SavedError::Predictors`] when the file lacks a predictor of the program, [`SavedError::Fields`] when one has
    /// another number of fields, [`SavedError::Malformed`] when an entry is not a predictor's.
    pub fn candidate(&self, program: &dyn Program) -> Result<Candidate, SavedError> {
        let mut candidate = Candidate::default();
        for named in program.predictors() {
            match self.entry(predictor::key_of(&named).as_deref()) {
                Some(saved) => candidate.set(named.name.clone(), saved.params(named.predictor.spec())?),
                None if named.frozen => {}
                None => return Err(self.lacks(&predictor::key_of(&named).unwrap_or(named.name.to_string()))),
            }
        }
        Ok(candidate)
    }

    /// The file's text: JSON with two spaces an indent, as DSPy writes it.
    pub fn to_text(&self) -> String {
        // A map of values can always be written.
        let mut text = serde_json::to_string_pretty(&self.document).unwrap_or_default();
        text.push('\n');
        text
    }

    /// Writes the file whole or not at all: under a temporary name first.
    ///
    /// # Errors
    /// [`SavedError::File`] names the file: the system refused, or it would be beyond the limits of what can be loaded.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<(), SavedError> {
        let path = path.as_ref();
        let text = self.to_text();
        // What cannot be loaded again is not written.
        self.check_names().and_then(|()| Self::parse(text.as_bytes())).map_err(|error| error.of(path))?;
        let mut temporary = path.as_os_str().to_owned();
        temporary.push(".tmp");
        let write = || {
            let mut file = File::create(&temporary)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            std::fs::rename(&temporary, path)
        };
        write().map_err(|error| SavedError::from(error).of(path))
    }

    /// Reads a file.
    ///
    /// # Errors
    /// [`SavedError::File`] names the file and what is wrong with it.
    pub fn load(path: impl AsRef<Path>) -> Result<Self, SavedError> {
        let path = path.as_ref();
        let mut bytes = Vec::new();
        let read = File::open(path).and_then(|file| file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes));
        read.map_err(SavedError::from).and_then(|_| Self::parse(&bytes)).map_err(|error| error.of(path))
    }

    /// Reads the content of a file.
    ///
    /// # Errors
    /// [`SavedError`]: no JSON, beyond the limits, or not a saved program.
    pub fn parse(bytes: &[u8]) -> Result<Self, SavedError> {
        limits::check(bytes)?;
        let saved = Self { document: serde_json::from_slice(bytes).map_err(SavedError::Form)? };
        let predictors = saved.entries().count();
        match saved.document.get(METADATA) {
            _ if predictors > MAX_PREDICTORS => Err(SavedError::TooManyPredictors { most: MAX_PREDICTORS }),
            Some(Value::Object(_)) => Ok(saved),
            Some(_) => Err(SavedError::Metadata),
            None if predictors > 0 => Ok(saved),
            None => Err(SavedError::NoPredictor),
        }
    }

    /// The predictors of the file, in its order.
    fn entries(&self) -> impl Iterator<Item = Saved<'_>> {
        let one = Saved::new(ONE_PREDICTOR, &self.document).filter(|_| self.is_one_predictor());
        let keyed = self.document.iter().filter(move |_| one.is_none());
        let keyed = keyed.filter_map(|(key, value)| Saved::new(key, value.as_object()?));
        one.into_iter().chain(keyed)
    }

    /// The predictor under a key, or the one that is the whole program.
    fn entry(&self, key: Option<&str>) -> Option<Saved<'_>> {
        match key {
            Some(key) => {
                let (key, value) = self.document.get_key_value(key)?;
                Saved::new(key, value.as_object()?).filter(|_| !self.is_one_predictor())
            }
            None => Saved::new(ONE_PREDICTOR, &self.document).filter(|_| self.is_one_predictor()),
        }
    }

    /// Whether the program is one predictor. A predictor of the name `signature` has no instructions but an entry there.
    fn is_one_predictor(&self) -> bool {
        self.document.get("signature").is_some_and(|signature| signature.get("instructions").is_some())
    }

    fn lacks(&self, key: &str) -> SavedError {
        SavedError::Predictors { wanted: key.to_owned(), found: error::listed(self.predictors()) }
    }

    /// Notes our version and the signatures, so that the file alone makes a [`LoadedProgram`].
    fn note_program(&mut self, program: &dyn Program) {
        // DSPy asks for the key; without versions in it every version fits.
        change_object(&mut self.document, METADATA, |metadata| {
            change_object(metadata, "dependency_versions", |_| ());
        });
        self.note("version", env!("CARGO_PKG_VERSION"));
        let signatures = program.predictors().into_iter().filter_map(|named| {
            let key = predictor::key_of(&named).unwrap_or_else(|| ONE_PREDICTOR.to_owned());
            Some((key, serde_json::to_value(NotedSignature::of(named.predictor.spec())).ok()?))
        });
        self.note(SIGNATURES, signatures.collect::<Map<_, _>>());
    }

    /// No predictor may stand where the metadata stands.
    fn check_names(&self) -> Result<(), SavedError> {
        match self.document.get(METADATA).and_then(Value::as_object) {
            Some(metadata) if metadata.contains_key("signature") && metadata.contains_key("demos") => {
                Err(SavedError::Reserved)
            }
            _ => Ok(()),
        }
    }
}

/// What a predictor is called with under a candidate.
fn params_under(candidate: &Candidate, named: &NamedPredictor<'_>) -> PredictorParams {
    let given = candidate.get(named.name.as_str()).cloned().unwrap_or_default();
    given.or(named.predictor.params())
}

/// Changes the object under a key in its place; where there is none, a new one.
fn change_object(map: &mut Map<String, Value>, key: &str, change: impl FnOnce(&mut Map<String, Value>)) {
    let slot = map.entry(key).or_insert(Value::Null);
    let mut object = match slot.take() {
        Value::Object(object) => object,
        _ => Map::new(),
    };
    change(&mut object);
    *slot = Value::Object(object);
}
