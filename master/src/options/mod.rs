//! The command line: what was typed, and what it means.
//!
//! Answers for the syntax, the ranges and the contradictions of options (`protocol.md §1`).
//! Opens nothing, prints nothing, ends nothing and looks nothing up: whether a file, a host or
//! a program exists is found out at start. Invariant: a [`Launch`] is within all ranges, and
//! one that takes over from nobody does not contradict itself.

pub mod address;
mod bind;
mod definition;
mod error;
mod files;
mod launch;
mod typed;

use std::ffi::OsString;
use std::num::NonZeroU32;

pub use address::{AddressError, BindAddress, Endpoint};
pub use bind::{Bind, BindError};
pub use definition::{OptionName, command};
pub use error::OptionError;
pub use files::{Files, default_files};
pub use launch::{FdBase, Launch, Nice};
use typed::Typed;

/// What a command line asks for.
#[derive(Clone, Debug, PartialEq)]
pub enum Invocation {
    /// To be a master.
    Run(Box<Launch>),
    /// `--help`: this text on stdout, exit 0.
    Help(String),
    /// No program to run: this text on stdout, exit 1. Its first characters are `## Usage`.
    Usage(String),
    /// `--version`: this line on stdout, exit 0.
    Version(String),
    /// `--upgrade-check`: say who this is (`protocol.md §8`), exit 0.
    UpgradeCheck {
        /// The words after the options, if any.
        program: Vec<OsString>,
    },
}

/// Reads a command line, given without the name of the program itself, on a machine with
/// `processors` CPUs.
///
/// # Errors
/// Names the option, the value, what is wrong and what would be right. The caller exits 1.
pub fn parse(
    arguments: impl IntoIterator<Item = OsString>,
    processors: NonZeroU32,
) -> Result<Invocation, OptionError> {
    let typed = Typed::read(arguments.into_iter().collect())?;
    if typed.has("help") {
        return Ok(Invocation::Help(definition::help()));
    }
    if typed.has("version") {
        return Ok(Invocation::Version(format!("einhorn {}\n", env!("CARGO_PKG_VERSION"))));
    }
    let launch = Launch::from_typed(&typed, processors)?;
    if typed.has("upgrade-check") {
        return Ok(Invocation::UpgradeCheck { program: launch.orig_cmd });
    }
    // A master that takes over has its program, and what was not written out, in the state.
    if launch.with_state_fd.is_some() {
        return Ok(Invocation::Run(Box::new(launch)));
    }
    launch.settings.check_together()?;
    if launch.settings.listen_fds && launch.preload.is_some() {
        return Err(OptionError::ListenFdsAndPreload);
    }
    if launch.orig_cmd.is_empty() {
        return Ok(Invocation::Usage(definition::help()));
    }
    Ok(Invocation::Run(Box::new(launch)))
}

#[cfg(test)]
mod tests;
