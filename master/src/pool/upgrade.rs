//! Upgrades from the request to the end, and the re-exec that comes first.
//!
//! A rollback is a smooth upgrade towards the version that was left: the old workers that
//! still live are modern again, what is missing of them is started, and the newcomers are
//! retired as the old ones come up.

use std::time::Duration;

use super::event::{RequestNumber, UpgradeMode};
use super::report::{Callers, Report, UpgradeEnd};
use super::worker::SpawnId;
use super::{Action, Pool, Reload, Standing};
use crate::moment::Moment;

/// How often an upgrade that waits says for whom.
const REMINDER: Duration = Duration::from_secs(10);

/// How many workers a line about waiting names.
const NAMED_MAX: usize = 10;

/// A re-exec in preparation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PendingReload {
    /// Nothing follows.
    Plain,
    /// An upgrade follows.
    Upgrade {
        /// How workers will be replaced.
        mode: UpgradeMode,
        /// The latest request.
        request: RequestNumber,
        /// Earlier requests wait for the same re-exec.
        superseding: bool,
    },
}

impl PendingReload {
    /// Whether an upgrade follows the re-exec.
    pub fn is_for_upgrade(self) -> bool {
        matches!(self, Self::Upgrade { .. })
    }
}

/// An upgrade in progress.
#[derive(Clone, Debug, PartialEq)]
pub struct Upgrade {
    /// How workers are replaced.
    pub mode: UpgradeMode,
    /// The request that it carries out.
    pub request: RequestNumber,
    /// When it began.
    pub begun: Moment,
    /// Set while it is being undone, to how it will have ended.
    pub rollback: Option<UpgradeEnd>,
    /// When to say again for whom it waits.
    pub(super) remind_at: Duration,
    /// What the last progress line said, so that none is said twice.
    pub(super) last_told: Option<(usize, usize, usize)>,
}

impl Upgrade {
    /// An upgrade that begins, or is taken up again, at `now`.
    pub fn begin(mode: UpgradeMode, request: RequestNumber, now: Moment) -> Self {
        Self {
            mode,
            request,
            begun: now,
            rollback: None,
            remind_at: now.monotonic.saturating_add(REMINDER),
            last_told: None,
        }
    }
}

impl Pool {
    pub(super) fn request_reload(&mut self) {
        if self.pending_reload.is_none() {
            self.pending_reload = Some(PendingReload::Plain);
            self.actions.push_back(Action::Reload(Reload::Begin));
        }
    }

    /// A request during the check joins it: the latest decides the mode.
    pub(super) fn request_upgrade(&mut self, mode: UpgradeMode, request: RequestNumber) {
        let superseding = self.pending_reload.is_some_and(PendingReload::is_for_upgrade);
        let check_is_running = self.pending_reload.is_some();
        self.last_request = request;
        self.pending_reload = Some(PendingReload::Upgrade { mode, request, superseding });
        if !check_is_running {
            self.actions.push_back(Action::Reload(Reload::Begin));
        }
    }

    pub(super) fn note_reload_failed(&mut self, reason: String) {
        match self.pending_reload.take() {
            Some(PendingReload::Upgrade { .. }) => {
                let end = UpgradeEnd::ReloadFailed(reason);
                let serving = self.upgrade.as_ref().map_or(0, |upgrade| upgrade.request);
                let callers = Callers::After(serving);
                let version = self.version;
                self.report(Report::UpgradeEnded { end, callers, version, took: None });
            }
            Some(PendingReload::Plain) => self.report(Report::ReloadFailed { reason }),
            None => {}
        }
    }

    /// The new process takes up what the old one was asked for.
    pub(super) fn continue_after_reload(&mut self, now: Moment) {
        if let Some(PendingReload::Upgrade { mode, request, superseding }) =
            self.pending_reload.take()
        {
            self.begin_upgrade(now, mode, request, superseding);
        }
    }

