//! The macros of teleprompt: tasks, labels and programs declared as Rust types.
//!
//! | macro | stands on | gives |
//! |---|---|---|
//! | [`Signature`] | a struct of `#[input]` and `#[output]` fields | the task of one LM call, and the structs of its two halves |
//! | [`Label`] | an enum without data | a closed set of labels as the type of a field |
//! | [`Module`] | a struct that holds predictors | the list of them, by field path |
//! | [`macro@program_source`] | `impl Module for YourProgram` | the block's text, for instruction proposers |
//!
//! Generated code names only `std` and the crate `teleprompt`. Where that crate has another name, say so:
//! `#[signature(crate = path)]`, `#[label(crate = path)]`, `#[module(crate = path)]`. The examples here do, since they
//! are compiled without the facade.
//!
//! Every mistake is a compile error at the field it is about that says what to write; one compilation shows them all.
//!
//! **Absent on purpose:** `Module` itself is not generated: what a program does is an ordinary `impl` with an ordinary
//! `async fn`.

mod attrs;
mod label;
mod module;
mod signature;
mod source;

use proc_macro::TokenStream;
use syn::{DeriveInput, parse_macro_input};

/// Declares the task of one LM call: a struct whose fields are inputs and outputs.
///
/// - The struct's doc comment is the **instruction**, with its line breaks. Without one, a plain instruction is made from
///   the field names.
/// - Every field is marked `#[input]` or `#[output]`; there is at least one output. Its type is text (`String`), a whole or
///   floating number, `bool`, `Vec<T>`, `Option<T>`, or an enum with [`Label`]; anything that implements `FieldValue`.
/// - A field's doc comment is its **description**, in one line. `#[input(desc = "..")]` says something else to the model
///   than to readers of the code; `#[output(prefix = "..")]` sets what stands before the value in plain prompts
///   (`Net income` for `net_income` otherwise).
///
/// For a struct `Answer`, with its visibility:
///
/// - `AnswerInput` and `AnswerOutput` hold the two halves; they are `Clone`, `Debug` and `PartialEq`, so the types of
///   the fields have to be;
/// - `IntoFields` and `FromFields` for `Answer` and both halves, and `Signature` for `Answer`;
/// - `From<(AnswerInput, AnswerOutput)> for Answer` and back, and `From<Answer> for Example`, so that a whole row of
///   data is written as an `Answer`.
///
/// ```
/// use teleprompt_core::{Example, Predict, Signature};
/// use teleprompt_macros::{Label, Signature};
///
/// /// Route the message to the team that can solve it.
/// #[derive(Signature)]
/// #[signature(crate = teleprompt_core)]
/// struct Route {
///     /// what the customer wrote
///     #[input]
///     message: String,
///     #[output]
///     team: Team,
/// }
///
/// #[derive(Clone, Debug, PartialEq, Label)]
/// #[label(crate = teleprompt_core)]
/// enum Team {
///     Billing,
///     Delivery,
/// }
///
/// let spec = Route::spec();
/// assert_eq!(&*spec.instruction(), "Route the message to the team that can solve it.");
/// assert_eq!(spec.inputs()[0].description, "what the customer wrote");
/// assert_eq!(spec.summary(), "message -> team: one of billing, delivery");
///
/// let row = Route { message: "I paid twice".to_owned(), team: Team::Billing };
/// let example = Example::from(row);
/// assert_eq!(example.labels.text("team"), "billing");
///
/// let route = Predict::<Route>::new(); // route.call(cx, RouteInput { message }) gives a RouteOutput
/// # let _ = route;
/// ```
///
/// # Differences from DSPy
/// Inputs and outputs are two structs, so a call takes exactly the inputs and gives exactly the outputs. A field cannot be
/// called `completed`: the chat form ends an answer with that header.
#[proc_macro_derive(Signature, attributes(signature, input, output))]
pub fn derive_signature(input: TokenStream) -> TokenStream {
    answer(signature::derive(&parse_macro_input!(input as DeriveInput)))
}

