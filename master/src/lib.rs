//! The einhorn master, in layer order: a module uses only those above it.

pub mod moment;
pub mod pool;
pub mod psych;
pub mod settings;
pub mod signal;
