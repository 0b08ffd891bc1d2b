//! Clients that ask again and again, a new connection each time.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};

use crate::support::{LONG, Master};

/// What came of it.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// Answers, by the version that gave them.
    pub(crate) served: BTreeMap<String, usize>,
    pub(crate) lost: Vec<String>,
}

/// Running clients.
pub(crate) struct Load {
    stop: Arc<AtomicBool>,
    finished: Arc<AtomicUsize>,
    clients: Vec<JoinHandle<Tally>>,
}

impl Load {
    pub(crate) fn start(master: &Master, clients: usize) -> Self {
        let port = master.status()["listeners"][0]["port"].as_u64().unwrap();
        let address = SocketAddr::from(([127, 0, 0, 1], u16::try_from(port).unwrap()));
        let stop = Arc::new(AtomicBool::new(false));
        let finished = Arc::new(AtomicUsize::new(0));
        let clients = (0..clients)
            .map(|_| {
                let (stop, finished) = (Arc::clone(&stop), Arc::clone(&finished));
                thread::spawn(move || run(address, &stop, &finished))
            })
            .collect();
        Self { stop, finished, clients }
    }

    /// Waits for that many more answers.
    pub(crate) fn wait_for(&self, master: &Master, more: usize) {
        let wanted = self.finished.load(Ordering::Relaxed) + more;
        master.wait_until("answers", || {
            (self.finished.load(Ordering::Relaxed) >= wanted).then_some(())
        });
    }

    /// Waits until there are that many answers in all.
    pub(crate) fn wait_for_all(&self, master: &Master, wanted: usize) {
        self.wait_for(master, wanted.saturating_sub(self.finished.load(Ordering::Relaxed)));
    }

    pub(crate) fn stop(self) -> Tally {
        self.stop.store(true, Ordering::Relaxed);
        let mut total = Tally::default();
        for client in self.clients {
            let tally = client.join().unwrap();
            for (version, count) in tally.served {
                *total.served.entry(version).or_default() += count;
            }
            total.lost.extend(tally.lost);
        }
        total
    }
}

fn run(address: SocketAddr, stop: &AtomicBool, finished: &AtomicUsize) -> Tally {
    let mut tally = Tally::default();
    while !stop.load(Ordering::Relaxed) {
        match ask(address) {
            Ok(version) => *tally.served.entry(version).or_default() += 1,
            Err(error) => tally.lost.push(error.to_string()),
        }
        finished.fetch_add(1, Ordering::Relaxed);
    }
    tally
}

/// The version that answers.
fn ask(address: SocketAddr) -> std::io::Result<String> {
    let mut client = TcpStream::connect(address)?;
    client.set_read_timeout(Some(LONG))?;
    client.write_all(b"?\n")?;
    let mut answer = String::new();
    BufReader::new(client).read_line(&mut answer)?;
    match answer.strip_suffix('\n').and_then(|answer| answer.split_once(' ')) {
        Some((_, version)) => Ok(version.to_owned()),
        None => Err(std::io::Error::other(format!("{answer:?} is no answer"))),
    }
}
