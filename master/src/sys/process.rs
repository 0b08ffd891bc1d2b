//! Starting a process: fork, and what has to happen between fork and exec.
//!
//! Everything that needs memory is prepared before the fork. The child makes only
//! async-signal-safe calls, so that it works whatever other threads were doing.
//!
//! Invariant: of the descriptors above 2 the new program has exactly those in
//! [`SpawnPlan::inherit`], as far as all others are close-on-exec.
#![allow(unsafe_code, reason = "fork, execve and the calls between them")]

use std::cell::Cell;
use std::ffi::{CStr, CString};
use std::io;
use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::ptr;
use std::sync::OnceLock;

use super::limits::OpenFiles;
use crate::signal::Signal;

/// A process id; positive wherever a process is meant.
pub type Pid = i32;

/// The exit status of a child whose program is not there.
pub const EXIT_NOT_FOUND: i32 = 127;
/// The exit status of a child whose program cannot be executed.
pub const EXIT_CANNOT_RUN: i32 = 126;

/// What a new process is to be.
#[derive(Clone, Debug)]
pub struct SpawnPlan<'a> {
    /// Path of the program.
    pub program: &'a CStr,
    /// Its arguments, its own name first.
    pub arguments: Vec<&'a CStr>,
    /// Its environment, `NAME=value` each.
    pub environment: Vec<&'a CStr>,
    /// A variable in which it finds its own pid, by its name.
    pub own_pid_in: Option<&'a CStr>,
    /// Descriptors that it gets, each under a number of its own. This process's own stay
    /// close-on-exec.
    pub inherit: Vec<Inherit<'a>>,
    /// What becomes its standard input, output and error; none: this process's own.
    pub stdio: [Option<BorrowedFd<'a>>; 3],
    /// The folder that it runs in; none: this process's own.
    pub working_folder: Option<BorrowedFd<'a>>,
    /// Whether it leads a process group of its own.
    pub process_group: bool,
    /// What it gets when this process, or the thread that spawns, ends for any reason.
    pub parent_death: Option<Signal>,
    /// Its nice level; one that is refused is a line on its standard error, no failure.
    pub nice: Option<i32>,
    /// Its limit of open descriptors.
    pub open_files: Option<OpenFiles>,
    /// Whether `/bin/sh` reads a program that is no binary and names no interpreter, as
    /// execvp(3) does it.
    pub shell_for_plain_text: bool,
}

/// A descriptor that a new process gets.
#[derive(Clone, Copy, Debug)]
pub struct Inherit<'a> {
    /// What it is here.
    pub descriptor: BorrowedFd<'a>,
    /// Its number there, above 2.
    pub number: RawFd,
}

impl<'a> Inherit<'a> {
    /// Under the number that it has here.
    pub fn in_place(descriptor: BorrowedFd<'a>) -> Self {
        Self { descriptor, number: descriptor.as_raw_fd() }
    }
}

impl<'a> SpawnPlan<'a> {
    /// The least: a program with its arguments, an empty environment and nothing else changed.
    pub fn new(program: &'a CStr, arguments: &'a [CString]) -> Self {
        Self {
            program,
            arguments: arguments.iter().map(CString::as_c_str).collect(),
            environment: Vec::new(),
            own_pid_in: None,
            inherit: Vec::new(),
            stdio: [None; 3],
            working_folder: None,
            process_group: false,
            parent_death: None,
            nice: None,
            open_files: None,
            shell_for_plain_text: false,
        }
    }
}

/// This process's pid. Asked once: a fork of this program does not get to ask.
pub fn own_pid() -> Pid {
    static OWN: OnceLock<Pid> = OnceLock::new();
    *OWN.get_or_init(|| rustix::process::getpid().as_raw_nonzero().get())
}

/// The pid of this process's parent; 0 if that is outside of the pid namespace.
pub fn parent_pid() -> Pid {
    rustix::process::getppid().map_or(0, |pid| pid.as_raw_nonzero().get())
}

/// The process group that `pid` is in; none if there is no such process.
pub fn group_of(pid: Pid) -> Option<Pid> {
    let pid = rustix::process::Pid::from_raw(pid).filter(|_| pid > 0)?;
    rustix::process::getpgid(Some(pid)).ok().map(|group| group.as_raw_nonzero().get())
}

