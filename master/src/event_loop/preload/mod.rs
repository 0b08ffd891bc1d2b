//! Preloaders in the event loop: who has the code of which version loaded, who is asked for a
//! worker, and what becomes of the answer (`docs/preloading.md`).
//!
//! `generation` is one version's preloader, `forks` asks it for workers, `loading` begins and
//! ends its life, `next` loads the code of the image to come, `handed_over` is what crosses.
//!
//! Functions here tell the pool what happened and leave it to whoever has called them from
//! outside to perform what the pool wants done then.
//!
//! Invariants: a worker's pid is known before the worker runs, and an end that comes before
//! its pid is kept; a preloader that hangs, lies or dies costs the start that it was asked for.

mod forks;
mod generation;
mod handed_over;
mod loading;
mod next;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use super::Master;
use crate::handover::{AdoptedPreloader, Kind};
use crate::pool::{Event, Pid, Version};
use crate::signal::Signal;
use crate::spawn::preloader::{Course, Preloader, Reply, Said};
use crate::sys::children::{Exit, ExitStatus};
use crate::sys::{children, clock, signals};

use self::generation::Generation;
pub(super) use self::generation::Wanted;

/// Which preloader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Which {
    /// That of a version of this image.
    Version(Version),
    /// That which loads the code for the next image.
    Next,
}

/// All preloaders.
#[derive(Debug, Default)]
pub(super) struct Preloads {
    by_version: BTreeMap<Version, Generation>,
    next: Option<Generation>,
    /// Who the next image will be.
    next_image: Option<Kind>,
    /// What the former image has loaded for this one, before it has begun; or that it could
    /// not be loaded.
    handed_over: Option<AdoptedPreloader>,
    /// Ended by this master, and not yet reaped.
    dismissed: BTreeSet<Pid>,
    /// When this master does not wait for their end any more.
    leave_by: Option<Duration>,
    /// Children that nobody knows, and that ended while a worker's pid was awaited.
    ended_early: HashMap<Pid, ExitStatus>,
}

impl Preloads {
    fn get(&self, which: Which) -> Option<&Generation> {
        match which {
            Which::Version(version) => self.by_version.get(&version),
            Which::Next => self.next.as_ref(),
        }
    }

    fn get_mut(&mut self, which: Which) -> Option<&mut Generation> {
        match which {
            Which::Version(version) => self.by_version.get_mut(&version),
            Which::Next => self.next.as_mut(),
        }
    }

    fn all(&self) -> Vec<Which> {
        let versions = self.by_version.keys().map(|version| Which::Version(*version));
        versions.chain(self.next.is_some().then_some(Which::Next)).collect()
    }

    fn generations(&self) -> impl Iterator<Item = &Generation> {
        self.by_version.values().chain(&self.next)
    }

    /// What becomes of a worker of this version that is wanted now.
    fn course(&self, version: Version) -> Course {
        self.by_version.get(&version).map_or(Course::Exec, |of| of.lifecycle.course())
    }

    /// A worker may exist whose pid is still on its way.
    pub(super) fn awaits_a_pid(&self) -> bool {
        self.generations().any(|of| of.in_flight.is_some())
    }

    /// The process of a preloader, one that ends included.
    fn is_preloader(&self, pid: Pid) -> bool {
        self.dismissed.contains(&pid) || self.generations().any(|of| of.pid() == Some(pid))
    }

    /// When something has to be done.
    pub(super) fn deadline(&self) -> Option<Duration> {
        self.generations().filter_map(Generation::deadline).chain(self.leave_by).min()
    }

    /// When the code for the next image has taken too long to load.
    pub(super) fn next_deadline(&self) -> Option<Duration> {
        self.next.as_ref().and_then(Generation::deadline)
    }

    /// Keeps the end of a child whose pid may still be on its way to this master.
    pub(super) fn keep_end(&mut self, ended: Exit) {
        self.ended_early.insert(ended.pid, ended.status);
    }
}

impl Master {
    /// Hears what the preloaders have said.
    pub(super) fn read_preloaders(&mut self) {
        self.hear_preloaders();
        self.perform_actions();
    }

    fn hear_preloaders(&mut self) {
        for which in self.preloads.all() {
            while let Some(said) = self.preloads.get(which).and_then(Generation::receive) {
                match said {
                    Said::Reply(reply) => self.take_reply(which, reply),
                    Said::Nonsense(what) => {
                        self.end_preloader(which, &format!("it is no preloader: {what}"));
                    }
                    Said::End => {
                        let until = clock::now().monotonic.saturating_add(generation::END_MAX);
                        if let Some(of) = self.preloads.get_mut(which) {
                            of.closing = Some(until);
                        }
                    }
                    Said::Nothing => break,
                }
            }
        }
    }

