//! [`LoadedProgram`]: a program that is made from a file at run time and needs no Rust types.

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use super::predictor::{ONE_PREDICTOR, Saved};
use super::{SIGNATURES, SavedError, SavedProgram};
use crate::FieldType;
use crate::candidate::PredictorName;
use crate::context::Ctx;
use crate::error::Error;
use crate::fields::Fields;
use crate::module::{Module, Visit, Visitor};
use crate::predict::{Predictor, REASONING};
use crate::signature::{FieldSpec, SignatureError, SignatureSpec};

/// A program of one predictor, or of several that run one after another, made from a file.
///
/// The predictors are wired by the names of their fields: each is given, of the program's inputs and of what was written
/// before it, the fields that its signature takes. The prediction holds every output, in the order in which it was written;
/// where two predictors write a field of one name, the later one counts.
///
/// A predictor that was frozen when it was saved is not any more: a file does not say so.
///
/// **What it cannot do:** branches, loops, a predictor that is called twice, code between two calls, and a field that has one
/// name where it is written and another where it is read. A file holds no code: write such a program as a
/// [`Module`], and load the file with [`SavedProgram::candidate`].
///
/// ```
/// use teleprompt_core::{LoadedProgram, Program, SavedProgram, SignatureSpec};
/// // A chain of thought as DSPy saves it, without a demo.
/// let file = br#"{"predict": {"demos": [], "lm": null, "signature": {"instructions": "Answer in one word.", "fields": [
///     {"prefix": "Question:", "description": "${question}"}, {"prefix": "Reasoning:", "description": "${reasoning}"},
///     {"prefix": "Answer:", "description": "${answer}"}]}}, "metadata": {"dependency_versions": {}}}"#;
/// let saved = SavedProgram::parse(file).unwrap();
/// let signature = SignatureSpec::parse("question -> answer").unwrap();
/// let program = LoadedProgram::with_signatures(&saved, [("predict", signature)]).unwrap();
/// assert_eq!(program.predictors()[0].predictor.spec().outputs()[0].name, "reasoning");
/// assert_eq!(program.inputs().map(|field| field.name.as_str()).collect::<Vec<_>>(), ["question"]);
/// ```
#[derive(Clone, Debug)]
pub struct LoadedProgram {
    /// In the order in which they run.
    predictors: Vec<(PredictorName, Predictor)>,
}

impl LoadedProgram {
    /// The program in a file that holds its signatures: every file that this library wrote.
    ///
    /// Predictors run in the file's order, which is that of the program's fields.
    ///
    /// # Errors
    /// [`SavedError::NoSignature`] names the first predictor whose fields the file does not name; else as
    /// [`LoadedProgram::with_signatures`].
    pub fn new(saved: &SavedProgram) -> Result<Self, SavedError> {
        let noted = saved.noted(SIGNATURES);
        let mut signatures = Vec::new();
        for entry in saved.entries() {
            let spec = noted.and_then(|noted| NotedSignature::deserialize(noted.get(entry.key)?).ok());
            let spec = spec.ok_or_else(|| no_signature(&entry))?.spec();
            signatures.push((entry.key, spec.map_err(|source| wrong_signature(entry.key, source))?));
        }
        Self::with_signatures(saved, signatures)
    }

    /// The program in a file, with a signature for each predictor, in the order in which they run.
    ///
    /// A predictor's key is its path, such as `plan.predict`, and `self` where the program is one predictor. Instructions,
    /// demos, prefixes and descriptions are the file's, and so are temperature and token limit where the predictor was saved
    /// with a model of its own. The output `reasoning` of a chain of thought may be left out of the signature.
    ///
    /// # Errors
    /// [`SavedError::Predictors`] for a key that the file lacks, [`SavedError::NoSignature`] for one that is not given, and
    /// as [`SavedProgram::candidate`].
    pub fn with_signatures<'a>(
        saved: &SavedProgram,
        signatures: impl IntoIterator<Item = (&'a str, SignatureSpec)>,
    ) -> Result<Self, SavedError> {
        let mut predictors: Vec<(PredictorName, Predictor)> = Vec::new();
        for (key, spec) in signatures {
            let path = (key != ONE_PREDICTOR).then_some(key);
            let entry = saved.entry(path).ok_or_else(|| saved.lacks(key))?;
            predictors.push((key.into(), predictor(&entry, spec)?));
        }
        let given = |key: &str| predictors.iter().any(|(name, _)| name.as_str() == key);
        match saved.entries().find(|entry| !given(entry.key)) {
            Some(entry) => Err(no_signature(&entry)),
            None => Ok(Self { predictors }),
        }
    }

