//! What the system has refused to tell, or to hand over, and is asked for again.
//!
//! An event tells of something once. Where the call fails that would take it in, nothing else
//! may ever wake the master for it: so it asks again after a while, for all that events tell of.

use std::io;
use std::time::Duration;

use ::log::Level;

use super::Master;
use crate::log::repeated;
use crate::sys::{clock, reason};

/// Long enough to cost nothing, short enough for whoever waits.
const WAIT: Duration = Duration::from_secs(1);
/// Lines about it in the span of [`repeated`]; the rest is counted.
const SAID_MAX: usize = 2;

impl Master {
    /// Says what is missing, and asks for it again later.
    pub(super) fn ask_again(&mut self, what: &str, error: &io::Error) {
        let line = format!("{what}: {}; trying again every second", reason(error));
        repeated(Level::Error, "failures to hear what happens", SAID_MAX, &line);
        self.ask_again_later();
    }

    pub(super) fn ask_again_later(&mut self) {
        self.ask_again_at.get_or_insert_with(|| clock::now().monotonic.saturating_add(WAIT));
    }

    pub(super) fn meet_second_try(&mut self, now: Duration) {
        if self.ask_again_at.is_none_or(|at| at > now) {
            return;
        }
        self.ask_again_at = None;
        self.take_signals();
        self.reap();
        self.accept_clients();
        self.note_notifications();
    }
}
