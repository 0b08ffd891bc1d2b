//! When the policy wants to be called again although nothing happened.
//!
//! Invariant: a worker has at most one deadline, and it is the one stored in the worker.

use std::collections::BTreeSet;
use std::time::Duration;

use super::worker::SpawnId;

/// The workers' deadlines by the monotonic clock.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Deadlines {
    entries: BTreeSet<(Duration, SpawnId)>,
}

impl Deadlines {
    pub(super) fn insert(&mut self, at: Duration, id: SpawnId) {
        self.entries.insert((at, id));
    }

    pub(super) fn remove(&mut self, at: Duration, id: SpawnId) {
        self.entries.remove(&(at, id));
    }

    pub(super) fn first(&self) -> Option<Duration> {
        self.entries.first().map(|&(at, _)| at)
    }

    /// The worker whose deadline has come, the longest overdue first.
    pub(super) fn due(&self, now: Duration) -> Option<SpawnId> {
        self.entries.first().filter(|(at, _)| *at <= now).map(|&(_, id)| id)
    }
}
