//! What holds after every step (ARCHITECTURE.md, *Invariants* and *Decisions*).

use std::collections::BTreeSet;
use std::time::Duration;

use super::world::World;
use crate::pool::{Event, Pool, SpawnId, Standing, UpgradeMode, Version, Worker, standing};
use crate::settings::AckTimeout;

/// As it was before an event.
pub(super) struct Before {
    serving: usize,
    lost: usize,
    hopeless: bool,
    /// Starts are made at once, without regard to pace and budget.
    at_once: bool,
    stopping: bool,
    recycling: usize,
}

impl Before {
    pub(super) fn of(pool: &Pool, event: &Event) -> Self {
        let counts = |id: &SpawnId| {
            pool.worker(*id).is_some_and(|worker| worker.counts && !worker.is_stopping())
        };
        let lost = match event {
            Event::Exited { id, .. } => usize::from(counts(id)),
            // To see everyone off is what it is for.
            Event::StopRequested(_) | Event::QuitRequested(_) => usize::MAX,
            _ => 0,
        };
        Self {
            serving: serving(pool),
            lost,
            hopeless: is_hopeless(pool),
            at_once: *event == Event::Start || is_fleet(pool),
            stopping: pool.is_stopping(),
            recycling: recycling(pool),
        }
    }

    /// Whoever serves is retired only for somebody who serves in its place, unless there is
    /// more than the target.
    pub(super) fn check_capacity(&self, pool: &Pool) {
        if self.hopeless || self.stopping {
            return;
        }
        let least = self.serving.saturating_sub(self.lost).min(target(pool));
        let now = serving(pool);
        assert!(now >= least, "{now} serve, {least} could");
    }

    /// Replacements keep to their limit; one that is lowered stops nothing that has begun.
    pub(super) fn check_recycling(&self, pool: &Pool) {
        let most = (pool.settings().max_unacked.get() as usize).max(self.recycling);
        let begun = recycling(pool);
        assert!(begun <= most, "{begun} are being recycled, of {most} at a time");
    }
}

fn target(pool: &Pool) -> usize {
    pool.settings().number as usize
}

/// Workers that count and that nobody asked to stop, of whatever version.
fn serving(pool: &Pool) -> usize {
    let census = pool.census();
    census.counted() + census.recycling() + census.of(Standing::OldServing).count()
}

fn recycling(pool: &Pool) -> usize {
    pool.census().recycling() + pool.census().recycled_stopping()
}

fn is_fleet(pool: &Pool) -> bool {
    pool.upgrade()
        .is_some_and(|upgrade| upgrade.mode == UpgradeMode::Fleet && upgrade.rollback.is_none())
}

/// The old version cannot be brought back: then, and only then, capacity may be lost.
fn is_hopeless(pool: &Pool) -> bool {
    let rollback = pool.upgrade().and_then(|upgrade| upgrade.rollback.as_ref());
    rollback.is_some_and(|rollback| rollback.failures >= 4)
}

impl World {
    /// After every event.
    pub(super) fn check(&self) {
        if self.left.is_some() {
            return;
        }
        self.check_census();
        self.check_nobody_is_forgotten();
        let pool = &self.pool;
        if pool.is_stopping() {
            assert!(pool.upgrade().is_none() && pool.pending_reload().is_none());
            return;
        }
        assert!(pool.census().modern_unsignaled() <= target(pool), "the excess is retired at once");
        match pool.upgrade() {
            None => {
                assert_eq!(pool.census().old(), 0, "old workers are retired outside an upgrade");
                assert_eq!(pool.version(), pool.committed());
            }
            Some(upgrade) if upgrade.rollback.is_some() => {
                assert_eq!(pool.version(), pool.committed());
            }
            Some(upgrade) => {
                assert_eq!(pool.version(), upgrade.to);
                assert!(pool.version() > pool.committed(), "an upgrade goes forward");
            }
        }
        assert!(pool.upgrade().is_none() || pool.census().recycling() == 0);
        assert_eq!(self.check, pool.pending_reload().is_some(), "a check for each reload");
    }

