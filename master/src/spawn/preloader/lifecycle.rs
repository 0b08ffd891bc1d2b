//! The life of one version's preloader: how long it may load, when one that died is started
//! again, and what becomes of workers that are wanted meanwhile. Pure: no clock, no process.
//!
//! Invariant: no wanted worker waits without a deadline. It waits only while code is being
//! loaded, and that is bounded; otherwise it is forked or started by exec.

use std::time::Duration;

use crate::pool::interval;

/// Least wait before the second restart in a row, in seconds; it grows as that between
/// workers does.
const REST_SECONDS: f64 = 1.0;

/// What is to become of a worker that is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Course {
    /// It waits for the code to be loaded.
    Wait,
    /// It is forked.
    Fork,
    /// It is started by exec.
    Exec,
}

/// What a deadline asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// Loading takes too long; the process is to be ended.
    GiveUp,
    /// A new process is to load the code.
    Restart,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Loading { since: Duration, until: Duration },
    Ready,
    Resting { until: Duration },
    GivenUp,
}

/// Where it is in its life. All times are by the monotonic clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifecycle {
    stage: Stage,
    /// The code of this version could be loaded once, so it is worth trying again.
    proven: bool,
    /// Ends in a row without a worker in between.
    failures: u32,
}

impl Lifecycle {
    /// Code begins to be loaded at `now` and may take `timeout`.
    pub fn loading(now: Duration, timeout: Duration) -> Self {
        let stage = Stage::Loading { since: now, until: now.saturating_add(timeout) };
        Self { stage, proven: false, failures: 0 }
    }

    /// Taken over with its code loaded.
    pub fn ready() -> Self {
        Self { stage: Stage::Ready, proven: true, failures: 0 }
    }

    /// There is nothing to fork from.
    pub fn given_up() -> Self {
        Self { stage: Stage::GivenUp, proven: false, failures: 0 }
    }

    /// What becomes of workers that are wanted now.
    pub fn course(&self) -> Course {
        match self.stage {
            Stage::Loading { .. } => Course::Wait,
            Stage::Ready => Course::Fork,
            Stage::Resting { .. } | Stage::GivenUp => Course::Exec,
        }
    }

    /// Its code is loaded.
    pub fn is_ready(&self) -> bool {
        self.stage == Stage::Ready
    }

    /// Its code is being loaded.
    pub fn is_loading(&self) -> bool {
        matches!(self.stage, Stage::Loading { .. })
    }

    /// Nothing is forked and nothing will be.
    pub fn is_given_up(&self) -> bool {
        self.stage == Stage::GivenUp
    }

    /// The code could be loaded once.
    pub fn is_proven(&self) -> bool {
        self.proven
    }

    /// The code is loaded; says how long that took.
    pub fn note_ready(&mut self, now: Duration) -> Duration {
        let since = match self.stage {
            Stage::Loading { since, .. } => since,
            _ => now,
        };
        self.stage = Stage::Ready;
        self.proven = true;
        now.saturating_sub(since)
    }

    /// A worker was forked.
    pub fn note_forked(&mut self) {
        self.failures = 0;
    }

    /// The process is gone or useless, whatever it was doing. The first time in a row another
    /// one is due at once.
    pub fn note_ended(&mut self, now: Duration) {
        if !self.proven {
            self.stage = Stage::GivenUp;
            return;
        }
        let rest = match self.failures {
            0 => Duration::ZERO,
            failures => interval(REST_SECONDS, failures - 1),
        };
        self.failures = self.failures.saturating_add(1);
        self.stage = Stage::Resting { until: now.saturating_add(rest) };
    }

    /// Another process loads the code.
    pub fn note_restarted(&mut self, now: Duration, timeout: Duration) {
        self.stage = Stage::Loading { since: now, until: now.saturating_add(timeout) };
    }

    /// When to come back with [`Self::due`].
    pub fn deadline(&self) -> Option<Duration> {
        match self.stage {
            Stage::Loading { until, .. } | Stage::Resting { until } => Some(until),
            Stage::Ready | Stage::GivenUp => None,
        }
    }

    /// What is to be done at `now`.
    pub fn due(&self, now: Duration) -> Option<Due> {
        match self.stage {
            Stage::Loading { until, .. } if until <= now => Some(Due::GiveUp),
            Stage::Resting { until } if until <= now => Some(Due::Restart),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(60);

    fn at(seconds: f64) -> Duration {
        Duration::from_secs_f64(seconds)
    }

    #[test]
    fn workers_wait_for_the_first_load_which_is_bounded() {
        let life = Lifecycle::loading(at(10.0), TIMEOUT);
        assert_eq!(life.course(), Course::Wait);
        assert_eq!(life.deadline(), Some(at(70.0)));
        assert_eq!(life.due(at(69.9)), None);
        assert_eq!(life.due(at(70.0)), Some(Due::GiveUp));
    }

    #[test]
    fn code_that_never_loaded_is_given_up() {
        let mut life = Lifecycle::loading(at(10.0), TIMEOUT);
        life.note_ended(at(11.0));
        assert!(life.is_given_up());
        assert_eq!((life.course(), life.deadline()), (Course::Exec, None));
    }

    #[test]
    fn once_loaded_workers_are_forked() {
        let mut life = Lifecycle::loading(at(10.0), TIMEOUT);
        assert_eq!(life.note_ready(at(12.5)), at(2.5));
        assert!(life.is_ready() && life.is_proven());
        assert_eq!((life.course(), life.deadline()), (Course::Fork, None));
    }

    #[test]
    fn the_first_death_is_repaired_at_once_and_the_next_ones_later_and_later() {
        let mut life = Lifecycle::ready();
        for rest in [0.0, 1.0, 1.5, 2.25] {
            life.note_ended(at(100.0));
            assert_eq!(life.course(), Course::Exec);
            assert_eq!(life.deadline(), Some(at(100.0 + rest)));
            assert_eq!(life.due(at(100.0 + rest)), Some(Due::Restart));
            life.note_restarted(at(200.0), TIMEOUT);
            assert_eq!(life.course(), Course::Wait);
            life.note_ready(at(201.0));
        }
        life.note_forked();
        life.note_ended(at(300.0));
        assert_eq!(life.deadline(), Some(at(300.0)));
    }

    #[test]
    fn proven_code_that_does_not_load_again_is_tried_again_without_end() {
        let mut life = Lifecycle::ready();
        for _ in 0..50 {
            life.note_ended(at(100.0));
            assert!(!life.is_given_up());
            life.note_restarted(at(100.0), TIMEOUT);
        }
        life.note_ended(at(100.0));
        assert_eq!(life.deadline(), Some(at(130.0)));
    }
}
