//! Loads its data once and has workers forked from itself.
//!
//! ```text
//! cargo build --example preload
//! einhorn -p target/debug/examples/preload -b 127.0.0.1:7000 -n 4 -m manual \
//!     target/debug/examples/preload
//! ```
//!
//! The same program is a worker of its own without `-p`, where each loads the data itself.

use std::{
    error::Error,
    io::Write as _,
    os::fd::{AsFd as _, AsRawFd as _},
};

use rustix::event::{PollFd, PollFlags, poll};

fn main() -> Result<(), Box<dyn Error>> {
    // What takes long, and what all workers are to share.
    let squares: Vec<u64> = (0..1_000_000).map(|n| n * n).collect();
    einhorn_worker::become_worker()?;

    let listener = einhorn_worker::tcp_listener(0)?;
    listener.set_nonblocking(true)?;
    let stop = einhorn_worker::graceful_shutdown_fd()?;
    if einhorn_worker::is_worker() {
        einhorn_worker::ack()?;
    }
    let index = einhorn_worker::child_index().unwrap_or(0);
    loop {
        let mut events = [
            PollFd::from_borrowed_fd(stop.as_fd(), PollFlags::IN),
            PollFd::from_borrowed_fd(listener.as_fd(), PollFlags::IN),
        ];
        match poll(&mut events, None) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        if !events[0].revents().is_empty() {
            return Ok(());
        }
        // Another worker may have been quicker.
        let Ok((mut client, _)) = listener.accept() else { continue };
        let (largest, number) = (squares.last().unwrap_or(&0), listener.as_raw_fd());
        // A client that goes away is its own loss.
        let _ = writeln!(client, "worker {index} on descriptor {number}: {largest}");
    }
}
