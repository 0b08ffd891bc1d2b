//! Clients that ask without pause, and an observer that looks every 10 ms.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpStream;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use serde_json::{Value as Json, json};

use super::client::Client;
use super::{LONG, workers};

/// Clients at once.
const CLIENTS: usize = 2;
/// Between two requests of a client.
const PAUSE: Duration = Duration::from_millis(1);
/// Between two looks.
const INTERVAL: Duration = Duration::from_millis(10);

/// The answer to one request: the version of the worker that gave it.
pub(crate) fn request(port: u16) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(LONG))?;
    stream.write_all(b"which\n")?;
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line)?;
    line.strip_suffix('\n')
        .and_then(|line| line.rsplit(' ').next())
        .map(str::to_owned)
        .ok_or_else(|| std::io::Error::other(format!("half an answer: {line:?}")))
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
pub(crate) struct Tally {
    pub(crate) answered: usize,
    pub(crate) failed: Vec<String>,
    pub(crate) versions: BTreeSet<String>,
}

/// Clients that ask one request after the other.
pub(crate) struct Load(Vec<Running<Tally>>);

impl Load {
    pub(crate) fn start(port: u16) -> Self {
        let client = move |stopped: &Receiver<()>| {
            let mut tally = Tally::default();
            while goes_on(stopped, PAUSE) {
                match request(port) {
                    Ok(version) => {
                        tally.answered += 1;
                        tally.versions.insert(version);
                    }
                    Err(error) => tally.failed.push(error.to_string()),
                }
            }
            tally
        };
        Self((0..CLIENTS).map(|_| Running::start(client)).collect())
    }

    /// Ends it; all requests must have been answered, by these versions.
    #[track_caller]
    pub(crate) fn finish(self, versions: &[&str]) {
        let mut all = Tally::default();
        for client in self.0 {
            let tally = client.finish();
            all.answered += tally.answered;
            all.failed.extend(tally.failed);
            all.versions.extend(tally.versions);
        }
        assert_eq!(all.failed, [""; 0], "of {} requests", all.answered + all.failed.len());
        assert!(all.answered > 0);
        let seen: Vec<&str> = all.versions.iter().map(String::as_str).collect();
        assert_eq!(seen, versions);
    }
}

/// Looks at a master every 10 ms: enough workers must serve, and not too many may live.
pub(crate) struct Watch(Running<(usize, Vec<String>)>);

impl Watch {
    pub(crate) fn start(socket: PathBuf, master: i32, target: usize, most: usize) -> Self {
        Self(Running::start(move |stopped| {
            let mut client = Client::connect(&socket).unwrap();
            let (mut looks, mut wrong) = (0, Vec::new());
            while goes_on(stopped, INTERVAL) {
                let reply = client.ask(&json!({"command": "status", "args": ["json"]}));
                let status: Json =
                    serde_json::from_str(reply["message"].as_str().unwrap()).unwrap();
                let serving = workers(&status)
                    .iter()
                    .filter(|worker| matches!(worker["stage"].as_str(), Some("up" | "up, old")))
                    .count();
                let alive = workers(&status).len();
                // One more may be the check of the next master.
                let children = children(master);
                if serving < target || alive > most || children > most + 1 {
                    wrong.push(format!("{serving} serve, {children} children: {status}"));
                }
                looks += 1;
            }
            (looks, wrong)
        }))
    }

    /// Ends it; nothing wrong may have been seen.
    #[track_caller]
    pub(crate) fn finish(self) {
        let (looks, wrong) = self.0.finish();
        assert!(wrong.is_empty(), "{} of {looks} looks, first: {}", wrong.len(), wrong[0]);
        assert!(looks > 0);
    }
}

fn children(pid: i32) -> usize {
    let list = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
    list.map_or(0, |list| list.split_whitespace().count())
}
