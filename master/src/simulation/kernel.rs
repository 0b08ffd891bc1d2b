//! Processes as a kernel has them: pids that come again, ends that wait to be reaped, forks that
//! fail or take their time.
//!
//! Invariant: a pid belongs to at most one process that has not been reaped.

use std::collections::BTreeMap;

use crate::pool::{Exit, Pid, SpawnId};
use crate::signal::Signal;
use crate::sys::children::ChildState;

/// Few, so that a pid comes again soon.
const PID_MIN: Pid = 2;
const PID_MAX: Pid = 25;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Forks {
    Work,
    Fail,
    /// As with a preloader: the pid is told later.
    Wait,
}

#[derive(Debug)]
pub(super) struct Process {
    /// By which the pool knows it.
    pub(super) worker: SpawnId,
    /// It was sent a signal that a worker stops for.
    pub(super) asked: bool,
    /// What it has resident.
    pub(super) megabytes: u8,
    /// It has ended and is not yet reaped.
    pub(super) ended: Option<Exit>,
}

#[derive(Debug)]
pub(super) struct Kernel {
    pub(super) forks: Forks,
    /// Starts whose pid is not yet told.
    pub(super) waiting: Vec<SpawnId>,
    children: BTreeMap<Pid, Process>,
    last: Pid,
}

impl Kernel {
    pub(super) fn new() -> Self {
        Self { forks: Forks::Work, waiting: Vec::new(), children: BTreeMap::new(), last: PID_MAX }
    }

    /// A new process, unless every pid is taken.
    pub(super) fn fork(&mut self, worker: SpawnId) -> Option<Pid> {
        let next = |pid: Pid| if pid < PID_MAX { pid + 1 } else { PID_MIN };
        let candidates = std::iter::successors(Some(next(self.last)), |pid| Some(next(*pid)));
        let pids = usize::try_from(PID_MAX - PID_MIN + 1).unwrap();
        let free = |pid: &Pid| !self.children.contains_key(pid);
        self.last = candidates.take(pids).find(free)?;
        self.children
            .insert(self.last, Process { worker, asked: false, megabytes: 1, ended: None });
        Some(self.last)
    }

    /// A signal to an unreaped process of that worker; anything else is the master's mistake.
    pub(super) fn send(&mut self, pid: Pid, worker: SpawnId, signal: Signal) {
        let process = self.children.get_mut(&pid).expect("a signalled pid is a child's");
        assert_eq!(process.worker, worker, "pid {pid} is signalled as another's");
        if signal == Signal::KILL {
            process.ended.get_or_insert(Exit::Signal(Signal::KILL));
        } else {
            process.asked |= signal != Signal::HUP;
        }
    }

    /// It is about to end of its own accord.
    pub(super) fn retire(&mut self, pid: Pid) {
        if let Some(process) = self.children.get_mut(&pid) {
            process.asked = true;
        }
    }

    pub(super) fn grow(&mut self, pid: Pid, megabytes: u8) {
        if let Some(process) = self.children.get_mut(&pid) {
            process.megabytes = megabytes;
        }
    }

    /// What is resident of it; nothing is known of a process that has ended.
    pub(super) fn resident(&self, pid: Pid) -> Option<u64> {
        let process = self.children.get(&pid).filter(|process| process.ended.is_none())?;
        Some(u64::from(process.megabytes) << 20)
    }

    pub(super) fn end(&mut self, pid: Pid, exit: Exit) {
        if let Some(process) = self.children.get_mut(&pid) {
            process.ended.get_or_insert(exit);
        }
    }

    pub(super) fn reap_next(&mut self) -> Option<(Pid, SpawnId, Exit)> {
        let ended = |(&pid, process): (&Pid, &Process)| Some((pid, process.worker, process.ended?));
        let found = self.children.iter().find_map(ended)?;
        self.children.remove(&found.0);
        Some(found)
    }

    pub(super) fn state_of(&self, pid: Pid) -> ChildState {
        match self.children.get(&pid) {
            Some(process) if process.ended.is_some() => ChildState::Ended,
            Some(_) => ChildState::Living,
            None => ChildState::Unknown,
        }
    }

    pub(super) fn children(&self) -> impl Iterator<Item = (Pid, &Process)> {
        self.children.iter().map(|(&pid, process)| (pid, process))
    }

    /// After a reload workers have new ids.
    pub(super) fn rename(&mut self, name: impl Fn(Pid) -> SpawnId) {
        for (&pid, process) in &mut self.children {
            process.worker = name(pid);
        }
    }

    /// Of the living that `wanted` wants, the one that `number` stands for.
    pub(super) fn pick(&self, number: u8, wanted: impl Fn(&Process) -> bool) -> Option<Pid> {
        let living = || {
            self.children
                .iter()
                .filter(|(_, process)| process.ended.is_none() && wanted(process))
                .map(|(&pid, _)| pid)
        };
        living().nth(usize::from(number) % living().count().max(1))
    }
}
