//! Predictors: the leaves of a program that call the model.
//!
//! [`Predictor`] works on [`Fields`]; [`Predict`] and [`ChainOfThought`] are thin typed skins over it.

use std::marker::PhantomData;
use std::ops::Deref;
use std::sync::Arc;

use futures::TryFutureExt;

use crate::candidate::{Demo, PredictorName, PredictorParams};
use crate::context::Ctx;
use crate::error::Error;
use crate::field_type::FieldType;
use crate::fields::{Fields, FieldsError, FromFields, IntoFields};
use crate::lm::LmSettings;
use crate::module::{Module, Visit, Visitor};
use crate::signature::{FieldSpec, Signature, SignatureSpec};

/// The identity of a predictor in memory: unique while the predictor lives, unrelated to its name.
#[derive(Clone, Debug)]
pub struct PredictorId(Arc<Unit>);

#[derive(Debug)]
struct Unit;

impl PredictorId {
    fn address(&self) -> usize {
        Arc::as_ptr(&self.0).addr()
    }
}

impl PartialEq for PredictorId {
    fn eq(&self, other: &Self) -> bool {
        self.address() == other.address()
    }
}

impl Eq for PredictorId {}

impl PartialOrd for PredictorId {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for PredictorId {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.address().cmp(&other.address())
    }
}

/// One LM-calling leaf: a signature, its own instruction and demos if it has any, and settings of its calls.
///
/// A clone is another predictor: it has an identity of its own.
///
/// ```
/// use teleprompt_core::{Predictor, SignatureSpec};
/// let predictor = Predictor::new(SignatureSpec::parse("question -> answer: int").unwrap());
/// assert_eq!(predictor.spec().outputs()[0].name, "answer");
/// ```
#[derive(Debug)]
pub struct Predictor {
    id: PredictorId,
    spec: Arc<SignatureSpec>,
    /// Its name where no program gives it one: the signature's.
    name: PredictorName,
    params: PredictorParams,
    settings: LmSettings,
    dspy_holder: Option<&'static str>,
}

impl Clone for Predictor {
    fn clone(&self) -> Self {
        Self {
            id: PredictorId(Arc::new(Unit)),
            spec: self.spec.clone(),
            name: self.name.clone(),
            params: self.params.clone(),
            settings: self.settings.clone(),
            dspy_holder: self.dspy_holder,
        }
    }
}

impl Predictor {
    /// A predictor of this signature, with the signature's instruction and no demos.
    pub fn new(spec: impl Into<Arc<SignatureSpec>>) -> Self {
        let spec = spec.into();
        Self {
            id: PredictorId(Arc::new(Unit)),
            name: PredictorName::new(spec.name()),
            spec,
            params: PredictorParams::default(),
            settings: LmSettings::default(),
            dspy_holder: None,
        }
    }

    /// The same predictor with demos of its own.
    #[must_use]
    pub fn with_demos(mut self, demos: impl Into<Arc<[Demo]>>) -> Self {
        self.params.demos = Some(demos.into());
        self
    }

    /// The same predictor with settings for its calls.
    #[must_use]
    pub fn with_settings(mut self, settings: LmSettings) -> Self {
        self.settings = settings;
        self
    }

    /// The identity.
    pub fn id(&self) -> &PredictorId {
        &self.id
    }

    /// The signature.
    pub fn spec(&self) -> &Arc<SignatureSpec> {
        &self.spec
    }

    pub(crate) fn own_name(&self) -> &PredictorName {
        &self.name
    }

    /// Its own instruction and demos, which a candidate can replace.
    pub fn params(&self) -> &PredictorParams {
        &self.params
    }

    /// The settings of its calls; what they leave open comes from the context.
    pub fn settings(&self) -> &LmSettings {
        &self.settings
    }

    /// The last part of its path in DSPy's files, where DSPy's counterpart holds its predictor under a name of its own.
    pub(crate) fn dspy_holder(&self) -> Option<&'static str> {
        self.dspy_holder
    }

    /// Asks the model once; the outputs hold every output field of the signature, of its type.
    ///
    /// # Errors
    /// [`Error`]: a missing input, the model's error, or an answer that cannot be read.
    ///
    /// # Cost
    /// One LM call.
    pub fn call(&self, cx: &Ctx, inputs: Fields) -> impl Future<Output = Result<Fields, Error>> + Send {
        cx.call(self, inputs).map_ok(|(outputs, _)| outputs)
    }
}

/// A predictor of signature `S`: inputs to outputs in one LM call.
#[derive(Debug)]
pub struct Predict<S> {
    predictor: Predictor,
    signature: PhantomData<fn() -> S>,
}

impl<S: Signature> Predict<S> {
    /// A predictor with the signature's instruction and no demos.
    pub fn new() -> Self {
        Self::from_predictor(Predictor::new(S::spec().clone()))
    }

    /// The same with demos of its own or with settings: change the predictor inside.
    #[must_use]
    pub fn map(self, change: impl FnOnce(Predictor) -> Predictor) -> Self {
        Self::from_predictor(change(self.predictor))
    }