    fn begin_upgrade(
        &mut self,
        now: Moment,
        mode: UpgradeMode,
        request: RequestNumber,
        superseding: bool,
    ) {
        let newest = self.workers.values().map(|worker| worker.version).max().unwrap_or(0);
        let to = newest.max(self.version).saturating_add(1);
        if self.upgrade.is_some() || superseding {
            let callers = Callers::UpTo(request.saturating_sub(1));
            let end = UpgradeEnd::Superseded;
            self.report(Report::UpgradeEnded { end, callers, version: to, took: None });
        }
        let (from, target) = (self.version, self.target());
        self.set_version(to);
        self.deaths_before_ack = 0;
        self.failed_spawns = 0;
        self.last_upgraded = Some(now);
        self.upgrade = Some(Upgrade::begin(mode, request, now));
        self.report(Report::UpgradeBegun { mode, from, to, target });
        if mode == UpgradeMode::Fleet {
            self.spawn_missing(now);
        }
    }

    /// Gives up what is being prepared and what is in progress.
    pub(super) fn abort(&mut self, now: Moment) {
        if self.pending_reload.is_some_and(PendingReload::is_for_upgrade) {
            self.pending_reload = None;
            self.actions.push_back(Action::Reload(Reload::Cancel));
            if self.upgrade.is_none() {
                self.report_upgrade_end(UpgradeEnd::Aborted, self.last_request, None);
            }
        }
        self.roll_back(now, UpgradeEnd::Aborted);
    }

    fn roll_back(&mut self, now: Moment, end: UpgradeEnd) {
        let Some(upgrade) = self.upgrade.as_mut() else { return };
        if upgrade.rollback.is_some() {
            return;
        }
        upgrade.rollback = Some(end);
        upgrade.request = self.last_request;
        upgrade.remind_at = now.monotonic.saturating_add(REMINDER);
        let (from, to) = (self.version, self.committed);
        self.set_version(to);
        self.deaths_before_ack = 0;
        self.failed_spawns = 0;
        self.report(Report::RollbackBegun { from, to });
    }

    pub(super) fn report_upgrade_end(
        &mut self,
        end: UpgradeEnd,
        request: RequestNumber,
        took: Option<Duration>,
    ) {
        let (callers, version) = (Callers::UpTo(request), self.version);
        self.report(Report::UpgradeEnded { end, callers, version, took });
    }

    /// Outside an upgrade nobody is a newcomer.
    pub(super) fn forget_newcomers(&mut self) {
        let ids: Vec<SpawnId> = self
            .workers
            .values()
            .filter(|worker| worker.newcomer)
            .map(|worker| worker.id)
            .collect();
        for id in ids {
            self.change(id, |worker| worker.newcomer = false);
        }
    }

    /// A progress line where the counts have changed, or anyway if `again`.
    pub(super) fn report_progress(&mut self, again: bool) {
        let (acked, old) = (self.census.acked(), self.census.old());
        let unacked: Vec<SpawnId> =
            self.census.of(Standing::ModernUnacked).take(NAMED_MAX + 1).collect();
        let counts = (acked, old, self.census.unacked());
        let Some(upgrade) = self.upgrade.as_mut() else { return };
        if upgrade.last_told == Some(counts) && !again {
            return;
        }
        // Before they run they have no pid that could be told; their start settles again.
        if unacked.iter().any(|id| self.workers.get(id).is_some_and(|w| w.pid.is_none())) {
            return;
        }
        upgrade.last_told = Some(counts);
        let mut waiting_for: Vec<String> =
            unacked.iter().take(NAMED_MAX).map(|&id| self.name(id)).collect();
        if counts.2 > NAMED_MAX {
            waiting_for.push(format!("and {} more", counts.2 - NAMED_MAX));
        }
        let target = self.target();
        self.report(Report::UpgradeProgress { acked, target, old, waiting_for, again });
    }

    pub(super) fn remind(&mut self, now: Moment) {
        let Some(upgrade) = self.upgrade.as_mut() else { return };
        if upgrade.remind_at <= now.monotonic {
            upgrade.remind_at = now.monotonic.saturating_add(REMINDER);
            self.report_progress(true);
        }
    }
}
