//! Drives built programs through their public faces only: the command line, the command
//! socket, HTTP. Nothing here knows the master's insides, so that whatever is shown or
//! measured is what a user gets.
//!
//! Invariant: every wait is bounded, and what was started is stopped on every way out.
#![expect(clippy::disallowed_methods, reason = "it starts programs and measures time")]

pub mod acknowledgements;
pub mod bars;
pub mod command_socket;
pub mod http;
pub mod interrupt;
pub mod load;
pub mod machine;
pub mod master;
pub mod process;
pub mod processors;
pub mod programs;
pub mod servers;
pub mod soaked;
pub mod statistics;
pub mod table;
pub mod wait;
