//! Processes that are not this one's children: whether they live, and waiting for their end.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::process::{Child, Command};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{
    Pid, PidfdFlags, PidfdGetfdFlags, Resource, Rlimit, Signal, getrlimit, kill_process,
    pidfd_getfd, pidfd_open, pidfd_send_signal, setrlimit,
};

use super::LONG;

/// Held while a program is started, and by whoever counts on a descriptor being closed: for a
/// moment a new process has a copy of every descriptor.
static FORK: Mutex<()> = Mutex::new(());

/// As long as this is held this process starts no other.
pub(crate) fn no_fork() -> MutexGuard<'static, ()> {
    FORK.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Starts a program.
pub(crate) fn start(command: &mut Command) -> Child {
    let _alone = no_fork();
    command.spawn().unwrap()
}

/// Lets this process, and those that it starts from now on, open as many files as they may.
pub(crate) fn raise_open_files() {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }).unwrap();
}

/// A process, whatever becomes of its pid.
#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) pid: i32,
    /// None if it was gone before it could be held.
    descriptor: Option<OwnedFd>,
}

impl Process {
    pub(crate) fn of(pid: i32) -> Self {
        let descriptor = pidfd_open(raw(pid), PidfdFlags::empty()).ok();
        Self { pid, descriptor }
    }

    pub(crate) fn signal(&self, signal: Signal) {
        if let Some(descriptor) = &self.descriptor {
            let _ = pidfd_send_signal(descriptor, signal);
        }
    }

    /// Whether it ends before the time is over.
    pub(crate) fn ends_within(&self, limit: Duration) -> bool {
        let Some(descriptor) = &self.descriptor else { return true };
        let limit = Timespec::try_from(limit).unwrap();
        loop {
            match poll(&mut [PollFd::new(descriptor, PollFlags::IN)], Some(&limit)) {
                Err(rustix::io::Errno::INTR) => {}
                result => return result.unwrap() == 1,
            }
        }
    }

    pub(crate) fn lives(&self) -> bool {
        !self.ends_within(Duration::ZERO)
    }

    /// Stops it and says which clients' connections it has accepted by then, by their ports:
    /// those of its TCP sockets that have another end. Empty if it is gone.
    pub(crate) fn accepted_while_stopped(&self) -> Vec<u16> {
        self.signal(Signal::STOP);
        let has_stopped = || {
            fs::read_to_string(format!("/proc/{}/stat", self.pid))
                .ok()
                .and_then(|stat| stat.rsplit(") ").next().and_then(|rest| rest.chars().next()))
                .is_none_or(|state| matches!(state, 'T' | 'Z' | 'X'))
        };
        while !has_stopped() {
            std::thread::yield_now();
        }
        if !self.lives() {
            return Vec::new();
        }
        let Some(descriptor) = &self.descriptor else { return Vec::new() };
        let sockets =
            descriptors(self.pid).into_iter().filter(|(_, what)| what.starts_with("socket:"));
        let remote = |(number, _)| {
            let own = pidfd_getfd(descriptor, number, PidfdGetfdFlags::empty()).ok()?;
            Some(TcpStream::from(own).peer_addr().ok()?.port())
        };
        sockets.filter_map(remote).collect()
    }

    #[track_caller]
    pub(crate) fn wait(&self) {
        assert!(self.ends_within(LONG), "process {} is still there after {LONG:?}", self.pid);
    }
}

fn raw(pid: i32) -> Pid {
    Pid::from_raw(pid).unwrap()
}

pub(crate) fn send(pid: i32, signal: Signal) {
    kill_process(raw(pid), signal).unwrap_or_else(|error| panic!("signal {pid}: {error}"));
}

/// The living processes that have `mark` in their environment.
pub(crate) fn marked(mark: &OsStr) -> Vec<i32> {
    let mut pids = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        let Ok(environment) = fs::read(entry.path().join("environ")) else { continue };
        if environment.split(|byte| *byte == 0).any(|variable| variable == mark.as_bytes()) {
            pids.push(pid);
        }
    }
    pids
}

/// Ends every process that has `mark` in its environment.
pub(crate) fn end_marked(mark: &OsStr) {
    loop {
        let found: Vec<Process> = marked(mark).into_iter().map(Process::of).collect();
        if found.is_empty() {
            return;
        }
        for process in &found {
            process.signal(Signal::KILL);
        }
        for process in &found {
            // A zombie has no environment any more, so that it is not found again.
            process.ends_within(LONG);
        }
    }
}

/// A field of `/proc/PID/status`, such as `SigBlk`.
pub(crate) fn status_field(pid: i32, name: &str) -> String {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(&format!("{name}:")));
    line.unwrap_or_else(|| panic!("no {name} in {status}")).trim().to_owned()
}

/// The environment that it was given.
pub(crate) fn environment(pid: i32) -> BTreeMap<String, String> {
    let text = fs::read(format!("/proc/{pid}/environ")).unwrap();
    let text = String::from_utf8(text).unwrap();
    let pairs = text.split_terminator('\0').map(|variable| variable.split_once('=').unwrap());
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// Its open descriptors and what each is.
pub(crate) fn descriptors(pid: i32) -> BTreeMap<i32, String> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(format!("/proc/{pid}/fd")).unwrap().flatten() {
        let number = entry.file_name().to_str().unwrap().parse().unwrap();
        // One that was closed in between does not count.
        if let Ok(what) = fs::read_link(entry.path()) {
            found.insert(number, what.to_str().unwrap().to_owned());
        }
    }
    found
}
