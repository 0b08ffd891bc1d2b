//! The C interface: what `einhorn.h` declares.
//!
//! Thin over `einhorn-worker`; it only turns values and errors into C's. No panic crosses the
//! border, no pointer that is given out is ever NULL, and no number below is ever changed.

#![allow(unsafe_code)]
#![expect(clippy::doc_markdown, reason = "the texts go into the header, which is no Markdown")]

mod border;

use border::{guarded, message, result};
use std::{
    ffi::{CStr, c_char, c_int, c_uint},
    os::fd::AsRawFd,
};

/// Version of this interface: of the calls, their types and the error numbers. Compare it with
/// einhorn_abi_version(). Additions leave it as it is.
pub const EINHORN_ABI_VERSION: c_uint = 1;

/// This process is not a worker of an einhorn master: it was started otherwise, or by a
/// process in between that did not exec it.
pub const EINHORN_E_NOT_WORKER: c_int = -1;
/// An EINHORN_ variable is missing or malformed.
pub const EINHORN_E_ENVIRONMENT: c_int = -2;
/// There are fewer sockets than that.
pub const EINHORN_E_NO_SUCH_SOCKET: c_int = -3;
/// A variable names a descriptor that is closed, no socket, or not listening.
pub const EINHORN_E_BAD_DESCRIPTOR: c_int = -4;
/// The socket is of another family. No call of this version returns it.
pub const EINHORN_E_WRONG_FAMILY: c_int = -5;
/// The master's command socket cannot be reached.
pub const EINHORN_E_UNREACHABLE: c_int = -6;
/// The message was sent, but not confirmed within 30 seconds.
pub const EINHORN_E_NOT_CONFIRMED: c_int = -7;
/// The message was refused, or dropped unread.
pub const EINHORN_E_REFUSED: c_int = -8;
/// The message is longer than a master reads (1 MiB).
pub const EINHORN_E_MESSAGE_TOO_LONG: c_int = -9;
/// The system refused a call.
pub const EINHORN_E_SYSTEM: c_int = -10;
/// An argument is NULL or not UTF-8.
pub const EINHORN_E_INVALID_ARGUMENT: c_int = -100;
/// A fault of this library, which it caught.
pub const EINHORN_E_INTERNAL: c_int = -101;

/// The version of the interface that the library has which is loaded. Never fails.
///
/// @return its EINHORN_ABI_VERSION.
#[unsafe(no_mangle)]
pub extern "C" fn einhorn_abi_version() -> c_uint {
    EINHORN_ABI_VERSION
}

/// Whether a master started this very process. Never fails.
///
/// @return true in a worker; false outside a master, and in a child of a worker.
#[unsafe(no_mangle)]
pub extern "C" fn einhorn_is_worker() -> bool {
    guarded(|| c_int::from(einhorn_worker::is_worker())) == 1
}

/// How many listening sockets the master opened for its workers. Never fails.
///
/// @return their number; 0 outside a master, and where the variables make no sense
/// (einhorn_socket_fd() tells what is wrong).
#[unsafe(no_mangle)]
pub extern "C" fn einhorn_socket_count() -> c_int {
    guarded(|| c_int::try_from(einhorn_worker::socket_count()).unwrap_or(c_int::MAX)).max(0)
}

/// The descriptor of a listening socket.
///
/// The number is the same at every call. The descriptor is inherited, shared with all other
/// workers (O_NONBLOCK too), not close-on-exec, and the process's own to keep or close. Never
/// shutdown() it: that would stop all workers.
///
/// @param n which socket, from 0 in the order of the master's -b options.
/// @return a descriptor >= 0, or EINHORN_E_NO_SUCH_SOCKET, EINHORN_E_ENVIRONMENT or
/// EINHORN_E_BAD_DESCRIPTOR.
#[unsafe(no_mangle)]
pub extern "C" fn einhorn_socket_fd(n: c_int) -> c_int {
    guarded(|| match usize::try_from(n) {
        Ok(n) => result(einhorn_worker::socket_fd(n)),
        Err(_) => result(Err(einhorn_worker::Error::NoSuchSocket {
            index: usize::MAX,
            count: einhorn_worker::socket_count(),
        })),
    })
}

