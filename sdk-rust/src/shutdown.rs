//! How the master asks this worker to stop: SIGUSR2, turned into a call on a thread or a
//! readable descriptor.
//!
//! A request is remembered: whoever registers after it learns of it at once. It asks for
//! nothing twice, so a second signal and a second registration are harmless.

use crate::{
    error::{Error, Result},
    signal::{self, Reader},
};
use std::{
    io::{self, Read, Write},
    mem,
    os::{
        fd::{AsRawFd, BorrowedFd},
        unix::net::UnixStream,
    },
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Mutex, MutexGuard, PoisonError},
    thread,
};

type Callback = Box<dyn FnOnce() + Send>;

/// What was registered in the process `pid`; a forked child starts anew.
struct Registered {
    pid: u32,
    callbacks: Vec<Callback>,
    thread: Option<UnixStream>,
    poll: Option<&'static (UnixStream, UnixStream)>,
}

static REGISTERED_HERE: Mutex<Registered> = Mutex::new(Registered::none());

/// Calls `f` when the master asks this worker to stop (SIGUSR2).
///
/// `f` runs once, on a thread of this library, never inside a signal handler, so it may do
/// anything: set a flag, send on a channel, wake a runtime. Several registrations are all
/// called, in their order; one that comes after the request is called at once. A panic in `f`
/// ends `f` alone. Before the first registration SIGUSR2 kills, as it does by default, so
/// register before [`ack`](crate::ack).
///
/// Works outside a master too, so that a program can be tried by `kill -USR2`. It takes the
/// place of any other handler for SIGUSR2. A child made by a plain `fork` isn't a worker:
/// there the signal has its default effect until the child registers itself.
///
/// # Errors
/// [`Error::Signal`] when the system has no thread, descriptor or handler to give.
pub fn on_graceful_shutdown<F>(f: F) -> Result<()>
where
    F: FnOnce() + Send + 'static,
{
    let mut here = registered();
    here.start_thread().map_err(|source| Error::Signal { source })?;
    here.callbacks.push(Box::new(f));
    if let (true, Some(wake)) = (signal::requested(), here.thread.as_ref()) {
        make_readable(wake).map_err(|source| Error::Signal { source })?;
    }
    Ok(())
}

/// A descriptor that becomes readable when the master asks this worker to stop (SIGUSR2), for
/// `poll` and its relatives.
///
/// It stays readable for as long as nobody reads it, and nobody needs to. It is close-on-exec,
/// does not block, is the same at every call, and must not be closed. Blocking calls that the
/// signal interrupts return `EINTR`.
///
/// # Errors
/// [`Error::Signal`] when the system has no descriptor or handler to give.
pub fn graceful_shutdown_fd() -> Result<BorrowedFd<'static>> {
    let mut here = registered();
    let ends = here.poll_ends().map_err(|source| Error::Signal { source })?;
    Ok(std::os::fd::AsFd::as_fd(&ends.0))
}

/// What is registered in this very process.
fn registered() -> MutexGuard<'static, Registered> {
    let mut here = REGISTERED_HERE.lock().unwrap_or_else(PoisonError::into_inner);
    let pid = std::process::id();
    if here.pid != pid {
        // What the parent registered is the parent's; dropping its callbacks here could run
        // code of theirs, so they are left alone.
        mem::forget(mem::replace(&mut *here, Registered { pid, ..Registered::none() }));
    }
    here
}

impl Registered {
    const fn none() -> Self {
        Self { pid: 0, callbacks: Vec::new(), thread: None, poll: None }
    }

    fn start_thread(&mut self) -> io::Result<()> {
        let wake = if let Some(wake) = &self.thread {
            wake.as_raw_fd()
        } else {
            let (woken, wake) = UnixStream::pair()?;
            wake.set_nonblocking(true)?;
            thread::Builder::new()
                .name("einhorn-shutdown".to_owned())
                .spawn(move || attend(woken))?;
            self.thread.insert(wake).as_raw_fd()
        };
        signal::wake_on_sigusr2(Reader::Thread, wake)
    }

    fn poll_ends(&mut self) -> io::Result<&'static (UnixStream, UnixStream)> {
        let ends = if let Some(ends) = self.poll {
            ends
        } else {
            let ends = UnixStream::pair()?;
            ends.0.set_nonblocking(true)?;
            ends.1.set_nonblocking(true)?;
            if signal::requested() {
                make_readable(&ends.1)?;
            }
            // The handler keeps the number, so the pair lives as long as the process.
            self.poll.insert(Box::leak(Box::new(ends)))
        };
        signal::wake_on_sigusr2(Reader::Poll, ends.1.as_raw_fd())?;
        Ok(ends)
    }
}

/// Does what the handler does; a full buffer is as readable as can be.
fn make_readable(mut end: &UnixStream) -> io::Result<()> {
    match end.write(&[1]) {
        Err(error) if error.kind() != io::ErrorKind::WouldBlock => Err(error),
        _ => Ok(()),
    }
}

/// The thread: waits for a byte, calls what is due.
fn attend(mut woken: UnixStream) {
    signal::block_all_in_this_thread();
    let mut byte = [0_u8; 1];
    loop {
        match woken.read(&mut byte) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Ok(1) => call_due(),
            _ => return,
        }
    }
}

fn call_due() {
    let due = if signal::requested() { mem::take(&mut registered().callbacks) } else { Vec::new() };
    for callback in due {
        // The panic hook has said what happened; the others are called all the same.
        let _ = catch_unwind(AssertUnwindSafe(callback));
    }
}
