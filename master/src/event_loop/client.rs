//! One client of the command socket: its descriptor and its buffers.

use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

use einhorn_protocol::key;
use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};

use crate::commands::Rights;
use crate::control::{Connection, Dialect, Overrun, Reply, ReturnAddress, Topic};
use crate::pool::RequestNumber;
use crate::psych::Value;
use crate::sys::socket::Peer;

/// Read at once; more waits for its turn, so that nobody is served alone. Nearly every request
/// is shorter, and then one read is known to have taken all there was.
pub(super) const READ_BYTES: usize = 4 * 1024;

/// A connection and what is known of the other end.
pub(super) struct Client {
    pub(super) stream: UnixStream,
    pub(super) connection: Connection,
    pub(super) peer: Peer,
    /// What it may ask for.
    pub(super) rights: Rights,
    /// The upgrade request that it follows, if it follows one.
    pub(super) request: RequestNumber,
    /// It is to be told how a reload went, at these addresses.
    pub(super) reloads: Vec<ReturnAddress>,
    /// What was to be written before those answers, which the next image is to give, was this long.
    promised_from: Option<usize>,
    ready: Readiness,
    ended: bool,
    /// It waits for its turn.
    pub(super) is_queued: bool,
    /// What the poll watches it for.
    watched: Option<Interest>,
}

/// What came to light about a client's descriptor.
#[derive(Clone, Copy, Debug)]
pub(super) struct Readiness {
    readable: bool,
    writable: bool,
    /// The other end writes no more: what is left to be read has an end.
    hung_up: bool,
}

impl From<&mio::event::Event> for Readiness {
    fn from(event: &mio::event::Event) -> Self {
        Self {
            readable: event.is_readable() || event.is_error(),
            writable: event.is_writable() || event.is_error(),
            hung_up: event.is_read_closed() || event.is_error(),
        }
    }
}

/// What is left to do for a client after its turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// It waits for an event.
    Idle,
    /// It has more to be read or carried out.
    Again,
    /// It is to be closed.
    Close,
}

impl Client {
    pub(super) fn new(stream: OwnedFd, connection: Connection, peer: Peer, rights: Rights) -> Self {
        Self {
            stream: stream.into(),
            connection,
            peer,
            rights,
            request: 0,
            reloads: Vec::new(),
            promised_from: None,
            // Edge-triggered readiness is only told of changes: assume it at first.
            ready: Readiness { readable: true, writable: true, hung_up: false },
            ended: false,
            is_queued: false,
            watched: None,
        }
    }

    pub(super) fn descriptor(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }

    /// The master opened it itself, for a worker (`-g`).
    pub(super) fn is_given(&self) -> bool {
        self.rights == Rights::OfAGivenConnection
    }

    pub(super) fn note_readiness(&mut self, readiness: Readiness) {
        self.ready.readable |= readiness.readable;
        self.ready.writable |= readiness.writable;
        self.ready.hung_up |= readiness.hung_up;
    }

    /// Makes the poll tell of what it waits for, what has come meanwhile included. Room for writing
    /// is only waited for when there was none: else each reply that is read would wake the master.
    pub(super) fn watch(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        let interest = if self.ready.writable {
            Interest::READABLE
        } else {
            Interest::READABLE | Interest::WRITABLE
        };
        let descriptor = self.stream.as_raw_fd();
        let source = &mut SourceFd(&descriptor);
        match self.watched {
            Some(watched) if watched == interest => return Ok(()),
            Some(_) => registry.reregister(source, token, interest)?,
            None => registry.register(source, token, interest)?,
        }
        self.watched = Some(interest);
        Ok(())
    }

    /// Reads once through `buffer`, if there is something and room for it.
    pub(super) fn fill(&mut self, buffer: &mut [u8]) -> io::Result<()> {
        if !self.ready.readable || self.ended || !self.connection.wants_input() {
            return Ok(());
        }
        match self.stream.read(buffer) {
            Ok(0) => self.ended = true,
            Ok(length) => {
                let read = buffer.get(..length).unwrap_or_default();
                // A stream that gives less than was asked for is empty, epoll(7), and whatever
                // comes after that is an event of its own; but for an end that was told already.
                // In the middle of a line that is not relied on.
                self.ready.readable =
                    length == buffer.len() || self.ready.hung_up || !read.ends_with(b"\n");
                self.connection.receive(read);
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => self.ready.readable = false,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Writes what can be written without waiting.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        while self.ready.writable && !self.connection.pending().is_empty() {
            match self.stream.write(self.connection.pending()) {
                Ok(length) => self.connection.advance(length),
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.ready.writable = false,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    pub(super) fn reply(&mut self, reply: &Reply, address: &ReturnAddress) -> Result<(), Overrun> {
        self.connection.reply(reply, address)
    }

    /// Queues the answer to those who asked for a reload, for the next image to write.
    pub(super) fn promise_reload(&mut self, reply: &Reply) -> Result<(), Overrun> {
        self.promised_from = Some(self.connection.pending().len());
        self.reloads.iter().try_for_each(|address| self.connection.reply(reply, address))
    }

    /// The opposite: there is no next image.
    pub(super) fn take_promise_back(&mut self) {
        if let Some(length) = self.promised_from.take() {
            self.connection.take_back(length);
        }
    }

    /// Whether it still waits for an answer that comes later.
    fn is_following(&self) -> bool {
        !self.connection.subscriptions().is_empty() || !self.reloads.is_empty()
    }

    /// What to do with it now that its turn is over.
    pub(super) fn turn(&mut self) -> Turn {
        let has_request = self.connection.has_request();
        if self.connection.is_finished() {
            return Turn::Close;
        }
        if self.ended && !has_request && !self.is_following() {
            self.connection.close_after_flush();
            return if self.connection.is_finished() { Turn::Close } else { Turn::Idle };
        }
        let can_read = self.ready.readable && !self.ended && self.connection.wants_input();
        if has_request || can_read { Turn::Again } else { Turn::Idle }
    }

    /// Ends what it follows of upgrades, and tells it so; a JSON client with `result` too.
    pub(super) fn end_subscription(
        &mut self,
        reply: &Reply,
        result: &Value,
    ) -> Result<(), Overrun> {
        match self.connection.unsubscribe(Topic::Upgrade) {
            Some(address) if address.dialect == Dialect::Json => {
                let reply = reply.clone().with(key::RESULT, result.clone());
                self.reply(&reply, &address)
            }
            Some(address) => self.reply(reply, &address),
            None => Ok(()),
        }
    }
}
