//! An event loop as servers have them: one thread, any number of connections, each for one
//! request. `/?ms=10` is answered 10 ms later, with others in between; `/?block_ms=10` keeps the
//! whole worker busy for as long. Asked to stop, it accepts no more and finishes what it has.
#![expect(clippy::disallowed_methods, reason = "it tells the time, and takes some when asked to")]

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::fs::File;
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use std::{env, fs, process, thread};

use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use rustix::event::{Timespec, epoll};
use rustix::net::{SocketFlags, accept_with};

/// Names the file whose text is the version that the answers tell.
const VERSION_VARIABLE: &str = "BENCH_VERSION_FILE";
/// What asks for an end, in one master or another.
const STOP_SIGNALS: [Signal; 4] =
    [Signal::SIGUSR2, Signal::SIGTERM, Signal::SIGQUIT, Signal::SIGINT];

const STOP: u64 = 0;
/// Behind the listeners come the connections.
const FIRST_LISTENER: u64 = 1;

/// Serves every inherited socket; `ready` is called once that can be done.
pub(crate) fn serve(ready: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
    let inherited = (0..einhorn_worker::socket_count()).map(einhorn_worker::owned_fd);
    let listeners: Vec<OwnedFd> = inherited.collect::<Result<_, _>>().map_err(io::Error::other)?;
    for listener in &listeners {
        rustix::io::ioctl_fionbio(listener, true)?;
    }
    let signals: SigSet = STOP_SIGNALS.into_iter().collect();
    signals.thread_block()?;
    let stop = SignalFd::with_flags(&signals, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)?;
    let server = Server::new(listeners)?;
    server.watch(stop.as_fd(), STOP, epoll::EventFlags::IN)?;
    ready()?;
    server.run()
}

struct Connection {
    stream: File,
    request: Vec<u8>,
}

struct Server {
    poll: OwnedFd,
    listeners: Vec<OwnedFd>,
    connections: HashMap<u64, Connection>,
    later: BinaryHeap<Reverse<(Instant, u64)>>,
    next: u64,
    version: String,
}

impl Server {
    fn new(listeners: Vec<OwnedFd>) -> io::Result<Self> {
        let version = env::var_os(VERSION_VARIABLE).map(fs::read_to_string).transpose()?;
        let server = Self {
            poll: epoll::create(epoll::CreateFlags::CLOEXEC)?,
            listeners: Vec::new(),
            connections: HashMap::new(),
            later: BinaryHeap::new(),
            next: FIRST_LISTENER + listeners.len() as u64,
            version: version.map_or_else(|| "-".to_owned(), |text| text.trim().to_owned()),
        };
        // One of those who wait is woken, not all.
        let flags = epoll::EventFlags::IN | epoll::EventFlags::EXCLUSIVE;
        for (name, listener) in (FIRST_LISTENER..).zip(&listeners) {
            server.watch(listener.as_fd(), name, flags)?;
        }
        Ok(Self { listeners, ..server })
    }

    fn watch(
        &self,
        descriptor: impl std::os::fd::AsFd,
        name: u64,
        flags: epoll::EventFlags,
    ) -> io::Result<()> {
        Ok(epoll::add(&self.poll, descriptor, epoll::EventData::new_u64(name), flags)?)
    }

    fn run(mut self) -> io::Result<()> {
        let mut events = Vec::with_capacity(64);
        while !self.listeners.is_empty() || !self.connections.is_empty() {
            events.clear();
            let patience = self.patience();
            let room = rustix::buffer::spare_capacity(&mut events);
            match epoll::wait(&self.poll, room, patience.as_ref()) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
            for event in &events {
                match event.data.u64() {
                    STOP => self.accept_no_more()?,
                    name if self.connections.contains_key(&name) => self.read(name),
                    name => self.accept(name)?,
                }
            }
            self.answer_those_due();
        }
        Ok(())
    }

    fn patience(&self) -> Option<Timespec> {
        let Reverse((at, _)) = self.later.peek()?;
        Timespec::try_from(at.saturating_duration_since(Instant::now())).ok()
    }

    /// The sockets are everybody's, so closing this copy of them would not end the watching.
    fn accept_no_more(&mut self) -> io::Result<()> {
        for listener in self.listeners.drain(..) {
            epoll::delete(&self.poll, &listener)?;
        }
        Ok(())
    }

    fn accept(&mut self, name: u64) -> io::Result<()> {
        let place = usize::try_from(name - FIRST_LISTENER).unwrap_or(usize::MAX);
        let Some(listener) = self.listeners.get(place) else { return Ok(()) };
        // Otherwise another worker was quicker, or the client has gone.
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let Ok(stream) = accept_with(listener, flags) else { return Ok(()) };
        let name = self.next;
        self.next += 1;
        self.watch(stream.as_fd(), name, epoll::EventFlags::IN)?;
        self.connections.insert(name, Connection { stream: stream.into(), request: Vec::new() });
        Ok(())
    }

    fn read(&mut self, name: u64) {
        let Some(connection) = self.connections.get_mut(&name) else { return };
        let mut buffer = [0; 1024];
        match connection.stream.read(&mut buffer) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => return,
            Ok(0) | Err(_) => {
                self.connections.remove(&name);
                return;
            }
            Ok(count) => connection.request.extend_from_slice(&buffer[..count]),
        }
        if !connection.request.ends_with(b"\r\n\r\n") {
            return;
        }
        if let Some(span) = asked(&connection.request, "?block_ms=") {
            thread::sleep(span);
        }
        match asked(&connection.request, "?ms=") {
            Some(span) => self.later.push(Reverse((Instant::now() + span, name))),
            None => self.answer(name),
        }
    }

    fn answer_those_due(&mut self) {
        while let Some(&Reverse((at, name))) = self.later.peek()
            && at <= Instant::now()
        {
            self.later.pop();
            self.answer(name);
        }
    }

    fn answer(&mut self, name: u64) {
        let Some(mut connection) = self.connections.remove(&name) else { return };
        let time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let (seconds, pid, version) = (time.as_secs_f64(), process::id(), &self.version);
        let body = format!("time={seconds:.3} pid={pid} index=- version={version}\n");
        let answer = format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        );
        // A client that has gone needs none.
        let _ = connection.stream.write_all(answer.as_bytes());
    }
}

/// The milliseconds behind `name` in a request.
fn asked(request: &[u8], name: &str) -> Option<Duration> {
    let text = std::str::from_utf8(request).ok()?;
    let (_, rest) = text.split_once(name)?;
    let digits = rest.split(|character: char| !character.is_ascii_digit()).next()?;
    digits.parse().ok().map(Duration::from_millis)
}
