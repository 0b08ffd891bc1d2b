//! A worker that sends back what it reads, a thread a connection, with nothing but std.
//!
//! ```text
//! einhorn -b 127.0.0.1:7000 -n 2 -m manual target/debug/examples/echo
//! ```

use rustix::event::{PollFd, PollFlags, poll};
use std::{error::Error, io, net::TcpStream, thread};

fn main() -> Result<(), Box<dyn Error>> {
    let listener = einhorn_worker::tcp_listener(0)?;
    // With several workers on one socket another may be quicker, and accept must not wait then.
    listener.set_nonblocking(true)?;
    let stop = einhorn_worker::graceful_shutdown_fd()?;
    if einhorn_worker::is_worker() {
        einhorn_worker::ack()?;
    }

    let mut connections = Vec::new();
    loop {
        let mut ready = [PollFd::new(&stop, PollFlags::IN), PollFd::new(&listener, PollFlags::IN)];
        match poll(&mut ready, None) {
            Ok(_) if !ready[0].revents().is_empty() => break,
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        match listener.accept() {
            Ok((connection, _)) => connections.push(thread::spawn(move || echo(&connection))),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error.into()),
        }
        connections.retain(|connection| !connection.is_finished());
    }

    // No new connections; those that are there are served to their end.
    drop(listener);
    for connection in connections {
        let _ = connection.join();
    }
    Ok(())
}

fn echo(connection: &TcpStream) -> io::Result<u64> {
    connection.set_nonblocking(false)?;
    io::copy(&mut &*connection, &mut &*connection)
}
