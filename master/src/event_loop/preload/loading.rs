//! The beginning and the end of a preloader's life.

use std::os::fd::AsRawFd;

use einhorn_protocol::limit::PRELOAD_DESCRIPTORS_MAX;
use mio::Interest;
use mio::unix::SourceFd;

use super::super::PRELOADERS;
use super::generation::Generation;
use super::{Master, Which};
use crate::log::shown;
use crate::pool::{Event, Seconds, Version};
use crate::spawn::Source;
use crate::spawn::preloader::{Code, Lifecycle, Preloader};
use crate::sys::{children, clock, reason};

impl Master {
    /// The code that is preloaded for workers of `source`, by the options.
    pub(super) fn code(&self, source: &Source) -> Result<Code, String> {
        let launch = &self.instance.launch;
        let path = launch.preload.as_deref().ok_or("there is no -p")?;
        let descriptors = self.instance.listeners.len()
            + usize::from(launch.command_socket_as_fd)
            + usize::from(self.gives_ready_pipes());
        if descriptors > PRELOAD_DESCRIPTORS_MAX {
            return Err(format!(
                "a worker gets {descriptors} descriptors, and a preloader can be sent \
                 {PRELOAD_DESCRIPTORS_MAX}"
            ));
        }
        let (folder, search) = (source.folder.as_ref(), source.environment.get("PATH"));
        Code::find(path, launch.gc_before_fork, &source.command, folder, search)
            .map_err(|error| error.to_string())
    }

    /// `-p` as it is repeated in messages.
    pub(super) fn shown_code(&self) -> String {
        let path = self.instance.launch.preload.as_deref().unwrap_or("".as_ref());
        shown(&path.to_string_lossy())
    }

    /// Starts a process that loads the code for workers of `source`.
    pub(super) fn start_preloader(&self, source: &Source) -> Result<Preloader, String> {
        let code = self.code(source)?;
        // Before there is anyone to adopt.
        children::set_subreaper(true)
            .map_err(|error| format!("cannot adopt workers: {}", reason(&error)))?;
        let process = Preloader::start(&code, source, self.versions.rules())?;
        ::log::info!("loading {}, pid {}", self.shown_code(), process.pid());
        self.listen_to(&process)?;
        Ok(process)
    }

    fn start_preloader_of(&self, version: Version) -> Result<Preloader, String> {
        match self.versions.source(version) {
            Some(source) => self.start_preloader(source),
            None => Err(format!("version {version} is not known")),
        }
    }

    /// From now on the event loop wakes up for what it says.
    pub(super) fn listen_to(&self, process: &Preloader) -> Result<(), String> {
        let descriptor = process.channel().as_raw_fd();
        let registry = self.poll.registry();
        registry
            .register(&mut SourceFd(&descriptor), PRELOADERS, Interest::READABLE)
            .map_err(|error| format!("cannot listen to a preloader: {}", reason(&error)))
    }

    pub(super) fn new_lifecycle(&self) -> Lifecycle {
        Lifecycle::loading(clock::now().monotonic, self.pool.settings().preload_timeout)
    }

    /// Workers of `version` are about to be wanted: its code is loaded if nobody has tried to.
    /// If that cannot even begin, they are started by exec.
    pub(super) fn ensure_preloader(&mut self, version: Version) {
        if self.instance.launch.preload.is_none()
            || self.reexec_next.is_some()
            || self.preloads.by_version.contains_key(&version)
        {
            return;
        }
        let generation = match self.start_preloader_of(version) {
            Ok(process) => Generation::new(self.new_lifecycle(), Some(process)),
            Err(reason) => {
                self.say_not_preloaded(&reason);
                Generation::new(Lifecycle::given_up(), None)
            }
        };
        self.preloads.by_version.insert(version, generation);
    }

    fn say_not_preloaded(&self, reason: &str) {
        let path = self.shown_code();
        ::log::error!("cannot preload {path}: {reason}; workers are started by exec");
    }

    pub(super) fn restart_preloader(&mut self, version: Version) {
        let started = self.start_preloader_of(version);
        let (now, timeout) = (clock::now().monotonic, self.pool.settings().preload_timeout);
        let Some(of) = self.preloads.get_mut(Which::Version(version)) else { return };
        match started {
            Ok(process) => {
                of.process = Some(process);
                of.lifecycle.note_restarted(now, timeout);
            }
            Err(reason) => {
                of.lifecycle.note_ended(now);
                self.say_not_preloaded(&reason);
            }
        }
    }

    /// The code is loaded.
    pub(super) fn note_loaded(&mut self, which: Which, notes: &[String]) {
        let path = self.shown_code();
        let Some(of) = self.preloads.get_mut(which) else { return };
        if !of.lifecycle.is_loading() {
            self.end_preloader(which, "it says twice that the code is loaded");
            return;
        }
        let took = of.lifecycle.note_ready(clock::now().monotonic);
        let pid = of.pid().unwrap_or(0);
        ::log::info!("loaded {path} in {}, pid {pid}", Seconds(took));
        for note in notes {
            ::log::warn!("{path}: {note}");
        }
        match which {
            Which::Next => self.note_next_loaded(),
            Which::Version(version) => self.advance_forks(version),
        }
    }

    /// A preloader is of no use any more, for that reason. Its process is ended if it has not
    /// ended itself.
    pub(super) fn end_preloader(&mut self, which: Which, reason: &str) {
        let Some(of) = self.preloads.get_mut(which) else { return };
        let was_loading = of.lifecycle.is_loading();
        of.closing = None;
        let pid = of.pid();
        let forking = of.in_flight.take();
        of.lifecycle.note_ended(clock::now().monotonic);
        if let Some(process) = of.process.take() {
            process.kill();
            self.preloads.dismissed.extend(pid);
        }
        if let Some(fork) = forking {
            let reason = format!("its preloader is lost: {reason}");
            self.note(Event::SpawnFailed { id: fork.id, reason });
        }
        match which {
            Which::Next => self.give_next_up(reason),
            Which::Version(version) => self.say_ended(version, was_loading, reason),
        }
        if !self.preloads.awaits_a_pid() {
            self.preloads.ended_early.clear();
        }
    }

    fn say_ended(&mut self, version: Version, was_loading: bool, reason: &str) {
        let (path, now) = (self.shown_code(), clock::now().monotonic);
        let Some(of) = self.preloads.get_mut(Which::Version(version)) else { return };
        if of.lifecycle.is_given_up() {
            self.say_not_preloaded(reason);
        } else {
            let wait = of.lifecycle.deadline().unwrap_or(now).saturating_sub(now);
            let what = if was_loading { "cannot load" } else { "lost the preloader of" };
            if wait.is_zero() {
                ::log::error!("{what} {path}: {reason}; it is loaded again");
                self.restart_preloader(version);
            } else {
                ::log::error!(
                    "{what} {path}: {reason}; it is loaded again in {}, until then workers are \
                     started by exec",
                    Seconds(wait)
                );
            }
        }
        self.advance_forks(version);
    }
}
