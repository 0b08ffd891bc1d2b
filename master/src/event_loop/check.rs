//! The check before a reload, seen from the event loop, and what follows it.

use std::time::Duration;

use einhorn_protocol::error_code;
use mio::Interest;
use mio::unix::SourceFd;

use super::{CHECK, Master};
use crate::control::Reply;
use crate::handover::{self, Check, Kind, Verdict};
use crate::instance::Environment;
use crate::pool::{Event, PendingReload};
use crate::spawn::{Source, WorkingFolder, program};
use crate::state::FORMAT;
use crate::sys::children::ExitStatus;
use crate::sys::{clock, limits, reason};

/// Whose limits are to hold.
#[derive(Clone, Copy)]
enum Image {
    This,
    Next,
}

impl Master {
    pub(super) fn begin_check(&mut self) {
        let started =
            self.check_program().and_then(|()| Check::begin(&self.instance, clock::now()));
        match started {
            Ok(check) => {
                check.program().clone_into(&mut self.next_program);
                self.watch(&check);
                self.check = Some(check);
            }
            Err(reason) => self.tell_pool(Event::ReloadFailed { reason }),
        }
    }

    /// An upgrade to a program that cannot be run ends before anything is touched.
    fn check_program(&self) -> Result<(), String> {
        if !self.pool.pending_reload().is_some_and(PendingReload::is_for_upgrade) {
            return Ok(());
        }
        self.next_source(&self.instance.reload_environment()).map(drop)
    }

    /// What an upgrade that begins now brings in, if it can be run at all.
    pub(super) fn next_source(&self, environment: &Environment) -> Result<Source, String> {
        let chdir = self.instance.launch.chdir.as_deref();
        let folder = chdir.map(WorkingFolder::open).transpose().map_err(|e| e.to_string())?;
        let command = &self.instance.cmd;
        program::resolve_command(folder.as_ref(), command, environment.get("PATH"))
            .map_err(|error| error.to_string())?;
        Ok(Source::new(command.clone(), environment.clone(), folder))
    }

    /// A new image looks at what its upgrade will bring in: paths may lead elsewhere by now.
    pub(super) fn prepare_upgrade(&mut self) {
        if !self.pool.pending_reload().is_some_and(PendingReload::is_for_upgrade) {
            return;
        }
        match self.next_source(&self.instance.environment) {
            Ok(source) => self.versions.prepare(source),
            Err(reason) => self.tell_pool(Event::ReloadFailed { reason }),
        }
    }

    fn watch(&self, check: &Check) {
        let descriptor = check.output_fd();
        let registry = self.poll.registry();
        if let Err(error) = registry.register(&mut SourceFd(&descriptor), CHECK, Interest::READABLE)
        {
            // Its end is noticed anyway; only a flood of output would make it overdue.
            ::log::warn!("cannot follow the output of the upgrade check: {}", reason(&error));
        }
    }

    pub(super) fn read_check(&mut self) {
        if let Some(check) = &mut self.check {
            check.read_output();
        }
    }

    /// Nothing will come of the reload, for those either who asked for no more than that.
    pub(super) fn cancel_check(&mut self) {
        if let Some(check) = self.check.take() {
            check.kill();
        }
        self.dismiss_next();
        let (code, why) = if self.pool.is_stopping() {
            (error_code::SHUTTING_DOWN, "the master is shutting down")
        } else {
            (error_code::ABORTED, "the upgrade that it was part of was aborted")
        };
        self.answer_reloads(&Reply::failed(code, format!("no reload: {why}")));
    }

    pub(super) fn give_check_up(&mut self) {
        if let Some(check) = self.check.take() {
            let reason = check.overdue();
            check.kill();
            self.tell_pool(Event::ReloadFailed { reason });
        }
    }

    /// When the check, or the loading of code that follows it, is given up.
    pub(super) fn check_until(&self) -> Option<Duration> {
        self.check.as_ref().map(Check::deadline).or_else(|| self.preloads.next_deadline())
    }

