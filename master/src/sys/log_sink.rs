//! Writing to a descriptor that others share, without waiting, without changing it for them
//! and without a signal.
#![allow(unsafe_code, reason = "sigtimedwait has no safe wrapper")]

use std::io::{self, IoSlice, Write as _};
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd, RawFd};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::FileType;
use rustix::io::ReadWriteFlags;

use super::{descriptor, socket};

/// Most bytes that a pipe which is ready for writing takes without waiting (`PIPE_BUF`).
const PIPE_BYTES_AT_ONCE: usize = 4096;

/// Where log lines go.
#[derive(Debug)]
pub struct LogSink(Option<Way>);

/// How to write without waiting depends on what is behind the descriptor.
#[derive(Debug)]
enum Way {
    /// A file on a disk never makes a writer wait for a reader. It is not opened anew: the
    /// position has to stay common with the workers, which write there too.
    File(std::fs::File),
    /// A pipe or a device, opened anew: `O_NONBLOCK` is then ours alone.
    Reopened(std::fs::File),
    /// A socket, which can be told with each send.
    Socket(OwnedFd),
    /// A pipe or a device that cannot be opened anew: its owner is another user, it has no
    /// reader any more, or there is no `/proc`.
    Shared(OwnedFd),
}

impl LogSink {
    /// A sink to what `inherited` refers to; one that refuses everything if it is closed.
    pub fn new(inherited: BorrowedFd<'_>) -> Self {
        Self(Way::to(inherited).ok())
    }

    /// Writes as much of `bytes` as can be written at once.
    ///
    /// # Errors
    /// `WouldBlock`: nothing for now; [`Self::descriptor`] tells when. Everything else:
    /// nothing, and waiting does not help.
    pub fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        let written = match self.0.as_ref().ok_or(io::ErrorKind::NotConnected)? {
            Way::File(file) | Way::Reopened(file) => (&*file).write(bytes),
            Way::Socket(socket) => return socket::send_without_waiting(socket, bytes),
            Way::Shared(shared) => write_shared(shared.as_fd(), bytes),
        };
        if written.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::BrokenPipe) {
            take_pending_sigpipe();
        }
        written
    }

    /// What becomes ready for writing after a `WouldBlock`.
    pub fn descriptor(&self) -> Option<RawFd> {
        Some(match self.0.as_ref()? {
            Way::File(file) | Way::Reopened(file) => file.as_raw_fd(),
            Way::Socket(fd) | Way::Shared(fd) => fd.as_raw_fd(),
        })
    }
}

impl Way {
    fn to(inherited: BorrowedFd<'_>) -> io::Result<Self> {
        let kind = FileType::from_raw_mode(rustix::fs::fstat(inherited)?.st_mode);
        match kind {
            FileType::RegularFile => Ok(Self::File(descriptor::duplicate(inherited)?.into())),
            FileType::Socket => Ok(Self::Socket(descriptor::duplicate(inherited)?)),
            _ => match descriptor::reopen_for_nonblocking_writes(inherited) {
                Ok(file) => Ok(Self::Reopened(file)),
                Err(_) => Ok(Self::Shared(descriptor::duplicate(inherited)?)),
            },
        }
    }
}

/// For one write only, the kernel can be told not to wait; where it cannot (terminals, older
/// kernels), it is asked first. Between question and write another process may fill a pipe:
/// that is the one gap, and only where the pipe could not be opened anew.
fn write_shared(shared: BorrowedFd<'_>, bytes: &[u8]) -> io::Result<usize> {
    /// The position of the open file itself; a pipe has none.
    const CURRENT_POSITION: u64 = u64::MAX;
    let slices = [IoSlice::new(bytes)];
    match rustix::io::pwritev2(shared, &slices, CURRENT_POSITION, ReadWriteFlags::NOWAIT) {
        Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => {}
        answered => return Ok(answered?),
    }
    let mut asked = [PollFd::from_borrowed_fd(shared, PollFlags::OUT)];
    if poll(&mut asked, Some(&Timespec { tv_sec: 0, tv_nsec: 0 }))? == 0 {
        return Err(io::ErrorKind::WouldBlock.into());
    }
    let at_once = bytes.get(..PIPE_BYTES_AT_ONCE).unwrap_or(bytes);
    Ok(rustix::io::write(shared, at_once)?)
}

