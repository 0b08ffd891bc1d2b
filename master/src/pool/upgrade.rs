//! Upgrades from the request to the end, and the re-exec that comes first.
//!
//! An upgrade is a transaction: canaries, then the others, each newcomer counting once it has
//! soaked; when as many count as the target says, it is committed. Whatever goes wrong before
//! that leads back to the version that was committed before.

use std::time::Duration;

use super::event::{RequestNumber, UpgradeMode};
use super::report::{Callers, Report, UpgradeEnd};
use super::rollback::Rollback;
use super::worker::{Pid, SpawnId, Version, Worker};
use super::{Action, Pool, Reload, Standing};
use crate::moment::Moment;
use crate::settings::UpgradeRules;

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
        /// What it must prove, and when it is given up.
        rules: UpgradeRules,
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

/// A newcomer that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Its pid.
    pub pid: Option<Pid>,
    /// Its index.
    pub index: u32,
    /// How, such as `status 3`.
    pub reason: String,
}

/// Where an upgrade is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// The first newcomers prove themselves.
    Canary,
    /// The others are started.
    Roll,
    /// All are up; some have to prove that they stay so.
    Soak,
    /// It is being undone.
    Rollback,
}

impl Phase {
    /// Its name, for people and programs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Canary => "canary",
            Self::Roll => "roll",
            Self::Soak => "soak",
            Self::Rollback => "rollback",
        }
    }
}

/// An upgrade in progress.
#[derive(Clone, Debug, PartialEq)]
pub struct Upgrade {
    /// How workers are replaced.
    pub mode: UpgradeMode,
    /// What it must prove, and when it is given up.
    pub rules: UpgradeRules,
    /// The request that it carries out.
    pub request: RequestNumber,
    /// The version that it is to bring in.
    pub to: Version,
    /// When it began.
    pub begun: Moment,
    /// The canaries have proved themselves.
    pub canary_passed: bool,
    /// Newcomers that failed so far.
    pub failures: u32,
    /// The first of them.
    pub first_failure: Option<Failure>,
    /// Set while it is being undone.
    pub rollback: Option<Rollback>,
    /// When to say again for whom it waits.
    pub(super) remind_at: Duration,
    /// What the last progress line said, so that none is said twice.
    pub(super) last_told: Option<[usize; 5]>,
}

impl Upgrade {
    /// An upgrade to version `to` that begins at `now`.
    pub fn begin(
        mode: UpgradeMode,
        rules: UpgradeRules,
        request: RequestNumber,
        to: Version,
        now: Moment,
    ) -> Self {
        let mut upgrade = Self {
            mode,
            rules,
            request,
            to,
            begun: now,
            canary_passed: false,
            failures: 0,
            first_failure: None,
            rollback: None,
            remind_at: now.monotonic.saturating_add(REMINDER),
            last_told: None,
        };
        upgrade.canary_passed = upgrade.canaries() == 0;
        upgrade
    }

    fn canaries(&self) -> usize {
        let default = match self.mode {
            UpgradeMode::Smooth => 1,
            UpgradeMode::Fleet => 0,
        };
        usize::try_from(self.rules.canary.unwrap_or(default)).unwrap_or(usize::MAX)
    }

    /// How many newcomers there may be while the canaries prove themselves.
    pub(super) fn canaries_wanted(&self) -> Option<usize> {
        (!self.canary_passed && self.rollback.is_none()).then(|| self.canaries())
    }

    /// When it has taken too long, by the monotonic clock.
    pub(super) fn overdue_at(&self) -> Option<Duration> {
        let timeout = self.rules.timeout.filter(|_| self.rollback.is_none())?;
        Some(self.begun.monotonic.saturating_add(timeout))
    }

    /// When this phase ends whatever happens, by the monotonic clock: the upgrade is given up,
    /// or the rollback waits no longer for newcomers to stop.
    pub fn ends_by(&self) -> Option<Duration> {
        match &self.rollback {
            Some(rollback) => rollback.linger_until,
            None => self.overdue_at(),
        }
    }

    /// The next time at which something has to be done for it.
    pub(super) fn next_deadline(&self) -> Option<Duration> {
        let lingering = self.rollback.as_ref().and_then(|rollback| rollback.linger_until);
        [Some(self.remind_at), self.overdue_at(), lingering].into_iter().flatten().min()
    }
}

impl Pool {
    /// Where the upgrade in progress is.
    pub fn phase(&self) -> Option<Phase> {
        let upgrade = self.upgrade.as_ref()?;
        Some(if upgrade.rollback.is_some() {
            Phase::Rollback
        } else if !upgrade.canary_passed {
            Phase::Canary
        } else if self.census.acked() >= self.target() {
            Phase::Soak
        } else {
            Phase::Roll
        })
    }

