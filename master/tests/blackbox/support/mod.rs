//! A master in a folder of its own, its clients and its workers.
//!
//! Nothing here sleeps: a wait is for an event or a line of the log and has a generous end.

pub(crate) mod client;
pub(crate) mod folder;
pub(crate) mod launch;
pub(crate) mod load;
pub(crate) mod log;
pub(crate) mod master;
pub(crate) mod plain_program;
pub(crate) mod process;
pub(crate) mod site;

use std::time::Duration;

pub(crate) use self::client::Client;
pub(crate) use self::folder::Folder;
pub(crate) use self::launch::{EINHORN, Launch};
pub(crate) use self::master::{Master, pids, worker_of, workers};
pub(crate) use self::process::Process;

/// Longer than any machine needs.
pub(crate) const LONG: Duration = Duration::from_secs(60);

/// No options.
pub(crate) const NONE: [&str; 0] = [];

/// A worker that does nothing, and ends at any signal that ends a program.
pub(crate) const IDLE: [&str; 2] = ["sleep", "1000000"];
