//! Descriptors as such: their flags, taking over a numbered one, pipes.
#![allow(unsafe_code, reason = "close_range, and taking over a descriptor by its number")]

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::fs::OpenOptionsExt;

use rustix::fs::OFlags;
use rustix::io::FdFlags;
use rustix::pipe::PipeFlags;

/// Marks every descriptor above 2 close-on-exec: whatever whoever started the master left
/// open by mistake must not reach a worker.
///
/// # Errors
/// Those of `close_range(2)`, or of reading `/proc/self/fd` where that is missing.
pub fn mark_all_close_on_exec() -> io::Result<()> {
    let flags = libc::CLOSE_RANGE_CLOEXEC;
    // The call itself, since not every C library has a function for it.
    // SAFETY: with this flag nothing is closed, so no descriptor loses its meaning.
    let result = unsafe { libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, flags) };
    if result == 0 {
        return Ok(());
    }
    let error = io::Error::last_os_error();
    match error.raw_os_error() {
        // Linux before 5.11, or a filter that does not know the call.
        Some(libc::ENOSYS | libc::EINVAL | libc::EPERM) => mark_each_close_on_exec(),
        _ => Err(error),
    }
}

fn mark_each_close_on_exec() -> io::Result<()> {
    for entry in std::fs::read_dir("/proc/self/fd")? {
        let number = entry?.file_name().to_str().and_then(|name| name.parse::<RawFd>().ok());
        if let Some(number) = number.filter(|number| *number > 2) {
            // SAFETY: fcntl with F_SETFD reads and writes no memory; a number that is no
            // longer open gives EBADF, which means that there is nothing to mark.
            unsafe { libc::fcntl(number, libc::F_SETFD, libc::FD_CLOEXEC) };
        }
    }
    Ok(())
}

/// Takes over an inherited descriptor by its number and marks it close-on-exec.
///
/// The caller answers for the number: each may be taken once, and none that this program has
/// opened itself.
///
/// # Errors
/// `EBADF`: it is not open; `EINVAL`: 0, 1 and 2 belong to the standard streams.
pub fn take_over(number: RawFd) -> io::Result<OwnedFd> {
    if (0..=2).contains(&number) {
        return Err(io::Error::from_raw_os_error(libc::EINVAL));
    }
    if !is_open(number) {
        return Err(io::Error::from_raw_os_error(libc::EBADF));
    }
    // SAFETY: the number is open, as just seen, and by this function's contract nobody else
    // in this program owns it.
    let descriptor = unsafe { OwnedFd::from_raw_fd(number) };
    set_close_on_exec(descriptor.as_fd(), true)?;
    Ok(descriptor)
}

/// Whether a number is an open descriptor of this process.
pub fn is_open(number: RawFd) -> bool {
    // SAFETY: F_GETFD touches no memory and is defined for any number.
    number >= 0 && unsafe { libc::fcntl(number, libc::F_GETFD) } >= 0
}

/// Whether a number is an open descriptor that an exec would leave open. Just after an exec
/// these are the ones that crossed it.
pub fn is_open_across_exec(number: RawFd) -> bool {
    // SAFETY: as in `is_open`.
    let flags = unsafe { libc::fcntl(number, libc::F_GETFD) };
    number >= 0 && flags >= 0 && flags & libc::FD_CLOEXEC == 0
}

/// Whether a descriptor is closed by an exec.
///
/// # Errors
/// Those of fcntl(2).
pub fn is_close_on_exec(descriptor: BorrowedFd<'_>) -> io::Result<bool> {
    Ok(rustix::io::fcntl_getfd(descriptor)?.contains(FdFlags::CLOEXEC))
}

/// Sets whether a descriptor is closed by an exec.
///
/// # Errors
/// Those of fcntl(2).
pub fn set_close_on_exec(descriptor: BorrowedFd<'_>, on: bool) -> io::Result<()> {
    let mut flags = rustix::io::fcntl_getfd(descriptor)?;
    flags.set(FdFlags::CLOEXEC, on);
    Ok(rustix::io::fcntl_setfd(descriptor, flags)?)
}

/// Sets `O_NONBLOCK`, which everyone shares who has the same open file.
///
/// # Errors
/// Those of fcntl(2).
pub fn set_nonblocking(descriptor: BorrowedFd<'_>, on: bool) -> io::Result<()> {
    let mut flags = rustix::fs::fcntl_getfl(descriptor)?;
    flags.set(OFlags::NONBLOCK, on);
    Ok(rustix::fs::fcntl_setfl(descriptor, flags)?)
}

/// A second descriptor of the same open file, above 2.
///
/// # Errors
/// Those of fcntl(2).
pub fn duplicate(descriptor: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    Ok(rustix::io::fcntl_dupfd_cloexec(descriptor, 3)?)
}

