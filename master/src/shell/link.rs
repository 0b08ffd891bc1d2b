//! The connection to the master: whose it is, and lines in both directions.

use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use einhorn_protocol::limit::{self, UNIX_PATH_BYTES_MAX};
use thiserror::Error;

use crate::control::{LineBuffer, LineTooLong};
use crate::sys::files::{self, Permissions};
use crate::sys::interrupt::{self, Awake, InterruptSource};
use crate::sys::{credentials, socket};

/// Bytes of one read.
const READ_BYTES: usize = 64 << 10;

const START_ONE: &str = "start one with einhorn, or say where its socket is with -d PATH or \
    -c NAME";

/// Why there is no master to talk to.
#[derive(Debug, Error)]
pub enum ConnectError {
    /// Nothing is at the path.
    #[error("no master at {}: there is no such file ({START_ONE})", path.display())]
    Missing {
        /// The path of the socket.
        path: PathBuf,
    },
    /// A master has left its socket behind.
    #[error(
        "no master at {}: nobody listens on that socket, its master is gone ({START_ONE})",
        path.display()
    )]
    Dead {
        /// The path of the socket.
        path: PathBuf,
    },
    /// The path is something else.
    #[error("{} is not a socket (-d takes the path of a master's command socket)", path.display())]
    NotASocket {
        /// The path.
        path: PathBuf,
    },
    /// The socket is somebody else's.
    #[error(
        "cannot connect to {}: permission denied (run einhornsh as the user that runs the \
         master, or as root)",
        path.display()
    )]
    Denied {
        /// The path of the socket.
        path: PathBuf,
    },
    /// More connections wait than the master takes.
    #[error("the master at {} is busy: too many connections wait (try again)", path.display())]
    Busy {
        /// The path of the socket.
        path: PathBuf,
    },
    /// No socket can have such a path.
    #[error(
        "{} cannot be a socket: its path is longer than {UNIX_PATH_BYTES_MAX} bytes",
        path.display()
    )]
    PathTooLong {
        /// The path.
        path: PathBuf,
    },
    /// Whoever listens could be anybody.
    #[error(
        "refusing to talk to {}: its server runs as uid {server}, which is neither uid {own} \
         nor root, and the folder is not that user's alone (nothing was sent; if that is the \
         right master, run einhornsh as its user)",
        path.display()
    )]
    Foreign {
        /// The path of the socket.
        path: PathBuf,
        /// The server's uid.
        server: u32,
        /// The shell's uid.
        own: u32,
    },
    /// Anything else.
    #[error("cannot connect to {}: {source}", path.display())]
    Other {
        /// The path of the socket.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

/// Why the talk has ended.
#[derive(Debug, Error)]
pub enum LinkError {
    /// The master has closed the connection while it owed a reply.
    #[error("the connection to the master was lost before its last reply")]
    Closed,
    /// The system says so.
    #[error("the connection to the master was lost: {0}")]
    Lost(#[from] io::Error),
    /// No master sends that much in a line.
    #[error("the master's reply makes no sense: {0}")]
    TooLong(#[from] LineTooLong),
}

/// What came.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Received {
    /// A line without its newline.
    Line(Vec<u8>),
    /// Ctrl-C.
    Interrupted,
}

/// A connection to a server that is trusted.
#[derive(Debug)]
pub(super) struct Link {
    stream: UnixStream,
    input: LineBuffer,
}

impl Link {
    /// Connects, and looks who is there before anything is sent.
    ///
    /// # Errors
    /// See [`ConnectError`].
    pub(super) fn open(path: &Path) -> Result<Self, ConnectError> {
        let failed = |error| explain(path, error);
        let stream = UnixStream::from(socket::connect_unix(path).map_err(failed)?);
        let server = socket::peer(&stream).map_err(failed)?.uid;
        let own = credentials::own_uid();
        let folder = path.parent().and_then(|folder| files::permissions(folder).ok());
        if !is_trusted(server, own, folder) {
            return Err(ConnectError::Foreign { path: path.to_owned(), server, own });
        }
        Ok(Self { stream, input: LineBuffer::new(limit::REPLY_BYTES_MAX) })
    }

    /// Sends one line.
    ///
    /// # Errors
    /// [`LinkError::Lost`].
    pub(super) fn send(&mut self, line: &[u8]) -> Result<(), LinkError> {
        match self.stream.write_all(line).map_err(lost) {
            // What the master has said before it closed may be why: that is read first.
            Err(LinkError::Closed) => Ok(()),
            other => other,
        }
    }

    /// Waits for the next line, or for Ctrl-C if `interrupt` listens to it.
    ///
    /// # Errors
    /// [`LinkError::Closed`], [`LinkError::Lost`], [`LinkError::TooLong`].
    pub(super) fn receive(
        &mut self,
        interrupt: Option<&InterruptSource>,
    ) -> Result<Received, LinkError> {
        let mut bytes = vec![0; READ_BYTES];
        loop {
            if let Some(line) = self.input.next_line() {
                return Ok(Received::Line(line?.to_vec()));
            }
            if interrupt::wait(&self.stream, interrupt)? == Awake::Interrupted {
                return Ok(Received::Interrupted);
            }
            match self.stream.read(&mut bytes) {
                Ok(0) => return Err(LinkError::Closed),
                Ok(count) => self.input.push(bytes.get(..count).unwrap_or_default()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(lost(error)),
            }
        }
    }
}

/// Whether `server` may be told commands: it is this user or root, or the folder is its own and
/// nobody else's, so that whoever named the path has named that user.
fn is_trusted(server: u32, own: u32, folder: Option<Permissions>) -> bool {
    let is_its_folder = |folder: Permissions| folder.uid == server && folder.mode & 0o022 == 0;
    server == own || server == 0 || folder.is_some_and(is_its_folder)
}

fn lost(error: io::Error) -> LinkError {
    match error.kind() {
        ErrorKind::BrokenPipe | ErrorKind::ConnectionReset => LinkError::Closed,
        _ => LinkError::Lost(error),
    }
}

fn explain(path: &Path, source: io::Error) -> ConnectError {
    let path = path.to_owned();
    match source.kind() {
        ErrorKind::NotFound => ConnectError::Missing { path },
        ErrorKind::ConnectionRefused => {
            let is_socket = path.metadata().is_ok_and(|file| file.file_type().is_socket());
            if is_socket { ConnectError::Dead { path } } else { ConnectError::NotASocket { path } }
        }
        ErrorKind::PermissionDenied => ConnectError::Denied { path },
        ErrorKind::WouldBlock => ConnectError::Busy { path },
        ErrorKind::InvalidFilename => ConnectError::PathTooLong { path },
        _ => ConnectError::Other { path, source },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_own_user_root_and_the_owner_of_the_folder_are_trusted() {
        let folder = |uid, mode| Some(Permissions { uid, gid: uid, mode });
        let shared = folder(0, 0o1777);
        assert!(is_trusted(1000, 1000, shared));
        assert!(is_trusted(0, 1000, shared));
        assert!(is_trusted(0, 0, None));
        assert!(!is_trusted(1001, 1000, shared) && !is_trusted(1001, 1000, None));
        assert!(!is_trusted(1000, 0, shared));
        assert!(is_trusted(1001, 1000, folder(1001, 0o755)));
        assert!(!is_trusted(1001, 1000, folder(1002, 0o755)));
        assert!(!is_trusted(1001, 1000, folder(1001, 0o775)));
        assert!(!is_trusted(1001, 1000, folder(1001, 0o1777)));
    }

    #[test]
    fn each_reason_is_told_with_what_to_do() {
        let path = Path::new("/x/einhorn.sock");
        for (kind, hints) in [
            (ErrorKind::NotFound, ["no such file", "-d PATH"]),
            (ErrorKind::ConnectionRefused, ["not a socket", "-d"]),
            (ErrorKind::PermissionDenied, ["permission denied", "root"]),
            (ErrorKind::WouldBlock, ["busy", "try again"]),
            (ErrorKind::InvalidFilename, ["longer than", "107"]),
            (ErrorKind::InvalidInput, ["cannot connect", "invalid"]),
        ] {
            let message = explain(path, kind.into()).to_string();
            assert!(message.contains("/x/einhorn.sock"), "{message}");
            assert!(hints.iter().all(|hint| message.contains(hint)), "{message}");
        }
    }
}
