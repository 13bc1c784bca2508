//! A model whose answers are a function of the request.
//!
//! Answers come from rules ([`ScriptedLm::when`]) in the order in which they were added, then from the function given to
//! [`ScriptedLm::new`]. The model counts its calls, keeps the requests and knows how many calls are in flight
//! ([`ScriptedLm::log`]). With [`ScriptedLm::with_yields`] calls end in another order than they began, without a clock.

use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::sync::{Mutex, PoisonError};
use std::task::Poll;

use futures::FutureExt;
use futures::future::BoxFuture;
use teleprompt_core::lm::{Capabilities, LmErrorKind, ModelId, Usage};
use teleprompt_core::{Lm, LmError, LmRequest, LmResponse};

use crate::hash::Hash;
use crate::log::{CallLog, DEFAULT_KEEP};

type Script = Box<dyn Fn(&LmRequest, &ModelId) -> Result<LmResponse, LmError> + Send + Sync>;

/// A model that answers by a function of the request.
///
/// Rules ([`ScriptedLm::when`]) go first, in the order in which they were added. Its calls are in [`ScriptedLm::log`].
///
/// Usage is counted in words: those of all messages, and those of the answer.
///
/// ```
/// use futures::executor::block_on;
/// use teleprompt_core::lm::Message;
/// use teleprompt_core::{Lm, LmRequest};
/// use teleprompt_testkit::ScriptedLm;
///
/// let lm = ScriptedLm::new(|request: &LmRequest| format!("you said: {}", request.last_user_text()));
/// let answer = block_on(lm.generate(&LmRequest::new(vec![Message::user("good morning")]))).unwrap();
/// assert_eq!(answer.text, "you said: good morning");
/// assert_eq!((answer.usage.input_tokens, answer.usage.output_tokens), (2, 4));
/// assert_eq!(lm.log().requests()[0].last_user_text(), "good morning");
/// ```
pub struct ScriptedLm {
    model: ModelId,
    capabilities: Capabilities,
    rules: Vec<(String, Script)>,
    script: Script,
    yields: Option<Yields>,
    log: CallLog,
}

#[derive(Clone, Copy, Debug)]
struct Yields {
    most: usize,
    seed: u64,
}

impl fmt::Debug for ScriptedLm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScriptedLm")
            .field("model", &self.model)
            .field("rules", &self.rules.iter().map(|(text, _)| text).collect::<Vec<_>>())
            .field("log", &self.log)
            .finish_non_exhaustive()
    }
}

/// A model without answers: every request is an error until [`ScriptedLm::when`] adds some.
impl Default for ScriptedLm {
    fn default() -> Self {
        Self::scripted(Box::new(|request, model| {
            let prompt = request.last_user_text();
            let detail = format!("no scripted answer for the prompt `{}`", start_of(&prompt));
            Err(LmError::new(model.clone(), LmErrorKind::InvalidRequest, detail))
        }))
    }
}

impl ScriptedLm {
    /// A model named `scripted` that answers with what `answer` returns: text, a whole response, an error, or a `Result`.
    pub fn new<R: IntoAnswer>(answer: impl Fn(&LmRequest) -> R + Send + Sync + 'static) -> Self {
        Self::scripted(Box::new(move |request, model| answer(request).into_answer(model)))
    }

