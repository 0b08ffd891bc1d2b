//! Where this library steps outside what the compiler checks: borrowing a descriptor that is
//! known by its number only, and signals.
//!
//! The handler sets a flag and writes a byte to a descriptor; who reads it is not decided
//! here.

#![allow(unsafe_code)]

use std::{
    io,
    os::fd::{BorrowedFd, RawFd},
    sync::atomic::{AtomicBool, AtomicI32, Ordering},
};

/// No descriptor.
const NONE: RawFd = -1;

/// The process that installed the handler; a child that it forked is another.
static OWNER: AtomicI32 = AtomicI32::new(0);
/// Whether the signal came since.
static REQUESTED: AtomicBool = AtomicBool::new(false);
/// Where the handler writes: the library's thread, and whoever polls.
static WAKE: [AtomicI32; 2] = [AtomicI32::new(NONE), AtomicI32::new(NONE)];

/// Which of the two readers a descriptor wakes.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Reader {
    /// The library's own thread.
    Thread = 0,
    /// The program's poll loop.
    Poll = 1,
}

/// Borrows a descriptor by its number.
///
/// # Errors
/// `EBADF` when nothing is open there.
pub(crate) fn borrow_inherited(number: RawFd) -> io::Result<BorrowedFd<'static>> {
    // SAFETY: F_GETFD only reads the flags, and fails where nothing is open.
    if number < 0 || unsafe { libc::fcntl(number, libc::F_GETFD) } == -1 {
        return Err(io::Error::from_raw_os_error(libc::EBADF));
    }
    // SAFETY: it is open now. The master gave it to this process for its life; a program that
    // closes it meanwhile gets EBADF or another of its own descriptors, never unsound memory.
    Ok(unsafe { BorrowedFd::borrow_raw(number) })
}

/// Has SIGUSR2 write a byte to `fd`, which must not block and must stay open for good.
///
/// System calls that the signal interrupts return `EINTR`: a loop that blocks gets to look.
pub(crate) fn wake_on_sigusr2(reader: Reader, fd: RawFd) -> io::Result<()> {
    let pid = current_pid();
    if OWNER.swap(pid, Ordering::SeqCst) != pid {
        for end in &WAKE {
            end.store(NONE, Ordering::SeqCst);
        }
        REQUESTED.store(false, Ordering::SeqCst);
    }
    WAKE[reader as usize].store(fd, Ordering::SeqCst);
    let handler: extern "C" fn(libc::c_int) = wake;
    set_action(handler as *const () as libc::sighandler_t)
}

/// Whether SIGUSR2 came since the handler was installed in this process.
pub(crate) fn requested() -> bool {
    OWNER.load(Ordering::SeqCst) == current_pid() && REQUESTED.load(Ordering::SeqCst)
}

/// Leaves all signals to the other threads.
pub(crate) fn block_all_in_this_thread() {
    // SAFETY: all zeroes is a valid set, which sigfillset then fills; the old one is not
    // asked for.
    unsafe {
        let mut all: libc::sigset_t = std::mem::zeroed();
        libc::sigfillset(&raw mut all);
        libc::pthread_sigmask(libc::SIG_BLOCK, &raw const all, std::ptr::null_mut());
    }
}

fn set_action(action: libc::sighandler_t) -> io::Result<()> {
    // SAFETY: all zeroes is a valid sigaction: no flags, an empty mask.
    let mut wanted: libc::sigaction = unsafe { std::mem::zeroed() };
    wanted.sa_sigaction = action;
    wanted.sa_flags = libc::SA_ONSTACK;
    // SAFETY: `wanted` is initialised, and the old action is not asked for.
    match unsafe { libc::sigaction(libc::SIGUSR2, &raw const wanted, std::ptr::null_mut()) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

fn current_pid() -> i32 {
    // SAFETY: getpid has no preconditions and may be called in a handler.
    unsafe { libc::getpid() }
}

/// The handler. Only calls that are safe there, and errno is put back.
extern "C" fn wake(_signal: libc::c_int) {
    let errno = errno_place();
    // SAFETY: errno's place belongs to this thread and outlives it.
    let saved = unsafe { *errno };
    if OWNER.load(Ordering::SeqCst) == current_pid() {
        REQUESTED.store(true, Ordering::SeqCst);
        for end in &WAKE {
            let fd = end.load(Ordering::SeqCst);
            if fd != NONE {
                // SAFETY: one byte from a static; a full or closed descriptor is an error that
                // changes nothing: a byte that waits there says the same.
                unsafe { libc::write(fd, (&raw const BYTE).cast(), 1) };
            }
        }
    } else if set_action(libc::SIG_DFL).is_ok() {
        // A forked child is no worker: the signal means there what it meant before.
        // SAFETY: raise may be called in a handler; it takes effect when this one returns.
        unsafe { libc::raise(libc::SIGUSR2) };
    }
    // SAFETY: as above.
    unsafe { *errno = saved };
}

/// What the handler writes; only that something is there matters.
static BYTE: u8 = 1;

#[cfg(any(target_os = "linux", target_os = "emscripten", target_os = "hurd"))]
fn errno_place() -> *mut libc::c_int {
    // SAFETY: no preconditions.
    unsafe { libc::__errno_location() }
}

#[cfg(any(target_vendor = "apple", target_os = "freebsd", target_os = "dragonfly"))]
fn errno_place() -> *mut libc::c_int {
    // SAFETY: no preconditions.
    unsafe { libc::__error() }
}

#[cfg(any(target_os = "android", target_os = "netbsd", target_os = "openbsd"))]
fn errno_place() -> *mut libc::c_int {
    // SAFETY: no preconditions.
    unsafe { libc::__errno() }
}
