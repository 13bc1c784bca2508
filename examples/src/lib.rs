//! What the examples share: opening a model from the command line, and a live display of a run.

mod model;
mod progress;

pub use model::{ModelArgs, OpenError};
pub use progress::Progress;
