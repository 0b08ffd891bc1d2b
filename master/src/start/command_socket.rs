//! The command socket: replaces a dead one, refuses to disturb a live one.

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use super::StartError;
use crate::sys::files::{self, FileKind, Identity};
use crate::sys::socket::{self, ListenOptions};

/// Permissions: only the master's own user, and root, may connect.
const MODE: u32 = 0o600;

/// Opens the command socket, listening; the caller holds the lock.
///
/// # Errors
/// The path is another master's live socket, no socket at all, or cannot be bound.
pub fn open(path: &Path) -> Result<(OwnedFd, Identity), StartError> {
    let failed = |source| StartError::Socket { path: path.to_owned(), source };
    match files::look(path).map_err(failed)? {
        None => {}
        Some((FileKind::Socket, identity)) => {
            if is_live(path).map_err(failed)? {
                return Err(StartError::SocketLive(path.to_owned()));
            }
            files::unlink_if_same(path, identity).map_err(failed)?;
        }
        Some((kind, _)) => {
            return Err(StartError::NotASocket { path: path.to_owned(), what: kind.text() });
        }
    }
    let options = ListenOptions {
        reuse_address: false,
        nonblocking: true,
        // A client that does not wait fails at once where the backlog is full.
        backlog: socket::SYSTEM_BACKLOG_MAX,
    };
    socket::listen_unix(path, MODE, options).map_err(failed)
}

/// Whether somebody listens at the socket file `path`.
///
/// # Errors
/// It cannot be told, because of missing permissions for example.
pub(super) fn is_live(path: &Path) -> io::Result<bool> {
    match socket::connect_unix(path) {
        Ok(_) => Ok(true),
        Err(error) => match error.kind() {
            // Its backlog is full.
            io::ErrorKind::WouldBlock => Ok(true),
            io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound => Ok(false),
            _ => Err(error),
        },
    }
}