/// Starts a process with an empty signal mask and default dispositions. Whether its program
/// could be executed shows only in its exit status, [`EXIT_NOT_FOUND`] or [`EXIT_CANNOT_RUN`],
/// and in a line on its standard error.
///
/// # Errors
/// Those of fork(2).
pub fn spawn(plan: &SpawnPlan<'_>) -> io::Result<Pid> {
    let mut child = Child::prepare(plan);
    // SAFETY: the child only runs `Child::run`, which keeps to async-signal-safe calls.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        // SAFETY: this is the child of the fork, with everything prepared before it.
        0 => unsafe { child.run() },
        pid => {
            if plan.process_group {
                // The child does it too; whoever is first has done it. An error here means
                // that the child was, and has gone on to exec or to its end.
                // SAFETY: setpgid takes numbers only.
                unsafe { libc::setpgid(pid, pid) };
            }
            Ok(pid)
        }
    }
}

/// A NULL-terminated array of strings as execve(2) takes it.
pub(super) struct Pointers<'a> {
    pointers: Vec<*const libc::c_char>,
    strings: PhantomData<&'a CStr>,
}

impl<'a> Pointers<'a> {
    pub(super) fn of(strings: impl IntoIterator<Item = &'a CStr>) -> Self {
        let pointers = strings.into_iter().map(CStr::as_ptr).chain([ptr::null()]).collect();
        Self { pointers, strings: PhantomData }
    }

    /// One more string, which must live as long.
    fn push(&mut self, string: *const libc::c_char) {
        self.pointers.insert(self.pointers.len().saturating_sub(1), string);
    }

    pub(super) fn as_ptr(&self) -> *const *const libc::c_char {
        self.pointers.as_ptr()
    }
}

/// A variable with room for a pid that only the child knows.
struct OwnPid {
    /// `NAME=`, the digits, and a NUL at the end in any case.
    text: Vec<Cell<u8>>,
    /// Where the digits begin.
    start: usize,
}

impl OwnPid {
    fn variable(name: &CStr) -> Self {
        let text = [name.to_bytes(), b"=", &[0; DIGITS + 1]].concat();
        let start = name.to_bytes().len() + 1;
        Self { text: text.into_iter().map(Cell::new).collect(), start }
    }

    fn as_ptr(&self) -> *const libc::c_char {
        self.text.as_ptr().cast()
    }

    /// Allocates nothing.
    fn write(&self, pid: Pid) {
        let mut digits = [0; DIGITS];
        let room = self.text.iter().skip(self.start);
        for (place, digit) in room.zip(decimal(pid, &mut digits)) {
            place.set(*digit);
        }
    }
}

/// A [`SpawnPlan`] in the form in which the child needs it.
pub(super) struct Child<'a> {
    program: &'a CStr,
    arguments: Pointers<'a>,
    environment: Pointers<'a>,
    own_pid: Option<OwnPid>,
    shell_arguments: Option<Pointers<'a>>,
    /// Numbers here and there.
    inherit: Vec<(RawFd, RawFd)>,
    /// No number there is above it.
    inherit_max: RawFd,
    stdio: [Option<RawFd>; 3],
    working_folder: Option<RawFd>,
    process_group: bool,
    parent_death: Option<(libc::c_int, Pid)>,
    nice: Option<i32>,
    open_files: Option<libc::rlimit>,
    /// It tells nobody what failed, but in `failed`, and ends.
    silent: bool,
    failed: Cell<bool>,
}

impl<'a> Child<'a> {
    pub(super) fn prepare(plan: &SpawnPlan<'a>) -> Self {
        let shell = || {
            let rest = plan.arguments.iter().skip(1).copied();
            Pointers::of([c"sh", plan.program].into_iter().chain(rest))
        };
        let inherit = plan.inherit.iter().map(|one| (one.descriptor.as_raw_fd(), one.number));
        let pid_variable = plan.own_pid_in.map(OwnPid::variable);
        let mut environment = Pointers::of(plan.environment.iter().copied());
        if let Some(variable) = &pid_variable {
            environment.push(variable.as_ptr());
        }
        Self {
            program: plan.program,
            arguments: Pointers::of(plan.arguments.iter().copied()),
            environment,
            own_pid: pid_variable,
            shell_arguments: plan.shell_for_plain_text.then(shell),
            inherit_max: plan.inherit.iter().map(|one| one.number).max().unwrap_or(0),
            inherit: inherit.collect(),
            stdio: plan.stdio.map(|end| end.map(|end| end.as_raw_fd())),
            working_folder: plan.working_folder.map(|folder| folder.as_raw_fd()),
            process_group: plan.process_group,
            parent_death: plan.parent_death.map(|signal| (signal.number(), own_pid())),
            nice: plan.nice,
            open_files: plan.open_files.map(|limit| libc::rlimit {
                rlim_cur: limit.soft.unwrap_or(libc::RLIM_INFINITY),
                rlim_max: limit.hard.unwrap_or(libc::RLIM_INFINITY),
            }),
            silent: false,
            failed: Cell::new(false),
        }
    }

