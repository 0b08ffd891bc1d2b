//! Replacing workers that are stale: another one is started, and once that counts the stale one
//! is asked to stop.
//!
//! A worker is marked first ([`Worker::stale`]), and its replacement begins
//! ([`Worker::recycling`]) when there is room. From then on it is to the census what an old
//! worker is in a smooth upgrade: it serves, but it is missing from the target. So replacements
//! are started by `replenish`, with its pace and its limits, and a stale worker stays for as
//! long as none comes up.
//!
//! Invariants: only a worker that counts is being recycled, and none while an upgrade is in
//! progress; the marked ones that wait are in `waiting`.

use std::collections::BTreeSet;

use super::order::by_rank;
use super::report::{Report, Why};
use super::stale::{Cause, Stale};
use super::worker::{SpawnId, Worker};
use super::{Pool, Standing};
use crate::moment::Moment;

/// What recycling has to remember beside its workers.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Recycling {
    /// Those whose replacement has not begun, the most urgent first.
    waiting: BTreeSet<(Stale, SpawnId)>,
    /// It was said that replacements do not come up.
    told_of_failure: bool,
}

impl Recycling {
    /// Keeps `waiting` true: called for a worker before and after each change.
    pub(super) fn unfile(&mut self, worker: &Worker) {
        if let Some(stale) = worker.stale {
            self.waiting.remove(&(stale, worker.id));
        }
    }

    /// The counterpart of [`Self::unfile`].
    pub(super) fn file(&mut self, worker: &Worker) {
        if let Some(stale) = worker.stale
            && !worker.recycling
            && !worker.is_stopping()
        {
            self.waiting.insert((stale, worker.id));
        }
    }
}

impl Pool {
    /// How many stale workers wait for their turn.
    pub fn waiting_to_be_recycled(&self) -> usize {
        self.recycling.waiting.len()
    }

    /// Operators want these replaced.
    pub(super) fn request_recycling(&mut self, ids: &[SpawnId]) {
        for &id in ids {
            self.mark_stale(id, &Cause::Requested);
        }
    }

    /// It is to be replaced, unless it is already or stops anyway.
    pub(super) fn mark_stale(&mut self, id: SpawnId, cause: &Cause) {
        let Some(worker) = self.workers.get(&id) else { return };
        if worker.is_stopping() || worker.stale.is_some() {
            return;
        }
        self.change(id, |worker| worker.stale = Some(cause.stale()));
        self.report(Report::Stale { worker: self.name(id), cause: cause.clone() });
    }

    /// Begins the replacement of those that wait, as far as there is room. During an upgrade
    /// there is none: it replaces them itself.
    pub(super) fn begin_recycling(&mut self) {
        if self.upgrade.is_some() {
            return;
        }
        if self.census.recycling() == 0 {
            self.recycling.told_of_failure = false;
        }
        let begun = self.census.recycling() + self.census.recycled_stopping();
        let room = self.max_recycling().saturating_sub(begun);
        let counts = |id: &SpawnId| self.workers.get(id).is_some_and(|worker| worker.counts);
        let waiting = self.recycling.waiting.iter().map(|&(_, id)| id);
        let chosen: Vec<SpawnId> = waiting.filter(counts).take(room).collect();
        for id in chosen {
            self.change(id, |worker| worker.recycling = true);
        }
    }

    /// How many there are at a time, those that were asked to stop and still live included:
    /// slow stoppers must not multiply.
    fn max_recycling(&self) -> usize {
        usize::try_from(self.settings.max_unacked.get()).unwrap_or(usize::MAX)
    }

    /// A stale worker for each other one that counts beyond the target.
    pub(super) fn retire_recycled(&mut self, now: Moment) {
        let serving = self.census.recycling() + self.census.counted();
        let excess = serving.saturating_sub(self.target());
        if excess == 0 {
            return;
        }
        let stale = |id: SpawnId| self.workers.get(&id).and_then(|worker| worker.stale);
        let chosen = by_rank(self.census.of(Standing::ModernRecycling), |id| {
            [u64::from(!self.is_covered(id)), stale(id).map_or(u64::MAX, |stale| stale as u64)]
        });
        for id in chosen.into_iter().take(excess) {
            self.retire(now, id, Why::Recycled);
        }
    }

    /// An upgrade replaces all of them. What it leaves behind waits for its turn again.
    pub(super) fn suspend_recycling(&mut self) {
        let begun: Vec<SpawnId> = self.census.of(Standing::ModernRecycling).collect();
        for id in begun {
            self.change(id, |worker| worker.recycling = false);
        }
    }

    /// Whether a worker that is started now replaces one that serves on.
    pub(super) fn is_recycling(&self) -> bool {
        self.upgrade.is_none() && self.census.recycling() > 0
    }

    /// A replacement came up.
    pub(super) fn note_replacement_up(&mut self) {
        self.recycling.told_of_failure = false;
    }

    /// Says what went wrong with a start; while a stale worker waits for its replacement, it
    /// is said aloud once, and again only when one has come up in between.
    pub(super) fn report_start(&mut self, report: Report, failed: bool) {
        if !self.is_recycling() {
            self.report(report);
            return;
        }
        if self.recycling.told_of_failure {
            self.report(Report::Again(Box::new(report)));
            return;
        }
        self.report(report);
        if failed {
            self.recycling.told_of_failure = true;
            let kept: Vec<SpawnId> = self.census.of(Standing::ModernRecycling).collect();
            let first = kept.first().map(|&id| self.name(id)).unwrap_or_default();
            self.report(Report::ReplacementFailed { kept: first, others: kept.len() - 1 });
        }
    }
}
