//! Starting what is missing: all at once, or gradually with a back-off.

use std::time::Duration;

use einhorn_protocol::limit;

use super::event::UpgradeMode;
use super::report::Report;
use super::worker::{Exit, SpawnId, Worker};
use super::{Action, Pool};
use crate::moment::Moment;

/// Each early death makes the wait before the next start this much longer.
const BACK_OFF: f64 = 1.5;

/// The least time between two gradual starts after `deaths` in a row, `protocol.md §7`.
pub(super) fn interval(seconds: f64, deaths: u32) -> Duration {
    #[expect(clippy::cast_precision_loss, reason = "30 s is a small number")]
    let most = limit::SPAWN_INTERVAL_SECONDS_MAX as f64;
    let exponent = i32::try_from(deaths).unwrap_or(i32::MAX);
    let wait = (seconds * BACK_OFF.powi(exponent)).min(most);
    Duration::try_from_secs_f64(wait)
        .unwrap_or(Duration::from_secs(limit::SPAWN_INTERVAL_SECONDS_MAX))
}

impl Pool {
    /// One gradual start if it is time for it, otherwise a deadline for it.
    pub(super) fn replenish(&mut self, now: Moment) {
        self.replenish_at = None;
        while self.census.missing(self.target()) > 0 && !self.is_held_back() {
            let due = self.next_gradual_start();
            if let Some(due) = due.filter(|due| *due > now.monotonic) {
                self.replenish_at = Some(due);
                return;
            }
            self.spawn(now);
        }
    }

    /// The whole set at once, whatever the interval and the limits.
    pub(super) fn spawn_missing(&mut self, now: Moment) {
        for _ in 0..self.census.missing(self.target()) {
            self.spawn(now);
        }
    }

    /// The wait before the next gradual start.
    pub(super) fn interval(&self) -> Duration {
        let misses = self.deaths_before_ack.saturating_add(self.failed_spawns);
        interval(self.settings.seconds, misses)
    }

    fn next_gradual_start(&self) -> Option<Duration> {
        self.last_spinup.map(|last| last.monotonic.saturating_add(self.interval()))
    }

    fn is_held_back(&self) -> bool {
        let most = |limit: u32| usize::try_from(limit).unwrap_or(usize::MAX);
        if self.census.unacked() >= most(self.settings.max_unacked.get()) {
            return true;
        }
        let fleet = self.upgrade.as_ref().is_some_and(|upgrade| {
            upgrade.mode == UpgradeMode::Fleet && upgrade.rollback.is_none()
        });
        match self.settings.max_upgrade_additional {
            Some(additional) if !fleet => {
                let budget = self.target().saturating_add(most(additional.get()));
                self.census.alive() + 1 > budget
            }
            Some(_) | None => false,
        }
    }

    fn spawn(&mut self, now: Moment) {
        let id = SpawnId(self.next_id);
        self.next_id += 1;
        let index = self.indexes.take();
        let version = self.version;
        let newcomer = self.upgrade.as_ref().is_some_and(|upgrade| upgrade.rollback.is_none());
        self.last_spinup = Some(now);
        self.insert(Worker { version, index, newcomer, ..Worker::new(id, now) });
        self.actions.push_back(Action::Spawn { id, index, version });
    }

    pub(super) fn note_spawn_failed(&mut self, id: SpawnId, reason: String) {
        let Some(worker) = self.remove(id) else { return };
        self.failed_spawns = self.failed_spawns.saturating_add(1);
        let next = self.interval();
        self.report(Report::NotStarted { index: worker.index, reason, next });
    }

    pub(super) fn note_exit(&mut self, id: SpawnId, exit: Exit) {
        let Some(worker) = self.remove(id) else { return };
        let name = worker.to_string();
        let report = if worker.is_stopping() {
            Report::Stopped { worker: name, exit }
        } else if worker.acked {
            Report::Died { worker: name, exit }
        } else {
            self.deaths_before_ack = self.deaths_before_ack.saturating_add(1);
            Report::DiedEarly { worker: name, exit, next: self.interval() }
        };
        self.report(report);
    }
}
