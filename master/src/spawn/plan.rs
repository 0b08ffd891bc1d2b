//! From a command and its environment to a running worker.

use std::ffi::{CStr, CString, OsString};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::ffi::OsStringExt;

use einhorn_protocol::environment as names;

use super::environment::{SharedEnvironment, Variable};
use crate::signal::Signal;
use crate::sys::limits::OpenFiles;
use crate::sys::process::{self, Inherit, Pid, SpawnPlan};
use crate::sys::vfork;

/// Why a command cannot be that of a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// No word at all.
    #[error("there is no program to run")]
    Empty,
    /// A NUL byte, which no argument of a process can hold.
    #[error("word {0} of the command holds a NUL byte")]
    Nul(usize),
}

/// What is the same for all workers, whatever their program.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    /// Their nice level; none: the master's.
    pub nice: Option<i32>,
    /// The limit of open descriptors that the master was started with, if it raised its own.
    pub open_files: Option<OpenFiles>,
}

/// Everything that the workers of one version share.
#[derive(Debug)]
pub struct WorkerPlan {
    arguments: Vec<CString>,
    environment: SharedEnvironment,
    rules: Rules,
}

/// What one worker has for itself.
#[derive(Clone, Copy, Debug, Default)]
pub struct Own<'a> {
    /// Its index.
    pub index: u32,
    /// The bound sockets.
    pub listeners: &'a [BorrowedFd<'a>],
    /// Descriptors of its own, each with the variable that names it.
    pub descriptors: &'a [(&'static str, BorrowedFd<'a>)],
    /// The folder that it runs in; none: the master's own.
    pub folder: Option<BorrowedFd<'a>>,
    /// What it gets when the master dies for any reason.
    pub parent_death: Option<Signal>,
    /// Words of the command that name a file which is elsewhere by now, and where; 0 is the
    /// program.
    pub moved: &'a [(usize, CString)],
    /// The master may stand still until it runs, see [`vfork::spawn_alone`].
    pub alone: bool,
}

/// The worker that a check is about.
#[derive(Clone, Copy, Debug)]
pub struct Checked<'a> {
    /// Its index.
    pub index: u32,
    /// Its pid.
    pub pid: Pid,
    /// The bound sockets.
    pub listeners: &'a [BorrowedFd<'a>],
}

impl WorkerPlan {
    /// A plan for `command`: the program in the form in which it is executed, then its
    /// arguments. The program is told its own name in that form too.
    ///
    /// # Errors
    /// The command is empty or cannot be handed to a process.
    pub fn new(
        command: &[OsString],
        environment: SharedEnvironment,
        rules: Rules,
    ) -> Result<Self, PlanError> {
        let argument = |(place, word): (usize, &OsString)| {
            CString::new(word.clone().into_vec()).map_err(|_| PlanError::Nul(place + 1))
        };
        let arguments: Vec<CString> =
            command.iter().enumerate().map(argument).collect::<Result<_, _>>()?;
        if arguments.is_empty() {
            return Err(PlanError::Empty);
        }
        Ok(Self { arguments, environment, rules })
    }

    /// The variables of a worker that somebody else forks.
    /// `own` name its own descriptors.
    pub fn variables_of_forked(
        &self,
        index: u32,
        own: impl IntoIterator<Item = &'static str>,
    ) -> Vec<Variable> {
        self.environment.of_forked_worker(index, own)
    }

    /// Starts a worker. The master closes its own copies of the worker's descriptors afterwards.
    ///
    /// # Errors
    /// Those of fork(2): too many processes, too little memory.
    pub fn start(&self, own: &Own<'_>) -> io::Result<Pid> {
        let places = own.listeners.len()..;
        let descriptors: Vec<Inherit<'_>> = places
            .zip(own.descriptors)
            .map(|(place, (_, end))| self.inherit(place, *end))
            .collect();
        let names = own.descriptors.iter().map(|(name, _)| *name);
        let numbers = names.zip(descriptors.iter().map(|own| own.number));
        let variables = SharedEnvironment::of_one_worker(own.index, numbers);
        let Some(first) = self.arguments.first() else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        let moved = |word: usize| own.moved.iter().find(|(moved, _)| *moved == word);
        let mut plan =
            SpawnPlan::new(moved(0).map_or(first.as_c_str(), |(_, path)| path), &self.arguments);
        // The program is told its name as ever, but a script is what its interpreter opens.
        for (word, argument) in plan.arguments.iter_mut().enumerate().skip(1) {
            if let Some((_, path)) = moved(word) {
                *argument = path;
            }
        }
        plan.environment =
            self.environment.variables().chain(variables.iter().map(CString::as_c_str)).collect();
        plan.own_pid_in = self.environment.own_pid_in();
        let listeners = own.listeners.iter().enumerate();
        plan.inherit = listeners
            .map(|(place, listener)| self.inherit(place, *listener))
            .chain(descriptors)
            .collect();
        plan.working_folder = own.folder;
        plan.process_group = true;
        plan.parent_death = own.parent_death;
        plan.nice = self.rules.nice;
        plan.open_files = self.rules.open_files;
        plan.shell_for_plain_text = true;
        if own.alone { vfork::spawn_alone(&plan) } else { process::spawn(&plan) }
    }