    /// As one that is told to say nothing, see [`Child::failed`].
    pub(super) fn silent(self) -> Self {
        Self { silent: true, ..self }
    }

    /// Whether a silent child, in this memory, had anything to say.
    pub(super) fn failed(&self) -> bool {
        self.failed.get()
    }

    /// # Safety
    /// Only in the child of a fork, or of a clone whose parent stands still. It allocates nothing,
    /// takes no lock and does not unwind.
    pub(super) unsafe fn run(&mut self) -> ! {
        // SAFETY: every call is async-signal-safe (signal-safety(7)) or a bare system call;
        // all pointers are to memory that was prepared before the fork.
        unsafe {
            if self.process_group {
                libc::setpgid(0, 0);
            }
            default_dispositions();
            if let Some(level) = self.nice
                && libc::setpriority(libc::PRIO_PROCESS, 0, level) != 0
            {
                self.say(b"einhorn: cannot set the nice level of ", errno());
            }
            self.arrange_stdio();
            if let Some(folder) = self.working_folder
                && libc::fchdir(folder) != 0
            {
                self.say(b"einhorn: cannot enter the working folder of ", errno());
                libc::_exit(EXIT_CANNOT_RUN);
            }
            // Last, since descriptors of this process's own may have the numbers that they get.
            if !self.arrange_inherited() {
                self.say(b"einhorn: cannot hand the descriptors to ", errno());
                libc::_exit(EXIT_CANNOT_RUN);
            }
            if let Some(limit) = &self.open_files {
                libc::setrlimit(libc::RLIMIT_NOFILE, limit);
            }
            if let Some(own_pid) = &self.own_pid {
                own_pid.write(libc::getpid());
            }
            if let Some((signal, parent)) = self.parent_death {
                libc::prctl(libc::PR_SET_PDEATHSIG, signal);
                // A parent that was gone by then sends nothing any more.
                if libc::getppid() != parent {
                    libc::_exit(128 + signal);
                }
            }
            let mut nothing = MaybeUninit::<libc::sigset_t>::uninit();
            libc::sigemptyset(nothing.as_mut_ptr());
            libc::sigprocmask(libc::SIG_SETMASK, nothing.as_ptr(), ptr::null_mut());
            let environment = self.environment.as_ptr();
            libc::execve(self.program.as_ptr(), self.arguments.as_ptr(), environment);
            let mut error = errno();
            if error == libc::ENOEXEC
                && let Some(arguments) = &self.shell_arguments
                && !is_binary(self.program)
            {
                libc::execve(c"/bin/sh".as_ptr(), arguments.as_ptr(), environment);
                error = errno();
            }
            self.say(b"einhorn: cannot run ", error);
            libc::_exit(if error == libc::ENOENT { EXIT_NOT_FOUND } else { EXIT_CANNOT_RUN })
        }
    }

    /// # Safety
    /// As [`Child::run`].
    unsafe fn arrange_stdio(&self) {
        // SAFETY: fcntl and dup2 on numbers; what is closed by dup2 belongs to nobody here,
        // since this process is about to become another program.
        unsafe {
            // A source among 0, 1 and 2 moves out of the way of the others first.
            let mut sources = self.stdio;
            for (target, source) in (0..).zip(&mut sources) {
                if let Some(number) = source
                    && *number <= 2
                    && *number != target
                {
                    *number = libc::fcntl(*number, libc::F_DUPFD_CLOEXEC, 3);
                }
            }
            for (target, source) in (0..).zip(sources) {
                match source {
                    Some(number) if number == target => keep_open(number),
                    Some(number) => {
                        libc::dup2(number, target);
                    }
                    None => {}
                }
            }
        }
    }

    /// Whether all have their numbers.
    ///
    /// # Safety
    /// As [`Child::run`].
    unsafe fn arrange_inherited(&mut self) -> bool {
        // SAFETY: as in `arrange_stdio`.
        unsafe {
            // Whoever could stand where another one goes moves out of the way first.
            for (source, target) in &mut self.inherit {
                if source != target && *source <= self.inherit_max {
                    *source = libc::fcntl(
                        *source,
                        libc::F_DUPFD_CLOEXEC,
                        self.inherit_max.saturating_add(1),
                    );
                }
            }
            for &(source, target) in &self.inherit {
                if source == target {
                    // To be duplicated onto itself it would stay close-on-exec.
                    keep_open(source);
                } else if libc::dup2(source, target) < 0 {
                    return false;
                }
            }
            true
        }
    }