    fn from_predictor(predictor: Predictor) -> Self {
        Self { predictor, signature: PhantomData }
    }

    /// Asks the model once.
    ///
    /// # Errors
    /// As [`Predictor::call`].
    ///
    /// # Cost
    /// One LM call.
    pub async fn call(&self, cx: &Ctx, input: S::Input) -> Result<S::Output, Error> {
        let (outputs, answer) = cx.call(&self.predictor, input.into_fields()).await?;
        S::Output::from_fields(&outputs).map_err(|error| answer.unfit(error))
    }
}

impl<S: Signature> Default for Predict<S> {
    fn default() -> Self {
        Self::new()
    }
}

impl<S> Visit for Predict<S> {
    fn visit<'a>(&'a self, visitor: &mut Visitor<'a>) {
        visitor.predictor(&self.predictor);
    }
}

impl<S: Signature> Module for Predict<S> {
    type Input = S::Input;
    type Output = S::Output;

    async fn forward(&self, cx: &Ctx, input: S::Input) -> Result<S::Output, Error> {
        self.call(cx, input).await
    }
}

/// The name of the output that [`ChainOfThought`] puts before the others; `rationale` where an input has that name.
pub const REASONING: &str = "reasoning";

/// A predictor of signature `S` that writes its reasoning before the other outputs.
#[derive(Debug)]
pub struct ChainOfThought<S> {
    predictor: Predictor,
    /// The name of the output that holds the reasoning.
    reasoning: &'static str,
    signature: PhantomData<fn() -> S>,
}

impl<S: Signature> ChainOfThought<S> {
    /// A predictor with the signature's instruction and no demos.
    pub fn new() -> Self {
        let spec = SignatureSpec::clone(S::spec());
        // An output text of that name is the reasoning; anything else keeps the name for itself.
        let other = |field: &&FieldSpec| spec.inputs().contains(field) || field.ty != FieldType::Text;
        let taken = |name: &str| spec.fields().filter(other).any(|field| field.name == name);
        let name = [REASONING, "rationale", "thoughts", "step_by_step"].into_iter().find(|name| !taken(name));
        let reasoning = name.unwrap_or("reasoning_before_the_answer");
        let field = FieldSpec::new(reasoning, FieldType::Text).described("think step by step, briefly");
        let spec = spec.with_first_output(field);
        let predictor = Predictor { dspy_holder: Some("predict"), ..Predictor::new(spec) };
        Self { predictor, reasoning, signature: PhantomData }
    }

    /// The same with demos of its own or with settings: change the predictor inside.
    #[must_use]
    pub fn map(self, change: impl FnOnce(Predictor) -> Predictor) -> Self {
        Self { predictor: change(self.predictor), ..self }
    }

    /// Asks the model once; the reasoning comes with the output.
    ///
    /// # Errors
    /// As [`Predictor::call`].
    ///
    /// # Cost
    /// One LM call.
    pub async fn call(&self, cx: &Ctx, input: S::Input) -> Result<Reasoned<S::Output>, Error> {
        let (outputs, answer) = cx.call(&self.predictor, input.into_fields()).await?;
        let reasoned = || {
            let output = S::Output::from_fields(&outputs)?;
            Ok(Reasoned { reasoning: outputs.typed(self.reasoning)?, output })
        };
        reasoned().map_err(|error| answer.unfit(error))
    }
}

impl<S: Signature> Default for ChainOfThought<S> {
    fn default() -> Self {
        Self::new()
    }
}

impl<S> Visit for ChainOfThought<S> {
    fn visit<'a>(&'a self, visitor: &mut Visitor<'a>) {
        visitor.predictor(&self.predictor);
    }
}

impl<S: Signature> Module for ChainOfThought<S> {
    type Input = S::Input;
    type Output = Reasoned<S::Output>;

    async fn forward(&self, cx: &Ctx, input: S::Input) -> Result<Self::Output, Error> {
        self.call(cx, input).await
    }
}

/// An output with the reasoning that led to it; reads like the output itself.
#[derive(Clone, Debug, PartialEq)]
pub struct Reasoned<O> {
    /// What the model wrote before its answer.
    pub reasoning: String,
    /// The answer.
    pub output: O,
}

impl<O> Deref for Reasoned<O> {
    type Target = O;

    fn deref(&self) -> &O {
        &self.output
    }
}

impl<O: FromFields> FromFields for Reasoned<O> {
    fn from_fields(fields: &Fields) -> Result<Self, FieldsError> {
        Ok(Self { reasoning: fields.typed(REASONING)?, output: O::from_fields(fields)? })
    }
}

impl<O: IntoFields> IntoFields for Reasoned<O> {
    fn into_fields(self) -> Fields {
        let reasoning = Fields::new().with(REASONING, self.reasoning);
        reasoning.into_iter().chain(self.output.into_fields()).collect()
    }
}
