//! What a command costs where nothing is done: read, write; what a worker sends: accept, read, close.

use std::io::{self, Read as _, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::net::{UnixListener, UnixStream};

use rustix::event::epoll;

const BUFFER_BYTES: usize = 64 << 10;

/// Serves one connection to its end.
pub(crate) fn one(path: &str) -> io::Result<()> {
    let (mut connection, _) = UnixListener::bind(path)?.accept()?;
    let mut buffer = vec![0; BUFFER_BYTES];
    while echo(&mut connection, &mut buffer)? {}
    Ok(())
}

/// Takes what comes with each connection, and closes it.
pub(crate) fn hear(path: &str) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER_BYTES];
    for connection in UnixListener::bind(path)?.incoming() {
        let _bytes = connection?.read(&mut buffer)?;
    }
    Ok(())
}

/// Serves any number of connections, one thread for all.
pub(crate) fn many(path: &str) -> io::Result<()> {
    let listener = UnixListener::bind(path)?;
    let poll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    let flags = epoll::EventFlags::IN;
    epoll::add(&poll, &listener, epoll::EventData::new_u64(0), flags)?;
    // The first one is no connection, so that their places are their names.
    let mut connections: Vec<Option<UnixStream>> = vec![None];
    let mut buffer = vec![0; BUFFER_BYTES];
    let mut events = Vec::with_capacity(64);
    loop {
        events.clear();
        epoll::wait(&poll, rustix::buffer::spare_capacity(&mut events), None)?;
        for event in &events {
            let place = usize::try_from(event.data.u64()).unwrap_or_default();
            let Some(Some(connection)) = connections.get_mut(place) else {
                let (connection, _) = listener.accept()?;
                let name = epoll::EventData::new_u64(connections.len() as u64);
                epoll::add(&poll, connection.as_fd(), name, flags)?;
                connections.push(Some(connection));
                continue;
            };
            if !echo(connection, &mut buffer)? {
                connections[place] = None;
            }
        }
    }
}

/// Sends back what has come; whether there may be more.
fn echo(connection: &mut UnixStream, buffer: &mut [u8]) -> io::Result<bool> {
    let count = connection.read(buffer)?;
    connection.write_all(&buffer[..count])?;
    Ok(count > 0)
}