    pub(super) fn note_check_ended(&mut self, status: ExitStatus) {
        let Some(mut check) = self.check.take() else { return };
        match check.note_ended(status) {
            Verdict::AskedAgain => {
                self.watch(&check);
                self.check = Some(check);
            }
            Verdict::Failed(reason) => self.tell_pool(Event::ReloadFailed { reason }),
            Verdict::Passed(kind) => match self.refusal_of_next(kind) {
                Some(reason) => self.tell_pool(Event::ReloadFailed { reason }),
                None => self.prepare_reexec(kind),
            },
        }
    }

    /// A master that knows no slots would close the sockets of all but the first one.
    fn refusal_of_next(&self, next: Kind) -> Option<String> {
        let knows = match next {
            Kind::Ours { state_format } => state_format >= FORMAT,
            Kind::Silent => false,
        };
        let balanced = || self.instance.listeners.iter().find(|listener| listener.is_balanced());
        let listener = (!knows).then(balanced).flatten()?;
        Some(format!(
            "the next master knows no balance, and would lose who waits at {} (stop this master \
             and start the other one instead)",
            listener.local
        ))
    }

    /// Becomes the next image. Comes back only if that fails.
    pub(super) fn reexec(&mut self, next: Kind) {
        self.reap();
        if self.pool.pending_reload().is_none() {
            self.dismiss_next();
            return;
        }
        if next == Kind::Silent {
            // Another master's exec empties the signal mask, and with it what is pending.
            self.take_signals();
            if self.pool.pending_reload().is_none() {
                self.dismiss_next();
                return;
            }
        }
        let generation = self.instance.generation.saturating_add(1);
        match next {
            // The next image says so, in what it finds unsent: until then it may still fail.
            Kind::Ours { .. } => {
                let reply = Reply::done(format!("reloaded, generation {generation}"));
                self.clients.promise_reload(&reply);
            }
            Kind::Silent => match handover::rehearse(&self.capture(true)) {
                // Callers of another master hear it before (`protocol.md §4`).
                Ok(()) => self.answer_reloads(&Reply::done("reloading: the new master can start")),
                Err(reason) => {
                    self.go_on_preloading();
                    self.tell_pool(Event::ReloadFailed { reason });
                    return;
                }
            },
        }
        crate::log::tell_repeats(None);
        let program = crate::log::shown(&self.next_program.to_string_lossy());
        ::log::info!("reloading, generation {generation}, with {program}");
        crate::log::flush();
        self.readiness.checks.stop_all();
        if next == Kind::Silent {
            self.leave_notify_socket();
        }
        let mut snapshot = self.capture(true);
        let mut kept = self.client_descriptors();
        if let (Kind::Ours { .. }, Some(ours)) = (next, snapshot.ours.as_mut()) {
            ours.preloaders = self.preloader_records();
            kept.extend(self.preloader_channels());
            self.write_ready_pipes_down(ours);
            kept.extend(self.readiness.descriptors());
        }
        if next == Kind::Silent {
            self.set_open_files_for(Image::Next);
        }
        self.stop_adopting();
        // The last thing: whatever is said from here on is lost.
        if let (Kind::Ours { .. }, Some(ours)) = (next, snapshot.ours.as_mut()) {
            let log = crate::log::unwritten();
            (ours.log_unwritten, ours.log_dropped) = (log.bytes, log.dropped);
        }
        let reason = handover::reexec(
            &self.instance,
            &snapshot,
            (next, &self.next_program),
            &self.versions,
            &kept,
        );
        self.clients.take_promises_back();
        self.set_open_files_for(Image::This);
        self.go_on_preloading();
        self.reopen_notify_socket();
        self.tell_pool(Event::ReloadFailed { reason });
    }

    /// Another master must find the limit that this one found, since workers get it. One of ours
    /// is told, and keeps the raised one: it may have more open than the other would allow.
    fn set_open_files_for(&self, image: Image) {
        let Some(original) = self.instance.open_files else { return };
        let set = match image {
            Image::Next => limits::set_open_files(original),
            Image::This => limits::raise_open_files().map(drop),
        };
        if let Err(error) = set {
            ::log::warn!("cannot set the limit of open descriptors: {}", reason(&error));
        }
    }

    fn client_descriptors(&self) -> Vec<std::os::fd::BorrowedFd<'_>> {
        self.clients.iter().map(super::client::Client::descriptor).collect()
    }
}
