//! Clients that ask without pause, and an observer that looks every 10 ms.
//!
//! What a worker had accepted when it was killed with -9 is lost, and nobody can help that: such
//! losses are counted apart, each by the client's port, and every other one is a failure.

use std::collections::BTreeSet;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustix::process::Signal;
use serde_json::{Value as Json, json};

use super::client::Client;
use super::{LONG, Process, workers};

/// Clients at once beside which something else is looked at.
const CLIENTS: usize = 2;
/// Between two requests of such a client.
const PAUSE: Duration = Duration::from_millis(1);
/// Clients at once where nothing may be lost.
const MANY_CLIENTS: usize = 8;
/// Stages of a worker that counts and that nobody asked to stop.
const SERVING: [&str; 4] = ["up", "up, old", "up, stale", "recycling"];
/// Between two looks.
const INTERVAL: Duration = Duration::from_millis(10);

/// How a request went wrong, as its client sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    Refused,
    Reset,
    Short,
    TimedOut,
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        match error.kind() {
            ErrorKind::ConnectionRefused => Self::Refused,
            ErrorKind::WouldBlock | ErrorKind::TimedOut => Self::TimedOut,
            _ => Self::Reset,
        }
    }
}

/// The answer to one request on a connection of its own: the version of the worker.
pub(crate) fn request(port: u16) -> Result<String, Failure> {
    request_with(port, "which\n")
}

/// The same, with words of one's own.
pub(crate) fn request_with(port: u16, words: &str) -> Result<String, Failure> {
    ask(&connect(port)?, words)
}

fn connect(port: u16) -> Result<TcpStream, Failure> {
    Ok(TcpStream::connect_timeout(&SocketAddr::from(([127, 0, 0, 1], port)), LONG)?)
}

fn ask(mut stream: &TcpStream, words: &str) -> Result<String, Failure> {
    stream.set_read_timeout(Some(LONG))?;
    stream.write_all(words.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let line = answer.strip_suffix('\n').ok_or(Failure::Short)?;
    line.rsplit(' ').next().map(str::to_owned).ok_or(Failure::Short)
}

/// Something that goes on until it is told to end.
struct Running<T> {
    stop: Sender<()>,
    thread: JoinHandle<T>,
}

impl<T: Send + 'static> Running<T> {
    fn start(body: impl FnOnce(&Receiver<()>) -> T + Send + 'static) -> Self {
        let (stop, stopped) = channel();
        Self { stop, thread: thread::spawn(move || body(&stopped)) }
    }

    fn finish(self) -> T {
        drop(self.stop);
        self.thread.join().unwrap()
    }
}

fn goes_on(stopped: &Receiver<()>, pause: Duration) -> bool {
    stopped.recv_timeout(pause) == Err(RecvTimeoutError::Timeout)
}

/// Requests and what became of them.
#[derive(Debug, Default)]
struct Tally {
    answered: usize,
    /// Each with its client's port, if it had come to have one.
    failed: Vec<(Option<u16>, Failure)>,
    versions: BTreeSet<String>,
}

/// Clients that ask one request after the other.
pub(crate) struct Load {
    clients: Vec<Running<()>>,
    tally: Arc<Mutex<Tally>>,
}

impl Load {
    /// A little, beside which something else is looked at.
    pub(crate) fn start(port: u16) -> Self {
        Self::of(port, CLIENTS, PAUSE)
    }

    /// As much as can be.
    pub(crate) fn heavy(port: u16) -> Self {
        Self::of(port, MANY_CLIENTS, Duration::ZERO)
    }

    fn of(port: u16, clients: usize, pause: Duration) -> Self {
        let tally = Arc::<Mutex<Tally>>::default();
        let client = |_| {
            let tally = Arc::clone(&tally);
            Running::start(move |stopped| {
                while goes_on(stopped, pause) {
                    let connected = connect(port);
                    let own = connected.as_ref().ok().and_then(|stream| stream.local_addr().ok());
                    let result = connected.and_then(|stream| ask(&stream, "which\n"));
                    let mut tally = tally.lock().unwrap();
                    match result {
                        Ok(version) => {
                            tally.answered += 1;
                            tally.versions.insert(version);
                        }
                        Err(failure) => tally.failed.push((own.map(|own| own.port()), failure)),
                    }
                }
            })
        };
        Self { clients: (0..clients).map(client).collect(), tally }
    }

    /// How many answers there have been.
    pub(crate) fn answered(&self) -> usize {
        self.tally.lock().unwrap().answered
    }

