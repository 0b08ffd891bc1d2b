//! Clients on all three transports, and what became of every single request.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow};
use einhorn_bench::http::Loss;

use crate::client::Place;
use crate::random::Random;
use crate::shared::Shared;

/// What became of the requests over one transport.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) answered: u64,
    /// By the pid of the worker that had accepted them.
    pub(crate) served: BTreeMap<u32, u64>,
    /// In the hands of a worker killed with -9.
    pub(crate) killed: u64,
    /// All others that were lost.
    pub(crate) lost: BTreeMap<Loss, u64>,
}

/// Tallies by transport.
pub(crate) type Tallies = BTreeMap<String, Tally>;

/// The running clients.
pub(crate) struct Traffic(Vec<JoinHandle<(String, Tally)>>);

impl Traffic {
    /// Starts `each` clients for each place.
    pub(crate) fn start(shared: &Arc<Shared>, places: &[Place], each: usize) -> Result<Self> {
        let mut clients = Vec::new();
        for number in 0..places.len() * each {
            let place = places[number % places.len()].clone();
            let shared = Arc::clone(shared);
            let random = Random::new(shared.seed, 1000 + number as u64);
            let client = thread::Builder::new().spawn(move || ask_on(&shared, &place, random));
            clients.push(client.context("cannot start a client")?);
        }
        Ok(Self(clients))
    }

    /// Waits for the requests under way and adds everything up; the clients were told to stop.
    pub(crate) fn finish(self) -> Result<Tallies> {
        let mut tallies = Tallies::new();
        for client in self.0 {
            let (place, tally) = client.join().map_err(|_| anyhow!("a client died"))?;
            tallies.entry(place).or_default().add(tally);
        }
        Ok(tallies)
    }
}

impl Tally {
    /// All that were sent.
    pub(crate) fn sent(&self) -> u64 {
        self.answered + self.killed + self.failed()
    }

    /// Lost, and nobody is excused for it.
    pub(crate) fn failed(&self) -> u64 {
        self.lost.values().sum()
    }

    pub(crate) fn add(&mut self, other: Self) {
        self.answered += other.answered;
        self.killed += other.killed;
        for (pid, count) in other.served {
            *self.served.entry(pid).or_default() += count;
        }
        for (loss, count) in other.lost {
            *self.lost.entry(loss).or_default() += count;
        }
    }
}

fn ask_on(shared: &Shared, place: &Place, mut random: Random) -> (String, Tally) {
    let mut tally = Tally::default();
    while !shared.is_over() {
        // Some take a while, so that there are always requests in a worker's hands.
        let target = if random.once_in(4) { "/?ms=5" } else { "/" };
        let begun = Instant::now();
        match place.get(target) {
            Ok(server) => {
                tally.answered += 1;
                *tally.served.entry(server.pid).or_default() += 1;
            }
            Err(lost) => {
                let ended = Instant::now();
                let is_excused = lost
                    .label
                    .as_ref()
                    .is_some_and(|label| shared.accounts.excuses(label, begun, ended));
                if is_excused {
                    tally.killed += 1;
                } else {
                    *tally.lost.entry(lost.loss).or_default() += 1;
                    shared.failed.fetch_add(1, Ordering::Relaxed);
                    shared.say(&format!(
                        "LOST over {place}: {}, connection {}, after {} ms",
                        lost.loss,
                        lost.label.as_deref().unwrap_or("none"),
                        (ended - begun).as_millis()
                    ));
                    // A server that is gone for good must not be asked as fast as it refuses.
                    thread::sleep(Duration::from_millis(5));
                }
            }
        }
        shared.asked.fetch_add(1, Ordering::Relaxed);
    }
    (place.to_string(), tally)
}
