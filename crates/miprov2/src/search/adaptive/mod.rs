//! The adaptive search.
mod config;
mod look;
mod model;
mod planner;
mod pool;
mod rows;
mod space;

pub use self::config::{AdaptiveConfig, Ingredients};
pub use self::planner::{AdaptivePlanner, Belief, Decision, PlannedRun, SearchEnd};
pub use self::rows::common_order;
pub use self::space::{AdaptiveError, Space};
