//! A point in time after which a wait gives up.

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
};
use std::{
    os::fd::BorrowedFd,
    time::{Duration, Instant},
};

/// The end of a wait, by the monotonic clock.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Deadline(Option<Instant>);

impl Deadline {
    /// `within` from now; a time too far off for the clock is none.
    #[expect(clippy::disallowed_methods, reason = "this module is where the clock is read")]
    pub(crate) fn after(within: Duration) -> Self {
        Self(Instant::now().checked_add(within))
    }

    /// What is left: zero when the time has come, `None` when it never comes.
    #[expect(clippy::disallowed_methods, reason = "this module is where the clock is read")]
    pub(crate) fn remaining(self) -> Option<Duration> {
        self.0.map(|at| at.saturating_duration_since(Instant::now()))
    }

    /// Waits until `fd` is ready for `wanted` or has failed. `false`: the time has come.
    pub(crate) fn wait(self, fd: BorrowedFd<'_>, wanted: PollFlags) -> std::io::Result<bool> {
        loop {
            let timeout = self.remaining().map(Timespec::try_from).and_then(Result::ok);
            match poll(&mut [PollFd::from_borrowed_fd(fd, wanted)], timeout.as_ref()) {
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
                Ok(ready) => return Ok(ready > 0),
            }
        }
    }
}