    /// Ends it; all requests must have been answered, by these versions.
    #[track_caller]
    pub(crate) fn finish(self, versions: &[&str]) {
        self.finish_but(versions, Vec::new());
    }

    /// The same, but for those whose clients' ports are in `accepted`: by whom is known, and
    /// that it was killed. Each stands for one failure.
    #[track_caller]
    pub(crate) fn finish_but(self, versions: &[&str], mut accepted: Vec<u16>) {
        self.clients.into_iter().for_each(Running::finish);
        let mut tally = std::mem::take(&mut *self.tally.lock().unwrap());
        let of = tally.answered + tally.failed.len();
        tally.failed.retain(|(port, _)| {
            let place = accepted.iter().position(|accepted| Some(*accepted) == *port);
            place.map(|place| accepted.swap_remove(place)).is_none()
        });
        assert_eq!(tally.failed, [], "{} of {of} requests", tally.failed.len());
        assert!(tally.answered > 0);
        assert_eq!(tally.versions, versions.iter().map(|version| (*version).to_owned()).collect());
    }
}

/// Looks at a master every 10 ms: enough workers must serve, and not too many may live.
pub(crate) struct Watch {
    running: Running<(usize, Vec<String>)>,
    killed: Arc<Mutex<Vec<i32>>>,
}

/// What there is to be at every instant.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// So many serve, as far as nobody was killed.
    pub(crate) target: usize,
    /// No more live.
    pub(crate) most: usize,
    /// Children of the master that are no workers: preloaders.
    pub(crate) others: usize,
}

impl Watch {
    pub(crate) fn start(socket: PathBuf, master: i32, target: usize, most: usize) -> Self {
        Self::within(socket, master, Bounds { target, most, others: 0 })
    }

    pub(crate) fn within(socket: PathBuf, master: i32, bounds: Bounds) -> Self {
        let killed = Arc::<Mutex<Vec<i32>>>::default();
        let known = Arc::clone(&killed);
        let (looked, first_look) = channel();
        let running = Running::start(move |stopped| {
            let mut client = Client::connect(&socket).unwrap();
            let (mut looks, mut wrong) = (0, Vec::new());
            let mut before = Vec::new();
            while goes_on(stopped, INTERVAL) {
                let reply = client.ask(&json!({"command": "status", "args": ["json"]}));
                let status: Json =
                    serde_json::from_str(reply["message"].as_str().unwrap()).unwrap();
                let serving = serving(&status);
                let has_died =
                    |pid: &&i32| !serving.contains(pid) && known.lock().unwrap().contains(pid);
                let died = before.iter().filter(has_died).count();
                // Only a death may make them fewer than they are to be.
                let were = if looks == 0 { bounds.target } else { before.len() };
                let least = were.min(bounds.target).saturating_sub(died);
                let alive = workers(&status).len();
                let children = children(master);
                // One more may be the check of the next master.
                if serving.len() < least
                    || alive > bounds.most
                    || children > bounds.most + bounds.others + 1
                {
                    wrong.push(format!("{serving:?} serve, {children} children: {status}"));
                }
                before = serving;
                looks += 1;
                let _ = looked.send(());
            }
            (looks, wrong)
        });
        // If it fails its thread says so at the end.
        let _ = first_look.recv_timeout(LONG);
        Self { running, killed }
    }

    /// Kills a worker with -9. Returns the ports of the clients that it had accepted.
    pub(crate) fn kill(&self, worker: &Process) -> Vec<u16> {
        // First, so that its death surprises nobody.
        self.killed.lock().unwrap().push(worker.pid);
        let accepted = worker.accepted_while_stopped();
        worker.signal(Signal::KILL);
        worker.wait();
        accepted
    }

    /// Ends it; nothing wrong may have been seen.
    #[track_caller]
    pub(crate) fn finish(self) {
        let (looks, wrong) = self.running.finish();
        assert!(wrong.is_empty(), "{} of {looks} looks, first: {}", wrong.len(), wrong[0]);
        assert!(looks > 0);
    }
}

/// The workers that can serve.
fn serving(status: &Json) -> Vec<i32> {
    let all = workers(status).into_iter();
    let up = all.filter(|worker| SERVING.contains(&worker["stage"].as_str().unwrap()));
    up.filter_map(|worker| worker["pid"].as_i64()?.try_into().ok()).collect()
}

fn children(pid: i32) -> usize {
    let list = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
    list.map_or(0, |list| list.split_whitespace().count())
}
