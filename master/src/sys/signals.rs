//! Signals: sending them, and receiving them as bytes of a descriptor.
//!
//! A [`SignalSource`] blocks what it listens to, and nobody unblocks it again: a signal that
//! arrives during a re-exec stays pending and is read by the next image. Children therefore
//! have to be given an empty mask (`sys::process` does).
#![allow(unsafe_code, reason = "sigaction is unsafe to call")]

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};

use nix::errno::Errno;
use nix::sys::signal::{
    SaFlags, SigAction, SigHandler, SigSet, SigmaskHow, sigaction, sigprocmask,
};
use nix::sys::signalfd::{SfdFlags, SignalFd, siginfo};

use super::process::{Pid, own_pid};
use crate::signal::Signal;

/// What a master listens to (`protocol.md §5`).
pub const OF_THE_MASTER: [Signal; 11] = [
    Signal::HUP,
    Signal::INT,
    Signal::QUIT,
    Signal::TERM,
    Signal::USR1,
    Signal::USR2,
    Signal::ALRM,
    Signal::CHLD,
    Signal::TTIN,
    Signal::TTOU,
    Signal::PIPE,
];

/// Sends `signal` to one process.
///
/// # Errors
/// `ESRCH`: there is none; `EPERM`: it is not ours.
pub fn send(pid: Pid, signal: Signal) -> io::Result<()> {
    Ok(rustix::process::kill_process(one_process(pid)?, named(signal)?)?)
}

/// Sends `signal` to every process of the group that `leader` leads. Until the leader is
/// reaped nobody else can lead a group of that number.
///
/// # Errors
/// `ESRCH`: it leads none; `EPERM`: none of them is ours.
pub fn send_to_group(leader: Pid, signal: Signal) -> io::Result<()> {
    // The negative of 1 does not mean the group of process 1 but every process there is.
    if leader == 1 {
        return Err(io::Error::from_raw_os_error(libc::ESRCH));
    }
    Ok(rustix::process::kill_process_group(one_process(leader)?, named(signal)?)?)
}

fn named(signal: Signal) -> io::Result<rustix::process::Signal> {
    rustix::process::Signal::from_named_raw(signal.number())
        .ok_or_else(|| io::Error::from_raw_os_error(libc::EINVAL))
}

/// Whether a process of that pid exists, a zombie and one that is not ours included.
pub fn exists(pid: Pid) -> bool {
    one_process(pid).is_ok_and(|pid| match rustix::process::test_kill_process(pid) {
        Ok(()) => true,
        Err(error) => error == rustix::io::Errno::PERM,
    })
}

/// Zero and negative numbers would mean whole groups of processes.
fn one_process(pid: Pid) -> io::Result<rustix::process::Pid> {
    if pid <= 0 {
        return Err(io::Error::from_raw_os_error(libc::ESRCH));
    }
    rustix::process::Pid::from_raw(pid).ok_or_else(|| io::Error::from_raw_os_error(libc::ESRCH))
}

/// The signals of a master, readable from a non-blocking descriptor.
#[derive(Debug)]
pub struct SignalSource {
    descriptor: SignalFd,
}

impl SignalSource {
    /// Blocks [`OF_THE_MASTER`] in this thread and listens to them. Their dispositions
    /// become the defaults: an inherited "ignored" CHLD would let children vanish unreaped.
    ///
    /// # Errors
    /// Those of sigaction(2), sigprocmask(2) and signalfd(2).
    pub fn new() -> io::Result<Self> {
        let mut set = SigSet::empty();
        let default = SigAction::new(SigHandler::SigDfl, SaFlags::empty(), SigSet::empty());
        for signal in OF_THE_MASTER {
            set.add(nix::sys::signal::Signal::try_from(signal.number())?);
        }
        // Not `SigSet::thread_block`, which never tells of an error.
        sigprocmask(SigmaskHow::SIG_BLOCK, Some(&set), None)?;
        // PIPE stays ignored for the time after an unblocking exec.
        for signal in OF_THE_MASTER.into_iter().filter(|signal| *signal != Signal::PIPE) {
            let signal = nix::sys::signal::Signal::try_from(signal.number())?;
            // SAFETY: no handler is installed, so none can break a rule about handlers.
            unsafe { sigaction(signal, &default)? };
        }
        let flags = SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC;
        Ok(Self { descriptor: SignalFd::with_flags(&set, flags)? })
    }

