//! Leaving: the files that a master removes at its exit, and only as long as they are its own
//! (`protocol.md §9`). The lock file stays.
//!
//! Invariant: each is removed only if it still is what this master made; another master that
//! has taken over a path keeps it.

use std::io;
use std::path::{Path, PathBuf};

use crate::log::shown;
use crate::options::Files;
use crate::start::{Listener, pidfile_names};
use crate::sys::files::{self, Identity};
use crate::sys::process::own_pid;
use crate::sys::reason;

/// What a master leaves behind unless it is removed. To be removed before the sockets are
/// closed: an identity counts only as long as its socket is open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leftovers {
    /// The pid file; it is ours while it names us.
    pub pidfile: PathBuf,
    /// The command socket, where it is known which file that is.
    pub command_socket: Option<(PathBuf, Identity)>,
    /// Files of unix sockets that this master, or the one that it took over from, has bound.
    pub unix_listeners: Vec<(PathBuf, Identity)>,
}

/// A file that could not be removed. The master ends all the same.
#[derive(Debug, thiserror::Error)]
#[error("cannot remove {path}: {}", reason(source))]
pub struct NotRemoved {
    /// The file.
    pub path: String,
    /// Why.
    pub source: io::Error,
}

/// A start that is not over: what it has made goes with this.
#[derive(Debug)]
pub struct Unfinished(Option<Leftovers>);

impl Unfinished {
    /// The start has succeeded.
    pub fn keep(mut self) {
        self.0 = None;
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        // The error that led here is the one to tell.
        self.0.as_ref().map(Leftovers::remove);
    }
}

impl Leftovers {
    /// Removes them if the rest of the start fails.
    pub fn removed_unless_kept(self) -> Unfinished {
        Unfinished(Some(self))
    }

    /// Those of a master with these files and sockets.
    pub fn of(own: &Files, command_socket: Option<Identity>, listeners: &[Listener]) -> Self {
        Self {
            pidfile: own.pidfile.clone(),
            command_socket: command_socket.map(|identity| (own.command_socket.clone(), identity)),
            unix_listeners: listeners.iter().filter_map(Listener::file).collect(),
        }
    }

    /// Removes what is still ours; goes on after a failure and returns them all.
    pub fn remove(&self) -> Vec<NotRemoved> {
        let sockets = self.command_socket.iter().chain(&self.unix_listeners);
        let sockets = sockets.map(|(path, identity)| {
            (path, files::unlink_if_same(path, *identity).map(|_was_ours| ()))
        });
        [(&self.pidfile, remove_pidfile(&self.pidfile))]
            .into_iter()
            .chain(sockets)
            .filter_map(|(path, result)| {
                let path = shown(&path.to_string_lossy());
                result.err().map(|source| NotRemoved { path, source })
            })
            .collect()
    }
}

fn remove_pidfile(path: &Path) -> io::Result<()> {
    if pidfile_names(path) == Some(own_pid()) { std::fs::remove_file(path) } else { Ok(()) }
}
