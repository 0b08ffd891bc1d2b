//! Forking a worker whose parent is the master, and what it does before it goes on.
//!
//! A process in between forks the worker and ends at once, so that the master, a child
//! subreaper, becomes the worker's parent. The worker waits until the master knows its pid.
//!
//! Everything here runs in a process with a single thread, so that the child of a fork may do
//! what any process may.

#![allow(unsafe_code)]
#![allow(clippy::disallowed_methods, reason = "a forked worker sets the variables it was sent")]

use super::{channel::Channel, request::Request};
use einhorn_protocol::environment as names;
use rustix::{
    io::{Errno, FdFlags, fcntl_setfd, read, write},
    pipe::{PipeFlags, pipe_with},
    process::{Pid, WaitOptions, setpgid, waitpid},
};
use std::{
    env, fs,
    io::{self, Write as _},
    os::fd::{FromRawFd as _, IntoRawFd as _, OwnedFd, RawFd},
};

/// Where the threads of this process are listed.
const THREADS: &str = "/proc/self/task";

/// Which of the two processes this is.
pub(super) enum Forked {
    /// The worker.
    Worker(Request),
    /// The one that was asked; the worker that it has forked, or why there is none.
    Here(Channel, io::Result<Waiting>),
}

/// A worker that waits for its release.
pub(super) struct Waiting {
    pub(super) pid: i32,
    gate: OwnedFd,
}

impl Waiting {
    /// Lets it go on.
    pub(super) fn release(self) {
        let _ = again(|| write(&self.gate, b"x"));
    }
}

/// Ends this process without running anything of the program's.
pub(super) fn end(status: i32) -> ! {
    // SAFETY: _exit has no preconditions and does not return.
    unsafe { libc::_exit(status) }
}

/// Owns the descriptor that was given to this process as the channel, which must be open.
pub(super) fn own(number: RawFd) -> OwnedFd {
    // SAFETY: the caller has seen that it is open and a socket of the kind that only a master
    // gives, and the variable that names it is read once: nobody else here owns it.
    unsafe { OwnedFd::from_raw_fd(number) }
}

/// Says that no other thread runs in this process. What is done with it starts none.
pub(super) struct OnlyThread(());

#[allow(clippy::unused_self, reason = "having it is the proof")]
impl OnlyThread {
    /// As just seen; or how many there are.
    pub(super) fn check() -> Result<Self, usize> {
        match fs::read_dir(THREADS).map_or(1, Iterator::count) {
            0 | 1 => Ok(Self(())),
            several => Err(several),
        }
    }

    pub(super) fn forget_variables(&self, names: &[&str]) {
        for name in names {
            // SAFETY: no other thread reads the environment.
            unsafe { env::remove_var(name) };
        }
    }

    pub(super) fn fork_worker(&self, channel: Channel, request: Request) -> Forked {
        flush();
        let pipes = pipe().and_then(|told| Ok((told, pipe()?)));
        let ((told, tell), (gate, release)) = match pipes {
            Ok(pipes) => pipes,
            Err(error) => return Forked::Here(channel, Err(error)),
        };
        // SAFETY: there is no other thread, so the child is a process like any other.
        match unsafe { libc::fork() } {
            -1 => Forked::Here(channel, Err(io::Error::last_os_error())),
            0 => {
                self.fork_again(&tell);
                drop((channel, told, tell, release));
                wait_for_release(&gate);
                Forked::Worker(request)
            }
            between => {
                drop((request, tell, gate));
                let number = hear(&told);
                wait_for(between);
                let worker = number.and_then(|number| match number {
                    pid if pid > 0 => Ok(Waiting { pid, gate: release }),
                    errno => Err(io::Error::from_raw_os_error(errno.saturating_neg())),
                });
                Forked::Here(channel, worker)
            }
        }
    }

    /// In the process in between; returns in the worker.
    fn fork_again(&self, tell: &OwnedFd) {
        // SAFETY: there is no other thread, as above.
        let pid = unsafe { libc::fork() };
        if pid == 0 {
            return;
        }
        let errno = || io::Error::last_os_error().raw_os_error().unwrap_or(libc::EAGAIN);
        let number = if pid == -1 { -errno() } else { pid };
        let _ = again(|| write(tell, &number.to_ne_bytes()));
        end(0)
    }

    /// Makes this process what a worker finds that was started by exec.
    pub(super) fn begin(&self, request: Request) {
        if let Some(signal) = request.parent_death {
            // SAFETY: takes numbers only.
            unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, signal) };
        }
        // A master that was gone by then sends nothing any more.
        let parent = std::os::unix::process::parent_id().to_string();
        if request.variable(names::MASTER_PID).is_none_or(|master| *master != *parent) {
            end(1);
        }
        for (name, value) in &request.variables {
            // SAFETY: no other thread reads the environment.
            unsafe { env::set_var(name, value) };
        }
        for descriptor in request.descriptors {
            let _ = fcntl_setfd(&descriptor, FdFlags::empty());
            // They are the worker's for life, known by their numbers.
            let _ = descriptor.into_raw_fd();
        }
    }
}

fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(pipe_with(PipeFlags::CLOEXEC)?)
}

/// What is not yet written would be written by every worker.
fn flush() {
    let _ = io::stdout().flush();
    // SAFETY: NULL stands for all streams.
    unsafe { libc::fflush(std::ptr::null_mut()) };
}

/// What the process in between says: a pid, or an error's number negated.
fn hear(told: &OwnedFd) -> io::Result<i32> {
    let mut number = [0; 4];
    match again(|| read(told, &mut number)) {
        Ok(4) => Ok(i32::from_ne_bytes(number)),
        _ => Err(io::Error::other("the process in between was killed")),
    }
}

fn wait_for(between: i32) {
    if let Some(between) = Pid::from_raw(between) {
        // The program may have waited for it, or want to hear of no child.
        let _ = again(|| waitpid(Some(between), WaitOptions::empty()));
    }
}

fn wait_for_release(gate: &OwnedFd) {
    let _ = setpgid(None, None);
    let mut byte = [0];
    if again(|| read(gate, &mut byte)) != Ok(1) {
        end(1);
    }
}

fn again<T>(mut call: impl FnMut() -> Result<T, Errno>) -> Result<T, Errno> {
    loop {
        match call() {
            Err(Errno::INTR) => {}
            result => return result,
        }
    }
}
