//! Going back to the version that was committed.
//!
//! It is a smooth upgrade backwards: the old workers that still live are modern again, what is
//! missing of them is started, and the newcomers are retired as the old ones come up. So
//! capacity never dips for it, and there is no second set of rules.

use std::time::Duration;

use super::Pool;
use super::report::{Callers, Report, UpgradeEnd};
use crate::moment::Moment;

/// How long the end waits for newcomers that were asked to stop, so that after it every answer
/// comes from the old version. One that takes longer is finishing what it has begun.
const LINGER: Duration = Duration::from_secs(5);

/// Workers of the old version that may fail to start before the rollback ends without them.
const FAILURES_MAX: u32 = 5;

/// An upgrade that is being undone.
#[derive(Clone, Debug, PartialEq)]
pub struct Rollback {
    /// How the upgrade will have ended.
    pub end: UpgradeEnd,
    /// Workers of the old version that failed to come up meanwhile.
    pub failures: u32,
    /// The old version serves; newcomers have until then to be gone before that is said.
    pub(super) linger_until: Option<Duration>,
}

impl Rollback {
    /// A rollback that begins.
    pub fn new(end: UpgradeEnd) -> Self {
        Self { end, failures: 0, linger_until: None }
    }

    /// The old version does not come up any more either.
    pub(super) fn is_hopeless(&self) -> bool {
        self.failures >= FAILURES_MAX
    }
}

impl Pool {
    pub(super) fn roll_back(&mut self, end: UpgradeEnd) {
        let last_request = self.last_request;
        let Some(upgrade) = self.upgrade.as_mut() else { return };
        if upgrade.rollback.is_some() {
            return;
        }
        upgrade.rollback = Some(Rollback::new(end.clone()));
        if end == UpgradeEnd::Aborted {
            upgrade.request = last_request;
        }
        let (from, to) = (self.version, self.committed);
        self.pace = self.old_pace;
        self.pace.reset();
        self.forget_newcomers();
        self.set_version(to);
        self.report(Report::RollbackBegun { from, to, end });
    }

    /// The old version does not serve, or no longer: nobody is waited for yet.
    pub(super) fn forget_lingering(&mut self) {
        if let Some(rollback) = self.upgrade.as_mut().and_then(|upgrade| upgrade.rollback.as_mut())
        {
            rollback.linger_until = None;
        }
    }

    /// The old version serves again and newcomers have been asked to stop: it is over when
    /// they are gone, or have had their time.
    pub(super) fn end_rollback(&mut self, now: Moment) {
        let is_clear = self.census.old_stopping() == 0;
        let Some(rollback) = self.upgrade.as_mut().and_then(|upgrade| upgrade.rollback.as_mut())
        else {
            return;
        };
        let until =
            *rollback.linger_until.get_or_insert_with(|| now.monotonic.saturating_add(LINGER));
        if !is_clear && until > now.monotonic {
            return;
        }
        let Some(upgrade) = self.upgrade.take() else { return };
        let Some(rollback) = upgrade.rollback else { return };
        self.old_pace = super::pace::Pace::default();
        self.report(Report::UpgradeEnded {
            end: rollback.end,
            callers: Callers::UpTo(upgrade.request),
            from: self.version,
            to: upgrade.to,
            took: Some(now.since(upgrade.begun)),
        });
    }
}
