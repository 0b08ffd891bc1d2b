//! The words between a master and a preloader (`docs/preloading.md`).
//!
//! A message is one packet on a `SOCK_SEQPACKET` socket. Its fields are separated by NUL bytes,
//! so that a value may hold any byte that an environment may. The first field says what the
//! message is; each other one is a word, a blank and the rest. Fields that a reader does not
//! know are skipped.

/// The number of this edition of the interface, in [`READY`].
pub const EDITION: u32 = 1;

/// To the preloader: fork a worker.
pub const FORK: &str = "fork";
/// From the preloader: the code is loaded.
pub const READY: &str = "ready";
/// From the preloader: the code cannot be loaded; it ends.
pub const FAILED: &str = "failed";
/// From the preloader: a worker is there, and waits for its release.
pub const FORKED: &str = "forked";
/// From the preloader: no worker could be forked.
pub const REFUSED: &str = "refused";

/// The number of a request, repeated in its answer.
pub const ID: &str = "id";
/// How many descriptors come with the message.
pub const DESCRIPTORS: &str = "descriptors";
/// `NAME=VALUE`: a variable of the worker.
pub const SET: &str = "set";
/// `NAME=0 2`: a variable of the worker whose value is the numbers that these descriptors, by
/// their places in the message from 0, have in the worker.
pub const NUMBERS: &str = "numbers";
/// The number of the signal that the worker gets when the master dies.
pub const PARENT_DEATH: &str = "parent-death";
/// The edition of the interface.
pub const EDITION_KEY: &str = "edition";
/// A worker's pid.
pub const PID: &str = "pid";
/// Why not, in a few lines for people.
pub const REASON: &str = "reason";
/// Something for the log.
pub const NOTE: &str = "note";

/// The exit status of a preloader whose channel was closed or replaced by the code.
pub const EXIT_CHANNEL_LOST: i32 = 76;
