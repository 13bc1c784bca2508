//! Programs as files: the instructions and demos of every predictor, in the JSON that DSPy reads and writes too.
//!
//! ```json
//! {"answer": {"traces": [], "train": [],
//!             "demos": [{"augmented": true, "question": "...", "answer": "..."}],
//!             "signature": {"instructions": "...", "fields": [{"prefix": "Question:", "description": "..."}]},
//!             "lm": null},
//!  "metadata": {"dependency_versions": {}, "teleprompt": {"version": "0.1.0"}}}
//! ```
//!
//! Keys are predictor names; fields match by position. A file is untrusted input: it is bounded and checked.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::candidate::{Candidate, Demo, DemoOrigin, PredictorParams};
use crate::fields::Fields;
use crate::module::{NamedPredictor, Program};

/// The largest program file that is read, in bytes.
pub const MAX_FILE_BYTES: u64 = 64 * 1024 * 1024;

/// The key beside the predictors; no predictor can have this name.
pub const METADATA: &str = "metadata";

/// The key of our own data within `metadata`.
const OURS: &str = "teleprompt";

/// A program's instructions and demos as they stand in a file.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SavedProgram {
    /// By predictor name, in the program's order. Keys that are not ours are kept as they are.
    #[serde(flatten)]
    predictors: IndexMap<String, Map<String, Value>>,
    #[serde(default)]
    metadata: Map<String, Value>,
}

impl SavedProgram {
    /// A program under a candidate: for every predictor what it would be called with.
    pub fn new(program: &dyn Program, candidate: &Candidate) -> Self {
        let predictors = program.predictors().into_iter().map(|named| {
            let params = candidate.get(named.name.as_str()).cloned().unwrap_or_default();
            let params = params.or(named.predictor.params());
            (named.name.to_string(), saved_predictor(&named, &params))
        });
        let mut saved = Self { predictors: predictors.collect(), metadata: Map::new() };
        saved.metadata.insert("dependency_versions".to_owned(), Value::Object(Map::new()));
        saved.note("version", env!("CARGO_PKG_VERSION"));
        saved
    }

    /// Adds a value to our own part of the metadata.
    pub fn note(&mut self, key: &str, value: impl Into<Value>) {
        let ours = self.metadata.entry(OURS).or_insert_with(|| Value::Object(Map::new()));
        if let Value::Object(ours) = ours {
            ours.insert(key.to_owned(), value.into());
        }
    }

    /// The candidate that makes `program` what was saved.
    ///
    /// # Errors
    /// [`SavedError::Predictors`] when the file is of a program with other predictors.
    pub fn candidate(&self, program: &dyn Program) -> Result<Candidate, SavedError> {
        let mut candidate = Candidate::default();
        for named in program.predictors() {
            let name = named.name.as_str();
            let saved = self.predictors.get(name).ok_or_else(|| SavedError::Predictors {
                wanted: name.to_owned(),
                found: self.predictors.keys().cloned().collect::<Vec<_>>().join(", "),
            })?;
            candidate.set(named.name.clone(), params_of(saved));
        }
        Ok(candidate)
    }

    /// Writes the file whole or not at all: under a temporary name first.
    ///
    /// # Errors
    /// [`SavedError::Io`] names the file.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<(), SavedError> {
        let path = path.as_ref();
        if self.predictors.contains_key(METADATA) {
            return Err(SavedError::Reserved { name: METADATA });
        }
        let io = |source| SavedError::Io { path: path.to_owned(), source };
        let text = serde_json::to_string_pretty(self)
            .map_err(|source| SavedError::Form { path: path.to_owned(), source })?;
        let mut temporary = path.as_os_str().to_owned();
        temporary.push(".tmp");
        let mut file = std::fs::File::create(&temporary).map_err(io)?;
        file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(io)?;
        std::fs::rename(&temporary, path).map_err(io)
    }

    /// Reads a file.
    ///
    /// # Errors
    /// [`SavedError`] names the file and what is wrong with it.
    pub fn load(path: impl AsRef<Path>) -> Result<Self, SavedError> {
        let path = path.as_ref();
        let io = |source| SavedError::Io { path: path.to_owned(), source };
        let bytes = std::fs::metadata(path).map_err(io)?.len();
        if bytes > MAX_FILE_BYTES {
            return Err(SavedError::TooLarge { path: path.to_owned(), bytes });
        }
        let text = std::fs::read_to_string(path).map_err(io)?;
        serde_json::from_str(&text).map_err(|source| SavedError::Form { path: path.to_owned(), source })
    }
}

