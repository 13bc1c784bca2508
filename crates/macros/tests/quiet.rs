//! Generated code raises no warning in code of a user that has every warning on and uses little of it.
#![deny(
    warnings,
    missing_docs,
    missing_debug_implementations,
    unreachable_pub,
    unused,
    unused_qualifications
)]

extern crate teleprompt_core as teleprompt;

use teleprompt_core::{Ctx, Error, Module, Predict, Visitor};
use teleprompt_macros::{Label, Module, Signature, program_source};

/// Route it.
#[derive(Signature)]
struct Route {
    #[input]
    message: String,
    #[output]
    team: Team,
}

#[derive(Clone, Copy, Debug, PartialEq, Label)]
enum Team {
    Billing,
    Delivery,
}

#[derive(Module)]
struct Program {
    route: Predict<Route>,
}

#[program_source]
impl Module for Program {
    type Input = RouteInput;
    type Output = RouteOutput;

    async fn forward(&self, cx: &Ctx, input: RouteInput) -> Result<RouteOutput, Error> {
        self.route.call(cx, input).await
    }
}

/// What a library exports.
pub mod exported {
    use teleprompt_macros::{Label, Signature};

    /// Judge it.
    #[derive(Debug, Signature)]
    pub struct Judge {
        /// The text.
        #[input]
        pub text: String,
        #[input(desc = "how strict, from 1 to 5")]
        strictness: u8,
        #[output]
        verdict: Verdict,
    }

    /// The verdict.
    #[derive(Clone, Debug, PartialEq, Label)]
    pub enum Verdict {
        /// It is good.
        Good,
        /// It is bad.
        Bad,
    }
}

/// A scope that shadows names which generated code could mean.
mod shadowed {
    #![expect(dead_code, reason = "the names are there to be shadowed, not to be used")]

    pub(super) struct Option;
    pub(super) struct Result;
    pub(super) struct Fields;
    pub(super) struct Vec;
    pub(super) struct Example;

    #[derive(teleprompt_macros::Signature)]
    struct Keep {
        #[input]
        fields: String,
        #[input]
        value: i64,
        #[output]
        input: bool,
        #[output]
        output: std::option::Option<f32>,
        #[output]
        whole: std::vec::Vec<std::string::String>,
    }

    #[derive(Clone, Debug, PartialEq, teleprompt_macros::Label)]
    enum Kind {
        Some,
        None,
    }

    type String = std::string::String;
}

#[test]
fn it_compiles_without_a_warning() {
    let program = Program { route: Predict::new() };
    assert_eq!(Visitor::list(&program).len(), 1);
}
