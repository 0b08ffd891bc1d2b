//! When the memory of workers is looked at, and who has too much of it.
//!
//! Invariant: nothing is looked at where no rule asks for it.

use std::ops::Bound;
use std::time::Duration;

use super::stale::Cause;
use super::worker::SpawnId;
use super::{Action, Pool};
use crate::moment::Moment;

/// How often each worker is looked at.
pub(super) const INTERVAL: Duration = Duration::from_secs(5);

/// How many are looked at at once; more have their turns within the interval.
const AT_ONCE_MAX: usize = 256;

/// Whose turn it is, and when.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Rounds {
    pub(super) next: Option<Duration>,
    last: Option<SpawnId>,
}

impl Pool {
    /// Begins with the rule and ends with it.
    pub(super) fn plan_looks(&mut self, now: Moment) {
        match (self.settings.recycle.max_rss, self.looks.next) {
            (Some(_), None) => self.looks.next = Some(now.monotonic.saturating_add(INTERVAL)),
            (None, Some(_)) => {
                self.looks = Rounds::default();
                for worker in self.workers.values_mut() {
                    worker.resident = None;
                }
            }
            (Some(_), Some(_)) | (None, None) => {}
        }
    }

    /// Looks at the next ones.
    pub(super) fn meet_look(&mut self, now: Moment) {
        if self.looks.next.is_none_or(|at| at > now.monotonic) {
            return;
        }
        let from = self.looks.last.map_or(Bound::Unbounded, Bound::Excluded);
        let mut after = self.workers.range((from, Bound::Unbounded));
        let mut last = None;
        for (&id, worker) in after.by_ref().take(AT_ONCE_MAX) {
            if let Some(pid) = worker.pid
                && !worker.is_stopping()
            {
                self.actions.push_back(Action::Measure { id, pid });
            }
            last = Some(id);
        }
        self.looks.last = last.filter(|_| after.next().is_some());
        let rounds = u32::try_from(self.workers.len().div_ceil(AT_ONCE_MAX)).unwrap_or(u32::MAX);
        self.looks.next = Some(now.monotonic.saturating_add(INTERVAL / rounds.max(1)));
    }

    pub(super) fn note_memory(&mut self, now: Moment, id: SpawnId, resident: u64) {
        let Some(limit) = self.settings.recycle.max_rss else { return };
        let Some(worker) = self.workers.get_mut(&id) else { return };
        worker.resident = Some(resident);
        if resident > limit && worker.counts {
            let age = now.since(worker.spinup_time);
            self.mark_stale(id, &Cause::Memory { resident, limit, age });
        }
    }
}
