//! Makes a program a good worker of an einhorn master.
//!
//! A master opens the listening sockets, starts several copies of a program and replaces them
//! one after the other when the code changes. What a worker does for that is little:
//!
//! ```no_run
//! # use std::{io::Write, sync::{Arc, atomic::{AtomicBool, Ordering}}};
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // 1. Serve on the socket that the master opened.
//! let listener = einhorn_worker::tcp_listener(0)?;
//! // 2. When the master asks, finish what is begun and exit.
//! let stopping = Arc::new(AtomicBool::new(false));
//! let stop = Arc::clone(&stopping);
//! einhorn_worker::on_graceful_shutdown(move || stop.store(true, Ordering::SeqCst))?;
//! // 3. Say that this worker is up.
//! if einhorn_worker::is_worker() {
//!     einhorn_worker::ack()?;
//! }
//! # let _ = listener; Ok(())
//! # }
//! ```
//!
//! | module | answers for |
//! | --- | --- |
//! | [`error`] | what can go wrong, and how it is said |
//! | `identity` | whether this process is a worker, and which |
//! | `sockets` | the listening sockets that it inherited |
//! | `acknowledge`, `ping` | what it tells the master |
//! | `shutdown` | how the master asks it to stop |
//! | `preload` | forking workers from a program that has loaded what they share |
//!
//! Nothing here starts a runtime, changes the environment, closes an inherited descriptor or
//! exits the process, but for [`become_worker`], whose business that is. One thread is started, by [`on_graceful_shutdown`] and not before.
//!
//! # The environment
//!
//! The functions read `EINHORN_*` variables at each call. As for anything that reads the
//! environment, no other thread may change it meanwhile by unsynchronised C calls.

#![cfg(unix)]

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}

mod acknowledge;
mod deadline;
mod delivery;
pub mod error;
mod identity;
mod message;
mod ping;
mod preload;
mod shutdown;
mod signal;
mod sockets;
mod variables;

pub use acknowledge::{ack, prepare_ack};
pub use delivery::Delivery;
pub use error::{Error, ErrorKind, Result};
pub use identity::{child_index, is_worker};
pub use ping::{ping, prepare_ping};
pub use preload::become_worker;
pub use shutdown::{graceful_shutdown_fd, on_graceful_shutdown};
pub use sockets::{owned_fd, socket_count, socket_fd, tcp_listener, unix_listener};
