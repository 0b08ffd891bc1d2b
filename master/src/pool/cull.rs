//! Retiring what is too much or too old (`protocol.md §7`, culling).

use std::cmp::Reverse;

use super::report::{UpgradeEnd, Why};
use super::worker::SpawnId;
use super::{Pool, Standing, UpgradeMode};
use crate::moment::Moment;
use crate::signal::Signal;

impl Pool {
    pub(super) fn cull(&mut self, now: Moment) {
        match &self.upgrade {
            Some(_) if self.census.acked() >= self.target() => {
                self.retire_old(now, usize::MAX, Why::Replaced);
                self.end_upgrade(now);
            }
            Some(upgrade) if upgrade.mode == UpgradeMode::Smooth || upgrade.rollback.is_some() => {
                let serving = self.census.old() + self.census.acked();
                self.retire_old(now, serving.saturating_sub(self.target()), Why::Replaced);
            }
            Some(_) => {}
            None => self.retire_old(now, usize::MAX, Why::OldVersion),
        }
        self.retire_excess(now);
    }

    fn retire_old(&mut self, now: Moment, count: usize, why: Why) {
        let chosen: Vec<SpawnId> = self.census.old_in_order_of_retirement().take(count).collect();
        for id in chosen {
            self.ask_to_stop(now, id, Signal::USR2, why);
        }
    }

    /// Modern workers beyond the target: those not yet up first, then the highest index, so
    /// that the indexes of those who stay have no gaps.
    fn retire_excess(&mut self, now: Moment) {
        let excess = self.census.modern_unsignaled().saturating_sub(self.target());
        if excess == 0 {
            return;
        }
        let mut candidates = Vec::new();
        for standing in [Standing::ModernUnacked, Standing::ModernAcked] {
            let mut of_standing: Vec<SpawnId> = self.census.of(standing).collect();
            of_standing.sort_by_key(|id| Reverse(self.workers.get(id).map(|worker| worker.index)));
            candidates.append(&mut of_standing);
        }
        for id in candidates.into_iter().take(excess) {
            self.ask_to_stop(now, id, Signal::USR2, Why::AboveTarget);
        }
    }

    fn end_upgrade(&mut self, now: Moment) {
        let Some(upgrade) = self.upgrade.take() else { return };
        let end = upgrade.rollback.clone().unwrap_or(UpgradeEnd::Done);
        self.committed = self.version;
        self.forget_newcomers();
        self.report_upgrade_end(end, upgrade.request, Some(now.since(upgrade.begun)));
    }
}