/// Takes back the SIGPIPE that a write to a pipe without readers has raised in this thread. It
/// is pending where the signal is blocked; the master would log it, and so raise the next.
fn take_pending_sigpipe() {
    let at_once = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `set` is initialised by sigemptyset before it is read, both pointers are to live
    // values of this frame, and the information about the signal is declined with a null.
    unsafe {
        let mut set = std::mem::MaybeUninit::<libc::sigset_t>::uninit();
        libc::sigemptyset(set.as_mut_ptr());
        libc::sigaddset(set.as_mut_ptr(), libc::SIGPIPE);
        libc::sigtimedwait(set.as_ptr(), std::ptr::null_mut(), &raw const at_once);
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;
    use crate::sys::descriptor::is_nonblocking;
    use crate::sys::own_process::alone;

    /// Writes until the sink takes no more, and says how much it took.
    fn fill(sink: &LogSink) -> usize {
        let mut total = 0;
        loop {
            match sink.write(&[b'x'; 1000]) {
                Ok(count) => total += count,
                Err(error) => {
                    assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
                    return total;
                }
            }
        }
    }

    #[test]
    fn a_full_pipe_is_no_wait_and_the_inherited_end_stays_as_it_is() {
        let (mut reader, writer) = io::pipe().unwrap();
        let sink = LogSink::new(writer.as_fd());
        assert!(matches!(sink.0, Some(Way::Reopened(_))));
        let total = fill(&sink);
        assert!(!is_nonblocking(writer.as_fd()));
        reader.read_exact(&mut vec![0; total]).unwrap();
        assert_eq!(sink.write(b"y").unwrap(), 1);
    }

    #[test]
    fn a_full_pipe_that_cannot_be_opened_anew_is_no_wait_either() {
        let (mut reader, writer) = io::pipe().unwrap();
        let sink = LogSink(Some(Way::Shared(writer.into())));
        let total = fill(&sink);
        reader.read_exact(&mut vec![0; total]).unwrap();
        assert_eq!(sink.write(b"y").unwrap(), 1);
        assert!(matches!(&sink.0, Some(Way::Shared(fd)) if !is_nonblocking(fd.as_fd())));
    }

    #[test]
    fn a_full_socket_is_no_wait() {
        let (mut reader, writer) = std::os::unix::net::UnixStream::pair().unwrap();
        let sink = LogSink::new(writer.as_fd());
        let total = fill(&sink);
        assert!(!is_nonblocking(writer.as_fd()));
        reader.read_exact(&mut vec![0; total]).unwrap();
        assert_eq!(sink.write(b"y").unwrap(), 1);
    }

    #[test]
    fn a_pipe_that_lost_its_reader_leaves_no_signal_behind() {
        use nix::sys::signal::{SigSet, SigmaskHow, Signal, pthread_sigmask};
        alone!();
        // The thread is this test's own. A blocked signal is kept even where it is ignored.
        let mut only_pipe = SigSet::empty();
        only_pipe.add(Signal::SIGPIPE);
        pthread_sigmask(SigmaskHow::SIG_BLOCK, Some(&only_pipe), None).unwrap();
        let (reader, writer) = io::pipe().unwrap();
        let early = LogSink::new(writer.as_fd());
        drop(reader);
        let late = LogSink::new(writer.as_fd());
        let shared = LogSink(Some(Way::Shared(writer.into())));
        for sink in [early, late, shared] {
            assert_eq!(sink.write(b"x").unwrap_err().kind(), io::ErrorKind::BrokenPipe);
            assert!(!sigpending().contains(Signal::SIGPIPE));
        }
    }

    fn sigpending() -> nix::sys::signal::SigSet {
        let mut set = std::mem::MaybeUninit::<libc::sigset_t>::uninit();
        // SAFETY: sigpending(2) initialises the set, and its success is checked.
        let set = unsafe {
            assert_eq!(libc::sigpending(set.as_mut_ptr()), 0);
            set.assume_init()
        };
        // SAFETY: the set was initialised above.
        unsafe { nix::sys::signal::SigSet::from_sigset_t_unchecked(set) }
    }

    #[test]
    fn a_named_pipe_may_find_a_reader_again() {
        use rustix::fs::{CWD, Mode, mknodat};
        alone!();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        mknodat(CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        let open = |read| std::fs::OpenOptions::new().read(read).write(true).open(&path).unwrap();
        let first_reader = open(true);
        let inherited = open(false);
        drop(first_reader);
        let sink = LogSink::new(inherited.as_fd());
        assert!(matches!(sink.0, Some(Way::Shared(_))));
        assert_eq!(sink.write(b"x").unwrap_err().kind(), io::ErrorKind::BrokenPipe);
        let mut second_reader = open(true);
        assert_eq!(sink.write(b"y").unwrap(), 1);
        let mut out = [0; 1];
        second_reader.read_exact(&mut out).unwrap();
        assert_eq!(&out, b"y");
    }

    #[test]
    fn a_file_keeps_one_position_with_its_other_writers() {
        let mut file = tempfile::tempfile().unwrap();
        let sink = LogSink::new(file.as_fd());
        file.write_all(b"worker\n").unwrap();
        sink.write(b"master\n").unwrap();
        file.write_all(b"worker\n").unwrap();
        let mut content = String::new();
        io::Seek::rewind(&mut file).unwrap();
        file.read_to_string(&mut content).unwrap();
        assert_eq!(content, "worker\nmaster\nworker\n");
    }

    #[test]
    fn a_full_disk_is_an_error() {
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let error = LogSink::new(full.as_fd()).write(b"x").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    }

    #[test]
    fn what_is_closed_is_an_error() {
        let sink = LogSink(None);
        assert!(sink.write(b"x").is_err());
        assert_eq!(sink.descriptor(), None);
    }
}
