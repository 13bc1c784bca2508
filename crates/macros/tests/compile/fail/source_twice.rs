use teleprompt_core::{Ctx, Error, Fields, Module, Predictor};
use teleprompt_macros::{Module, program_source};

#[derive(Module)]
#[module(crate = teleprompt_core)]
struct Solve(Predictor);

#[program_source]
impl Module for Solve {
    type Input = Fields;
    type Output = Fields;

    async fn forward(&self, cx: &Ctx, input: Fields) -> Result<Fields, Error> {
        self.0.call(cx, input).await
    }

    fn source(&self) -> Option<&str> {
        None
    }
}

fn main() {}
