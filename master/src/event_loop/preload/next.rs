//! Loading the code for the next image, before this one gives anything up: if that fails,
//! everything is as it was.

use super::generation::Generation;
use super::{Master, Which};
use crate::control::{Reply, Topic};
use crate::handover::Kind;
use crate::pool::Event;
use crate::spawn::preloader::Lifecycle;
use crate::sys::children::set_subreaper;
use crate::sys::reason;

impl Master {
    /// The next image can start: loads its code, if it preloads and does not do so itself,
    /// then becomes it.
    pub(in super::super) fn prepare_reexec(&mut self, next: Kind) {
        let loads = matches!(next, Kind::Ours { .. }) && self.instance.launch.preload.is_some();
        if !loads {
            self.reexec_next = Some(next);
            return;
        }
        self.preloads.next_image = Some(next);
        let source = self.next_source(&self.instance.reload_environment());
        match source.and_then(|source| self.start_preloader(&source)) {
            Ok(process) => {
                let lifecycle = self.new_lifecycle();
                self.preloads.next = Some(Generation::new(lifecycle, Some(process)));
                self.publish_loading();
            }
            Err(reason) => self.give_next_up(&reason),
        }
        self.perform_actions();
    }

    fn publish_loading(&mut self) {
        let reply = Reply::progress(format!("loading {}", self.shown_code()));
        self.clients.for_each_follower(|client| {
            match client.connection.subscription(Topic::Upgrade).cloned() {
                Some(address) => client.reply(&reply, &address),
                None => Ok(()),
            }
        });
    }

    pub(super) fn note_next_loaded(&mut self) {
        self.reexec_next = self.preloads.next_image.take();
    }

    /// The new code cannot be loaded. That ends the reload, unless the code of this image could
    /// not be loaded either: then workers are started by exec as before.
    pub(super) fn give_next_up(&mut self, reason: &str) {
        let message = format!("cannot preload {}: {reason}", self.shown_code());
        let current = Which::Version(self.pool.version());
        let preloads = self.preloads.get(current).is_some_and(|of| !of.lifecycle.is_given_up());
        // It may have been ready, and have died while this image waited to become the next.
        let next_image = self.preloads.next_image.take().or(self.reexec_next.take());
        if preloads {
            self.dismiss_next();
            self.note(Event::ReloadFailed { reason: message });
        } else {
            ::log::error!("{message}; workers are started by exec");
            self.preloads.next = Some(Generation::new(Lifecycle::given_up(), None));
            self.reexec_next = next_image;
        }
    }

    /// There will be no next image.
    pub(in super::super) fn dismiss_next(&mut self) {
        self.preloads.next_image = None;
        self.reexec_next = None;
        if let Some(of) = self.preloads.next.take() {
            self.dismiss(of);
        }
    }

    /// Whether this image can become the next one now: no worker's pid is on its way, and
    /// another master finds no children that it does not know of.
    pub(in super::super) fn is_ready_for(&mut self, next: Kind) -> bool {
        if self.preloads.awaits_a_pid() {
            return false;
        }
        match next {
            Kind::Ours { .. } => true,
            Kind::Silent => {
                let versions: Vec<_> = self.preloads.by_version.keys().copied().collect();
                for version in versions {
                    if let Some(of) = self.preloads.by_version.remove(&version) {
                        self.dismiss(of);
                    }
                }
                self.readiness.checks.stop_all();
                self.preloads.dismissed.is_empty() && self.readiness.checks.are_gone()
            }
        }
    }

    /// Another image might not know that orphans come to it.
    pub(in super::super) fn stop_adopting(&self) {
        if self.instance.launch.preload.is_some() {
            adopt(false);
        }
    }

    /// The re-exec has failed: everything as it was.
    pub(in super::super) fn go_on_preloading(&mut self) {
        self.dismiss_next();
        if self.instance.launch.preload.is_some() {
            adopt(true);
        }
        let versions: Vec<_> = self.preloads.by_version.keys().copied().collect();
        for version in versions {
            self.advance_forks(version);
        }
    }
}

/// Whether orphans come to this process.
pub(super) fn adopt(on: bool) {
    if let Err(error) = set_subreaper(on) {
        ::log::warn!("cannot change who adopts orphans: {}", reason(&error));
    }
}
