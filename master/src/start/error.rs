//! Why a master could not start.

use std::io;
use std::path::PathBuf;

use super::FilesError;
use crate::log::shown;
use crate::sys::process::Pid;
use crate::sys::reason;

/// Why a master could not start: what it is about, why, and what can be done.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Where the files are cannot be said.
    #[error(transparent)]
    Files(#[from] FilesError),
    /// A user or a group that this system does not know.
    #[error(
        "--{option} {name}: {} (use a name of this system, or a number)",
        no_such(kind, source)
    )]
    Unknown {
        /// The option.
        option: &'static str,
        /// What it names.
        kind: &'static str,
        /// The name.
        name: String,
        /// What the system says.
        source: io::Error,
    },
    /// Another user could put a socket of their own in the command socket's place.
    #[error(
        "cannot open the command socket in {}: {danger} (use -d PATH in a folder of your own)",
        told(.path)
    )]
    UnsafeFolder {
        /// The folder.
        path: PathBuf,
        /// What is wrong with it.
        danger: Danger,
    },
    /// Another master is at this very step.
    #[error(
        "the lock file {} is held by another einhorn that is starting \
         (wait for it, or give this one files of its own with -c NAME)", told(.0)
    )]
    LockHeld(PathBuf),
    /// The lock file is something else.
    #[error(
        "cannot lock {}: it is {what}, which is left alone (use -f PATH for another lock file)",
        told(.path)
    )]
    LockNotAFile {
        /// The lock file's path.
        path: PathBuf,
        /// What it is.
        what: &'static str,
    },
    /// The lock file cannot be made or opened.
    #[error("cannot lock {}: {} (use -f PATH for another lock file)", told(.path), reason(source))]
    Lock {
        /// The lock file's path.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Someone answers at the command socket.
    #[error(
        "another master, or some other program, is listening at the command socket {} \
         (use -d PATH, or -c NAME, to run this one beside it)", told(.0)
    )]
    SocketLive(PathBuf),
    /// The command socket's path is taken by something that is no socket.
    #[error(
        "cannot open the command socket {}: it is {what}, which is left alone \
         (use -d PATH for another one)", told(.path)
    )]
    NotASocket {
        /// The command socket's path.
        path: PathBuf,
        /// What it is.
        what: &'static str,
    },
    /// The command socket cannot be opened.
    #[error(
        "cannot open the command socket {}: {} (use -d PATH for another one)",
        told(.path), reason(source)
    )]
    Socket {
        /// The command socket's path.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The pid file names the master above, or another that has the same default files.
    #[error(
        "the pid file {} is that of process {pid}, which is running (use -e PATH for another \
         one)", told(.path)
    )]
    PidfileOfAnother {
        /// The pid file's path.
        path: PathBuf,
        /// Whom it names.
        pid: Pid,
    },
    /// The pid file is something else.
    #[error(
        "cannot write the pid file {}: it is {what}, which is left alone (use -e PATH for \
         another one)", told(.path)
    )]
    PidfileNotAFile {
        /// The pid file's path.
        path: PathBuf,
        /// What it is.
        what: &'static str,
    },
    /// The pid file cannot be written.
    #[error(
        "cannot write the pid file {}: {} (use -e PATH for another one)",
        told(.path), reason(source)
    )]
    Pidfile {
        /// The pid file's path.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The place of the socket for `-m notify` is taken.
    #[error(
        "cannot open the socket for -m notify at {}: it is {what}, which is left alone \
         (use -d PATH for another place)", told(.path)
    )]
    NotifyTaken {
        /// The place.
        path: PathBuf,
        /// What it is.
        what: &'static str,
    },
    /// The folder of the socket for `-m notify` is another user's.
    #[error(
        "cannot open the socket for -m notify in {}: the folder is that of another user \
         (uid {uid}), and is left alone (use -d PATH for another place)", told(.path)
    )]
    NotifyOfAnother {
        /// The folder.
        path: PathBuf,
        /// Whose it is.
        uid: u32,
    },
    /// The socket for `-m notify` cannot be opened.
    #[error(
        "cannot open the socket for -m notify at {}: {} (use -d PATH for another place)",
        told(.path), reason(source)
    )]
    Notify {
        /// The place.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A host name has no address.
    #[error("cannot bind {address}: the name {host} cannot be resolved: {}", reason(source))]
    Resolve {
        /// The address as it was asked for.
        address: String,
        /// The host.
        host: String,
        /// What the resolver says.
        source: io::Error,
    },
    /// An internet address cannot be bound.
    #[error("cannot bind {address}: {}{}", reason(source), hint(source, *port))]
    Bind {
        /// The address as it was asked for, with what it was resolved to.
        address: String,
        /// Its port.
        port: u16,
        /// Why.
        source: io::Error,
    },
    /// A socket that is to be there already is not.
    #[error(transparent)]
    Inherit(#[from] super::ActivationError),
    /// The kernel does not let itself be told which socket of a group is next.
    #[error(
        "cannot bind {address} with balance: {}; that needs Linux 4.6 or later and \
         SO_ATTACH_REUSEPORT_CBPF (leave ,balance out to have one queue for all workers)",
        reason(source)
    )]
    Balance {
        /// The address as it was asked for, with what it was resolved to.
        address: String,
        /// Why.
        source: io::Error,
    },
    /// Someone answers at the path.
    #[error("cannot bind {0}: another program is listening there")]
    PathLive(String),
    /// The path is taken by something that is no socket.
    #[error("cannot bind {address}: there is {what}, which is left alone")]
    PathNotASocket {
        /// `unix:` and the path.
        address: String,
        /// What it is.
        what: &'static str,
    },
    /// The path has a dead socket that someone else has left.
    #[error(
        "cannot bind {address}: there is an unused socket of another user (uid {uid}), which is \
         left alone (remove it if nobody needs it)"
    )]
    PathOfAnother {
        /// `unix:` and the path.
        address: String,
        /// Whose it is.
        uid: u32,
    },
    /// The path cannot be bound.
    #[error("cannot bind {address}: {}", reason(source))]
    BindPath {
        /// `unix:` and the path.
        address: String,
        /// Why.
        source: io::Error,
    },
}

