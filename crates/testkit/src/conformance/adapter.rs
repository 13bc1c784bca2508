//! The laws of [`Adapter`].

use std::panic::{AssertUnwindSafe, catch_unwind};

use teleprompt_core::lm::{Capabilities, Role};
use teleprompt_core::{
    Adapter, AdapterCall, AdapterError, Demo, FieldSpec, FieldType, Fields, SignatureSpec,
};

use super::{broken, generate};
use crate::hash::{Draws, Hash};

/// How many signatures are generated for each law.
const CASES: u64 = 1_000;

/// Checks that `adapter` keeps the laws of [`Adapter`] on 1,000 generated signatures:
///
/// - it has a name;
/// - `parse(spec, format_outputs(spec, x)) == x`, fields in declared order;
/// - the same call gives the same request;
/// - a request ends with a user message; the instruction, every demo and the inputs stand in it, the demos in their order and
///   before the inputs;
/// - without a capability there is no output constraint that needs it;
/// - `parse` never panics, and its errors keep the answer.
///
/// The generated values leave out what no text form can keep: white space at the ends of texts and line ends other than `\n`.
/// Texts that imitate the adapter's own form are among them.
///
/// # Panics
/// When a law is broken, with the signature and the text.
///
/// # Determinism
/// The same cases each time.
pub fn adapter(adapter: &dyn Adapter) {
    if adapter.name().trim().is_empty() {
        broken("an adapter has a name", "`name()` is empty");
    }
    for case in 0..CASES {
        let mut draws = Draws::new(Hash::new(case, "adapter laws"));
        let spec = generate::spec(&mut draws);
        let outputs = generate::values(&mut draws, spec.outputs());
        let inputs = generate::values(&mut draws, spec.inputs());
        round_trip(adapter, &spec, &outputs);
        rendering(adapter, &spec, &inputs, &outputs);
        for _ in 0..4 {
            noise(adapter, &spec, &generate::noise(&mut draws, &spec));
        }
    }
    order(adapter);
}

fn round_trip(adapter: &dyn Adapter, spec: &SignatureSpec, outputs: &Fields) {
    let law = "parse(spec, format_outputs(spec, x)) == x";
    let text = adapter.format_outputs(spec, outputs);
    let shown = format!("signature: {}\nx: {outputs:?}\nwritten: {text:?}", spec.summary());
    let read = match parse(adapter, spec, &text) {
        Ok(read) => read,
        Err(error) => broken(law, &format!("{shown}\nerror: {error}")),
    };
    if read != *outputs {
        broken(law, &format!("{shown}\nread: {read:?}"));
    }
    if !read.names().eq(spec.outputs().iter().map(|field| field.name.as_str())) {
        broken("outputs are read in declared order", &format!("{shown}\nread: {read:?}"));
    }
}

fn rendering(adapter: &dyn Adapter, spec: &SignatureSpec, inputs: &Fields, outputs: &Fields) {
    let demo = Demo::labeled(inputs.clone().into_iter().chain(outputs.clone()).collect());
    let demos = [demo.clone(), demo];
    let plain = AdapterCall::new(spec, "Do as the examples do.", inputs).with_demos(&demos);
    let able = Capabilities::text().with_regex(true).with_json_schema(true);
    for call in [plain, plain.with_capabilities(able)] {
        let shown = format!("signature: {}\ninputs: {inputs:?}", spec.summary());
        let render = || match adapter.render(&call) {
            Ok(request) => request,
            Err(error) => broken("a complete call can be rendered", &format!("{shown}\nerror: {error}")),
        };
        let request = render();
        if request != render() {
            broken("the same call gives the same request", &shown);
        }
        if request.messages.last().map(|message| message.role) != Some(Role::User) {
            broken("a request ends with a user message", &shown);
        }
        if call.capabilities == Capabilities::default() && request.constraint.is_some() {
            broken("a model without a capability gets no constraint", &shown);
        }
    }
}

/// Instruction, demos and inputs by marks that no form changes.
fn order(adapter: &dyn Adapter) {
    let field = |name: &str| FieldSpec::new(name, FieldType::Text);
    let spec = SignatureSpec::derived(
        "Marked".to_owned(),
        "unused",
        vec![field("question")],
        vec![field("reasoning"), field("answer")],
    );
    let demos: Vec<Demo> = (0..5)
        .map(|i| {
            let fields = Fields::new().with("question", format!("demoquestion{i}"));
            // A labeled row has no reasoning: it is still a demo.
            let fields = fields.with("answer", format!("demoanswer{i}"));
            if i % 2 == 0 {
                Demo::labeled(fields)
            } else {
                Demo::bootstrapped(fields.with("reasoning", "because"))
            }
        })
        .collect();
    let inputs = Fields::new().with("question", "finalquestion");
    let call = AdapterCall::new(&spec, "markedinstruction", &inputs).with_demos(&demos);
    let request = match adapter.render(&call) {
        Ok(request) => request,
        Err(error) => broken("a complete call can be rendered", &error.to_string()),
    };
    let text = request.messages.iter().map(|message| message.text()).collect::<Vec<_>>().join("\n");
    if !text.contains("markedinstruction") {
        broken("the instruction stands in the prompt", &text);
    }
    let mut marks: Vec<String> =
        (0..5).flat_map(|i| [format!("demoquestion{i}"), format!("demoanswer{i}")]).collect();
    marks.push("finalquestion".to_owned());
    let places: Vec<Option<usize>> = marks.iter().map(|mark| text.find(mark.as_str())).collect();
    if let Some(missing) = places.iter().position(Option::is_none) {
        broken(
            "every demo and the inputs stand in the prompt",
            &format!("no {} in:\n{text}", marks[missing]),
        );
    }
    if !places.is_sorted() {
        broken("demos stand in their order, before the inputs", &text);
    }
}

fn noise(adapter: &dyn Adapter, spec: &SignatureSpec, text: &str) {
    let shown = format!("signature: {}\ntext: {text:?}", spec.summary());
    match parse(adapter, spec, text) {
        Ok(read) => {
            if !read.names().eq(spec.outputs().iter().map(|field| field.name.as_str())) {
                broken("what is read has every output, in declared order, and nothing else", &shown);
            }
        }
        Err(error) => {
            if error.raw_answer() != Some(text) {
                broken("an error of parsing keeps the answer", &shown);
            }
        }
    }
}

fn parse(adapter: &dyn Adapter, spec: &SignatureSpec, text: &str) -> Result<Fields, AdapterError> {
    catch_unwind(AssertUnwindSafe(|| adapter.parse(spec, text))).unwrap_or_else(|_| {
        broken("parse never panics", &format!("signature: {}\ntext: {text:?}", spec.summary()))
    })
}
