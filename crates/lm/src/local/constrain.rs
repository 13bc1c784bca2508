//! What a completion may look like: regular expressions and JSON schemas over tokens, by `llguidance`.
//!
//! A [`Guide`] follows one completion. [`Guide::forced`] takes the tokens that have no alternative, so that they
//! need no forward pass of their own; [`Guide::allowed`] lists what may come next; [`Guide::is_done`] says that
//! nothing can follow.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use llguidance::api::TopLevelGrammar;
use llguidance::{Matcher, ParserFactory};
use serde_json::{Value, json};
use teleprompt_core::lm::OutputConstraint;
use toktrie::InferenceCapabilities;

use super::error::ModelError;
use super::tokenizer::Tokenizer;

/// Compiled grammars that are kept: a run uses one or two per signature.
const KEPT: usize = 16;

/// Compiles constraints, and keeps the compiled ones.
pub(crate) struct Grammars {
    factory: ParserFactory,
    compiled: Mutex<VecDeque<(OutputConstraint, Matcher)>>,
}

/// Follows one completion under a constraint.
pub(crate) struct Guide(Matcher);

impl Grammars {
    pub(crate) fn new(tokenizer: &Tokenizer) -> Result<Self, ModelError> {
        let capabilities = InferenceCapabilities { ff_tokens: true, ..InferenceCapabilities::default() };
        let slices = llguidance::earley::SlicedBiasComputer::general_slices();
        let mut factory = ParserFactory::new(&tokenizer.environment(), capabilities, &slices)
            .map_err(|e| ModelError::Tokenizer(e.to_string()))?;
        factory.quiet();
        Ok(Self { factory, compiled: Mutex::default() })
    }

    /// Begins a completion under a constraint.
    ///
    /// # Errors
    /// The constraint has no meaning to the grammar engine; the text says where.
    pub(crate) fn start(&self, constraint: &OutputConstraint) -> Result<Guide, String> {
        let known = |list: &VecDeque<(OutputConstraint, Matcher)>| {
            list.iter().find(|(key, _)| key == constraint).map(|(_, matcher)| matcher.deep_clone())
        };
        if let Some(matcher) = known(&self.compiled.lock().unwrap_or_else(PoisonError::into_inner)) {
            return Ok(Guide(matcher));
        }
        let grammar = match constraint {
            OutputConstraint::Regex(pattern) => TopLevelGrammar::from_regex(pattern),
            OutputConstraint::JsonSchema(schema) => {
                TopLevelGrammar::from_json_schema(with_fixed_spacing(schema))
            }
            other => return Err(format!("this kind of constraint is not supported: {other:?}")),
        };
        let matcher = Matcher::new(self.factory.create_parser(grammar));
        if let Some(error) = matcher.get_error() {
            return Err(error);
        }
        let mut list = self.compiled.lock().unwrap_or_else(PoisonError::into_inner);
        list.truncate(KEPT - 1);
        list.push_front((constraint.clone(), matcher.deep_clone()));
        Ok(Guide(matcher))
    }
}

impl Guide {
    /// Takes the tokens that must come next, in order; often none.
    pub(crate) fn forced(&mut self) -> Vec<u32> {
        if self.is_done() { Vec::new() } else { self.0.consume_ff_tokens() }
    }

    /// The tokens that may come next, ascending; the end token where the completion may end here.
    pub(crate) fn allowed(&mut self) -> Result<Vec<u32>, String> {
        let mask = self.0.compute_mask_or_eos().map_err(|e| e.to_string())?;
        Ok(mask.to_list())
    }

    /// Takes a token that [`Guide::allowed`] listed.
    pub(crate) fn push(&mut self, token: u32) -> Result<(), String> {
        self.0.consume_token(token).map_err(|e| e.to_string())
    }

    /// Whether the completion is complete and nothing can follow.
    pub(crate) fn is_done(&self) -> bool {
        self.0.is_stopped()
    }

    /// What went wrong, if anything did.
    pub(crate) fn error(&self) -> Option<String> {
        self.0.get_error()
    }
}

/// A schema with one way of spacing: a small model that may choose white space can go on choosing it.
fn with_fixed_spacing(schema: &Value) -> Value {
    let mut schema = schema.clone();
    if let Value::Object(map) = &mut schema {
        map.entry("x-guidance").or_insert_with(
            || json!({ "whitespace_flexible": false, "item_separator": ", ", "key_separator": ": " }),
        );
    }
    schema
}
