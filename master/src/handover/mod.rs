//! The reload: handing everything over to the next image of this process (`protocol.md §8`).
//!
//! `check` asks whether the next image can start, `capture` says what crosses, `reexec` becomes
//! the next image, and `adopt` is the other end: it takes over what crossed.

mod adopt;
mod answer;
mod capture;
mod check;
mod inherited;
mod launcher;
mod listeners;
mod merge;
mod patience;
mod preloaders;
mod ready_pipes;
mod reexec;
mod versions;
mod workers;

pub use adopt::{AdoptError, Adopted, AdoptedClient, adopt};
pub use answer::{AnswerError, Kind, answer_upgrade_check};
pub use capture::{ClientRecord, capture};
pub use check::{Check, Verdict};
pub use inherited::Inherited;
pub use patience::Patience;
pub use preloaders::AdoptedPreloader;
pub use ready_pipes::AdoptedPipe;
pub use reexec::{reexec, rehearse};
#[cfg(any(test, fuzzing))]
pub(crate) use {
    capture::capture_pool, listeners::typed as typed_address, merge::merge, workers::restore_living,
};
