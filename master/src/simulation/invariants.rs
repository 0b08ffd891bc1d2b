//! What holds after every step (ARCHITECTURE.md, *Invariants* and *Decisions*).

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use einhorn_protocol::limit;

use super::world::World;
use crate::pool::invariants::{check_census, check_settled};
use crate::pool::{Event, Pool, SpawnId, Standing, UpgradeMode, Version, Worker};
use crate::settings::AckTimeout;

/// As it was before an event.
pub(super) struct Before {
    serving: usize,
    lost: usize,
    hopeless: bool,
    /// Starts that failed in the rollback that goes on, and workers that did not come up in time.
    failures: Option<u32>,
    failed: usize,
    /// Starts are made at once, without regard to pace and budget.
    at_once: bool,
    stopping: bool,
    recycling: usize,
    version: Version,
}

impl Before {
    pub(super) fn of(world: &World, event: &Event) -> Self {
        let pool = &world.pool;
        let counts = |id: &SpawnId| pool.worker(*id).is_some_and(serves);
        let lost = match event {
            Event::Exited { id, .. } | Event::Retiring { id } => usize::from(counts(id)),
            // Those that were leaving do so again at the first event of the next image.
            Event::Adopted | Event::ReloadFailed { .. } => world.leaving_before_reload,
            // To see everyone off is what it is for.
            Event::StopRequested(_) | Event::QuitRequested(_) => usize::MAX,
            _ => 0,
        };
        Self {
            serving: serving(pool),
            lost,
            hopeless: is_hopeless(pool),
            failures: failures(pool),
            failed: failed(pool),
            at_once: *event == Event::Start || is_fleet(pool),
            stopping: pool.is_stopping(),
            recycling: recycling(pool),
            version: pool.version(),
        }
    }

    /// Whoever serves is retired only for somebody who serves in its place, unless there is
    /// more than the target.
    pub(super) fn check_capacity(&self, pool: &Pool) {
        if self.hopeless || self.stopping || self.has_become_hopeless(pool) {
            return;
        }
        let least = self.serving.saturating_sub(self.lost).min(target(pool));
        let now = serving(pool);
        assert!(now >= least, "{now} serve, {least} could");
    }

    /// The time of many is over at the same instant.
    fn has_become_hopeless(&self, pool: &Pool) -> bool {
        let more = failed(pool).saturating_sub(self.failed);
        self.failures.is_some_and(|failures| failures as usize + more >= FAILURES_MAX)
    }

    /// Replacements keep to their limit; one that is lowered stops nothing that has begun, and
    /// neither does a rollback, which takes up again what it finds.
    pub(super) fn check_recycling(&self, pool: &Pool) {
        if self.version != pool.version() {
            return;
        }
        let most = (pool.settings().max_unacked.get() as usize).max(self.recycling);
        let begun = recycling(pool);
        assert!(begun <= most, "{begun} are being recycled, of {most} at a time");
    }
}

fn target(pool: &Pool) -> usize {
    pool.settings().number as usize
}

/// It counts, goes on, and does not go once its queue is empty.
fn serves(worker: &Worker) -> bool {
    worker.counts && !worker.is_stopping() && worker.draining.is_none()
}

/// Those that serve, of whatever version.
fn serving(pool: &Pool) -> usize {
    let serving = [Standing::ModernServing, Standing::ModernRecycling, Standing::OldServing];
    let ids = serving.into_iter().flat_map(|standing| pool.census().of(standing));
    ids.filter(|id| pool.worker(*id).is_some_and(serves)).count()
}

fn recycling(pool: &Pool) -> usize {
    pool.census().recycling() + pool.census().recycled_stopping()
}

fn is_fleet(pool: &Pool) -> bool {
    pool.upgrade()
        .is_some_and(|upgrade| upgrade.mode == UpgradeMode::Fleet && upgrade.rollback.is_none())
}

/// With so many failed starts the old version cannot be brought back.
const FAILURES_MAX: usize = 5;

/// One more failure, and the old version cannot be brought back: then, and only then, capacity may
/// be lost.
fn is_hopeless(pool: &Pool) -> bool {
    failures(pool).is_some_and(|failures| failures as usize + 1 >= FAILURES_MAX)
}

fn failures(pool: &Pool) -> Option<u32> {
    Some(pool.upgrade()?.rollback.as_ref()?.failures)
}

/// Those of the current version that did not come up in time.
fn failed(pool: &Pool) -> usize {
    let current = pool.workers().filter(|worker| worker.version == pool.version());
    current.filter(|worker| worker.failed).count()
}

