//! Adapters: how a signature's call becomes a prompt, and an answer becomes fields.
//!
//! An adapter is pure and synchronous: the same call gives the same request, byte for byte. Its two directions meet in one
//! law, tested for every adapter: `parse(spec, format_outputs(spec, x)) == x`.
//!
//! ```text
//!   chat    [[ ## team ## ]] + value      sections for models that follow forms; DSPy's headers
//!   plain   Team: value                   the form that small models handle best
//!   json    {"team": "value"}             native structured output where the model has it
//! ```
//!
//! Models mix the forms up. What does not read in the adapter's own form is read in the others (`answer`), before a call is
//! lost.

mod answer;
mod chat;
mod json;
mod plain;

pub use chat::ChatAdapter;
pub use json::JsonAdapter;
pub use plain::PlainAdapter;

use crate::candidate::Demo;
use crate::field_type::ValueError;
use crate::fields::{Fields, Nearest, shorten};
use crate::lm::{Capabilities, LmRequest, Message};
use crate::media::media_in;
use crate::signature::SignatureSpec;

/// Everything a prompt is rendered from.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct AdapterCall<'a> {
    /// The signature.
    pub spec: &'a SignatureSpec,
    /// The instruction: the candidate's, the predictor's or the signature's own.
    pub instruction: &'a str,
    /// The demos, in the order in which they are shown.
    pub demos: &'a [Demo],
    /// The inputs of this call; every input field of the signature is there.
    pub inputs: &'a Fields,
    /// What the model can do.
    pub capabilities: Capabilities,
}

impl<'a> AdapterCall<'a> {
    /// A call without demos on a model that can do nothing but text.
    pub fn new(spec: &'a SignatureSpec, instruction: &'a str, inputs: &'a Fields) -> Self {
        Self { spec, instruction, demos: &[], inputs, capabilities: Capabilities::default() }
    }

    /// The same call with demos.
    #[must_use]
    pub fn with_demos(mut self, demos: &'a [Demo]) -> Self {
        self.demos = demos;
        self
    }

    /// The same call on a model with these capabilities.
    #[must_use]
    pub fn with_capabilities(mut self, capabilities: Capabilities) -> Self {
        self.capabilities = capabilities;
        self
    }
}

/// Turns calls into requests and answers into fields.
pub trait Adapter: Send + Sync {
    /// The name, for reports: `chat`, `plain`, `json`.
    fn name(&self) -> &'static str;

    /// The request for a call.
    ///
    /// # Errors
    /// [`AdapterError`] when the call cannot be written in this form.
    fn render(&self, call: &AdapterCall<'_>) -> Result<LmRequest, AdapterError>;

    /// The output fields in a completion: every output field of `spec`, of its type, in declared order.
    ///
    /// # Errors
    /// [`AdapterError`] says which field is missing or wrong and keeps the answer.
    fn parse(&self, spec: &SignatureSpec, completion: &str) -> Result<Fields, AdapterError>;

    /// Outputs as the model is meant to write them.
    fn format_outputs(&self, spec: &SignatureSpec, outputs: &Fields) -> String;
}

/// Why a prompt could not be rendered or an answer not be read.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum AdapterError {
    /// The answer lacks an output field.
    #[error("the answer has no field `{field}`{nearest}; it was: {}", shorten(.answer, 200))]
    Missing {
        /// The field.
        field: String,
        /// The nearest name that the answer has.
        nearest: Nearest,
        /// The whole answer.
        answer: String,
    },
    /// An output field does not have its type.
    #[error("field `{field}` of the answer: {source}")]
    Value {
        /// The field.
        field: String,
        /// What was expected and found.
        source: ValueError,
        /// The whole answer.
        answer: String,
    },
}

impl AdapterError {
    /// The model's whole answer.
    pub fn raw_answer(&self) -> Option<&str> {
        match self {
            Self::Missing { answer, .. } | Self::Value { answer, .. } => Some(answer),
        }
    }
}

/// The demos that can be shown: with at least one input and one output of the signature.
fn usable<'a>(spec: &'a SignatureSpec, demos: &'a [Demo]) -> impl Iterator<Item = &'a Demo> {
    demos.iter().filter(|demo| {
        let has = |fields: &[crate::signature::FieldSpec]| {
            fields.iter().any(|field| demo.fields.contains(&field.name))
        };
        has(spec.inputs()) && has(spec.outputs())
    })
}

/// The conversation of a call: what the system says, a turn for each demo, and the inputs followed by what `ask` writes.
fn conversation(
    call: &AdapterCall<'_>,
    system: String,
    ask: impl FnOnce(&mut String),
    inputs: impl Fn(&Fields) -> String,
    adapter: &dyn Adapter,
) -> Vec<Message> {
    let mut messages = Vec::with_capacity(2 + 2 * call.demos.len());
    messages.push(Message::system(system));
    for demo in usable(call.spec, call.demos) {
        messages.push(user_message(call.spec, &demo.fields, inputs(&demo.fields)));
        messages.push(Message::assistant(adapter.format_outputs(call.spec, &demo.fields)));
    }
    let mut last = inputs(call.inputs);
    ask(&mut last);
    messages.push(user_message(call.spec, call.inputs, last));
    messages
}

/// A user message of `text`, with the media among the inputs after it.
fn user_message(spec: &SignatureSpec, inputs: &Fields, text: String) -> Message {
    let media = spec.inputs().iter().filter_map(|field| Some(media_in(&field.ty, inputs.get(&field.name)?)));
    Message::user(text).with_media(media.flatten())
}

/// Written for an output that a demo does not have, such as the reasoning of a labeled row.
const NOT_SUPPLIED: &str = "(not given for this example)";
