//! What histories came to, so that a run that never gets anywhere is noticed.

use std::collections::BTreeMap;
use std::fmt;

#[derive(Clone, Debug, Default)]
pub(super) struct Reached {
    counts: BTreeMap<&'static str, u64>,
}

/// Each of these must happen in every run of some length.
pub(super) const WANTED: [&str; 30] = [
    "pid that comes again",
    "start that failed",
    "start told late",
    "acknowledgement for nobody",
    "death before acknowledgement",
    "kill after -t",
    "not acknowledged in time",
    "upgrade begun",
    "upgrade committed",
    "upgrade rolled back",
    "upgrade aborted",
    "upgrade superseded",
    "upgrade ended by a stop",
    "check that failed",
    "exec that failed",
    "replacement of a stale worker",
    "replacement that failed",
    "worker that falls silent",
    "worker with too much memory",
    "worker that is too old",
    "silent worker that pings again",
    "worker that retires",
    "worker that does not stop",
    "slot that drained",
    "slot that drains for too long",
    "draining worker that is kept",
    "reload into ours",
    "reload in an upgrade",
    "reload by way of another master",
    "left",
];

impl Reached {
    pub(super) fn note(&mut self, what: &'static str) {
        *self.counts.entry(what).or_default() += 1;
    }

    pub(super) fn add(&mut self, other: &Self) {
        for (what, count) in &other.counts {
            *self.counts.entry(what).or_default() += count;
        }
    }

    pub(super) fn never(&self) -> Vec<&'static str> {
        WANTED.into_iter().filter(|what| !self.counts.contains_key(what)).collect()
    }
}

impl fmt::Display for Reached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (what, count) in &self.counts {
            writeln!(f, "  {count:>9}  {what}")?;
        }
        Ok(())
    }
}
