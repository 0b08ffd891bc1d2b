//! The words of the Einhorn protocol: names, keys, limits, framing and strings.
//!
//! Nothing here does I/O or depends on anything but the standard library. The master, the
//! worker libraries and the shell take every name from here, so that each is written once.
//! Section numbers (`protocol.md §3`) refer to the protocol's description.

#![forbid(unsafe_code)]

pub mod command;
pub mod default;
pub mod environment;
pub mod error_code;
pub mod framing;
pub mod json_string;
pub mod key;
pub mod limit;
pub mod notify;
pub mod preload;

/// The number of this edition of the protocol, told in the reply to `ehlo`.
pub const PROTOCOL_EDITION: u32 = 1;
