//! Starting what is missing: all at once, or gradually.

use std::time::Duration;

use super::event::UpgradeMode;
use super::pace::Pace;
use super::report::Report;
use super::worker::{Exit, SpawnId, Version, Worker};
use super::{Action, Pool};
use crate::moment::Moment;

impl Pool {
    /// One gradual start of each version if it is time for it, otherwise a deadline for it.
    pub(super) fn replenish(&mut self, now: Moment) {
        self.replenish_at = None;
        // Those that serve come first: the budget of an upgrade may have room for one only.
        while self.missing_old() > 0 && !self.is_over_budget() {
            if !self.is_due(now, self.old_pace) {
                break;
            }
            self.spawn(now, self.committed);
        }
        while self.missing(self.goal()) > 0 && !self.is_held_back() {
            if !self.is_due(now, self.pace) {
                break;
            }
            self.spawn(now, self.version);
        }
    }

    /// The whole set at once, whatever the interval and the limits.
    pub(super) fn spawn_missing(&mut self, now: Moment) {
        for _ in 0..self.missing(self.goal()) {
            self.spawn(now, self.version);
        }
    }

    /// Whether a gradual start may be made; if not, a deadline is set for it.
    fn is_due(&mut self, now: Moment, pace: Pace) -> bool {
        match pace.next(self.settings.seconds) {
            Some(due) if due > now.monotonic => {
                self.replenish_at = Some(self.replenish_at.map_or(due, |at| at.min(due)));
                false
            }
            Some(_) | None => true,
        }
    }

    /// How many workers of the current version there are to be for now: the canaries, then
    /// the target.
    pub(super) fn goal(&self) -> usize {
        let canaries = self.upgrade.as_ref().and_then(super::Upgrade::canaries_wanted);
        canaries.map_or(self.target(), |canaries| canaries.min(self.target()))
    }

    /// Until an upgrade is committed, an old worker that dies is replaced by its like: those
    /// that serve and those that are about to are never fewer than the target.
    fn missing_old(&self) -> usize {
        match &self.upgrade {
            // In a rollback the committed version is the current one.
            Some(_) if self.version != self.committed => {
                self.target().saturating_sub(self.census.old() + self.census.counted())
            }
            Some(_) | None => 0,
        }
    }

    fn is_held_back(&self) -> bool {
        self.census.unacked() >= at_most(self.settings.max_unacked.get())
            || self.is_over_budget() && !self.is_a_slot_waited_for()
    }

    /// Without an upgrade, and in a rollback, a slot that has nobody does not wait for workers that
    /// linger: with its last one as many lived as will with the next.
    fn is_a_slot_waited_for(&self) -> bool {
        self.version == self.committed && self.has_abandoned_slot()
    }

    fn is_over_budget(&self) -> bool {
        let fleet = self.upgrade.as_ref().is_some_and(|upgrade| {
            upgrade.mode == UpgradeMode::Fleet && upgrade.rollback.is_none()
        });
        match self.settings.max_upgrade_additional {
            Some(additional) if !fleet => {
                let budget = self.target().saturating_add(at_most(additional.get()));
                self.census.alive() + 1 > budget
            }
            Some(_) | None => false,
        }
    }

    /// The pace of the worker's version.
    pub(super) fn pace_of(&mut self, id: SpawnId) -> &mut Pace {
        let version = self.workers.get(&id).map(|worker| worker.version);
        self.pace_of_version(version.unwrap_or(self.version))
    }

    fn pace_of_version(&mut self, version: Version) -> &mut Pace {
        if version == self.version { &mut self.pace } else { &mut self.old_pace }
    }

    fn spawn(&mut self, now: Moment, version: Version) {
        let mut worker = Worker::new(SpawnId(self.next_id), now);
        self.next_id += 1;
        worker.version = version;
        worker.index = self.indexes.take();
        worker.slot = self.slot_for(version);
        worker.newcomer = version == self.version
            && self
                .upgrade
                .as_ref()
                .map_or(self.is_recycling(), |upgrade| upgrade.rollback.is_none());
        self.pace_of_version(version).last_spinup = Some(now);
        let (id, index) = (worker.id, worker.index);
        self.insert(worker);
        self.actions.push_back(Action::Spawn { id, index, version });
    }

    pub(super) fn note_spawn_failed(&mut self, id: SpawnId, reason: String) {
        let Some(worker) = self.remove(id) else { return };
        if worker.is_stopping() {
            // It was given up before it was there, so there is nothing to wait for.
            self.report(Report::Withdrawn { index: worker.index });
            return;
        }
        let seconds = self.settings.seconds;
        let pace = self.pace_of_version(worker.version);
        pace.note_failed_start();
        let next = pace.interval(seconds);
        self.report_start(Report::NotStarted { index: worker.index, reason, next }, true);
    }

    pub(super) fn note_exit(&mut self, id: SpawnId, exit: Exit) {
        let Some(worker) = self.remove(id) else { return };
        let name = worker.to_string();
        if worker.is_stopping() {
            self.report(Report::Stopped { worker: name, exit });
            return;
        }
        if worker.acked && worker.newcomer && self.is_recycling() {
            // It did not soak to the end; that is no better than not coming up.
            let next = self.note_early_death(worker.version);
            self.report_start(Report::DiedSoaking { worker: name, exit, next }, true);
        } else if worker.acked {
            self.report(Report::Died { worker: name, exit });
        } else {
            let next = self.note_early_death(worker.version);
            self.report_start(Report::DiedEarly { worker: name, exit, next }, true);
        }
        self.note_failure_of(&worker, &exit.to_string());
    }

    fn note_early_death(&mut self, version: Version) -> Duration {
        let seconds = self.settings.seconds;
        let pace = self.pace_of_version(version);
        pace.note_death();
        pace.interval(seconds)
    }
}

fn at_most(limit: u32) -> usize {
    usize::try_from(limit).unwrap_or(usize::MAX)
}
