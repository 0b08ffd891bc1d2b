//! Telling the master that this worker is up.

use crate::{delivery::Delivery, error::Result, identity, message, variables::Environment};

/// Tells the master that this worker is up, and waits until it has taken that.
///
/// Needed where the master runs with `--ack-mode manual`; harmless elsewhere, and as often as
/// you like. Register for the [request to stop](crate::on_graceful_shutdown) before: an
/// acknowledged worker may be asked at once.
///
/// Through the descriptor that `-g` gives, if it leads to this master, it returns once the
/// message is written. Otherwise it goes through the command socket and returns when the
/// master closes the connection, which tells that it has taken the message, even across a
/// reload of the master. That takes well under a millisecond, and 30 seconds at most.
///
/// # Errors
/// [`Error::NoMaster`](crate::Error::NoMaster) and
/// [`Error::WrongParent`](crate::Error::WrongParent) in a process that is not a worker;
/// `Missing`, `Malformed` and `PathTooLong` name the variable that is wrong; `Unreachable`,
/// `NotConfirmed`, `NotTaken` and `Refused` tell how far it came. Never raises SIGPIPE.
pub fn ack() -> Result<()> {
    prepare_ack()?.deliver()
}

/// The first half of [`ack`], which reads the environment but sends nothing, for callers that
/// want to wait elsewhere or not as long.
///
/// # Errors
/// As [`ack`], as far as the environment is concerned.
pub fn prepare_ack() -> Result<Delivery> {
    identity::check_worker()?;
    Delivery::new(&Environment, message::ack(std::process::id()))
}
