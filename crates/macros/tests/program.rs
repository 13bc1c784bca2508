//! Whole programs: typed calls against a model that answers fixed text, and the text that `#[program_source]` keeps.
#![deny(warnings, missing_docs, unreachable_pub)]

use std::sync::Arc;

use futures::executor::block_on;
use futures::future::{BoxFuture, FutureExt};
use teleprompt_core::lm::ModelId;
use teleprompt_core::{
    Candidate, ChainOfThought, Ctx, Error, Fields, Lm, LmError, LmRequest, LmResponse, Module, Predict,
    Program, Visitor,
};
use teleprompt_macros::{Label, Module, Signature, program_source};

/// Route the message.
#[derive(Signature)]
#[signature(crate = teleprompt_core)]
struct Route {
    /// What the customer wrote.
    #[input]
    message: String,
    #[output]
    team: Team,
    #[output]
    urgent: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Label)]
#[label(crate = teleprompt_core)]
enum Team {
    Billing,
    Delivery,
}

/// Write an answer.
#[derive(Signature)]
#[signature(crate = teleprompt_core)]
struct Reply {
    #[input]
    message: String,
    #[input]
    team: Team,
    #[output]
    reply: String,
}

#[derive(Module)]
#[module(crate = teleprompt_core)]
struct Desk<M> {
    route: M,
    reply: ChainOfThought<Reply>,
}

/// Routes a message, then answers it.
#[program_source]
impl<M> Module for Desk<M>
where
    M: Module<Input = RouteInput, Output = RouteOutput>,
{
    type Input = RouteInput;
    type Output = ReplyOutput;

    // The team decides   the tone.
    async fn forward(&self, cx: &Ctx, input: RouteInput) -> Result<ReplyOutput, Error> {
        let routed = self.route.forward(cx, input.clone()).await?;

        let team = routed.team; /* checked */
        Ok(self.reply.call(cx, ReplyInput { message: input.message, team }).await?.output)
    }
}

/// The text of the block above.
const DESK: &str = "\
/// Routes a message, then answers it.
impl<M> Module for Desk<M> where M: Module<Input = RouteInput, Output = RouteOutput>, {
    type Input = RouteInput;
    type Output = ReplyOutput;

    // The team decides   the tone.
    async fn forward(&self, cx: &Ctx, input: RouteInput) -> Result<ReplyOutput, Error> {
        let routed = self.route.forward(cx, input.clone()).await?;

        let team = routed.team; /* checked */
        Ok(self.reply.call(cx, ReplyInput { message: input.message, team }).await?.output)
    }
}";

/// Answers every request with a text that has all fields.
struct Fixed(ModelId);

impl Lm for Fixed {
    fn model(&self) -> &ModelId {
        &self.0
    }

    fn generate<'a>(&'a self, request: &'a LmRequest) -> BoxFuture<'a, Result<LmResponse, LmError>> {
        let named = request.last_user_text().contains("paid twice");
        let team = if named { "Billing" } else { "nobody" };
        let text = format!(
            "[[ ## reasoning ## ]]\nMoney.\n\n[[ ## team ## ]]\n{team}\n\n[[ ## urgent ## ]]\nyes\n\n\
             [[ ## reply ## ]]\nSorry!\n\n[[ ## completed ## ]]"
        );
        async move { Ok(LmResponse::new(text)) }.boxed()
    }
}

fn cx() -> Ctx {
    Ctx::new(Arc::new(Fixed(ModelId::new("fixed"))))
}

fn input(message: &str) -> RouteInput {
    RouteInput { message: message.to_owned() }
}

fn desk() -> Desk<Predict<Route>> {
    Desk { route: Predict::new(), reply: ChainOfThought::new() }
}

#[test]
fn a_typed_call_gives_the_typed_output() {
    let output = block_on(Predict::<Route>::new().call(&cx(), input("I paid twice"))).unwrap();
    assert_eq!(output, RouteOutput { team: Team::Billing, urgent: true });
    let error = block_on(Predict::<Route>::new().call(&cx(), input("hi"))).unwrap_err();
    assert!(error.to_string().contains("expected one of billing, delivery"), "{error}");
    assert!(error.raw_answer().is_some());
}

