//! [`TraceEvents`]: the events of a run as events of `tracing`.

use teleprompt_core::{Event, Observer};
use tracing::{debug, info, warn};

/// An observer that turns what happens in a run into events of `tracing`, in the span in which it happens: failures, retries,
/// pauses, caps and warnings at level `WARN`, stages and trials at `INFO`, steps and batches at `DEBUG`. The whole event is in the
/// field `teleprompt.event`, as JSON; instructions that were proposed are in it, prompts and rows are not.
///
/// ```
/// use std::sync::Arc;
/// use teleprompt_miprov2::{MiproV2, TraceEvents};
/// # let lm = Arc::new(teleprompt_testkit::ScriptedLm::new(|_| "4"));
/// let optimizer = MiproV2::builder().task_lm(lm).observer(Arc::new(TraceEvents)).build().unwrap();
/// # let _ = optimizer;
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct TraceEvents;

impl Observer for TraceEvents {
    fn on_event(&self, event: &Event) {
        let data = || serde_json::to_string(event).unwrap_or_default();
        match event {
            Event::RowFailed { row, message, .. } => {
                warn!("teleprompt.event" = data(), "row {row} failed: {message}");
            }
            Event::Retried { seconds, message, .. } => {
                warn!("teleprompt.event" = data(), "a call is made again in {seconds} s: {message}");
            }
            Event::Paused { seconds, message } => {
                warn!("teleprompt.event" = data(), "all calls wait {seconds} s: {message}");
            }
            Event::CapReached { reason } => warn!("teleprompt.event" = data(), "{reason}"),
            Event::Warning { message } => warn!("teleprompt.event" = data(), "{message}"),
            Event::Step { .. } | Event::Batch { .. } | Event::BatchEnded { .. } => {
                debug!("teleprompt.event" = data());
            }
            _ => info!("teleprompt.event" = data()),
        }
    }
}