    /// A model that gives these answers one after the other, in the order in which calls begin, and then an error
    /// ([`LmErrorKind::InvalidRequest`]). Where calls overlap, prefer a function of the request.
    pub fn queue<R: IntoAnswer + Send + 'static>(answers: impl IntoIterator<Item = R>) -> Self {
        let queue: Mutex<VecDeque<R>> = Mutex::new(answers.into_iter().collect());
        Self::scripted(Box::new(move |_, model| {
            let next = queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
            match next {
                Some(answer) => answer.into_answer(model),
                None => Err(LmError::new(
                    model.clone(),
                    LmErrorKind::InvalidRequest,
                    "the queue of scripted answers is empty",
                )),
            }
        }))
    }

    fn scripted(script: Script) -> Self {
        Self {
            model: ModelId::new("scripted"),
            capabilities: Capabilities::default(),
            rules: Vec::new(),
            script,
            yields: None,
            log: CallLog::keeping(DEFAULT_KEEP),
        }
    }

    /// The same model, answering `answer` to prompts that contain `text` in any message. Earlier rules go first, and all
    /// of them before the function given to [`ScriptedLm::new`].
    #[must_use]
    pub fn when<R: IntoAnswer + Clone + Send + Sync + 'static>(
        mut self,
        text: impl Into<String>,
        answer: R,
    ) -> Self {
        self.rules.push((text.into(), Box::new(move |_, model| answer.clone().into_answer(model))));
        self
    }

    /// The same model under another name.
    #[must_use]
    pub fn with_model(mut self, name: &str) -> Self {
        self.model = ModelId::new(name);
        self
    }

    /// The same model, claiming these capabilities. What it answers is still what the script says.
    #[must_use]
    pub fn with_capabilities(mut self, capabilities: Capabilities) -> Self {
        self.capabilities = capabilities;
        self
    }

    /// The same model, giving way to the executor before each answer: between 0 and `most` times, by a hash of `seed` and
    /// the request. Calls begun together then end in an order that is fixed by the seed and not that of their beginning.
    #[must_use]
    pub fn with_yields(mut self, most: usize, seed: u64) -> Self {
        self.yields = Some(Yields { most, seed });
        self
    }

    /// The same model, keeping the last `requests` requests instead of 1024; 0 keeps none.
    #[must_use]
    pub fn keeping(mut self, requests: usize) -> Self {
        self.log = CallLog::keeping(requests);
        self
    }

    /// What the model was asked so far.
    pub fn log(&self) -> &CallLog {
        &self.log
    }

    fn answer(&self, request: &LmRequest) -> Result<LmResponse, LmError> {
        let texts: Vec<String> = request.messages.iter().map(|message| message.text()).collect();
        let rule = self.rules.iter().find(|(wanted, _)| texts.iter().any(|text| text.contains(wanted)));
        let script = rule.map_or(&self.script, |(_, script)| script);
        let response = script(request, &self.model)?;
        let words = |text: &str| text.split_whitespace().count() as u64;
        if response.usage != Usage::default() {
            return Ok(response);
        }
        let usage = Usage {
            input_tokens: texts.iter().map(|text| words(text)).sum(),
            output_tokens: words(&response.text),
            ..Usage::default()
        };
        Ok(response.with_usage(usage))
    }
}

impl Lm for ScriptedLm {
    fn model(&self) -> &ModelId {
        &self.model
    }

    fn capabilities(&self) -> Capabilities {
        self.capabilities
    }

    fn generate<'a>(&'a self, request: &'a LmRequest) -> BoxFuture<'a, Result<LmResponse, LmError>> {
        async move {
            let call = self.log.begin(request);
            let answer = self.answer(request);
            if let Some(Yields { most, seed }) = self.yields {
                give_way(Hash::new(seed, "yields").request(request).below(most.saturating_add(1))).await;
            }
            call.finish();
            answer
        }
        .boxed()
    }
}

