//! The pool as plain data, for crossing a re-exec.

use super::event::{RequestNumber, UpgradeMode};
use super::upgrade::{PendingReload, Upgrade};
use super::worker::{SpawnId, Version, Worker};
use super::{Pool, Stage};
use crate::moment::Moment;
use crate::settings::Settings;

/// Everything that one process must tell the next about its workers.
#[derive(Clone, Debug, PartialEq)]
pub struct Restored {
    /// The numbers to go by.
    pub settings: Settings,
    /// The workers; ids are given anew, in the order of starting.
    pub workers: Vec<Worker>,
    /// Each worker has a slot.
    pub balanced: bool,
    /// The current version.
    pub version: Version,
    /// The version that an upgrade would be rolled back to.
    pub committed: Version,
    /// Deaths before acknowledgement in a row.
    pub deaths_before_ack: u32,
    /// The last start of a worker.
    pub last_spinup: Option<Moment>,
    /// The same of the version that an upgrade would be rolled back to, while one is in
    /// progress.
    pub old_deaths_before_ack: u32,
    /// Its last start.
    pub old_last_spinup: Option<Moment>,
    /// The beginning of the last upgrade.
    pub last_upgraded: Option<Moment>,
    /// The mode of the last upgrade asked for, in progress or not.
    pub last_mode: UpgradeMode,
    /// The upgrade in progress.
    pub upgrade: Option<Upgrade>,
    /// What the re-exec is for.
    pub pending_reload: Option<PendingReload>,
    /// The newest upgrade request.
    pub last_request: RequestNumber,
    /// The master is leaving.
    pub stopping: bool,
    /// The target was reached once.
    pub fleet_was_up: bool,
}

impl Pool {
    /// Makes the pool that was.
    pub fn restore(restored: Restored) -> Self {
        let mut pool = Self::new(restored.settings).balanced(restored.balanced);
        pool.version = restored.version;
        pool.committed = restored.committed;
        pool.pace.deaths = restored.deaths_before_ack;
        pool.pace.last_spinup = restored.last_spinup;
        pool.old_pace.deaths = restored.old_deaths_before_ack;
        pool.old_pace.last_spinup = restored.old_last_spinup;
        pool.last_upgraded = restored.last_upgraded;
        pool.pending_reload = restored.pending_reload;
        pool.last_request = restored.last_request;
        pool.fleet_was_up = restored.fleet_was_up;
        pool.upgrade = restored.upgrade;
        if restored.stopping {
            pool.stage = Stage::Stopping;
        }
        let mut workers = restored.workers;
        workers.sort_by_key(|worker| (worker.spinup_time.monotonic, worker.id));
        for mut worker in workers {
            if !pool.indexes.take_exactly(worker.index) {
                worker.index = pool.indexes.take();
            }
            worker.id = SpawnId(pool.next_id);
            worker.slot = pool.slot_for_restored(&worker);
            worker.draining = None;
            worker.deadline = None;
            pool.next_id += 1;
            pool.insert(worker);
        }
        pool
    }

    /// What the next process needs.
    pub fn to_restored(&self) -> Restored {
        let pending_mode = match self.pending_reload {
            Some(PendingReload::Upgrade { mode, .. }) => Some(mode),
            Some(PendingReload::Plain) | None => None,
        };
        let current_mode = self.upgrade.as_ref().map(|upgrade| upgrade.mode);
        Restored {
            settings: self.settings.clone(),
            workers: self.workers().filter(|worker| worker.pid.is_some()).cloned().collect(),
            balanced: self.is_balanced(),
            version: self.version,
            committed: self.committed,
            deaths_before_ack: self.pace.deaths,
            last_spinup: self.pace.last_spinup,
            old_deaths_before_ack: self.old_pace.deaths,
            old_last_spinup: self.old_pace.last_spinup,
            last_upgraded: self.last_upgraded,
            last_mode: pending_mode.or(current_mode).unwrap_or(UpgradeMode::Smooth),
            upgrade: self.upgrade.clone(),
            pending_reload: self.pending_reload,
            last_request: self.last_request,
            stopping: self.stage != Stage::Serving,
            fleet_was_up: self.fleet_was_up,
        }
    }
}
