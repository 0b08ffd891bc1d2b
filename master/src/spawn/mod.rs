//! What a worker gets: its program, its environment and its place in the system.
//!
//! [`environment`] is pure; [`program`], [`folder`] and [`deployed`] look at files; [`plan`]
//! puts them together and starts a process; [`preloader`] is a process that forks workers for
//! us; [`versions`] keeps what each version is started with. When and how many workers are
//! started is decided elsewhere (`pool`).
//! Invariant: what all workers of a version share is built once; starting one more builds only
//! what is its own.

pub mod deployed;
pub mod environment;
pub mod folder;
pub mod plan;
pub mod preloader;
pub mod program;
pub mod versions;

pub use deployed::Deployed;
pub use environment::{Environment, Numbering, SharedEnvironment, Value, Variable, WorkerSocket};
pub use folder::{FolderError, WorkingFolder};
pub use plan::{Checked, Own, PlanError, Rules, WorkerPlan};
pub use program::{ProgramError, resolve, resolve_command};
pub use versions::{Common, Source, Versions};
