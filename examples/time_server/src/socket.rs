//! Listening sockets and connections of either family.

use std::error::Error;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::Duration;

/// A listening socket. It does not block, and neither does it for the others who share it.
pub(crate) enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener),
}

/// A client.
pub(crate) trait Connection: Read + Write + Send {
    /// How long a read or a write may take.
    fn set_timeout(&self, timeout: Duration) -> io::Result<()>;
    /// Tells the client that nothing more comes.
    fn finish_writing(&self) -> io::Result<()>;
}

impl Listener {
    /// Socket `n` of the master.
    pub(crate) fn inherited(n: usize) -> Result<Self, Box<dyn Error>> {
        let listener = match einhorn_worker::tcp_listener(n) {
            Err(einhorn_worker::Error::WrongFamily { .. }) => {
                Self::Unix(einhorn_worker::unix_listener(n)?)
            }
            tcp => Self::Tcp(tcp?),
        };
        listener.set_nonblocking()?;
        Ok(listener)
    }

    /// A socket of our own.
    pub(crate) fn bind(address: &str) -> io::Result<Self> {
        let listener = Self::Tcp(TcpListener::bind(address)?);
        listener.set_nonblocking()?;
        Ok(listener)
    }

    pub(crate) fn describe(&self) -> String {
        match self {
            Self::Tcp(listener) => listener
                .local_addr()
                .map_or_else(|error| error.to_string(), |address| address.to_string()),
            Self::Unix(listener) => format!("{listener:?}"),
        }
    }

    /// The next connection, or `WouldBlock`.
    pub(crate) fn accept(&self) -> io::Result<Box<dyn Connection>> {
        Ok(match self {
            Self::Tcp(listener) => Box::new(listener.accept()?.0),
            Self::Unix(listener) => Box::new(listener.accept()?.0),
        })
    }

    fn set_nonblocking(&self) -> io::Result<()> {
        match self {
            Self::Tcp(listener) => listener.set_nonblocking(true),
            Self::Unix(listener) => listener.set_nonblocking(true),
        }
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Tcp(listener) => listener.as_fd(),
            Self::Unix(listener) => listener.as_fd(),
        }
    }
}

impl Connection for TcpStream {
    fn set_timeout(&self, timeout: Duration) -> io::Result<()> {
        self.set_read_timeout(Some(timeout))?;
        self.set_write_timeout(Some(timeout))
    }

    fn finish_writing(&self) -> io::Result<()> {
        self.shutdown(Shutdown::Write)
    }
}

impl Connection for UnixStream {
    fn set_timeout(&self, timeout: Duration) -> io::Result<()> {
        self.set_read_timeout(Some(timeout))?;
        self.set_write_timeout(Some(timeout))
    }

    fn finish_writing(&self) -> io::Result<()> {
        self.shutdown(Shutdown::Write)
    }
}
