//! One version's preloader: its life, its process, who waits for it and who is being forked.

use std::collections::VecDeque;
use std::time::Duration;

use einhorn_protocol::{limit, preload};

use crate::pool::{Exit, Pid, Seconds, SpawnId};
use crate::spawn::preloader::{Due, Lifecycle, Preloader, RequestId, Said};
use crate::sys::children::ExitStatus;

/// How long a process that has closed its channel may take to end.
pub(super) const END_MAX: Duration = Duration::from_secs(limit::PRELOAD_END_SECONDS_MAX);
/// How long the fork of one worker may take.
pub(super) const FORK_MAX: Duration = Duration::from_secs(limit::PRELOAD_FORK_SECONDS_MAX);

/// A worker that the pool wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) struct Wanted {
    pub(in super::super) id: SpawnId,
    pub(in super::super) index: u32,
}

/// A worker that is being forked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct InFlight {
    pub(super) id: SpawnId,
    pub(super) request: RequestId,
    /// By the monotonic clock.
    pub(super) until: Duration,
}

/// One version's preloader.
#[derive(Debug)]
pub(super) struct Generation {
    pub(super) lifecycle: Lifecycle,
    pub(super) process: Option<Preloader>,
    /// They wait for the code to be loaded, or for their turn.
    pub(super) waiting: VecDeque<Wanted>,
    /// One at a time, so that no socket is on its way longer than it must be.
    pub(super) in_flight: Option<InFlight>,
    /// It has closed its channel, and must have ended by then.
    pub(super) closing: Option<Duration>,
}

/// What has to be done now.
pub(super) enum Overdue {
    /// The process is ended, for that reason.
    Ends(String),
    /// Another process is started.
    Restarts,
}

impl Generation {
    pub(super) fn new(lifecycle: Lifecycle, process: Option<Preloader>) -> Self {
        Self { lifecycle, process, waiting: VecDeque::new(), in_flight: None, closing: None }
    }

    pub(super) fn pid(&self) -> Option<Pid> {
        self.process.as_ref().map(Preloader::pid)
    }

    /// The next thing that its process has said; none if nothing more is expected of it.
    pub(super) fn receive(&self) -> Option<Said> {
        let process = self.process.as_ref().filter(|_| self.closing.is_none())?;
        match process.receive() {
            Said::Nothing => None,
            said => Some(said),
        }
    }

    /// The process, if the next image can go on with it. One that is loading is loaded anew; it
    /// ends when its channel is closed.
    pub(super) fn to_hand_over(&self) -> Option<&Preloader> {
        let is_good = self.lifecycle.is_ready() && self.closing.is_none();
        self.process.as_ref().filter(|_| is_good)
    }

    /// Nobody waits for it.
    pub(super) fn is_idle(&self) -> bool {
        self.in_flight.is_none() && self.waiting.is_empty()
    }

    /// It can be asked for a worker now.
    pub(super) fn is_free(&self) -> bool {
        self.process.is_some() && self.in_flight.is_none() && self.closing.is_none()
    }

    pub(super) fn deadline(&self) -> Option<Duration> {
        let forking = self.in_flight.map(|fork| fork.until);
        [self.lifecycle.deadline(), forking, self.closing].into_iter().flatten().min()
    }

    /// What is due at `now`, where loading may take `timeout`.
    pub(super) fn overdue(&self, now: Duration, timeout: Duration) -> Option<Overdue> {
        let is_due = |at: Option<Duration>| at.is_some_and(|at| at <= now);
        if is_due(self.closing) {
            return Some(Overdue::Ends("it has closed its channel and goes on".to_string()));
        }
        if is_due(self.in_flight.map(|fork| fork.until)) {
            let reason = format!("it did not fork a worker within {}", Seconds(FORK_MAX));
            return Some(Overdue::Ends(reason));
        }
        match self.lifecycle.due(now)? {
            Due::GiveUp => {
                let limit = Seconds(timeout);
                Some(Overdue::Ends(format!("it takes longer than {limit} (--preload-timeout)")))
            }
            Due::Restart => Some(Overdue::Restarts),
        }
    }
}

/// What the end of a process that has said nothing means.
pub(super) fn reason_of_end(status: ExitStatus) -> String {
    if status == ExitStatus::Exited(preload::EXIT_CHANNEL_LOST) {
        return "the code has closed a descriptor that is not its own, on which the master speaks \
                with its process"
            .to_string();
    }
    match Exit::from(status) {
        Exit::Status(status) => format!("its process ended with status {status}"),
        Exit::Signal(signal) => format!("its process was killed by {signal}"),
        Exit::Unknown => "its process is gone".to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[track_caller]
    fn check(generation: &Generation, now: u64, expect: &str) {
        let found = match generation.overdue(at(now), at(60)) {
            Some(Overdue::Ends(reason)) => reason,
            Some(Overdue::Restarts) => "restarts".to_string(),
            None => String::new(),
        };
        assert_eq!(found, expect);
    }

    #[test]
    fn loading_has_an_end() {
        let generation = Generation::new(Lifecycle::loading(at(10), at(60)), None);
        assert_eq!(generation.deadline(), Some(at(70)));
        check(&generation, 69, "");
        check(&generation, 70, "it takes longer than 60 s (--preload-timeout)");
    }

    #[test]
    fn forking_has_an_end() {
        let mut generation = Generation::new(Lifecycle::ready(), None);
        assert_eq!(generation.deadline(), None);
        let fork = InFlight { id: SpawnId(1), request: 1, until: at(40) };
        generation.in_flight = Some(fork);
        assert!(!generation.is_idle() && !generation.is_free());
        assert_eq!(generation.deadline(), Some(at(40)));
        check(&generation, 39, "");
        check(&generation, 40, "it did not fork a worker within 30 s");
    }

    #[test]
    fn so_has_a_process_without_a_channel() {
        let mut generation = Generation::new(Lifecycle::ready(), None);
        generation.closing = Some(at(12));
        assert_eq!(generation.deadline(), Some(at(12)));
        check(&generation, 12, "it has closed its channel and goes on");
    }

    #[test]
    fn a_dead_one_is_restarted() {
        let mut generation = Generation::new(Lifecycle::ready(), None);
        generation.lifecycle.note_ended(at(5));
        check(&generation, 5, "restarts");
    }

    #[test]
    fn ends_in_words() {
        let words = |status| reason_of_end(status);
        assert_eq!(words(ExitStatus::Exited(3)), "its process ended with status 3");
        assert_eq!(
            words(ExitStatus::Signaled { signal: 9, core: false }),
            "its process was killed by SIGKILL"
        );
        assert!(words(ExitStatus::Exited(76)).contains("closed a descriptor"));
    }
}
