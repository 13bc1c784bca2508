//! What the examples share: opening a model from the command line, and ending.

mod exit;
mod model;

pub use exit::exit;
pub use model::{ModelArgs, OpenError};
