//! The smallest worker in Rust, as README.md shows it.

use rustix::event::{PollFd, PollFlags, poll};
use std::{error::Error, io::Write};

fn main() -> Result<(), Box<dyn Error>> {
    let listener = einhorn_worker::tcp_listener(0)?; // the master's first -b
    listener.set_nonblocking(true)?; // another worker may be quicker
    let stop = einhorn_worker::graceful_shutdown_fd()?; // readable when asked to stop
    if einhorn_worker::is_worker() {
        einhorn_worker::ack()?;
    }
    loop {
        let mut ready = [PollFd::new(&stop, PollFlags::IN), PollFd::new(&listener, PollFlags::IN)];
        if poll(&mut ready, None).is_err() {
            continue; // a signal came
        }
        if !ready[0].revents().is_empty() {
            return Ok(());
        }
        if let Ok((mut connection, _)) = listener.accept() {
            let _ = connection.write_all(b"hello\n");
        }
    }
}
