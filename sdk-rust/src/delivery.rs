//! Brings one line to the master: by the `-g` descriptor if it is the master's, else by the
//! command socket.
//!
//! Invariant: no wait is without a deadline, no SIGPIPE is ever raised, and the inherited
//! descriptor is neither closed nor changed.

use crate::{
    deadline::Deadline,
    error::{Error, Result},
    identity,
    signal::borrow_inherited,
    variables::{self, Variables},
};
use einhorn_protocol::{environment as names, limit};
use rustix::{
    event::PollFlags,
    io::Errno,
    net::{
        AddressFamily, RecvFlags, SendFlags, SocketAddrUnix, SocketType, getpeername, recv, send,
        sockopt,
    },
};
use std::{
    ffi::OsString,
    io,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd, RawFd},
        unix::ffi::OsStrExt,
    },
    sync::{Mutex, PoisonError},
    time::Duration,
};

/// A message to the master that is ready to be sent. It no longer needs the environment.
#[derive(Debug)]
pub struct Delivery {
    line: Vec<u8>,
    descriptor: Option<RawFd>,
    master: u32,
    path: Option<OsString>,
}

/// One line at a time through the shared descriptor.
static DESCRIPTOR_IN_USE: Mutex<()> = Mutex::new(());

impl Delivery {
    /// Looks where the line would go; sends nothing.
    pub(crate) fn new(from: &dyn Variables, line: Vec<u8>) -> Result<Self> {
        let master = identity::master_pid(from)?;
        let descriptor = from
            .get(names::SOCK_FD)
            .map(|value| variables::descriptor(names::SOCK_FD, &value))
            .transpose()?;
        let path = from.get(names::SOCK_PATH);
        match &path {
            None if descriptor.is_none() => {
                Err(Error::Missing { variable: names::SOCK_PATH.to_owned() })
            }
            Some(path) if path.is_empty() => Err(Error::Malformed {
                variable: names::SOCK_PATH.to_owned(),
                value: String::new(),
                wanted: "the path of the master's command socket",
            }),
            _ => Ok(Self { line, descriptor, master, path }),
        }
    }

    /// Sends the message and waits until the master has taken it, 30 seconds at most.
    ///
    /// # Errors
    /// As [`ack`](crate::ack).
    pub fn deliver(self) -> Result<()> {
        self.deliver_within(Duration::from_secs(limit::ACK_WAIT_SECONDS))
    }

    /// Sends the message and waits `limit` at most until the master has taken it.
    ///
    /// # Errors
    /// As [`ack`](crate::ack).
    pub fn deliver_within(self, limit: Duration) -> Result<()> {
        let deadline = Deadline::after(limit);
        if self.descriptor.is_some_and(|number| self.write_through(number, deadline)) {
            return Ok(());
        }
        match &self.path {
            Some(path) => Exchange { path, deadline, limit }.run(&self.line),
            None => Err(Error::BadDescriptor {
                variable: names::SOCK_FD.to_owned(),
                value: self.descriptor.unwrap_or(-1),
                problem: "not a connection to the master",
            }),
        }
    }

    /// Writes the line through the descriptor, if that leads to the master. `false`: it went
    /// nowhere, and the path is left to try.
    ///
    /// Under an older master that execs its workers the number may be closed or be any other
    /// file of the program's, so it is looked at first and nothing is written to a stranger.
    fn write_through(&self, number: RawFd, deadline: Deadline) -> bool {
        let _alone = DESCRIPTOR_IN_USE.lock().unwrap_or_else(PoisonError::into_inner);
        borrow_inherited(number)
            .is_ok_and(|fd| self.leads_to_master(fd) && send_all(fd, &self.line, deadline).is_ok())
    }

    /// Whether `fd` is a connected unix stream whose other end the master made.
    fn leads_to_master(&self, fd: BorrowedFd<'_>) -> bool {
        if sockopt::socket_type(fd) != Ok(SocketType::STREAM) {
            return false;
        }
        let Ok(Some(peer)) = getpeername(fd) else { return false };
        if peer.address_family() != AddressFamily::UNIX {
            return false;
        }
        made_by(fd, self.master) || self.has_our_path(peer)
    }

    fn has_our_path(&self, peer: rustix::net::SocketAddrAny) -> bool {
        let ours = self.path.as_ref().map(|path| path.as_bytes());
        let theirs = SocketAddrUnix::try_from(peer).ok();
        let theirs = theirs.as_ref().and_then(SocketAddrUnix::path_bytes);
        ours.is_some() && ours == theirs
    }
}

