//! Points in time as values. No clock is read here: `sys::clock` makes a [`Moment`], and
//! whoever decides something is handed one.

use std::time::Duration;

/// One instant on both clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// Since the machine's start (`CLOCK_BOOTTIME`): for every interval and deadline. It is
    /// the same clock before and after a re-exec.
    pub monotonic: Duration,
    /// The calendar's time: for people, and for the state's Ruby format.
    pub wall: WallTime,
}

/// Nanoseconds since 1970-01-01 00:00 UTC, without leap seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WallTime {
    /// Nanoseconds; negative before 1970.
    pub nanoseconds: i128,
}

impl Moment {
    /// The same instant moved on by `span`.
    #[must_use]
    pub fn after(self, span: Duration) -> Self {
        let nanoseconds = i128::try_from(span.as_nanos()).unwrap_or(i128::MAX);
        Self {
            monotonic: self.monotonic.saturating_add(span),
            wall: WallTime { nanoseconds: self.wall.nanoseconds.saturating_add(nanoseconds) },
        }
    }

    /// How long ago `earlier` was, by the monotonic clock; zero if it is not earlier.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        self.monotonic.saturating_sub(earlier.monotonic)
    }
}
