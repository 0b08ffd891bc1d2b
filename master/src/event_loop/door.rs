//! Who is let in at the command socket, and what they may say there.

use std::os::fd::AsFd;

use einhorn_protocol::error_code;

use super::Master;
use crate::commands::Rights;
use crate::control::Reply;
use crate::pool::{Pid, Pool, Worker};
use crate::start::Allowed;
use crate::sys::peer_groups::peer_groups;
use crate::sys::process::{group_of, own_pid};
use crate::sys::socket::Peer;
use crate::sys::{credentials, reason};

/// What decides about whoever comes.
pub(super) struct Door<'a> {
    pub(super) allowed: &'a Allowed,
    pub(super) pool: &'a Pool,
}

impl Door<'_> {
    /// What the one at the other end of `stream` may say, if anything.
    pub(super) fn rights(&self, peer: Peer, stream: impl AsFd) -> Result<Rights, Reply> {
        // What `-g` gives is for its worker, whatever user that has become.
        if peer.pid == own_pid() {
            return Ok(Rights::OfAGivenConnection);
        }
        let groups = || {
            peer_groups(stream).unwrap_or_else(|error| {
                let why = reason(&error);
                ::log::warn!("cannot tell the groups of a client (pid {}): {why}", peer.pid);
                Vec::new()
            })
        };
        if self.allowed.admits(peer.uid, peer.gid, groups) {
            return Ok(Rights::All);
        }
        if worker_behind(self.pool, peer.pid).is_some() {
            return Ok(Rights::OfAWorker);
        }
        let own = credentials::own_uid();
        let message = format!(
            "uid {} may not speak to this master, only {own} and 0, its workers for themselves, \
             and whom --allow-uid and --allow-gid name",
            peer.uid
        );
        Err(Reply::failed(error_code::NOT_PERMITTED, message))
    }
}

/// The worker that `pid` is, or is a helper of: in its process group.
fn worker_behind(pool: &Pool, pid: Pid) -> Option<&Worker> {
    pool.find(pid).or_else(|| group_of(pid).and_then(|group| pool.find(group)))
}

impl Master {
    /// Takes in everyone who waits at the command socket.
    pub(super) fn accept_clients(&mut self) {
        // A worker may speak as soon as its pid is on its way.
        if self.preloads.awaits_a_pid() {
            self.read_preloaders();
        }
        let door = Door { allowed: &self.instance.allowed, pool: &self.pool };
        self.clients.accept_all(&self.instance.command_socket, &door);
        if self.clients.has_someone_outside() {
            self.ask_again_later();
        }
    }
}
