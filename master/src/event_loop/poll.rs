//! What the event loop waits with: all of it that can be refused, made before anything depends
//! on it.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use mio::unix::SourceFd;
use mio::{Interest, Poll, Registry};

use super::{COMMAND_SOCKET, SIGNALS};
use crate::sys::signals::SignalSource;

/// The poll, with what it always watches.
pub struct EventPoll {
    pub(super) poll: Poll,
    /// For those who register on their own.
    pub(super) of_clients: Registry,
    pub(super) of_pipes: Registry,
}

impl EventPoll {
    /// A poll that watches for signals and for clients.
    ///
    /// # Errors
    /// Those of `epoll_create(2)`, `epoll_ctl(2)` and fcntl(2).
    pub fn new(signals: &SignalSource, command_socket: &OwnedFd) -> io::Result<Self> {
        let poll = Poll::new()?;
        let registry = poll.registry();
        for (descriptor, token) in
            [(signals.as_raw_fd(), SIGNALS), (command_socket.as_raw_fd(), COMMAND_SOCKET)]
        {
            registry.register(&mut SourceFd(&descriptor), token, Interest::READABLE)?;
        }
        let (of_clients, of_pipes) = (registry.try_clone()?, registry.try_clone()?);
        Ok(Self { poll, of_clients, of_pipes })
    }
}
