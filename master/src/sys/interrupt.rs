//! Ctrl-C as something to wait for beside a socket.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, SigmaskHow, Signal, sigprocmask};
use nix::sys::signalfd::{SfdFlags, SignalFd};

/// SIGINT, readable from a descriptor. From its making on the signal is blocked in this
/// thread, also after it is dropped.
#[derive(Debug)]
pub struct InterruptSource {
    descriptor: SignalFd,
}

/// What [`wait`] has seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Awake {
    /// The stream can be read, or has ended.
    Readable,
    /// SIGINT has come; it is consumed.
    Interrupted,
}

impl InterruptSource {
    /// Blocks SIGINT in this thread and listens to it.
    ///
    /// # Errors
    /// Those of sigprocmask(2) and signalfd(2).
    pub fn new() -> io::Result<Self> {
        let mut set = SigSet::empty();
        set.add(Signal::SIGINT);
        sigprocmask(SigmaskHow::SIG_BLOCK, Some(&set), None)?;
        let flags = SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC;
        Ok(Self { descriptor: SignalFd::with_flags(&set, flags)? })
    }
}

/// Waits until `stream` is readable or SIGINT comes, which goes first. Without `interrupt`
/// SIGINT does what it does otherwise.
///
/// # Errors
/// Those of poll(2) and read(2).
pub fn wait(stream: impl AsFd, interrupt: Option<&InterruptSource>) -> io::Result<Awake> {
    loop {
        if let Some(source) = interrupt
            && source.descriptor.read_signal()?.is_some()
        {
            return Ok(Awake::Interrupted);
        }
        let stream = stream.as_fd();
        if poll_readable(stream, interrupt.map(|source| source.descriptor.as_fd()))? {
            return Ok(Awake::Readable);
        }
    }
}

/// Waits for either; whether `first` is readable.
fn poll_readable(first: BorrowedFd<'_>, second: Option<BorrowedFd<'_>>) -> io::Result<bool> {
    let mut all: Vec<PollFd<'_>> = std::iter::once(first)
        .chain(second)
        .map(|descriptor| PollFd::new(descriptor, PollFlags::POLLIN))
        .collect();
    match poll(&mut all, PollTimeout::NONE) {
        Ok(_) | Err(Errno::EINTR) => {}
        Err(error) => return Err(error.into()),
    }
    // Anything at all, errors included, is for a read to find out, unless SIGINT came too.
    let seen = |index: usize| all.get(index).and_then(PollFd::any).unwrap_or(false);
    Ok(seen(0) && !seen(1))
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::unix::net::UnixStream;

    use super::*;
    use crate::sys::own_process::alone;

    #[test]
    fn a_stream_wakes_the_waiting_with_data_and_with_its_end() {
        let (mut near, far) = UnixStream::pair().unwrap();
        near.write_all(b"x").unwrap();
        assert_eq!(wait(&far, None).unwrap(), Awake::Readable);
        let (near, far) = UnixStream::pair().unwrap();
        drop(near);
        assert_eq!(wait(&far, None).unwrap(), Awake::Readable);
    }

    #[test]
    fn an_interrupt_goes_first_and_counts_once() {
        alone!();
        let source = InterruptSource::new().unwrap();
        let (mut near, far) = UnixStream::pair().unwrap();
        nix::sys::signal::raise(Signal::SIGINT).unwrap();
        assert_eq!(wait(&far, Some(&source)).unwrap(), Awake::Interrupted);
        nix::sys::signal::raise(Signal::SIGINT).unwrap();
        near.write_all(b"x").unwrap();
        assert_eq!(wait(&far, Some(&source)).unwrap(), Awake::Interrupted);
        assert_eq!(wait(&far, Some(&source)).unwrap(), Awake::Readable);
    }
}
