//! Asking a preloader for workers, one after the other.

use std::os::fd::BorrowedFd;

use super::generation::{FORK_MAX, InFlight, Wanted};
use super::{Master, Which};
use crate::pool::{Event, Pid, SpawnId, Version};
use crate::spawn::preloader::{Course, RequestId};
use crate::sys::children::{self, ChildState};
use crate::sys::{clock, reason};

impl Master {
    /// Starts a worker that the pool wants: forked from its version's code if that is loaded
    /// or being loaded, else by exec.
    pub(in super::super) fn start_wanted(&mut self, id: SpawnId, index: u32, version: Version) {
        let wanted = Wanted { id, index };
        self.ensure_preloader(version);
        match self.preloads.course(version) {
            Course::Exec => self.exec_wanted(wanted, version),
            Course::Wait | Course::Fork => {
                if let Some(of) = self.preloads.get_mut(Which::Version(version)) {
                    of.waiting.push_back(wanted);
                }
                self.advance_forks(version);
            }
        }
    }

    fn exec_wanted(&mut self, wanted: Wanted, version: Version) {
        let id = wanted.id;
        let event = match self.start_worker(wanted, version) {
            Ok(pid) => Event::Spawned { id, pid },
            Err(error) => Event::SpawnFailed { id, reason: reason(&error) },
        };
        self.note(event);
    }

    /// Does what can be done now for those who wait.
    pub(super) fn advance_forks(&mut self, version: Version) {
        let which = Which::Version(version);
        loop {
            // Before a re-exec nobody is forked whose pid this image would not hear of.
            let is_held = self.reexec_next.is_some();
            let Some(of) = self.preloads.get_mut(which) else { return };
            match of.lifecycle.course() {
                Course::Wait => return,
                Course::Fork if is_held || !of.is_free() => return,
                Course::Fork | Course::Exec => {}
            }
            let course = of.lifecycle.course();
            let Some(wanted) = of.waiting.pop_front() else { return };
            if !self.is_wanted(wanted) {
                self.withdraw(wanted);
            } else if course == Course::Exec {
                self.exec_wanted(wanted, version);
            } else if let Err(reason) = self.ask_for(version, wanted) {
                self.note(Event::SpawnFailed { id: wanted.id, reason: reason.clone() });
                self.end_preloader(which, &reason);
            }
        }
    }

    fn is_wanted(&self, wanted: Wanted) -> bool {
        self.pool.worker(wanted.id).is_some_and(|worker| !worker.is_stopping())
    }

    fn withdraw(&mut self, wanted: Wanted) {
        let reason = "it is not wanted any more".to_string();
        self.note(Event::SpawnFailed { id: wanted.id, reason });
    }

    /// Nobody who waits will be started.
    pub(super) fn withdraw_waiting(&mut self) {
        for which in self.preloads.all() {
            while let Some(wanted) =
                self.preloads.get_mut(which).and_then(|of| of.waiting.pop_front())
            {
                self.withdraw(wanted);
            }
        }
    }

    fn ask_for(&mut self, version: Version, wanted: Wanted) -> Result<(), String> {
        let slot = self.prepare_slot(wanted.id).map_err(|error| reason(&error))?;
        let gifts = self.gifts(wanted.id).map_err(|error| reason(&error))?;
        let own = gifts.named();
        let Some(plan) = self.versions.plan(version) else {
            return Err(format!("version {version} is not known any more"));
        };
        let variables = plan.variables_of_forked(wanted.index, own.iter().map(|(name, _)| *name));
        let parent_death = self.parent_death();
        let listeners = self.instance.sockets_of(slot).map_err(|error| reason(&error))?;
        let descriptors: Vec<BorrowedFd<'_>> =
            listeners.into_iter().chain(own.iter().map(|(_, own)| *own)).collect();
        let Some(of) = self.preloads.get_mut(Which::Version(version)) else { return Ok(()) };
        let Some(process) = of.process.as_mut() else { return Ok(()) };
        let request = process.ask(&variables, &descriptors, parent_death)?;
        let until = clock::now().monotonic.saturating_add(FORK_MAX);
        of.in_flight = Some(InFlight { id: wanted.id, request, until });
        Ok(())
    }

    /// What a request was made for, if that was the last one.
    fn take_in_flight(&mut self, which: Which, request: RequestId) -> Option<SpawnId> {
        let of = self.preloads.get_mut(which)?;
        let fork = of.in_flight.take_if(|fork| fork.request == request)?;
        Some(fork.id)
    }

    /// A worker is there; it goes on when its preloader has seen that this was sent.
    pub(super) fn take_forked(&mut self, which: Which, request: RequestId, pid: Pid) {
        let Some(id) = self.take_in_flight(which, request) else {
            self.end_preloader(which, &format!("it answers request {request}, which was not made"));
            return;
        };
        let early = self.preloads.ended_early.remove(&pid);
        let state = children::state_of(pid).unwrap_or(ChildState::Unknown);
        match (state, early) {
            (ChildState::Living | ChildState::Ended, _) if !self.is_known(pid) => {
                self.note(Event::Spawned { id, pid });
            }
            (ChildState::Unknown, Some(status)) => {
                self.note(Event::Spawned { id, pid });
                self.note(Event::Exited { id, exit: status.into() });
            }
            _ => {
                let reason = format!("it says that process {pid} is a worker, which it is not");
                self.note(Event::SpawnFailed { id, reason: reason.clone() });
                self.end_preloader(which, &reason);
                return;
            }
        }
        if let Some(of) = self.preloads.get_mut(which) {
            of.lifecycle.note_forked();
        }
        self.note_answered(which);
    }

    pub(super) fn take_refusal(&mut self, which: Which, request: RequestId, reason: &str) {
        let Some(id) = self.take_in_flight(which, request) else {
            self.end_preloader(which, &format!("it answers request {request}, which was not made"));
            return;
        };
        let reason = format!("its preloader cannot fork: {reason}");
        self.note(Event::SpawnFailed { id, reason });
        self.note_answered(which);
    }

    fn note_answered(&mut self, which: Which) {
        if !self.preloads.awaits_a_pid() {
            self.preloads.ended_early.clear();
        }
        if let Which::Version(version) = which {
            self.advance_forks(version);
        }
    }

    /// Whether a child is somebody else already.
    fn is_known(&self, pid: Pid) -> bool {
        self.pool.find(pid).is_some()
            || self.preloads.is_preloader(pid)
            || self.check.as_ref().is_some_and(|check| check.pid() == pid)
    }
}
