//! The two clocks, and waiting by them. Nothing else in the program reads one.

use std::time::Duration;

use rustix::event::{Timespec, poll};
use rustix::time::{ClockId, clock_gettime};

use crate::moment::{Moment, WallTime};

/// Does nothing for that long, or less if a signal is handled.
pub fn wait(span: Duration) {
    if let Ok(limit) = Timespec::try_from(span) {
        // Nothing is waited for, so only a signal can end it early.
        let _ = poll(&mut [], Some(&limit));
    }
}

/// This instant on both clocks.
pub fn now() -> Moment {
    let boot = clock_gettime(ClockId::Boottime);
    let wall = clock_gettime(ClockId::Realtime);
    Moment {
        monotonic: Duration::new(
            u64::try_from(boot.tv_sec).unwrap_or(0),
            u32::try_from(boot.tv_nsec).unwrap_or(0),
        ),
        wall: WallTime {
            nanoseconds: i128::from(wall.tv_sec) * 1_000_000_000 + i128::from(wall.tv_nsec),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_clocks_run() {
        let first = now();
        let second = now();
        assert!(second.monotonic >= first.monotonic);
        assert!(first.monotonic > Duration::ZERO);
        // Any machine that runs this has its calendar past 2020.
        assert!(first.wall.nanoseconds > 1_577_836_800_000_000_000);
    }
}
