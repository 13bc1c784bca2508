//! Candidates: what an optimizer changes in a program, as data.
//!
//! A [`Candidate`] gives each predictor, by name, an instruction and demos. It is serializable and independent of the
//! program's Rust types; [`crate::Bindings`] resolves its names against a program.

use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::fields::Fields;

/// The name of a predictor: its path in the program, such as `draft` or `refine[0].answer`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PredictorName(Arc<str>);

impl PredictorName {
    /// A name.
    pub fn new(name: impl Into<Arc<str>>) -> Self {
        Self(name.into())
    }

    /// The name's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for PredictorName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Borrow<str> for PredictorName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl From<&str> for PredictorName {
    fn from(name: &str) -> Self {
        Self::new(name)
    }
}

/// An example shown in a prompt: inputs and outputs of one predictor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Demo {
    /// Inputs and outputs together.
    pub fields: Arc<Fields>,
    /// Where it comes from.
    pub origin: DemoOrigin,
}

impl Demo {
    /// A demo taken from the data.
    pub fn labeled(fields: Fields) -> Self {
        Self { fields: Arc::new(fields), origin: DemoOrigin::Labeled }
    }

    /// A demo taken from a run of a program that the metric accepted.
    pub fn bootstrapped(fields: Fields) -> Self {
        Self { fields: Arc::new(fields), origin: DemoOrigin::Bootstrapped }
    }
}

/// Where a demo comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DemoOrigin {
    /// From the data, as it stands there.
    Labeled,
    /// From a run of the teacher that the metric accepted.
    Bootstrapped,
}

/// What a candidate gives one predictor. `None` keeps the program's own value; `Some` of an empty list means "no demos".
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PredictorParams {
    /// The instruction.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instruction: Option<Arc<str>>,
    /// The demos, in the order in which they are shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub demos: Option<Arc<[Demo]>>,
}

impl PredictorParams {
    /// These parameters, with what they leave open taken from `fallback`.
    #[must_use]
    pub fn or(&self, fallback: &PredictorParams) -> PredictorParams {
        PredictorParams {
            instruction: self.instruction.clone().or_else(|| fallback.instruction.clone()),
            demos: self.demos.clone().or_else(|| fallback.demos.clone()),
        }
    }
}

/// Instructions and demos for the predictors of a program. The default changes nothing: it is the baseline.
///
/// ```
/// use teleprompt_core::Candidate;
/// let candidate = Candidate::default().with_instruction("answer", "Answer in one word.");
/// let text = serde_json::to_string(&candidate).unwrap();
/// assert_eq!(text, r#"{"answer":{"instruction":"Answer in one word."}}"#);
/// assert_eq!(serde_json::from_str::<Candidate>(&text).unwrap(), candidate);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Candidate(BTreeMap<PredictorName, PredictorParams>);

impl Candidate {
    /// What the candidate gives the predictor of this name, if anything.
    pub fn get(&self, name: &str) -> Option<&PredictorParams> {
        self.0.get(name)
    }

    /// Sets what one predictor gets.
    pub fn set(&mut self, name: PredictorName, params: PredictorParams) {
        self.0.insert(name, params);
    }

    /// The same candidate with an instruction for one predictor.
    #[must_use]
    pub fn with_instruction(
        mut self,
        name: impl Into<PredictorName>,
        instruction: impl Into<Arc<str>>,
    ) -> Self {
        self.0.entry(name.into()).or_default().instruction = Some(instruction.into());
        self
    }

    /// The same candidate with demos for one predictor.
    #[must_use]
    pub fn with_demos(mut self, name: impl Into<PredictorName>, demos: impl Into<Arc<[Demo]>>) -> Self {
        self.0.entry(name.into()).or_default().demos = Some(demos.into());
        self
    }

    /// Names and parameters, ordered by name.
    pub fn iter(&self) -> impl Iterator<Item = (&PredictorName, &PredictorParams)> {
        self.0.iter()
    }
}
