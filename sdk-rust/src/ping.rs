//! Telling the master that this worker is alive, and what it is busy with.

use crate::{delivery::Delivery, error::Result, identity, message, variables::Environment};

/// Tells the master that this worker is alive and busy with `request_id`, any text of yours.
///
/// The master records both; they are seen in its state. Sent the same way as
/// [`ack`](crate::ack), with the same waits.
///
/// # Errors
/// As [`ack`](crate::ack), and [`Error::MessageTooLong`](crate::Error::MessageTooLong) when
/// the line would be longer than 1 MiB.
pub fn ping(request_id: &str) -> Result<()> {
    prepare_ping(request_id)?.deliver()
}

/// The first half of [`ping`], which reads the environment but sends nothing.
///
/// # Errors
/// As [`ping`], as far as the environment and the text are concerned.
pub fn prepare_ping(request_id: &str) -> Result<Delivery> {
    identity::check_worker()?;
    Delivery::new(&Environment, message::ping(std::process::id(), request_id)?)
}