/// This worker's index: the smallest, from 0, that no living worker had when it was started,
/// kept for life. After an upgrade it may be as large as the number of workers or larger.
///
/// @return the index >= 0, or EINHORN_E_NOT_WORKER where there is none.
#[unsafe(no_mangle)]
pub extern "C" fn einhorn_child_index() -> c_int {
    guarded(|| {
        let index = einhorn_worker::child_index().and_then(|index| c_int::try_from(index).ok());
        index.unwrap_or_else(|| message(EINHORN_E_NOT_WORKER, "this process has no index"))
    })
}

/// Tells the master that this worker is up, and waits until it has taken that: usually well
/// under a millisecond, 30 seconds at most. Needed where the master runs with --ack-mode
/// manual, harmless elsewhere and when repeated. Never raises SIGPIPE.
///
/// Call einhorn_graceful_shutdown_fd() before: a worker that is up may be asked to stop.
///
/// @return 0, or EINHORN_E_NOT_WORKER, EINHORN_E_ENVIRONMENT, EINHORN_E_UNREACHABLE,
/// EINHORN_E_NOT_CONFIRMED, EINHORN_E_REFUSED or EINHORN_E_BAD_DESCRIPTOR.
#[unsafe(no_mangle)]
pub extern "C" fn einhorn_ack() -> c_int {
    guarded(|| result(einhorn_worker::ack().map(|()| 0)))
}

/// Tells the master that this worker is alive, and what it is busy with. The master's state
/// shows it. Waits as einhorn_ack() does.
///
/// @param id a text of yours in UTF-8 that ends in a NUL and does not change meanwhile, or
/// NULL.
/// @return 0, or an error of einhorn_ack(), EINHORN_E_MESSAGE_TOO_LONG (about 1 MiB) or
/// EINHORN_E_INVALID_ARGUMENT.
#[expect(
    clippy::missing_safety_doc,
    reason = "the text goes into the header, where C has no headings"
)]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn einhorn_ping(id: *const c_char) -> c_int {
    guarded(|| {
        if id.is_null() {
            return message(EINHORN_E_INVALID_ARGUMENT, "einhorn_ping: id is NULL");
        }
        // SAFETY: not NULL, and the caller gives a string that ends in a NUL.
        match unsafe { CStr::from_ptr(id) }.to_str() {
            Ok(id) => result(einhorn_worker::ping(id).map(|()| 0)),
            Err(_) => message(EINHORN_E_INVALID_ARGUMENT, "einhorn_ping: id is not UTF-8"),
        }
    })
}

/// From here on this process is a worker. Call it once, after everything is loaded that workers
/// are to share, and before any thread is started. Under `einhorn -p PROGRAM ... PROGRAM ...`
/// the first process never returns from it: it forks a worker whenever the master asks for one,
/// and the call returns in each worker. Anywhere else it returns at once.
///
/// @return 0, or EINHORN_E_SYSTEM when other threads run already, or EINHORN_E_ENVIRONMENT or
/// EINHORN_E_BAD_DESCRIPTOR when the variables of a preloader make no sense.
#[unsafe(no_mangle)]
pub extern "C" fn einhorn_become_worker() -> c_int {
    guarded(|| result(einhorn_worker::become_worker().map(|()| 0)))
}

/// A descriptor that becomes readable when the master asks this worker to stop (SIGUSR2), for
/// poll() and its relatives: finish what is begun, then exit with 0.
///
/// It stays readable for as long as nobody reads it, and nobody needs to. It is the same at
/// every call, close-on-exec, and must not be closed. Blocking calls that the signal
/// interrupts fail with EINTR. The first call installs a handler for SIGUSR2, in place of any
/// other; before it the signal kills the process, as it does by default. Works outside a
/// master too. In a child made by fork() the signal has its default effect until the child
/// makes this call itself.
///
/// @return a descriptor >= 0, or EINHORN_E_SYSTEM.
#[unsafe(no_mangle)]
pub extern "C" fn einhorn_graceful_shutdown_fd() -> c_int {
    guarded(|| result(einhorn_worker::graceful_shutdown_fd().map(|fd| fd.as_raw_fd())))
}

/// What an error number means, as a line of English without a final stop.
///
/// For the error that the latest failed call on this thread returned it names the variable or
/// file, its value and the reason. That text is valid until the next call of this library on
/// this thread fails; any other text is valid for ever.
///
/// @param error what a call returned, or any number.
/// @return the text, never NULL.
#[unsafe(no_mangle)]
pub extern "C" fn einhorn_strerror(error: c_int) -> *const c_char {
    border::text_of(error)
}
