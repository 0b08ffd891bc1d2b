//! The command socket: replaces a dead one, refuses to disturb a live one.

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use super::allowed::OWN_MODE;
use super::error::Danger;
use super::{Allowed, StartError};
use crate::sys::credentials;
use crate::sys::files::{self, FileKind, Identity, Permissions};
use crate::sys::socket::{self, ListenOptions};

const STICKY: u32 = 0o1000;
const OF_GROUP: u32 = 0o020;
const OF_ALL: u32 = 0o002;

/// Whether nobody but this user and root could put another socket in its place.
///
/// # Errors
/// Somebody could, or it cannot be told.
pub(super) fn check_folder(path: &Path) -> Result<(), StartError> {
    // An absolute path has a parent, or is no file's.
    let folder = path.parent().unwrap_or(path);
    let found = match files::permissions(folder) {
        Ok(found) => found,
        // To be told by whoever wants to make a file there.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(StartError::Socket { path: path.to_owned(), source: error }),
    };
    match danger(found, credentials::own_uid(), credentials::own_gid()) {
        None => Ok(()),
        Some(danger) => Err(StartError::UnsafeFolder { path: folder.to_owned(), danger }),
    }
}

/// `user` and `own_group` are those of this process.
fn danger(folder: Permissions, user: u32, own_group: u32) -> Option<Danger> {
    let Permissions { uid: owner, gid: group, mode } = folder;
    if owner != user && owner != 0 {
        return Some(Danger::OfAnother(owner));
    }
    if mode & STICKY != 0 {
        return None;
    }
    if mode & OF_ALL != 0 {
        return Some(Danger::OpenToAll(mode));
    }
    let is_of_others = group != own_group && group != 0;
    (mode & OF_GROUP != 0 && is_of_others).then_some(Danger::OpenToGroup { gid: group, mode })
}

/// Opens the command socket, listening, for those allowed; the caller holds the lock.
///
/// # Errors
/// The path is another master's live socket, no socket at all, or cannot be bound.
pub fn open(path: &Path, allowed: &Allowed) -> Result<(OwnedFd, Identity), StartError> {
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
    let (socket, identity) = socket::listen_unix(path, OWN_MODE, options).map_err(failed)?;
    allowed.open_file(path, identity);
    Ok((socket, identity))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(uid: u32, gid: u32, mode: u32, expect: Option<Danger>) {
        assert_eq!(danger(Permissions { uid, gid, mode }, 1000, 100), expect);
    }

    #[test]
    fn who_could_put_another_socket_there() {
        check(1000, 7, 0o755, None);
        check(0, 0, 0o755, None);
        check(0, 0, 0o1777, None);
        check(1000, 7, 0o1777, None);
        check(1000, 100, 0o775, None);
        check(0, 0, 0o775, None);
        check(1001, 100, 0o700, Some(Danger::OfAnother(1001)));
        check(1001, 100, 0o1777, Some(Danger::OfAnother(1001)));
        check(0, 0, 0o777, Some(Danger::OpenToAll(0o777)));
        check(1000, 100, 0o702, Some(Danger::OpenToAll(0o702)));
        check(1000, 7, 0o2775, Some(Danger::OpenToGroup { gid: 7, mode: 0o2775 }));
        check(1000, 7, 0o1775, None);
    }
}
