//! The policy: what to start, signal and retire, and when. No I/O, no clock of its own.
//!
//! Calling order: hand every event to [`Pool::handle`] with the moment it is handled at, carry
//! out [`Pool::poll_action`] until it is empty, in order, and come back with
//! [`Event::DeadlineReached`] at [`Pool::next_deadline`]. The answer to an action is an event.
//!
//! The words are those of `protocol.md §6`, the rules those of `§7`. After every event the
//! pool is settled in one place: replenish, then cull.
//!
//! Invariant: a worker is known by its [`SpawnId`]; a pid only finds the id.

mod acknowledge;
mod census;
mod cull;
mod deadlines;
mod event;
mod index;
#[cfg(any(test, fuzzing))]
pub mod invariants;
mod memory;
mod order;
mod pace;
mod recycle;
mod replenish;
mod report;
mod restore;
mod rollback;
mod slots;
mod stale;
mod stop;
#[cfg(test)]
mod tests;
mod upgrade;
mod worker;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::Duration;

pub use acknowledge::Due;
pub use census::{Census, Standing, standing};
pub use event::{Action, Event, Reload, RequestNumber, UpgradeMode};
pub use pace::interval;
pub use report::{Callers, Count, Kind as ReportKind, Report, Seconds, UpgradeEnd, Why};
pub use restore::Restored;
pub use rollback::Rollback;
pub use slots::{Draining, Slot};
pub use stale::{Cause, Stale};
pub use upgrade::{Failure, PendingReload, Phase, Upgrade};
pub use worker::{Exit, Pid, SpawnId, Version, Worker};

use self::deadlines::Deadlines;
use self::index::Indexes;
use self::memory::Rounds;
use self::pace::Pace;
use self::recycle::Recycling;
use self::slots::Slots;
use crate::moment::Moment;
use crate::settings::Settings;

/// Room for actions that is kept while there are none: what the start of a large fleet took is
/// given back.
const ACTIONS_KEPT_MAX: usize = 64;

/// Whether the pool keeps its workers alive or sees them off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Workers are kept at the target.
    Serving,
    /// No worker is started any more; the master leaves when the last is gone.
    Stopping,
    /// [`Action::Finish`] was given.
    Finished,
}

/// All workers, and everything that decides about them.
#[derive(Clone, Debug)]
pub struct Pool {
    settings: Settings,
    /// In boxes, since a tree that grows at its end is half empty.
    workers: BTreeMap<SpawnId, Box<Worker>>,
    by_pid: HashMap<Pid, SpawnId>,
    indexes: Indexes,
    slots: Option<Slots>,
    census: Census,
    deadlines: Deadlines,
    next_id: u64,
    version: Version,
    committed: Version,
    pace: Pace,
    old_pace: Pace,
    last_upgraded: Option<Moment>,
    replenish_at: Option<Duration>,
    recycling: Recycling,
    looks: Rounds,
    listening_since: Duration,
    pending_reload: Option<PendingReload>,
    upgrade: Option<Upgrade>,
    last_request: RequestNumber,
    stage: Stage,
    fleet_was_up: bool,
    actions: VecDeque<Action>,
}

