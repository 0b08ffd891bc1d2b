//! Retiring what is too much or too old (`protocol.md §7`, culling).

use super::order::{by_rank, descending};
use super::report::Why;
use super::rollback::Rollback;
use super::worker::SpawnId;
use super::{Pool, Standing, Upgrade, UpgradeMode};
use crate::moment::Moment;

impl Pool {
    pub(super) fn cull(&mut self, now: Moment) {
        match &self.upgrade {
            Some(upgrade) if self.is_reached(upgrade) => {
                let is_rollback = upgrade.rollback.is_some();
                let why = if is_rollback { Why::OldVersion } else { Why::Replaced };
                self.retire_old(now, usize::MAX, why);
                if is_rollback {
                    self.end_rollback(now);
                } else {
                    self.commit(now);
                }
            }
            Some(upgrade) if upgrade.mode == UpgradeMode::Smooth || upgrade.rollback.is_some() => {
                self.forget_lingering();
                self.retire_superseded(now);
                let serving = self.census.old() + self.census.counted();
                self.retire_old(now, serving.saturating_sub(self.target()), Why::Replaced);
            }
            Some(_) => self.retire_superseded(now),
            None => {
                self.retire_old(now, usize::MAX, Why::OldVersion);
                self.retire_recycled(now);
            }
        }
        self.retire_excess(now);
        self.keep_unconfirmed();
    }

    /// As many count as there are to be, or a rollback has no hope of that.
    fn is_reached(&self, upgrade: &Upgrade) -> bool {
        self.census.counted() >= self.target()
            || upgrade.rollback.as_ref().is_some_and(Rollback::is_hopeless)
    }

    fn retire_old(&mut self, now: Moment, count: usize, why: Why) {
        for id in self.old_to_retire(count) {
            self.retire(now, id, why);
        }
    }

    /// Newcomers that never came to count and whose upgrade is not the one in progress: they
    /// serve nobody, and nobody waits for them.
    fn retire_superseded(&mut self, now: Moment) {
        let is_superseded = |id: &SpawnId| {
            self.workers.get(id).is_some_and(|worker| worker.version != self.committed)
        };
        let chosen: Vec<SpawnId> =
            self.census.of(Standing::OldUnproven).filter(is_superseded).collect();
        for id in chosen {
            self.retire(now, id, Why::OldVersion);
        }
    }

    /// Modern workers beyond the target: those not yet up first, then the highest index, so
    /// that the indexes of those who stay have no gaps.
    fn retire_excess(&mut self, now: Moment) {
        if self.is_balanced() {
            self.retire_beyond(now);
            return;
        }
        let excess = self.census.modern_unsignaled().saturating_sub(self.target());
        if excess == 0 {
            return;
        }
        let mut candidates = Vec::new();
        for standing in [Standing::ModernUnacked, Standing::ModernSoaking, Standing::ModernServing]
        {
            let index = |id: SpawnId| self.workers.get(&id).map_or(0, |worker| worker.index);
            let of_standing = self.census.of(standing);
            candidates.extend(by_rank(of_standing, |id| [descending(index(id)), 0]));
        }
        for id in candidates.into_iter().take(excess) {
            self.retire(now, id, Why::AboveTarget);
        }
    }
}
