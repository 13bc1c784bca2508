//! Observers for every run: what happens as lines of JSON, and progress on a terminal or in a log.

mod event_log;
mod progress;

pub use event_log::EventLog;
pub use progress::Progress;
pub(crate) use progress::word;