/// The two ends of a pipe, reader first, both blocking.
///
/// # Errors
/// Those of pipe2(2).
pub fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?)
}

/// Whether a descriptor is an end of a pipe.
///
/// # Errors
/// Those of fstat(2).
pub fn is_pipe(descriptor: BorrowedFd<'_>) -> io::Result<bool> {
    let mode = rustix::fs::fstat(descriptor)?.st_mode;
    Ok(rustix::fs::FileType::from_raw_mode(mode).is_fifo())
}

/// Opens what a descriptor refers to anew for writing, non-blocking without making it so for
/// others who share the old one. Works for pipes, files and terminals, not for sockets.
///
/// # Errors
/// Those of open(2); `ENXIO` for a socket or a pipe that nobody reads.
pub fn reopen_for_nonblocking_writes(descriptor: BorrowedFd<'_>) -> io::Result<File> {
    let path = format!("/proc/self/fd/{}", descriptor.as_raw_fd());
    File::options()
        .append(true)
        .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY | libc::O_CLOEXEC)
        .open(path)
}

/// Whether `O_NONBLOCK` is set.
#[cfg(test)]
pub(crate) fn is_nonblocking(descriptor: BorrowedFd<'_>) -> bool {
    rustix::fs::fcntl_getfl(descriptor).unwrap().contains(OFlags::NONBLOCK)
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use super::*;
    use crate::sys::own_process::alone;

    #[test]
    fn flags_change_and_are_told() {
        let (reader, writer) = pipe().unwrap();
        for end in [reader.as_fd(), writer.as_fd()] {
            assert!(is_close_on_exec(end).unwrap());
            assert!(!is_open_across_exec(end.as_raw_fd()));
            assert!(!is_nonblocking(end));
        }
        set_close_on_exec(reader.as_fd(), false).unwrap();
        assert!(is_open_across_exec(reader.as_raw_fd()));
        assert!(!is_open_across_exec(-1) && !is_open_across_exec(i32::MAX));
        set_nonblocking(reader.as_fd(), true).unwrap();
        assert!(!is_close_on_exec(reader.as_fd()).unwrap());
        assert!(is_nonblocking(reader.as_fd()));
        set_nonblocking(reader.as_fd(), false).unwrap();
        assert!(!is_nonblocking(reader.as_fd()));
    }

    #[test]
    fn a_number_is_taken_over_only_if_it_is_open_and_no_standard_stream() {
        use std::os::fd::IntoRawFd;
        let (reader, _writer) = pipe().unwrap();
        set_close_on_exec(reader.as_fd(), false).unwrap();
        let number = reader.into_raw_fd();
        let taken = take_over(number).unwrap();
        assert_eq!(taken.as_raw_fd(), number);
        assert!(is_close_on_exec(taken.as_fd()).unwrap());
        for (number, errno) in
            [(-1, libc::EBADF), (1, libc::EINVAL), (i32::MAX, libc::EBADF), (i32::MIN, libc::EBADF)]
        {
            assert_eq!(take_over(number).unwrap_err().raw_os_error(), Some(errno), "{number}");
        }
    }

    #[test]
    fn everything_is_marked() {
        alone!();
        for mark in [mark_all_close_on_exec, mark_each_close_on_exec] {
            let (reader, writer) = pipe().unwrap();
            set_close_on_exec(reader.as_fd(), false).unwrap();
            mark().unwrap();
            assert!(is_close_on_exec(reader.as_fd()).unwrap());
            assert!(is_close_on_exec(writer.as_fd()).unwrap());
            assert!(!is_close_on_exec(io::stderr().as_fd()).unwrap());
        }
    }

    #[test]
    fn reopening_leaves_the_shared_one_blocking() {
        let (reader, writer) = pipe().unwrap();
        let mut again = reopen_for_nonblocking_writes(writer.as_fd()).unwrap();
        assert!(is_nonblocking(again.as_fd()));
        assert!(!is_nonblocking(writer.as_fd()));
        again.write_all(b"line").unwrap();
        drop((again, writer));
        let mut text = String::new();
        File::from(reader).read_to_string(&mut text).unwrap();
        assert_eq!(text, "line");
    }

    #[test]
    fn a_duplicate_outlives_the_original() {
        let (reader, writer) = pipe().unwrap();
        let second = duplicate(writer.as_fd()).unwrap();
        drop(writer);
        assert!(is_close_on_exec(second.as_fd()).unwrap());
        File::from(second).write_all(b"x").unwrap();
        let mut text = String::new();
        File::from(reader).read_to_string(&mut text).unwrap();
        assert_eq!(text, "x");
    }
}
