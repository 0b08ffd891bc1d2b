//! Becoming another program in the same process.
#![allow(unsafe_code, reason = "execve and sigaction are unsafe to call")]

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::BorrowedFd;

use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};

use super::descriptor::{is_close_on_exec, set_close_on_exec};
use super::process::Pointers;
use super::signals::OF_THE_MASTER;

/// What becomes of the signals that this process blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mask {
    /// They stay blocked, and what is pending waits for the next image.
    Kept,
    /// Nothing stays blocked or ignored: for an image that would never unblock them. What is
    /// pending at that moment is lost.
    Cleared,
}

/// Replaces this program by another. Returns only if that fails, and then everything is as it
/// was. Of all descriptors above 2 only those in `keep` cross.
pub fn exec(
    program: &CStr,
    arguments: &[CString],
    environment: &[CString],
    keep: &[BorrowedFd<'_>],
    mask: Mask,
) -> io::Error {
    let arguments = Pointers::of(arguments.iter().map(CString::as_c_str));
    let environment = Pointers::of(environment.iter().map(CString::as_c_str));
    let mut opened = Vec::with_capacity(keep.len());
    let mut failure = None;
    for &descriptor in keep {
        match is_close_on_exec(descriptor).and_then(|closed| {
            set_close_on_exec(descriptor, false)?;
            Ok(closed)
        }) {
            Ok(true) => opened.push(descriptor),
            Ok(false) => {}
            Err(error) => {
                failure = Some(error);
                break;
            }
        }
    }
    let error = failure.unwrap_or_else(|| match mask {
        Mask::Kept => call(program, &arguments, &environment),
        Mask::Cleared => with_cleared_mask(|| call(program, &arguments, &environment)),
    });
    for descriptor in opened {
        // It worked a moment ago; there is nobody to tell a second error to.
        let _ = set_close_on_exec(descriptor, true);
    }
    error
}

fn call(program: &CStr, arguments: &Pointers<'_>, environment: &Pointers<'_>) -> io::Error {
    // SAFETY: the program's name and both arrays are NUL-terminated and outlive the call.
    unsafe { libc::execve(program.as_ptr(), arguments.as_ptr(), environment.as_ptr()) };
    io::Error::last_os_error()
}

extern "C" fn swallow(_: libc::c_int) {}

/// Runs an exec with nothing blocked. Handlers that do nothing stand in for the defaults
/// meanwhile, so that a signal which was pending does not kill this process on the way; exec
/// itself turns them back into defaults.
fn with_cleared_mask(exec: impl FnOnce() -> io::Error) -> io::Error {
    let Ok(old_mask) = SigSet::thread_get_mask() else { return exec() };
    let mut old_actions = Vec::new();
    let action = SigAction::new(SigHandler::Handler(swallow), SaFlags::SA_RESTART, SigSet::empty());
    let of_the_master =
        OF_THE_MASTER.iter().filter_map(|signal| Signal::try_from(signal.number()).ok());
    for signal in of_the_master.chain([Signal::SIGXFSZ]) {
        // SAFETY: the handler does nothing at all, which is async-signal-safe.
        if let Ok(old) = unsafe { sigaction(signal, &action) } {
            old_actions.push((signal, old));
        }
    }
    let _ = SigSet::empty().thread_set_mask();
    let error = exec();
    let _ = old_mask.thread_set_mask();
    for (signal, old) in old_actions {
        // SAFETY: puts back what was there before.
        let _ = unsafe { sigaction(signal, &old) };
    }
    error
}

#[cfg(test)]
mod tests {
    use std::os::fd::{AsFd, AsRawFd};

    use super::*;
    use crate::signal::Signal;
    use crate::sys::descriptor;
    use crate::sys::own_process::alone;
    use crate::sys::signals;
    use crate::sys::signals::SignalSource;

    fn c(text: &str) -> CString {
        CString::new(text).unwrap()
    }

    #[test]
    fn a_failed_exec_changes_nothing() {
        alone!();
        let source = SignalSource::new().unwrap();
        let (reader, _writer) = descriptor::pipe().unwrap();
        for mask in [Mask::Kept, Mask::Cleared] {
            let error = exec(c"/nowhere/at/all", &[c("x")], &[], &[reader.as_fd()], mask);
            assert_eq!(error.raw_os_error(), Some(libc::ENOENT));
            assert!(descriptor::is_close_on_exec(reader.as_fd()).unwrap());
            let blocked = SigSet::thread_get_mask().unwrap();
            assert!(blocked.contains(nix::sys::signal::Signal::SIGHUP));
            // SAFETY: raise takes a number and touches no memory of ours.
            assert_eq!(unsafe { libc::raise(libc::SIGHUP) }, 0);
            assert_eq!(source.read_all().unwrap(), [Signal::HUP]);
        }
    }

    /// The test's process becomes a shell that plays libtest's part and says "1 passed".
    fn become_shell(script: &str, keep: &[BorrowedFd<'_>], mask: Mask) -> ! {
        let arguments = [c("sh"), c("-c"), c(&format!("{script}; echo 1 passed"))];
        panic!("{}", exec(c"/bin/sh", &arguments, &[c("GREETING=hello")], keep, mask));
    }

    #[test]
    fn exactly_the_kept_descriptors_and_the_environment_cross() {
        alone!();
        let (kept, closed) = descriptor::pipe().unwrap();
        let script = format!(
            "set -e; test -e /proc/self/fd/{}; ! test -e /proc/self/fd/{}; \
             test \"$GREETING\" = hello; test -z \"$HOME\"",
            kept.as_raw_fd(),
            closed.as_raw_fd()
        );
        become_shell(&script, &[kept.as_fd()], Mask::Kept);
    }

    #[test]
    fn a_kept_mask_keeps_a_pending_signal_pending() {
        alone!();
        let _source = SignalSource::new().unwrap();
        // To the process, as from outside; libtest's other thread has to ignore it.
        // SAFETY: no handler is installed.
        unsafe { libc::raise(libc::SIGUSR2) };
        let bit = 1_u64 << (libc::SIGUSR2 - 1);
        let script = format!(
            "set -e; while read key value; do test $key != SigPnd: || thread=$value; \
             test $key != SigBlk: || blocked=$value; done < /proc/self/status; \
             test $((0x$blocked & {bit})) = {bit}; test $((0x$thread & {bit})) = {bit}"
        );
        become_shell(&script, &[], Mask::Kept);
    }

    #[test]
    fn a_cleared_mask_leaves_nothing_blocked_and_no_pending_signal_kills() {
        alone!();
        let _source = SignalSource::new().unwrap();
        signals::ignore_file_size_limit().unwrap();
        // SAFETY: as above.
        unsafe { libc::raise(libc::SIGUSR2) };
        let script = "set -e; while read key value; do case $key in SigBlk:) blocked=$value;; \
                      SigIgn:) ignored=$value;; esac; done < /proc/self/status; \
                      test $((0x$blocked)) = 0; \
                      test $((0x$ignored & 0x7fffffff)) = 0";
        become_shell(script, &[], Mask::Cleared);
    }
}
