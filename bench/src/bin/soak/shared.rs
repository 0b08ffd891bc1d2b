//! What all threads of a run know: when it is over, and what has been counted.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use einhorn_bench::interrupt;

use crate::accounts::Accounts;

/// Counters are for people; the tallies of the clients decide.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) seed: u64,
    pub(crate) begun: Instant,
    pub(crate) master: u32,
    pub(crate) socket: PathBuf,
    pub(crate) accounts: Accounts,
    /// No more is begun: what was is brought to its end, under load.
    pub(crate) is_ending: AtomicBool,
    /// The load ends too.
    pub(crate) over: AtomicBool,
    pub(crate) asked: AtomicU64,
    pub(crate) failed: AtomicU64,
    pub(crate) committed: AtomicU64,
    pub(crate) rolled_back: AtomicU64,
    pub(crate) reloads: AtomicU64,
    pub(crate) kills: AtomicU64,
    pub(crate) in_their_hands: AtomicU64,
    pub(crate) terms: AtomicU64,
    pub(crate) signals: AtomicU64,
    pub(crate) targets: AtomicU64,
    pub(crate) attacks: AtomicU64,
}

impl Shared {
    pub(crate) fn new(seed: u64, master: u32, socket: PathBuf) -> Self {
        Self {
            seed,
            begun: Instant::now(),
            master,
            socket,
            accounts: Accounts::default(),
            is_ending: AtomicBool::new(false),
            over: AtomicBool::new(false),
            asked: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            committed: AtomicU64::new(0),
            rolled_back: AtomicU64::new(0),
            reloads: AtomicU64::new(0),
            kills: AtomicU64::new(0),
            in_their_hands: AtomicU64::new(0),
            terms: AtomicU64::new(0),
            signals: AtomicU64::new(0),
            targets: AtomicU64::new(0),
            attacks: AtomicU64::new(0),
        }
    }

    pub(crate) fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed) || interrupt::check().is_err()
    }

    pub(crate) fn is_ending(&self) -> bool {
        self.is_ending.load(Ordering::Relaxed) || self.is_over()
    }

    /// Lets time pass, less if the run is ending.
    pub(crate) fn pause(&self, span: Duration) {
        let deadline = Instant::now() + span;
        while let Some(left) = deadline.checked_duration_since(Instant::now()) {
            if self.is_ending() {
                return;
            }
            std::thread::sleep(left.min(Duration::from_millis(50)));
        }
    }

    /// A line with the time since the start.
    pub(crate) fn say(&self, line: &str) {
        println!("{:7.1} s  {line}", self.begun.elapsed().as_secs_f64());
    }
}

/// One more.
pub(crate) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

/// How many.
pub(crate) fn read(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}
