//! Observers for every run: what happens as lines of JSON, and progress on a terminal or in a log.

mod json_lines;
mod progress;

pub use json_lines::JsonLines;
pub use progress::Progress;
