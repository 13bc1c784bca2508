//! Evaluations of a program on a model that answers at once, fails, or waits.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures::executor::block_on;
use futures::future::{BoxFuture, FutureExt};
use proptest::prelude::*;

use super::*;
use crate::lm::{LmErrorKind, LmRequest, LmResponse, ModelId};
use crate::stats::PairedTest;
use crate::{Fields, Lm, Prediction, Predictor, SignatureSpec, metric};

/// Answers `n` with `n` modulo 10, after as many turns of the executor as the question asks for.
struct Digits {
    model: ModelId,
    in_flight: AtomicUsize,
    most: AtomicUsize,
}

impl Lm for Digits {
    fn model(&self) -> &ModelId {
        &self.model
    }

    fn generate<'a>(&'a self, request: &'a LmRequest) -> BoxFuture<'a, Result<LmResponse, LmError>> {
        let text = request.last_user_text();
        let n: usize = text.split_whitespace().find_map(|word| word.parse().ok()).unwrap_or_default();
        async move {
            let now = self.in_flight.fetch_add(1, Ordering::Relaxed) + 1;
            self.most.fetch_max(now, Ordering::Relaxed);
            for _ in 0..(n * 7) % 5 {
                yield_once().await;
            }
            self.in_flight.fetch_sub(1, Ordering::Relaxed);
            match n {
                13 | 14 => Err(LmError::new(
                    self.model.clone(),
                    LmErrorKind::Server { status: 500, retry_after: None },
                    "busy",
                )),
                17 => Ok(LmResponse::new("no number")),
                19 => Err(LmError::new(self.model.clone(), LmErrorKind::Auth, "no key")),
                _ => Ok(LmResponse::new(format!("[[ ## digit ## ]]\n{}", n % 10))),
            }
        }
        .boxed()
    }
}