    /// Everything that is pending now. A PIPE that a write of this very process has caused is
    /// left out: the write has returned its error already.
    ///
    /// # Errors
    /// Those of read(2).
    pub fn read_all(&self) -> io::Result<Vec<Signal>> {
        let mut signals = Vec::new();
        let myself = u32::try_from(own_pid()).unwrap_or_default();
        while let Some(info) = self.next()? {
            let number = i32::try_from(info.ssi_signo).unwrap_or(0);
            let Some(signal) = Signal::from_number(number) else { continue };
            if signal != Signal::PIPE || info.ssi_pid != myself {
                signals.push(signal);
            }
        }
        Ok(signals)
    }

    fn next(&self) -> io::Result<Option<siginfo>> {
        loop {
            match self.descriptor.read_signal() {
                Err(Errno::EINTR) => {}
                read => return Ok(read?),
            }
        }
    }
}

/// A file that may not grow any more gives an error, as any other failure of a write does, and
/// not a signal that ends this process. Lasts over an exec; children start with the default.
///
/// # Errors
/// Those of sigaction(2).
pub fn ignore_file_size_limit() -> io::Result<()> {
    let ignore = SigAction::new(SigHandler::SigIgn, SaFlags::empty(), SigSet::empty());
    // SAFETY: no handler is installed, so none can break a rule about handlers.
    unsafe { sigaction(nix::sys::signal::Signal::SIGXFSZ, &ignore)? };
    Ok(())
}

impl AsFd for SignalSource {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}

impl AsRawFd for SignalSource {
    fn as_raw_fd(&self) -> RawFd {
        self.descriptor.as_fd().as_raw_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::own_process::alone;

    #[test]
    fn the_table_has_the_numbers_of_this_platform() {
        for (signal, number) in [
            (Signal::HUP, libc::SIGHUP),
            (Signal::INT, libc::SIGINT),
            (Signal::QUIT, libc::SIGQUIT),
            (Signal::KILL, libc::SIGKILL),
            (Signal::USR1, libc::SIGUSR1),
            (Signal::USR2, libc::SIGUSR2),
            (Signal::PIPE, libc::SIGPIPE),
            (Signal::ALRM, libc::SIGALRM),
            (Signal::TERM, libc::SIGTERM),
            (Signal::CHLD, libc::SIGCHLD),
            (Signal::TTIN, libc::SIGTTIN),
            (Signal::TTOU, libc::SIGTTOU),
        ] {
            assert_eq!(signal.number(), number, "{signal}");
        }
        for name in Signal::names() {
            let ours = Signal::from_name(name).unwrap();
            let theirs = nix::sys::signal::Signal::try_from(ours.number()).unwrap();
            assert_eq!(theirs.as_str(), ours.to_string());
        }
    }

    #[test]
    fn zero_and_below_never_mean_groups_and_no_group_is_everyone() {
        assert!(!exists(0));
        assert!(!exists(-1));
        assert_eq!(send(0, Signal::TERM).unwrap_err().raw_os_error(), Some(libc::ESRCH));
        assert_eq!(send(-1, Signal::TERM).unwrap_err().raw_os_error(), Some(libc::ESRCH));
        for number in [0, 1, -1] {
            let error = send_to_group(number, Signal::CHLD).unwrap_err();
            assert_eq!(error.raw_os_error(), Some(libc::ESRCH), "{number}");
        }
        assert!(exists(super::super::process::own_pid()));
    }

    #[test]
    fn a_file_that_may_not_grow_gives_an_error() {
        use std::io::Write as _;
        alone!();
        ignore_file_size_limit().unwrap();
        let resource = rustix::process::Resource::Fsize;
        let before = rustix::process::getrlimit(resource);
        let limit = rustix::process::Rlimit { current: Some(4), ..before };
        rustix::process::setrlimit(resource, limit).unwrap();
        let mut file = tempfile::tempfile().unwrap();
        assert_eq!(file.write(b"123456").unwrap(), 4);
        assert_eq!(file.write(b"56").unwrap_err().raw_os_error(), Some(libc::EFBIG));
    }

    #[test]
    fn a_source_reads_what_was_sent_and_hides_its_own_broken_pipes() {
        alone!();
        let source = SignalSource::new().unwrap();
        assert_eq!(source.read_all().unwrap(), []);
        // To this thread: libtest's main thread does not block what is sent to the process.
        for signal in [Signal::USR2, Signal::TTIN, Signal::PIPE] {
            // SAFETY: raise takes a number and touches no memory of ours.
            assert_eq!(unsafe { libc::raise(signal.number()) }, 0);
        }
        assert_eq!(source.read_all().unwrap(), [Signal::USR2, Signal::TTIN]);
        assert_eq!(source.read_all().unwrap(), []);
    }
}
