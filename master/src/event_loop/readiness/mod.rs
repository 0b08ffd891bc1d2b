//! Workers that say that they are ready without our protocol, seen from the event loop.
//!
//! Whatever the source, the pool hears of it by the same event, `Acknowledged`.
//! `notifications` are what workers say by `sd_notify(3)` (`-m notify`); `pipes` are the descriptors
//! that they write a newline to (`-m fd`); `checks` are commands that find it out
//! (`-m exec:CMD`).
//!
//! Invariants: a worker's turn is one bounded read a round, whoever floods; nothing of a worker
//! is kept once it is gone.

mod checks;
mod notifications;
mod pipes;

use std::os::fd::BorrowedFd;

use mio::{Registry, Token};

use self::checks::Checks;
use self::notifications::Notifications;
use self::pipes::ReadyPipes;
use super::Master;
use crate::pool::Event;
use crate::sys::clock;

/// What is known of workers' readiness, and what it is heard by.
pub(super) struct Readiness {
    pipes: ReadyPipes,
    notifications: Notifications,
    pub(super) checks: Checks,
}

impl Readiness {
    pub(super) fn new(registry: Registry) -> Self {
        Self {
            pipes: ReadyPipes::new(registry),
            notifications: Notifications::default(),
            checks: Checks::default(),
        }
    }

    /// Whether a token is one of its own; what it stands for has its turn then.
    pub(super) fn note_readable(&mut self, token: Token) -> bool {
        self.pipes.note_readable(token)
    }

    /// Whether somebody waits for a turn.
    pub(super) fn is_someone_unheard(&self) -> bool {
        self.pipes.is_someone_unheard() || self.notifications.unheard
    }

    /// What crosses into a next image of ours.
    pub(super) fn descriptors(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.pipes.descriptors()
    }
}

impl Master {
    /// Gives everyone who has said something a turn.
    pub(super) fn hear_workers(&mut self) {
        self.read_ready_pipes();
        self.hear_notifications();
    }

    /// Something happened to the pool. What it wants done is left to the caller.
    pub(super) fn hand_to_pool(&mut self, event: Event) {
        let (started, gone) = match &event {
            Event::Spawned { id, .. } => (Some(*id), None),
            Event::Exited { id, .. } | Event::SpawnFailed { id, .. } => (None, Some(*id)),
            _ => (None, None),
        };
        self.pool.handle(clock::now(), event);
        if let Some(id) = gone {
            self.readiness.pipes.forget(id);
            self.readiness.checks.forget(id);
        }
        if let Some(id) = started {
            self.begin_check_of(id);
        }
    }
}