impl Pool {
    /// A pool without workers; [`Event::Start`] fills it.
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            workers: BTreeMap::new(),
            by_pid: HashMap::new(),
            indexes: Indexes::default(),
            slots: None,
            census: Census::default(),
            deadlines: Deadlines::default(),
            next_id: 0,
            version: 0,
            committed: 0,
            pace: Pace::default(),
            old_pace: Pace::default(),
            last_upgraded: None,
            replenish_at: None,
            recycling: Recycling::default(),
            looks: Rounds::default(),
            listening_since: Duration::ZERO,
            pending_reload: None,
            upgrade: None,
            last_request: 0,
            stage: Stage::Serving,
            fleet_was_up: false,
            actions: VecDeque::new(),
        }
    }

    /// The same, with a slot for each worker if it is to be `balanced`.
    #[must_use]
    pub fn balanced(mut self, balanced: bool) -> Self {
        self.slots = balanced.then(|| Slots::new(self.settings.number));
        self
    }

    /// Takes in what happened at `now`.
    pub fn handle(&mut self, now: Moment, event: Event) {
        match (self.stage, event) {
            (Stage::Finished, _) => return,
            (Stage::Serving, Event::Start) => self.spawn_missing(now),
            (Stage::Serving, Event::Adopted) => self.continue_after_reload(now),
            (Stage::Stopping, Event::Start | Event::RecycleRequested(_)) => {}
            // Another master may hand over an upgrade that cannot be any more.
            (Stage::Stopping, Event::Adopted) => self.leave_upgrade(),
            (_, Event::Spawned { id, pid }) => self.note_spawned(now, id, pid),
            (_, Event::SpawnFailed { id, reason }) => self.note_spawn_failed(id, reason),
            (_, Event::Exited { id, exit }) => self.note_exit(id, exit),
            (_, Event::Acknowledged { id }) => self.take_acknowledgement(now, id),
            (_, Event::Measured { id, resident }) => self.note_memory(now, id, resident),
            (_, Event::Pinged { id, request_id }) => self.note_ping(now, id, request_id),
            (_, Event::Retiring { id }) => self.note_retiring(now, id),
            (_, Event::StatusSaid { id, text }) => self.note_status(id, text),
            (Stage::Serving, Event::ReloadRequested) => self.request_reload(),
            (Stage::Serving, Event::UpgradeRequested { mode, rules, request }) => {
                self.request_upgrade(mode, rules, request);
            }
            (_, Event::ReloadFailed { reason }) => self.note_reload_failed(reason),
            (_, Event::Drained { slot }) => self.note_drained(now, slot),
            (Stage::Serving, Event::AbortRequested) => self.abort(),
            (
                Stage::Stopping,
                Event::ReloadRequested | Event::UpgradeRequested { .. } | Event::AbortRequested,
            ) => self.refuse_while_stopping(),
            (Stage::Serving, Event::RecycleRequested(ids)) => self.request_recycling(&ids),
            (_, Event::SettingsChanged(settings)) => self.change_settings(now, settings),
            (_, Event::SignalRequested(signal)) => self.signal_all(signal),
            (_, Event::StopRequested(signal)) => self.stop(now, signal),
            (_, Event::QuitRequested(signal)) => self.quit(signal),
            (_, Event::DeadlineReached) => self.meet_deadlines(now),
        }
        self.settle(now);
    }

    /// The next thing to do, if there is one.
    pub fn poll_action(&mut self) -> Option<Action> {
        let next = self.actions.pop_front();
        if next.is_none() && self.actions.capacity() > ACTIONS_KEPT_MAX {
            self.actions = VecDeque::new();
        }
        next
    }

    /// When to come back with [`Event::DeadlineReached`], by the monotonic clock.
    pub fn next_deadline(&self) -> Option<Duration> {
        let upgrade = self.upgrade.as_ref().and_then(Upgrade::next_deadline);
        [self.deadlines.first(), self.replenish_at, self.looks.next, upgrade]
            .into_iter()
            .flatten()
            .min()
    }

    /// The worker with this pid.
    pub fn find(&self, pid: Pid) -> Option<&Worker> {
        self.by_pid.get(&pid).and_then(|&id| self.worker(id))
    }

    /// The worker with this id.
    pub fn worker(&self, id: SpawnId) -> Option<&Worker> {
        self.workers.get(&id).map(Box::as_ref)
    }

    /// All workers, the oldest first.
    pub fn workers(&self) -> impl Iterator<Item = &Worker> {
        self.workers.values().map(Box::as_ref)
    }

    /// The counts.
    pub fn census(&self) -> &Census {
        &self.census
    }

    /// The numbers it goes by.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The current version: the number of upgrades, but for those given up.
    pub fn version(&self) -> Version {
        self.version
    }

    /// The version that serves, or that an upgrade in progress would be rolled back to.
    pub fn committed(&self) -> Version {
        self.committed
    }

    /// The upgrade in progress.
    pub fn upgrade(&self) -> Option<&Upgrade> {
        self.upgrade.as_ref()
    }

    /// The re-exec that is being prepared.
    pub fn pending_reload(&self) -> Option<PendingReload> {
        self.pending_reload
    }

    /// A number for the next upgrade request.
    pub fn next_request(&self) -> RequestNumber {
        self.last_request.saturating_add(1)
    }

    /// Nothing is started any more.
    pub fn is_stopping(&self) -> bool {
        self.stage != Stage::Serving
    }

    fn target(&self) -> usize {
        usize::try_from(self.settings.number).unwrap_or(usize::MAX)
    }

    fn settle(&mut self, now: Moment) {
        let was_upgrading = self.upgrade.is_some();
        match self.stage {
            Stage::Serving => {
                self.plan_looks(now);
                self.pass_canaries(now);
                self.replace(now);
                // What waited for the end of the upgrade has its turn.
                if was_upgrading && self.upgrade.is_none() {
                    self.replace(now);
                }
                self.note_fleet_up();
                self.report_progress(false);
            }
            Stage::Stopping if self.workers.is_empty() => {
                self.report(Report::AllGone);
                self.finish(0);
            }
            Stage::Stopping | Stage::Finished => {}
        }
    }

    fn replace(&mut self, now: Moment) {
        self.begin_recycling();
        self.replenish(now);
        self.cull(now);
        // Whoever was given up may have had the place of the one that a slot waits for.
        if self.has_abandoned_slot() {
            self.replenish(now);
            self.cull(now);
        }
    }

    /// Everything whose time has come.
    fn meet_deadlines(&mut self, now: Moment) {
        while let Some(id) = self.deadlines.due(now.monotonic) {
            let Some(worker) = self.workers.get(&id) else { break };
            if worker.is_stopping() {
                self.note_not_stopped(now, id);
            } else if worker.draining.is_some() {
                self.give_draining_up(now, id);
            } else if worker.counts {
                self.meet_rules(now, id);
            } else {
                self.acknowledgement_deadline(now, id);
            }
        }
        self.meet_look(now);
        self.meet_upgrade_deadlines(now);
    }

    fn change_settings(&mut self, now: Moment, settings: Settings) {
        let has_other_rules = self.settings.recycle != settings.recycle;
        self.settings = settings;
        if let Some(slots) = &mut self.slots {
            slots.set_target(self.settings.number);
        }
        if has_other_rules {
            self.change_rules(now);
        } else {
            self.refresh_deadlines();
        }
    }

    fn refresh_deadlines(&mut self) {
        let ids: Vec<SpawnId> = self.workers.keys().copied().collect();
        for id in ids {
            self.change(id, |_| {});
        }
    }

    /// The only way to change a worker: keeps census and deadlines true.
    fn change(&mut self, id: SpawnId, change: impl FnOnce(&mut Worker)) {
        let (soak, listening_since) = (self.soak(), self.listening_since);
        let Some(worker) = self.workers.get_mut(&id) else { return };
        self.census.unfile(id, standing(worker, self.version));
        self.recycling.unfile(worker);
        if let Some(slots) = &mut self.slots {
            slots.unfile(worker);
        }
        if let Some(at) = worker.deadline.take() {
            self.deadlines.remove(at, id);
        }
        change(worker);
        worker.deadline = acknowledge::deadline_of(worker, &self.settings, soak, listening_since);
        if let Some(at) = worker.deadline {
            self.deadlines.insert(at, id);
        }
        self.recycling.file(worker);
        self.census.file(id, standing(worker, self.version));
        if let Some(slots) = &mut self.slots {
            slots.file(worker, self.version);
        }
    }

    fn insert(&mut self, worker: Worker) {
        let id = worker.id;
        if let Some(pid) = worker.pid {
            self.by_pid.insert(pid, id);
        }
        self.workers.insert(id, Box::new(worker));
        self.change(id, |_| {});
    }

    fn remove(&mut self, id: SpawnId) -> Option<Worker> {
        let worker = *self.workers.remove(&id)?;
        self.census.unfile(id, standing(&worker, self.version));
        self.recycling.unfile(&worker);
        if let Some(slots) = &mut self.slots {
            slots.unfile(&worker);
        }
        if let Some(at) = worker.deadline {
            self.deadlines.remove(at, id);
        }
        if let Some(pid) = worker.pid {
            self.by_pid.remove(&pid);
        }
        self.indexes.give_back(worker.index);
        Some(worker)
    }

    /// Makes `version` the current one, which turns modern workers into old ones or back.
    fn set_version(&mut self, version: Version) {
        self.version = version;
        self.census = Census::default();
        for (&id, worker) in &self.workers {
            self.census.file(id, standing(worker, version));
        }
        self.file_again();
    }

    fn name(&self, id: SpawnId) -> String {
        self.workers.get(&id).map(ToString::to_string).unwrap_or_default()
    }

    fn report(&mut self, report: Report) {
        self.actions.push_back(Action::Report(report));
    }

    fn finish(&mut self, status: u8) {
        self.stage = Stage::Finished;
        self.actions.push_back(Action::Finish(status));
    }
}