#[test]
fn a_program_runs_typed_and_on_fields() {
    let output = block_on(Module::forward(&desk(), &cx(), input("I paid twice"))).unwrap();
    assert_eq!(output, ReplyOutput { reply: "Sorry!".to_owned() });

    let desk = desk();
    let program: &dyn Program = &desk;
    let cx = cx().recording().bound(program, &Candidate::default()).unwrap();
    let prediction = block_on(program.forward(&cx, Fields::new().with("message", "I paid twice"))).unwrap();
    assert_eq!(prediction.outputs, Fields::new().with("reply", "Sorry!"));
    let called: Vec<String> = cx.trace().steps.iter().map(|step| step.predictor.to_string()).collect();
    assert_eq!(called, ["route", "reply"]);
}

#[test]
fn the_source_is_the_block_as_written() {
    let desk = desk();
    assert_eq!(Module::source(&desk), Some(DESK));
    assert_eq!((&desk as &dyn Program).source(), Some(DESK));
    assert_eq!(Module::source(&desk.route), None);
}

mod nested {
    //! A block that is indented as a whole, with other attributes on it.

    use super::*;

    #[derive(Module)]
    #[module(crate = teleprompt_core)]
    pub(super) struct Only(pub(super) Predict<Route>);

    #[program_source(crate = teleprompt_core)]
    #[cfg(test)]
    impl Module for Only {
        type Input = RouteInput;
        type Output = RouteOutput;

        async fn forward(&self, cx: &Ctx, input: RouteInput) -> Result<RouteOutput, Error> {
            let output = self.0.call(cx, input).await?;
            Ok(output)
        }
    }
}

#[test]
fn the_indentation_of_the_block_is_not_part_of_its_source() {
    let only = nested::Only(Predict::new());
    let expect = "\
impl Module for Only {
    type Input = RouteInput;
    type Output = RouteOutput;

    async fn forward(&self, cx: &Ctx, input: RouteInput) -> Result<RouteOutput, Error> {
        let output = self.0.call(cx, input).await?;
        Ok(output)
    }
}";
    assert_eq!(Module::source(&only), Some(expect));
    assert_eq!(Visitor::list(&only).len(), 1);
}

macro_rules! program {
    ($name:ident, $signature:ident, $input:ty, $output:ty, $body:expr) => {
        #[derive(Module)]
        #[module(crate = teleprompt_core)]
        struct $name(Predict<$signature>);

        #[program_source]
        impl Module for $name {
            type Input = $input;
            type Output = $output;

            async fn forward(&self, cx: &Ctx, input: $input) -> Result<$output, Error> {
                let call = $body;
                call(&self.0, cx, input).await
            }
        }
    };
}

program!(Made, Route, RouteInput, RouteOutput, Predict::call);

#[test]
fn a_block_made_by_a_macro_has_the_code_that_was_made() {
    let made = Made(Predict::new());
    let source = Module::source(&made).unwrap();
    assert!(source.starts_with("impl Module for Made {"), "{source}");
    assert!(source.contains("let call = Predict::call;") && !source.contains('$'), "{source}");
    assert!(block_on(made.0.call(&cx(), input("I paid twice"))).unwrap().urgent);
}

#[test]
fn a_program_written_by_hand_keeps_its_source_too() {
    struct Echo;

    #[program_source]
    impl Program for Echo {
        fn predictors(&self) -> Vec<teleprompt_core::NamedPredictor<'_>> {
            Vec::new()
        }

        fn forward<'a>(
            &'a self,
            _: &'a Ctx,
            inputs: Fields,
        ) -> BoxFuture<'a, Result<teleprompt_core::Prediction, Error>> {
            async move { Ok(teleprompt_core::Prediction { outputs: inputs }) }.boxed()
        }
    }
    assert!(Echo.source().unwrap().starts_with("impl Program for Echo {\n    fn predictors"));
}
