//! Clients that ask again and again, a new connection for each request, and what came of it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow};

use crate::http::{self, Loss, Server};

/// A running load. Dropping it stops it.
pub struct Load {
    shared: Arc<Shared>,
    clients: Vec<JoinHandle<Tally>>,
    started: Instant,
}

struct Shared {
    stop: AtomicBool,
    finished: AtomicU64,
    pace: Option<Pace>,
}

/// Requests at fixed times, whoever is free sends the next one.
struct Pace {
    begun: Instant,
    interval: Duration,
    next: AtomicU32,
}

/// What came of a load.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Answers by who gave them.
    pub served: BTreeMap<Server, u64>,
    /// Requests without a good answer.
    pub lost: BTreeMap<Loss, u64>,
    /// From before the connection to after the last byte, of every request that was answered.
    pub latencies: Vec<Duration>,
    /// How long the load lasted.
    pub elapsed: Duration,
}

impl Load {
    /// Starts `clients` clients, each of which always has one request for `target` under way.
    ///
    /// # Errors
    /// The system has no thread to give.
    pub fn start(address: SocketAddr, target: &str, clients: usize) -> Result<Self> {
        Self::with(address, target, clients, None)
    }

    /// Starts `clients` clients that together ask `rate` times a second, evenly, as long as one
    /// of them is free.
    ///
    /// # Errors
    /// The system has no thread to give.
    pub fn paced(address: SocketAddr, target: &str, clients: usize, rate: f64) -> Result<Self> {
        let interval = Duration::from_secs_f64(1.0 / rate);
        let pace = Pace { begun: Instant::now(), interval, next: AtomicU32::new(0) };
        Self::with(address, target, clients, Some(pace))
    }

    fn with(address: SocketAddr, target: &str, clients: usize, pace: Option<Pace>) -> Result<Self> {
        let (stop, finished) = (AtomicBool::new(false), AtomicU64::new(0));
        let shared = Arc::new(Shared { stop, finished, pace });
        let mut load = Self { shared, clients: Vec::new(), started: Instant::now() };
        for _ in 0..clients {
            let (shared, target) = (Arc::clone(&load.shared), target.to_owned());
            let client = thread::Builder::new().spawn(move || shared.run(address, &target));
            load.clients.push(client.context("cannot start a client")?);
        }
        Ok(load)
    }

    /// Requests that have come to an end so far, good or bad.
    pub fn finished(&self) -> u64 {
        self.shared.finished.load(Ordering::Relaxed)
    }

    /// Lets the requests under way end, and adds everything up.
    ///
    /// # Errors
    /// A client died.
    pub fn stop(mut self) -> Result<Tally> {
        self.shared.stop.store(true, Ordering::SeqCst);
        let mut total = Tally::default();
        for client in self.clients.drain(..) {
            total.add(client.join().map_err(|_| anyhow!("a client died"))?);
        }
        total.elapsed = self.started.elapsed();
        Ok(total)
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        for client in self.clients.drain(..) {
            let _ = client.join();
        }
    }
}

impl Shared {
    fn run(&self, address: SocketAddr, target: &str) -> Tally {
        let mut tally = Tally::default();
        while !self.stop.load(Ordering::Relaxed) {
            if let Some(pace) = &self.pace {
                pace.wait();
            }
            let begun = Instant::now();
            match http::get(address, target) {
                Ok(server) => {
                    tally.latencies.push(begun.elapsed());
                    *tally.served.entry(server).or_default() += 1;
                }
                Err(loss) => {
                    *tally.lost.entry(loss).or_default() += 1;
                    // A server that is gone for good must not be asked as fast as it refuses.
                    thread::sleep(Duration::from_millis(5));
                }
            }
            self.finished.fetch_add(1, Ordering::Relaxed);
        }
        tally
    }
}

impl Pace {
    /// Until the time of the next request that nobody else has taken.
    fn wait(&self) {
        let at = self.begun + self.interval * self.next.fetch_add(1, Ordering::Relaxed);
        thread::sleep(at.saturating_duration_since(Instant::now()));
    }
}

impl Tally {
    /// Requests that were answered.
    pub fn answered(&self) -> u64 {
        self.served.values().sum()
    }

    /// Requests that were not.
    pub fn failed(&self) -> u64 {
        self.lost.values().sum()
    }

    /// Answers a second.
    #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
    pub fn rate(&self) -> f64 {
        self.answered() as f64 / self.elapsed.as_secs_f64().max(f64::MIN_POSITIVE)
    }

    /// `0 failed`, or how many of each kind.
    pub fn losses(&self) -> String {
        let kinds: Vec<String> =
            self.lost.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
        if kinds.is_empty() { "0".to_owned() } else { kinds.join(", ") }
    }

    fn add(&mut self, other: Self) {
        for (server, count) in other.served {
            *self.served.entry(server).or_default() += count;
        }
        for (loss, count) in other.lost {
            *self.lost.entry(loss).or_default() += count;
        }
        self.latencies.extend(other.latencies);
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;

    use super::*;
    use crate::wait;

    #[test]
    fn every_request_is_counted_once_as_served_or_lost() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let good = "HTTP/1.1 200 OK\r\nContent-Length: 25\r\n\r\ntime=1.0 pid=7 version=a\n";
        let server = thread::spawn(move || {
            for number in 0_u64..200 {
                let (mut connection, _) = listener.accept().unwrap();
                let mut request = [0; 1024];
                assert!(connection.read(&mut request).unwrap() > 0);
                let length = if number % 10 == 3 { good.len() - 1 } else { good.len() };
                connection.write_all(&good.as_bytes()[..length]).unwrap();
            }
        });
        let load = Load::start(address, "/", 8).unwrap();
        server.join().unwrap();
        // The listener is gone now; the rest is refused.
        let enough = || Ok((load.finished() >= 240).then_some(()));
        wait::until("refusals", Duration::from_secs(60), enough).unwrap();
        let tally = load.stop().unwrap();
        let server = Server { version: "a".into(), pid: 7 };
        assert_eq!(tally.served, BTreeMap::from([(server, 180)]));
        assert_eq!(tally.lost.get(&Loss::Short), Some(&20));
        assert!(tally.lost.get(&Loss::Refused).is_some_and(|count| *count >= 8), "{tally:?}");
        assert_eq!(tally.latencies.len(), 180);
    }
}
