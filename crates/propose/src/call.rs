//! One call of the prompt LM: ask, tell who watches, and read the answer even where its form is broken.

use std::sync::Arc;

use teleprompt_core::lm::{LmErrorKind, LmSettings};
use teleprompt_core::{Bindings, CallRole, Ctx, LmError, Predictor};

use crate::prompts::Prompt;

/// Asks the prompt LM.
pub(crate) struct Caller<'a> {
    cx: Ctx,
    on_call: Option<&'a (dyn Fn() + Sync)>,
}

/// Why a call gave no text.
#[derive(Debug)]
pub(crate) enum Failure {
    /// No call can succeed.
    Fatal(LmError),
    /// This one failed.
    Call(String),
    /// There is an answer, and it is no use; why.
    Unusable(&'static str),
}

impl Failure {
    /// The model's error where no call can succeed, else what to tell the user.
    pub(crate) fn message(self) -> Result<String, LmError> {
        match self {
            Self::Fatal(error) => Err(error),
            Self::Call(message) => Ok(message),
            Self::Unusable(why) => Ok(why.to_owned()),
        }
    }
}

impl<'a> Caller<'a> {
    /// A caller in `cx`, counted as the prompt LM; free of a candidate's bindings, for the crate's predictors are in no
    /// program.
    pub(crate) fn new(cx: &Ctx, on_call: Option<&'a (dyn Fn() + Sync)>) -> Self {
        let cx = cx.clone().with_role(CallRole::Prompt).with_bindings(Arc::new(Bindings::default()));
        Self { cx, on_call }
    }

    /// The text of the prompt's one output; the whole answer where the adapter cannot read it.
    pub(crate) async fn ask(
        &self,
        prompt: Prompt,
        settings: LmSettings,
        rollout: u64,
    ) -> Result<String, Failure> {
        let output = prompt.output().to_owned();
        let predictor = Predictor::new(prompt.spec).with_settings(settings);
        let answer = predictor.call(&self.cx.clone().with_rollout(rollout), prompt.inputs).await;
        if let Some(on_call) = self.on_call {
            on_call();
        }
        match answer {
            Ok(fields) => Ok(fields.text(&output)),
            Err(error) => match (error.raw_answer(), error.as_lm()) {
                (Some(raw), _) => Ok(raw.to_owned()),
                (None, Some(lm)) if lm.is_fatal() => Err(Failure::Fatal(lm.clone())),
                (None, Some(lm)) if matches!(lm.kind, LmErrorKind::ContextOverflow { .. }) => {
                    Err(Failure::Call(format!(
                        "{error} (lower the proposer's budgets of tokens, or switch a grounding off)"
                    )))
                }
                (None, _) => Err(Failure::Call(error.to_string())),
            },
        }
    }
}
