//! What this master is for as long as this process image runs: its command line with the state
//! of a former image merged in, its files, its sockets, the environment that it started with.

use std::ffi::OsString;
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};

use crate::options::{Files, Launch};
use crate::pool::Slot;
pub use crate::spawn::environment::Environment;
use crate::start::{Allowed, Listener, NotifySocket};
use crate::sys::files::Identity;
use crate::sys::limits::OpenFiles;

/// Everything that stays as it is until the next image.
#[derive(Debug)]
pub struct Instance {
    /// The options, with those of the state where there was one.
    pub launch: Launch,
    /// The program that workers run, resolved, and its arguments.
    pub cmd: Vec<OsString>,
    /// Command socket, pid file, lock file, by absolute paths.
    pub files: Files,
    /// Who may give commands.
    pub allowed: Allowed,
    /// The bound sockets in the order of `-b`.
    pub listeners: Vec<Listener>,
    /// The socket that clients connect to.
    pub command_socket: OwnedFd,
    /// Which file of that name is this master's.
    pub command_socket_identity: Option<Identity>,
    /// Where workers notify this master (`-m notify`).
    pub notify_socket: Option<NotifySocket>,
    /// How often the master has re-executed itself.
    pub generation: u64,
    /// What this image was started with.
    pub environment: Environment,
    /// The limit of open descriptors that this image was started with; its own is higher.
    pub open_files: Option<OpenFiles>,
    /// The first word of this image's own command line, as typed.
    pub own_name: OsString,
}

impl Instance {
    /// The words that the next image is started with, before its options.
    pub fn reexec_words(&self) -> Vec<OsString> {
        match &self.launch.reexec_as {
            Some(words) => words.clone(),
            None => vec![self.own_name.clone()],
        }
    }

    /// The sockets of a worker in `slot`, in the order of `-b`.
    ///
    /// # Errors
    /// The slot has none yet.
    pub fn sockets_of(&self, slot: Option<Slot>) -> io::Result<Vec<BorrowedFd<'_>>> {
        let none = || io::Error::other("its slot has no socket");
        let listeners = self.listeners.iter();
        listeners.map(|listener| listener.socket_of(slot).ok_or_else(none)).collect()
    }

    /// The environment of the next image.
    pub fn reload_environment(&self) -> Environment {
        self.environment.without(&self.launch.drop_env_vars)
    }
}