/// Whether the process `pid` made the other end of the connection.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn made_by(fd: BorrowedFd<'_>, pid: u32) -> bool {
    let peer = sockopt::socket_peercred(fd).map(|peer| peer.pid.as_raw_nonzero().get());
    peer.ok().and_then(|peer| u32::try_from(peer).ok()) == Some(pid)
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn made_by(_fd: BorrowedFd<'_>, _pid: u32) -> bool {
    false
}

/// One connection to the command socket: the line, then the wait for its end.
struct Exchange<'a> {
    path: &'a OsString,
    deadline: Deadline,
    limit: Duration,
}

impl Exchange<'_> {
    fn run(&self, line: &[u8]) -> Result<()> {
        let socket = self.connect()?;
        match send_all(socket.as_fd(), line, self.deadline) {
            Ok(()) => {}
            Err(error) => return Err(self.failed(error)),
        }
        self.wait_until_closed(&socket)
    }

    fn connect(&self) -> Result<OwnedFd> {
        let address = SocketAddrUnix::new(self.path.as_os_str()).map_err(|error| {
            if error == Errno::NAMETOOLONG {
                Error::PathTooLong { variable: names::SOCK_PATH, path: self.shown() }
            } else {
                self.unreachable(error.into())
            }
        })?;
        let socket = self.open().map_err(|error| self.unreachable(error))?;
        loop {
            match rustix::net::connect(&socket, &address) {
                Ok(()) => break,
                Err(Errno::INTR) if self.deadline.remaining() != Some(Duration::ZERO) => {}
                Err(Errno::AGAIN) => return Err(self.unreachable(io::ErrorKind::TimedOut.into())),
                Err(error) => return Err(self.unreachable(error.into())),
            }
        }
        Ok(socket)
    }

    /// A socket whose connect gives up at the deadline: it would wait while the listener's
    /// queue is full.
    fn open(&self) -> io::Result<OwnedFd> {
        let socket = rustix::net::socket(AddressFamily::UNIX, SocketType::STREAM, None)?;
        rustix::io::fcntl_setfd(&socket, rustix::io::FdFlags::CLOEXEC)?;
        let limit = self.deadline.remaining().map(|left| left.max(Duration::from_millis(1)));
        sockopt::set_socket_timeout(&socket, sockopt::Timeout::Send, limit)?;
        Ok(socket)
    }

    /// A master closes the connection when it has taken the message, and answers only what it
    /// refuses.
    fn wait_until_closed(&self, socket: &OwnedFd) -> Result<()> {
        let mut answer = Vec::new();
        loop {
            match self.deadline.wait(socket.as_fd(), PollFlags::IN) {
                Ok(true) => {}
                Ok(false) => return Err(self.failed(io::ErrorKind::TimedOut.into())),
                Err(error) => return Err(self.failed(error)),
            }
            let mut buffer = [0_u8; limit::ACK_ANSWER_BYTES_MAX];
            match recv(socket, &mut buffer[..], RecvFlags::DONTWAIT) {
                Ok((_, 0)) if answer.is_empty() => return Ok(()),
                Ok((_, count)) => {
                    answer.extend_from_slice(buffer.get(..count).unwrap_or_default());
                    let full = answer.len() >= limit::ACK_ANSWER_BYTES_MAX;
                    if count == 0 || full || answer.contains(&b'\n') {
                        let answer = String::from_utf8_lossy(&answer).trim_end().to_owned();
                        return Err(Error::Refused { path: self.shown(), answer });
                    }
                }
                Err(Errno::AGAIN | Errno::INTR) => {}
                Err(error) => return Err(self.failed(error.into())),
            }
        }
    }

    /// What an error means once the connection is there.
    fn failed(&self, error: io::Error) -> Error {
        let path = self.shown();
        match error.kind() {
            io::ErrorKind::TimedOut => Error::NotConfirmed { path, waited: self.limit },
            io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => Error::NotTaken { path },
            _ => self.unreachable(error),
        }
    }

    fn unreachable(&self, source: io::Error) -> Error {
        Error::Unreachable { path: self.shown(), source }
    }

    fn shown(&self) -> String {
        self.path.to_string_lossy().into_owned()
    }
}

/// Writes all of `bytes`, whether or not the descriptor blocks, until the deadline.
fn send_all(fd: BorrowedFd<'_>, mut bytes: &[u8], deadline: Deadline) -> io::Result<()> {
    #[cfg(target_vendor = "apple")]
    let flags = {
        sockopt::set_socket_nosigpipe(fd, true)?;
        SendFlags::DONTWAIT
    };
    #[cfg(not(target_vendor = "apple"))]
    let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
    while !bytes.is_empty() {
        match send(fd, bytes, flags) {
            Ok(count) => bytes = bytes.get(count..).unwrap_or_default(),
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => {
                if !deadline.wait(fd, PollFlags::OUT)? {
                    return Err(io::ErrorKind::TimedOut.into());
                }
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}