    /// Starts a check of a worker, which finds what that finds, and ends with the master. What it
    /// prints is lost.
    ///
    /// # Errors
    /// Those of fork(2).
    pub fn start_check(
        &self,
        program: &CStr,
        words: &[CString],
        of: &Checked<'_>,
        folder: Option<BorrowedFd<'_>>,
    ) -> io::Result<Pid> {
        let own = [(names::WORKER_PID, of.pid)];
        let variables = SharedEnvironment::of_one_worker(of.index, own);
        let null = File::options().read(true).write(true).open("/dev/null")?;
        let mut plan = SpawnPlan::new(program, words);
        plan.environment =
            self.environment.variables().chain(variables.iter().map(CString::as_c_str)).collect();
        let listeners = of.listeners.iter().enumerate();
        plan.inherit = listeners.map(|(place, listener)| self.inherit(place, *listener)).collect();
        plan.stdio = [Some(null.as_fd()); 3];
        plan.working_folder = folder;
        plan.process_group = true;
        plan.parent_death = Some(Signal::KILL);
        plan.nice = self.rules.nice;
        plan.open_files = self.rules.open_files;
        plan.shell_for_plain_text = true;
        process::spawn(&plan)
    }

    /// The descriptor in that place of a worker's.
    fn inherit<'a>(&self, place: usize, descriptor: BorrowedFd<'a>) -> Inherit<'a> {
        let here = descriptor.as_raw_fd();
        Inherit { descriptor, number: self.environment.number(place, here) }
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::io::Read;
    use std::path::Path;

    use super::*;
    use crate::options::FdBase;
    use crate::spawn::{Numbering, WorkerSocket};
    use crate::sys::children::{self, ExitStatus};
    use crate::sys::descriptor;
    use crate::sys::socket::{self, Family, ListenOptions};

    fn command(words: &[&str]) -> Vec<OsString> {
        words.iter().map(OsString::from).collect()
    }

    fn environment(start: &[(&str, &str)], sockets: &[WorkerSocket]) -> SharedEnvironment {
        let start = start.iter().map(|(name, value)| (OsStr::new(*name), OsStr::new(*value)));
        let path = Path::new("/run/e.sock");
        let numbering = Numbering { base: FdBase::Zero, listen_fds: false };
        SharedEnvironment::new(start, process::own_pid(), path, sockets, numbering)
    }

    #[test]
    fn commands_that_are_none() {
        let environment = environment(&[], &[]);
        let new = |words: &[&str]| {
            WorkerPlan::new(&command(words), environment.clone(), Rules::default()).map(|_| ())
        };
        assert_eq!(new(&[]), Err(PlanError::Empty));
        assert_eq!(new(&["/bin/sh", "a\0b"]), Err(PlanError::Nul(2)));
    }

    #[test]
    fn a_worker_finds_its_environment_and_its_sockets() {
        let options = ListenOptions { reuse_address: false, nonblocking: false, backlog: 1 };
        let listener = socket::listen_internet("127.0.0.1:0".parse().unwrap(), options).unwrap();
        let (report, writer) = descriptor::pipe().unwrap();
        let sockets =
            [WorkerSocket { number: listener.as_raw_fd(), family: Family::Inet, name: None }];
        let environment = environment(&[("EINHORN_FD_3", "1"), ("A", "b c")], &sockets);
        // The second descriptor stands in for a connection; the script writes to it.
        let script = "{ echo $0 $A $EINHORN_CHILD_INDEX ${EINHORN_FD_3-none}; \
                      test $EINHORN_MASTER_PID = $PPID && echo parent; \
                      test -S /proc/self/fd/$EINHORN_FD_0 && echo socket; \
                      read a b c d group e < /proc/$$/stat; test $group = $$ && echo leads; \
                      } >&$EINHORN_SOCK_FD";
        let words = command(&["/bin/bash", "-c", script]);
        let plan = WorkerPlan::new(&words, environment, Rules::default()).unwrap();
        let pid = plan
            .start(&Own {
                index: 4,
                listeners: &[listener.as_fd()],
                descriptors: &[(names::SOCK_FD, writer.as_fd())],
                ..Own::default()
            })
            .unwrap();
        drop(writer);
        let mut text = String::new();
        File::from(report).read_to_string(&mut text).unwrap();
        assert_eq!(text, "/bin/bash b c 4 none\nparent\nsocket\nleads\n");
        assert_eq!(children::wait_for_end(pid).status, ExitStatus::Exited(0));
    }
}
