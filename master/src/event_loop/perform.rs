//! Carrying out what the policy wants.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use einhorn_protocol::environment;

use super::Master;
use super::preload::Wanted;
use crate::pool::{Action, Event, Pid, Reload, Report, Slot, SpawnId, Version, Worker};
use crate::signal::Signal;
use crate::spawn::Own;
use crate::sys::children;
use crate::sys::{clock, observe, reason, signals, socket};

/// Descriptors that one worker gets for itself, with the variables that name them. This
/// process's own copies are closed with this.
pub(super) struct Gifts([Option<(&'static str, OwnedFd)>; 2]);

impl Gifts {
    pub(super) fn named(&self) -> Vec<(&'static str, BorrowedFd<'_>)> {
        self.0.iter().flatten().map(|(name, own)| (*name, own.as_fd())).collect()
    }
}

impl Master {
    /// Does everything that the pool wants done, in its order. The answers to starts are given
    /// to the pool here, so that its next action knows them.
    pub(super) fn perform_actions(&mut self) {
        while let Some(action) = self.pool.poll_action() {
            match action {
                Action::Spawn { id, index, version } => self.start_wanted(id, index, version),
                Action::Signal { id, pid, signal } => self.signal_worker(id, pid, signal),
                Action::Measure { id, pid } => self.measure(id, pid),
                Action::Inspect { id, pid } => self.inspect(id, pid),
                Action::Reload(Reload::Begin) => self.begin_check(),
                Action::Reload(Reload::Cancel) => self.cancel_check(),
                Action::Report(report) => self.perform_report(&report),
                Action::Finish(status) => {
                    self.exit.get_or_insert(status);
                }
            }
        }
    }

    fn perform_report(&mut self, report: &Report) {
        match report {
            Report::UpgradeBegun { to, .. } => {
                if let Err(error) = self.versions.begin(*to) {
                    ::log::error!("version {to} cannot be started: {error}");
                }
            }
            Report::UpgradeEnded { .. } => {
                self.versions.retain(&[self.pool.committed(), self.pool.version()]);
            }
            _ => {}
        }
        self.publish(report);
        if matches!(report, Report::FleetUp { .. })
            && let Some(outer) = &mut self.outer
        {
            outer.acknowledge(clock::now());
        }
    }

    /// Starts a worker by exec.
    pub(super) fn start_worker(&mut self, wanted: Wanted, version: Version) -> io::Result<Pid> {
        let slot = self.prepare_slot(wanted.id)?;
        let gifts = self.gifts(wanted.id)?;
        let descriptors = gifts.named();
        let listeners = self.instance.sockets_of(slot)?;
        let own = Own {
            index: wanted.index,
            listeners: &listeners,
            descriptors: &descriptors,
            parent_death: self.parent_death(),
            alone: self.is_first_and_only(),
            ..Own::default()
        };
        self.versions.start(version, own)
    }

    /// Whether the worker that is about to start is the only one, and nobody is served yet.
    fn is_first_and_only(&self) -> bool {
        !self.serves && self.instance.generation == 0 && self.pool.workers().nth(1).is_none()
    }

    /// Sees to it that a worker's slot has its sockets, and says which slot it is.
    pub(super) fn prepare_slot(&mut self, id: SpawnId) -> io::Result<Option<Slot>> {
        let slot = self.pool.worker(id).and_then(|worker| worker.slot);
        if let Some(slot) = slot {
            let backlog = self.pool.settings().backlog;
            for listener in &mut self.instance.listeners {
                listener.grow(slot, backlog)?;
            }
        }
        Ok(slot)
    }

    /// With `-k`, what a worker that is started now gets when the master dies.
    pub(super) fn parent_death(&self) -> Option<Signal> {
        let wanted = self.instance.launch.kill_children_on_exit;
        wanted.then(|| self.pool.settings().stop_signal())
    }

    /// What the worker `id` is given.
    pub(super) fn gifts(&mut self, id: SpawnId) -> io::Result<Gifts> {
        let connection = self.connection_for_worker().map(|end| (environment::SOCK_FD, end));
        let ready = self.ready_pipe_for_worker(id)?.map(|end| (environment::READY_FD, end));
        Ok(Gifts([connection, ready]))
    }

    /// With `-g` each worker gets one.
    fn connection_for_worker(&self) -> Option<OwnedFd> {
        if !self.instance.launch.command_socket_as_fd {
            return None;
        }
        match socket::connect_unix(&self.instance.files.command_socket) {
            Ok(connection) => Some(connection),
            Err(error) => {
                ::log::warn!(
                    "a worker gets no connection to the command socket: {}",
                    reason(&error)
                );
                None
            }
        }
    }

    fn signal_worker(&mut self, id: SpawnId, pid: Pid, signal: Signal) {
        // Until it is reaped nobody else can have its pid.
        if let Err(error) = signals::send(pid, signal)
            && let Some(worker) = self.pool.worker(id)
        {
            ::log::warn!("cannot send {signal} to worker {worker}: {}", reason(&error));
        }
        if self.pool.worker(id).is_some_and(Worker::is_stopping) {
            self.readiness.checks.forget(id);
        }
    }

    /// One that has ended meanwhile has no memory to speak of; its end is on its way.
    fn measure(&mut self, id: SpawnId, pid: Pid) {
        match observe::resident_bytes(pid) {
            Ok(resident) => self.pool.handle(clock::now(), Event::Measured { id, resident }),
            Err(error) => ::log::debug!("memory of worker {pid} not read: {}", reason(&error)),
        }
    }

    fn inspect(&self, id: SpawnId, pid: Pid) {
        if let Some(worker) = self.pool.worker(id) {
            ::log::warn!("worker {worker} as /proc has it: {}", observe::waits(pid));
        }
    }

    /// With `-k` nobody is left behind without having been asked to stop. The kernel does the
    /// same when this process is gone, but not for a worker that has changed its user.
    pub(super) fn signal_those_left(&self) {
        for pid in self.pool.workers().filter_map(|worker| worker.pid) {
            // One that has ended meanwhile needs no signal.
            let _ = signals::send(pid, self.pool.settings().stop_signal());
        }
    }

    /// Takes in every child that has ended.
    pub(super) fn reap(&mut self) {
        self.readiness.checks.end_groups();
        loop {
            match children::reap_next() {
                Ok(Some(ended)) => self.note_ended(ended),
                Ok(None) => return,
                Err(error) => {
                    self.ask_again("cannot wait for children", &error);
                    return;
                }
            }
        }
    }

    fn note_ended(&mut self, ended: children::Exit) {
        if self.check.as_ref().is_some_and(|check| check.pid() == ended.pid) {
            self.note_check_ended(ended.status);
            return;
        }
        if self.note_ready_check_ended(ended) || self.note_preloader_ended(ended) {
            return;
        }
        if let Some(id) = self.pool.find(ended.pid).map(|worker| worker.id) {
            self.tell_pool(Event::Exited { id, exit: ended.status.into() });
            return;
        }
        ::log::debug!("process {} ended, which is no known worker", ended.pid);
        if self.preloads.awaits_a_pid() {
            // First kept: its pid may arrive while it is looked for.
            self.preloads.keep_end(ended);
            self.read_preloaders();
        }
    }
}