    /// Writes `text`, the program's name and the error's to standard error, in one piece. A silent
    /// child ends instead.
    ///
    /// # Safety
    /// As [`Child::run`].
    unsafe fn say(&self, text: &[u8], error: libc::c_int) {
        if self.silent {
            self.failed.set(true);
            // SAFETY: it ends this process at once.
            unsafe { libc::_exit(EXIT_CANNOT_RUN) };
        }
        let mut digits = [0; DIGITS];
        let parts = [
            text,
            self.program.to_bytes(),
            b": ",
            reason(error),
            b" (errno ",
            decimal(error, &mut digits),
            b")\n",
        ];
        let parts = parts.map(|part| libc::iovec {
            iov_base: part.as_ptr().cast_mut().cast(),
            iov_len: part.len(),
        });
        // SAFETY: seven parts, each a live slice that writev only reads.
        unsafe { libc::writev(libc::STDERR_FILENO, parts.as_ptr(), 7) };
    }
}

/// # Safety
/// Only in the child of a fork.
unsafe fn keep_open(number: RawFd) {
    // SAFETY: F_SETFD touches no memory.
    unsafe { libc::fcntl(number, libc::F_SETFD, 0) };
}

/// Whether a program that the kernel refuses is one for another machine, not text for a shell.
///
/// # Safety
/// Only in the child of a fork.
unsafe fn is_binary(program: &CStr) -> bool {
    const MAGIC: [u8; 4] = *b"\x7fELF";
    let mut first = [0_u8; MAGIC.len()];
    // SAFETY: open and read are async-signal-safe; the path is NUL-terminated, and the kernel
    // writes no more than there is room for. The descriptor ends with this process's program.
    unsafe {
        let file = libc::open(program.as_ptr(), libc::O_RDONLY | libc::O_CLOEXEC);
        file >= 0 && libc::read(file, first.as_mut_ptr().cast(), first.len()) > 0 && first == MAGIC
    }
}

/// Exec turns handlers into defaults but leaves "ignored" alone: HUP under nohup, PIPE in
/// every Rust program. The C library's function would spare 32 and 33, which it takes for its
/// own, though whoever started the master may have ignored them.
///
/// # Safety
/// Only in the child of a fork.
unsafe fn default_dispositions() {
    // The kernel's struct, smaller than this on every platform: SIG_DFL, no flags, no mask.
    let default = [0_u64; 16];
    let nothing = ptr::null_mut::<libc::c_void>();
    for signal in 1..=SIGNAL_MAX {
        // SAFETY: the kernel reads its struct from `default` and writes nothing. KILL and
        // STOP are refused with an error, which is as good.
        unsafe {
            libc::syscall(libc::SYS_rt_sigaction, signal, default.as_ptr(), nothing, MASK_BYTES);
        }
    }
}

const SIGNAL_MAX: libc::c_long = 64;
/// The kernel's signal set: a bit for each signal.
const MASK_BYTES: libc::size_t = 8;

fn errno() -> libc::c_int {
    // SAFETY: the location of this thread's errno is always valid.
    unsafe { *libc::__errno_location() }
}

/// Texts for a child that may not call strerror(3).
const REASONS: [(libc::c_int, &[u8]); 10] = [
    (libc::ENOENT, b"no such file, or its interpreter is missing"),
    (libc::EACCES, b"permission denied"),
    (libc::EPERM, b"not permitted"),
    (libc::ENOEXEC, b"not a program of this machine"),
    (libc::ENOTDIR, b"part of its path is not a folder"),
    (libc::ELOOP, b"too many symlinks"),
    (libc::E2BIG, b"arguments and environment are too long"),
    (libc::ENOMEM, b"out of memory"),
    (libc::ETXTBSY, b"it is being written to"),
    (libc::EISDIR, b"it or its interpreter is a folder"),
];

fn reason(error: libc::c_int) -> &'static [u8] {
    REASONS.iter().find(|(number, _)| *number == error).map_or(b"failed", |(_, text)| text)
}

const DIGITS: usize = 10;

fn decimal(number: libc::c_int, digits: &mut [u8; DIGITS]) -> &[u8] {
    let mut rest = number.unsigned_abs();
    let mut start = DIGITS;
    for (place, digit) in digits.iter_mut().enumerate().rev() {
        *digit = b'0'.wrapping_add((rest % 10).to_le_bytes()[0]);
        start = place;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    digits.get(start..).unwrap_or_default()
}

#[cfg(test)]
#[path = "process_tests.rs"]
mod tests;
