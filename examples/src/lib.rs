//! What the examples share: opening a model from the command line.

mod model;

pub use model::{ModelArgs, OpenError};
