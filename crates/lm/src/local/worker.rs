//! The threads that compute, and the queue before them.
//!
//! Callers wait asynchronously; nothing is computed on their threads. Each worker is a thread pool of its own
//! (`threads` wide) whose first thread takes requests from the one queue, first come, first served. A request whose
//! caller has gone away is dropped before it begins, and ended at its next step after that.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use futures::channel::oneshot;
use rayon::{ThreadPool, ThreadPoolBuilder};
use teleprompt_core::lm::{LmErrorKind, LmRequest, LmResponse};

use super::error::LocalError;
use super::generate::{Engine, Failure, Session};

/// The workers. Dropping it lets them end after the requests that they have begun.
pub(crate) struct Workers {
    queue: Arc<Queue>,
    /// Kept for their threads' sake.
    _pools: Vec<ThreadPool>,
}

#[derive(Default)]
struct Queue {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    jobs: VecDeque<Job>,
    closed: bool,
}

struct Job {
    request: LmRequest,
    reply: oneshot::Sender<Result<LmResponse, Failure>>,
}

impl Workers {
    /// Starts `workers` workers of `threads` threads each.
    pub(crate) fn start(engine: &Arc<Engine>, workers: usize, threads: usize) -> Result<Self, LocalError> {
        let queue = Arc::new(Queue::default());
        let mut pools = Vec::with_capacity(workers);
        for i in 0..workers {
            let pool = ThreadPoolBuilder::new()
                .num_threads(threads)
                .thread_name(move |thread| format!("teleprompt-lm-{i}-{thread}"))
                .build()
                .map_err(|e| LocalError::Thread { source: std::io::Error::other(e) })?;
            let (queue, engine) = (Arc::clone(&queue), Arc::clone(engine));
            pool.spawn(move || queue.serve(Session::new(engine)));
            pools.push(pool);
        }
        Ok(Self { queue, _pools: pools })
    }

    /// Puts a request behind those that wait, and waits for its answer.
    pub(crate) async fn ask(&self, request: LmRequest) -> Result<LmResponse, Failure> {
        let (reply, answer) = oneshot::channel();
        self.queue.lock().jobs.push_back(Job { request, reply });
        self.queue.changed.notify_one();
        answer.await.unwrap_or_else(|_| Err((LmErrorKind::Internal, "the worker ended".into())))
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.queue.lock().closed = true;
        self.queue.changed.notify_all();
    }
}

impl Queue {
    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next request that someone still waits for; `None` when there will be no more.
    fn next(&self) -> Option<Job> {
        let mut state = self.lock();
        loop {
            if state.closed {
                return None;
            }
            match state.jobs.pop_front() {
                Some(job) if job.reply.is_canceled() => {}
                Some(job) => return Some(job),
                None => state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }

    fn serve(&self, mut session: Session) {
        while let Some(job) = self.next() {
            let answer = catch_unwind(AssertUnwindSafe(|| {
                session.generate(&job.request, &|| job.reply.is_canceled())
            }));
            let answer = answer.unwrap_or_else(|_| {
                session.reset();
                Err((LmErrorKind::Internal, "a defect in the embedded model stopped this request".into()))
            });
            // The caller may have gone away meanwhile.
            let _ = job.reply.send(answer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_withdrawn_request_is_never_begun() {
        let queue = Queue::default();
        let (jobs, waiting): (Vec<_>, Vec<_>) = (0..3)
            .map(|rollout| {
                let (reply, answer) = oneshot::channel();
                (Job { request: LmRequest::default().with_rollout(rollout), reply }, answer)
            })
            .unzip();
        queue.lock().jobs.extend(jobs);
        let mut waiting = waiting.into_iter();
        drop(waiting.next());
        assert_eq!(queue.next().map(|job| job.request.rollout), Some(1), "first come, first served");
        queue.lock().closed = true;
        assert!(queue.next().is_none());
    }
}