fn saved_predictor(named: &NamedPredictor<'_>, params: &PredictorParams) -> Map<String, Value> {
    let spec = named.predictor.spec();
    let demos = params.demos.iter().flat_map(|demos| demos.iter()).map(|demo| {
        let mut out = Map::new();
        if demo.origin == DemoOrigin::Bootstrapped {
            out.insert("augmented".to_owned(), Value::Bool(true));
        }
        out.extend(demo.fields.iter().map(|(name, value)| (name.to_owned(), value.clone())));
        Value::Object(out)
    });
    let fields = spec.fields().map(
        |field| serde_json::json!({"prefix": format!("{}:", field.prefix), "description": field.description}),
    );
    let instruction = params.instruction.clone().unwrap_or_else(|| spec.instruction());
    let mut out = Map::new();
    out.insert("traces".to_owned(), Value::Array(Vec::new()));
    out.insert("train".to_owned(), Value::Array(Vec::new()));
    out.insert("demos".to_owned(), demos.collect());
    let signature = serde_json::json!({
        "instructions": &*instruction,
        "fields": fields.collect::<Vec<_>>(),
    });
    out.insert("signature".to_owned(), signature);
    out.insert("lm".to_owned(), Value::Null);
    out
}

fn params_of(saved: &Map<String, Value>) -> PredictorParams {
    let instruction = saved.get("signature").and_then(|signature| signature.get("instructions"));
    let demos = saved.get("demos").and_then(Value::as_array).map(|demos| {
        let demo = |demo: &Value| {
            let mut fields: Fields = demo.as_object()?.clone().into_iter().collect();
            Some(match fields.remove("augmented") {
                Some(Value::Bool(true)) => Demo::bootstrapped(fields),
                _ => Demo::labeled(fields),
            })
        };
        demos.iter().filter_map(demo).collect()
    });
    PredictorParams { instruction: instruction.and_then(Value::as_str).map(Into::into), demos }
}

/// Why a program file could not be written, read or used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SavedError {
    /// The system refused.
    #[error("program file `{}`: {source}", .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
    /// It is not JSON of a program.
    #[error("program file `{}` is not a saved program: {source}", .path.display())]
    Form {
        /// The file.
        path: PathBuf,
        /// Where and what.
        source: serde_json::Error,
    },
    /// It is too large to be one.
    #[error("program file `{}` has {bytes} bytes: more than a saved program has", .path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its size.
        bytes: u64,
    },
    /// A predictor's name stands for something else in the file.
    #[error("a predictor named `{name}` cannot be saved: rename the field that holds it")]
    Reserved {
        /// The name.
        name: &'static str,
    },
    /// It is of another program.
    #[error("the file has no predictor `{wanted}`, which the program has; it has: {found}")]
    Predictors {
        /// What the program has.
        wanted: String,
        /// What the file has.
        found: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::predict::Predictor;
    use crate::signature::SignatureSpec;

    fn program() -> Predictor {
        Predictor::new(SignatureSpec::parse("question -> answer: int").unwrap())
    }

    #[test]
    fn a_saved_program_loads_as_it_was() {
        let program = program();
        let demos = [
            Demo::bootstrapped(Fields::new().with("question", "1 + 1").with("answer", 2)),
            Demo::labeled(Fields::new().with("question", "2 + 2").with("answer", 4)),
        ];
        let candidate =
            Candidate::default().with_instruction("self", "Add.").with_demos("self", demos.to_vec());
        let text = serde_json::to_string_pretty(&SavedProgram::new(&program, &candidate)).unwrap();
        insta::assert_snapshot!(text);
        let loaded: SavedProgram = serde_json::from_str(&text).unwrap();
        assert_eq!(loaded.candidate(&program).unwrap(), candidate);
    }

    #[test]
    fn files_that_are_none_are_refused_by_name() {
        let folder = std::env::temp_dir();
        let path = folder.join(format!("teleprompt-saved-{}.json", std::process::id()));
        std::fs::write(&path, "{\"self\": 3}").unwrap();
        let error = SavedProgram::load(&path).unwrap_err().to_string();
        std::fs::remove_file(&path).unwrap();
        assert!(error.contains("is not a saved program") && error.contains("teleprompt-saved"), "{error}");
        let other: SavedProgram = serde_json::from_str(r#"{"plan": {}, "metadata": {}}"#).unwrap();
        let error = other.candidate(&program()).unwrap_err().to_string();
        assert_eq!(error, "the file has no predictor `self`, which the program has; it has: plan");
    }
}