    fn check_census(&self) {
        let pool = &self.pool;
        let mut indexes = BTreeSet::new();
        for worker in pool.workers() {
            assert!(indexes.insert(worker.index), "index {} is there twice", worker.index);
            let filed = standing(worker, pool.version());
            let is_filed = pool.census().of(filed).any(|id| id == worker.id);
            assert!(is_filed, "{worker} is not filed as {filed:?}");
        }
        assert_eq!(pool.census().alive(), indexes.len(), "each is filed once");
        for worker in pool.workers().filter(|worker| worker.recycling) {
            assert!(worker.stale.is_some() && worker.counts, "{worker} is replaced for a reason");
        }
        let waits =
            |worker: &&Worker| worker.stale.is_some() && !worker.recycling && !worker.is_stopping();
        assert_eq!(pool.waiting_to_be_recycled(), pool.workers().filter(waits).count());
    }

    /// The pool and the kernel know of the same processes.
    fn check_nobody_is_forgotten(&self) {
        let mut known = 0;
        for (pid, process) in self.kernel.children() {
            let found = self.pool.find(pid).map(|worker| worker.id);
            assert_eq!(found, Some(process.worker), "child {pid} is known as what it is");
            known += 1;
        }
        for &id in &self.kernel.waiting {
            assert!(self.pool.worker(id).is_some_and(|worker| worker.pid.is_none()));
            known += 1;
        }
        assert_eq!(self.pool.workers().count(), known, "no worker without a process");
    }

    /// A worker is about to be started.
    pub(super) fn check_start(&self, id: SpawnId, index: u32, version: Version, before: &Before) {
        let pool = &self.pool;
        assert!(!pool.is_stopping(), "nobody is started while it stops");
        assert!(self.versions.contains(&version), "version {version} cannot be started any more");
        let taken: BTreeSet<u32> =
            pool.workers().filter(|worker| worker.id < id).map(|worker| worker.index).collect();
        assert!(!taken.contains(&index));
        if before.at_once || is_fleet(pool) {
            return;
        }
        self.check_budget(version);
    }

    /// Gradual starts keep to the limits.
    fn check_budget(&self, version: Version) {
        let (settings, census) = (self.pool.settings(), self.pool.census());
        if let Some(additional) = settings.max_upgrade_additional {
            let most = (settings.number + additional.get()) as usize;
            assert!(census.alive() <= most, "{} live, {most} may", census.alive());
        }
        if version == self.pool.version() {
            let most = settings.max_unacked.get() as usize;
            assert!(census.unacked() <= most, "{} are not up, {most} may", census.unacked());
        }
        let least = Duration::from_secs_f64(settings.seconds.min(30.0));
        let now = self.clock.now().monotonic;
        if let Some(last) = self.last_starts.get(&version) {
            let waited = now.saturating_sub(*last);
            assert!(waited >= least, "version {version} is started again after {waited:?}");
        }
    }

    /// Whatever is due has been done.
    pub(super) fn check_deadlines(&self) {
        if self.left.is_some() {
            return;
        }
        let now = self.clock.now().monotonic;
        for worker in self.pool.workers().filter(|worker| worker.pid.is_some()) {
            if let Some(until) = self.must_have_changed_by(worker) {
                assert!(until > now, "{worker} is overdue since {until:?}, it is {now:?}");
            }
        }
    }

    fn must_have_changed_by(&self, worker: &Worker) -> Option<Duration> {
        let settings = self.pool.settings();
        if worker.is_stopping() {
            let asked = worker.last_signaled_at.expect("who was asked has a time").monotonic;
            let grace = settings.signal_timeout.filter(|_| !worker.is_killed())?;
            return Some(asked.saturating_add(grace));
        }
        if worker.acked {
            return None;
        }
        let wait = match (settings.ack_mode.timer(), settings.ack_timeout) {
            (Some(wait), _) | (None, AckTimeout::After(wait)) => wait,
            (None, AckTimeout::Never | AckTimeout::Default) => return None,
        };
        Some(worker.spinup_time.monotonic.saturating_add(wait))
    }
}
