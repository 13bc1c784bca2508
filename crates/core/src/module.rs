//! Modules: the user's typed programs; and [`Program`], their object-safe view.
//!
//! ```text
//!   your struct ── #[derive(Module)] ──▶ Visit   (which predictors it holds, by field path)
//!               ── impl Module ────────▶ forward (what it does with them)
//!   Visit + Module ── blanket impl ────▶ Program (what optimizers work on)
//! ```

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::future::{self, BoxFuture};
use futures::{FutureExt, TryFutureExt};
use serde::{Deserialize, Serialize};

use crate::candidate::PredictorName;
use crate::context::Ctx;
use crate::error::Error;
use crate::fields::{Fields, FromFields, IntoFields};
use crate::predict::Predictor;

/// A typed program: what it takes, what it gives, and how.
///
/// Implement it for a struct with `#[derive(Module)]`, which lists the predictors in its fields. Put
/// `#[program_source]` on the `impl` to let instruction proposers read it.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a module",
    note = "derive(Module) lists the predictors; also write `impl Module for {Self}` with `forward`"
)]
pub trait Module: Visit + Send + Sync {
    /// What it takes.
    type Input: FromFields + Send;
    /// What it gives.
    type Output: IntoFields + Send;

    /// Runs the program once.
    fn forward(
        &self,
        cx: &Ctx,
        input: Self::Input,
    ) -> impl Future<Output = Result<Self::Output, Error>> + Send;

    /// The program's source text, for proposers; `#[program_source]` provides it.
    fn source(&self) -> Option<&str> {
        None
    }
}

/// A type that holds predictors and shows them to a [`Visitor`]; made by `#[derive(Module)]`.
#[diagnostic::on_unimplemented(
    message = "the predictors inside `{Self}` cannot be listed",
    note = "use #[derive(Module)] on it, or mark the field with #[module(skip)] if it holds none"
)]
pub trait Visit {
    /// Shows every predictor, in a fixed order.
    fn visit<'a>(&'a self, visitor: &mut Visitor<'a>);
}

/// A predictor of a program, with its name.
#[derive(Clone, Debug)]
pub struct NamedPredictor<'a> {
    /// The field path, such as `draft` or `refine[0].answer`; `self` for a program that is one bare predictor.
    pub name: PredictorName,
    /// The predictor.
    pub predictor: &'a Predictor,
    /// Kept as it is by optimizers: under a field marked `#[module(frozen)]`.
    pub frozen: bool,
}

/// Collects the predictors of a program with their field paths. A predictor at two paths keeps the first.
#[derive(Debug, Default)]
pub struct Visitor<'a> {
    path: String,
    frozen: bool,
    found: Vec<NamedPredictor<'a>>,
}

impl<'a> Visitor<'a> {
    /// The predictors of `root`, in visiting order.
    pub fn list(root: &'a (impl Visit + ?Sized)) -> Vec<NamedPredictor<'a>> {
        let mut visitor = Self::default();
        root.visit(&mut visitor);
        visitor.found
    }

    /// Adds a predictor at the current path.
    pub fn predictor(&mut self, predictor: &'a Predictor) {
        if self.found.iter().any(|known| known.predictor.id() == predictor.id()) {
            return;
        }
        let name = if self.path.is_empty() { "self" } else { self.path.as_str() };
        self.found.push(NamedPredictor { name: name.into(), predictor, frozen: self.frozen });
    }

    /// Adds the predictors of a program whose type is not known, under the current path.
    fn program(&mut self, program: &'a dyn Program) {
        for named in program.predictors() {
            let name = named.name.as_str();
            let path = match (self.path.as_str(), name) {
                ("", name) => name.to_owned(),
                (path, "self") => path.to_owned(),
                (path, name) if name.starts_with('[') => format!("{path}{name}"),
                (path, name) => format!("{path}.{name}"),
            };
            let outer = (std::mem::replace(&mut self.path, path), self.frozen);
            self.frozen |= named.frozen;
            self.predictor(named.predictor);
            (self.path, self.frozen) = outer;
        }
    }

    /// Visits a field under its name.
    pub fn field(&mut self, name: &str, value: &'a (impl Visit + ?Sized)) {
        let dot = if self.path.is_empty() { "" } else { "." };
        self.under(&format!("{dot}{name}"), value);
    }

    /// Visits a field whose predictors optimizers keep as they are.
    pub fn frozen_field(&mut self, name: &str, value: &'a (impl Visit + ?Sized)) {
        let outer = std::mem::replace(&mut self.frozen, true);
        self.field(name, value);
        self.frozen = outer;
    }

    /// Visits an element of a list.
    pub fn element(&mut self, index: usize, value: &'a (impl Visit + ?Sized)) {
        self.under(&format!("[{index}]"), value);
    }

    fn under(&mut self, segment: &str, value: &'a (impl Visit + ?Sized)) {
        let length = self.path.len();
        self.path.push_str(segment);
        value.visit(self);
        self.path.truncate(length);
    }
}

impl Visit for Predictor {
    fn visit<'a>(&'a self, visitor: &mut Visitor<'a>) {
        visitor.predictor(self);
    }
}

