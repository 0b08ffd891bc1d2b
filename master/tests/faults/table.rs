//! The table: a system call × an error → what the master does, and how each row is run.

use std::ffi::OsStr;
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::Value as Json;

use crate::calls::numbers;
use crate::kernel::{Failure, Fault, Kernel};
use crate::seccomp::Scope;
use crate::support::log::Log;
use crate::support::process::start;
use crate::support::{Folder, Launch, Master};

/// How long a master is watched that has nothing to do.
const WHILE: Duration = Duration::from_millis(400);
/// Far more than it tries in that time, and far less than if it did nothing else.
const TRIES_MAX: usize = 20;
/// Hundredths of a second.
const TICKS_MAX: u64 = 15;

/// What is shown by running it.
pub(crate) struct Row {
    /// The test's name.
    pub(crate) name: &'static str,
    /// What is being done when the call fails, in an operator's words.
    pub(crate) doing: &'static str,
    /// Functions of `sys` that make the call there, `module::function`.
    pub(crate) functions: &'static [&'static str],
    /// The call, by the name of its manual page.
    pub(crate) call: &'static str,
    /// What it fails with, each in its turn.
    pub(crate) failures: &'static [(&'static str, Failure)],
    /// What the master does then, in an operator's words.
    pub(crate) outcome: &'static str,
    pub(crate) run: fn(&Case),
}

impl Row {
    /// Runs it with each of its errors.
    pub(crate) fn show(&self) {
        for &(name, failure) in self.failures {
            println!("{} {name} ({})", self.call, self.name);
            (self.run)(&Case { call: self.call, name, failure });
        }
    }
}

/// Names each row's test after the function that shows it.
macro_rules! rows {
    ($($name:ident: $doing:literal, $functions:expr, $call:literal, [$($failure:ident),+]
        => $outcome:literal;)+) => {
        pub(crate) const ROWS: &[$crate::table::Row] = &[$($crate::table::Row {
            name: stringify!($name),
            doing: $doing,
            functions: &$functions,
            call: $call,
            failures: &[$($crate::table::failure!($failure)),+],
            outcome: $outcome,
            run: $name,
        }),+];
        mod row {
            $(#[test]
            fn $name() {
                let row = super::ROWS.iter().find(|row| row.name == stringify!($name));
                row.unwrap().show();
            })+
        }
    };
}

/// An errno by its name, or a call that does less than it was asked for.
macro_rules! failure {
    (short) => {
        ("short", $crate::kernel::Failure::Short(1))
    };
    ($errno:ident) => {
        (stringify!($errno), $crate::kernel::Failure::Error(libc::$errno))
    };
}

pub(crate) use {failure, rows};

/// One row with one error.
pub(crate) struct Case {
    pub(crate) call: &'static str,
    pub(crate) name: &'static str,
    pub(crate) failure: Failure,
}

/// A master whose calls can be made to fail.
pub(crate) struct Bench {
    pub(crate) master: Master,
    pub(crate) kernel: Kernel,
}

impl Case {
    /// The call fails.
    pub(crate) fn fault(&self) -> Fault {
        Fault::new(numbers(self.call), self.failure)
    }

    /// What the system says of the error, as it stands in messages.
    pub(crate) fn reason(&self) -> String {
        let Failure::Error(errno) = self.failure else { panic!("{} is no error", self.name) };
        let text = std::io::Error::from_raw_os_error(errno).to_string();
        let text = text.split(" (os error ").next().unwrap();
        let (first, rest) = text.split_at(1);
        if rest.starts_with(|next: char| next.is_lowercase()) {
            return first.to_lowercase() + rest;
        }
        text.to_owned()
    }

    /// A master that runs, with nothing failing yet.
    #[track_caller]
    pub(crate) fn start<O: AsRef<OsStr>, P: AsRef<OsStr>>(
        &self,
        options: &[O],
        program: &[P],
    ) -> Bench {
        self.launch(Launch::new(options, program), Vec::new())
    }

    /// A master for which this fails from its beginning, and which does not start and leaves
    /// nothing behind. Returns what it says.
    #[track_caller]
    pub(crate) fn refused(&self, launch: Launch, fault: Fault) -> String {
        self.refused_with(launch, fault, |_| ())
    }

    /// The same, where something was there before, which is looked at and taken away.
    #[track_caller]
    pub(crate) fn refused_with(
        &self,
        mut launch: Launch,
        fault: Fault,
        look: impl FnOnce(&Folder),
    ) -> String {
        let mut command = launch.command();
        let kernel = Kernel::over(&mut command, &Scope::These(numbers(self.call)));
        kernel.fail(fault);
        let mut child = start(command.stderr(Stdio::piped()));
        let log = Log::follow(child.stderr.take().unwrap());
        let finished = launch.finish(child, &log);
        assert_ne!(kernel.lift(), 0, "nothing has failed");
        look(&finished.folder);
        finished.refused(&[])
    }

    /// A master for which this fails from its beginning, and which starts nevertheless.
    #[track_caller]
    pub(crate) fn launch(&self, mut launch: Launch, faults: Vec<Fault>) -> Bench {
        let mut command = launch.command();
        let others = faults.iter().flat_map(|fault| fault.numbers().iter().copied());
        let calls = numbers(self.call).into_iter().chain(others).collect();
        let kernel = Kernel::over(&mut command, &Scope::These(calls));
        for fault in faults {
            kernel.fail(fault);
        }
        let mut child = start(command.stderr(Stdio::piped()));
        let log = Log::follow(child.stderr.take().unwrap());
        let master = Master::started(launch.folder, launch.socket, child, log);
        Bench { master, kernel }
    }
}

impl Bench {
    /// Nothing fails any more, and something has.
    #[track_caller]
    pub(crate) fn lift(&self) {
        assert_ne!(self.kernel.lift(), 0, "nothing has failed");
    }

    /// Those workers and no others, all up.
    #[track_caller]
    pub(crate) fn has_kept(&self, pids: &[i32]) -> Json {
        let status = self.master.wait_for_up(pids.len());
        assert_eq!(crate::support::pids(&status), pids);
        status
    }

    /// It waits, and does not try over and over: neither the processor nor the kernel is asked
    /// much for a while.
    #[track_caller]
    pub(crate) fn idles(&self) {
        let (met, ticks, lines) = (self.kernel.met(), self.ticks(), self.master.log.mark());
        let until = Instant::now() + WHILE;
        while Instant::now() < until {
            self.master.log.wait_for_more(usize::MAX, until);
        }
        let (met, ticks) = (self.kernel.met() - met, self.ticks() - ticks);
        let lines = self.master.log.mark() - lines;
        assert!(
            met <= TRIES_MAX && ticks <= TICKS_MAX && lines <= TRIES_MAX,
            "in {WHILE:?} {met} tries, {ticks} hundredths of a second and {lines} lines"
        );
    }

    /// The time that the master has had of a processor.
    fn ticks(&self) -> u64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.master.pid())).unwrap();
        let (_, fields) = stat.rsplit_once(')').unwrap();
        let fields: Vec<&str> = fields.split_ascii_whitespace().collect();
        fields[11..13].iter().map(|field| field.parse::<u64>().unwrap()).sum()
    }
}
