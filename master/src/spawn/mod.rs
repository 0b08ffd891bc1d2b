//! What a worker gets: its program, its environment and its place in the system.
//!
//! [`environment`] is pure; [`program`] looks at files; [`plan`] puts both together and starts
//! a process. When and how many workers are started is decided elsewhere (`pool`).
//! Invariant: what all workers of a version share is built once; starting one more builds only
//! what is its own.

pub mod environment;
pub mod plan;
pub mod program;

pub use environment::{SharedEnvironment, WorkerSocket};
pub use plan::{PlanError, Rules, WorkerPlan};
pub use program::{ProgramError, resolve, resolve_command};