/// A program behind a pointer shows its predictors under the names that it gives them.
impl Visit for dyn Program {
    fn visit<'a>(&'a self, visitor: &mut Visitor<'a>) {
        visitor.program(self);
    }
}

impl<V: Visit + ?Sized> Visit for Box<V> {
    fn visit<'a>(&'a self, visitor: &mut Visitor<'a>) {
        (**self).visit(visitor);
    }
}

impl<V: Visit + ?Sized> Visit for Arc<V> {
    fn visit<'a>(&'a self, visitor: &mut Visitor<'a>) {
        (**self).visit(visitor);
    }
}

impl<V: Visit> Visit for Option<V> {
    fn visit<'a>(&'a self, visitor: &mut Visitor<'a>) {
        if let Some(value) = self {
            value.visit(visitor);
        }
    }
}

impl<V: Visit> Visit for Vec<V> {
    fn visit<'a>(&'a self, visitor: &mut Visitor<'a>) {
        for (index, value) in self.iter().enumerate() {
            visitor.element(index, value);
        }
    }
}

impl<V: Visit> Visit for BTreeMap<String, V> {
    fn visit<'a>(&'a self, visitor: &mut Visitor<'a>) {
        for (key, value) in self {
            visitor.under(&format!("['{key}']"), value);
        }
    }
}

/// A program as optimizers see it: object-safe, on [`Fields`]. Every [`Module`] is one.
pub trait Program: Send + Sync {
    /// The predictors with their names, in a fixed order.
    fn predictors(&self) -> Vec<NamedPredictor<'_>>;

    /// Runs the program once.
    ///
    /// # Errors
    /// [`Error`]: of the model, of an answer's form, of the fields, or of the program's own code.
    ///
    /// # Cost
    /// As many LM calls as the program makes.
    fn forward<'a>(&'a self, cx: &'a Ctx, inputs: Fields) -> BoxFuture<'a, Result<Prediction, Error>>;

    /// The program's source text, for proposers.
    fn source(&self) -> Option<&str> {
        None
    }
}

impl<M: Module> Program for M {
    fn predictors(&self) -> Vec<NamedPredictor<'_>> {
        Visitor::list(self)
    }

    fn forward<'a>(&'a self, cx: &'a Ctx, inputs: Fields) -> BoxFuture<'a, Result<Prediction, Error>> {
        // Not an async block: it would hold the input and the module's future twice, for each row in flight.
        match M::Input::from_owned(inputs) {
            Ok(input) => Module::forward(self, cx, input)
                .map_ok(|output| Prediction { outputs: output.into_fields() })
                .boxed(),
            Err(error) => future::ready(Err(error.into())).boxed(),
        }
    }

    fn source(&self) -> Option<&str> {
        Module::source(self)
    }
}

/// Programs behind pointers are modules: of their own types where these are known, else on [`Fields`].
macro_rules! pointers {
    ($($pointer:ident),*) => {$(
        impl<M: Module> Module for $pointer<M> {
            type Input = M::Input;
            type Output = M::Output;

            async fn forward(&self, cx: &Ctx, input: M::Input) -> Result<M::Output, Error> {
                Module::forward(&**self, cx, input).await
            }

            fn source(&self) -> Option<&str> {
                Module::source(&**self)
            }
        }

        impl Module for $pointer<dyn Program> {
            type Input = Fields;
            type Output = Fields;

            async fn forward(&self, cx: &Ctx, input: Fields) -> Result<Fields, Error> {
                Ok(Program::forward(&**self, cx, input).await?.outputs)
            }

            fn source(&self) -> Option<&str> {
                Program::source(&**self)
            }
        }
    )*};
}
pointers!(Box, Arc);

/// What a program gave for one row.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Prediction {
    /// The output fields.
    pub outputs: Fields,
}

impl Prediction {
    /// The value of an output field.
    pub fn get(&self, name: &str) -> Option<&serde_json::Value> {
        self.outputs.get(name)
    }
}

/// A program of one predictor that needs no Rust types.
impl Module for Predictor {
    type Input = Fields;
    type Output = Fields;

    fn forward(&self, cx: &Ctx, input: Fields) -> impl Future<Output = Result<Fields, Error>> + Send {
        self.call(cx, input)
    }
}
