//! Preloading: a process in the program's own language loads its code once and forks workers
//! from it on request (`docs/preloading.md`).
//!
//! [`Code`] says which command loads the code, [`Preloader`] is the process that does, and
//! [`Lifecycle`] how long it may take and when another one is started. When a worker is wanted
//! is decided elsewhere (`pool`); who is asked, and what becomes of the answer, in the event
//! loop.
//!
//! Invariant: a preloader is not believed. It is user code in our clothes: what it says is
//! bounded and checked, and it may hang, lie or die without costing more than a worker's start.

mod code;
mod interpreter;
mod lifecycle;
mod message;
mod process;

pub use code::{Code, CodeError};
pub use interpreter::Language;
pub use lifecycle::{Course, Due, Lifecycle};
pub use message::{Reply, RequestId};
pub use process::{Preloader, Said};
