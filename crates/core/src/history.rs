//! What was said to models and what they answered: the last exchanges of a context, to be read by people.
//!
//! A [`crate::Trace`] holds the fields of one run, for optimizers; a [`History`] holds whole prompts and raw answers, for finding
//! out why a program does what it does. Requests carry no keys, so none can stand here.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::adapter::AdapterError;
use crate::candidate::PredictorName;
use crate::fields::Fields;
use crate::lm::{LmError, LmRequest, LmResponse, ModelId, Role};
use crate::meter::CallRole;
use crate::value::format_value;

/// One call of a predictor, in full.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Exchange {
    /// Which predictor asked.
    pub predictor: PredictorName,
    /// In which role.
    pub role: CallRole,
    /// Which model was asked.
    pub model: ModelId,
    /// The name of the adapter.
    pub adapter: &'static str,
    /// What was asked.
    pub request: Arc<LmRequest>,
    /// What came back.
    pub answer: Result<LmResponse, LmError>,
    /// What was read from it; `None` when there was no answer.
    pub outputs: Option<Result<Fields, AdapterError>>,
    /// How long the answer took, a cache and the waiting in any queue included.
    pub latency: Duration,
}

impl fmt::Display for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "=== {} ({}, {}, {} adapter)", self.predictor, self.role, self.model, self.adapter)?;
        for message in &self.request.messages {
            let role = match message.role {
                Role::System => "system",
                Role::User => "user",
                Role::Assistant => "assistant",
            };
            writeln!(f, "--- {role}\n{}", message.text().trim_end())?;
            message.media().try_for_each(|media| writeln!(f, "[{media}]"))?;
        }
        let seconds = self.latency.as_secs_f64();
        match &self.answer {
            Err(error) => return writeln!(f, "--- no answer after {seconds:.3} s\n{error}"),
            Ok(answer) => {
                let usage = answer.usage;
                let from = if answer.cached { ", from the cache" } else { "" };
                let tokens = format!("{} tokens in, {} out", usage.input_tokens, usage.output_tokens);
                writeln!(f, "--- answer ({tokens}, {seconds:.3} s{from})\n{}", answer.text.trim_end())?;
            }
        }
        match &self.outputs {
            None => Ok(()),
            Some(Err(error)) => writeln!(f, "--- not read\n{error}"),
            Some(Ok(fields)) => {
                writeln!(f, "--- read as")?;
                fields.iter().try_for_each(|(name, value)| writeln!(f, "{name}: {}", format_value(value)))
            }
        }
    }
}

/// The last exchanges of the contexts that share it; the oldest are dropped.
///
/// ```
/// use teleprompt_core::History;
/// let history = History::new(100);
/// // let cx = Ctx::new(lm).with_history(history.clone()); ... run programs ...
/// println!("{}", history.inspect(3));
/// ```
#[derive(Clone, Debug)]
pub struct History {
    capacity: usize,
    exchanges: Arc<Mutex<VecDeque<Exchange>>>,
}

impl History {
    /// A history of the last `capacity` exchanges. Clones share it.
    pub fn new(capacity: usize) -> Self {
        Self { capacity, exchanges: Arc::default() }
    }

    /// The last `n` exchanges, in the order in which they ended.
    pub fn last(&self, n: usize) -> Vec<Exchange> {
        let exchanges = self.exchanges.lock().unwrap_or_else(PoisonError::into_inner);
        exchanges.iter().skip(exchanges.len().saturating_sub(n)).cloned().collect()
    }

    /// The last `n` exchanges to be read: messages, answer, tokens, time, what was read.
    pub fn inspect(&self, n: usize) -> String {
        self.last(n).iter().map(Exchange::to_string).collect::<Vec<_>>().join("\n")
    }

    /// The mean time of the calls that were answered by a model and not by a cache; `None` where there was none. What a plan of an
    /// optimization asks for to tell how long it takes.
    pub fn latency(&self) -> Option<Duration> {
        let exchanges = self.exchanges.lock().unwrap_or_else(PoisonError::into_inner);
        let made =
            exchanges.iter().filter(|exchange| matches!(&exchange.answer, Ok(answer) if !answer.cached));
        let (sum, calls) = made.fold((Duration::ZERO, 0_u32), |(sum, calls), made| {
            (sum + made.latency, calls.saturating_add(1))
        });
        (calls > 0).then(|| sum / calls)
    }

    pub(crate) fn push(&self, exchange: Exchange) {
        let mut exchanges = self.exchanges.lock().unwrap_or_else(PoisonError::into_inner);
        exchanges.push_back(exchange);
        while exchanges.len() > self.capacity {
            exchanges.pop_front();
        }
    }
}
