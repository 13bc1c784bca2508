//! The statistics of a comparison: those of `core`, under the name that this crate has always given them.

pub use teleprompt_core::stats::PairedDifference;
