//! HTTP clients that miss nothing: each request must be answered, on connections that are
//! kept and on fresh ones.

use crate::output::{Failure, LONG};
use std::{
    collections::BTreeSet,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
};

/// Clients of each kind.
const CLIENTS: usize = 3;

/// What the clients saw.
#[derive(Debug, Default)]
pub struct Seen {
    /// Requests that were answered.
    pub answered: AtomicU64,
    /// Requests that were answered on a connection that had served before.
    pub on_kept: AtomicU64,
    /// Who answered.
    pub workers: Mutex<BTreeSet<u32>>,
    lost: Mutex<Vec<Failure>>,
    over: AtomicBool,
}

/// Clients at work.
pub struct Load {
    seen: Arc<Seen>,
    clients: Vec<JoinHandle<()>>,
}

impl Load {
    /// Sets clients on `port` of this machine.
    pub fn start(port: u16) -> Self {
        Self::of(port, |number| number % 2 == 0)
    }

    /// The same with a connection for each request.
    pub fn on_fresh_connections(port: u16) -> Self {
        Self::of(port, |_| false)
    }

    fn of(port: u16, keeps: impl Fn(usize) -> bool) -> Self {
        let seen = Arc::new(Seen::default());
        let clients = (0..2 * CLIENTS).map(|number| {
            let seen = Arc::clone(&seen);
            let keep = keeps(number);
            thread::spawn(move || {
                while !seen.over.load(Ordering::SeqCst) {
                    if let Err(lost) = connection(port, keep, &seen) {
                        seen.lost.lock().unwrap_or_else(PoisonError::into_inner).push(lost);
                    }
                }
            })
        });
        Self { clients: clients.collect(), seen }
    }

    /// How many clients there are.
    pub fn clients(&self) -> usize {
        self.clients.len()
    }

    /// What has been seen so far.
    pub fn seen(&self) -> &Seen {
        &self.seen
    }

    /// Ends the load.
    ///
    /// # Errors
    /// When a request was lost: how many, and how.
    pub fn end(self) -> Result<Arc<Seen>, Failure> {
        self.seen.over.store(true, Ordering::SeqCst);
        for client in self.clients {
            client.join().map_err(|_| "a client panicked")?;
        }
        let lost = self.seen.lost.lock().unwrap_or_else(PoisonError::into_inner);
        let answered = self.seen.answered.load(Ordering::SeqCst);
        if let Some(first) = lost.first() {
            return Err(format!("{} of {answered} requests lost: {first}", lost.len()));
        }
        drop(lost);
        Ok(self.seen)
    }
}

impl Seen {
    /// Whether a request was lost.
    pub fn any_lost(&self) -> bool {
        !self.lost.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    /// How many requests were lost.
    pub fn lost(&self) -> usize {
        self.lost.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// How many requests were answered.
    pub fn answered(&self) -> u64 {
        self.answered.load(Ordering::SeqCst)
    }
}

/// A client's connection to the server.
pub struct Connection(BufReader<TcpStream>);

impl Connection {
    /// Connects to `port` of this machine.
    ///
    /// # Errors
    /// When nobody listens there.
    pub fn open(port: u16) -> Result<Self, Failure> {
        let stream =
            TcpStream::connect(("127.0.0.1", port)).map_err(|e| format!("connect: {e}"))?;
        stream.set_read_timeout(Some(LONG)).map_err(|error| error.to_string())?;
        stream.set_nodelay(true).map_err(|error| error.to_string())?;
        Ok(Self(BufReader::new(stream)))
    }

    /// Sends a request and waits for its answer: the pid in it, and whether the server closes the
    /// connection after it.
    ///
    /// # Errors
    /// When there is no answer, or one that is no success.
    pub fn ask(&mut self, keep: bool) -> Result<(u32, bool), Failure> {
        let connection = if keep { "keep-alive" } else { "close" };
        let request = format!("GET / HTTP/1.1\r\nHost: x\r\nConnection: {connection}\r\n\r\n");
        self.0.get_mut().write_all(request.as_bytes()).map_err(|error| error.to_string())?;
        answer(&mut self.0)
    }
}

/// Requests on one connection until the server says that it is the last, or the load is over.
fn connection(port: u16, keep: bool, seen: &Seen) -> Result<(), Failure> {
    let mut connection = Connection::open(port)?;
    for earlier in 0.. {
        let last = !keep || seen.over.load(Ordering::SeqCst);
        let (pid, closes) = connection
            .ask(!last)
            .map_err(|error| format!("after {earlier} answers on the connection: {error}"))?;
        seen.answered.fetch_add(1, Ordering::SeqCst);
        seen.on_kept.fetch_add(u64::from(earlier > 0), Ordering::SeqCst);
        seen.workers.lock().unwrap_or_else(PoisonError::into_inner).insert(pid);
        if last || closes {
            break;
        }
    }
    Ok(())
}

/// Reads one answer: the pid in it, and whether the server closes the connection after it.
fn answer(stream: &mut BufReader<TcpStream>) -> Result<(u32, bool), Failure> {
    let status = line(stream)?;
    if !status.starts_with("HTTP/1.1 200") {
        return Err(format!("{status:?}"));
    }
    let (mut length, mut closes) = (None, false);
    loop {
        let header = line(stream)?.to_ascii_lowercase();
        match header.split_once(':') {
            None if header.is_empty() => break,
            Some(("content-length", value)) => length = value.trim().parse().ok(),
            Some(("connection", value)) => closes = value.trim() == "close",
            _ => {}
        }
    }
    let mut body = vec![0; length.ok_or("no content-length")?];
    stream.read_exact(&mut body).map_err(|error| format!("in the body: {error}"))?;
    let body = String::from_utf8_lossy(&body);
    let pid = body.trim().rsplit(' ').next().and_then(|pid| pid.parse().ok());
    pid.map(|pid| (pid, closes)).ok_or_else(|| format!("{body:?}"))
}

fn line(stream: &mut BufReader<TcpStream>) -> Result<String, Failure> {
    let mut line = String::new();
    let count = stream.read_line(&mut line).map_err(|error| format!("in the head: {error}"))?;
    if count == 0 { Err("closed without an answer".into()) } else { Ok(line.trim_end().into()) }
}
