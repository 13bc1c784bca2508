//! The adapters of `teleprompt-core` keep the laws of adapters; adapters and models that break one are found out.

use futures::FutureExt;
use futures::executor::block_on;
use futures::future::BoxFuture;
use teleprompt_core::lm::{Capabilities, LmErrorKind, ModelId};
use teleprompt_core::{
    Adapter, AdapterCall, AdapterError, ChatAdapter, Fields, JsonAdapter, Lm, LmError, LmRequest, LmResponse,
    PlainAdapter, SignatureSpec,
};
use teleprompt_testkit::{Fault, Faulty, ScriptedLm, When, conformance};

#[test]
fn the_chat_adapter_keeps_the_laws() {
    conformance::adapter(&ChatAdapter);
}

#[test]
fn the_plain_adapter_keeps_the_laws() {
    conformance::adapter(&PlainAdapter);
}

#[test]
fn the_json_adapter_keeps_the_laws() {
    conformance::adapter(&JsonAdapter);
}

/// A plain adapter with one thing done wrong.
struct Wrong {
    render: fn(&AdapterCall<'_>) -> Result<LmRequest, AdapterError>,
    format: fn(&SignatureSpec, &Fields) -> String,
    parse: fn(&SignatureSpec, &str) -> Result<Fields, AdapterError>,
}

impl Default for Wrong {
    fn default() -> Self {
        Self {
            render: |call| PlainAdapter.render(call),
            format: |spec, outputs| PlainAdapter.format_outputs(spec, outputs),
            parse: |spec, text| PlainAdapter.parse(spec, text),
        }
    }
}

impl Adapter for Wrong {
    fn name(&self) -> &'static str {
        "wrong"
    }

    fn render(&self, call: &AdapterCall<'_>) -> Result<LmRequest, AdapterError> {
        (self.render)(call)
    }

    fn parse(&self, spec: &SignatureSpec, completion: &str) -> Result<Fields, AdapterError> {
        (self.parse)(spec, completion)
    }

    fn format_outputs(&self, spec: &SignatureSpec, outputs: &Fields) -> String {
        (self.format)(spec, outputs)
    }
}

#[test]
fn nothing_wrong_is_found_in_the_plain_adapter() {
    conformance::adapter(&Wrong::default());
}

#[test]
#[should_panic(expected = "broken law: parse(spec, format_outputs(spec, x)) == x")]
fn values_that_do_not_come_back_are_found() {
    conformance::adapter(&Wrong {
        format: |spec, outputs| PlainAdapter.format_outputs(spec, outputs).to_lowercase(),
        ..Wrong::default()
    });
}

#[test]
#[should_panic(expected = "broken law: parse never panics")]
fn panics_are_found() {
    conformance::adapter(&Wrong {
        parse: |spec, text| {
            assert!(!text.contains('\0'));
            PlainAdapter.parse(spec, text)
        },
        ..Wrong::default()
    });
}

#[test]
#[should_panic(expected = "broken law: demos stand in their order, before the inputs")]
fn demos_out_of_order_are_found() {
    conformance::adapter(&Wrong {
        render: |call| {
            let mut demos = call.demos.to_vec();
            demos.reverse();
            PlainAdapter.render(&call.with_demos(&demos))
        },
        ..Wrong::default()
    });
}

#[test]
#[should_panic(expected = "broken law: every demo and the inputs stand in the prompt")]
fn demos_left_out_are_found() {
    conformance::adapter(&Wrong {
        render: |call| PlainAdapter.render(&call.with_demos(&call.demos[..call.demos.len().min(2)])),
        ..Wrong::default()
    });
}

#[test]
#[should_panic(expected = "broken law: a model without a capability gets no constraint")]
fn constraints_out_of_place_are_found() {
    conformance::adapter(&Wrong {
        render: |call| PlainAdapter.render(&call.with_capabilities(Capabilities::text().with_regex(true))),
        ..Wrong::default()
    });
}

#[test]
fn scripted_models_keep_the_laws() {
    block_on(conformance::lm(&ScriptedLm::new(|_: &LmRequest| "yes").with_yields(5, 1)));
    let able = Capabilities::text().with_regex(true).with_json_schema(true);
    let held = ScriptedLm::new(|request: &LmRequest| match &request.constraint {
        Some(teleprompt_core::lm::OutputConstraint::JsonSchema(_)) => r#"{"wet": true}"#,
        _ => "yes",
    });
    block_on(conformance::lm(&held.with_capabilities(able)));
    block_on(conformance::lm(&teleprompt_testkit::SimTask::new(1).lm()));
}

#[test]
#[should_panic(expected = "broken law: a model has an id")]
fn a_model_without_a_name_is_found() {
    block_on(conformance::lm(&ScriptedLm::new(|_: &LmRequest| "yes").with_model("")));
}

#[test]
#[should_panic(expected = "it said: scripted: server error 503: a fault of the test")]
fn errors_are_shown() {
    let error = Fault::Error(LmErrorKind::Server { status: 503, retry_after: None });
    let lm = Faulty::new(ScriptedLm::new(|_: &LmRequest| "yes")).with(When::EveryCall(5), error);
    block_on(conformance::lm(&lm));
}

#[test]
#[should_panic(expected = "broken law: a regular expression matches the whole completion")]
fn a_constraint_that_is_not_honoured_is_found() {
    let able = Capabilities::text().with_regex(true);
    block_on(conformance::lm(&ScriptedLm::new(|_: &LmRequest| "Yes!").with_capabilities(able)));
}

struct NoUsage(ModelId);

impl Lm for NoUsage {
    fn model(&self) -> &ModelId {
        &self.0
    }

    fn generate<'a>(&'a self, _: &'a LmRequest) -> BoxFuture<'a, Result<LmResponse, LmError>> {
        async { Ok(LmResponse::new("yes")) }.boxed()
    }
}

#[test]
#[should_panic(expected = "broken law: an answer comes with its usage")]
fn a_model_that_counts_nothing_is_found() {
    block_on(conformance::lm(&NoUsage(ModelId::new("m"))));
}
