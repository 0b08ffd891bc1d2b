//! Starting a process in this one's memory, as vfork(2) does it: nothing is copied, and the thread
//! that starts it stands still until the program runs.
//!
//! Invariant: the child never waits for anybody and says nothing. Whatever fails in it is left to a
//! fork, which may take its time to tell.
#![allow(unsafe_code, reason = "clone, and what its child shares with this process")]

use std::io;
use std::mem::MaybeUninit;
use std::ptr;

use super::process::{Child, Pid, SpawnPlan, spawn};

/// As [`spawn`], but the program runs when this returns, if it can be executed. For a process that
/// is started alone by one that has nobody to serve yet: several start sooner by [`spawn`], side by
/// side, and a file system that does not answer holds this thread up.
///
/// # Errors
/// Those of fork(2).
pub fn spawn_alone(plan: &SpawnPlan<'_>) -> io::Result<Pid> {
    match start(plan) {
        Some(pid) => Ok(pid),
        None => spawn(plan),
    }
}

/// None: something failed, and nothing is left of it.
fn start(plan: &SpawnPlan<'_>) -> Option<Pid> {
    let mut child = Child::prepare(plan).silent();
    let mut stack = Vec::<u128>::with_capacity(STACK);
    let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD;
    let blocked = AllBlocked::begin();
    // SAFETY: `child` and the stack live until clone returns, and that is when the child has left
    // this memory. Meanwhile this thread stands still, and the child has all signals blocked until
    // none of them has a handler. The end of a stack of u128 is aligned as every platform wants it.
    let pid = unsafe {
        let top = stack.as_mut_ptr().add(STACK).cast();
        libc::clone(run, top, flags, (&raw mut child).cast())
    };
    drop(blocked);
    if pid > 0 && child.failed() {
        // SAFETY: waits for a child of this function's own, which is about to end.
        unsafe { libc::waitpid(pid, ptr::null_mut(), 0) };
        return None;
    }
    (pid > 0).then_some(pid)
}

/// Elements of the child's stack: 32 KiB, of which it touches the first few.
const STACK: usize = 2048;

extern "C" fn run(child: *mut libc::c_void) -> libc::c_int {
    // SAFETY: `start` gives a `Child` that nobody else uses while this runs in its process.
    unsafe { (*child.cast::<Child<'_>>()).run() }
}

/// While it lives no handler runs in this thread.
struct AllBlocked(libc::sigset_t);

impl AllBlocked {
    fn begin() -> Self {
        let mut all = MaybeUninit::uninit();
        let mut before = MaybeUninit::uninit();
        // SAFETY: both sets are filled by these calls, which fail only for arguments that these
        // are not.
        unsafe {
            libc::sigfillset(all.as_mut_ptr());
            libc::pthread_sigmask(libc::SIG_SETMASK, all.as_ptr(), before.as_mut_ptr());
            Self(before.assume_init())
        }
    }
}

impl Drop for AllBlocked {
    fn drop(&mut self) {
        // SAFETY: the set is the one that `begin` found.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const self.0, ptr::null_mut()) };
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::CString;
    use std::fs::File;
    use std::io::{Read, Write};
    use std::os::fd::AsFd;
    use std::sync::mpsc;
    use std::thread;
    use std::time::Duration;

    use super::*;
    use crate::sys::children::{self, ExitStatus};
    use crate::sys::descriptor;
    use crate::sys::own_process::alone;
    use crate::sys::process::EXIT_NOT_FOUND;

    /// Longest wait for what should happen at once.
    const LIMIT: Duration = Duration::from_secs(20);

    #[test]
    fn nobody_who_reads_late_holds_it_up() {
        let (reader, writer) = descriptor::pipe().unwrap();
        let mut full = File::from(writer.try_clone().unwrap());
        rustix::io::ioctl_fionbio(&full, true).unwrap();
        while full.write(&[b'.'; 4096]).is_ok() {}
        rustix::io::ioctl_fionbio(&full, false).unwrap();
        drop(full);
        let (tell, told) = mpsc::channel();
        thread::spawn(move || {
            let arguments = [CString::from(c"missing")];
            let mut plan = SpawnPlan::new(c"/no/such/program", &arguments);
            plan.stdio[2] = Some(writer.as_fd());
            tell.send(spawn_alone(&plan)).unwrap();
        });
        let pid = told.recv_timeout(LIMIT).unwrap().unwrap();
        let mut text = String::new();
        File::from(reader).read_to_string(&mut text).unwrap();
        assert_eq!(text.matches("cannot run /no/such/program").count(), 1);
        assert_eq!(children::wait_for_end(pid).status, ExitStatus::Exited(EXIT_NOT_FOUND));
    }

    #[test]
    fn what_could_not_run_leaves_one_child_and_the_signals_as_they_were() {
        alone!();
        let mask = || std::fs::read_to_string("/proc/thread-self/status").unwrap();
        let blocked = || mask().lines().find(|line| line.starts_with("SigBlk")).map(str::to_owned);
        let before = blocked();
        let arguments = [CString::from(c"missing")];
        let pid = spawn_alone(&SpawnPlan::new(c"/no/such/program", &arguments)).unwrap();
        let status = children::wait_for_end(pid).status;
        assert_eq!(status, ExitStatus::Exited(EXIT_NOT_FOUND));
        assert_eq!(children::reap_next().unwrap(), None);
        assert_eq!(blocked(), before);
    }
}
