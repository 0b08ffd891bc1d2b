//! How fast workers of a version are started one after the other: the interval and its
//! back-off (`protocol.md §7`).

use std::time::Duration;

use einhorn_protocol::limit;

use crate::moment::Moment;

/// Each early death makes the wait before the next start this much longer.
const BACK_OFF: f64 = 1.5;

/// The least time between two gradual starts after `misses` in a row.
pub fn interval(seconds: f64, misses: u32) -> Duration {
    #[expect(clippy::cast_precision_loss, reason = "30 s is a small number")]
    let most = limit::SPAWN_INTERVAL_SECONDS_MAX as f64;
    let exponent = i32::try_from(misses).unwrap_or(i32::MAX);
    let wait = (seconds * BACK_OFF.powi(exponent)).min(most);
    Duration::try_from_secs_f64(wait)
        .unwrap_or(Duration::from_secs(limit::SPAWN_INTERVAL_SECONDS_MAX))
}

/// What the next start depends on. The current version and the one that an upgrade would go
/// back to have one each: newcomers that crash must not delay the old version's replacements.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Pace {
    /// Deaths before acknowledgement in a row.
    pub(super) deaths: u32,
    /// Starts in a row that failed.
    pub(super) failed_spawns: u32,
    /// The last start.
    pub(super) last_spinup: Option<Moment>,
}

impl Pace {
    pub(super) fn note_death(&mut self) {
        self.deaths = self.deaths.saturating_add(1);
    }

    pub(super) fn note_success(&mut self) {
        self.deaths = 0;
    }

    pub(super) fn note_start(&mut self) {
        self.failed_spawns = 0;
    }

    pub(super) fn note_failed_start(&mut self) {
        self.failed_spawns = self.failed_spawns.saturating_add(1);
    }

    /// Forgets what went wrong; the last start still counts.
    pub(super) fn reset(&mut self) {
        *self = Self { last_spinup: self.last_spinup, ..Self::default() };
    }

    /// The wait before the next gradual start.
    pub(super) fn interval(&self, seconds: f64) -> Duration {
        interval(seconds, self.deaths.saturating_add(self.failed_spawns))
    }

    /// When the next gradual start may be, by the monotonic clock; none: at once.
    pub(super) fn next(&self, seconds: f64) -> Option<Duration> {
        self.last_spinup.map(|last| last.monotonic.saturating_add(self.interval(seconds)))
    }
}
