//! Two clocks: one that only goes forward, and a calendar that somebody sets and stops.

use std::time::Duration;

use crate::moment::{Moment, WallTime};

const START: Duration = Duration::from_secs(1000);
const WALL_START: i128 = 1_700_000_000_000_000_000;

#[derive(Debug)]
pub(super) struct Clock {
    monotonic: Duration,
    wall: i128,
    calendar_stands: bool,
}

impl Clock {
    pub(super) fn new() -> Self {
        Self { monotonic: START, wall: WALL_START, calendar_stands: false }
    }

    pub(super) fn now(&self) -> Moment {
        Moment { monotonic: self.monotonic, wall: WallTime { nanoseconds: self.wall } }
    }

    pub(super) fn advance(&mut self, span: Duration) {
        self.monotonic += span;
        if !self.calendar_stands {
            self.wall += i128::try_from(span.as_nanos()).unwrap();
        }
    }

    pub(super) fn advance_to(&mut self, monotonic: Duration) {
        self.advance(monotonic.saturating_sub(self.monotonic));
    }

    pub(super) fn set_calendar(&mut self, by_seconds: i32) {
        self.wall += i128::from(by_seconds) * 1_000_000_000;
    }

    pub(super) fn stop_calendar(&mut self, stands: bool) {
        self.calendar_stands = stands;
    }

    /// Seconds since the history began.
    pub(super) fn seconds(&self) -> f64 {
        self.monotonic.saturating_sub(START).as_secs_f64()
    }
}