impl World {
    /// After every event.
    pub(super) fn check(&mut self) {
        if self.left.is_some() {
            return;
        }
        self.check_census();
        self.check_nobody_is_forgotten();
        let rivals = self.check_slots();
        self.may_be_crowded &= rivals > 0;
        let pool = &self.pool;
        check_settled(pool);
        if pool.is_stopping() {
            return;
        }
        self.check_no_slot_is_left();
        assert_eq!(self.check, pool.pending_reload().is_some(), "a check for each reload");
    }

    fn check_census(&self) {
        let pool = &self.pool;
        check_census(pool);
        for worker in pool.workers().filter(|worker| worker.recycling) {
            assert!(worker.stale.is_some() && worker.counts, "{worker} is replaced for a reason");
        }
        let waits =
            |worker: &&Worker| worker.stale.is_some() && !worker.recycling && !worker.is_stopping();
        assert_eq!(pool.waiting_to_be_recycled(), pool.workers().filter(waits).count());
    }

    /// A slot has one worker of the current version that goes on and is not stale, and one that
    /// drains is the last of its slot. A pool that is not balanced has no slots. A rollback in
    /// the middle of a replacement may leave two in a slot, while both are needed: how many
    /// such rivals there are is told.
    fn check_slots(&self) -> usize {
        let pool = &self.pool;
        let mut held = BTreeMap::new();
        let mut rivals = 0;
        for worker in pool.workers() {
            assert_eq!(worker.slot.is_some(), pool.is_balanced(), "{worker}");
            assert!(worker.slot.is_some() || worker.draining.is_none(), "{worker} drains");
            let Some(slot) = worker.slot.filter(|_| !worker.is_stopping()) else { continue };
            if worker.version == pool.version()
                && !worker.recycling
                && let Some(other) = held.insert(slot, worker)
            {
                let is_stale = worker.stale.or(other.stale).is_some();
                let is_needed = self.may_be_crowded && pool.census().counted() <= target(pool);
                assert!(is_stale || is_needed, "{worker} and {other} in slot {slot}");
                rivals += 1;
            }
            let others = || pool.workers().filter(|other| other.id != worker.id);
            assert!(
                worker.draining.is_none()
                    || others().all(|other| other.slot != Some(slot) || other.is_stopping()),
                "{worker} drains, and is not the last in slot {slot}"
            );
        }
        rivals
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
        self.check_limits(id, version);
    }

    /// Gradual starts keep to the limits.
    fn check_limits(&self, id: SpawnId, version: Version) {
        let (settings, census) = (self.pool.settings(), self.pool.census());
        if let Some(additional) = settings.max_upgrade_additional
            && !self.fills_an_abandoned_slot(id)
        {
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

    /// It is about to be the only one in its slot that goes on, outside an upgrade.
    fn fills_an_abandoned_slot(&self, id: SpawnId) -> bool {
        let pool = &self.pool;
        let slot = pool.worker(id).and_then(|worker| worker.slot);
        let others = || pool.workers().filter(|other| other.id != id && other.slot == slot);
        slot.is_some() && pool.version() == pool.committed() && others().all(Worker::is_stopping)
    }

    /// A slot in which nobody goes on has its next worker as soon as the interval allows, unless
    /// too many others are not up yet.
    fn check_no_slot_is_left(&self) {
        let pool = &self.pool;
        if !pool.is_balanced() || pool.version() != pool.committed() {
            return;
        }
        // Slow stoppers keep their slot, since they must not multiply.
        let has_it = |worker: &&Worker| {
            !worker.is_stopping() || worker.version == pool.version() && !worker.recycling
        };
        let filled: BTreeSet<_> =
            pool.workers().filter(has_it).filter_map(|worker| worker.slot).collect();
        let Some(slot) = (0..pool.settings().number).find(|slot| !filled.contains(slot)) else {
            return;
        };
        if pool.census().unacked() >= pool.settings().max_unacked.get() as usize {
            return;
        }
        let last = self.last_starts.get(&pool.version()).copied().unwrap_or_default();
        let most = last.saturating_add(Duration::from_secs(limit::SPAWN_INTERVAL_SECONDS_MAX));
        let next = pool.next_deadline();
        assert!(next.is_some_and(|at| at <= most), "slot {slot} is left, until {next:?}");
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
        if let Some(draining) = worker.draining {
            let most = Duration::from_secs(limit::DRAIN_SECONDS_MAX);
            return Some(draining.since.monotonic.saturating_add(most));
        }
        if worker.counts && worker.stale.is_none() {
            let age = settings.recycle.max_age?;
            return Some(worker.spinup_time.monotonic.saturating_add(age));
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