/// Makes an enum without data the type of a field: one of a closed set of labels.
///
/// A label is the variant's name in snake case, or the text in `#[label("..")]`; no two are the same. Beside `FieldValue`
/// the enum gets `const ALL: &[Self]` (in declared order) and `fn as_str(&self) -> &'static str`.
///
/// Labels are read exactly from data; adapters read what a model wrote in any case and with punctuation around it.
///
/// ```
/// use teleprompt_core::{FieldType, FieldValue};
/// use teleprompt_macros::Label;
///
/// #[derive(Debug, PartialEq, Label)]
/// #[label(crate = teleprompt_core)]
/// enum Kind {
///     BugReport,
///     #[label("thank you")]
///     Praise,
/// }
///
/// assert_eq!(Kind::ALL, [Kind::BugReport, Kind::Praise]);
/// assert_eq!(Kind::Praise.as_str(), "thank you");
/// assert_eq!(Kind::field_type(), FieldType::Label(vec!["bug_report".to_owned(), "thank you".to_owned()]));
/// assert_eq!(Kind::from_value(&"bug_report".into()), Ok(Kind::BugReport));
/// assert_eq!(Kind::from_value(&"spam".into()).unwrap_err().to_string(), "expected one of bug_report, thank you, found \"spam\"");
/// ```
#[proc_macro_derive(Label, attributes(label))]
pub fn derive_label(input: TokenStream) -> TokenStream {
    answer(label::derive(&parse_macro_input!(input as DeriveInput)))
}

/// Lists the predictors that a struct holds, under the names of its fields: the trait `Visit`.
///
/// Fields are predictors, other modules, and `Vec`, `Option`, `Box`, `Arc` or maps of them; generic parameters are fine.
/// The fields of a tuple struct are called `0`, `1`, and so on.
///
/// - `#[module(skip)]` leaves out a field that holds no predictors;
/// - `#[module(frozen)]` lists its predictors, but optimizers keep them as they are.
///
/// ```
/// use teleprompt_core::{Ctx, Error, Predict, Predictor, SignatureSpec, Visitor};
/// use teleprompt_macros::Module;
///
/// #[derive(Module)]
/// #[module(crate = teleprompt_core)]
/// struct Essay {
///     draft: Predictor,
///     refine: Vec<Predictor>,
///     #[module(frozen)]
///     check: Predictor,
///     #[module(skip)]
///     most_words: usize,
/// }
///
/// let predictor = || Predictor::new(SignatureSpec::parse("text -> better").unwrap());
/// let essay = Essay { draft: predictor(), refine: vec![predictor(), predictor()], check: predictor(), most_words: 90 };
/// let listed = Visitor::list(&essay);
/// let names: Vec<&str> = listed.iter().map(|named| named.name.as_str()).collect();
/// assert_eq!(names, ["draft", "refine[0]", "refine[1]", "check"]);
/// assert!(listed[3].frozen);
/// # let _ = essay.most_words;
/// ```
#[proc_macro_derive(Module, attributes(module))]
pub fn derive_module(input: TokenStream) -> TokenStream {
    answer(module::derive(&parse_macro_input!(input as DeriveInput)))
}

/// Keeps the text of an `impl Module` block in the program, for instruction proposers to read: the function `source`.
///
/// The text is the block as written: its doc comments, its header in one line, its body with line breaks and comments.
/// White space that all lines of the body begin with is taken away. **It is sent to the model that writes
/// instructions**: put nothing into the block that must not leave the machine, or leave the attribute away.
///
/// Works on `impl Program` too. It takes `crate = path` like the derives, and needs it for nothing.
///
/// ```
/// use teleprompt_core::{Ctx, Error, Fields, Module, Predictor, SignatureSpec};
/// use teleprompt_macros::{Module, program_source};
///
/// #[derive(Module)]
/// #[module(crate = teleprompt_core)]
/// struct Solve {
///     think: Predictor,
/// }
///
/// #[program_source]
/// impl Module for Solve {
///     type Input = Fields;
///     type Output = Fields;
///
///     // One thought is enough.
///     async fn forward(&self, cx: &Ctx, input: Fields) -> Result<Fields, Error> {
///         self.think.call(cx, input).await
///     }
/// }
///
/// let solve = Solve { think: Predictor::new(SignatureSpec::parse("question -> answer").unwrap()) };
/// let text = solve.source().unwrap();
/// assert!(text.starts_with("impl Module for Solve {\n    type Input = Fields;\n"));
/// assert!(text.contains("    // One thought is enough.\n"));
/// ```
#[proc_macro_attribute]
pub fn program_source(args: TokenStream, item: TokenStream) -> TokenStream {
    let original = item.clone();
    match attrs::only_crate(args.into()).and_then(|()| source::expand(item.into())) {
        Ok(code) => code.into(),
        // The block stays, so that its absence causes no further errors.
        Err(error) => [TokenStream::from(error.into_compile_error()), original].into_iter().collect(),
    }
}

/// The code, or its errors.
fn answer(result: syn::Result<proc_macro2::TokenStream>) -> TokenStream {
    result.unwrap_or_else(syn::Error::into_compile_error).into()
}