    pub(super) fn request_reload(&mut self) {
        if self.pending_reload.is_none() {
            self.pending_reload = Some(PendingReload::Plain);
            self.actions.push_back(Action::Reload(Reload::Begin));
        }
    }

    /// A request during the check joins it: the latest decides the mode and the rules.
    pub(super) fn request_upgrade(
        &mut self,
        mode: UpgradeMode,
        rules: UpgradeRules,
        request: RequestNumber,
    ) {
        let superseding = self.pending_reload.is_some_and(PendingReload::is_for_upgrade);
        let check_is_running = self.pending_reload.is_some();
        self.last_request = request;
        self.pending_reload = Some(PendingReload::Upgrade { mode, rules, request, superseding });
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
                let (from, to) = (self.version, self.next_version());
                self.report(Report::UpgradeEnded { end, callers, from, to, took: None });
            }
            Some(PendingReload::Plain) => self.report(Report::ReloadFailed { reason }),
            None => {}
        }
    }

    /// The new process takes up what the old one was asked for.
    pub(super) fn continue_after_reload(&mut self, now: Moment) {
        self.listen_anew(now);
        if let Some(PendingReload::Upgrade { mode, rules, request, superseding }) =
            self.pending_reload.take()
        {
            if self.upgrade.is_some() || superseding {
                let callers = Callers::UpTo(request.saturating_sub(1));
                let (from, to) = (self.committed, self.next_version());
                let end = UpgradeEnd::Superseded;
                self.report(Report::UpgradeEnded { end, callers, from, to, took: None });
            }
            self.begin_upgrade(now, mode, rules, request);
        }
    }

    /// A version that no living worker has, though one may have been given up.
    fn next_version(&self) -> Version {
        let newest = self.workers.values().map(|worker| worker.version).max().unwrap_or(0);
        newest.max(self.version).saturating_add(1)
    }

    fn begin_upgrade(
        &mut self,
        now: Moment,
        mode: UpgradeMode,
        rules: UpgradeRules,
        request: RequestNumber,
    ) {
        let to = self.next_version();
        let (from, target) = (self.committed, self.target());
        // So it is without an upgrade, and in a rollback.
        if self.version == self.committed {
            self.old_pace = self.pace;
        }
        self.pace.reset();
        self.suspend_recycling();
        // Those that soak for an upgrade that is no more have no soak to wait for.
        self.upgrade = Some(Upgrade::begin(mode, rules, request, to, now));
        self.forget_newcomers();
        self.set_version(to);
        self.last_upgraded = Some(now);
        self.report(Report::UpgradeBegun { mode, from, to, target });
        if mode == UpgradeMode::Fleet {
            self.spawn_missing(now);
        }
    }

    /// When the canaries count, the others follow.
    pub(super) fn pass_canaries(&mut self, now: Moment) {
        let counted = self.census.counted();
        let target = self.target();
        let Some(upgrade) = self.upgrade.as_mut() else { return };
        let Some(wanted) = upgrade.canaries_wanted() else { return };
        if counted < wanted.min(target) {
            return;
        }
        upgrade.canary_passed = true;
        let mode = upgrade.mode;
        self.report(Report::CanariesPassed { count: counted });
        if mode == UpgradeMode::Fleet {
            self.spawn_missing(now);
        }
    }

    /// A worker that nobody asked to stop is no more, or never came up.
    pub(super) fn note_failure(&mut self, id: SpawnId, reason: &str) {
        if let Some(worker) = self.worker(id).cloned() {
            self.note_failure_of(&worker, reason);
        }
    }

    /// As [`Self::note_failure`], for a worker that has been forgotten already.
    pub(super) fn note_failure_of(&mut self, worker: &Worker, reason: &str) {
        let current = self.version;
        let Some(upgrade) = self.upgrade.as_mut() else { return };
        if worker.version != current {
            return;
        }
        if let Some(rollback) = upgrade.rollback.as_mut() {
            rollback.failures += u32::from(!worker.acked);
            return;
        }
        let (pid, index) = (worker.pid, worker.index);
        upgrade.failures = upgrade.failures.saturating_add(1);
        upgrade.first_failure.get_or_insert_with(|| Failure {
            pid,
            index,
            reason: reason.to_string(),
        });
        let (failures, attempts) = (upgrade.failures, upgrade.rules.attempts);
        if attempts > 0 && failures >= attempts {
            let why = match failures {
                1 => "a new worker failed".to_string(),
                several => format!("{several} new workers failed"),
            };
            self.give_up(why);
        }
    }

    /// Goes back because of what went wrong.
    fn give_up(&mut self, why: String) {
        let failure = self.upgrade.as_ref().and_then(|upgrade| upgrade.first_failure.clone());
        self.roll_back(UpgradeEnd::RolledBack { why, failure });
    }

    /// Gives up what is being prepared and what is in progress.
    pub(super) fn abort(&mut self) {
        if self.pending_reload.is_some_and(PendingReload::is_for_upgrade) {
            self.pending_reload = None;
            self.actions.push_back(Action::Reload(Reload::Cancel));
            match &self.upgrade {
                None => self.report_upgrade_end(UpgradeEnd::Aborted, self.last_request, None),
                // Its own callers are told at its end, and these wait for another one.
                Some(Upgrade { rollback: Some(_), request, .. }) => {
                    let callers = Callers::After(*request);
                    let (from, to) = (self.committed, self.next_version());
                    let end = UpgradeEnd::Aborted;
                    self.report(Report::UpgradeEnded { end, callers, from, to, took: None });
                }
                Some(_) => {}
            }
        }
        self.roll_back(UpgradeEnd::Aborted);
    }

    /// As many count as the target says: the old version is history.
    pub(super) fn commit(&mut self, now: Moment) {
        let Some(upgrade) = self.upgrade.take() else { return };
        let (from, to) = (self.committed, self.version);
        self.committed = to;
        self.old_pace = super::pace::Pace::default();
        self.forget_newcomers();
        let (callers, took) = (Callers::UpTo(upgrade.request), now.since(upgrade.begun));
        let end = UpgradeEnd::Committed;
        self.report(Report::UpgradeEnded { end, callers, from, to, took: Some(took) });
    }

    /// An upgrade ends before it has begun, or with the master.
    pub(super) fn report_upgrade_end(
        &mut self,
        end: UpgradeEnd,
        request: RequestNumber,
        took: Option<Duration>,
    ) {
        let callers = Callers::UpTo(request);
        let to = self.upgrade.as_ref().map_or_else(|| self.next_version(), |upgrade| upgrade.to);
        self.report(Report::UpgradeEnded { end, callers, from: self.committed, to, took });
    }

    /// Nobody is a newcomer any more, and no soak is waited for.
    pub(super) fn forget_newcomers(&mut self) {
        let ids: Vec<SpawnId> = self
            .workers
            .values()
            .filter(|worker| worker.newcomer)
            .map(|worker| worker.id)
            .collect();
        for id in ids {
            self.change(id, |worker| {
                worker.newcomer = false;
                worker.counts = worker.acked;
            });
        }
    }

    /// A progress line where the counts have changed, or anyway if `again`.
    pub(super) fn report_progress(&mut self, again: bool) {
        let census = &self.census;
        let (acked, soaking, old) = (census.acked(), census.soaking(), census.old());
        let (retiring, missing) = (census.old_stopping(), census.unacked());
        let counts = [acked, soaking, old, retiring, missing];
        let unacked: Vec<SpawnId> = census.of(Standing::ModernUnacked).take(NAMED_MAX).collect();
        let Some(upgrade) = self.upgrade.as_mut() else { return };
        if upgrade.last_told == Some(counts) && !again {
            return;
        }
        // Before they run they have no pid that could be told; their start settles again.
        if unacked.iter().any(|id| self.workers.get(id).is_some_and(|w| w.pid.is_none())) {
            return;
        }
        upgrade.last_told = Some(counts);
        let mut waiting_for: Vec<String> = unacked.iter().map(|&id| self.name(id)).collect();
        if missing > NAMED_MAX {
            waiting_for.push(format!("and {} more", missing - NAMED_MAX));
        }
        let target = self.target();
        self.report(Report::UpgradeProgress {
            acked,
            target,
            soaking,
            old,
            retiring,
            waiting_for,
            again,
        });
    }

    /// The upgrade's own deadlines: the reminder, and the end of its time.
    pub(super) fn meet_upgrade_deadlines(&mut self, now: Moment) {
        let Some(upgrade) = self.upgrade.as_mut() else { return };
        if upgrade.overdue_at().is_some_and(|at| at <= now.monotonic) {
            let timeout = upgrade.rules.timeout.unwrap_or_default();
            self.give_up(format!("it took longer than {}", super::Seconds(timeout)));
            return;
        }
        if upgrade.remind_at <= now.monotonic {
            upgrade.remind_at = now.monotonic.saturating_add(REMINDER);
            self.report_progress(true);
        }
    }
}
