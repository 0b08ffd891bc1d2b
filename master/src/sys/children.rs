//! The end of children: reaping them, asking whether one lives, adopting orphans.

use std::io;

use rustix::io::retry_on_intr;
use rustix::process::{WaitId, WaitIdOptions, WaitOptions};

use super::process::Pid;

/// A child that is no more; its pid may now be given to another process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exit {
    /// Its pid.
    pub pid: Pid,
    /// How it ended.
    pub status: ExitStatus,
}

/// How a child ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitStatus {
    /// It exited with this status, 0 to 255.
    Exited(i32),
    /// This signal killed it, real-time ones included.
    Signaled {
        /// The signal's number.
        signal: i32,
        /// Whether it left a core dump.
        core: bool,
    },
}

/// What became of a child that was known by its pid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChildState {
    /// It runs.
    Living,
    /// It has ended and waits to be reaped.
    Ended,
    /// This process has no such child.
    Unknown,
}

/// Reaps one ended child, if there is one.
///
/// # Errors
/// Those of waitpid(2); having no children at all is none.
pub fn reap_next() -> io::Result<Option<Exit>> {
    finished(retry_on_intr(|| rustix::process::wait(WaitOptions::NOHANG)))
}

/// Looks at a child and leaves it to be reaped.
///
/// # Errors
/// Those of waitid(2); not having such a child is none.
pub fn state_of(pid: Pid) -> io::Result<ChildState> {
    let Some(pid) = positive(pid) else { return Ok(ChildState::Unknown) };
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    match retry_on_intr(|| rustix::process::waitid(WaitId::Pid(pid), options)) {
        Ok(None) => Ok(ChildState::Living),
        Ok(Some(_)) => Ok(ChildState::Ended),
        Err(rustix::io::Errno::CHILD) => Ok(ChildState::Unknown),
        Err(error) => Err(error.into()),
    }
}

/// Whether `pid` is a child of this process that has not ended.
///
/// # Errors
/// Those of [`state_of`].
pub fn is_living_child(pid: Pid) -> io::Result<bool> {
    Ok(state_of(pid)? == ChildState::Living)
}

/// Whether orphaned descendants become children of this process; kept across an exec.
///
/// # Errors
/// Those of prctl(2).
pub fn set_subreaper(on: bool) -> io::Result<()> {
    let pid = on.then(rustix::process::getpid);
    Ok(rustix::process::set_child_subreaper(pid)?)
}

fn positive(pid: Pid) -> Option<rustix::process::Pid> {
    (pid > 0).then(|| rustix::process::Pid::from_raw(pid)).flatten()
}

type Waited =
    Result<Option<(rustix::process::Pid, rustix::process::WaitStatus)>, rustix::io::Errno>;

fn finished(waited: Waited) -> io::Result<Option<Exit>> {
    let (pid, status) = match waited {
        Ok(Some(found)) => found,
        Ok(None) | Err(rustix::io::Errno::CHILD) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let pid = pid.as_raw_nonzero().get();
    let status = match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => ExitStatus::Exited(code),
        (None, Some(signal)) => {
            ExitStatus::Signaled { signal, core: libc::WCOREDUMP(status.as_raw()) }
        }
        // Stops are not asked for, so there is no third kind.
        (None, None) => return Ok(None),
    };
    Ok(Some(Exit { pid, status }))
}

/// Waits until the child `pid` has ended, and reaps it.
#[cfg(test)]
pub(crate) fn wait_for_end(pid: Pid) -> Exit {
    let pid = positive(pid).unwrap();
    let wait = || rustix::process::waitpid(Some(pid), WaitOptions::empty());
    finished(retry_on_intr(wait)).unwrap().unwrap()
}
