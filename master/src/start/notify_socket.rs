//! The socket for `sd_notify(3)` of the workers (`-m notify`): in a folder of its own beside the
//! command socket, so that nobody but the master's own user and root can reach it.
//!
//! Invariant: folder and socket are there as long as this value is, and are removed with it if
//! they still are what it made. What a dead master has left is taken over.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use super::StartError;
use crate::sys::files::{self, FileKind, Identity};
use crate::sys::{credentials, datagram, reason};

/// Behind the command socket's name.
const FOLDER_ENDING: &str = ".notify";
const NAME: &str = "socket";
const FOLDER_MODE: u32 = 0o700;
const MODE: u32 = 0o600;

/// An open socket.
#[derive(Debug)]
pub struct NotifySocket {
    socket: OwnedFd,
    path: PathBuf,
    identity: Option<Identity>,
}

impl NotifySocket {
    /// Opens it; the caller has the command socket, and with it the right to the folder.
    ///
    /// # Errors
    /// The folder is somebody else's or no folder, or it cannot be bound.
    pub fn open(command_socket: &Path) -> Result<Self, StartError> {
        let path = path_beside(command_socket);
        let folder = path.parent().unwrap_or(&path);
        let failed = |source| StartError::Notify { path: path.clone(), source };
        ensure_folder(folder)?;
        match files::look(&path).map_err(failed)? {
            None => {}
            Some((FileKind::Socket, identity)) => {
                files::unlink_if_same(&path, identity).map_err(failed)?;
            }
            Some((kind, _)) => {
                return Err(StartError::NotifyTaken { path: path.clone(), what: kind.text() });
            }
        }
        match datagram::receive_at(&path, MODE) {
            Ok((socket, identity)) => Ok(Self { socket, path, identity: Some(identity) }),
            Err(source) => {
                // Nothing is in it; the first error is the one to tell.
                let _ = std::fs::remove_dir(folder);
                Err(failed(source))
            }
        }
    }

    /// One that a former image has opened.
    ///
    /// # Errors
    /// It is none; why, for people.
    pub fn take_over(command_socket: &Path, socket: OwnedFd) -> Result<Self, String> {
        let path = path_beside(command_socket);
        match datagram::receives_at(socket.as_fd(), &path) {
            Ok(true) => {}
            Ok(false) => return Err("it does not receive at the path for it".to_string()),
            Err(error) => return Err(reason(&error)),
        }
        let identity = match files::look(&path) {
            Ok(Some((FileKind::Socket, identity))) => Some(identity),
            Ok(_) | Err(_) => None,
        };
        Ok(Self { socket, path, identity })
    }

    /// Where workers find it.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its descriptor's number.
    pub fn number(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}

impl AsFd for NotifySocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Drop for NotifySocket {
    fn drop(&mut self) {
        // Nobody is left to tell; a next master takes over what stays.
        if let Some(identity) = self.identity
            && files::unlink_if_same(&self.path, identity).unwrap_or(false)
            && let Some(folder) = self.path.parent()
        {
            let _ = std::fs::remove_dir(folder);
        }
    }
}

/// Where it is for a master with this command socket.
fn path_beside(command_socket: &Path) -> PathBuf {
    let mut folder = command_socket.as_os_str().to_owned();
    folder.push(FOLDER_ENDING);
    PathBuf::from(folder).join(NAME)
}

/// A folder that is this user's own and nobody else's.
fn ensure_folder(folder: &Path) -> Result<(), StartError> {
    let failed = |source| StartError::Notify { path: folder.to_owned(), source };
    match std::fs::DirBuilder::new().mode(FOLDER_MODE).create(folder) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(failed(error)),
    }
    match files::look(folder).map_err(failed)? {
        Some((FileKind::Directory, _)) => {}
        other => {
            let what = other.map_or("nothing", |(kind, _)| kind.text());
            return Err(StartError::NotifyTaken { path: folder.to_owned(), what });
        }
    }
    let uid = files::owner(folder).map_err(failed)?;
    if uid != credentials::own_uid() {
        return Err(StartError::NotifyOfAnother { path: folder.to_owned(), uid });
    }
    files::set_folder_mode(folder, FOLDER_MODE).map_err(|error| {
        // What is in it stays, and so does it then; the first error is the one to tell.
        let _ = std::fs::remove_dir(folder);
        failed(error)
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::os::unix::net::UnixDatagram;

    use super::*;

    fn names(folder: &Path) -> usize {
        folder.read_dir().unwrap().count()
    }

    fn mode(path: &Path) -> u32 {
        path.metadata().unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn it_is_reachable_by_its_user_alone_and_gone_at_the_end() {
        let place = tempfile::tempdir().unwrap();
        let command_socket = place.path().join("e.sock");
        let opened = NotifySocket::open(&command_socket).unwrap();
        let folder = place.path().join("e.sock.notify");
        assert_eq!(opened.path(), folder.join("socket"));
        assert_eq!((mode(&folder), mode(opened.path())), (0o700, 0o600));
        let second = opened.as_fd().try_clone_to_owned().unwrap();
        let again = NotifySocket::take_over(&command_socket, second).unwrap();
        assert_eq!(again.path(), opened.path());
        drop(opened);
        assert_eq!(names(place.path()), 0);
    }

    #[test]
    fn what_a_dead_master_has_left_is_taken_over() {
        let place = tempfile::tempdir().unwrap();
        let command_socket = place.path().join("e.sock");
        let folder = place.path().join("e.sock.notify");
        std::fs::create_dir(&folder).unwrap();
        std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o755)).unwrap();
        drop(UnixDatagram::bind(folder.join("socket")).unwrap());
        let opened = NotifySocket::open(&command_socket).unwrap();
        assert_eq!(mode(&folder), 0o700);
        // What somebody else has put there in the meantime is left alone.
        std::fs::remove_file(opened.path()).unwrap();
        let _other = UnixDatagram::bind(opened.path()).unwrap();
        drop(opened);
        assert!(folder.join("socket").exists());
    }

    #[track_caller]
    fn check_refusal(make: impl Fn(&Path), message: &str) {
        let place = tempfile::tempdir().unwrap();
        let folder = place.path().join("e.sock.notify");
        make(&folder);
        let error = NotifySocket::open(&place.path().join("e.sock")).unwrap_err().to_string();
        assert_eq!(error, message.replace("{}", place.path().to_str().unwrap()));
        assert_eq!(names(place.path()), 1);
    }

    #[test]
    fn what_is_not_ours_is_left_alone() {
        check_refusal(
            |folder| std::fs::write(folder, "").unwrap(),
            "cannot open the socket for -m notify at {}/e.sock.notify: it is a plain file, which \
             is left alone (use -d PATH for another place)",
        );
        check_refusal(
            |folder| symlink("/tmp", folder).unwrap(),
            "cannot open the socket for -m notify at {}/e.sock.notify: it is a symlink, which is \
             left alone (use -d PATH for another place)",
        );
        check_refusal(
            |folder| {
                std::fs::create_dir(folder).unwrap();
                std::fs::write(folder.join("socket"), "").unwrap();
            },
            "cannot open the socket for -m notify at {}/e.sock.notify/socket: it is a plain \
             file, which is left alone (use -d PATH for another place)",
        );
    }

    #[test]
    fn a_path_that_is_too_long_leaves_nothing() {
        let place = tempfile::tempdir().unwrap();
        let error = NotifySocket::open(&place.path().join("x".repeat(100))).unwrap_err();
        assert!(error.to_string().contains("-d PATH"), "{error}");
        assert_eq!(names(place.path()), 0);
    }
}
