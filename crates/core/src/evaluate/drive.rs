//! The one loop of every evaluation: a bounded number of rows in flight, results in row order.
//!
//! A row that is begun is paid for, so it is always waited for; whatever ends an evaluation only keeps further rows from
//! beginning. All rows run on the caller's task: this crate has no executor.

use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::task::Poll;

use futures::future::poll_immediate;
use futures::stream::{FuturesUnordered, StreamExt};

use super::row::{RowError, RowResult, run_row_with};
use super::{Evaluate, EvaluateError, StreamError};
use crate::context::Ctx;
use crate::example::Example;
use crate::module::Program;

/// Rows that begin before the executor gets a turn: with 256 in flight and answers after 20 ms, 4 to 32 do as well as each other,
/// and better than 1 or all.
const BUNCH: u64 = 8;

/// A row that has ended, at its place among those begun.
struct Ended<X> {
    place: u64,
    example: X,
    result: RowResult,
}

/// Runs rows `(index, example)` and hands each result to `keep`, in the order in which the rows come. At most `window` rows are
/// begun beyond the first one that has not ended.
pub(super) async fn drive<X, E>(
    evaluate: &Evaluate<'_>,
    program: &dyn Program,
    cx: &Ctx,
    rows: impl Iterator<Item = Result<(usize, X), E>>,
    window: usize,
    keep: &mut (dyn FnMut(&Example, RowResult) -> io::Result<()> + Send),
) -> Result<(), StreamError>
where
    X: Borrow<Example>,
    E: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let mut rows = rows.fuse();
    let judge = &cx.judge();
    let mut running = FuturesUnordered::new();
    let mut waiting: BTreeMap<u64, (X, RowResult)> = BTreeMap::new();
    let (mut begun, mut kept) = (0u64, 0u64);
    let mut failed: Vec<(usize, RowError)> = Vec::new();
    let mut ended: Option<StreamError> = None;
    loop {
        let may_begin = ended.is_none()
            && failed.len() <= evaluate.max_errors
            && running.len() < evaluate.concurrency
            && begun - kept < window as u64;
        let next = if may_begin { rows.next() } else { None };
        let finished = match next {
            None => match running.next().await {
                Some(finished) => finished,
                None => break,
            },
            Some(Err(error)) => {
                ended = Some(StreamError::Source { row: begun, source: Arc::from(error.into()) });
                continue;
            }
            Some(Ok((row, example))) => {
                let place = begun;
                begun += 1;
                running.push(async move {
                    let row_of = example.borrow();
                    let outcome = run_row_with(program, cx, row_of, evaluate.metric, judge, false).await;
                    Ended { place, example, result: RowResult { row, outcome } }
                });
                // So many rows send their requests before further ones begin. Requests that were sent all at once would be
                // answered all at once, and each would then wait for all others to be read: in every round, for bunches stay
                // bunches. One by one, they would cost a turn of the executor each.
                let finished = poll_immediate(running.next()).await;
                if begun.is_multiple_of(BUNCH) {
                    yield_now().await;
                }
                match finished.flatten() {
                    Some(finished) => finished,
                    None => continue,
                }
            }
        };
        let Ended { place, example, result } = finished;
        if let Some(on_row) = evaluate.on_row {
            on_row(&result);
        }
        if let Err(error) = &result.outcome {
            if let Some(fatal) = error.fatal.clone() {
                ended.get_or_insert(EvaluateError::Fatal(fatal).into());
            } else if !error.kind.counts_as_zero() {
                failed.push((result.row, error.clone()));
            }
        }
        let mut next = Some((example, result));
        if place != kept {
            waiting.extend(next.take().map(|early| (place, early)));
        }
        while let Some((example, result)) = next {
            let written = keep(example.borrow(), result);
            if let Err(source) = written {
                ended.get_or_insert(StreamError::Sink { row: kept, source: Arc::new(source) });
            }
            kept += 1;
            next = waiting.remove(&kept);
        }
    }
    if let Some(ended) = ended {
        return Err(ended);
    }
    if failed.len() > evaluate.max_errors {
        // In row order and cut to the limit: which ones these are does not depend on the concurrency.
        failed.sort_by_key(|(row, _)| *row);
        let limit = evaluate.max_errors;
        let errors = failed.into_iter().take(limit + 1).map(|(_, error)| error).collect();
        return Err(EvaluateError::TooManyErrors { limit, errors }.into());
    }
    Ok(())
}

/// Lets the executor run other tasks: those that carry a request to its server.
async fn yield_now() {
    let mut yielded = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut yielded, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}
