//! The first start: everything that a master opens before it has workers, in order.
//!
//! Lock file, command socket, listening sockets in the order of `-b`, pid file. If a step
//! fails, what the steps before it made is gone again. Whether options are in range has been
//! seen before; a master that takes over from another opens nothing here (`handover`).
//!
//! Invariant: nothing that belongs to someone else is removed, overwritten or followed: no
//! live socket, no file that is no socket, no symlink.

pub mod activation;
mod allowed;
mod command_socket;
mod error;
pub mod files;
mod listener;
mod lock;
mod notify_socket;
mod pidfile;
mod undo;

use std::os::fd::OwnedFd;

pub use activation::{ActivationError, Socket};
pub use allowed::Allowed;
pub use command_socket::open as open_command_socket;
pub use error::{Danger, StartError};
pub use files::{FilesError, WantedFiles};
pub use listener::{Listener, open as open_listener};
pub use notify_socket::NotifySocket;
pub(crate) use pidfile::names as pidfile_names;

use crate::options::Files;
use crate::sys::files::Identity;
use crate::sys::process::Pid;
use undo::Undo;

/// What a master has open when it begins.
#[derive(Debug)]
pub struct Opened {
    /// Where its files are, all absolute.
    pub files: Files,
    /// The command socket, listening and non-blocking.
    pub command_socket: OwnedFd,
    /// Which file the command socket is.
    pub socket_identity: Identity,
    /// Where workers notify this master, if they are to.
    pub notify_socket: Option<NotifySocket>,
    /// The listening sockets in the order of `-b`.
    pub listeners: Vec<Listener>,
    /// The living process, not this one, that the pid file named before.
    pub pidfile_named: Option<Pid>,
}

/// Opens everything, or nothing.
///
/// # Errors
/// The first step that failed: what it is about, why, and what can be done.
pub fn open(
    wanted: &WantedFiles,
    mut sockets: Vec<Socket>,
    backlog: i32,
    allowed: &Allowed,
) -> Result<Opened, StartError> {
    let notify = wanted.notify;
    let mut open_with =
        |files, pidfile| open_with(files, notify, &mut sockets, backlog, allowed, pidfile);
    let first = open_with(&wanted.files, Pidfile::of(wanted));
    match (first, &wanted.fallback) {
        // No socket has been opened or used yet.
        (Err(conflict), Some(fallback)) if conflict.is_other_master() => {
            open_with(fallback, Pidfile::IsTaken)
        }
        (result, _) => result,
    }
}

/// What becomes of a pid file that names another living process.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Pidfile {
    /// It names this one from now on.
    IsTaken,
    /// It is left alone, and the start fails.
    IsLeft,
}

impl Pidfile {
    fn of(wanted: &WantedFiles) -> Self {
        if wanted.fallback.is_some() { Self::IsLeft } else { Self::IsTaken }
    }
}

fn open_with(
    files: &Files,
    notify: bool,
    sockets: &mut Vec<Socket>,
    backlog: i32,
    allowed: &Allowed,
    pidfile: Pidfile,
) -> Result<Opened, StartError> {
    let pidfile_named = pidfile::other_living_process(&files.pidfile);
    if let (Some(pid), Pidfile::IsLeft) = (pidfile_named, pidfile) {
        return Err(StartError::PidfileOfAnother { path: files.pidfile.clone(), pid });
    }
    let mut undo = Undo::default();
    command_socket::check_folder(&files.command_socket)?;
    let lock = lock::take(&files.lockfile)?;
    let (command_socket, socket_identity) = command_socket::open(&files.command_socket, allowed)?;
    undo.made(&files.command_socket, socket_identity);
    drop(lock);
    let wanted = notify.then(|| NotifySocket::open(&files.command_socket));
    let notify_socket = wanted.transpose()?;
    let mut listeners = Vec::with_capacity(sockets.len());
    for socket in sockets.drain(..) {
        let listener = match socket {
            Socket::Wanted(address) => listener::open(&address, backlog)?,
            Socket::Inherited(listener) => listener,
        };
        if let Some((path, identity)) = listener.file() {
            undo.made(&path, identity);
        }
        listeners.push(listener);
    }
    // Last, so that a start which fails leaves the pid file of whoever runs already alone.
    pidfile::write(&files.pidfile)?;
    undo.nothing();
    let files = files.clone();
    Ok(Opened { files, command_socket, socket_identity, notify_socket, listeners, pidfile_named })
}

#[cfg(test)]
mod tests;