/// Returns to the executor `times` times.
async fn give_way(times: usize) {
    let mut left = times;
    poll_fn(move |cx| {
        if left == 0 {
            return Poll::Ready(());
        }
        left -= 1;
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// The first 80 characters of a prompt.
fn start_of(text: &str) -> String {
    text.chars().take(80).collect()
}

/// What a script may return: text, a whole [`LmResponse`], an error or its kind, or a `Result` of these.
pub trait IntoAnswer {
    /// The answer of the model `model`.
    ///
    /// # Errors
    /// The error that the script asks for.
    fn into_answer(self, model: &ModelId) -> Result<LmResponse, LmError>;
}

impl IntoAnswer for String {
    fn into_answer(self, _: &ModelId) -> Result<LmResponse, LmError> {
        Ok(LmResponse::new(self))
    }
}

impl IntoAnswer for &str {
    fn into_answer(self, _: &ModelId) -> Result<LmResponse, LmError> {
        Ok(LmResponse::new(self))
    }
}

impl IntoAnswer for LmResponse {
    fn into_answer(self, _: &ModelId) -> Result<LmResponse, LmError> {
        Ok(self)
    }
}

impl IntoAnswer for LmError {
    fn into_answer(self, _: &ModelId) -> Result<LmResponse, LmError> {
        Err(self)
    }
}

impl IntoAnswer for LmErrorKind {
    fn into_answer(self, model: &ModelId) -> Result<LmResponse, LmError> {
        Err(LmError::new(model.clone(), self, "scripted"))
    }
}

impl<T: IntoAnswer, E: IntoAnswer> IntoAnswer for Result<T, E> {
    fn into_answer(self, model: &ModelId) -> Result<LmResponse, LmError> {
        match self {
            Ok(answer) => answer.into_answer(model),
            Err(error) => error.into_answer(model),
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::executor::block_on;
    use futures::stream::{FuturesUnordered, StreamExt};
    use teleprompt_core::lm::Message;

    use super::*;

    fn ask(lm: &ScriptedLm, text: &str) -> Result<String, LmError> {
        block_on(lm.generate(&LmRequest::new(vec![Message::user(text)]))).map(|answer| answer.text)
    }

    #[test]
    fn rules_go_before_the_function() {
        let lm = ScriptedLm::new(|_: &LmRequest| "other").when("a", "first").when("ab", "second");
        assert_eq!(ask(&lm, "xaby").unwrap(), "first");
        assert_eq!(ask(&lm, "x").unwrap(), "other");
        assert_eq!(
            ask(&ScriptedLm::default(), "x").unwrap_err().to_string(),
            "scripted: invalid request: no scripted answer for the prompt `x`"
        );
    }

    #[test]
    fn a_queue_runs_dry() {
        let lm = ScriptedLm::queue([Ok("one"), Err(LmErrorKind::Timeout)]).with_model("m");
        assert_eq!(ask(&lm, "x").unwrap(), "one");
        assert_eq!(ask(&lm, "x").unwrap_err().to_string(), "m: timed out: scripted");
        assert_eq!(
            ask(&lm, "x").unwrap_err().to_string(),
            "m: invalid request: the queue of scripted answers is empty"
        );
    }

    #[test]
    fn calls_end_in_another_order_and_are_counted() {
        let lm =
            ScriptedLm::new(|request: &LmRequest| request.last_user_text()).with_yields(20, 1).keeping(3);
        let requests: Vec<LmRequest> =
            (0..16).map(|i| LmRequest::new(vec![Message::user(format!("{i}"))])).collect();
        let ended = || -> Vec<String> {
            let calls: FuturesUnordered<_> = requests.iter().map(|request| lm.generate(request)).collect();
            block_on(calls.map(|answer| answer.unwrap().text).collect())
        };
        let order = ended();
        assert_eq!(order, ended());
        let begun: Vec<String> = requests.iter().map(LmRequest::last_user_text).collect();
        assert_ne!(order, begun);
        let mut sorted = order.clone();
        sorted.sort_by_key(|text| text.parse::<u32>().unwrap());
        assert_eq!(sorted, begun);
        let log = lm.log();
        assert_eq!((log.calls(), log.finished(), log.in_flight(), log.max_in_flight()), (32, 32, 0, 16));
        assert_eq!(log.requests().len(), 3);
    }

    #[test]
    fn a_dropped_call_is_no_longer_in_flight() {
        let lm = ScriptedLm::new(|_: &LmRequest| "x").with_yields(1_000_000, 3);
        let request = LmRequest::new(vec![Message::user("x")]);
        assert!(lm.generate(&request).now_or_never().is_none());
        assert_eq!((lm.log().calls(), lm.log().finished(), lm.log().in_flight()), (1, 0, 0));
    }
}
