//! Words of `sd_notify(3)` that are understood from a worker with `-m notify`: assignments, one a
//! line, in a datagram to the socket in `NOTIFY_SOCKET`. All others are skipped.

/// `1`: the worker is up.
pub const READY: &str = "READY";
/// `1`: the worker is about to end of its own accord.
pub const STOPPING: &str = "STOPPING";
/// A line for people.
pub const STATUS: &str = "STATUS";
/// `1`: the worker is alive.
pub const WATCHDOG: &str = "WATCHDOG";
