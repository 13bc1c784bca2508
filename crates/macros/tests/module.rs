//! `#[derive(Module)]`: which predictors a struct lists, and under which names.
#![deny(warnings, missing_docs, unreachable_pub)]

use std::marker::PhantomData;
use std::sync::Arc;

use teleprompt_core::{ChainOfThought, Predict, Predictor, Signature, Visit, Visitor};
use teleprompt_macros::{Module, Signature};

/// Improve the text.
#[derive(Signature)]
#[signature(crate = teleprompt_core)]
struct Improve {
    #[input]
    text: String,
    #[output]
    better: String,
}

#[derive(Module)]
#[module(crate = teleprompt_core)]
struct Inner {
    first: Predict<Improve>,
    r#loop: ChainOfThought<Improve>,
}

fn inner() -> Inner {
    Inner { first: Predict::new(), r#loop: ChainOfThought::new() }
}

fn predictor() -> Predictor {
    Predictor::new(Improve::spec().clone())
}

/// The names of the predictors, with `!` after the frozen ones.
fn names(root: &impl Visit) -> Vec<String> {
    let listed = Visitor::list(root);
    listed.iter().map(|named| format!("{}{}", named.name, if named.frozen { "!" } else { "" })).collect()
}

#[test]
fn fields_are_listed_by_path_in_declared_order() {
    #[derive(Module)]
    #[module(crate = teleprompt_core)]
    struct Outer {
        list: Vec<Inner>,
        one: Inner,
        maybe: Option<Box<Inner>>,
        never: Option<Predictor>,
        shared: Arc<Predictor>,
    }
    let outer = Outer {
        list: vec![inner(), inner()],
        one: inner(),
        maybe: Some(Box::new(inner())),
        never: None,
        shared: Arc::new(predictor()),
    };
    let expect = [
        "list[0].first",
        "list[0].loop",
        "list[1].first",
        "list[1].loop",
        "one.first",
        "one.loop",
        "maybe.first",
        "maybe.loop",
        "shared",
    ];
    assert_eq!(names(&outer), expect);
}

#[test]
fn frozen_fields_are_marked_with_all_below_and_skipped_ones_are_left_out() {
    #[derive(Module)]
    #[module(crate = teleprompt_core)]
    struct Outer {
        #[module(frozen)]
        fixed: Option<Inner>,
        open: Predictor,
        #[module(skip)]
        limit: usize,
        #[module(skip)]
        hidden: Predictor,
    }
    let outer = Outer { fixed: Some(inner()), open: predictor(), limit: 3, hidden: predictor() };
    assert_eq!(names(&outer), ["fixed.first!", "fixed.loop!", "open"]);
    assert_eq!((outer.limit, outer.hidden.spec().outputs().len()), (3, 1));
}

#[test]
fn a_predictor_reached_twice_is_listed_once_under_its_first_path() {
    #[derive(Module)]
    #[module(crate = teleprompt_core)]
    struct Twice {
        a: Arc<Predict<Improve>>,
        b: Vec<Arc<Predict<Improve>>>,
    }
    let shared = Arc::new(Predict::new());
    let twice = Twice { a: shared.clone(), b: vec![shared, Arc::new(Predict::new())] };
    assert_eq!(names(&twice), ["a", "b[1]"]);
}

#[test]
fn generic_modules_are_listed() {
    #[derive(Module)]
    #[module(crate = teleprompt_core)]
    struct Best<'t, M, S: Signature, T = u8, const N: usize = 2>
    where
        T: Clone,
    {
        tries: Vec<M>,
        judge: ChainOfThought<S>,
        #[module(skip)]
        title: &'t str,
        #[module(skip)]
        kind: PhantomData<[T; N]>,
    }
    let best = Best::<Inner, Improve> {
        tries: vec![inner()],
        judge: ChainOfThought::new(),
        title: "t",
        kind: PhantomData,
    };
    assert_eq!(names(&best), ["tries[0].first", "tries[0].loop", "judge"]);
    assert_eq!((best.title, best.kind), ("t", PhantomData));
}

#[test]
fn a_module_may_hold_itself() {
    #[derive(Module)]
    #[module(crate = teleprompt_core)]
    struct Tree<M: Visit> {
        here: M,
        below: Vec<Tree<M>>,
    }
    let leaf = || Tree { here: predictor(), below: Vec::new() };
    let tree = Tree { here: predictor(), below: vec![leaf(), leaf()] };
    assert_eq!(names(&tree), ["here", "below[0].here", "below[1].here"]);
}

#[test]
fn tuple_structs_are_listed_by_number_and_unit_structs_hold_nothing() {
    #[derive(Module)]
    #[module(crate = teleprompt_core)]
    struct Pair(Predictor, #[module(skip)] u8, #[module(frozen)] Inner);

    #[derive(Module)]
    #[module(crate = teleprompt_core)]
    struct Nothing;

    let pair = Pair(predictor(), 1, inner());
    assert_eq!(names(&pair), ["0", "2.first!", "2.loop!"]);
    assert_eq!(pair.1, 1);
    assert!(names(&Nothing).is_empty());
}