    /// The fields that the program takes: inputs that no earlier predictor writes, each once.
    pub fn inputs(&self) -> impl Iterator<Item = &FieldSpec> {
        let mut known: Vec<&str> = Vec::new();
        let mut inputs: Vec<&FieldSpec> = Vec::new();
        for (_, predictor) in &self.predictors {
            for field in predictor.spec().inputs() {
                if !known.contains(&field.name.as_str()) {
                    known.push(&field.name);
                    inputs.push(field);
                }
            }
            known.extend(predictor.spec().outputs().iter().map(|field| field.name.as_str()));
        }
        inputs.into_iter()
    }
}

impl Visit for LoadedProgram {
    fn visit<'a>(&'a self, visitor: &mut Visitor<'a>) {
        for (name, predictor) in &self.predictors {
            match name.as_str() {
                ONE_PREDICTOR => visitor.predictor(predictor),
                path => visitor.field(path, predictor),
            }
        }
    }
}

impl Module for LoadedProgram {
    type Input = Fields;
    type Output = Fields;

    async fn forward(&self, cx: &Ctx, input: Fields) -> Result<Fields, Error> {
        let (mut known, mut written) = (input, Fields::new());
        for (_, predictor) in &self.predictors {
            let inputs = known.only(predictor.spec().inputs().iter().map(|field| field.name.as_str()));
            for (name, value) in predictor.call(cx, inputs).await? {
                known.insert(name.clone(), value.clone());
                written.insert(name, value);
            }
        }
        Ok(written)
    }
}

/// The predictor of an entry under a signature.
fn predictor(entry: &Saved<'_>, spec: SignatureSpec) -> Result<Predictor, SavedError> {
    let in_file = entry.fields()?;
    let reasons = in_file.len() == spec.fields().count() + 1
        && in_file.get(spec.inputs().len()).is_some_and(|field| field.prefix.eq_ignore_ascii_case(REASONING));
    let spec =
        if reasons { spec.with_first_output(FieldSpec::new(REASONING, FieldType::Text)) } else { spec };
    let params = entry.params(&spec)?;
    let mut fields = spec.fields().cloned().zip(in_file).map(|(field, saved)| saved.onto(field));
    let inputs = fields.by_ref().take(spec.inputs().len()).collect();
    let outputs = fields.collect();
    let instruction = params.instruction.unwrap_or_else(|| spec.instruction());
    let spec = SignatureSpec::new(spec.name(), &instruction, inputs, outputs)
        .map_err(|source| wrong_signature(entry.key, source))?
        .with_instruction(instruction);
    let predictor = Predictor::new(spec).with_settings(entry.settings());
    Ok(match params.demos {
        Some(demos) => predictor.with_demos(demos),
        None => predictor,
    })
}

fn wrong_signature(key: &str, source: SignatureError) -> SavedError {
    SavedError::Signature { predictor: key.to_owned(), source }
}

fn no_signature(entry: &Saved<'_>) -> SavedError {
    let prefixes = entry.fields().unwrap_or_default();
    let fields = super::error::listed(prefixes.iter().map(|field| field.prefix));
    SavedError::NoSignature { predictor: entry.key.to_owned(), fields }
}

/// What DSPy's part of a file does not say of a signature: the names and types of its fields, in order.
#[derive(Serialize, Deserialize)]
pub(super) struct NotedSignature {
    name: String,
    inputs: IndexMap<String, FieldType>,
    outputs: IndexMap<String, FieldType>,
}

impl NotedSignature {
    pub(super) fn of(spec: &SignatureSpec) -> Self {
        let types = |fields: &[FieldSpec]| {
            fields.iter().map(|field| (field.name.clone(), field.ty.clone())).collect()
        };
        Self { name: spec.name().to_owned(), inputs: types(spec.inputs()), outputs: types(spec.outputs()) }
    }

    fn spec(self) -> Result<SignatureSpec, SignatureError> {
        let fields = |types: IndexMap<String, FieldType>| {
            types.into_iter().map(|(name, ty)| FieldSpec::new(name, ty)).collect()
        };
        SignatureSpec::new(self.name, "", fields(self.inputs), fields(self.outputs))
    }
}
