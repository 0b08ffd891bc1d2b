//! Stable codes under the reply key [`crate::key::ERROR`].

/// The line is no mapping, no valid YAML or JSON, or has a duplicate key.
pub const MALFORMED: &str = "malformed";
/// The line is longer than [`crate::limit::LINE_BYTES_MAX`] bytes; the connection is closed.
pub const LINE_TOO_LONG: &str = "line_too_long";
/// Nested deeper than [`crate::limit::NESTING_MAX`]; the connection is closed.
pub const TOO_DEEP: &str = "too_deep";
/// More values than [`crate::limit::REQUEST_VALUES_MAX`]; the connection is closed.
pub const TOO_LARGE: &str = "too_large";
/// Aliases, which a request may not use; the connection is closed.
pub const ALIASES: &str = "aliases";
/// No such command.
pub const UNKNOWN_COMMAND: &str = "unknown_command";
/// An argument is missing, of the wrong type, unknown or out of range.
pub const BAD_ARGUMENTS: &str = "bad_arguments";
/// No signal has that name.
pub const UNKNOWN_SIGNAL: &str = "unknown_signal";
/// No worker has that pid or index.
pub const UNKNOWN_WORKER: &str = "unknown_worker";
/// The caller's uid may not speak to this master.
pub const NOT_PERMITTED: &str = "not_permitted";
/// Too many connections or too much unsent output.
pub const OVERLOADED: &str = "overloaded";
/// The new master or the new program cannot start; everything is as it was.
pub const RELOAD_FAILED: &str = "reload_failed";
/// A newer upgrade took this one's place.
pub const SUPERSEDED: &str = "superseded";
/// The master is stopping.
pub const SHUTTING_DOWN: &str = "shutting_down";
/// The upgrade was given up by `abort`.
pub const ABORTED: &str = "aborted";
/// The upgrade failed and the old version serves on.
pub const ROLLED_BACK: &str = "rolled_back";
/// `abort` without an upgrade in progress.
pub const NO_UPGRADE: &str = "no_upgrade";
/// The master could not do it; the message says why.
pub const FAILED: &str = "failed";