async fn yield_once() {
    let mut yielded = false;
    std::future::poll_fn(|cx| {
        if std::mem::replace(&mut yielded, true) {
            return std::task::Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        std::task::Poll::Pending
    })
    .await;
}

fn lm() -> Arc<Digits> {
    Arc::new(Digits { model: ModelId::new("digits"), in_flight: 0.into(), most: 0.into() })
}

fn program() -> Predictor {
    Predictor::new(SignatureSpec::parse("number -> digit: int").unwrap())
}

fn row(n: usize) -> Example {
    let fields = Fields::new().with("number", format!("the number {n} , please")).with("digit", n % 9);
    Example::new(fields).with_inputs(&["number"]).unwrap()
}

fn rows(n: usize) -> Vec<Example> {
    (0..n).map(row).collect()
}

fn stream(n: usize, concurrency: usize, sink: &mut (dyn RowSink + Send)) -> Result<Summary, StreamError> {
    let metric = metric::exact_match("digit");
    let evaluate = Evaluate::streaming(&metric).concurrency(concurrency);
    let rows = (0..n).map(|n| Ok::<_, Infallible>(row(n)));
    block_on(evaluate.stream(&program(), &Ctx::new(lm()), rows, sink))
}

#[test]
fn an_evaluation_is_read_as_a_table() {
    let metric = metric::exact_match("digit");
    let rows = rows(19);
    let evaluation = block_on(Evaluate::new(&rows, &metric).run(&program(), &Ctx::new(lm()))).unwrap();
    insta::assert_snapshot!(evaluation.to_string());
    let mut table = Vec::new();
    evaluation.write(&rows, &mut CsvRows::new(&mut table, &["digit"])).unwrap();
    insta::assert_snapshot!(String::from_utf8(table).unwrap().replace("\r\n", "\n"));
    assert!(evaluation.write(&rows[..3], &mut JsonLines::new(io::sink())).is_err());
}

#[test]
fn results_stream_as_lines() {
    let mut lines = Vec::new();
    let summary = stream(19, 4, &mut JsonLines::new(&mut lines)).unwrap();
    insta::assert_snapshot!(String::from_utf8(lines).unwrap());
    assert_eq!((summary.rows(), summary.score()), (19, Some(9.0 / 17.0)));
    assert_eq!(summary.failed()[&RowErrorKind::Model], 2);
}

#[test]
fn a_fatal_error_ends_a_stream_with_every_row_begun_written() {
    let mut seen = Vec::new();
    let mut sink = |_: &Example, result: &RowResult| {
        seen.push(result.row);
        Ok(())
    };
    let error = stream(100, 4, &mut sink).unwrap_err();
    assert!(matches!(error, StreamError::Evaluate(EvaluateError::Fatal(_))), "{error}");
    assert!((20..=40).contains(&seen.len()) && seen.iter().copied().eq(0..seen.len()), "{seen:?}");
}

#[test]
fn a_source_and_a_sink_that_fail_are_named_with_their_row() {
    let metric = metric::exact_match("digit");
    let rows = (0..9).map(|n| if n == 5 { Err("the file ends in mid-row") } else { Ok(row(n)) });
    let evaluate = Evaluate::streaming(&metric).concurrency(3);
    let mut written = 0;
    let mut count = |_: &Example, _: &RowResult| {
        written += 1;
        Ok(())
    };
    let error = block_on(evaluate.stream(&program(), &Ctx::new(lm()), rows, &mut count)).unwrap_err();
    assert_eq!(error.to_string(), "row 5 could not be read: the file ends in mid-row");
    assert_eq!(written, 5);

    let mut full = |_: &Example, result: &RowResult| {
        if result.row < 2 { Ok(()) } else { Err(io::Error::other("the disk is full")) }
    };
    let error = stream(12, 3, &mut full).unwrap_err();
    assert_eq!(error.to_string(), "the result of row 2 could not be written: the disk is full");
}

#[test]
fn evaluations_can_be_spawned() {
    fn is_send<T: Send>(value: T) -> T {
        value
    }
    let (metric, program, cx) = (metric::exact_match("digit"), program(), Ctx::new(lm()));
    let mut sink = JsonLines::new(io::sink());
    let rows = rows(3).into_iter().map(Ok::<_, Infallible>);
    let evaluate = Evaluate::streaming(&metric);
    assert_eq!(block_on(is_send(evaluate.stream(&program, &cx, rows, &mut sink))).unwrap().rows(), 3);
    assert!(block_on(is_send(evaluate.run(&program, &cx))).unwrap().rows.is_empty());
}

#[test]
fn too_many_errors_end_an_evaluation() {
    let metric = metric::exact_match("digit");
    let rows = rows(19);
    let evaluate = Evaluate::new(&rows, &metric).max_errors(1);
    let error = block_on(evaluate.run(&program(), &Ctx::new(lm()))).unwrap_err();
    assert!(error.to_string().starts_with("more than 1 rows failed"), "{error}");
}

#[test]
fn a_field_without_a_column_is_not_lost_unseen() {
    let mut sink = CsvRows::new(Vec::new(), &["other"]);
    let error = stream(1, 1, &mut sink).unwrap_err();
    assert!(error.to_string().ends_with("no column `output.digit`"), "{error}");
}

#[test]
fn evaluations_are_compared_in_pairs() {
    let metric = metric::exact_match("digit");
    let rows = rows(12);
    let before = block_on(Evaluate::new(&rows, &metric).run(&program(), &Ctx::new(lm()))).unwrap();
    let always = |_: &Example, _: &Prediction| true;
    let after = block_on(Evaluate::new(&rows, &always).run(&program(), &Ctx::new(lm()))).unwrap();
    let comparison = before.compare(&after, 0).unwrap();
    assert_eq!((comparison.better, comparison.worse), (3, 0));
    assert_eq!(comparison.test, PairedTest::McNemar);
    assert!((comparison.p_value - 0.25).abs() < 1e-12);
    assert_eq!(before.compare(&Evaluation::default(), 0), None);
}

proptest! {
    #[test]
    fn no_result_depends_on_the_concurrency(n in 1usize..19, concurrency in 1usize..9) {
        let run = |concurrency| {
            let mut lines = Vec::new();
            let summary = stream(n, concurrency, &mut JsonLines::new(&mut lines)).unwrap();
            (summary, lines)
        };
        prop_assert_eq!(run(concurrency), run(1));

        let (metric, rows, lm) = (metric::exact_match("digit"), rows(n), lm());
        let evaluate = Evaluate::new(&rows, &metric).concurrency(concurrency);
        let evaluation = block_on(evaluate.run(&program(), &Ctx::new(lm.clone()))).unwrap();
        prop_assert_eq!(evaluation.summary(), run(1).0);
        prop_assert!(lm.most.load(Ordering::Relaxed) <= concurrency);
    }
}
