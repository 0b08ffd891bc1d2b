//! The master's log.

mod escape;

pub use escape::{escaped, shown};
