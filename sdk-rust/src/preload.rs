//! A program that loads its data once and has workers forked from itself
//! (`docs/preloading.md` of the master; the words are `einhorn_protocol::preload`).
//!
//! Invariant: whatever is received is bounded, and a request that makes no sense is skipped. In
//! the preloading process nothing returns to the program.

#[cfg(target_os = "linux")]
mod channel;
#[cfg(target_os = "linux")]
mod fork;
#[cfg(target_os = "linux")]
mod request;
#[cfg(target_os = "linux")]
mod serve;

use crate::error::Result;

/// From here on this process is a worker.
///
/// Call it once, after everything is loaded that workers are to share, and before any thread
/// is started. Under `einhorn -p PROGRAM … PROGRAM …` the first process never returns from it:
/// it forks a worker whenever the master asks for one, and the call returns in each worker.
/// Anywhere else, in a worker that was started by exec and outside a master too, it returns at
/// once, so that the same program serves for everything.
///
/// ```no_run
/// # fn load() {}
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let model = load();
/// einhorn_worker::become_worker()?;
/// let listener = einhorn_worker::tcp_listener(0)?;
/// einhorn_worker::ack()?;
/// # let _ = (model, listener); Ok(())
/// # }
/// ```
///
/// Files, connections and generators of random numbers that were made before are shared by all
/// workers; what must not be shared belongs after the call.
///
/// # Errors
/// [`Threads`](crate::Error::Threads) when other threads run already,
/// [`Malformed`](crate::Error::Malformed) and [`BadDescriptor`](crate::Error::BadDescriptor)
/// when the variables of a preloader make no sense. The program should say so and exit; the
/// master hears of it, and starts workers by exec or goes on with the version that it has.
pub fn become_worker() -> Result<()> {
    #[cfg(target_os = "linux")]
    serve::become_worker()?;
    Ok(())
}