/// Why a folder is no place for a command socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Danger {
    /// It is another user's.
    #[error("the folder belongs to uid {0}, who could put another socket there")]
    OfAnother(u32),
    /// Its mode lets anybody in.
    #[error(
        "everybody may write to the folder, and nothing (no sticky bit, mode {0:o}) keeps them \
         from putting another socket there"
    )]
    OpenToAll(u32),
    /// Its mode lets a group in that is not the master's.
    #[error(
        "group {gid} may write to the folder, and nothing (no sticky bit, mode {mode:o}) keeps \
         them from putting another socket there"
    )]
    OpenToGroup {
        /// The group.
        gid: u32,
        /// The folder's mode.
        mode: u32,
    },
}

fn no_such(kind: &str, error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => format!("there is no such {kind}"),
        _ => reason(error),
    }
}

impl StartError {
    /// Whether it is another master's files that are in the way.
    pub(super) fn is_other_master(&self) -> bool {
        matches!(self, Self::LockHeld(_) | Self::SocketLive(_) | Self::PidfileOfAnother { .. })
    }
}

fn told(path: &std::path::Path) -> String {
    shown(&path.to_string_lossy())
}

fn hint(error: &io::Error, port: u16) -> &'static str {
    match error.kind() {
        io::ErrorKind::PermissionDenied if port < 1024 => {
            " (ports below 1024 need CAP_NET_BIND_SERVICE)"
        }
        io::ErrorKind::AddrInUse => {
            " (another program listens there, or connections of one that has ended are still \
             closing: the option r, as in ADDR,r, allows those)"
        }
        io::ErrorKind::AddrNotAvailable => " (no interface of this machine has that address)",
        _ => "",
    }
}
