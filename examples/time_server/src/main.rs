//! Tells the time over HTTP, and is a good worker while it does.
//!
//! ```text
//! einhorn -b 127.0.0.1:8080 -n 4 -m manual target/release/time_server
//! target/release/time_server 8080          # or alone
//! curl '127.0.0.1:8080/?ms=500'            # an answer that takes half a second
//! ```
//!
//! A good worker serves the sockets that it inherits, says when it is up, and when it is asked
//! to stop (SIGUSR2) accepts no more, finishes what was begun and exits 0.
#![expect(clippy::disallowed_methods, reason = "it tells the time, and may be told to take some")]

mod http;
mod socket;

use std::env;
use std::error::Error;
use std::fs;
use std::io;
use std::process::{self, ExitCode};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use rustix::event::{PollFd, PollFlags, poll};

use http::Identity;
use socket::{Connection, Listener};

/// Most connections at once. Beyond them the next one waits in the listening queue, where
/// another worker may take it.
const CONNECTIONS_MAX: usize = 256;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("time_server: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    let identity = Arc::new(identity()?);
    let listeners = listeners()?;
    // From here on SIGUSR2 is a request; before, it kills. So this comes before the
    // acknowledgement, after which the master may send it.
    let stop = einhorn_worker::graceful_shutdown_fd()?;
    if einhorn_worker::is_worker() {
        einhorn_worker::ack()?;
    }

    let mut answering: Vec<JoinHandle<()>> = Vec::new();
    loop {
        let mut events = vec![PollFd::new(&stop, PollFlags::IN)];
        events.extend(listeners.iter().map(|listener| PollFd::new(listener, PollFlags::IN)));
        match poll(&mut events, None) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let ready: Vec<bool> = events.iter().map(|event| !event.revents().is_empty()).collect();
        if ready.first() == Some(&true) {
            break;
        }
        for (listener, _) in listeners.iter().zip(&ready[1..]).filter(|(_, ready)| **ready) {
            if let Some(connection) = accept(listener)? {
                let identity = Arc::clone(&identity);
                answering.push(thread::spawn(move || answer(connection, &identity)));
            }
        }
        answering.retain(|thread| !thread.is_finished());
        while answering.len() >= CONNECTIONS_MAX {
            let _ = answering.remove(0).join();
        }
    }

    // Whoever is still in the listening queue is served by another worker: the master and the
    // others hold the same socket.
    drop(listeners);
    for thread in answering {
        let _ = thread.join();
    }
    Ok(())
}

/// The sockets of the master; without a master, one on the port or address that was given.
fn listeners() -> Result<Vec<Listener>, Box<dyn Error>> {
    let inherited = einhorn_worker::socket_count();
    if inherited > 0 {
        return (0..inherited).map(Listener::inherited).collect();
    }
    let Some(place) = env::args().nth(1) else {
        return Err("give a port or an address to listen on: time_server 8080".into());
    };
    let address = if place.contains(':') { place } else { format!("127.0.0.1:{place}") };
    let listener =
        Listener::bind(&address).map_err(|error| format!("cannot bind {address}: {error}"))?;
    eprintln!("time_server: listening on {}", listener.describe());
    Ok(vec![listener])
}

/// What the answers say about this process. The version marks the code's generation:
/// `TIME_SERVER_VERSION`, or the first line of the file `TIME_SERVER_VERSION_FILE`.
fn identity() -> Result<Identity, Box<dyn Error>> {
    let version = match env::var("TIME_SERVER_VERSION_FILE") {
        Ok(path) => {
            fs::read_to_string(&path).map_err(|error| format!("cannot read {path}: {error}"))?
        }
        Err(_) => env::var("TIME_SERVER_VERSION").unwrap_or_default(),
    };
    let version = version.lines().next().unwrap_or_default().trim();
    Ok(Identity {
        pid: process::id(),
        index: einhorn_worker::child_index(),
        version: if version.is_empty() { "-".to_owned() } else { version.to_owned() },
    })
}

/// The next connection. Often there is none: all workers are woken for it, and one is first.
fn accept(listener: &Listener) -> io::Result<Option<Box<dyn Connection>>> {
    use io::ErrorKind::{ConnectionAborted, Interrupted, WouldBlock};
    match listener.accept() {
        Ok(connection) => Ok(Some(connection)),
        Err(error) if matches!(error.kind(), WouldBlock | Interrupted | ConnectionAborted) => {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

fn answer(mut connection: Box<dyn Connection>, identity: &Identity) {
    // A client that goes away is its own loss.
    let _ = http::serve(connection.as_mut(), identity);
}