    fn take_reply(&mut self, which: Which, reply: Reply) {
        match reply {
            Reply::Ready { notes } => self.note_loaded(which, &notes),
            Reply::Failed { reason } => self.end_preloader(which, &reason),
            Reply::Forked { id, pid } => self.take_forked(which, id, pid),
            Reply::Refused { id, reason } => self.take_refusal(which, id, &reason),
        }
    }

    /// Whether an ended child was a preloader.
    pub(super) fn note_preloader_ended(&mut self, ended: Exit) -> bool {
        if !self.preloads.is_preloader(ended.pid) {
            return false;
        }
        // Its last words say more than its exit status does.
        self.hear_preloaders();
        if self.preloads.dismissed.remove(&ended.pid) {
            ::log::debug!("preloader {} is gone", ended.pid);
        } else if let Some(which) =
            self.preloads.all().into_iter().find(|which| {
                self.preloads.get(*which).and_then(Generation::pid) == Some(ended.pid)
            })
        {
            if let Some(of) = self.preloads.get_mut(which) {
                of.process = None;
            }
            self.end_preloader(which, &generation::reason_of_end(ended.status));
        }
        self.perform_actions();
        true
    }

    pub(super) fn meet_preload_deadlines(&mut self, now: Duration) {
        if self.preloads.deadline().is_none_or(|at| at > now) {
            return;
        }
        for which in self.preloads.all() {
            let timeout = self.pool.settings().preload_timeout;
            let Some(overdue) = self.preloads.get(which).and_then(|of| of.overdue(now, timeout))
            else {
                continue;
            };
            match overdue {
                generation::Overdue::Ends(reason) => self.end_preloader(which, &reason),
                generation::Overdue::Restarts => {
                    if let Which::Version(version) = which {
                        self.restart_preloader(version);
                    }
                }
            }
        }
        self.perform_actions();
    }

    /// Begins what should be there and ends what should not. To be called after whatever may
    /// have changed the current version or the stage.
    pub(super) fn settle_preloaders(&mut self) {
        if self.instance.launch.preload.is_none() {
            return;
        }
        if self.pool.is_stopping() {
            self.withdraw_waiting();
            self.dismiss_preloaders(|_| true);
        } else {
            let (current, committed) = (self.pool.version(), self.pool.committed());
            self.dismiss_preloaders(|version| version != current && version != committed);
            self.ensure_preloader(current);
        }
        self.perform_actions();
    }

    /// Ends the preloaders of these versions, as far as nobody waits for them.
    fn dismiss_preloaders(&mut self, is_dismissed: impl Fn(Version) -> bool) {
        let versions: Vec<Version> = self
            .preloads
            .by_version
            .iter()
            .filter(|(version, of)| is_dismissed(**version) && of.is_idle())
            .map(|(version, _)| *version)
            .collect();
        for version in versions {
            if let Some(of) = self.preloads.by_version.remove(&version) {
                self.dismiss(of);
            }
        }
    }

    fn dismiss(&mut self, mut generation: Generation) {
        if let Some(process) = generation.process.take() {
            process.kill();
            self.preloads.dismissed.insert(process.pid());
        }
    }

    /// Tells the pool, without performing what it wants done then.
    fn note(&mut self, event: Event) {
        self.hand_to_pool(event);
    }

    /// Before this master leaves: nobody is forked any more, and a worker whose pid was still on
    /// its way ends too. True once all processes are gone, or have had their time for it.
    pub(super) fn have_preloaders_left(&mut self) -> bool {
        let now = clock::now().monotonic;
        let versions = std::mem::take(&mut self.preloads.by_version).into_values();
        for generation in versions.chain(self.preloads.next.take()) {
            if let Some(process) = generation.process {
                process.kill();
                end_unknown_workers(&process);
                self.preloads.dismissed.insert(process.pid());
            }
        }
        let until = now.saturating_add(generation::END_MAX);
        let until = *self.preloads.leave_by.get_or_insert(until);
        self.preloads.dismissed.is_empty() || until <= now
    }
}

fn end_unknown_workers(process: &Preloader) {
    while let Said::Reply(reply) = process.receive() {
        if let Reply::Forked { pid, .. } = reply
            && children::is_living_child(pid).unwrap_or(false)
        {
            // It has not begun, or only just.
            let _ = signals::send(pid, Signal::KILL);
        }
    }
}
